//! What goes into a [`Node`](super::Node) and what comes out of it.
//!
//! Plain values that can be logged and replayed. Tokens tie an answer to its question: a request token and a
//! persist token are the node's, a gossip token and a response token are the driver's.

use crate::{
    durable::{Change, Durability, MessageKey, OutboxState, Outcome, StoredContact, StoredMessage},
    identity::{InboxAddress, Presentity},
    message::{
        delivery_rules::{DeliveryRule, Whose},
        instant_message::{Delivery, MessageId},
    },
    presence::{
        access_rules::SetAccessRule,
        delegates::Delegates,
        liveness::Reach,
        record::{NodeAddress, Reaction},
        service::{PresentityView, Transition},
    },
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionState},
        watcher_information::VisibleTo,
    },
    wire::frames::{
        MessageRequest, MessageResponse, PresenceRequest, PresenceResponse, UpdateAnswer, WatcherReport,
    },
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeInput {
    /// A record or a suspicion came by gossip; [`NodeOutput::Verdict`] follows.
    Gossip {
        /// The driver's name for it.
        token: GossipToken,
        /// The peer that passed it on.
        from: Presentity,
        /// The signed record or suspicion.
        bytes: Vec<u8>,
    },
    /// The first connection with a peer that speaks our protocols stands.
    LinkEstablished {
        /// Whose node it is.
        presentity: Presentity,
        /// Whether this node dialled; that end begins the comparison of tables.
        dialled: bool,
    },
    /// The last connection with a peer is gone.
    LinkDown {
        /// Whose node it was.
        presentity: Presentity,
    },
    /// A peer could not be reached at any address: no link could be made, or a lost one not made again.
    Unreachable {
        /// Whose node it is.
        presentity: Presentity,
        /// Whether there was a link before.
        was_linked: bool,
        /// Whether its host said that nobody listens there.
        refused: bool,
    },
    /// A peer asks; [`NodeOutput::Respond`] follows, at once or when the disk has answered.
    Request {
        /// The driver's name for it.
        token: ResponseToken,
        /// Whom the connection authenticated.
        from: Presentity,
        /// What it asks.
        request: IncomingRequest,
    },
    /// A peer answered a [`NodeOutput::Request`].
    Response {
        /// Which request.
        token: RequestToken,
        /// The answer.
        response: Response,
    },
    /// A [`NodeOutput::Request`] ended without an answer.
    RequestFailed {
        /// Which request.
        token: RequestToken,
        /// How.
        failure: RequestFailure,
    },
    /// There may be a way to a peer's node that was not there before, though no link with it.
    Way(Presentity),
    /// This node is reached at these addresses, best first.
    Addresses(Vec<NodeAddress>),
    /// A [`NodeOutput::Persist`] ended.
    Persisted {
        /// Which.
        token: PersistToken,
        /// What became of each change; nothing if the store failed and none was applied.
        outcomes: Option<Vec<Outcome>>,
    },
    /// A [`NodeOutput::Persist`] without a token failed.
    NotPersisted,
    /// The peer answered a [`NodeOutput::Probe`].
    Alive(Presentity),
    /// The peer's beat came.
    Beat(Presentity),
    /// A [`NodeOutput::Reach`] ended.
    Reached {
        /// Whose host was tried.
        presentity: Presentity,
        /// What came of it.
        reach: Reach,
    },
    /// A [`NodeOutput::Recall`] ended.
    Recalled {
        /// Which.
        token: PersistToken,
        /// Whether the message was ever stored; nothing if the store could not say.
        stored: Option<bool>,
    },
    /// A message was deleted from the inbox.
    MessageDeleted,
    /// A petname was stored.
    ContactPut(StoredContact),
    /// A petname was removed.
    ContactRemoved(String),
    /// A DELIVERY RULE was stored, or with none removed.
    DeliveryRule(Whose, Option<DeliveryRule>),
    /// ACCESS RULES were stored together, after [`super::Node::check_access_rules`] let them pass.
    AccessRules(Vec<SetAccessRule>),
    /// VISIBILITY RULES were stored.
    Visibility(VisibleTo),
    /// Who else may update the document was stored.
    Delegates(Delegates),
}

/// Something to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeOutput {
    /// Gossip this record, and again when the first peer joins the topic if none had by now.
    Publish(Vec<u8>),
    /// Gossip a suspicion, or somebody else's record, unless it went by already.
    Forward(Vec<u8>),
    /// What to do with a record that came by gossip.
    Verdict {
        /// Which.
        token: GossipToken,
        /// What to do.
        reaction: Reaction,
    },
    /// Ask a peer, dialling it if there is no connection. Ends with an answer or a failure.
    Request {
        /// The node's name for it.
        token: RequestToken,
        /// Whose node to ask.
        to: Presentity,
        /// What.
        request: OutgoingRequest,
    },
    /// Answer a peer.
    Respond {
        /// Which request.
        token: ResponseToken,
        /// The answer.
        response: Response,
    },
    /// Let a peer's request go unanswered.
    Discard {
        /// Which.
        token: ResponseToken,
    },
    /// Commit changes. With a token, [`NodeInput::Persisted`] is awaited.
    Persist {
        /// The node's name for it.
        token: Option<PersistToken>,
        /// The changes of one commit.
        changes: Vec<Change>,
        /// How soon.
        durability: Durability,
    },
    /// Ask the store whether it ever stored a message; [`NodeInput::Recalled`] is awaited.
    Recall {
        /// The node's name for it.
        token: PersistToken,
        /// Which message.
        key: MessageKey,
    },
    /// A FETCH ended; what is known now is in the view.
    Fetched {
        /// Which.
        token: FetchToken,
        /// What came of it.
        outcome: FetchOutcome,
    },
    /// A FETCH of WATCHER INFORMATION ended.
    FetchedWatchers {
        /// Which.
        token: WatchersToken,
        /// Those whom this node may see; nothing if there was no answer.
        watchers: Option<Vec<WatcherReport>>,
    },
    /// An update of another's document ended.
    Updated {
        /// Which.
        token: UpdateToken,
        /// What their node answered; nothing if it did not.
        answer: Option<UpdateAnswer>,
    },
    /// What became of a message that was sent, at first. A queued one's end is a [`Notice::Finished`].
    Sent {
        /// Which.
        id: MessageId,
        /// What.
        outcome: SentOutcome,
    },
    /// The peer said over a stream what cannot be true: a record that was forged, malformed or of another
    /// realm. By gossip, [`NodeOutput::Verdict`] says the same.
    Rejected(Presentity),
    /// Send a beat to a linked peer, which gives no answer.
    Beat(Presentity),
    /// Probe a linked peer; [`NodeInput::Alive`] is awaited.
    Probe(Presentity),
    /// Try whether the peer's host takes a connection where it was last reached; [`NodeInput::Reached`] is
    /// awaited.
    Reach(Presentity),
    /// Close all connections with a peer: they are dead ends. Whether it is gone a new one is to tell.
    Disconnect(Presentity),
    /// The presentity is lost: others are to be dialled before it.
    Lost(Presentity),
    /// The presentity's node said goodbye: it is not to be dialled.
    Departed(Presentity),
    /// A peer can be reached at these addresses, so its record says.
    Addresses {
        /// Whose node.
        presentity: Presentity,
        /// Where.
        addresses: Vec<NodeAddress>,
    },
    /// Something that the PRINCIPAL may want to know.
    Notice(Notice),
}

/// Something that the PRINCIPAL may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Something happened to a presentity.
    Transition(PresentityView, Transition),
    /// A message came in and is stored.
    Message {
        /// The message.
        stored: StoredMessage,
        /// Its place in the inbox.
        cursor: u64,
    },
    /// A queued message reached its end.
    Finished {
        /// Which.
        id: MessageId,
        /// For whom it was.
        to: InboxAddress,
        /// How it ended.
        state: OutboxState,
    },
    /// Somebody asked to subscribe, subscribed, or their subscription ended.
    Subscriber {
        /// Who.
        presentity: Presentity,
        /// Where the subscription stands now.
        state: SubscriptionState,
        /// Since what.
        event: SubscriptionEvent,
    },
    /// Who watches `of` has changed: this node's own presentity, or one whose WATCHER INFORMATION it watches.
    Watcher {
        /// Whose watcher it is.
        of: Presentity,
        /// What is known of it, or was last.
        watcher: WatcherReport,
        /// Whether it is kept, or may be seen, no more.
        gone: bool,
    },
    /// Somebody else changed this presentity's document, as they may.
    Updated {
        /// Who.
        by: Presentity,
    },
    /// Something is wrong that the PRINCIPAL may want to mend.
    Trouble(String),
}

/// What this node asks of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutgoingRequest {
    /// On the PRESENCE PROTOCOL.
    Presence(PresenceRequest),
    /// On the INSTANT MESSAGE PROTOCOL.
    Message(MessageRequest),
}

/// What a peer asks of this node.
pub type IncomingRequest = OutgoingRequest;

/// An answer, on the protocol of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// On the PRESENCE PROTOCOL.
    Presence(PresenceResponse),
    /// On the INSTANT MESSAGE PROTOCOL.
    Message(MessageResponse),
}

/// What came of a FETCH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The presentity's node gave what this one may see.
    Direct,
    /// No answer.
    Unanswered,
    /// Its ACCESS RULES refuse it.
    Refused,
    /// Its PRINCIPAL has to decide first, which a SUBSCRIPTION asks for.
    Unconfirmed,
    /// Asked too often.
    TooFast {
        /// When it may be asked again.
        retry_after_ms: u64,
    },
}

/// How a request ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFailure {
    /// No connection could be made, or the peer does not speak the protocol: it was not handed over.
    Unreachable,
    /// It was handed over, perhaps, and no answer came.
    Unanswered,
}

/// What became of a message that was sent, at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentOutcome {
    /// The outcome of a plain message.
    Final(Delivery),
    /// A queued message is stored, was tried, and waits.
    Queued,
    /// A message to be queued could not be stored, and is forgotten.
    NotStored,
}

/// The driver's name for a record that came by gossip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GossipToken(pub u64);

/// The driver's name for a request that awaits this node's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResponseToken(pub u64);

/// The node's name for a request that awaits a peer's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestToken(pub u64);

/// The node's name for something that awaits the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersistToken(pub u64);

/// The node's name for a FETCH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchToken(pub u64);

/// The node's name for an update of another's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UpdateToken(pub u64);

/// The node's name for a FETCH of WATCHER INFORMATION.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchersToken(pub u64);
