//! What goes wrong in a run: nodes that come and go, faults in time, faults drawn by seed, and nodes that
//! do not keep to the protocol. Each type is one section of the file; without them nothing goes wrong.
//!
//! Faults are healed after `lasts`, or at the end of the safety phase at the latest.

use std::time::Duration;

use serde::Serialize;

use super::DURATION_MAX;
use super::draw::Draw;
use super::quantity::{self, Amount, Skew};
use super::reader::{Read, Section, allowed_duration, named};

/// `[churn]`: nodes that come and go on their own during the safety phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Churn {
    /// Which nodes come and go; drawn by seed. Required; at least one node.
    pub amount: Amount,
    /// How long a node stays, from its start to its next end. Required.
    pub session: Draw,
    /// How long it stays away, from its end to its next start. Required.
    pub away: Draw,
    /// Share of ends, 0 to 1, that say goodbye; the others are kill -9. Default 50 %; range 0 to 100 %.
    #[serde(serialize_with = "quantity::share_text")]
    pub graceful: f64,
    /// Share of returns, 0 to 1, that find their disk as they left it; the others find an empty one.
    /// Default 100 %; range 0 to 100 %.
    #[serde(serialize_with = "quantity::share_text")]
    pub keep_disk: f64,
}

impl Churn {
    pub(super) const FIELDS: &'static [&'static str] =
        &["amount", "session", "away", "graceful", "keep_disk"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let amount = section.amount("amount")?;
        let session =
            section.section("session", Draw::FIELDS)?.map(|table| Draw::read(&table)).transpose()?;
        let away = section.section("away", Draw::FIELDS)?.map(|table| Draw::read(&table)).transpose()?;
        let draw = "a distribution such as { distribution = \"exponential\", median = \"10m\" }";
        Ok(Self {
            amount: section.required("amount", amount, "a count of nodes, or a share such as \"30%\"")?,
            session: section.required("session", session, draw)?,
            away: section.required("away", away, draw)?,
            graceful: section.share("graceful", 0.0..=100.0)?.unwrap_or(0.5),
            keep_disk: section.share("keep_disk", 0.0..=100.0)?.unwrap_or(1.0),
        })
    }
}

named! {
    /// What a fault does to its nodes.
    pub enum FaultKind {
        /// Kill -9: links break, the kernel keeps what was written. Stays away for `lasts`, or for ever.
        Crash = "crash",
        /// The power fails: silence, and unsynced writes are gone. Stays away for `lasts`, or for ever.
        PowerCut = "power-cut",
        /// A graceful leave, and back after `lasts`.
        Restart = "restart",
        /// SIGSTOP: nothing runs, the network keeps filling the buffers; clocks go on.
        Pause = "pause",
        /// Everything the node computes takes `factor` times as long.
        SlowCpu = "slow-cpu",
        /// The machine sleeps: nothing runs, packets are lost, and its clock jumps when it wakes.
        Suspend = "suspend",
        /// The nodes of `amount` and the others cannot reach each other.
        Partition = "partition",
        /// Packets from the nodes of `amount` to the others are lost; the way back works.
        OneWayCut = "one-way-cut",
        /// Each node is cut off from everybody, and its interface goes down.
        CablePull = "cable-pull",
        /// `loss` of the packets to and from the nodes are lost.
        Loss = "loss",
        /// The nodes' wall clocks are off by `skew`.
        ClockSkew = "clock-skew",
        /// Each node gets another address: links break, and others must learn it.
        AddressChange = "address-change",
        /// Every write fails.
        DiskFull = "disk-full",
        /// New connections to the nodes are refused at once.
        Refuse = "refuse",
        /// New connections to the nodes get no answer at all.
        Swallow = "swallow",
    }
}

impl FaultKind {
    /// Whether a fault of this kind must say how long it lasts.
    pub fn must_last(self) -> bool {
        !matches!(self, Self::Crash | Self::PowerCut | Self::Restart | Self::ClockSkew | Self::AddressChange)
    }

    /// Whether the fault divides the nodes in two, so that it cannot concern all of them.
    pub fn divides(self) -> bool {
        matches!(self, Self::Partition | Self::OneWayCut)
    }
}

/// `[[faults]]`: one fault, at a given time of the safety phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    /// What it does. Required.
    pub kind: FaultKind,
    /// When it begins, after everybody has joined. Required; range 0 to `duration`.
    #[serde(serialize_with = "quantity::duration_text")]
    pub at: Duration,
    /// After what time it is healed. `None`: never (crash, power-cut, clock-skew), or there is nothing to
    /// heal (address-change). Default for restart 1 s; required for all but these five; range 1 ms to 30
    /// days.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub lasts: Option<Duration>,
    /// Interval at which it befalls one node after another (rolling), each for `lasts`. `None`: all at
    /// once. Range 1 ms to 1 day; not for partition and one-way-cut. A node whose turn would come after
    /// the safety phase is spared.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub every: Option<Duration>,
    /// Which nodes, drawn by seed: for partition the smaller side, for one-way-cut the side whose packets
    /// are lost. Default one node; at least one, and for these two not all.
    pub amount: Amount,
    /// Whether the disk is found again; crash, power-cut and restart only, otherwise true. Default true.
    #[serde(skip_serializing_if = "is_true")]
    pub keep_disk: bool,
    /// How many times slower; required for slow-cpu, otherwise 1. Range 1.1 to 10,000.
    #[serde(skip_serializing_if = "is_one")]
    pub factor: f64,
    /// Share of packets lost, 0 to 1; required for loss, otherwise 0. Range 0.01 to 100 %.
    #[serde(skip_serializing_if = "is_nought", serialize_with = "quantity::share_text")]
    pub loss: f64,
    /// By how much the wall clock is off; required for clock-skew, otherwise zero. Range -365 days to 365
    /// days, not 0.
    #[serde(skip_serializing_if = "Skew::is_zero")]
    pub skew: Skew,
}

impl Fault {
    pub(super) const FIELDS: &'static [&'static str] =
        &["kind", "at", "lasts", "every", "amount", "keep_disk", "factor", "loss", "skew"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let kind = section.name("kind")?;
        let kind: FaultKind = section.required("kind", kind, &names(FaultKind::ALL))?;
        let fault = Self {
            kind,
            at: {
                let range = Duration::ZERO..=DURATION_MAX;
                let at = section.duration("at", range.clone())?;
                section.required("at", at, &allowed_duration(&range))?
            },
            lasts: Self::read_lasts(section, kind)?,
            every: section.duration("every", INSTANT..=DAY)?,
            amount: section.amount("amount")?.unwrap_or(Amount::Count(1)),
            keep_disk: section.flag("keep_disk")?.unwrap_or(true),
            factor: section.number("factor", 1.1..=10_000.0)?.unwrap_or(1.0),
            loss: section.share("loss", 0.01..=100.0)?.unwrap_or(0.0),
            skew: section.skew("skew", SKEW_MAX)?.unwrap_or_default(),
        };
        Self::check_fields(section, kind)?;
        Ok(fault)
    }

    fn read_lasts(section: &Section<'_>, kind: FaultKind) -> Read<Option<Duration>> {
        let range = INSTANT..=DURATION_MAX;
        let lasts = section.duration("lasts", range.clone())?;
        if kind == FaultKind::AddressChange && lasts.is_some() {
            let words = "an address-change happens in an instant: it has no `lasts`".to_owned();
            return Err(section.contradiction(
                "lasts",
                words,
                "leave it out, or write a second address-change",
            ));
        }
        if kind == FaultKind::Restart {
            return Ok(Some(lasts.unwrap_or(RESTART_LASTS)));
        }
        if kind.must_last() && lasts.is_none() {
            let words = format!("a fault of kind {kind} needs `lasts`: when is it healed?");
            return Err(section.contradiction("kind", words, &allowed_duration(&range)));
        }
        Ok(lasts)
    }

    /// Fields of one kind are required for it and refused for others.
    fn check_fields(section: &Section<'_>, kind: FaultKind) -> Read<()> {
        let own = [
            ("factor", FaultKind::SlowCpu, "a number from 1.1 to 10000"),
            ("loss", FaultKind::Loss, "a share such as \"20%\""),
            ("skew", FaultKind::ClockSkew, "a duration such as \"5m\" or \"-5m\""),
        ];
        for (field, owner, allowed) in own {
            if kind == owner && !section.has(field) {
                let words = format!("a fault of kind {kind} needs `{field}`");
                return Err(section.contradiction("kind", words, allowed));
            }
            if kind != owner && section.has(field) {
                let words = format!("`{field}` is for a fault of kind {owner} only, and this is a {kind}");
                return Err(section.contradiction(field, words, "leave it out, or write a second fault"));
            }
        }
        if section.has("keep_disk")
            && !matches!(kind, FaultKind::Crash | FaultKind::PowerCut | FaultKind::Restart)
        {
            let words = format!("`keep_disk` is for crash, power-cut and restart only, and this is a {kind}");
            return Err(section.contradiction("keep_disk", words, "leave it out"));
        }
        if section.has("every") && kind.divides() {
            let words =
                format!("a {kind} divides all nodes at once: it cannot go from node to node by `every`");
            return Err(section.contradiction("every", words, "leave it out, or write several faults"));
        }
        Ok(())
    }
}

/// `[drawn_faults]`: faults whose time, length and nodes are drawn by seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrawnFaults {
    /// How many faults. Required; range 1 to 1000. More: they overlap more often.
    pub count: usize,
    /// The kinds from which each is drawn. Default every kind; not empty, each kind once.
    pub kinds: Vec<FaultKind>,
}

impl DrawnFaults {
    pub(super) const FIELDS: &'static [&'static str] = &["count", "kinds"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let count = section.count("count", 1..=1000)?;
        let kinds: Vec<_> = section.names("kinds")?.unwrap_or_else(|| FaultKind::ALL.to_vec());
        if kinds.is_empty() {
            let words = "no kind of fault is left to draw from".to_owned();
            return Err(section.contradiction("kinds", words, "leave out `kinds` for every kind"));
        }
        Ok(Self { count: section.required("count", count, "an integer from 1 to 1000")?, kinds })
    }
}

named! {
    /// What an adversary does.
    pub enum AdversaryKind {
        /// Makes up records and messages in other nodes' names, with bad signatures or none.
        Forger = "forger",
        /// Sends old, once valid records and messages again.
        Replayer = "replayer",
        /// Sends more valid traffic than anybody needs.
        Spammer = "spammer",
        /// Says of nodes that live that they are out of contact.
        FalseAccuser = "false-accuser",
        /// Fetches, subscribes, cancels and asks for watchers, by turns.
        Recorder = "recorder",
        /// Fetches from those that are guarded, too fast and in bursts.
        Fetcher = "fetcher",
        /// Subscribes to those that are guarded and cancels at once, again and again.
        Subscriber = "subscriber",
        /// Takes part in the mesh and passes nothing on.
        SilentDropper = "silent-dropper",
    }
}

/// `[[adversaries]]`: nodes beside the honest ones that do not keep to the protocol.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adversaries {
    /// What they do. Required.
    pub kind: AdversaryKind,
    /// How many there are; a share is one of `nodes`. Default 10 %; at least one, at most 1000.
    pub amount: Amount,
    /// How often each of them acts. Default 1 s; range 1 ms to 1 day.
    #[serde(serialize_with = "quantity::duration_text")]
    pub every: Duration,
    /// Whether every node has a petname for each of them: a contact, whose messages no rule limits; spammer
    /// only. Default no.
    #[serde(skip_serializing_if = "is_false")]
    pub contact: bool,
    /// When every node sets a DELIVERY RULE for each of them that denies; contacts only. `None`: never.
    /// Range 0 to `duration`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub denied_at: Option<Duration>,
}

impl Adversaries {
    pub(super) const FIELDS: &'static [&'static str] = &["kind", "amount", "every", "contact", "denied_at"];

    /// How many there are beside so many honest nodes; there may be more of them, since keys cost nothing.
    pub fn count(&self, nodes: usize) -> usize {
        match self.amount {
            Amount::Count(count) => count,
            Amount::Share(_) => self.amount.of(nodes),
        }
    }

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let kind = section.name("kind")?;
        let kind = section.required("kind", kind, &names(AdversaryKind::ALL))?;
        let contact = section.flag("contact")?.unwrap_or(false);
        if contact && kind != AdversaryKind::Spammer {
            let words = format!("`contact` is for adversaries of kind spammer only, and this is a {kind}");
            return Err(section.contradiction("contact", words, "leave it out"));
        }
        if section.has("denied_at") && !contact {
            let words = "`denied_at` is for contacts only: no rule is edited for one that is none".to_owned();
            return Err(section.contradiction("denied_at", words, "contact = true, or leave it out"));
        }
        Ok(Self {
            kind,
            contact,
            denied_at: section.duration("denied_at", Duration::ZERO..=DURATION_MAX)?,
            amount: section.amount("amount")?.unwrap_or(Amount::Share(0.1)),
            every: section.duration("every", INSTANT..=DAY)?.unwrap_or(Duration::from_secs(1)),
        })
    }
}

fn names<T: ToString>(variants: &[T]) -> String {
    variants.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a flag is not set, for serde.
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Whether a flag is set, for serde.
fn is_true(flag: &bool) -> bool {
    *flag
}

/// Whether a factor changes nothing, for serde.
fn is_one(factor: &f64) -> bool {
    factor.total_cmp(&1.0).is_eq()
}

/// Whether a share is nought, for serde.
fn is_nought(share: &f64) -> bool {
    share.total_cmp(&0.0).is_eq()
}

/// The shortest time that anything lasts.
const INSTANT: Duration = Duration::from_millis(1);

/// A quick restart of a program, not of a machine.
const RESTART_LASTS: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const SKEW_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
