//! Presence in words: how people, their state and what happens to them read on one line.
//!
//! ```text
//! open · away, meeting
//! closed
//! left at 12:03
//! out of contact since 12:03 (last seen open · away)
//! ```
//!
//! Being out of contact is no STATUS and is never worded as one: the last known STATUS stays readable
//! beside it. Whatever came from others passes through [`sanitise`] here.

use anstyle::Style;
use jiff::{Timestamp, Zoned};

use super::{
    output::{FAINT, GOOD, WARNING},
    sanitise,
    times::{age, moment, since},
};
use crate::local_api::documents::{
    BasicWord, ContactStateWord, DocumentTime, EvidenceWord, GroundsWord, InputStateWord, NoteDocument,
    PersonDocument, PresentityDocument, TupleDocument, UserInputDocument,
};

/// What somebody is called: the petname, else the name they give themselves, else their short id. A
/// petname that differs from the published name has that beside it.
pub(super) fn name(presentity: &PresentityDocument) -> String {
    called(presentity.petname.as_deref(), presentity.name.as_deref(), &presentity.short_id)
}

/// What a person is called, as [`name`] has it.
pub(super) fn person(person: &PersonDocument) -> String {
    called(person.petname.as_deref(), person.name.as_deref(), &person.short_id)
}

/// Contact and STATUS without the note, as the state is now.
pub(super) fn status(presentity: &PresentityDocument, now: &Zoned) -> String {
    state(presentity, &document_status(presentity, now), now)
}

/// Contact, STATUS and note.
pub(super) fn status_and_note(presentity: &PresentityDocument, now: &Zoned) -> String {
    let noted = match note(presentity) {
        Some(note) => format!("{} \"{note}\"", document_status(presentity, now)),
        None => document_status(presentity, now),
    };
    state(presentity, &noted, now)
}

/// A sentence that says how somebody is: `Bob is open · away "back at noon"`.
pub(super) fn sentence(presentity: &PresentityDocument, now: &Zoned) -> String {
    let verb = if presentity.contact.state == ContactStateWord::Left { "" } else { "is " };
    format!("{} {verb}{}", name(presentity), status_and_note(presentity, now))
}

/// STATUS and activities of one tuple: `open · away, xa`.
pub(super) fn tuple_status(tuple: &TupleDocument) -> String {
    let mut words = basic(tuple.status.basic).to_owned();
    if !tuple.status.further.is_empty() {
        words.push_str(" · ");
        words.push_str(&list(&tuple.status.further));
    }
    words
}

/// The note on the whole, else that of the tuple that leads.
pub(super) fn note(presentity: &PresentityDocument) -> Option<String> {
    let tuple_note = presentity.leading_tuple().and_then(|tuple| tuple.note.as_ref());
    presentity.note.as_ref().or(tuple_note).map(note_text)
}

/// The text of a note, on one line.
pub(super) fn note_text(note: &NoteDocument) -> String {
    sanitise::line(&note.text)
}

/// What is said of user input: `idle since 11:30 (idle is after 300 s)`.
pub(super) fn user_input(input: &UserInputDocument, now: &Zoned) -> String {
    let mut words = match input.state {
        InputStateWord::Active => "active".to_owned(),
        InputStateWord::Idle => "idle".to_owned(),
    };
    if let Some(last) = input.last_input {
        let last = moment(timestamp(last), now);
        match input.state {
            InputStateWord::Active => words.push_str(&format!(", last at {last}")),
            InputStateWord::Idle => words.push_str(&format!(" since {last}")),
        }
    }
    if let Some(threshold) = input.idle_threshold_seconds {
        words.push_str(&format!(" (idle is after {threshold} s)"));
    }
    words
}

/// How fresh what is known is: `now` over an open connection, else the age of what was last heard.
pub(super) fn freshness(presentity: &PresentityDocument, now: &Zoned) -> String {
    match presentity.contact.evidence {
        EvidenceWord::Own | EvidenceWord::Connected => "now".to_owned(),
        EvidenceWord::Heard
        | EvidenceWord::Told
        | EvidenceWord::Remembered
        | EvidenceWord::LinkLost
        | EvidenceWord::Accused
        | EvidenceWord::Departed
        | EvidenceWord::LeaseExpired => age(since(timestamp(presentity.heard_at), now)),
    }
}

/// What a judgement on somebody's contact rests on.
pub(super) fn evidence(evidence: EvidenceWord) -> &'static str {
    match evidence {
        EvidenceWord::Own => "this node itself",
        EvidenceWord::Connected => "a connection stands",
        EvidenceWord::Heard => "heard of it",
        EvidenceWord::Told => "another node said so",
        EvidenceWord::Remembered => "known from an earlier run",
        EvidenceWord::LinkLost => "the connection broke, and its host says that nobody listens any more",
        EvidenceWord::Accused => "nodes get no sign of life, and it does not contradict them",
        EvidenceWord::Departed => "it said goodbye",
        EvidenceWord::LeaseExpired => "nothing was heard for long",
    }
}

/// Whether somebody is in contact, in a few words.
pub(super) fn contact_state(state: ContactStateWord) -> &'static str {
    match state {
        ContactStateWord::Present => "present",
        ContactStateWord::Suspect => "suspect",
        ContactStateWord::Left => "left",
        ContactStateWord::Lost => "out of contact",
    }
}

/// In what way somebody gets no sign of life.
pub(super) fn grounds(grounds: GroundsWord) -> &'static str {
    match grounds {
        GroundsWord::Silent => "it does not answer yet",
        GroundsWord::Refused => "its host says that nobody listens any more",
        GroundsWord::Unreachable => "neither it nor its host answers",
        GroundsWord::Unresponsive => "its host takes connections, and it says nothing on them",
    }
}

/// How a state is coloured, where there is colour.
pub(super) fn style(presentity: &PresentityDocument) -> Style {
    match (presentity.contact.state, presentity.leading_tuple().map(|tuple| tuple.status.basic)) {
        (ContactStateWord::Present, Some(BasicWord::Open)) => GOOD,
        (ContactStateWord::Present, Some(BasicWord::Closed)) => WARNING,
        (ContactStateWord::Suspect, _) => WARNING,
        (ContactStateWord::Present, None) | (ContactStateWord::Left | ContactStateWord::Lost, _) => FAINT,
    }
}

/// Words of a vocabulary, with commas.
pub(super) fn list(words: &[String]) -> String {
    words.iter().map(|word| sanitise::line(word)).collect::<Vec<_>>().join(", ")
}

/// A point in time of a document.
pub(super) fn timestamp(time: DocumentTime) -> Timestamp {
    // What another node claims may lie beyond the calendar.
    i64::try_from(time.0.as_millis())
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::MAX)
}

fn called(petname: Option<&str>, name: Option<&str>, short_id: &str) -> String {
    let name = name.map(sanitise::line).filter(|name| !name.is_empty());
    match (petname.map(sanitise::line), name) {
        (Some(petname), Some(name)) if petname.to_lowercase() != name.to_lowercase() => {
            format!("{petname} (\"{name}\")")
        }
        (Some(petname), _) => petname,
        (None, Some(name)) => name,
        (None, None) => short_id.to_owned(),
    }
}

fn state(presentity: &PresentityDocument, status: &str, now: &Zoned) -> String {
    let when = moment(timestamp(presentity.contact.since), now);
    match presentity.contact.state {
        ContactStateWord::Present => status.to_owned(),
        ContactStateWord::Suspect => format!("{status}, but does not answer since {when}"),
        ContactStateWord::Left => format!("left at {when}"),
        ContactStateWord::Lost => format!("out of contact since {when} (last seen {status})"),
    }
}

fn document_status(presentity: &PresentityDocument, now: &Zoned) -> String {
    let Some(tuple) = presentity.leading_tuple() else {
        return "present, status withheld".to_owned();
    };
    let mut words = tuple_status(tuple);
    let input = presentity.user_input.or(tuple.user_input);
    if let Some(idle) = input.filter(|input| input.state == InputStateWord::Idle) {
        let shown = UserInputDocument { idle_threshold_seconds: None, ..idle };
        words.push_str(if tuple.status.further.is_empty() { " · " } else { ", " });
        words.push_str(&user_input(&shown, now));
    }
    if !presentity.activities.is_empty() {
        words.push_str(&format!(" ({})", list(&presentity.activities)));
    }
    if let Some(until) = presentity.until.or(tuple.until) {
        words.push_str(&format!(" until {}", moment(timestamp(until), now)));
    }
    words
}

const fn basic(word: BasicWord) -> &'static str {
    match word {
        BasicWord::Open => "open",
        BasicWord::Closed => "closed",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU32;

    use serde_json::json;

    use super::*;

    pub(in crate::agents) fn bob() -> PresentityDocument {
        serde_json::from_value(json!({
            "id": "12D3KooWNoRtqPmYSWAfhEvYXBLL5rX9aqZUTDfdSDrH3CUBNqnj", "short_id": "NoRtqPmY",
            "uri": "pres:12D3KooWNoRtqPmYSWAfhEvYXBLL5rX9aqZUTDfdSDrH3CUBNqnj@lan.alt",
            "self": false, "petname": null, "name": "Bob",
            "contact": {
                "state": "present", "since": "2030-03-05T11:03:00.000Z", "evidence": "connected",
                "unsteady": false,
            },
            "accused": [],
            "heard_at": "2030-03-05T11:03:04.000Z", "age_seconds": 3.0,
            "version": { "incarnation": 1, "sequence": 2 },
            "sealed": false,
            "tuples": [{
                "id": "inbox", "status": { "basic": "open", "further": ["away"] },
                "communication": { "means": "im", "contact": "im:12D3KooW@lan.alt" },
                "note": null, "activities": [], "until": null, "extensions": {},
            }],
            "note": { "text": "back at noon", "language": null }, "activities": [],
            "until": "2030-03-05T12:00:00.000Z", "extensions": {},
        }))
        .unwrap()
    }

    pub(in crate::agents) fn now() -> Zoned {
        "2030-03-05T11:03:07Z[UTC]".parse().unwrap()
    }

    #[test]
    fn somebody_present_is_told_by_status_note_and_end() {
        let bob = bob();
        assert_eq!(status(&bob, &now()), "open · away until 12:00");
        assert_eq!(sentence(&bob, &now()), "Bob is open · away until 12:00 \"back at noon\"");
        assert_eq!(freshness(&bob, &now()), "now");
    }

    #[test]
    fn who_is_idle_is_told_to_be_and_since_when_if_that_is_known() {
        let mut bob = bob();
        let idle = UserInputDocument {
            state: InputStateWord::Idle,
            idle_threshold_seconds: NonZeroU32::new(300),
            last_input: "2030-03-05T10:41:00Z".parse().ok(),
        };
        assert_eq!(user_input(&idle, &now()), "idle since 10:41 (idle is after 300 s)");
        bob.user_input = Some(idle);
        assert_eq!(status(&bob, &now()), "open · away, idle since 10:41 until 12:00");
        bob.tuples[0].status.further.clear();
        bob.user_input = Some(UserInputDocument { last_input: None, ..idle });
        assert_eq!(status(&bob, &now()), "open · idle until 12:00");
        let active = UserInputDocument { state: InputStateWord::Active, ..idle };
        assert_eq!(user_input(&active, &now()), "active, last at 10:41 (idle is after 300 s)");
        bob.user_input = Some(active);
        assert_eq!(status(&bob, &now()), "open until 12:00");
    }

    #[test]
    fn out_of_contact_keeps_the_last_status_readable_and_is_none_itself() {
        let mut bob = bob();
        bob.contact.state = ContactStateWord::Lost;
        bob.contact.evidence = EvidenceWord::LinkLost;
        bob.until = None;
        let expected = "Bob is out of contact since 11:03 (last seen open · away \"back at noon\")";
        assert_eq!(sentence(&bob, &now()), expected);
        assert_eq!(freshness(&bob, &now()), "3 s ago");
    }

    #[test]
    fn who_left_is_told_by_when() {
        let mut bob = bob();
        bob.contact.state = ContactStateWord::Left;
        assert_eq!(sentence(&bob, &now()), "Bob left at 11:03");
    }

    #[test]
    fn a_withheld_document_says_nothing_and_is_not_closed() {
        let mut bob = bob();
        bob.name = None;
        bob.tuples.clear();
        bob.note = None;
        bob.until = None;
        assert_eq!(sentence(&bob, &now()), "NoRtqPmY is present, status withheld");
    }

    #[test]
    fn a_petname_comes_first_and_the_claimed_name_is_quoted() {
        let mut bob = bob();
        bob.petname = Some("bobby".to_owned());
        assert_eq!(name(&bob), "bobby (\"Bob\")");
        bob.petname = Some("bob".to_owned());
        assert_eq!(name(&bob), "bob");
    }

    #[test]
    fn nothing_hidden_comes_through_from_any_field() {
        let evil = "x\u{1b}[2J\n\u{202e}\u{200b}";
        let mut bob = bob();
        bob.name = Some(evil.to_owned());
        bob.note = Some(NoteDocument { text: evil.to_owned(), language: None });
        bob.activities = vec![evil.to_owned()];
        if let Some(tuple) = bob.tuples.first_mut() {
            tuple.status.further = vec![evil.to_owned()];
        }
        assert_eq!(sentence(&bob, &now()), "x[2J is open · x[2J (x[2J) until 12:00 \"x[2J\"");
    }
}
