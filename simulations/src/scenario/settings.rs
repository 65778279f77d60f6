//! The settings of a run that do no harm: how the nodes join, what a node is, the network, the disk, and
//! the work they do. Each type is one section of the file.
//!
//! A section that is absent has all its defaults, and so has each absent field. Settings that do not apply
//! (such as `crowd` without a flash crowd) hold a neutral value here and are refused in the file.

use std::time::Duration;

use serde::Serialize;

use super::quantity::{self, Amount};
use super::reader::{Read, Section, named};
use super::{DURATION_MAX, DURATION_MIN, NODES_MAX, NODES_MIN};

/// `[small]`: what CI runs instead. Absent fields leave the scenario as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Small {
    /// Nodes instead of the scenario's. Range 2 to the scenario's `nodes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<usize>,
    /// Length of the safety phase instead of the scenario's. Range 1 s to the scenario's `duration`; every
    /// fault must begin within it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub duration: Option<Duration>,
}

named! {
    /// How the nodes start.
    pub enum JoinHow {
        /// Every node starts at a random moment within `within`.
        AtOnce = "at-once",
        /// The nodes start one after another, evenly spread over `within`.
        Ramp = "ramp",
        /// A first part starts at random moments within `within`; the crowd does the same from `crowd_at` on.
        FlashCrowd = "flash-crowd",
    }
}

named! {
    /// How a node learns of the first others.
    pub enum DiscoveryKind {
        /// By announcements on its own LAN segment, which get lost as other packets do.
        Mdns = "mdns",
        /// It is given the addresses of random nodes that start earlier.
        Given = "given",
    }
}

/// `[join]`: how the nodes start and find the first others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Join {
    /// How the nodes start. Default at-once.
    pub how: JoinHow,
    /// Time over which the starts are spread. Default 100 ms, with ramp 10 s; range 0 to 1 day, less than
    /// `join_limit`. Shorter: more nodes dial the same few at the same time.
    #[serde(serialize_with = "quantity::duration_text")]
    pub within: Duration,
    /// How many start with the crowd; with flash-crowd only, otherwise nobody. Default 50 %; at least one
    /// node and not all.
    #[serde(skip_serializing_if = "Amount::is_none")]
    pub crowd: Amount,
    /// When the crowd starts, after the first start; with flash-crowd only, otherwise zero. Default 20 s;
    /// range 1 ms to 1 day, less than `join_limit`.
    #[serde(skip_serializing_if = "Duration::is_zero", serialize_with = "quantity::duration_text")]
    pub crowd_at: Duration,
    /// How a node learns of the first others. Default mdns.
    pub discovery: DiscoveryKind,
    /// Addresses of random earlier nodes that each node is given; with discovery given only, otherwise 0.
    /// Default 3; range 1 to 50. More: the mesh starts better connected; fewer: one dead or unreachable
    /// address matters more.
    #[serde(skip_serializing_if = "is_zero")]
    pub given: usize,
}

impl Default for Join {
    fn default() -> Self {
        Self {
            how: JoinHow::AtOnce,
            within: JOIN_WITHIN,
            crowd: Amount::Count(0),
            crowd_at: Duration::ZERO,
            discovery: DiscoveryKind::Mdns,
            given: 0,
        }
    }
}

impl Join {
    pub(super) const FIELDS: &'static [&'static str] =
        &["how", "within", "crowd", "crowd_at", "discovery", "given"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let how = section.name("how")?.unwrap_or(JoinHow::AtOnce);
        let discovery = section.name("discovery")?.unwrap_or(DiscoveryKind::Mdns);
        let within_default = if how == JoinHow::Ramp { JOIN_WITHIN_RAMP } else { JOIN_WITHIN };
        let within = section.duration("within", Duration::ZERO..=DAY)?.unwrap_or(within_default);
        for field in ["crowd", "crowd_at"] {
            if section.has(field) && how != JoinHow::FlashCrowd {
                let words = format!("`{field}` is for a flash crowd only, and `how` is \"{how}\"");
                return Err(section.contradiction(field, words, "how = \"flash-crowd\", or leave it out"));
            }
        }
        if section.has("given") && discovery != DiscoveryKind::Given {
            let words = format!("`given` is for given addresses only, and `discovery` is \"{discovery}\"");
            return Err(section.contradiction("given", words, "discovery = \"given\", or leave it out"));
        }
        let crowd = section.amount("crowd")?.unwrap_or(Amount::Share(0.5));
        let crowd_at =
            section.duration("crowd_at", Duration::from_millis(1)..=DAY)?.unwrap_or(Duration::from_secs(20));
        let given = section.count("given", 1..=50)?.unwrap_or(3);
        let (is_crowd, is_given) = (how == JoinHow::FlashCrowd, discovery == DiscoveryKind::Given);
        Ok(Self {
            how,
            within,
            crowd: if is_crowd { crowd } else { Amount::Count(0) },
            crowd_at: if is_crowd { crowd_at } else { Duration::ZERO },
            discovery,
            given: if is_given { given } else { 0 },
        })
    }
}

/// `[node]`: what each honest node is set to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeSettings {
    /// Links that each node dials on its own. Default 40; range 2 to 100. Where it knows of more peers than
    /// this, 12 at most. More: fewer hops and more copies of each record; fewer: the mesh may fall apart when
    /// nodes die.
    pub neighbours: usize,
    /// How many nodes have a PRESENTITY and publish its PRESENCE INFORMATION; the others only watch.
    /// Default all of them.
    pub publishers: Amount,
    /// PRESENTITIES that each node keeps. Default 4096; range 16 to 1,000,000. More costs memory; at
    /// least the number of publishers, unless the run must fail by liveness.
    pub records_max: usize,
    /// Messages that each INSTANT INBOX holds. Default 10,000; range 1 to 1,000,000. More costs memory and
    /// disk; fewer makes full inboxes refuse.
    pub inbox_max: usize,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self { neighbours: 40, publishers: Amount::Share(1.0), records_max: 4096, inbox_max: 10_000 }
    }
}

impl NodeSettings {
    pub(super) const FIELDS: &'static [&'static str] =
        &["neighbours", "publishers", "records_max", "inbox_max"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let default = Self::default();
        Ok(Self {
            neighbours: section.count("neighbours", 2..=100)?.unwrap_or(default.neighbours),
            publishers: section.amount("publishers")?.unwrap_or(default.publishers),
            records_max: section.count("records_max", 16..=1_000_000)?.unwrap_or(default.records_max),
            inbox_max: section.count("inbox_max", 1..=1_000_000)?.unwrap_or(default.inbox_max),
        })
    }
}

named! {
    /// What the links are like; the network model holds the numbers.
    pub enum Profile {
        /// A wired LAN: sub-millisecond, steady, nothing lost.
        Wired = "wired",
        /// A wireless LAN: milliseconds, spread, some loss, power-save stalls.
        Wifi = "wifi",
        /// A wide-area network: tens of milliseconds.
        Wan = "wan",
    }
}

/// `[network]`: the profile of the links, and what is overridden of it (`None`: the profile's value).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkSettings {
    /// What the links are like. Default wired.
    pub profile: Profile,
    /// LAN segments joined by routers; hosts are dealt to them evenly. Default 1; range 1 to 1000, at most
    /// `nodes`. Announcements do not leave a segment.
    pub segments: usize,
    /// One-way latency between two hosts of a segment, overriding the profile. Range 0 to 10 s.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub latency: Option<Duration>,
    /// Spread of the latency, like a standard deviation, overriding the profile. Range 0 to 10 s. More:
    /// packets overtake each other more often.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub jitter: Option<Duration>,
    /// Share of packets lost, 0 to 1, overriding the profile: a delay on streams, a drop for discovery
    /// packets. Range 0 to 90 %.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::share_text_option")]
    pub loss: Option<f64>,
    /// Each host's up link and down link, in Mbit/s, overriding the profile. Range 0.01 to 100,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth_mbit: Option<f64>,
    /// Whether hosts stall as a Wi-Fi card in power save does. Default: only with the profile wifi.
    pub stalls: bool,
    /// One-way latency that each crossing from one segment to another adds. Default 0.3 ms; range 0 to 10 s.
    #[serde(serialize_with = "quantity::duration_text")]
    pub router_latency: Duration,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            profile: Profile::Wired,
            segments: 1,
            latency: None,
            jitter: None,
            loss: None,
            bandwidth_mbit: None,
            stalls: false,
            router_latency: Duration::from_micros(300),
        }
    }
}

impl NetworkSettings {
    pub(super) const FIELDS: &'static [&'static str] =
        &["profile", "segments", "latency", "jitter", "loss", "bandwidth_mbit", "stalls", "router_latency"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let default = Self::default();
        let profile = section.name("profile")?.unwrap_or(default.profile);
        let times = || Duration::ZERO..=Duration::from_secs(10);
        Ok(Self {
            profile,
            segments: section.count("segments", 1..=1000)?.unwrap_or(default.segments),
            latency: section.duration("latency", times())?,
            jitter: section.duration("jitter", times())?,
            loss: section.share("loss", 0.0..=90.0)?,
            bandwidth_mbit: section.number("bandwidth_mbit", 0.01..=100_000.0)?,
            stalls: section.flag("stalls")?.unwrap_or(profile == Profile::Wifi),
            router_latency: section.duration("router_latency", times())?.unwrap_or(default.router_latency),
        })
    }
}

/// `[disk]`: the disk of each node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiskSettings {
    /// Time of one fsync. Default 1 ms, an SSD; range 0 to 10 s. Longer: acknowledgements that wait for
    /// durability come later.
    #[serde(serialize_with = "quantity::duration_text")]
    pub fsync: Duration,
    /// Whether the disk says "durable" before it is. Default no. A planted bug: a canary must catch it.
    pub lies: bool,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self { fsync: Duration::from_millis(1), lies: false }
    }
}

impl DiskSettings {
    pub(super) const FIELDS: &'static [&'static str] = &["fsync", "lies"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let default = Self::default();
        Ok(Self {
            fsync: section
                .duration("fsync", Duration::ZERO..=Duration::from_secs(10))?
                .unwrap_or(default.fsync),
            lies: section.flag("lies")?.unwrap_or(default.lies),
        })
    }
}

/// `[workload]`: what the nodes do in the safety phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workload {
    /// Status changes in all, spread over `duration` evenly with jitter, by random live publishers.
    /// Default 0; range 0 to 1,000,000.
    pub changes: usize,
    /// Moments, spread in the same way, at which several publishers change at once. Default 0; range 0 to
    /// 100,000.
    pub bursts: usize,
    /// Live publishers, each another, that change in a burst; with bursts only, otherwise 0. Default 20;
    /// range 1 to 10,000, at most the publishers.
    #[serde(skip_serializing_if = "is_zero")]
    pub burst_changes: usize,
    /// Time within which a burst is over, its changes at random moments in it; with bursts only. Default 10
    /// ms; range 0 to 1 min. Shorter: more records are under way at the same time.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub burst_within: Option<Duration>,
    /// INSTANT MESSAGES in all, spread in the same way, from a random live sender to a random PRESENTITY.
    /// Default 0; range 0 to 1,000,000.
    pub messages: usize,
    /// Bytes of a message's body. Default 200; range 1 to 16,384.
    pub message_bytes: usize,
    /// Whether messages wait in the sender's outbox while their receiver is away. Default yes.
    pub queued: bool,
    /// Whether each node has a petname for each other one: they are contacts, whose messages no rule limits,
    /// and watch each other. Default no.
    pub contacts: bool,
    /// SUBSCRIPTIONS of each node, to random PRESENTITIES. Default 0; range 0 to 1000.
    pub watches: usize,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            changes: 0,
            bursts: 0,
            burst_changes: 0,
            burst_within: None,
            messages: 0,
            message_bytes: 200,
            queued: true,
            contacts: false,
            watches: 0,
        }
    }
}

impl Workload {
    pub(super) const FIELDS: &'static [&'static str] = &[
        "changes",
        "bursts",
        "burst_changes",
        "burst_within",
        "messages",
        "message_bytes",
        "queued",
        "contacts",
        "watches",
    ];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let default = Self::default();
        let bursts = section.count("bursts", 0..=100_000)?.unwrap_or(default.bursts);
        let burst_changes = section.count("burst_changes", 1..=10_000)?;
        let burst_within = section.duration("burst_within", Duration::ZERO..=Duration::from_secs(60))?;
        for field in ["burst_changes", "burst_within"] {
            if section.has(field) && bursts == 0 {
                let words = format!("`{field}` is for bursts only, and there are no bursts");
                return Err(section.contradiction(field, words, "`bursts` above 0, or leave it out"));
            }
        }
        Ok(Self {
            changes: section.count("changes", 0..=1_000_000)?.unwrap_or(default.changes),
            bursts,
            burst_changes: if bursts > 0 { burst_changes.unwrap_or(20) } else { 0 },
            burst_within: (bursts > 0).then(|| burst_within.unwrap_or(Duration::from_millis(10))),
            messages: section.count("messages", 0..=1_000_000)?.unwrap_or(default.messages),
            message_bytes: section.count("message_bytes", 1..=16_384)?.unwrap_or(default.message_bytes),
            queued: section.flag("queued")?.unwrap_or(default.queued),
            contacts: section.flag("contacts")?.unwrap_or(default.contacts),
            watches: section.count("watches", 0..=1000)?.unwrap_or(default.watches),
        })
    }
}

impl Workload {
    /// Changes in all.
    pub fn all_changes(&self) -> usize {
        self.changes + self.bursts * self.burst_changes
    }
}

impl Small {
    pub(super) const FIELDS: &'static [&'static str] = &["nodes", "duration"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        Ok(Self {
            nodes: section.count("nodes", NODES_MIN..=NODES_MAX)?,
            duration: section.duration("duration", DURATION_MIN..=DURATION_MAX)?,
        })
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a count is nought, for serde.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// People who are told "now" still need a moment.
const JOIN_WITHIN: Duration = Duration::from_millis(100);

/// Slow enough that each node of a few dozen is settled before the next one starts.
const JOIN_WITHIN_RAMP: Duration = Duration::from_secs(10);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
