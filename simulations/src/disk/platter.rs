//! When commits are on the platter: one fsync at a time, and those that wait share the next one.
//!
//! Nothing runs here: a commit decides when its fsync begins, and whoever looks later compares times
//! ([`Platter::settle`]). A durable commit begins one when the one in progress has ended, at once if there is
//! none; a lazy one after [`LAZY_WAIT`], unless a durable one takes it along. Two commits of the same
//! nanosecond share no fsync that the first of them began, as in the real store, where a lone commit waits
//! for nobody.

use std::time::Duration;

use hereabouts::storage::sqlite::{COMMITS_WAITING_MAX, LAZY_WAIT};

use super::state::Undo;

/// The commits that are not synced, and when they will be.
#[derive(Debug)]
pub(super) struct Platter {
    /// Nanoseconds of one fsync.
    fsync: u64,
    /// Those of the fsync in progress.
    running: Option<Group>,
    /// Those of the next one. It begins no earlier than the running one ends.
    next: Option<Group>,
}

/// The commits of one fsync.
#[derive(Debug)]
struct Group {
    begins_at: u64,
    /// How to undo each.
    commits: Vec<Vec<Undo>>,
}

impl Platter {
    pub(super) fn new(fsync: Duration) -> Self {
        Self { fsync: nanoseconds(fsync), running: None, next: None }
    }

    /// Forgets how to undo what is synced by now.
    pub(super) fn settle(&mut self, now: u64) {
        let fsync = self.fsync;
        let is_done = |group: &mut Group| group.begins_at.saturating_add(fsync) <= now;
        self.running.take_if(is_done);
        if self.running.is_none() {
            self.running = self.next.take_if(|group| group.begins_at <= now);
            self.running.take_if(is_done);
        }
    }

    /// Whether one more commit may wait.
    pub(super) fn has_room(&mut self, now: u64) -> bool {
        self.settle(now);
        self.next.as_ref().is_none_or(|group| group.commits.len() < COMMITS_WAITING_MAX)
    }

    /// Takes a commit that was applied, and returns when it will be synced.
    ///
    /// For one that is not urgent this is the latest time; an urgent one may take it along earlier.
    pub(super) fn add(&mut self, now: u64, is_urgent: bool, undo: Vec<Undo>) -> u64 {
        self.settle(now);
        let soonest = self.running.as_ref().map_or(now, |group| group.begins_at.saturating_add(self.fsync));
        let latest = soonest.max(now.saturating_add(nanoseconds(LAZY_WAIT)));
        let group = self.next.get_or_insert_with(|| Group { begins_at: latest, commits: Vec::new() });
        group.commits.push(undo);
        if is_urgent || group.commits.len() >= COMMITS_WAITING_MAX {
            group.begins_at = soonest;
        }
        group.begins_at.saturating_add(self.fsync)
    }

    /// How to undo the commits that were not synced when it was last settled, oldest first.
    pub(super) fn unsynced(&self) -> impl DoubleEndedIterator<Item = &[Undo]> {
        self.running.iter().chain(&self.next).flat_map(|group| &group.commits).map(Vec::as_slice)
    }

    /// How to undo the commits that are not synced, oldest first. No fsync of them will end.
    pub(super) fn take_unsynced(&mut self, now: u64) -> Vec<Vec<Undo>> {
        self.settle(now);
        let groups = self.running.take().into_iter().chain(self.next.take());
        groups.flat_map(|group| group.commits).collect()
    }

    /// Forgets every commit.
    pub(super) fn forget(&mut self) {
        self.running = None;
        self.next = None;
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
