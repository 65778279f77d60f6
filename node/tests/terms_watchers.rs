//! RFC 2778's ACCESS RULES, WATCHERS, WATCHER INFORMATION and VISIBILITY RULES as people meet them: real
//! `here` processes on hosts of a virtual Ethernet segment, which find each other by mDNS. Each test begins
//! with the term that it shows. The same on loopback, where no namespaces are needed, is in `access.rs`.

mod lab;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use lab::{
    Addresses, Lab, Node, PATIENCE, contact_state,
    documents::{
        has_on_disk, kind, note, status, subscriber, subscription, texts, tuple, wait_newest, wait_note,
        watcher,
    },
    entry, have_all_sight, on_a_segment, start_together,
};

#[test]
fn access_rules_withhold_presence_from_one_watcher_on_a_running_node_and_over_restarts() {
    let Some([alice, mut bob, carol]) = on_a_segment() else { return };
    alice.json(&["contact", "add", "bob", bob.id()]);
    bob.json(&["access", "block", carol.id()]);
    bob.json(&["set", "open", "--note", NOTE]);
    bob.json(&["set", "open", "--tuple", "phone", "--means", "tel", "--contact", PHONE]);
    alice.wait_who("alice sees everything", |who| {
        let phone = entry(who, bob.id()).and_then(|bob| tuple(bob, "phone"));
        note(who, &bob) == Some(NOTE) && phone.is_some_and(|phone| phone["communication"]["contact"] == PHONE)
    });
    assert_withheld(&carol, &bob);
    assert_eq!(alice.cli(&["fetch", "bob"]).code, Some(0));

    assert_eq!(carol.cli(&["access", "allow", carol.id()]).code, Some(1), "nobody has a rule for itself");
    carol.json(&["access", "allow", bob.id()]);
    let rules = bob.json(&["access"]);
    assert_eq!(rules["watchers"].as_array().map(Vec::len), Some(1), "others do not edit them: {rules:#}");
    assert_eq!(rules["watchers"][0]["rule"]["handling"], "block");

    bob.down();
    bob.restart();
    carol.wait_contact(&bob, "present");
    wait_note(&alice, &bob, Some(NOTE));
    assert_withheld(&carol, &bob);
    wait_newest(&carol, &bob);
    for secret in [NOTE, PHONE] {
        assert!(has_on_disk(&bob, secret), "on his own disk it can be found");
        assert!(!has_on_disk(&carol, secret), "no byte of it was stored");
    }

    bob.json(&["access", "allow", carol.id()]);
    assert_eq!(carol.cli(&["fetch", "bob"]).code, Some(0), "with no restart");
    wait_note(&carol, &bob, Some(NOTE));
    assert_eq!(carol.cli(&["send", "bob", "here I am"]).code, Some(0));
}

#[test]
fn access_rules_for_one_leave_everybody_else_a_list_of_who_is_there() {
    let Some([alice, bob, carol]) = on_a_segment() else { return };
    // Alice is a stranger, as those are who see everything by the rules of a new node.
    bob.json(&["set", "open", "--note", NOTE]);
    wait_note(&alice, &bob, Some(NOTE));
    bob.json(&["access", "block", carol.id()]);
    let withheld = |who: &Value| entry(who, bob.id()).is_some_and(|shown| shown["sealed"] == true);
    alice.wait_who("it is sealed", withheld);
    carol.wait_who("it is sealed", withheld);
    let who = alice.json(&["who"]);
    assert_eq!((note(&who, &bob), status(&who, &bob)), (Some(NOTE), Some("open")), "{who:#}");
    for _ in 0..3 {
        let who = carol.json(&["who"]);
        assert!(withheld(&who) && note(&who, &bob).is_none(), "{who:#}");
    }
    let watchers = bob.json(&["watchers"]);
    let refused = watcher(&watchers, &carol).map(|watcher| watcher["refused"].clone());
    assert_eq!(refused, Some(json!(1)), "she asks once in a minute: {watchers:#}");
    bob.json(&["set", "open", "--note", "changed"]);
    wait_note(&alice, &bob, Some("changed"));
}

/// Whether `watcher` is refused what `presentity` shows to others.
fn assert_withheld(watcher: &Node, presentity: &Node) {
    assert_eq!(watcher.cli(&["fetch", presentity.id()]).code, Some(NOT_ALLOWED));
    let who = watcher.wait_who("it is withheld", |who| {
        entry(who, presentity.id()).is_some_and(|shown| shown["sealed"] == true)
    });
    let shown = entry(&who, presentity.id()).expect("it was there just now");
    assert_eq!((&shown["tuples"], &shown["note"]), (&json!([]), &Value::Null), "{shown:#}");
    assert_eq!(contact_state(&who, presentity.id()), Some("present"), "that it is there is no secret");
    assert_eq!(watcher.cli(&["send", presentity.id(), "hello?"]).code, Some(NO_SUCH_INBOX));
}

#[test]
fn access_rules_that_block_politely_show_a_closed_presentity_also_after_a_restart() {
    let Some([alice, mut bob, carol]) = on_a_segment() else { return };
    alice.json(&["contact", "add", "bob", bob.id()]);
    bob.json(&["access", "block", carol.id(), "--politely"]);
    bob.json(&["set", "open", "--note", NOTE]);
    wait_note(&alice, &bob, Some(NOTE));
    let is_fobbed_off = |bob: &Node| {
        assert_eq!(carol.cli(&["fetch", bob.id()]).code, Some(0));
        let who = carol.wait_who("bob looks closed", |who| status(who, bob) == Some("closed"));
        assert_eq!(note(&who, bob), None);
        let sent = carol.cli(&["send", bob.id(), "hello?"]);
        assert_eq!((sent.code, &sent.json["reason"]), (Some(CLOSED), &json!("closed")));
    };
    is_fobbed_off(&bob);
    bob.down();
    bob.restart();
    carol.wait_contact(&bob, "present");
    is_fobbed_off(&bob);
    wait_newest(&carol, &bob);
    assert!(texts(&bob).is_empty() && !has_on_disk(&carol, NOTE));
    let who = alice.wait_who("bob is back", |who| contact_state(who, bob.id()) == Some("present"));
    assert_eq!((status(&who, &bob), note(&who, &bob)), (Some("open"), Some(NOTE)));
    assert_eq!(alice.cli(&["send", bob.id(), "hello"]).code, Some(0));
}

#[test]
fn subscription_waits_for_the_principal_who_approves_a_part_of_it_or_denies_it() {
    let Some([alice, mut bob, carol]) = on_a_segment() else { return };
    bob.json(&["access", "confirm", "strangers"]);
    bob.json(&["set", "open", "busy", "--note", NOTE]);
    for asks in [&alice, &carol] {
        asks.json(&["contact", "add", "bob", bob.id()]);
        asks.wait_json(&["subscriptions"], "it waits", |all| all["watching"][0]["state"] == "pending");
    }
    let both = |document: &Value| document["requests"].as_array().is_some_and(|list| list.len() == 2);
    bob.wait_json(&["requests"], "both ask", both);

    bob.json(&["requests", "approve", carol.id(), "--only", "status"]);
    carol.wait_who("carol sees the status", |who| status(who, &bob) == Some("open"));
    let listed = bob.json(&["subscriptions"]);
    let of_carol = subscriber(&listed, &carol).expect("a subscriber");
    assert_eq!(of_carol["state"], "active");
    assert!(of_carol["since"].is_string() && of_carol["expires_at"].is_string(), "{of_carol:#}");
    assert_eq!(subscription(&carol, &bob), ("active".to_owned(), "approved".to_owned()), "both agree");

    bob.json(&["requests", "deny", alice.id()]);
    alice.wait_json(&["subscriptions"], "alice is told", |all| all["watching"][0]["event"] == "rejected");
    assert_eq!(bob.json(&["requests"])["requests"], json!([]));
    bob.json(&["set", "closed", "--note", NOTE]);
    let seen = carol.wait_who("the next status", |who| status(who, &bob) == Some("closed"));
    assert_eq!(note(&seen, &bob), None, "the status and no more");

    bob.down();
    bob.restart();
    carol.wait_contact(&bob, "present");
    assert_eq!(carol.cli(&["fetch", bob.id()]).code, Some(0), "what was decided is kept");
    assert_eq!(alice.cli(&["fetch", bob.id()]).code, Some(NOT_ALLOWED));
    for node in [&alice, &carol] {
        wait_newest(node, &bob);
        assert!(!has_on_disk(node, NOTE));
    }
}

#[test]
fn watcher_information_is_watched_with_the_verb_of_presence_by_those_who_may() {
    let Some([alice, mut bob, carol]) = on_a_segment() else { return };
    bob.json(&["access", "allow", alice.id(), "--watchers"]);
    let (seen_by_alice, seen_by_bob) =
        (alice.follow(&["watchers", bob.id(), "--watch"]), bob.follow(&["watchers", "--watch"]));
    let seen_by_carol = carol.follow(&["watchers", bob.id(), "--watch"]);
    let fetches = |of: &Node, count: u64| {
        let id = of.id().to_owned();
        move |line: &Value| {
            line["id"] == id.as_str()
                && line["fetches"] == count
                && line["gone"] == false
                && line["name"].is_string()
        }
    };
    alice.json(&["fetch", bob.id()]);
    for seen in [&seen_by_alice, &seen_by_bob] {
        let alice = seen.lines().wait_for(0, PATIENCE, fetches(&alice, 1));
        assert!(alice.is_some(), "her fetch is seen: {:?} {}", seen.lines().all(), seen.complaints());
    }
    carol.json(&["fetch", bob.id()]);
    for seen in [&seen_by_alice, &seen_by_bob, &seen_by_carol] {
        let carol = seen.lines().wait_for(0, PATIENCE, fetches(&carol, 1));
        assert!(carol.is_some(), "hers too: {:?} {}", seen.lines().all(), seen.complaints());
    }
    let others = |line: &Value| line["id"] != carol.id();
    assert!(seen_by_carol.lines().all().iter().all(|line| !others(line)), "Carol sees herself alone");

    // Who hides is gone from the others' view, and who was restarted is watched still.
    carol.json(&["visibility", "hide"]);
    carol.json(&["fetch", bob.id()]);
    let gone = |line: &Value| line["id"] == carol.id() && line["gone"] == true;
    assert!(seen_by_alice.lines().wait_for(0, PATIENCE, gone).is_some(), "Carol hides");
    bob.down();
    bob.restart();
    alice.wait_contact(&bob, "present");
    alice.json(&["fetch", bob.id()]);
    assert!(seen_by_alice.lines().wait_for(0, PATIENCE, fetches(&alice, 2)).is_some(), "after a restart");
}

#[test]
fn watcher_information_tells_fetcher_poller_canceller_and_refused_apart_over_a_restart() {
    let Some([a, b, c, d, e]) = Lab::with_hosts(Addresses::V4) else { return };
    let mut nodes =
        start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol"), (&d, "Dave"), (&e, "Mallory")]);
    have_all_sight(&nodes);
    let mut bob = nodes.remove(1);
    let [fetcher, poller, canceller, refused] = nodes.as_array().expect("four are left");
    bob.json(&["access", "block", refused.id()]);
    assert_eq!(refused.cli(&["fetch", "bob"]).code, Some(NOT_ALLOWED));
    assert_eq!(fetcher.cli(&["fetch", "bob"]).code, Some(0));
    let polling = poller.follow(&["poll", bob.id(), "--every", "1s"]);
    let watching = canceller.follow(&["watch", bob.id()]);
    bob.wait_json(&["watchers"], "a subscriber", |seen| kind(seen, canceller) == Some("subscriber"));
    watching.signal(Signal::SIGINT);
    bob.wait_json(&["watchers"], "all four", |seen| {
        let kinds = [fetcher, poller, canceller, refused].map(|who| kind(seen, who));
        kinds == [Some("fetcher"), Some("poller"), Some("fetcher"), Some("refused")]
    });
    assert_eq!(bob.json(&["subscriptions"])["subscribers"], json!([]), "none of them is a subscriber");
    polling.signal(Signal::SIGINT);

    bob.down();
    bob.restart();
    let kept = bob.json(&["watchers"]);
    let seen = |who: &Node| watcher(&kept, who).cloned().unwrap_or_default();
    let counts = |who: &Node| ["fetches", "subscribes"].map(|field| seen(who)[field].as_u64());
    assert_eq!((kind(&kept, fetcher), counts(fetcher)), (Some("fetcher"), [Some(1), Some(0)]));
    assert!(seen(fetcher)["last_at"].is_string());
    assert_eq!(kind(&kept, poller), Some("poller"), "{kept:#}");
    let period = seen(poller)["period_seconds"].as_f64();
    assert!(period.is_some_and(|period| (0.5..=2.0).contains(&period)), "{period:?}");
    assert_eq!(counts(canceller), [Some(0), Some(1)]);
    assert_eq!(seen(canceller)["state"], "terminated");
    assert_eq!((kind(&kept, refused), counts(refused)), (Some("refused"), [Some(0), Some(0)]));
    assert!(seen(refused)["refused"].as_u64() >= Some(1));
}

#[test]
fn visibility_rules_hide_a_watcher_from_others_and_never_from_whom_it_watches() {
    let Some([alice, bob, carol]) = on_a_segment() else { return };
    bob.json(&["access", "allow", carol.id(), "--watchers"]);
    alice.json(&["contact", "add", "bob", bob.id()]);
    let of_bob = ["watchers", bob.id()];
    carol.wait_json(&of_bob, "carol sees alice", |seen| watcher(seen, &alice).is_some());
    alice.json(&["visibility", "hide", "--from", carol.id()]);
    carol.wait_json(&of_bob, "alice is hidden", |seen| watcher(seen, &alice).is_none());
    assert_eq!(kind(&bob.json(&["watchers"]), &alice), Some("subscriber"), "bob sees her");
    bob.json(&["access", "allow", carol.id()]);
    alice.json(&["visibility", "unhide"]);
    let own = carol.json(&of_bob);
    assert!(watcher(&own, &alice).is_none(), "only those whom bob lets see the others: {own:#}");
    bob.json(&["access", "allow", carol.id(), "--watchers"]);
    carol.wait_json(&of_bob, "carol sees alice again", |seen| watcher(seen, &alice).is_some());
}

#[test]
fn visibility_rules_that_hide_a_watcher_let_the_presentity_refuse_it() {
    let Some([alice, bob, carol]) = on_a_segment() else { return };
    let rules = bob.json(&["access", "allow", "strangers", "--visible-only"]);
    assert_eq!((&rules["strangers"]["visible_only"], &rules["clear"]), (&json!(true), &json!(null)));
    bob.json(&["set", "open", "--note", NOTE]);
    alice.json(&["contact", "add", "bob", bob.id()]);
    carol.json(&["contact", "add", "bob", bob.id()]);
    wait_note(&alice, &bob, Some(NOTE));
    wait_note(&carol, &bob, Some(NOTE));

    alice.json(&["visibility", "hide", "--from", carol.id()]);
    bob.wait_json(&["watchers"], "alice is refused", |seen| {
        watcher(seen, &alice).is_some_and(|alice| alice["event"] == "rejected")
    });
    let refused = alice.cli(&["fetch", bob.id()]);
    assert_eq!(refused.code, Some(NOT_ALLOWED));
    let why = refused.json["error"]["message"].as_str();
    assert!(why.is_some_and(|why| why.contains("here visibility unhide")), "{}", refused.json);
    bob.json(&["set", "open", "--note", "after"]);
    wait_note(&carol, &bob, Some("after"));
    wait_note(&alice, &bob, None);

    alice.json(&["visibility", "unhide"]);
    wait_note(&alice, &bob, Some("after"));
}

#[test]
fn presence_service_gives_the_last_state_of_one_who_was_killed_to_those_who_hold_its_key() {
    let Some([mut alice, mut bob, carol]) = on_a_segment() else { return };
    bob.json(&["access", "block", "anybody"]);
    bob.json(&["access", "block", carol.id()]);
    bob.json(&["set", "open", "--note", NOTE]);
    alice.json(&["contact", "add", "bob", bob.id()]);
    wait_note(&alice, &bob, Some(NOTE));
    wait_newest(&carol, &bob);
    bob.kill9();
    for watcher in [&alice, &carol] {
        watcher.wait_contact(&bob, "lost");
    }
    let last = |alice: &Node| {
        let fetched = alice.json(&["fetch", bob.id()]);
        assert_eq!((&fetched["source"], &fetched["contact"]["state"]), (&json!("known"), &json!("lost")));
        assert!(fetched["age_seconds"].as_f64().is_some_and(|age| age > 0.0));
        fetched["note"]["text"].clone()
    };
    assert_eq!(last(&alice), NOTE);
    alice.down();
    alice.restart();
    assert_eq!(last(&alice), NOTE, "also after a restart");
    let who = carol.json(&["who", "--no-fetch"]);
    assert_eq!((status(&who, &bob), note(&who, &bob)), (None, None), "caches decide nothing for bob");
    assert!(!has_on_disk(&carol, NOTE));
}

const NOTE: &str = "marker: in the attic until nine";
const PHONE: &str = "tel:+1-201-555-0123";
// Exit codes.
const NOT_ALLOWED: i32 = 5;
const CLOSED: i32 = 10;
const NO_SUCH_INBOX: i32 = 15;
