//! The INSTANT INBOX's decision: is this message to be stored, and what is its sender told.
//!
//! **Decides** on an offered message in this order: is it well-formed and within its limits; is its sender
//! the peer that the connection authenticated; is it for this inbox; do the DELIVERY RULES allow it
//! ([`super::delivery_rules`]); has its time run out; is the inbox OPEN; is there room. Only then it is
//! stored, and only when the store has it on disk is `delivered` answered. **Leaves** to the store whether
//! this (sender, id) was ever stored before: a repeated message is answered `delivered` and not stored
//! again. That holds for one that the rules forbid by now, an expired one, a CLOSED or full inbox and a
//! failing store too: before such a refusal the store is asked, so that nobody is told `closed` of a message
//! that is there.
//!
//! A full inbox, or one that is denied to everybody, makes the STATUS CLOSED ([`Inbox::is_ready`]). A full
//! one opens again when a tenth is free, so that the status does not flap. Source: RFC 2778 (INSTANT INBOX,
//! CLOSED), RFC 2779 4.2.1, 5.4.2.

use std::time::Duration;

use super::{
    delivery_rules::{DeliveryRule, DeliveryRules, Enforcement, Refusal, Whose},
    instant_message::{Delivery, FailureReason, InstantMessage, MessageError},
};
use crate::{
    identity::{InboxAddress, Presentity},
    presence::information::Basic,
    time::Timestamp,
};

/// The counts that the decision rests on. The messages themselves are in the store.
#[derive(Debug)]
pub struct Inbox {
    address: InboxAddress,
    messages: u64,
    storing: u64,
    messages_max: u64,
    full: bool,
    rules: Enforcement,
}

impl Inbox {
    /// An inbox at `address` that holds `messages` already and at most `messages_max`, under these rules.
    pub fn new(address: InboxAddress, messages: u64, messages_max: u64, rules: DeliveryRules) -> Self {
        let (full, rules) = (messages >= messages_max, Enforcement::new(rules));
        Self { address, messages, storing: 0, messages_max, full, rules }
    }

    /// A message from the authenticated peer `from`, a contact or not, with `remaining` until it expires,
    /// while the inbox's STATUS is `status`.
    pub fn handle_offer(
        &mut self,
        now: Timestamp,
        from: Presentity,
        is_contact: bool,
        status: Basic,
        message: &InstantMessage,
        remaining: Duration,
    ) -> Decision {
        if let Err(error) = message.check() {
            return Decision::Refuse(match error {
                MessageError::BodyTooLarge { .. } => FailureReason::TooLarge,
                MessageError::ContentType => FailureReason::UnsupportedType,
                MessageError::Language | MessageError::Extensions(_) | MessageError::Id => {
                    FailureReason::Malformed
                }
            });
        }
        if message.from != from {
            return Decision::Refuse(FailureReason::Unauthenticated);
        }
        if message.to != self.address {
            return Decision::Refuse(FailureReason::NoSuchInbox);
        }
        match self.rules.handle_offer(now, message, is_contact) {
            Ok(()) => (),
            Err(Refusal::Answered(reason)) => return Decision::RefuseUnlessStored(reason),
            Err(Refusal::Silent) => return Decision::Ignore,
        }
        if remaining.is_zero() {
            return Decision::RefuseUnlessStored(FailureReason::Expired);
        }
        if status == Basic::Closed {
            return Decision::RefuseUnlessStored(FailureReason::Closed);
        }
        if self.full || self.messages + self.storing >= self.messages_max {
            return Decision::RefuseUnlessStored(FailureReason::InboxFull);
        }
        self.storing += 1;
        Decision::Store
    }

    /// How storing an accepted message went, and what its sender is told.
    pub fn handle_stored(&mut self, result: Stored) -> Delivery {
        self.storing = self.storing.saturating_sub(1);
        match result {
            Stored::New => {
                self.messages += 1;
                self.full |= self.messages >= self.messages_max;
                Delivery::Delivered
            }
            Stored::Duplicate => Delivery::Delivered,
            Stored::Failed => Delivery::Failed(FailureReason::InboxFull),
        }
    }

    /// The PRINCIPAL deleted a message that was there.
    pub fn handle_deleted(&mut self) {
        self.messages = self.messages.saturating_sub(1);
        self.full &= self.messages_max.saturating_sub(self.messages) < self.messages_max.div_ceil(10);
    }

    /// The PRINCIPAL set another rule, or with none goes back to the default.
    pub fn handle_rule(&mut self, whose: Whose, rule: Option<DeliveryRule>) {
        self.rules.handle_rule(whose, rule);
    }

    /// The rules in force.
    pub fn rules(&self) -> &DeliveryRules {
        self.rules.rules()
    }

    /// Whether somebody's message would be taken now: there is room, and not everybody is denied. The STATUS
    /// is to be CLOSED otherwise.
    pub fn is_ready(&self) -> bool {
        !self.full && self.rules().accept_somebody()
    }

    /// Messages that it holds.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Its address.
    pub fn address(&self) -> &InboxAddress {
        &self.address
    }
}

/// What is to be done with an offered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Store it, then call [`Inbox::handle_stored`].
    Store,
    /// Answer with this reason, unless the store remembers the message: then it is delivered.
    RefuseUnlessStored(FailureReason),
    /// Answer with this reason.
    Refuse(FailureReason),
    /// Answer nothing.
    Ignore,
}

/// How storing a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is on disk now.
    New,
    /// It was stored before; nothing was changed.
    Duplicate,
    /// The store could not take it; nothing was changed.
    Failed,
}

/// Messages that an inbox holds unless told otherwise: at 16 KiB each at most 160 MB of disk.
pub const INBOX_MESSAGES_MAX: u64 = 10_000;

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
