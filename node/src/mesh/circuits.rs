//! Circuits: connections through a third node, for two who cannot dial each other. RFC 2778's PROXY.
//!
//! libp2p's circuit relay v2. Noise is spoken end to end over a circuit, so that the relay passes on what it
//! cannot read, and knows who talks to whom, when and how much.
//!
//! **A circuit carries requests and nothing else**: FETCH, SUBSCRIBE, notices to SUBSCRIBERS, messages. It
//! is made for a request, by whoever asks, and closed when nothing was asked for a while. It is no link:
//! gossip, comparisons of tables, beats and probes never use one ([`super::direct`]), the overlay does not
//! know of it, and whom a node shows as present rests on the links of others. So nothing flaps when a relay
//! cuts a circuit: what is under way then counts as unanswered, and the next request makes the next circuit.
//! That somebody behind a relay cannot be dialled is held against nobody while that relay is linked: it has
//! the link and will speak. When the relay is lost it counts. Records get to the other side by the gossip of
//! the nodes in between, as they do without any relay.
//!
//! **Decides** what a relay serves ([`RelaySettings`]), and to whom: to peers whose identify exchange says
//! that they are of this realm. A relay is one because its PRINCIPAL says so, and none by default: it lends
//! its network to others, and what passes through it is in its name as far as firewalls and bills go.
//! **Leaves** to [`hereabouts_protocol::overlay::relays`] by whom this node is to be reached, and to the
//! driver to say so in the record, where a relay is named by its key alone: where that one is stands in its
//! own record.
//!
//! **Limits**: those of [`RelaySettings`]; [`CIRCUITS_AT_ONCE_MAX`] circuits end here at a time, for the
//! limits of connections per IP address do not see behind a relay, and a further one is closed.

use std::{
    collections::BTreeSet,
    fmt,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, relay};

use super::addresses::GivenAddress;

/// What a node has to do with relays. By default it neither is one nor can use any.
#[derive(Default)]
pub struct Relaying {
    /// The behaviour that belongs to the transport, if that can make circuits.
    pub circuits: Option<relay::client::Behaviour>,
    /// Through whom this node is to be reached.
    pub by: Vec<GivenAddress>,
    /// Whether others are to reach it, and it them, in no other way: it tells and dials no address of its own
    /// accord but those that were given.
    pub only: bool,
    /// What it relays for others, if it does.
    pub serves: Option<RelaySettings>,
}

impl fmt::Debug for Relaying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relaying")
            .field("by", &self.by)
            .field("only", &self.only)
            .field("serves", &self.serves)
            .finish_non_exhaustive()
    }
}

/// How much a relay does for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelaySettings {
    /// Peers that are reached through it: 128. Each holds a link, of which a node has 512. At the limit
    /// further ones are refused, and so are renewals until there is room.
    pub reservations: usize,
    /// How long a reservation stands that is not renewed: a day. It ends with its link in any case, so that
    /// it need not be short; and since it ends at a time of the relay's clock and is renewed by the other
    /// one's, this is by how much two clocks may differ: a day one way, eight hours the other.
    pub reservation_time: Duration,
    /// Circuits at a time: 64, and 16 of one peer. At most 16 KiB wait in each. At the limit further ones are
    /// refused.
    pub circuits: usize,
    /// How long a circuit is held: an hour, the longest that a subscription is granted for. One that is not
    /// used is closed by its ends long before.
    pub circuit_time: Duration,
    /// Bytes that pass through one circuit, both ways: 8 MiB, some 500 of the largest messages. Then it is
    /// cut.
    pub circuit_bytes: u64,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            reservations: 128,
            reservation_time: Duration::from_secs(24 * 60 * 60),
            circuits: 64,
            circuit_time: Duration::from_secs(60 * 60),
            circuit_bytes: 8 * 1024 * 1024,
        }
    }
}

/// The behaviour of a relay that serves `members`.
pub(super) fn relay(own: PeerId, settings: RelaySettings, members: Members) -> relay::Behaviour {
    let mut config = relay::Config {
        max_reservations: settings.reservations,
        // It lets through one more than this of whom it counts.
        max_reservations_per_peer: 1,
        reservation_duration: settings.reservation_time,
        reservation_rate_limiters: vec![Box::new(members.clone())],
        max_circuits: settings.circuits,
        max_circuits_per_peer: CIRCUITS_OF_ONE_MAX,
        max_circuit_duration: settings.circuit_time,
        max_circuit_bytes: settings.circuit_bytes,
        circuit_src_rate_limiters: vec![Box::new(members)],
    };
    config = config.reservation_rate_per_peer(ASKED_AT_ONCE_MAX, ASKED_INTERVAL);
    config = config.circuit_src_per_peer(ASKED_AT_ONCE_MAX, ASKED_INTERVAL);
    let mut relay = relay::Behaviour::new(own, config);
    // Whether anybody outside can dial it is not for a lookup to say: the PRINCIPAL did.
    relay.set_status(Some(relay::Status::Enable));
    relay
}

/// Who is linked: those whom a relay serves.
#[derive(Debug, Clone, Default)]
pub(super) struct Members(Arc<Mutex<BTreeSet<PeerId>>>);

impl Members {
    pub(super) fn put(&self, peer: PeerId, linked: bool) {
        let mut members = self.lock();
        if linked {
            members.insert(peer)
        } else {
            members.remove(&peer)
        };
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PeerId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl relay::RateLimiter for Members {
    fn try_next(&mut self, peer: PeerId, _: &Multiaddr, _: std::time::Instant) -> bool {
        self.lock().contains(&peer)
    }
}

/// Circuits that end at this node at a time: an eighth of its connections.
pub(super) const CIRCUITS_AT_ONCE_MAX: usize = 64;
/// So that four peers at least share what a relay has. One that is itself often called is not refused more.
const CIRCUITS_OF_ONE_MAX: usize = 16;
/// Reservations, and circuits, that one peer may ask for at once, and how often one more after that. Who
/// writes to everybody makes a circuit for each, and after a restart asks everybody.
const ASKED_AT_ONCE_MAX: NonZeroU32 = NonZeroU32::new(60).expect("it is above zero");
const ASKED_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use libp2p::relay::RateLimiter as _;

    use super::*;

    #[test]
    fn nobody_but_the_linked_is_served() {
        let (member, stranger) = (PeerId::random(), PeerId::random());
        let members = Members::default();
        let mut limiter = members.clone();
        let mut is_served = |peer| limiter.try_next(peer, &Multiaddr::empty(), std::time::Instant::now());
        members.put(member, true);
        assert!(is_served(member) && !is_served(stranger));
        members.put(member, false);
        assert!(!is_served(member));
    }
}
