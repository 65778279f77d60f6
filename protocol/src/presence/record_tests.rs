use proptest::prelude::*;

use super::*;
use crate::testing::{alice, body, keypair};

#[test]
fn a_signed_record_verifies_and_keeps_its_bytes() {
    let record = PresenceRecord::sign(body(&alice(), 3, 7), &alice()).unwrap();
    assert_eq!(PresenceRecord::verify(record.bytes(), &Realm::default()), Ok(record));
}

#[test]
fn whose_a_record_is_can_be_read_before_it_is_checked() {
    let realm = Realm::default();
    let record = PresenceRecord::sign(body(&alice(), 3, 7), &alice()).unwrap();
    assert_eq!(PresenceRecord::claimed_presentity(record.bytes(), &realm), Some(record.presentity()));
    assert_eq!(PresenceRecord::claimed_presentity(&record.bytes()[..20], &realm), None);
    assert_eq!(PresenceRecord::claimed_presentity(&[], &realm), None);
}

#[test]
fn a_record_of_another_realm_is_refused() {
    let record = PresenceRecord::sign(body(&alice(), 1, 1), &alice()).unwrap();
    let other = "other".parse().unwrap();
    assert_eq!(PresenceRecord::verify(record.bytes(), &other), Err(RecordError::ForeignRealm));
}

#[test]
fn another_format_is_ignored_and_anything_else_rejected() {
    let mut bytes = PresenceRecord::sign(body(&alice(), 1, 1), &alice()).unwrap().bytes().to_vec();
    bytes[0] = 2;
    let error = PresenceRecord::verify(&bytes, &Realm::default()).unwrap_err();
    assert_eq!(
        (error.clone(), error.reaction()),
        (RecordError::UnknownFormat { format: 2 }, Reaction::Ignore)
    );
    assert_eq!(RecordError::Forged.reaction(), Reaction::Reject);
}

#[test]
fn nobody_signs_for_somebody_else() {
    let mut bytes = PresenceRecord::sign(body(&alice(), 1, 1), &alice()).unwrap().bytes().to_vec();
    let key = Presentity::from_public_key(&alice().public()).unwrap();
    let mallory = Presentity::from_public_key(&keypair(66).public()).unwrap();
    let at = bytes.windows(32).position(|window| window == key.as_bytes()).unwrap();
    bytes[at..at + 32].copy_from_slice(mallory.as_bytes());
    assert_eq!(PresenceRecord::verify(&bytes, &Realm::default()), Err(RecordError::Forged));
}

#[test]
fn a_document_that_does_not_fit_is_refused_by_its_own_node() {
    let mut body = body(&alice(), 1, 1);
    body.sealed_views = vec![SealedView { key_id: [0; 8], ciphertext: vec![0; RECORD_BYTES_MAX] }];
    let refused = PresenceRecord::sign(body, &alice());
    assert!(matches!(refused, Err(RecordError::Wire(WireError::TooLarge { .. }))), "{refused:?}");
}

#[test]
fn the_name_is_that_of_the_document_or_stands_beside_it_where_that_is_sealed() {
    let named = |public: Option<PresenceInformation>, beside: Option<&[u8]>| {
        let beside = beside.map(|name| (DISPLAY_NAME.to_owned(), name.to_vec()));
        let body = RecordBody { public, extensions: beside.into_iter().collect(), ..body(&alice(), 1, 1) };
        PresenceRecord::sign(body, &alice()).unwrap().display_name().map(str::to_owned)
    };
    let document = body(&alice(), 1, 1).public;
    assert_eq!(named(document.clone(), None).as_deref(), Some("Alice"));
    assert_eq!(named(document, Some(b"Mallory")).as_deref(), Some("Alice"));
    assert_eq!(named(None, Some(b"Alice")).as_deref(), Some("Alice"));
    assert_eq!(named(None, None), None);
    assert_eq!(named(None, Some(&[0xff])), None, "no UTF-8");
    assert_eq!(named(None, Some(&[b'x'; DISPLAY_NAME_BYTES_MAX + 1])), None);
}

proptest! {
    #[test]
    fn any_changed_bit_is_noticed(position: prop::sample::Index, bit in 0u8..8) {
        let record = PresenceRecord::sign(body(&alice(), 1, 1), &alice()).unwrap();
        let mut bytes = record.bytes().to_vec();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        prop_assert!(PresenceRecord::verify(&bytes, &Realm::default()).is_err());
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = PresenceRecord::verify(&bytes, &Realm::default());
    }
}
