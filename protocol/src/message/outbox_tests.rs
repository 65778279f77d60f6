use proptest::prelude::*;

use super::*;
use crate::testing::{CLOCK, alice, at, bob, keypair, message, message_between, presentity};

const HOUR: Duration = Duration::from_secs(3600);

fn outbox() -> Outbox {
    Outbox::new(at(0), CLOCK, Vec::new())
}

fn outputs(outbox: &mut Outbox) -> Vec<OutboxOutput> {
    std::iter::from_fn(|| outbox.poll_output()).collect()
}

/// What is transmitted since the last call, by the number of the message.
fn transmitted(outbox: &mut Outbox) -> Vec<u8> {
    let number = |output| match output {
        OutboxOutput::Transmit { message, .. } => Some(message.id.as_bytes()[0]),
        _ => None,
    };
    outputs(outbox).into_iter().filter_map(number).collect()
}

fn id(number: u8) -> MessageId {
    MessageId::from_bytes([number; 16])
}

/// Puts bob's message `number` into the outbox, as if the store had answered at once.
fn queue(outbox: &mut Outbox, now: Timestamp, number: u8) {
    assert!(outbox.handle_queue(now, message(number), HOUR));
    outbox.handle_stored(now, id(number));
}

fn failed(reason: FailureReason) -> Delivery {
    Delivery::Failed(reason)
}

fn states(outbox: &Outbox) -> Vec<(u8, OutboxState)> {
    outbox.entries().iter().map(|entry| (entry.message.id.as_bytes()[0], entry.state)).collect()
}

#[test]
fn a_plain_message_is_transmitted_at_once_and_its_outcome_is_told() {
    for outcome in [Delivery::Delivered, failed(FailureReason::Closed), failed(FailureReason::Unreachable)] {
        let mut outbox = outbox();
        assert!(outbox.handle_plain(at(0), message(1), HOUR));
        assert_eq!(outputs(&mut outbox), [OutboxOutput::Transmit { message: message(1), remaining: HOUR }]);
        outbox.handle_outcome(at(1), id(1), outcome);
        assert_eq!(outputs(&mut outbox), [OutboxOutput::Settled { id: id(1), outcome }]);
        assert_eq!(outbox.entries(), []);
    }
}

#[test]
fn a_plain_message_whose_answer_is_lost_is_repeated_twice_with_the_time_it_has_left() {
    let mut outbox = outbox();
    assert!(outbox.handle_plain(at(0), message(1), HOUR));
    outputs(&mut outbox);
    for seconds in [3, 6] {
        outbox.handle_outcome(at(seconds), id(1), Delivery::Indeterminate);
        let remaining = HOUR - Duration::from_secs(seconds);
        assert_eq!(outputs(&mut outbox), [OutboxOutput::Transmit { message: message(1), remaining }]);
    }
    outbox.handle_outcome(at(9), id(1), Delivery::Indeterminate);
    let outcome = Delivery::Indeterminate;
    assert_eq!(outputs(&mut outbox), [OutboxOutput::Settled { id: id(1), outcome }]);
}

#[test]
fn not_reaching_a_node_that_may_have_the_message_already_is_indeterminate() {
    let mut outbox = outbox();
    assert!(outbox.handle_plain(at(0), message(1), HOUR));
    outbox.handle_outcome(at(1), id(1), Delivery::Indeterminate);
    outputs(&mut outbox);
    outbox.handle_outcome(at(2), id(1), failed(FailureReason::Unreachable));
    assert_eq!(outputs(&mut outbox), [OutboxOutput::Settled { id: id(1), outcome: Delivery::Indeterminate }]);
}

#[test]
fn a_plain_message_is_given_up_after_the_answer_time_and_a_late_answer_changes_nothing() {
    let mut outbox = outbox();
    assert!(outbox.handle_plain(at(0), message(1), HOUR));
    outputs(&mut outbox);
    assert_eq!(outbox.poll_timeout(), Some(at(10)));
    outbox.handle_timeout(at(10));
    assert_eq!(outputs(&mut outbox), [OutboxOutput::Settled { id: id(1), outcome: Delivery::Indeterminate }]);
    outbox.handle_outcome(at(11), id(1), Delivery::Delivered);
    assert_eq!((outputs(&mut outbox), outbox.poll_timeout()), (Vec::new(), None));
}

#[test]
fn at_the_limit_of_plain_messages_no_further_one_is_taken() {
    let mut outbox = outbox();
    let numbered = |number: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        InstantMessage { id: MessageId::from_bytes(bytes), ..message(1) }
    };
    let limit = u16::try_from(UNDER_WAY_MAX).unwrap();
    assert!((0..limit).all(|number| outbox.handle_plain(at(0), numbered(number), HOUR)));
    assert!(!outbox.handle_plain(at(0), numbered(limit), HOUR));
    outbox.handle_outcome(at(0), numbered(0).id, Delivery::Delivered);
    assert!(outbox.handle_plain(at(0), numbered(limit), HOUR));
}

#[test]
fn a_queued_message_is_stored_before_it_is_transmitted() {
    let mut outbox = outbox();
    assert!(outbox.handle_queue(at(0), message(1), HOUR));
    let entry = OutboxEntry {
        message: message(1),
        queued_at: CLOCK.unix(at(0)),
        expires_at: CLOCK.unix(at(3600)),
        attempts: 0,
        state: OutboxState::Queued,
    };
    assert_eq!(outputs(&mut outbox), [OutboxOutput::Persist { id: id(1), change: Change::PutOutbox(entry) }]);
    outbox.handle_in_reach(at(1), presentity(&bob()));
    assert_eq!(outputs(&mut outbox), []);
    outbox.handle_stored(at(1), id(1));
    let remaining = HOUR - Duration::from_secs(1);
    assert_eq!(outputs(&mut outbox), [OutboxOutput::Transmit { message: message(1), remaining }]);
}

#[test]
fn a_message_that_could_not_be_stored_is_forgotten_and_those_behind_it_go_on() {
    let mut outbox = outbox();
    assert!(outbox.handle_queue(at(0), message(1), HOUR));
    queue(&mut outbox, at(0), 2);
    assert_eq!(transmitted(&mut outbox), []);
    assert!(outbox.handle_store_failed(at(1), id(1)));
    assert_eq!(transmitted(&mut outbox), [2]);
    assert_eq!(states(&outbox), [(2, OutboxState::Queued)]);
    assert!(!outbox.handle_store_failed(at(1), id(2)), "it is stored, and stays");
}

#[test]
fn every_final_outcome_of_a_queued_message_is_stored_told_and_remembered() {
    for (outcome, state) in [
        (Delivery::Delivered, OutboxState::Delivered),
        (failed(FailureReason::NoSuchInbox), OutboxState::Failed(FailureReason::NoSuchInbox)),
        (failed(FailureReason::Expired), OutboxState::Expired),
    ] {
        let mut outbox = outbox();
        queue(&mut outbox, at(0), 1);
        outputs(&mut outbox);
        outbox.handle_outcome(at(1), id(1), outcome);
        let entry = outbox.entries().remove(0);
        assert_eq!((entry.state, entry.attempts), (state, 1));
        let expected = [
            OutboxOutput::Persist { id: id(1), change: Change::PutOutbox(entry) },
            OutboxOutput::Finished { id: id(1), to: message(1).to, state },
        ];
        assert_eq!(outputs(&mut outbox), expected);
        assert_eq!(outbox.poll_timeout(), None);
    }
}

#[test]
fn a_temporary_failure_or_none_at_all_keeps_a_queued_message_waiting() {
    for outcome in [
        Delivery::Indeterminate,
        failed(FailureReason::Closed),
        failed(FailureReason::Unreachable),
        failed(FailureReason::InboxFull),
        failed(FailureReason::RateLimited),
    ] {
        let mut outbox = outbox();
        queue(&mut outbox, at(0), 1);
        outputs(&mut outbox);
        outbox.handle_outcome(at(1), id(1), outcome);
        assert_eq!(outputs(&mut outbox), [OutboxOutput::Waiting { id: id(1) }]);
        assert_eq!(states(&outbox), [(1, OutboxState::Queued)]);
        outbox.handle_in_reach(at(2), presentity(&bob()));
        assert_eq!(transmitted(&mut outbox), [1]);
    }
}

#[test]
fn a_sign_of_life_hurries_what_was_not_answered_but_nothing_that_was_refused() {
    let mut outbox = outbox();
    queue(&mut outbox, at(0), 1);
    assert_eq!(transmitted(&mut outbox), [1]);
    outbox.handle_outcome(at(1), id(1), Delivery::Indeterminate);
    outputs(&mut outbox);
    outbox.handle_alive(at(1), presentity(&bob()));
    assert_eq!(transmitted(&mut outbox), [1]);
    outbox.handle_outcome(at(1), id(1), failed(FailureReason::Closed));
    outputs(&mut outbox);
    outbox.handle_alive(at(1), presentity(&bob()));
    assert_eq!(transmitted(&mut outbox), []);
}

#[test]
fn retries_back_off_from_two_seconds_to_five_minutes() {
    let mut outbox = outbox();
    let day = Duration::from_secs(24 * 3600);
    assert!(outbox.handle_queue(at(0), message(1), day));
    outbox.handle_stored(at(0), id(1));
    let mut now = at(0);
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert_eq!(transmitted(&mut outbox), [1]);
        outbox.handle_outcome(now, id(1), failed(FailureReason::Unreachable));
        let due = outbox.poll_timeout().unwrap();
        waits.push(due.since(now).as_secs());
        now = due;
        outbox.handle_timeout(now);
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

#[test]
fn messages_to_one_recipient_go_one_after_the_other_and_others_do_not_wait_for_them() {
    let mut outbox = outbox();
    queue(&mut outbox, at(0), 1);
    queue(&mut outbox, at(0), 2);
    let carol = keypair(3);
    assert!(outbox.handle_queue(at(0), message_between(&alice(), &carol, 3), HOUR));
    outbox.handle_stored(at(0), id(3));
    let outputs = outputs(&mut outbox);
    assert!(outputs.contains(&OutboxOutput::Waiting { id: id(2) }));
    let under_way = |number: &u8| {
        outputs.iter().any(
            |output| matches!(output, OutboxOutput::Transmit { message, .. } if message.id == id(*number)),
        )
    };
    assert_eq!([1, 2, 3].iter().filter(|number| under_way(number)).collect::<Vec<_>>(), [&1, &3]);
    outbox.handle_outcome(at(1), id(1), Delivery::Delivered);
    assert_eq!(transmitted(&mut outbox), [2]);
}

#[test]
fn a_message_waits_behind_an_earlier_one_that_waits_for_its_retry() {
    let mut outbox = outbox();
    queue(&mut outbox, at(0), 1);
    outbox.handle_outcome(at(0), id(1), failed(FailureReason::Unreachable));
    queue(&mut outbox, at(1), 2);
    assert_eq!(transmitted(&mut outbox), [1]);
    outbox.handle_timeout(at(2));
    assert_eq!(transmitted(&mut outbox), [1]);
}

#[test]
fn one_recipient_in_reach_hurries_no_message_to_another() {
    let mut outbox = outbox();
    queue(&mut outbox, at(0), 1);
    outbox.handle_outcome(at(0), id(1), failed(FailureReason::Unreachable));
    outputs(&mut outbox);
    outbox.handle_in_reach(at(1), presentity(&keypair(3)));
    assert_eq!(transmitted(&mut outbox), []);
    outbox.handle_in_reach(at(1), presentity(&bob()));
    assert_eq!(transmitted(&mut outbox), [1]);
}

#[test]
fn a_queued_message_expires_and_makes_way_for_the_next() {
    let mut outbox = outbox();
    assert!(outbox.handle_queue(at(0), message(1), Duration::from_secs(60)));
    outbox.handle_stored(at(0), id(1));
    outbox.handle_outcome(at(50), id(1), failed(FailureReason::Unreachable));
    queue(&mut outbox, at(51), 2);
    outputs(&mut outbox);
    assert_eq!(outbox.poll_timeout(), Some(at(52)));
    outbox.handle_timeout(at(60));
    assert_eq!(transmitted(&mut outbox), [2]);
    assert_eq!(states(&outbox), [(1, OutboxState::Expired), (2, OutboxState::Queued)]);
}

#[test]
fn a_withdrawn_message_that_waits_is_cancelled_at_once() {
    let mut outbox = outbox();
    queue(&mut outbox, at(0), 1);
    outbox.handle_outcome(at(0), id(1), Delivery::Failed(FailureReason::Unreachable));
    assert!(outbox.handle_cancel(at(1), id(1)));
    assert!(!outbox.handle_cancel(at(1), id(1)));
    assert_eq!(states(&outbox), [(1, OutboxState::Cancelled)]);
}

#[test]
fn a_message_withdrawn_under_way_ends_as_what_became_of_it() {
    for (outcome, state) in [
        (Delivery::Delivered, OutboxState::Delivered),
        (Delivery::Indeterminate, OutboxState::Cancelled),
        (Delivery::Failed(FailureReason::Closed), OutboxState::Cancelled),
    ] {
        let mut outbox = outbox();
        queue(&mut outbox, at(0), 1);
        assert!(outbox.handle_cancel(at(1), id(1)));
        assert!(!outbox.handle_cancel(at(1), id(1)));
        outbox.handle_outcome(at(2), id(1), outcome);
        assert_eq!(states(&outbox), [(1, state)]);
    }
}

#[test]
fn a_recipient_that_opens_while_its_refusal_is_on_the_way_is_tried_again_soon() {
    let mut outbox = outbox();
    queue(&mut outbox, at(0), 1);
    let recipient = outbox.entries()[0].message.to.node;
    for _ in 0..6 {
        outbox.handle_outcome(at(0), id(1), Delivery::Failed(FailureReason::Closed));
        outbox.handle_in_reach(at(0), recipient);
    }
    outbox.handle_in_reach(at(0), recipient);
    outbox.handle_outcome(at(0), id(1), Delivery::Failed(FailureReason::Closed));
    assert_eq!(outbox.poll_timeout(), Some(at(0) + RETRY_MIN));
}

#[test]
fn at_the_limit_of_waiting_messages_no_further_one_is_taken() {
    let mut outbox = outbox();
    let numbered = |number: u16| {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        InstantMessage { id: MessageId::from_bytes(bytes), ..message(1) }
    };
    let limit = u16::try_from(WAITING_MAX).unwrap();
    assert!((0..limit).all(|number| outbox.handle_queue(at(0), numbered(number), HOUR)));
    assert!(!outbox.handle_queue(at(0), numbered(limit), HOUR));
}

#[test]
fn of_finished_messages_the_last_hundred_are_remembered() {
    let mut outbox = outbox();
    for number in 0..=100 {
        queue(&mut outbox, at(0), number);
        outbox.handle_outcome(at(0), id(number), Delivery::Delivered);
    }
    assert_eq!(outbox.entries().len(), FINISHED_KEPT);
    let removed = OutboxOutput::Persist { id: id(0), change: Change::RemoveOutbox(id(0)) };
    assert_eq!(outputs(&mut outbox).iter().filter(|output| **output == removed).count(), 1);
}

#[test]
fn a_restart_goes_on_with_what_waited_in_the_same_order() {
    let mut outbox = outbox();
    for number in [3, 1, 2] {
        queue(&mut outbox, at(0), number);
    }
    outbox.handle_outcome(at(0), id(3), Delivery::Delivered);
    let mut restarted = Outbox::new(at(5), CLOCK, outbox.entries());
    assert_eq!(
        states(&restarted),
        [(3, OutboxState::Delivered), (1, OutboxState::Queued), (2, OutboxState::Queued)]
    );
    assert_eq!(restarted.poll_timeout(), Some(at(5) + RETRY_MIN));
    restarted.handle_timeout(at(5) + RETRY_MIN);
    assert_eq!(transmitted(&mut restarted), [1]);
    restarted.handle_outcome(at(8), id(1), Delivery::Delivered);
    assert_eq!(transmitted(&mut restarted), [2]);
}

#[derive(Debug, Clone)]
enum Step {
    Plain,
    Queue {
        recipient: u8,
        lifetime_seconds: u64,
    },
    /// The store answers one of the open commits.
    Stored(prop::sample::Index, bool),
    /// One of the open transmissions ends.
    Outcome(prop::sample::Index, Delivery),
    InReach(u8),
    Cancel(prop::sample::Index),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(Delivery::Delivered),
        Just(Delivery::Indeterminate),
        prop::sample::select(FailureReason::ALL.to_vec()).prop_map(Delivery::Failed),
    ];
    prop_oneof![
        2 => Just(Step::Plain),
        4 => (2_u8..4, 1_u64..2000)
            .prop_map(|(recipient, lifetime_seconds)| Step::Queue { recipient, lifetime_seconds }),
        5 => (any::<prop::sample::Index>(), prop::bool::weighted(0.9))
            .prop_map(|(which, ok)| Step::Stored(which, ok)),
        5 => (any::<prop::sample::Index>(), outcome)
            .prop_map(|(which, outcome)| Step::Outcome(which, outcome)),
        1 => (2_u8..4).prop_map(Step::InReach),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        3 => (0_u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    /// At most one queued message is under way to a recipient, each is sent for the first time after all
    /// that were queued before it have been, each ends once, and no deadline stays behind.
    #[test]
    fn queued_messages_keep_their_order_end_once_and_leave_no_deadline_behind(
        steps in prop::collection::vec(any_step(), 0..80),
    ) {
        let mut outbox = outbox();
        let mut now = at(0);
        let (mut storing, mut ended) = (Vec::new(), BTreeSet::new());
        let mut under_way: Vec<(MessageId, u8)> = Vec::new();
        let mut first_sent: BTreeMap<u8, Vec<MessageId>> = BTreeMap::new();
        let mut queued = Vec::new();
        let mut plain = BTreeSet::new();
        for (number, step) in (0_u8..).zip(steps) {
            match step {
                Step::Plain => {
                    prop_assert!(outbox.handle_plain(now, message(number), HOUR));
                    plain.insert(id(number));
                }
                Step::Queue { recipient, lifetime_seconds } => {
                    let message = message_between(&alice(), &keypair(recipient), number);
                    prop_assert!(outbox.handle_queue(now, message, Duration::from_secs(lifetime_seconds)));
                    queued.push(id(number));
                }
                Step::Stored(which, ok) if !storing.is_empty() => {
                    let id = storing.remove(which.index(storing.len()));
                    if ok {
                        outbox.handle_stored(now, id);
                    } else if outbox.handle_store_failed(now, id) {
                        prop_assert!(ended.insert(id));
                    }
                }
                Step::Outcome(which, outcome) if !under_way.is_empty() => {
                    let (id, _) = under_way.remove(which.index(under_way.len()));
                    outbox.handle_outcome(now, id, outcome);
                }
                Step::InReach(recipient) => outbox.handle_in_reach(now, presentity(&keypair(recipient))),
                Step::Cancel(which) if !queued.is_empty() => {
                    let id = *which.get(&queued);
                    outbox.handle_cancel(now, id);
                }
                Step::Stored(..) | Step::Outcome(..) | Step::Cancel(_) => (),
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
            }
            outbox.handle_timeout(now);
            prop_assert!(outbox.poll_timeout().is_none_or(|at| at > now));
            for output in outputs(&mut outbox) {
                match output {
                    OutboxOutput::Transmit { message, .. } => {
                        let recipient = if message.to.node == presentity(&keypair(2)) { 2 } else { 3 };
                        if !plain.contains(&message.id) {
                            // One whose message has ended may still be under way; nobody waits for it.
                            let waits = |id: &MessageId| !ended.contains(id) && !plain.contains(id);
                            let busy = under_way.iter().any(|(id, other)| *other == recipient && waits(id));
                            prop_assert!(!busy, "two at once");
                            let sent = first_sent.entry(recipient).or_default();
                            if !sent.contains(&message.id) {
                                sent.push(message.id);
                            }
                        }
                        under_way.push((message.id, recipient));
                    }
                    OutboxOutput::Settled { id, .. } => prop_assert!(ended.insert(id) && plain.contains(&id)),
                    OutboxOutput::Finished { id, .. } => {
                        prop_assert!(ended.insert(id) && !plain.contains(&id));
                    }
                    OutboxOutput::Persist { id, .. } => storing.push(id),
                    OutboxOutput::Waiting { id } => prop_assert!(!ended.contains(&id)),
                }
            }
        }
        for sent in first_sent.values() {
            let order: Vec<_> = queued.iter().filter(|id| sent.contains(id)).copied().collect();
            prop_assert_eq!(sent, &order, "not in the order of queueing");
        }
        let waiting = outbox.entries().iter().filter(|entry| entry.state == OutboxState::Queued).count();
        prop_assert_eq!(queued.iter().filter(|id| !ended.contains(id)).count(), waiting);
    }
}
