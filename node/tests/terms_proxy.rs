//! RFC 2778's PROXY and SERVER as people meet them: real `here` processes on hosts of virtual Ethernet
//! segments, two of which cannot reach each other, or do not want to be known to each other by address.

mod lab;
#[path = "lab/memory.rs"]
mod memory;

use std::{net::Ipv4Addr, time::Duration};

use serde_json::{Value, json};

use lab::{
    Addresses, Host, Lab, Node, Place,
    documents::{has_on_disk, note, subscription, texts, wait_newest, wait_note},
    entry,
};

#[test]
fn proxy_passes_subscription_notification_message_and_fetch_and_learns_none_of_them() {
    let Some([alice, peter, bob]) = on_a_line("trace", false) else { return };
    bob.json(&["access", "block", "anybody"]);
    bob.json(&["access", "allow", alice.id()]);
    bob.json(&["set", "open", "--note", NOTE]);

    alice.json(&["contact", "add", "bob", bob.id()]);
    alice.wait_json(&["subscriptions"], "the subscription", |all| all["watching"][0]["state"] == "active");
    assert_eq!(subscription(&alice, &bob).0, "active");
    wait_note(&alice, &bob, Some(NOTE));
    bob.json(&["set", "open", "--note", CHANGED]);
    wait_note(&alice, &bob, Some(CHANGED));
    assert_eq!(alice.json(&["fetch", "bob"])["source"], "direct", "he is asked himself");
    assert_eq!(alice.cli(&["send", "bob", MESSAGE]).code, Some(DELIVERED));
    assert_eq!(bob.cli(&["send", alice.id(), ANSWER]).code, Some(DELIVERED), "and back");
    assert_eq!((texts(&bob), texts(&alice)), (vec![MESSAGE.to_owned()], vec![ANSWER.to_owned()]));

    wait_newest(&peter, &bob);
    let who = peter.json(&["who", "--no-fetch"]);
    assert_eq!(entry(&who, bob.id()).map(|bob| &bob["sealed"]), Some(&json!(true)));
    let log = peter.complaints();
    assert!(log.contains("CircuitReqAccepted"), "it was Peter who passed them on");
    let told = format!("{log}{:?}", peter.lines().all());
    for secret in [NOTE, CHANGED, MESSAGE, ANSWER] {
        assert!(has_on_disk(&bob, secret) || has_on_disk(&alice, secret), "those two have it: {secret}");
        assert!(!has_on_disk(&peter, secret), "on disk: {secret}");
        assert!(!told.contains(secret), "in the log: {secret}");
        assert!(!memory::holds(peter.pid(), secret.as_bytes()), "in memory: {secret}");
    }
    for reads_it in [&alice, &bob] {
        assert!(memory::holds(reads_it.pid(), CHANGED.as_bytes()), "where it is read it is found");
    }
}

#[test]
fn proxy_that_dies_and_comes_back_is_used_again() {
    let Some([alice, mut peter, bob]) = on_a_line("warn", false) else { return };
    alice.json(&["contact", "add", "bob", bob.id()]);
    assert_eq!(alice.cli(&["send", "bob", "one"]).code, Some(DELIVERED));
    let mark = bob.lines().count();
    peter.kill9();
    bob.wait_event(mark, "he is reached no more", |event| event["event"] == "not-relayed");
    assert_eq!(bob.json(&["id"])["relayed_by"], json!([]));
    assert_eq!(alice.json(&["send", "bob", "two", "--queue"])["outcome"], "queued");
    alice.wait_contact(&bob, "lost");

    peter.restart();
    bob.wait_event(mark, "he is reached again", |event| {
        event["event"] == "relayed" && event["relay"]["id"] == peter.id()
    });
    alice.wait_contact(&bob, "present");
    alice.wait_json(&["outbox"], "what waited is delivered", |all| {
        all["entries"]
            .as_array()
            .is_some_and(|waiting| waiting.iter().all(|message| message["state"] == "delivered"))
    });
    assert_eq!(texts(&bob), ["one", "two"]);
    bob.json(&["set", "open", "--note", "back again"]);
    wait_note(&alice, &bob, Some("back again"));
    alice.wait_json(&["subscriptions"], "it stands", |all| all["watching"][0]["state"] == "active");
}

#[test]
fn proxy_is_taken_at_once_where_a_firewall_swallows_what_is_dialled_and_nobody_is_suspected_for_that() {
    let Some([alice, _peter, bob]) = on_a_line("warn", true) else { return };
    let mark = alice.lines().count();
    // Alice dials him again and again meanwhile, and waits seconds for an answer each time.
    for text in ["one", "two", "three"] {
        assert_eq!(alice.cli(&["send", "bob", text]).code, Some(DELIVERED));
        std::thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(bob.cli(&["send", alice.id(), ANSWER]).code, Some(DELIVERED));
    let of_bob = |event: &Value| event["event"] == "suspected" && event["presentity"]["id"] == bob.id();
    assert!(!alice.lines().all().iter().skip(mark).any(of_bob));
}

#[test]
fn proxy_serves_nobody_unless_it_was_told_to_and_who_asks_learns_that() {
    let peter = Node::start(Place::Loopback, "Peter", &[]);
    let at = peter.up()["listen"][0].as_str().expect("it listens").to_owned();
    let bob = Node::start(Place::Loopback, "Bob", &["--relayed-by", &at]);
    let refused = bob.wait_event(0, "a refusal", |event| event["event"] == "not-relayed");
    assert_eq!(refused["relay"]["id"], peter.id());
    let why = refused["message"].as_str().expect("a reason");
    assert!(why.contains("does not support"), "{why}");
    assert_eq!(bob.json(&["id"])["relayed_by"], json!([]));
    bob.wait_contact(&peter, "present");

    let nowhere = "/ip4/127.0.0.1/tcp/1";
    let carol = Node::start(Place::Loopback, "Carol", &["--relayed-by", nowhere]);
    let trouble = carol.wait_event(0, "nobody answers", |event| event["event"] == "trouble");
    assert!(trouble["message"].as_str().is_some_and(|why| why.contains(nowhere) && why.contains("refused")));
}

#[test]
fn server_roles_of_a_process_are_listed_and_two_who_reach_each_other_need_no_relay() {
    let Some([a, b]) = Lab::with_hosts(Addresses::V4) else { return };
    let alice = Node::start(&a, "Alice", &["--no-inbox"]);
    let bob = Node::start(&b, "Bob", &[]);
    alice.wait_contact(&bob, "present");
    bob.wait_contact(&alice, "present");
    assert_eq!(alice.json(&["id"])["roles"], json!(["presentity", "cache"]));
    assert_eq!(bob.json(&["id"])["roles"], json!(["presentity", "inbox", "cache"]));
    assert_eq!(alice.json(&["fetch", "bob"])["source"], "direct");
    assert_eq!(alice.cli(&["send", "bob", "straight to you"]).code, Some(DELIVERED));

    let relay = Node::start(Place::Loopback, "Peter", &["--relay", "--no-presence", "--no-inbox"]);
    assert_eq!(relay.json(&["id"])["roles"], json!(["cache", "relay"]));
}

#[test]
fn server_roles_can_all_be_off_and_two_go_on_while_newcomers_learn_of_those_who_are_there() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let alice = Node::start(&a, "Alice", &["--no-cache"]);
    let mut bob = Node::start(&b, "Bob", &["--no-cache"]);
    assert_eq!(alice.json(&["id"])["roles"], json!(["presentity", "inbox"]));
    alice.wait_contact(&bob, "present");
    bob.wait_contact(&alice, "present");
    bob.json(&["set", "open", "--note", NOTE]);
    wait_note(&alice, &bob, Some(NOTE));
    assert_eq!(alice.json(&["fetch", "bob"])["source"], "direct");
    assert_eq!(alice.cli(&["send", "bob", MESSAGE]).code, Some(DELIVERED));

    bob.kill9();
    alice.wait_contact(&bob, "lost");
    let late = Node::start(&c, "Carol", &[]);
    late.wait_contact(&alice, "present");
    alice.wait_contact(&late, "present");
    let who = late.json(&["who"]);
    assert!(entry(&who, bob.id()).is_none(), "no cache gave her what is known of bob: {who:#}");
}

#[test]
fn ip_addresses_of_two_who_are_reached_through_a_relay_only_stay_unknown_to_each_other() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let mut peter = Node::start(&c, "Peter", &["--no-mdns", "--relay", "--listen", LISTEN]);
    let hidden = ["--relayed-only", "--relayed-by", "/ip4/10.77.1.3/tcp/4001"];
    let alice = Node::start(&a, "Alice", &hidden);
    let mut bob = Node::start(&b, "Bob", &hidden);
    for (one, other) in [(&alice, &bob), (&bob, &alice), (&peter, &bob)] {
        one.wait_contact(other, "present");
    }
    for node in [&alice, &bob] {
        node.wait_json(&["id"], "reached by Peter", |id| id["relayed_by"] == json!([peter.id()]));
        assert_eq!(node.json(&["id"])["listen"], json!([]));
    }
    alice.json(&["contact", "add", "bob", bob.id()]);
    alice.wait_json(&["subscriptions"], "it stands", |all| all["watching"][0]["state"] == "active");
    bob.json(&["set", "open", "--note", NOTE]);
    wait_note(&alice, &bob, Some(NOTE));
    assert_eq!(alice.json(&["fetch", "bob"])["source"], "direct");
    assert_eq!(alice.cli(&["send", "bob", MESSAGE]).code, Some(DELIVERED));
    assert_eq!(bob.cli(&["send", alice.id(), ANSWER]).code, Some(DELIVERED));

    let [of_alice, of_bob] = [Ipv4Addr::new(10, 77, 1, 1), Ipv4Addr::new(10, 77, 1, 2)];
    for (node, of_other) in [(&alice, of_bob), (&bob, of_alice)] {
        assert!(!memory::is_connected_with(node.pid(), of_other));
        assert!(!memory::holds(node.pid(), &multiaddress(of_other)));
        // Both tell what there is.
        assert!(memory::is_connected_with(peter.pid(), of_other));
        assert!(memory::holds(peter.pid(), &multiaddress(of_other)), "the relay knows them");
    }

    // Nobody is left who had a link with Bob, and nobody else could have one.
    peter.kill9();
    bob.kill9();
    alice.wait_contact(&bob, "lost");
}

/// The beginning of the multiaddress of any TCP port there, in binary.
fn multiaddress(ip: Ipv4Addr) -> Vec<u8> {
    [&[4], ip.octets().as_slice(), &[6]].concat()
}

/// Alice and Bob, who have no route to each other, and Peter between them, a relay. Bob is reached by it and
/// Alice knows where Peter is and no more. `directives` say what Peter logs. If they are `swallowed`, there
/// is a route, and Peter's host drops without a word what takes it.
fn on_a_line(directives: &str, swallowed: bool) -> Option<[Node; 3]> {
    let lab = Lab::build()?;
    let (left, right) = (lab.segment(), lab.segment());
    let (a, b) = (lab.host(&[&left], Addresses::V4), lab.host(&[&right], Addresses::V4));
    let between = lab.host(&[&left, &right], Addresses::V4);
    let ip = |host: &Host, arguments: &[&str]| {
        host.command("ip").args(arguments).output().expect("there is ip").status.success()
    };
    if swallowed {
        assert!(ip(&a, &["route", "add", "default", "via", "10.77.1.2"]));
        assert!(ip(&b, &["route", "add", "default", "via", "10.77.2.2"]));
    } else {
        assert!(!ip(&a, &["route", "get", "10.77.2.1"]), "Alice has no route to Bob");
    }
    let mut peter = Node::new(&between, "Peter", &["--no-mdns", "--relay", "--listen", LISTEN]);
    peter.set_log(directives);
    peter.restart();
    let bob = Node::start(&b, "Bob", &["--no-mdns", "--relayed-by", "/ip4/10.77.2.2/tcp/4001"]);
    let alice = Node::start(&a, "Alice", &["--no-mdns", "--peer", "/ip4/10.77.1.2/tcp/4001"]);
    bob.wait_event(0, "a reservation", |event| event["event"] == "relayed");
    for (one, other) in [(&alice, &bob), (&bob, &alice), (&peter, &alice)] {
        one.wait_contact(other, "present");
    }
    // Then she knows through whom he is reached.
    wait_newest(&alice, &bob);
    let who = alice.json(&["who"]);
    assert_eq!(note(&who, &bob), None);
    Some([alice, peter, bob])
}

const LISTEN: &str = "/ip4/0.0.0.0/tcp/4001";
const NOTE: &str = "marker: in the attic until nine";
const CHANGED: &str = "marker: in the cellar from nine on";
const MESSAGE: &str = "marker: bring the ladder";
const ANSWER: &str = "marker: and the lamp";
// Exit codes.
const DELIVERED: i32 = 0;
