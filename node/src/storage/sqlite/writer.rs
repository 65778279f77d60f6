//! Writing: many commits, one transaction, one fsync.
//!
//! The thread takes what waits, applies each commit in a savepoint of its own, ends the transaction once and
//! then answers all. While it waits for the disk the next commits gather, so the number that share an fsync
//! grows with the load by itself and a lone commit waits for nobody. Lazy commits wait for company, for
//! [`Limits::lazy_wait`] at most; a durable one takes them along, in order.
//!
//! A commit that fails is undone alone. If the transaction itself is lost (a full disk, a failed write or
//! fsync), nothing of it is applied and each of its commits gets the error.
//!
//! After the answers, when the log has grown long, its pages are moved into the file: this costs two more
//! fsyncs that no commit of the batch waits for. The thread ends when the store is dropped and every queued
//! commit, lazy ones too, is written.

use std::{path::PathBuf, sync::mpsc::Receiver, time::Instant};

use hereabouts_protocol::{
    durable::{Change, Durability, Outcome},
    time::UnixTime,
};
use rusqlite::Connection;

use super::{Limits, changes, failure::explain, reader::Answer};
use crate::storage::StorageError;

/// A commit that waits, and where its result goes.
pub(super) struct Commit {
    pub(super) changes: Vec<Change>,
    pub(super) durability: Durability,
    pub(super) answer: Answer<Vec<Outcome>>,
}

/// What [`crate::storage::Storage::commit`] reports.
pub(super) type CommitResult = Result<Vec<Outcome>, StorageError>;

/// The owner of the writing connection.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) limits: Limits,
    /// Received messages up to this cursor were looked at, and forgotten unless the inbox still held them.
    pub(super) forgotten_to: i64,
    /// Whether the last transaction was lost.
    pub(super) is_failing: bool,
}

impl Writer {
    /// Writes until the last committer is gone and the queue is empty.
    pub(super) fn run(&mut self, commits: &Receiver<Commit>) {
        while let Some(batch) = self.gather(commits) {
            self.write(batch);
        }
    }

    /// Waits for a commit and takes what waits beside it. None when there will be no more.
    fn gather(&self, commits: &Receiver<Commit>) -> Option<Vec<Commit>> {
        let first = commits.recv().ok()?;
        let lazy_until = Instant::now() + self.limits.lazy_wait;
        let mut is_urgent = first.durability == Durability::Durable;
        let mut batch = vec![first];
        while batch.len() < self.limits.commits_per_transaction_max {
            let next = if is_urgent {
                commits.try_recv().ok()
            } else {
                commits.recv_timeout(lazy_until.saturating_duration_since(Instant::now())).ok()
            };
            let Some(next) = next else { break };
            is_urgent |= next.durability == Durability::Durable;
            batch.push(next);
        }
        Some(batch)
    }

    fn write(&mut self, batch: Vec<Commit>) {
        let transacted = self.transact(&batch).map_err(|error| explain(&self.path, &error));
        match &transacted {
            // Said once, however long it lasts and however many ask.
            Err(error) if !self.is_failing => tracing::warn!(%error, "the store takes nothing"),
            Ok(_) if self.is_failing => tracing::info!("the store works again"),
            _ => (),
        }
        self.is_failing = transacted.is_err();
        let results = transacted.unwrap_or_else(|error| vec![Err(error); batch.len()]);
        assert_eq!(results.len(), batch.len(), "each commit has one result");
        for (commit, result) in batch.into_iter().zip(results) {
            // A committer that went away needs no answer.
            let _ = commit.answer.send(result);
        }
        self.shorten_log();
    }

    /// Applies a batch in one transaction. An error means that nothing of it was applied.
    fn transact(&mut self, batch: &[Commit]) -> rusqlite::Result<Vec<CommitResult>> {
        let transacted = self.begin_and_commit(batch);
        if transacted.is_err() && !self.connection.is_autocommit() {
            // The error that is being reported says more than one of this statement would.
            let _ = self.execute("ROLLBACK");
        }
        transacted
    }

    fn begin_and_commit(&mut self, batch: &[Commit]) -> rusqlite::Result<Vec<CommitResult>> {
        self.execute("BEGIN IMMEDIATE")?;
        let results: Vec<CommitResult> =
            batch.iter().map(|commit| self.apply(&commit.changes)).collect::<rusqlite::Result<_>>()?;
        let mut forgotten_to = self.forgotten_to;
        if let Some(now) = newest_receipt(batch) {
            let ids_max = self.limits.received_ids_max;
            forgotten_to = changes::forget_received(&self.connection, forgotten_to, now, ids_max)?;
        }
        self.execute("COMMIT")?;
        self.forgotten_to = forgotten_to;
        Ok(results)
    }

    /// Applies one commit in a savepoint. The outer error means that the whole transaction is lost.
    fn apply(&self, changes: &[Change]) -> rusqlite::Result<CommitResult> {
        self.execute("SAVEPOINT one_commit")?;
        let outcomes = changes.iter().map(|change| changes::apply(&self.connection, change)).collect();
        match outcomes {
            Ok(outcomes) => {
                self.execute("RELEASE one_commit")?;
                Ok(Ok(outcomes))
            }
            // SQLite undid everything by itself.
            Err(error) if self.connection.is_autocommit() => Err(error),
            Err(error) => {
                self.execute("ROLLBACK TO one_commit")?;
                self.execute("RELEASE one_commit")?;
                Ok(Err(explain(&self.path, &error)))
            }
        }
    }

    /// Moves a long log into the file, as far as readers allow.
    fn shorten_log(&self) {
        let in_log = |mode: &str| {
            self.connection.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?.query_row([], |row| {
                let (pages, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
                Ok(pages - moved)
            })
        };
        let shortened = match in_log("NOOP") {
            Ok(pages) if pages >= LOG_PAGES => in_log("PASSIVE"),
            other => other,
        };
        if let Err(error) = shortened {
            // The commits are safe in the log, and the next batch tries again.
            tracing::warn!(%error, "the write-ahead log could not be moved into {}", self.path.display());
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}

/// When the newest message of the batch was received: the store's only notion of the time.
fn newest_receipt(batch: &[Commit]) -> Option<UnixTime> {
    let changes = batch.iter().flat_map(|commit| &commit.changes);
    changes
        .filter_map(|change| match change {
            Change::StoreMessage(stored) => Some(stored.received_at),
            _ => None,
        })
        .max()
}

/// Pages of 4 KiB in the log beyond which it is moved into the file. Twice SQLite's own default, since pages
/// that many commits touch are moved once: 20 % less CPU a message than at half of it.
const LOG_PAGES: i64 = 2000;
/// Pages beyond which that happens within a commit: only if a reader held the log for long.
pub(super) const LOG_PAGES_MAX: i64 = 4 * LOG_PAGES;
