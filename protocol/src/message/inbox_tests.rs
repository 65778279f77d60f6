use proptest::prelude::*;

use super::*;
use crate::{
    identity::Realm,
    message::delivery_rules::DeliveryAction,
    testing::{alice, at, bob, inbox, message, presentity},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Bob's inbox.
fn inbox_of(messages: u64, messages_max: u64) -> Inbox {
    Inbox::new(inbox(&bob()), messages, messages_max, DeliveryRules::new([]))
}

/// What becomes of a message of alice, changed, in an inbox with room.
fn decision(status: Basic, remaining: Duration, change: impl FnOnce(&mut InstantMessage)) -> Decision {
    let mut message = message(1);
    change(&mut message);
    inbox_of(0, 10).handle_offer(at(0), presentity(&alice()), true, status, &message, remaining)
}

fn offer(inbox: &mut Inbox) -> Decision {
    inbox.handle_offer(at(0), presentity(&alice()), true, Basic::Open, &message(1), MINUTE)
}

#[test]
fn a_message_in_order_is_stored_and_delivered_only_when_the_store_has_it() {
    let mut inbox = inbox_of(0, 10);
    assert_eq!(offer(&mut inbox), Decision::Store);
    assert_eq!(inbox.messages(), 0);
    assert_eq!(inbox.handle_stored(Stored::New), Delivery::Delivered);
    assert_eq!(inbox.messages(), 1);
}

#[test]
fn every_refusal_has_its_own_reason() {
    let refuse = |change: fn(&mut InstantMessage)| decision(Basic::Open, MINUTE, change);
    assert_eq!(
        refuse(|message| message.body = vec![0; 16 * 1024 + 1]),
        Decision::Refuse(FailureReason::TooLarge)
    );
    assert_eq!(
        refuse(|message| message.content_type = "text".to_owned()),
        Decision::Refuse(FailureReason::UnsupportedType)
    );
    assert_eq!(
        refuse(|message| message.language = Some("x".repeat(36))),
        Decision::Refuse(FailureReason::Malformed)
    );
    assert_eq!(
        refuse(|message| drop(message.extensions.insert(String::new(), Vec::new()))),
        Decision::Refuse(FailureReason::Malformed)
    );
    assert_eq!(
        refuse(|message| message.from = presentity(&bob())),
        Decision::Refuse(FailureReason::Unauthenticated)
    );
    assert_eq!(refuse(|message| message.to = inbox(&alice())), Decision::Refuse(FailureReason::NoSuchInbox));
    assert_eq!(
        refuse(|message| message.to.realm = "attic".parse::<Realm>().unwrap()),
        Decision::Refuse(FailureReason::NoSuchInbox)
    );
    assert_eq!(
        decision(Basic::Open, Duration::ZERO, |_| ()),
        Decision::RefuseUnlessStored(FailureReason::Expired)
    );
    assert_eq!(decision(Basic::Closed, MINUTE, |_| ()), Decision::RefuseUnlessStored(FailureReason::Closed));
    let mut full = inbox_of(10, 10);
    assert_eq!(offer(&mut full), Decision::RefuseUnlessStored(FailureReason::InboxFull));
}

#[test]
fn of_several_reasons_the_first_in_the_documented_order_is_told() {
    let mut message = message(1);
    let mut inbox = inbox_of(10, 10);
    inbox.handle_rule(
        Whose::Contacts,
        Some(DeliveryRule { action: DeliveryAction::Deny, ..DeliveryRule::default() }),
    );
    let mut told = |message: &InstantMessage, is_contact, status, remaining| match inbox.handle_offer(
        at(0),
        presentity(&alice()),
        is_contact,
        status,
        message,
        remaining,
    ) {
        Decision::Refuse(reason) | Decision::RefuseUnlessStored(reason) => reason,
        decision => panic!("{decision:?} in a full inbox"),
    };
    message.language = Some("x".repeat(36));
    message.from = presentity(&bob());
    message.to = crate::testing::inbox(&alice());
    assert_eq!(told(&message, true, Basic::Closed, Duration::ZERO), FailureReason::Malformed);
    message.language = None;
    assert_eq!(told(&message, true, Basic::Closed, Duration::ZERO), FailureReason::Unauthenticated);
    message.from = presentity(&alice());
    assert_eq!(told(&message, true, Basic::Closed, Duration::ZERO), FailureReason::NoSuchInbox);
    message.to = crate::testing::inbox(&bob());
    assert_eq!(told(&message, true, Basic::Closed, Duration::ZERO), FailureReason::Denied);
    assert_eq!(told(&message, false, Basic::Closed, Duration::ZERO), FailureReason::Expired);
    assert_eq!(told(&message, false, Basic::Closed, MINUTE), FailureReason::Closed);
    assert_eq!(told(&message, false, Basic::Open, MINUTE), FailureReason::InboxFull);
}

#[test]
fn who_is_ignored_gets_no_answer_and_takes_no_room() {
    let mut inbox = inbox_of(9, 10);
    let ignore = DeliveryRule { action: DeliveryAction::Ignore, ..DeliveryRule::default() };
    inbox.handle_rule(Whose::Sender(presentity(&alice())), Some(ignore));
    assert_eq!((offer(&mut inbox), offer(&mut inbox)), (Decision::Ignore, Decision::Ignore));
    inbox.handle_rule(Whose::Sender(presentity(&alice())), None);
    assert_eq!(offer(&mut inbox), Decision::Store);
}

#[test]
fn a_repeated_message_is_delivered_and_not_counted_again() {
    let mut inbox = inbox_of(3, 10);
    assert_eq!(offer(&mut inbox), Decision::Store);
    assert_eq!(inbox.handle_stored(Stored::Duplicate), Delivery::Delivered);
    assert_eq!(inbox.messages(), 3);
}

#[test]
fn a_store_that_fails_delivers_nothing() {
    let mut inbox = inbox_of(9, 10);
    assert_eq!(offer(&mut inbox), Decision::Store);
    assert_eq!(inbox.handle_stored(Stored::Failed), Delivery::Failed(FailureReason::InboxFull));
    assert_eq!((inbox.messages(), inbox.is_ready()), (9, true));
    assert_eq!(offer(&mut inbox), Decision::Store);
}

#[test]
fn messages_on_their_way_to_the_disk_take_up_room() {
    let mut inbox = inbox_of(8, 10);
    assert_eq!(offer(&mut inbox), Decision::Store);
    assert_eq!(offer(&mut inbox), Decision::Store);
    assert_eq!(offer(&mut inbox), Decision::RefuseUnlessStored(FailureReason::InboxFull));
    assert!(inbox.is_ready());
    inbox.handle_stored(Stored::New);
    inbox.handle_stored(Stored::New);
    assert!(!inbox.is_ready());
}

#[test]
fn a_full_inbox_opens_again_when_a_tenth_is_free() {
    for (messages_max, free) in [(1, 1), (5, 1), (10, 1), (15, 2), (100, 10)] {
        let mut inbox = inbox_of(messages_max, messages_max);
        for _ in 1..free {
            inbox.handle_deleted();
            assert!(!inbox.is_ready(), "of {messages_max}, {} are left", inbox.messages());
        }
        inbox.handle_deleted();
        assert!(inbox.is_ready(), "of {messages_max}, {} are left", inbox.messages());
        assert_eq!(offer(&mut inbox), Decision::Store);
    }
}

#[test]
fn an_inbox_that_was_full_before_the_start_is_full() {
    assert!(!inbox_of(10, 10).is_ready());
    assert!(!inbox_of(11, 10).is_ready());
    assert!(inbox_of(9, 10).is_ready());
}

#[derive(Debug, Clone)]
enum Step {
    Offer,
    Stored(Stored),
    Deleted,
}

proptest! {
    #[test]
    fn an_inbox_never_holds_more_than_it_may_and_its_count_is_right(
        messages_max in 1_u64..20,
        steps in prop::collection::vec(
            prop_oneof![
                4 => Just(Step::Offer),
                4 => Just(Step::Stored(Stored::New)),
                1 => Just(Step::Stored(Stored::Duplicate)),
                1 => Just(Step::Stored(Stored::Failed)),
                2 => Just(Step::Deleted),
            ],
            0..100,
        ),
    ) {
        let mut inbox = inbox_of(0, messages_max);
        let (mut storing, mut held) = (0_u64, 0_u64);
        for step in steps {
            match step {
                Step::Offer => storing += u64::from(offer(&mut inbox) == Decision::Store),
                Step::Stored(stored) if storing > 0 => {
                    storing -= 1;
                    held += u64::from(stored == Stored::New);
                    inbox.handle_stored(stored);
                }
                Step::Deleted if held > 0 => {
                    held -= 1;
                    inbox.handle_deleted();
                }
                Step::Stored(_) | Step::Deleted => (),
            }
            prop_assert_eq!(inbox.messages(), held);
            prop_assert!(held + storing <= messages_max);
            prop_assert!(held < messages_max || !inbox.is_ready());
        }
    }
}
