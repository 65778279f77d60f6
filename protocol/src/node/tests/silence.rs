//! Peers that give no sign of life: what is made of it, and what others are told.

use std::time::Duration;

use super::{super::*, mesh::Mesh};
use crate::{
    presence::{
        accusations::{WAIT_ALONE, WAIT_CONFIRMED},
        liveness::Reach,
        suspicion::{Accusation, Grounds, Suspicion, SuspicionBody},
    },
    testing::keypair,
};

#[test]
fn a_killed_node_is_lost_at_once_to_its_neighbour_and_soon_to_all_others() {
    let mut mesh = Mesh::row(5);
    mesh.kill(0);
    mesh.run(Duration::from_millis(200));
    assert_eq!(mesh.contact(1, 0), Some((ContactState::Lost, Evidence::LinkLost)));
    mesh.run(Duration::from_millis(500));
    for seat in 2..5 {
        assert_eq!(mesh.contact(seat, 0), Some((ContactState::Suspect, Evidence::Accused)));
    }
    mesh.run(WAIT_ALONE);
    for seat in 2..5 {
        assert_eq!(mesh.contact(seat, 0), Some((ContactState::Lost, Evidence::Accused)));
        assert_eq!(mesh.transitions(seat, 0), [Transition::Suspected, Transition::Lost]);
    }
}

#[test]
fn independent_accusers_shorten_the_wait() {
    let mut mesh = Mesh::row(6);
    for other in 2..4 {
        mesh.link(0, other);
    }
    mesh.run(Duration::from_secs(1));
    mesh.kill(0);
    mesh.run(Duration::from_millis(500) + WAIT_CONFIRMED);
    assert_eq!(mesh.contact(5, 0), Some((ContactState::Lost, Evidence::Accused)));
    let by: Vec<_> = mesh.view(5, 0).accused.iter().map(|accused| accused.accuser).collect();
    let could = [1, 2, 3, 5].map(|seat| mesh.who(seat));
    assert!(by.len() >= 3 && by.iter().all(|who| could.contains(who)), "{by:?}");
}

#[test]
fn a_node_that_lives_refutes_what_one_says_who_cannot_reach_it() {
    let mut mesh = Mesh::row(4);
    mesh.link(0, 2);
    mesh.run(Duration::from_secs(1));
    mesh.unlink(0, 1);
    mesh.run(Duration::from_secs(3));
    for seat in 1..4 {
        assert_eq!(mesh.contact(seat, 0).unwrap().0, ContactState::Present, "{seat}");
    }
    assert_eq!(mesh.transitions(1, 0), [Transition::Suspected, Transition::Cleared]);
    assert_eq!(mesh.transitions(3, 0), [], "it looked for itself");
    assert!(mesh.node(3).record(&mesh.who(0)).unwrap().version().sequence > 1);
}

#[test]
fn whoever_was_believed_lost_returns_to_all_with_its_first_new_link() {
    let mut mesh = Mesh::row(4);
    mesh.cut_off(0);
    mesh.run(2 * WAIT_ALONE);
    for seat in 1..4 {
        assert_eq!(mesh.contact(seat, 0).unwrap().0, ContactState::Lost, "{seat}");
    }
    mesh.take_notices();
    mesh.link(3, 0);
    mesh.run(Duration::from_secs(1));
    for seat in 1..4 {
        assert_eq!(mesh.contact(seat, 0).unwrap().0, ContactState::Present, "{seat}");
        assert_eq!(mesh.transitions(seat, 0), [Transition::Returned]);
    }
}

#[test]
fn who_slept_through_a_death_learns_of_it_by_comparing_tables() {
    let mut mesh = Mesh::row(4);
    mesh.unlink(2, 3);
    mesh.kill(0);
    mesh.run(2 * WAIT_ALONE);
    assert_eq!(mesh.contact(3, 0).unwrap().0, ContactState::Present, "nobody told it");
    mesh.link(3, 2);
    mesh.run(RECONCILIATION_INTERVAL + 2 * WAIT_ALONE);
    assert_eq!(mesh.contact(3, 0), Some((ContactState::Lost, Evidence::Accused)));
}

#[test]
fn whoever_missed_a_refutation_learns_by_comparing_tables_that_the_dead_live() {
    let mut mesh = Mesh::row(4);
    mesh.link(2, 0);
    mesh.link(3, 0);
    mesh.run(Duration::from_secs(1));
    mesh.cut_off(3);
    mesh.run(3 * WAIT_ALONE);
    assert_eq!(mesh.contact(3, 0).unwrap().0, ContactState::Lost);
    // With that one it has no link any more.
    mesh.link(3, 2);
    mesh.run(Duration::from_secs(2));
    for (one, other) in [(3, 0), (3, 1), (0, 3), (1, 3)] {
        assert_eq!(mesh.contact(one, other).unwrap().0, ContactState::Present, "{one} of {other}");
    }
}

#[test]
fn a_liar_makes_nobody_lost_and_a_node_refute_a_few_times_only() {
    let mut mesh = Mesh::row(4);
    let (liar, victim) = (mesh.who(3), mesh.who(0));
    let before = mesh.node(0).own_record().unwrap().version().sequence;
    for round in 1..=100 {
        let version = mesh.node(2).record(&victim).unwrap().version();
        let body = SuspicionBody {
            format: crate::presence::suspicion::FORMAT,
            realm: Realm::default(),
            accuser: liar,
            issued: crate::presence::record::Version { incarnation: 9, sequence: round },
            accusations: vec![Accusation { subject: victim, version, grounds: Grounds::Refused }],
        };
        mesh.gossip(3, None, Suspicion::sign(body, &keypair(4)).unwrap().bytes());
        mesh.run(Duration::from_secs(1));
    }
    for seat in 0..3 {
        assert!(!mesh.transitions(seat, 0).contains(&Transition::Lost), "{seat}");
    }
    let refutations = mesh.node(0).own_record().unwrap().version().sequence - before;
    assert!((2..=6).contains(&refutations), "{refutations}");
}

#[test]
fn who_does_not_answer_while_its_host_lives_is_disconnected_and_accused_if_no_new_link_can_be_made() {
    let mut mesh = Mesh::row(3);
    let (stopped, other) = (mesh.who(0), mesh.who(2));
    let outputs = mesh.with(1, |node, now| {
        let mut outputs = Vec::new();
        for tenth in 0..600 {
            let now = now + Duration::from_millis(tenth * 100);
            // The other gives signs of life.
            node.handle(now, NodeInput::Alive(other));
            node.handle_timeout(now);
            let some = drain(node);
            for output in &some {
                if let NodeOutput::Reach(presentity) = output {
                    let input = NodeInput::Reached { presentity: *presentity, reach: Reach::Accepted };
                    node.handle(now, input);
                }
            }
            outputs.extend(some);
        }
        assert!(outputs.contains(&NodeOutput::Disconnect(stopped)));
        assert!(!outputs.iter().any(is_suspicion), "a new link is to tell");
        let now = now + Duration::from_secs(60);
        let takes = NodeInput::Reached { presentity: stopped, reach: Reach::Accepted };
        node.handle(now, NodeInput::LinkDown { presentity: stopped });
        node.handle(now, takes.clone());
        let now = now + Duration::from_secs(4);
        let undialled = NodeInput::Unreachable { presentity: stopped, was_linked: true, refused: false };
        node.handle(now, undialled);
        node.handle(now, takes);
        node.handle_timeout(now + Duration::from_secs(1));
        drain(node)
    });
    assert!(outputs.iter().any(is_suspicion), "{outputs:?}");
    assert_eq!(mesh.contact(1, 0).unwrap().0, ContactState::Suspect);
}

#[test]
fn a_dial_that_fails_after_all_was_said_puts_nothing_off() {
    for undialled_after in [None, Some(Duration::from_millis(1_300))] {
        let mut mesh = Mesh::row(3);
        let (silent, other) = (mesh.who(0), mesh.who(2));
        let version = mesh.node(2).record(&silent).unwrap().version();
        let body = SuspicionBody {
            format: crate::presence::suspicion::FORMAT,
            realm: Realm::default(),
            accuser: other,
            issued: crate::presence::record::Version { incarnation: 9, sequence: 1 },
            accusations: vec![Accusation { subject: silent, version, grounds: Grounds::Unreachable }],
        };
        let suspicion = Suspicion::sign(body, &keypair(3)).unwrap();
        let lost_after = mesh.with(1, |node, start| {
            let mut found_at = None;
            (0..30_000).step_by(10).map(Duration::from_millis).find_map(|after| {
                let now = start + after;
                node.handle(now, NodeInput::Alive(other));
                if after.is_zero() {
                    let (bytes, token) = (suspicion.bytes().to_vec(), GossipToken(1));
                    node.handle(now, NodeInput::Gossip { token, from: other, bytes });
                }
                let undialled_at = found_at.zip(undialled_after).map(|(found, after)| found + after);
                if undialled_at == Some(now) {
                    let presentity = silent;
                    node.handle(now, NodeInput::Unreachable { presentity, was_linked: true, refused: false });
                }
                node.handle_timeout(now);
                let outputs = drain(node);
                let closes = outputs.contains(&NodeOutput::Disconnect(silent));
                if closes && found_at.is_none() {
                    found_at = Some(now);
                    node.handle(now, NodeInput::LinkDown { presentity: silent });
                }
                outputs.contains(&NodeOutput::Lost(silent)).then(|| now.since(found_at.unwrap_or(start)))
            })
        });
        assert_eq!(lost_after, Some(WAIT_CONFIRMED), "{undialled_after:?}");
    }
}

fn is_suspicion(output: &NodeOutput) -> bool {
    matches!(output, NodeOutput::Forward(bytes) if Suspicion::is_meant(bytes))
}

fn drain(node: &mut Node) -> Vec<NodeOutput> {
    std::iter::from_fn(|| node.poll_output()).collect()
}
