//! Every frame that two nodes exchange over a stream, and the limits on each.
//!
//! A stream carries one request and one response. Each is four bytes of length, big-endian, and as many
//! bytes of one encoded value. The length is checked against the limit before anything is read. The stream's
//! protocol id names the realm: `/hereabouts/<realm>/presence/2` and `/hereabouts/<realm>/message/1`, so
//! that nodes of two realms, or foreign programs, have nothing to say to each other. Every frame and type
//! is specified byte by byte in `protocol/WIRE.md`, with golden vectors beside it in `protocol/vectors`.

use serde::{Deserialize, Serialize};

use crate::{
    identity::{Presentity, Realm},
    message::instant_message::{BODY_BYTES_MAX, FailureReason, InstantMessage},
    presence::{
        change::PresenceChange,
        reconciliation::{Difference, Digest},
        views::ReleasedKey,
    },
    time::UnixTime,
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionReport, SubscriptionState},
        watcher_information::{VisibleTo, Watcher, WatcherKind},
    },
};

/// A request of the PRESENCE PROTOCOL (RFC 2778).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PresenceRequest {
    /// Compares two tables.
    Compare(Digest),
    /// Brings what the other lacks and asks for what this node lacks.
    Exchange {
        /// Whose records are wanted.
        wanted: Vec<Presentity>,
        /// Records that the other lacks.
        records: Vec<ToldRecord>,
    },
    /// FETCH: asks for one presentity's PRESENCE INFORMATION, once.
    Fetch {
        /// Whose.
        presentity: Presentity,
        /// Who else may see that the sender asked.
        visible_to: VisibleTo,
    },
    /// SUBSCRIBE: asks to be notified of the changes of the node's own presentity.
    Subscribe {
        /// For how long, in seconds; zero ends the subscription.
        seconds: u32,
        /// Who else may see that the sender asked.
        visible_to: VisibleTo,
    },
    /// NOTIFY: the sender's own newest record, to a SUBSCRIBER or at the goodbye.
    Notify {
        /// The signed record; empty if there is none, or the subscription is not active.
        #[serde(with = "serde_bytes")]
        record: Vec<u8>,
        /// Where the receiver's SUBSCRIPTION stands; nothing if it has none.
        subscription: Option<SubscriptionReport>,
        /// A key that the receiver is granted and lacks.
        key: Option<ReleasedKey>,
    },
    /// Tells records that are news to the sender, as many as a frame may hold.
    Tell {
        /// The records.
        records: Vec<ToldRecord>,
    },
    /// FETCH of WATCHER INFORMATION: asks who watches the node's own presentity.
    FetchWatchers,
    /// Asks the node to change the document of its own presentity.
    Update(PresenceChange),
    /// SUBSCRIBE to WATCHER INFORMATION: asks to be told when who watches the node's own presentity changes.
    SubscribeWatchers {
        /// For how long, in seconds; zero ends the subscription.
        seconds: u32,
    },
    /// NOTIFY of WATCHER INFORMATION: all that the receiver may see of the sender's, after it changed.
    NotifyWatchers {
        /// Where the receiver's subscription to it stands.
        subscription: SubscriptionReport,
        /// Who, in the order of their keys, as many as a frame may hold.
        watchers: Vec<WatcherReport>,
    },
}

/// A response of the PRESENCE PROTOCOL, to the request of the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PresenceResponse {
    /// To [`PresenceRequest::Compare`]: where the tables differ.
    Compared(Difference),
    /// To [`PresenceRequest::Exchange`]: the wanted records, as many as a frame may hold.
    Exchanged {
        /// The records.
        records: Vec<ToldRecord>,
    },
    /// To [`PresenceRequest::Fetch`].
    Fetched {
        /// The newest record, if there is one and it was not refused.
        record: Option<ToldRecord>,
        /// What the presentity's own node grants.
        answer: FetchAnswer,
    },
    /// To [`PresenceRequest::Subscribe`].
    Subscribed {
        /// Where the subscription stands.
        subscription: SubscriptionReport,
        /// The newest record of the node's own presentity, if it is active: a subscription begins with a
        /// notification.
        record: Option<ToldRecord>,
        /// The key to what it is granted, if that is sealed.
        key: Option<ReleasedKey>,
    },
    /// To [`PresenceRequest::Notify`].
    Notified,
    /// To [`PresenceRequest::Tell`].
    Heard {
        /// Whether the node will tell the sender what is news to it, while they are linked.
        partner: bool,
    },
    /// To [`PresenceRequest::FetchWatchers`]: those that the sender may see, as many as a frame may hold.
    Watchers {
        /// Who, in the order of their keys.
        watchers: Vec<WatcherReport>,
        /// When it may be asked again, if it was asked too often.
        retry_after_ms: Option<u64>,
    },
    /// To [`PresenceRequest::Update`].
    Updated(UpdateAnswer),
    /// To [`PresenceRequest::SubscribeWatchers`].
    SubscribedWatchers {
        /// Where the subscription stands.
        subscription: SubscriptionReport,
        /// Those that the sender may see, if it is active.
        watchers: Vec<WatcherReport>,
    },
    /// To [`PresenceRequest::NotifyWatchers`].
    NotifiedWatchers,
}

/// What an update comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateAnswer {
    /// The change is made, and published at once or with the next record.
    Taken,
    /// The sender may not make this change.
    Refused,
    /// It makes no document that can be published.
    Invalid {
        /// Why, in a sentence for people of at most [`REASON_BYTES_MAX`] bytes.
        reason: String,
    },
}

/// What a FETCH comes to, beside the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FetchAnswer {
    /// The record is what another node has heard: it decides nothing.
    Known,
    /// Granted, with the key to what is sealed for the asker.
    Granted {
        /// The key; nothing if all that is granted goes in the clear.
        key: Option<ReleasedKey>,
    },
    /// Refused by ACCESS RULES.
    Refused,
    /// Refused until the PRINCIPAL decides, which a SUBSCRIBE asks for.
    Unconfirmed,
    /// Asked too often.
    TooFast {
        /// When it may be asked again.
        retry_after_ms: u64,
    },
}

/// One line of WATCHER INFORMATION, as it is given to other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatcherReport {
    /// Who.
    pub presentity: Presentity,
    /// When it first asked, by the clock of the node that was asked.
    pub first_at: UnixTime,
    /// When it last asked.
    pub last_at: UnixTime,
    /// FETCHES that were granted.
    pub fetches: u32,
    /// SUBSCRIBES that were granted.
    pub subscribes: u32,
    /// Requests that were refused, or wait.
    pub refused: u32,
    /// Milliseconds between its fetches, if it is a POLLER.
    pub period_ms: Option<u64>,
    /// Where its SUBSCRIPTION stands; terminated also if there never was one.
    pub state: SubscriptionState,
    /// What brought it there; nothing if there never was one.
    pub event: Option<SubscriptionEvent>,
}

impl WatcherReport {
    /// What is told of `watcher`.
    pub fn new(presentity: Presentity, watcher: &Watcher) -> Self {
        let period_ms = match watcher.kind() {
            WatcherKind::Poller { period } => Some(u64::try_from(period.as_millis()).unwrap_or(u64::MAX)),
            _ => None,
        };
        Self {
            presentity,
            first_at: watcher.first_at,
            last_at: watcher.last_at,
            fetches: watcher.fetches,
            subscribes: watcher.subscribes,
            refused: watcher.refused,
            period_ms,
            state: watcher.state,
            event: watcher.event,
        }
    }
}

/// A record that is passed on, with what its holder knows beside it. Only the record is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldRecord {
    /// The signed record.
    #[serde(with = "serde_bytes")]
    pub record: Vec<u8>,
    /// How long ago the holder heard it, in milliseconds.
    pub elapsed_ms: u64,
    /// Whether the holder believes the presentity out of contact.
    pub lost: bool,
}

/// The request of the INSTANT MESSAGE PROTOCOL (RFC 2778).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRequest {
    /// The message.
    pub message: InstantMessage,
    /// Milliseconds that it has left: a span, so that no two clocks need agree.
    pub remaining_ms: u64,
}

/// The response of the INSTANT MESSAGE PROTOCOL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageResponse {
    /// The message is on the receiver's disk.
    Delivered,
    /// It is not stored, and why.
    Failed(FailureReason),
}

/// The protocol id of presence streams in `realm`.
pub fn presence_protocol(realm: &Realm) -> String {
    format!("/hereabouts/{realm}/presence/2")
}

/// The protocol id of message streams in `realm`.
pub fn message_protocol(realm: &Realm) -> String {
    format!("/hereabouts/{realm}/message/1")
}

/// The protocol id of the streams for signs of life in `realm`.
pub fn liveness_protocol(realm: &Realm) -> String {
    format!("/hereabouts/{realm}/liveness/1")
}

/// The name of the one gossip topic of `realm`.
pub fn gossip_topic(realm: &Realm) -> String {
    format!("hereabouts/{realm}/presence/1")
}

/// What a node of `realm` says of itself in libp2p's identify exchange.
pub fn identify_version(realm: &Realm) -> String {
    format!("hereabouts/1/{realm}")
}

/// The byte that is a sign of life, and gives no answer.
pub const BEAT: u8 = 0;
/// The byte that asks for one.
pub const PROBE: u8 = 1;
/// The byte that answers [`PROBE`].
pub const ANSWER: u8 = 2;
/// Bytes of a presence request.
pub const PRESENCE_REQUEST_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a presence response.
pub const PRESENCE_RESPONSE_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a message request: the body, and room for everything around it.
pub const MESSAGE_REQUEST_BYTES_MAX: usize = BODY_BYTES_MAX + 16 * 1024;
/// Bytes of a reason.
pub const REASON_BYTES_MAX: usize = 512;
/// Lines of WATCHER INFORMATION in one response: about 100 bytes each.
pub const WATCHERS_PER_FRAME: usize = 1024;
/// Bytes of a message response.
pub const MESSAGE_RESPONSE_BYTES_MAX: usize = 16;

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
