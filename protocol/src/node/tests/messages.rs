//! Plain messages: delivered once, or failed with the right reason, or unknown.

use std::time::Duration;

use super::mesh::{Faults, Mesh};
use crate::{
    durable::MessageKey,
    identity::{InboxAddress, Realm},
    message::{
        delivery_rules::{DeliveryAction, DeliveryRule, Whose},
        instant_message::{BODY_BYTES_MAX, Delivery, FailureReason, InstantMessage, MessageError, MessageId},
        outbox::{ANSWER_TIME, Recipient},
    },
    node::{
        DraftError, IncomingRequest, NodeInput, NodeOutput, OutgoingRequest, Response, ResponseToken,
        SentOutcome,
    },
    presence::information::Basic,
    testing::{keypair, message_between},
    wire::frames::{MessageRequest, MessageResponse},
};

const SECOND: Duration = Duration::from_secs(1);

/// What node 0 was told of a message that it sent, at the end.
fn outcome(mesh: &Mesh, id: MessageId) -> Delivery {
    let [SentOutcome::Final(delivery)] = mesh.seat(0).sent[&id].as_slice() else {
        panic!("one final outcome: {:?}", mesh.seat(0).sent[&id]);
    };
    *delivery
}

fn close(mesh: &mut Mesh, seat: usize, status: Basic) {
    let mut document = mesh.node(seat).information().clone();
    document.tuples[0].status.basic = status;
    mesh.with(seat, |node, now| node.handle_set(now, document)).unwrap();
}

/// The reason that node 1 gives node 0 for refusing a message, changed.
fn refusal(mesh: &mut Mesh, remaining_ms: u64, change: impl FnOnce(&mut InstantMessage)) -> FailureReason {
    let mut message = message_between(&keypair(1), &keypair(2), 9);
    change(&mut message);
    match offer(mesh, message, remaining_ms) {
        MessageResponse::Failed(reason) => reason,
        MessageResponse::Delivered => panic!("it was taken"),
    }
}

/// Offers node 1 a message over a connection that authenticates node 0, and waits for the answer.
fn offer(mesh: &mut Mesh, message: InstantMessage, remaining_ms: u64) -> MessageResponse {
    let request = IncomingRequest::Message(MessageRequest { message, remaining_ms });
    let from = mesh.who(0);
    let token = ResponseToken(u64::MAX);
    let disk_remembers = |mesh: &Mesh, key: &MessageKey| mesh.seat(1).disk.remembers(key);
    let mut inputs = vec![NodeInput::Request { token, from, request }];
    while let Some(input) = inputs.pop() {
        let outputs = mesh.with(1, |node, now| {
            node.handle(now, input);
            std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
        });
        for output in outputs {
            match output {
                NodeOutput::Respond { response: Response::Message(response), .. } => return response,
                NodeOutput::Recall { token, key } => {
                    inputs.push(NodeInput::Recalled { token, stored: Some(disk_remembers(mesh, &key)) });
                }
                NodeOutput::Persist { token: Some(token), changes, .. } => {
                    let outcomes = Some(mesh.seat_mut(1).disk.commit(changes));
                    inputs.push(NodeInput::Persisted { token, outcomes });
                }
                _ => (),
            }
        }
    }
    panic!("no answer");
}

#[test]
fn a_message_is_in_the_inbox_when_it_is_delivered() {
    let mut mesh = Mesh::row(2);
    let id = mesh.send(0, 1, "hello", false);
    mesh.run_until(SECOND, |mesh| mesh.seat(0).sent.contains_key(&id));
    assert_eq!(outcome(&mesh, id), Delivery::Delivered);
    assert_eq!(mesh.inbox(1), ["hello"]);
    assert_eq!(mesh.node(1).inbox_messages(), 1);
    mesh.run(SECOND);
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_message_is_answered_only_after_the_disk_has_it() {
    let mut mesh = Mesh::row(2);
    let message = message_between(&keypair(1), &keypair(2), 1);
    let request = OutgoingRequest::Message(MessageRequest { message, remaining_ms: 1000 });
    let from = mesh.who(0);
    let outputs = mesh.with(1, |node, now| {
        node.handle(now, NodeInput::Request { token: ResponseToken(77), from, request });
        std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
    });
    assert!(matches!(outputs.as_slice(), [NodeOutput::Persist { token: Some(_), .. }]), "{outputs:?}");
}

#[test]
fn a_crash_of_the_receiver_before_the_disk_has_it_loses_no_delivered_message() {
    let mut mesh = Mesh::row(2);
    let id = mesh.send(0, 1, "hello", false);
    mesh.run_until(SECOND, |mesh| !mesh.node(1).persisting.is_empty());
    mesh.kill(1);
    mesh.run(ANSWER_TIME * 2);
    assert_ne!(outcome(&mesh, id), Delivery::Delivered);
    assert_eq!(mesh.seat(1).disk.inbox, []);
}

#[test]
fn a_message_whose_answer_is_lost_is_repeated_stored_once_and_delivered() {
    let mut mesh = Mesh::row(2);
    mesh.faults.answer_lost = 1.0;
    let id = mesh.send(0, 1, "hello", false);
    mesh.run_until(SECOND, |mesh| mesh.seat(0).asked["message"] == 2);
    assert_eq!(mesh.inbox(1), ["hello"]);
    mesh.faults = Faults::default();
    mesh.run(SECOND);
    assert_eq!(outcome(&mesh, id), Delivery::Delivered);
    assert_eq!(mesh.inbox(1), ["hello"]);
}

#[test]
fn a_message_of_which_no_answer_ever_comes_is_indeterminate_and_stored_at_most_once() {
    let mut mesh = Mesh::row(2);
    mesh.faults.answer_lost = 1.0;
    let id = mesh.send(0, 1, "hello", false);
    mesh.run(ANSWER_TIME * 2);
    assert_eq!(outcome(&mesh, id), Delivery::Indeterminate);
    assert_eq!((mesh.inbox(1).len(), mesh.seat(0).asked["message"]), (1, 3));
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_message_to_a_node_that_is_out_of_reach_fails_at_once() {
    let mut mesh = Mesh::row(2);
    mesh.kill(1);
    let id = mesh.send(0, 1, "hello", false);
    mesh.run(SECOND);
    assert_eq!(outcome(&mesh, id), Delivery::Failed(FailureReason::Unreachable));
}

#[test]
fn every_refusal_has_the_right_reason() {
    let mut mesh = Mesh::row(2);
    let hour = 3_600_000;
    let large = |message: &mut InstantMessage| message.body = vec![0; BODY_BYTES_MAX + 1];
    assert_eq!(refusal(&mut mesh, hour, large), FailureReason::TooLarge);
    let untyped = |message: &mut InstantMessage| message.content_type = "text".to_owned();
    assert_eq!(refusal(&mut mesh, hour, untyped), FailureReason::UnsupportedType);
    let malformed = |message: &mut InstantMessage| message.language = Some("x".repeat(36));
    assert_eq!(refusal(&mut mesh, hour, malformed), FailureReason::Malformed);
    let (stranger, nobody) = (mesh.who(1), crate::testing::inbox(&keypair(1)));
    assert_eq!(refusal(&mut mesh, hour, |message| message.from = stranger), FailureReason::Unauthenticated);
    assert_eq!(refusal(&mut mesh, hour, |message| message.to = nobody), FailureReason::NoSuchInbox);
    assert_eq!(refusal(&mut mesh, 0, |_| ()), FailureReason::Expired);
    close(&mut mesh, 1, Basic::Closed);
    assert_eq!(refusal(&mut mesh, hour, |_| ()), FailureReason::Closed);
    assert_eq!(mesh.seat(1).disk.inbox, [], "nothing that was refused is in the inbox");
    for reason in [
        "too-large",
        "unsupported-type",
        "malformed",
        "unauthenticated",
        "no-such-inbox",
        "expired",
        "closed",
    ] {
        assert_eq!(mesh.refused(1, reason), 1, "{reason}");
    }
    mesh.run(SECOND);
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_repeated_message_is_delivered_again_in_a_closed_or_full_inbox_too() {
    let mut mesh = Mesh::new(2);
    mesh.kill(1);
    mesh.seat_mut(1).limits.inbox_messages_max = 1;
    mesh.start(1);
    let message = message_between(&keypair(1), &keypair(2), 1);
    assert_eq!(offer(&mut mesh, message.clone(), 1000), MessageResponse::Delivered);
    assert_eq!(refusal(&mut mesh, 1000, |_| ()), FailureReason::InboxFull);
    assert_eq!(offer(&mut mesh, message.clone(), 1000), MessageResponse::Delivered);
    close(&mut mesh, 1, Basic::Closed);
    assert_eq!(refusal(&mut mesh, 1000, |_| ()), FailureReason::Closed);
    assert_eq!(offer(&mut mesh, message, 1000), MessageResponse::Delivered);
    assert_eq!(mesh.seat(1).disk.inbox.len(), 1);
}

#[test]
fn the_same_id_of_another_sender_is_another_message() {
    let mut mesh = Mesh::row(3);
    for sender in [0, 2] {
        let key = mesh.seat(sender).key.clone();
        let message = message_between(&key, &keypair(2), 1);
        let request = IncomingRequest::Message(MessageRequest { message, remaining_ms: 1000 });
        let from = mesh.who(sender);
        mesh.with(1, |node, now| {
            node.handle(now, NodeInput::Request { token: ResponseToken(1), from, request });
            assert!(matches!(node.poll_output(), Some(NodeOutput::Persist { .. })));
        });
    }
}

#[test]
fn a_full_inbox_turns_the_status_closed_and_a_deletion_opens_it_again() {
    let mut mesh = Mesh::new(2);
    mesh.kill(1);
    mesh.seat_mut(1).limits.inbox_messages_max = 3;
    mesh.start(1);
    mesh.link(0, 1);
    mesh.run(SECOND);
    let published = |mesh: &Mesh| {
        let record = mesh.node(0).record(&mesh.who(1)).unwrap();
        record.body().public.as_ref().unwrap().instant_inbox().unwrap().1
    };
    for text in ["one", "two"] {
        mesh.send(0, 1, text, false);
    }
    mesh.run(SECOND);
    assert_eq!(published(&mesh), Basic::Open);
    mesh.send(0, 1, "three", false);
    mesh.run(SECOND);
    assert_eq!(published(&mesh), Basic::Closed);
    let refused = mesh.send(0, 1, "four", false);
    mesh.run(SECOND);
    assert_eq!(outcome(&mesh, refused), Delivery::Failed(FailureReason::InboxFull));

    mesh.seat_mut(1).disk.inbox.remove(0);
    mesh.input(1, NodeInput::MessageDeleted);
    mesh.run(SECOND);
    assert_eq!(published(&mesh), Basic::Open);
    let taken = mesh.send(0, 1, "five", false);
    mesh.run(SECOND);
    assert_eq!(outcome(&mesh, taken), Delivery::Delivered);
}

#[test]
fn an_inbox_that_is_denied_to_everybody_is_closed_until_somebody_may_write_again() {
    let mut mesh = Mesh::row(2);
    mesh.run(SECOND);
    let published = |mesh: &mut Mesh| {
        mesh.run(SECOND);
        mesh.node(0).service.information(&mesh.who(1)).unwrap().instant_inbox().unwrap().1
    };
    let set = |mesh: &mut Mesh, whose, action| {
        let rule = DeliveryRule { action, ..DeliveryRule::default() };
        mesh.input(1, NodeInput::DeliveryRule(whose, Some(rule)));
    };
    set(&mut mesh, Whose::Strangers, DeliveryAction::Deny);
    assert_eq!(published(&mut mesh), Basic::Open, "contacts may");
    set(&mut mesh, Whose::Contacts, DeliveryAction::Ignore);
    assert_eq!(published(&mut mesh), Basic::Closed);
    let denied = mesh.send(0, 1, "anybody there?", false);
    mesh.run(SECOND);
    assert_eq!(outcome(&mesh, denied), Delivery::Failed(FailureReason::Denied));
    let friend = Whose::Sender(mesh.who(0));
    set(&mut mesh, friend, DeliveryAction::Accept);
    assert_eq!(published(&mut mesh), Basic::Open, "one may");
    let taken = mesh.send(0, 1, "it is me", false);
    mesh.run(SECOND);
    assert_eq!(outcome(&mesh, taken), Delivery::Delivered);
}

#[test]
fn a_message_says_where_an_answer_goes() {
    let mut mesh = Mesh::row(2);
    mesh.send(0, 1, "hello", false);
    mesh.run(SECOND);
    let own = InboxAddress { node: mesh.who(0), realm: Realm::default() };
    assert_eq!(mesh.seat(1).disk.inbox[0].message.reply_to, Some(own));
}

#[test]
fn an_inbox_that_was_full_at_the_start_is_closed_from_the_first_record() {
    let mut mesh = Mesh::new(2);
    mesh.link(0, 1);
    mesh.send(0, 1, "one", false);
    mesh.run(SECOND);
    mesh.kill(1);
    mesh.seat_mut(1).limits.inbox_messages_max = 1;
    mesh.start(1);
    mesh.run(SECOND);
    let record = mesh.node(1).own_record().unwrap();
    assert_eq!(record.version().sequence, 1);
    assert_eq!(record.body().public.as_ref().unwrap().instant_inbox().unwrap().1, Basic::Closed);
}

#[test]
fn a_disk_that_fails_delivers_nothing_and_the_sender_is_told() {
    let mut mesh = Mesh::row(2);
    mesh.faults.disk_fails = 1.0;
    let id = mesh.send(0, 1, "hello", false);
    mesh.run(SECOND);
    assert_eq!(outcome(&mesh, id), Delivery::Failed(FailureReason::InboxFull));
    mesh.faults = Faults::default();
    let id = mesh.send(0, 1, "hello again", false);
    mesh.run(SECOND);
    assert_eq!((outcome(&mesh, id), mesh.inbox(1)), (Delivery::Delivered, vec!["hello again".to_owned()]));
}

#[test]
fn a_repetition_that_the_disk_does_not_take_is_delivered_if_the_message_is_there() {
    let mut mesh = Mesh::row(2);
    mesh.faults.answer_lost = 1.0;
    let id = mesh.send(0, 1, "hello", false);
    mesh.run_until(SECOND, |mesh| mesh.seat(0).asked["message"] == 2);
    mesh.faults = Faults { disk_fails: 1.0, ..Faults::default() };
    mesh.run(SECOND);
    assert_eq!((outcome(&mesh, id), mesh.inbox(1).len()), (Delivery::Delivered, 1));
}

#[test]
fn a_presentity_is_sent_to_at_the_inbox_that_its_document_names() {
    let mut mesh = Mesh::row(2);
    let mut draft = mesh.draft(1, "hello");
    draft.to = Recipient::Presentity(mesh.who(1));
    let id = mesh.with(0, |node, now| node.handle_send(now, draft.clone())).unwrap();
    mesh.run(SECOND);
    assert_eq!(outcome(&mesh, id), Delivery::Delivered);

    let mut document = mesh.node(1).information().clone();
    document.tuples[0].communication_address = None;
    mesh.with(1, |node, now| node.handle_set(now, document)).unwrap();
    mesh.run(SECOND);
    assert_eq!(mesh.with(0, |node, now| node.handle_send(now, draft)), Err(DraftError::NoInbox));
}

#[test]
fn a_draft_that_cannot_be_sent_is_refused_before_anything_happens() {
    let mut mesh = Mesh::row(2);
    let asked = mesh.seat(0).asked.clone();
    let oneself = mesh.draft(0, "hello");
    let mut elsewhere = mesh.draft(1, "hello");
    if let Recipient::Inbox(address) = &mut elsewhere.to {
        address.realm = "attic".parse::<Realm>().unwrap();
    }
    let mut unknown = mesh.draft(1, "hello");
    unknown.to = Recipient::Presentity(crate::testing::presentity(&keypair(9)));
    let mut large = mesh.draft(1, "hello");
    large.body = vec![0; BODY_BYTES_MAX + 1];
    let mut refused = |draft| mesh.with(0, |node, now| node.handle_send(now, draft)).unwrap_err();
    assert_eq!(refused(oneself), DraftError::Oneself);
    assert_eq!(refused(elsewhere), DraftError::OtherRealm);
    assert_eq!(refused(unknown), DraftError::NeverHeard);
    assert_eq!(refused(large), DraftError::Message(MessageError::BodyTooLarge { found: BODY_BYTES_MAX + 1 }));
    assert_eq!(mesh.seat(0).asked, asked);
}

#[test]
fn a_repeat_that_comes_before_the_first_copy_is_on_disk_gets_the_answer_of_the_first() {
    let mut mesh = Mesh::row(2);
    let from = mesh.who(0);
    let message = message_between(&keypair(1), &keypair(2), 9);
    let request = |token| {
        let request = MessageRequest { message: message.clone(), remaining_ms: 60_000 };
        NodeInput::Request { token: ResponseToken(token), from, request: IncomingRequest::Message(request) }
    };
    let input = |mesh: &mut Mesh, input| {
        mesh.with(1, |node, now| {
            node.handle(now, input);
            std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
        })
    };
    let outputs = input(&mut mesh, request(1001));
    let [NodeOutput::Persist { token: Some(commit), changes, .. }] = outputs.as_slice() else {
        panic!("{outputs:?}");
    };
    close(&mut mesh, 1, Basic::Closed);
    assert_eq!(input(&mut mesh, request(1002)), [], "nobody is told closed of what is about to be stored");
    let outcomes = Some(mesh.seat_mut(1).disk.commit(changes.clone()));
    let outputs = input(&mut mesh, NodeInput::Persisted { token: *commit, outcomes });
    let answered: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            NodeOutput::Respond { token, response: Response::Message(response) } => {
                Some((token.0, *response))
            }
            _ => None,
        })
        .collect();
    assert_eq!(answered, [(1001, MessageResponse::Delivered), (1002, MessageResponse::Delivered)]);
}

#[test]
fn nobody_is_told_anything_when_the_store_cannot_say_whether_a_message_is_there() {
    let mut mesh = Mesh::row(2);
    close(&mut mesh, 1, Basic::Closed);
    let from = mesh.who(0);
    let message = message_between(&keypair(1), &keypair(2), 9);
    let request = IncomingRequest::Message(MessageRequest { message, remaining_ms: 60_000 });
    let asked = ResponseToken(1001);
    let outputs = mesh.with(1, |node, now| {
        node.handle(now, NodeInput::Request { token: asked, from, request });
        let Some(NodeOutput::Recall { token, .. }) = node.poll_output() else { panic!("the store is asked") };
        node.handle(now, NodeInput::Recalled { token, stored: None });
        std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
    });
    assert_eq!(outputs, [NodeOutput::Discard { token: asked }]);
}

#[test]
fn the_status_of_another_inbox_in_the_same_document_does_not_close_this_one() {
    let mut mesh = Mesh::row(2);
    let mut document = mesh.node(1).information().clone();
    let mut elsewhere = document.tuples[0].clone();
    elsewhere.id = "elsewhere".parse().unwrap();
    elsewhere.status.basic = Basic::Closed;
    let contact = &mut elsewhere.communication_address.as_mut().unwrap().contact;
    *contact = crate::testing::inbox(&keypair(3)).to_string();
    document.tuples.insert(0, elsewhere);
    mesh.with(1, |node, now| node.handle_set(now, document)).unwrap();
    let message = message_between(&keypair(1), &keypair(2), 9);
    assert_eq!(offer(&mut mesh, message, 60_000), MessageResponse::Delivered);
}

#[test]
fn a_document_that_does_not_name_the_inbox_closes_it() {
    let mut mesh = Mesh::row(2);
    let mut document = mesh.node(1).information().clone();
    document.tuples[0].communication_address = None;
    mesh.with(1, |node, now| node.handle_set(now, document)).unwrap();
    assert_eq!(refusal(&mut mesh, 60_000, |_| ()), FailureReason::Closed);
}
