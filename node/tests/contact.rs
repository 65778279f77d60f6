//! Who is shown in contact when hosts, cables and processes fail: real `here` processes on hosts of a virtual
//! Ethernet segment. How fast it goes is measured in `benches/lan.rs`.

mod lab;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use lab::{Addresses, Lab, Node, contact_state, entry, have_all_sight, start_together};

#[test]
fn a_pulled_cable_is_noticed_by_all_and_explained_and_they_return_when_it_is_plugged_in() {
    let Some([a, b, c, d, e]) = Lab::with_hosts(Addresses::V4) else { return };
    let nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol"), (&d, "Dave"), (&e, "Eve")]);
    have_all_sight(&nodes);
    let (bob, others): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(|node| node.name() == "Bob");
    let bob = bob[0];
    b.cut_cable(0);
    for node in &others {
        node.wait_contact(bob, "lost");
        bob.wait_contact(node, "lost");
    }
    let why = others[0].json(&["who", "--why", "bob"]);
    assert_eq!(why["contact"]["evidence"], "accused", "{why:#}");
    let accused = why["accused"].as_array().expect("accusers are listed");
    assert!(accused.len() >= 3, "{why:#}");
    for accuser in accused {
        assert_eq!(accuser["grounds"], "unreachable", "{why:#}");
        assert!(others.iter().any(|node| accuser["by"] == node.id()), "{why:#}");
    }
    b.mend_cable(0);
    for node in &others {
        node.wait_contact(bob, "present");
        bob.wait_contact(node, "present");
    }
}

#[test]
fn a_process_that_stops_for_five_seconds_is_lost_to_nobody() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol")]);
    have_all_sight(&nodes);
    let [alice, bob, carol] = nodes.as_slice() else { panic!("three were started") };
    let marks = [alice, carol].map(|node| node.lines().count());
    bob.signal(Signal::SIGSTOP);
    // The length of the stop is what is tested.
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(50));
    }
    bob.signal(Signal::SIGCONT);
    bob.json(&["set", "open", "--note", "awake"]);
    for (node, mark) in [alice, carol].into_iter().zip(marks) {
        node.wait_event(mark, "Bob's note", |event| event["presentity"]["note"]["text"] == "awake");
        let lost = |event: &&Value| event["event"] == "lost";
        let events = node.lines().all();
        assert_eq!(events.iter().skip(mark).find(lost), None);
    }
}

#[test]
fn hosts_that_were_cut_off_have_all_that_changed_when_their_cables_are_back() {
    let Some([a, b, c, d]) = Lab::with_hosts(Addresses::V4) else { return };
    let nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol"), (&d, "Dave")]);
    have_all_sight(&nodes);
    a.cut_cable(0);
    b.cut_cable(0);
    for one in nodes.iter().take(2) {
        for other in nodes.iter().skip(2) {
            one.wait_contact(other, "lost");
            other.wait_contact(one, "lost");
        }
    }
    for node in &nodes {
        node.json(&["set", "open", "--note", &format!("changed by {}", node.name())]);
    }
    a.mend_cable(0);
    b.mend_cable(0);
    for one in &nodes {
        for other in nodes.iter().filter(|other| other.id() != one.id()) {
            one.wait_who("the other's change", |who| {
                let there = contact_state(who, other.id()) == Some("present");
                let note = entry(who, other.id()).map(|entry| entry["note"]["text"].clone());
                there && note == Some(format!("changed by {}", other.name()).into())
            });
        }
    }
}
