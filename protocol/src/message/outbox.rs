//! The SENDER's side: messages under way, and the durable outbox for those that wait.
//!
//! **Decides** when a message is transmitted, whether a failure is final, and what the PRINCIPAL is told.
//! **Leaves** the connection to the driver and the recipient's address to whoever wrote the draft.
//!
//! A plain message is transmitted at once and its outcome told; should its connection break before the
//! answer it is repeated with the same id, which is safe, at most [`REPEATS_MAX`] times within
//! [`ANSWER_TIME`]; what is still unknown then is `indeterminate`. A *queued* message is stored first. It
//! is transmitted at once too, and if the recipient is out of reach, or refuses for now
//! ([`FailureReason::is_temporary`]), it waits: until presence says that the recipient is in reach or OPEN,
//! or for a retry that backs off from [`RETRY_MIN`] to [`RETRY_MAX`]. Queued messages to one recipient go one
//! after the other, in order. Each ends delivered, failed, expired or cancelled, and is remembered.
//!
//! Limits: [`WAITING_MAX`] queued, [`UNDER_WAY_MAX`] plain ones under way, [`FINISHED_KEPT`] finished ones.
//! Source: RFC 2779 4.2.1 and 5.4; RFC 3860 for the three outcomes.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::instant_message::{Delivery, FailureReason, InstantMessage, MessageId};
use crate::{
    durable::{Change, OutboxEntry, OutboxState},
    identity::{InboxAddress, Presentity},
    presence::information::{Extensions, Token},
    time::{Timestamp, WallClock},
};

/// What a PRINCIPAL wants sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// For whom.
    pub to: Recipient,
    /// The content.
    pub body: Vec<u8>,
    /// The MIME type of the content.
    pub content_type: String,
    /// A BCP 47 tag, if known.
    pub language: Option<String>,
    /// The conversation it belongs to.
    pub thread: Option<MessageId>,
    /// Where a reply goes, if not to this node's inbox, or the one that its document names if it keeps none.
    pub reply_to: Option<InboxAddress>,
    /// What the receiver need not understand.
    pub extensions: Extensions,
    /// Whether it waits if the recipient is out of reach.
    pub queue: bool,
    /// How long to try, at most [`LIFETIME_MAX`].
    pub lifetime: Duration,
}

/// How a PRINCIPAL names whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// The PRESENTITY whose document names the inbox.
    Presentity(Presentity),
    /// The same, and which tuple of the document names it.
    Tuple(Presentity, Token),
    /// The inbox itself.
    Inbox(InboxAddress),
}

/// Messages under way and waiting.
#[derive(Debug)]
pub struct Outbox {
    clock: WallClock,
    plain: BTreeMap<MessageId, Plain>,
    /// When plain messages are given up, in the order of sending; some have ended since.
    plain_deadlines: VecDeque<(Timestamp, MessageId)>,
    queued: BTreeMap<MessageId, Queued>,
    /// The order in which messages were queued.
    order: VecDeque<MessageId>,
    finished: VecDeque<OutboxEntry>,
    outputs: VecDeque<OutboxOutput>,
}

impl Outbox {
    /// The outbox as the store gave it back.
    pub fn new(now: Timestamp, clock: WallClock, entries: Vec<OutboxEntry>) -> Self {
        let mut outbox = Self {
            clock,
            plain: BTreeMap::new(),
            plain_deadlines: VecDeque::new(),
            queued: BTreeMap::new(),
            order: VecDeque::new(),
            finished: VecDeque::new(),
            outputs: VecDeque::new(),
        };
        for entry in entries {
            if entry.state == OutboxState::Queued {
                outbox.order.push_back(entry.message.id);
                let retry_at = Some(now + RETRY_MIN);
                outbox
                    .queued
                    .insert(entry.message.id, Queued { stored: true, retry_at, ..Queued::new(entry) });
            } else {
                outbox.finished.push_back(entry);
            }
        }
        outbox
    }

    /// Transmits a plain message at once; false if too many are under way.
    pub fn handle_plain(&mut self, now: Timestamp, message: InstantMessage, lifetime: Duration) -> bool {
        if self.plain.len() >= UNDER_WAY_MAX {
            return false;
        }
        let id = message.id;
        let give_up_at = now + ANSWER_TIME;
        let plain = Plain { message: message.clone(), give_up_at, expires: now + lifetime, repeats: 0 };
        self.plain_deadlines.push_back((give_up_at, id));
        self.plain.insert(id, plain);
        self.outputs.push_back(OutboxOutput::Transmit { message, remaining: lifetime });
        true
    }

    /// Queues a message: first it is stored, then transmitted when the recipient is in reach. False if too
    /// many wait already.
    pub fn handle_queue(&mut self, now: Timestamp, message: InstantMessage, lifetime: Duration) -> bool {
        if self.queued.len() >= WAITING_MAX {
            return false;
        }
        let queued_at = self.clock.unix(now);
        let entry = OutboxEntry {
            message,
            queued_at,
            expires_at: queued_at + lifetime,
            attempts: 0,
            state: OutboxState::Queued,
        };
        let id = entry.message.id;
        self.outputs.push_back(OutboxOutput::Persist { id, change: Change::PutOutbox(entry.clone()) });
        self.order.push_back(id);
        self.queued.insert(id, Queued::new(entry));
        true
    }

    /// A queued message is on disk: try it now.
    pub fn handle_stored(&mut self, now: Timestamp, id: MessageId) {
        if let Some(queued) = self.queued.get_mut(&id)
            && !queued.stored
        {
            queued.stored = true;
            queued.retry_at = Some(now);
            self.transmit_due(now);
            if self.queued.get(&id).is_some_and(|queued| !queued.under_way) {
                // It stands behind another one for the same recipient.
                self.outputs.push_back(OutboxOutput::Waiting { id });
            }
        }
    }

    /// The store failed. A message that was to be queued is forgotten, and then this is true; a message that
    /// came to its end is merely not remembered as such.
    pub fn handle_store_failed(&mut self, now: Timestamp, id: MessageId) -> bool {
        let forgotten = self.queued.get(&id).is_some_and(|queued| !queued.stored);
        if forgotten {
            self.queued.remove(&id);
            self.order.retain(|other| *other != id);
            self.transmit_due(now);
        }
        forgotten
    }

    /// A transmission ended.
    pub fn handle_outcome(&mut self, now: Timestamp, id: MessageId, outcome: Delivery) {
        let unix = self.clock.unix(now);
        if self.plain.contains_key(&id) {
            self.plain_outcome(now, id, outcome);
        } else if let Some(queued) = self.queued.get_mut(&id) {
            queued.under_way = false;
            let in_reach = std::mem::take(&mut queued.in_reach_meanwhile);
            let state = match outcome {
                Delivery::Delivered => OutboxState::Delivered,
                Delivery::Failed(FailureReason::Expired) => OutboxState::Expired,
                Delivery::Failed(reason) if !reason.is_temporary() => OutboxState::Failed(reason),
                _ if queued.cancelled => OutboxState::Cancelled,
                _ if queued.entry.expires_at <= unix => OutboxState::Expired,
                Delivery::Failed(_) | Delivery::Indeterminate => {
                    let doublings =
                        if in_reach { 0 } else { queued.entry.attempts.saturating_sub(1).min(16) };
                    let delay = RETRY_MIN.saturating_mul(2_u32.saturating_pow(doublings));
                    queued.retry_at = Some(now + delay.min(RETRY_MAX));
                    queued.unanswered = matches!(
                        outcome,
                        Delivery::Failed(FailureReason::Unreachable) | Delivery::Indeterminate
                    );
                    self.outputs.push_back(OutboxOutput::Waiting { id });
                    return;
                }
            };
            self.finish(id, state);
            self.transmit_due(now);
        }
    }

    /// The node of a recipient came into reach, or says that it is OPEN.
    pub fn handle_in_reach(&mut self, now: Timestamp, recipient: Presentity) {
        for queued in self.queued.values_mut() {
            if queued.entry.message.to.node == recipient && queued.stored {
                queued.in_reach_meanwhile = queued.under_way;
                queued.retry_at = Some(now);
            }
        }
        self.transmit_due(now);
    }

    /// Something came from this peer: what it did not answer before, it may answer now. A network that was
    /// cut for a while need not end a single connection.
    pub fn handle_alive(&mut self, now: Timestamp, peer: Presentity) {
        let is_to = |queued: &Queued| queued.entry.message.to.node == peer;
        let mut hurried = false;
        for queued in self.queued.values_mut().filter(|queued| queued.unanswered && is_to(queued)) {
            queued.unanswered = false;
            queued.retry_at = Some(now);
            hurried = true;
        }
        // Almost everything that comes in gets here, and almost always for nothing.
        if hurried {
            self.transmit_due(now);
        }
    }

    /// The PRINCIPAL withdraws a queued message; false if none of this id waits. One that is under way ends
    /// as cancelled unless this transmission delivers it.
    pub fn handle_cancel(&mut self, now: Timestamp, id: MessageId) -> bool {
        let Some(queued) = self.queued.get_mut(&id).filter(|queued| !queued.cancelled) else { return false };
        queued.cancelled = true;
        if !queued.under_way {
            self.finish(id, OutboxState::Cancelled);
            self.transmit_due(now);
        }
        true
    }

    /// Gives up what is over and transmits what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(&(at, id)) = self.plain_deadlines.front()
            && at <= now
        {
            self.plain_deadlines.pop_front();
            if self.plain.remove(&id).is_some() {
                self.outputs.push_back(OutboxOutput::Settled { id, outcome: Delivery::Indeterminate });
            }
        }
        let unix = self.clock.unix(now);
        let expired: Vec<_> = self
            .queued
            .iter()
            .filter(|(_, queued)| !queued.under_way && queued.entry.expires_at <= unix)
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.finish(id, OutboxState::Expired);
        }
        self.transmit_due(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<OutboxOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let plain = self.plain_deadlines.front().map(|(at, _)| *at);
        let waiting = self.queued.values().filter(|queued| !queued.under_way);
        let expiry = waiting.map(|queued| self.clock.timestamp(queued.entry.expires_at)).min();
        let retry = self.first_of_each_recipient().filter_map(|queued| queued.retry_at).min();
        [plain, expiry, retry].into_iter().flatten().min()
    }

    /// Waiting messages and what became of the last finished ones, oldest first.
    pub fn entries(&self) -> Vec<OutboxEntry> {
        let waiting = self.order.iter().filter_map(|id| self.queued.get(id)).map(|queued| &queued.entry);
        self.finished.iter().chain(waiting).cloned().collect()
    }

    fn plain_outcome(&mut self, now: Timestamp, id: MessageId, outcome: Delivery) {
        let Some(plain) = self.plain.get_mut(&id) else { return };
        let again =
            outcome == Delivery::Indeterminate && plain.repeats < REPEATS_MAX && now < plain.give_up_at;
        if again {
            plain.repeats += 1;
            let remaining = plain.expires.since(now);
            self.outputs.push_back(OutboxOutput::Transmit { message: plain.message.clone(), remaining });
            return;
        }
        let unknown_before = plain.repeats > 0;
        self.plain.remove(&id);
        let outcome = match outcome {
            // An earlier transmission may have arrived, so that not reaching the node now proves nothing.
            Delivery::Failed(FailureReason::Unreachable) if unknown_before => Delivery::Indeterminate,
            outcome => outcome,
        };
        self.outputs.push_back(OutboxOutput::Settled { id, outcome });
    }

    fn finish(&mut self, id: MessageId, state: OutboxState) {
        let Some(queued) = self.queued.remove(&id) else { return };
        self.order.retain(|other| *other != id);
        let entry = OutboxEntry { state, ..queued.entry };
        self.outputs.push_back(OutboxOutput::Persist { id, change: Change::PutOutbox(entry.clone()) });
        self.outputs.push_back(OutboxOutput::Finished { id, to: entry.message.to.clone(), state });
        self.finished.push_back(entry);
        if self.finished.len() > FINISHED_KEPT
            && let Some(oldest) = self.finished.pop_front()
        {
            let id = oldest.message.id;
            self.outputs.push_back(OutboxOutput::Persist { id, change: Change::RemoveOutbox(id) });
        }
    }

    /// Transmits the first message of every recipient, if it is due and none is under way to them.
    fn transmit_due(&mut self, now: Timestamp) {
        let due = |queued: &&Queued| queued.retry_at.is_some_and(|at| at <= now);
        let ids: Vec<_> =
            self.first_of_each_recipient().filter(due).map(|queued| queued.entry.message.id).collect();
        let unix = self.clock.unix(now);
        for id in ids {
            let Some(queued) = self.queued.get_mut(&id) else { continue };
            queued.under_way = true;
            queued.entry.attempts += 1;
            let remaining = queued.entry.expires_at.since(unix);
            self.outputs
                .push_back(OutboxOutput::Transmit { message: queued.entry.message.clone(), remaining });
        }
    }

    /// The message that is next for each recipient to whom none is under way: later ones keep their order.
    fn first_of_each_recipient(&self) -> impl Iterator<Item = &Queued> {
        let under_way = self.queued.values().filter(|queued| queued.under_way);
        let mut served: BTreeSet<Presentity> = under_way.map(|queued| queued.entry.message.to.node).collect();
        let waiting = self.order.iter().filter_map(|id| self.queued.get(id));
        let first = waiting.filter(move |queued| served.insert(queued.entry.message.to.node));
        first.filter(|queued| queued.stored)
    }
}

/// What the outbox asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxOutput {
    /// Send it to the node of `message.to`, then call [`Outbox::handle_outcome`].
    Transmit {
        /// The message.
        message: InstantMessage,
        /// The time it has left.
        remaining: Duration,
    },
    /// A plain message's outcome.
    Settled {
        /// Which.
        id: MessageId,
        /// How it ended.
        outcome: Delivery,
    },
    /// Store this durably; a newly queued message then awaits [`Outbox::handle_stored`].
    Persist {
        /// Which message it is about.
        id: MessageId,
        /// What to store.
        change: Change,
    },
    /// A queued message was tried and waits.
    Waiting {
        /// Which.
        id: MessageId,
    },
    /// A queued message reached its end.
    Finished {
        /// Which.
        id: MessageId,
        /// For whom it was.
        to: InboxAddress,
        /// How it ended.
        state: OutboxState,
    },
}

#[derive(Debug)]
struct Plain {
    message: InstantMessage,
    give_up_at: Timestamp,
    expires: Timestamp,
    repeats: u32,
}

#[derive(Debug)]
struct Queued {
    entry: OutboxEntry,
    under_way: bool,
    stored: bool,
    /// Withdrawn while it was under way.
    cancelled: bool,
    /// The last transmission came to nothing since no answer came.
    unanswered: bool,
    /// The recipient came into reach or turned OPEN while it was under way.
    in_reach_meanwhile: bool,
    retry_at: Option<Timestamp>,
}

impl Queued {
    fn new(entry: OutboxEntry) -> Self {
        Self {
            entry,
            under_way: false,
            stored: false,
            cancelled: false,
            unanswered: false,
            in_reach_meanwhile: false,
            retry_at: None,
        }
    }
}

/// The longest time that a message waits: a week. Receivers remember ids for a day longer.
pub const LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a sender waits for the outcome of a plain message (RFC 2779 leaves it open).
pub const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Transmissions of a plain message after the first.
pub const REPEATS_MAX: u32 = 2;
/// The first wait of a queued message after a failure.
pub const RETRY_MIN: Duration = Duration::from_secs(2);
/// The longest wait of a queued message between two tries.
pub const RETRY_MAX: Duration = Duration::from_secs(5 * 60);
/// Queued messages: at 16 KiB each at most 16 MB of memory.
pub const WAITING_MAX: usize = 1000;
/// Plain messages under way at the same time.
pub const UNDER_WAY_MAX: usize = 4096;
/// Finished queued messages that are remembered for people.
pub const FINISHED_KEPT: usize = 100;

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
