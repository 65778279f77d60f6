//! What discovery reports, and whether it is to report.

use hereabouts_protocol::{identity::Presentity, overlay::duty::DutyOutput, time::Timestamp};

use super::{Clock, Discovery, Driver, Storage, addresses};
use crate::mesh::discovery::Discovered;

impl<D: Discovery, S: Storage, C: Clock> Driver<D, S, C> {
    pub(super) fn discovered(&mut self, now: Timestamp, discovered: Discovered) {
        for (peer, address) in discovered.0.into_iter().filter(|_| !self.relaying.only) {
            if let Some(address) = addresses::understood(&address) {
                self.overlay.handle_discovered(now, peer, address);
            }
            self.duty.handle_discovered(now, peer, self.overlay.links());
            self.strangers.handle_discovered(now, peer);
        }
    }

    pub(super) fn discovery_due(&mut self, now: Timestamp) {
        if self.duty.poll_timeout() <= now {
            self.duty.handle_timeout(now, self.node.in_contact().count(), self.overlay.lacks_links());
        }
        self.strangers.handle_timeout(now, |peer| {
            let presentity = Presentity::from_peer_id(peer);
            presentity.is_some_and(|presentity| self.node.is_in_contact(&presentity))
        });
    }

    pub(super) fn discovery_timeout(&self) -> Timestamp {
        let duty = self.duty.poll_timeout();
        self.strangers.poll_timeout().map_or(duty, |strangers| strangers.min(duty))
    }

    pub(super) fn discovery_outputs(&mut self) {
        while let Some(output) = self.duty.poll_output() {
            match output {
                DutyOutput::Active(active) => {
                    tracing::debug!(active, "discovery");
                    self.swarm.behaviour_mut().discovery.set_active(active);
                }
                DutyOutput::Mix(peers) => {
                    let now = self.clock.now();
                    for presentity in self.duty.sample(self.node.in_contact(), peers) {
                        self.overlay.handle_asked_for(now, presentity.peer_id());
                    }
                }
            }
        }
        if let Some(peer) = self.strangers.poll_output() {
            tracing::debug!(%peer, "a stranger");
            self.overlay.handle_asked_for(self.clock.now(), peer);
        }
    }
}
