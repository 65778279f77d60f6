//! The inbox of a simulated disk, and its memory of what was ever received.

use std::{collections::BTreeMap, sync::Arc};

use hereabouts::storage::{InboxEntry, RECEIVED_IDS_KEPT, RECEIVED_IDS_MAX};
use hereabouts_protocol::{
    durable::{MessageKey, Outcome, StoredMessage},
    identity::Presentity,
    message::instant_message::MessageId,
    time::UnixTime,
};

use super::state::Undo;

/// Messages by cursor, and the names of those that were ever stored.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    messages: BTreeMap<u64, Held>,
    received: BTreeMap<u64, Received>,
    /// The cursor of everything received.
    cursors: BTreeMap<Name, u64>,
    cursor_last: u64,
    /// Received messages up to this cursor were looked at, and forgotten unless they lay in the inbox. A node
    /// that starts looks anew.
    forgotten_to: u64,
}

/// How to undo one change of the inbox.
#[derive(Debug)]
pub(super) enum InboxUndo {
    /// The newest one was stored, which followed this cursor.
    Stored {
        cursor_before: u64,
    },
    /// The newest one was there already, but the cursor after this one is used up.
    Duplicate {
        cursor_before: u64,
    },
    /// It was marked as read.
    Read {
        cursor: u64,
    },
    Deleted {
        cursor: u64,
        held: Held,
    },
    Forgotten {
        cursor: u64,
        received: Received,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Held {
    stored: Arc<StoredMessage>,
    is_read: bool,
}

#[derive(Debug)]
pub(super) struct Received {
    name: Name,
    at: UnixTime,
}

/// A [`MessageKey`] in the order of ids.
type Name = (MessageId, Presentity);

impl Inbox {
    /// A duplicate uses up a cursor too, as in the real store.
    pub(super) fn store(&mut self, stored: StoredMessage) -> (Outcome, InboxUndo) {
        let name = (stored.message.id, stored.message.from);
        let cursor_before = self.cursor_last;
        let cursor = cursor_before + 1;
        self.cursor_last = cursor;
        if self.cursors.contains_key(&name) {
            return (Outcome::Duplicate, InboxUndo::Duplicate { cursor_before });
        }
        self.cursors.insert(name, cursor);
        self.received.insert(cursor, Received { name, at: stored.received_at });
        self.messages.insert(cursor, Held { stored: Arc::new(stored), is_read: false });
        (Outcome::Stored { cursor }, InboxUndo::Stored { cursor_before })
    }

    /// None if it is not there; otherwise how to undo it, if anything changed.
    pub(super) fn mark_read(&mut self, key: &MessageKey) -> Option<Option<InboxUndo>> {
        let cursor = self.cursor(key)?;
        let held = self.messages.get_mut(&cursor)?;
        let was_read = std::mem::replace(&mut held.is_read, true);
        Some((!was_read).then_some(InboxUndo::Read { cursor }))
    }

    /// None if it is not there.
    pub(super) fn delete(&mut self, key: &MessageKey) -> Option<InboxUndo> {
        let cursor = self.cursor(key)?;
        let held = self.messages.remove(&cursor)?;
        Some(InboxUndo::Deleted { cursor, held })
    }

    /// Forgets received messages that are too old at `now` or too many, and no longer lie in the inbox.
    pub(super) fn forget(&mut self, now: UnixTime) -> Vec<InboxUndo> {
        let newest = self.received.last_key_value().map_or(0, |(cursor, _)| *cursor);
        let (over_limit, too_old) = (newest.saturating_sub(RECEIVED_IDS_MAX), now - RECEIVED_IDS_KEPT);
        let oldest = self.received.range(self.forgotten_to + 1..).take(FORGOTTEN_MAX);
        // Stops at the first that is kept.
        let passed: Vec<u64> = oldest
            .take_while(|(cursor, received)| **cursor <= over_limit || received.at < too_old)
            .map(|(cursor, _)| *cursor)
            .collect();
        self.forgotten_to = passed.last().copied().unwrap_or(self.forgotten_to);
        let mut undo = Vec::new();
        for cursor in passed {
            if !self.messages.contains_key(&cursor)
                && let Some(received) = self.received.remove(&cursor)
            {
                self.cursors.remove(&received.name);
                undo.push(InboxUndo::Forgotten { cursor, received });
            }
        }
        undo
    }

    pub(super) fn undo(&mut self, undo: InboxUndo) {
        match undo {
            InboxUndo::Stored { cursor_before } => {
                let cursor = std::mem::replace(&mut self.cursor_last, cursor_before);
                self.messages.remove(&cursor);
                let received = self.received.remove(&cursor).expect("what was stored last is remembered");
                self.cursors.remove(&received.name);
            }
            InboxUndo::Duplicate { cursor_before } => self.cursor_last = cursor_before,
            InboxUndo::Read { cursor } => {
                let held = self.messages.get_mut(&cursor).expect("what was read lies there");
                held.is_read = false;
            }
            InboxUndo::Deleted { cursor, held } => {
                let other = self.messages.insert(cursor, held);
                assert!(other.is_none(), "no cursor is used twice");
            }
            InboxUndo::Forgotten { cursor, received } => {
                self.cursors.insert(received.name, cursor);
                self.received.insert(cursor, received);
            }
        }
    }

    /// A node starts.
    pub(super) fn reopen(&mut self) {
        self.forgotten_to = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn after(&self, cursor: u64, limit: usize) -> Vec<InboxEntry> {
        let Some(first) = cursor.checked_add(1) else { return Vec::new() };
        self.messages.range(first..).take(limit).map(|(cursor, held)| held.entry(*cursor)).collect()
    }

    pub(super) fn by_id(&self, prefix: &str) -> Vec<InboxEntry> {
        let (Some(first), Some(last)) = (padded(prefix, "0"), padded(prefix, "f")) else { return Vec::new() };
        let range = (first, Presentity::from_public_key_bytes([0; 32]))
            ..=(last, Presentity::from_public_key_bytes([u8::MAX; 32]));
        let cursors = self.cursors.range(range).map(|(_, cursor)| cursor);
        let found = cursors.filter_map(|cursor| Some(self.messages.get(cursor)?.entry(*cursor)));
        found.take(2).collect()
    }

    pub(super) fn was_received(&self, key: &MessageKey) -> bool {
        self.cursor(key).is_some()
    }

    pub(super) fn ids(&self) -> Vec<MessageKey> {
        self.messages.values().map(|held| held.key()).collect()
    }

    /// What [`Self::ids`] would be without these commits, the newest ones, which are given oldest first.
    pub(super) fn ids_without<'a>(
        &self,
        commits: impl DoubleEndedIterator<Item = &'a [Undo]>,
    ) -> Vec<MessageKey> {
        let mut messages: BTreeMap<u64, MessageKey> =
            self.messages.iter().map(|(cursor, held)| (*cursor, held.key())).collect();
        for undo in commits.rev().flat_map(|commit| commit.iter().rev()) {
            match undo {
                Undo::Inbox(InboxUndo::Stored { cursor_before }) => {
                    messages.remove(&(cursor_before + 1));
                }
                Undo::Inbox(InboxUndo::Deleted { cursor, held }) => {
                    messages.insert(*cursor, held.key());
                }
                _ => (),
            }
        }
        messages.into_values().collect()
    }

    fn cursor(&self, key: &MessageKey) -> Option<u64> {
        self.cursors.get(&(key.id, key.from)).copied()
    }
}

impl Held {
    fn entry(&self, cursor: u64) -> InboxEntry {
        InboxEntry { cursor, stored: StoredMessage::clone(&self.stored), read: self.is_read }
    }

    fn key(&self) -> MessageKey {
        MessageKey { from: self.stored.message.from, id: self.stored.message.id }
    }
}

/// The id whose digits are `prefix` and then only `digit`; none if there is no such id.
fn padded(prefix: &str, digit: &str) -> Option<MessageId> {
    let missing = ID_DIGITS.checked_sub(prefix.len())?;
    (prefix.to_ascii_lowercase() + &digit.repeat(missing)).parse().ok()
}

const ID_DIGITS: usize = 32;
/// Received messages looked at in one commit, as in the real store.
const FORGOTTEN_MAX: usize = 4096;
