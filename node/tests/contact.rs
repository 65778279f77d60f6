//! Who is shown in contact when hosts, cables and processes fail: real `here` processes on hosts of a virtual
//! Ethernet segment. How fast it goes is measured in `benches/lan.rs`.

mod lab;

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use lab::{Addresses, Host, Lab, Node, contact_state, entry, have_all_sight, start_together};

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
fn two_halves_that_were_cut_off_from_each_other_agree_on_all_that_changed_when_they_meet_again() {
    let Some(lab) = Lab::build() else { return };
    let (segment, other) = (lab.segment(), lab.segment());
    let hosts: Vec<Host> = (0..10).map(|_| lab.host(&[&segment], Addresses::V4)).collect();
    let names: Vec<String> = (0..hosts.len()).map(|number| format!("Host {number}")).collect();
    let named: Vec<(&Host, &str)> = hosts.iter().zip(names.iter().map(String::as_str)).collect();
    let nodes = start_together(&named);
    have_all_sight(&nodes);
    let (half, other_half) = nodes.split_at(5);
    hosts.iter().take(5).for_each(|host| host.replug(0, &other));
    for (one, of_other) in half.iter().flat_map(|one| other_half.iter().map(move |other| (one, other))) {
        one.wait_contact(of_other, "lost");
        of_other.wait_contact(one, "lost");
    }
    for node in &nodes {
        node.json(&["set", "open", "--note", &format!("changed by {}", node.name())]);
    }
    for halves in [half, other_half] {
        have_all_changes(halves, halves);
    }
    hosts.iter().take(5).for_each(|host| host.replug(0, &segment));
    have_all_changes(&nodes, &nodes);
}

/// Waits until each of `nodes` shows all others of `of` as present, and the note that each of them set.
fn have_all_changes(nodes: &[Node], of: &[Node]) {
    for one in nodes {
        one.wait_who("everybody's change", |who| {
            of.iter().filter(|other| other.id() != one.id()).all(|other| {
                contact_state(who, other.id()) == Some("present")
                    && note(who, other) == Some(&format!("changed by {}", other.name()))
            })
        });
    }
}

/// The note that a document of `here who` shows of a node.
fn note<'who>(who: &'who Value, of: &Node) -> Option<&'who str> {
    entry(who, of.id())?.pointer("/note/text")?.as_str()
}
