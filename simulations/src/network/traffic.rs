//! What was sent, by kind, as it would be counted at a network interface.
//!
//! A stream is told by the protocol that its opener proposes. Sizes on the wire are those of TCP with Noise
//! and Yamux over Ethernet: [`FRAME_BYTES`] beside the payload for each frame, [`SEGMENT_BYTES`] for each
//! TCP segment, and an acknowledgement. While something is sent, Yamux measures the round trip every
//! [`ROUND_TRIP_INTERVAL`]. What hosts send to find each other's Ethernet addresses is not counted: some 15
//! bytes a second of each of ten idle hosts.

use std::{collections::BTreeMap, time::Duration};

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// gossipsub.
    Gossip,
    /// The PRESENCE PROTOCOL: comparisons, exchanges, fetches, notifications.
    Presence,
    /// The INSTANT MESSAGE PROTOCOL.
    Message,
    /// What peers are, asked once per connection.
    Identify,
    /// Beats and probes.
    Liveness,
    /// Announcements of addresses on a segment.
    Discovery,
    /// Making and ending connections, and streams that ended before they said what for.
    Transport,
}

impl Class {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gossip => "gossip",
            Self::Presence => "presence",
            Self::Message => "message",
            Self::Identify => "identify",
            Self::Liveness => "liveness",
            Self::Discovery => "discovery",
            Self::Transport => "transport",
        }
    }

    /// The class of a stream whose opener wrote this first, once it names a protocol.
    pub(super) fn of_proposal(bytes: &[u8]) -> Option<Self> {
        let names = |name: &str| bytes.windows(name.len()).any(|window| window == name.as_bytes());
        let known = [
            ("/meshsub/", Self::Gossip),
            ("/presence/", Self::Presence),
            ("/message/", Self::Message),
            ("/ipfs/id/", Self::Identify),
            ("/liveness/", Self::Liveness),
        ];
        known.into_iter().find(|(name, _)| names(name)).map(|(_, class)| class)
    }
}

/// What was sent so far.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    bytes: BTreeMap<Class, u64>,
    announcements: Rate,
}

impl Traffic {
    pub(super) fn add(&mut self, class: Class, bytes: u64) {
        *self.bytes.entry(class).or_default() += bytes;
    }

    pub(super) fn add_announcement(&mut self, now: u64, bytes: u64) {
        self.add(Class::Discovery, bytes);
        self.announcements.add(now);
    }

    /// Packets sent to everybody on a segment, each counted once.
    pub fn announcements(&self) -> &Rate {
        &self.announcements
    }

    /// Bytes sent, by class.
    pub fn bytes(&self) -> &BTreeMap<Class, u64> {
        &self.bytes
    }

    /// Bytes sent after an earlier moment, by class.
    pub fn since(&self, before: &Self) -> BTreeMap<Class, u64> {
        let sent_before = |class| before.bytes.get(class).copied().unwrap_or(0);
        self.bytes.iter().map(|(class, bytes)| (*class, bytes - sent_before(class))).collect()
    }

    /// Bytes sent in all.
    pub fn total(&self) -> u64 {
        self.bytes.values().sum()
    }
}

/// How often something happened: in all, and in the busiest second.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    total: u64,
    /// Which second it happened in last, and how often.
    last: (u64, u64),
    most: u64,
}

impl Rate {
    /// It happens at `now`, in nanoseconds.
    pub(super) fn add(&mut self, now: u64) {
        let second = now / 1_000_000_000;
        if self.last.0 != second {
            self.last = (second, 0);
        }
        self.last.1 += 1;
        self.total += 1;
        self.most = self.most.max(self.last.1);
    }

    /// How often in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How often in the second, of those that the clock counts, in which it happened most.
    pub fn most_in_a_second(&self) -> u64 {
        self.most
    }
}

/// What a frame of so many bytes is on the wire.
pub(super) fn on_the_wire(payload: usize) -> u64 {
    let framed = u64::try_from(payload).unwrap_or(u64::MAX).saturating_add(FRAME_BYTES);
    framed + framed.div_ceil(SEGMENT_PAYLOAD) * SEGMENT_BYTES
}

/// Yamux's header, Noise's tag and length.
const FRAME_BYTES: u64 = 12 + 18;
/// Ethernet, IPv6, over which hosts of a LAN mostly find each other, and TCP with timestamps.
pub(super) const SEGMENT_BYTES: u64 = 14 + 40 + 32;
const SEGMENT_PAYLOAD: u64 = 1428;
pub(super) const ROUND_TRIP_INTERVAL: Duration = Duration::from_secs(10);
/// The packets of a TCP handshake and of the Noise and Yamux negotiation, both directions together: 1,150
/// bytes over IPv4, and for IPv6, which was reckoned and not measured, 20 more for each of some twelve
/// packets.
pub(super) const HANDSHAKE_BYTES: u64 = 1_390;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_knows_the_busiest_second() {
        let mut rate = Rate::default();
        for at in [0, 1, 999_999_999, 1_000_000_000, 7_000_000_000, 7_500_000_000] {
            rate.add(at);
        }
        assert_eq!((rate.total(), rate.most_in_a_second()), (6, 3));
    }
}
