use std::collections::BTreeSet;

use super::*;
use crate::{
    identity::InboxAddress,
    message::instant_message::MessageId,
    presence::{
        information::{EXTENSION_NAME_BYTES_MAX, EXTENSION_VALUE_BYTES_MAX, EXTENSIONS_MAX},
        reconciliation::{DIGEST_BITS_MAX, RECORDS_BYTES_PER_FRAME, VERSIONS_PER_FRAME, WANTED_PER_FRAME},
        record::{RECORD_BYTES_MAX, Version},
        sealing::ViewKey,
    },
    testing::message,
    time::UnixTime,
    wire::codec::{decode, encode},
};

#[test]
fn the_names_of_protocols_topic_and_identify_carry_the_realm() {
    let realm: Realm = "attic".parse().unwrap();
    assert_eq!(presence_protocol(&realm), "/hereabouts/attic/presence/2");
    assert_eq!(message_protocol(&realm), "/hereabouts/attic/message/1");
    assert_eq!(gossip_topic(&realm), "hereabouts/attic/presence/1");
    assert_eq!(identify_version(&realm), "hereabouts/1/attic");
}

#[test]
fn failure_reasons_have_the_numbers_that_wire_md_gives() {
    for (number, reason) in (0_u8..).zip(FailureReason::ALL) {
        assert_eq!(encode(&MessageResponse::Failed(reason)), [1, number], "{reason}");
    }
    assert_eq!(encode(&MessageResponse::Delivered), [0]);
    let next = u8::try_from(FailureReason::ALL.len()).unwrap();
    assert!(decode::<MessageResponse>(&[1, next], MESSAGE_RESPONSE_BYTES_MAX).is_err());
}

#[test]
fn requests_and_responses_have_the_numbers_that_wire_md_gives() {
    let presentity = Presentity::from_public_key_bytes([7; 32]);
    let visible_to = VisibleTo::Everybody;
    let subscription = SubscriptionReport::ended(SubscriptionEvent::Rejected, None);
    let requests = [
        PresenceRequest::Compare(Digest { bits: 0, sums: vec![0] }),
        PresenceRequest::Exchange { wanted: Vec::new(), records: Vec::new() },
        PresenceRequest::Fetch { presentity, visible_to: visible_to.clone() },
        PresenceRequest::Subscribe { seconds: 0, visible_to },
        PresenceRequest::Notify { record: Vec::new(), subscription: None, key: None },
        PresenceRequest::Tell { records: Vec::new() },
        PresenceRequest::FetchWatchers,
        PresenceRequest::Update(PresenceChange::default()),
        PresenceRequest::SubscribeWatchers { seconds: 0 },
        PresenceRequest::NotifyWatchers { subscription, watchers: Vec::new() },
    ];
    let responses = [
        PresenceResponse::Compared(Difference { ranges: Vec::new(), versions: Vec::new() }),
        PresenceResponse::Exchanged { records: Vec::new() },
        PresenceResponse::Fetched { record: None, answer: FetchAnswer::Known },
        PresenceResponse::Subscribed { subscription, record: None, key: None },
        PresenceResponse::Notified,
        PresenceResponse::Heard { partner: false },
        PresenceResponse::Watchers { watchers: Vec::new(), retry_after_ms: None },
        PresenceResponse::Updated(UpdateAnswer::Taken),
        PresenceResponse::SubscribedWatchers { subscription, watchers: Vec::new() },
        PresenceResponse::NotifiedWatchers,
    ];
    assert_eq!(requests.len(), responses.len());
    for (number, (request, response)) in (0_u8..).zip(requests.iter().zip(&responses)) {
        assert_eq!(encode(request)[0], number, "{request:?}");
        assert_eq!(encode(response)[0], number, "{response:?}");
    }
}

#[test]
fn states_events_answers_and_visibilities_have_the_numbers_that_wire_md_gives() {
    let states = SubscriptionState::ALL;
    let events = SubscriptionEvent::ALL;
    let answers = [
        FetchAnswer::Known,
        FetchAnswer::Granted { key: None },
        FetchAnswer::Refused,
        FetchAnswer::Unconfirmed,
        FetchAnswer::TooFast { retry_after_ms: 0 },
    ];
    let visibilities = [VisibleTo::Everybody, VisibleTo::AllBut(BTreeSet::new()), VisibleTo::Nobody];
    let first_bytes = [
        states.map(|state| encode(&state)).concat(),
        events.map(|event| encode(&event)).concat(),
        answers.map(|answer| encode(&answer)[0]).to_vec(),
        visibilities.map(|visible_to| encode(&visible_to)[0]).to_vec(),
    ];
    assert_eq!(first_bytes, [4_u8, 8, 5, 3].map(|count| (0..count).collect::<Vec<_>>()));
}

#[test]
fn a_released_key_is_the_name_of_its_chain_the_step_the_secret_and_the_lifetime() {
    let key = ReleasedKey { key: ViewKey::first([7; 8], [9; 32]), lifetime_seconds: 86_400 };
    let expected = [[7; 8].as_slice(), &[0], &[9; 32], &[252, 0x80, 0x51, 1, 0]].concat();
    assert_eq!(encode(&key), expected);
}

/// The largest record and the most there can be beside it.
fn told_max() -> ToldRecord {
    ToldRecord { record: vec![0xff; RECORD_BYTES_MAX], elapsed_ms: u64::MAX, lost: true }
}

#[test]
fn the_largest_frames_that_a_node_makes_are_within_their_limits() {
    let presentity = Presentity::from_public_key_bytes([0xff; 32]);
    let version = Version { incarnation: u64::MAX, sequence: u64::MAX };
    let told = vec![told_max(); RECORDS_BYTES_PER_FRAME / RECORD_BYTES_MAX];
    let compare = PresenceRequest::Compare(Digest {
        bits: DIGEST_BITS_MAX,
        sums: vec![u64::MAX; 1 << DIGEST_BITS_MAX],
    });
    let exchange =
        PresenceRequest::Exchange { wanted: vec![presentity; WANTED_PER_FRAME], records: told.clone() };
    let ranges = (0..1 << DIGEST_BITS_MAX).collect();
    let compared = PresenceResponse::Compared(Difference {
        ranges,
        versions: vec![(presentity, version, true); VERSIONS_PER_FRAME],
    });
    assert!(encode(&compare).len() <= PRESENCE_REQUEST_BYTES_MAX);
    assert!(encode(&exchange).len() <= PRESENCE_REQUEST_BYTES_MAX);
    assert!(encode(&compared).len() <= PRESENCE_RESPONSE_BYTES_MAX);
    assert!(encode(&PresenceResponse::Exchanged { records: told }).len() <= PRESENCE_RESPONSE_BYTES_MAX);
}

#[test]
fn the_most_watcher_information_that_a_node_gives_is_within_the_limit_of_its_frame() {
    let report = WatcherReport {
        presentity: Presentity::from_public_key_bytes([0xff; 32]),
        first_at: UnixTime::from_millis(u64::MAX),
        last_at: UnixTime::from_millis(u64::MAX),
        fetches: u32::MAX,
        subscribes: u32::MAX,
        refused: u32::MAX,
        period_ms: Some(u64::MAX),
        state: SubscriptionState::Terminated,
        event: Some(SubscriptionEvent::Noresource),
    };
    let watchers = vec![report; WATCHERS_PER_FRAME];
    let response = PresenceResponse::Watchers { watchers, retry_after_ms: Some(u64::MAX) };
    assert!(encode(&response).len() <= PRESENCE_RESPONSE_BYTES_MAX);
}

#[test]
fn the_largest_message_is_within_the_limit_of_its_frame() {
    let realm: Realm = "r".repeat(63).parse().unwrap();
    let address = InboxAddress { node: Presentity::from_public_key_bytes([0xff; 32]), realm };
    let extensions = (0..EXTENSIONS_MAX).map(|number| {
        let name = format!("{number:0width$}", width = EXTENSION_NAME_BYTES_MAX);
        (name, vec![0xff; EXTENSION_VALUE_BYTES_MAX])
    });
    let message = InstantMessage {
        to: address.clone(),
        sent_at: UnixTime::from_millis(u64::MAX),
        thread: Some(MessageId::from_bytes([0xff; 16])),
        reply_to: Some(address),
        content_type: format!("text/{}", "x".repeat(122)),
        language: Some("x".repeat(35)),
        body: vec![0xff; BODY_BYTES_MAX],
        extensions: extensions.collect(),
        ..message(1)
    };
    assert_eq!(message.check(), Ok(()));
    let request = MessageRequest { message, remaining_ms: u64::MAX };
    assert!(encode(&request).len() <= MESSAGE_REQUEST_BYTES_MAX);
}

#[test]
fn every_message_response_is_within_the_limit_of_its_frame() {
    for reason in FailureReason::ALL {
        assert!(encode(&MessageResponse::Failed(reason)).len() <= MESSAGE_RESPONSE_BYTES_MAX);
    }
}
