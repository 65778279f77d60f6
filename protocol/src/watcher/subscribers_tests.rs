use SubscriptionEvent::{Approved, Giveup, Noresource, Rejected, Subscribe, Timeout};
use SubscriptionState::{Active, Pending, Terminated, Waiting};
use proptest::prelude::*;

use super::*;
use crate::testing::{CLOCK, alice, at, bob, keypair, presentity};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn subscribers() -> Subscribers {
    Subscribers::new(at(0), CLOCK, [])
}

/// Asks for alice, at the start.
fn asked(handling: Handling) -> Subscribers {
    let mut subscribers = subscribers();
    subscribers.handle_subscribe(at(0), presentity(&alice()), HOUR, handling);
    subscribers
}

/// Alice's subscription waits.
fn waiting() -> Subscribers {
    let mut subscribers = asked(Handling::Confirm);
    subscribers.handle_timeout(at(3600));
    assert_eq!(last(&mut subscribers), (Waiting, Timeout, false));
    subscribers
}

/// What became of alice's subscription last, and whether she is to be told.
fn last(subscribers: &mut Subscribers) -> (SubscriptionState, SubscriptionEvent, bool) {
    let last = std::iter::from_fn(|| subscribers.poll_output()).last().expect("something changed");
    assert_eq!(last.presentity, presentity(&alice()));
    (last.state, last.event, last.tell)
}

fn changes(subscribers: &mut Subscribers) -> Vec<(Presentity, SubscriptionState)> {
    std::iter::from_fn(|| subscribers.poll_output()).map(|change| (change.presentity, change.state)).collect()
}

fn stands(subscribers: &Subscribers) -> Option<(SubscriptionState, SubscriptionEvent)> {
    let views = subscribers.views();
    assert!(views.len() <= 1);
    views.first().map(|view| (view.state, view.event))
}

fn number(number: usize) -> Presentity {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

#[test]
fn what_is_asked_is_granted_between_a_minute_and_an_hour() {
    let mut subscribers = subscribers();
    let mut granted = |seconds| {
        let asked = Duration::from_secs(seconds);
        subscribers.handle_subscribe(at(0), presentity(&alice()), asked, Handling::Allow)
    };
    assert_eq!(granted(1), SubscriptionReport::stands(Active, Subscribe, MINUTE));
    assert_eq!(granted(600), SubscriptionReport::stands(Active, Subscribe, Duration::from_secs(600)));
    assert_eq!(granted(1_000_000), SubscriptionReport::stands(Active, Subscribe, HOUR));
}

#[test]
fn a_renewal_keeps_the_beginning_and_tells_nobody() {
    let mut subscribers = subscribers();
    let who = presentity(&alice());
    subscribers.handle_subscribe(at(0), who, HOUR, Handling::Allow);
    subscribers.handle_subscribe(at(1000), who, HOUR, Handling::Allow);
    assert_eq!(changes(&mut subscribers), [(who, Active)]);
    let view = SubscriberView {
        presentity: who,
        state: Active,
        event: Subscribe,
        since: CLOCK.unix(at(0)),
        expires_at: CLOCK.unix(at(4600)),
    };
    assert_eq!(subscribers.views(), [view]);
}

#[test]
fn a_lease_ends_by_time() {
    let mut subscribers = subscribers();
    let who = presentity(&alice());
    subscribers.handle_subscribe(at(0), who, MINUTE, Handling::Allow);
    assert_eq!(subscribers.poll_timeout(), Some(at(60)));
    subscribers.handle_timeout(at(59));
    assert_eq!(subscribers.active().count(), 1);
    subscribers.handle_timeout(at(60));
    assert_eq!(subscribers.active().count(), 0);
    assert_eq!(changes(&mut subscribers), [(who, Active), (who, Terminated)]);
    assert_eq!(subscribers.poll_timeout(), None);
}

#[test]
fn a_duration_of_zero_ends_the_subscription_of_the_one_who_asks_and_of_nobody_else() {
    let mut subscribers = subscribers();
    for who in [alice(), bob()] {
        subscribers.handle_subscribe(at(0), presentity(&who), HOUR, Handling::Allow);
    }
    changes(&mut subscribers);
    let ended = SubscriptionReport::ended(Timeout, None);
    let end = |subscribers: &mut Subscribers| {
        let bob = presentity(&bob());
        assert_eq!(subscribers.handle_subscribe(at(1), bob, Duration::ZERO, Handling::Allow), ended);
        changes(subscribers)
    };
    assert_eq!(end(&mut subscribers), [(presentity(&bob()), Terminated)]);
    assert_eq!(subscribers.active().collect::<Vec<_>>(), [presentity(&alice())]);
    assert_eq!(end(&mut subscribers), []);
}

#[test]
fn at_the_limit_a_newcomer_is_refused_and_a_renewal_is_not() {
    let mut subscribers = subscribers();
    let mut ask =
        |who: usize, handling| subscribers.handle_subscribe(at(0), number(who), HOUR, handling).event;
    assert!((0..SUBSCRIBERS_MAX).all(|who| ask(who, Handling::Allow) == Subscribe));
    assert_eq!(ask(SUBSCRIBERS_MAX, Handling::Allow), Noresource);
    assert_eq!(ask(SUBSCRIBERS_MAX, Handling::PoliteBlock), Noresource);
    assert_eq!(ask(5, Handling::Allow), Subscribe);
    // Requests have a limit of their own.
    let requests = SUBSCRIBERS_MAX..SUBSCRIBERS_MAX + REQUESTS_MAX;
    assert!(requests.clone().all(|who| ask(who, Handling::Confirm) == Subscribe));
    assert_eq!(ask(requests.end, Handling::Confirm), Noresource);
    assert_eq!(ask(requests.start, Handling::Confirm), Subscribe);
}

#[test]
fn who_finds_no_room_is_told_when_to_ask_again() {
    let mut subscribers = subscribers();
    for who in (0..SUBSCRIBERS_MAX).map(number) {
        subscribers.handle_subscribe(at(0), who, HOUR, Handling::Allow);
    }
    let refused = subscribers.handle_subscribe(at(0), presentity(&alice()), HOUR, Handling::Allow);
    assert_eq!(refused, SubscriptionReport::ended(Noresource, Some(Duration::from_secs(900))));
}

/// RFC 3857's table, from `init`.
#[test]
fn a_first_request_is_active_pending_or_rejected_as_the_rules_have_it() {
    for (handling, state) in [
        (Handling::Allow, Some(Active)),
        (Handling::PoliteBlock, Some(Active)),
        (Handling::Confirm, Some(Pending)),
        (Handling::Block, None),
    ] {
        let mut subscribers = asked(handling);
        assert_eq!(stands(&subscribers), state.map(|state| (state, Subscribe)), "{handling:?}");
        let told: Vec<_> =
            std::iter::from_fn(|| subscribers.poll_output()).map(|change| change.tell).collect();
        assert_eq!(told, vec![false; usize::from(state.is_some())], "the answer says it");
    }
    let rejected = SubscriptionReport::ended(Rejected, None);
    assert_eq!(subscribers().handle_subscribe(at(0), presentity(&alice()), HOUR, Handling::Block), rejected);
}

#[test]
fn a_polite_block_looks_like_an_allowance_from_outside() {
    let said = |handling| {
        let mut subscribers = subscribers();
        let who = presentity(&alice());
        let first = subscribers.handle_subscribe(at(0), who, HOUR, handling);
        let renewed = subscribers.handle_subscribe(at(100), who, MINUTE, handling);
        (first, renewed, subscribers.report(at(110), &who), changes(&mut subscribers))
    };
    assert_eq!(said(Handling::Allow), said(Handling::PoliteBlock));
}

/// RFC 3857's table, from `pending`.
#[test]
fn a_pending_subscription_is_approved_rejected_or_waits_when_its_time_is_over() {
    for handling in [Handling::Allow, Handling::PoliteBlock] {
        let mut subscribers = asked(Handling::Confirm);
        subscribers.handle_rules(at(10), |_| handling);
        assert_eq!(last(&mut subscribers), (Active, Approved, true));
    }
    let mut subscribers = asked(Handling::Confirm);
    subscribers.handle_rules(at(10), |_| Handling::Block);
    assert_eq!((last(&mut subscribers), stands(&subscribers)), ((Terminated, Rejected, true), None));

    let subscribers = waiting();
    assert_eq!(stands(&subscribers), Some((Waiting, Timeout)));
    assert_eq!(subscribers.poll_timeout(), Some(at(3600) + WAITING_KEPT));
    assert_eq!(subscribers.active().count(), 0);
}

#[test]
fn a_pending_subscription_that_is_allowed_by_the_time_it_is_renewed_is_approved() {
    let mut subscribers = asked(Handling::Confirm);
    let report = subscribers.handle_subscribe(at(9), presentity(&alice()), HOUR, Handling::Allow);
    assert_eq!(report, SubscriptionReport::stands(Active, Approved, HOUR));
    assert_eq!(last(&mut subscribers), (Active, Approved, false));
    assert_eq!(subscribers.views()[0].since, CLOCK.unix(at(0)));
}

/// RFC 3857's table, from `active`, with RFC 5025's `confirm`.
#[test]
fn an_active_subscription_is_rejected_or_pending_when_the_rules_change_and_otherwise_stays() {
    let mut subscribers = asked(Handling::Allow);
    changes(&mut subscribers);
    for handling in [Handling::PoliteBlock, Handling::Allow] {
        subscribers.handle_rules(at(5), |_| handling);
        assert_eq!(changes(&mut subscribers), []);
    }
    subscribers.handle_rules(at(6), |_| Handling::Confirm);
    assert_eq!(last(&mut subscribers), (Pending, Subscribe, true));
    let who = presentity(&alice());
    assert_eq!(
        subscribers.report(at(6), &who),
        Some(SubscriptionReport::stands(Pending, Subscribe, HOUR - Duration::from_secs(6)))
    );
    let mut subscribers = asked(Handling::Allow);
    subscribers.handle_rules(at(6), |_| Handling::Block);
    assert_eq!(
        (last(&mut subscribers), subscribers.report(at(6), &who)),
        ((Terminated, Rejected, true), None)
    );
}

/// RFC 3857's table, from `waiting`: whoever asked asks no more, so nobody is told.
#[test]
fn a_waiting_subscription_ends_with_the_principals_word_or_after_a_week() {
    for (handling, event) in
        [(Handling::Allow, Approved), (Handling::PoliteBlock, Approved), (Handling::Block, Rejected)]
    {
        let mut subscribers = waiting();
        subscribers.handle_rules(at(4000), |_| handling);
        assert_eq!((last(&mut subscribers), stands(&subscribers)), ((Terminated, event, false), None));
    }
    let mut subscribers = waiting();
    subscribers.handle_rules(at(4000), |_| Handling::Confirm);
    assert_eq!(changes(&mut subscribers), []);
    subscribers.handle_timeout(at(3600) + WAITING_KEPT - Duration::from_secs(1));
    assert_eq!(stands(&subscribers), Some((Waiting, Timeout)));
    subscribers.handle_timeout(at(3600) + WAITING_KEPT);
    assert_eq!((last(&mut subscribers), stands(&subscribers)), ((Terminated, Giveup, false), None));
    assert_eq!(subscribers.poll_timeout(), None);
}

#[test]
fn who_waits_and_asks_again_is_pending_again_or_what_the_rules_say_by_now() {
    let who = presentity(&alice());
    let mut subscribers = waiting();
    let report = subscribers.handle_subscribe(at(5000), who, HOUR, Handling::Confirm);
    assert_eq!(report, SubscriptionReport::stands(Pending, Subscribe, HOUR));
    assert_eq!(subscribers.views()[0].since, CLOCK.unix(at(5000)));
    let mut subscribers = waiting();
    let report = subscribers.handle_subscribe(at(5000), who, HOUR, Handling::Allow);
    assert_eq!(report, SubscriptionReport::stands(Active, Approved, HOUR));
}

#[test]
fn whoever_withdraws_a_request_does_not_wait() {
    let mut subscribers = asked(Handling::Confirm);
    subscribers.handle_subscribe(at(5), presentity(&alice()), Duration::ZERO, Handling::Confirm);
    assert_eq!((last(&mut subscribers), stands(&subscribers)), ((Terminated, Timeout, false), None));
}

#[test]
fn requests_of_an_earlier_run_wait_for_what_is_left_of_their_week() {
    let day = Duration::from_secs(24 * 3600);
    let who = presentity(&alice());
    let asked_at = CLOCK.at_start - day;
    let mut subscribers = Subscribers::new(at(0), CLOCK, [(who, asked_at)]);
    assert_eq!(stands(&subscribers), Some((Waiting, Timeout)));
    assert_eq!(subscribers.views()[0].since, asked_at);
    assert_eq!(subscribers.poll_timeout(), Some(at(0) + (WAITING_KEPT - day)));

    let long_ago = CLOCK.at_start - WAITING_KEPT * 2;
    let mut late = Subscribers::new(at(0), CLOCK, [(who, long_ago)]);
    late.handle_timeout(at(0));
    assert_eq!(last(&mut late), (Terminated, Giveup, false));
    subscribers.handle_rules(at(1), |_| Handling::Allow);
    assert_eq!(last(&mut subscribers), (Terminated, Approved, false));
}

#[test]
fn no_more_requests_are_restored_than_the_limit_allows() {
    let requests = (0..2 * REQUESTS_MAX).map(|who| (number(who), CLOCK.at_start));
    assert_eq!(Subscribers::new(at(0), CLOCK, requests).views().len(), REQUESTS_MAX);
}

#[derive(Debug, Clone)]
enum Step {
    Subscribe(u64, Handling),
    Rules(Handling),
    Wait(u64),
}

fn handling() -> impl Strategy<Value = Handling> {
    prop::sample::select(vec![Handling::Block, Handling::Confirm, Handling::PoliteBlock, Handling::Allow])
}

/// Whether RFC 3857's table (with RFC 5025's way back from active to pending) leads from one to the other.
fn may_follow(before: SubscriptionState, after: SubscriptionState, event: SubscriptionEvent) -> bool {
    match (before, after) {
        (Terminated, Active | Pending) => event == Subscribe,
        (Pending, Active) => event == Approved,
        (Pending, Waiting) => event == Timeout,
        (Pending | Active, Terminated) => matches!(event, Rejected | Timeout),
        (Active, Pending) => event == Subscribe,
        (Waiting, Terminated) => matches!(event, Approved | Rejected | Giveup | Timeout),
        // The same watcher asks again: giveup, and a new subscription at once.
        (Waiting, Pending) => event == Subscribe,
        (Waiting, Active) => event == Approved,
        _ => false,
    }
}

proptest! {
    #[test]
    fn every_change_is_one_of_the_table_and_no_deadline_stays_behind(
        steps in prop::collection::vec(
            (1_u8..3, prop_oneof![
                (0_u64..5000, handling()).prop_map(|(seconds, handling)| Step::Subscribe(seconds, handling)),
                handling().prop_map(Step::Rules),
                (0_u64..400_000).prop_map(Step::Wait),
            ]),
            0..60,
        ),
    ) {
        let mut subscribers = subscribers();
        let mut known: BTreeMap<Presentity, SubscriptionState> = BTreeMap::new();
        let mut now = at(0);
        for (number, step) in steps {
            let who = presentity(&keypair(number));
            match step {
                Step::Subscribe(seconds, handling) => {
                    let asked = Duration::from_secs(seconds);
                    let report = subscribers.handle_subscribe(now, who, asked, handling);
                    let stood = subscribers.report(now, &who);
                    prop_assert_eq!(Some(report).filter(|report| report.state != Terminated), stood);
                }
                Step::Rules(handling) => subscribers.handle_rules(now, |other| {
                    if *other == who { handling } else { Handling::Allow }
                }),
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
            }
            subscribers.handle_timeout(now);
            prop_assert!(subscribers.poll_timeout().is_none_or(|at| at > now));
            while let Some(change) = subscribers.poll_output() {
                let before = known.insert(change.presentity, change.state).unwrap_or(Terminated);
                prop_assert!(may_follow(before, change.state, change.event), "{before:?} to {change:?}");
            }
            let stand: BTreeMap<_, _> =
                subscribers.views().into_iter().map(|view| (view.presentity, view.state)).collect();
            known.retain(|_, state| *state != Terminated);
            prop_assert_eq!(&stand, &known);
        }
    }
}
