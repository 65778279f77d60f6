//! `[access]`: some presentities have ACCESS RULES, and everybody else watches them.

use serde::Serialize;

use super::quantity::Amount;
use super::reader::{Read, Section};

/// `[access]`: guarded PRESENTITIES, whose watchers are granted different things.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Access {
    /// How many PRESENTITIES are guarded: every other node has a petname for them, and how it stands to them
    /// is drawn: with a rule of its own, as a contact, or as a stranger. So is what each rule grants:
    /// everything, some parts, confirm, blocked, or politely blocked. Default 10 %; at least one, at most 256
    /// and not all.
    pub guarded: Amount,
    /// Status changes of guarded PRESENTITIES in all, beside those of the workload, spread over `duration`
    /// evenly with jitter. Default 0; range 0 to 100,000.
    pub changes: usize,
    /// Changes of one such rule, spread in the same way. Default 0; range 0 to 100,000. More:
    /// keys are rotated more often.
    pub rule_changes: usize,
    /// SUBSCRIPTIONS to a guarded PRESENTITY that a live node ends and begins again at once, some times in
    /// a row, spread in the same way. Default 0; range 0 to 100,000.
    pub flips: usize,
    /// Whether changes of rules are told and never made. Default no. A planted bug: a canary must catch it.
    pub lies: bool,
}

impl Access {
    pub(super) const FIELDS: &'static [&'static str] =
        &["guarded", "changes", "rule_changes", "flips", "lies"];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        Ok(Self {
            guarded: section.amount("guarded")?.unwrap_or(Amount::Share(0.1)),
            changes: section.count("changes", 0..=100_000)?.unwrap_or(0),
            rule_changes: section.count("rule_changes", 0..=100_000)?.unwrap_or(0),
            flips: section.count("flips", 0..=100_000)?.unwrap_or(0),
            lies: section.flag("lies")?.unwrap_or(false),
        })
    }
}
