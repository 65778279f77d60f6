use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::{
    identity::Realm,
    presence::user_input::InputState,
    testing::{alice, arbitrary, inbox, information},
};

fn word(text: &str) -> Token {
    text.parse().unwrap()
}

/// A document of one OPEN tuple, changed.
fn changed(change: impl FnOnce(&mut PresenceInformation)) -> Result<(), InformationError> {
    let mut document = information(&alice(), "Alice");
    change(&mut document);
    document.check()
}

fn too_much(what: &'static str, found: usize, limit: usize) -> Result<(), InformationError> {
    Err(InformationError::TooMuch { what, found, limit })
}

fn words(count: usize) -> BTreeSet<Token> {
    (0..count).map(|number| word(&format!("w{number}"))).collect()
}

#[test]
fn an_open_document_names_the_inbox_and_whether_it_takes_messages() {
    let mut document = information(&alice(), "Alice");
    assert_eq!(document.instant_inbox(), Some((inbox(&alice()), Basic::Open)));
    document.tuples[0].status.basic = Basic::Closed;
    assert_eq!(document.instant_inbox(), Some((inbox(&alice()), Basic::Closed)));
}

#[test]
fn the_inbox_is_read_from_the_first_tuple_for_instant_messages() {
    let mut document = information(&alice(), "Alice");
    let mut phone = document.tuples[0].clone();
    phone.id = word("phone");
    phone.communication_address =
        Some(CommunicationAddress { means: word("tel"), contact: "tel:+1-201-555-0123".to_owned() });
    document.tuples.insert(0, phone.clone());
    assert_eq!(document.leading_tuple().unwrap().id.as_str(), INBOX_TUPLE_ID);
    assert_eq!(document.instant_inbox(), Some((inbox(&alice()), Basic::Open)));
    document.tuples.pop();
    assert_eq!((document.leading_tuple(), document.instant_inbox()), (Some(&phone), None));
}

#[test]
fn a_contact_that_is_no_inbox_address_is_no_inbox() {
    let mut document = information(&alice(), "Alice");
    document.tuples[0].communication_address.as_mut().unwrap().contact = "im:alice@example.com".to_owned();
    assert_eq!(document.instant_inbox(), None);
}

#[test]
fn moving_the_inbox_changes_its_own_tuple_only() {
    let mut document = information(&alice(), "Alice");
    let mut other = document.tuples[0].clone();
    other.id = word("desk");
    document.tuples.push(other.clone());
    let moved = InboxAddress { realm: "attic".parse::<Realm>().unwrap(), ..inbox(&alice()) };
    document.move_inbox(&moved);
    assert_eq!(document.instant_inbox(), Some((moved, Basic::Open)));
    assert_eq!(document.tuples[1], other);
}

#[test]
fn a_document_needs_a_tuple_and_distinct_ids() {
    assert_eq!(changed(|_| ()), Ok(()));
    assert_eq!(changed(|document| document.tuples.clear()), Err(InformationError::NoTuple));
    let twice = |document: &mut PresenceInformation| document.tuples.push(document.tuples[0].clone());
    assert_eq!(changed(twice), Err(InformationError::TupleIdTwice));
}

#[test]
fn open_and_closed_are_no_further_values() {
    for basic in [Basic::Open, Basic::Closed] {
        let both = |document: &mut PresenceInformation| {
            document.tuples[0].status.further.extend([word("dnd"), word(basic.as_str())]);
        };
        assert_eq!(changed(both), Err(InformationError::BasicAmongFurther { basic }));
    }
}

#[test]
fn every_part_is_taken_at_its_limit_and_refused_above() {
    let name = |length| changed(|document| document.display_name = "x".repeat(length));
    assert_eq!((name(64), name(65)), (Ok(()), too_much("display name", 65, 64)));

    let tuples = |count: usize| {
        changed(|document| {
            let tuple = document.tuples[0].clone();
            let numbered = |number| PresenceTuple { id: word(&format!("t{number}")), ..tuple.clone() };
            document.tuples = (0..count).map(numbered).collect();
        })
    };
    assert_eq!((tuples(8), tuples(9)), (Ok(()), too_much("number of tuples", 9, 8)));

    let further = |count| changed(|document| document.tuples[0].status.further = words(count));
    assert_eq!((further(8), further(9)), (Ok(()), too_much("number of status values", 9, 8)));

    let contact = |length| {
        changed(|document| {
            document.tuples[0].communication_address.as_mut().unwrap().contact = "x".repeat(length)
        })
    };
    assert_eq!((contact(256), contact(257)), (Ok(()), too_much("contact address", 257, 256)));
}

#[test]
fn markup_is_held_to_its_limits_in_a_tuple_and_in_the_document() {
    type Change = fn(&mut OtherPresenceMarkup, usize);
    let note: Change = |markup, length| markup.note = Some(Note { text: "x".repeat(length), language: None });
    let language: Change =
        |markup, length| markup.note = Some(Note { text: String::new(), language: Some("x".repeat(length)) });
    let activities: Change = |markup, count| markup.activities = words(count);
    let extensions: Change = |markup, count| {
        markup.extensions = (0..count).map(|number| (format!("x-{number}"), Vec::new())).collect();
    };
    let extension_name: Change =
        |markup, length| drop(markup.extensions.insert("x".repeat(length), Vec::new()));
    let extension_value: Change =
        |markup, length| drop(markup.extensions.insert("x".to_owned(), vec![0; length]));
    for (what, limit, change) in [
        ("note", 256, note),
        ("language tag", 35, language),
        ("number of activities", 8, activities),
        ("number of extensions", 16, extensions),
        ("extension name", 64, extension_name),
        ("extension value", 512, extension_value),
    ] {
        let of_tuple = |size| changed(|document| change(&mut document.tuples[0].markup, size));
        let of_document = |size| changed(|document| change(&mut document.markup, size));
        assert_eq!((of_tuple(limit), of_document(limit)), (Ok(()), Ok(())), "{what}");
        let refused = too_much(what, limit + 1, limit);
        assert_eq!((of_tuple(limit + 1), of_document(limit + 1)), (refused.clone(), refused), "{what}");
    }
}

#[test]
fn user_input_travels_as_an_extension_that_older_builds_keep() {
    let input = UserInput {
        state: InputState::Idle,
        idle_threshold_seconds: NonZeroU32::new(300),
        last_input: Some(UnixTime::from_millis(7)),
    };
    let mut new = OtherPresenceMarkup { user_input: Some(input), ..Default::default() };
    new.extensions.insert("x-desk".to_owned(), vec![4]);
    let as_extension = [(user_input::NAME.to_owned(), vec![1, 1, 0xfb, 0x2c, 0x01, 1, 7])];
    let mut old = (None::<Note>, BTreeSet::<Token>::new(), None::<UnixTime>, Extensions::from(as_extension));
    old.3.insert("x-desk".to_owned(), vec![4]);
    let bytes = crate::wire::codec::encode(&new);
    assert_eq!(bytes, crate::wire::codec::encode(&old));
    assert_eq!(crate::wire::codec::decode::<OtherPresenceMarkup>(&bytes, 100), Ok(new));
}

#[test]
fn what_bears_the_name_of_user_input_and_is_none_stays_an_extension() {
    // Neither active nor idle; a threshold of nothing; a number in more bytes than it needs; bytes after it.
    for value in [&[2_u8, 0, 0][..], &[0, 1, 0, 0], &[0, 0, 1, 0xfb, 1, 0], &[0, 0, 0, 0], &[]] {
        let extensions = Extensions::from([(user_input::NAME.to_owned(), value.to_vec())]);
        let markup = OtherPresenceMarkup { extensions, ..Default::default() };
        let bytes = crate::wire::codec::encode(&markup);
        assert_eq!(crate::wire::codec::decode::<OtherPresenceMarkup>(&bytes, 100).as_ref(), Ok(&markup));
        assert_eq!(markup.check(), Ok(()));
    }
}

#[test]
fn user_input_is_said_once_and_counts_among_the_extensions() {
    let active = UserInput { state: InputState::Active, idle_threshold_seconds: None, last_input: None };
    let value = active.value();
    let named = |value: &[u8]| Extensions::from([(user_input::NAME.to_owned(), value.to_vec())]);
    let said = |user_input, extensions| OtherPresenceMarkup { user_input, extensions, ..Default::default() };
    assert_eq!(said(None, named(&value)).check(), Err(InformationError::UserInputTwice));
    assert_eq!(said(Some(active), named(&[9])).check(), Err(InformationError::UserInputTwice));
    let many = |count: u8| (0..count).map(|number| (format!("x-{number}"), Vec::new())).collect();
    assert_eq!(said(Some(active), many(15)).check(), Ok(()));
    assert_eq!(said(Some(active), many(16)).check(), too_much("number of extensions", 17, 16));
}

#[test]
fn an_extension_needs_a_printable_name() {
    for name in ["", "a\nb", "\u{7f}", "\u{85}"] {
        let extensions = Extensions::from([(name.to_owned(), Vec::new())]);
        assert_eq!(check_extensions(&extensions), Err(InformationError::ExtensionName), "{name:?}");
    }
    let uri = Extensions::from([("https://example.com/näme".to_owned(), Vec::new())]);
    assert_eq!(check_extensions(&uri), Ok(()));
}

#[test]
fn a_token_is_a_short_lower_case_word() {
    for good in ["a", "on-the-phone", "x_1", &"x".repeat(32)] {
        assert_eq!(good.parse::<Token>().map(|token| token.to_string()), Ok(good.to_owned()));
    }
    for bad in ["", "1a", "-a", "_a", "A", "a b", "ä", &"x".repeat(33)] {
        assert_eq!(bad.parse::<Token>(), Err(InformationError::NotAToken), "{bad}");
    }
}

#[test]
fn the_offered_vocabulary_is_made_of_tokens_in_order() {
    for vocabulary in [&FURTHER_STATUS_VALUES[..], &ACTIVITIES[..]] {
        assert!(vocabulary.iter().all(|text| text.parse::<Token>().is_ok()));
        assert!(vocabulary.is_sorted());
    }
}

#[test]
fn a_word_that_this_build_does_not_know_is_kept() {
    let bytes = crate::wire::codec::encode(&"yodelling");
    let token: Token = crate::wire::codec::decode(&bytes, 100).unwrap();
    assert_eq!(token.as_str(), "yodelling");
    let not_a_word = crate::wire::codec::encode(&"Yodelling");
    assert!(crate::wire::codec::decode::<Token>(&not_a_word, 100).is_err());
}

proptest! {
    #[test]
    fn whatever_is_generated_for_other_tests_is_within_the_limits(document in arbitrary::information()) {
        prop_assert_eq!(document.check(), Ok(()));
    }
}
