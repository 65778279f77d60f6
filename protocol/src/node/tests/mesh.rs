//! A mesh of nodes in one thread: outputs become inputs, time jumps from event to event, disks are lists.
//!
//! Whatever a test does, the harness holds every node to its contract: no view goes back, no deadline stays
//! behind, every frame fits its limit and survives its encoding, nothing that was stored is stored twice.

mod network;
mod questions;
mod seat;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use self::seat::Seat;
use crate::{
    durable::Change,
    identity::{Presentity, Realm},
    node::{
        GossipToken, Node, NodeConfig, NodeInput, OutgoingRequest, PersistToken, RequestFailure,
        RequestToken, ResponseToken,
    },
    presence::record::PresenceRecord,
    testing::{CLOCK, information, keypair, presentity},
    time::{Timestamp, WallClock},
};

/// Nodes, numbered from 0, their disks, and the network between them.
pub(super) struct Mesh {
    pub(super) now: Timestamp,
    pub(super) faults: Faults,
    seats: Vec<Seat>,
    links: BTreeSet<(usize, usize)>,
    /// Who cannot reach each other, whatever they try.
    cut: BTreeSet<(usize, usize)>,
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
    /// The disk cannot say whether it has a message.
    pub(super) disk_unreadable: f64,
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
            cut: BTreeSet::new(),
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
        self.seats[seat].listen(&input);
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
            publishes: this.publishes,
            keeps_inbox: true,
            serves_cache: this.serves_cache,
            verify: PresenceRecord::verify,
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
        self.cut.remove(&pair);
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
        let pair = (one.min(other), one.max(other));
        if !self.links.remove(&pair) {
            return;
        }
        self.cut.insert(pair);
        for (seat, peer) in [(one, other), (other, one)] {
            let presentity = self.who(peer);
            let run = self.seats[seat].run;
            self.in_order(seat, run, Event::Input(NodeInput::LinkDown { presentity }));
            let refused = !self.runs(peer);
            let input = NodeInput::Unreachable { presentity, was_linked: true, refused };
            self.at(self.now + Duration::from_millis(100), seat, run, Event::Input(input));
        }
    }

    /// A connection that is closed and made again.
    pub(super) fn relink(&mut self, one: usize, other: usize) {
        let pair = (one.min(other), one.max(other));
        let was_cut = self.cut.contains(&pair);
        self.unlink(one, other);
        if !was_cut {
            self.link(one, other);
        }
    }

    /// Takes a node off the network.
    pub(super) fn cut_off(&mut self, seat: usize) {
        for other in (0..self.seats.len()).filter(|other| *other != seat) {
            self.unlink(seat, other);
            self.cut.insert((seat.min(other), seat.max(other)));
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
                    let from = self.who(from);
                    self.input(seat, NodeInput::Gossip { token, from, bytes });
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
                match token {
                    Some(token) => self.input(seat, NodeInput::Persisted { token, outcomes }),
                    None if fails => self.input(seat, NodeInput::NotPersisted),
                    None => (),
                }
            }
            Event::To { .. } => unreachable!("an event is somebody's once"),
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
