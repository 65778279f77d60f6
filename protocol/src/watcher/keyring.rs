//! The keys that this WATCHER was given: what it may open of others' records.
//!
//! A key comes from the presentity's own node, over an authenticated stream, in answer to this node's FETCH
//! or SUBSCRIBE; whoever hands out one for somebody else is not believed. One key is held for each
//! presentity, the newest. It moves along its chain with each record that it opens, so that a copy of the
//! disk opens nothing older than the records beside it. It is dropped when its lifetime ends; until then it
//! opens the last record also while the presentity is out of contact, and after a restart.
//!
//! A presentity that changes its keys gives a SUBSCRIBER the new one with the notification of the record that
//! it opens, and gossip may be faster than that. So a record that does not open is *awaited* for
//! [`AWAITED_MAX`] before it counts as withheld.
//!
//! Limits: [`KEYS_MAX`] keys, beyond which the one that ends first makes room, and [`LIFETIME_MAX`] for each.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    durable::StoredKey,
    identity::Presentity,
    presence::{
        information::PresenceInformation, record::PresenceRecord, sealing::ViewKey, views::ReleasedKey,
    },
    time::{Timestamp, WallClock},
};

/// The keys to others' sealed views.
#[derive(Debug)]
pub struct Keyring {
    clock: WallClock,
    keys: BTreeMap<Presentity, Held>,
    /// Those whose newest record does not open yet, and until when that may be.
    awaited: BTreeMap<Presentity, Timestamp>,
}

#[derive(Debug)]
struct Held {
    key: ViewKey,
    ends: Timestamp,
}

impl Keyring {
    /// The keys of an earlier run, as far as their time is not over.
    pub fn new(now: Timestamp, clock: WallClock, stored: impl IntoIterator<Item = StoredKey>) -> Self {
        let live = stored.into_iter().filter(|stored| stored.ends_at > clock.unix(now));
        let held = live.map(|stored| {
            let ends = clock.timestamp(stored.ends_at).min(now + LIFETIME_MAX);
            (stored.presentity, Held { key: stored.key, ends })
        });
        Self { clock, keys: held.take(KEYS_MAX).collect(), awaited: BTreeMap::new() }
    }

    /// `presentity`'s node released a key to this one. Returns what is to be stored, and whose key made
    /// room if one did.
    pub fn handle_released(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        released: ReleasedKey,
    ) -> (StoredKey, Option<Presentity>) {
        let mut dropped = None;
        if self.keys.len() >= KEYS_MAX && !self.keys.contains_key(&presentity) {
            dropped = self.keys.iter().min_by_key(|(_, held)| held.ends).map(|(first, _)| *first);
            if let Some(first) = &dropped {
                self.keys.remove(first);
            }
        }
        let lifetime = Duration::from_secs(released.lifetime_seconds.into()).min(LIFETIME_MAX);
        let ends = now + lifetime;
        let held = self.keys.get(&presentity);
        // The same chain, further on: what it opened already it need not open again.
        let key = match held {
            Some(held) if held.key.id == released.key.id && held.key.step > released.key.step => {
                held.key.clone()
            }
            _ => released.key,
        };
        let stored = StoredKey { presentity, key: key.clone(), ends_at: self.clock.unix(ends) };
        self.keys.insert(presentity, Held { key, ends });
        (stored, dropped)
    }

    /// What this node may see of `record` beyond what anybody may, and whether the key has moved on.
    pub fn open(&mut self, record: &PresenceRecord) -> Option<(PresenceInformation, bool)> {
        let held = self.keys.get_mut(&record.presentity())?;
        let (document, key) = held.key.open(record)?;
        let moved = held.key.step != key.step;
        held.key = key;
        self.awaited.remove(&record.presentity());
        Some((document, moved))
    }

    /// The newest record of `presentity`, who is watched, does not open: the key to it may be on its way.
    pub fn handle_awaited(&mut self, now: Timestamp, presentity: Presentity) {
        self.awaited.entry(presentity).or_insert(now + AWAITED_MAX);
    }

    /// `presentity`'s node gave its newest record and all that it grants with it; whether that leaves a key
    /// awaited, which will not come.
    pub fn handle_given(&mut self, presentity: &Presentity) -> bool {
        self.awaited.remove(presentity).is_some()
    }

    /// `presentity`'s node refuses what it granted before; whether there was a key, which is dropped.
    pub fn handle_refused(&mut self, presentity: &Presentity) -> bool {
        self.awaited.remove(presentity);
        self.keys.remove(presentity).is_some()
    }

    /// The keys that are over by now, which are dropped.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Presentity> {
        let over: Vec<_> =
            self.keys.iter().filter(|(_, held)| held.ends <= now).map(|(who, _)| *who).collect();
        for presentity in &over {
            self.keys.remove(presentity);
        }
        over
    }

    /// Those whose keys were awaited for too long.
    pub fn handle_awaited_timeout(&mut self, now: Timestamp) -> Vec<Presentity> {
        let due = self.awaited.iter().filter(|(_, until)| **until <= now).map(|(who, _)| *who);
        let due: Vec<_> = due.collect();
        for presentity in &due {
            self.awaited.remove(presentity);
        }
        due
    }

    /// When [`Self::handle_timeout`] or [`Self::handle_awaited_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let ends = self.keys.values().map(|held| held.ends);
        ends.chain(self.awaited.values().copied()).min()
    }

    /// The key for `presentity` as it is to be stored.
    pub fn to_store(&self, presentity: &Presentity) -> Option<StoredKey> {
        let held = self.keys.get(presentity)?;
        let ends_at = self.clock.unix(held.ends);
        Some(StoredKey { presentity: *presentity, key: held.key.clone(), ends_at })
    }

    /// All keys, likewise.
    pub fn all_to_store(&self) -> impl Iterator<Item = StoredKey> + '_ {
        self.keys.keys().filter_map(|presentity| self.to_store(presentity))
    }
}

/// Keys that one node holds: as many as a table has presentities.
pub const KEYS_MAX: usize = 4096;
/// No key is held longer, whatever its giver says: a week.
pub const LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a key may be awaited for a record that is here already: what a notification takes, and far more.
pub const AWAITED_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
