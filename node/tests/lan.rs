//! What people see on a LAN: real `here` processes on hosts of a virtual Ethernet segment.
//!
//! Each test is one scenario and needs no configuration of this machine; where the kernel forbids network
//! namespaces they print `SKIPPED` and why. The hosts, the cables and the waiting are in `lab`. Nothing
//! here is timed, beyond the patience of a person; the figures are in `benches/lan.rs`.

#![expect(
    clippy::indexing_slicing,
    reason = "what is missing in a JSON document reads as null, and each test knows how many nodes it has"
)]

#[path = "lab/foreign.rs"]
mod foreign;
mod lab;
#[path = "lab/telephone.rs"]
mod telephone;

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use lab::{
    Addresses, Host, Lab, Node, PATIENCE, Running, contact_state, entry, have_all_sight, start_together,
};

#[test]
fn a_segment_carries_multicast_and_a_cut_cable_stops_it() {
    for (addresses, group) in
        [(Addresses::V4, telephone::GROUP_V4), (Addresses::V6LinkLocal, telephone::GROUP_V6)]
    {
        let Some([a, b, c]) = Lab::with_hosts(addresses) else { return };
        let mut a = telephone::Telephone::on(&a, group);
        let (telephone_b, telephone_c) =
            (telephone::Telephone::on(&b, group), telephone::Telephone::on(&c, group));
        assert!(a.say_until_heard("both hear this", &telephone_b));
        assert!(a.say_until_heard("both hear this", &telephone_c));
        b.cut_cable(0);
        assert!(a.say_until_heard("only one hears this", &telephone_c));
        b.mend_cable(0);
        assert!(a.say_until_heard("both hear this too", &telephone_b));
        assert!(!telephone_b.has_heard("only one hears this"));
    }
}

#[test]
fn three_hosts_find_each_other_without_configuration() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol")]);
    have_all_sight(&nodes);
    let who = nodes[0].json(&["who"]);
    assert_eq!(names(&who), ["Bob", "Carol", "Alice"], "others by name, oneself last: {who:#}");
    let own = entry(&who, nodes[0].id()).expect("one's own entry is listed");
    assert_eq!(own["self"], true);
    assert_eq!(entry(&who, nodes[1].id()).expect("Bob is listed")["self"], false);
    assert_eq!(nodes[0].json(&["id"])["id"], nodes[0].id());
}

#[test]
fn the_session_of_the_readme_plays_on_three_hosts() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let mut nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol")]);
    have_all_sight(&nodes);
    let [alice, bob, carol] =
        nodes.get_mut(..).and_then(|all| all.as_mut_array()).expect("three were started");
    presence_is_set_watched_and_fetched(alice, bob);
    messages_are_delivered_read_and_deleted(alice, bob);
    a_closed_inbox_answers_closed(alice, bob);
    one_who_leaves_is_shown_as_left(alice, bob, carol);
    one_who_is_killed_is_lost_and_gets_the_queue_when_back(alice, bob);
}

fn presence_is_set_watched_and_fetched(alice: &Node, bob: &Node) {
    let watch = alice.follow(&["watch", "bob"]);
    let first = watch.lines().wait_for(0, PATIENCE, |_| true).expect("the present state comes first");
    assert_eq!((&first["id"], basic(&first)), (&json!(bob.id()), "open"));

    let later = (jiff::Timestamp::now() + Duration::from_secs(2 * 60 * 60)).to_string();
    let away = ["set", "open", "away", "--note", "back at noon", "--until", &later];
    let own = bob.json(&away);
    assert_eq!((&own["self"], &own["note"]["text"]), (&json!(true), &json!("back at noon")));
    watch_line(&watch, "away with a note", |line| line["note"]["text"] == "back at noon");
    // The same again is a new version of the record, and no change.
    bob.json(&away);
    bob.json(&["set", "closed"]);
    watch_line(&watch, "closed", |line| basic(line) == "closed");
    bob.json(&away);
    watch_line(&watch, "away again", |line| basic(line) == "open");
    let lines = watch.lines().all();
    assert_eq!(lines.len(), 4, "one line for the start and one for each change: {lines:#?}");

    let subscriptions = bob.json(&["subscriptions"]);
    assert_eq!(subscriptions["subscribers"][0]["id"], alice.id(), "{subscriptions:#}");
    watch.signal(Signal::SIGINT);
    assert!(watch.lines().wait_end(PATIENCE), "an interrupted watch ends");

    let fetched = alice.json(&["fetch", "bob"]);
    assert_eq!((&fetched["source"], &fetched["id"]), (&json!("direct"), &json!(bob.id())), "{fetched:#}");
    let tuple = &fetched["tuples"][0];
    assert_eq!(tuple["status"], json!({"basic": "open", "further": ["away"]}));
    assert_eq!(tuple["communication"]["means"], "im");
    let contact = tuple["communication"]["contact"].as_str().expect("a contact address");
    assert!(contact.starts_with("im:") && contact.contains(bob.id()), "{contact}");
    assert!(fetched["uri"].as_str().is_some_and(|uri| uri.starts_with("pres:")));
    assert!(fetched["age_seconds"].as_f64().is_some_and(|age| (0.0..60.0).contains(&age)), "{fetched:#}");
    assert!(fetched["until"].is_string() && fetched["version"]["sequence"].is_u64(), "{fetched:#}");
}

fn messages_are_delivered_read_and_deleted(alice: &Node, bob: &Node) {
    let follow = bob.follow(&["inbox", "--follow"]);
    let sent = alice.json(&["send", "bob", "Canteen at twelve?"]);
    assert_eq!((&sent["outcome"], &sent["reason"]), (&json!("delivered"), &Value::Null));
    let id = sent["id"].as_str().expect("an id");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");

    let piped = alice.client().cli_with_input(&["send", "bob", "-"], Some("and cake"));
    assert_eq!((piped.code, &piped.json["outcome"]), (Some(0), &json!("delivered")), "{piped:?}");
    let shown = follow.lines().wait_for(0, PATIENCE, |line| line.to_string().contains("and cake"));
    assert!(shown.is_some(), "`inbox --follow` shows what arrives: {:?}", follow.lines().all());

    let inbox = bob.json(&["inbox"]);
    assert_eq!(texts(&inbox), ["Canteen at twelve?", "and cake"]);
    let message = &inbox["messages"][0];
    assert_eq!((&message["id"], &message["from"]["id"]), (&json!(id), &json!(alice.id())));
    assert_eq!((&message["from"]["name"], &message["read"]), (&json!("Alice"), &json!(false)));

    let shortened = &id[..8];
    assert_eq!(bob.json(&["inbox", "read", shortened])["text"], "Canteen at twelve?");
    assert_eq!(bob.json(&["inbox"])["messages"][0]["read"], true);
    bob.json(&["inbox", "delete", shortened]);
    assert_eq!(texts(&bob.json(&["inbox"])), ["and cake"]);
}

fn a_closed_inbox_answers_closed(alice: &Node, bob: &Node) {
    bob.json(&["set", "closed"]);
    let refused = alice.cli(&["send", "bob", "still there?"]);
    assert_eq!(refused.code, Some(10), "{refused:?}");
    assert_eq!((&refused.json["outcome"], &refused.json["reason"]), (&json!("failed"), &json!("closed")));
    assert_eq!(texts(&bob.json(&["inbox"])), ["and cake"]);
    bob.json(&["set", "open", "away", "--note", "back at noon"]);
}

fn one_who_leaves_is_shown_as_left(alice: &Node, bob: &Node, carol: &mut Node) {
    carol.down();
    assert_eq!(alice.wait_contact(carol, "left")["contact"]["evidence"], "departed");
    assert_eq!(bob.wait_contact(carol, "left")["contact"]["evidence"], "departed");
}

fn one_who_is_killed_is_lost_and_gets_the_queue_when_back(alice: &Node, bob: &mut Node) {
    alice.wait_who("the note of Bob", |who| {
        entry(who, bob.id()).is_some_and(|bob| basic(bob) == "open" && bob["note"]["text"] == "back at noon")
    });
    bob.kill9();
    let lost = alice.wait_contact(bob, "lost");
    assert_eq!(
        (basic(&lost), &lost["note"]["text"]),
        ("open", &json!("back at noon")),
        "the last state is readable"
    );
    assert!(lost["contact"]["since"].is_string(), "{lost:#}");
    assert_eq!(alice.json(&["fetch", "bob"])["source"], "known");

    let unreachable = alice.cli(&["send", "bob", "anybody?"]);
    assert_eq!(
        (unreachable.code, &unreachable.json["reason"]),
        (Some(20), &json!("unreachable")),
        "{unreachable:?}"
    );
    let queued = alice.json(&["send", "bob", "are you back?", "--queue"]);
    assert_eq!(queued["outcome"], "queued");
    let regretted = alice.json(&["send", "bob", "never mind", "--queue"]);
    let regretted = regretted["id"].as_str().expect("an id");
    alice.json(&["outbox", "cancel", regretted]);
    let states = outbox_states(&alice.json(&["outbox"]));
    assert!(states.contains(&(queued["id"].clone(), json!("queued"))), "{states:?}");
    assert!(!states.contains(&(json!(regretted), json!("queued"))), "{states:?}");

    bob.restart();
    bob.wait_json(&["inbox"], "the queued message", |inbox| texts(inbox).contains(&"are you back?"));
    assert_eq!(texts(&bob.json(&["inbox"])), ["and cake", "are you back?"], "what was cancelled is not sent");
    alice.wait_json(&["outbox"], "the message is not queued any more", |outbox| {
        !outbox_states(outbox).contains(&(queued["id"].clone(), json!("queued")))
    });
    alice.wait_contact(bob, "present");
}

#[test]
fn a_restart_keeps_identity_and_status_and_raises_the_incarnation() {
    let Some([a, b]) = Lab::with_hosts(Addresses::V4) else { return };
    let mut nodes = start_together(&[(&a, "Alice"), (&b, "Bob")]);
    have_all_sight(&nodes);
    nodes[1].json(&["set", "open", "busy", "--note", "deep in it"]);
    let (id, first) = (nodes[1].id().to_owned(), incarnation(&nodes[1]));

    nodes[1].down();
    nodes[0].wait_contact(&nodes[1], "left");
    nodes[1].restart();
    nodes[0].wait_contact(&nodes[1], "present");
    assert_eq!(nodes[1].id(), id);
    let second = incarnation(&nodes[1]);
    assert!(second > first, "{second} > {first}");

    nodes[1].kill9();
    nodes[0].wait_contact(&nodes[1], "lost");
    nodes[1].restart();
    let third = incarnation(&nodes[1]);
    assert!(third > second, "{third} > {second}");
    let who = nodes[0].wait_who("the third run of Bob", |who| {
        entry(who, &id).is_some_and(|seen| seen["version"]["incarnation"] == third)
    });
    let seen = entry(&who, &id).expect("it was there just now");
    assert_eq!((basic(seen), further(seen)), ("open", vec!["busy"]), "{seen:#}");
    assert_eq!((&seen["contact"]["state"], &seen["note"]["text"]), (&json!("present"), &json!("deep in it")));
}

#[test]
fn a_late_joiner_has_the_whole_picture() {
    let Some([a, b, c, d]) = Lab::with_hosts(Addresses::V4) else { return };
    let nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol")]);
    have_all_sight(&nodes);
    nodes[0].json(&["set", "open", "chat", "--note", "come in"]);
    nodes[1].json(&["set", "closed", "--note", "gone fishing"]);
    let settled = nodes[2].wait_who("both changes", |who| {
        let note = |node: &Node| entry(who, node.id()).map(|entry| entry["note"]["text"].clone());
        note(&nodes[0]) == Some(json!("come in")) && note(&nodes[1]) == Some(json!("gone fishing"))
    });

    let dora = Node::start(&d, "Dora", &[]);
    dora.wait_who("the picture that Carol has", |who| {
        nodes.iter().all(|node| {
            let (told, known) = (entry(who, node.id()), entry(&settled, node.id()));
            contact_state(who, node.id()) == Some("present")
                && told.zip(known).is_some_and(|(told, known)| {
                    ["version", "tuples", "note", "name"].iter().all(|&field| told[field] == known[field])
                })
        })
    });
}

#[test]
fn a_host_on_two_segments_is_listed_once_and_reached_from_both() {
    let Some(lab) = Lab::build() else { return };
    let (left, right) = (lab.segment(), lab.segment());
    let a = lab.host(&[&left], Addresses::V4);
    let (both, both_too) =
        (lab.host(&[&left, &right], Addresses::V4), lab.host(&[&left, &right], Addresses::V4));
    let c = lab.host(&[&right], Addresses::V4);
    let nodes = start_together(&[(&a, "Alice"), (&both, "Rita"), (&both_too, "Ruth"), (&c, "Carol")]);
    // Alice and Carol share no segment, but each hears of the other by way of those between them.
    let [alice, rita, ruth, carol] = nodes.as_array().expect("four were started");
    for (node, others) in [
        (rita, [alice, ruth, carol]),
        (ruth, [alice, rita, carol]),
        (alice, [rita, ruth, rita]),
        (carol, [rita, ruth, rita]),
    ] {
        node.wait_who("all in reach are present", |who| {
            others.iter().all(|other| contact_state(who, other.id()) == Some("present"))
        });
    }
    for (from, to) in [(alice, rita), (rita, alice), (carol, rita), (rita, carol), (rita, ruth), (ruth, rita)]
    {
        let sent = from.json(&["send", to.id(), "over here"]);
        assert_eq!(sent["outcome"], "delivered", "{} to {}", from.name(), to.name());
    }
    carol.json(&["set", "open", "--note", "heard across"]);
    alice.wait_who("Carol's change, by way of the others", |who| {
        entry(who, carol.id()).is_some_and(|carol| carol["note"]["text"] == "heard across")
    });
}

#[test]
fn a_link_with_ipv6_only_is_enough() {
    meet_and_talk(Addresses::V6);
}

#[test]
fn a_link_with_nothing_but_link_local_addresses_is_enough() {
    meet_and_talk(Addresses::V6LinkLocal);
}

fn meet_and_talk(addresses: Addresses) {
    let Some([a, b]) = Lab::with_hosts(addresses) else { return };
    let mut nodes = start_together(&[(&a, "Alice"), (&b, "Bob")]);
    have_all_sight(&nodes);
    assert_eq!(nodes[0].json(&["send", "bob", "six"])["outcome"], "delivered");
    assert_eq!(nodes[1].json(&["send", "alice", "four"])["outcome"], "delivered");
    nodes[1].kill9();
    nodes[0].wait_contact(&nodes[1], "lost");
}

#[test]
fn two_realms_on_one_lan_never_mix() {
    let Some([a, b, c, d, e]) = Lab::with_hosts(Addresses::V4) else { return };
    let start = |host: &Host, name: &str, realm: &str| {
        let mut node = Node::new(host, name, &["--realm", realm]);
        node.launch();
        node
    };
    let mut red = [start(&a, "Ruby", "red"), start(&b, "Rose", "red")];
    let mut blue = [start(&c, "Skye", "blue"), start(&d, "Azur", "blue")];
    red.iter_mut().chain(&mut blue).for_each(Node::ready);
    have_all_sight(&red);
    have_all_sight(&blue);
    // One more makes every host announce itself once more.
    let late = Node::start(&e, "Late", &["--realm", "blue"]);
    late.wait_contact(&blue[0], "present");
    late.wait_contact(&blue[1], "present");
    for (realm, strangers) in [(&red, &blue), (&blue, &red)] {
        for node in realm {
            let who = node.json(&["who"]);
            assert!(strangers.iter().all(|stranger| entry(&who, stranger.id()).is_none()), "{who:#}");
            for address in [strangers[0].id(), strangers[0].up()["inbox_address"].as_str().expect("a URI")] {
                let refused = node.cli(&["send", address, "psst"]);
                assert_ne!(refused.code, Some(0), "{refused:?}");
            }
        }
    }
    assert!(red.iter().all(|node| entry(&node.json(&["who"]), late.id()).is_none()));
    for node in red.iter().chain(&blue) {
        assert!(texts(&node.json(&["inbox"])).is_empty());
    }
}

#[test]
fn twelve_hosts_agree() {
    let Some(hosts) = Lab::with_hosts::<12>(Addresses::V4) else { return };
    let names: Vec<String> = (1..=12).map(|number| format!("Host {number:02}")).collect();
    let named: Vec<(&Host, &str)> = hosts.iter().zip(names.iter().map(String::as_str)).collect();
    let mut nodes = start_together(&named);
    have_all_sight(&nodes);
    nodes[7].json(&["set", "closed", "--note", "lunch"]);
    for node in &nodes {
        node.wait_who("the note of the eighth", |who| {
            entry(who, nodes[7].id()).is_some_and(|entry| entry["note"]["text"] == "lunch")
        });
    }
    let mut gone = nodes.swap_remove(3);
    gone.down();
    for node in &nodes {
        node.wait_contact(&gone, "left");
    }
}

#[test]
fn a_foreign_program_is_dropped_and_not_retried() {
    let Some([a, b, c, f]) = Lab::with_hosts(Addresses::V4) else { return };
    let foreign = foreign::start_on(&f);
    let mut nodes = start_together(&[(&a, "Alice"), (&b, "Bob")]);
    have_all_sight(&nodes);
    // It announces itself as any libp2p program does, so both meet it; and they, not it, end that.
    for node in &nodes {
        let met = foreign.lines().wait_for(0, PATIENCE, |line| line["connected"] == node.id());
        assert!(
            met.is_some(),
            "{} does not meet the foreign program: {:?}",
            node.name(),
            foreign.lines().all()
        );
    }
    let all_dropped = |lines: &[Value]| {
        let count = |what: &str| lines.iter().filter(|line| line[what].is_string()).count();
        count("connected") == count("disconnected")
    };
    let mut mark = foreign.lines().count();
    while !all_dropped(&foreign.lines().all()) {
        assert!(foreign.lines().wait_beyond(mark, PATIENCE), "not dropped: {:?}", foreign.lines().all());
        mark = foreign.lines().count();
    }
    // A newcomer makes every program announce itself once more.
    nodes.push(Node::start(&c, "Carol", &[]));
    have_all_sight(&nodes);
    let tried_again = |line: &Value| nodes[..2].iter().any(|node| line["connected"] == node.id());
    let again = foreign.lines().wait_for(mark, Duration::from_secs(8), tried_again);
    assert_eq!(again, None, "{:?}", foreign.lines().all());
    let own_id = foreign.lines().wait_for(0, PATIENCE, |line| line["own_id"].is_string());
    let own_id = own_id.expect("it says who it is");
    assert!(entry(&nodes[0].json(&["who"]), own_id["own_id"].as_str().expect("a string")).is_none());
}

#[test]
fn an_ambiguous_name_is_refused_with_its_candidates() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "bob")]);
    have_all_sight(&nodes);
    let refused = nodes[0].cli(&["send", "Bob", "which of you?"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    for candidate in &nodes[1..] {
        assert!(refused.stdout.contains(candidate.short_id()), "{refused:?}");
        assert!(texts(&candidate.json(&["inbox"])).is_empty());
    }
    let unknown = nodes[0].cli(&["send", "Zacharias", "hello"]);
    assert_eq!((unknown.code, unknown.json["error"]["code"].is_string()), (Some(4), true), "{unknown:?}");

    nodes[0].json(&["contact", "add", "Bob", nodes[2].id()]);
    assert_eq!(nodes[0].json(&["send", "Bob", "you!"])["outcome"], "delivered", "a petname decides");
    assert_eq!(texts(&nodes[2].json(&["inbox"])), ["you!"]);
    assert!(texts(&nodes[1].json(&["inbox"])).is_empty());
}

#[test]
fn signals_leave_cleanly() {
    let Some([a, b, c]) = Lab::with_hosts(Addresses::V4) else { return };
    let mut nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol")]);
    have_all_sight(&nodes);
    for (index, signal) in [(2, Signal::SIGINT), (1, Signal::SIGTERM)] {
        nodes[index].signal(signal);
        let status = nodes[index].wait_end();
        assert!(status.success(), "{signal}: {status}");
        assert_eq!(nodes[0].wait_contact(&nodes[index], "left")["contact"]["evidence"], "departed");
        let nobody = nodes[index].cli(&["who"]);
        assert_eq!(nobody.code, Some(3), "no node runs here any more: {nobody:?}");
    }
}

#[test]
fn a_second_node_in_the_same_directory_is_refused() {
    let Some([a]) = Lab::with_hosts(Addresses::V4) else { return };
    let node = Node::start(&a, "Alice", &[]);
    let second = node.cli(&["up", "--name", "Alice again"]);
    assert_eq!((second.code, second.json["error"]["code"].is_string()), (Some(3), true), "{second:?}");
    assert_eq!(node.json(&["id"])["name"], "Alice");
}

/// The names in a document of `here who`, in its order.
fn names(who: &Value) -> Vec<&str> {
    who["presentities"].as_array().into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
}

/// `open` or `closed`, of the first tuple of a PRESENTITY.
fn basic(presentity: &Value) -> &str {
    presentity["tuples"][0]["status"]["basic"].as_str().unwrap_or("none")
}

/// The further status values of the first tuple of a PRESENTITY.
fn further(presentity: &Value) -> Vec<&str> {
    let further = presentity["tuples"][0]["status"]["further"].as_array();
    further.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The texts in a document of `here inbox`, in its order.
fn texts(inbox: &Value) -> Vec<&str> {
    inbox["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|message| message["text"].as_str())
        .collect()
}

/// Id and state of each entry of `here outbox`.
fn outbox_states(outbox: &Value) -> Vec<(Value, Value)> {
    let entries = outbox["entries"].as_array().into_iter().flatten();
    entries.map(|entry| (entry["id"].clone(), entry["state"].clone())).collect()
}

fn incarnation(node: &Node) -> u64 {
    node.json(&["id"])["incarnation"].as_u64().expect("`here id` tells the incarnation")
}

fn watch_line(watch: &Running, what: &str, is_it: impl Fn(&Value) -> bool) {
    let mark = watch.lines().count().saturating_sub(1);
    let line = watch.lines().wait_for(mark, PATIENCE, is_it);
    assert!(line.is_some(), "`here watch` does not print: {what}; it printed {:?}", watch.lines().all());
}
