//! Who is in contact: what this node finds out itself, what others say, and what follows.

use super::{GossipToken, Node, NodeOutput, OutgoingRequest, Pending};
use crate::{
    identity::Presentity,
    presence::{
        accusations::{ACCUSERS_ENOUGH, AccusationsOutput, Offered},
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
        self.liveness.handle_alive(presentity);
        if self.linked.contains(&presentity) {
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
            LivenessOutput::HostLives(peer) => self.accusations.handle_host_lives(now, peer),
            LivenessOutput::Found { peer, cause: Cause::Hearsay, .. } => {
                self.service.handle_suspected(now, peer);
                self.believe(now, peer);
            }
            LivenessOutput::Found { peer, grounds, cause } => {
                self.found(now, peer, grounds, cause == Cause::LinkDown);
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
            self.service.handle_lost(now, subject, Evidence::LinkLost);
        } else {
            self.service.handle_suspected(now, subject);
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
                if self.service.is_in_contact(&presentity) {
                    self.liveness.handle_hearsay(now, presentity);
                }
                if !self.liveness.is_checking(&presentity) {
                    self.service.handle_suspected(now, presentity);
                }
            }
            AccusationsOutput::Cleared(presentity) => self.service.handle_cleared(now, presentity),
            AccusationsOutput::Believed(presentity) => self.believe(now, presentity),
            AccusationsOutput::Refute => self.publication.handle_accused(now),
        }
    }

    /// Somebody is lost if the accusations are believed, once this node has looked for itself.
    fn believe(&mut self, now: Timestamp, presentity: Presentity) {
        if !self.accusations.is_believed(&presentity) || self.liveness.is_checking(&presentity) {
            return;
        }
        self.service.handle_lost(now, presentity, Evidence::Accused);
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
                    && self.accusations.handle_suspicion(now, body.accuser, body.issued, body.accusations.len());
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

    /// A peer tells that it believes somebody lost, whose record it has. Whoever is linked with that one looks;
    /// that one itself refutes it.
    pub(super) fn told_lost(&mut self, now: Timestamp, peer: Presentity, record: &PresenceRecord) {
        let subject = record.presentity();
        if subject == self.presentity() {
            let accusation = Accusation { subject, version: record.version(), grounds: Grounds::Unreachable };
            self.accused(now, peer, accusation);
        } else {
            self.liveness.handle_told(now, subject);
        }
    }

    /// Tells a peer with which there is a link again that it is accused, since others who have no link with it
    /// will not find out otherwise: its refutation reaches all.
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
