//! Whole commands against real nodes in this process, over loopback: what people and scripts can rely on.

use tempfile::TempDir;

use super::{
    cli::{
        exit::Exit,
        interrupt::Interrupter,
        output::{Output, tests::Written},
    },
    demo::{Host, Terminal},
};

/// Two nodes that have met, with their files in a directory that goes with them.
struct Pair {
    directory: TempDir,
    alice: Host,
    bob: Host,
    alice_up: Terminal,
    bob_up: Terminal,
}

impl Pair {
    async fn start() -> Self {
        let directory = TempDir::with_prefix("here-").unwrap();
        let host = |prompt: &'static str| Host { prompt, home: directory.path().join(prompt) };
        let (alice, bob) = (host("a"), host("b"));
        let mut alice_up = alice.start(&format!("here up --name Alice {LOOPBACK}")).unwrap();
        let address = alice_up.line_with("/ip4/127.0.0.1/tcp/").await.unwrap();
        let address = address.split_whitespace().next_back().unwrap();
        let bob_up = bob.start(&format!("here up --name Bob {LOOPBACK} --peer {address}")).unwrap();
        alice_up.line_with("Bob appeared").await.unwrap();
        Self { directory, alice, bob, alice_up, bob_up }
    }
}

/// What a command prints, if it ends with `exit`.
async fn printed(host: &Host, line: &str, exit: u8) -> String {
    let (printed, found) = host.run(line).await.unwrap();
    assert_eq!(found.code(), exit, "{line}\n{printed}");
    printed
}

async fn code_of_error(host: &Host, line: &str, exit: u8) -> String {
    let document: serde_json::Value = serde_json::from_str(&printed(host, line, exit).await).unwrap();
    assert!(document["error"]["message"].as_str().unwrap().len() > 10, "{document}");
    document["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_one_line_for_each_change_and_none_for_a_refresh_or_a_restart_here() {
    let Pair { directory: _directory, alice, bob, alice_up, mut bob_up } = Pair::start().await;
    let mut watch = alice.start("here watch bob").unwrap();
    watch.line_with("Bob is open").await.unwrap();
    printed(&bob, "here set open away", 0).await;
    watch.line_with("Bob is open · away").await.unwrap();
    printed(&bob, "here set open away", 0).await;
    assert_eq!(alice_up.interrupt().await.unwrap(), Exit::Done);
    let mut alice_up = alice.start(&format!("here up {LOOPBACK}")).unwrap();
    alice_up.line_with("Bob is back").await.unwrap();
    bob_up.line_with("Alice is back").await.unwrap();
    printed(&bob, "here set closed", 0).await;
    watch.line_with("Bob is closed").await.unwrap();
    let lines = watch.printed();
    let changes: Vec<_> =
        lines.lines().filter_map(|line| line.split_once("  ").map(|(_, change)| change)).collect();
    assert_eq!(changes, ["Bob is open", "Bob is open · away", "Bob is closed"]);
    assert_eq!(watch.interrupt().await.unwrap(), Exit::Done);
    let left = printed(&alice, "here subscriptions --json", 0).await;
    assert_eq!(left, "{\"subscribers\":[],\"watching\":[]}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_inbox_prints_each_message_once_over_a_restart_of_its_node() {
    let Pair { directory: _directory, alice, bob, mut alice_up, bob_up } = Pair::start().await;
    printed(&alice, "here send bob one", 0).await;
    let mut follow = bob.start("here inbox --follow").unwrap();
    follow.line_with("Alice: one").await.unwrap();
    printed(&alice, "here send bob two", 0).await;
    follow.line_with("Alice: two").await.unwrap();
    assert_eq!(bob_up.interrupt().await.unwrap(), Exit::Done);
    alice_up.line_with("Bob left").await.unwrap();
    printed(&alice, "here send bob three --queue", 0).await;
    let _bob_up = bob.start(&format!("here up {LOOPBACK}")).unwrap();
    follow.line_with("Alice: three").await.unwrap();
    let texts: Vec<_> = follow
        .printed()
        .lines()
        .filter_map(|line| line.split_once("Alice: "))
        .map(|(_, text)| text.to_owned())
        .collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(follow.interrupt().await.unwrap(), Exit::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_tell_failures_apart_by_exit_code_and_by_code() {
    let Pair { directory, alice, bob, alice_up, bob_up } = Pair::start().await;
    assert_eq!(code_of_error(&alice, "here up --no-mdns --json", 3).await, "already-running");
    assert_eq!(code_of_error(&alice, "here fetch zed --json", 4).await, "unknown-name");
    assert_eq!(code_of_error(&alice, "here inbox read 12 --json", 1).await, "not-found");
    assert_eq!(
        code_of_error(&alice, "here set open --until 2020-01-01T00:00:00Z --json", 2).await,
        "bad-time"
    );
    printed(&bob, "here set closed", 0).await;
    let sent = printed(&alice, "here send bob hi --json", 10).await;
    assert!(sent.contains("\"outcome\":\"failed\",\"reason\":\"closed\""), "{sent}");
    printed(&bob, "here down", 0).await;
    assert_eq!(bob_up.ended().await.unwrap(), Exit::Done);
    printed(&alice, "here send bob hi", 20).await;
    assert_eq!(code_of_error(&bob, "here who --json", 3).await, "not-running");
    let nobody = Host { prompt: "x", home: directory.path().join("x".repeat(100)) };
    assert_eq!(code_of_error(&nobody, "here who --json", 1).await, "home");
    assert_eq!(alice_up.interrupt().await.unwrap(), Exit::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_plays_to_its_end() {
    let (_never, interrupt) = Interrupter::new();
    let written = Written::default();
    let arguments = clap::Parser::try_parse_from(["here", "demo"]).unwrap();
    let exit = super::cli::run(arguments, Output::into_writer(written.clone(), false), interrupt).await;
    let text = written.text();
    assert_eq!(exit, Exit::Done, "{text}");
    for line in ["Bob is out of contact", "failed: closed", "Carol left", "to Bob: delivered", "That was it"]
    {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
}

const LOOPBACK: &str = "--no-mdns --listen /ip4/127.0.0.1/tcp/0";
