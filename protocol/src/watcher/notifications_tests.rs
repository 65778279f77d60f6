use super::*;
use crate::{
    testing::{alice, at, bob, presentity},
    watcher::subscription::SubscriptionEvent,
};

fn number(number: usize) -> Presentity {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

fn told(notifications: &mut Notifications) -> Vec<Presentity> {
    std::iter::from_fn(|| notifications.poll_output()).map(|(watcher, _)| watcher).collect()
}

#[test]
fn hundreds_are_told_by_turns_and_each_once() {
    let mut notifications = Notifications::default();
    for watcher in (0..300).chain(0..300).map(number) {
        notifications.handle_news(watcher, None);
    }
    let mut all = Vec::new();
    loop {
        let turn = told(&mut notifications);
        assert!(turn.len() <= UNDER_WAY_MAX);
        for watcher in &turn {
            notifications.handle_told(at(0), *watcher, true, true);
        }
        if turn.is_empty() {
            break;
        }
        all.extend(turn);
    }
    assert_eq!(all, (0..300).map(number).collect::<Vec<_>>());
    assert_eq!(notifications.poll_timeout(), None);
}

#[test]
fn news_that_comes_while_one_is_being_told_is_told_afterwards() {
    let mut notifications = Notifications::default();
    let who = presentity(&alice());
    notifications.handle_news(who, None);
    assert_eq!(told(&mut notifications), [who]);
    notifications.handle_news(who, None);
    assert_eq!(told(&mut notifications), []);
    notifications.handle_told(at(1), who, true, true);
    assert_eq!(told(&mut notifications), [who]);
}

#[test]
fn one_that_could_not_be_told_is_told_again_later_and_later_as_long_as_it_is_to_be() {
    let mut notifications = Notifications::default();
    let (alice, bob) = (presentity(&alice()), presentity(&bob()));
    let ended = SubscriptionReport::ended(SubscriptionEvent::Rejected, None);
    notifications.handle_news(alice, Some(ended));
    notifications.handle_news(bob, None);
    assert_eq!(told(&mut notifications), [alice, bob]);
    notifications.handle_told(at(0), alice, false, true);
    notifications.handle_told(at(0), bob, false, false);
    let mut waits = Vec::new();
    let mut before = at(0);
    for _ in 0..6 {
        let now = notifications.poll_timeout().unwrap();
        waits.push(now.since(before).as_secs());
        before = now;
        notifications.handle_timeout(now);
        assert_eq!(notifications.poll_output(), Some((alice, Some(ended))));
        notifications.handle_told(now, alice, false, true);
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    let now = notifications.poll_timeout().unwrap();
    notifications.handle_timeout(now);
    assert_eq!(told(&mut notifications), [alice]);
    notifications.handle_told(now, alice, true, true);
    assert_eq!(notifications.poll_timeout(), None);
}
