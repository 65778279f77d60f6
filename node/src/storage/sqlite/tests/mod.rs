//! What every group of tests needs: a store in a directory of its own, and values to put into it.

mod changes;
mod commits;
mod files;

use std::path::PathBuf;

use futures::executor::block_on;
use hereabouts_protocol::{
    durable::{
        Change, Durability, MessageKey, OutboxEntry, OutboxState, Outcome, Restored, StoredAccessRule,
        StoredContact, StoredDeliveryRule, StoredKey, StoredMessage, StoredWatcher,
    },
    identity::{InboxAddress, Presentity, Realm},
    message::{
        delivery_rules::{DeliveryAction, DeliveryRule, Whose},
        instant_message::{InstantMessage, MessageId},
    },
    presence::{
        access_rules::{AccessRule, Audience, Handling, Transformations},
        delegates::Delegates,
        sealing::ViewKey,
        user_input::UserInputGrant,
    },
    time::UnixTime,
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionState},
        watcher_information::{VisibleTo, Watcher},
    },
};
use tempfile::TempDir;

use super::*;

/// A directory with room for one store.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("node.db")
    }

    fn open(&self) -> (Database, Restored) {
        Database::open(&self.path()).unwrap()
    }

    fn open_with(&self, limits: Limits) -> Database {
        Database::open_with(&self.path(), limits).unwrap().0
    }

    /// A connection beside the store's own, as a person's `sqlite3` is.
    fn outsider(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

fn try_commit(database: &Database, changes: Vec<Change>) -> Result<Vec<Outcome>, StorageError> {
    block_on(database.commit(changes, Durability::Durable))
}

fn commit(database: &Database, changes: Vec<Change>) -> Vec<Outcome> {
    try_commit(database, changes).unwrap()
}

fn store(database: &Database, stored: StoredMessage) -> Outcome {
    commit(database, vec![Change::StoreMessage(stored)])[0]
}

fn inbox(database: &Database) -> Vec<InboxEntry> {
    block_on(database.inbox(0, usize::MAX)).unwrap()
}

fn presentity(number: u16) -> Presentity {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

fn id(number: u16) -> MessageId {
    let mut bytes = [9; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    MessageId::from_bytes(bytes)
}

/// A message from presentity 1 with the least that a message has.
fn message(number: u16) -> InstantMessage {
    InstantMessage {
        id: id(number),
        from: presentity(1),
        to: InboxAddress { node: presentity(2), realm: Realm::default() },
        sent_at: UnixTime::from_millis(3),
        thread: None,
        reply_to: None,
        content_type: "text/plain".to_owned(),
        language: None,
        body: b"hello".to_vec(),
        extensions: [].into(),
    }
}

/// [`message`], received at the start of time.
fn received(number: u16) -> StoredMessage {
    StoredMessage { message: message(number), received_at: UnixTime::from_millis(0) }
}

fn key(number: u16) -> MessageKey {
    MessageKey { from: presentity(1), id: id(number) }
}

fn queued(number: u16) -> OutboxEntry {
    OutboxEntry {
        message: message(number),
        queued_at: UnixTime::from_millis(4),
        expires_at: UnixTime::from_millis(5),
        attempts: 0,
        state: OutboxState::Queued,
    }
}

fn contact(petname: &str, number: u16) -> StoredContact {
    StoredContact { petname: petname.to_owned(), presentity: presentity(number) }
}

/// A rule that says something of everything that a rule says, and so much a minute.
fn access_rule(audience: Audience, handling: Handling) -> StoredAccessRule {
    let grants = Transformations {
        tuples: Some(["inbox".parse().unwrap()].into()),
        notes: false,
        user_input: UserInputGrant::Bare,
        ..Transformations::default()
    };
    StoredAccessRule { audience, rule: AccessRule { handling, grants, watchers: true, visible_only: true } }
}

fn view_key(number: u16, step: u32) -> StoredKey {
    let key = ViewKey::restored([number.to_be_bytes()[1]; 8], step, [0xfe; 32]);
    StoredKey { presentity: presentity(number), key, ends_at: UnixTime::from_millis(u64::MAX) }
}

fn watcher(number: u16, fetches: u32) -> StoredWatcher {
    let at = UnixTime::from_millis(number.into());
    let watcher = Watcher {
        first_at: at,
        last_at: at,
        fetches,
        subscribes: 2,
        refused: 3,
        state: SubscriptionState::Waiting,
        event: Some(SubscriptionEvent::Timeout),
        state_since: at,
        fetched_at: [at, at].into(),
        visible_to: VisibleTo::AllBut([presentity(9)].into()),
    };
    StoredWatcher { presentity: presentity(number), watcher }
}

fn delegates(number: u16) -> Delegates {
    let mut delegates = Delegates::default();
    delegates.put(presentity(number), ["phone".parse().unwrap()].into()).unwrap();
    delegates
}

fn delivery_rule(whose: Whose, per_minute: u32) -> StoredDeliveryRule {
    let rule = DeliveryRule {
        action: DeliveryAction::Ignore,
        per_minute: Some(per_minute),
        together_per_minute: Some(5),
        body_bytes_max: 6,
        content_types: vec!["text/".to_owned()],
    };
    StoredDeliveryRule { whose, rule }
}
