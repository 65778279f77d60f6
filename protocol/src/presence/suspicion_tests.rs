use proptest::prelude::*;

use super::*;
use crate::testing::{alice, bob, presentity};

#[test]
fn a_signed_suspicion_verifies_and_keeps_its_bytes() {
    let suspicion = Suspicion::sign(body(3), &alice()).unwrap();
    assert!(Suspicion::is_meant(suspicion.bytes()));
    assert_eq!(Suspicion::verify(suspicion.bytes(), &Realm::default()), Ok(suspicion));
}

#[test]
fn the_longest_suspicion_fits() {
    let mut longest = body(ACCUSATIONS_MAX);
    longest.realm = "r".repeat(63).parse().unwrap();
    longest.issued = Version { incarnation: u64::MAX, sequence: u64::MAX };
    longest.accusations.iter_mut().for_each(|accusation| accusation.version = longest.issued);
    let suspicion = Suspicion::sign(longest, &alice()).unwrap();
    assert!(suspicion.bytes().len() <= SUSPICION_BYTES_MAX);
    assert!(Suspicion::verify(suspicion.bytes(), &"r".repeat(63).parse().unwrap()).is_ok());
}

#[test]
fn a_suspicion_of_another_realm_is_refused() {
    let suspicion = Suspicion::sign(body(1), &alice()).unwrap();
    let other = "other".parse().unwrap();
    assert_eq!(Suspicion::verify(suspicion.bytes(), &other), Err(SuspicionError::ForeignRealm));
}

#[test]
fn nobody_somebody_twice_oneself_and_too_many_are_refused() {
    let mut twice = body(2);
    twice.accusations[1] = twice.accusations[0];
    let mut oneself = body(1);
    oneself.accusations[0].subject = presentity(&alice());
    for wrong in [body(0), twice, oneself, body(ACCUSATIONS_MAX + 1)] {
        assert_eq!(Suspicion::sign(wrong, &alice()), Err(SuspicionError::Accusations));
    }
}

#[test]
fn nobody_else_can_sign_it() {
    let mut bytes = Suspicion::sign(body(1), &alice()).unwrap().bytes().to_vec();
    let key = *presentity(&alice()).as_bytes();
    let at = bytes.windows(32).position(|window| window == key).unwrap();
    bytes[at..at + 32].copy_from_slice(presentity(&bob()).as_bytes());
    assert_eq!(Suspicion::verify(&bytes, &Realm::default()), Err(SuspicionError::Forged));
}

proptest! {
    #[test]
    fn any_changed_byte_is_refused(at in 0_usize..150, bit in 0_u32..8) {
        let mut bytes = Suspicion::sign(body(1), &alice()).unwrap().bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(Suspicion::verify(&bytes, &Realm::default()).is_err());
    }

    #[test]
    fn remote_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Suspicion::verify(&bytes, &Realm::default());
        let _ = Suspicion::verify(&[&[FORMAT], bytes.as_slice()].concat(), &Realm::default());
    }
}

fn body(accused: usize) -> SuspicionBody {
    let accusations = (0..accused).map(|number| Accusation {
        subject: Presentity::from_public_key_bytes([u8::try_from(number + 100).unwrap(); 32]),
        version: Version { incarnation: 1, sequence: 7 },
        grounds: Grounds::Refused,
    });
    SuspicionBody {
        format: FORMAT,
        realm: Realm::default(),
        accuser: presentity(&alice()),
        issued: Version { incarnation: 2, sequence: 1 },
        accusations: accusations.collect(),
    }
}
