//! What one sealed publish costs a presentity with many watchers, and what taking a grant back does.
//!
//! One node without IO, so that nothing but its own work is measured: every watcher subscribes, then the
//! status changes, then one watcher is blocked. Bytes are those of the record, which is gossiped, and of the
//! notifications, which go over streams, without what libp2p adds. CPU is that of this thread, for sealing,
//! signing and making the notifications; connections come on top.
//!
//!     cargo bench --bench sealed

#![allow(clippy::print_stdout, reason = "a benchmark is there to print its table")]

use std::time::Duration;

use hereabouts_protocol::{
    durable::Restored,
    identity::{InboxAddress, Presentity, Realm},
    node::{
        IncomingRequest, Node, NodeConfig, NodeInput, NodeLimits, NodeOutput, OutgoingRequest, RequestToken,
        Response, ResponseToken,
    },
    presence::{
        access_rules::{AccessRule, Audience, Handling, Transformations},
        information::{Note, PresenceInformation},
        publication::Publishes,
        record::PresenceRecord,
    },
    time::{Timestamp, UnixTime, WallClock},
    watcher::watcher_information::VisibleTo,
    wire::{
        codec,
        frames::{PresenceRequest, PresenceResponse},
    },
};
use libp2p::identity::Keypair;
use nix::time::{ClockId, clock_gettime};

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    println!("bytes of a record with a note of 30 characters, by views besides the clear");
    for views in [0, 1, 3] {
        let mut publisher = Publisher::new(views);
        println!("  {views} views: {} bytes", publisher.change().record_bytes);
    }
    println!();
    println!("{:>8}  {:>30}  {:>38}", "", "one change", "one watcher blocked");
    println!(
        "{:>8}  {:>8} {:>12} {:>8}  {:>8} {:>12} {:>8} {:>7}",
        "watchers", "gossip B", "streams B", "CPU ms", "gossip B", "streams B", "CPU ms", "told"
    );
    for watchers in if is_test { vec![2] } else { vec![10, 100, 300] } {
        let mut publisher = Publisher::new(1);
        for watcher in 0..watchers {
            publisher.subscribe(watcher);
        }
        let change = publisher.change();
        let revocation = publisher.block(0);
        println!(
            "{watchers:>8}  {:>8} {:>12} {:>8.2}  {:>8} {:>12} {:>8.2} {:>7}",
            change.record_bytes,
            change.stream_bytes,
            change.cpu.as_secs_f64() * 1e3,
            revocation.record_bytes,
            revocation.stream_bytes,
            revocation.cpu.as_secs_f64() * 1e3,
            revocation.told
        );
    }
}

/// What a change cost.
#[derive(Debug, Default)]
struct Cost {
    record_bytes: usize,
    stream_bytes: usize,
    told: usize,
    cpu: Duration,
}

/// A presentity with watchers, on a clock of its own.
struct Publisher {
    node: Node,
    now: Timestamp,
    changes: u32,
    requests: u64,
}

impl Publisher {
    /// One whose record has so many sealed views, and nothing in the clear unless that is none.
    fn new(views: usize) -> Self {
        let key = Keypair::ed25519_from_bytes([1; 32]).expect("any 32 bytes are a key");
        let presentity = Presentity::from_public_key(&key.public()).expect("it is an Ed25519 key");
        let inbox = InboxAddress { node: presentity, realm: Realm::default() };
        let config = NodeConfig {
            clock: WallClock { at_start: UnixTime::from_millis(1_700_000_000_000) },
            key,
            realm: Realm::default(),
            incarnation: 1,
            information: PresenceInformation::open("Alice", &inbox),
            seed: [7; 32],
            limits: NodeLimits::default(),
            publishes: Publishes::Changes,
            keeps_inbox: true,
            serves_cache: true,
            verify: PresenceRecord::verify,
        };
        let node = Node::new(Timestamp::START, config, Restored::default());
        let mut publisher = Self { node, now: Timestamp::START, changes: 0, requests: 0 };
        // The decoy is the one view that is always there when anything is sealed.
        let rules = [
            (views > 0).then(|| (Audience::Anybody, AccessRule::without_grant(Handling::Block))),
            (views > 2).then(|| {
                let grants = Transformations { notes: false, ..Transformations::default() };
                (Audience::Strangers, AccessRule { grants, ..AccessRule::default() })
            }),
            (views == 1).then(|| (Audience::Contacts, AccessRule::default())),
        ];
        for (audience, rule) in rules.into_iter().flatten() {
            publisher.handle(NodeInput::AccessRules(vec![(audience, Some(rule))]));
        }
        publisher.settle();
        publisher
    }

    fn subscribe(&mut self, watcher: u32) {
        self.requests += 1;
        let subscribe = PresenceRequest::Subscribe { seconds: 3600, visible_to: VisibleTo::default() };
        self.handle(NodeInput::Request {
            token: ResponseToken(self.requests),
            from: number(watcher),
            request: IncomingRequest::Presence(subscribe),
        });
        self.settle();
    }

    /// A change of the note, and everything that follows.
    fn change(&mut self) -> Cost {
        self.now = self.now + Duration::from_secs(1);
        self.changes += 1;
        let mut information = self.node.information().clone();
        let text = format!("in a meeting until four, nr {:02}", self.changes % 100);
        information.markup.note = Some(Note { text, language: None });
        let before = cpu();
        self.node.handle_set(self.now, information).expect("the document fits");
        self.settle_since(before)
    }

    fn block(&mut self, watcher: u32) -> Cost {
        self.now = self.now + Duration::from_secs(1);
        let rule = AccessRule::without_grant(Handling::Block);
        let before = cpu();
        self.node
            .handle(self.now, NodeInput::AccessRules(vec![(Audience::Watcher(number(watcher)), Some(rule))]));
        self.settle_since(before)
    }

    fn handle(&mut self, input: NodeInput) {
        self.node.handle(self.now, input);
    }

    fn settle(&mut self) {
        self.settle_since(Duration::ZERO);
    }

    /// Drains the node until it has nothing to do within a second; every watcher answers at once.
    fn settle_since(&mut self, before: Duration) -> Cost {
        let mut cost = Cost::default();
        let until = self.now + Duration::from_secs(1);
        loop {
            while let Some(output) = self.node.poll_output() {
                match output {
                    NodeOutput::Publish(record) => cost.record_bytes = record.len(),
                    NodeOutput::Request { token, request, .. } => self.answer(token, &request, &mut cost),
                    _ => (),
                }
            }
            match self.node.poll_timeout().filter(|due| *due <= until) {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.node.handle_timeout(self.now);
                }
                None => break,
            }
        }
        cost.cpu = cpu().saturating_sub(before);
        cost
    }

    fn answer(&mut self, token: RequestToken, request: &OutgoingRequest, cost: &mut Cost) {
        if let OutgoingRequest::Presence(notify @ PresenceRequest::Notify { .. }) = request {
            cost.stream_bytes += codec::encode(notify).len() + LENGTH_BYTES;
            cost.told += 1;
            let response = Response::Presence(PresenceResponse::Notified);
            self.handle(NodeInput::Response { token, response });
        }
    }
}

fn number(watcher: u32) -> Presentity {
    let mut bytes = [9; 32];
    bytes[..4].copy_from_slice(&watcher.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

/// The processor time of this thread so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock");
    Duration::from(time)
}

/// The length before each frame.
const LENGTH_BYTES: usize = 4;
