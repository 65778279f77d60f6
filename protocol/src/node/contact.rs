//! Who is in contact: what this node finds out itself, what others say, and what follows.

use super::{GossipToken, Node, NodeOutput, OutgoingRequest, Pending};
use crate::{
    identity::Presentity,
    presence::{
        accusations::{ACCUSERS_ENOUGH, AccusationsOutput, Accused, Offered},
        liveness::{Cause, LivenessOutput},
        record::{PresenceRecord, Reaction, Version},
        service::{AccusedBy, Evidence},
        suspicion::{Accusation, Grounds, Suspicion},
    },
    time::Timestamp,
    wire::frames::{PresenceRequest, ToldRecord},
};

impl Node {
    /// Something came from a peer.
    pub(super) fn alive(&mut self, now: Timestamp, presentity: Presentity) {
        self.outbox.handle_alive(now, presentity);
        self.liveness.handle_alive(now, presentity);
        if self.linked.contains(&presentity) {
            self.undoubted(now, presentity);
            self.accusations.handle_alive(now, presentity);
        }
    }

    /// No connection with a peer could be made.
    pub(super) fn unreachable(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        was_linked: bool,
        refused: bool,
    ) {
        if !self.service.is_in_contact(&presentity) {
            return;
        }
        if refused {
            self.found(now, presentity, Grounds::Refused, was_linked);
        } else {
            self.liveness.handle_undialled(now, presentity);
        }
    }

    pub(super) fn liveness_output(&mut self, now: Timestamp, output: LivenessOutput) {
        match output {
            LivenessOutput::Beat(peer) => self.outputs.push_back(NodeOutput::Beat(peer)),
            LivenessOutput::Probe(peer) => self.outputs.push_back(NodeOutput::Probe(peer)),
            LivenessOutput::Reach(peer) => self.outputs.push_back(NodeOutput::Reach(peer)),
            LivenessOutput::DeadEnd(peer) => self.outputs.push_back(NodeOutput::Disconnect(peer)),
            LivenessOutput::Silent(peer) => {
                if let Some(version) = self.known_version(&peer) {
                    let accusation = Accusation { subject: peer, version, grounds: Grounds::Silent };
                    self.accusations.handle_silent(now, accusation, version);
                }
            }
            LivenessOutput::HostLives(peer) => {
                self.undoubted(now, peer);
                self.accusations.handle_host_lives(now, peer);
            }
            LivenessOutput::Looked(peer) => {
                // What others say may stand all the same: that it does not answer.
                self.suspect(now, peer);
                if self.accusations.is_believed(&peer) {
                    self.lose(now, peer, Evidence::Accused);
                }
            }
            LivenessOutput::Found { peer, grounds, cause } => {
                if cause == Cause::Hearsay {
                    self.accusations.handle_looked(now, peer, grounds);
                } else {
                    self.found(now, peer, grounds, cause == Cause::LinkDown);
                }
                self.suspect(now, peer);
                self.believe(now, peer);
            }
        }
    }

    /// This node got no sign of life itself. `link_broke` says that there was a link until then.
    fn found(&mut self, now: Timestamp, subject: Presentity, grounds: Grounds, link_broke: bool) {
        let Some(version) = self.known_version(&subject).filter(|_| self.service.is_in_contact(&subject))
        else {
            return;
        };
        let own = self.presentity();
        let accusation = Accusation { subject, version, grounds };
        let able = self.able(&subject);
        self.accusations.handle_accusation(now, own, accusation, version, able);
        if grounds == Grounds::Refused && link_broke {
            self.lose(now, subject, Evidence::LinkLost);
        }
        if self.linked.contains(&subject) {
            // Gossip is to take other ways, and the redial is under way when the peer comes back.
            self.outputs.push_back(NodeOutput::Disconnect(subject));
        }
    }

    fn lose(&mut self, now: Timestamp, presentity: Presentity, evidence: Evidence) {
        self.doubted.remove(&presentity);
        self.service.handle_lost(now, presentity, evidence);
        self.outputs.push_back(NodeOutput::Lost(presentity));
        self.one_less_sees(now, presentity);
    }

    /// Who is suspect or lost is not there to see whether others are.
    fn one_less_sees(&mut self, now: Timestamp, presentity: Presentity) {
        let able = self.able(&presentity);
        if able < ACCUSERS_ENOUGH {
            self.accusations.handle_fewer_able(now, able);
        }
    }

    pub(super) fn accusations_output(&mut self, now: Timestamp, output: AccusationsOutput) {
        match output {
            AccusationsOutput::Speak(accusations) => {
                // Within the limits by how they are gathered.
                if let Ok(suspicion) = self.publication.suspicion(accusations) {
                    self.outputs.push_back(NodeOutput::Forward(suspicion.bytes().to_vec()));
                }
            }
            AccusationsOutput::Suspected(presentity) => {
                self.liveness.handle_suspected(now, presentity);
                if self.service.is_in_contact(&presentity) && !self.is_accused_by_this_node(&presentity) {
                    self.liveness.look(now, presentity);
                }
                self.suspect(now, presentity);
            }
            AccusationsOutput::Cleared(presentity) => self.service.handle_cleared(now, presentity),
            AccusationsOutput::Believed(presentity) => self.believe(now, presentity),
            AccusationsOutput::Refute => self.publication.handle_accused(now),
        }
    }

    /// Somebody is suspect if accused, once this node has looked for itself.
    fn suspect(&mut self, now: Timestamp, presentity: Presentity) {
        if self.accusations.is_suspected(&presentity) && !self.liveness.is_checking(&presentity) {
            self.service.handle_suspected(now, presentity);
            self.one_less_sees(now, presentity);
        }
    }

    /// Somebody is lost if the accusations are believed, once this node has looked for itself.
    fn believe(&mut self, now: Timestamp, presentity: Presentity) {
        let found = self.has_found_unreachable(&presentity);
        if !self.accusations.is_believed(&presentity) || (!found && self.liveness.is_checking(&presentity)) {
            return;
        }
        if !self.is_accused_by_this_node(&presentity) && self.service.is_in_contact(&presentity) {
            self.liveness.look(now, presentity);
            if self.liveness.is_checking(&presentity) {
                return;
            }
        }
        self.lose(now, presentity, Evidence::Accused);
        if self.linked.contains(&presentity) {
            self.outputs.push_back(NodeOutput::Disconnect(presentity));
        }
    }

    /// A suspicion came by gossip.
    pub(super) fn suspicion(&mut self, now: Timestamp, token: GossipToken, bytes: &[u8]) {
        let reaction = match Suspicion::verify(bytes, &self.realm) {
            Ok(suspicion) => {
                let body = suspicion.body();
                let heard = self.service.record(&body.accuser).is_some()
                    && self.accusations.handle_suspicion(
                        now,
                        body.accuser,
                        body.issued,
                        body.accusations.len(),
                    );
                let mut news = false;
                for accusation in body.accusations.iter().filter(|_| heard) {
                    news |= self.accused(now, body.accuser, *accusation) == Offered::News;
                }
                if news {
                    Reaction::Accept
                } else {
                    self.count_refused("suspicion-without-news");
                    Reaction::Ignore
                }
            }
            Err(error) => {
                self.count_refused(error.reason());
                error.reaction()
            }
        };
        self.outputs.push_back(NodeOutput::Verdict { token, reaction });
    }

    /// Another node accuses somebody, perhaps this node.
    fn accused(&mut self, now: Timestamp, accuser: Presentity, accusation: Accusation) -> Offered {
        let subject = accusation.subject;
        let Some(known) = self.known_version(&subject).filter(|_| !self.service.has_left(&subject)) else {
            return Offered::Useless;
        };
        let able = self.able(&subject);
        let offered = self.accusations.handle_accusation(now, accuser, accusation, known, able);
        if offered == Offered::News {
            self.liveness.handle_told(now, subject);
        }
        offered
    }

    /// A peer tells that it believes somebody lost, whose record it has: it accuses, to this node alone. The
    /// accused is told so, if it lives, since it can refute what others believe of it.
    pub(super) fn told_lost(
        &mut self,
        now: Timestamp,
        peer: Presentity,
        subject: Presentity,
        version: Version,
    ) {
        let is_own = subject == self.presentity();
        let counts = is_own || self.service.is_in_contact(&subject);
        if !counts || !self.accusations.spends(now, peer, 1) {
            return;
        }
        let doubted = !is_own && self.doubted.insert(subject);
        let accusation = Accusation { subject, version, grounds: Grounds::Unreachable };
        if self.accused(now, peer, accusation) == Offered::Useless && doubted {
            self.doubted.remove(&subject);
        }
    }

    /// A sign of life of one that another node believes lost.
    fn undoubted(&mut self, now: Timestamp, presentity: Presentity) {
        if self.doubted.remove(&presentity) {
            self.tell_accused(now, presentity);
        }
    }

    /// Tells a peer with which there is a link again that it is accused, since others who have no link with
    /// it will not find out otherwise: its refutation reaches all.
    pub(super) fn tell_accused(&mut self, now: Timestamp, peer: Presentity) {
        if self.accusations.of(&peer).is_empty() {
            return;
        }
        let Some(told) = self.told(now, &peer) else { return };
        let records = vec![ToldRecord { lost: true, ..told }];
        let request = PresenceRequest::Exchange { wanted: Vec::new(), records };
        self.send_request(now, peer, OutgoingRequest::Presence(request), Pending::TellAccused);
    }

    /// Who accuses `presentity`.
    pub(super) fn accused_by(&self, presentity: &Presentity) -> Vec<AccusedBy> {
        let accused = self.accusations.of(presentity).iter();
        let by = accused.map(|accused| AccusedBy {
            accuser: accused.accuser,
            grounds: accused.grounds,
            since: self.clock.unix(accused.at),
        });
        by.collect()
    }

    pub(super) fn is_accused_by_this_node(&self, presentity: &Presentity) -> bool {
        self.own_accusation(presentity).is_some()
    }

    /// Whether this node looked for itself and says that neither the node nor its host answers. It may be
    /// looking again by then, since a dial failed or others say the same, and finds no more than that.
    fn has_found_unreachable(&self, presentity: &Presentity) -> bool {
        self.own_accusation(presentity).is_some_and(|own| own.grounds == Grounds::Unreachable)
    }

    fn own_accusation(&self, presentity: &Presentity) -> Option<&Accused> {
        self.accusations.of(presentity).iter().find(|accused| accused.accuser == self.presentity())
    }

    fn known_version(&self, presentity: &Presentity) -> Option<Version> {
        if *presentity == self.presentity() {
            return self.publication.record().map(PresenceRecord::version);
        }
        self.service.record(presentity).map(PresenceRecord::version)
    }

    /// How many nodes could see whether `subject` is there, this one included.
    fn able(&self, subject: &Presentity) -> usize {
        1 + self.service.others_present(subject, ACCUSERS_ENOUGH - 1)
    }
}
