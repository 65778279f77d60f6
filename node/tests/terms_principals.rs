//! RFC 2778's terms where one PRINCIPAL has several: two PRESENTITIES, INSTANT INBOXES and SENDERS behind one
//! `here up --as … --as …`, each with a key and rules of its own, on hosts of a virtual Ethernet segment.
//! Each test begins with the term that it shows, as in `terms.rs`.

mod lab;

use serde_json::{Value, json};

use lab::{
    Addresses, Lab, Node, PATIENCE, Running,
    documents::{subscriber, tuple},
    entry,
};

#[test]
fn presence_user_agent_handles_two_presentities_with_rules_of_their_own() {
    let Some(Scene { alice, carol, bob }) = Scene::build() else { return };
    bob.json("work", &["set", "open", "--note", "at my desk"]);
    bob.json("home", &["set", "closed", "--note", "at the lake"]);
    let note = |who: &Value, id: &str| entry(who, id)?.pointer("/note/text")?.as_str().map(str::to_owned);
    alice.wait_who("both", |who| {
        note(who, &bob.home).as_deref() == Some("at the lake")
            && note(who, &bob.work).as_deref() == Some("at my desk")
    });
    bob.json("home", &["access", "block", carol.id()]);
    assert_eq!(carol.cli(&["fetch", &bob.home]).code, Some(NOT_ALLOWED));
    assert_eq!(carol.json(&["fetch", &bob.work])["note"]["text"], "at my desk");

    let ambiguous = bob.agent.cli(&["--as", "home", "--as", "work", "set", "closed"]);
    assert_eq!(ambiguous.code, Some(USAGE), "{ambiguous:?}");
    bob.json("work", &["down"]);
    alice.wait_who("one of them left", |who| {
        let state = |id: &str| entry(who, id).map(|entry| entry["contact"]["state"].clone());
        state(&bob.work) == Some(json!("left")) && state(&bob.home) == Some(json!("present"))
    });
    let all = bob.agent.json(&["id", "--all"]);
    let runs: Vec<_> = all["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| (&node["as"], node["node"].is_object()))
        .collect();
    assert_eq!(runs, [(&json!("home"), true), (&json!("work"), false)]);
}

#[test]
fn sender_user_agent_sends_as_two_senders_and_each_is_authentic() {
    let Some(Scene { alice, bob, .. }) = Scene::build() else { return };
    for (own, text) in [("work", "from the office"), ("home", "from the lake")] {
        bob.json(own, &["send", alice.id(), text]);
    }
    let inbox = alice.json(&["inbox"]);
    let from = |number: usize| (&inbox["messages"][number]["from"]["id"], &inbox["messages"][number]["text"]);
    assert_eq!(from(0), (&json!(bob.work), &json!("from the office")));
    assert_eq!(from(1), (&json!(bob.home), &json!("from the lake")));
}

#[test]
fn instant_inboxes_of_one_principal_demand_different_authentication() {
    let Some(Scene { alice, carol, bob }) = Scene::build() else { return };
    // At home whoever has a petname may write; at work everybody may, but Carol.
    bob.json("home", &["contact", "add", "alice", alice.id()]);
    bob.json("home", &["delivery", "deny", "strangers"]);
    bob.json("work", &["delivery", "deny", carol.id()]);
    let sent = |from: &Node, id: &str| from.cli(&["send", id, "hello"]).code;
    assert_eq!((sent(&alice, &bob.home), sent(&carol, &bob.home)), (Some(DELIVERED), Some(DENIED)));
    assert_eq!((sent(&alice, &bob.work), sent(&carol, &bob.work)), (Some(DELIVERED), Some(DENIED)));
    bob.json("work", &["delivery", "forget", carol.id()]);
    assert_eq!((sent(&carol, &bob.work), sent(&carol, &bob.home)), (Some(DELIVERED), Some(DENIED)));
    let messages = |own: &str| bob.json(own, &["inbox"])["messages"].as_array().map(Vec::len);
    assert_eq!((messages("home"), messages("work")), (Some(1), Some(2)));
}

#[test]
fn presence_tuple_names_the_inbox_of_another_node() {
    let Some(Scene { alice, bob, .. }) = Scene::build() else { return };
    let work = bob.json("work", &["id"])["inbox_address"].as_str().expect("an address").to_owned();
    let tuple_of_work = ["set", "open", "--tuple", "work", "--means", "im", "--contact", &work];
    bob.json("home", &tuple_of_work);
    let named = |who: &Value| entry(who, &bob.home).is_some_and(|bob| tuple(bob, "work").is_some());
    alice.wait_who("the second inbox", named);
    assert_eq!(alice.cli(&["send", &bob.home, "here"]).code, Some(DELIVERED));
    assert_eq!(alice.cli(&["send", &bob.home, "--tuple", "work", "there"]).code, Some(DELIVERED));
    assert_eq!(alice.cli(&["send", &bob.home, "--tuple", "attic", "where?"]).code, Some(NO_SUCH_INBOX));
    // Without the first, the second is the one that a message goes to.
    bob.json("home", &["set", "--remove-tuple", "inbox"]);
    alice.wait_who("one tuple", |who| entry(who, &bob.home).is_some_and(|bob| tuple(bob, "inbox").is_none()));
    assert_eq!(alice.cli(&["send", &bob.home, "there by itself"]).code, Some(DELIVERED));
    let texts = |own: &str| {
        let inbox = bob.json(own, &["inbox"]);
        let texts = inbox["messages"].as_array().into_iter().flatten().map(|message| message["text"].clone());
        texts.collect::<Vec<_>>()
    };
    assert_eq!(
        (texts("home"), texts("work")),
        (vec![json!("here")], vec![json!("there"), json!("there by itself")])
    );
}

#[test]
fn watcher_user_agent_watches_with_each_of_two_watchers_apart() {
    let Some(Scene { alice, bob, .. }) = Scene::build() else { return };
    bob.json("work", &["contact", "add", "alice", alice.id()]);
    alice.wait_json(&["subscriptions"], "one of the two subscribes", |all| {
        let subscribers = all["subscribers"].as_array().into_iter().flatten();
        subscribers.map(|subscriber| &subscriber["id"]).eq([&json!(bob.work)])
    });
    assert!(subscriber(&bob.json("home", &["subscriptions"]), &alice).is_none());
    assert_eq!(bob.json("home", &["subscriptions"])["watching"], json!([]));
}

#[test]
fn presence_is_updated_by_those_whom_its_principal_lets_and_by_nobody_else() {
    let Some(Scene { alice, carol, mut bob }) = Scene::build() else { return };
    let id = bob.home.clone();
    let set = |by: &Node, change: &[&str]| by.cli(&[&["set", "--for", &id], change].concat()).code;
    assert_eq!(set(&alice, &["closed", "--note", "hacked"]), Some(NOT_ALLOWED));
    bob.json("home", &["delegates", "allow", alice.id()]);
    bob.json("home", &["delegates", "allow", carol.id(), "--tuple", "phone"]);
    assert_eq!(set(&alice, &["open", "away", "--note", "set by Alice"]), Some(0));
    assert_eq!(set(&carol, &["closed", "--tuple", "phone", "--means", "tel", "--contact", "tel:1"]), Some(0));
    assert_eq!(set(&carol, &["closed"]), Some(NOT_ALLOWED));
    assert_eq!(set(&alice, &["--remove-tuple", "attic"]), Some(1), "it says why");
    let noted = |who: &Value, text: &str| {
        let shown = entry(who, &id).filter(|bob| tuple(bob, "phone").is_some());
        shown.and_then(|bob| bob.pointer("/note/text")) == Some(&json!(text))
    };
    carol.wait_who("what both set", |who| noted(who, "set by Alice"));

    // It is for good, until it is taken back.
    bob.json("home", &["down"]);
    alice.wait_who("Bob left", |who| entry(who, &id).is_some_and(|bob| bob["contact"]["state"] == "left"));
    assert_eq!(set(&alice, &["open"]), Some(1), "only his node publishes");
    bob.json("work", &["down"]);
    bob.restart();
    alice.wait_who("Bob is back", |who| {
        entry(who, &id).is_some_and(|bob| bob["contact"]["state"] == "present")
    });
    assert_eq!(set(&alice, &["--note", "still Alice"]), Some(0));
    carol.wait_who("what Alice set", |who| noted(who, "still Alice"));
    bob.json("home", &["delegates", "remove", alice.id()]);
    assert_eq!(set(&alice, &["closed"]), Some(NOT_ALLOWED));
}

/// Alice, Carol and Bob, who is two.
struct Scene {
    alice: Node,
    carol: Node,
    bob: Principal,
}

impl Scene {
    fn build() -> Option<Self> {
        let [a, b, c] = Lab::with_hosts(Addresses::V4)?;
        let bob = Principal::start(Node::new(&b, "Bob", &[]));
        let [alice, carol] = [(&a, "Alice"), (&c, "Carol")].map(|(host, name)| Node::start(host, name, &[]));
        let sees = |node: &Node| {
            node.wait_who("both of Bob's", |who| {
                [&bob.home, &bob.work].iter().all(|id| entry(who, id).is_some())
            });
        };
        sees(&alice);
        sees(&carol);
        Some(Self { alice, carol, bob })
    }
}

/// One who runs two nodes in one process.
struct Principal {
    agent: Node,
    home: String,
    work: String,
    running: Running,
}

impl Principal {
    fn start(agent: Node) -> Self {
        let (running, [home, work]) = Self::run(&agent);
        Self { home, work, agent, running }
    }

    /// Starts both again after their end.
    fn restart(&mut self) {
        (self.running, [self.home, self.work]) = Self::run(&self.agent);
    }

    fn run(agent: &Node) -> (Running, [String; 2]) {
        let running = agent.follow(&["up", "--as", "home", "--as", "work"]);
        let ids = ["home", "work"].map(|own| {
            let is_up = |line: &Value| line["event"] == "up" && line["as"] == own;
            let up = running.lines().wait_for(0, PATIENCE, is_up);
            let up = up.unwrap_or_else(|| panic!("{own} is not up: {}", running.complaints()));
            up.get("id").and_then(Value::as_str).expect("`up` tells the id").to_owned()
        });
        (running, ids)
    }

    /// What a command prints that is about one of the two.
    fn json(&self, own: &str, arguments: &[&str]) -> Value {
        self.agent.json(&[&["--as", own], arguments].concat())
    }
}

// Exit codes.
const DELIVERED: i32 = 0;
const USAGE: i32 = 2;
const NOT_ALLOWED: i32 = 5;
const DENIED: i32 = 11;
const NO_SUCH_INBOX: i32 = 15;
