//! One copy of equal values, however many disks hold them.
//!
//! In a mesh of N nodes each record lies on N disks. A [`RecordInterner`] belongs to one simulation, so that
//! runs do not touch each other. It drops what no disk holds any more when its sets have doubled since it
//! last looked. Its hash sets are never read in their order.

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hereabouts_protocol::{identity::Presentity, presence::record::Version};

/// What the disks of one simulation share. Clones share too.
#[derive(Debug, Clone, Default)]
pub struct RecordInterner(Arc<Mutex<Pools>>);

/// What is the same on every disk that holds a record.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SharedRecord {
    pub(super) presentity: Presentity,
    pub(super) version: Version,
    pub(super) bytes: Box<[u8]>,
}

#[derive(Debug, Default)]
struct Pools {
    records: Pool<SharedRecord>,
    addresses: Pool<[u8]>,
}

/// A set of shared values.
#[derive(Debug)]
struct Pool<T: ?Sized> {
    values: HashSet<Arc<T>>,
    /// The number of values at which those that nobody else holds are dropped.
    sweep_at: usize,
}

impl RecordInterner {
    /// The record, or an equal one that a disk holds.
    pub(super) fn record(&self, record: SharedRecord) -> Arc<SharedRecord> {
        self.lock().records.share(record)
    }

    /// The address, or an equal one that a disk holds.
    pub(super) fn address(&self, address: Vec<u8>) -> Arc<[u8]> {
        self.lock().addresses.share(address)
    }

    /// Records and addresses that are shared.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        let pools = self.lock();
        (pools.records.values.len(), pools.addresses.values.len())
    }

    fn lock(&self) -> MutexGuard<'_, Pools> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    fn share(&mut self, value: impl Borrow<T> + Into<Arc<T>>) -> Arc<T> {
        if let Some(shared) = self.values.get(value.borrow()) {
            return shared.clone();
        }
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = self.values.len().saturating_mul(2).max(SWEEP_AT_MIN);
        }
        let shared = value.into();
        self.values.insert(shared.clone());
        shared
    }
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self { values: HashSet::new(), sweep_at: SWEEP_AT_MIN }
    }
}

/// Below this many values nothing is looked through.
pub(super) const SWEEP_AT_MIN: usize = 1024;
