//! Queued messages: they wait, go out in order, and outlive the process.

use std::time::Duration;

use super::mesh::{Faults, Mesh};
use crate::{
    durable::OutboxState,
    message::{
        instant_message::{Delivery, FailureReason},
        outbox::{LIFETIME_MAX, RETRY_MAX, WAITING_MAX},
    },
    node::{DraftError, SentOutcome},
    presence::information::Basic,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn set_status(mesh: &mut Mesh, seat: usize, status: Basic) {
    let mut document = mesh.node(seat).information().clone();
    document.tuples[0].status.basic = status;
    mesh.with(seat, |node, now| node.handle_set(now, document)).unwrap();
}

#[test]
fn a_queued_message_to_somebody_in_reach_goes_out_at_once() {
    let mut mesh = Mesh::row(2);
    let id = mesh.send(0, 1, "hello", true);
    mesh.run(SECOND);
    assert_eq!(mesh.finished(0), [(id, OutboxState::Delivered)]);
    assert_eq!(mesh.inbox(1), ["hello"]);
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_queued_message_goes_out_when_its_recipient_returns() {
    let mut mesh = Mesh::row(2);
    mesh.kill(1);
    mesh.run(SECOND);
    let id = mesh.send(0, 1, "hello", true);
    mesh.run(20 * MINUTE);
    assert_eq!(mesh.seat(0).sent[&id].first(), Some(&SentOutcome::Queued));
    mesh.start(1);
    mesh.link(1, 0);
    // Sooner than any retry, which is minutes away by now.
    mesh.run(Duration::from_millis(200));
    assert_eq!(mesh.finished(0), [(id, OutboxState::Delivered)]);
    assert_eq!(mesh.inbox(1), ["hello"]);
}

#[test]
fn queued_messages_outlive_their_sender_and_arrive_in_order_and_once() {
    let mut mesh = Mesh::row(2);
    mesh.kill(1);
    for number in 0..5 {
        mesh.send(0, 1, &format!("message {number}"), true);
    }
    mesh.run(MINUTE);
    mesh.kill(0);
    mesh.start(0);
    mesh.run(MINUTE);
    mesh.start(1);
    mesh.link(0, 1);
    mesh.run(MINUTE);
    assert_eq!(mesh.inbox(1), ["message 0", "message 1", "message 2", "message 3", "message 4"]);
    let states: Vec<_> = mesh.node(0).outbox().iter().map(|entry| entry.state).collect();
    assert_eq!(states, [OutboxState::Delivered; 5]);
}

#[test]
fn a_sender_that_crashes_before_it_hears_the_answer_sends_again_and_the_message_is_there_once() {
    let mut mesh = Mesh::row(2);
    mesh.faults.answer_lost = 1.0;
    mesh.send(0, 1, "hello", true);
    mesh.run_until(SECOND, |mesh| !mesh.inbox(1).is_empty());
    mesh.kill(0);
    mesh.faults = Faults::default();
    mesh.start(0);
    mesh.link(0, 1);
    mesh.run(MINUTE);
    assert_eq!(mesh.node(0).outbox()[0].state, OutboxState::Delivered);
    assert_eq!(mesh.inbox(1), ["hello"]);
}

#[test]
fn a_queued_message_to_a_closed_inbox_waits_for_open() {
    let mut mesh = Mesh::row(2);
    set_status(&mut mesh, 1, Basic::Closed);
    mesh.run(SECOND);
    let id = mesh.send(0, 1, "hello", true);
    mesh.run(20 * MINUTE);
    assert_eq!((mesh.finished(0), mesh.inbox(1).len()), (Vec::new(), 0));
    set_status(&mut mesh, 1, Basic::Open);
    mesh.run(Duration::from_millis(200));
    assert_eq!(mesh.finished(0), [(id, OutboxState::Delivered)]);
}

#[test]
fn a_queued_message_is_retried_even_if_presence_never_says_anything() {
    let mut mesh = Mesh::row(2);
    mesh.faults.request_lost = 1.0;
    let id = mesh.send(0, 1, "hello", true);
    mesh.run(20 * MINUTE);
    assert_eq!(mesh.finished(0), []);
    mesh.faults = Faults::default();
    mesh.run(RETRY_MAX + SECOND);
    assert_eq!(mesh.finished(0), [(id, OutboxState::Delivered)]);
}

#[test]
fn a_queued_message_expires_and_is_never_delivered_after() {
    let mut mesh = Mesh::row(2);
    mesh.kill(1);
    let id = mesh.send(0, 1, "hello", true);
    mesh.run(61 * MINUTE);
    assert_eq!(mesh.finished(0), [(id, OutboxState::Expired)]);
    mesh.start(1);
    mesh.link(0, 1);
    mesh.run(10 * MINUTE);
    assert_eq!(mesh.inbox(1).len(), 0);
}

#[test]
fn nobody_makes_a_message_wait_for_more_than_a_week() {
    let mut mesh = Mesh::row(2);
    let mut draft = mesh.draft(1, "hello");
    (draft.lifetime, draft.queue) = (Duration::MAX, true);
    mesh.kill(1);
    mesh.with(0, |node, now| node.handle_send(now, draft)).unwrap();
    let entry = mesh.node(0).outbox().remove(0);
    assert_eq!(entry.expires_at.since(entry.queued_at), LIFETIME_MAX);
}

#[test]
fn a_withdrawn_message_is_not_sent_when_its_recipient_returns() {
    let mut mesh = Mesh::row(2);
    mesh.kill(1);
    let id = mesh.send(0, 1, "hello", true);
    mesh.run(SECOND);
    assert!(mesh.with(0, |node, now| node.handle_cancel(now, id)));
    assert_eq!(mesh.finished(0), [(id, OutboxState::Cancelled)], "told at once");
    assert!(!mesh.with(0, |node, now| node.handle_cancel(now, id)));
    mesh.start(1);
    mesh.link(0, 1);
    mesh.run(10 * MINUTE);
    assert_eq!((mesh.finished(0), mesh.inbox(1).len()), (vec![(id, OutboxState::Cancelled)], 0));
}

#[test]
fn a_message_that_cannot_be_stored_is_not_queued_and_not_sent() {
    let mut mesh = Mesh::row(2);
    mesh.faults.disk_fails = 1.0;
    let id = mesh.send(0, 1, "hello", true);
    mesh.run(SECOND);
    assert_eq!(mesh.seat(0).sent[&id], [SentOutcome::NotStored]);
    mesh.faults = Faults::default();
    mesh.run(20 * MINUTE);
    assert_eq!((mesh.inbox(1).len(), mesh.node(0).outbox()), (0, Vec::new()));
}

#[test]
fn an_end_that_cannot_be_stored_is_reported_as_trouble_and_not_as_a_message_lost() {
    let mut mesh = Mesh::row(2);
    let id = mesh.send(0, 1, "hello", true);
    mesh.run_until(SECOND, |mesh| !mesh.inbox(1).is_empty());
    mesh.faults.disk_fails = 1.0;
    mesh.run(SECOND);
    assert_eq!(mesh.finished(0), [(id, OutboxState::Delivered)]);
    assert_eq!((mesh.troubles(0), mesh.seat(0).sent.get(&id)), (1, None));
    // After a restart it is sent again, which the receiver notices.
    mesh.faults = Faults::default();
    mesh.kill(0);
    mesh.start(0);
    mesh.link(0, 1);
    mesh.run(MINUTE);
    assert_eq!((mesh.inbox(1).len(), mesh.node(0).outbox()[0].state), (1, OutboxState::Delivered));
}

#[test]
fn a_refusal_for_good_ends_a_queued_message() {
    let mut mesh = Mesh::row(2);
    let mut draft = mesh.draft(1, "hello");
    draft.queue = true;
    // Written for an inbox of this node that moved away: the address is of the right realm and node, the
    // refusal is about the time left.
    draft.lifetime = Duration::ZERO;
    let id = mesh.with(0, |node, now| node.handle_send(now, draft)).unwrap();
    mesh.run(SECOND);
    assert_eq!(mesh.finished(0), [(id, OutboxState::Expired)]);
    assert_eq!(mesh.inbox(1).len(), 0);
}

#[test]
fn a_thousand_messages_wait_and_one_more_is_refused() {
    let mut mesh = Mesh::row(2);
    mesh.kill(1);
    for _ in 0..WAITING_MAX {
        mesh.send(0, 1, "hello", true);
    }
    let mut draft = mesh.draft(1, "hello");
    draft.queue = true;
    let refused = mesh.with(0, |node, now| node.handle_send(now, draft));
    assert_eq!(refused, Err(DraftError::OutboxFull { limit: WAITING_MAX }));
    let plain = mesh.send(0, 1, "hello", false);
    mesh.run(Duration::from_millis(20));
    assert_eq!(mesh.seat(0).sent[&plain], [SentOutcome::Final(Delivery::Failed(FailureReason::Unreachable))]);
}
