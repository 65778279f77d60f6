use std::time::Duration;

use hereabouts_protocol::{
    durable::{ADDRESSES_PER_PEER_MAX, KnownPeer, StoredRecord},
    message::instant_message::FailureReason,
    presence::{
        information::{Note, PresenceInformation},
        record::Version,
    },
};

use super::*;
use crate::storage::{KNOWN_PEERS_MAX, OUTBOX_FINISHED_MAX, RECEIVED_IDS_KEPT};

#[test]
fn a_new_store_holds_nothing() {
    let place = Place::new();
    let (database, restored) = place.open();
    assert_eq!(restored, Restored::default());
    assert_eq!(inbox(&database), []);
}

/// Those of what is kept of those who watch and are watched, and what must not be left of them.
fn watching_changes() -> Vec<Change> {
    vec![
        Change::PutAccessRule(access_rule(Audience::Watcher(presentity(7)), Handling::PoliteBlock)),
        Change::PutAccessRule(access_rule(Audience::Strangers, Handling::Block)),
        Change::PutAccessRule(access_rule(Audience::Strangers, Handling::Confirm)),
        Change::PutAccessRule(access_rule(Audience::Anybody, Handling::Block)),
        Change::PutAccessRule(access_rule(Audience::Contacts, Handling::Allow)),
        Change::RemoveAccessRule(Audience::Contacts),
        Change::Visibility(VisibleTo::AllBut([presentity(1)].into())),
        Change::Visibility(VisibleTo::Nobody),
        Change::Delegates(delegates(5)),
        Change::Delegates(delegates(6)),
        Change::PutKey(view_key(2, 0)),
        Change::PutKey(view_key(1, 1)),
        Change::PutKey(view_key(1, u32::MAX)),
        Change::PutKey(view_key(3, 1)),
        Change::RemoveKey(presentity(3)),
        Change::PutWatcher(watcher(3, 0)),
        Change::PutWatcher(watcher(1, 3)),
        Change::PutWatcher(watcher(1, 4)),
        Change::PutWatcher(watcher(2, 4)),
        Change::RemoveWatcher(presentity(2)),
    ]
}

#[test]
fn every_kind_of_state_reads_back_equal_after_a_restart() {
    let place = Place::new();
    let full = message_with_everything();
    let expected = Restored {
        incarnation: u64::MAX,
        information: Some(information_with_everything()),
        records: vec![record(1, 0), record(2, u64::MAX)],
        known_peers: vec![known_peer(4, 1), known_peer(3, 1)],
        inbox_messages: 1,
        outbox: every_outbox_state(),
        contacts: vec![contact("Ann", 5), contact("bob", 6)],
        delivery_rules: vec![
            delivery_rule(Whose::Contacts, 2),
            delivery_rule(Whose::Strangers, 1),
            delivery_rule(Whose::Sender(presentity(7)), 3),
        ],
        access_rules: vec![
            access_rule(Audience::Anybody, Handling::Block),
            access_rule(Audience::Strangers, Handling::Confirm),
            access_rule(Audience::Watcher(presentity(7)), Handling::PoliteBlock),
        ],
        visible_to: VisibleTo::Nobody,
        delegates: delegates(6),
        keys: vec![view_key(1, u32::MAX), view_key(2, 0)],
        watchers: vec![watcher(1, 4), watcher(3, 0)],
    };
    let (database, _) = place.open();
    let mut changes = vec![
        Change::Incarnation(1),
        Change::Incarnation(u64::MAX),
        Change::Information(PresenceInformation::open("Old", &message(0).to)),
        Change::Information(information_with_everything()),
        Change::Record(record(1, 5)),
        Change::Record(record(1, 0)),
        Change::Record(record(2, u64::MAX)),
        Change::Record(record(3, 1)),
        Change::ForgetRecord(presentity(3)),
        Change::KnownPeer(known_peer(4, 1)),
        Change::KnownPeer(known_peer(3, 1)),
        Change::KnownPeer(known_peer(4, 1)),
        Change::StoreMessage(StoredMessage { message: full.clone(), received_at: UnixTime::from_millis(8) }),
        Change::StoreMessage(received(2)),
        Change::DeleteMessage(key(2)),
        Change::PutOutbox(queued(999)),
        Change::RemoveOutbox(id(999)),
        Change::PutContact(contact("bob", 5)),
        Change::PutContact(contact("bob", 6)),
        Change::PutContact(contact("Ann", 5)),
        Change::PutContact(contact("carol", 5)),
        Change::RemoveContact("carol".to_owned()),
        Change::PutDeliveryRule(delivery_rule(Whose::Strangers, 9)),
        Change::PutDeliveryRule(delivery_rule(Whose::Strangers, 1)),
        Change::PutDeliveryRule(delivery_rule(Whose::Contacts, 2)),
        Change::PutDeliveryRule(delivery_rule(Whose::Sender(presentity(7)), 3)),
        Change::PutDeliveryRule(delivery_rule(Whose::Sender(presentity(8)), 4)),
        Change::RemoveDeliveryRule(Whose::Sender(presentity(8))),
    ];
    changes.extend(watching_changes());
    // Each entry was queued before it came to its end.
    changes.extend(expected.outbox.iter().map(|entry| {
        let earlier = OutboxEntry { attempts: 0, state: OutboxState::Queued, ..entry.clone() };
        Change::PutOutbox(earlier)
    }));
    changes.extend(expected.outbox.iter().cloned().map(Change::PutOutbox));
    let outcomes = commit(&database, changes);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done | Outcome::Stored { .. })));
    drop(database);

    let (database, restored) = place.open();
    assert_eq!(restored, expected);
    let entries = inbox(&database);
    let stored = StoredMessage { message: full, received_at: UnixTime::from_millis(8) };
    assert_eq!(entries, [InboxEntry { cursor: 1, stored, read: false }]);
}

#[test]
fn changes_of_what_is_not_there_say_so() {
    let place = Place::new();
    let (database, _) = place.open();
    let outcomes = commit(
        &database,
        vec![
            Change::ForgetRecord(presentity(1)),
            Change::MarkRead(key(1)),
            Change::DeleteMessage(key(1)),
            Change::RemoveOutbox(id(1)),
            Change::RemoveContact("bob".to_owned()),
            Change::RemoveDeliveryRule(Whose::Strangers),
        ],
    );
    assert_eq!(outcomes, [Outcome::Missing; 6]);
}

#[test]
fn a_message_is_stored_once_whatever_becomes_of_it() {
    let place = Place::new();
    let (database, _) = place.open();
    assert_eq!(store(&database, received(1)), Outcome::Stored { cursor: 1 });
    let mut again = received(1);
    again.message.body = b"changed".to_vec();
    assert_eq!(store(&database, again.clone()), Outcome::Duplicate);
    assert_eq!(inbox(&database)[0].stored, received(1));

    assert_eq!(commit(&database, vec![Change::DeleteMessage(key(1))]), [Outcome::Done]);
    assert_eq!(store(&database, again.clone()), Outcome::Duplicate);
    drop(database);
    let (database, restored) = place.open();
    assert_eq!(store(&database, again.clone()), Outcome::Duplicate);
    assert_eq!((restored.inbox_messages, inbox(&database).len()), (0, 0));

    // Ids are the sender's own: another may use the same.
    again.message.from = presentity(5);
    assert!(matches!(store(&database, again), Outcome::Stored { .. }));
}

#[test]
fn a_received_message_is_remembered_when_it_is_deleted() {
    let place = Place::new();
    let (database, _) = place.open();
    store(&database, received(1));
    commit(&database, vec![Change::DeleteMessage(key(1))]);
    assert_eq!(block_on(database.was_received(key(1))), Ok(true));
    assert_eq!(block_on(database.was_received(key(2))), Ok(false));
    let same_id_of_another = MessageKey { from: presentity(2), ..key(1) };
    assert_eq!(block_on(database.was_received(same_id_of_another)), Ok(false));
}

#[test]
fn a_cursor_is_never_used_twice() {
    let place = Place::new();
    let (database, _) = place.open();
    assert_eq!(store(&database, received(1)), Outcome::Stored { cursor: 1 });
    commit(&database, vec![Change::DeleteMessage(key(1))]);
    assert_eq!(store(&database, received(2)), Outcome::Stored { cursor: 2 });
    commit(&database, vec![Change::DeleteMessage(key(2))]);
    drop(database);
    let (database, _) = place.open();
    // Even if the memory of both has gone.
    place.outsider().execute("DELETE FROM received", []).unwrap();
    assert_eq!(store(&database, received(3)), Outcome::Stored { cursor: 3 });
}

#[test]
fn the_inbox_is_read_in_pieces_from_a_cursor() {
    let place = Place::new();
    let (database, _) = place.open();
    for number in 1..=5 {
        store(&database, received(number));
    }
    commit(
        &database,
        vec![Change::MarkRead(key(4)), Change::MarkRead(key(4)), Change::DeleteMessage(key(3))],
    );
    let cursors = |from, limit| {
        let entries = block_on(database.inbox(from, limit)).unwrap();
        entries.iter().map(|entry| (entry.cursor, entry.read)).collect::<Vec<_>>()
    };
    assert_eq!(cursors(0, 2), [(1, false), (2, false)]);
    assert_eq!(cursors(2, 2), [(4, true), (5, false)]);
    assert_eq!(cursors(5, 2), []);
    assert_eq!(cursors(u64::MAX, 2), []);
    assert_eq!(cursors(0, 0), []);
    assert_eq!(cursors(3, usize::MAX), [(4, true), (5, false)]);
}

#[test]
fn a_message_is_found_by_the_beginning_of_its_id() {
    let place = Place::new();
    let (database, _) = place.open();
    for number in [0xab01, 0xab02, 0xabcd, 0xffff] {
        store(&database, received(number));
    }
    let found = |prefix: &str| {
        let entries = block_on(database.inbox_by_id(prefix.to_owned())).unwrap();
        entries.iter().map(|entry| entry.stored.message.id).collect::<Vec<_>>()
    };
    assert_eq!(found("abc"), [id(0xabcd)]);
    assert_eq!(found("ABCD"), [id(0xabcd)]);
    assert_eq!(found(&id(0xab02).to_string()), [id(0xab02)]);
    assert_eq!(found("f"), [id(0xffff)]);
    assert_eq!(found("ab"), [id(0xab01), id(0xab02)], "two are enough to see that it is ambiguous");
    assert_eq!(found(""), [id(0xab01), id(0xab02)]);
    let too_long = "a".repeat(33);
    for nobody in ["ac", "g", "ab%", "äb", too_long.as_str()] {
        assert_eq!(found(nobody), [], "{nobody}");
    }
    commit(&database, vec![Change::DeleteMessage(key(0xffff))]);
    assert_eq!(found("f"), []);
}

#[test]
fn the_newest_addresses_of_a_peer_are_kept() {
    let place = Place::new();
    let (database, _) = place.open();
    let address = |number| Change::KnownPeer(known_peer(1, number));
    commit(&database, (1..=10).map(address).collect());
    // Reached once more, so it is the newest; the clock stood still.
    commit(&database, vec![address(3), Change::KnownPeer(known_peer(2, 1))]);
    drop(database);
    let (_, restored) = place.open();
    let numbers = |number| {
        let own = restored.known_peers.iter().filter(move |peer| peer.presentity == presentity(number));
        own.map(|peer| peer.address[0]).collect::<Vec<_>>()
    };
    assert_eq!(numbers(1), [3, 10, 9, 8, 7, 6, 5, 4]);
    assert_eq!(numbers(1).len(), ADDRESSES_PER_PEER_MAX);
    assert_eq!(numbers(2), [1]);
}

#[test]
fn the_peers_reached_longest_ago_are_forgotten() {
    let place = Place::new();
    let (database, _) = place.open();
    let peers_max = u16::try_from(KNOWN_PEERS_MAX).unwrap();
    let reach = |number| Change::KnownPeer(known_peer(number, 1));
    commit(&database, (0..peers_max).map(reach).collect());
    commit(&database, vec![Change::KnownPeer(known_peer(0, 2)), reach(peers_max), reach(peers_max + 1)]);
    drop(database);
    let (_, restored) = place.open();
    let is_known = |number| restored.known_peers.iter().any(|peer| peer.presentity == presentity(number));
    assert!(is_known(0) && is_known(3) && is_known(peers_max) && is_known(peers_max + 1));
    assert!(!is_known(1) && !is_known(2));
    assert_eq!(restored.known_peers.len(), KNOWN_PEERS_MAX + 1, "peer 0 has two addresses");
}

#[test]
fn the_outbox_keeps_the_newest_finished_entries_and_every_queued_one() {
    let place = Place::new();
    let (database, _) = place.open();
    let finished_max = u16::try_from(OUTBOX_FINISHED_MAX).unwrap();
    let all = finished_max + 3;
    commit(&database, (0..all).map(queued).map(Change::PutOutbox).collect());
    // Number 0 stays queued, number 1 ends last, and number 2, which ends first, is put twice.
    let end = |number| Change::PutOutbox(OutboxEntry { state: OutboxState::Delivered, ..queued(number) });
    commit(&database, [2, 2].into_iter().chain(3..all).chain([1]).map(end).collect());
    drop(database);
    let (_, restored) = place.open();
    let numbers = |is_kept: fn(OutboxState) -> bool| {
        let kept = restored.outbox.iter().filter(|entry| is_kept(entry.state));
        kept.map(|entry| u16::from_be_bytes(entry.message.id.as_bytes()[..2].try_into().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(|state| state == OutboxState::Queued), [0]);
    let finished = numbers(|state| state == OutboxState::Delivered);
    assert_eq!(finished.len(), OUTBOX_FINISHED_MAX);
    assert_eq!(finished[..3], [1, 4, 5], "2 and 3 ended first");
}

#[test]
fn received_messages_are_forgotten_when_no_sender_can_repeat_them() {
    let place = Place::new();
    let (database, _) = place.open();
    let at = |number, time: Duration| {
        let received_at = UnixTime::from_millis(0) + time;
        StoredMessage { message: message(number), received_at }
    };
    store(&database, at(1, Duration::ZERO));
    store(&database, at(2, Duration::ZERO));
    store(&database, at(3, Duration::from_millis(1)));
    commit(&database, vec![Change::DeleteMessage(key(1)), Change::DeleteMessage(key(3))]);
    store(&database, at(4, RECEIVED_IDS_KEPT));
    let is_remembered = |number| block_on(database.was_received(key(number))).unwrap();
    assert!(is_remembered(1), "exactly as old as is kept");
    store(&database, at(5, RECEIVED_IDS_KEPT + Duration::from_millis(1)));
    assert!(!is_remembered(1));
    assert!(is_remembered(2), "it lies in the inbox");
    assert!(is_remembered(3), "received a millisecond later");
    assert_eq!(store(&database, at(2, RECEIVED_IDS_KEPT * 2)), Outcome::Duplicate);
}

#[test]
fn the_number_of_received_messages_remembered_is_bounded() {
    let place = Place::new();
    let database = place.open_with(Limits { received_ids_max: 3, ..Limits::default() });
    for number in 1..=6 {
        store(&database, received(number));
        if number != 2 {
            commit(&database, vec![Change::DeleteMessage(key(number))]);
        }
    }
    let remembered: Vec<_> =
        (1..=6).filter(|number| block_on(database.was_received(key(*number))).unwrap()).collect();
    assert_eq!(remembered, [2, 4, 5, 6], "number 2 lies in the inbox");
}

fn message_with_everything() -> InstantMessage {
    InstantMessage {
        sent_at: UnixTime::from_millis(u64::MAX),
        thread: Some(id(77)),
        reply_to: Some(InboxAddress { node: presentity(3), realm: "floor-3".parse().unwrap() }),
        content_type: "application/octet-stream".to_owned(),
        language: Some("de-AT".to_owned()),
        body: (0..=255).cycle().take(16 * 1024).collect(),
        extensions: [("x-empty".to_owned(), vec![]), ("x-\"quoted\" ü".to_owned(), vec![0, 255, 34])].into(),
        ..message(1)
    }
}

fn information_with_everything() -> PresenceInformation {
    let mut information = PresenceInformation::open("Zoë \"Z\"", &message(0).to);
    information.markup.note = Some(Note { text: "back\nsoon".to_owned(), language: Some("en".to_owned()) });
    information.markup.until = Some(UnixTime::from_millis(u64::MAX));
    information.markup.activities.insert("meeting".parse().unwrap());
    information.tuples[0].status.further.insert("away".parse().unwrap());
    information.tuples[0].markup.extensions.insert("x-desk".to_owned(), vec![0, 255]);
    information
}

fn record(number: u16, version: u64) -> StoredRecord {
    StoredRecord {
        presentity: presentity(number),
        version: Version { incarnation: version, sequence: version },
        bytes: vec![0, 255, 1],
        heard_at: UnixTime::from_millis(6),
    }
}

fn known_peer(number: u16, address: u8) -> KnownPeer {
    KnownPeer {
        presentity: presentity(number),
        address: vec![address, 0, 255],
        connected_at: UnixTime::from_millis(7),
    }
}

fn every_outbox_state() -> Vec<OutboxEntry> {
    let ends = [OutboxState::Queued, OutboxState::Delivered, OutboxState::Expired, OutboxState::Cancelled];
    let states = ends.into_iter().chain(FailureReason::ALL.map(OutboxState::Failed));
    let entries = (100..).zip(states).map(|(number, state)| OutboxEntry {
        attempts: u32::MAX,
        state,
        ..queued(number)
    });
    let mut entries: Vec<_> = entries.collect();
    entries[0].message = InstantMessage { id: id(100), ..message_with_everything() };
    entries
}
