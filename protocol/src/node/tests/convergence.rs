//! Nodes that find out about each other, and about each other's end.

use std::time::Duration;

use super::mesh::{Faults, Mesh};
use crate::{
    node::{
        GossipToken, NodeInput, NodeOutput, OutgoingRequest, RECONCILIATION_INTERVAL, Response, ResponseToken,
    },
    presence::{
        information::Basic,
        publication::{LEASE_SECONDS, REFRESH_INTERVAL},
        record::{NodeAddress, PresenceRecord},
        service::{ContactState, Evidence, Transition},
    },
    testing::{CLOCK, body, information, keypair, presentity, record},
    watcher::watcher_information::VisibleTo,
    wire::frames::{FetchAnswer, PresenceRequest, PresenceResponse},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn two_nodes_that_link_know_each_other_within_one_exchange() {
    let mut mesh = Mesh::new(2);
    mesh.link(0, 1);
    mesh.run(Duration::from_millis(50));
    assert!(mesh.agree());
    assert_eq!(mesh.transitions(0, 1), [Transition::Appeared]);
    assert_eq!(mesh.transitions(1, 0), [Transition::Appeared]);
    assert_eq!(mesh.contact(0, 1), Some((ContactState::Present, Evidence::Connected)));
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn nodes_that_are_linked_before_their_first_records_tell_each_other_when_they_make_them() {
    let mut mesh = Mesh::stopped(2);
    mesh.start(0);
    mesh.start(1);
    mesh.link(0, 1);
    mesh.faults = Faults { gossip_lost: 1.0, ..Faults::default() };
    mesh.run(Duration::from_millis(100));
    assert!(mesh.agree());
}

#[test]
fn a_newcomer_learns_everything_from_its_first_neighbour() {
    let mut mesh = Mesh::row(4);
    mesh.kill(0);
    mesh.kill(3);
    mesh.run(MINUTE);
    mesh.seat_mut(3).disk.records.clear();
    mesh.take_notices();
    mesh.start(3);
    mesh.link(3, 1);
    mesh.run(Duration::from_millis(200));
    assert!(mesh.agree());
    assert_eq!(mesh.contact(3, 0), Some((ContactState::Lost, Evidence::Told)));
    assert_eq!((mesh.transitions(3, 0), mesh.transitions(3, 1)), (vec![], vec![Transition::Appeared]));
}

#[test]
fn a_neighbour_that_is_no_cache_tells_a_newcomer_of_itself_alone_and_learns_everything() {
    let mut mesh = Mesh::row(4);
    mesh.kill(3);
    mesh.kill(1);
    mesh.run(MINUTE);
    mesh.seat_mut(3).disk.records.clear();
    mesh.seat_mut(1).serves_cache = false;
    mesh.start(1);
    mesh.link(1, 0);
    mesh.link(1, 2);
    mesh.run(MINUTE);
    mesh.start(3);
    mesh.link(3, 1);
    mesh.run(MINUTE);
    for seat in [0, 2, 3] {
        assert_eq!(mesh.contact(1, seat), Some((ContactState::Present, Evidence::Connected)));
        assert_eq!(mesh.contact(seat, 1), Some((ContactState::Present, Evidence::Connected)));
    }
    assert_eq!((mesh.contact(3, 0), mesh.contact(3, 2)), (None, None), "they were no news");
    // Nor does it tell who asks for one of them.
    let (of, from) = (mesh.who(0), mesh.who(3));
    let fetch = PresenceRequest::Fetch { presentity: of, visible_to: VisibleTo::Everybody };
    let request = OutgoingRequest::Presence(fetch);
    let asked = NodeInput::Request { token: ResponseToken(77), from, request };
    let answer = mesh.with(1, |node, now| {
        node.handle(now, asked);
        node.poll_output()
    });
    let nothing = PresenceResponse::Fetched { record: None, answer: FetchAnswer::Known };
    let expected = NodeOutput::Respond { token: ResponseToken(77), response: Response::Presence(nothing) };
    assert_eq!(answer, Some(expected));
    // Two who are linked need none.
    mesh.link(0, 3);
    mesh.run(SECOND);
    assert_eq!(mesh.contact(0, 3), Some((ContactState::Present, Evidence::Connected)));
    assert_eq!(mesh.contact(3, 0), Some((ContactState::Present, Evidence::Connected)));
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_change_reaches_everybody_by_gossip_once() {
    let mut mesh = Mesh::row(4);
    let mut document = mesh.node(0).information().clone();
    document.tuples[0].status.further.insert("away".parse().unwrap());
    mesh.with(0, |node, now| node.handle_set(now, document)).unwrap();
    mesh.run(Duration::from_millis(20));
    assert!(mesh.agree());
    for seat in 1..4 {
        assert_eq!(mesh.transitions(seat, 0), [Transition::Changed]);
    }
    mesh.run(5 * MINUTE);
    assert_eq!(mesh.transitions(3, 0), [Transition::Changed]);
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn the_addresses_in_a_record_are_handed_to_the_driver_also_of_those_remembered_from_an_earlier_run() {
    let mut mesh = Mesh::row(2);
    let addresses = vec![NodeAddress(vec![1; 8]), NodeAddress(vec![2; 8])];
    mesh.input(0, NodeInput::Addresses(addresses.clone()));
    mesh.run(SECOND);
    assert_eq!(mesh.seat(1).addresses[&mesh.who(0)], addresses);
    mesh.kill(1);
    mesh.seat_mut(1).addresses.clear();
    mesh.start(1);
    assert_eq!(mesh.seat(1).addresses[&mesh.who(0)], addresses);
}

#[test]
fn lost_gossip_is_made_good_by_comparing_tables() {
    let mut mesh = Mesh::row(3);
    mesh.faults = Faults { gossip_lost: 1.0, ..Faults::default() };
    mesh.input(0, NodeInput::Addresses(vec![NodeAddress(vec![1; 8])]));
    mesh.run(SECOND);
    assert!(!mesh.agree());
    mesh.run(RECONCILIATION_INTERVAL * 6);
    assert!(mesh.agree());
}

#[test]
fn a_goodbye_makes_left_everywhere_and_a_new_start_is_a_return() {
    let mut mesh = Mesh::row(3);
    mesh.depart(0);
    mesh.run(MINUTE);
    for seat in 1..3 {
        assert_eq!(mesh.transitions(seat, 0), [Transition::Left]);
        assert_eq!(mesh.contact(seat, 0), Some((ContactState::Left, Evidence::Departed)));
    }
    mesh.take_notices();
    mesh.start(0);
    mesh.link(0, 1);
    mesh.run(SECOND);
    assert!(mesh.agree());
    assert_eq!(mesh.transitions(2, 0), [Transition::Returned]);
}

#[test]
fn a_killed_node_is_lost_to_its_neighbour_and_its_state_stays_readable_with_its_age() {
    let mut mesh = Mesh::row(2);
    let heard_at = mesh.heard_at(1, 0);
    mesh.kill(0);
    mesh.run(Duration::from_millis(2));
    assert_eq!(mesh.contact(1, 0).unwrap().0, ContactState::Present, "before its host refused");
    mesh.run(SECOND);
    assert_eq!(mesh.contact(1, 0), Some((ContactState::Lost, Evidence::LinkLost)));
    assert_eq!(mesh.transitions(1, 0), [Transition::Lost]);
    mesh.run(MINUTE);
    assert_eq!(mesh.heard_at(1, 0), heard_at);
    assert_eq!(
        mesh.node(1).record(&mesh.who(0)).unwrap().body().public.as_ref().unwrap().display_name,
        "node 0"
    );
}

#[test]
fn whoever_is_known_by_hearsay_only_is_lost_when_its_lease_ends() {
    let mut mesh = Mesh::row(3);
    mesh.unlink(1, 2);
    mesh.kill(0);
    let lease = Duration::from_secs(LEASE_SECONDS.into());
    mesh.run(lease - 2 * MINUTE);
    assert_eq!(mesh.contact(2, 0).unwrap().0, ContactState::Present);
    mesh.run(2 * MINUTE);
    assert_eq!(mesh.contact(2, 0), Some((ContactState::Lost, Evidence::LeaseExpired)));
}

#[test]
fn refreshes_keep_everybody_present_for_ever_and_tell_nobody() {
    let mut mesh = Mesh::row(3);
    mesh.run(REFRESH_INTERVAL * 10);
    assert!(mesh.agree());
    assert!((0..3).all(|seat| mesh.seat(seat).notices.is_empty()));
    assert_eq!(mesh.node(0).own_record().unwrap().version().sequence, 11);
}

#[test]
fn what_was_known_before_a_restart_is_lost_until_heard_of_and_keeps_its_age() {
    let mut mesh = Mesh::row(2);
    let heard_at = mesh.heard_at(1, 0);
    mesh.kill(1);
    mesh.kill(0);
    mesh.run(100 * MINUTE);
    mesh.take_notices();
    mesh.start(1);
    mesh.run(MINUTE);
    assert_eq!(mesh.contact(1, 0), Some((ContactState::Lost, Evidence::Remembered)));
    assert_eq!(mesh.heard_at(1, 0), heard_at);
    assert_eq!(mesh.transitions(1, 0), []);
    mesh.start(0);
    mesh.link(1, 0);
    mesh.run(SECOND);
    assert_eq!(mesh.transitions(1, 0), [Transition::Returned]);
}

#[test]
fn an_age_is_passed_on_from_node_to_node() {
    let mut mesh = Mesh::row(2);
    let heard_at = mesh.heard_at(1, 0);
    mesh.kill(0);
    mesh.run(10 * MINUTE);
    let mut third = Mesh::stopped(3);
    // The same two nodes again, and a newcomer beside them.
    for seat in 0..2 {
        third.seat_mut(seat).disk = std::mem::take(&mut mesh.seat_mut(seat).disk);
    }
    third.now = mesh.now;
    third.start(1);
    third.start(2);
    third.link(2, 1);
    third.run(SECOND);
    assert_eq!(
        third.contact(2, 0),
        Some((ContactState::Present, Evidence::Told)),
        "no judgement of this run is passed on"
    );
    let difference = third.heard_at(2, 0).since(heard_at).max(heard_at.since(third.heard_at(2, 0)));
    assert!(difference < SECOND, "{difference:?}");
}

#[test]
fn a_status_with_an_until_goes_back_to_open_before_everybodys_eyes() {
    let mut mesh = Mesh::row(3);
    let mut document = mesh.node(0).information().clone();
    document.tuples[0].status.basic = Basic::Closed;
    document.markup.until = Some(CLOCK.unix(mesh.now) + 10 * MINUTE);
    mesh.with(0, |node, now| node.handle_set(now, document)).unwrap();
    mesh.run(MINUTE);
    let status = |mesh: &Mesh| {
        let record = mesh.node(2).record(&mesh.who(0)).unwrap();
        record.body().public.as_ref().unwrap().tuples[0].status.basic
    };
    assert_eq!(status(&mesh), Basic::Closed);
    mesh.run(9 * MINUTE + SECOND);
    assert_eq!(status(&mesh), Basic::Open);
    assert_eq!(mesh.transitions(2, 0), [Transition::Changed, Transition::Changed]);
    assert_eq!(mesh.seat(0).disk.information.as_ref().unwrap().tuples[0].status.basic, Basic::Open);
}

/// Lets a node without links hear the records of `numbers` by gossip.
fn fill(mesh: &mut Mesh, seat: usize, numbers: impl Iterator<Item = u16>) {
    for number in numbers {
        let mut seed = [0xaa; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let key = libp2p_identity::Keypair::ed25519_from_bytes(seed).unwrap();
        gossip(mesh, seat, &record(&key, 1, 1));
    }
    mesh.run(SECOND);
}

fn gossip(mesh: &mut Mesh, seat: usize, record: &PresenceRecord) {
    let bytes = record.bytes().to_vec();
    mesh.with(seat, |node, now| {
        node.handle(now, NodeInput::Gossip { token: GossipToken(0), from: presentity(&keypair(200)), bytes });
        while node.poll_output().is_some() {}
    });
}

fn known(mesh: &Mesh, seat: usize) -> usize {
    mesh.node(seat).service.presentities().count()
}

#[test]
fn tables_that_no_frame_can_hold_become_one_in_one_go() {
    let mut mesh = Mesh::new(2);
    fill(&mut mesh, 0, 0..1900);
    fill(&mut mesh, 1, 1800..2200);
    mesh.link(1, 0);
    mesh.run(2 * SECOND);
    assert_eq!((known(&mesh, 0), known(&mesh, 1)), (2201, 2201));
    assert!(mesh.seat(1).asked["compare"] < 40, "{:?}", mesh.seat(1).asked);
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_few_differences_in_large_tables_are_found_in_one_go_even_if_a_frame_cannot_list_them() {
    let mut mesh = Mesh::new(2);
    // One in ten is missing, so that nearly every range differs, and few records are wanted of each frame.
    fill(&mut mesh, 0, 0..2000);
    fill(&mut mesh, 1, (0..2000).filter(|number| number % 10 != 0));
    mesh.link(1, 0);
    mesh.run(SECOND);
    assert_eq!((known(&mesh, 0), known(&mesh, 1)), (2001, 2001));
}

#[test]
fn two_tables_that_are_full_of_others_do_not_exchange_them_over_and_over() {
    let mut mesh = Mesh::new(2);
    for (seat, numbers) in [(0, 10..40_u8), (1, 50..80)] {
        mesh.kill(seat);
        mesh.seat_mut(seat).limits.presentities_max = 31;
        mesh.start(seat);
        for number in numbers {
            let mut body = body(&keypair(number), 1, 1);
            let mut document = information(&keypair(number), "Somebody");
            document.markup.extensions.insert("x-large".to_owned(), vec![0; 500]);
            body.public = Some(document);
            gossip(&mut mesh, seat, &PresenceRecord::sign(body, &keypair(number)).unwrap());
        }
    }
    mesh.run(SECOND);
    mesh.link(0, 1);
    mesh.run(MINUTE * 10);
    // Half of 20 comparisons each is the other's to begin; each ends after an exchange that moved nothing.
    let asked = |seat: usize, kind: &str| mesh.seat(seat).asked.get(kind).copied().unwrap_or(0);
    for seat in 0..2 {
        assert!(asked(seat, "exchange") < 60, "{:?}", mesh.seat(seat).asked);
    }
    assert_eq!((known(&mesh, 0), known(&mesh, 1)), (31, 31));
}
