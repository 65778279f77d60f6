//! What a simulated disk holds, and what each change does to it: the tables of the real store as maps.
//!
//! Every change says how to undo it. A commit that is refused is undone at once, one that is lost in a power
//! cut later, the newest first. What is kept, dropped and refused is the same as in the real store.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use hereabouts::storage::{KNOWN_PEERS_MAX, StorageError};
use hereabouts_protocol::{
    durable::{
        ADDRESSES_PER_PEER_MAX, Change, KnownPeer, Outcome, Restored, StoredAccessRule, StoredContact,
        StoredDeliveryRule, StoredKey, StoredRecord, StoredWatcher,
    },
    identity::Presentity,
    message::delivery_rules::{DeliveryRule, Whose},
    presence::{
        access_rules::{AccessRule, Audience},
        delegates::Delegates,
        information::PresenceInformation,
        record::Version,
    },
    time::UnixTime,
    watcher::watcher_information::VisibleTo,
};

use super::{
    inbox::{Inbox, InboxUndo},
    interner::{RecordInterner, SharedRecord},
    outbox::{Outbox, OutboxUndo},
};

/// The contents of a disk.
#[derive(Debug, Default)]
pub(super) struct State {
    incarnation: u64,
    information: Option<Box<PresenceInformation>>,
    records: BTreeSet<HeldRecord>,
    /// The addresses of each peer, the one reached longest ago first.
    known_peers: BTreeMap<Presentity, Vec<KnownAddress>>,
    /// The number of times that a peer was reached.
    reached: u64,
    pub(super) inbox: Inbox,
    outbox: Outbox,
    contacts: BTreeMap<String, Presentity>,
    delivery_rules: BTreeMap<Whose, DeliveryRule>,
    access_rules: BTreeMap<Audience, AccessRule>,
    visible_to: VisibleTo,
    delegates: Delegates,
    keys: BTreeMap<Presentity, StoredKey>,
    watchers: BTreeMap<Presentity, StoredWatcher>,
}

/// How to undo one change.
#[derive(Debug)]
pub(super) enum Undo {
    Incarnation(u64),
    Information(Option<Box<PresenceInformation>>),
    Record(Presentity, Option<HeldRecord>),
    KnownPeer(Presentity, Option<Vec<KnownAddress>>),
    Inbox(InboxUndo),
    Outbox(OutboxUndo),
    Contact(String, Option<Presentity>),
    DeliveryRule(Whose, Option<DeliveryRule>),
    AccessRule(Audience, Option<AccessRule>),
    Visibility(VisibleTo),
    Delegates(Delegates),
    Key(Presentity, Option<StoredKey>),
    Watcher(Presentity, Option<StoredWatcher>),
}

/// A record, in the order of presentities, of which a disk holds one record each.
#[derive(Debug)]
pub(super) struct HeldRecord {
    shared: Arc<SharedRecord>,
    heard_at: UnixTime,
}

#[derive(Debug, Clone)]
pub(super) struct KnownAddress {
    address: Arc<[u8]>,
    connected_at: UnixTime,
    /// A larger place is a later success.
    place: u64,
}

impl State {
    /// Applies all changes and says how to undo them, or none.
    pub(super) fn apply(
        &mut self,
        changes: Vec<Change>,
        interner: &RecordInterner,
    ) -> Result<(Vec<Outcome>, Vec<Undo>), StorageError> {
        let mut undo = Vec::new();
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut received_last = None;
        for change in changes {
            if let Change::StoreMessage(stored) = &change {
                received_last = received_last.max(Some(stored.received_at));
            }
            match self.apply_one(change, interner, &mut undo) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    self.undo(undo);
                    return Err(error);
                }
            }
        }
        if let Some(now) = received_last {
            undo.extend(self.inbox.forget(now).into_iter().map(Undo::Inbox));
        }
        // It may wait for its fsync beside many others.
        undo.shrink_to_fit();
        Ok((outcomes, undo))
    }

    /// Takes back a commit, which must be the last that was not taken back.
    pub(super) fn undo(&mut self, commit: Vec<Undo>) {
        for undo in commit.into_iter().rev() {
            match undo {
                Undo::Incarnation(before) => self.incarnation = before,
                Undo::Information(before) => self.information = before,
                Undo::Record(presentity, before) => {
                    self.records.remove(&presentity);
                    self.records.extend(before);
                }
                Undo::KnownPeer(presentity, before) => put_back(&mut self.known_peers, presentity, before),
                Undo::Inbox(undo) => self.inbox.undo(undo),
                Undo::Outbox(undo) => self.outbox.undo(undo),
                Undo::Contact(petname, before) => put_back(&mut self.contacts, petname, before),
                Undo::DeliveryRule(whose, before) => put_back(&mut self.delivery_rules, whose, before),
                Undo::AccessRule(audience, before) => put_back(&mut self.access_rules, audience, before),
                Undo::Visibility(before) => self.visible_to = before,
                Undo::Delegates(before) => self.delegates = before,
                Undo::Key(presentity, before) => put_back(&mut self.keys, presentity, before),
                Undo::Watcher(presentity, before) => put_back(&mut self.watchers, presentity, before),
            }
        }
    }

    /// What a node finds that starts.
    pub(super) fn restore(&mut self) -> Restored {
        self.inbox.reopen();
        Restored {
            incarnation: self.incarnation,
            information: self.information.as_deref().cloned(),
            records: self.records.iter().map(HeldRecord::to_stored).collect(),
            known_peers: self.newest_peers(),
            inbox_messages: u64::try_from(self.inbox.len()).unwrap_or(u64::MAX),
            outbox: self.outbox.entries().cloned().collect(),
            contacts: self
                .contacts
                .iter()
                .map(|(petname, presentity)| StoredContact {
                    petname: petname.clone(),
                    presentity: *presentity,
                })
                .collect(),
            delivery_rules: self
                .delivery_rules
                .iter()
                .map(|(whose, rule)| StoredDeliveryRule { whose: *whose, rule: rule.clone() })
                .collect(),
            access_rules: self
                .access_rules
                .iter()
                .map(|(audience, rule)| StoredAccessRule { audience: *audience, rule: rule.clone() })
                .collect(),
            visible_to: self.visible_to.clone(),
            delegates: self.delegates.clone(),
            keys: self.keys.values().cloned().collect(),
            watchers: self.watchers.values().cloned().collect(),
        }
    }

    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    pub(super) fn record_versions(&self) -> Vec<(Presentity, Version)> {
        self.records.iter().map(|record| (record.shared.presentity, record.shared.version)).collect()
    }

    fn apply_one(
        &mut self,
        change: Change,
        interner: &RecordInterner,
        undo: &mut Vec<Undo>,
    ) -> Result<Outcome, StorageError> {
        let is_there = match change {
            Change::Incarnation(incarnation) => {
                undo.push(Undo::Incarnation(std::mem::replace(&mut self.incarnation, incarnation)));
                true
            }
            Change::Information(information) => {
                undo.push(Undo::Information(self.information.replace(Box::new(information))));
                true
            }
            Change::Record(record) => {
                let presentity = record.presentity;
                let before = self.records.replace(HeldRecord::new(record, interner));
                undo.push(Undo::Record(presentity, before));
                true
            }
            Change::ForgetRecord(presentity) => {
                let before = self.records.take(&presentity);
                note(undo, before.map(|before| Undo::Record(presentity, Some(before))))
            }
            Change::KnownPeer(peer) => {
                self.put_known_peer(peer, interner, undo)?;
                true
            }
            Change::StoreMessage(stored) => {
                let (outcome, stored) = self.inbox.store(stored);
                undo.push(Undo::Inbox(stored));
                return Ok(outcome);
            }
            Change::MarkRead(key) => {
                let marked = self.inbox.mark_read(&key);
                let is_there = marked.is_some();
                undo.extend(marked.flatten().map(Undo::Inbox));
                is_there
            }
            Change::DeleteMessage(key) => note(undo, self.inbox.delete(&key).map(Undo::Inbox)),
            Change::PutOutbox(entry) => {
                let (put, dropped) = self.outbox.put(entry);
                undo.extend([Some(put), dropped].into_iter().flatten().map(Undo::Outbox));
                true
            }
            Change::RemoveOutbox(id) => note(undo, self.outbox.remove(id).map(Undo::Outbox)),
            Change::PutContact(contact) => {
                self.put_contact(contact, undo)?;
                true
            }
            Change::RemoveContact(petname) => {
                let before = self.contacts.remove(&petname);
                note(undo, before.map(|before| Undo::Contact(petname, Some(before))))
            }
            Change::PutDeliveryRule(StoredDeliveryRule { whose, rule }) => {
                undo.push(Undo::DeliveryRule(whose, self.delivery_rules.insert(whose, rule)));
                true
            }
            Change::RemoveDeliveryRule(whose) => {
                let before = self.delivery_rules.remove(&whose);
                note(undo, before.map(|before| Undo::DeliveryRule(whose, Some(before))))
            }
            change => return Ok(self.apply_watching(change, undo)),
        };
        Ok(if is_there { Outcome::Done } else { Outcome::Missing })
    }

    /// What is stored of those who watch and are watched.
    fn apply_watching(&mut self, change: Change, undo: &mut Vec<Undo>) -> Outcome {
        let is_there = match change {
            Change::PutAccessRule(StoredAccessRule { audience, rule }) => {
                undo.push(Undo::AccessRule(audience, self.access_rules.insert(audience, rule)));
                true
            }
            Change::RemoveAccessRule(audience) => {
                let before = self.access_rules.remove(&audience);
                note(undo, before.map(|before| Undo::AccessRule(audience, Some(before))))
            }
            Change::Visibility(visible_to) => {
                undo.push(Undo::Visibility(std::mem::replace(&mut self.visible_to, visible_to)));
                true
            }
            Change::Delegates(delegates) => {
                undo.push(Undo::Delegates(std::mem::replace(&mut self.delegates, delegates)));
                true
            }
            Change::PutKey(key) => {
                let presentity = key.presentity;
                undo.push(Undo::Key(presentity, self.keys.insert(presentity, key)));
                true
            }
            Change::RemoveKey(presentity) => {
                let before = self.keys.remove(&presentity);
                note(undo, before.map(|before| Undo::Key(presentity, Some(before))))
            }
            Change::PutWatcher(watcher) => {
                let presentity = watcher.presentity;
                undo.push(Undo::Watcher(presentity, self.watchers.insert(presentity, watcher)));
                true
            }
            Change::RemoveWatcher(presentity) => {
                let before = self.watchers.remove(&presentity);
                note(undo, before.map(|before| Undo::Watcher(presentity, Some(before))))
            }
            other => unreachable!("{other:?} is applied with the rest"),
        };
        if is_there { Outcome::Done } else { Outcome::Missing }
    }

    fn put_contact(&mut self, contact: StoredContact, undo: &mut Vec<Undo>) -> Result<(), StorageError> {
        let StoredContact { petname, presentity } = contact;
        if petname.is_empty() {
            return Err(StorageError::Refused { detail: "a petname has characters".to_owned() });
        }
        let before = self.contacts.insert(petname.clone(), presentity);
        undo.push(Undo::Contact(petname, before));
        Ok(())
    }

    fn put_known_peer(
        &mut self,
        peer: KnownPeer,
        interner: &RecordInterner,
        undo: &mut Vec<Undo>,
    ) -> Result<(), StorageError> {
        let KnownPeer { presentity, address, connected_at } = peer;
        if address.is_empty() {
            return Err(StorageError::Refused { detail: "an address has bytes".to_owned() });
        }
        let before = self.known_peers.get(&presentity).cloned();
        let addresses = self.known_peers.entry(presentity).or_default();
        addresses.retain(|known| *known.address != *address);
        if addresses.len() >= ADDRESSES_PER_PEER_MAX {
            addresses.remove(0);
        }
        self.reached += 1;
        let address = interner.address(address);
        addresses.push(KnownAddress { address, connected_at, place: self.reached });
        undo.push(Undo::KnownPeer(presentity, before));
        if self.known_peers.len() > KNOWN_PEERS_MAX {
            let last_success = |addresses: &[KnownAddress]| addresses.last().map(|known| known.place);
            let oldest = self.known_peers.iter().min_by_key(|(_, addresses)| last_success(addresses));
            if let Some(oldest) = oldest.map(|(presentity, _)| *presentity) {
                undo.push(Undo::KnownPeer(oldest, self.known_peers.remove(&oldest)));
            }
        }
        Ok(())
    }

    fn newest_peers(&self) -> Vec<KnownPeer> {
        let peers = self.known_peers.iter();
        let mut all: Vec<_> = peers
            .flat_map(|(presentity, addresses)| addresses.iter().map(|known| (*presentity, known)))
            .collect();
        all.sort_unstable_by_key(|(_, known)| std::cmp::Reverse(known.place));
        let peer = |(presentity, known): (Presentity, &KnownAddress)| KnownPeer {
            presentity,
            address: known.address.to_vec(),
            connected_at: known.connected_at,
        };
        all.into_iter().map(peer).collect()
    }
}

impl HeldRecord {
    fn new(record: StoredRecord, interner: &RecordInterner) -> Self {
        let StoredRecord { presentity, version, bytes, heard_at } = record;
        let shared = interner.record(SharedRecord { presentity, version, bytes: bytes.into_boxed_slice() });
        Self { shared, heard_at }
    }

    fn to_stored(&self) -> StoredRecord {
        let SharedRecord { presentity, version, bytes } = &*self.shared;
        StoredRecord {
            presentity: *presentity,
            version: *version,
            bytes: bytes.to_vec(),
            heard_at: self.heard_at,
        }
    }
}

impl Borrow<Presentity> for HeldRecord {
    fn borrow(&self) -> &Presentity {
        &self.shared.presentity
    }
}

impl Ord for HeldRecord {
    fn cmp(&self, other: &Self) -> Ordering {
        self.shared.presentity.cmp(&other.shared.presentity)
    }
}

impl PartialOrd for HeldRecord {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for HeldRecord {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for HeldRecord {}

/// Notes how to undo what was done; false if nothing was.
fn note(undo: &mut Vec<Undo>, done: Option<Undo>) -> bool {
    let is_done = done.is_some();
    undo.extend(done);
    is_done
}

fn put_back<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(before) => drop(map.insert(key, before)),
        None => drop(map.remove(&key)),
    }
}
