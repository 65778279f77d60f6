use std::collections::BTreeMap;

use rand::SeedableRng;

use super::{
    super::{
        dialling::{DIALLED_SHARE, DIALS_MAX, DIALS_PER_SECOND_MAX, NEIGHBOURS_OF_MANY, RETRY_MIN},
        learning::SECOND_WAITS,
        table::{LINKS_PER_IP_MAX, PEERS_MAX, PEERS_PER_IP_MAX},
    },
    *,
};
use crate::{
    overlay::address::{RELAYS_MAX, Transport},
    testing::{keypair, peer_numbered},
};

type Overlay = super::Overlay<usize>;

#[test]
fn of_two_that_find_each_other_the_first_dials_and_the_second_only_later() {
    let (first, second) = two();
    let mut overlay = overlay(first);
    overlay.handle_discovered(at(0), second, tcp(1));
    assert_eq!(overlay.run(20), [OverlayOutput::Dial { peer: second, addresses: vec![tcp(1)] }]);

    let mut overlay = self::overlay(second);
    overlay.handle_discovered(at(0), first, tcp(1));
    assert_eq!(overlay.run(149), []);
    assert!(overlay.poll_timeout() >= Some(at(0) + SECOND_WAITS));
    assert_eq!(overlay.run(170), [OverlayOutput::Dial { peer: first, addresses: vec![tcp(1)] }]);
}

#[test]
fn nobody_is_the_first_or_the_second_of_most_pairs() {
    let peers: Vec<_> = (1..=100).map(peer).collect();
    for own in &peers {
        let others = peers.iter().filter(|peer| *peer != own);
        let firsts = others.filter(|peer| {
            assert_ne!(is_first(*own, **peer), is_first(**peer, *own), "one of two is");
            is_first(*own, **peer)
        });
        let firsts = firsts.count();
        assert!((25..=75).contains(&firsts), "first of {firsts} in 99 pairs");
    }
}

#[test]
fn a_lost_link_is_redialled_at_once_and_reported_when_that_fails() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    overlay.handle_disconnected(at(1000), peer, 1);
    assert_eq!(
        overlay.run(1000),
        [OverlayOutput::LinkDown { peer }, OverlayOutput::Dial { peer, addresses: vec![tcp(1)] }]
    );
    overlay.handle_dial_failed(at(1001), peer, DialFailure::Refused);
    assert_eq!(overlay.run(1001), [OverlayOutput::Unreachable { peer, was_linked: true, refused: true }]);
    let retry = overlay.poll_timeout().unwrap();
    assert!(retry.since(at(1001)) >= RETRY_MIN.mul_f64(0.75), "{retry:?}");
    assert_eq!(overlay.run(3000), [OverlayOutput::Dial { peer, addresses: vec![tcp(1)] }]);
    overlay.handle_dial_failed(at(3001), peer, DialFailure::Refused);
    assert_eq!(overlay.run(3001), [OverlayOutput::Unreachable { peer, was_linked: false, refused: true }]);
}

#[test]
fn a_redial_that_gets_no_answer_is_told_from_one_that_is_refused() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    overlay.handle_disconnected(at(1000), peer, 1);
    overlay.run(1000);
    overlay.handle_dial_failed(at(5000), peer, DialFailure::Unreachable);
    assert_eq!(overlay.run(5000), [OverlayOutput::Unreachable { peer, was_linked: true, refused: false }]);
}

#[test]
fn one_that_was_lost_is_dialled_now_and_then_though_links_are_enough() {
    let mut overlay = Overlay::new(peer_numbered(0), 2, StdRng::seed_from_u64(1));
    for number in 1..=3 {
        let peer = peer_numbered(number);
        overlay.handle_connected(at(0), peer, number, true, Some(tcp(9)));
        overlay.handle_identified(at(0), peer, number, true);
    }
    let lost = peer_numbered(4);
    overlay.handle_record(at(0), lost, vec![tcp(1)]);
    overlay.handle_lost(lost);
    let dials = (0..60).filter(|second| {
        let now = second * 1000;
        let dialled = overlay.run(now).iter().any(|output| matches!(output, OverlayOutput::Dial { .. }));
        if dialled {
            overlay.handle_dial_failed(at(now), lost, DialFailure::Unreachable);
        }
        dialled
    });
    let dials = dials.count();
    assert!((2..=8).contains(&dials), "{dials}");
}

#[test]
fn a_host_is_tried_over_tcp_and_where_its_link_is() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    let quic = Address { transport: Transport::Quic, ..tcp(7) };
    let elsewhere = Address { ip: [10, 9, 9, 9].into(), ..tcp(1) };
    overlay.handle_record(at(10), peer, vec![quic, elsewhere, tcp(1)]);
    assert_eq!(overlay.reach_addresses(&peer), [tcp(1)]);
    assert_eq!(overlay.reach_addresses(&peer_numbered(0)), []);
}

#[test]
fn a_connection_that_breaks_before_its_peer_said_what_it_is_is_confirmed_too() {
    let (own, peer) = two();
    let mut overlay = overlay(own);
    overlay.handle_connected(at(0), peer, 1, false, Some(tcp(9)));
    overlay.handle_record(at(1), peer, vec![tcp(1)]);
    overlay.run(1);
    overlay.handle_disconnected(at(2), peer, 1);
    assert_eq!(overlay.run(2), [OverlayOutput::Dial { peer, addresses: vec![tcp(1)] }]);
    overlay.handle_dial_failed(at(3), peer, DialFailure::Refused);
    assert_eq!(overlay.run(3), [OverlayOutput::Unreachable { peer, was_linked: true, refused: true }]);
}

#[test]
fn who_said_goodbye_is_not_redialled_until_it_is_found_anew() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    overlay.handle_departed(peer);
    overlay.handle_disconnected(at(1000), peer, 1);
    assert_eq!(overlay.run(1000), [OverlayOutput::LinkDown { peer }]);
    assert_eq!(overlay.poll_timeout(), None);
    overlay.handle_discovered(at(2000), peer, tcp(2));
    assert_eq!(overlay.run(2020), [OverlayOutput::Dial { peer, addresses: vec![tcp(2)] }]);
}

#[test]
fn a_foreign_peer_is_blocked_until_a_new_address_of_it_is_seen() {
    let (own, peer) = two();
    let mut overlay = overlay(own);
    overlay.handle_discovered(at(0), peer, tcp(1));
    overlay.run(0);
    overlay.handle_connected(at(1), peer, 1, true, Some(tcp(1)));
    overlay.handle_identified(at(2), peer, 1, false);
    overlay.handle_disconnected(at(3), peer, 1);
    let outputs = overlay.run(3);
    assert!(outputs.contains(&OverlayOutput::Block(peer)), "{outputs:?}");
    overlay.handle_discovered(at(4), peer, tcp(1));
    assert_eq!(overlay.run(5000), []);
    overlay.handle_discovered(at(6000), peer, tcp(2));
    let outputs = overlay.run(6020);
    assert_eq!(outputs[0], OverlayOutput::Unblock(peer));
    assert!(matches!(outputs[1], OverlayOutput::Dial { .. }), "{outputs:?}");
}

#[test]
fn who_does_not_say_what_it_is_is_disconnected_and_tried_again_with_growing_waits() {
    let (own, peer) = two();
    let mut overlay = overlay(own);
    overlay.handle_connected(at(0), peer, 1, false, Some(tcp(1)));
    assert_eq!(overlay.poll_timeout(), Some(at(0) + IDENTIFY_WITHIN));
    assert_eq!(overlay.run(5000), [OverlayOutput::Close(1)]);
    assert_eq!(overlay.poll_timeout(), None);
}

#[test]
fn a_peer_that_closes_before_it_says_what_it_is_is_not_dialled_in_a_loop() {
    let (own, peer) = two();
    let mut overlay = overlay(own);
    overlay.handle_discovered(at(0), peer, tcp(1));
    let mut dials = 0;
    for now in 0..60_000 {
        for output in overlay.run(now) {
            let unreachable = matches!(output, OverlayOutput::Unreachable { .. });
            assert!(!unreachable, "it proved its key, so it is there");
            if matches!(output, OverlayOutput::Dial { .. }) {
                dials += 1;
                overlay.handle_connected(at(now), peer, dials, true, Some(tcp(1)));
                overlay.handle_disconnected(at(now), peer, dials);
            }
        }
    }
    assert!((3..=9).contains(&dials), "{dials} dials in a minute");
}

#[test]
fn the_dead_end_of_a_link_and_the_connection_that_came_back_give_way_to_a_new_one() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    overlay.handle_connected(at(60_000), peer, 2, false, Some(tcp(1)));
    overlay.handle_identified(at(60_001), peer, 2, true);
    let both = [OverlayOutput::Close(1), OverlayOutput::Close(2)];
    assert_eq!(overlay.run(61_000), both, "gossip would stay on the one that is dead");
    overlay.handle_disconnected(at(61_001), peer, 1);
    overlay.handle_disconnected(at(61_001), peer, 2);
    let outputs = overlay.run(61_001);
    assert!(
        matches!(outputs[..], [OverlayOutput::LinkDown { .. }, OverlayOutput::Dial { .. }]),
        "{outputs:?}"
    );
}

#[test]
fn dead_ends_that_a_peer_left_when_it_changed_its_address_twice_give_way_too() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    overlay.handle_disconnected(at(900), peer, 1);
    for number in [2, 3] {
        overlay.handle_connected(at(1000), peer, number, false, Some(tcp(1)));
        overlay.handle_identified(at(1001), peer, number, true);
    }
    overlay.run(1001);
    assert_eq!(overlay.run(3000), [], "the peer dialled both, and knows which is the newer");
    let both = [OverlayOutput::Close(2), OverlayOutput::Close(3)];
    assert_eq!(overlay.run(4000), both);
}

#[test]
fn what_was_reached_from_an_address_that_is_gone_is_reached_anew() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    overlay.handle_address_lost("192.0.2.7".parse().unwrap());
    assert_eq!(overlay.run(1_000), [], "another network");
    let there = tcp(1).ip;
    overlay.handle_address_lost(there);
    assert_eq!(overlay.run(1_000), [OverlayOutput::Close(1)]);
}

#[test]
fn those_that_were_not_there_for_long_do_not_keep_the_others_waiting() {
    let mut peers: Vec<_> = (1..=100).map(peer).collect();
    peers.sort();
    let own = peers.remove(0);
    let mut overlay = overlay(own);
    for (number, peer) in peers.iter().enumerate() {
        overlay.handle_discovered(at(0), *peer, host(number));
    }
    let last = *peers.last().unwrap();
    let mut answers = BTreeMap::new();
    for now in (0..600_000).step_by(50) {
        let gone: Vec<_> = answers.extract_if(.., |_, at: &mut u64| *at <= now).collect();
        for (peer, _) in gone {
            overlay.handle_dial_failed(at(now), peer, DialFailure::Refused);
        }
        for output in overlay.run(now) {
            if let OverlayOutput::Dial { peer, .. } = output {
                answers.insert(peer, now + 4000);
            }
        }
        let due = overlay.poll_timeout();
        assert!(due.is_none_or(|due| due > at(now)), "nothing is due that was not done: {due:?} at {now}");
    }
    overlay.handle_discovered(at(600_000), last, tcp(2));
    overlay.handle_record(at(600_000), last, vec![tcp(2)]);
    let dialled = (600_000..601_000).any(|now| {
        overlay
            .run(now)
            .iter()
            .any(|output| matches!(output, OverlayOutput::Dial { peer, .. } if *peer == last))
    });
    assert!(dialled, "a new sign of life comes first");
}

#[test]
fn who_passes_on_rejected_records_is_blocked_at_the_third() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    for _ in 1..REJECTED_MAX {
        overlay.handle_rejected(at(10), peer);
    }
    assert_eq!(overlay.run(10), []);
    overlay.handle_rejected(at(11), peer);
    assert_eq!(overlay.run(11), [OverlayOutput::Block(peer)]);
}

#[test]
fn of_two_connections_both_ends_keep_the_same_one() {
    let (first, second) = two();
    // Connection 1 was dialled by the first, connection 2 by the second; seen from both ends.
    for (own, peer, dialled_first) in [(first, second, true), (second, first, false)] {
        let mut overlay = overlay(own);
        overlay.handle_connected(at(0), peer, 1, dialled_first, Some(tcp(1)));
        overlay.handle_connected(at(0), peer, 2, !dialled_first, Some(tcp(1)));
        overlay.handle_identified(at(1), peer, 1, true);
        overlay.handle_identified(at(1), peer, 2, true);
        overlay.run(1);
        assert_eq!(overlay.run(1000), [OverlayOutput::Close(2)]);
        overlay.handle_disconnected(at(1001), peer, 2);
        assert_eq!(overlay.run(1001), [], "the link stands");
        assert_eq!(overlay.links(), 1);
    }
}

#[test]
fn a_small_realm_is_a_full_mesh_and_in_a_large_one_links_are_few() {
    for (others, links) in [(NEIGHBOURS, NEIGHBOURS), (NEIGHBOURS + 1, NEIGHBOURS_OF_MANY), (99, 12)] {
        let mut overlay = overlay(peer(0));
        for number in 1..=others {
            let number = u8::try_from(number).unwrap();
            overlay.handle_discovered(at(0), peer(number), tcp(number));
        }
        let mut linked = BTreeMap::new();
        for now in 0..500 {
            let dialled = overlay.run(now);
            assert!(overlay.peers.dials() <= DIALS_MAX);
            for output in dialled {
                let OverlayOutput::Dial { peer, addresses } = output else { continue };
                let id = linked.len() + 1;
                linked.insert(peer, id);
                overlay.handle_connected(at(now), peer, id, true, Some(addresses[0]));
                overlay.handle_identified(at(now), peer, id, true);
            }
        }
        assert_eq!(linked.len(), links, "of {others}");
        assert_eq!(overlay.poll_timeout(), None, "with links enough nobody is waited for");
    }
}

#[test]
fn when_most_are_gone_links_are_made_with_those_that_are_left() {
    let mut overlay = overlay(peer(0));
    for number in 1..=99 {
        overlay.handle_discovered(at(0), peer(number), tcp(number));
    }
    let mut links = 0;
    for now in (0..3_600_000).step_by(100) {
        for output in overlay.run(now) {
            let OverlayOutput::Dial { peer: dialled, addresses } = output else { continue };
            if now > 60_000 && (31..=99).map(peer).any(|gone| gone == dialled) {
                overlay.handle_dial_failed(at(now), dialled, DialFailure::Refused);
                continue;
            }
            links += 1;
            overlay.handle_connected(at(now), dialled, links, true, Some(addresses[0]));
            overlay.handle_identified(at(now), dialled, links, true);
        }
        if now == 60_000 {
            for gone in (31..=99).map(peer) {
                let connections = overlay.peers.get(&gone).unwrap().connections.iter().map(|one| one.id);
                for connection in connections.collect::<Vec<_>>() {
                    overlay.handle_disconnected(at(now), gone, connection);
                }
            }
        }
    }
    assert!((NEIGHBOURS_OF_MANY..=30).contains(&overlay.links()), "{} links", overlay.links());
}

#[test]
fn nobody_is_surrounded_by_those_that_dial_it() {
    let mut peers: Vec<_> = (1..=100).map(peer).collect();
    peers.sort();
    let own = peers.remove(0);
    let (others, strangers) = peers.split_at(50);
    let mut overlay = overlay(own);
    for (number, peer) in strangers.iter().enumerate() {
        overlay.handle_connected(at(0), *peer, number, false, Some(host(number)));
        overlay.handle_identified(at(0), *peer, number, true);
    }
    assert!(overlay.links() > NEIGHBOURS);
    for (number, peer) in others.iter().enumerate() {
        overlay.handle_discovered(at(0), *peer, host(100 + number));
    }
    let mut dialled = 0;
    for now in 0..500 {
        for output in overlay.run(now) {
            let OverlayOutput::Dial { peer, addresses } = output else { continue };
            dialled += 1;
            overlay.handle_connected(at(now), peer, 100 + dialled, true, Some(addresses[0]));
            overlay.handle_identified(at(now), peer, 100 + dialled, true);
        }
    }
    assert_eq!(dialled, NEIGHBOURS_OF_MANY / DIALLED_SHARE);
}

#[test]
fn a_given_address_is_tried_until_it_answers_and_again_when_it_is_lost() {
    let (own, peer) = two();
    let mut overlay = overlay(own);
    overlay.handle_given(at(0), tcp(9), None);
    assert_eq!(overlay.run(0), [OverlayOutput::DialGiven { address: tcp(9), named: None }]);
    overlay.handle_given_dialling(tcp(9), None, 1);
    overlay.handle_given_failed(at(1), 1);
    assert_eq!(overlay.run(1001), [OverlayOutput::DialGiven { address: tcp(9), named: None }]);
    overlay.handle_given_dialling(tcp(9), None, 2);
    overlay.handle_connected(at(1002), peer, 2, true, Some(tcp(9)));
    overlay.handle_identified(at(1003), peer, 2, true);
    overlay.run(1003);
    assert_eq!(overlay.poll_timeout(), None);
    overlay.handle_departed(peer);
    overlay.handle_disconnected(at(2000), peer, 2);
    overlay.run(2000);
    assert_eq!(overlay.run(3000), [OverlayOutput::DialGiven { address: tcp(9), named: None }]);
}

#[test]
fn an_address_where_somebody_else_answers_is_forgotten() {
    let (own, peer) = two();
    let mut overlay = overlay(own);
    overlay.handle_discovered(at(0), peer, tcp(1));
    overlay.handle_discovered(at(0), peer, tcp(2));
    overlay.handle_wrong_peer(peer, tcp(1));
    assert_eq!(overlay.addresses(&peer), [tcp(2)]);
}

#[test]
fn made_up_peers_that_refuse_are_dialled_no_more_than_so_often_in_a_second() {
    let mut overlay = overlay(peer(0));
    for number in 0..1000 {
        overlay.handle_discovered(at(0), peer_numbered(number), host(number));
    }
    let mut dials = BTreeMap::new();
    for millis in (0..10_000).step_by(20) {
        for output in overlay.run(millis) {
            if let OverlayOutput::Dial { peer, .. } = output {
                *dials.entry(millis / 1000).or_insert(0) += 1;
                overlay.handle_dial_failed(at(millis), peer, DialFailure::Refused);
            }
        }
    }
    assert!(dials.values().all(|dials| (20..=2 * DIALS_PER_SECOND_MAX).contains(dials)), "{dials:?}");
    assert!(dials.values().sum::<usize>() <= 10 * DIALS_PER_SECOND_MAX, "{dials:?}");
}

#[test]
fn one_host_is_believed_to_have_so_many_nodes_and_no_more() {
    let mut overlay = overlay(peer(0));
    for number in 0..1000 {
        overlay.handle_discovered(at(0), peer_numbered(number), tcp(1));
        overlay.handle_record(at(0), peer_numbered(1000 + number), vec![Address { port: 9, ..tcp(1) }]);
    }
    assert_eq!(overlay.peers.all().count(), PEERS_PER_IP_MAX, "others are not even known of");
    overlay.handle_record(at(1), peer_numbered(0), vec![tcp(1), tcp(2)]);
    assert_eq!(overlay.addresses(&peer_numbered(0)), [tcp(1), tcp(2)], "who is counted there may stay");
    overlay.handle_discovered(at(1), peer_numbered(3000), tcp(2));
    assert_eq!(overlay.addresses(&peer_numbered(3000)), [tcp(2)], "elsewhere there is room");
    overlay.handle_wrong_peer(peer_numbered(0), tcp(1));
    overlay.handle_discovered(at(2), peer_numbered(3001), tcp(1));
    overlay.handle_discovered(at(2), peer_numbered(3002), tcp(1));
    assert_eq!(overlay.addresses(&peer_numbered(3001)), [tcp(1)], "one was forgotten");
    assert_eq!(overlay.addresses(&peer_numbered(3002)), []);
}

#[test]
fn who_was_linked_at_a_host_is_no_made_up_peer_there_and_is_one_anywhere_else() {
    let mut overlay = overlay(peer(0));
    for number in 0..100 {
        let peer = peer_numbered(number);
        overlay.handle_connected(at(0), peer, number, false, Some(tcp(1)));
        overlay.handle_identified(at(0), peer, number, true);
        overlay.handle_disconnected(at(0), peer, number);
        overlay.handle_record(at(0), peer, vec![tcp(1), tcp(2)]);
        overlay.handle_remembered(at(0), peer_numbered(1000 + number), tcp(1));
    }
    let at_host = |address| overlay.peers.all().filter(|peer| peer.addresses.contains(&address)).count();
    assert_eq!((at_host(tcp(1)), at_host(tcp(2))), (200, PEERS_PER_IP_MAX));
    overlay.handle_discovered(at(1), peer_numbered(3000), tcp(1));
    assert_eq!(overlay.addresses(&peer_numbered(3000)), [tcp(1)], "none of them takes the room of another");
}

#[test]
fn through_whom_a_peer_is_reached_is_what_its_last_record_says() {
    let own = peer(0);
    let mut overlay = overlay(own);
    let relays = (1..9).map(peer).collect::<Vec<_>>();
    assert!(!overlay.handle_relays(peer(20), Vec::new()));
    assert!(!overlay.handle_relays(peer(20), vec![own, peer(20)]), "that is no way to it");
    assert!(overlay.handle_relays(peer(20), relays.clone()));
    assert_eq!(overlay.relays(&peer(20)), relays.get(..RELAYS_MAX).unwrap_or_default());
    assert_eq!((overlay.relayed_by(&peer(1)), overlay.relayed_by(&peer(20))), (vec![peer(20)], vec![]));
    assert_eq!(overlay.poll_output(), None, "it is not dialled for that");
    assert!(!overlay.handle_relays(peer(20), Vec::new()));
    assert!(overlay.relays(&peer(20)).is_empty());
    overlay.handle_relays(peer(20), relays);
    overlay.handle_departed(peer(20));
    assert!(overlay.relays(&peer(20)).is_empty(), "it said goodbye");
}

#[test]
fn a_full_table_forgets_where_those_were_that_made_room() {
    let mut overlay = overlay(peer(0));
    for number in 0..PEERS_MAX + 1000 {
        overlay.handle_discovered(at(0), peer_numbered(number), host(number / PEERS_PER_IP_MAX));
    }
    assert_eq!(overlay.peers.all().count(), PEERS_MAX);
    for number in 0..(PEERS_MAX + 1000) / PEERS_PER_IP_MAX {
        let there = |peer: &&Peer<usize>| peer.addresses.contains(&host(number));
        let is_full = overlay.peers.all().filter(there).count() == PEERS_PER_IP_MAX;
        assert_eq!(overlay.peers.has_room_at(&peer_numbered(10_000), host(number).ip), !is_full);
    }
}

#[test]
fn who_connects_under_ever_new_keys_and_leaves_no_address_drives_nobody_out() {
    let (own, peer) = two();
    let mut overlay = overlay(own);
    overlay.handle_discovered(at(0), peer, tcp(1));
    overlay.run(500);
    overlay.handle_dial_failed(at(501), peer, DialFailure::Refused);
    overlay.handle_lost(peer);
    for number in 0..PEERS_MAX + 10 {
        overlay.handle_connected(at(502), peer_numbered(number), number, false, Some(tcp(9)));
        overlay.handle_disconnected(at(502), peer_numbered(number), number);
    }
    assert_eq!(overlay.addresses(&peer), [tcp(1)]);
}

#[test]
fn one_host_has_so_many_links_and_no_more() {
    let mut overlay = overlay(peer(0));
    let connect = |overlay: &mut Overlay, number, address| {
        overlay.handle_connected(at(0), peer_numbered(number), number, false, Some(address));
        overlay.handle_identified(at(0), peer_numbered(number), number, true);
        overlay.run(0)
    };
    for number in 0..LINKS_PER_IP_MAX {
        let outputs = connect(&mut overlay, number, tcp(1));
        assert!(matches!(outputs[..], [OverlayOutput::LinkEstablished { .. }]), "{outputs:?}");
    }
    assert_eq!(connect(&mut overlay, 100, tcp(1)), [OverlayOutput::Close(100)], "before it is a link");
    overlay.handle_disconnected(at(1), peer_numbered(100), 100);
    assert_eq!((overlay.run(1), overlay.links()), (Vec::new(), LINKS_PER_IP_MAX));
    assert_eq!(connect(&mut overlay, 101, tcp(2)).len(), 1, "from elsewhere");
    overlay.handle_connected(at(1), peer_numbered(0), 102, true, Some(tcp(1)));
    assert_eq!(overlay.run(1), [], "a second connection with a peer is another matter");
    for connection in [0, 102] {
        overlay.handle_disconnected(at(2), peer_numbered(0), connection);
    }
    assert_eq!(overlay.links(), LINKS_PER_IP_MAX);
    connect(&mut overlay, 103, tcp(1));
    assert_eq!(overlay.links(), LINKS_PER_IP_MAX + 1, "one had left");
}

#[test]
fn a_host_with_all_its_links_is_not_dialled_for_more() {
    let mut overlay = overlay(peer(0));
    for number in 0..LINKS_PER_IP_MAX {
        overlay.handle_connected(at(0), peer_numbered(number), number, false, Some(tcp(1)));
        overlay.handle_identified(at(0), peer_numbered(number), number, true);
    }
    overlay.run(0);
    let late = peer_numbered(100);
    overlay.handle_discovered(at(0), late, tcp(1));
    overlay.handle_given(at(0), tcp(1), Some(late));
    let mut given = Vec::new();
    for now in 0..30_000 {
        for output in overlay.run(now) {
            let OverlayOutput::DialGiven { address, named } = output else { panic!("{output:?}") };
            given.push(now);
            overlay.handle_given_dialling(address, named, 100 + given.len());
            overlay.handle_connected(at(now), late, 100 + given.len(), true, Some(address));
            assert_eq!(overlay.poll_output(), Some(OverlayOutput::Close(100 + given.len())));
        }
        assert!(overlay.poll_timeout().is_none_or(|due| due > at(now)), "nothing is due in a loop");
    }
    assert!(
        (2..=6).contains(&given.len()),
        "what the PRINCIPAL gave is tried, with growing waits: {given:?}"
    );
    overlay.handle_disconnected(at(30_000), peer_numbered(0), 0);
    overlay.handle_departed(peer_numbered(0));
    let dialled = (30_000..60_000).find(|now| {
        let outputs = overlay.run(*now);
        outputs.iter().any(|output| matches!(output, OverlayOutput::Dial { peer, .. } if *peer == late))
    });
    assert!(dialled.is_some(), "when there is room it is dialled");
}

#[test]
fn the_nodes_of_this_machine_are_as_many_as_they_like() {
    let loopback = Address { ip: [127, 0, 0, 1].into(), ..tcp(0) };
    let mut overlay = overlay(peer(0));
    for number in 1..=100 {
        overlay.handle_discovered(at(0), peer_numbered(number), loopback);
        overlay.handle_connected(at(0), peer_numbered(number), number, false, Some(loopback));
        overlay.handle_identified(at(0), peer_numbered(number), number, true);
        overlay.handle_discovered(at(0), peer_numbered(1000 + number), loopback);
    }
    assert_eq!((overlay.links(), overlay.peers.all().count()), (100, 200));
}

impl Overlay {
    fn run(&mut self, now: u64) -> Vec<OverlayOutput<usize>> {
        self.handle_timeout(at(now));
        std::iter::from_fn(|| self.poll_output()).collect()
    }
}

fn linked(own: PeerId, peer: PeerId) -> Overlay {
    let mut overlay = overlay(own);
    overlay.handle_discovered(at(0), peer, tcp(1));
    overlay.run(500);
    overlay.handle_connected(at(501), peer, 1, true, Some(tcp(1)));
    overlay.handle_identified(at(502), peer, 1, true);
    let outputs = overlay.run(502);
    assert!(outputs.contains(&OverlayOutput::LinkEstablished { peer, dialled: true }), "{outputs:?}");
    overlay
}

fn overlay(own: PeerId) -> Overlay {
    Overlay::new(own, NEIGHBOURS, StdRng::from_seed([1; 32]))
}

fn two() -> (PeerId, PeerId) {
    let (one, two) = (peer(1), peer(2));
    if is_first(one, two) { (one, two) } else { (two, one) }
}

fn peer(number: u8) -> PeerId {
    keypair(number).public().to_peer_id()
}

fn tcp(number: u8) -> Address {
    Address { ip: [10, 0, 0, number].into(), port: 4000, transport: Transport::Tcp }
}

/// As [`tcp`], for more hosts.
fn host(number: usize) -> Address {
    let [.., high, low] = number.to_be_bytes();
    Address { ip: [10, 1, high, low].into(), ..tcp(0) }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn who_lost_all_its_links_tries_the_others_often_at_first_though_they_are_lost() {
    let (own, peer) = two();
    let mut overlay = linked(own, peer);
    overlay.handle_disconnected(at(1000), peer, 1);
    overlay.handle_lost(peer);
    let mut dials = Vec::new();
    for now in (1000..900_000).step_by(100) {
        for output in overlay.run(now) {
            if matches!(output, OverlayOutput::Dial { .. }) {
                dials.push(now);
                overlay.handle_dial_failed(at(now), peer, DialFailure::Unreachable);
            }
        }
    }
    let waits: Vec<_> =
        dials.iter().zip(dials.iter().skip(1)).map(|(one, next)| (*one, next - one)).collect();
    assert!(waits.iter().all(|(now, wait)| *now > 20_000 || *wait <= 1_400), "{waits:?}");
    assert!(waits.iter().all(|(now, wait)| *now < 400_000 || *wait >= 11_000), "{waits:?}");
}
