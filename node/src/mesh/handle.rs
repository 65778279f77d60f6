//! The way into a running mesh from the same process: what the local API calls.
//!
//! A [`MeshHandle`] sends commands to the task that drives the node and awaits its answers; it holds no
//! state but the event log. Commands wait in a queue of [`COMMANDS_WAITING_MAX`]; a caller that finds it
//! full waits too. When the mesh has ended every call answers [`Stopped`].

use std::{collections::BTreeSet, sync::Arc};

use futures::{
    SinkExt,
    channel::{mpsc, oneshot},
};
use hereabouts_protocol::{
    durable::{MessageKey, OutboxEntry, StoredContact},
    identity::{Presentity, Realm},
    message::{
        delivery_rules::{DeliveryRule, DeliveryRuleError, DeliveryRules, Whose},
        instant_message::{Delivery, MessageId},
        outbox::Draft,
    },
    node::{DraftError, FetchOutcome},
    presence::{
        access_rules::{AccessRule, AccessRuleError, AccessRules, Audience, SetAccessRule},
        change::{PresenceChange, PresenceChangeError},
        delegates::{DelegateError, Delegates},
        information::{InformationError, PresenceInformation, Token},
        service::PresentityView,
    },
    watcher::{
        subscription::Subscriptions,
        watcher_information::{HIDDEN_FROM_MAX, VisibleTo, Watcher},
    },
    wire::frames::WatcherReport,
};
use libp2p::{Multiaddr, PeerId};
use thiserror::Error;

use super::events::{EventCursor, EventLog, EventStream};
use crate::storage::{InboxEntry, StorageError};

/// A clonable way to command one mesh.
#[derive(Debug, Clone)]
pub struct MeshHandle {
    /// Who this node is.
    pub presentity: Presentity,
    /// The realm it is in.
    pub realm: Realm,
    /// What it does in this run.
    pub roles: Arc<[Role]>,
    commands: mpsc::Sender<Command>,
    events: Arc<EventLog>,
}

impl MeshHandle {
    pub(super) fn new(
        presentity: Presentity,
        realm: Realm,
        roles: Arc<[Role]>,
        events: Arc<EventLog>,
    ) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMANDS_WAITING_MAX);
        (Self { presentity, realm, roles, commands, events }, receiver)
    }

    /// What this node is at the moment.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn overview(&self) -> Result<Overview, Stopped> {
        self.ask(Command::Overview).await
    }

    /// Everybody known, this node's own presentity among them, in the order of their keys.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn presentities(&self) -> Result<Vec<PresentityView>, Stopped> {
        self.ask(Command::Presentities).await
    }

    /// The document that this node's PRINCIPAL set.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn own_information(&self) -> Result<PresenceInformation, Stopped> {
        self.ask(Command::OwnInformation).await
    }

    /// Replaces the document of this node's PRINCIPAL and publishes it.
    ///
    /// # Errors
    /// Why the document cannot be published; then the old one stands.
    pub async fn set_information(
        &self,
        information: PresenceInformation,
    ) -> Result<PresentityView, SetError> {
        self.ask(|reply| Command::SetInformation(information, reply)).await?
    }

    /// Changes the document of this node's PRINCIPAL and publishes it.
    ///
    /// # Errors
    /// Why the change cannot be made; then the old one stands.
    pub async fn change_presence(&self, change: PresenceChange) -> Result<PresentityView, SetError> {
        self.ask(|reply| Command::ChangePresence(change, reply)).await?
    }

    /// Asks `presentity`'s node to change its document.
    ///
    /// # Errors
    /// Why it did not; if no answer came it may have, all the same.
    pub async fn update(&self, presentity: Presentity, change: PresenceChange) -> Result<(), UpdateError> {
        self.ask(|reply| Command::Update(presentity, change, reply)).await?
    }

    /// Who else may update this node's PRESENCE INFORMATION.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn delegates(&self) -> Result<Delegates, Stopped> {
        self.ask(Command::Delegates).await
    }

    /// Lets somebody else update these tuples of this node's PRESENCE INFORMATION, or all of it if none is
    /// named, from now on and over restarts; with no set at all, nothing. Whether something changed by that.
    ///
    /// # Errors
    /// If there are too many, or it could not be stored; then what was stands.
    pub async fn set_delegate(
        &self,
        delegate: Presentity,
        tuples: Option<BTreeSet<Token>>,
    ) -> Result<bool, SetDelegateError> {
        self.ask(|reply| Command::SetDelegate(delegate, tuples, reply)).await?
    }

    /// Asks `presentity`'s node for its PRESENCE INFORMATION, once. If that node cannot be reached within
    /// its bound the last known state is given instead.
    ///
    /// # Errors
    /// [`FetchError::Unknown`] if it was never heard of and cannot be reached.
    pub async fn fetch(&self, presentity: Presentity) -> Result<Fetched, FetchError> {
        self.ask(|reply| Command::Fetch(presentity, reply)).await?
    }

    /// Subscribes to `presentity` until [`Self::unwatch`]; idempotent. The changes are events.
    ///
    /// # Errors
    /// [`WatchError::TooMany`], or [`WatchError::Stopped`].
    pub async fn watch(&self, presentity: Presentity) -> Result<(), WatchError> {
        self.ask(|reply| Command::Watch(presentity, reply)).await?
    }

    /// Ends a subscription; whether there was one.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn unwatch(&self, presentity: Presentity) -> Result<bool, Stopped> {
        self.ask(|reply| Command::Unwatch(presentity, reply)).await
    }

    /// Who watches this node's presentity, and whom this node watches.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn subscriptions(&self) -> Result<Subscriptions, Stopped> {
        self.ask(Command::Subscriptions).await
    }

    /// Sends an INSTANT MESSAGE and waits for its outcome. A queued one answers [`Sent::Queued`] as soon
    /// as the recipient turns out to be out of reach.
    ///
    /// # Errors
    /// What is wrong with the message; then nothing was sent or stored.
    pub async fn send(&self, draft: Draft) -> Result<(MessageId, Sent), SendError> {
        self.ask(|reply| Command::Send(draft, reply)).await?
    }

    /// Messages of the inbox after `cursor`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// If the store cannot be read, or the mesh has ended.
    pub async fn inbox(&self, cursor: u64, limit: usize) -> Result<Vec<InboxEntry>, InboxError> {
        Ok(self.ask(|reply| Command::Inbox(cursor, limit, reply)).await??)
    }

    /// Messages of the inbox whose id begins with `id_prefix`, at most two.
    ///
    /// # Errors
    /// If the store cannot be read, or the mesh has ended.
    pub async fn inbox_by_id(&self, id_prefix: String) -> Result<Vec<InboxEntry>, InboxError> {
        Ok(self.ask(|reply| Command::InboxById(id_prefix, reply)).await??)
    }

    /// Notes that the PRINCIPAL saw a message; whether it was there.
    ///
    /// # Errors
    /// If the store cannot be written, or the mesh has ended.
    pub async fn mark_read(&self, key: MessageKey) -> Result<bool, InboxError> {
        Ok(self.ask(|reply| Command::MarkRead(key, reply)).await??)
    }

    /// Deletes a message durably; whether it was there.
    ///
    /// # Errors
    /// If the store cannot be written, or the mesh has ended.
    pub async fn delete_message(&self, key: MessageKey) -> Result<bool, InboxError> {
        Ok(self.ask(|reply| Command::DeleteMessage(key, reply)).await??)
    }

    /// Queued messages and what became of those that were, oldest first.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn outbox(&self) -> Result<Vec<OutboxEntry>, Stopped> {
        self.ask(Command::Outbox).await
    }

    /// Withdraws a queued message; false if none of this id is waiting. One that is under way at this
    /// moment may still arrive.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn cancel(&self, id: MessageId) -> Result<bool, Stopped> {
        self.ask(|reply| Command::Cancel(id, reply)).await
    }

    /// The DELIVERY RULES of the inbox.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn delivery_rules(&self) -> Result<DeliveryRules, Stopped> {
        self.ask(Command::DeliveryRules).await
    }

    /// Sets a DELIVERY RULE, which holds for the next message and over restarts.
    ///
    /// # Errors
    /// What is wrong with it, or why it could not be stored; then the old one stands.
    pub async fn put_delivery_rule(&self, whose: Whose, rule: DeliveryRule) -> Result<(), RuleError> {
        self.ask(|reply| Command::PutDeliveryRule(whose, rule, reply)).await?
    }

    /// Goes back to what holds where no rule was set; whether one was.
    ///
    /// # Errors
    /// If the store cannot be written, or the mesh has ended.
    pub async fn remove_delivery_rule(&self, whose: Whose) -> Result<bool, RuleError> {
        self.ask(|reply| Command::RemoveDeliveryRule(whose, reply)).await?
    }

    /// The ACCESS RULES of this node's presentity.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn access_rules(&self) -> Result<AccessRules, Stopped> {
        self.ask(Command::AccessRules).await
    }

    /// Sets an ACCESS RULE, which holds at once and over restarts; with none the default holds again.
    ///
    /// # Errors
    /// What is wrong with it, or why it could not be stored; then the old one stands.
    pub async fn put_access_rule(
        &self,
        audience: Audience,
        rule: Option<AccessRule>,
    ) -> Result<(), AccessRuleFailure> {
        self.ask(|reply| Command::SetAccessRules(vec![(audience, rule)], reply)).await?
    }

    /// Sets all ACCESS RULES together, and takes back those that are not among them.
    ///
    /// # Errors
    /// What is wrong with them, or why they could not be stored; then the old ones stand.
    pub async fn replace_access_rules(&self, rules: AccessRules) -> Result<(), AccessRuleFailure> {
        self.ask(|reply| Command::ReplaceAccessRules(rules, reply)).await?
    }

    /// Who asked for this node's PRESENCE INFORMATION lately.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn watchers(&self) -> Result<Vec<(Presentity, Watcher)>, Stopped> {
        self.ask(Command::Watchers).await
    }

    /// Asks `presentity`'s node who watches it, as far as this node may see; nothing if no answer comes.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn fetch_watchers(
        &self,
        presentity: Presentity,
    ) -> Result<Option<Vec<WatcherReport>>, Stopped> {
        self.ask(|reply| Command::FetchWatchers(presentity, reply)).await
    }

    /// Watches who watches `presentity`, until [`Self::unwatch_watchers`]; idempotent. What changes comes as
    /// [`super::events::Event::Watcher`].
    ///
    /// # Errors
    /// [`WatchError::TooMany`], or [`WatchError::Stopped`].
    pub async fn watch_watchers(&self, presentity: Presentity) -> Result<(), WatchError> {
        self.ask(|reply| Command::WatchWatchers(presentity, reply)).await?
    }

    /// Ends that; whether there was something to end.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn unwatch_watchers(&self, presentity: Presentity) -> Result<bool, Stopped> {
        self.ask(|reply| Command::UnwatchWatchers(presentity, reply)).await
    }

    /// The VISIBILITY RULES: who else may see whom this node watches.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn visibility(&self) -> Result<VisibleTo, Stopped> {
        self.ask(Command::Visibility).await
    }

    /// Sets the VISIBILITY RULES, which hold at once and over restarts.
    ///
    /// # Errors
    /// If they name too many, or could not be stored; then the old ones stand.
    pub async fn set_visibility(&self, visible_to: VisibleTo) -> Result<(), VisibilityError> {
        self.ask(|reply| Command::SetVisibility(visible_to, reply)).await?
    }

    /// The petnames.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn contacts(&self) -> Result<Vec<StoredContact>, Stopped> {
        self.ask(Command::Contacts).await
    }

    /// Lets `contact.petname` stand for `contact.presentity`, durably.
    ///
    /// # Errors
    /// If the store cannot be written or holds too many petnames, or the mesh has ended.
    pub async fn put_contact(&self, contact: StoredContact) -> Result<(), ContactError> {
        self.ask(|reply| Command::PutContact(contact, reply)).await?
    }

    /// Removes a petname durably; whether there was one.
    ///
    /// # Errors
    /// If the store cannot be written, or the mesh has ended.
    pub async fn remove_contact(&self, petname: String) -> Result<bool, ContactError> {
        self.ask(|reply| Command::RemoveContact(petname, reply)).await?
    }

    /// The events after `cursor`, or from now on, without end until the mesh ends.
    pub fn events(&self, cursor: Option<EventCursor>) -> EventStream {
        self.events.stream(cursor)
    }

    /// Leaves the mesh: publishes the departing record, flushes the store and ends. Returns when done.
    pub async fn shut_down(&self) {
        // An error means that it has ended already.
        let _ = self.ask(Command::ShutDown).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.clone().send(command(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}

/// What a process may be to others: RFC 2778's SERVER is what does the first two for a PRESENTITY and its
/// INSTANT INBOX, and the node is its own; with the last it is a PROXY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It shows a PRESENTITY.
    Presentity,
    /// It keeps an INSTANT INBOX.
    Inbox,
    /// It gives the records of others that it knows to whoever asks.
    Cache,
    /// It relays circuits.
    Relay,
}

/// What a node is at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The boot counter.
    pub incarnation: u64,
    /// Addresses it listens on.
    pub listen: Vec<Multiaddr>,
    /// Relays through which it is reached.
    pub relayed_by: Vec<PeerId>,
    /// Nodes it holds a connection with.
    pub connected: usize,
    /// Messages in the inbox.
    pub inbox_messages: u64,
    /// Statements of others that were not taken over, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

/// The answer to a FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The state.
    pub view: PresentityView,
    /// Whether the presentity's own node gave it just now, or it is the last known.
    pub direct: bool,
}

impl Fetched {
    /// `hides` if this node hides that it watches.
    pub(super) fn new(
        view: Option<PresentityView>,
        outcome: FetchOutcome,
        hides: bool,
    ) -> Result<Self, FetchError> {
        match outcome {
            FetchOutcome::Refused => Err(FetchError::Refused { hides }),
            FetchOutcome::Unconfirmed => Err(FetchError::Unconfirmed),
            FetchOutcome::TooFast { retry_after_ms } => Err(FetchError::TooFast { retry_after_ms }),
            FetchOutcome::Direct | FetchOutcome::Unanswered => {
                let direct = outcome == FetchOutcome::Direct;
                view.map(|view| Self { view, direct }).ok_or(FetchError::Unknown)
            }
        }
    }
}

/// What became of a message when `send` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The final outcome.
    Final(Delivery),
    /// It is in the durable outbox and goes out when the recipient is in reach.
    Queued,
}

/// The mesh has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the node is stopping")]
pub struct Stopped;

/// Why a document was not published. The old one stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetError {
    /// The change makes no document.
    #[error(transparent)]
    Change(#[from] PresenceChangeError),
    /// A limit of the document.
    #[error(transparent)]
    Information(#[from] InformationError),
    /// All of it together is over the record's limit.
    #[error(
        "the presence document is too large: its record would be {found} bytes, and {limit} are allowed; \
         shorten notes or remove tuples"
    )]
    RecordTooLarge {
        /// What the record would be.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why another's document was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UpdateError {
    /// This node may not change it, or not so much of it.
    #[error("they do not let you change that; `here delegates allow` on their node would")]
    Refused,
    /// It makes no document that can be published.
    #[error("their node does not take it: {reason}")]
    Invalid {
        /// What their node says.
        reason: String,
    },
    /// No answer.
    #[error("their node gave no answer; `here fetch` shows what became of it")]
    Unanswered,
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why who may update this node's document stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetDelegateError {
    /// A limit.
    #[error(transparent)]
    Delegate(#[from] DelegateError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a FETCH gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FetchError {
    /// Never heard of, and not in reach.
    #[error("nothing is known of this presentity and its node cannot be reached")]
    Unknown,
    /// The presentity's ACCESS RULES refuse it.
    #[error("they do not let you see their presence{}", perhaps_for_that(*hides))]
    Refused {
        /// Whether this node hides that it watches, which may be why.
        hides: bool,
    },
    /// The presentity's PRINCIPAL decides on each watcher, and has not yet on this one.
    #[error("they decide on each watcher, and not yet on you; `here watch` asks them")]
    Unconfirmed,
    /// Asked too often.
    #[error("asked too often; their node answers again in {retry_after_ms} ms")]
    TooFast {
        /// When it may be asked again.
        retry_after_ms: u64,
    },
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

const fn perhaps_for_that(hides: bool) -> &'static str {
    if hides { ", perhaps since you hide that you watch; `here visibility unhide` ends that" } else { "" }
}

/// Why a SUBSCRIPTION was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WatchError {
    /// The limit of watched presentities is reached.
    #[error("{limit} presentities are watched already, which is the limit; end one of them first")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a message was not even tried. Nothing was sent or stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// The message is not even tried.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// The message could not be queued durably.
    #[error("the message could not be stored: {0}")]
    Storage(String),
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why the inbox could not be used.
#[derive(Debug, Error)]
pub enum InboxError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why the petnames could not be changed.
#[derive(Debug, Error)]
pub enum ContactError {
    /// There are as many as there may be.
    #[error("{limit} petnames are kept already, which is the limit; remove one first")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a DELIVERY RULE could not be changed.
#[derive(Debug, Error)]
pub enum RuleError {
    /// The rule breaks a limit.
    #[error(transparent)]
    Rule(#[from] DeliveryRuleError),
    /// As many senders have a rule of their own as may.
    #[error("{limit} senders have a rule of their own already, which is the limit; forget one first")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why an ACCESS RULE could not be changed. The old one stands.
#[derive(Debug, Error)]
pub enum AccessRuleFailure {
    /// The rule breaks a limit.
    #[error(transparent)]
    Rule(#[from] AccessRuleError),
    /// All of it together is over the record's limit.
    #[error(
        "with the views that this rule makes the record would be {found} bytes, and {limit} are allowed; \
         grant the same to several, or shorten notes"
    )]
    RecordTooLarge {
        /// What the record would be.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why the VISIBILITY RULES could not be changed. The old ones stand.
#[derive(Debug, Error)]
pub enum VisibilityError {
    /// They name more than there is room for in each request.
    #[error("you can hide from at most {HIDDEN_FROM_MAX}; hide from everybody instead")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The mesh has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What a handle asks of the driver, with where the answer goes.
#[derive(Debug)]
pub(super) enum Command {
    Overview(oneshot::Sender<Overview>),
    Presentities(oneshot::Sender<Vec<PresentityView>>),
    OwnInformation(oneshot::Sender<PresenceInformation>),
    ChangePresence(PresenceChange, oneshot::Sender<Result<PresentityView, SetError>>),
    Update(Presentity, PresenceChange, oneshot::Sender<Result<(), UpdateError>>),
    Delegates(oneshot::Sender<Delegates>),
    SetDelegate(Presentity, Option<BTreeSet<Token>>, oneshot::Sender<Result<bool, SetDelegateError>>),
    SetInformation(PresenceInformation, oneshot::Sender<Result<PresentityView, SetError>>),
    Fetch(Presentity, oneshot::Sender<Result<Fetched, FetchError>>),
    Watch(Presentity, oneshot::Sender<Result<(), WatchError>>),
    Unwatch(Presentity, oneshot::Sender<bool>),
    Subscriptions(oneshot::Sender<Subscriptions>),
    Send(Draft, oneshot::Sender<Result<(MessageId, Sent), SendError>>),
    Inbox(u64, usize, oneshot::Sender<Result<Vec<InboxEntry>, StorageError>>),
    InboxById(String, oneshot::Sender<Result<Vec<InboxEntry>, StorageError>>),
    MarkRead(MessageKey, oneshot::Sender<Result<bool, StorageError>>),
    DeleteMessage(MessageKey, oneshot::Sender<Result<bool, StorageError>>),
    Outbox(oneshot::Sender<Vec<OutboxEntry>>),
    Cancel(MessageId, oneshot::Sender<bool>),
    AccessRules(oneshot::Sender<AccessRules>),
    SetAccessRules(Vec<SetAccessRule>, oneshot::Sender<Result<(), AccessRuleFailure>>),
    ReplaceAccessRules(AccessRules, oneshot::Sender<Result<(), AccessRuleFailure>>),
    Watchers(oneshot::Sender<Vec<(Presentity, Watcher)>>),
    FetchWatchers(Presentity, oneshot::Sender<Option<Vec<WatcherReport>>>),
    WatchWatchers(Presentity, oneshot::Sender<Result<(), WatchError>>),
    UnwatchWatchers(Presentity, oneshot::Sender<bool>),
    Visibility(oneshot::Sender<VisibleTo>),
    SetVisibility(VisibleTo, oneshot::Sender<Result<(), VisibilityError>>),
    Contacts(oneshot::Sender<Vec<StoredContact>>),
    PutContact(StoredContact, oneshot::Sender<Result<(), ContactError>>),
    RemoveContact(String, oneshot::Sender<Result<bool, ContactError>>),
    DeliveryRules(oneshot::Sender<DeliveryRules>),
    PutDeliveryRule(Whose, DeliveryRule, oneshot::Sender<Result<(), RuleError>>),
    RemoveDeliveryRule(Whose, oneshot::Sender<Result<bool, RuleError>>),
    ShutDown(oneshot::Sender<()>),
}

/// Commands that may wait for the driver at the same time.
pub const COMMANDS_WAITING_MAX: usize = 256;
