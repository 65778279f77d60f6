//! WATCHER INFORMATION and VISIBILITY RULES between whole nodes. Node 1 is the PRESENTITY.

use std::time::Duration;

use SubscriptionState::{Active, Terminated};

use super::{
    access::{block, fetch, note, rule, shows_note, star, subscribes, watch, watches},
    mesh::Mesh,
};
use crate::{
    node::{FetchOutcome, NodeInput, Notice},
    presence::access_rules::{AccessRule, Audience},
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionState},
        watcher_information::{VisibleTo, Watcher, WatcherKind},
    },
    wire::frames::WatcherReport,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What node 1 knows of `seat` as a watcher.
fn watcher(mesh: &mut Mesh, seat: usize) -> Option<Watcher> {
    let who = mesh.who(seat);
    let watchers = mesh.with(1, |node, now| node.watchers(now));
    watchers.into_iter().find(|(watcher, _)| *watcher == who).map(|(_, watcher)| watcher)
}

#[test]
fn the_presentity_sees_who_subscribed_and_cancelled_who_only_fetched_and_who_was_refused() {
    let mut mesh = star();
    watch(&mut mesh, 0);
    let who = mesh.who(1);
    mesh.with(0, |node, now| node.handle_unwatch(now, who));
    fetch(&mut mesh, 2);
    fetch(&mut mesh, 3);
    watch(&mut mesh, 3);
    let cancelled = watcher(&mut mesh, 0).unwrap();
    assert_eq!((cancelled.subscribes, cancelled.fetches, cancelled.refused), (1, 0, 0));
    assert_eq!((cancelled.state, cancelled.event), (Terminated, Some(SubscriptionEvent::Timeout)));
    let fetched = watcher(&mut mesh, 2).unwrap();
    assert_eq!((fetched.fetches, fetched.kind(), fetched.event), (1, WatcherKind::Fetcher, None));
    let refused = watcher(&mut mesh, 3).unwrap();
    assert_eq!((refused.refused, refused.subscribes, refused.kind()), (2, 0, WatcherKind::Refused));
    // They are all still seen after a restart, for a week.
    mesh.run(MINUTE);
    mesh.kill(1);
    mesh.start(1);
    // Nobody else, who would only cost time.
    for seat in [0, 2, 3] {
        mesh.kill(seat);
    }
    mesh.run(6 * DAY);
    assert!([0, 2, 3].into_iter().all(|seat| watcher(&mut mesh, seat).is_some()));
    mesh.run(2 * DAY);
    assert!([0, 2, 3].into_iter().all(|seat| watcher(&mut mesh, seat).is_none()));
}

#[test]
fn a_poller_is_seen_as_one_and_told_when_it_polls_too_fast() {
    let mut mesh = star();
    for _ in 0..3 {
        assert_eq!(fetch(&mut mesh, 0), FetchOutcome::Direct);
        mesh.run(SECOND);
    }
    let WatcherKind::Poller { period } = watcher(&mut mesh, 0).unwrap().kind() else {
        panic!("three fetches at regular times");
    };
    assert!(period.abs_diff(2 * SECOND) < Duration::from_millis(20), "{period:?}");
    assert_eq!(subscribes(&mesh, 0), None);
    let who = mesh.who(1);
    let tokens: Vec<_> = (0..20).map(|_| mesh.with(0, |node, now| node.handle_fetch(now, who))).collect();
    mesh.run(SECOND);
    let outcomes: Vec<_> = tokens.iter().map(|token| mesh.seat(0).fetched[token]).collect();
    let answered = outcomes.iter().filter(|outcome| **outcome == FetchOutcome::Direct).count();
    let too_fast = |outcome: &&FetchOutcome| match outcome {
        FetchOutcome::TooFast { retry_after_ms } => (1..=1000).contains(retry_after_ms),
        _ => false,
    };
    assert_eq!((answered, outcomes.iter().filter(too_fast).count()), (10, 10));
}

/// The watchers of node 1 that `seat` is given to see, as seats.
fn watchers_seen_by(mesh: &mut Mesh, seat: usize) -> Vec<usize> {
    let who = mesh.who(1);
    let token = mesh.with(seat, |node, now| node.handle_fetch_watchers(now, who));
    mesh.run(SECOND);
    let watchers = mesh.seat(seat).watchers[&token].clone().expect("an answer");
    let at = |report: &WatcherReport| (0..4).find(|seat| mesh.who(*seat) == report.presentity).unwrap();
    let mut seats: Vec<_> = watchers.iter().map(at).collect();
    seats.sort_unstable();
    seats
}

#[test]
fn watcher_information_is_each_watchers_own_unless_the_rule_lets_it_see_the_others() {
    let mut mesh = star();
    for seat in [0, 2, 3] {
        watch(&mut mesh, seat);
    }
    for seat in [0, 2, 3] {
        assert_eq!(watchers_seen_by(&mut mesh, seat), [seat]);
    }
    let audience = Audience::Watcher(mesh.who(2));
    rule(&mut mesh, audience, AccessRule { watchers: true, ..AccessRule::default() });
    assert_eq!(watchers_seen_by(&mut mesh, 2), [0, 2, 3]);
    assert_eq!(watchers_seen_by(&mut mesh, 0), [0]);
    let seen_and_blocked = AccessRule { watchers: true, ..block() };
    rule(&mut mesh, audience, seen_and_blocked);
    assert_eq!(watchers_seen_by(&mut mesh, 2), [2], "who is given nothing is not given that either");
}

/// What `seat` was told of the watchers of node 1 since it was asked last: which seat, and how often it
/// fetched, or nothing if it is gone.
fn watchers_told(mesh: &mut Mesh, seat: usize) -> Vec<(usize, Option<u32>)> {
    let (of, seats) = (mesh.who(1), [0, 1, 2, 3].map(|seat| mesh.who(seat)));
    let notices = std::mem::take(&mut mesh.seat_mut(seat).notices);
    let told = notices.into_iter().filter_map(|notice| match notice {
        Notice::Watcher { of: whose, watcher, gone } if whose == of => {
            let who = seats.iter().position(|who| *who == watcher.presentity)?;
            Some((who, (!gone).then_some(watcher.fetches)))
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn watcher_information_can_be_watched_by_whom_the_rules_let_and_each_sees_itself() {
    let mut mesh = star();
    let of = mesh.who(1);
    let audience = Audience::Watcher(mesh.who(2));
    rule(&mut mesh, audience, AccessRule { watchers: true, ..AccessRule::default() });
    for seat in [0, 2] {
        assert!(mesh.with(seat, |node, now| node.handle_watch_watchers(now, of)));
    }
    mesh.run(SECOND);
    fetch(&mut mesh, 0);
    mesh.run(10 * SECOND);
    assert_eq!(watchers_told(&mut mesh, 2), [(0, Some(1))]);
    assert_eq!(watchers_told(&mut mesh, 0), [(0, Some(1))], "itself");
    assert_eq!(watchers_told(&mut mesh, 1), [(0, Some(1))], "the presentity sees all");
    fetch(&mut mesh, 2);
    mesh.run(10 * SECOND);
    assert_eq!(watchers_told(&mut mesh, 2), [(2, Some(1))]);
    assert_eq!(watchers_told(&mut mesh, 0), [], "nobody else");

    // Who hides is gone from others' view, and who is let see less sees less.
    mesh.input(0, NodeInput::Visibility(VisibleTo::Nobody));
    fetch(&mut mesh, 0);
    mesh.run(10 * SECOND);
    assert_eq!(watchers_told(&mut mesh, 2), [(0, None)]);
    mesh.input(0, NodeInput::Visibility(VisibleTo::Everybody));
    fetch(&mut mesh, 0);
    mesh.run(10 * SECOND);
    assert_eq!(watchers_told(&mut mesh, 2), [(0, Some(3))]);
    rule(&mut mesh, audience, AccessRule::default());
    mesh.run(10 * SECOND);
    assert_eq!(watchers_told(&mut mesh, 2), [(0, None)]);

    mesh.with(0, |node, now| node.handle_unwatch_watchers(now, of));
    mesh.run(SECOND);
    watchers_told(&mut mesh, 0);
    fetch(&mut mesh, 0);
    mesh.run(10 * SECOND);
    assert_eq!(watchers_told(&mut mesh, 0), []);
}

#[test]
fn watching_watcher_information_goes_on_after_restarts_and_lost_answers() {
    let mut mesh = star();
    let of = mesh.who(1);
    mesh.with(2, |node, now| node.handle_watch_watchers(now, of));
    mesh.run(SECOND);
    mesh.kill(1);
    mesh.run(MINUTE);
    mesh.start(1);
    for seat in [0, 2, 3] {
        mesh.link(1, seat);
    }
    mesh.run(MINUTE);
    watchers_told(&mut mesh, 2);
    fetch(&mut mesh, 2);
    mesh.run(10 * SECOND);
    assert_eq!(watchers_told(&mut mesh, 2).len(), 1);
    // The lease is an hour; it is renewed.
    mesh.run(3 * 60 * MINUTE);
    watchers_told(&mut mesh, 2);
    fetch(&mut mesh, 2);
    mesh.run(10 * SECOND);
    assert_eq!(watchers_told(&mut mesh, 2).len(), 1);
}

#[test]
fn who_hides_is_not_seen_by_others_from_the_moment_it_does() {
    let mut mesh = star();
    watch(&mut mesh, 0);
    watch(&mut mesh, 2);
    let audience = Audience::Watcher(mesh.who(2));
    rule(&mut mesh, audience, AccessRule { watchers: true, ..AccessRule::default() });
    assert_eq!(watchers_seen_by(&mut mesh, 2), [0, 2]);
    for (visible_to, seen) in [
        (VisibleTo::AllBut([mesh.who(2)].into()), vec![2]),
        (VisibleTo::AllBut([mesh.who(3)].into()), vec![0, 2]),
        (VisibleTo::Nobody, vec![2]),
        (VisibleTo::Everybody, vec![0, 2]),
    ] {
        mesh.input(0, NodeInput::Visibility(visible_to));
        mesh.run(SECOND);
        assert_eq!(watchers_seen_by(&mut mesh, 2), seen);
    }
    mesh.input(0, NodeInput::Visibility(VisibleTo::Nobody));
    mesh.run(SECOND);
    assert!(watcher(&mut mesh, 0).is_some(), "the presentity itself sees who it gave something to");
}

#[test]
fn who_hides_can_be_refused_and_its_key_opens_nothing_that_is_published_later() {
    let mut mesh = star();
    let audience = Audience::Watcher(mesh.who(0));
    rule(&mut mesh, audience, AccessRule { visible_only: true, ..AccessRule::default() });
    watch(&mut mesh, 0);
    watch(&mut mesh, 2);
    note(&mut mesh, "before");
    assert_eq!((subscribes(&mesh, 0), shows_note(&mesh, 0).as_deref()), (Some(Active), Some("before")));

    let records = mesh.view(2, 1).version.sequence;
    mesh.input(0, NodeInput::Visibility(VisibleTo::AllBut([mesh.who(2)].into())));
    mesh.run(SECOND);
    assert_eq!(watches(&mesh, 0), Some((Terminated, SubscriptionEvent::Rejected)));
    assert_eq!((subscribes(&mesh, 0), fetch(&mut mesh, 0)), (None, FetchOutcome::Refused));
    assert_eq!(mesh.view(2, 1).version.sequence, records, "hiding makes nobody publish");
    note(&mut mesh, "after");
    let shown = (shows_note(&mesh, 0), shows_note(&mesh, 2));
    assert_eq!(shown, (None, Some("after".to_owned())), "and who does not hide goes on");

    mesh.input(0, NodeInput::Visibility(VisibleTo::Everybody));
    mesh.run(SECOND);
    assert_eq!((subscribes(&mesh, 0), shows_note(&mesh, 0).as_deref()), (Some(Active), Some("after")));
}

#[test]
fn one_who_hides_is_refused_as_soon_as_a_rule_says_so() {
    let mut mesh = star();
    mesh.input(0, NodeInput::Visibility(VisibleTo::Nobody));
    watch(&mut mesh, 0);
    assert_eq!(subscribes(&mesh, 0), Some(Active));
    rule(&mut mesh, Audience::Strangers, AccessRule { visible_only: true, ..AccessRule::default() });
    assert_eq!(watches(&mesh, 0), Some((Terminated, SubscriptionEvent::Rejected)));
    note(&mut mesh, "news");
    assert_eq!(shows_note(&mesh, 0), None);
    // It said nothing of what it asks for only now.
    assert_eq!((fetch(&mut mesh, 2), shows_note(&mesh, 2).as_deref()), (FetchOutcome::Direct, Some("news")));
}

#[test]
fn too_many_questions_for_watchers_are_not_answered_and_a_lost_one_says_so() {
    let mut mesh = star();
    let who = mesh.who(1);
    let tokens: Vec<_> =
        (0..12).map(|_| mesh.with(0, |node, now| node.handle_fetch_watchers(now, who))).collect();
    mesh.run(SECOND);
    let answered = tokens.iter().filter(|token| mesh.seat(0).watchers[token].is_some()).count();
    assert_eq!(answered, 10);
    mesh.kill(1);
    mesh.run(SECOND);
    let token = mesh.with(0, |node, now| node.handle_fetch_watchers(now, who));
    mesh.run(10 * SECOND);
    assert_eq!(mesh.seat(0).watchers[&token], None);
}
