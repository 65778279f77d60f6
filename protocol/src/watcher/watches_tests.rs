use proptest::prelude::*;

use super::*;
use crate::testing::{CLOCK, alice, arbitrary::subscription_report, at, bob, keypair, presentity};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const ASKED: WatchReason = WatchReason::Asked;
const CONTACT: WatchReason = WatchReason::Contact;

/// For how long, in seconds, is asked since the last call.
fn asked(watches: &mut Watches) -> Vec<u64> {
    std::iter::from_fn(|| watches.poll_output()).map(|output| output.duration.as_secs()).collect()
}

fn state(watches: &Watches) -> (SubscriptionState, Option<UnixTime>) {
    let [view] = watches.views().try_into().unwrap();
    (view.state, view.expires_at)
}

fn granted(duration: Duration) -> SubscriptionReport {
    SubscriptionReport::stands(SubscriptionState::Active, SubscriptionEvent::Subscribe, duration)
}

fn pending(duration: Duration) -> SubscriptionReport {
    SubscriptionReport::stands(SubscriptionState::Pending, SubscriptionEvent::Subscribe, duration)
}

fn rejected() -> SubscriptionReport {
    SubscriptionReport::ended(SubscriptionEvent::Rejected, None)
}

/// The answer to the end of a subscription.
fn given_back() -> SubscriptionReport {
    SubscriptionReport::ended(SubscriptionEvent::Timeout, None)
}

/// Watching alice, and asked already.
fn watching() -> Watches {
    let mut watches = Watches::new(CLOCK);
    assert!(watches.handle_watch(at(0), presentity(&alice()), ASKED, true));
    assert_eq!(asked(&mut watches), [3600]);
    watches
}

fn number(number: usize) -> Presentity {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

#[test]
fn a_watch_is_pending_until_it_is_answered_and_is_renewed_at_half_the_lease() {
    let mut watches = watching();
    let who = presentity(&alice());
    assert_eq!(state(&watches), (SubscriptionState::Pending, None));
    watches.handle_report(at(1), who, granted(Duration::from_secs(1000)));
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
    watches.handle_report(at(0), who, granted(MINUTE * 5));
    let mut asked_at = Vec::new();
    while let Some(now) = watches.poll_timeout().filter(|now| *now <= at(300)) {
        watches.handle_timeout(now);
        asked_at.extend(asked(&mut watches).iter().map(|_| now));
        watches.handle_failure(now, who, None);
    }
    assert_eq!(asked_at, [at(150), at(210), at(270)]);
    assert_eq!(state(&watches), (SubscriptionState::Pending, None));
}

#[test]
fn a_refusal_terminates_and_is_asked_about_again_after_an_hour() {
    let mut watches = watching();
    watches.handle_report(at(1), presentity(&alice()), rejected());
    assert_eq!(state(&watches), (SubscriptionState::Terminated, None));
    assert_eq!(watches.views()[0].event, SubscriptionEvent::Rejected);
    assert_eq!(watches.poll_timeout(), Some(at(3601)));
    watches.handle_timeout(at(3601));
    assert_eq!(asked(&mut watches), [3600]);
}

#[test]
fn every_other_end_is_asked_about_again_when_its_reason_suggests_or_the_node_says() {
    for (event, retry_after, expected) in [
        (SubscriptionEvent::Deactivated, None, 1),
        (SubscriptionEvent::Probation, None, 900),
        (SubscriptionEvent::Giveup, None, 900),
        (SubscriptionEvent::Noresource, None, 900),
        (SubscriptionEvent::Noresource, Some(300), 300),
        (SubscriptionEvent::Probation, Some(0), 1),
        (SubscriptionEvent::Rejected, Some(1_000_000), 3600),
    ] {
        let mut watches = watching();
        let report = SubscriptionReport::ended(event, retry_after.map(Duration::from_secs));
        assert!(watches.handle_report(at(0), presentity(&alice()), report));
        assert_eq!(state(&watches), (SubscriptionState::Terminated, None));
        assert_eq!(watches.poll_timeout(), Some(at(expected)), "{event} {retry_after:?}");
    }
}

#[test]
fn one_that_was_refused_long_ago_asks_at_once_when_it_is_invited() {
    let mut watches = watching();
    let who = presentity(&alice());
    watches.handle_report(at(1), who, rejected());
    let invited = SubscriptionReport::ended(SubscriptionEvent::Deactivated, None);
    watches.handle_report(at(30), who, invited);
    watches.handle_timeout(at(30));
    assert_eq!(asked(&mut watches), [3600]);
    watches.handle_report(at(30), who, invited);
    assert_eq!(watches.poll_timeout(), Some(at(31)), "and not more often than once a second");
}

#[test]
fn a_request_that_the_principal_decides_on_is_renewed_too_and_what_is_said_later_is_taken_over() {
    let mut watches = watching();
    let who = presentity(&alice());
    assert!(watches.handle_report(at(1), who, pending(HOUR)));
    assert_eq!(state(&watches), (SubscriptionState::Pending, Some(CLOCK.unix(at(3601)))));
    assert_eq!(watches.poll_timeout(), Some(at(1801)));
    let approved =
        SubscriptionReport::stands(SubscriptionState::Active, SubscriptionEvent::Approved, MINUTE * 10);
    assert!(watches.handle_report(at(9), who, approved));
    assert_eq!(state(&watches), (SubscriptionState::Active, Some(CLOCK.unix(at(609)))));
    assert_eq!(watches.views()[0].event, SubscriptionEvent::Approved);
}

#[test]
fn what_nobody_asked_for_is_not_taken_over_and_a_lease_is_given_back() {
    let mut watches = Watches::new(CLOCK);
    let who = presentity(&alice());
    for report in [granted(HOUR), pending(HOUR)] {
        assert!(!watches.handle_report(at(1), who, report));
        assert_eq!((asked(&mut watches), watches.views()), (vec![0], Vec::new()));
    }
    assert!(!watches.handle_report(at(1), who, rejected()));
    assert_eq!(asked(&mut watches), [0; 0]);
}

#[test]
fn a_node_whose_records_do_not_open_any_more_is_asked_unless_it_refused_or_is_not_watched() {
    let mut watches = watching();
    let who = presentity(&alice());
    watches.handle_report(at(1), who, granted(HOUR));
    watches.handle_keyless(at(2), who);
    assert_eq!((asked(&mut watches), state(&watches).0), (vec![3600], SubscriptionState::Active));
    watches.handle_report(at(3), who, rejected());
    assert!(!watches.is_expecting(&who) && !watches.is_expecting(&presentity(&bob())));
    watches.handle_keyless(at(4), who);
    watches.handle_keyless(at(4), presentity(&bob()));
    assert_eq!(asked(&mut watches), [0; 0]);
}

#[test]
fn a_contact_is_asked_when_it_is_in_reach_and_not_again_and_again_while_it_is_away() {
    let mut watches = Watches::new(CLOCK);
    let who = presentity(&alice());
    assert!(watches.handle_watch(at(0), who, CONTACT, false));
    assert_eq!((asked(&mut watches), watches.poll_timeout()), (vec![], None));
    assert!(watches.views()[0].is_contact);
    watches.handle_in_reach(at(5), who);
    assert_eq!(asked(&mut watches), [3600]);
    watches.handle_failure(at(6), who, None);
    assert_eq!(watches.poll_timeout(), None);

    let mut watches = Watches::new(CLOCK);
    assert!(watches.handle_watch(at(0), who, CONTACT, true));
    assert_eq!(asked(&mut watches), [3600]);
}

#[test]
fn a_contact_that_is_asked_for_as_well_is_asked_at_once_and_every_minute() {
    let mut watches = Watches::new(CLOCK);
    let who = presentity(&alice());
    assert!(watches.handle_watch(at(0), who, CONTACT, false));
    assert!(watches.handle_watch(at(1), who, ASKED, true));
    assert_eq!(asked(&mut watches), [3600]);
    watches.handle_failure(at(2), who, None);
    assert_eq!(watches.poll_timeout(), Some(at(62)));
}

#[test]
fn a_watch_ends_when_no_reason_for_it_holds_any_more() {
    let mut watches = watching();
    let who = presentity(&alice());
    assert!(watches.handle_watch(at(1), who, CONTACT, true));
    watches.handle_report(at(1), who, granted(HOUR));
    assert!(watches.handle_unwatch(who, ASKED));
    assert_eq!((asked(&mut watches), state(&watches).0), (vec![], SubscriptionState::Active));
    assert!(!watches.handle_unwatch(who, ASKED));
    assert!(watches.handle_unwatch(who, CONTACT));
    assert_eq!((asked(&mut watches), watches.views()), (vec![0], Vec::new()));
}

#[test]
fn whoever_was_refused_is_asked_again_when_the_principal_asks_again() {
    let mut watches = watching();
    let who = presentity(&alice());
    watches.handle_report(at(1), who, rejected());
    assert!(watches.handle_watch(at(2), who, ASKED, true));
    assert_eq!(asked(&mut watches), [3600]);
}

#[test]
fn what_is_said_with_requests_is_said_anew_to_those_who_were_asked_and_to_nobody_else() {
    let mut watches = watching();
    watches.handle_report(at(1), presentity(&alice()), granted(HOUR));
    watches.handle_watch(at(2), presentity(&bob()), CONTACT, false);
    watches.handle_renew(at(3));
    let again = std::iter::from_fn(|| watches.poll_output()).map(|output| output.presentity);
    assert_eq!(again.collect::<Vec<_>>(), [presentity(&alice())]);
}

#[test]
fn a_node_that_came_into_reach_or_was_restarted_is_asked_anew() {
    let mut watches = watching();
    let who = presentity(&alice());
    watches.handle_report(at(1), who, granted(HOUR));
    watches.handle_in_reach(at(2), presentity(&bob()));
    assert_eq!(asked(&mut watches), [0; 0]);
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
    watches.handle_failure(at(30), presentity(&alice()), None);
    assert_eq!(watches.poll_timeout(), Some(at(90)));
}

#[test]
fn watching_twice_asks_once_and_unwatching_gives_the_lease_back() {
    let mut watches = watching();
    let who = presentity(&alice());
    assert!(watches.handle_watch(at(1), who, ASKED, true));
    assert_eq!(asked(&mut watches), [0; 0]);
    watches.handle_report(at(1), who, granted(HOUR));
    assert!(watches.handle_unwatch(who, ASKED));
    assert_eq!(asked(&mut watches), [0]);
    assert!(!watches.handle_unwatch(who, ASKED));
    assert_eq!((watches.views(), watches.poll_timeout()), (Vec::new(), None));
}

#[test]
fn a_lease_that_is_granted_after_the_watch_has_ended_is_given_back() {
    let mut watches = watching();
    let who = presentity(&alice());
    assert!(watches.handle_unwatch(who, ASKED));
    assert_eq!(asked(&mut watches), [0], "it may have been granted by now");
    watches.handle_report(at(1), who, granted(HOUR));
    assert_eq!(asked(&mut watches), [0]);
    watches.handle_report(at(2), who, given_back());
    watches.handle_report(at(2), who, rejected());
    assert_eq!(asked(&mut watches), [0; 0]);
}

#[test]
fn the_answer_to_the_end_of_an_earlier_watch_grants_nothing() {
    let mut watches = watching();
    watches.handle_report(at(1), presentity(&alice()), given_back());
    assert_eq!(state(&watches), (SubscriptionState::Pending, None));
}

#[test]
fn no_grant_makes_a_node_renew_all_the_time_or_never() {
    let mut watches = watching();
    let who = presentity(&alice());
    watches.handle_report(at(0), who, granted(Duration::from_secs(1)));
    assert_eq!(watches.poll_timeout(), Some(at(30)));
    watches.handle_report(at(0), who, granted(Duration::MAX));
    assert_eq!(watches.poll_timeout(), Some(at(1800)));
}

#[test]
fn a_new_way_to_one_who_could_not_be_asked_is_taken_at_once_and_nobody_is_asked_twice() {
    let mut watches = Watches::new(CLOCK);
    let who = presentity(&alice());
    assert!(watches.handle_watch(at(0), who, CONTACT, true));
    assert_eq!(asked(&mut watches), [3600]);
    watches.handle_way(at(1), who);
    assert_eq!(asked(&mut watches), [0; 0], "that request may be answered yet");
    watches.handle_failure(at(2), who, None);
    assert_eq!(watches.poll_timeout(), None, "a contact is not asked by the clock");
    watches.handle_way(at(3), who);
    assert_eq!(asked(&mut watches), [3600]);
    watches.handle_report(at(4), who, granted(HOUR));
    watches.handle_way(at(5), who);
    watches.handle_way(at(5), presentity(&bob()));
    assert_eq!(asked(&mut watches), [0; 0], "it stands");
}

#[test]
fn at_the_limit_no_further_watch_begins() {
    let mut watches = Watches::new(CLOCK);
    for who in (0..WATCHES_MAX).map(number) {
        assert!(watches.handle_watch(at(0), who, ASKED, true));
    }
    assert!(!watches.handle_watch(at(0), number(WATCHES_MAX), ASKED, true));
    assert!(watches.handle_watch(at(0), number(3), ASKED, true));
}

#[derive(Debug, Clone)]
enum Step {
    Watch(WatchReason, bool),
    Unwatch(WatchReason),
    InReach,
    Report(SubscriptionReport),
    Failure,
    Renew,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let reason = || prop::sample::select(vec![ASKED, CONTACT]);
    prop_oneof![
        (reason(), any::<bool>()).prop_map(|(reason, in_reach)| Step::Watch(reason, in_reach)),
        reason().prop_map(Step::Unwatch),
        Just(Step::InReach),
        subscription_report().prop_map(Step::Report),
        (0_u64..10_000).prop_map(|seconds| Step::Report(granted(Duration::from_secs(seconds)))),
        Just(Step::Failure),
        Just(Step::Renew),
        (0_u64..5000).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn a_watch_that_was_asked_for_always_asks_again_and_no_deadline_stays_behind(
        steps in prop::collection::vec((1_u8..3, step()), 0..60),
    ) {
        let mut watches = Watches::new(CLOCK);
        let mut now = at(0);
        for (number, step) in steps {
            let who = presentity(&keypair(number));
            match step {
                // What the PRINCIPAL asks for now may always be in reach.
                Step::Watch(reason, in_reach) => {
                    prop_assert!(watches.handle_watch(now, who, reason, in_reach || reason == ASKED));
                }
                Step::Unwatch(reason) => drop(watches.handle_unwatch(who, reason)),
                Step::InReach => watches.handle_in_reach(now, who),
                Step::Report(report) => {
                    prop_assert_eq!(watches.handle_report(now, who, report), watches.is_watching(&who));
                }
                Step::Failure => watches.handle_failure(now, who, None),
                Step::Renew => watches.handle_renew(now),
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
            }
            watches.handle_timeout(now);
            asked(&mut watches);
            prop_assert!(watches.poll_timeout().is_none_or(|at| at > now));
            for watch in watches.watches.values() {
                prop_assert!(watch.reasons.any());
                prop_assert!(watch.ask_at.is_some() || !watch.reasons.asked);
                prop_assert!(watch.state != SubscriptionState::Active || watch.ends.is_some());
                prop_assert!(watch.state != SubscriptionState::Terminated || watch.ends.is_none());
            }
        }
    }
}
