//! Generators of every value that travels, within its limits.

use proptest::{collection, option, prelude::*};

use crate::{
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::{FailureReason, InstantMessage, MessageId},
    presence::{
        information::{
            Basic, CommunicationAddress, Extensions, Note, OtherPresenceMarkup, PresenceInformation,
            PresenceTuple, Status, Token,
        },
        reconciliation::{Difference, Digest},
        record::{FORMAT, NodeAddress, RecordBody, SealedView, Version},
    },
    time::UnixTime,
    wire::frames::{MessageRequest, MessageResponse, PresenceRequest, PresenceResponse, ToldRecord},
};

pub(crate) fn presentity() -> impl Strategy<Value = Presentity> {
    any::<[u8; 32]>().prop_map(Presentity::from_public_key_bytes)
}

pub(crate) fn realm() -> impl Strategy<Value = Realm> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?".prop_map(|text| text.parse().unwrap())
}

pub(crate) fn inbox_address() -> impl Strategy<Value = InboxAddress> {
    (presentity(), realm()).prop_map(|(node, realm)| InboxAddress { node, realm })
}

/// Any number, and often one at which the encoding changes its width.
pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0_u64..600,
        prop::sample::select(vec![
            250,
            251,
            65_535,
            65_536,
            u64::from(u32::MAX),
            u64::from(u32::MAX) + 1,
            u64::MAX
        ]),
    ]
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    (number(), number()).prop_map(|(incarnation, sequence)| Version { incarnation, sequence })
}

pub(crate) fn token() -> impl Strategy<Value = Token> {
    "[a-z][a-z0-9_-]{0,31}".prop_map(|text| text.parse().unwrap())
}

pub(crate) fn extensions() -> impl Strategy<Value = Extensions> {
    collection::btree_map("[a-z:/-]{1,16}", collection::vec(any::<u8>(), 0..40), 0..3)
}

fn markup() -> impl Strategy<Value = OtherPresenceMarkup> {
    let note = ("\\PC{0,20}", option::of("[a-z]{2}")).prop_map(|(text, language)| Note { text, language });
    (option::of(note), collection::btree_set(token(), 0..3), option::of(number()), extensions()).prop_map(
        |(note, activities, until, extensions)| OtherPresenceMarkup {
            note,
            activities,
            until: until.map(UnixTime::from_millis),
            extensions,
        },
    )
}

fn basic() -> impl Strategy<Value = Basic> {
    prop_oneof![Just(Basic::Open), Just(Basic::Closed)]
}

fn tuple() -> impl Strategy<Value = PresenceTuple> {
    let address =
        (token(), "\\PC{0,20}").prop_map(|(means, contact)| CommunicationAddress { means, contact });
    (token(), basic(), collection::btree_set(token(), 0..3), option::of(address), markup()).prop_map(
        |(id, basic, further, communication_address, markup)| PresenceTuple {
            id,
            status: Status { basic, further },
            communication_address,
            markup,
        },
    )
}

pub(crate) fn information() -> impl Strategy<Value = PresenceInformation> {
    ("\\PC{0,12}", collection::vec(tuple(), 1..3), markup()).prop_map(|(display_name, mut tuples, markup)| {
        tuples.dedup_by(|one, other| one.id == other.id);
        PresenceInformation { display_name, tuples, markup }
    })
}

/// Bodies of any presentity. Most fit into a record, not all.
pub(crate) fn record_body() -> impl Strategy<Value = RecordBody> {
    let address = collection::vec(any::<u8>(), 0..30).prop_map(NodeAddress);
    let sealed = (any::<[u8; 8]>(), collection::vec(any::<u8>(), 0..80))
        .prop_map(|(key_id, ciphertext)| SealedView { key_id, ciphertext });
    (
        (realm(), presentity(), version(), 0_u32..=86_400, any::<bool>()),
        collection::vec(address, 0..3),
        option::of(information()),
        collection::vec(sealed, 0..3),
        extensions(),
    )
        .prop_map(
            |(
                (realm, presentity, version, lease_seconds, departing),
                addresses,
                public,
                sealed_views,
                extensions,
            )| {
                RecordBody {
                    format: FORMAT,
                    realm,
                    presentity,
                    version,
                    lease_seconds,
                    departing,
                    addresses,
                    public,
                    sealed_views,
                    extensions,
                }
            },
        )
}

fn told() -> impl Strategy<Value = ToldRecord> {
    (collection::vec(any::<u8>(), 0..300), number(), any::<bool>())
        .prop_map(|(record, elapsed_ms, lost)| ToldRecord { record, elapsed_ms, lost })
}

pub(crate) fn presence_request() -> impl Strategy<Value = PresenceRequest> {
    prop_oneof![
        (any::<u8>(), collection::vec(number(), 0..20))
            .prop_map(|(bits, sums)| PresenceRequest::Compare(Digest { bits, sums })),
        (collection::vec(presentity(), 0..5), collection::vec(told(), 0..5))
            .prop_map(|(wanted, records)| PresenceRequest::Exchange { wanted, records }),
        presentity().prop_map(|presentity| PresenceRequest::Fetch { presentity }),
        any::<u32>().prop_map(|seconds| PresenceRequest::Subscribe { seconds }),
        collection::vec(any::<u8>(), 0..300).prop_map(|record| PresenceRequest::Notify { record }),
        collection::vec(told(), 0..5).prop_map(|records| PresenceRequest::Tell { records }),
    ]
}

pub(crate) fn presence_response() -> impl Strategy<Value = PresenceResponse> {
    prop_oneof![
        (
            collection::vec(any::<u16>(), 0..20),
            collection::vec((presentity(), version(), any::<bool>()), 0..20)
        )
            .prop_map(|(ranges, versions)| PresenceResponse::Compared(Difference { ranges, versions })),
        collection::vec(told(), 0..5).prop_map(|records| PresenceResponse::Exchanged { records }),
        option::of(told()).prop_map(|record| PresenceResponse::Fetched { record }),
        (option::of(any::<u32>()), option::of(told()))
            .prop_map(|(seconds, record)| PresenceResponse::Subscribed { seconds, record }),
        Just(PresenceResponse::Notified),
        any::<bool>().prop_map(|partner| PresenceResponse::Heard { partner }),
    ]
}

pub(crate) fn instant_message() -> impl Strategy<Value = InstantMessage> {
    let id = || any::<[u8; 16]>().prop_map(MessageId::from_bytes);
    (
        (id(), presentity(), inbox_address(), number(), option::of(id())),
        (option::of(inbox_address()), "[ -~]{0,12}/[ -~]{0,12}", option::of("[a-zA-Z-]{0,35}")),
        collection::vec(any::<u8>(), 0..300),
        extensions(),
    )
        .prop_map(
            |((id, from, to, sent_at, thread), (reply_to, content_type, language), body, extensions)| {
                InstantMessage {
                    id,
                    from,
                    to,
                    sent_at: UnixTime::from_millis(sent_at),
                    thread,
                    reply_to,
                    content_type,
                    language,
                    body,
                    extensions,
                }
            },
        )
}

pub(crate) fn message_request() -> impl Strategy<Value = MessageRequest> {
    (instant_message(), number()).prop_map(|(message, remaining_ms)| MessageRequest { message, remaining_ms })
}

pub(crate) fn message_response() -> impl Strategy<Value = MessageResponse> {
    prop_oneof![
        Just(MessageResponse::Delivered),
        prop::sample::select(FailureReason::ALL.to_vec()).prop_map(MessageResponse::Failed),
    ]
}
