//! RFC 2778's terms as people meet them: real `here` processes on hosts of a virtual Ethernet segment, which
//! find each other by mDNS. Each test begins with the term that it shows; `requirements.toml` says which
//! other tests show the rest. Rules, watchers and their visibility are in `terms_watchers.rs`.

mod lab;
#[path = "lab/wiretap.rs"]
mod wiretap;

use std::{net::SocketAddr, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};

use lab::{
    Addresses, Lab, Node, Place, contact_state,
    documents::{has_on_disk, note, status, subscriber, subscription, texts, tuple, wait_newest, wait_note},
    entry, have_all_sight, on_a_segment, start_together,
};
use wiretap::Wiretap;

#[test]
fn communication_means_stand_side_by_side_and_a_message_takes_the_one_it_needs() {
    let Some([alice, mut bob, _]) = on_a_segment() else { return };
    bob.json(&["set", "closed", "--tuple", "phone", "--means", "tel", "--contact", PHONE]);
    bob.json(&["set", "open", "--tuple", "radio", "--means", "cb-radio", "--contact", "x-cb:19"]);
    let id = bob.id().to_owned();
    let all_three = |who: &Value| entry(who, &id).is_some_and(|bob| tuple(bob, "radio").is_some());
    alice.wait_who("all means", all_three);
    let shown = alice.json(&["fetch", "bob"]);
    let pair = |id: &str| tuple(&shown, id).map(|tuple| tuple["communication"].clone());
    assert_eq!(pair("phone"), Some(json!({"means": "tel", "contact": PHONE})));
    assert_eq!(pair("radio"), Some(json!({"means": "cb-radio", "contact": "x-cb:19"})));
    assert_eq!(pair("inbox").map(|pair| pair["means"].clone()), Some(json!("im")));

    assert_eq!(alice.cli(&["send", "bob", "by the inbox alone"]).code, Some(DELIVERED));
    assert_eq!(texts(&bob), ["by the inbox alone"]);
    bob.down();
    bob.restart();
    alice.wait_who("all means after a restart", |who| {
        all_three(who) && contact_state(who, bob.id()) == Some("present")
    });
}

#[test]
fn presence_information_has_tuples_with_a_status_each_and_at_least_one() {
    let Some([alice, bob, _]) = on_a_segment() else { return };
    bob.json(&["set", "closed", "--tuple", "phone", "--means", "tel", "--contact", PHONE]);
    bob.json(&["set", "open", "--tuple", "desk"]);
    let who = alice.wait_who("the last tuple", |who| {
        entry(who, bob.id()).is_some_and(|bob| tuple(bob, "desk").is_some())
    });
    let shown = entry(&who, bob.id()).expect("it was there just now");
    let basic = |id: &str| tuple(shown, id).map(|tuple| tuple["status"]["basic"].clone());
    assert_eq!(
        ["inbox", "phone", "desk"].map(basic),
        ["open", "closed", "open"].map(|word| Some(json!(word)))
    );
    let desk = tuple(shown, "desk").expect("it was there just now");
    assert_eq!(desk["communication"], Value::Null, "a tuple needs no address");

    for id in ["inbox", "phone"] {
        bob.json(&["set", "--remove-tuple", id]);
    }
    let last = bob.cli(&["set", "--remove-tuple", "desk"]);
    assert_eq!((last.code, &last.json["error"]["code"]), (Some(1), &json!("invalid-presence")), "{last:?}");
    alice.wait_who("one tuple is left", |who| {
        let tuples = entry(who, bob.id()).and_then(|bob| bob["tuples"].as_array());
        tuples.is_some_and(|tuples| tuples.len() == 1 && tuples[0]["id"] == "desk")
    });
}

#[test]
fn status_is_open_or_closed_and_never_both_and_further_words_go_with_either() {
    let Some([alice, bob, _]) = on_a_segment() else { return };
    for both in
        [vec!["set", "open,closed"], vec!["set", "open", "closed"], vec!["set", "closed", "dnd", "open"]]
    {
        let refused = bob.cli(&both);
        assert!(refused.code.is_some_and(|code| code != 0), "{both:?}: {refused:?}");
    }
    assert_eq!(bob.json(&["who"])["presentities"].as_array().map(Vec::len), Some(3));
    for basic in ["open", "closed"] {
        bob.json(&["set", basic, "dnd", "x-gardening"]);
        alice.wait_who("both are shown", |who| {
            let shown = entry(who, bob.id()).and_then(|bob| bob.pointer("/tuples/0/status"));
            shown == Some(&json!({"basic": basic, "further": ["dnd", "x-gardening"]}))
        });
    }
}

#[test]
fn contact_address_that_one_watcher_is_shown_reaches_the_inbox_from_a_fresh_node() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let nodes = start_together(&[(&a, "Alice"), (&b, "Bob")]);
    have_all_sight(&nodes);
    let shown = nodes[0].json(&["fetch", "bob"]);
    let address = shown["tuples"][0]["communication"]["contact"].as_str().expect("a contact address");
    let carol = Node::start(&c, "Carol", &[]);
    carol.wait_contact(&nodes[1], "present");
    assert_eq!(carol.cli(&["send", address, "I was given this address"]).code, Some(DELIVERED));
    assert_eq!(texts(&nodes[1]), ["I was given this address"]);
}

#[test]
fn instant_inbox_address_and_status_foretell_whether_a_message_is_taken() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let alice = Node::start(&a, "Alice", &[]);
    let bob = Node::start(&b, "Bob", &[]);
    let dora = Node::start(&c, "Dora", &["--no-inbox"]);
    alice.wait_contact(&bob, "present");
    alice.wait_contact(&dora, "present");
    let foretold = |whom: &Node| {
        let shown = alice.json(&["fetch", whom.id()]);
        let to = |tuple: &&Value| tuple["communication"]["means"] == "im";
        match shown["tuples"].as_array().into_iter().flatten().find(to) {
            None => NO_SUCH_INBOX,
            Some(tuple) if tuple["status"]["basic"] == "open" => DELIVERED,
            Some(_) => CLOSED,
        }
    };
    let sent = |whom: &Node| alice.cli(&["send", whom.id(), "as foretold"]).code;
    assert_eq!((foretold(&bob), sent(&bob)), (DELIVERED, Some(DELIVERED)));
    bob.json(&["set", "closed"]);
    assert_eq!((foretold(&bob), sent(&bob)), (CLOSED, Some(CLOSED)));
    assert_eq!((foretold(&dora), sent(&dora)), (NO_SUCH_INBOX, Some(NO_SUCH_INBOX)));
    assert_eq!(texts(&bob), ["as foretold"]);
}

#[test]
fn open_ends_by_itself_when_the_rules_deny_everybody_and_comes_back_with_the_first_who_may() {
    let Some([alice, mut bob, _]) = on_a_segment() else { return };
    let wait_status = |bob: &Node, basic: &str| {
        alice.wait_who("the status", |who| status(who, bob) == Some(basic));
    };
    bob.json(&["delivery", "deny", "strangers"]);
    bob.json(&["delivery", "deny", "contacts"]);
    wait_status(&bob, "closed");
    assert_eq!(alice.cli(&["send", "bob", "anybody?"]).code, Some(DENIED));
    bob.down();
    bob.restart();
    alice.wait_contact(&bob, "present");
    wait_status(&bob, "closed");
    bob.json(&["delivery", "accept", alice.id()]);
    wait_status(&bob, "open");
    assert_eq!(alice.cli(&["send", "bob", "it is me"]).code, Some(DELIVERED));
}

#[test]
fn sender_without_an_inbox_says_that_it_takes_no_answer() {
    let Some([a, b]) = Lab::with_hosts(Addresses::V4) else { return };
    let bob = Node::start(&b, "Bob", &[]);
    let dora = Node::start(&a, "Dora", &["--no-inbox"]);
    dora.wait_contact(&bob, "present");
    assert_eq!(dora.cli(&["send", "bob", "do not answer"]).code, Some(DELIVERED));
    let came = bob.json(&["inbox"])["messages"][0].clone();
    assert_eq!((&came["from"]["id"], &came["reply_to"]), (&json!(dora.id()), &Value::Null));
    assert_eq!(bob.cli(&["send", dora.id(), "but why?"]).code, Some(NO_SUCH_INBOX));
}

#[test]
fn instant_inbox_keeps_what_came_for_its_owner_alone_and_what_was_deleted_stays_deleted() {
    let Some([alice, mut bob, _]) = on_a_segment() else { return };
    // Nobody looks at Bob's inbox while these come.
    for text in ["one", "two", "three"] {
        assert_eq!(alice.cli(&["send", "bob", text]).code, Some(DELIVERED));
    }
    let id = |number: usize| bob.json(&["inbox"])["messages"][number]["id"].as_str().map(str::to_owned);
    let (first, second) = (id(0).expect("it came"), id(1).expect("it came"));
    bob.json(&["inbox", "read", &first]);
    bob.json(&["inbox", "delete", &second]);
    assert!(texts(&alice).is_empty(), "there is no command that reads the inbox of another");
    for path in [bob.home().to_owned(), bob.home().join("here.sock"), bob.home().join("node.db")] {
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is its owner's: {mode:o}", path.display());
    }

    bob.down();
    bob.restart();
    assert_eq!(texts(&bob), ["one", "three"]);
    let after = bob.json(&["inbox"]);
    assert_eq!((&after["messages"][0]["read"], &after["messages"][1]["read"]), (&json!(true), &json!(false)));
}

#[test]
fn instant_message_has_one_id_on_both_sides_a_limit_and_an_answer() {
    let Some([alice, bob, _]) = on_a_segment() else { return };
    let sent = alice.json(&["send", "bob", "Canteen at twelve?"]);
    let came = bob.json(&["inbox"])["messages"][0].clone();
    assert_eq!((&came["id"], &came["from"]["id"]), (&sent["id"], &json!(alice.id())));
    assert_eq!(came["to"], bob.up()["inbox_address"], "it says to whom it goes");
    assert_eq!(came["reply_to"], alice.up()["inbox_address"], "and where an answer goes");

    let largest = "x".repeat(BODY_BYTES_MAX);
    let send = |text: &str| alice.client().cli_with_input(&["send", "bob", "-"], Some(text)).code;
    assert_eq!(send(&largest), Some(DELIVERED));
    assert_eq!(send(&format!("{largest}x")), Some(TOO_LARGE));
    assert_eq!(texts(&bob), ["Canteen at twelve?", &largest]);

    // A reply needs nothing but what stands in the message.
    let from = came["reply_to"].as_str().expect("an address");
    let thread = came["id"].as_str().expect("an id");
    assert_eq!(bob.cli(&["send", from, "yes", "--thread", thread]).code, Some(DELIVERED));
    let answer = alice.json(&["inbox"])["messages"][0].clone();
    assert_eq!((&answer["text"], &answer["thread"]), (&json!("yes"), &sent["id"]));
}

#[test]
fn instant_messages_can_be_neither_read_nor_changed_on_their_way() {
    let bob = Node::start(Place::Loopback, "Bob", &[]);
    let tap = Wiretap::to(loopback(&bob));
    let by_tap = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", tap.address().port(), bob.id());
    let alice = Node::start(Place::Loopback, "Alice", &["--peer", &by_tap]);
    alice.wait_contact(&bob, "present");
    bob.wait_contact(&alice, "present");
    let secret = NOTE.repeat(200);
    let before = tap.heard().len();
    assert_eq!(alice.cli(&["send", bob.id(), &secret]).code, Some(DELIVERED));
    let heard = tap.heard();
    assert!(heard.len() - before > secret.len(), "the message went this way");
    assert!(!heard.windows(NOTE.len()).any(|window| window == NOTE.as_bytes()));

    tap.change_what_passes();
    // It may fail, or be sent once more another way: what arrives is what was written.
    alice.cli(&["send", bob.id(), "pay ten"]);
    assert!(tap.wait_end(), "nobody goes on with a connection on which something was changed");
    let came = texts(&bob);
    assert!(came == [secret.as_str()] || came == [secret.as_str(), "pay ten"], "{came:?}");
}

#[test]
fn delivery_rules_refuse_one_sender_and_count_it_and_outlive_a_restart() {
    let Some([alice, mut bob, carol]) = on_a_segment() else { return };
    bob.json(&["delivery", "deny", alice.id()]);
    let refused = alice.cli(&["send", "bob", "let me in"]);
    assert_eq!((refused.code, &refused.json["reason"]), (Some(DENIED), &json!("denied")));
    assert_eq!(carol.cli(&["send", "bob", "me?"]).code, Some(DELIVERED));
    assert_eq!(bob.json(&["id"])["refused"]["denied"], 1);
    bob.down();
    bob.restart();
    alice.wait_contact(&bob, "present");
    assert_eq!(alice.cli(&["send", "bob", "and now?"]).code, Some(DENIED));
    assert_eq!(alice.cli(&["delivery", "accept", bob.id()]).code, Some(0));
    assert_eq!(alice.cli(&["send", "bob", "my rules?"]).code, Some(DENIED), "they are the inbox's owner's");
    bob.json(&["delivery", "forget", alice.id()]);
    assert_eq!(alice.cli(&["send", "bob", "at last"]).code, Some(DELIVERED));
    assert_eq!(texts(&bob), ["me?", "at last"]);
}

#[test]
fn principal_of_the_same_name_is_another_and_a_rule_for_one_leaves_the_other_untouched() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let nodes = start_together(&[(&a, "Alice"), (&b, "bob"), (&c, "bob")]);
    have_all_sight(&nodes);
    let [alice, bob, other] = nodes.as_array().expect("three were started");
    alice.json(&["access", "block", bob.id()]);
    alice.json(&["delivery", "deny", bob.id()]);
    let who = alice.json(&["who"]);
    let short = |node: &Node| entry(&who, node.id()).map(|entry| entry["short_id"].clone());
    assert_ne!(short(bob), short(other), "two are listed, and told apart by their keys");
    assert_eq!(alice.cli(&["send", "bob", "which?"]).code, Some(UNKNOWN_NAME));

    let allowed = |node: &Node| {
        let inbox = alice.up()["inbox_address"].as_str().expect("an inbox").to_owned();
        (node.cli(&["fetch", alice.id()]).code, node.cli(&["send", &inbox, "it is me"]).code)
    };
    assert_eq!(allowed(bob), (Some(NOT_ALLOWED), Some(DENIED)));
    assert_eq!(allowed(other), (Some(0), Some(DELIVERED)));
}

#[test]
fn watcher_user_agent_adds_and_drops_whom_it_watches_on_a_running_node() {
    let Some([mut alice, bob, carol]) = on_a_segment() else { return };
    assert_eq!(alice.json(&["subscriptions"])["watching"], json!([]), "nobody need be watched");
    let states = |alice: &Node| [&bob, &carol].map(|whom| subscription(alice, whom).0);
    alice.json(&["contact", "add", "robert", bob.id()]);
    alice.json(&["contact", "add", "caroline", carol.id()]);
    let both = |all: &Value| {
        let watching = all["watching"].as_array().into_iter().flatten();
        watching.filter(|watch| watch["state"] == "active").count() == 2
    };
    alice.wait_json(&["subscriptions"], "both are watched", both);
    alice.down();
    alice.restart();
    alice.wait_json(&["subscriptions"], "both are watched again", both);
    alice.json(&["contact", "remove", "robert"]);
    assert_eq!(states(&alice), ["", "active"]);
    bob.wait_json(&["subscriptions"], "alice dropped him", |all| subscriber(all, &alice).is_none());
    carol.wait_json(&["subscriptions"], "alice watches her", |all| subscriber(all, &alice).is_some());
}

#[test]
fn proxy_passes_presence_on_between_two_who_cannot_reach_each_other_and_no_message() {
    let Some(lab) = Lab::build() else { return };
    let (left, right) = (lab.segment(), lab.segment());
    let (a, b) = (lab.host(&[&left], Addresses::V4), lab.host(&[&right], Addresses::V4));
    let between = lab.host(&[&left, &right], Addresses::V4);
    let nodes = start_together(&[(&a, "Alice"), (&between, "Peter"), (&b, "Bob")]);
    let [alice, peter, bob] = nodes.as_array().expect("three were started");
    for (one, other) in [(alice, peter), (bob, peter)] {
        one.wait_contact(other, "present");
        other.wait_contact(one, "present");
    }
    bob.json(&["set", "open", "--note", "across two segments"]);
    wait_note(alice, bob, Some("across two segments"));
    assert_eq!(alice.json(&["fetch", bob.id()])["source"], "known", "and is not asked himself");
    assert_eq!(alice.cli(&["send", bob.id(), "can you hear me?"]).code, Some(UNREACHABLE));
    assert!(texts(bob).is_empty() && texts(peter).is_empty());

    // What is not for anybody is not for whoever passes it on either.
    bob.json(&["access", "block", "anybody"]);
    bob.json(&["set", "open", "--note", NOTE]);
    for passes_on in [peter, alice] {
        wait_newest(passes_on, bob);
        let who = passes_on.json(&["who", "--no-fetch"]);
        assert_eq!(entry(&who, bob.id()).map(|bob| &bob["sealed"]), Some(&json!(true)));
    }
    assert!(has_on_disk(bob, NOTE), "on his own disk it can be found");
    assert!(!has_on_disk(peter, NOTE));
}

#[test]
fn server_of_its_own_is_not_there_and_two_go_on_when_any_third_is_killed() {
    let Some([alice, bob, mut carol]) = on_a_segment() else { return };
    carol.kill9();
    alice.wait_contact(&carol, "lost");
    bob.wait_contact(&carol, "lost");
    bob.json(&["set", "open", "--note", "we two"]);
    alice.wait_who("the note", |who| note(who, &bob) == Some("we two") && status(who, &bob) == Some("open"));
    assert_eq!(alice.cli(&["send", "bob", "only us"]).code, Some(DELIVERED));
    assert_eq!(bob.cli(&["send", "alice", "so it is"]).code, Some(DELIVERED));
}

#[test]
fn firewalls_can_be_told_the_one_port_that_a_node_uses() {
    let Some([a, b]) = Lab::with_hosts(Addresses::V4) else { return };
    let bob = Node::start(&b, "Bob", &["--no-mdns", "--listen", "/ip4/0.0.0.0/tcp/4001"]);
    let alice = Node::start(
        &a,
        "Alice",
        &["--no-mdns", "--listen", "/ip4/0.0.0.0/tcp/4001", "--peer", "/ip4/10.77.1.2/tcp/4001"],
    );
    alice.wait_contact(&bob, "present");
    bob.wait_contact(&alice, "present");
    assert_eq!(alice.cli(&["send", "bob", "by port 4001"]).code, Some(DELIVERED));
    for node in [&alice, &bob] {
        assert_eq!(ports(node, "tcp", LISTENS), [4001]);
        assert!(ports(node, "tcp6", LISTENS).is_empty());
        assert!(ports(node, "udp", UNCONNECTED).is_empty() && ports(node, "udp6", UNCONNECTED).is_empty());
    }
}

/// Where a node on loopback listens.
fn loopback(node: &Node) -> SocketAddr {
    let mut addresses = node.up()["listen"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let tcp = addresses.find_map(|address| address.strip_prefix("/ip4/127.0.0.1/tcp/"));
    let port = tcp.and_then(|port| port.parse().ok()).expect("it listens on TCP");
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The local ports of a node's host that are in this state, from the kernel's table (`man 5 proc`).
fn ports(node: &Node, protocol: &str, state: &str) -> Vec<u16> {
    let path = format!("/proc/{}/net/{protocol}", node.pid());
    let table = std::fs::read_to_string(path).expect("the node runs");
    let port = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = columns.get(1)?.rsplit_once(':')?;
        (columns.get(3) == Some(&state)).then(|| u16::from_str_radix(port, 16).ok())?
    };
    table.lines().filter_map(port).collect()
}

const NOTE: &str = "marker: in the attic until nine";
const PHONE: &str = "tel:+1-201-555-0123";
const BODY_BYTES_MAX: usize = 16 * 1024;
// Exit codes.
const DELIVERED: i32 = 0;
const UNKNOWN_NAME: i32 = 4;
const NOT_ALLOWED: i32 = 5;
const CLOSED: i32 = 10;
const DENIED: i32 = 11;
const TOO_LARGE: i32 = 14;
const NO_SUCH_INBOX: i32 = 15;
const UNREACHABLE: i32 = 20;
// States in the kernel's tables of sockets.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";
