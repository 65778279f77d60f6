//! Anything goes wrong for a while; then nothing does, and everything must come right.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;

use super::mesh::{Faults, Mesh};
use crate::{
    durable::OutboxState,
    identity::Presentity,
    message::{
        instant_message::{Delivery, MessageId},
        outbox::RETRY_MAX,
    },
    node::{RECONCILIATION_INTERVAL, SentOutcome},
    presence::{
        access_rules::{AccessRule, Audience, Handling},
        information::Basic,
        record::PresenceRecord,
        service::ContactState,
    },
};

const NODES: usize = 3;

#[derive(Debug, Clone)]
enum Action {
    Link(usize, usize),
    Unlink(usize, usize),
    Kill(usize),
    Depart(usize),
    Start(usize),
    Rename(usize, u8),
    Status(usize, Basic),
    Send {
        from: usize,
        to: usize,
        queue: bool,
    },
    Watch(usize, usize),
    /// How the first handles the second, or everybody else.
    Rule(usize, Option<usize>, Handling),
    /// Asks a node to act on what is due before anything is.
    TimeoutTooEarly(usize),
    /// Kills a node and brings back a boot counter of long ago.
    Backup(usize),
}

fn any_action() -> impl Strategy<Value = Action> {
    let one = 0..NODES;
    let two = || (0..NODES, 0..NODES);
    prop_oneof![
        6 => two().prop_map(|(one, other)| Action::Link(one, other)),
        3 => two().prop_map(|(one, other)| Action::Unlink(one, other)),
        2 => one.clone().prop_map(Action::Kill),
        1 => one.clone().prop_map(Action::Depart),
        4 => one.clone().prop_map(Action::Start),
        2 => (one.clone(), any::<u8>()).prop_map(|(one, name)| Action::Rename(one, name)),
        1 => (one.clone(), prop_oneof![Just(Basic::Open), Just(Basic::Closed)])
            .prop_map(|(one, status)| Action::Status(one, status)),
        6 => (two(), any::<bool>()).prop_map(|((from, to), queue)| Action::Send { from, to, queue }),
        2 => two().prop_map(|(one, other)| Action::Watch(one, other)),
        2 => (one.clone(), prop::option::of(one.clone()), any_handling())
            .prop_map(|(one, other, handling)| Action::Rule(one, other, handling)),
        1 => one.clone().prop_map(Action::TimeoutTooEarly),
        1 => one.prop_map(Action::Backup),
    ]
}

fn any_handling() -> impl Strategy<Value = Handling> {
    prop::sample::select(vec![Handling::Block, Handling::Confirm, Handling::PoliteBlock, Handling::Allow])
}

fn any_faults() -> impl Strategy<Value = Faults> {
    let chance = || prop_oneof![2 => Just(0.0), 1 => 0.0..0.7];
    (chance(), chance(), chance(), chance(), chance()).prop_map(
        |(gossip_lost, request_lost, answer_lost, disk_fails, disk_unreadable)| Faults {
            gossip_lost,
            request_lost,
            answer_lost,
            disk_fails,
            disk_unreadable,
        },
    )
}

/// What was sent, by the text of the message.
type Sent = BTreeMap<String, (usize, usize, MessageId)>;

fn act(mesh: &mut Mesh, action: Action, sent: &mut Sent) {
    match action {
        Action::Link(one, other) => mesh.link(one, other),
        Action::Unlink(one, other) => mesh.unlink(one, other),
        Action::Kill(seat) if mesh.runs(seat) => mesh.kill(seat),
        Action::Depart(seat) if mesh.runs(seat) => mesh.depart(seat),
        Action::Start(seat) if !mesh.runs(seat) => mesh.start(seat),
        Action::Rename(seat, name) if mesh.runs(seat) => {
            let mut document = mesh.node(seat).information().clone();
            document.display_name = format!("name {name}");
            mesh.with(seat, |node, now| node.handle_set(now, document)).unwrap();
        }
        Action::Status(seat, status) if mesh.runs(seat) => {
            let mut document = mesh.node(seat).information().clone();
            document.tuples[0].status.basic = status;
            mesh.with(seat, |node, now| node.handle_set(now, document)).unwrap();
        }
        Action::Send { from, to, queue } if mesh.runs(from) && from != to => {
            let text = format!("message {}", sent.len());
            let id = mesh.send(from, to, &text, queue);
            sent.insert(text, (from, to, id));
        }
        Action::Watch(seat, other) if mesh.runs(seat) && seat != other => {
            let who = mesh.who(other);
            assert!(mesh.with(seat, |node, now| node.handle_watch(now, who)));
        }
        Action::Rule(seat, other, handling) if mesh.runs(seat) => {
            let audience = other.map_or(Audience::Strangers, |other| Audience::Watcher(mesh.who(other)));
            mesh.rule(seat, audience, Some(AccessRule::without_grant(handling))).unwrap();
        }
        Action::TimeoutTooEarly(seat) if mesh.runs(seat) => {
            mesh.with(seat, |node, now| node.handle_timeout(now))
        }
        Action::Backup(seat) => {
            if mesh.runs(seat) {
                mesh.kill(seat);
            }
            let disk = &mut mesh.seat_mut(seat).disk;
            disk.incarnation = disk.incarnation.saturating_sub(3);
        }
        // Of a node that does not run, or runs already, or with itself.
        Action::Kill(_) | Action::Depart(_) | Action::Start(_) | Action::TimeoutTooEarly(_) => (),
        Action::Rename(..) | Action::Status(..) | Action::Send { .. } | Action::Watch(..) => (),
        Action::Rule(..) => (),
    }
}

fn heal(mesh: &mut Mesh) {
    mesh.faults = Faults::default();
    for seat in 0..NODES {
        if !mesh.runs(seat) {
            mesh.start(seat);
        }
        let mut document = mesh.node(seat).information().clone();
        document.tuples[0].status.basic = Basic::Open;
        mesh.with(seat, |node, now| node.handle_set(now, document)).unwrap();
    }
    for (one, other) in [(0, 1), (1, 2), (2, 0)] {
        mesh.link(one, other);
        for (watcher, watched) in [(one, other), (other, one)] {
            let who = mesh.who(watched);
            assert!(mesh.with(watcher, |node, now| node.handle_watch(now, who)));
        }
    }
    mesh.run(RETRY_MAX + RECONCILIATION_INTERVAL * 10);
    mesh.assert_nothing_stays_awaited();
}

/// Whether `to` politely blocks a node, whose messages wait for it to open then.
fn seems_closed(mesh: &Mesh, from: usize, to: Presentity) -> bool {
    let seat = (0..NODES).find(|seat| mesh.who(*seat) == to).expect("it is one of them");
    mesh.node(seat).access_rules().decide(mesh.who(from), false, false).handling == Handling::PoliteBlock
}

fn everything_came_right(mesh: &Mesh, sent: &Sent) -> Result<(), TestCaseError> {
    prop_assert!(mesh.agree(), "the tables differ");
    for (seat, other) in (0..NODES).flat_map(|seat| (0..NODES).map(move |other| (seat, other))) {
        if seat != other {
            prop_assert_eq!(mesh.contact(seat, other).unwrap().0, ContactState::Present);
            let granted = mesh.node(other).access_rules().decide(mesh.who(seat), false, false).view();
            let document = mesh.node(other).publication.effective_information();
            let seen = mesh.view(seat, other).information;
            prop_assert_eq!(seen, granted.map(|view| view.of(&document)), "{} of {}", seat, other);
            let stored = mesh.seat(seat).disk.keys.get(&mesh.who(other)).cloned();
            let held = mesh.node(seat).keyring.to_store(&mesh.who(other));
            prop_assert!(held.is_none() || held == stored, "a key is not on the disk");
        }
    }
    for seat in 0..NODES {
        let disk = &mesh.seat(seat).disk;
        prop_assert_eq!(disk.information.as_ref(), Some(mesh.node(seat).information()), "on the disk");
        for other in (0..NODES).filter(|other| *other != seat).map(|other| mesh.who(other)) {
            let stored = disk.records.get(&other).map(|stored| stored.version);
            let known = mesh.node(seat).record(&other).map(PresenceRecord::version);
            prop_assert_eq!(stored, known, "what the disk refused is stored when it can be");
        }
        let inbox = mesh.inbox(seat);
        let distinct: BTreeSet<_> = inbox.iter().collect();
        prop_assert_eq!(distinct.len(), inbox.len(), "a message is there twice");
        prop_assert!(inbox.iter().all(|text| sent[text].1 == seat), "a message for somebody else");
        prop_assert_eq!(usize::try_from(mesh.node(seat).inbox_messages()), Ok(inbox.len()));
        for entry in mesh.node(seat).outbox() {
            let waits = entry.state == OutboxState::Queued;
            prop_assert!(!waits || seems_closed(mesh, seat, entry.message.to.node), "a message still waits");
        }
    }
    for (text, (from, to, id)) in sent {
        let outcomes = mesh.seat(*from).sent.get(id).cloned().unwrap_or_default();
        let is_there = mesh.inbox(*to).contains(text);
        let delivered = outcomes.contains(&SentOutcome::Final(Delivery::Delivered))
            || mesh.finished(*from).contains(&(*id, OutboxState::Delivered));
        prop_assert!(is_there || !delivered, "{text} was delivered and is not there");
        let failed =
            outcomes.iter().any(|outcome| matches!(outcome, SentOutcome::Final(Delivery::Failed(_))));
        prop_assert!(!(is_there && failed), "{text} was refused and is there");
        prop_assert!(
            is_there || !outcomes.contains(&SentOutcome::Queued) || seems_closed(mesh, *from, mesh.who(*to)),
            "{text} was queued and is not there"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_any_faults_a_mesh_that_heals_agrees_and_no_message_is_lost_or_doubled(
        seed: u64,
        faults in any_faults(),
        actions in prop::collection::vec((0_u64..20_000, any_action()), 1..40),
    ) {
        let mut mesh = Mesh::stopped(3);
        mesh.seed(seed);
        for seat in 0..NODES {
            mesh.start(seat);
        }
        mesh.faults = faults;
        let mut sent = Sent::new();
        for (wait_ms, action) in actions {
            act(&mut mesh, action, &mut sent);
            mesh.run(Duration::from_millis(wait_ms));
        }
        heal(&mut mesh);
        everything_came_right(&mesh, &sent)?;
    }
}
