//! A store in memory, with the semantics that [`Change`] and [`Outcome`] state.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    durable::{
        Change, MessageKey, OutboxEntry, Outcome, Restored, StoredContact, StoredMessage, StoredRecord,
    },
    identity::Presentity,
    message::instant_message::MessageId,
    presence::information::PresenceInformation,
};

/// What outlives a process.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) incarnation: u64,
    pub(super) information: Option<PresenceInformation>,
    pub(super) records: BTreeMap<Presentity, StoredRecord>,
    pub(super) inbox: Vec<StoredMessage>,
    received: BTreeSet<(Presentity, MessageId)>,
    outbox: Vec<OutboxEntry>,
    cursor: u64,
}

impl Disk {
    pub(super) fn commit(&mut self, changes: Vec<Change>) -> Vec<Outcome> {
        changes.into_iter().map(|change| self.apply(change)).collect()
    }

    pub(super) fn remembers(&self, key: &MessageKey) -> bool {
        self.received.contains(&(key.from, key.id))
    }

    pub(super) fn restored(&self) -> Restored {
        Restored {
            incarnation: self.incarnation,
            information: self.information.clone(),
            records: self.records.values().cloned().collect(),
            known_peers: Vec::new(),
            inbox_messages: u64::try_from(self.inbox.len()).unwrap(),
            outbox: self.outbox.clone(),
            contacts: Vec::<StoredContact>::new(),
            delivery_rules: Vec::new(),
        }
    }

    fn apply(&mut self, change: Change) -> Outcome {
        match change {
            Change::Incarnation(incarnation) => {
                assert!(incarnation > self.incarnation, "an incarnation is used twice");
                self.incarnation = incarnation;
            }
            Change::Information(information) => self.information = Some(information),
            Change::Record(record) => {
                let before = self.records.insert(record.presentity, record.clone());
                let newer = before
                    .is_none_or(|before| (before.version, &before.bytes) <= (record.version, &record.bytes));
                assert!(newer, "an older record of {:?} is stored over a newer one", record.presentity);
            }
            Change::ForgetRecord(presentity) => drop(self.records.remove(&presentity)),
            Change::StoreMessage(stored) => {
                if !self.received.insert((stored.message.from, stored.message.id)) {
                    return Outcome::Duplicate;
                }
                self.inbox.push(stored);
                self.cursor += 1;
                return Outcome::Stored { cursor: self.cursor };
            }
            Change::DeleteMessage(key) => self.inbox.retain(|stored| stored.message.id != key.id),
            Change::PutOutbox(entry) => {
                match self.outbox.iter_mut().find(|known| known.message.id == entry.message.id) {
                    Some(known) => *known = entry,
                    None => self.outbox.push(entry),
                }
            }
            Change::RemoveOutbox(id) => self.outbox.retain(|entry| entry.message.id != id),
            Change::KnownPeer(_)
            | Change::MarkRead(_)
            | Change::PutContact(_)
            | Change::RemoveContact(_)
            | Change::PutDeliveryRule(_)
            | Change::RemoveDeliveryRule(_) => {
                unreachable!("the driver makes these changes, not the node")
            }
        }
        Outcome::Done
    }
}
