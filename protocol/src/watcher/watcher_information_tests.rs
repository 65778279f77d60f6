use proptest::prelude::*;

use super::*;
use crate::testing::{CLOCK, alice, at, bob, keypair, presentity};

const DAY: u64 = 24 * 3600;

fn log() -> WatcherInformation {
    WatcherInformation::new(CLOCK, [])
}

fn who(number: u8) -> Presentity {
    presentity(&keypair(number))
}

/// A FETCH of `who` is answered.
fn fetch(log: &mut WatcherInformation, now: Timestamp, who: Presentity, given: bool, visible_to: VisibleTo) {
    log.handle_asked(now, who, visible_to);
    log.handle_fetch(now, who, given);
}

/// A SUBSCRIBE is.
fn subscribe(
    log: &mut WatcherInformation,
    now: Timestamp,
    who: Presentity,
    given: bool,
    visible_to: VisibleTo,
) {
    log.handle_asked(now, who, visible_to);
    log.handle_subscribe(who, given);
}

fn alice_fetches(log: &mut WatcherInformation, seconds: u64) {
    fetch(log, at(seconds), presentity(&alice()), true, VisibleTo::Everybody);
}

fn kind(log: &WatcherInformation, now: Timestamp) -> Option<WatcherKind> {
    let [(_, watcher)] = log.iter(now).collect::<Vec<_>>().try_into().ok()?;
    Some(watcher.kind())
}

/// The kind of one who fetches at these times.
fn fetched_at(seconds: &[u64]) -> WatcherKind {
    let mut log = log();
    for at in seconds {
        alice_fetches(&mut log, *at);
    }
    kind(&log, at(*seconds.last().unwrap())).unwrap()
}

fn poller(seconds: u64) -> WatcherKind {
    WatcherKind::Poller { period: Duration::from_secs(seconds) }
}

/// What it says about its store.
fn outputs(log: &mut WatcherInformation) -> Vec<WatcherOutput> {
    let all = std::iter::from_fn(|| log.poll_output());
    all.filter(|output| !matches!(output, WatcherOutput::Changed(_))).collect()
}

fn number(number: usize) -> Presentity {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

#[test]
fn three_fetches_at_regular_times_make_a_poller_and_its_period_is_the_median() {
    assert_eq!(fetched_at(&[0]), WatcherKind::Fetcher);
    assert_eq!(fetched_at(&[0, 2]), WatcherKind::Fetcher);
    assert_eq!(fetched_at(&[0, 2, 4]), poller(2));
    assert_eq!(fetched_at(&[0, 60, 119, 181, 240]), poller(60));
    // Within half and twice the median, which a busy machine may be off by.
    assert_eq!(fetched_at(&[0, 10, 15, 25, 45]), poller(10));
}

#[test]
fn fetches_that_are_not_regular_make_no_poller() {
    assert_eq!(fetched_at(&[0, 1, 100]), WatcherKind::Fetcher);
    assert_eq!(fetched_at(&[0, 10, 20, 200]), WatcherKind::Fetcher);
    assert_eq!(fetched_at(&[5, 5, 5]), WatcherKind::Fetcher, "at once is no period");
}

#[test]
fn who_fetched_at_any_times_long_ago_is_a_poller_by_the_last_ones() {
    let mut times = vec![0, 1, 100, 700, 701];
    times.extend((1..9).map(|poll| 1000 + 30 * poll));
    assert_eq!(fetched_at(&times), poller(30));
}

#[test]
fn the_kinds_of_a_watcher_follow_its_subscription_and_what_it_was_given() {
    let mut log = log();
    let alice = presentity(&alice());
    subscribe(&mut log, at(0), alice, false, VisibleTo::Everybody);
    assert_eq!(kind(&log, at(0)), Some(WatcherKind::Refused));
    log.handle_state(at(1), alice, SubscriptionState::Pending, SubscriptionEvent::Subscribe);
    assert_eq!(kind(&log, at(1)), Some(WatcherKind::Requester));
    log.handle_state(at(2), alice, SubscriptionState::Waiting, SubscriptionEvent::Timeout);
    assert_eq!(kind(&log, at(2)), Some(WatcherKind::Requester));
    subscribe(&mut log, at(3), alice, true, VisibleTo::Everybody);
    log.handle_state(at(3), alice, SubscriptionState::Active, SubscriptionEvent::Approved);
    assert_eq!(kind(&log, at(3)), Some(WatcherKind::Subscriber));
    log.handle_state(at(4), alice, SubscriptionState::Terminated, SubscriptionEvent::Timeout);
    assert_eq!(kind(&log, at(4)), Some(WatcherKind::Fetcher), "it was given something");
}

#[test]
fn every_answer_is_counted_with_its_times() {
    let mut log = log();
    let who = presentity(&alice());
    alice_fetches(&mut log, 10);
    alice_fetches(&mut log, 20);
    fetch(&mut log, at(30), who, false, VisibleTo::Everybody);
    subscribe(&mut log, at(40), who, true, VisibleTo::Everybody);
    subscribe(&mut log, at(50), who, false, VisibleTo::Nobody);
    log.handle_state(at(51), who, SubscriptionState::Terminated, SubscriptionEvent::Rejected);
    let (_, watcher) = log.iter(at(60)).next().unwrap();
    let expected = Watcher {
        first_at: CLOCK.unix(at(10)),
        last_at: CLOCK.unix(at(50)),
        fetches: 2,
        subscribes: 1,
        refused: 2,
        state: SubscriptionState::Terminated,
        event: Some(SubscriptionEvent::Rejected),
        state_since: CLOCK.unix(at(51)),
        fetched_at: [10, 20].map(|seconds| CLOCK.unix(at(seconds))).into(),
        visible_to: VisibleTo::Nobody,
    };
    assert_eq!(watcher, &expected);
}

#[test]
fn a_request_that_is_approved_later_is_given_what_it_asked_for_then() {
    let mut log = log();
    let who = presentity(&alice());
    subscribe(&mut log, at(0), who, false, VisibleTo::Everybody);
    log.handle_state(at(0), who, SubscriptionState::Pending, SubscriptionEvent::Subscribe);
    log.handle_approved(at(9), who);
    log.handle_approved(at(9), presentity(&bob()));
    let (_, watcher) = log.iter(at(9)).next().unwrap();
    assert_eq!((watcher.subscribes, watcher.refused, log.iter(at(9)).count()), (1, 1, 1));
}

#[test]
fn those_whose_last_request_was_refused_by_the_rules_are_known() {
    let mut log = log();
    let events = [SubscriptionEvent::Rejected, SubscriptionEvent::Timeout, SubscriptionEvent::Deactivated];
    for (number, event) in (1..).zip(events) {
        subscribe(&mut log, at(0), who(number), false, VisibleTo::Everybody);
        log.handle_state(at(0), who(number), SubscriptionState::Terminated, event);
    }
    fetch(&mut log, at(0), who(4), false, VisibleTo::Everybody);
    assert_eq!(log.rejected().collect::<Vec<_>>(), [who(1)]);
    log.handle_state(at(1), who(1), SubscriptionState::Active, SubscriptionEvent::Subscribe);
    assert_eq!(log.rejected().count(), 0);
}

#[test]
fn who_never_asked_has_no_state_to_change() {
    let mut log = log();
    log.handle_state(at(0), presentity(&alice()), SubscriptionState::Active, SubscriptionEvent::Subscribe);
    assert_eq!((log.iter(at(0)).count(), log.poll_timeout()), (0, None));
}

#[test]
fn who_asked_is_seen_for_a_week_and_a_subscriber_for_as_long_as_it_is_one() {
    let week = WINDOW.as_secs();
    let mut log = log();
    alice_fetches(&mut log, 0);
    subscribe(&mut log, at(0), presentity(&bob()), true, VisibleTo::Everybody);
    log.handle_state(at(0), presentity(&bob()), SubscriptionState::Active, SubscriptionEvent::Subscribe);
    assert_eq!(log.iter(at(week)).count(), 2);
    let seen: Vec<_> = log.iter(at(week + 1)).map(|(who, _)| *who).collect();
    assert_eq!(seen, [presentity(&bob())]);
    log.handle_timeout(at(5));
    assert_eq!(outputs(&mut log).len(), 2);
    log.handle_stop(at(week + 1));
    assert_eq!(outputs(&mut log), [WatcherOutput::Forget(presentity(&alice()))]);
}

#[test]
fn what_is_new_is_stored_after_a_while_once_for_all_that_came_meanwhile() {
    let mut log = log();
    alice_fetches(&mut log, 0);
    assert_eq!(log.poll_timeout(), Some(at(0) + STORE_INTERVAL));
    alice_fetches(&mut log, 2);
    fetch(&mut log, at(3), presentity(&bob()), false, VisibleTo::Everybody);
    assert_eq!(log.poll_timeout(), Some(at(0) + STORE_INTERVAL));
    log.handle_timeout(at(4));
    assert_eq!(outputs(&mut log), []);
    log.handle_timeout(at(5));
    let stored = outputs(&mut log);
    let fetches = |output: &WatcherOutput| match output {
        WatcherOutput::Store(stored) => stored.watcher.fetches,
        output => panic!("nobody is forgotten: {output:?}"),
    };
    let mut fetches: Vec<_> = stored.iter().map(fetches).collect();
    fetches.sort_unstable();
    assert_eq!((fetches, log.poll_timeout()), (vec![0, 2], None));
}

#[test]
fn a_node_that_stops_stores_what_is_new_at_once() {
    let mut log = log();
    alice_fetches(&mut log, 0);
    log.handle_stop(at(1));
    assert_eq!((outputs(&mut log).len(), log.poll_timeout()), (1, None));
}

#[test]
fn what_was_stored_is_there_again_and_its_subscriptions_ended_or_wait() {
    let mut log = log();
    let states = [
        (1, SubscriptionState::Active, SubscriptionEvent::Subscribe),
        (2, SubscriptionState::Pending, SubscriptionEvent::Subscribe),
        (3, SubscriptionState::Waiting, SubscriptionEvent::Timeout),
        (4, SubscriptionState::Terminated, SubscriptionEvent::Rejected),
    ];
    for (number, state, event) in states {
        subscribe(&mut log, at(0), who(number), number == 1, VisibleTo::Nobody);
        log.handle_state(at(u64::from(number)), who(number), state, event);
    }
    log.handle_stop(at(10));
    let stored = outputs(&mut log).into_iter().map(|output| match output {
        WatcherOutput::Store(stored) => stored,
        output => panic!("nobody is forgotten: {output:?}"),
    });
    let restored = WatcherInformation::new(CLOCK, stored);
    let seen = |number| {
        let (_, watcher) = restored.iter(at(20)).find(|(seen, _)| **seen == who(number)).unwrap();
        (watcher.state, watcher.event.unwrap(), watcher.visible_to.clone())
    };
    let nobody = VisibleTo::Nobody;
    let (terminated, waiting) = (SubscriptionState::Terminated, SubscriptionState::Waiting);
    assert_eq!(seen(1), (terminated, SubscriptionEvent::Deactivated, nobody.clone()));
    assert_eq!(seen(2), (waiting, SubscriptionEvent::Timeout, nobody.clone()));
    assert_eq!(seen(3), (waiting, SubscriptionEvent::Timeout, nobody.clone()));
    assert_eq!(seen(4), (terminated, SubscriptionEvent::Rejected, nobody));
    let mut waiting: Vec<_> = restored.waiting().collect();
    waiting.sort_by_key(|(_, since)| *since);
    assert_eq!(waiting, [(who(2), CLOCK.unix(at(2))), (who(3), CLOCK.unix(at(3)))]);
}

#[test]
fn at_the_limit_the_one_not_heard_of_for_longest_makes_room_and_a_subscriber_last() {
    let mut log = log();
    for watcher in 0..WATCHERS_MAX {
        subscribe(&mut log, at(u64::try_from(watcher).unwrap()), number(watcher), true, VisibleTo::Everybody);
    }
    log.handle_state(at(9000), number(0), SubscriptionState::Active, SubscriptionEvent::Subscribe);
    fetch(&mut log, at(9001), number(WATCHERS_MAX), true, VisibleTo::Everybody);
    assert_eq!(log.watchers.len(), WATCHERS_MAX);
    assert_eq!(outputs(&mut log), [WatcherOutput::Forget(number(1))]);
    fetch(&mut log, at(9002), number(5), true, VisibleTo::Everybody);
    assert_eq!(outputs(&mut log), [], "whoever is known needs no room");
}

#[test]
fn ten_fetches_are_answered_at_once_and_then_one_a_second() {
    let mut log = log();
    let alice = presentity(&alice());
    for _ in 0..FETCHES_AT_ONCE {
        assert_eq!(log.handle_fetch_rate(at(0), alice), Ok(()));
    }
    assert_eq!(log.handle_fetch_rate(at(0), alice), Err(FETCH_INTERVAL));
    assert_eq!(log.handle_fetch_rate(at(0), presentity(&bob())), Ok(()), "others may");
    let half = at(0) + Duration::from_millis(500);
    assert_eq!(log.handle_fetch_rate(half, alice), Err(Duration::from_millis(500)), "asking costs nothing");
    assert_eq!(log.handle_fetch_rate(at(1), alice), Ok(()));
    assert!(log.handle_fetch_rate(at(1), alice).is_err());
    for _ in 0..FETCHES_AT_ONCE {
        assert_eq!(log.handle_fetch_rate(at(100), alice), Ok(()));
    }
}

#[test]
fn who_asks_again_when_it_was_told_to_is_answered() {
    let mut log = log();
    let alice = presentity(&alice());
    let mut now = at(0);
    let mut answered = 0;
    while now < at(60) {
        match log.handle_fetch_rate(now, alice) {
            Ok(()) => answered += 1,
            Err(after) => {
                now = now + after;
                assert_eq!(log.handle_fetch_rate(now, alice), Ok(()));
                answered += 1;
            }
        }
    }
    assert_eq!(answered, 70);
}

#[test]
fn new_keys_cost_nothing_and_do_not_fill_the_memory() {
    let mut log = log();
    for watcher in 0..WATCHERS_MAX {
        assert_eq!(log.handle_fetch_rate(at(0), number(watcher)), Ok(()));
    }
    assert_eq!(log.handle_fetch_rate(at(0), number(WATCHERS_MAX)), Err(FETCH_INTERVAL));
    assert_eq!(log.handle_fetch_rate(at(0), number(7)), Ok(()));
    assert_eq!(log.handle_fetch_rate(at(3), number(WATCHERS_MAX)), Ok(()));
    assert!(log.paid_until.len() <= WATCHERS_MAX);
}

#[test]
fn each_sees_itself_and_others_only_with_permission_and_as_far_as_they_let_it() {
    let mut log = log();
    let hidden_from_five = VisibleTo::AllBut(BTreeSet::from([who(5)]));
    for (number, visible_to) in
        [(1, VisibleTo::Everybody), (2, hidden_from_five), (3, VisibleTo::Nobody), (5, VisibleTo::Nobody)]
    {
        fetch(&mut log, at(0), who(number), true, visible_to);
    }
    let sees = |asker, all| -> BTreeSet<Presentity> {
        log.visible(at(1), who(asker), all).map(|(seen, _)| *seen).collect()
    };
    assert_eq!(sees(5, true), BTreeSet::from([1, 5].map(who)));
    assert_eq!(sees(4, true), BTreeSet::from([1, 2].map(who)));
    assert_eq!((sees(5, false), sees(4, false)), (BTreeSet::from([who(5)]), BTreeSet::new()));
    assert_eq!(log.iter(at(1)).count(), 4, "the presentity's own PRINCIPAL sees everybody");
}

#[test]
fn what_a_watcher_said_last_of_who_may_see_it_holds() {
    let mut log = log();
    fetch(&mut log, at(0), who(1), true, VisibleTo::Everybody);
    subscribe(&mut log, at(1), who(1), false, VisibleTo::Nobody);
    assert_eq!(log.visible(at(2), who(2), true).count(), 0);
}

#[test]
fn nobody_hides_from_more_than_there_is_room_for() {
    let all_but = |count: usize| VisibleTo::AllBut((0..count).map(number).collect());
    assert!(all_but(HIDDEN_FROM_MAX).is_within_limits());
    assert!(!all_but(HIDDEN_FROM_MAX + 1).is_within_limits());
    assert!(VisibleTo::Everybody.is_within_limits() && VisibleTo::Nobody.is_within_limits());
}

#[test]
fn a_week_that_is_over_is_over_after_a_restart_too() {
    let mut log = log();
    alice_fetches(&mut log, 0);
    log.handle_stop(at(1));
    let stored = outputs(&mut log).into_iter().filter_map(|output| match output {
        WatcherOutput::Store(stored) => Some(stored),
        _ => None,
    });
    let restored = WatcherInformation::new(CLOCK, stored.collect::<Vec<_>>());
    assert_eq!(restored.iter(at(6 * DAY)).count(), 1);
    assert_eq!(restored.iter(at(8 * DAY)).count(), 0);
}

proptest! {
    #[test]
    fn no_more_are_answered_than_the_rate_allows(gaps in prop::collection::vec(0_u64..3000, 1..200)) {
        let mut log = log();
        let mut now = at(0);
        let mut answered: u64 = 0;
        for gap in gaps {
            now = now + Duration::from_millis(gap);
            match log.handle_fetch_rate(now, who(1)) {
                Ok(()) => answered += 1,
                Err(after) => prop_assert!(!after.is_zero() && after <= FETCH_INTERVAL),
            }
            prop_assert!(answered <= u64::from(FETCHES_AT_ONCE) + now.as_millis() / 1000);
        }
    }
}
