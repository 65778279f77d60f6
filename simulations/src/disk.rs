//! A simulated disk behind the node's [`Storage`] trait, which survives its node and may lose what it must.
//!
//! It decides what a commit does, when it is on the platter, and what a power cut leaves. When disks fail is
//! the fault injector's business. Commits, outcomes and limits are those of the real store
//! ([`hereabouts::storage::sqlite`]); a test drives both with the same changes and compares.
//!
//! [`state`] holds what the node sees: every commit is applied at once. Each leaves behind how to undo it
//! until it is synced ([`platter`]), so that a disk costs one copy of its contents. Records and addresses are
//! shared by all disks of a simulation ([`RecordInterner`]).
//!
//! Deviations: a lazy commit is reported done at once, not with its fsync; a killed process loses nothing,
//! while that of a real node also loses the commits that still waited in its queue and were not reported
//! done; received messages are forgotten after each commit, not after each transaction; a full disk refuses
//! every change, even one that would shrink it.
//!
//! Life cycle: [`SimulatedDisk::new`], then for each run of the node [`SimulatedDisk::open`], commits and
//! questions, and perhaps [`SimulatedDisk::crash`] or [`SimulatedDisk::wipe`]. A future that outlives its
//! node or simulation does no harm.
//!
//! Limits: [`COMMITS_WAITING_MAX`] commits wait for the fsync after the one in progress; further ones are
//! refused with [`StorageError::Busy`].
//!
//! [`COMMITS_WAITING_MAX`]: hereabouts::storage::sqlite::COMMITS_WAITING_MAX

mod inbox;
mod interner;
mod outbox;
mod platter;
mod state;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};
use futures_timer::{Delay, virtual_time};
use hereabouts::storage::{InboxEntry, Storage, StorageError};
use hereabouts_protocol::{
    durable::{Change, Durability, MessageKey, Outcome, Restored},
    identity::Presentity,
    presence::record::Version,
};
use rand::{RngExt, rngs::StdRng};

pub use self::interner::RecordInterner;
use self::{platter::Platter, state::State};

/// A handle to one disk. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct SimulatedDisk(Arc<Mutex<Disk>>);

/// How a node ends that does not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Its process is killed. The kernel keeps what was written and syncs it as it would have been.
    Process,
    /// The machine loses power. Of the commits that were not synced the first few may be there, by chance.
    Power,
}

#[derive(Debug)]
struct Disk {
    /// As the node sees it.
    state: State,
    platter: Platter,
    interner: RecordInterner,
    is_full: bool,
    lies: bool,
    duplicates: u64,
}

impl SimulatedDisk {
    /// An empty disk, of which one fsync takes `fsync` of virtual time.
    ///
    /// A disk that `lies` reports durable commits done at once, and syncs them as late as lazy ones.
    pub fn new(interner: RecordInterner, fsync: Duration, lies: bool) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            state: State::default(),
            platter: Platter::new(fsync),
            interner,
            is_full: false,
            lies,
            duplicates: 0,
        })))
    }

    /// What a node that starts now finds.
    pub fn open(&self) -> Restored {
        self.lock().state.restore()
    }

    /// The node is gone without having closed its store, and `loss` says what became of the unsynced commits.
    ///
    /// # Panics
    /// If no simulation runs on this thread.
    pub fn crash(&self, loss: Loss, random: &mut StdRng) {
        match loss {
            Loss::Process => (),
            Loss::Power => {
                let mut disk = self.lock();
                let mut unsynced = disk.platter.take_unsynced(now());
                let survivors = random.random_range(0..=unsynced.len());
                for commit in unsynced.drain(survivors..).rev() {
                    disk.state.undo(commit);
                }
            }
        }
    }

    /// The disk is replaced by an empty one, as fast, as full and as honest.
    pub fn wipe(&self) {
        let mut disk = self.lock();
        disk.state = State::default();
        disk.platter.forget();
    }

    /// Lets every later commit fail with [`StorageError::DiskFull`], or no longer.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// How often a message was committed that was there already, since the disk was made.
    pub fn duplicates(&self) -> u64 {
        self.lock().duplicates
    }

    /// The messages of the inbox as the node sees it, oldest first.
    pub fn inbox_ids(&self) -> Vec<MessageKey> {
        self.lock().state.inbox.ids()
    }

    /// The messages of the inbox that a power cut at this moment would surely leave, oldest first.
    ///
    /// # Panics
    /// If no simulation runs on this thread.
    pub fn synced_inbox_ids(&self) -> Vec<MessageKey> {
        let mut disk = self.lock();
        disk.platter.settle(now());
        disk.state.inbox.ids_without(disk.platter.unsynced())
    }

    /// The boot counter as the node sees it.
    pub fn incarnation(&self) -> u64 {
        self.lock().state.incarnation()
    }

    /// The version of every record as the node sees it, by presentity.
    pub fn record_versions(&self) -> Vec<(Presentity, Version)> {
        self.lock().state.record_versions()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for SimulatedDisk {
    /// # Panics
    /// If no simulation runs on this thread.
    fn commit(
        &self,
        changes: Vec<Change>,
        durability: Durability,
    ) -> BoxFuture<'static, Result<Vec<Outcome>, StorageError>> {
        let now = now();
        match self.lock().commit(now, changes, durability) {
            Ok((outcomes, done_at)) if done_at > now => {
                // Made here rather than when it is polled, since it counts from now.
                let done = Delay::new(Duration::from_nanos(done_at - now));
                done.map(|()| Ok(outcomes)).boxed()
            }
            Ok((outcomes, _)) => ready(Ok(outcomes)).boxed(),
            Err(error) => ready(Err(error)).boxed(),
        }
    }

    fn inbox(&self, cursor: u64, limit: usize) -> BoxFuture<'static, Result<Vec<InboxEntry>, StorageError>> {
        ready(Ok(self.lock().state.inbox.after(cursor, limit))).boxed()
    }

    fn inbox_by_id(&self, id_prefix: String) -> BoxFuture<'static, Result<Vec<InboxEntry>, StorageError>> {
        ready(Ok(self.lock().state.inbox.by_id(&id_prefix))).boxed()
    }

    fn was_received(&self, key: MessageKey) -> BoxFuture<'static, Result<bool, StorageError>> {
        ready(Ok(self.lock().state.inbox.was_received(&key))).boxed()
    }
}

impl Disk {
    /// Applies a commit. Also returns when it may be reported done.
    fn commit(
        &mut self,
        now: u64,
        changes: Vec<Change>,
        durability: Durability,
    ) -> Result<(Vec<Outcome>, u64), StorageError> {
        if self.is_full {
            return Err(StorageError::DiskFull { path: PathBuf::from(PATH) });
        }
        if !self.platter.has_room(now) {
            return Err(StorageError::Busy);
        }
        let (outcomes, undo) = self.state.apply(changes, &self.interner)?;
        let duplicates = outcomes.iter().filter(|outcome| **outcome == Outcome::Duplicate).count();
        self.duplicates = self.duplicates.saturating_add(u64::try_from(duplicates).unwrap_or(u64::MAX));
        let is_urgent = durability == Durability::Durable && !self.lies;
        let synced_at = self.platter.add(now, is_urgent, undo);
        Ok((outcomes, if is_urgent { synced_at } else { now }))
    }
}

/// Nanoseconds since the simulation began. Suspended hosts do not stop their disks.
fn now() -> u64 {
    virtual_time::now().expect("a simulated disk turns in a simulation only")
}

/// What errors call the disk.
const PATH: &str = "the simulated disk";
