//! The driver: carries what happens on the swarm into the node, and what the node wants out to the swarm.
//!
//! One loop, one event at a time, in this order when several are ready: commands, the store, hosts that
//! were tried, what is due, the network. After each, everything that the node and the overlay put out is
//! carried out, and the next deadline is set. Local work thus comes before remote work, and a flood from
//! outside cannot starve it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::{BoxFuture, Either, select},
    stream::FuturesUnordered,
};
use futures_timer::Delay;
use hereabouts_protocol::{
    durable::{Change, Durability, KnownPeer, OutboxState, Outcome},
    identity::Presentity,
    message::instant_message::{Delivery, MessageId},
    node::{
        FetchToken, GossipToken, Node, NodeInput, NodeOutput, Notice, OutgoingRequest, PersistToken,
        RequestToken, Response, ResponseToken, SentOutcome, UpdateToken, WatchersToken,
    },
    overlay::{
        address::Address,
        duty::Duty,
        links::{DialFailure, Overlay, OverlayOutput},
        strangers::Strangers,
    },
    presence::{
        delegates::Delegates,
        liveness::{CHECK_WAIT, Reach},
        record::Reaction,
        service::Transition,
    },
    time::Timestamp,
    wire::frames::{MessageResponse, PresenceResponse, UpdateAnswer, WatcherReport},
};
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError, gossipsub,
    request_response::{OutboundRequestId, ResponseChannel},
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{
    addresses,
    behaviour::{Behaviour, Reported, topic},
    clock::Clock,
    discovery::Discovery,
    events::{Event, EventLog},
    handle::{Command, FetchError, Fetched, SendError, Sent, UpdateError},
    probe::{self, Sign},
    transport::ReachHost,
};
use crate::storage::{InboxEntry, Storage, StorageError};

mod commands;
mod discovering;
mod network;
mod relaying;

pub(super) use self::relaying::RelaysInUse;

/// One node at work.
pub(super) struct Driver<D: Discovery, S, C> {
    swarm: Swarm<Behaviour<D>>,
    node: Node,
    overlay: Overlay<ConnectionId>,
    duty: Duty,
    strangers: Strangers,
    relaying: RelaysInUse,
    storage: S,
    clock: C,
    commands: mpsc::Receiver<Command>,
    events: Arc<EventLog>,
    topic: gossipsub::IdentTopic,
    listen: BTreeSet<Multiaddr>,
    /// A record that nobody was there to take.
    unpublished: Option<Vec<u8>>,
    gossiped: BTreeMap<GossipToken, (gossipsub::MessageId, PeerId)>,
    presence_requests: BTreeMap<OutboundRequestId, RequestToken>,
    message_requests: BTreeMap<OutboundRequestId, RequestToken>,
    asked: BTreeMap<ResponseToken, Asked>,
    next_token: u64,
    /// Changes that may wait for company, gathered into one commit.
    lazily: Vec<Change>,
    /// Commits that wait for their turn.
    uncommitted: VecDeque<(Option<PersistToken>, Vec<Change>, Durability)>,
    /// Commits that the store has.
    committing: usize,
    storing: FuturesUnordered<BoxFuture<'static, StorageDone>>,
    reach: ReachHost,
    /// Hosts of peers that are being tried.
    reaching: FuturesUnordered<BoxFuture<'static, (Presentity, Reach)>>,
    reaching_now: BTreeSet<Presentity>,
    senders: BTreeMap<MessageId, oneshot::Sender<Result<(MessageId, Sent), SendError>>>,
    fetchers: BTreeMap<FetchToken, (Presentity, oneshot::Sender<Result<Fetched, FetchError>>)>,
    /// Who is to be able to update the document, while that is on its way to the disk.
    delegates: Option<Delegates>,
    updaters: BTreeMap<UpdateToken, oneshot::Sender<Result<(), UpdateError>>>,
    watcher_fetchers: BTreeMap<WatchersToken, oneshot::Sender<Option<Vec<WatcherReport>>>>,
    timer: Option<(Timestamp, Delay)>,
    /// When the store failed last that it was said, and how.
    troubled: Option<(Timestamp, String)>,
    leaving: Option<Leaving>,
}

/// A peer's request that awaits the node's answer.
enum Asked {
    Presence(ResponseChannel<PresenceResponse>),
    Message(ResponseChannel<MessageResponse>),
}

/// A finished piece of work of the store.
enum StorageDone {
    Committed(Option<PersistToken>, Result<Vec<Outcome>, StorageError>),
    Recalled(PersistToken, Result<bool, StorageError>),
    /// Done for a command; what is left to do on the driver's side.
    Command(commands::AfterStorage),
}

struct Leaving {
    /// Until then gossip is on its way to the wire, of which nothing is reported.
    flushed: Timestamp,
    until: Timestamp,
    reply: oneshot::Sender<()>,
}

enum Step {
    Command(Option<Command>),
    Stored(StorageDone),
    Reached(Presentity, Reach),
    Due,
}

impl<D: Discovery, S: Storage, C: Clock> Driver<D, S, C> {
    pub(super) fn new(
        swarm: Swarm<Behaviour<D>>,
        reach: ReachHost,
        node: Node,
        overlay: Overlay<ConnectionId>,
        duty: Duty,
        relaying: RelaysInUse,
        storage: S,
        clock: C,
        commands: mpsc::Receiver<Command>,
        events: Arc<EventLog>,
    ) -> Self {
        let topic = topic(node.realm());
        Self {
            swarm,
            node,
            overlay,
            duty,
            strangers: Strangers::default(),
            relaying,
            storage,
            clock,
            commands,
            events,
            topic,
            listen: BTreeSet::new(),
            unpublished: None,
            gossiped: BTreeMap::new(),
            presence_requests: BTreeMap::new(),
            message_requests: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_token: 0,
            lazily: Vec::new(),
            uncommitted: VecDeque::new(),
            committing: 0,
            storing: FuturesUnordered::new(),
            reach,
            reaching: FuturesUnordered::new(),
            reaching_now: BTreeSet::new(),
            senders: BTreeMap::new(),
            fetchers: BTreeMap::new(),
            delegates: None,
            updaters: BTreeMap::new(),
            watcher_fetchers: BTreeMap::new(),
            timer: None,
            troubled: None,
            leaving: None,
        }
    }

    /// Runs the node until it has left.
    pub(super) async fn run(mut self) {
        self.carry_out();
        while !self.has_left() {
            enum Ready<E> {
                Local(Step),
                Network(E),
            }
            let ready = std::future::poll_fn(|cx| match self.poll_local(cx) {
                Poll::Ready(step) => Poll::Ready(Ready::Local(step)),
                Poll::Pending => self
                    .swarm
                    .poll_next_unpin(cx)
                    .map(|event| Ready::Network(event.expect("a swarm's stream never ends"))),
            })
            .await;
            match ready {
                Ready::Local(Step::Command(Some(command))) => self.command(command),
                // Nobody can command this node any more: it leaves as if told to.
                Ready::Local(Step::Command(None)) => self.leave(oneshot::channel().0),
                Ready::Local(Step::Stored(done)) => self.stored(done),
                Ready::Local(Step::Reached(presentity, reach)) => {
                    self.reaching_now.remove(&presentity);
                    self.node.handle(self.clock.now(), NodeInput::Reached { presentity, reach });
                }
                Ready::Local(Step::Due) => {
                    // It has fired, and would go on to say so, before its deadline even if that was far.
                    self.timer = None;
                    let now = self.clock.now();
                    self.node.handle_timeout(now);
                    self.overlay.handle_timeout(now);
                    self.relaying.handle_timeout(now);
                    self.discovery_due(now);
                }
                Ready::Network(event) => self.network(event),
            }
            self.carry_out();
        }
        self.events.end();
        while let Some(done) = self.storing.next().await {
            self.stored(done);
        }
        // The swarm goes first: mDNS tasks outlive neither it nor the runtime.
        let Self { swarm, storage, leaving, .. } = self;
        drop(swarm);
        drop(storage);
        if let Some(Leaving { reply, .. }) = leaving {
            let _ = reply.send(());
        }
    }

    fn poll_local(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.leaving.is_none()
            && let Poll::Ready(command) = self.commands.poll_next_unpin(cx)
        {
            return Poll::Ready(Step::Command(command));
        }
        if let Poll::Ready(Some(done)) = self.storing.poll_next_unpin(cx) {
            return Poll::Ready(Step::Stored(done));
        }
        if let Poll::Ready(Some((presentity, reach))) = self.reaching.poll_next_unpin(cx) {
            return Poll::Ready(Step::Reached(presentity, reach));
        }
        match &mut self.timer {
            Some((_, delay)) => Pin::new(delay).poll_unpin(cx).map(|()| Step::Due),
            None => Poll::Pending,
        }
    }

    fn has_left(&self) -> bool {
        let now = self.clock.now();
        self.leaving.as_ref().is_some_and(|leaving| {
            leaving.until <= now || (leaving.flushed <= now && self.node.has_said_goodbye())
        })
    }

    fn leave(&mut self, reply: oneshot::Sender<()>) {
        let now = self.clock.now();
        self.node.handle_depart(now);
        self.leaving = Some(Leaving { flushed: now + FLUSH_TIME, until: now + GOODBYE_TIME, reply });
    }

    /// Carries out everything that the node and the overlay want, since each may cause the other to want
    /// more, and sets the next deadline.
    fn carry_out(&mut self) {
        self.discovery_outputs();
        loop {
            if let Some(output) = self.node.poll_output() {
                self.node_output(output);
            } else if let Some(output) = self.overlay.poll_output() {
                self.overlay_output(output);
            } else if let Some(relay) = self.relaying.poll_output() {
                self.reserve(relay);
            } else {
                break;
            }
        }
        if !self.lazily.is_empty() {
            let changes = std::mem::take(&mut self.lazily);
            self.commit(None, changes, Durability::Lazy);
        }
        let now = self.clock.now();
        let leaving = self.leaving.iter().flat_map(|leaving| [leaving.flushed, leaving.until]);
        let leaving = leaving.filter(|at| *at > now);
        let due = [self.node.poll_timeout(), self.overlay.poll_timeout(), self.relaying.poll_timeout()];
        let due = due.into_iter().flatten().chain(leaving).chain([self.discovery_timeout()]).min();
        if self.timer.as_ref().map(|(at, _)| *at) == due && due.is_some_and(|at| at > self.clock.now()) {
            return;
        }
        self.timer = due.map(|at| {
            // A machine that was suspended wakes up with its timers late: none is longer than this.
            let wait = at.since(self.clock.now()).min(SLEEP_MAX);
            (at, Delay::new(wait))
        });
    }

    fn node_output(&mut self, output: NodeOutput) {
        match output {
            NodeOutput::Publish(bytes) => self.publish(bytes),
            NodeOutput::Verdict { token, reaction } => self.verdict(token, reaction),
            NodeOutput::Request { token, to, request } => self.request(token, to, request),
            NodeOutput::Respond { token, response } => self.respond(token, response),
            NodeOutput::Persist { token, changes, durability } => match (token, durability) {
                (None, Durability::Lazy) => self.lazily.extend(changes),
                _ => self.commit(token, changes, durability),
            },
            NodeOutput::Discard { token } => drop(self.asked.remove(&token)),
            NodeOutput::Forward(bytes) => {
                // An error means that it went by already, or that nobody is there to take it.
                let _ = self.swarm.behaviour_mut().gossip().publish(self.topic.clone(), bytes);
            }
            NodeOutput::Rejected(presentity) => {
                self.overlay.handle_rejected(self.clock.now(), presentity.peer_id());
            }
            NodeOutput::Beat(presentity) => {
                self.swarm.behaviour_mut().probe.inner.send(presentity.peer_id(), Sign::Beat);
            }
            NodeOutput::Probe(presentity) => {
                self.swarm.behaviour_mut().probe.inner.send(presentity.peer_id(), Sign::Probe);
            }
            NodeOutput::Reach(presentity) => self.reach(presentity),
            NodeOutput::Disconnect(presentity) => {
                tracing::debug!(peer = %presentity.peer_id(), "silent");
                // It may be gone by now.
                let _ = self.swarm.disconnect_peer_id(presentity.peer_id());
            }
            NodeOutput::Lost(presentity) => {
                self.overlay.handle_lost(presentity.peer_id());
                self.relay_lost(&presentity.peer_id());
            }
            NodeOutput::Departed(presentity) => self.overlay.handle_departed(presentity.peer_id()),
            NodeOutput::Recall { token, key } => {
                let recall = self.storage.was_received(key);
                self.storing.push(recall.map(move |result| StorageDone::Recalled(token, result)).boxed());
            }
            NodeOutput::Fetched { token, outcome } => {
                if let Some((presentity, reply)) = self.fetchers.remove(&token) {
                    let view = self.node.view(self.clock.now(), &presentity);
                    let hides = self.node.visible_to().hides();
                    // A fetcher that went away needs no answer.
                    let _ = reply.send(Fetched::new(view, outcome, hides));
                }
            }
            NodeOutput::FetchedWatchers { token, watchers } => {
                if let Some(reply) = self.watcher_fetchers.remove(&token) {
                    let _ = reply.send(watchers);
                }
            }
            NodeOutput::Updated { token, answer } => {
                if let Some(reply) = self.updaters.remove(&token) {
                    let _ = reply.send(match answer {
                        Some(UpdateAnswer::Taken) => Ok(()),
                        Some(UpdateAnswer::Refused) => Err(UpdateError::Refused),
                        Some(UpdateAnswer::Invalid { reason }) => Err(UpdateError::Invalid { reason }),
                        None => Err(UpdateError::Unanswered),
                    });
                }
            }
            NodeOutput::Sent { id, outcome } => self.answer_sender(id, outcome),
            NodeOutput::Addresses { presentity, addresses } => {
                self.told_addresses(presentity.peer_id(), &addresses);
            }
            NodeOutput::Notice(notice) => self.notice(notice),
        }
    }

    /// Tries whether a peer's host takes connections, unless that is being tried.
    fn reach(&mut self, presentity: Presentity) {
        let mut addresses = written(self.overlay.reach_addresses(&presentity.peer_id()));
        addresses.retain(|address| !self.listen.contains(address));
        if addresses.is_empty() || self.reaching_now.len() >= REACHING_MAX {
            self.reaching.push(std::future::ready((presentity, Reach::Untried)).boxed());
            return;
        }
        if !self.reaching_now.insert(presentity) {
            return;
        }
        let mut tries: FuturesUnordered<_> = addresses.into_iter().map(&mut self.reach).collect();
        let reached = async move {
            let mut reach = Reach::Refused;
            while let Some(tried) = tries.next().await {
                match tried {
                    Ok(()) => return Reach::Accepted,
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => (),
                    Err(_) => reach = Reach::Silent,
                }
            }
            reach
        };
        let limit = Delay::new(CHECK_WAIT);
        let reached = select(Box::pin(reached), limit).map(move |first| match first {
            Either::Left((reach, _)) => (presentity, reach),
            Either::Right(_) => (presentity, Reach::Silent),
        });
        self.reaching.push(reached.boxed());
    }

    /// Hands a commit to the store, or lets it wait for its turn: the store refuses what its queue cannot
    /// hold. What waits here is bounded by the requests that peers may have under way.
    fn commit(&mut self, token: Option<PersistToken>, changes: Vec<Change>, durability: Durability) {
        self.uncommitted.push_back((token, changes, durability));
        self.commit_next();
    }

    fn commit_next(&mut self) {
        while self.committing < COMMITS_UNDER_WAY_MAX
            && let Some((token, changes, durability)) = self.uncommitted.pop_front()
        {
            self.committing += 1;
            let commit = self.storage.commit(changes, durability);
            self.storing.push(commit.map(move |result| StorageDone::Committed(token, result)).boxed());
        }
    }

    fn answer_sender(&mut self, id: MessageId, outcome: SentOutcome) {
        if let Some(reply) = self.senders.remove(&id) {
            let answer = match outcome {
                SentOutcome::Final(delivery) => Ok((id, Sent::Final(delivery))),
                SentOutcome::Queued => Ok((id, Sent::Queued)),
                SentOutcome::NotStored => Err(SendError::Storage("the store failed".to_owned())),
            };
            // A sender that went away needs no answer.
            let _ = reply.send(answer);
        }
    }

    fn notice(&mut self, notice: Notice) {
        let event = match notice {
            Notice::Transition(view, transition) => {
                tracing::info!(presentity = ?view.presentity, ?transition, "presence");
                match transition {
                    Transition::Appeared => Event::Appeared(view),
                    Transition::Changed => Event::Changed(view),
                    Transition::Left => Event::Left(view),
                    Transition::Suspected => Event::Suspected(view),
                    Transition::Cleared => Event::Cleared(view),
                    Transition::Lost => Event::Lost(view),
                    Transition::Returned => {
                        self.duty.handle_returned(self.clock.now());
                        Event::Returned(view)
                    }
                    Transition::Unsteady => Event::Unsteady(view),
                    Transition::Steady => Event::Steady(view),
                }
            }
            Notice::Message { stored, cursor } => Event::Message(InboxEntry { cursor, stored, read: false }),
            Notice::Finished { id, to, state } => {
                match state {
                    OutboxState::Delivered => self.answer_sender(id, SentOutcome::Final(Delivery::Delivered)),
                    OutboxState::Failed(reason) => {
                        self.answer_sender(id, SentOutcome::Final(Delivery::Failed(reason)));
                    }
                    OutboxState::Queued | OutboxState::Expired | OutboxState::Cancelled => {
                        self.answer_sender(id, SentOutcome::Queued);
                    }
                }
                Event::Delivery { id, to, state }
            }
            Notice::Watcher { of, watcher, gone } => Event::Watcher { of, watcher, gone },
            Notice::Updated { by } => Event::Updated { by },
            Notice::Subscriber { presentity, state, event } => Event::Subscriber { presentity, state, event },
            Notice::Trouble(text) => Event::Trouble(text),
        };
        self.log(event);
    }

    fn log(&self, event: Event) {
        let at = self.clock.wall_clock().unix(self.clock.now());
        self.events.append(at, event);
    }

    /// Says that the store failed, but not each time: a full disk fails every few seconds.
    fn storage_trouble(&mut self, error: &StorageError) {
        let (now, text) = (self.clock.now(), error.to_string());
        let said =
            self.troubled.as_ref().is_some_and(|(at, said)| *said == text && now.since(*at) < TROUBLE_AGAIN);
        if !said {
            self.troubled = Some((now, text.clone()));
            self.log(Event::Trouble(text));
        }
    }

    fn stored(&mut self, done: StorageDone) {
        let now = self.clock.now();
        match done {
            StorageDone::Committed(token, result) => {
                self.committing -= 1;
                self.commit_next();
                let outcomes = result.map_err(|error| self.storage_trouble(&error)).ok();
                match token {
                    Some(token) => self.node.handle(now, NodeInput::Persisted { token, outcomes }),
                    None if outcomes.is_none() => self.node.handle(now, NodeInput::NotPersisted),
                    None => (),
                }
            }
            StorageDone::Recalled(token, result) => {
                let stored = result.map_err(|error| self.storage_trouble(&error)).ok();
                self.node.handle(now, NodeInput::Recalled { token, stored });
            }
            StorageDone::Command(after) => self.after_storage(now, after),
        }
    }

    fn overlay_output(&mut self, output: OverlayOutput<ConnectionId>) {
        let now = self.clock.now();
        match output {
            OverlayOutput::Dial { peer, addresses } => {
                let addresses = written(addresses);
                let options = DialOpts::peer_id(peer).addresses(addresses).allocate_new_port();
                // A circuit is no link, and in nobody's way.
                let has_circuit = self.relaying.has_circuit(&peer);
                let options =
                    if has_circuit { options.condition(PeerCondition::NotDialing) } else { options };
                if let Err(error) = self.swarm.dial(options.build()) {
                    self.dial_failed(now, peer, &error);
                }
            }
            OverlayOutput::DialGiven { address, named } => self.dial_given(now, address, named),
            OverlayOutput::Close(connection) => {
                self.swarm.close_connection(connection);
            }
            OverlayOutput::Block(peer) => {
                tracing::info!(%peer, "blocked: it is not of this realm, or misbehaved");
                self.swarm.behaviour_mut().blocked.block_peer(peer);
                // An error means that it is gone already.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
            OverlayOutput::Unblock(peer) => {
                self.swarm.behaviour_mut().blocked.unblock_peer(peer);
            }
            OverlayOutput::LinkEstablished { peer, dialled } => {
                self.relay_linked(now, peer);
                if let Some(presentity) = Presentity::from_peer_id(&peer) {
                    self.node.handle(now, NodeInput::LinkEstablished { presentity, dialled });
                }
            }
            OverlayOutput::LinkDown { peer } => {
                self.duty.handle_link_lost(now);
                self.relay_link_down(&peer);
                if let Some(presentity) = Presentity::from_peer_id(&peer) {
                    self.node.handle(now, NodeInput::LinkDown { presentity });
                }
            }
            OverlayOutput::Unreachable { peer, was_linked, refused } => {
                if !was_linked && self.has_linked_relay(&peer) {
                    return;
                }
                if let Some(presentity) = Presentity::from_peer_id(&peer) {
                    self.node.handle(now, NodeInput::Unreachable { presentity, was_linked, refused });
                }
            }
            OverlayOutput::Reached { peer, address } => {
                if let Some(presentity) = Presentity::from_peer_id(&peer) {
                    let connected_at = self.clock.wall_clock().unix(now);
                    let address = addresses::written(address).to_vec();
                    let known = KnownPeer { presentity, address, connected_at };
                    self.lazily.push(Change::KnownPeer(known));
                }
            }
        }
    }

    fn dial_given(&mut self, now: Timestamp, address: Address, named: Option<PeerId>) {
        let multiaddr = addresses::written(address);
        let options = match named {
            Some(peer) => DialOpts::peer_id(peer).addresses(vec![multiaddr]).allocate_new_port().build(),
            None => DialOpts::unknown_peer_id().address(multiaddr).allocate_new_port().build(),
        };
        let connection = options.connection_id();
        self.overlay.handle_given_dialling(address, named, connection);
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(?address, %error, "given address not dialled");
            self.overlay.handle_given_failed(now, connection);
        }
    }

    fn dial_failed(&mut self, now: Timestamp, peer: PeerId, error: &DialError) {
        tracing::debug!(%peer, %error, "dial failed");
        let failure = match error {
            DialError::Transport(errors) if is_refused(errors) => DialFailure::Refused,
            DialError::Transport(_) | DialError::NoAddresses => DialFailure::Unreachable,
            DialError::WrongPeerId { address, .. } => {
                if let Some(address) = addresses::understood(address) {
                    self.overlay.handle_wrong_peer(peer, address);
                }
                DialFailure::Refused
            }
            DialError::LocalPeerId { .. }
            | DialError::DialPeerConditionFalse(_)
            | DialError::Aborted
            | DialError::Denied { .. } => DialFailure::Own,
        };
        self.overlay.handle_dial_failed(now, peer, failure);
    }

    fn publish(&mut self, bytes: Vec<u8>) {
        match self.swarm.behaviour_mut().gossip().publish(self.topic.clone(), bytes.clone()) {
            Ok(_) => self.unpublished = None,
            Err(gossipsub::PublishError::NoPeersSubscribedToTopic) => self.unpublished = Some(bytes),
            // The neighbours take it by comparing tables.
            Err(error) => tracing::debug!(%error, "not published"),
        }
    }

    fn verdict(&mut self, token: GossipToken, reaction: Reaction) {
        let Some((id, source)) = self.gossiped.remove(&token) else { return };
        let acceptance = match reaction {
            Reaction::Accept => gossipsub::MessageAcceptance::Accept,
            Reaction::Ignore => gossipsub::MessageAcceptance::Ignore,
            Reaction::Reject => gossipsub::MessageAcceptance::Reject,
        };
        self.swarm.behaviour_mut().gossip().report_message_validation_result(&id, &source, acceptance);
        if reaction == Reaction::Reject {
            self.overlay.handle_rejected(self.clock.now(), source);
        }
    }

    fn request(&mut self, token: RequestToken, to: Presentity, request: OutgoingRequest) {
        let peer = to.peer_id();
        let ways = self.ways_to(&peer);
        if !ways.is_empty() && !self.swarm.is_connected(&peer) {
            // Dialled here and not by the request itself, which would ask every behaviour for further
            // addresses: mDNS remembers those of nodes that are long gone, and QUIC is slow to notice.
            let options = DialOpts::peer_id(peer).addresses(ways.clone()).allocate_new_port();
            // The overlay may be dialling it where nothing answers, and knows of no circuit.
            let is_urgent = ways.iter().any(addresses::is_circuit);
            let options = if is_urgent { options.condition(PeerCondition::Disconnected) } else { options };
            if let Err(error) = self.swarm.dial(options.build()) {
                tracing::debug!(%peer, %error, "not dialled for a request");
            }
        }
        match request {
            OutgoingRequest::Presence(request) => {
                let behaviour = &mut self.swarm.behaviour_mut().presence;
                let id = behaviour.send_request_with_addresses(&peer, request, ways);
                self.presence_requests.insert(id, token);
            }
            OutgoingRequest::Message(request) => {
                let behaviour = &mut self.swarm.behaviour_mut().message;
                let id = behaviour.send_request_with_addresses(&peer, request, ways);
                self.message_requests.insert(id, token);
            }
        }
    }

    fn respond(&mut self, token: ResponseToken, response: Response) {
        // A peer that went away meanwhile gets no answer; it counts the outcome as unknown.
        match (self.asked.remove(&token), response) {
            (Some(Asked::Presence(channel)), Response::Presence(response)) => {
                let _ = self.swarm.behaviour_mut().presence.send_response(channel, response);
            }
            (Some(Asked::Message(channel)), Response::Message(response)) => {
                let _ = self.swarm.behaviour_mut().message.send_response(channel, response);
            }
            (Some(_), _) => unreachable!("the node answers on the protocol it was asked on"),
            (None, _) => (),
        }
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }
}

fn written(addresses: Vec<Address>) -> Vec<Multiaddr> {
    addresses.into_iter().map(addresses::written).collect()
}

/// Whether the hosts of a peer, as far as it was dialled directly, said that nobody listens there.
fn is_refused(errors: &[(Multiaddr, TransportError<io::Error>)]) -> bool {
    let mut direct = errors.iter().filter(|(address, _)| !addresses::is_circuit(address)).peekable();
    direct.peek().is_some() && direct.all(|(_, error)| is_refusal(error))
}

/// Whether the host at an address said that nobody listens there, at whatever depth libp2p tells it.
fn is_refusal(error: &TransportError<io::Error>) -> bool {
    let TransportError::Other(error) = error else { return false };
    let refuses = |error: &(dyn std::error::Error + 'static)| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    let inner = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    let causes = std::iter::successors(inner, |error| match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
        None => error.source(),
    });
    refuses(error) || causes.into_iter().any(refuses)
}

/// Hosts that are tried at the same time, at three addresses at the most.
const REACHING_MAX: usize = 128;
/// How long gossip may take from being published to being written.
const FLUSH_TIME: Duration = Duration::from_millis(50);
/// How long a goodbye may take: neighbours on a LAN answer within milliseconds.
const GOODBYE_TIME: Duration = Duration::from_millis(500);
/// Commits that the store has at the same time: enough to share every fsync, and below its queue.
const COMMITS_UNDER_WAY_MAX: usize = 512;
const TROUBLE_AGAIN: Duration = Duration::from_secs(60);
const SLEEP_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use libp2p::{
        Transport as _,
        core::{
            Endpoint,
            transport::{DialOpts, PortUse},
        },
        identity::Keypair,
    };

    use super::*;
    use crate::mesh::transport;

    #[tokio::test]
    async fn a_refusal_is_told_from_other_failures_of_a_dial() {
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{free}").parse().unwrap();
        let mut transport = transport::lan(&Keypair::generate_ed25519()).unwrap();
        let error = transport.dial(address.clone(), options).unwrap().await.unwrap_err();
        assert!(is_refusal(&TransportError::Other(error)), "over the whole transport");
        let mut reach = transport::lan_reach();
        assert_eq!(reach(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let timeout = TransportError::Other(io::Error::other(io::Error::from(io::ErrorKind::TimedOut)));
        assert!(!is_refusal(&timeout));
    }
}
