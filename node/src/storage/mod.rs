//! What survives the process: the node's directory, and the store behind the mesh.
//!
//! [`home::Home`] is the directory: it holds the identity key, the lock that keeps a second node out, and
//! the paths of the rest. [`Storage`] is all that the mesh knows of the store, so that a simulated disk can
//! stand behind it. A store applies [`Change`]s and answers questions about the inbox; what is stored, and
//! when, is the protocol's decision. [`sqlite::Database`] is the store of real nodes.
//!
//! What a store forgets by itself is the same for every implementation, and is stated here: addresses beyond
//! [`ADDRESSES_PER_PEER_MAX`] and peers beyond [`KNOWN_PEERS_MAX`], finished outbox entries beyond
//! [`OUTBOX_FINISHED_MAX`], and the names of received messages after [`RECEIVED_IDS_KEPT`] or beyond
//! [`RECEIVED_IDS_MAX`]. It drops the oldest each time. Everything else stays until a change removes it.
//!
//! [`ADDRESSES_PER_PEER_MAX`]: hereabouts_protocol::durable::ADDRESSES_PER_PEER_MAX

pub mod home;
pub mod sqlite;

use std::{path::PathBuf, time::Duration};

use futures::future::BoxFuture;
use hereabouts_protocol::durable::{Change, Durability, MessageKey, Outcome, StoredMessage};
use thiserror::Error;

/// A durable store.
pub trait Storage: Send + Sync + 'static {
    /// Applies `changes` together or not at all and reports what became of each, in their order.
    ///
    /// The commit is queued when this is called, whether or not the future is polled, and commits are
    /// applied in the order of the calls. Those that wait at the same time share one fsync. With
    /// [`Durability::Durable`] the future is ready only when the changes would survive a power cut.
    ///
    /// # Errors
    /// The future's error says why nothing of this commit was applied. Other commits are not affected,
    /// except that a disk that refuses a whole fsync fails each commit that shared it.
    fn commit(
        &self,
        changes: Vec<Change>,
        durability: Durability,
    ) -> BoxFuture<'static, Result<Vec<Outcome>, StorageError>>;

    /// Messages of the inbox after `cursor`, oldest first, at most `limit`.
    ///
    /// Shows each commit that was reported done before the call, and may show later ones.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn inbox(&self, cursor: u64, limit: usize) -> BoxFuture<'static, Result<Vec<InboxEntry>, StorageError>>;

    /// Messages of the inbox whose id in hexadecimal digits begins with `id_prefix`, at most two (enough
    /// to see that a prefix is ambiguous). Letter case does not matter; what is not hexadecimal finds
    /// nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn inbox_by_id(&self, id_prefix: String) -> BoxFuture<'static, Result<Vec<InboxEntry>, StorageError>>;

    /// Whether this (sender, id) was ever stored, deleted since or not, as far as the store remembers: see
    /// [`RECEIVED_IDS_KEPT`].
    ///
    /// # Errors
    /// If the store cannot be read.
    fn was_received(&self, key: MessageKey) -> BoxFuture<'static, Result<bool, StorageError>>;
}

/// A message in the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEntry {
    /// Its place: larger than that of every message stored before it, and never used twice.
    pub cursor: u64,
    /// The message.
    pub stored: StoredMessage,
    /// Whether it was shown to the PRINCIPAL.
    pub read: bool,
}

impl InboxEntry {
    /// The name of the message within the inbox.
    pub fn key(&self) -> MessageKey {
        MessageKey { from: self.stored.message.from, id: self.stored.message.id }
    }
}

/// A commit that was not applied, or a question that was not answered. No state changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StorageError {
    /// As many requests wait as may. The caller should tell its own caller to come back.
    #[error("the store has too much to do at the moment; try again in a second")]
    Busy,
    /// Another program held the file for longer than the store waits.
    #[error("another program keeps {} locked; close it, then try again", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// There is no room for the changes. Smaller or later ones may succeed.
    #[error("the disk with {} is full; free some space, then try again", path.display())]
    DiskFull {
        /// The store.
        path: PathBuf,
    },
    /// The file system or the file's mode forbids writing.
    #[error(
        "{} cannot be written; check that its directory is on a writable disk and belongs to you",
        path.display()
    )]
    NotWritable {
        /// The store.
        path: PathBuf,
    },
    /// The contents make no sense. They are left as they are.
    #[error(
        "{} is damaged ({detail}) and was left as it is; put a copy in its place, or move it away to start \
         with an empty store",
        path.display()
    )]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The changes break a rule of the store itself, such as a petname of no characters. A retry cannot help.
    #[error("the store refuses this: {detail}")]
    Refused {
        /// The rule.
        detail: String,
    },
    /// The operating system failed to read or write.
    #[error("reading or writing {} failed ({detail}); check the disk and the system's log", path.display())]
    Io {
        /// The store.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The store was closed, or its thread ended.
    #[error("the store is closed; restart the node")]
    Closed,
}

/// How long after its receipt the (sender, id) of a message is remembered at least, unless
/// [`RECEIVED_IDS_MAX`] is reached. A sender keeps a message for seven days at most; one day more allows for
/// clocks that disagree. A message that still lies in the inbox is recognised however old it is.
pub const RECEIVED_IDS_KEPT: Duration = Duration::from_secs(8 * 24 * 60 * 60);
/// The number of (sender, id) remembered; the oldest are forgotten. One costs about 150 bytes on disk.
pub const RECEIVED_IDS_MAX: u64 = 1_000_000;
/// The number of peers whose addresses are remembered. Those reached longest ago are forgotten.
pub const KNOWN_PEERS_MAX: usize = 1024;
/// The number of finished outbox entries kept for people to look up. Those finished first are dropped.
pub const OUTBOX_FINISHED_MAX: usize = 256;
