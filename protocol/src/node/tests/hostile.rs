//! Peers that break the rules: counted, and of no effect.

use std::time::Duration;

use super::mesh::Mesh;
use crate::{
    identity::Presentity,
    node::{
        FetchOutcome, GossipToken, NodeInput, NodeOutput, OutgoingRequest, PersistToken, RequestFailure,
        RequestToken, Response, ResponseToken,
    },
    presence::{
        reconciliation::{Difference, Digest},
        record::{PresenceRecord, RECORD_BYTES_MAX, Reaction, RecordBody, Version},
        service::{ContactState, Evidence},
    },
    testing::{body, departing_record, keypair, presentity, record},
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionReport, SubscriptionState},
        watcher_information::VisibleTo,
    },
    wire::frames::{FetchAnswer, MessageResponse, PresenceRequest, PresenceResponse, ToldRecord},
};

const SECOND: Duration = Duration::from_secs(1);
const FAR_AGO_MS: u64 = u64::MAX;

/// What a node says of bytes that came by gossip.
fn verdict(mesh: &mut Mesh, bytes: Vec<u8>) -> Reaction {
    let outputs = mesh.with(0, |node, now| {
        node.handle(now, NodeInput::Gossip { token: GossipToken(7), from: presentity(&keypair(200)), bytes });
        std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
    });
    let verdict = |output: &NodeOutput| match output {
        NodeOutput::Verdict { token: GossipToken(7), reaction } => Some(*reaction),
        _ => None,
    };
    outputs.iter().find_map(verdict).expect("one verdict for each")
}

/// What node 0 answers node 1.
fn answer(mesh: &mut Mesh, request: PresenceRequest) -> PresenceResponse {
    let from = mesh.who(1);
    let outputs = mesh.with(0, |node, now| {
        let request = OutgoingRequest::Presence(request);
        node.handle(now, NodeInput::Request { token: ResponseToken(7), from, request });
        std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
    });
    let response = |output| match output {
        NodeOutput::Respond { token: ResponseToken(7), response: Response::Presence(response) } => {
            Some(response)
        }
        _ => None,
    };
    outputs.into_iter().find_map(response).expect("an answer at once")
}

/// Makes node 0 ask something, and answers in the place of whoever was asked.
fn answered(mesh: &mut Mesh, ask: impl FnOnce(&mut Mesh) -> RequestToken, response: Response) {
    let token = ask(mesh);
    mesh.input(0, NodeInput::Response { token, response });
}

/// The token of a fetch of node 1 by node 0 that the network never gets to see.
fn fetch(mesh: &mut Mesh) -> RequestToken {
    let who = mesh.who(1);
    mesh.with(0, |node, now| {
        node.handle_fetch(now, who);
        match node.poll_output() {
            Some(NodeOutput::Request { token, .. }) => token,
            other => panic!("a request and no {other:?}"),
        }
    })
}

/// A record of the peer's own, and nothing else.
fn notify(record: Vec<u8>) -> PresenceRequest {
    PresenceRequest::Notify { record, subscription: None, key: None }
}

fn fetched(told: ToldRecord) -> Response {
    let answer = FetchAnswer::Granted { key: None };
    Response::Presence(PresenceResponse::Fetched { record: Some(told), answer })
}

fn told(record: &PresenceRecord) -> ToldRecord {
    ToldRecord { record: record.bytes().to_vec(), elapsed_ms: 0, lost: false }
}

fn contact(mesh: &Mesh, who: Presentity) -> Option<(ContactState, Evidence)> {
    let contact = mesh.node(0).service.view(&who)?.contact;
    Some((contact.state, contact.evidence))
}

#[test]
fn gossip_is_accepted_ignored_or_rejected_and_counted_by_reason() {
    let mut mesh = Mesh::row(2);
    let carol = keypair(3);
    let (first, second) = (record(&carol, 1, 1), record(&carol, 1, 2));
    assert_eq!(verdict(&mut mesh, second.bytes().to_vec()), Reaction::Accept);
    assert_eq!(verdict(&mut mesh, second.bytes().to_vec()), Reaction::Accept);
    assert_eq!(verdict(&mut mesh, first.bytes().to_vec()), Reaction::Ignore);
    let own = mesh.node(0).own_record().unwrap().bytes().to_vec();
    assert_eq!(verdict(&mut mesh, own), Reaction::Accept);

    let mut unknown = first.bytes().to_vec();
    unknown[0] = 3;
    assert_eq!(verdict(&mut mesh, unknown), Reaction::Ignore);
    let mut forged = first.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(verdict(&mut mesh, forged), Reaction::Reject);
    assert_eq!(verdict(&mut mesh, vec![1; RECORD_BYTES_MAX + 1]), Reaction::Reject);
    assert_eq!(verdict(&mut mesh, vec![1; 80]), Reaction::Reject);
    assert_eq!(verdict(&mut mesh, Vec::new()), Reaction::Reject);
    let foreign = RecordBody { realm: "attic".parse().unwrap(), ..body(&carol, 9, 9) };
    let foreign = PresenceRecord::sign(foreign, &carol).unwrap();
    assert_eq!(verdict(&mut mesh, foreign.bytes().to_vec()), Reaction::Reject);

    let counts = ["stale", "unknown-format", "forged", "oversized", "malformed", "foreign-realm"];
    assert_eq!(counts.map(|reason| mesh.refused(0, reason)), [1, 1, 1, 1, 2, 1]);
    assert_eq!(mesh.node(0).record(&first.presentity()), Some(&second));
}

#[test]
fn a_full_table_ignores_newcomers_and_blames_nobody() {
    let mut mesh = Mesh::new(1);
    mesh.kill(0);
    mesh.seat_mut(0).limits.presentities_max = 1;
    mesh.start(0);
    assert_eq!(verdict(&mut mesh, record(&keypair(3), 1, 1).bytes().to_vec()), Reaction::Accept);
    assert_eq!(verdict(&mut mesh, record(&keypair(4), 1, 1).bytes().to_vec()), Reaction::Ignore);
    assert_eq!(mesh.refused(0, "table-full"), 1);
}

#[test]
fn a_notification_counts_only_if_it_is_about_its_sender() {
    let mut mesh = Mesh::row(2);
    let goodbye_of_another = departing_record(&keypair(3), 9, 9).bytes().to_vec();
    assert_eq!(answer(&mut mesh, notify(goodbye_of_another)), PresenceResponse::Notified);
    assert_eq!(mesh.node(0).record(&presentity(&keypair(3))), None);
    assert_eq!(answer(&mut mesh, notify(vec![1; 90])), PresenceResponse::Notified);
    assert_eq!((mesh.refused(0, "not-the-sender's"), mesh.refused(0, "malformed")), (1, 1));
}

#[test]
fn a_goodbye_that_its_sender_notified_of_is_gossiped_on_once() {
    let mut mesh = Mesh::row(2);
    let (from, goodbye) = (mesh.who(1), departing_record(&keypair(2), 9, 9).bytes().to_vec());
    let mut notified = |record: &[u8]| {
        mesh.with(0, |node, now| {
            let request = OutgoingRequest::Presence(notify(record.to_vec()));
            node.handle(now, NodeInput::Request { token: ResponseToken(7), from, request });
            std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
        })
    };
    let first = notified(&goodbye);
    assert!(first.contains(&NodeOutput::Forward(goodbye.clone())), "{first:?}");
    assert!(first.contains(&NodeOutput::Departed(from)), "{first:?}");
    let forwards = |output: &NodeOutput| matches!(output, NodeOutput::Forward(_));
    assert!(!notified(&goodbye).iter().any(forwards));
    assert!(!notified(record(&keypair(2), 10, 1).bytes()).iter().any(forwards), "its own gossip brings that");
}

#[test]
fn records_that_a_peer_tells_are_verified_and_their_ages_are_clamped() {
    let mut mesh = Mesh::row(2);
    let mut forged = told(&record(&keypair(4), 1, 1));
    *forged.record.last_mut().unwrap() ^= 1;
    let old = ToldRecord { elapsed_ms: FAR_AGO_MS, ..told(&record(&keypair(3), 1, 1)) };
    let exchange = PresenceRequest::Exchange { wanted: Vec::new(), records: vec![forged, old] };
    let from = mesh.who(1);
    let outputs = mesh.with(0, |node, now| {
        let request = OutgoingRequest::Presence(exchange);
        node.handle(now, NodeInput::Request { token: ResponseToken(7), from, request });
        std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
    });
    let response = Response::Presence(PresenceResponse::Exchanged { records: Vec::new() });
    assert!(outputs.contains(&NodeOutput::Respond { token: ResponseToken(7), response }), "{outputs:?}");
    assert!(outputs.contains(&NodeOutput::Rejected(from)), "who brings forgeries is named: {outputs:?}");
    assert_eq!(mesh.refused(0, "forged"), 1);
    let view = mesh.node(0).service.view(&presentity(&keypair(3))).unwrap();
    let age = crate::testing::CLOCK.unix(mesh.now).since(view.heard_at);
    assert_eq!(age, Duration::from_secs(30 * 24 * 3600));
}

#[test]
fn a_fetch_that_is_answered_with_somebody_elses_record_is_counted_and_of_no_effect() {
    let mut mesh = Mesh::row(2);
    let stranger = record(&keypair(3), 1, 1);
    answered(&mut mesh, fetch, fetched(told(&stranger)));
    assert_eq!(contact(&mesh, stranger.presentity()), None);
    let mut forged = told(&record(&keypair(2), 9, 9));
    *forged.record.last_mut().unwrap() ^= 1;
    answered(&mut mesh, fetch, fetched(forged));
    assert_eq!((mesh.refused(0, "not-the-asked-for"), mesh.refused(0, "forged")), (1, 1));
    let outcomes: Vec<_> = mesh.seat(0).fetched.values().copied().collect();
    assert_eq!(outcomes, [FetchOutcome::Unanswered; 2]);
}

#[test]
fn an_answer_that_does_not_fit_its_question_is_counted_and_ends_the_request() {
    let mut mesh = Mesh::row(2);
    answered(&mut mesh, fetch, Response::Presence(PresenceResponse::Notified));
    answered(&mut mesh, fetch, Response::Message(MessageResponse::Delivered));
    assert_eq!(mesh.refused(0, "answer-to-another-question"), 2);
    assert_eq!(mesh.seat(0).fetched.len(), 2);
    mesh.assert_nothing_stays_awaited();
}

#[test]
fn a_message_that_is_answered_with_nonsense_is_treated_as_unanswered() {
    let mut mesh = Mesh::row(2);
    let draft = mesh.draft(1, "hello");
    let id = mesh.with(0, |node, now| node.handle_send(now, draft)).unwrap();
    // Its own answer never comes: whatever it is asked again, the same nonsense is said.
    mesh.faults.request_lost = 1.0;
    mesh.run(SECOND);
    assert_eq!(mesh.seat(0).sent[&id].len(), 1);
}

#[test]
fn answers_of_which_nobody_asked_change_nothing() {
    let mut mesh = Mesh::row(2);
    let token = RequestToken(1_000_000);
    mesh.input(0, NodeInput::Response { token, response: Response::Message(MessageResponse::Delivered) });
    mesh.input(0, NodeInput::RequestFailed { token, failure: RequestFailure::Unreachable });
    let token = PersistToken(1_000_000);
    mesh.input(0, NodeInput::Persisted { token, outcomes: Some(Vec::new()) });
    mesh.input(0, NodeInput::Recalled { token, stored: Some(true) });
    assert!(mesh.seat(0).notices.is_empty() && mesh.seat(0).sent.is_empty());
}

#[test]
fn a_peer_that_always_has_something_else_to_compare_is_not_followed_for_ever() {
    let mut mesh = Mesh::row(2);
    let presentity = mesh.who(1);
    let mut number = 0_u64;
    let mut asked = 0;
    let mut next = mesh.with(0, |node, now| {
        node.handle(now, NodeInput::LinkEstablished { presentity, dialled: true });
        std::iter::from_fn(|| node.poll_output()).collect::<Vec<_>>()
    });
    while let Some((token, request)) = next.iter().find_map(reconciling) {
        asked += 1;
        number += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let versions = vec![(Presentity::from_public_key_bytes(bytes), Version::default(), false); 800];
        let response = match request {
            PresenceRequest::Compare(_) => {
                PresenceResponse::Compared(Difference { ranges: vec![0], versions })
            }
            _ => PresenceResponse::Exchanged { records: Vec::new() },
        };
        next = mesh.with(0, |node, now| {
            node.handle(now, NodeInput::Response { token, response: Response::Presence(response) });
            std::iter::from_fn(|| node.poll_output()).collect()
        });
    }
    assert_eq!(asked, 2 * 257, "an exchange after each comparison, at most 256 times more");
}

/// A request of a comparison of tables.
fn reconciling(output: &NodeOutput) -> Option<(RequestToken, PresenceRequest)> {
    match output {
        NodeOutput::Request { token, request: OutgoingRequest::Presence(request), .. } => match request {
            PresenceRequest::Compare(_) | PresenceRequest::Exchange { .. } => Some((*token, request.clone())),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn an_ill_formed_digest_is_answered_with_no_difference() {
    let mut mesh = Mesh::row(2);
    let none = PresenceResponse::Compared(Difference { ranges: Vec::new(), versions: Vec::new() });
    let digest = Digest { bits: 200, sums: vec![1, 2, 3] };
    assert_eq!(answer(&mut mesh, PresenceRequest::Compare(digest)), none);
}

#[test]
fn a_fetch_or_subscription_is_answered_with_the_newest_record_and_its_age() {
    let mut mesh = Mesh::row(2);
    mesh.run(Duration::from_secs(30));
    let (own, other, nobody) = (mesh.who(0), mesh.who(1), presentity(&keypair(9)));
    let own_record = told(&mesh.node(0).own_record().unwrap().clone());
    let visible_to = VisibleTo::Everybody;
    let fetch = |presentity| PresenceRequest::Fetch { presentity, visible_to: VisibleTo::Everybody };
    let granted = FetchAnswer::Granted { key: None };
    let fetched = PresenceResponse::Fetched { record: Some(own_record.clone()), answer: granted };
    assert_eq!(answer(&mut mesh, fetch(own)), fetched);
    let PresenceResponse::Fetched { record: Some(told), answer: FetchAnswer::Known } =
        answer(&mut mesh, fetch(other))
    else {
        panic!("it knows its neighbour");
    };
    assert!(told.elapsed_ms >= 30_000 && !told.lost);
    let fetched = PresenceResponse::Fetched { record: None, answer: FetchAnswer::Known };
    assert_eq!(answer(&mut mesh, fetch(nobody)), fetched);
    let subscription = SubscriptionReport {
        state: SubscriptionState::Active,
        event: SubscriptionEvent::Subscribe,
        expires_seconds: 60,
        retry_after_seconds: None,
    };
    let subscribed = PresenceResponse::Subscribed { subscription, record: Some(own_record), key: None };
    assert_eq!(answer(&mut mesh, PresenceRequest::Subscribe { seconds: 1, visible_to }), subscribed);
}
