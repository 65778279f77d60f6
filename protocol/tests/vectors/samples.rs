//! What the vectors are made of. Keys are made of one repeated byte, so that nobody takes them for real ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use data_encoding::HEXLOWER;
use hereabouts_protocol::{
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::{FailureReason, InstantMessage, MessageId},
    presence::{
        change::{PresenceChange, UserInputChange},
        information::{
            Basic, CommunicationAddress, Note, OtherPresenceMarkup, PresenceInformation, PresenceTuple,
            Status, Token,
        },
        reconciliation::{Difference, Digest, Line},
        record::{FORMAT, NodeAddress, PresenceRecord, RECORD_BYTES_MAX, RecordBody, SealedView, Version},
        sealing::{ViewKey, padded_bytes},
        suspicion::{self, Accusation, Grounds, Suspicion, SuspicionBody},
        user_input::{InputState, UserInput},
        views::ReleasedKey,
    },
    time::UnixTime,
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionReport, SubscriptionState},
        watcher_information::VisibleTo,
    },
    wire::{
        codec::encode,
        frames::{
            FetchAnswer, MessageRequest, MessageResponse, PresenceRequest, PresenceResponse, ToldRecord,
            UpdateAnswer, WatcherReport,
        },
    },
};
use libp2p_identity::Keypair;
use serde_json::Value;

use super::json;

/// What stands at the head of each file.
pub(super) fn about(name: &str) -> &'static str {
    match name {
        "identity" => "An Ed25519 seed, its public key, PeerId and URIs. See protocol/WIRE.md, Identity.",
        "records" => {
            "Signed records that must be accepted in their realm. `hex` is body and signature, \
             made with the key of `seed`, and Ed25519 is deterministic. See protocol/WIRE.md, Records."
        }
        "suspicions" => {
            "Signed suspicions that must be taken in their realm, made as records are. See \
             protocol/WIRE.md, Suspicions."
        }
        "frames" => {
            "Frames of the two stream protocols, without the four bytes of length before them. See \
             protocol/WIRE.md, Streams."
        }
        "views" => {
            "Records with a sealed view, a key that opens it, and the document inside. `key` may be \
             some steps before the view's. See protocol/WIRE.md, Sealed views."
        }
        "reconciliation" => {
            "Two tables, the digest that the initiator sends, what the responder answers, and what the \
             initiator then wants and offers. See protocol/WIRE.md, Reconciliation."
        }
        _ => "Bytes to be refused, and why. Records are offered in the realm `lan`. See protocol/WIRE.md.",
    }
}

pub(super) fn identities() -> impl Iterator<Item = (&'static str, [u8; 32], &'static str)> {
    let counting = std::array::from_fn(|index| u8::try_from(index).unwrap());
    [
        ("a repeated byte", [1; 32], "lan"),
        ("the same key in another realm", [1; 32], "floor-3"),
        ("zero", [0; 32], "lan"),
        ("counting bytes", counting, "x"),
    ]
    .into_iter()
}

pub(super) fn records() -> Vec<(&'static str, PresenceRecord, String)> {
    let alice = key(1);
    let everything_withheld = RecordBody { public: None, ..body(&alice, 3, 2) };
    let departing = RecordBody { departing: true, ..body(&alice, 300, 70_000) };
    let wide = Version { incarnation: u64::MAX, sequence: u64::from(u32::MAX) + 1 };
    let sealed = RecordBody {
        public: None,
        sealed_views: vec![
            SealedView { key_id: [7; 8], ciphertext: (0..=255).collect() },
            SealedView { key_id: *b"\x00\x01\x02\x03\x04\x05\x06\x07", ciphertext: Vec::new() },
        ],
        extensions: BTreeMap::from([
            ("x-b".to_owned(), vec![1, 2, 3]),
            ("https://example.com/a".to_owned(), vec![]),
        ]),
        ..body(&alice, 5, 1)
    };
    let attic = RecordBody { realm: "attic".parse().unwrap(), ..body(&alice, 1, 1) };
    let bodies = [
        ("open, the smallest usual record", body(&alice, 1, 1)),
        ("several tuples with all markup", full(&alice)),
        ("departing", departing),
        ("everything withheld", everything_withheld),
        ("sealed views and extensions", sealed),
        ("the widest numbers", RecordBody { version: wide, lease_seconds: 86_400, ..body(&alice, 0, 0) }),
        ("another realm", attic),
        ("the largest record", sized(&alice, RECORD_BYTES_MAX)),
    ];
    let mut records: Vec<_> = bodies
        .into_iter()
        .map(|(name, body)| (name, signed(body, &alice), HEXLOWER.encode(&[1; 32])))
        .collect();
    let bob = signed(body(&key(2), 1, 1), &key(2));
    records.push(("another presentity", bob, HEXLOWER.encode(&[2; 32])));
    records
}

pub(super) fn suspicions() -> Vec<(&'static str, Suspicion, String)> {
    let grounds = [Grounds::Silent, Grounds::Refused, Grounds::Unreachable, Grounds::Unresponsive];
    let accusations = |count: u8| -> Vec<_> {
        let of = |number: u8| Accusation {
            subject: presentity(&key(number + 10)),
            version: Version { incarnation: 1, sequence: u64::from(number) * 1000 },
            grounds: grounds[usize::from(number) % grounds.len()],
        };
        (0..count).map(of).collect()
    };
    let body = |realm: &str, count| SuspicionBody {
        format: suspicion::FORMAT,
        realm: realm.parse().unwrap(),
        accuser: presentity(&key(1)),
        issued: Version { incarnation: 2, sequence: 1 },
        accusations: accusations(count),
    };
    let bodies = [
        ("one that is silent", body("lan", 1)),
        ("all grounds", body("lan", 4)),
        ("another realm", body("attic", 2)),
        ("the most", body("lan", 16)),
    ];
    let signed = |(name, body)| (name, Suspicion::sign(body, &key(1)).unwrap(), HEXLOWER.encode(&[1; 32]));
    bodies.into_iter().map(signed).collect()
}

/// Name, type, value and bytes of each frame.
pub(super) fn frames() -> Vec<(String, &'static str, Value, Vec<u8>)> {
    let mut frames = Vec::new();
    for (name, request) in presence_requests() {
        frames.push((name.to_owned(), "PresenceRequest", json::presence_request(&request), encode(&request)));
    }
    for (name, response) in presence_responses() {
        frames.push((
            name.to_owned(),
            "PresenceResponse",
            json::presence_response(&response),
            encode(&response),
        ));
    }
    for (name, request) in message_requests() {
        frames.push((name.to_owned(), "MessageRequest", json::message_request(&request), encode(&request)));
    }
    for response in message_responses() {
        let name = match &response {
            MessageResponse::Delivered => "delivered".to_owned(),
            MessageResponse::Failed(reason) => format!("failed: {reason}"),
        };
        frames.push((name, "MessageResponse", json::message_response(&response), encode(&response)));
    }
    frames
}

fn presence_requests() -> Vec<(&'static str, PresenceRequest)> {
    let (alice, bob) = (presentity(&key(1)), presentity(&key(2)));
    vec![
        ("compare an empty table", PresenceRequest::Compare(Digest { bits: 0, sums: vec![0] })),
        (
            "compare four ranges",
            PresenceRequest::Compare(Digest { bits: 2, sums: vec![0, 250, 251, u64::MAX] }),
        ),
        ("exchange nothing", PresenceRequest::Exchange { wanted: Vec::new(), records: Vec::new() }),
        (
            "exchange",
            PresenceRequest::Exchange {
                wanted: vec![alice, bob],
                records: vec![told(1, 0, false), told(2, 65_536, true)],
            },
        ),
        ("fetch", PresenceRequest::Fetch { presentity: alice, visible_to: VisibleTo::Everybody }),
        ("fetch, seen by nobody else", {
            PresenceRequest::Fetch { presentity: alice, visible_to: VisibleTo::Nobody }
        }),
        ("subscribe for an hour", subscribe(3600)),
        ("subscribe, seen by all but one", {
            let visible_to = VisibleTo::AllBut(BTreeSet::from([bob]));
            PresenceRequest::Subscribe { seconds: 3600, visible_to }
        }),
        ("end a subscription", subscribe(0)),
        ("notify", notify(told(1, 0, false).record, None, None)),
        ("notify a subscriber of a record and a new key", {
            let stands = report(SubscriptionState::Active, SubscriptionEvent::Subscribe, 2400);
            notify(told(1, 0, false).record, Some(stands), Some(released()))
        }),
        ("notify of the end of a subscription", {
            let ended = report(SubscriptionState::Terminated, SubscriptionEvent::Rejected, 0);
            notify(Vec::new(), Some(ended), None)
        }),
        ("tell", PresenceRequest::Tell { records: vec![told(1, 0, false), told(2, 200, false)] }),
        ("fetch watcher information", PresenceRequest::FetchWatchers),
        ("update, one tuple closed", {
            PresenceRequest::Update(PresenceChange {
                tuple: Some(word("phone")),
                basic: Some(Basic::Closed),
                further: Some(BTreeSet::from([word("dnd")])),
                ..PresenceChange::default()
            })
        }),
        ("update of everything", PresenceRequest::Update(whole_change())),
        ("subscribe to watcher information", PresenceRequest::SubscribeWatchers { seconds: 3600 }),
        ("notify of watcher information", {
            let subscription = report(SubscriptionState::Active, SubscriptionEvent::Subscribe, 1800);
            PresenceRequest::NotifyWatchers { subscription, watchers: watchers() }
        }),
    ]
}

fn presence_responses() -> Vec<(&'static str, PresenceResponse)> {
    let versions = vec![
        (presentity(&key(1)), Version { incarnation: 1, sequence: 1 }, false),
        (presentity(&key(2)), Version { incarnation: 251, sequence: 65_536 }, true),
    ];
    vec![
        ("equal tables", PresenceResponse::Compared(Difference { ranges: Vec::new(), versions: Vec::new() })),
        (
            "tables that differ",
            PresenceResponse::Compared(Difference { ranges: vec![0, 300, 1023], versions }),
        ),
        ("exchanged", PresenceResponse::Exchanged { records: vec![told(2, 1234, true)] }),
        ("fetched", fetched(Some(told(1, 0, false)), FetchAnswer::Granted { key: None })),
        ("fetched with a key", {
            fetched(Some(told(1, 0, false)), FetchAnswer::Granted { key: Some(released()) })
        }),
        ("fetched from another node", fetched(Some(told(1, 300, true)), FetchAnswer::Known)),
        ("nothing to fetch", fetched(None, FetchAnswer::Known)),
        ("fetch refused", fetched(None, FetchAnswer::Refused)),
        ("fetch not confirmed", fetched(None, FetchAnswer::Unconfirmed)),
        ("fetched too fast", fetched(None, FetchAnswer::TooFast { retry_after_ms: 750 })),
        ("subscribed", {
            let stands = report(SubscriptionState::Active, SubscriptionEvent::Approved, 3600);
            subscribed(stands, Some(told(1, 0, false)), Some(released()))
        }),
        ("subscription pending", {
            let waits = report(SubscriptionState::Pending, SubscriptionEvent::Subscribe, 3600);
            subscribed(waits, None, None)
        }),
        ("subscription refused", {
            subscribed(report(SubscriptionState::Terminated, SubscriptionEvent::Rejected, 0), None, None)
        }),
        ("no room for a subscription", {
            let ended = report(SubscriptionState::Terminated, SubscriptionEvent::Noresource, 0);
            subscribed(SubscriptionReport { retry_after_seconds: Some(900), ..ended }, None, None)
        }),
        ("notified", PresenceResponse::Notified),
        ("heard", PresenceResponse::Heard { partner: true }),
        ("watchers", PresenceResponse::Watchers { watchers: watchers(), retry_after_ms: None }),
        ("watchers asked for too fast", {
            PresenceResponse::Watchers { watchers: Vec::new(), retry_after_ms: Some(1000) }
        }),
        ("updated", PresenceResponse::Updated(UpdateAnswer::Taken)),
        ("update refused", PresenceResponse::Updated(UpdateAnswer::Refused)),
        ("update invalid", {
            let reason = "presence information needs at least one tuple".to_owned();
            PresenceResponse::Updated(UpdateAnswer::Invalid { reason })
        }),
        ("subscribed to watcher information", {
            let subscription = report(SubscriptionState::Active, SubscriptionEvent::Subscribe, 3600);
            PresenceResponse::SubscribedWatchers { subscription, watchers: watchers() }
        }),
        ("notified of watcher information", PresenceResponse::NotifiedWatchers),
    ]
}

fn whole_change() -> PresenceChange {
    PresenceChange {
        tuple: Some(word("desk")),
        basic: Some(Basic::Open),
        further: Some(BTreeSet::new()),
        address: Some(CommunicationAddress { means: word("tel"), contact: "tel:+4930123456".to_owned() }),
        note: Some(Note { text: "in a meeting".to_owned(), language: Some("en".to_owned()) }),
        activities: Some(BTreeSet::from([word("meeting")])),
        until: Some(UnixTime::from_millis(1_900_000_000_000)),
        remove_tuple: Some(word("phone")),
        display_name: Some("Bob".to_owned()),
        user_input: Some(UserInputChange::Say(idle())),
    }
}

fn idle() -> UserInput {
    UserInput {
        state: InputState::Idle,
        idle_threshold_seconds: NonZeroU32::new(300),
        last_input: Some(UnixTime::from_millis(1_799_999_000_000)),
    }
}

fn subscribe(seconds: u32) -> PresenceRequest {
    PresenceRequest::Subscribe { seconds, visible_to: VisibleTo::Everybody }
}

fn notify(
    record: Vec<u8>,
    subscription: Option<SubscriptionReport>,
    key: Option<ReleasedKey>,
) -> PresenceRequest {
    PresenceRequest::Notify { record, subscription, key }
}

fn fetched(record: Option<ToldRecord>, answer: FetchAnswer) -> PresenceResponse {
    PresenceResponse::Fetched { record, answer }
}

fn subscribed(
    subscription: SubscriptionReport,
    record: Option<ToldRecord>,
    key: Option<ReleasedKey>,
) -> PresenceResponse {
    PresenceResponse::Subscribed { subscription, record, key }
}

fn report(state: SubscriptionState, event: SubscriptionEvent, expires_seconds: u32) -> SubscriptionReport {
    SubscriptionReport { state, event, expires_seconds, retry_after_seconds: None }
}

/// The key of the third record of a chain.
fn released() -> ReleasedKey {
    ReleasedKey { key: first_key().next().next(), lifetime_seconds: 86_400 }
}

fn first_key() -> ViewKey {
    ViewKey::first(*b"a chain.", [0x42; 32])
}

/// One of each kind of watcher.
fn watchers() -> Vec<WatcherReport> {
    let first_at = UnixTime::from_millis(1_700_000_000_000);
    let watcher = |number: u8, state, event| WatcherReport {
        presentity: presentity(&key(number)),
        first_at,
        last_at: first_at + Duration::from_secs(3600),
        fetches: 0,
        subscribes: 0,
        refused: 0,
        period_ms: None,
        state,
        event,
    };
    let subscriber = watcher(1, SubscriptionState::Active, Some(SubscriptionEvent::Approved));
    let poller = watcher(2, SubscriptionState::Terminated, None);
    let refused = watcher(3, SubscriptionState::Terminated, Some(SubscriptionEvent::Rejected));
    vec![
        WatcherReport { subscribes: 3, refused: 1, ..subscriber },
        WatcherReport { fetches: 1800, period_ms: Some(2000), ..poller },
        WatcherReport { refused: u32::MAX, ..refused },
    ]
}

/// Name, the key that a watcher has, the document it is to find, and the record.
pub(super) fn views() -> Vec<(&'static str, ViewKey, PresenceInformation, PresenceRecord)> {
    let alice = key(1);
    let who = presentity(&alice);
    let plain = PresenceInformation::open("Alice", &inbox(&alice));
    let mut noted = plain.clone();
    noted.markup.note = Some(Note { text: "in the workshop".to_owned(), language: None });
    let view = |name, given: &ViewKey, sealed_with: &ViewKey, padded| {
        let sealed = sealed_with.seal(&who, &noted, padded);
        // Another view of the same record, of a chain that nobody here has a key to.
        let other = ViewKey::first([0xfe; 8], [1; 32]).seal(&who, &plain, padded);
        let body = RecordBody { public: None, sealed_views: vec![sealed, other], ..body(&alice, 1, 1) };
        (name, given.clone(), noted.clone(), signed(body, &alice))
    };
    let (first, third) = (first_key(), first_key().next().next());
    let padded = padded_bytes(&noted);
    vec![
        view("the first of a chain", &first, &first, padded),
        view("two steps further on", &first, &third, padded),
        view("a key that was given later", &third, &third, padded),
        view("padded for a larger view", &third, &third, padded + 64),
    ]
}

fn message_requests() -> Vec<(&'static str, MessageRequest)> {
    let plain = message();
    let realm: Realm = "floor-3".parse().unwrap();
    let full = InstantMessage {
        thread: Some(MessageId::from_bytes([0xcd; 16])),
        reply_to: Some(InboxAddress { node: presentity(&key(3)), realm }),
        content_type: "application/octet-stream".to_owned(),
        language: Some("de-CH".to_owned()),
        body: (0..=255).collect(),
        extensions: BTreeMap::from([("x-a".to_owned(), vec![0]), ("x-b".to_owned(), vec![0xff; 251])]),
        ..message()
    };
    let empty = InstantMessage { body: Vec::new(), ..message() };
    vec![
        ("plain text", MessageRequest { message: plain, remaining_ms: 3_600_000 }),
        ("every field", MessageRequest { message: full, remaining_ms: 604_800_000 }),
        ("an empty body and no time left", MessageRequest { message: empty, remaining_ms: 0 }),
    ]
}

/// All of them, in the order of their numbers.
fn message_responses() -> Vec<MessageResponse> {
    std::iter::once(MessageResponse::Delivered)
        .chain(FailureReason::ALL.map(MessageResponse::Failed))
        .collect()
}

/// Name, the initiator's table and the responder's.
pub(super) fn tables() -> Vec<(&'static str, Vec<Line>, Vec<Line>)> {
    let line = |number: u8, sequence: u64, fingerprint: u64| {
        let who = Presentity::from_public_key_bytes([number; 32]);
        (who, Version { incarnation: 1, sequence }, fingerprint, false)
    };
    let lost = |number: u8, sequence: u64, fingerprint: u64| {
        let (who, version, fingerprint, _) = line(number, sequence, fingerprint);
        (who, version, fingerprint, true)
    };
    // 48 lines are the fewest that make four ranges.
    let many: Vec<_> = (0..48).map(|number| line(number * 5 + 1, 1, u64::MAX - u64::from(number))).collect();
    let mut changed = many.clone();
    changed[5] = line(26, 2, 99);
    changed.remove(40);
    changed.push(line(255, 1, 7));
    let twin = [line(1, 1, 10), line(2, 1, 20)];
    vec![
        ("equal", many[..3].to_vec(), many[..3].to_vec()),
        ("an empty table asks", Vec::new(), many[..3].to_vec()),
        ("four ranges, of which some differ", many, changed),
        ("one version, two records", twin.to_vec(), vec![line(1, 1, 11), line(2, 1, 20)]),
        (
            "each believes another one lost",
            vec![line(1, 1, 10), lost(2, 1, 20), lost(3, 1, 30)],
            vec![lost(1, 1, 10), line(2, 1, 20), lost(3, 1, 30)],
        ),
    ]
}

pub(super) fn key(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).unwrap()
}

pub(super) fn presentity(key: &Keypair) -> Presentity {
    Presentity::from_public_key(&key.public()).unwrap()
}

fn inbox(key: &Keypair) -> InboxAddress {
    InboxAddress { node: presentity(key), realm: Realm::default() }
}

fn word(text: &str) -> Token {
    text.parse().unwrap()
}

fn signed(body: RecordBody, key: &Keypair) -> PresenceRecord {
    PresenceRecord::sign(body, key).unwrap()
}

fn told(number: u8, elapsed_ms: u64, lost: bool) -> ToldRecord {
    let key = key(number);
    ToldRecord { record: signed(body(&key, 1, 1), &key).bytes().to_vec(), elapsed_ms, lost }
}

pub(super) fn body(key: &Keypair, incarnation: u64, sequence: u64) -> RecordBody {
    RecordBody {
        format: FORMAT,
        realm: Realm::default(),
        presentity: presentity(key),
        version: Version { incarnation, sequence },
        lease_seconds: 3600,
        departing: false,
        addresses: Vec::new(),
        public: Some(PresenceInformation::open("Alice", &inbox(key))),
        sealed_views: Vec::new(),
        extensions: BTreeMap::new(),
    }
}

/// A record that uses every field of a document.
fn full(key: &Keypair) -> RecordBody {
    let until = UnixTime::from_millis(1_800_000_000_000);
    let inbox = PresenceTuple {
        id: word("inbox"),
        status: Status { basic: Basic::Closed, further: BTreeSet::from([word("busy"), word("away")]) },
        communication_address: Some(CommunicationAddress::instant_message(&inbox(key))),
        markup: OtherPresenceMarkup {
            note: Some(Note { text: "in a meeting".to_owned(), language: Some("en".to_owned()) }),
            activities: BTreeSet::from([word("meeting"), word("yodelling")]),
            until: Some(until),
            user_input: Some(idle()),
            extensions: BTreeMap::from([("x-desk".to_owned(), b"4-117".to_vec())]),
        },
    };
    let phone = PresenceTuple {
        id: word("phone"),
        status: Status { basic: Basic::Open, further: BTreeSet::new() },
        communication_address: Some(CommunicationAddress {
            means: word("tel"),
            contact: "tel:+1-201-555-0123".to_owned(),
        }),
        markup: OtherPresenceMarkup::default(),
    };
    let silent = PresenceTuple { id: word("silent"), communication_address: None, ..phone.clone() };
    let markup = OtherPresenceMarkup {
        note: Some(Note { text: "Grüezi ☕".to_owned(), language: None }),
        activities: BTreeSet::from([word("working")]),
        until: None,
        user_input: None,
        extensions: BTreeMap::from([("x-mood".to_owned(), vec![])]),
    };
    // /ip4/192.0.2.7/tcp/4001 and /ip6/2001:db8::7/udp/4001/quic-v1.
    let ip4 = vec![4, 192, 0, 2, 7, 6, 15, 161];
    let ip6 =
        [&[41, 32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[145, 2, 15, 161, 205, 3]].concat();
    RecordBody {
        addresses: vec![NodeAddress(ip4), NodeAddress(ip6)],
        public: Some(PresenceInformation {
            display_name: "Alice".to_owned(),
            tuples: vec![inbox, phone, silent],
            markup,
        }),
        ..body(key, 2, 12)
    }
}

/// A body that makes a record of exactly so many bytes with its signature.
pub(super) fn sized(key: &Keypair, length: usize) -> RecordBody {
    let mut body = body(key, 1, 1);
    body.extensions.insert("x-one".to_owned(), vec![1; 300]);
    body.extensions.insert("x-two".to_owned(), vec![2; 300]);
    let missing = length - (encode(&body).len() + 64);
    body.extensions.insert("x-two".to_owned(), vec![2; 300 + missing]);
    assert_eq!(encode(&body).len() + 64, length);
    body
}

pub(super) fn message() -> InstantMessage {
    InstantMessage {
        id: MessageId::from_bytes([0xab; 16]),
        from: presentity(&key(1)),
        to: inbox(&key(2)),
        sent_at: UnixTime::from_millis(1_700_000_000_000),
        thread: None,
        reply_to: None,
        content_type: "text/plain; charset=utf-8".to_owned(),
        language: None,
        body: "Hello, Bob.".into(),
        extensions: BTreeMap::new(),
    }
}
