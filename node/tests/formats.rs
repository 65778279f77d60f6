//! The standard formats as other programs meet them: written and read by the command line of two real nodes
//! on this machine's loopback. That the formats keep to their RFCs the protocol's tests see to.

mod lab;

use std::fs;

use lab::{Node, Place, entry};
use serde_json::{Value, json};

#[test]
fn presence_is_written_as_pidf_and_read_with_what_nobody_knows_kept() {
    let [alice, bob] = acquainted();
    bob.json(&["set", "open", "away", "--note", "in the attic", "--activity", "meeting"]);
    alice.wait_who("the note", |who| {
        entry(who, bob.id()).is_some_and(|bob| bob["note"]["text"] == "in the attic")
    });
    let pidf = alice.cli(&["fetch", bob.id(), "--format", "pidf"]).stdout;
    assert!(pidf.contains(&format!("entity=\"pres:{}@", bob.id())), "{pidf}");
    let unknown = "<x:mood xmlns:x=\"urn:example:x\">odd</x:mood>";
    let file = alice.home().join("me.xml");
    fs::write(&file, pidf.replace("</presence>", &format!("{unknown}</presence>"))).unwrap();
    alice.json(&["set", "--pidf", file.to_str().unwrap()]);

    bob.wait_who("alice says the same", |who| {
        entry(who, alice.id())
            .is_some_and(|alice| alice["note"]["text"] == "in the attic" && alice["name"] == "Alice")
    });
    let again = bob.cli(&["fetch", alice.id(), "--format", "pidf"]).stdout;
    assert!(again.contains(unknown), "{again}");
    assert!(again.contains(&format!("im:{}@", alice.id())), "the inbox is her own: {again}");

    fs::write(&file, "<presence").unwrap();
    let refused = alice.cli(&["set", "--pidf", file.to_str().unwrap()]);
    assert_eq!((refused.code, &refused.json["error"]["code"]), (Some(1), &"invalid-presence".into()));
}

#[test]
fn user_input_is_set_shown_written_as_rpid_and_given_by_degrees() {
    let [alice, bob] = acquainted();
    let idle = ["set", "--user-input", "idle", "--idle-after", "5m", "--last-input", "2026-01-01T08:00:00Z"];
    bob.json(&idle);
    let shown = |bob: &Node, what: &str, input: Value| {
        alice.wait_json(&["fetch", bob.id()], what, |fetched| fetched["user_input"] == input);
    };
    let last = "2026-01-01T08:00:00.000Z";
    shown(&bob, "all of it", json!({"state": "idle", "idle_threshold_seconds": 300, "last_input": last}));
    let pidf = alice.cli(&["fetch", bob.id(), "--format", "pidf"]).stdout;
    let element = format!("<rp:user-input idle-threshold=\"300\" last-input=\"{last}\">idle</rp:user-input>");
    assert!(pidf.contains(&element), "{pidf}");

    bob.json(&["access", "allow", "strangers", "--user-input", "bare"]);
    shown(&bob, "its state", json!({"state": "idle", "idle_threshold_seconds": null, "last_input": null}));
    bob.json(&["set", "open", "--note", "here"]);
    shown(
        &bob,
        "a status leaves it",
        json!({"state": "idle", "idle_threshold_seconds": null, "last_input": null}),
    );
    bob.json(&["access", "allow", "strangers", "--without", "user-input"]);
    shown(&bob, "nothing", Value::Null);
    bob.json(&["access", "forget", "strangers"]);
    bob.json(&["set", "--user-input", "none"]);
    assert_eq!(bob.json(&["fetch", bob.id()])["user_input"], Value::Null);
}

#[test]
fn watchers_rules_and_messages_are_written_in_their_formats() {
    let [alice, bob] = acquainted();
    bob.json(&["access", "block", "anybody"]);
    bob.json(&["access", "allow", alice.id(), "--without", "notes"]);
    alice.wait_who("it is sealed", |who| entry(who, bob.id()).is_some_and(|bob| bob["sealed"] == true));
    assert_eq!(alice.cli(&["send", bob.id(), "Canteen at twelve?"]).code, Some(0), "fetched by itself");
    let winfo = bob.cli(&["watchers", "--format", "winfo"]).stdout;
    assert!(winfo.contains("<watcherinfo") && winfo.contains(alice.id()), "{winfo}");
    let rules = bob.cli(&["access", "list", "--format", "presence-rules"]).stdout;
    assert!(rules.contains("<cp:ruleset") && rules.contains(alice.id()), "{rules}");
    let inbox = bob.json(&["inbox"]);
    let id = inbox["messages"][0]["id"].as_str().unwrap();
    let cpim = bob.cli(&["inbox", "read", id, "--format", "cpim"]).stdout;
    let lines: Vec<_> = cpim.split("\r\n").collect();
    assert_eq!(
        (lines.first(), lines.last()),
        (Some(&"Content-type: Message/CPIM"), Some(&"Canteen at twelve?"))
    );
}

#[test]
fn rules_are_read_as_they_were_written_and_replace_all_others() {
    let [alice, mut bob] = acquainted();
    bob.json(&["access", "confirm", "strangers"]);
    bob.json(&["access", "block", alice.id()]);
    let before = bob.json(&["access"]);
    let file = bob.home().join("rules.xml");
    let written = bob.cli(&["access", "list", "--format", "presence-rules"]).stdout;
    fs::write(&file, &written).unwrap();
    bob.json(&["access", "allow", "strangers"]);
    bob.json(&["access", "forget", alice.id()]);
    bob.json(&["access", "block", "contacts"]);
    assert_eq!(alice.cli(&["fetch", bob.id()]).code, Some(0));
    assert_eq!(bob.json(&["access", "import", file.to_str().unwrap()]), before);
    assert_eq!(alice.cli(&["fetch", bob.id()]).code, Some(5), "from the next moment on");

    // What contradicts itself changes nothing.
    fs::write(&file, written.replace(">block<", ">allow<")).unwrap();
    let refused = bob.cli(&["access", "import", file.to_str().unwrap()]);
    assert_eq!((refused.code, &refused.json["error"]["code"]), (Some(1), &"invalid-rule".into()));
    bob.down();
    bob.restart();
    assert_eq!(bob.json(&["access"]), before);
}

#[test]
fn a_message_in_its_format_is_sent_with_all_that_it_says() {
    let [alice, bob] = acquainted();
    alice.json(&["send", bob.id(), "Canteen at twelve?"]);
    let inbox = bob.json(&["inbox"]);
    let id = inbox["messages"][0]["id"].as_str().unwrap();
    let cpim = bob.cli(&["inbox", "read", id, "--format", "cpim"]).stdout;
    let file = alice.home().join("again.eml");
    let again = cpim.replace("Canteen at twelve?", "Canteen at one?");
    // A subject has no field here, and is kept.
    let again = again.replacen("DateTime:", "Subject: lunch\r\nDateTime:", 1);
    fs::write(&file, &again).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(alice.cli(&["send", "--cpim", file]).code, Some(0));
    let inbox = bob.json(&["inbox"]);
    let last = &inbox["messages"][1];
    assert_eq!((&last["text"], &last["from"]["id"]), (&"Canteen at one?".into(), &alice.id().into()));
    assert_ne!(last["id"], id, "it is another message");
    let received = bob.cli(&["inbox", "read", last["id"].as_str().unwrap(), "--format", "cpim"]).stdout;
    assert!(received.contains("Subject: lunch"), "{received}");

    // Nobody sends in another's name.
    let forged = bob.cli(&["send", "--cpim", file]);
    assert_eq!(
        (forged.code, &forged.json["error"]["code"]),
        (Some(18), &"invalid-message".into()),
        "{forged:?}"
    );
}

fn acquainted() -> [Node; 2] {
    let bob = Node::start(Place::Loopback, "Bob", &[]);
    let listen = bob.up().get("listen").and_then(|listen| listen.as_array()).into_iter().flatten();
    let mut address = listen.filter_map(|address| address.as_str());
    let address = address.find(|text| text.contains("/tcp/"));
    let alice = Node::start(Place::Loopback, "Alice", &["--peer", address.expect("it listens on TCP")]);
    alice.wait_contact(&bob, "present");
    bob.wait_contact(&alice, "present");
    [alice, bob]
}
