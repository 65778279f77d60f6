//! Links: how long a packet takes between two hosts, and whether it arrives at all.
//!
//! A host has one interface with a queue in each direction (`start = max(now, busy)`, `busy = start + bytes /
//! rate`, each in the order in which packets reach it), hosts are on segments or in regions, and a path adds
//! latency, jitter, the router between two segments and, on Wi-Fi, stalls. A packet that is lost is gone for
//! a datagram and late for a stream: TCP sends it again after [`RETRANSMIT_MIN`], and twice as long after
//! each further loss.
//!
//! A *cut* is silence: partitions, pulled cables and lost power let nothing through and tell nobody.

use std::{net::Ipv4Addr, time::Duration};

use rand::{RngExt, rngs::StdRng};

use super::regions;

/// What the links of a simulation are like.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkSettings {
    /// One way, within a segment. With regions it is what both ends add to the way between them.
    pub latency: Duration,
    /// The mean of what is added to it at random, packet by packet.
    pub jitter: Duration,
    /// Share of packets that are lost.
    pub loss: f64,
    /// Share of multicast packets that a receiver does not get: Wi-Fi sends those unacknowledged.
    pub multicast_loss: f64,
    /// Bits a second of every interface, in each direction.
    pub bandwidth: f64,
    /// Whether interfaces stall for 20 to 100 ms every five seconds or so, as Wi-Fi in power save does.
    pub stalls: bool,
    /// One way between two segments, beside the latency.
    pub router_latency: Duration,
    /// Whether hosts are spread over the regions of the measured matrix.
    pub regions: bool,
}

/// One interface.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) address: Ipv4Addr,
    pub(super) segment: u32,
    region: usize,
    /// Whether packets pass: cable in, power on.
    pub(super) connected: bool,
    /// Hosts of different partitions are cut off from each other.
    pub(super) partition: u32,
    /// Nothing that it sends reaches a host outside of this group, though what those send arrives.
    pub(super) mute: Option<u32>,
    /// Loss beside that of the links.
    pub(super) loss: f64,
    up_busy_until: u64,
    down_busy_until: u64,
    stall: (u64, u64),
}

impl Interface {
    pub(super) fn new(address: Ipv4Addr, segment: u32, region: usize) -> Self {
        Self {
            address,
            segment,
            region: region % regions::REGIONS.len(),
            connected: true,
            partition: 0,
            mute: None,
            loss: 0.0,
            up_busy_until: 0,
            down_busy_until: 0,
            stall: (0, 0),
        }
    }

    /// When a packet that would arrive at `at` gets through, given that the radio sleeps now and then.
    fn after_stall(&mut self, at: u64, random: &mut StdRng) -> u64 {
        while self.stall.1 < at {
            let begin = self.stall.1 + exponential(STALL_INTERVAL, random);
            self.stall = (begin, begin + random.random_range(STALL_MIN..STALL_MAX));
        }
        if self.stall.0 <= at { self.stall.1 } else { at }
    }
}

/// Whether a packet from the one to the other can pass.
pub(super) fn passes(from: &Interface, to: &Interface) -> bool {
    let mute = from.mute.is_some() && from.mute != to.mute;
    from.connected && to.connected && from.partition == to.partition && !mute
}

/// When `bytes` of a stream that are sent at `now` reach the other interface.
pub(super) fn stream_arrival(
    settings: &LinkSettings,
    (from, to): (&mut Interface, &mut Interface),
    (now, bytes): (u64, u64),
    random: &mut StdRng,
) -> u64 {
    let mut sent = queue(&mut from.up_busy_until, now, bytes, settings.bandwidth);
    let mut wait = nanoseconds(RETRANSMIT_MIN);
    let losses = [settings.loss, from.loss, to.loss];
    // Beyond this many the connection would have been given up.
    for _ in 0..RETRANSMITS_MAX {
        if !is_lost(&losses, random) {
            break;
        }
        sent += wait;
        wait *= 2;
    }
    arrive(settings, from, to, sent, bytes, random)
}

/// When the first packet of a connection reaches the other interface, if it does.
pub(super) fn syn_arrival(
    settings: &LinkSettings,
    (from, to): (&mut Interface, &mut Interface),
    (now, bytes): (u64, u64),
    random: &mut StdRng,
) -> Option<u64> {
    let sent = queue(&mut from.up_busy_until, now, bytes, settings.bandwidth);
    let lost = is_lost(&[settings.loss, from.loss, to.loss], random);
    (!lost).then(|| arrive(settings, from, to, sent, bytes, random))
}

/// Whether a receiver gets a multicast packet, which reaches its interface at `now`.
pub(super) fn datagram_arrives(
    settings: &LinkSettings,
    (from, to): (&mut Interface, &mut Interface),
    (now, bytes): (u64, u64),
    random: &mut StdRng,
) -> bool {
    if is_lost(&[settings.loss, settings.multicast_loss, from.loss, to.loss], random) {
        return false;
    }
    wait_in_queue(settings, to, now, bytes);
    true
}

/// When a packet whose end reaches the interface at `now` is through its queue, if it has to wait there.
pub(super) fn wait_in_queue(
    settings: &LinkSettings,
    to: &mut Interface,
    now: u64,
    bytes: u64,
) -> Option<u64> {
    let takes = transmission(bytes, settings.bandwidth);
    let waits = to.down_busy_until > now.saturating_sub(takes);
    to.down_busy_until = if waits { to.down_busy_until + takes } else { now };
    waits.then_some(to.down_busy_until)
}

/// When a packet that is sent at `now` has left the interface.
pub(super) fn leave(settings: &LinkSettings, from: &mut Interface, now: u64, bytes: u64) -> u64 {
    queue(&mut from.up_busy_until, now, bytes, settings.bandwidth)
}

/// One way, without queues and chance.
pub(super) fn base_latency(settings: &LinkSettings, from: &Interface, to: &Interface) -> u64 {
    let between = if settings.regions {
        nanoseconds(regions::one_way(from.region, to.region).latency)
    } else if from.segment != to.segment {
        nanoseconds(settings.router_latency)
    } else {
        0
    };
    between + nanoseconds(settings.latency)
}

fn arrive(
    settings: &LinkSettings,
    from: &mut Interface,
    to: &mut Interface,
    sent: u64,
    bytes: u64,
    random: &mut StdRng,
) -> u64 {
    let spread = if settings.regions {
        settings.jitter + regions::one_way(from.region, to.region).spread
    } else {
        settings.jitter
    };
    let mut at = sent + base_latency(settings, from, to) + exponential(nanoseconds(spread), random);
    if settings.stalls {
        at = from.after_stall(at, random).max(to.after_stall(at, random));
    }
    // Whether it finds the queue empty is only known then.
    at + transmission(bytes, settings.bandwidth)
}

fn queue(busy_until: &mut u64, now: u64, bytes: u64, bandwidth: f64) -> u64 {
    *busy_until = now.max(*busy_until) + transmission(bytes, bandwidth);
    *busy_until
}

fn transmission(bytes: u64, bandwidth: f64) -> u64 {
    rounded(bytes as f64 * 8e9 / bandwidth)
}

/// Draws whether a packet is lost.
fn is_lost(losses: &[f64], random: &mut StdRng) -> bool {
    let loss = combined(losses);
    loss > 0.0 && random.random::<f64>() < loss
}

/// The chance that one of several independent losses happens.
fn combined(losses: &[f64]) -> f64 {
    1.0 - losses.iter().map(|loss| 1.0 - loss).product::<f64>()
}

fn exponential(mean: u64, random: &mut StdRng) -> u64 {
    if mean == 0 {
        return 0;
    }
    let uniform: f64 = random.random();
    // At most ten times the mean, so that no single packet decides what a run looks like.
    rounded(mean as f64 * (-(1.0 - uniform).ln()).min(10.0))
}

fn rounded(nanoseconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of nanoseconds are far below 2^53")]
    #[expect(clippy::cast_sign_loss, reason = "durations are not negative")]
    let whole = nanoseconds as u64;
    whole
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Linux's smallest retransmission timeout, which a lost packet waits for where no other follows it.
pub(super) const RETRANSMIT_MIN: Duration = Duration::from_millis(200);
const RETRANSMITS_MAX: usize = 8;
const STALL_INTERVAL: u64 = 5_000_000_000;
const STALL_MIN: u64 = 20_000_000;
const STALL_MAX: u64 = 100_000_000;
