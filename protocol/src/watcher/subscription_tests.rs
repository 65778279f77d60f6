use proptest::prelude::*;

use super::*;
use crate::testing::{CLOCK, alice, at, bob, keypair, presentity};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn changes(subscribers: &mut Subscribers) -> Vec<(Presentity, bool)> {
    std::iter::from_fn(|| subscribers.poll_output())
        .map(|change| (change.presentity, change.active))
        .collect()
}

/// For how long, in seconds, is asked since the last call.
fn asked(watches: &mut Watches) -> Vec<u64> {
    std::iter::from_fn(|| watches.poll_output()).map(|output| output.duration.as_secs()).collect()
}

fn state(watches: &Watches) -> (SubscriptionState, Option<UnixTime>) {
    let [view] = watches.views().try_into().unwrap();
    (view.state, view.expires_at)
}

/// Watching alice, and asked already.
fn watching() -> Watches {
    let mut watches = Watches::new(CLOCK);
    assert!(watches.handle_watch(at(0), presentity(&alice())));
    assert_eq!(asked(&mut watches), [3600]);
    watches
}

fn number(number: usize) -> Presentity {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

#[test]
fn what_is_asked_is_granted_between_a_minute_and_an_hour() {
    let mut subscribers = Subscribers::new(CLOCK);
    let mut granted =
        |seconds| subscribers.handle_subscribe(at(0), presentity(&alice()), Duration::from_secs(seconds));
    assert_eq!(granted(1), Some(MINUTE));
    assert_eq!(granted(600), Some(Duration::from_secs(600)));
    assert_eq!(granted(1_000_000), Some(HOUR));
}

#[test]
fn a_renewal_keeps_the_beginning_and_tells_nobody() {
    let mut subscribers = Subscribers::new(CLOCK);
    let who = presentity(&alice());
    subscribers.handle_subscribe(at(0), who, HOUR);
    subscribers.handle_subscribe(at(1000), who, HOUR);
    assert_eq!(changes(&mut subscribers), [(who, true)]);
    let view = SubscriberView { presentity: who, since: CLOCK.unix(at(0)), expires_at: CLOCK.unix(at(4600)) };
    assert_eq!(subscribers.views(), [view]);
}

#[test]
fn a_lease_ends_by_time() {
    let mut subscribers = Subscribers::new(CLOCK);
    let who = presentity(&alice());
    subscribers.handle_subscribe(at(0), who, MINUTE);
    assert_eq!(subscribers.poll_timeout(), Some(at(60)));
    subscribers.handle_timeout(at(59));
    assert_eq!(subscribers.iter().count(), 1);
    subscribers.handle_timeout(at(60));
    assert_eq!(subscribers.iter().count(), 0);
    assert_eq!(changes(&mut subscribers), [(who, true), (who, false)]);
    assert_eq!(subscribers.poll_timeout(), None);
}

#[test]
fn a_duration_of_zero_ends_the_subscription_of_the_one_who_asks_and_of_nobody_else() {
    let mut subscribers = Subscribers::new(CLOCK);
    subscribers.handle_subscribe(at(0), presentity(&alice()), HOUR);
    subscribers.handle_subscribe(at(0), presentity(&bob()), HOUR);
    changes(&mut subscribers);
    assert_eq!(subscribers.handle_subscribe(at(1), presentity(&bob()), Duration::ZERO), Some(Duration::ZERO));
    assert_eq!(changes(&mut subscribers), [(presentity(&bob()), false)]);
    assert_eq!(subscribers.iter().collect::<Vec<_>>(), [presentity(&alice())]);
    assert_eq!(subscribers.handle_subscribe(at(1), presentity(&bob()), Duration::ZERO), Some(Duration::ZERO));
    assert_eq!(changes(&mut subscribers), []);
}

#[test]
fn at_the_limit_a_newcomer_is_refused_and_a_renewal_is_not() {
    let mut subscribers = Subscribers::new(CLOCK);
    for who in (0..SUBSCRIBERS_MAX).map(number) {
        assert_eq!(subscribers.handle_subscribe(at(0), who, HOUR), Some(HOUR));
    }
    assert_eq!(subscribers.handle_subscribe(at(1), number(SUBSCRIBERS_MAX), HOUR), None);
    assert_eq!(subscribers.handle_subscribe(at(1), number(5), HOUR), Some(HOUR));
}

#[test]
fn a_watch_is_pending_until_it_is_answered_and_is_renewed_at_half_the_lease() {
    let mut watches = watching();
    let who = presentity(&alice());
    assert_eq!(state(&watches), (SubscriptionState::Pending, None));
    watches.handle_answer(at(1), who, Some(Duration::from_secs(1000)));
    assert_eq!(state(&watches), (SubscriptionState::Active, Some(CLOCK.unix(at(1001)))));
    assert_eq!(watches.poll_timeout(), Some(at(501)));
    watches.handle_timeout(at(501));
    assert_eq!(asked(&mut watches), [3600]);
    assert_eq!(state(&watches).0, SubscriptionState::Active);
}

#[test]
fn a_watch_whose_renewals_stay_unanswered_is_asked_for_every_minute_and_turns_pending_when_its_lease_ends() {
    let mut watches = watching();
    let who = presentity(&alice());
    watches.handle_answer(at(0), who, Some(MINUTE * 5));
    let mut asked_at = Vec::new();
    while let Some(now) = watches.poll_timeout().filter(|now| *now <= at(300)) {
        watches.handle_timeout(now);
        asked_at.extend(asked(&mut watches).iter().map(|_| now));
        watches.handle_failure(now, who);
    }
    assert_eq!(asked_at, [at(150), at(210), at(270)]);
    assert_eq!(state(&watches), (SubscriptionState::Pending, None));
}

#[test]
fn a_refusal_terminates_and_is_asked_about_again_after_a_quarter_of_an_hour() {
    let mut watches = watching();
    watches.handle_answer(at(1), presentity(&alice()), None);
    assert_eq!(state(&watches), (SubscriptionState::Terminated, None));
    assert_eq!(watches.poll_timeout(), Some(at(901)));
    watches.handle_timeout(at(901));
    assert_eq!(asked(&mut watches), [3600]);
}

#[test]
fn a_node_that_came_into_reach_or_was_restarted_is_asked_anew() {
    let mut watches = watching();
    let who = presentity(&alice());
    watches.handle_answer(at(1), who, Some(HOUR));
    watches.handle_in_reach(at(2), presentity(&bob()));
    assert_eq!(asked(&mut watches), []);
    watches.handle_in_reach(at(2), who);
    assert_eq!((asked(&mut watches), state(&watches)), (vec![3600], (SubscriptionState::Pending, None)));
}

#[test]
fn a_watch_that_neither_answer_nor_failure_is_reported_of_is_asked_for_again() {
    let mut watches = watching();
    assert_eq!(watches.poll_timeout(), Some(at(60)));
    watches.handle_timeout(at(60));
    assert_eq!(asked(&mut watches), [3600]);
}

#[test]
fn after_a_failure_a_minute_passes_before_it_is_asked_again() {
    let mut watches = watching();
    watches.handle_failure(at(30), presentity(&alice()));
    assert_eq!(watches.poll_timeout(), Some(at(90)));
}

#[test]
fn watching_twice_asks_once_and_unwatching_gives_an_active_lease_back() {
    let mut watches = watching();
    let who = presentity(&alice());
    assert!(watches.handle_watch(at(1), who));
    assert_eq!(asked(&mut watches), []);
    watches.handle_answer(at(1), who, Some(HOUR));
    assert!(watches.handle_unwatch(who));
    assert_eq!(asked(&mut watches), [0]);
    assert!(!watches.handle_unwatch(who));
    assert_eq!((watches.views(), watches.poll_timeout()), (Vec::new(), None));
}

#[test]
fn a_lease_that_is_granted_after_the_watch_has_ended_is_given_back() {
    let mut watches = watching();
    let who = presentity(&alice());
    assert!(watches.handle_unwatch(who));
    assert_eq!(asked(&mut watches), []);
    watches.handle_answer(at(1), who, Some(HOUR));
    assert_eq!(asked(&mut watches), [0]);
    watches.handle_answer(at(2), who, Some(Duration::ZERO));
    watches.handle_answer(at(2), who, None);
    assert_eq!(asked(&mut watches), []);
}

#[test]
fn the_answer_to_the_end_of_an_earlier_watch_grants_nothing() {
    let mut watches = watching();
    watches.handle_answer(at(1), presentity(&alice()), Some(Duration::ZERO));
    assert_eq!(state(&watches), (SubscriptionState::Pending, None));
}

#[test]
fn no_grant_makes_a_node_renew_all_the_time_or_never() {
    let mut watches = watching();
    let who = presentity(&alice());
    watches.handle_answer(at(0), who, Some(Duration::from_secs(1)));
    assert_eq!(watches.poll_timeout(), Some(at(30)));
    watches.handle_answer(at(0), who, Some(Duration::MAX));
    assert_eq!(watches.poll_timeout(), Some(at(1800)));
}

#[test]
fn at_the_limit_no_further_watch_begins() {
    let mut watches = Watches::new(CLOCK);
    for who in (0..WATCHES_MAX).map(number) {
        assert!(watches.handle_watch(at(0), who));
    }
    assert!(!watches.handle_watch(at(0), number(WATCHES_MAX)));
    assert!(watches.handle_watch(at(0), number(3)));
}

#[derive(Debug, Clone)]
enum Step {
    Watch,
    Unwatch,
    InReach,
    Answer(Option<u64>),
    Failure,
    Wait(u64),
}

proptest! {
    #[test]
    fn a_watch_always_asks_again_and_no_deadline_stays_behind(
        steps in prop::collection::vec(
            (
                1_u8..3,
                prop_oneof![
                    Just(Step::Watch),
                    Just(Step::Unwatch),
                    Just(Step::InReach),
                    prop::option::of(0_u64..10_000).prop_map(Step::Answer),
                    Just(Step::Failure),
                    (0_u64..5000).prop_map(Step::Wait),
                ],
            ),
            0..60,
        ),
    ) {
        let mut watches = Watches::new(CLOCK);
        let mut now = at(0);
        for (number, step) in steps {
            let who = presentity(&keypair(number));
            match step {
                Step::Watch => drop(watches.handle_watch(now, who)),
                Step::Unwatch => drop(watches.handle_unwatch(who)),
                Step::InReach => watches.handle_in_reach(now, who),
                Step::Answer(seconds) => watches.handle_answer(now, who, seconds.map(Duration::from_secs)),
                Step::Failure => watches.handle_failure(now, who),
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
            }
            watches.handle_timeout(now);
            asked(&mut watches);
            prop_assert!(watches.poll_timeout().is_none_or(|at| at > now));
            prop_assert_eq!(watches.poll_timeout().is_none(), watches.views().is_empty());
            for view in watches.views() {
                prop_assert_eq!(view.state == SubscriptionState::Active, view.expires_at.is_some());
            }
        }
    }
}
