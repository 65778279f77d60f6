//! ACCESS RULES, WATCHER INFORMATION and VISIBILITY RULES (RFC 2778), as a presentity's owner sets them and
//! as watchers meet them: three real nodes on this machine's loopback.

mod lab;

use nix::sys::signal::Signal;
use serde_json::Value;

use lab::{
    Node, Place,
    documents::{has_on_disk, kind, status, subscription, wait_note, watcher},
    entry,
};

#[test]
fn access_rules_block_a_watcher_from_the_next_moment_until_it_is_allowed_and_over_restarts() {
    let [alice, mut bob, carol] = acquainted();
    alice.json(&["contact", "add", "bob", bob.id()]);
    bob.json(&["access", "block", carol.id()]);
    bob.json(&["set", "open", "away", "--note", NOTE]);
    wait_note(&alice, &bob, Some(NOTE));
    wait_note(&carol, &bob, None);
    assert_eq!(carol.cli(&["fetch", bob.id()]).code, Some(NOT_ALLOWED));
    assert_eq!(alice.cli(&["fetch", bob.id()]).code, Some(0));

    bob.signal(Signal::SIGTERM);
    bob.wait_end();
    alice.wait_contact(&bob, "left");
    bob.set_arguments(&["--peer", &address(&alice)]);
    bob.restart();
    carol.wait_contact(&bob, "present");
    assert_eq!(carol.cli(&["fetch", bob.id()]).code, Some(NOT_ALLOWED), "the rule outlives a restart");
    wait_note(&alice, &bob, Some(NOTE));
    assert!(!has_on_disk(&carol, NOTE), "of what is withheld no byte is stored");

    bob.json(&["access", "forget", carol.id()]);
    wait_note(&carol, &bob, Some(NOTE));
    assert_eq!(carol.cli(&["access", "block", bob.id()]).code, Some(0));
    assert_eq!(bob.json(&["access"])["watchers"].as_array().map(Vec::len), Some(0), "only the owner edits");
}

#[test]
fn one_who_is_politely_blocked_sees_and_is_told_what_it_would_be_by_a_closed_presentity() {
    let [alice, bob, carol] = acquainted();
    bob.json(&["access", "block", "anybody"]);
    bob.json(&["access", "block", carol.id(), "--politely"]);
    let polite = experience(&carol, &bob);
    assert_eq!(alice.cli(&["fetch", bob.id()]).code, Some(0));
    let seen = alice.wait_who("alice sees it open", |who| status(who, &bob) == Some("open"));
    assert!(entry(&seen, bob.id()).is_some());

    bob.json(&["access", "forget", carol.id()]);
    bob.json(&["set", "closed"]);
    let closed = experience(&carol, &bob);
    assert_eq!(polite, closed);
    assert_eq!(polite, (0, "closed".to_owned(), "active".to_owned(), CLOSED));
}

#[test]
fn a_request_waits_for_the_principal_and_is_approved_in_part_or_denied() {
    let [alice, bob, carol] = acquainted();
    bob.json(&["set", "open", "busy", "--note", NOTE]);
    bob.json(&["access", "confirm", "strangers"]);
    assert_eq!(carol.cli(&["fetch", bob.id()]).code, Some(NOT_ALLOWED));
    carol.json(&["contact", "add", "bob", bob.id()]);
    alice.json(&["contact", "add", "bob", bob.id()]);
    let both = |document: &Value| document["requests"].as_array().is_some_and(|list| list.len() == 2);
    bob.wait_json(&["requests"], "both ask", both);
    assert_eq!(subscription(&carol, &bob), ("pending".to_owned(), "subscribe".to_owned()));

    bob.json(&["requests", "approve", carol.id(), "--only", "status"]);
    carol.wait_who("carol sees the status", |who| status(who, &bob) == Some("open"));
    wait_note(&carol, &bob, None);
    assert_eq!(subscription(&carol, &bob), ("active".to_owned(), "approved".to_owned()));
    bob.json(&["requests", "deny", alice.id()]);
    let rejected = |subscriptions: &Value| subscriptions["watching"][0]["event"] == "rejected";
    alice.wait_json(&["subscriptions"], "the refusal is told", rejected);
    let none = |document: &Value| document["requests"].as_array().is_some_and(Vec::is_empty);
    bob.wait_json(&["requests"], "nobody waits any more", none);
    assert_eq!(
        bob.cli(&["requests", "approve", alice.id()]).code,
        Some(1),
        "and nobody else can be approved"
    );
}

#[test]
fn watcher_information_tells_subscribers_fetchers_and_refused_apart_over_restarts() {
    let [alice, mut bob, carol] = acquainted();
    bob.json(&["access", "block", carol.id()]);
    assert_eq!(carol.cli(&["fetch", bob.id()]).code, Some(NOT_ALLOWED));
    assert_eq!(alice.cli(&["fetch", bob.id()]).code, Some(0));
    bob.wait_json(&["watchers"], "both are seen", |watchers| {
        kind(watchers, &alice) == Some("fetcher") && kind(watchers, &carol) == Some("refused")
    });
    let watching = alice.follow(&["watch", bob.id()]);
    bob.wait_json(&["watchers"], "a subscriber", |seen| kind(seen, &alice) == Some("subscriber"));
    watching.signal(Signal::SIGINT);
    let cancelled = bob
        .wait_json(&["watchers"], "one that cancelled", |watchers| kind(watchers, &alice) == Some("fetcher"));
    let seen = watcher(&cancelled, &alice).expect("it is still in the list");
    assert_eq!(
        (&seen["fetches"], &seen["subscribes"], &seen["event"]),
        (&1.into(), &1.into(), &"timeout".into())
    );

    bob.signal(Signal::SIGTERM);
    bob.wait_end();
    bob.restart();
    let kept = bob.json(&["watchers"]);
    assert_eq!((kind(&kept, &alice), kind(&kept, &carol)), (Some("fetcher"), Some("refused")));
}

#[test]
fn a_poller_is_seen_with_its_period_and_put_off_if_it_is_too_fast() {
    let [alice, bob, _] = acquainted();
    let poller = alice.follow(&["poll", bob.id(), "--every", "1s"]);
    let seen = bob.wait_json(&["watchers"], "a poller", |seen| kind(seen, &alice) == Some("poller"));
    let period = watcher(&seen, &alice).and_then(|watcher| watcher["period_seconds"].as_f64());
    assert!(period.is_some_and(|period| (0.5..=2.0).contains(&period)), "{period:?}");
    assert_eq!(bob.json(&["subscriptions"])["subscribers"], Value::Array(Vec::new()));
    poller.signal(Signal::SIGINT);
    let refused = (0..30).map(|_| alice.cli(&["fetch", bob.id()])).find(|output| output.code != Some(0));
    assert_eq!(refused.expect("thirty at once are too fast").json["error"]["code"], "too-fast");
}

#[test]
fn visibility_rules_hide_a_watcher_from_others_and_not_from_whom_it_watches() {
    let [alice, bob, carol] = acquainted();
    bob.json(&["access", "allow", carol.id(), "--watchers"]);
    alice.json(&["contact", "add", "bob", bob.id()]);
    carol.wait_json(&["watchers", bob.id()], "carol sees alice", |seen| watcher(seen, &alice).is_some());
    assert!(watcher(&alice.json(&["watchers", bob.id()]), &carol).is_none(), "alice may not see others");

    alice.json(&["visibility", "hide", "--from", carol.id()]);
    carol.wait_json(&["watchers", bob.id()], "alice is hidden", |seen| watcher(seen, &alice).is_none());
    let own = bob.json(&["watchers"]);
    assert_eq!(watcher(&own, &alice).map(|seen| &seen["hidden"]), Some(&Value::Bool(true)));
    assert!(watcher(&alice.json(&["watchers", bob.id()]), &alice).is_some(), "each sees itself");
    alice.json(&["visibility", "unhide"]);
    carol.wait_json(&["watchers", bob.id()], "carol sees alice", |seen| watcher(seen, &alice).is_some());
}

#[test]
fn a_key_holder_reads_the_last_state_of_one_who_is_out_of_contact_also_after_a_restart() {
    let [mut alice, mut bob, carol] = acquainted();
    bob.json(&["access", "block", "anybody"]);
    bob.json(&["set", "open", "--note", NOTE]);
    alice.json(&["contact", "add", "bob", bob.id()]);
    wait_note(&alice, &bob, Some(NOTE));
    bob.kill9();
    alice.wait_contact(&bob, "lost");
    wait_note(&alice, &bob, Some(NOTE));
    alice.signal(Signal::SIGTERM);
    alice.wait_end();
    alice.restart();
    wait_note(&alice, &bob, Some(NOTE));
    wait_note(&carol, &bob, None);
}

#[test]
fn a_node_without_a_presentity_watches_sends_and_takes_messages_and_nobody_is_shown_it() {
    let [alice, bob, carol] = acquainted();
    let dave = Node::start(Place::Loopback, "Dave", &["--no-presence", "--peer", &address(&bob)]);
    dave.wait_contact(&bob, "present");
    dave.wait_contact(&alice, "present");
    assert_eq!(dave.cli(&["send", alice.id(), "who is this?"]).code, Some(0));
    bob.json(&["set", "open", "--note", NOTE]);
    wait_note(&dave, &bob, Some(NOTE));
    let inbox = format!("im:{}@lan.alt", dave.id());
    assert_eq!(bob.cli(&["send", &inbox, "and you?"]).code, Some(0));
    for node in [&alice, &bob, &carol] {
        assert!(entry(&node.json(&["who"]), dave.id()).is_none());
    }
}

#[test]
fn a_node_without_an_inbox_is_shown_and_sends_and_takes_no_messages() {
    let [alice, bob, _] = acquainted();
    let dave = Node::start(Place::Loopback, "Dave", &["--no-inbox", "--peer", &address(&bob)]);
    alice.wait_contact(&dave, "present");
    dave.wait_contact(&alice, "present");
    assert_eq!(dave.cli(&["send", alice.id(), "do not answer"]).code, Some(0));
    assert_eq!(alice.cli(&["send", dave.id(), "why not?"]).code, Some(NO_SUCH_INBOX), "it names none");
    let inbox = format!("im:{}@lan.alt", dave.id());
    assert_eq!(alice.cli(&["send", &inbox, "why not?"]).code, Some(NO_SUCH_INBOX), "and has none");
    let shown = alice.json(&["who"]);
    assert_eq!(status(&shown, &dave), Some("closed"), "{shown:#}");
}

/// What somebody sees of a presentity that it watches and writes to: the exit code of a fetch, the status
/// that it shows, the state of its subscription, and the exit code of a message.
fn experience(watcher: &Node, presentity: &Node) -> (i32, String, String, i32) {
    watcher.json(&["contact", "add", "them", presentity.id()]);
    let state = |all: &Value| all.pointer("/watching/0/state").and_then(Value::as_str).map(str::to_owned);
    let watching = |all: &Value| state(all).as_deref() == Some("active");
    let subscriptions = watcher.wait_json(&["subscriptions"], "the subscription is active", watching);
    let fetched = watcher.cli(&["fetch", presentity.id()]);
    let seen = watcher.wait_who("it shows a closed one", |who| status(who, presentity) == Some("closed"));
    let sent = watcher.cli(&["send", presentity.id(), "hello"]);
    let state = state(&subscriptions).unwrap_or_default();
    watcher.json(&["contact", "remove", "them"]);
    let status = status(&seen, presentity).unwrap_or_default().to_owned();
    (fetched.code.unwrap_or(-1), status, state, sent.code.unwrap_or(-1))
}

/// Alice, Bob and Carol, who see each other.
fn acquainted() -> [Node; 3] {
    let bob = Node::start(Place::Loopback, "Bob", &[]);
    let [alice, carol] =
        ["Alice", "Carol"].map(|name| Node::start(Place::Loopback, name, &["--peer", &address(&bob)]));
    for (one, other) in [(&alice, &bob), (&carol, &bob), (&alice, &carol)] {
        one.wait_contact(other, "present");
        other.wait_contact(one, "present");
    }
    [alice, bob, carol]
}

fn address(node: &Node) -> String {
    let listen = node.up().get("listen").and_then(|listen| listen.as_array()).into_iter().flatten();
    let mut addresses = listen.filter_map(|address| address.as_str());
    addresses.find(|address| address.contains("/tcp/")).expect("it listens on TCP").to_owned()
}

const NOTE: &str = "marker: in the attic until nine";
// Exit codes.
const NOT_ALLOWED: i32 = 5;
const CLOSED: i32 = 10;
const NO_SUCH_INBOX: i32 = 15;
