//! What must outlive the process, as plain values that a store applies.
//!
//! The state machines never write: they put out [`Change`]s, and whoever drives them commits these and
//! reports back where a decision waits for it (an INSTANT MESSAGE is `delivered` only then). At the start
//! the store gives back [`Restored`], which is all that the machines need to go on. Inbox contents stay in
//! the store, since they may be larger than memory should hold; the machines keep only their count.

use serde::{Deserialize, Serialize};

use crate::{
    identity::Presentity,
    message::{
        delivery_rules::{DeliveryRule, Whose},
        instant_message::{FailureReason, InstantMessage, MessageId},
    },
    presence::{
        access_rules::{AccessRule, Audience},
        delegates::Delegates,
        information::PresenceInformation,
        record::Version,
        sealing::ViewKey,
    },
    time::UnixTime,
    watcher::watcher_information::{VisibleTo, Watcher},
};

/// One change of the durable state. Changes of one commit are applied together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The boot counter that the next records carry. Must be durable before the first of them is published.
    Incarnation(u64),
    /// The document that this node's PRINCIPAL set.
    Information(PresenceInformation),
    /// The newest record of a presentity, with the signed bytes as they came.
    Record(StoredRecord),
    /// The presentity was dropped from a full table; its record may go too.
    ForgetRecord(Presentity),
    /// A connection to this address succeeded; the newest [`ADDRESSES_PER_PEER_MAX`] of a peer are kept.
    KnownPeer(KnownPeer),
    /// A message for the inbox, to be stored unless its (sender, id) was ever stored before.
    StoreMessage(StoredMessage),
    /// The message was shown to the PRINCIPAL.
    MarkRead(MessageKey),
    /// The PRINCIPAL deleted the message. Its (sender, id) stays remembered.
    DeleteMessage(MessageKey),
    /// A new or changed entry of the outbox.
    PutOutbox(OutboxEntry),
    /// An entry of the outbox that nobody needs any more.
    RemoveOutbox(MessageId),
    /// A petname for a presentity; replaces what the name stood for.
    PutContact(StoredContact),
    /// The petname stands for nobody any more.
    RemoveContact(String),
    /// A DELIVERY RULE; replaces the one that was set for these.
    PutDeliveryRule(StoredDeliveryRule),
    /// No DELIVERY RULE is set for these any more.
    RemoveDeliveryRule(Whose),
    /// An ACCESS RULE; replaces the one that was set for these.
    PutAccessRule(StoredAccessRule),
    /// No ACCESS RULE is set for these any more.
    RemoveAccessRule(Audience),
    /// VISIBILITY RULES: who else may see whom this node watches.
    Visibility(VisibleTo),
    /// Who else may update the PRESENCE INFORMATION; replaces who might before.
    Delegates(Delegates),
    /// A key that this node was given; replaces the one for the same presentity.
    PutKey(StoredKey),
    /// The key for this presentity is over.
    RemoveKey(Presentity),
    /// What is known of a watcher; replaces what was.
    PutWatcher(StoredWatcher),
    /// The watcher asked too long ago to be kept.
    RemoveWatcher(Presentity),
}

/// What became of a [`Change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Applied.
    Done,
    /// [`Change::StoreMessage`]: stored, at this place of the inbox.
    Stored {
        /// Larger than the cursor of every message stored before, and never used twice.
        cursor: u64,
    },
    /// [`Change::StoreMessage`]: this (sender, id) had been stored before, so nothing was.
    Duplicate,
    /// The change names something that is not there, so there was nothing to do.
    Missing,
}

/// How soon a commit must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Within a second or so; lost in a crash before that.
    Lazy,
    /// When the commit is reported done.
    Durable,
}

/// The durable state as the node finds it when it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// The boot counter of the last run; 0 on the first.
    pub incarnation: u64,
    /// The document that the PRINCIPAL last set.
    pub information: Option<PresenceInformation>,
    /// The newest record of every presentity known, this node's own among them.
    pub records: Vec<StoredRecord>,
    /// Where peers were reached, newest first.
    pub known_peers: Vec<KnownPeer>,
    /// Messages in the inbox.
    pub inbox_messages: u64,
    /// The outbox, oldest first.
    pub outbox: Vec<OutboxEntry>,
    /// Petnames.
    pub contacts: Vec<StoredContact>,
    /// The DELIVERY RULES that were set.
    pub delivery_rules: Vec<StoredDeliveryRule>,
    /// The ACCESS RULES that were set.
    pub access_rules: Vec<StoredAccessRule>,
    /// The VISIBILITY RULES.
    pub visible_to: VisibleTo,
    /// Who else may update the PRESENCE INFORMATION.
    pub delegates: Delegates,
    /// The keys that this node was given.
    pub keys: Vec<StoredKey>,
    /// Who asked for this node's PRESENCE INFORMATION.
    pub watchers: Vec<StoredWatcher>,
}

/// A record as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Whose it is.
    pub presentity: Presentity,
    /// Its version.
    pub version: Version,
    /// The signed bytes.
    pub bytes: Vec<u8>,
    /// When it came.
    pub heard_at: UnixTime,
}

/// An address at which a peer was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPeer {
    /// The peer.
    pub presentity: Presentity,
    /// A multiaddress in binary form.
    pub address: Vec<u8>,
    /// When a connection to it last succeeded.
    pub connected_at: UnixTime,
}

/// A message's name within an inbox: ids are unique for their sender only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageKey {
    /// The sender.
    pub from: Presentity,
    /// The id.
    pub id: MessageId,
}

/// A message as the inbox keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The message.
    pub message: InstantMessage,
    /// When it was accepted, by this node's clock.
    pub received_at: UnixTime,
}

/// An entry of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The message, with the address it is for.
    pub message: InstantMessage,
    /// When the PRINCIPAL sent it.
    pub queued_at: UnixTime,
    /// When the node stops trying.
    pub expires_at: UnixTime,
    /// Deliveries tried.
    pub attempts: u32,
    /// Where it stands.
    pub state: OutboxState,
}

/// Where a queued message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutboxState {
    /// It waits, or is under way.
    Queued,
    /// The receiver stored it.
    Delivered,
    /// The receiver refused it for good.
    Failed(FailureReason),
    /// Its time was over.
    Expired,
    /// The PRINCIPAL withdrew it.
    Cancelled,
}

/// A petname: what the PRINCIPAL of this node calls somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredContact {
    /// The name.
    pub petname: String,
    /// Whom it stands for.
    pub presentity: Presentity,
}

/// A DELIVERY RULE that the PRINCIPAL set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDeliveryRule {
    /// Whose messages it is for.
    pub whose: Whose,
    /// What it demands of them.
    pub rule: DeliveryRule,
}

/// An ACCESS RULE that the PRINCIPAL set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAccessRule {
    /// For whom it is.
    pub audience: Audience,
    /// What it grants.
    pub rule: AccessRule,
}

/// A key to somebody's sealed view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Whose view it opens.
    pub presentity: Presentity,
    /// The key.
    pub key: ViewKey,
    /// When it is to be dropped.
    pub ends_at: UnixTime,
}

/// One who asked for this node's PRESENCE INFORMATION.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredWatcher {
    /// Who.
    pub presentity: Presentity,
    /// What is known of it.
    pub watcher: Watcher,
}

/// Addresses remembered for one peer.
pub const ADDRESSES_PER_PEER_MAX: usize = 8;
