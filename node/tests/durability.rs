//! What `kill -9` and lost answers must not do: lose a message that was reported as delivered, or store one
//! twice.
//!
//! Two real nodes on this machine's loopback, found by address and without multicast. Each test plays a
//! stream of messages against kills at the worst moments there are: right after the receiver has stored a
//! message, when the answer is still on its way. Then it compares what the sender was told with what the
//! inbox holds.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON documents are read by key, and what is missing reads as null"
)]

mod lab;
#[path = "lab/slow_link.rs"]
mod slow_link;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;

use lab::{Client, Node, Output, Place, contact_state};
use slow_link::SlowLink;

#[test]
fn what_was_delivered_survives_kills_of_the_receiver_exactly_once() {
    let (alice, mut bob) = acquainted();
    let attempts = stream_during(&alice, bob.id().to_owned(), &[], || {
        for _ in 0..KILLS {
            wait_stored(&bob, MESSAGES_BETWEEN_KILLS);
            bob.kill9();
            rejoin(&mut bob, &alice);
        }
        wait_stored(&bob, MESSAGES_BETWEEN_KILLS);
    });
    check(&attempts, &inbox(&bob));
}

#[test]
fn what_was_delivered_survives_kills_of_the_sender_exactly_once() {
    let (mut alice, bob) = acquainted();
    let client = alice.client().clone();
    let attempts = stream_during_with(&client, bob.id(), &[], || {
        for _ in 0..KILLS {
            wait_stored(&bob, MESSAGES_BETWEEN_KILLS);
            alice.kill9();
            rejoin(&mut alice, &bob);
        }
        wait_stored(&bob, MESSAGES_BETWEEN_KILLS);
    });
    check(&attempts, &inbox(&bob));
}

#[test]
fn what_was_queued_arrives_exactly_once_whoever_is_killed() {
    let (mut alice, mut bob) = acquainted();
    let (client, bob_id) = (alice.client().clone(), bob.id().to_owned());
    let attempts = stream_during_with(&client, &bob_id, &["--queue"], || {
        for _ in 0..KILLS {
            wait_stored(&bob, MESSAGES_BETWEEN_KILLS);
            bob.kill9();
            rejoin(&mut bob, &alice);
            wait_stored(&bob, MESSAGES_BETWEEN_KILLS);
            alice.kill9();
            rejoin(&mut alice, &bob);
        }
    });
    let accepted: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.code == Some(0)).collect();
    assert!(accepted.len() > KILLS, "the stream was no stream: {attempts:?}");
    let last = bob.wait_json(&["inbox"], "all that was accepted", |document| {
        let stored = count_by_text(document);
        accepted.iter().all(|attempt| stored.contains_key(attempt.text.as_str()))
    });
    check(&attempts, &last);
    alice.wait_json(&["outbox"], "nothing waits any more", |outbox| {
        let entries = outbox["entries"].as_array().expect("the outbox is a list");
        entries.iter().all(|entry| entry["state"] != "queued")
    });
}

#[test]
fn an_answer_lost_on_the_way_stores_nothing_twice() {
    lose_an_answer(Killed::Nobody);
}

#[test]
fn an_answer_lost_with_the_receiver_stores_nothing_twice() {
    lose_an_answer(Killed::Receiver);
}

#[test]
fn an_answer_lost_with_the_sender_stores_nothing_twice() {
    lose_an_answer(Killed::Sender);
}

#[test]
fn a_message_whose_answer_never_comes_is_not_reported_as_failed() {
    let (mut alice, mut bob, link) = acquainted_by_slow_link();
    let sending = send_and_lose_the_answer(&mut alice, &mut bob, &link, &[], Killed::Receiver);
    let output = sending.join().expect("the thread that sends does not panic");
    assert_eq!((output.code, &output.json["outcome"]), (Some(21), &"indeterminate".into()), "{output:?}");
    rejoin(&mut bob, &alice);
    assert_eq!(count_by_text(&inbox(&bob)), BTreeMap::from([(LAST_WORDS, 1)]));
}

#[test]
fn one_who_dialled_is_remembered_and_found_without_being_named() {
    let (alice, mut bob) = acquainted();
    return_without_addresses(&mut bob, &alice);
}

#[test]
fn one_who_was_dialled_is_remembered_and_found_without_being_named() {
    let (mut alice, bob) = acquainted();
    return_without_addresses(&mut alice, &bob);
}

fn return_without_addresses(node: &mut Node, other: &Node) {
    node.down();
    other.wait_contact(node, "left");
    node.set_arguments(&[]);
    node.restart();
    node.wait_contact(other, "present");
    other.wait_contact(node, "present");
}

/// Who is killed while an answer is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    Nobody,
    Receiver,
    Sender,
}

/// Sends a queued message over a link that loses the answer to it after the message was stored; the message
/// must be sent again with the same id, and be in the inbox once.
fn lose_an_answer(killed: Killed) {
    let (mut alice, mut bob, link) = acquainted_by_slow_link();
    let sending = send_and_lose_the_answer(&mut alice, &mut bob, &link, &["--queue"], killed);
    match killed {
        Killed::Nobody => {}
        Killed::Receiver => rejoin(&mut bob, &alice),
        Killed::Sender => rejoin(&mut alice, &bob),
    }
    let output = sending.join().expect("the thread that sends does not panic");

    let outbox = alice.wait_json(&["outbox"], "the message is delivered", |outbox| {
        outbox["entries"].as_array().into_iter().flatten().any(|entry| entry["state"] == "delivered")
    });
    let entry = &outbox["entries"][0];
    if killed == Killed::Sender {
        alice.wait_event(0, "the answer, in the sender's second run", |event| event["event"] == "delivery");
    } else {
        assert!(entry["attempts"].as_u64() >= Some(2), "the answer was not lost: {outbox:#}, {output:?}");
    }
    let inbox = inbox(&bob);
    assert_eq!(count_by_text(&inbox), BTreeMap::from([(LAST_WORDS, 1)]));
    assert_eq!(inbox["messages"][0]["id"], entry["id"]);
}

fn acquainted_by_slow_link() -> (Node, Node, SlowLink) {
    let bob = Node::start(Place::Loopback, "Bob", &[]);
    let link = SlowLink::to(socket_address(&bob), ANSWER_DELAY);
    let by_link = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", link.address().port(), bob.id());
    let alice = Node::start(Place::Loopback, "Alice", &["--peer", &by_link]);
    alice.wait_contact(&bob, "present");
    bob.wait_contact(&alice, "present");
    (alice, bob, link)
}

/// Starts to send [`LAST_WORDS`]; when they are stored and the answer is on its way, kills a node and cuts
/// the link.
fn send_and_lose_the_answer(
    from: &mut Node,
    to: &mut Node,
    link: &SlowLink,
    options: &[&str],
    killed: Killed,
) -> JoinHandle<Output> {
    let client = from.client().clone();
    let arguments = [&["send", to.id(), LAST_WORDS], options].concat();
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let sending = std::thread::spawn(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        client.cli(&arguments)
    });
    to.wait_event(0, "the message is stored", |event| event["event"] == "message");
    // Before the cut, so that nobody dials anew and gets the answer after all.
    match killed {
        Killed::Nobody => {}
        Killed::Receiver => to.kill9(),
        Killed::Sender => from.kill9(),
    }
    link.cut();
    sending
}

/// Two nodes that see each other.
fn acquainted() -> (Node, Node) {
    let bob = Node::start(Place::Loopback, "Bob", &[]);
    // A stream is what a stranger may not send.
    bob.json(&["delivery", "accept", "strangers"]);
    let alice = Node::start(Place::Loopback, "Alice", &["--peer", &multiaddr(&bob)]);
    alice.wait_contact(&bob, "present");
    bob.wait_contact(&alice, "present");
    (alice, bob)
}

/// Starts a killed node again and waits until it and the other see each other.
fn rejoin(node: &mut Node, other: &Node) {
    node.set_arguments(&["--peer", &multiaddr(other)]);
    node.restart();
    node.wait_contact(other, "present");
    other.wait_who("the other is back", |who| {
        // The state before the kill may still be shown, so the version decides.
        contact_state(who, node.id()) == Some("present")
            && lab::entry(who, node.id()).map(|entry| &entry["version"]["incarnation"])
                == Some(&node.json(&["id"])["incarnation"])
    });
}

/// One `here send` and what it said.
#[derive(Debug)]
struct Attempt {
    text: String,
    code: Option<i32>,
    outcome: Value,
}

fn stream_during(from: &Node, to: String, options: &[&str], meanwhile: impl FnOnce()) -> Vec<Attempt> {
    stream_during_with(&from.client().clone(), &to, options, meanwhile)
}

/// Sends one message after the other, each with a text of its own, for as long as `meanwhile` runs.
fn stream_during_with(from: &Client, to: &str, options: &[&str], meanwhile: impl FnOnce()) -> Vec<Attempt> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let numbers = (0..MESSAGES_MAX).take_while(|_| !done.load(Ordering::Relaxed));
            numbers.map(|number| attempt(from, to, options, number)).collect()
        });
        // Set also when `meanwhile` panics, or the stream would go on.
        let set_at_end = SetAtEnd(&done);
        meanwhile();
        drop(set_at_end);
        stream.join().expect("sending does not panic")
    })
}

struct SetAtEnd<'flag>(&'flag AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn attempt(from: &Client, to: &str, options: &[&str], number: usize) -> Attempt {
    let text = format!("message {number}");
    let output = from.cli(&[&["send", to, &text], options].concat());
    Attempt { text, code: output.code, outcome: output.json["outcome"].clone() }
}

/// Compares what was said of each message with what the inbox holds.
fn check(attempts: &[Attempt], inbox: &Value) {
    let stored = count_by_text(inbox);
    assert!(stored.values().all(|&count| count == 1), "stored twice: {stored:?}");
    let said = |word: &'static str| attempts.iter().filter(move |attempt| attempt.outcome == word);
    let delivered = said("delivered").count();
    assert!(delivered > KILLS, "the stream was no stream: {attempts:?}");
    for attempt in said("delivered") {
        assert!(stored.contains_key(attempt.text.as_str()), "reported delivered and not there: {attempt:?}");
    }
    for attempt in said("failed") {
        assert!(!stored.contains_key(attempt.text.as_str()), "reported failed and there: {attempt:?}");
    }
}

/// How often each text is in a document of `here inbox`.
fn count_by_text(inbox: &Value) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for message in inbox["messages"].as_array().expect("the inbox is a list") {
        *counts.entry(message["text"].as_str().expect("a text")).or_insert(0) += 1;
    }
    counts
}

fn inbox(node: &Node) -> Value {
    node.json(&["inbox"])
}

/// Waits until the node has stored `count` further messages.
fn wait_stored(node: &Node, count: usize) {
    let mut mark = node.lines().count();
    for _ in 0..count {
        node.wait_event(mark, "a message", |event| event["event"] == "message");
        mark = node.lines().count();
    }
}

/// The address that a node listens on, with its id.
fn multiaddr(node: &Node) -> String {
    format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", socket_address(node).port(), node.id())
}

fn socket_address(node: &Node) -> SocketAddr {
    let addresses = node.up()["listen"].as_array().expect("`up` tells the addresses");
    let mut ports = addresses.iter().filter_map(|address| {
        let port = address.as_str()?.strip_prefix("/ip4/127.0.0.1/tcp/")?;
        port.split('/').next()?.parse().ok()
    });
    SocketAddr::from(([127, 0, 0, 1], ports.next().expect("the node listens on loopback")))
}

/// Kills in each test of a stream; twice that where both sides are killed.
const KILLS: usize = 10;

/// Messages stored between two kills, so that a stream has come to flow.
const MESSAGES_BETWEEN_KILLS: usize = 4;

/// The bound of a stream that nothing else ends.
const MESSAGES_MAX: usize = 5_000;

/// The message whose answer is lost.
const LAST_WORDS: &str = "once and no more";

/// How long an answer is under way on the slow link: longer than it takes a test to see the `message` event
/// and cut the link, even on a busy machine.
const ANSWER_DELAY: Duration = Duration::from_millis(500);
