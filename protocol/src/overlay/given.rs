//! Addresses that the PRINCIPAL gave: each is dialled until it answers, and again whenever the link with who
//! answered there is lost, for ever.
//!
//! **Decides** when one of them is due. **Leaves** to [`super::links`] what answered.

use libp2p_identity::PeerId;

use super::{address::Address, dialling::backoff};
use crate::time::Timestamp;

/// All that were given.
#[derive(Debug)]
pub(super) struct GivenAddresses<C>(Vec<Given<C>>);

#[derive(Debug)]
struct Given<C> {
    address: Address,
    /// Who is to answer there, if the PRINCIPAL said.
    named: Option<PeerId>,
    /// Who answered.
    peer: Option<PeerId>,
    dial_at: Option<Timestamp>,
    tries: u32,
    connection: Option<C>,
}

impl<C: Copy + PartialEq> GivenAddresses<C> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, now: Timestamp, address: Address, named: Option<PeerId>) {
        self.0.push(Given { address, named, peer: None, dial_at: Some(now), tries: 0, connection: None });
    }

    /// The dial is made by this connection.
    pub(super) fn dialling(&mut self, address: Address, named: Option<PeerId>, connection: C) {
        if let Some(given) = self.0.iter_mut().find(|given| (given.address, given.named) == (address, named))
        {
            given.connection = Some(connection);
        }
    }

    pub(super) fn failed(&mut self, now: Timestamp, connection: C) {
        for given in self.0.iter_mut().filter(|given| given.connection == Some(connection)) {
            given.tries = given.tries.saturating_add(1);
            given.connection = None;
            given.dial_at = Some(now + backoff(given.tries));
        }
    }

    pub(super) fn connected(&mut self, peer: PeerId, connection: C) {
        for given in self.0.iter_mut().filter(|given| given.connection == Some(connection)) {
            given.peer = Some(peer);
            given.dial_at = None;
        }
    }

    pub(super) fn identified(&mut self, peer: PeerId) {
        for given in self.0.iter_mut().filter(|given| given.peer == Some(peer)) {
            given.tries = 0;
        }
    }

    /// The last connection with a peer is gone.
    pub(super) fn disconnected(&mut self, now: Timestamp, peer: PeerId) {
        for given in self.0.iter_mut().filter(|given| given.peer == Some(peer)) {
            given.tries = given.tries.saturating_add(1);
            given.dial_at = Some(now + backoff(given.tries));
        }
    }

    /// What is to be dialled now, and waits no longer.
    pub(super) fn take_due(
        &mut self,
        now: Timestamp,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<(Address, Option<PeerId>)> {
        let due = self.0.iter_mut().filter_map(|given| {
            given.dial_at.take_if(|at| *at <= now)?;
            // Reached by another way since: the redial of its lost link is its own matter.
            (!given.peer.as_ref().is_some_and(&is_connected)).then_some((given.address, given.named))
        });
        due.collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|given| given.dial_at).min()
    }
}
