//! DELIVERY RULES: whose messages an INSTANT INBOX takes, how many, how large and of which types.
//!
//! **Decides** which rule holds for a sender, and whether a message keeps it. **Leaves** to
//! [`super::inbox`] what else a message must be, and to the aggregate who is a contact.
//!
//! One [`DeliveryRule`] holds for each sender: its own, if the PRINCIPAL set one; that of the contacts, if it
//! has a petname; or else that of the strangers, whom keys that cost nothing may make many. So there is a
//! limit to what all of a kind send together, beside that for each.
//!
//! Rates are token buckets: as many messages at once as a minute allows, and from then on as many a minute.
//! They are not kept over a restart.
//!
//! Limits: [`SENDER_RULES_MAX`] senders with a rule of their own, [`CONTENT_TYPES_MAX`] types a rule,
//! [`SENDERS_COUNTED_MAX`] senders whose messages are counted at a time, beyond which a further one with a
//! rate has to wait. Source: RFC 2778 (DELIVERY RULES, SPAM), RFC 2779 2.3.5 and 5.4.10.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::instant_message::{BODY_BYTES_MAX, FailureReason, InstantMessage};
use crate::{identity::Presentity, time::Timestamp};

/// What the PRINCIPAL of an inbox demands of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRules(BTreeMap<Whose, DeliveryRule>);

impl DeliveryRules {
    /// The rules that were set, and [`Whose::default_rule`] where none was.
    pub fn new(set: impl IntoIterator<Item = (Whose, DeliveryRule)>) -> Self {
        let classes = [Whose::Contacts, Whose::Strangers];
        let default = classes.into_iter().filter_map(|whose| Some((whose, whose.default_rule()?)));
        Self(default.chain(set).collect())
    }

    /// All of them: the contacts', the strangers', and those of single senders, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Whose, &DeliveryRule)> {
        self.0.iter()
    }

    /// How many senders have a rule of their own.
    pub fn senders(&self) -> usize {
        self.0.keys().filter(|whose| matches!(whose, Whose::Sender(_))).count()
    }

    /// Whether they take a message of anybody at all.
    pub(super) fn accept_somebody(&self) -> bool {
        self.0.values().any(|rule| rule.action == DeliveryAction::Accept)
    }

    /// The rule that was set for these, or by default holds.
    pub fn of(&self, whose: &Whose) -> Option<&DeliveryRule> {
        self.0.get(whose)
    }

    fn put(&mut self, whose: Whose, rule: Option<DeliveryRule>) {
        match rule.or_else(|| whose.default_rule()) {
            Some(rule) => self.0.insert(whose, rule),
            None => self.0.remove(&whose),
        };
    }

    /// Under whose rule a sender's messages come.
    fn whose(&self, sender: Presentity, is_contact: bool) -> Whose {
        let own = Whose::Sender(sender);
        let class = if is_contact { Whose::Contacts } else { Whose::Strangers };
        if self.0.contains_key(&own) { own } else { class }
    }
}

/// Whose messages a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// Those of everybody who has a petname.
    Contacts,
    /// Those of everybody else.
    Strangers,
    /// Those of one sender, whichever it is of these.
    Sender(Presentity),
}

impl Whose {
    /// The rule that holds unless another was set; none for a single sender. Two nodes that never met can
    /// talk at once, and nobody can flood an inbox.
    pub fn default_rule(self) -> Option<DeliveryRule> {
        match self {
            Self::Contacts => Some(DeliveryRule::default()),
            Self::Strangers => Some(DeliveryRule {
                per_minute: Some(STRANGER_PER_MINUTE),
                together_per_minute: Some(STRANGERS_PER_MINUTE),
                ..DeliveryRule::default()
            }),
            Self::Sender(_) => None,
        }
    }
}

/// What is demanded of the messages of one sender, or of each sender of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeliveryRule {
    /// Whether messages are taken at all.
    pub action: DeliveryAction,
    /// Messages a minute of each sender; any number if none is said.
    pub per_minute: Option<u32>,
    /// Messages a minute of all senders of the kind together; any number if none is said.
    pub together_per_minute: Option<u32>,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// What the content type must begin with, one of these, letter case aside; anything if there is none.
    pub content_types: Vec<String>,
}

impl Default for DeliveryRule {
    /// Everything that a message may be is taken.
    fn default() -> Self {
        Self {
            action: DeliveryAction::Accept,
            per_minute: None,
            together_per_minute: None,
            body_bytes_max: BODY_BYTES_MAX,
            content_types: Vec::new(),
        }
    }
}

impl DeliveryRule {
    /// Checks the limits of this module, if the rule is for these.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, whose: &Whose) -> Result<(), DeliveryRuleError> {
        if self.content_types.len() > CONTENT_TYPES_MAX {
            return Err(DeliveryRuleError::TooManyTypes);
        }
        let is_type = |start: &String| {
            let is_written = start.chars().all(|character| character.is_ascii_graphic());
            start.contains('/') && start.len() <= CONTENT_TYPE_BYTES_MAX && is_written
        };
        if let Some(start) = self.content_types.iter().find(|start| !is_type(start)) {
            return Err(DeliveryRuleError::ContentType(start.clone()));
        }
        if self.body_bytes_max > BODY_BYTES_MAX {
            return Err(DeliveryRuleError::BodyBytes(self.body_bytes_max));
        }
        let rates = [self.per_minute, self.together_per_minute];
        if let Some(rate) = rates.into_iter().flatten().find(|rate| !(1..=RATE_MAX).contains(rate)) {
            return Err(DeliveryRuleError::Rate(rate));
        }
        if self.together_per_minute.is_some() && matches!(whose, Whose::Sender(_)) {
            return Err(DeliveryRuleError::Together);
        }
        Ok(())
    }

    /// What the rule says of a message, but for how many there were.
    fn refuses(&self, message: &InstantMessage) -> Option<Refusal> {
        match self.action {
            DeliveryAction::Deny => return Some(Refusal::Answered(FailureReason::Denied)),
            DeliveryAction::Ignore => return Some(Refusal::Silent),
            DeliveryAction::Accept => (),
        }
        if message.body.len() > self.body_bytes_max {
            return Some(Refusal::Answered(FailureReason::TooLarge));
        }
        let begins_with = |start: &String| {
            message.content_type.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
        };
        let taken = self.content_types.is_empty() || self.content_types.iter().any(begins_with);
        (!taken).then_some(Refusal::Answered(FailureReason::UnsupportedType))
    }
}

/// What is done with a sender's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryAction {
    /// They are taken, as far as the rest of the rule goes.
    Accept,
    /// They are refused, and the sender is told.
    Deny,
    /// They are dropped without an answer: the sender does not know what became of them.
    Ignore,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The sender is told this.
    Answered(FailureReason),
    /// The sender is told nothing.
    Silent,
}

/// The rules, and what came so far.
#[derive(Debug)]
pub(super) struct Enforcement {
    rules: DeliveryRules,
    each: BTreeMap<Presentity, Bucket>,
    together: BTreeMap<Whose, Bucket>,
}

impl Enforcement {
    pub(super) fn new(rules: DeliveryRules) -> Self {
        Self { rules, each: BTreeMap::new(), together: BTreeMap::new() }
    }

    pub(super) fn rules(&self) -> &DeliveryRules {
        &self.rules
    }

    /// Another rule holds from now on, or the default again. What came is still counted.
    pub(super) fn handle_rule(&mut self, whose: Whose, rule: Option<DeliveryRule>) {
        self.rules.put(whose, rule);
    }

    /// Whether a message may come. If it may it is counted.
    pub(super) fn handle_offer(
        &mut self,
        now: Timestamp,
        message: &InstantMessage,
        is_contact: bool,
    ) -> Result<(), Refusal> {
        let whose = self.rules.whose(message.from, is_contact);
        let Some(rule) = self.rules.of(&whose) else { return Ok(()) };
        if let Some(refusal) = rule.refuses(message) {
            return Err(refusal);
        }
        let limited = Err(Refusal::Answered(FailureReason::RateLimited));
        let together = rule.together_per_minute.map(|rate| (rate, self.together.entry(whose).or_default()));
        if together.as_ref().is_some_and(|(rate, bucket)| !bucket.has_room(now, *rate)) {
            return limited;
        }
        if let Some(rate) = rule.per_minute {
            if self.each.len() >= SENDERS_COUNTED_MAX && !self.each.contains_key(&message.from) {
                self.each.retain(|_, bucket| !bucket.is_empty(now));
                if self.each.len() >= SENDERS_COUNTED_MAX {
                    return limited;
                }
            }
            let bucket = self.each.entry(message.from).or_default();
            if !bucket.has_room(now, rate) {
                return limited;
            }
            bucket.fill(now, rate);
        }
        if let Some((rate, bucket)) = together {
            bucket.fill(now, rate);
        }
        Ok(())
    }
}

/// How far what came is ahead of a rate: each message fills a share of a minute, and it empties with time.
#[derive(Debug, Default)]
struct Bucket {
    empty_at: Timestamp,
}

impl Bucket {
    /// Whether there is room for one more at so many a minute.
    fn has_room(&self, now: Timestamp, rate: u32) -> bool {
        self.empty_at.since(now) + share(rate) <= MINUTE
    }

    fn fill(&mut self, now: Timestamp, rate: u32) {
        self.empty_at = self.empty_at.max(now) + share(rate);
    }

    fn is_empty(&self, now: Timestamp) -> bool {
        self.empty_at <= now
    }
}

/// What one message takes of a minute.
fn share(rate: u32) -> Duration {
    MINUTE / rate.max(1)
}

/// A rule that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeliveryRuleError {
    /// More than [`CONTENT_TYPES_MAX`] content types.
    #[error("a rule names at most {CONTENT_TYPES_MAX} content types")]
    TooManyTypes,
    /// That is no MIME type, nor the beginning of one.
    #[error("{0:?} is not a content type such as text/plain, nor the first part of one such as text/")]
    ContentType(String),
    /// More than a message may have.
    #[error("a message has at most {BODY_BYTES_MAX} bytes, so {0} is no limit")]
    BodyBytes(usize),
    /// No message at all, or more than can be told from any number.
    #[error("{0} messages a minute is no rate: say 1 to {RATE_MAX}, or deny the sender instead")]
    Rate(u32),
    /// What all send together, for one sender.
    #[error("what all send together can be limited for contacts and strangers, not for one sender")]
    Together,
}

/// A stranger's messages a minute, unless told otherwise: as fast as anybody writes, or a script that tells
/// of what goes on.
const STRANGER_PER_MINUTE: u32 = 60;
/// Those of all strangers: an inbox of 10,000 is not full before a quarter of an hour.
const STRANGERS_PER_MINUTE: u32 = 600;
/// A message a millisecond, the resolution of time.
pub const RATE_MAX: u32 = 60_000;
/// Senders with a rule of their own.
pub const SENDER_RULES_MAX: usize = 1024;
/// Content types that a rule names.
pub const CONTENT_TYPES_MAX: usize = 16;
/// Senders whose messages are counted at a time.
pub const SENDERS_COUNTED_MAX: usize = 4096;
const CONTENT_TYPE_BYTES_MAX: usize = 127;
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
#[path = "delivery_rules_tests.rs"]
mod tests;
