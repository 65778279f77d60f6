//! What a run is held to beside the safety oracles, which always hold.
//!
//! Bounds are upper bounds; an absent one is not demanded. A bound that is exceeded, or a demanded thing
//! that never happened, is a liveness failure of the run.

use std::time::Duration;

use serde::Serialize;

use super::DURATION_MAX;
use super::quantity;
use super::reader::{Read, Section, named};

named! {
    /// Things of which a run can demand that they happened at least once.
    pub enum Sometimes {
        /// A partition began.
        Partition = "partition",
        /// A node was killed.
        Crash = "crash",
        /// A node that was gone started again.
        Restart = "restart",
        /// A node was stopped and went on.
        Pause = "pause",
        /// A machine slept and woke.
        Suspend = "suspend",
        /// A node came back to an empty disk.
        DiskLoss = "disk-loss",
        /// A message was sent again because its acknowledgement did not come.
        Redelivery = "redelivery",
        /// A node received a record that it had.
        DuplicateRecord = "duplicate-record",
        /// Two nodes compared what they hold, and one learned something.
        Reconciliation = "reconciliation",
        /// A live, reachable node was suspected to be dead.
        FalseSuspicion = "false-suspicion",
        /// A connection was refused.
        RefusedConnection = "refused-connection",
        /// A forged record or message was refused.
        ForgeryRefused = "forgery-refused",
        /// A replayed record or message was refused.
        ReplayRefused = "replay-refused",
        /// Traffic was refused because there was too much of it.
        SpamRefused = "spam-refused",
        /// The messages of a contact were denied after some had been stored.
        ContactDenied = "contact-denied",
        /// A node was shown suspect.
        Suspected = "suspected",
        /// A node was shown lost.
        Lost = "lost",
        /// A node that was shown lost was shown present again.
        Returned = "returned",
        /// A message waited in an outbox for its receiver.
        QueuedMessage = "queued-message",
    }
}

named! {
    /// How a canary must end.
    pub enum Failing {
        /// An oracle finds something that must never happen.
        Safety = "safety",
        /// Something that must happen does not happen in time.
        Liveness = "liveness",
    }
}

/// `[expect]`: what the run is held to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expect {
    /// From the last start until every live node shows every PRESENTITY. At most `join_limit`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub joined_within: Option<Duration>,
    /// From a change until a live node shows it: the median over all pairs of change and node.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub change_p50: Option<Duration>,
    /// The same, the 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub change_p99: Option<Duration>,
    /// From a change until the last live node shows it, for the worst change.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub change_all: Option<Duration>,
    /// From a change of a guarded PRESENTITY, or a grant that came later, until a watcher that is granted
    /// everything shows it: the 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub guarded_change_p99: Option<Duration>,
    /// From a node's goodbye until all live nodes show it not present, for the worst one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub leave_seen: Option<Duration>,
    /// From a node's death until all live nodes show it not present, for the worst one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub loss_seen: Option<Duration>,
    /// From the last heal until all live nodes agree. At most `settle`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub converged_within: Option<Duration>,
    /// Bytes of gossip and of the PRESENCE PROTOCOL from the last heal until all live nodes agree, for each
    /// byte of newer records that nodes have by then. Range 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heal_cost: Option<f64>,
    /// How often (node, PRESENTITY) a live, reachable node was shown lost. Range 0 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_lost: Option<usize>,
    /// From sending a message until its inbox holds it, the 99th percentile.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "quantity::duration_text_option")]
    pub message_p99: Option<Duration>,
    /// Copies of a record that a node receives, the mean. Range 1 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<f64>,
    /// Bytes that a node sends in a second without workload or faults, the mean. Range 0 to 1,000,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_bytes_per_second: Option<f64>,
    /// Discovery packets for each node until all have joined, the mean. Range 0 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_announcements: Option<f64>,
    /// Discovery packets in a second, of all nodes together, in ten minutes without workload or faults.
    /// Range 0 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_announcements_per_second: Option<f64>,
    /// Connections that a node sets out to make in a second: the busiest node in its busiest second. Range 0
    /// to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dials_per_second: Option<usize>,
    /// Whether agreement includes that dead nodes are shown not present. Default true.
    pub departures: bool,
    /// What must have happened at least once. Default nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sometimes: Vec<Sometimes>,
    /// How the run must end; for canaries only. Default: it must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails: Option<Failing>,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            joined_within: None,
            change_p50: None,
            change_p99: None,
            change_all: None,
            guarded_change_p99: None,
            leave_seen: None,
            loss_seen: None,
            converged_within: None,
            heal_cost: None,
            false_lost: None,
            message_p99: None,
            copies: None,
            idle_bytes_per_second: None,
            join_announcements: None,
            idle_announcements_per_second: None,
            dials_per_second: None,
            departures: true,
            sometimes: Vec::new(),
            fails: None,
        }
    }
}

impl Expect {
    pub(super) const FIELDS: &'static [&'static str] = &[
        "joined_within",
        "change_p50",
        "change_p99",
        "change_all",
        "guarded_change_p99",
        "leave_seen",
        "loss_seen",
        "converged_within",
        "heal_cost",
        "false_lost",
        "message_p99",
        "copies",
        "idle_bytes_per_second",
        "join_announcements",
        "idle_announcements_per_second",
        "dials_per_second",
        "departures",
        "sometimes",
        "fails",
    ];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        let bound = |field| section.duration(field, Duration::from_micros(1)..=DURATION_MAX);
        Ok(Self {
            joined_within: bound("joined_within")?,
            change_p50: bound("change_p50")?,
            change_p99: bound("change_p99")?,
            change_all: bound("change_all")?,
            guarded_change_p99: bound("guarded_change_p99")?,
            leave_seen: bound("leave_seen")?,
            loss_seen: bound("loss_seen")?,
            converged_within: bound("converged_within")?,
            heal_cost: section.number("heal_cost", 1.0..=1000.0)?,
            false_lost: section.count("false_lost", 0..=1_000_000)?,
            message_p99: bound("message_p99")?,
            copies: section.number("copies", 1.0..=1000.0)?,
            idle_bytes_per_second: section.number("idle_bytes_per_second", 0.0..=1e9)?,
            join_announcements: section.number("join_announcements", 0.0..=1e6)?,
            idle_announcements_per_second: section.number("idle_announcements_per_second", 0.0..=1e6)?,
            dials_per_second: section.count("dials_per_second", 0..=1_000_000)?,
            departures: section.flag("departures")?.unwrap_or(true),
            sometimes: section.names("sometimes")?.unwrap_or_default(),
            fails: section.name("fails")?,
        })
    }
}
