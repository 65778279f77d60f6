use std::num::NonZeroU32;

use super::*;
use crate::{
    presence::{information::InformationError, user_input::InputState},
    testing::{alice, inbox},
};

fn at(millis: u64) -> UnixTime {
    UnixTime::from_millis(millis)
}

fn word(text: &str) -> Token {
    text.parse().unwrap()
}

fn words<const N: usize>(texts: [&str; N]) -> BTreeSet<Token> {
    texts.map(word).into()
}

fn note(text: &str) -> Note {
    Note { text: text.to_owned(), language: None }
}

fn input(state: InputState) -> UserInput {
    UserInput { state, idle_threshold_seconds: NonZeroU32::new(300), last_input: None }
}

/// Alice, away at lunch until noon, whose document has an extension.
fn before() -> PresenceInformation {
    let mut information = PresenceInformation::open("Alice", &inbox(&alice()));
    information.tuples[0].status.further = words(["away"]);
    information.markup = OtherPresenceMarkup {
        note: Some(note("lunch")),
        activities: words(["meal"]),
        until: Some(at(90_000)),
        user_input: Some(input(InputState::Idle)),
        extensions: [("x-desk".to_owned(), vec![42])].into(),
    };
    information
}

fn applied(change: PresenceChange) -> Result<PresenceInformation, PresenceChangeError> {
    change.apply(&before(), &inbox(&alice()), at(60_000))
}

fn phone() -> PresenceChange {
    PresenceChange { tuple: Some(word("phone")), basic: Some(Basic::Open), ..PresenceChange::default() }
}

#[test]
fn a_status_of_the_inbox_replaces_what_was_said_of_the_principal_and_keeps_the_rest() {
    let closed = PresenceChange { basic: Some(Basic::Closed), ..PresenceChange::default() };
    let after = applied(closed).unwrap();
    assert_eq!(after.tuples[0].status, Status { basic: Basic::Closed, further: BTreeSet::new() });
    assert_eq!(after.tuples[0].communication_address, before().tuples[0].communication_address);
    let OtherPresenceMarkup { user_input, extensions, .. } = before().markup;
    let markup = OtherPresenceMarkup { user_input, extensions, ..Default::default() };
    assert_eq!((after.markup, after.display_name.as_str()), (markup, "Alice"));
}

#[test]
fn user_input_changes_only_by_what_is_said_of_it() {
    let said = |user_input| applied(PresenceChange { user_input, ..PresenceChange::default() });
    let active = input(InputState::Active);
    let expected = OtherPresenceMarkup { user_input: Some(active), ..before().markup };
    assert_eq!(said(Some(UserInputChange::Say(active))).unwrap().markup, expected);
    assert_eq!(said(Some(UserInputChange::TakeBack)).unwrap().markup.user_input, None);
    assert_eq!(said(None), Err(PresenceChangeError::Nothing));
    let open = PresenceChange { basic: Some(Basic::Open), ..PresenceChange::default() };
    assert_eq!(applied(open).unwrap().markup.user_input, Some(input(InputState::Idle)));
}

#[test]
fn a_whole_statement_sets_everything_it_names() {
    let whole = PresenceChange {
        basic: Some(Basic::Open),
        further: Some(words(["dnd", "x-hacking"])),
        activities: Some(words(["meeting"])),
        note: Some(note("in room 3")),
        until: Some(at(600_000)),
        ..PresenceChange::default()
    };
    let after = applied(whole).unwrap();
    assert_eq!(after.tuples[0].status.further, words(["dnd", "x-hacking"]));
    assert_eq!((after.markup.note.clone(), after.markup.until), (Some(note("in room 3")), Some(at(600_000))));
    assert_eq!(after.markup.activities, words(["meeting"]));
    assert_eq!(after.check(), Ok(()));
}

#[test]
fn another_tuple_is_made_and_changed_without_touching_what_the_principal_said() {
    let address = CommunicationAddress { means: word("tel"), contact: "tel:+15550100".to_owned() };
    let made = applied(PresenceChange { address: Some(address.clone()), ..phone() }).unwrap();
    assert_eq!((made.tuples.len(), &made.markup), (2, &before().markup));
    assert_eq!(made.check(), Ok(()));
    let closed = PresenceChange { basic: Some(Basic::Closed), ..phone() };
    let after = closed.apply(&made, &inbox(&alice()), at(60_000)).unwrap();
    assert_eq!(
        (after.tuples[1].status.basic, &after.tuples[1].communication_address),
        (Basic::Closed, &Some(address))
    );
    assert_eq!((&after.tuples[0], after.markup), (&before().tuples[0], before().markup));
}

#[test]
fn without_a_status_only_what_is_given_changes() {
    let rename = PresenceChange { display_name: Some("Al".to_owned()), ..PresenceChange::default() };
    assert_eq!(applied(rename), Ok(PresenceInformation { display_name: "Al".to_owned(), ..before() }));
    let hush = PresenceChange { note: Some(note("")), ..PresenceChange::default() };
    let hushed = applied(hush).unwrap();
    assert_eq!((hushed.markup.note, hushed.markup.activities), (None, before().markup.activities));
    let busy = PresenceChange { further: Some(words(["busy"])), ..PresenceChange::default() };
    let busy = applied(busy).unwrap();
    assert_eq!(busy.tuples[0].status, Status { basic: Basic::Open, further: words(["busy"]) });
    assert_eq!(busy.markup, before().markup);
}

#[test]
fn a_tuple_is_removed_but_the_last_one_makes_no_document() {
    let inbox = inbox(&alice());
    let swap = PresenceChange { remove_tuple: Some(Token::inbox()), ..phone() };
    let phone_only = applied(swap).unwrap();
    assert_eq!(phone_only.tuples.len(), 1);
    let remove = PresenceChange { remove_tuple: Some(word("phone")), ..PresenceChange::default() };
    let nothing = remove.apply(&phone_only, &inbox, at(0)).unwrap();
    assert_eq!(nothing.check(), Err(InformationError::NoTuple));
    let open = PresenceChange { basic: Some(Basic::Open), ..PresenceChange::default() };
    let again = open.apply(&phone_only, &inbox, at(0)).unwrap();
    assert_eq!(again.instant_inbox(), Some((inbox, Basic::Open)));
}

#[test]
fn changes_that_contradict_themselves_or_say_too_little_are_refused() {
    assert_eq!(applied(PresenceChange::default()), Err(PresenceChangeError::Nothing));
    let over = PresenceChange { until: Some(at(60_000)), ..PresenceChange::default() };
    assert_eq!(applied(over), Err(PresenceChangeError::UntilIsOver));
    let id = word("phone");
    let stateless = PresenceChange { basic: None, ..phone() };
    assert_eq!(applied(stateless), Err(PresenceChangeError::NewTupleNeedsStatus { id: id.clone() }));
    let both = PresenceChange { remove_tuple: Some(id.clone()), ..phone() };
    assert_eq!(applied(both), Err(PresenceChangeError::SetAndRemoved { id: id.clone() }));
    let gone = PresenceChange { remove_tuple: Some(id.clone()), ..PresenceChange::default() };
    assert_eq!(applied(gone), Err(PresenceChangeError::NoSuchTuple { id, ids: "inbox".to_owned() }));
}
