use super::*;
use crate::testing::{alice, at, bob, keypair, message, presentity};

/// Rules with a change, for the inbox of somebody who was sent nothing yet.
fn enforcement(set: impl IntoIterator<Item = (Whose, DeliveryRule)>) -> Enforcement {
    Enforcement::new(DeliveryRules::new(set))
}

fn from(sender: u8) -> InstantMessage {
    InstantMessage { from: presentity(&keypair(sender)), ..message(1) }
}

fn with(change: impl FnOnce(&mut DeliveryRule)) -> DeliveryRule {
    let mut rule = DeliveryRule::default();
    change(&mut rule);
    rule
}

fn answered(reason: FailureReason) -> Result<(), Refusal> {
    Err(Refusal::Answered(reason))
}

#[test]
fn strangers_may_write_at_once_but_not_without_end() {
    let mut enforcement = enforcement([]);
    let taken = |enforcement: &mut Enforcement, now, sender| {
        (0..1000).filter(|_| enforcement.handle_offer(now, &from(sender), false).is_ok()).count()
    };
    assert_eq!(taken(&mut enforcement, at(0), 1), 60, "a minute's at once");
    assert_eq!(taken(&mut enforcement, at(0), 2), 60, "another one's");
    assert_eq!(taken(&mut enforcement, at(10), 1), 10, "one a second from then on");
    assert_eq!(taken(&mut enforcement, at(1000), 1), 60, "and all of it after a while");
}

#[test]
fn fifty_fresh_keys_are_no_more_than_all_strangers_may_be() {
    let mut enforcement = enforcement([]);
    let mut taken = 0;
    for sender in 1..=50 {
        taken += (0..60).filter(|_| enforcement.handle_offer(at(0), &from(sender), false).is_ok()).count();
    }
    assert_eq!(taken, 600);
    assert_eq!(enforcement.handle_offer(at(0), &from(99), true), Ok(()), "a contact is none of them");
}

#[test]
fn a_sender_has_its_own_rule_or_else_that_of_its_kind() {
    let (alice, bob) = (presentity(&alice()), presentity(&bob()));
    let deny = with(|rule| rule.action = DeliveryAction::Deny);
    let ignore = with(|rule| rule.action = DeliveryAction::Ignore);
    let mut enforcement = enforcement([
        (Whose::Strangers, deny),
        (Whose::Sender(alice), DeliveryRule::default()),
        (Whose::Sender(bob), ignore),
    ]);
    let mut offer = |from, is_contact| {
        enforcement.handle_offer(at(0), &InstantMessage { from, ..message(1) }, is_contact)
    };
    let carol = presentity(&keypair(9));
    assert_eq!(offer(carol, false), answered(FailureReason::Denied));
    assert_eq!(offer(carol, true), Ok(()));
    assert_eq!(offer(alice, false), Ok(()));
    assert_eq!(offer(bob, true), Err(Refusal::Silent));
}

#[test]
fn a_rule_holds_for_the_next_message_and_goes_back_to_the_default() {
    let sender = presentity(&keypair(3));
    let mut enforcement = enforcement([]);
    let offer = |enforcement: &mut Enforcement| enforcement.handle_offer(at(0), &from(3), false);
    assert_eq!(offer(&mut enforcement), Ok(()));
    let deny = with(|rule| rule.action = DeliveryAction::Deny);
    enforcement.handle_rule(Whose::Sender(sender), Some(deny.clone()));
    enforcement.handle_rule(Whose::Strangers, Some(deny));
    assert_eq!(offer(&mut enforcement), answered(FailureReason::Denied));
    enforcement.handle_rule(Whose::Sender(sender), None);
    assert_eq!(offer(&mut enforcement), answered(FailureReason::Denied), "as all strangers");
    enforcement.handle_rule(Whose::Strangers, None);
    assert_eq!(offer(&mut enforcement), Ok(()));
    assert_eq!(*enforcement.rules(), DeliveryRules::new([]));
}

#[test]
fn size_and_type_are_looked_at_before_a_message_counts() {
    let rule = with(|rule| {
        rule.body_bytes_max = 10;
        rule.content_types = vec!["text/".to_owned(), "image/png".to_owned()];
        rule.per_minute = Some(2);
    });
    let mut enforcement = enforcement([(Whose::Contacts, rule)]);
    let mut offer = |content_type: &str, bytes| {
        let (content_type, body) = (content_type.to_owned(), vec![b'x'; bytes]);
        enforcement.handle_offer(at(0), &InstantMessage { content_type, body, ..from(1) }, true)
    };
    for _ in 0..5 {
        assert_eq!(offer("text/plain", 11), answered(FailureReason::TooLarge));
        assert_eq!(offer("video/mp4", 1), answered(FailureReason::UnsupportedType));
    }
    assert_eq!(offer("TEXT/plain; charset=utf-8", 10), Ok(()));
    assert_eq!(offer("image/png", 0), Ok(()));
    assert_eq!(offer("text/html", 1), answered(FailureReason::RateLimited));
}

#[test]
fn no_more_senders_are_counted_than_there_is_room_for() {
    let one = with(|rule| rule.per_minute = Some(1));
    let mut enforcement = enforcement([(Whose::Strangers, one)]);
    let from = |number: usize| {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
        InstantMessage { from: Presentity::from_public_key_bytes(bytes), ..message(1) }
    };
    for number in 0..SENDERS_COUNTED_MAX {
        assert_eq!(enforcement.handle_offer(at(0), &from(number), false), Ok(()));
    }
    let further = from(SENDERS_COUNTED_MAX);
    assert_eq!(enforcement.handle_offer(at(0), &further, false), answered(FailureReason::RateLimited));
    assert_eq!(enforcement.handle_offer(at(60), &further, false), Ok(()), "the others are forgotten");
    assert_eq!(enforcement.each.len(), 1);
}

#[test]
fn what_is_no_rule_is_refused_with_the_reason() {
    let sender = Whose::Sender(presentity(&alice()));
    let refused = |whose: Whose, change: fn(&mut DeliveryRule)| with(change).check(&whose).unwrap_err();
    let strangers = Whose::Strangers;
    assert_eq!(refused(strangers, |rule| rule.per_minute = Some(0)), DeliveryRuleError::Rate(0));
    assert_eq!(
        refused(strangers, |rule| rule.together_per_minute = Some(60_001)),
        DeliveryRuleError::Rate(60_001)
    );
    assert_eq!(refused(sender, |rule| rule.together_per_minute = Some(5)), DeliveryRuleError::Together);
    assert_eq!(refused(sender, |rule| rule.body_bytes_max = 16_385), DeliveryRuleError::BodyBytes(16_385));
    let text = || "text".to_owned();
    assert_eq!(
        refused(sender, |rule| rule.content_types = vec!["text".to_owned()]),
        DeliveryRuleError::ContentType(text())
    );
    assert_eq!(
        refused(sender, |rule| rule.content_types = vec!["text/".to_owned(); 17]),
        DeliveryRuleError::TooManyTypes
    );
    for whose in [Whose::Contacts, Whose::Strangers] {
        assert_eq!(whose.default_rule().unwrap().check(&whose), Ok(()));
    }
}
