//! DELIVERY RULES (RFC 2778), as the owner of an inbox sets them and as senders meet them: two and three real
//! nodes on this machine's loopback.

mod lab;

use nix::sys::signal::Signal;

use lab::{Node, Output, Place};

#[test]
fn who_is_denied_is_told_so_until_the_rule_is_forgotten_and_over_restarts() {
    let [alice, mut bob, _] = acquainted();
    assert_eq!(send(&alice, &bob, "hello").code, Some(DELIVERED));
    bob.json(&["delivery", "deny", alice.id()]);
    let refused = send(&alice, &bob, "and again");
    assert_eq!((refused.code, reason(&refused)), (Some(DENIED), "denied"));
    assert_eq!(inbox(&bob), ["hello"]);

    bob.signal(Signal::SIGTERM);
    bob.wait_end();
    alice.wait_contact(&bob, "left");
    bob.set_arguments(&["--peer", &address(&alice)]);
    bob.restart();
    alice.wait_contact(&bob, "present");
    assert_eq!(send(&alice, &bob, "after the restart").code, Some(DENIED));
    bob.json(&["delivery", "forget", alice.id()]);
    assert_eq!(send(&alice, &bob, "friends again").code, Some(DELIVERED));
    assert_eq!(inbox(&bob), ["hello", "friends again"]);
}

#[test]
fn one_who_is_dropped_in_silence_does_not_know_and_nobody_else_notices() {
    let [alice, bob, carol] = acquainted();
    bob.json(&["delivery", "deny", alice.id(), "--silently"]);
    assert_eq!(send(&alice, &bob, "hello?").code, Some(INDETERMINATE));
    assert_eq!(send(&carol, &bob, "hello").code, Some(DELIVERED));
    assert_eq!(inbox(&bob), ["hello"]);
    let ignored = bob.json(&["id"])["refused"]["ignored"].as_u64();
    assert!(ignored >= Some(1), "{ignored:?}");
}

#[test]
fn only_those_with_a_petname_may_write_if_strangers_are_denied() {
    let [alice, bob, carol] = acquainted();
    bob.json(&["contact", "add", "ali", alice.id()]);
    let rules = bob.json(&["delivery", "deny", "strangers"]);
    assert_eq!(rules["strangers"]["action"], "deny");
    assert_eq!(send(&alice, &bob, "from a contact").code, Some(DELIVERED));
    assert_eq!(send(&carol, &bob, "from a stranger").code, Some(DENIED));
    bob.json(&["delivery", "accept", carol.id(), "--max-bytes", "10", "--content-type", "text/"]);
    assert_eq!(send(&carol, &bob, "from a stranger").code, Some(TOO_LARGE));
    assert_eq!(send(&carol, &bob, "short").code, Some(DELIVERED));
    assert_eq!(inbox(&bob), ["from a contact", "short"]);
}

#[test]
fn a_flood_of_a_stranger_fills_no_inbox_and_a_friend_gets_through() {
    let [alice, bob, carol] = acquainted();
    bob.json(&["delivery", "accept", "strangers", "--per-minute", "5"]);
    bob.json(&["contact", "add", "carol", carol.id()]);
    let outcomes: Vec<Output> = (0..20).map(|number| send(&alice, &bob, &format!("spam {number}"))).collect();
    let (taken, limited): (Vec<&Output>, Vec<&Output>) =
        outcomes.iter().partition(|output| output.code == Some(DELIVERED));
    assert!((5..=7).contains(&taken.len()), "five at once, and perhaps one more in time: {outcomes:#?}");
    assert!(limited.iter().all(|output| output.code == Some(RATE_LIMITED)), "{outcomes:#?}");
    assert_eq!(send(&carol, &bob, "lunch?").code, Some(DELIVERED));
    assert_eq!(bob.json(&["id"])["refused"]["rate-limited"], limited.len());
}

#[test]
fn a_rule_that_cannot_be_is_refused_with_what_to_do() {
    let [_, bob, _] = acquainted();
    for (line, word) in [
        (vec!["delivery", "accept", "strangers", "--per-minute", "0"], "deny the sender instead"),
        (vec!["delivery", "accept", "strangers", "--content-type", "text"], "such as text/plain"),
        (vec!["delivery", "accept", bob.id(), "--together", "5"], "not for one sender"),
        (vec!["delivery", "forget", "contacts"], "here delivery"),
        (vec!["delivery", "deny", "nobody at all"], "nobody at all"),
    ] {
        let output = bob.cli(&line);
        assert_ne!(output.code, Some(0), "{line:?}");
        assert!(output.stdout.contains(word), "{line:?}: {output:?}");
    }
    let rules = bob.json(&["delivery"]);
    assert_eq!(rules["strangers"]["per_minute"], 60, "as in a new node: {rules:#}");
    assert_eq!(rules["senders"].as_array().map(Vec::len), Some(0));
}

/// Alice, Bob and Carol, who see each other.
fn acquainted() -> [Node; 3] {
    let bob = Node::start(Place::Loopback, "Bob", &[]);
    let [alice, carol] =
        ["Alice", "Carol"].map(|name| Node::start(Place::Loopback, name, &["--peer", &address(&bob)]));
    for one in [&alice, &carol] {
        one.wait_contact(&bob, "present");
        bob.wait_contact(one, "present");
    }
    [alice, bob, carol]
}

fn address(node: &Node) -> String {
    let listen = node.up().get("listen").and_then(|listen| listen.as_array()).into_iter().flatten();
    let mut addresses = listen.filter_map(|address| address.as_str());
    addresses.find(|address| address.contains("/tcp/")).expect("it listens on TCP").to_owned()
}

fn send(from: &Node, to: &Node, text: &str) -> Output {
    from.cli(&["send", to.id(), text])
}

fn reason(output: &Output) -> &str {
    output.json.get("reason").and_then(|reason| reason.as_str()).unwrap_or_default()
}

fn inbox(node: &Node) -> Vec<String> {
    let document = node.json(&["inbox"]);
    let messages = document.get("messages").and_then(|messages| messages.as_array()).into_iter().flatten();
    messages.filter_map(|message| Some(message.get("text")?.as_str()?.to_owned())).collect()
}

// Exit codes of `here send`.
const DELIVERED: i32 = 0;
const DENIED: i32 = 11;
const RATE_LIMITED: i32 = 13;
const TOO_LARGE: i32 = 14;
const INDETERMINATE: i32 = 21;
