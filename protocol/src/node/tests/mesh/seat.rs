//! One node of a mesh, what it runs on, and what it said.

use std::collections::{BTreeMap, BTreeSet};

use libp2p_identity::Keypair;

use crate::{
    identity::Presentity,
    message::instant_message::MessageId,
    node::{
        FetchOutcome, FetchToken, GossipToken, Node, NodeInput, NodeLimits, NodeOutput, Notice,
        OutgoingRequest, RequestToken, Response, ResponseToken, SentOutcome, UpdateToken, WatchersToken,
        tests::disk::Disk,
    },
    presence::{
        publication::Publishes,
        record::{NodeAddress, Version},
    },
    time::Timestamp,
    wire::{
        codec,
        frames::{UpdateAnswer, WatcherReport},
    },
};

/// A node, what it runs on, and what it said to its principal.
pub(in crate::node::tests) struct Seat {
    pub(in crate::node::tests) key: Keypair,
    pub(in crate::node::tests) limits: NodeLimits,
    pub(in crate::node::tests) serves_cache: bool,
    pub(in crate::node::tests) publishes: Publishes,
    pub(in crate::node::tests) disk: Disk,
    pub(in crate::node::tests) notices: Vec<Notice>,
    pub(in crate::node::tests) sent: BTreeMap<MessageId, Vec<SentOutcome>>,
    pub(in crate::node::tests) fetched: BTreeMap<FetchToken, FetchOutcome>,
    pub(in crate::node::tests) watchers: BTreeMap<WatchersToken, Option<Vec<WatcherReport>>>,
    pub(in crate::node::tests) updates: BTreeMap<UpdateToken, Option<UpdateAnswer>>,
    /// Everything that others sent it, encoded, if it is listened to.
    pub(in crate::node::tests) heard: Option<Vec<Vec<u8>>>,
    /// Where others can be reached, as their records say.
    pub(in crate::node::tests) addresses: BTreeMap<Presentity, Vec<NodeAddress>>,
    /// Requests that it made, by their kind.
    pub(in crate::node::tests) asked: BTreeMap<&'static str, usize>,
    pub(super) node: Option<Node>,
    pub(super) started_at: Timestamp,
    /// Which process of this seat it is: what was meant for an earlier one is lost.
    pub(super) run: u64,
    pub(super) tokens: u64,
    pub(super) answering: BTreeMap<ResponseToken, (usize, u64, RequestToken)>,
    pub(super) gossiped: BTreeMap<GossipToken, (usize, Vec<u8>)>,
    pub(super) gossip_seen: BTreeSet<Vec<u8>>,
    /// A record that nobody was there to take.
    pub(super) unpublished: Option<Vec<u8>>,
    pub(super) highest: BTreeMap<Presentity, (Version, Vec<u8>)>,
}

impl Seat {
    pub(super) fn new(key: Keypair) -> Self {
        Self {
            key,
            limits: NodeLimits::default(),
            serves_cache: true,
            publishes: Publishes::Changes,
            disk: Disk::default(),
            notices: Vec::new(),
            sent: BTreeMap::new(),
            fetched: BTreeMap::new(),
            watchers: BTreeMap::new(),
            updates: BTreeMap::new(),
            heard: None,
            addresses: BTreeMap::new(),
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

    /// What the node's PRINCIPAL asked for has come to an end, or a message to a state.
    pub(super) fn answered(&mut self, output: NodeOutput) {
        let before = match output {
            NodeOutput::Fetched { token, outcome } => self.fetched.insert(token, outcome).is_some(),
            NodeOutput::FetchedWatchers { token, watchers } => {
                self.watchers.insert(token, watchers).is_some()
            }
            NodeOutput::Updated { token, answer } => self.updates.insert(token, answer).is_some(),
            NodeOutput::Sent { id, outcome } => {
                self.sent.entry(id).or_default().push(outcome);
                false
            }
            output => unreachable!("no answer: {output:?}"),
        };
        assert!(!before, "it was answered before");
    }

    pub(super) fn listen(&mut self, input: &NodeInput) {
        let Some(heard) = &mut self.heard else { return };
        heard.extend(match input {
            NodeInput::Gossip { bytes, .. } => Some(bytes.clone()),
            NodeInput::Request { request: OutgoingRequest::Presence(request), .. } => {
                Some(codec::encode(request))
            }
            NodeInput::Request { request: OutgoingRequest::Message(request), .. } => {
                Some(codec::encode(request))
            }
            NodeInput::Response { response: Response::Presence(response), .. } => {
                Some(codec::encode(response))
            }
            NodeInput::Response { response: Response::Message(response), .. } => {
                Some(codec::encode(response))
            }
            _ => None,
        });
    }

    pub(super) fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    /// Only what the disk has is carried over into the next run.
    pub(super) fn carried_over(&mut self) {
        let stored = |record: &crate::durable::StoredRecord| {
            (record.presentity, (record.version, record.bytes.clone()))
        };
        self.highest = self.disk.records.values().map(stored).collect();
    }

    pub(super) fn views_do_not_go_back(&mut self) {
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
