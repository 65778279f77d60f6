//! Generators of every value that travels, within its limits.

use std::num::NonZeroU32;

use proptest::{collection, option, prelude::*};

use crate::{
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::{FailureReason, InstantMessage, MessageId},
    presence::{
        change::{PresenceChange, UserInputChange},
        information::{
            Basic, CommunicationAddress, Extensions, Note, OtherPresenceMarkup, PresenceInformation,
            PresenceTuple, Status, Token,
        },
        reconciliation::{Difference, Digest},
        record::{FORMAT, NodeAddress, RecordBody, SealedView, Version},
        sealing::ViewKey,
        user_input::{InputState, UserInput, UserInputGrant},
        views::ReleasedKey,
    },
    time::UnixTime,
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionReport, SubscriptionState},
        watcher_information::{HIDDEN_FROM_MAX, VisibleTo},
    },
    wire::frames::{
        FetchAnswer, MessageRequest, MessageResponse, PresenceRequest, PresenceResponse, ToldRecord,
        UpdateAnswer, WatcherReport,
    },
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

fn note() -> impl Strategy<Value = Note> {
    ("\\PC{0,20}", option::of("[a-z]{2}")).prop_map(|(text, language)| Note { text, language })
}

fn communication_address() -> impl Strategy<Value = CommunicationAddress> {
    (token(), "\\PC{0,20}").prop_map(|(means, contact)| CommunicationAddress { means, contact })
}

pub(crate) fn user_input() -> impl Strategy<Value = UserInput> {
    let state = prop_oneof![Just(InputState::Active), Just(InputState::Idle)];
    (state, option::of(1..=u32::MAX), option::of(number())).prop_map(|(state, threshold, last_input)| {
        UserInput {
            state,
            idle_threshold_seconds: threshold.and_then(NonZeroU32::new),
            last_input: last_input.map(UnixTime::from_millis),
        }
    })
}

pub(crate) fn user_input_grant() -> impl Strategy<Value = UserInputGrant> {
    use UserInputGrant::{Bare, Full, Thresholds, Withheld};
    prop_oneof![Just(Withheld), Just(Bare), Just(Thresholds), Just(Full)]
}

fn markup() -> impl Strategy<Value = OtherPresenceMarkup> {
    let words = collection::btree_set(token(), 0..3);
    (option::of(note()), words, option::of(number()), option::of(user_input()), extensions()).prop_map(
        |(note, activities, until, user_input, extensions)| OtherPresenceMarkup {
            note,
            activities,
            until: until.map(UnixTime::from_millis),
            user_input,
            extensions,
        },
    )
}

fn basic() -> impl Strategy<Value = Basic> {
    prop_oneof![Just(Basic::Open), Just(Basic::Closed)]
}

fn tuple() -> impl Strategy<Value = PresenceTuple> {
    (token(), basic(), collection::btree_set(token(), 0..3), option::of(communication_address()), markup())
        .prop_map(|(id, basic, further, communication_address, markup)| PresenceTuple {
            id,
            status: Status { basic, further },
            communication_address,
            markup,
        })
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

pub(crate) fn visible_to() -> impl Strategy<Value = VisibleTo> {
    prop_oneof![
        Just(VisibleTo::Everybody),
        collection::btree_set(presentity(), 0..=HIDDEN_FROM_MAX).prop_map(VisibleTo::AllBut),
        Just(VisibleTo::Nobody),
    ]
}

fn state() -> impl Strategy<Value = SubscriptionState> {
    prop::sample::select(vec![
        SubscriptionState::Pending,
        SubscriptionState::Active,
        SubscriptionState::Waiting,
        SubscriptionState::Terminated,
    ])
}

fn event() -> impl Strategy<Value = SubscriptionEvent> {
    prop::sample::select(vec![
        SubscriptionEvent::Subscribe,
        SubscriptionEvent::Approved,
        SubscriptionEvent::Deactivated,
        SubscriptionEvent::Probation,
        SubscriptionEvent::Rejected,
        SubscriptionEvent::Timeout,
        SubscriptionEvent::Giveup,
        SubscriptionEvent::Noresource,
    ])
}

/// Of any state since any event, also where the machines never bring the two together.
pub(crate) fn subscription_report() -> impl Strategy<Value = SubscriptionReport> {
    (state(), event(), any::<u32>(), option::of(any::<u32>())).prop_map(
        |(state, event, expires_seconds, retry_after_seconds)| SubscriptionReport {
            state,
            event,
            expires_seconds,
            retry_after_seconds,
        },
    )
}

/// The first link of any chain, and links a little further on.
pub(crate) fn view_key() -> impl Strategy<Value = ViewKey> {
    (any::<[u8; 8]>(), any::<[u8; 32]>(), 0_u32..300).prop_map(|(id, key, steps)| {
        let first = ViewKey::first(id, key);
        (0..steps).fold(first, |key, _| key.next())
    })
}

pub(crate) fn released_key() -> impl Strategy<Value = ReleasedKey> {
    (view_key(), any::<u32>()).prop_map(|(key, lifetime_seconds)| ReleasedKey { key, lifetime_seconds })
}

fn fetch_answer() -> impl Strategy<Value = FetchAnswer> {
    prop_oneof![
        Just(FetchAnswer::Known),
        option::of(released_key()).prop_map(|key| FetchAnswer::Granted { key }),
        Just(FetchAnswer::Refused),
        Just(FetchAnswer::Unconfirmed),
        number().prop_map(|retry_after_ms| FetchAnswer::TooFast { retry_after_ms }),
    ]
}

fn watcher_report() -> impl Strategy<Value = WatcherReport> {
    (
        (presentity(), number(), number()),
        (any::<u32>(), any::<u32>(), any::<u32>()),
        (option::of(number()), state(), option::of(event())),
    )
        .prop_map(
            |((presentity, first_at, last_at), (fetches, subscribes, refused), (period_ms, state, event))| {
                WatcherReport {
                    presentity,
                    first_at: UnixTime::from_millis(first_at),
                    last_at: UnixTime::from_millis(last_at),
                    fetches,
                    subscribes,
                    refused,
                    period_ms,
                    state,
                    event,
                }
            },
        )
}

pub(crate) fn presence_change() -> impl Strategy<Value = PresenceChange> {
    let words = || option::of(collection::btree_set(token(), 0..3));
    (
        (option::of(token()), option::of(basic()), words(), option::of(communication_address())),
        (option::of(note()), words(), option::of(number())),
        (option::of(token()), option::of("\\PC{0,12}"), option::of(user_input_change())),
    )
        .prop_map(|(of_tuple, (note, activities, until), (remove_tuple, display_name, user_input))| {
            let (tuple, basic, further, address) = of_tuple;
            PresenceChange {
                tuple,
                basic,
                further,
                address,
                note,
                activities,
                until: until.map(UnixTime::from_millis),
                remove_tuple,
                display_name,
                user_input,
            }
        })
}

fn user_input_change() -> impl Strategy<Value = UserInputChange> {
    prop_oneof![Just(UserInputChange::TakeBack), user_input().prop_map(UserInputChange::Say)]
}

pub(crate) fn presence_request() -> impl Strategy<Value = PresenceRequest> {
    prop_oneof![
        (any::<u8>(), collection::vec(number(), 0..20))
            .prop_map(|(bits, sums)| PresenceRequest::Compare(Digest { bits, sums })),
        (collection::vec(presentity(), 0..5), collection::vec(told(), 0..5))
            .prop_map(|(wanted, records)| PresenceRequest::Exchange { wanted, records }),
        (presentity(), visible_to())
            .prop_map(|(presentity, visible_to)| PresenceRequest::Fetch { presentity, visible_to }),
        (any::<u32>(), visible_to())
            .prop_map(|(seconds, visible_to)| PresenceRequest::Subscribe { seconds, visible_to }),
        (collection::vec(any::<u8>(), 0..300), option::of(subscription_report()), option::of(released_key()))
            .prop_map(|(record, subscription, key)| PresenceRequest::Notify { record, subscription, key }),
        collection::vec(told(), 0..5).prop_map(|records| PresenceRequest::Tell { records }),
        Just(PresenceRequest::FetchWatchers),
        presence_change().prop_map(PresenceRequest::Update),
        any::<u32>().prop_map(|seconds| PresenceRequest::SubscribeWatchers { seconds }),
        (subscription_report(), collection::vec(watcher_report(), 0..5))
            .prop_map(|(subscription, watchers)| PresenceRequest::NotifyWatchers { subscription, watchers }),
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
        (option::of(told()), fetch_answer())
            .prop_map(|(record, answer)| PresenceResponse::Fetched { record, answer }),
        (subscription_report(), option::of(told()), option::of(released_key())).prop_map(
            |(subscription, record, key)| PresenceResponse::Subscribed { subscription, record, key }
        ),
        Just(PresenceResponse::Notified),
        any::<bool>().prop_map(|partner| PresenceResponse::Heard { partner }),
        (collection::vec(watcher_report(), 0..5), option::of(number()))
            .prop_map(|(watchers, retry_after_ms)| PresenceResponse::Watchers { watchers, retry_after_ms }),
        prop_oneof![
            Just(UpdateAnswer::Taken),
            Just(UpdateAnswer::Refused),
            "\\PC{0,20}".prop_map(|reason| UpdateAnswer::Invalid { reason }),
        ]
        .prop_map(PresenceResponse::Updated),
        (subscription_report(), collection::vec(watcher_report(), 0..5)).prop_map(
            |(subscription, watchers)| PresenceResponse::SubscribedWatchers { subscription, watchers }
        ),
        Just(PresenceResponse::NotifiedWatchers),
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
