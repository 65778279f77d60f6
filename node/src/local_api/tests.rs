//! The API as a client meets it: real nodes in this process, on loopback, each behind its own socket.

use std::{path::PathBuf, time::Duration};

use futures::channel::oneshot;
use hereabouts_protocol::{
    identity::{PEER_ID_PREFIX, Realm},
    message::instant_message::{BODY_BYTES_MAX, FailureReason},
    node::NodeLimits,
    overlay::links::NEIGHBOURS,
    presence::{publication::Publishes, record::PresenceRecord},
};
use libp2p::{Multiaddr, identity::Keypair};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    task::JoinHandle,
    time::timeout,
};

use super::{
    client::{Client, ClientError, EventStream},
    documents::{
        BasicWord, ContactStateWord, EventBody, EventDocument, EvidenceWord, NoteDocument, OutboxStateWord,
        OutcomeWord, SendMessage, SetPresence, SourceWord, SubscriptionStateWord,
    },
    errors::ErrorCode,
    *,
};
use crate::{
    mesh::{
        self, MeshConfig, circuits::Relaying, clock::BootClock, discovery::Lan, events::EventLog, transport,
    },
    storage::sqlite::Database,
};

#[tokio::test]
async fn a_node_says_who_it_is_and_where_it_listens() {
    let alice = TestNode::start("Alice", Vec::new()).await;
    let node = alice.client.node().await.unwrap();
    assert_eq!(node.id, alice.mesh.presentity.to_string());
    assert_eq!(node.uri, format!("pres:{}@lan.alt", node.id));
    assert_eq!(node.inbox_address, format!("im:{}@lan.alt", node.id));
    assert_eq!((node.name.as_str(), node.realm.as_str(), node.incarnation), ("Alice", "lan", 1));
    assert_eq!(node.listen, [alice.address.to_string()]);
    assert_eq!(node.socket, alice.client.socket().display().to_string());
    assert_eq!(node.pid, std::process::id());

    let own = alice.client.presence().await.unwrap();
    assert!(own.is_self);
    assert_eq!(own.contact.evidence, EvidenceWord::Own);
    assert_eq!(alice.client.presentities(false).await.unwrap().presentities.len(), 1);
    assert_eq!(alice.client.presentity("alice").await.unwrap().id, node.id);
}

#[tokio::test]
async fn a_change_of_one_is_one_event_at_the_other() {
    let (alice, bob) = pair("Alice", "Bob").await;
    let mut seen = bob.client.events(None).await.unwrap();
    let change = SetPresence {
        basic: Some(BasicWord::Open),
        further: Some(vec!["away".to_owned()]),
        note: Some(NoteDocument { text: "at lunch".to_owned(), language: None }),
        ..SetPresence::default()
    };
    let published = alice.client.set_presence(&change).await.unwrap();
    assert_eq!(published.tuples.first().unwrap().status.further, ["away"]);

    let event = next_where(&mut seen, |body| body.presentity().is_some()).await;
    let EventBody::Changed { presentity } = event.body else { panic!("{event:?}") };
    assert_eq!((&presentity.id, &presentity.version), (&published.id, &published.version));
    assert_eq!(presentity.note.as_ref().unwrap().text, "at lunch");
    let known = bob.client.presentity("Alice").await.unwrap();
    assert_eq!((known.version, known.contact.state), (published.version, ContactStateWord::Present));
    let fetched = bob.client.fetch("alice").await.unwrap();
    assert_eq!((fetched.presentity.version, fetched.source), (published.version, SourceWord::Direct));
}

#[tokio::test]
async fn a_document_that_cannot_be_published_leaves_the_old_one() {
    let alice = TestNode::start("Alice", Vec::new()).await;
    let before = alice.client.presence().await.unwrap();
    let remove = SetPresence { remove_tuple: Some("inbox".to_owned()), ..SetPresence::default() };
    let shout = SetPresence {
        note: Some(NoteDocument { text: "x".repeat(257), language: None }),
        ..SetPresence::default()
    };
    for change in [remove, shout, SetPresence::default()] {
        let refused = refusal(alice.client.set_presence(&change).await);
        assert_eq!(refused, ErrorCode::InvalidPresence, "{change:?}");
    }
    let after = alice.client.presence().await.unwrap();
    // Not the version: addresses that the node finds at its start make another record.
    assert_eq!((after.tuples, after.note), (before.tuples, before.note));
}

#[tokio::test]
async fn a_message_is_an_event_and_stays_in_the_inbox_until_it_is_deleted() {
    let (alice, bob) = pair("Alice", "Bob").await;
    let mut seen = alice.client.events(None).await.unwrap();
    let sent = bob.client.send(&text("alice", "Lunch?")).await.unwrap();
    assert_eq!((sent.outcome, sent.reason), (OutcomeWord::Delivered, None));

    let event = next_where(&mut seen, |body| matches!(body, EventBody::Message { .. })).await;
    let EventBody::Message { message } = event.body else { unreachable!() };
    assert_eq!((message.id.as_str(), message.text.as_deref()), (sent.id.as_str(), Some("Lunch?")));
    assert_eq!(message.from.name.as_deref(), Some("Bob"));
    assert_eq!(message.content_type, "text/plain; charset=utf-8");

    let inbox = alice.client.inbox(0).await.unwrap();
    assert_eq!((inbox.messages.len(), inbox.cursor), (1, message.cursor));
    assert!(!inbox.messages.first().unwrap().read);
    assert!(alice.client.inbox(inbox.cursor).await.unwrap().messages.is_empty());

    let beginning = sent.id.get(..6).unwrap();
    assert!(alice.client.message(&beginning.to_uppercase()).await.unwrap().read);
    assert!(alice.client.inbox(0).await.unwrap().messages.first().unwrap().read);
    assert_eq!(alice.client.message(&format!("at:{}", message.cursor)).await.unwrap().id, sent.id);
    alice.client.delete_message(beginning).await.unwrap();
    assert_eq!(refusal(alice.client.message(beginning).await), ErrorCode::NotFound);
    assert!(alice.client.inbox(0).await.unwrap().messages.is_empty());
}

#[tokio::test]
async fn a_long_inbox_is_read_page_by_page() {
    let (alice, bob) = pair("Alice", "Bob").await;
    for number in 0..5 {
        let sent = bob.client.send(&text("alice", &format!("number {number}"))).await.unwrap();
        assert_eq!(sent.outcome, OutcomeWord::Delivered);
    }
    let (status, page) = alice.raw("GET", "/v1/inbox?limit=2&cursor=0", "").await;
    assert_eq!((status, page["messages"].as_array().unwrap().len()), (200, 2));
    let (_, next) = alice.raw("GET", &format!("/v1/inbox?limit=2&cursor={}", page["cursor"]), "").await;
    assert_eq!(next["messages"][0]["text"], "number 2");
    assert_eq!(alice.client.inbox(0).await.unwrap().messages.len(), 5);
}

#[tokio::test]
async fn what_is_no_text_arrives_byte_for_byte() {
    let (alice, bob) = pair("Alice", "Bob").await;
    let message = SendMessage {
        to: alice.client.node().await.unwrap().inbox_address,
        body_base64: Some("AP8=".to_owned()),
        content_type: Some("image/x-two-bytes".to_owned()),
        thread: Some("ab".repeat(16)),
        ..SendMessage::default()
    };
    let sent = bob.client.send(&message).await.unwrap();
    let read = alice.client.message(&sent.id).await.unwrap();
    assert_eq!((read.text, read.body_base64), (None, message.body_base64));
    assert_eq!((read.content_type, read.thread), ("image/x-two-bytes".to_owned(), message.thread));
}

#[tokio::test]
async fn a_closed_inbox_is_an_outcome_and_no_error() {
    let (alice, bob) = pair("Alice", "Bob").await;
    let mut seen = bob.client.events(None).await.unwrap();
    let close = SetPresence { basic: Some(BasicWord::Closed), ..SetPresence::default() };
    alice.client.set_presence(&close).await.unwrap();
    next_where(&mut seen, |body| matches!(body, EventBody::Changed { .. })).await;
    let sent = bob.client.send(&text("alice", "Lunch?")).await.unwrap();
    assert_eq!((sent.outcome, sent.reason), (OutcomeWord::Failed, Some(FailureReason::Closed)));
}

#[tokio::test]
async fn messages_that_make_no_sense_are_refused_before_they_are_sent() {
    let (alice, bob) = pair("Alice", "Bob").await;
    let code = async |message: SendMessage| refusal(bob.client.send(&message).await);
    let large = text("alice", &"x".repeat(BODY_BYTES_MAX + 1));
    assert_eq!(code(large).await, ErrorCode::MessageTooLarge);
    let both = SendMessage { body_base64: Some(String::new()), ..text("alice", "x") };
    assert_eq!(code(both).await, ErrorCode::BadRequest);
    let neither = SendMessage { to: "alice".to_owned(), ..SendMessage::default() };
    assert_eq!(code(neither).await, ErrorCode::BadRequest);
    let expired = SendMessage { expires_seconds: Some(0), ..text("alice", "x") };
    assert_eq!(code(expired).await, ErrorCode::BadRequest);
    let untyped = SendMessage { content_type: Some("text".to_owned()), ..text("alice", "x") };
    assert_eq!(code(untyped).await, ErrorCode::InvalidMessage);
    let stray = SendMessage { thread: Some("17".to_owned()), ..text("alice", "x") };
    assert_eq!(code(stray).await, ErrorCode::BadRequest);
    assert_eq!(code(text("bob", "to myself")).await, ErrorCode::InvalidRecipient);
    assert_eq!(code(text("carol", "x")).await, ErrorCode::UnknownName);
    assert!(alice.client.inbox(0).await.unwrap().messages.is_empty());
}

#[tokio::test]
async fn a_queued_message_waits_in_the_outbox_until_it_is_withdrawn() {
    let alice = TestNode::start("Alice", Vec::new()).await;
    let absent = absent_inbox();
    let message = SendMessage { queue: true, expires_seconds: Some(3600), ..text(&absent, "later") };
    let sent = alice.client.send(&message).await.unwrap();
    assert_eq!((sent.outcome, sent.reason), (OutcomeWord::Queued, None));

    let outbox = alice.client.outbox().await.unwrap();
    let entry = outbox.entries.first().unwrap();
    assert_eq!(
        (&entry.id, entry.state, entry.text.as_deref()),
        (&sent.id, OutboxStateWord::Queued, Some("later"))
    );
    assert_eq!(entry.expires_at.0.since(entry.queued_at.0), Duration::from_secs(3600));
    let mut seen = alice.client.events(None).await.unwrap();
    alice.client.cancel(sent.id.get(..8).unwrap()).await.unwrap();
    let event = next_where(&mut seen, |body| matches!(body, EventBody::Delivery { .. })).await;
    let EventBody::Delivery { id, state, reason, .. } = event.body else { unreachable!() };
    assert_eq!((id, state, reason), (sent.id.clone(), OutboxStateWord::Cancelled, None));
    assert_eq!(refusal(alice.client.cancel(&sent.id).await), ErrorCode::NotWaiting);
    assert_eq!(refusal(alice.client.cancel(&"0".repeat(32)).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn two_of_one_name_are_refused_with_both_and_told_apart_by_a_petname() {
    let (alice, bob) = pair("Bob", "bob").await;
    let Err(ClientError::Refused(error)) = alice.client.presentity("BOB").await else { panic!() };
    assert_eq!((error.code, error.candidates.len()), (ErrorCode::AmbiguousName, 2));

    let id = bob.mesh.presentity.to_string();
    let contact = alice.client.put_contact("bob from/the 3rd", &id).await.unwrap();
    assert_eq!((&contact.id, contact.petname.as_str()), (&id, "bob from/the 3rd"));
    assert_eq!(alice.client.contacts().await.unwrap().contacts, [contact]);
    let known = alice.client.presentity("Bob from/the 3rd").await.unwrap();
    assert_eq!((known.id, known.petname.as_deref()), (id, Some("bob from/the 3rd")));

    assert_eq!(refusal(alice.client.put_contact("pres:x", "BOB").await), ErrorCode::InvalidPetname);
    alice.client.remove_contact("bob from/the 3rd").await.unwrap();
    assert_eq!(refusal(alice.client.remove_contact("bob from/the 3rd").await), ErrorCode::NotFound);
    assert!(alice.client.contacts().await.unwrap().contacts.is_empty());
}

#[tokio::test]
async fn a_subscription_is_seen_on_both_sides_until_it_is_ended() {
    let (alice, bob) = pair("Alice", "Bob").await;
    let mut seen = alice.client.events(None).await.unwrap();
    let watch = bob.client.watch("alice").await.unwrap();
    assert_eq!(watch.presentity.id, alice.mesh.presentity.to_string());
    assert_ne!(watch.state, SubscriptionStateWord::Terminated);
    let event = next_where(&mut seen, |body| matches!(body, EventBody::Subscriber { .. })).await;
    let EventBody::Subscriber { subscriber, state, .. } = event.body else { unreachable!() };
    assert_eq!((subscriber.name.as_deref(), state), (Some("Bob"), SubscriptionStateWord::Active));
    let subscribers = alice.client.subscriptions().await.unwrap().subscribers;
    assert_eq!(subscribers.first().unwrap().subscriber, subscriber);

    bob.client.unwatch("alice").await.unwrap();
    next_where(&mut seen, |body| {
        matches!(body, EventBody::Subscriber { state: SubscriptionStateWord::Terminated, .. })
    })
    .await;
    assert!(bob.client.subscriptions().await.unwrap().watching.is_empty());
    assert_eq!(refusal(bob.client.unwatch("alice").await), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_listener_that_comes_back_with_its_cursor_misses_nothing() {
    let alice = TestNode::start("Alice", Vec::new()).await;
    let mut first = alice.client.events(Some("1-0")).await.unwrap();
    let event = timeout(PATIENCE, first.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(event.body, EventBody::Listening { address: alice.address.to_string() });
    assert_eq!(first.cursor(), Some("1-1"));
    drop(first);

    let bob = TestNode::start("Bob", vec![alice.address.clone()]).await;
    let mut second = alice.client.events(Some("1-1")).await.unwrap();
    let event = timeout(PATIENCE, second.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(event.cursor, "1-2");
    assert_eq!(event.body.presentity().unwrap().id, bob.mesh.presentity.to_string());

    let mut earlier_run = alice.client.events(Some("0-7")).await.unwrap();
    let event = timeout(PATIENCE, earlier_run.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(event.body, EventBody::Gap);
}

#[tokio::test]
async fn there_is_an_end_to_the_number_of_event_streams() {
    let alice = TestNode::start("Alice", Vec::new()).await;
    let mut streams = Vec::new();
    for _ in 0..EVENT_STREAMS_MAX {
        streams.push(alice.client.events(None).await.unwrap());
    }
    assert_eq!(refusal(alice.client.events(None).await), ErrorCode::Busy);
    assert!(alice.client.node().await.is_ok());
    drop(streams);
    let freed = async {
        while alice.client.events(None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
}

#[tokio::test]
async fn stopping_the_node_ends_the_streams_and_removes_the_socket() {
    let (alice, bob) = pair("Alice", "Bob").await;
    let mut own = alice.client.events(None).await.unwrap();
    let mut seen = bob.client.events(None).await.unwrap();
    let socket = alice.client.socket().to_owned();
    let TestNode { client, stop, serving, node, .. } = alice;
    // As the daemon does: the API ends when the node has.
    let ended = tokio::spawn(async move {
        node.await.unwrap();
        drop(stop);
    });
    timeout(PATIENCE, client.shut_down()).await.unwrap().unwrap();
    assert!(!socket.exists());
    timeout(PATIENCE, ended).await.unwrap().unwrap();
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
    assert_eq!(client.node().await, Err(ClientError::NotRunning { socket }));
    while let Some(event) = timeout(PATIENCE, own.next()).await.unwrap().unwrap() {
        assert_ne!(event.body, EventBody::Gap);
    }
    let event = next_where(&mut seen, |body| body.presentity().is_some()).await;
    assert!(matches!(event.body, EventBody::Left { .. }), "{event:?}");
}

#[tokio::test]
async fn a_request_that_is_wrong_is_answered_with_a_code_that_its_description_names() {
    let alice = TestNode::start("Alice", Vec::new()).await;
    let large = format!("{{\"to\": \"{}\"}}", "x".repeat(REQUEST_BYTES_MAX));
    let cases = [
        ("PUT", "/v1/presence", "/v1/presence", "{\"nte\": 1}", ErrorCode::BadRequest),
        ("PUT", "/v1/presence", "/v1/presence", "open", ErrorCode::BadRequest),
        ("PUT", "/v1/presence", "/v1/presence", "{}", ErrorCode::InvalidPresence),
        ("POST", "/v1/messages", "/v1/messages", large.as_str(), ErrorCode::RequestTooLarge),
        ("GET", "/v1/inbox?limit=0", "/v1/inbox", "", ErrorCode::BadRequest),
        ("GET", "/v1/inbox?limit=501", "/v1/inbox", "", ErrorCode::BadRequest),
        ("GET", "/v1/inbox?page=2", "/v1/inbox", "", ErrorCode::BadRequest),
        ("GET", "/v1/inbox/hello", "/v1/inbox/{id}", "", ErrorCode::BadRequest),
        ("GET", "/v1/inbox/at:99", "/v1/inbox/{id}", "", ErrorCode::NotFound),
        ("DELETE", "/v1/inbox/abc", "/v1/inbox/{id}", "", ErrorCode::NotFound),
        ("GET", "/v1/events?cursor=yesterday", "/v1/events", "", ErrorCode::BadCursor),
        ("GET", "/v1/presentities/%FF", "/v1/presentities/{who}", "", ErrorCode::BadRequest),
        ("GET", "/v1/presentities/nobody", "/v1/presentities/{who}", "", ErrorCode::UnknownName),
        ("PUT", "/v1/subscriptions/nobody", "/v1/subscriptions/{who}", "", ErrorCode::UnknownName),
        ("DELETE", "/v1/contacts/nobody", "/v1/contacts/{petname}", "", ErrorCode::NotFound),
    ];
    let description = serde_json::to_value(openapi::openapi()).unwrap();
    for (method, path, template, body, expected) in cases {
        let (status, answer) = alice.raw(method, path, body).await;
        assert_eq!(answer["error"]["code"], expected.as_str(), "{method} {path}: {answer}");
        assert_eq!(status, expected.status().as_u16());
        let responses = &description["paths"][template][method.to_lowercase()]["responses"];
        let told = responses[status.to_string()]["description"].as_str().unwrap_or_default();
        assert!(told.contains(&format!("`{expected}`")), "{method} {template} does not tell of {expected}");
    }
    let (status, answer) = alice.raw("PATCH", "/v1/presence", "").await;
    assert_eq!((status, &answer["error"]["code"]), (405, &json!("method-not-allowed")));
    let (status, answer) = alice.raw("GET", "/v2/presence", "").await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("not-found")));
}

#[tokio::test]
async fn every_endpoint_of_the_description_is_there() {
    let alice = TestNode::start("Alice", Vec::new()).await;
    let (status, description) = alice.raw("GET", "/v1/openapi.json", "").await;
    assert_eq!((status, description["info"]["version"].as_str()), (200, Some(env!("CARGO_PKG_VERSION"))));
    assert_eq!(description, serde_json::to_value(openapi::openapi()).unwrap());
    for (template, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            // These two do not answer with a document that ends.
            if template == "/v1/events" || template == "/v1/shutdown" {
                continue;
            }
            let path =
                template.replace("{who}", "nobody").replace("{petname}", "nobody").replace("{id}", "abc");
            let (_, answer) = alice.raw(&method, &path, "").await;
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(!message.contains("/v1/openapi.json lists"), "{method} {template}: {message}");
        }
    }
}

struct TestNode {
    client: Client,
    mesh: MeshHandle,
    address: Multiaddr,
    node: JoinHandle<()>,
    serving: JoinHandle<io::Result<()>>,
    stop: oneshot::Sender<()>,
    _home: TempDir,
}

impl TestNode {
    async fn start(name: &str, peers: Vec<Multiaddr>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = Keypair::generate_ed25519();
        let (storage, restored) = Database::open(&home.path().join("here.db")).unwrap();
        let config = MeshConfig {
            realm: Realm::default(),
            display_name: Some(name.to_owned()),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            peers: peers.iter().map(|peer| peer.try_into().unwrap()).collect(),
            transport: transport::lan(&key).unwrap(),
            reach: transport::lan_reach(),
            relaying: Relaying::default(),
            discovery: Lan::off(),
            spawner: Box::new(|task| drop(tokio::spawn(task))),
            storage,
            restored,
            clock: BootClock::start(),
            seed: *key.public().try_into_ed25519().unwrap().to_bytes().first_chunk().unwrap(),
            limits: NodeLimits::default(),
            neighbours: NEIGHBOURS,
            gossip: mesh::gossip::GossipSettings::default(),
            publishes: Publishes::Changes,
            keeps_inbox: true,
            serves_cache: true,
            verify: PresenceRecord::verify,
            events: EventLog::default(),
            key,
        };
        let (mesh, node) = mesh::start(config).await.unwrap();
        let node = tokio::spawn(node);
        let path: PathBuf = home.path().join("here.sock");
        let (stop, stopped) = oneshot::channel::<()>();
        let socket = ApiSocket::bind(&path).unwrap();
        let serving = tokio::spawn(socket.serve(mesh.clone(), async {
            let _ = stopped.await;
        }));
        let client = Client::new(path);
        let mut events = client.events(Some("1-0")).await.unwrap();
        let event = next_where(&mut events, |body| matches!(body, EventBody::Listening { .. })).await;
        let EventBody::Listening { address } = event.body else { unreachable!() };
        Self { client, mesh, address: address.parse().unwrap(), node, serving, stop, _home: home }
    }

    /// The status and the document of an answer to a request as it is written here.
    async fn raw(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.client.socket()).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        // A request that is too large is answered, and cut off, before all of it is read.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = String::new();
        let _ = timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let document = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(document).unwrap_or_default())
    }
}

/// Two nodes that have seen each other.
async fn pair(first: &str, second: &str) -> (TestNode, TestNode) {
    let first = TestNode::start(first, Vec::new()).await;
    let second = TestNode::start(second, vec![first.address.clone()]).await;
    for (one, other) in [(&first, &second), (&second, &first)] {
        let mut events = one.client.events(Some("1-0")).await.unwrap();
        let other = other.mesh.presentity.to_string();
        next_where(&mut events, |body| body.presentity().is_some_and(|seen| seen.id == other)).await;
    }
    (first, second)
}

async fn next_where(events: &mut EventStream, wanted: impl Fn(&EventBody) -> bool) -> EventDocument {
    let found = async {
        loop {
            let event = events.next().await.unwrap().expect("the node runs");
            if wanted(&event.body) {
                return event;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("the event comes")
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> ErrorCode {
    match answer {
        Err(ClientError::Refused(error)) => error.code,
        other => panic!("{other:?} is no refusal"),
    }
}

fn text(to: &str, text: &str) -> SendMessage {
    SendMessage { to: to.to_owned(), text: Some(text.to_owned()), ..SendMessage::default() }
}

/// The inbox of somebody who is not there.
fn absent_inbox() -> String {
    let id = Keypair::generate_ed25519().public().to_peer_id();
    assert!(id.to_string().starts_with(PEER_ID_PREFIX));
    format!("im:{id}@lan.alt")
}

/// Nothing here takes a second; this is for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);
