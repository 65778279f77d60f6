//! ACCESS RULES between whole nodes: who is given what, by whatever way it asks.
//!
//! Node 1 is the PRESENTITY whose rules these are; the others watch it.

use std::time::Duration;

use SubscriptionState::{Active, Pending, Terminated, Waiting};

use super::mesh::{Faults, Mesh};
use crate::{
    durable::{Change, Durability},
    identity::Presentity,
    message::instant_message::{Delivery, FailureReason},
    node::{
        AccessError, FetchOutcome, IncomingRequest, NodeInput, NodeOutput, Notice, OutgoingRequest,
        ResponseToken, SentOutcome,
    },
    presence::{
        access_rules::{AccessRule, Audience, Handling, Transformations, View},
        information::{Basic, CommunicationAddress, Note, PresenceInformation, PresenceTuple},
        publication::REFRESH_INTERVAL,
        record::PresenceRecord,
        service::Transition,
        views::KEY_LIFETIME,
    },
    watcher::{
        subscription::{DURATION_MAX, SubscriptionEvent, SubscriptionState},
        watcher_information::VisibleTo,
    },
    wire::frames::PresenceRequest,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What must not be found where it was not granted.
const MARKERS: [&str; 3] = ["secret-note", "tel:+1-201-555-0123", "secret-activity"];

pub(super) fn block() -> AccessRule {
    AccessRule::without_grant(Handling::Block)
}

pub(super) fn handled(handling: Handling) -> AccessRule {
    AccessRule::without_grant(handling)
}

/// The document of node 1, with a marker in each of its fields.
fn marked(mesh: &Mesh) -> PresenceInformation {
    let mut document = mesh.node(1).information().clone();
    document.markup.note = Some(Note { text: MARKERS[0].to_owned(), language: None });
    document.markup.activities = [MARKERS[2].parse().unwrap()].into();
    document.tuples.push(PresenceTuple {
        id: "phone".parse().unwrap(),
        communication_address: Some(CommunicationAddress {
            means: "tel".parse().unwrap(),
            contact: MARKERS[1].to_owned(),
        }),
        ..document.tuples[0].clone()
    });
    document
}

fn set(mesh: &mut Mesh, document: PresenceInformation) {
    mesh.with(1, |node, now| node.handle_set(now, document)).unwrap();
    mesh.run(SECOND);
}

pub(super) fn note(mesh: &mut Mesh, text: &str) {
    let mut document = mesh.node(1).information().clone();
    document.markup.note = Some(Note { text: text.to_owned(), language: None });
    set(mesh, document);
}

pub(super) fn rule(mesh: &mut Mesh, audience: Audience, rule: impl Into<Option<AccessRule>>) {
    mesh.rule(1, audience, rule.into()).unwrap();
    mesh.run(SECOND);
}

pub(super) fn rule_for(mesh: &mut Mesh, seat: usize, handling: Handling) {
    let audience = Audience::Watcher(mesh.who(seat));
    rule(mesh, audience, handled(handling));
}

pub(super) fn watch(mesh: &mut Mesh, seat: usize) {
    let who = mesh.who(1);
    assert!(mesh.with(seat, |node, now| node.handle_watch(now, who)));
    mesh.run(SECOND);
}

pub(super) fn fetch(mesh: &mut Mesh, seat: usize) -> FetchOutcome {
    let who = mesh.who(1);
    let token = mesh.with(seat, |node, now| node.handle_fetch(now, who));
    mesh.run(SECOND);
    mesh.seat(seat).fetched[&token]
}

/// What `seat` shows of node 1.
fn shown(mesh: &Mesh, seat: usize) -> Option<PresenceInformation> {
    mesh.view(seat, 1).information
}

pub(super) fn shows_note(mesh: &Mesh, seat: usize) -> Option<String> {
    shown(mesh, seat)?.markup.note.map(|note| note.text)
}

/// Where the subscription of `seat` stands, as its own node sees it.
pub(super) fn watches(mesh: &Mesh, seat: usize) -> Option<(SubscriptionState, SubscriptionEvent)> {
    let watching = mesh.node(seat).subscriptions().watching;
    watching.iter().find(|watch| watch.presentity == mesh.who(1)).map(|watch| (watch.state, watch.event))
}

/// Where it stands, as node 1 sees it.
pub(super) fn subscribes(mesh: &Mesh, seat: usize) -> Option<SubscriptionState> {
    let subscribers = mesh.node(1).subscriptions().subscribers;
    subscribers.iter().find(|one| one.presentity == mesh.who(seat)).map(|one| one.state)
}

pub(super) fn listen(mesh: &mut Mesh, seat: usize) {
    mesh.seat_mut(seat).heard = Some(Vec::new());
}

/// Which markers are in anything that `seat` was sent or has on its disk.
fn heard(mesh: &Mesh, seat: usize) -> Vec<&'static str> {
    let heard = mesh.seat(seat).heard.as_ref().expect("it is listened to");
    let disk = mesh.seat(seat).disk.records.values().map(|record| &record.bytes);
    let all: Vec<_> = heard.iter().chain(disk).collect();
    assert!(!all.is_empty());
    let contains = |marker: &str| {
        all.iter().any(|bytes| bytes.windows(marker.len()).any(|window| window == marker.as_bytes()))
    };
    MARKERS.into_iter().filter(|marker| contains(marker)).collect()
}

/// Nodes 0, 2 and 3 are linked with node 1, and nothing is in the clear since node 3 is blocked.
pub(super) fn star() -> Mesh {
    let mut mesh = Mesh::new(4);
    for seat in [0, 2, 3] {
        mesh.link(seat, 1);
    }
    mesh.run(MINUTE);
    rule_for(&mut mesh, 3, Handling::Block);
    mesh.take_notices();
    mesh
}

#[test]
fn by_default_two_nodes_that_never_met_see_everything_at_once() {
    let mut mesh = Mesh::row(2);
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    assert_eq!((shown(&mesh, 0), mesh.view(0, 1).sealed), (Some(document), false));
}

#[test]
fn a_blocked_watcher_is_refused_and_nothing_it_was_sent_holds_what_is_withheld() {
    let mut mesh = Mesh::row(3);
    for seat in [0, 2] {
        listen(&mut mesh, seat);
    }
    watch(&mut mesh, 2);
    watch(&mut mesh, 0);
    rule_for(&mut mesh, 2, Handling::Block);
    assert_eq!(watches(&mesh, 2), Some((Terminated, SubscriptionEvent::Rejected)));
    let document = marked(&mesh);
    set(&mut mesh, document.clone());

    assert_eq!(fetch(&mut mesh, 2), FetchOutcome::Refused);
    watch(&mut mesh, 2);
    let goes_round = mesh.who(1);
    mesh.with(2, |node, now| node.handle(now, NodeInput::LinkDown { presentity: goes_round }));
    mesh.relink(1, 2);
    mesh.run(2 * HOUR);
    assert_eq!(watches(&mesh, 2), Some((Terminated, SubscriptionEvent::Rejected)));
    assert_eq!((shown(&mesh, 2), mesh.view(2, 1).sealed), (None, true));
    assert_eq!(heard(&mesh, 2), [""; 0]);
    // And whoever is allowed has all of it, by the same gossip.
    assert_eq!((shown(&mesh, 0), subscribes(&mesh, 2)), (Some(document), None));
    assert_eq!(heard(&mesh, 0), [""; 0], "on its way and on the disk it is sealed for everybody");
}

#[test]
fn who_is_allowed_again_is_given_the_document_without_a_restart() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    watch(&mut mesh, 3);
    assert_eq!((fetch(&mut mesh, 3), shown(&mesh, 3)), (FetchOutcome::Refused, None));
    let audience = Audience::Watcher(mesh.who(3));
    rule(&mut mesh, audience, None);
    assert_eq!((fetch(&mut mesh, 3), shown(&mesh, 3)), (FetchOutcome::Direct, Some(document)));
    mesh.run(10 * SECOND);
    assert_eq!(watches(&mesh, 3).map(|(state, _)| state), Some(Active), "it was told that asking helps now");
    note(&mut mesh, "news");
    assert_eq!(shows_note(&mesh, 3).as_deref(), Some("news"));
}

#[test]
fn fetch_notification_and_gossip_show_the_same() {
    let mut mesh = star();
    let without_notes = Transformations { notes: false, ..Transformations::default() };
    let audience = Audience::Watcher(mesh.who(2));
    rule(&mut mesh, audience, AccessRule { grants: without_notes.clone(), ..AccessRule::default() });
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    let of = |grants: &Transformations| Some(View::Granted(grants.clone()).of(&document));
    for (seat, grants) in [(0, Transformations::default()), (2, without_notes)] {
        assert_eq!((fetch(&mut mesh, seat), shown(&mesh, seat)), (FetchOutcome::Direct, of(&grants)));
        watch(&mut mesh, seat);
        assert_eq!(shown(&mesh, seat), of(&grants));
    }
    // A change comes by notification to one, and by gossip to the other.
    mesh.faults = Faults { gossip_lost: 1.0, ..Faults::default() };
    let mut changed = document.clone();
    changed.tuples[1].status.basic = Basic::Closed;
    set(&mut mesh, changed.clone());
    assert_eq!(shown(&mesh, 0), Some(changed.clone()));
    mesh.faults = Faults { request_lost: 1.0, ..Faults::default() };
    set(&mut mesh, document.clone());
    assert_eq!(shown(&mesh, 0), Some(document));
}

#[test]
fn the_same_watcher_is_given_the_same_by_a_node_that_only_heard_of_it() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document);
    watch(&mut mesh, 0);
    // Node 2 has no key. What it passes on opens for node 0 and stays closed for itself.
    mesh.unlink(0, 1);
    mesh.link(0, 2);
    mesh.run(MINUTE);
    note(&mut mesh, "by another way");
    mesh.run(MINUTE);
    assert_eq!(shows_note(&mesh, 0).as_deref(), Some("by another way"));
    assert_eq!(shown(&mesh, 2), None);
}

/// What a watcher that stays politely blocked sees of a subscription, and of sending.
fn politely_blocked() -> Mesh {
    let mut mesh = star();
    rule_for(&mut mesh, 3, Handling::PoliteBlock);
    let document = marked(&mesh);
    set(&mut mesh, document);
    listen(&mut mesh, 3);
    watch(&mut mesh, 3);
    watch(&mut mesh, 0);
    mesh.take_notices();
    mesh
}

#[test]
fn who_is_politely_blocked_seems_to_watch_one_who_is_closed() {
    let mut mesh = politely_blocked();
    let document = mesh.node(1).information().clone();
    assert_eq!(watches(&mesh, 3).map(|(state, _)| state), Some(Active));
    let decoy = View::Decoy.of(&document);
    assert_eq!(shown(&mesh, 3), Some(decoy.clone()));
    assert_eq!((fetch(&mut mesh, 3), shown(&mesh, 3)), (FetchOutcome::Direct, Some(decoy)));
    assert_eq!(shown(&mesh, 3).unwrap().instant_inbox().unwrap().1, Basic::Closed);
    assert_eq!(heard(&mesh, 3), [""; 0]);
}

#[test]
fn who_is_politely_blocked_is_notified_of_nothing_that_is_hidden() {
    let mut mesh = politely_blocked();
    listen(&mut mesh, 0);
    let notified = |mesh: &Mesh, seat: usize| {
        let heard = mesh.seat(seat).heard.iter().flatten();
        // Notify is request number 4; a record that is gossiped begins with its format, 1.
        heard.filter(|bytes| bytes.first() == Some(&4) && bytes.len() > 500).count()
    };
    for seat in [0, 3] {
        mesh.seat_mut(seat).heard = Some(Vec::new());
    }
    for text in ["one", "two", "three"] {
        note(&mut mesh, text);
    }
    assert_eq!((notified(&mesh, 0), notified(&mesh, 3)), (3, 0));
    assert_eq!(mesh.transitions(3, 1), []);
    assert_eq!(mesh.transitions(0, 1), [Transition::Changed; 3]);
}

/// How a message to node 1 ends, plain and queued, as its sender sees it.
fn delivery(mesh: &mut Mesh, from: usize) -> [Vec<SentOutcome>; 2] {
    [false, true].map(|queue| {
        let id = mesh.send(from, 1, "hello", queue);
        mesh.run(20 * SECOND);
        mesh.seat(from).sent.get(&id).cloned().unwrap_or_default()
    })
}

#[test]
fn a_message_of_who_is_politely_blocked_ends_as_one_to_somebody_who_is_truly_closed() {
    let mut blocked = politely_blocked();
    let outcome = delivery(&mut blocked, 3);
    assert_eq!(outcome[0], [SentOutcome::Final(Delivery::Failed(FailureReason::Closed))]);
    assert_eq!(blocked.inbox(1), [""; 0]);
    assert_eq!(delivery(&mut blocked, 0)[0], [SentOutcome::Final(Delivery::Delivered)]);

    let mut closed = star();
    rule_for(&mut closed, 3, Handling::Allow);
    let mut document = closed.node(1).information().clone();
    document.tuples[0].status.basic = Basic::Closed;
    set(&mut closed, document);
    watch(&mut closed, 3);
    assert_eq!(delivery(&mut closed, 3), outcome);
    // The documents are alike as well.
    assert_eq!(shown(&closed, 3), shown(&blocked, 3));
}

#[test]
fn a_presentity_that_really_closes_tells_nothing_to_who_is_politely_blocked() {
    let mut mesh = politely_blocked();
    let before = shown(&mesh, 3);
    let mut document = mesh.node(1).information().clone();
    for basic in [Basic::Closed, Basic::Open] {
        for tuple in &mut document.tuples {
            tuple.status.basic = basic;
        }
        set(&mut mesh, document.clone());
    }
    assert_eq!((shown(&mesh, 3), mesh.transitions(3, 1)), (before, vec![]));
    assert_eq!(mesh.transitions(0, 1), [Transition::Changed; 2]);
}

#[test]
fn a_request_that_has_to_be_confirmed_is_pending_until_it_is_and_then_opens_the_document() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    rule(&mut mesh, Audience::Strangers, handled(Handling::Confirm));
    watch(&mut mesh, 2);
    assert_eq!(watches(&mesh, 2), Some((Pending, SubscriptionEvent::Subscribe)));
    assert_eq!((subscribes(&mesh, 2), shown(&mesh, 2)), (Some(Pending), None));
    assert_eq!(fetch(&mut mesh, 2), FetchOutcome::Unconfirmed);
    let who = mesh.who(2);
    let asked = Notice::Subscriber { presentity: who, state: Pending, event: SubscriptionEvent::Subscribe };
    assert_eq!(mesh.seat(1).notices.iter().filter(|notice| **notice == asked).count(), 1);

    mesh.take_notices();
    rule_for(&mut mesh, 2, Handling::Allow);
    assert_eq!(watches(&mesh, 2), Some((Active, SubscriptionEvent::Approved)));
    assert_eq!((shown(&mesh, 2), mesh.transitions(2, 1)), (Some(document), vec![Transition::Changed]));
    let approved = Notice::Subscriber { presentity: who, state: Active, event: SubscriptionEvent::Approved };
    assert!(mesh.seat(1).notices.contains(&approved));
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_request_that_is_not_confirmed_in_time_waits_and_outlives_a_restart_and_is_answered_when_asked_again() {
    let mut mesh = star();
    rule(&mut mesh, Audience::Strangers, handled(Handling::Confirm));
    watch(&mut mesh, 2);
    mesh.kill(2);
    mesh.run(DURATION_MAX + MINUTE);
    assert_eq!(subscribes(&mesh, 2), Some(Waiting));
    mesh.kill(1);
    mesh.start(1);
    mesh.run(SECOND);
    assert_eq!(subscribes(&mesh, 2), Some(Waiting));
    rule_for(&mut mesh, 2, Handling::Allow);
    assert_eq!(subscribes(&mesh, 2), None);
    mesh.start(2);
    mesh.link(2, 1);
    mesh.run(SECOND);
    watch(&mut mesh, 2);
    assert_eq!(watches(&mesh, 2).map(|(state, _)| state), Some(Active));
}

#[test]
fn an_allowance_that_turns_into_a_question_takes_the_document_away_until_it_is_answered() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document);
    watch(&mut mesh, 2);
    assert!(shown(&mesh, 2).is_some());
    rule_for(&mut mesh, 2, Handling::Confirm);
    assert_eq!(watches(&mesh, 2), Some((Pending, SubscriptionEvent::Subscribe)));
    note(&mut mesh, "later");
    assert_eq!(shown(&mesh, 2), None);
    rule_for(&mut mesh, 2, Handling::Allow);
    assert_eq!(shows_note(&mesh, 2).as_deref(), Some("later"));
}

#[test]
fn who_is_revoked_cannot_open_the_next_version_whatever_it_kept() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document);
    watch(&mut mesh, 2);
    watch(&mut mesh, 0);
    let kept = mesh.seat(2).disk.keys[&mesh.who(1)].key.clone();
    let opens = |mesh: &Mesh| kept.open(mesh.node(1).own_record().unwrap()).is_some();
    assert!(opens(&mesh));
    rule_for(&mut mesh, 2, Handling::Block);
    assert!(!opens(&mesh));
    assert_eq!((shown(&mesh, 2), mesh.seat(2).disk.keys.len()), (None, 0));
    note(&mut mesh, "later");
    assert!(!opens(&mesh));
    assert_eq!(shows_note(&mesh, 0).as_deref(), Some("later"), "the others were given the new key");
}

#[test]
fn a_petname_moves_a_watcher_from_the_strangers_view_to_the_contacts_at_once() {
    let mut mesh = star();
    let status_only = AccessRule { grants: Transformations::status_only(), ..AccessRule::default() };
    rule(&mut mesh, Audience::Strangers, status_only);
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    watch(&mut mesh, 0);
    watch(&mut mesh, 2);
    let of = |grants| Some(View::Granted(grants).of(&document));
    assert_eq!(shown(&mesh, 2), of(Transformations::status_only()));
    mesh.befriend(1, 2);
    mesh.run(SECOND);
    assert_eq!(shown(&mesh, 2), Some(document.clone()));
    assert_eq!(shown(&mesh, 0), of(Transformations::status_only()));
    mesh.unfriend(1, 2);
    mesh.run(SECOND);
    assert_eq!(shown(&mesh, 2), of(Transformations::status_only()));
}

#[test]
fn a_subscriber_is_notified_when_another_view_is_granted_it_even_if_gossip_is_lost() {
    let mut mesh = Mesh::row(2);
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    let status_only = AccessRule { grants: Transformations::status_only(), ..AccessRule::default() };
    for class in [Audience::Anybody, Audience::Strangers] {
        rule(&mut mesh, class, status_only.clone());
    }
    watch(&mut mesh, 0);
    mesh.faults = Faults { gossip_lost: 1.0, ..Faults::default() };
    let less = Some(View::Granted(Transformations::status_only()).of(&document));
    assert_eq!(shown(&mesh, 0), less);
    // From what goes in the clear to a view that is sealed and was there already, and back.
    mesh.befriend(1, 0);
    mesh.run(SECOND);
    assert_eq!(shown(&mesh, 0), Some(document));
    mesh.unfriend(1, 0);
    mesh.run(SECOND);
    assert_eq!(shown(&mesh, 0), less);
}

#[test]
fn a_rule_for_somebody_else_is_no_news_to_a_watcher_although_all_keys_change() {
    let mut mesh = Mesh::row(3);
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    watch(&mut mesh, 0);
    watch(&mut mesh, 2);
    for (seed, handling) in (0..20).zip([Handling::Block, Handling::Allow].into_iter().cycle()) {
        mesh.seed(seed);
        mesh.take_notices();
        rule_for(&mut mesh, 2, handling);
        assert_eq!((shown(&mesh, 0), mesh.transitions(0, 1)), (Some(document.clone()), vec![]), "{seed}");
    }
}

#[test]
fn a_key_that_gets_lost_on_its_way_is_asked_for() {
    let mut mesh = Mesh::row(3);
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    watch(&mut mesh, 0);
    mesh.faults = Faults { request_lost: 1.0, ..Faults::default() };
    mesh.rule(1, Audience::Watcher(mesh.who(2)), Some(block())).unwrap();
    mesh.run(SECOND);
    assert_eq!(shown(&mesh, 0), Some(document.clone()), "it may be on its way");
    mesh.run(2 * SECOND);
    assert_eq!((shown(&mesh, 0), mesh.view(0, 1).sealed), (None, true));
    mesh.faults = Faults::default();
    mesh.run(MINUTE);
    assert_eq!(shown(&mesh, 0), Some(document));
}

#[test]
fn a_watcher_that_reads_what_is_in_the_clear_waits_for_no_key() {
    let mut mesh = Mesh::row(3);
    let document = marked(&mesh);
    set(&mut mesh, document);
    let lesser = AccessRule { grants: Transformations::status_only(), ..AccessRule::default() };
    let audience = Audience::Watcher(mesh.who(0));
    rule(&mut mesh, audience, lesser);
    watch(&mut mesh, 0);
    mesh.take_notices();
    let mut document = mesh.node(1).information().clone();
    document.tuples[1].status.basic = Basic::Closed;
    mesh.with(1, |node, now| node.handle_set(now, document)).unwrap();
    mesh.run(Duration::from_millis(20));
    assert_eq!(mesh.transitions(0, 1), [Transition::Changed]);
    assert_eq!(shown(&mesh, 0).unwrap().tuples[1].status.basic, Basic::Closed);
}

#[test]
fn subscribers_are_told_of_the_goodbye_too_if_there_is_no_link_with_them() {
    let mut mesh = star();
    watch(&mut mesh, 0);
    watch(&mut mesh, 2);
    mesh.unlink(2, 1);
    mesh.run(SECOND);
    let before = mesh.seat(1).asked.get("notify").copied().unwrap_or_default();
    mesh.with(1, |node, now| node.handle_depart(now));
    // Goodbyes to nodes 0 and 3, and a notification to node 2.
    assert_eq!(mesh.seat(1).asked["notify"], before + 3);
}

#[test]
fn a_restart_a_day_and_a_goodbye_change_the_keys_and_are_no_change_of_the_document() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    watch(&mut mesh, 0);
    mesh.take_notices();
    mesh.run(KEY_LIFETIME + 2 * REFRESH_INTERVAL);
    assert_eq!((shown(&mesh, 0), mesh.transitions(0, 1)), (Some(document.clone()), vec![]));
    mesh.depart(1);
    mesh.run(SECOND);
    assert_eq!((shown(&mesh, 0), mesh.transitions(0, 1)), (Some(document.clone()), vec![Transition::Left]));
    mesh.take_notices();
    mesh.start(1);
    mesh.link(1, 0);
    mesh.run(SECOND);
    assert_eq!(shown(&mesh, 0), Some(document));
}

#[test]
fn a_third_party_can_neither_cause_nor_cancel_a_subscription() {
    let mut mesh = star();
    watch(&mut mesh, 0);
    let (zero, one) = (mesh.who(0), mesh.who(1));
    let ask = |mesh: &mut Mesh, at: usize, from: usize, request: PresenceRequest| {
        let from = mesh.who(from);
        let outputs = mesh.with(at, |node, now| {
            let request: IncomingRequest = OutgoingRequest::Presence(request);
            node.handle(now, NodeInput::Request { token: ResponseToken(77), from, request });
            std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
        });
        mesh.run(SECOND);
        outputs
    };
    // Node 2 ends a subscription: its own, of which there is none.
    let end = PresenceRequest::Subscribe { seconds: 0, visible_to: VisibleTo::Everybody };
    ask(&mut mesh, 1, 2, end);
    assert_eq!((subscribes(&mesh, 0), subscribes(&mesh, 2)), (Some(Active), None));
    // It tells node 0 that what it asked of node 1 is over: that says nothing of node 1.
    let over = crate::watcher::subscription::SubscriptionReport::ended(SubscriptionEvent::Rejected, None);
    let notify = |subscription, key| PresenceRequest::Notify { record: Vec::new(), subscription, key };
    ask(&mut mesh, 0, 2, notify(Some(over), None));
    assert_eq!(watches(&mesh, 0).map(|(state, _)| state), Some(Active));
    assert!(mesh.seat(0).disk.keys.contains_key(&one));
    // Whoever was not asked grants nothing, and is given back what it claims to grant.
    let stands = mesh.with(1, |node, now| node.subscribers.report(now, &zero));
    let key = mesh.seat(0).disk.keys[&one].key.clone();
    let released = crate::presence::views::ReleasedKey { key, lifetime_seconds: 60 };
    let outputs = ask(&mut mesh, 0, 2, notify(stands, Some(released)));
    let gives_back = |output: &NodeOutput| {
        let NodeOutput::Request { request: OutgoingRequest::Presence(request), .. } = output else {
            return false;
        };
        matches!(request, PresenceRequest::Subscribe { seconds: 0, .. })
    };
    assert_eq!(outputs.iter().filter(|output| gives_back(output)).count(), 1);
    assert_eq!(mesh.seat(0).disk.keys.keys().copied().collect::<Vec<Presentity>>(), [one]);
    assert_eq!(mesh.node(0).subscriptions().watching.len(), 1);
}

#[test]
fn a_watcher_that_was_away_is_given_the_new_key_when_it_returns() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document);
    watch(&mut mesh, 0);
    watch(&mut mesh, 2);
    mesh.cut_off(0);
    mesh.run(10 * MINUTE);
    rule_for(&mut mesh, 2, Handling::Block);
    note(&mut mesh, "meanwhile");
    mesh.link(0, 1);
    mesh.run(SECOND);
    assert_eq!(shows_note(&mesh, 0).as_deref(), Some("meanwhile"));
}

#[test]
fn the_last_state_stays_readable_while_the_presentity_is_gone_and_no_longer_than_the_key_may_be_kept() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    watch(&mut mesh, 0);
    mesh.kill(1);
    mesh.run(KEY_LIFETIME - HOUR);
    assert_eq!(shown(&mesh, 0), Some(document.clone()));
    // A restart changes nothing in that: the key is on the disk, and opens what is there beside it.
    mesh.kill(0);
    mesh.run(SECOND);
    mesh.start(0);
    mesh.run(SECOND);
    assert_eq!(shown(&mesh, 0), Some(document));
    mesh.run(2 * HOUR);
    assert_eq!((shown(&mesh, 0), mesh.view(0, 1).sealed), (None, true));
    assert_eq!(mesh.seat(0).disk.keys.len(), 0);
}

#[test]
fn contacts_are_watched_by_themselves_and_after_a_restart_again() {
    let mut mesh = star();
    let document = marked(&mesh);
    set(&mut mesh, document.clone());
    assert_eq!(watches(&mesh, 0), None);
    mesh.befriend(0, 1);
    mesh.run(SECOND);
    assert_eq!((watches(&mesh, 0).unwrap().0, shown(&mesh, 0)), (Active, Some(document.clone())));
    mesh.kill(0);
    mesh.start(0);
    mesh.link(0, 1);
    mesh.run(SECOND);
    assert_eq!((watches(&mesh, 0).unwrap().0, shown(&mesh, 0)), (Active, Some(document)));
    mesh.unfriend(0, 1);
    mesh.run(SECOND);
    assert_eq!((watches(&mesh, 0), subscribes(&mesh, 0)), (None, None));
}

#[test]
fn one_petname_of_two_that_is_taken_back_leaves_a_contact() {
    let mut mesh = star();
    mesh.befriend(0, 1);
    let also = crate::durable::StoredContact { petname: "also".to_owned(), presentity: mesh.who(1) };
    mesh.input(0, NodeInput::ContactPut(also));
    mesh.unfriend(0, 1);
    mesh.run(SECOND);
    assert_eq!(watches(&mesh, 0).unwrap().0, Active);
    let mut moved = mesh.node(0).contacts().remove(0);
    moved.presentity = mesh.who(2);
    mesh.input(0, NodeInput::ContactPut(moved));
    mesh.run(SECOND);
    assert_eq!(watches(&mesh, 0), None);
}

#[test]
fn rules_outlive_a_restart() {
    let mut mesh = star();
    mesh.kill(1);
    mesh.start(1);
    for seat in [0, 2, 3] {
        mesh.link(seat, 1);
    }
    mesh.run(SECOND);
    let audience = Audience::Watcher(mesh.who(3));
    assert_eq!(mesh.node(1).access_rules().of(&audience), Some(&block()));
    assert_eq!(mesh.node(1).own_record().unwrap().body().public, None);
    assert_eq!(fetch(&mut mesh, 3), FetchOutcome::Refused);
}

#[test]
fn a_rule_that_leaves_no_room_in_the_record_is_refused_and_the_old_ones_stand() {
    let mut mesh = star();
    let mut document = mesh.node(1).information().clone();
    document.markup.note = Some(Note { text: "x".repeat(250), language: None });
    set(&mut mesh, document);
    let before = mesh.node(1).own_record().map(PresenceRecord::version);
    let without_activities = Transformations { activities: false, ..Transformations::default() };
    let lesser = AccessRule { grants: without_activities, ..AccessRule::default() };
    let audience = Audience::Watcher(mesh.who(2));
    assert!(matches!(mesh.rule(1, audience, Some(lesser)), Err(AccessError::Publish(_))));
    mesh.run(SECOND);
    assert_eq!(mesh.node(1).access_rules().of(&audience), None);
    assert_eq!(mesh.node(1).own_record().map(PresenceRecord::version), before);
}

#[test]
fn a_key_is_stored_before_the_record_that_it_moved_on_to() {
    let mut mesh = star();
    watch(&mut mesh, 0);
    let document = marked(&mesh);
    mesh.with(1, |node, now| node.handle_set(now, document)).unwrap();
    let record = mesh.node(1).own_record().unwrap().bytes().to_vec();
    let (one, zero) = (mesh.who(1), 0);
    let outputs = mesh.with(zero, |node, now| {
        let token = crate::node::GossipToken(7);
        node.handle(now, NodeInput::Gossip { token, from: one, bytes: record });
        std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
    });
    let stored: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            NodeOutput::Persist { changes, durability: Durability::Lazy, .. } => changes.first(),
            _ => None,
        })
        .collect();
    assert!(matches!(stored.as_slice(), [Change::PutKey(_), Change::Record(_)]), "{stored:?}");
}

#[test]
fn what_a_full_disk_did_not_take_of_keys_and_watchers_is_stored_when_it_can_be() {
    let mut mesh = star();
    mesh.faults = Faults { disk_fails: 1.0, ..Faults::default() };
    watch(&mut mesh, 0);
    mesh.run(MINUTE);
    let (zero, one) = (mesh.who(0), mesh.who(1));
    let stored = |mesh: &Mesh| {
        (mesh.seat(0).disk.keys.contains_key(&one), mesh.seat(1).disk.watchers.contains_key(&zero))
    };
    assert_eq!(stored(&mesh), (false, false));
    mesh.faults = Faults::default();
    mesh.run(MINUTE);
    assert_eq!(stored(&mesh), (true, true));
}
