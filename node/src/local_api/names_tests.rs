use hereabouts_protocol::{
    identity::InboxAddress,
    presence::{
        information::PresenceInformation,
        record::Version,
        service::{Contact, ContactState, Evidence},
    },
    time::UnixTime,
};

use super::*;

#[test]
fn a_petname_comes_before_a_display_name() {
    let directory = directory(&[(1, "bob"), (2, "Carol")], &[("bob", 2)]);
    assert_eq!(directory.resolve("bob"), Ok(somebody(2)));
}

#[test]
fn a_stranger_with_a_display_name_in_other_letters_is_not_taken_for_the_petname() {
    let directory = directory(&[(1, "BOB")], &[("bob", 2)]);
    assert_eq!(directory.resolve("BOB"), Ok(somebody(2)));
}

#[test]
fn petnames_that_differ_in_letter_case_are_told_apart_when_spelt_exactly() {
    let directory = directory(&[], &[("bob", 1), ("Bob", 2)]);
    assert_eq!(directory.resolve("bob"), Ok(somebody(1)));
    assert_eq!(directory.resolve("Bob"), Ok(somebody(2)));
    assert_eq!(candidates(directory.resolve("BOB")).len(), 2);
}

#[test]
fn a_display_name_is_found_in_any_letter_case() {
    let directory = directory(&[(1, "Änne"), (2, "Bob")], &[]);
    assert_eq!(directory.resolve("änne"), Ok(somebody(1)));
    assert_eq!(directory.resolve(" BOB "), Ok(somebody(2)));
}

#[test]
fn a_display_name_of_two_is_refused_with_both() {
    let directory = directory(&[(1, "bob"), (2, "Bob"), (3, "Carol")], &[]);
    let candidates = candidates(directory.resolve("bob"));
    let mut ids: Vec<_> = candidates.iter().map(|candidate| candidate.id.clone()).collect();
    ids.sort();
    let mut expected = vec![somebody(1).to_string(), somebody(2).to_string()];
    expected.sort();
    assert_eq!(ids, expected);
}

#[test]
fn the_beginning_of_an_id_is_enough_with_and_without_what_all_ids_begin_with() {
    let directory = directory(&[(1, "Alice"), (9, "Bob")], &[]);
    let id = somebody(9).to_string();
    assert_eq!(directory.resolve(&id[..12]), Ok(somebody(9)));
    assert_eq!(directory.resolve(&somebody(9).short_id()), Ok(somebody(9)));
    let short = somebody(9).short_id();
    assert_eq!(directory.resolve(&short[..2]), Err(NameError::Unknown { who: short[..2].to_owned() }));
    assert!(matches!(directory.resolve(PEER_ID_PREFIX), Err(NameError::Unknown { .. })));
}

#[test]
fn somebody_with_a_petname_who_was_never_heard_is_found_by_id() {
    let directory = directory(&[], &[("Dora", 4)]);
    assert_eq!(directory.resolve(&somebody(4).short_id()), Ok(somebody(4)));
    assert_eq!(directory.person(&somebody(4)).petname.as_deref(), Some("Dora"));
}

#[test]
fn a_whole_id_means_its_owner_even_if_somebody_is_called_so() {
    let id = somebody(1).to_string();
    let directory = directory(&[(2, &id)], &[]);
    assert_eq!(directory.resolve(&id), Ok(somebody(1)));
}

#[test]
fn a_display_name_spelt_like_the_short_id_of_another_is_ambiguous() {
    let directory = directory(&[(1, "Alice"), (2, &somebody(1).short_id())], &[]);
    assert_eq!(candidates(directory.resolve(&somebody(1).short_id())).len(), 2);
}

#[test]
fn both_kinds_of_uri_name_their_presentity_in_this_realm_only() {
    let directory = directory(&[], &[]);
    assert_eq!(directory.resolve(&somebody(1).pres_uri(&Realm::default())), Ok(somebody(1)));
    let inbox = InboxAddress { node: somebody(1), realm: Realm::default() };
    assert_eq!(directory.resolve(&inbox.to_string()), Ok(somebody(1)));
    let elsewhere = somebody(1).pres_uri(&"office".parse().unwrap());
    assert!(matches!(directory.resolve(&elsewhere), Err(NameError::OtherRealm { .. })));
    assert!(matches!(directory.resolve("pres:bob@example.com"), Err(NameError::NotAUri { .. })));
}

#[test]
fn nobody_is_found_by_an_empty_word() {
    let directory = directory(&[(1, "")], &[]);
    assert!(matches!(directory.resolve("  "), Err(NameError::Unknown { .. })));
}

#[test]
fn a_petname_cannot_be_mistaken_for_an_address() {
    assert_eq!(check_petname("Bob from the 3rd floor"), Ok(()));
    assert_eq!(check_petname(""), Err(PetnameError::Blank));
    assert_eq!(check_petname(" bob"), Err(PetnameError::Blank));
    assert_eq!(check_petname("b\u{1b}[2J"), Err(PetnameError::Control));
    assert_eq!(check_petname("pres:bob"), Err(PetnameError::LooksLikeAnId));
    assert_eq!(check_petname(&somebody(1).to_string()), Err(PetnameError::LooksLikeAnId));
    assert_eq!(check_petname(&"b".repeat(65)), Err(PetnameError::TooLong { found: 65 }));
}

fn candidates(found: Result<Presentity, NameError>) -> Vec<PersonDocument> {
    match found {
        Err(NameError::Ambiguous { candidates, .. }) => candidates,
        other => panic!("{other:?} is not ambiguous"),
    }
}

fn directory(named: &[(u8, &str)], petnames: &[(&str, u8)]) -> Directory {
    let views: Vec<_> = named.iter().map(|(number, name)| view(*number, name)).collect();
    let contacts: Vec<_> = petnames
        .iter()
        .map(|(petname, number)| StoredContact {
            petname: (*petname).to_owned(),
            presentity: somebody(*number),
        })
        .collect();
    Directory::new(Realm::default(), &views, &contacts)
}

fn view(number: u8, name: &str) -> PresentityView {
    let presentity = somebody(number);
    let inbox = InboxAddress { node: presentity, realm: Realm::default() };
    let since = UnixTime::from_millis(1_000);
    PresentityView {
        presentity,
        is_self: false,
        petname: None,
        version: Version { incarnation: 1, sequence: 1 },
        information: Some(PresenceInformation::open(name, &inbox)),
        sealed: false,
        display_name: Some(name.to_owned()),
        contact: Contact { state: ContactState::Present, since, evidence: Evidence::Heard, unsteady: false },
        heard_at: since,
        accused: Vec::new(),
    }
}

/// Presentities whose ids differ in the first characters that people see.
fn somebody(number: u8) -> Presentity {
    Presentity::from_public_key_bytes([number.wrapping_mul(29); 32])
}
