//! SUBSCRIPTIONS and FETCHES between nodes.

use std::time::Duration;

use super::mesh::{Faults, Mesh};
use crate::{
    node::{FetchOutcome, NodeInput, Notice},
    presence::{publication::REFRESH_INTERVAL, record::NodeAddress, service::Transition},
    watcher::{
        subscription::{DURATION_MAX, SubscriptionState},
        watches::WATCHES_MAX,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Node 0 watches node 1, and gossip brings nothing.
fn watching() -> Mesh {
    let mut mesh = Mesh::row(2);
    mesh.faults = Faults { gossip_lost: 1.0, ..Faults::default() };
    watch(&mut mesh);
    mesh.run(SECOND);
    mesh
}

fn watch(mesh: &mut Mesh) {
    let who = mesh.who(1);
    assert!(mesh.with(0, |node, now| node.handle_watch(now, who)));
}

fn state(mesh: &Mesh) -> Vec<SubscriptionState> {
    mesh.node(0).subscriptions().watching.iter().map(|watch| watch.state).collect()
}

fn subscribers(mesh: &Mesh) -> usize {
    mesh.node(1).subscriptions().subscribers.len()
}

fn rename(mesh: &mut Mesh, seat: usize, name: &str) {
    let mut document = mesh.node(seat).information().clone();
    document.display_name = name.to_owned();
    mesh.with(seat, |node, now| node.handle_set(now, document)).unwrap();
}

fn subscriber_notices(mesh: &Mesh, seat: usize) -> Vec<SubscriptionState> {
    let of = |notice: &Notice| match notice {
        Notice::Subscriber { state, .. } => Some(*state),
        _ => None,
    };
    mesh.seat(seat).notices.iter().filter_map(of).collect()
}

#[test]
fn a_subscriber_is_notified_of_every_change_even_if_gossip_is_lost() {
    let mut mesh = watching();
    assert_eq!((state(&mesh), subscribers(&mesh)), (vec![SubscriptionState::Active], 1));
    assert_eq!(subscriber_notices(&mesh, 1), [SubscriptionState::Active]);
    rename(&mut mesh, 1, "Roberta");
    mesh.run(Duration::from_millis(20));
    assert_eq!(mesh.transitions(0, 1), [Transition::Changed]);
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_subscription_begins_with_the_newest_record() {
    let mut mesh = Mesh::row(2);
    mesh.faults = Faults { gossip_lost: 1.0, ..Faults::default() };
    rename(&mut mesh, 1, "Roberta");
    watch(&mut mesh);
    mesh.run(Duration::from_millis(20));
    assert_eq!(mesh.transitions(0, 1), [Transition::Changed]);
}

#[test]
fn a_refresh_and_a_change_of_addresses_notify_nobody() {
    let mut mesh = watching();
    mesh.run(REFRESH_INTERVAL * 2);
    mesh.input(1, NodeInput::Addresses(vec![NodeAddress(vec![1; 8])]));
    mesh.run(MINUTE);
    assert_eq!(mesh.seat(1).asked.get("notify"), None);
}

#[test]
fn a_subscription_is_renewed_for_as_long_as_it_is_wanted_and_then_given_back() {
    let mut mesh = watching();
    mesh.run(DURATION_MAX * 5);
    assert_eq!((state(&mesh), subscribers(&mesh)), (vec![SubscriptionState::Active], 1));
    assert_eq!(mesh.seat(0).asked["subscribe"], 11);
    let who = mesh.who(1);
    assert!(mesh.with(0, |node, now| node.handle_unwatch(now, who)));
    mesh.run(SECOND);
    assert_eq!((state(&mesh), subscribers(&mesh)), (vec![], 0));
    assert_eq!(subscriber_notices(&mesh, 1), [SubscriptionState::Active, SubscriptionState::Terminated]);
}

#[test]
fn a_watch_that_ends_before_it_is_answered_leaves_no_subscription_behind() {
    let mut mesh = Mesh::row(2);
    watch(&mut mesh);
    let who = mesh.who(1);
    assert!(mesh.with(0, |node, now| node.handle_unwatch(now, who)));
    mesh.run(SECOND);
    assert_eq!((state(&mesh), subscribers(&mesh)), (vec![], 0));
}

#[test]
fn a_subscriber_that_vanishes_is_forgotten_when_its_lease_ends() {
    let mut mesh = watching();
    mesh.kill(0);
    mesh.run(DURATION_MAX - MINUTE);
    assert_eq!(subscribers(&mesh), 1);
    mesh.run(2 * MINUTE);
    assert_eq!(subscribers(&mesh), 0);
}

#[test]
fn a_watched_node_that_was_restarted_is_asked_anew() {
    let mut mesh = watching();
    mesh.kill(1);
    mesh.run(SECOND);
    mesh.start(1);
    mesh.link(1, 0);
    mesh.run(SECOND);
    assert_eq!((state(&mesh), subscribers(&mesh)), (vec![SubscriptionState::Active], 1));
    mesh.take_notices();
    rename(&mut mesh, 1, "Roberta");
    mesh.run(Duration::from_millis(20));
    assert_eq!(mesh.transitions(0, 1), [Transition::Changed]);
}

#[test]
fn a_watch_of_somebody_out_of_reach_is_pending_until_they_come() {
    let mut mesh = Mesh::row(2);
    mesh.kill(1);
    mesh.run(SECOND);
    watch(&mut mesh);
    mesh.run(10 * MINUTE);
    assert_eq!(state(&mesh), [SubscriptionState::Pending]);
    mesh.start(1);
    mesh.link(0, 1);
    mesh.run(SECOND);
    assert_eq!(state(&mesh), [SubscriptionState::Active]);
}

#[test]
fn no_more_are_watched_than_the_limit_allows() {
    let mut mesh = Mesh::new(1);
    for number in 0..WATCHES_MAX {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let who = crate::identity::Presentity::from_public_key_bytes(bytes);
        assert!(mesh.with(0, |node, now| node.handle_watch(now, who)));
    }
    let who = crate::testing::presentity(&crate::testing::keypair(9));
    assert!(!mesh.with(0, |node, now| node.handle_watch(now, who)));
}

#[test]
fn a_fetch_brings_the_newest_record_from_the_presentitys_own_node() {
    let mut mesh = Mesh::row(2);
    mesh.faults = Faults { gossip_lost: 1.0, ..Faults::default() };
    rename(&mut mesh, 1, "Roberta");
    let who = mesh.who(1);
    let fetch = mesh.with(0, |node, now| node.handle_fetch(now, who));
    mesh.run(Duration::from_millis(20));
    assert_eq!(mesh.seat(0).fetched[&fetch], FetchOutcome::Direct);
    assert_eq!(mesh.node(0).record(&who).unwrap().body().public.as_ref().unwrap().display_name, "Roberta");
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_fetch_that_reaches_nobody_says_so_and_what_was_known_stays() {
    let mut mesh = Mesh::row(2);
    mesh.kill(1);
    let who = mesh.who(1);
    let fetch = mesh.with(0, |node, now| node.handle_fetch(now, who));
    mesh.run(SECOND);
    assert_eq!(mesh.seat(0).fetched[&fetch], FetchOutcome::Unanswered);
    assert!(mesh.node(0).record(&who).is_some());
}

#[test]
fn whoever_said_goodbye_is_not_asked_and_what_was_known_is_given_at_once() {
    let mut mesh = Mesh::row(2);
    let who = mesh.who(1);
    mesh.depart(1);
    mesh.run(SECOND);
    let fetch = mesh.with(0, |node, now| node.handle_fetch(now, who));
    assert_eq!(mesh.seat(0).fetched.get(&fetch), Some(&FetchOutcome::Unanswered));
}

#[test]
fn a_fetcher_has_no_subscription_and_is_notified_of_nothing() {
    let mut mesh = Mesh::row(2);
    mesh.faults = Faults { gossip_lost: 1.0, ..Faults::default() };
    let who = mesh.who(1);
    let fetch = mesh.with(0, |node, now| node.handle_fetch(now, who));
    mesh.run(Duration::from_millis(100));
    assert_eq!((mesh.seat(0).fetched[&fetch], subscribers(&mesh)), (FetchOutcome::Direct, 0));
    rename(&mut mesh, 1, "Roberta");
    mesh.run(Duration::from_millis(100));
    assert_eq!((mesh.seat(1).asked.get("notify"), mesh.transitions(0, 1)), (None, vec![]));
}

#[test]
fn a_notification_is_there_as_soon_as_a_message_would_be() {
    let mut mesh = watching();
    let (mut notified, mut delivered) = (Vec::new(), Vec::new());
    for round in 1..=100 {
        let began = mesh.now;
        let name = format!("name {round}");
        rename(&mut mesh, 1, &name);
        let shows = |mesh: &Mesh| mesh.view(0, 1).display_name.as_ref() == Some(&name);
        mesh.run_until(SECOND, shows);
        notified.push(mesh.now.since(began));
        mesh.run(SECOND);
        let began = mesh.now;
        mesh.send(1, 0, "hello", false);
        mesh.run_until(SECOND, |mesh| mesh.inbox(0).len() == round);
        delivered.push(mesh.now.since(began));
        mesh.run(SECOND);
    }
    for times in [&mut notified, &mut delivered] {
        times.sort_unstable();
    }
    let percentile_95 = |times: &[Duration]| times[94];
    assert!(percentile_95(&notified) <= percentile_95(&delivered), "{notified:?} {delivered:?}");
}
