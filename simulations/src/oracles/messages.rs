//! What became of INSTANT MESSAGES, beside what their senders were told.

use std::collections::{BTreeMap, BTreeSet};

use hereabouts_protocol::{
    durable::OutboxState,
    identity::Presentity,
    message::instant_message::{Delivery, MessageId},
};

/// All messages of a run.
#[derive(Debug, Default)]
pub(super) struct Messages {
    sent: BTreeMap<MessageId, Message>,
    /// Ends that were told of before their senders were told that the message waits.
    ended_early: BTreeMap<MessageId, Told>,
    arrived: BTreeMap<MessageId, u32>,
    pub(super) latencies: Vec<f64>,
    pub(super) outcomes: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Message {
    from: usize,
    to: usize,
    sent_at: u64,
    /// What the sender was told last.
    told: Told,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Queued,
    Delivered,
    Refused,
    Unknown,
}

/// A message that its sender was told something untrue about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Untrue {
    pub(super) id: MessageId,
    pub(super) to: usize,
    pub(super) what: &'static str,
}

impl Messages {
    /// A sender was told of its message at first: what, or that it waits.
    pub(super) fn handle_sent(
        &mut self,
        now: u64,
        id: MessageId,
        (from, to): (usize, usize),
        sent_at: u64,
        outcome: Option<Delivery>,
    ) {
        let ended_early = self.ended_early.remove(&id);
        let told = match outcome {
            None => ended_early.unwrap_or(Told::Queued),
            Some(Delivery::Delivered) => Told::Delivered,
            Some(Delivery::Failed(_)) => Told::Refused,
            Some(Delivery::Indeterminate) => Told::Unknown,
        };
        self.sent.insert(id, Message { from, to, sent_at, told });
        self.settle(now, id, told);
    }

    /// The outbox of a sender says how a message that waited ended.
    pub(super) fn handle_finished(&mut self, now: u64, id: MessageId, state: OutboxState) {
        let told = match state {
            OutboxState::Queued => return,
            OutboxState::Delivered => Told::Delivered,
            OutboxState::Failed(_) => Told::Refused,
            OutboxState::Expired | OutboxState::Cancelled => Told::Unknown,
        };
        match self.sent.get(&id) {
            None => drop(self.ended_early.insert(id, told)),
            Some(message) if message.told == Told::Queued => self.settle(now, id, told),
            // One that is delivered at once is told of twice.
            Some(_) => (),
        }
    }

    /// A sender lost its outbox. What still waited there may have arrived or not, and nobody will say.
    pub(super) fn handle_outbox_lost(&mut self, now: u64, from: usize) {
        let waits = |message: &Message| message.from == from && message.told == Told::Queued;
        let waiting: Vec<_> =
            self.sent.iter().filter(|(_, message)| waits(message)).map(|(id, _)| *id).collect();
        for id in waiting {
            self.settle(now, id, Told::Unknown);
        }
    }

    fn settle(&mut self, now: u64, id: MessageId, told: Told) {
        let Some(message) = self.sent.get_mut(&id) else { return };
        message.told = told;
        if told == Told::Delivered {
            self.latencies.push((now - message.sent_at) as f64 / 1e6);
        }
        let name = match told {
            Told::Queued => "queued",
            Told::Delivered => "delivered",
            Told::Refused => "refused",
            Told::Unknown => "unknown",
        };
        *self.outcomes.entry(name).or_default() += 1;
    }

    /// A message was stored in an inbox; how often it was by now.
    pub(super) fn handle_arrived(&mut self, id: MessageId) -> u32 {
        let times = self.arrived.entry(id).or_default();
        *times += 1;
        *times
    }

    /// Messages that wait for the node `is_live` says it could reach: sender, receiver, when it was sent.
    pub(super) fn waiting(
        &self,
        is_live: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = (usize, usize, u64)> {
        let queued = self.sent.values().filter(|message| message.told == Told::Queued);
        let between_live = queued.filter(move |message| is_live(message.to) && is_live(message.from));
        between_live.map(|message| (message.from, message.to, message.sent_at))
    }

    /// Compares what senders were told with what is in the inboxes. `stored` says how often a message is in
    /// the inbox of a node, or nothing if that node lost its disk.
    pub(super) fn untrue(&self, stored: impl Fn(usize, &MessageId) -> Option<usize>) -> Vec<Untrue> {
        let judge = |(id, message): (&MessageId, &Message)| {
            let what = match (message.told, stored(message.to, id)?) {
                (Told::Delivered, 0) => "was acknowledged as delivered and is not in the inbox",
                (Told::Refused, 1..) => "was refused and is in the inbox",
                (_, 2..) => "is in the inbox more than once",
                _ => return None,
            };
            Some(Untrue { id: *id, to: message.to, what })
        };
        self.sent.iter().filter_map(judge).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.sent.len()
    }
}

/// Whose messages nodes deny, and since when.
#[derive(Debug, Default)]
pub(super) struct Denials {
    since: BTreeMap<(usize, Presentity), u64>,
    stored: BTreeSet<(usize, Presentity)>,
}

impl Denials {
    /// A rule was set; whether messages of that sender had been stored before.
    pub(super) fn handle_denied(&mut self, now: u64, node: usize, sender: Presentity) -> bool {
        self.since.entry((node, sender)).or_insert(now);
        self.stored.contains(&(node, sender))
    }

    /// A message was stored; whether it was to be denied.
    pub(super) fn handle_stored(&mut self, now: u64, node: usize, sender: Presentity) -> bool {
        self.stored.insert((node, sender));
        self.since.get(&(node, sender)).is_some_and(|since| now > since + BEING_STORED)
    }
}

/// Nanoseconds by which a message that was taken before the rule held may be stored later: some fsyncs.
const BEING_STORED: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use hereabouts_protocol::message::instant_message::FailureReason;

    use super::*;

    #[test]
    fn what_senders_were_told_must_be_so() {
        let mut messages = Messages::default();
        let ids: Vec<_> = (0..4).map(|number| MessageId::from_bytes([number; 16])).collect();
        let told = [
            Some(Delivery::Delivered),
            Some(Delivery::Failed(FailureReason::Closed)),
            None,
            Some(Delivery::Indeterminate),
        ];
        for (id, told) in ids.iter().zip(told) {
            messages.handle_sent(10, *id, (0, 1), 5, told);
        }
        assert_eq!(messages.waiting(|_| true).collect::<Vec<_>>(), [(0, 1, 5)]);
        messages.handle_finished(20, ids[2], OutboxState::Delivered);
        assert_eq!(messages.waiting(|_| true).count(), 0);
        assert_eq!(messages.untrue(|_, id| Some(usize::from(*id != ids[1]))), []);
        let whats: Vec<_> = messages.untrue(|_, id| Some(usize::from(*id == ids[1]))).into_iter().collect();
        assert_eq!(whats.len(), 3, "{whats:?}");
        assert_eq!(messages.untrue(|_, _| None), [], "who lost its disk is not asked");
        assert_eq!(messages.latencies.len(), 2);
    }

    #[test]
    fn who_is_denied_comes_no_more_to_that_node() {
        let [denied, other] = [1, 2].map(|byte| Presentity::from_public_key_bytes([byte; 32]));
        let mut denials = Denials::default();
        assert!(!denials.handle_denied(0, 4, denied), "nothing came before");
        assert!(!denials.handle_stored(1, 3, denied));
        assert!(denials.handle_denied(5, 3, denied));
        let later = 6 + BEING_STORED;
        assert!(!denials.handle_stored(6, 3, denied), "it was on its way to the disk");
        assert!(denials.handle_stored(later, 3, denied));
        assert!(!denials.handle_stored(later, 3, other) && !denials.handle_stored(later, 5, denied));
    }

    #[test]
    fn what_waited_in_a_lost_outbox_is_awaited_no_more() {
        let mut messages = Messages::default();
        let [lost, kept] = [1, 2].map(|number| MessageId::from_bytes([number; 16]));
        messages.handle_sent(10, lost, (0, 2), 5, None);
        messages.handle_sent(10, kept, (1, 2), 5, None);
        messages.handle_outbox_lost(20, 0);
        assert_eq!(messages.waiting(|_| true).collect::<Vec<_>>(), [(1, 2, 5)]);
        assert_eq!(messages.untrue(|_, id| Some(usize::from(*id == lost))), [], "it may have arrived");
    }

    #[test]
    fn an_end_may_be_told_of_before_its_sender_hears_that_the_message_waits() {
        let mut messages = Messages::default();
        let id = MessageId::from_bytes([1; 16]);
        messages.handle_finished(10, id, OutboxState::Delivered);
        messages.handle_sent(11, id, (0, 1), 5, None);
        assert_eq!(messages.waiting(|_| true).count(), 0);
        assert_eq!(messages.outcomes.get("delivered"), Some(&1));
    }
}
