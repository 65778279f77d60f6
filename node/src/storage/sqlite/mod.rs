//! The store of real nodes: one SQLite file in write-ahead mode.
//!
//! It decides how changes become rows and which commits share an fsync. What is stored is the caller's
//! business, where the file lies is [`Home`](super::home::Home)'s, and keeping a second process out is too.
//!
//! One thread owns the writing connection ([`writer`]), another a reading one ([`reader`]); these are the
//! only threads that the node starts itself, since SQLite blocks. A call queues a request and returns a
//! future that needs no particular executor.
//!
//! Life cycle: [`Database::open`] checks and migrates the file ([`open`], [`schema`]) and hands back the
//! state, commits and reads follow in any number, and dropping the [`Database`] writes what is queued, lazy
//! commits too, moves the log into the file and joins both threads. A process that is killed loses only
//! commits that were not reported done.
//!
//! Limits: [`COMMITS_WAITING_MAX`] and [`READS_WAITING_MAX`] requests wait, further ones are refused with
//! [`StorageError::Busy`]. What the store forgets by itself is stated in [`super`].

mod changes;
mod failure;
mod open;
mod reader;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, ready},
};
use hereabouts_protocol::durable::{Change, Durability, MessageKey, Outcome, Restored};

pub use self::open::OpenError;
use self::{
    failure::explain_io,
    open::Opened,
    reader::{Answer, Read},
    writer::{Commit, Writer},
};
use super::{InboxEntry, RECEIVED_IDS_MAX, Storage, StorageError};

/// A store in one SQLite file.
///
/// Dropping it blocks until all that was queued is on disk, which takes some fsyncs.
#[derive(Debug)]
pub struct Database {
    // Fields are dropped in order: the last connection that closes moves the log into the file, and a
    // reading one cannot.
    reads: Worker<Read>,
    commits: Worker<Commit>,
}

impl Database {
    /// Opens the store at `path`, or creates it with mode 0600, and reads the state that it holds.
    ///
    /// The caller makes sure that no other process has the store open
    /// ([`Home::open`](super::home::Home::open) does). Blocks for some fsyncs.
    ///
    /// # Errors
    /// If the file is not ours, newer, damaged, or cannot be created or written; it is left as it was.
    pub fn open(path: &Path) -> Result<(Self, Restored), OpenError> {
        Self::open_with(path, Limits::default())
    }

    fn open_with(path: &Path, limits: Limits) -> Result<(Self, Restored), OpenError> {
        let explain = |error| OpenError::Storage(explain_io(path, &error));
        let path = std::path::absolute(path).map_err(explain)?;
        let Opened { writer, reader, restored } = open::open(&path, &limits)?;
        let waiting_max = limits.commits_waiting_max;
        let reader_path = path.clone();
        let reads = Worker::start("store-reader", READS_WAITING_MAX, move |reads| {
            reader::run(&reader, &reader_path, &reads);
        });
        let commits = Worker::start("store-writer", waiting_max, move |commits| {
            Writer { connection: writer, path, limits, forgotten_to: 0, is_failing: false }.run(&commits);
        });
        Ok((Self { reads: reads.map_err(explain)?, commits: commits.map_err(explain)? }, restored))
    }
}

impl Storage for Database {
    fn commit(
        &self,
        changes: Vec<Change>,
        durability: Durability,
    ) -> BoxFuture<'static, Result<Vec<Outcome>, StorageError>> {
        self.commits.request(|answer| Commit { changes, durability, answer })
    }

    fn inbox(&self, cursor: u64, limit: usize) -> BoxFuture<'static, Result<Vec<InboxEntry>, StorageError>> {
        self.reads.request(|answer| Read::Inbox { cursor, limit, answer })
    }

    fn inbox_by_id(&self, id_prefix: String) -> BoxFuture<'static, Result<Vec<InboxEntry>, StorageError>> {
        self.reads.request(|answer| Read::InboxById { id_prefix, answer })
    }

    fn was_received(&self, key: MessageKey) -> BoxFuture<'static, Result<bool, StorageError>> {
        self.reads.request(|answer| Read::WasReceived { key, answer })
    }
}

/// A thread and the bounded queue of its requests. Dropping it lets the thread finish the queue, and waits.
struct Worker<Request> {
    /// None only while it is dropped.
    queue: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl<Request: Send + 'static> Worker<Request> {
    fn start(
        name: &str,
        waiting_max: usize,
        run: impl FnOnce(Receiver<Request>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, requests) = sync_channel(waiting_max);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(requests))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues the request that `make` builds around the answer's way back.
    fn request<T: Send + 'static>(
        &self,
        make: impl FnOnce(Answer<T>) -> Request,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let (answer, result) = oneshot::channel();
        let queued = match &self.queue {
            Some(queue) => queue.try_send(make(answer)).map_err(|error| match error {
                TrySendError::Full(_) => StorageError::Busy,
                TrySendError::Disconnected(_) => StorageError::Closed,
            }),
            None => Err(StorageError::Closed),
        };
        match queued {
            Ok(()) => result.map(|result| result.unwrap_or(Err(StorageError::Closed))).boxed(),
            Err(error) => ready(Err(error)).boxed(),
        }
    }
}

impl<Request> fmt::Debug for Worker<Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl<Request> Drop for Worker<Request> {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the store had panicked");
        }
    }
}

/// The limits of one store. Tests set others than the defaults.
#[derive(Debug, Clone)]
struct Limits {
    /// Commits that wait in the queue.
    commits_waiting_max: usize,
    /// Commits of one transaction.
    commits_per_transaction_max: usize,
    /// How long a lazy commit waits for company.
    lazy_wait: Duration,
    /// See [`RECEIVED_IDS_MAX`].
    received_ids_max: u64,
    /// The size of the file in pages of 4 KiB, beyond which the disk counts as full; none = the disk decides.
    pages_max: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            commits_waiting_max: COMMITS_WAITING_MAX,
            commits_per_transaction_max: COMMITS_PER_TRANSACTION_MAX,
            lazy_wait: LAZY_WAIT,
            received_ids_max: RECEIVED_IDS_MAX,
            pages_max: None,
        }
    }
}

/// Commits that may wait in the queue; at 16 KiB a message they hold 16 MiB at most. Further ones are
/// refused with [`StorageError::Busy`].
pub const COMMITS_WAITING_MAX: usize = 1024;
/// Commits that share one transaction at most, beside those that wait.
pub const COMMITS_PER_TRANSACTION_MAX: usize = 1024;
/// Reads that may wait in the queue. Further ones are refused with [`StorageError::Busy`].
pub const READS_WAITING_MAX: usize = 256;
/// How long a lazy commit waits for others to share an fsync with.
pub const LAZY_WAIT: Duration = Duration::from_secs(1);
