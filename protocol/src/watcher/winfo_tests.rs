use super::*;
use crate::{
    testing::{alice, bob, keypair, presentity},
    time::UnixTime,
    watcher::subscription::SubscriptionState,
};

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> Timestamp {
    Timestamp::START + Duration::from_secs(seconds)
}

fn clock() -> WallClock {
    WallClock { at_start: UnixTime::from_millis(1_700_000_000_000) }
}

fn entry(who: u8, fetches: u32) -> WatcherReport {
    WatcherReport {
        presentity: presentity(&keypair(who)),
        first_at: UnixTime::from_millis(1),
        last_at: UnixTime::from_millis(2),
        fetches,
        subscribes: 0,
        refused: 0,
        period_ms: None,
        state: SubscriptionState::Terminated,
        event: None,
    }
}

/// Runs a round, in which everybody may see `seen`; who is told.
fn round(winfo: &mut WinfoSubscribers, now: Timestamp, seen: &[WatcherReport]) -> Option<Vec<Presentity>> {
    let (_, subscribers) = winfo.take_round(now)?;
    for subscriber in subscribers {
        winfo.handle_seen(subscriber, seen);
    }
    Some(std::iter::from_fn(|| winfo.poll_output()).collect())
}

#[test]
fn the_first_change_is_told_at_once_and_further_ones_every_five_seconds() {
    let mut winfo = WinfoSubscribers::new(at(0), clock());
    let alice = presentity(&alice());
    winfo.handle_subscribe(at(0), alice, HOUR, &[]);
    assert_eq!(round(&mut winfo, at(0), &[]), None, "nothing has changed");
    winfo.handle_changed(at(10), entry(5, 1).presentity);
    assert_eq!(winfo.poll_timeout(), Some(at(10)));
    assert_eq!(round(&mut winfo, at(10), &[entry(5, 1)]), Some(vec![alice]));
    winfo.handle_told(at(10), alice, true, true);
    for second in 11..15 {
        winfo.handle_changed(at(second), entry(5, 1).presentity);
        assert_eq!(round(&mut winfo, at(second), &[entry(5, 2)]), None);
    }
    assert_eq!(winfo.poll_timeout(), Some(at(15)));
    assert_eq!(round(&mut winfo, at(15), &[entry(5, 2)]), Some(vec![alice]));
}

#[test]
fn who_sees_no_difference_is_told_nothing() {
    let mut winfo = WinfoSubscribers::new(at(0), clock());
    winfo.handle_subscribe(at(0), presentity(&alice()), HOUR, &[entry(5, 1)]);
    winfo.handle_changed(at(10), entry(6, 1).presentity);
    assert_eq!(round(&mut winfo, at(10), &[entry(5, 1)]), Some(Vec::new()));
    // Another rule may show more.
    winfo.handle_rules(at(20));
    assert_eq!(round(&mut winfo, at(20), &[entry(5, 1), entry(6, 1)]).map(|told| told.len()), Some(1));
}

#[test]
fn one_that_ended_or_ran_out_is_told_nothing_and_the_limit_holds() {
    let mut winfo = WinfoSubscribers::new(at(0), clock());
    let (alice, bob) = (presentity(&alice()), presentity(&bob()));
    winfo.handle_subscribe(at(0), alice, HOUR, &[]);
    winfo.handle_subscribe(at(0), bob, HOUR, &[]);
    let ended = winfo.handle_subscribe(at(1), alice, Duration::ZERO, &[]);
    assert_eq!(ended.state, SubscriptionState::Terminated);
    winfo.handle_changed(at(2), entry(5, 1).presentity);
    assert_eq!(round(&mut winfo, at(2), &[entry(5, 1)]), Some(vec![bob]));
    winfo.handle_timeout(at(3600));
    winfo.handle_changed(at(3601), entry(5, 1).presentity);
    assert_eq!(round(&mut winfo, at(3601), &[entry(5, 2)]), Some(Vec::new()));
    assert!(winfo.told.is_empty(), "nothing is kept of those who are gone");

    let many = |number: usize| presentity(&keypair(u8::try_from(number).unwrap() + 100));
    for number in 0..SUBSCRIBERS_MAX {
        let report = winfo.handle_subscribe(at(4000), many(number), HOUR, &[]);
        assert_eq!(report.state, SubscriptionState::Active);
    }
    let full = winfo.handle_subscribe(at(4000), alice, HOUR, &[]);
    assert_eq!((full.event, full.retry_after_seconds), (SubscriptionEvent::Noresource, Some(900)));
    let renewed = winfo.handle_subscribe(at(4001), many(0), HOUR, &[]);
    assert_eq!(renewed.state, SubscriptionState::Active);
    winfo.handle_subscribe(at(4002), bob, Duration::ZERO, &[]);
    assert_eq!(winfo.told.len(), SUBSCRIBERS_MAX, "nothing is kept of those who end what they never had");
}

fn stands() -> SubscriptionReport {
    SubscriptionReport::stands(SubscriptionState::Active, SubscriptionEvent::Subscribe, HOUR)
}

fn news(watcher: WatcherReport, gone: bool) -> WinfoNews {
    WinfoNews { watcher, gone }
}

#[test]
fn what_is_told_is_news_as_far_as_it_differs() {
    let mut winfo = WinfoWatches::new(clock());
    let bob = presentity(&bob());
    assert!(winfo.handle_watch(at(0), bob));
    assert_eq!(winfo.poll_output(), Some((bob, HOUR)));
    let first = winfo.handle_report(at(0), bob, stands(), vec![entry(5, 1), entry(6, 1)]);
    assert_eq!(first.len(), 2);
    assert_eq!(winfo.handle_report(at(1), bob, stands(), vec![entry(5, 1), entry(6, 1)]), []);
    let mut next = winfo.handle_report(at(2), bob, stands(), vec![entry(5, 2), entry(7, 1)]);
    next.sort_by_key(|news| (news.gone, news.watcher.fetches));
    assert_eq!(next, [news(entry(7, 1), false), news(entry(5, 2), false), news(entry(6, 1), true)]);
}

#[test]
fn what_nobody_asked_for_is_not_taken_over() {
    let mut winfo = WinfoWatches::new(clock());
    let bob = presentity(&bob());
    assert_eq!(winfo.handle_report(at(0), bob, stands(), vec![entry(5, 1)]), []);
    assert_eq!(winfo.poll_output(), Some((bob, Duration::ZERO)), "and is given back");
    assert!(winfo.handle_watch(at(1), bob) && winfo.handle_unwatch(bob) && !winfo.handle_unwatch(bob));
    assert_eq!(winfo.handle_report(at(2), bob, stands(), vec![entry(5, 1)]), []);
    assert!(winfo.lists.is_empty());
}

#[test]
fn so_many_are_watched_and_no_more_and_what_one_tells_is_bounded() {
    let mut winfo = WinfoWatches::new(clock());
    let who = |number: usize| presentity(&keypair(u8::try_from(number).unwrap()));
    for number in 0..WATCHES_MAX {
        assert!(winfo.handle_watch(at(0), who(number)));
    }
    assert!(!winfo.handle_watch(at(0), who(WATCHES_MAX)) && winfo.handle_watch(at(0), who(0)));
    let many = (0..2 * WATCHERS_PER_FRAME).map(|number| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        WatcherReport { presentity: Presentity::from_public_key_bytes(key), ..entry(1, 1) }
    });
    assert_eq!(winfo.handle_report(at(1), who(0), stands(), many.collect()).len(), WATCHERS_PER_FRAME);
}
