//! A store in memory, with the semantics that [`Change`] and [`Outcome`] state.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    durable::{
        Change, MessageKey, OutboxEntry, Outcome, Restored, StoredAccessRule, StoredContact, StoredKey,
        StoredMessage, StoredRecord, StoredWatcher,
    },
    identity::Presentity,
    message::instant_message::MessageId,
    presence::delegates::Delegates,
    presence::{
        access_rules::{AccessRule, Audience},
        information::PresenceInformation,
    },
    watcher::watcher_information::VisibleTo,
};

/// What outlives a process.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) incarnation: u64,
    pub(super) information: Option<PresenceInformation>,
    pub(super) records: BTreeMap<Presentity, StoredRecord>,
    pub(super) inbox: Vec<StoredMessage>,
    pub(super) contacts: BTreeMap<String, Presentity>,
    pub(super) access_rules: BTreeMap<Audience, AccessRule>,
    pub(super) visible_to: VisibleTo,
    pub(super) delegates: Delegates,
    pub(super) keys: BTreeMap<Presentity, StoredKey>,
    pub(super) watchers: BTreeMap<Presentity, StoredWatcher>,
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
        let contact = |(petname, presentity): (&String, &Presentity)| StoredContact {
            petname: petname.clone(),
            presentity: *presentity,
        };
        let rule = |(audience, rule): (&Audience, &AccessRule)| StoredAccessRule {
            audience: *audience,
            rule: rule.clone(),
        };
        Restored {
            incarnation: self.incarnation,
            information: self.information.clone(),
            records: self.records.values().cloned().collect(),
            known_peers: Vec::new(),
            inbox_messages: u64::try_from(self.inbox.len()).unwrap(),
            outbox: self.outbox.clone(),
            contacts: self.contacts.iter().map(contact).collect(),
            delivery_rules: Vec::new(),
            access_rules: self.access_rules.iter().map(rule).collect(),
            visible_to: self.visible_to.clone(),
            delegates: self.delegates.clone(),
            keys: self.keys.values().cloned().collect(),
            watchers: self.watchers.values().cloned().collect(),
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
            Change::PutKey(key) => drop(self.keys.insert(key.presentity, key)),
            Change::RemoveKey(presentity) => drop(self.keys.remove(&presentity)),
            Change::PutWatcher(watcher) => drop(self.watchers.insert(watcher.presentity, watcher)),
            Change::RemoveWatcher(presentity) => drop(self.watchers.remove(&presentity)),
            Change::KnownPeer(_)
            | Change::MarkRead(_)
            | Change::PutContact(_)
            | Change::RemoveContact(_)
            | Change::PutDeliveryRule(_)
            | Change::RemoveDeliveryRule(_)
            | Change::PutAccessRule(_)
            | Change::RemoveAccessRule(_)
            | Change::Visibility(_)
            | Change::Delegates(_) => {
                unreachable!("the driver makes these changes, not the node")
            }
        }
        Outcome::Done
    }
}
