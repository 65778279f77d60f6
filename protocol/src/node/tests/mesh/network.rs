//! The network: outputs of one node become inputs of another, after a while, or get lost.

use rand::RngExt;

use super::{Event, Mesh};
use crate::{
    identity::Presentity,
    node::{Node, NodeInput, NodeOutput, OutgoingRequest, RequestFailure, RequestToken, Response},
    presence::{liveness::Reach, record::Reaction},
    wire::{
        codec,
        frames::{
            MESSAGE_REQUEST_BYTES_MAX, MESSAGE_RESPONSE_BYTES_MAX, PRESENCE_REQUEST_BYTES_MAX,
            PRESENCE_RESPONSE_BYTES_MAX, PresenceRequest,
        },
    },
};

impl Mesh {
    pub(super) fn carry_out(&mut self, seat: usize) {
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
                let cannot_say = self.random.random_bool(self.faults.disk_unreadable);
                let stored = (!cannot_say).then(|| self.seats[seat].disk.remembers(&key));
                self.later(seat, run, Event::Input(NodeInput::Recalled { token, stored }));
            }
            NodeOutput::Fetched { .. }
            | NodeOutput::FetchedWatchers { .. }
            | NodeOutput::Updated { .. }
            | NodeOutput::Sent { .. } => self.seats[seat].answered(output),
            NodeOutput::Addresses { presentity, addresses } => {
                self.seats[seat].addresses.insert(presentity, addresses);
            }
            NodeOutput::Forward(bytes) => {
                if self.seats[seat].gossip_seen.insert(bytes.clone()) {
                    self.gossip(seat, None, &bytes);
                }
            }
            NodeOutput::Discard { token } => {
                let asker = self.seats[seat].answering.remove(&token);
                let (asker, run, token) = asker.expect("one end of each request");
                let failure = RequestFailure::Unanswered;
                self.later(asker, run, Event::Input(NodeInput::RequestFailed { token, failure }));
            }
            NodeOutput::Rejected(_) | NodeOutput::Lost(_) => (),
            NodeOutput::Probe(peer)
            | NodeOutput::Beat(peer)
            | NodeOutput::Reach(peer)
            | NodeOutput::Disconnect(peer) => {
                if let Some(other) = (0..self.seats.len()).find(|other| self.who(*other) == peer) {
                    self.sign_of_life(seat, other, &output);
                }
            }
            NodeOutput::Departed(presentity) => {
                self.seats[seat].addresses.remove(&presentity);
            }
            NodeOutput::Notice(notice) => self.seats[seat].notices.push(notice),
        }
    }

    /// Beats, probes, and what follows if they stay away.
    fn sign_of_life(&mut self, seat: usize, other: usize, output: &NodeOutput) {
        let (run, peer) = (self.seats[seat].run, self.who(other));
        let linked = self.linked(seat).contains(&other);
        match output {
            NodeOutput::Probe(_) if linked => self.later(seat, run, Event::Input(NodeInput::Alive(peer))),
            NodeOutput::Beat(_) if linked => {
                let beat = Event::Input(NodeInput::Beat(self.who(seat)));
                self.later(other, self.seats[other].run, beat);
            }
            NodeOutput::Reach(_) => {
                let reach = match self.cut.contains(&(seat.min(other), seat.max(other))) {
                    true => Reach::Silent,
                    false if self.runs(other) => Reach::Accepted,
                    false => Reach::Refused,
                };
                self.later(seat, run, Event::Input(NodeInput::Reached { presentity: peer, reach }));
            }
            // It is redialled, and a pair that is not cut is linked again.
            NodeOutput::Disconnect(_) if linked => self.relink(seat, other),
            _ => (),
        }
    }

    /// Sends gossip to all neighbours of a node but its source.
    pub(in crate::node::tests) fn gossip(&mut self, seat: usize, source: Option<usize>, bytes: &[u8]) {
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
}

fn kind(request: &OutgoingRequest) -> &'static str {
    match request {
        OutgoingRequest::Presence(PresenceRequest::Compare(_)) => "compare",
        OutgoingRequest::Presence(PresenceRequest::Exchange { .. }) => "exchange",
        OutgoingRequest::Presence(PresenceRequest::Fetch { .. }) => "fetch",
        OutgoingRequest::Presence(PresenceRequest::Subscribe { .. }) => "subscribe",
        OutgoingRequest::Presence(PresenceRequest::Notify { .. }) => "notify",
        OutgoingRequest::Presence(PresenceRequest::Tell { .. }) => "tell",
        OutgoingRequest::Presence(PresenceRequest::FetchWatchers) => "fetch-watchers",
        OutgoingRequest::Presence(PresenceRequest::Update(_)) => "update",
        OutgoingRequest::Presence(PresenceRequest::SubscribeWatchers { .. }) => "subscribe-watchers",
        OutgoingRequest::Presence(PresenceRequest::NotifyWatchers { .. }) => "notify-watchers",
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
