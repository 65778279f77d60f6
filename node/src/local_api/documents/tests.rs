use std::{collections::BTreeSet, num::NonZeroU32};

use hereabouts_protocol::{
    durable::{OutboxEntry, OutboxState, StoredContact, StoredMessage},
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::{Delivery, FailureReason, InstantMessage, MessageId},
    presence::{
        change::{PresenceChange, UserInputChange},
        information::{Basic, CommunicationAddress, Extensions, Note, PresenceInformation},
        record::Version,
        service::{AccusedBy, Contact, ContactState, Evidence, PresentityView},
        suspicion::Grounds,
        user_input::{InputState, UserInput},
    },
    time::UnixTime,
    watcher::subscription::{SubscriptionEvent, SubscriptionState},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    local_api::names::Directory,
    mesh::{
        events::{Event, EventCursor, LoggedEvent},
        handle::Sent,
    },
    storage::InboxEntry,
};

#[test]
fn a_presentity_is_written_as_promised() {
    let document = PresentityDocument::new(&view(2, "Bob"), &Realm::default(), at(12_345));
    let id = somebody(2).to_string();
    let accuser = somebody(7).to_string();
    let expected = json!({
        "id": id,
        "short_id": somebody(2).short_id(),
        "uri": format!("pres:{id}@lan.alt"),
        "self": false,
        "petname": null,
        "name": "Bob",
        "contact": {
            "state": "lost", "since": "1970-01-01T00:00:01.000Z", "evidence": "link-lost",
            "unsteady": false,
        },
        "accused": [{"by": accuser, "grounds": "refused", "since": "1970-01-01T00:00:01.000Z"}],
        "heard_at": "1970-01-01T00:00:02.000Z",
        "age_seconds": 10.345,
        "version": {"incarnation": 3, "sequence": 2},
        "sealed": true,
        "tuples": [{
            "id": "inbox",
            "status": {"basic": "open", "further": ["away"]},
            "communication": {"means": "im", "contact": format!("im:{id}@lan.alt")},
            "note": null,
            "activities": [],
            "until": null,
            "user_input": null,
            "extensions": {"x-desk": "AAE="},
        }],
        "note": {"text": "at lunch", "language": null},
        "activities": ["lunch"],
        "until": "1970-01-01T01:00:00.000Z",
        "user_input": {
            "state": "idle", "idle_threshold_seconds": null, "last_input": "1970-01-01T00:00:01.000Z",
        },
        "extensions": {},
    });
    assert_eq!(serde_json::to_value(&document).unwrap(), expected);
    assert_eq!(serde_json::from_value::<PresentityDocument>(expected).unwrap(), document);
}

#[test]
fn a_withheld_document_has_no_tuples_and_a_name_only_if_that_is_for_anybody() {
    let withheld = PresentityView { information: None, ..view(2, "Bob") };
    let document = PresentityDocument::new(&withheld, &Realm::default(), at(0));
    assert_eq!((document.name.as_deref(), document.tuples.len()), (Some("Bob"), 0));
    let nameless = PresentityView { display_name: None, ..withheld };
    let document = PresentityDocument::new(&nameless, &Realm::default(), at(0));
    assert_eq!((document.name, document.tuples.len()), (None, 0));
}

#[test]
fn others_come_first_by_their_names_and_the_own_presentity_last() {
    let nameless = PresentityView { information: None, display_name: None, ..view(4, "") };
    let own = PresentityView { is_self: true, ..view(1, "Aaron") };
    let petname = PresentityView { petname: Some("Zoe".to_owned()), ..view(5, "Adam") };
    let views = [own, petname, nameless, view(2, "carol"), view(3, "Bob")];
    let document = PresentitiesDocument::new(&views, &Realm::default(), at(0));
    let shown: Vec<_> = document.presentities.iter().map(PresentityDocument::shown_name).collect();
    assert_eq!(shown, [Some("Bob"), Some("carol"), Some("Zoe"), None, Some("Aaron")]);
}

#[test]
fn a_message_shows_text_as_text_and_anything_else_as_base64() {
    let directory = directory();
    let text = MessageDocument::new(&inbox_entry("text/plain; charset=utf-8", "hä?".as_bytes()), &directory);
    assert_eq!((text.text.as_deref(), text.body_base64.as_deref()), (Some("hä?"), None));
    assert_eq!(text.from.petname.as_deref(), Some("Bobby"));
    assert_eq!(text.from.name.as_deref(), Some("Bob"));
    let json = serde_json::to_value(&text).unwrap();
    assert!(json.get("body_base64").is_none());
    assert_eq!(json["thread"], Value::Null);
    assert_eq!(json["sent_at"], "1970-01-01T00:00:05.250Z");

    let bytes = MessageDocument::new(&inbox_entry("image/png", &[0, 255]), &directory);
    assert_eq!((bytes.text, bytes.body_base64.as_deref()), (None, Some("AP8=")));
    let torn = MessageDocument::new(&inbox_entry("text/plain", &[0xff]), &directory);
    assert_eq!((torn.text, torn.body_base64.as_deref()), (None, Some("/w==")));
}

#[test]
fn outcomes_have_a_reason_if_they_failed_and_null_otherwise() {
    let id = MessageId::from_bytes([0xab; 16]);
    let document = |sent| serde_json::to_value(SentDocument::new(id, sent)).unwrap();
    let id = "ab".repeat(16);
    assert_eq!(document(Sent::Queued), json!({"id": id, "outcome": "queued", "reason": null}));
    let closed = Sent::Final(Delivery::Failed(FailureReason::Closed));
    assert_eq!(document(closed), json!({"id": id, "outcome": "failed", "reason": "closed"}));
    let unknown = Sent::Final(Delivery::Indeterminate);
    assert_eq!(document(unknown), json!({"id": id, "outcome": "indeterminate", "reason": null}));
}

#[test]
fn the_schema_lists_every_reason_as_the_protocol_writes_it() {
    for reason in FailureReason::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
    let schema = serde_json::to_value(messages::failure_reason_schema()).unwrap();
    assert_eq!(schema["enum"].as_array().unwrap().len(), FailureReason::ALL.len() + 1);
}

#[test]
fn an_outbox_entry_says_whom_it_is_for_and_where_it_stands() {
    let entry = OutboxEntry {
        message: message("text/plain", b"hi"),
        queued_at: at(1),
        expires_at: at(2),
        attempts: 3,
        state: OutboxState::Failed(FailureReason::Denied),
    };
    let document = OutboxEntryDocument::new(&entry, &directory());
    assert_eq!(document.to.name.as_deref(), Some("Alice"));
    assert_eq!((document.state, document.reason), (OutboxStateWord::Failed, Some(FailureReason::Denied)));
    let json = serde_json::to_value(&document).unwrap();
    assert_eq!(json["state"], document.state.as_str());
    assert_eq!((&json["attempts"], &json["text"]), (&json!(3), &json!("hi")));
}

#[test]
fn every_kind_of_event_survives_the_journey_under_its_own_name() {
    let inbox = InboxAddress { node: somebody(1), realm: Realm::default() };
    let events = [
        Event::Appeared(view(2, "Bob")),
        Event::Changed(view(2, "Bob")),
        Event::Left(view(2, "Bob")),
        Event::Lost(view(2, "Bob")),
        Event::Returned(view(2, "Bob")),
        Event::Message(inbox_entry("text/plain", b"hi")),
        Event::Delivery { id: MessageId::from_bytes([7; 16]), to: inbox, state: OutboxState::Expired },
        Event::Subscriber {
            presentity: somebody(2),
            state: SubscriptionState::Active,
            event: SubscriptionEvent::Subscribe,
        },
        Event::Listening("/ip4/127.0.0.1/tcp/1".parse().unwrap()),
        Event::Trouble("the disk is full".to_owned()),
        Event::Gap,
    ];
    let mut words = BTreeSet::new();
    for (number, event) in (1..).zip(events) {
        let cursor = EventCursor { incarnation: 3, number };
        let document =
            EventDocument::new(&LoggedEvent { cursor, at: at(500), event }, &directory(), at(3_000));
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["event"], document.body.word());
        assert_eq!(json["cursor"], format!("3-{number}"));
        assert_eq!(json["at"], "1970-01-01T00:00:00.500Z");
        words.insert(document.body.word());
        assert_eq!(serde_json::from_value::<EventDocument>(json).unwrap(), document);
    }
    assert_eq!(words.len(), 11);
}

#[test]
fn requests_with_a_field_unknown_are_refused_by_its_name() {
    let error = serde_json::from_value::<SetPresence>(json!({"basic": "open", "nte": "x"})).unwrap_err();
    assert!(error.to_string().contains("unknown field `nte`"), "{error}");
    assert!(serde_json::from_value::<SendMessage>(json!({"to": "bob", "txt": "x"})).is_err());
    assert!(serde_json::from_value::<PutContact>(json!({"who": "bob", "petname": "x"})).is_err());
    assert!(serde_json::from_value::<SetPresence>(json!({"basic": "ajar"})).is_err());
    assert!(serde_json::from_value::<SetPresence>(json!({"note": {"text": "a", "lang": "en"}})).is_err());
}

#[test]
fn requests_leave_out_what_is_not_said() {
    let send = SendMessage { to: "bob".to_owned(), text: Some("hi".to_owned()), ..SendMessage::default() };
    assert_eq!(serde_json::to_value(&send).unwrap(), json!({"to": "bob", "text": "hi", "queue": false}));
    assert_eq!(serde_json::to_value(SetPresence::default()).unwrap(), json!({}));
}

#[test]
fn times_are_read_with_any_offset_and_written_in_utc_with_milliseconds() {
    let time: DocumentTime = "2026-03-01T10:30:00.25+01:00".parse().unwrap();
    assert_eq!(time.to_string(), "2026-03-01T09:30:00.250Z");
    assert!("10:30".parse::<DocumentTime>().is_err());
    assert_eq!(DocumentTime(UnixTime::from_millis(u64::MAX)).to_string(), "9999-12-30T22:00:00.999Z");
    assert_eq!("1969-01-01T00:00:00Z".parse::<DocumentTime>().unwrap().0, at(0));
}

#[test]
fn a_change_says_what_its_document_does() {
    let change: SetPresence = serde_json::from_value(json!({
        "tuple": "phone", "basic": "closed", "further": ["dnd", "x-hacking"], "activities": ["meeting"],
        "note": {"text": "in room 3", "language": "en"}, "until": "1970-01-01T00:10:00Z", "means": "tel",
        "contact": "tel:1", "remove_tuple": "desk", "display_name": "Al",
        "user_input": {"state": "idle", "idle_threshold_seconds": 300, "last_input": "1970-01-01T00:00:01Z"},
    }))
    .unwrap();
    let word = |text: &str| text.parse().unwrap();
    let expected = PresenceChange {
        tuple: Some(word("phone")),
        basic: Some(Basic::Closed),
        further: Some(["dnd", "x-hacking"].map(word).into()),
        address: Some(CommunicationAddress { means: word("tel"), contact: "tel:1".to_owned() }),
        note: Some(Note { text: "in room 3".to_owned(), language: Some("en".to_owned()) }),
        activities: Some([word("meeting")].into()),
        until: Some(at(600_000)),
        remove_tuple: Some(word("desk")),
        display_name: Some("Al".to_owned()),
        user_input: Some(UserInputChange::Say(UserInput {
            state: InputState::Idle,
            idle_threshold_seconds: NonZeroU32::new(300),
            last_input: Some(at(1000)),
        })),
    };
    assert_eq!(change.change().unwrap(), expected);
    let nothing = |value: Value| serde_json::from_value::<SetPresence>(json!({ "user_input": value }));
    let taken_back = PresenceChange { user_input: Some(UserInputChange::TakeBack), ..Default::default() };
    assert_eq!(nothing(json!("none")).unwrap().change(), Ok(taken_back));
    let error = nothing(json!({"state": "away"})).unwrap_err().to_string();
    assert!(error.contains("active or idle"), "{error}");
    assert_eq!(SetPresence::default().change(), Ok(PresenceChange::default()));
}

#[test]
fn what_is_no_word_and_no_address_is_refused() {
    let refusal =
        |change: Value| serde_json::from_value::<SetPresence>(change).unwrap().change().unwrap_err();
    assert_eq!(refusal(json!({"means": "tel"})), SetPresenceError::HalfAnAddress);
    let shouted = refusal(json!({"basic": "open", "further": ["Away!"]}));
    assert!(shouted.to_string().starts_with("\"Away!\" cannot stand in `further`"), "{shouted}");
    let to = |contact: &str| json!({"tuple": "work", "basic": "open", "means": "im", "contact": contact});
    let nobody = refusal(to("im:bob@lan.alt"));
    assert!(matches!(nobody, SetPresenceError::NoInbox { .. }), "{nobody}");
    for contact in [own_inbox().to_string(), "im:bob@example.com".to_owned()] {
        let change: SetPresence = serde_json::from_value(to(&contact)).unwrap();
        assert!(change.change().is_ok(), "{contact}");
    }
}

fn information() -> PresenceInformation {
    let mut information = PresenceInformation::open("Alice", &own_inbox());
    information.markup.note = Some(Note { text: "at lunch".to_owned(), language: None });
    information.markup.activities = BTreeSet::from(["lunch".parse().unwrap()]);
    information.markup.until = Some(at(3_600_000));
    information.markup.extensions = Extensions::from([("x-mood".to_owned(), b"fine".to_vec())]);
    let inbox = information.tuples.first_mut().unwrap();
    inbox.status.further = BTreeSet::from(["away".parse().unwrap()]);
    information
}

fn view(number: u8, name: &str) -> PresentityView {
    let inbox = InboxAddress { node: somebody(number), realm: Realm::default() };
    let mut information = PresenceInformation::open(name, &inbox);
    information.markup = self::information().markup;
    information.markup.extensions.clear();
    information.markup.user_input = Some(UserInput {
        state: InputState::Idle,
        idle_threshold_seconds: None,
        last_input: Some(at(1_000)),
    });
    let tuple = information.tuples.first_mut().unwrap();
    tuple.status.further = BTreeSet::from(["away".parse().unwrap()]);
    tuple.markup.extensions = Extensions::from([("x-desk".to_owned(), vec![0, 1])]);
    PresentityView {
        presentity: somebody(number),
        is_self: false,
        petname: None,
        version: Version { incarnation: 3, sequence: 2 },
        information: Some(information),
        sealed: true,
        display_name: Some(name.to_owned()),
        contact: Contact {
            state: ContactState::Lost,
            since: at(1_000),
            evidence: Evidence::LinkLost,
            unsteady: false,
        },
        heard_at: at(2_000),
        accused: vec![AccusedBy { accuser: somebody(7), grounds: Grounds::Refused, since: at(1_000) }],
    }
}

fn directory() -> Directory {
    let contacts = [StoredContact { petname: "Bobby".to_owned(), presentity: somebody(2) }];
    Directory::new(Realm::default(), &[view(1, "Alice"), view(2, "Bob")], &contacts)
}

fn inbox_entry(content_type: &str, body: &[u8]) -> InboxEntry {
    let stored = StoredMessage { message: message(content_type, body), received_at: at(6_000) };
    InboxEntry { cursor: 9, stored, read: false }
}

fn message(content_type: &str, body: &[u8]) -> InstantMessage {
    InstantMessage {
        id: MessageId::from_bytes([7; 16]),
        from: somebody(2),
        to: own_inbox(),
        sent_at: at(5_250),
        thread: None,
        reply_to: None,
        content_type: content_type.to_owned(),
        language: None,
        body: body.to_vec(),
        extensions: Extensions::new(),
    }
}

fn own_inbox() -> InboxAddress {
    InboxAddress { node: somebody(1), realm: Realm::default() }
}

fn somebody(number: u8) -> Presentity {
    Presentity::from_public_key_bytes([number; 32])
}

fn at(millis: u64) -> UnixTime {
    UnixTime::from_millis(millis)
}
