//! A mesh of nodes in one thread: outputs become inputs, time jumps from event to event, disks are lists.
//!
//! Whatever a test does, the harness holds every node to its contract: no view goes back, no deadline stays
//! behind, every frame fits its limit and survives its encoding, nothing that was stored is stored twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libp2p_identity::Keypair;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::disk::Disk;
use crate::{
    durable::{Change, OutboxState},
    identity::{Presentity, Realm},
    message::{
        instant_message::MessageId,
        outbox::{Draft, Recipient},
    },
    node::{
        FetchToken, GossipToken, Node, NodeConfig, NodeInput, NodeLimits, NodeOutput, Notice,
        OutgoingRequest, PersistToken, RequestFailure, RequestToken, Response, ResponseToken, SentOutcome,
    },
    presence::{
        record::{PresenceRecord, Reaction, Version},
        service::{ContactState, Evidence, Transition},
    },
    testing::{CLOCK, information, keypair, presentity},
    time::{Timestamp, UnixTime, WallClock},
    wire::{
        codec,
        frames::{
            MESSAGE_REQUEST_BYTES_MAX, MESSAGE_RESPONSE_BYTES_MAX, PRESENCE_REQUEST_BYTES_MAX,
            PRESENCE_RESPONSE_BYTES_MAX,
        },
    },
};

/// Nodes, numbered from 0, their disks, and the network between them.
pub(super) struct Mesh {
    pub(super) now: Timestamp,
    pub(super) faults: Faults,
    seats: Vec<Seat>,
    links: BTreeSet<(usize, usize)>,
    events: BTreeMap<(Timestamp, u64), Event>,
    events_made: u64,
    random: StdRng,
}

/// What goes wrong, as chances between 0 and 1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// A record that is gossiped does not arrive.
    pub(super) gossip_lost: f64,
    /// A request is handed over and gets lost.
    pub(super) request_lost: f64,
    /// An answer gets lost.
    pub(super) answer_lost: f64,
    /// A commit fails.
    pub(super) disk_fails: f64,
}

/// A node, what it runs on, and what it said to its principal.
pub(super) struct Seat {
    pub(super) key: Keypair,
    pub(super) limits: NodeLimits,
    pub(super) disk: Disk,
    pub(super) notices: Vec<Notice>,
    pub(super) sent: BTreeMap<MessageId, Vec<SentOutcome>>,
    pub(super) fetched: BTreeMap<FetchToken, bool>,
    /// Requests that it made, by their kind.
    pub(super) asked: BTreeMap<&'static str, usize>,
    node: Option<Node>,
    started_at: Timestamp,
    /// Which process of this seat it is: what was meant for an earlier one is lost.
    run: u64,
    tokens: u64,
    answering: BTreeMap<ResponseToken, (usize, u64, RequestToken)>,
    gossiped: BTreeMap<GossipToken, (usize, Vec<u8>)>,
    gossip_seen: BTreeSet<Vec<u8>>,
    /// A record that nobody was there to take.
    unpublished: Option<Vec<u8>>,
    highest: BTreeMap<Presentity, (Version, Vec<u8>)>,
}

enum Event {
    Input(NodeInput),
    Gossip { from: usize, bytes: Vec<u8> },
    Request { from: usize, run: u64, token: RequestToken, request: OutgoingRequest },
    Commit { token: Option<PersistToken>, changes: Vec<Change> },
    To { seat: usize, run: u64, event: Box<Self> },
}

impl Mesh {
    /// So many nodes, running, with their first records out, and no links.
    pub(super) fn new(nodes: u8) -> Self {
        let mut mesh = Self::stopped(nodes);
        for seat in 0..mesh.seats.len() {
            mesh.start(seat);
        }
        mesh.run(Duration::from_secs(1));
        mesh
    }

    /// So many nodes that do not run yet.
    pub(super) fn stopped(nodes: u8) -> Self {
        Self {
            now: Timestamp::from_millis(1000),
            faults: Faults::default(),
            seats: (1..=nodes).map(|number| Seat::new(keypair(number))).collect(),
            links: BTreeSet::new(),
            events: BTreeMap::new(),
            events_made: 0,
            random: StdRng::seed_from_u64(nodes.into()),
        }
    }

    /// Nodes that are linked in a row, and know each other.
    pub(super) fn row(nodes: u8) -> Self {
        let mut mesh = Self::new(nodes);
        for seat in 1..mesh.seats.len() {
            mesh.link(seat - 1, seat);
        }
        mesh.run(Duration::from_secs(60));
        mesh.take_notices();
        mesh
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.random = StdRng::seed_from_u64(seed);
    }

    pub(super) fn seat(&self, seat: usize) -> &Seat {
        &self.seats[seat]
    }

    pub(super) fn seat_mut(&mut self, seat: usize) -> &mut Seat {
        &mut self.seats[seat]
    }

    pub(super) fn node(&self, seat: usize) -> &Node {
        self.seats[seat].node.as_ref().expect("the node runs")
    }

    pub(super) fn runs(&self, seat: usize) -> bool {
        self.seats[seat].node.is_some()
    }

    pub(super) fn who(&self, seat: usize) -> Presentity {
        presentity(&self.seats[seat].key)
    }

    /// The clock of a seat's node, which began when it was started.
    fn local(&self, seat: usize) -> Timestamp {
        Timestamp::START + self.now.since(self.seats[seat].started_at)
    }

    /// Does something to a node as its driver would, and carries out what it wants then.
    pub(super) fn with<T>(&mut self, seat: usize, act: impl FnOnce(&mut Node, Timestamp) -> T) -> T {
        let now = self.local(seat);
        let result = act(self.seats[seat].node.as_mut().expect("the node runs"), now);
        self.carry_out(seat);
        result
    }

    pub(super) fn input(&mut self, seat: usize, input: NodeInput) {
        self.with(seat, |node, now| node.handle(now, input));
    }

    /// Starts a node with what is on its disk.
    pub(super) fn start(&mut self, seat: usize) {
        let now = self.now;
        let seed = self.random.random();
        let this = &mut self.seats[seat];
        assert!(this.node.is_none(), "it runs already");
        let restored = this.disk.restored();
        this.disk.incarnation += 1;
        this.run += 1;
        this.started_at = now;
        let name = format!("node {seat}");
        let information = restored.information.clone().unwrap_or_else(|| information(&this.key, &name));
        let config = NodeConfig {
            clock: WallClock { at_start: CLOCK.unix(now) },
            key: this.key.clone(),
            realm: Realm::default(),
            incarnation: this.disk.incarnation,
            information,
            seed,
            limits: this.limits,
        };
        this.node = Some(Node::new(Timestamp::START, config, restored));
        this.carried_over();
        self.carry_out(seat);
    }

    /// The end of a process without a goodbye, as by `kill -9`.
    pub(super) fn kill(&mut self, seat: usize) {
        self.stop(seat);
    }

    /// Says goodbye, then stops.
    pub(super) fn depart(&mut self, seat: usize) {
        self.with(seat, |node, now| node.handle_depart(now));
        let said = |mesh: &Self| mesh.node(seat).has_said_goodbye();
        self.run_until(Duration::from_secs(10), said);
        self.stop(seat);
    }

    fn stop(&mut self, seat: usize) {
        let this = &mut self.seats[seat];
        this.node = None;
        this.run += 1;
        this.gossip_seen.clear();
        this.unpublished = None;
        this.gossiped.clear();
        for (asker, run, token) in std::mem::take(&mut this.answering).into_values() {
            let failure = RequestFailure::Unanswered;
            self.later(asker, run, Event::Input(NodeInput::RequestFailed { token, failure }));
        }
        for other in self.linked(seat) {
            self.unlink(seat, other);
        }
    }

    /// A connection that `dialler` made, if both run.
    pub(super) fn link(&mut self, dialler: usize, other: usize) {
        let pair = (dialler.min(other), dialler.max(other));
        if dialler == other || !self.runs(dialler) || !self.runs(other) || !self.links.insert(pair) {
            return;
        }
        for (seat, peer, dialled) in [(dialler, other, true), (other, dialler, false)] {
            let presentity = self.who(peer);
            let input = NodeInput::LinkEstablished { presentity, dialled };
            self.in_order(seat, self.seats[seat].run, Event::Input(input));
            if let Some(bytes) = self.seats[seat].unpublished.take() {
                self.gossip(seat, None, &bytes);
            }
        }
    }

    /// A connection that breaks and cannot be made again.
    pub(super) fn unlink(&mut self, one: usize, other: usize) {
        if !self.links.remove(&(one.min(other), one.max(other))) {
            return;
        }
        for (seat, peer) in [(one, other), (other, one)] {
            let presentity = self.who(peer);
            let run = self.seats[seat].run;
            self.in_order(seat, run, Event::Input(NodeInput::LinkDown { presentity }));
            let input = NodeInput::Unreachable { presentity, was_linked: true };
            self.at(self.now + Duration::from_millis(100), seat, run, Event::Input(input));
        }
    }

    pub(super) fn linked(&self, seat: usize) -> Vec<usize> {
        let other = |&(one, other): &(usize, usize)| match seat {
            _ if seat == one => Some(other),
            _ if seat == other => Some(one),
            _ => None,
        };
        self.links.iter().filter_map(other).collect()
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
    }

    /// Lets time pass until something holds.
    pub(super) fn run_until(&mut self, at_most: Duration, holds: impl Fn(&Self) -> bool) {
        let end = self.now + at_most;
        while !holds(self) {
            assert!(self.step(end), "it does not come true within {at_most:?}");
        }
    }

    /// The next thing that happens before `end`, if anything.
    fn step(&mut self, end: Timestamp) -> bool {
        let event = self.events.keys().next().copied();
        let deadline = |seat: usize| -> Option<(Timestamp, usize)> {
            let at = self.seats[seat].node.as_ref()?.poll_timeout()?;
            Some(((self.seats[seat].started_at + at.since(Timestamp::START)).max(self.now), seat))
        };
        let due = (0..self.seats.len()).filter_map(deadline).min();
        match (event, due) {
            (Some(key), due) if key.0 <= end && due.is_none_or(|(at, _)| key.0 <= at) => {
                self.now = self.now.max(key.0);
                let event = self.events.remove(&key).expect("it was there");
                self.happen(event);
                true
            }
            (_, Some((at, seat))) if at <= end => {
                self.now = at;
                self.with(seat, |node, now| {
                    node.handle_timeout(now);
                    let next = node.poll_timeout();
                    assert!(
                        next.is_none_or(|next| next > now),
                        "a deadline stays behind: {next:?} at {now:?}"
                    );
                });
                true
            }
            _ => {
                self.now = end;
                false
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let Event::To { seat, run, event } = event else { unreachable!("every event is somebody's") };
        if self.seats[seat].run != run || !self.runs(seat) {
            if let Event::Request { from, run, token, .. } = *event {
                let failure = RequestFailure::Unanswered;
                self.later(from, run, Event::Input(NodeInput::RequestFailed { token, failure }));
            }
            return;
        }
        match *event {
            Event::Input(input) => self.input(seat, input),
            Event::Gossip { from, bytes } => {
                if self.seats[seat].gossip_seen.insert(bytes.clone()) {
                    let token = GossipToken(self.seats[seat].token());
                    self.seats[seat].gossiped.insert(token, (from, bytes.clone()));
                    self.input(seat, NodeInput::Gossip { token, bytes });
                }
            }
            Event::Request { from, run, token, request } => {
                let response = ResponseToken(self.seats[seat].token());
                self.seats[seat].answering.insert(response, (from, run, token));
                let from = self.who(from);
                self.input(seat, NodeInput::Request { token: response, from, request });
            }
            Event::Commit { token, changes } => {
                let fails = self.random.random_bool(self.faults.disk_fails);
                let outcomes = (!fails).then(|| self.seats[seat].disk.commit(changes));
                if let Some(token) = token {
                    self.input(seat, NodeInput::Persisted { token, outcomes });
                }
            }
            Event::To { .. } => unreachable!("an event is somebody's once"),
        }
    }

    fn carry_out(&mut self, seat: usize) {
        while let Some(output) = self.seats[seat].node.as_mut().and_then(Node::poll_output) {
            self.output(seat, output);
        }
        self.seats[seat].views_do_not_go_back();
    }

    fn output(&mut self, seat: usize, output: NodeOutput) {
        let run = self.seats[seat].run;
        match output {
            NodeOutput::Publish(bytes) => {
                self.seats[seat].gossip_seen.insert(bytes.clone());
                self.gossip(seat, None, &bytes);
                self.seats[seat].unpublished = self.linked(seat).is_empty().then_some(bytes);
            }
            NodeOutput::Verdict { token, reaction } => {
                let (from, bytes) = self.seats[seat].gossiped.remove(&token).expect("one verdict for each");
                if reaction == Reaction::Accept {
                    self.gossip(seat, Some(from), &bytes);
                }
            }
            NodeOutput::Request { token, to, request } => self.request(seat, token, to, request),
            NodeOutput::Respond { token, response } => {
                let asker = self.seats[seat].answering.remove(&token);
                let (asker, run, token) = asker.expect("one answer to each request");
                let response = over_the_wire_back(response);
                let lost = self.random.random_bool(self.faults.answer_lost);
                let input = if lost {
                    NodeInput::RequestFailed { token, failure: RequestFailure::Unanswered }
                } else {
                    NodeInput::Response { token, response }
                };
                self.later(asker, run, Event::Input(input));
            }
            NodeOutput::Persist { token, changes, durability: _ } => {
                self.in_order(seat, run, Event::Commit { token, changes });
            }
            NodeOutput::Recall { token, key } => {
                let stored = self.seats[seat].disk.remembers(&key);
                self.later(seat, run, Event::Input(NodeInput::Recalled { token, stored }));
            }
            NodeOutput::Fetched { token, direct } => {
                assert_eq!(self.seats[seat].fetched.insert(token, direct), None, "fetched twice");
            }
            NodeOutput::Sent { id, outcome } => self.seats[seat].sent.entry(id).or_default().push(outcome),
            NodeOutput::Addresses { .. } => (),
            NodeOutput::Notice(notice) => self.seats[seat].notices.push(notice),
        }
    }

    fn gossip(&mut self, seat: usize, source: Option<usize>, bytes: &[u8]) {
        for neighbour in self.linked(seat) {
            if Some(neighbour) != source && !self.random.random_bool(self.faults.gossip_lost) {
                let event = Event::Gossip { from: seat, bytes: bytes.to_vec() };
                self.later(neighbour, self.seats[neighbour].run, event);
            }
        }
    }

    fn request(&mut self, seat: usize, token: RequestToken, to: Presentity, request: OutgoingRequest) {
        let run = self.seats[seat].run;
        *self.seats[seat].asked.entry(kind(&request)).or_default() += 1;
        let request = over_the_wire(request);
        let other = (0..self.seats.len()).find(|other| self.who(*other) == to);
        let fail = |failure| Event::Input(NodeInput::RequestFailed { token, failure });
        match other.filter(|other| self.links.contains(&(seat.min(*other), seat.max(*other)))) {
            None => self.later(seat, run, fail(RequestFailure::Unreachable)),
            Some(_) if self.random.random_bool(self.faults.request_lost) => {
                self.later(seat, run, fail(RequestFailure::Unanswered));
            }
            Some(other) => {
                let event = Event::Request { from: seat, run, token, request };
                self.later(other, self.seats[other].run, event);
            }
        }
    }

    /// After one to five milliseconds.
    fn later(&mut self, seat: usize, run: u64, event: Event) {
        let latency = Duration::from_millis(self.random.random_range(1..=5));
        self.at(self.now + latency, seat, run, event);
    }

    /// After two milliseconds: what a disk does and what becomes of a link is never reordered.
    fn in_order(&mut self, seat: usize, run: u64, event: Event) {
        self.at(self.now + Duration::from_millis(2), seat, run, event);
    }

    fn at(&mut self, at: Timestamp, seat: usize, run: u64, event: Event) {
        self.events_made += 1;
        self.events.insert((at, self.events_made), Event::To { seat, run, event: Box::new(event) });
    }
}

/// What tests ask a mesh.
impl Mesh {
    /// How `seat` sees the contact of `other`; nothing if it has never heard of it.
    pub(super) fn contact(&self, seat: usize, other: usize) -> Option<(ContactState, Evidence)> {
        let view = self.node(seat).view(self.local(seat), &self.who(other))?;
        Some((view.contact.state, view.contact.evidence))
    }

    pub(super) fn heard_at(&self, seat: usize, other: usize) -> UnixTime {
        self.node(seat).view(self.local(seat), &self.who(other)).expect("it is known").heard_at
    }

    /// Whether every running node has the same record of every other, and believes it present.
    pub(super) fn agree(&self) -> bool {
        let running: Vec<_> = (0..self.seats.len()).filter(|seat| self.runs(*seat)).collect();
        running.iter().all(|seat| {
            running.iter().filter(|other| *other != seat).all(|other| {
                let record = self.node(*seat).record(&self.who(*other)).map(PresenceRecord::bytes);
                record == self.node(*other).own_record().map(PresenceRecord::bytes)
                    && self.node(*seat).is_present(&self.who(*other))
            })
        })
    }

    /// What `seat` was told of `other` since the notices were last taken.
    pub(super) fn transitions(&self, seat: usize, other: usize) -> Vec<Transition> {
        let who = self.who(other);
        let of = |notice: &Notice| match notice {
            Notice::Transition(view, transition) if view.presentity == who => Some(*transition),
            _ => None,
        };
        self.seats[seat].notices.iter().filter_map(of).collect()
    }

    pub(super) fn take_notices(&mut self) {
        for seat in &mut self.seats {
            seat.notices.clear();
        }
    }

    pub(super) fn troubles(&self, seat: usize) -> usize {
        self.seats[seat].notices.iter().filter(|notice| matches!(notice, Notice::Trouble(_))).count()
    }

    /// How queued messages of `seat` ended, in that order.
    pub(super) fn finished(&self, seat: usize) -> Vec<(MessageId, OutboxState)> {
        let of = |notice: &Notice| match notice {
            Notice::Finished { id, state, .. } => Some((*id, *state)),
            _ => None,
        };
        self.seats[seat].notices.iter().filter_map(of).collect()
    }

    /// The texts in the inbox of `seat`, in the order in which they came.
    pub(super) fn inbox(&self, seat: usize) -> Vec<String> {
        let text = |message: &crate::durable::StoredMessage| message.message.text().unwrap().to_owned();
        self.seats[seat].disk.inbox.iter().map(text).collect()
    }

    /// Sends a text from one node to another.
    pub(super) fn send(&mut self, from: usize, to: usize, text: &str, queue: bool) -> MessageId {
        let draft = Draft { queue, ..self.draft(to, text) };
        self.with(from, |node, now| node.handle_send(now, draft)).unwrap()
    }

    pub(super) fn draft(&self, to: usize, text: &str) -> Draft {
        Draft {
            to: Recipient::Inbox(crate::testing::inbox(&self.seats[to].key)),
            body: text.as_bytes().to_vec(),
            content_type: "text/plain".to_owned(),
            language: None,
            thread: None,
            reply_to: None,
            queue: false,
            lifetime: Duration::from_secs(3600),
        }
    }

    pub(super) fn refused(&self, seat: usize, reason: &str) -> u64 {
        let refused = self.node(seat).refused();
        refused.iter().find(|(counted, _)| *counted == reason).map_or(0, |(_, count)| *count)
    }

    /// Every token that was handed out comes back: within a second, for a comparison may have just begun.
    pub(super) fn assert_nothing_stays_awaited(&mut self) {
        let end = self.now + Duration::from_secs(1);
        while self.seats.iter().filter_map(|seat| seat.node.as_ref()).any(|node| !node.pending.is_empty()) {
            if !self.step(end) {
                break;
            }
        }
        self.assert_nothing_is_awaited();
    }

    /// Nothing waits for anybody.
    pub(super) fn assert_nothing_is_awaited(&self) {
        for (number, seat) in self.seats.iter().enumerate() {
            assert!(seat.answering.is_empty(), "node {number} owes an answer");
            assert!(seat.gossiped.is_empty(), "node {number} owes a verdict");
            if let Some(node) = &seat.node {
                assert!(node.pending.is_empty(), "node {number} awaits {:?}", node.pending);
                assert!(
                    node.persisting.is_empty(),
                    "node {number} awaits the disk for {:?}",
                    node.persisting
                );
                assert!(node.recalling.is_empty(), "node {number} awaits {:?}", node.recalling);
            }
        }
    }
}

impl Seat {
    fn new(key: Keypair) -> Self {
        Self {
            key,
            limits: NodeLimits::default(),
            disk: Disk::default(),
            notices: Vec::new(),
            sent: BTreeMap::new(),
            fetched: BTreeMap::new(),
            asked: BTreeMap::new(),
            node: None,
            started_at: Timestamp::START,
            run: 0,
            tokens: 0,
            answering: BTreeMap::new(),
            gossiped: BTreeMap::new(),
            gossip_seen: BTreeSet::new(),
            unpublished: None,
            highest: BTreeMap::new(),
        }
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    /// Only what the disk has is carried over into the next run.
    fn carried_over(&mut self) {
        let stored = |record: &crate::durable::StoredRecord| {
            (record.presentity, (record.version, record.bytes.clone()))
        };
        self.highest = self.disk.records.values().map(stored).collect();
    }

    fn views_do_not_go_back(&mut self) {
        let Some(node) = &self.node else { return };
        for who in node.service.presentities() {
            let record = node.record(&who).expect("it is in the table");
            let seen = (record.version(), record.bytes().to_vec());
            let before = self.highest.insert(who, seen.clone());
            assert!(
                before.is_none_or(|before| before <= seen),
                "the view of {who:?} went back to {:?}",
                seen.0
            );
        }
    }
}

fn kind(request: &OutgoingRequest) -> &'static str {
    use crate::wire::frames::PresenceRequest;

    match request {
        OutgoingRequest::Presence(PresenceRequest::Compare(_)) => "compare",
        OutgoingRequest::Presence(PresenceRequest::Exchange { .. }) => "exchange",
        OutgoingRequest::Presence(PresenceRequest::Fetch { .. }) => "fetch",
        OutgoingRequest::Presence(PresenceRequest::Subscribe { .. }) => "subscribe",
        OutgoingRequest::Presence(PresenceRequest::Notify { .. }) => "notify",
        OutgoingRequest::Message(_) => "message",
    }
}

fn over_the_wire(request: OutgoingRequest) -> OutgoingRequest {
    match request {
        OutgoingRequest::Presence(frame) => OutgoingRequest::Presence(
            codec::decode(&codec::encode(&frame), PRESENCE_REQUEST_BYTES_MAX).unwrap(),
        ),
        OutgoingRequest::Message(frame) => OutgoingRequest::Message(
            codec::decode(&codec::encode(&frame), MESSAGE_REQUEST_BYTES_MAX).unwrap(),
        ),
    }
}

fn over_the_wire_back(response: Response) -> Response {
    match response {
        Response::Presence(frame) => {
            Response::Presence(codec::decode(&codec::encode(&frame), PRESENCE_RESPONSE_BYTES_MAX).unwrap())
        }
        Response::Message(frame) => {
            Response::Message(codec::decode(&codec::encode(&frame), MESSAGE_RESPONSE_BYTES_MAX).unwrap())
        }
    }
}
