//! What the tests of several modules make use of.

pub(crate) mod arbitrary;

use std::{collections::BTreeMap, time::Duration};

use libp2p_identity::{Keypair, PeerId};

use crate::{
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::{InstantMessage, MessageId},
    presence::{
        information::PresenceInformation,
        record::{FORMAT, PresenceRecord, RecordBody, Version},
    },
    time::{Timestamp, UnixTime, WallClock},
};

/// The wall clock of every test: 2023-11-14T22:13:20Z at the start.
pub(crate) const CLOCK: WallClock = WallClock { at_start: UnixTime::from_millis(1_700_000_000_000) };

/// So many seconds after the start.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::START + Duration::from_secs(seconds)
}

pub(crate) fn keypair(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).unwrap()
}

/// A peer whose key nobody needs: made in no time, and another for every number.
pub(crate) fn peer_numbered(number: usize) -> PeerId {
    // An identity multihash of 32 bytes, the first and the last of which differ as those of keys do.
    let mut bytes = [0; 34];
    bytes[1] = 32;
    bytes[2..10].copy_from_slice(&mixed(number as u64).to_be_bytes());
    bytes[26..].copy_from_slice(&mixed(!number as u64).to_be_bytes());
    PeerId::from_bytes(&bytes).unwrap()
}

/// A number that looks drawn at random, by SplitMix64.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

pub(crate) fn alice() -> Keypair {
    keypair(1)
}

pub(crate) fn bob() -> Keypair {
    keypair(2)
}

pub(crate) fn presentity(key: &Keypair) -> Presentity {
    Presentity::from_public_key(&key.public()).unwrap()
}

pub(crate) fn inbox(key: &Keypair) -> InboxAddress {
    InboxAddress { node: presentity(key), realm: Realm::default() }
}

pub(crate) fn information(key: &Keypair, name: &str) -> PresenceInformation {
    PresenceInformation::open(name, &inbox(key))
}

pub(crate) fn body(key: &Keypair, incarnation: u64, sequence: u64) -> RecordBody {
    RecordBody {
        format: FORMAT,
        realm: Realm::default(),
        presentity: presentity(key),
        version: Version { incarnation, sequence },
        lease_seconds: 3600,
        departing: false,
        addresses: Vec::new(),
        public: Some(information(key, "Alice")),
        sealed_views: Vec::new(),
        extensions: BTreeMap::new(),
    }
}

pub(crate) fn record(key: &Keypair, incarnation: u64, sequence: u64) -> PresenceRecord {
    PresenceRecord::sign(body(key, incarnation, sequence), key).unwrap()
}

/// A record whose document says something else for every name.
pub(crate) fn record_named(key: &Keypair, incarnation: u64, sequence: u64, name: &str) -> PresenceRecord {
    let public = Some(information(key, name));
    PresenceRecord::sign(RecordBody { public, ..body(key, incarnation, sequence) }, key).unwrap()
}

pub(crate) fn departing_record(key: &Keypair, incarnation: u64, sequence: u64) -> PresenceRecord {
    PresenceRecord::sign(RecordBody { departing: true, ..body(key, incarnation, sequence) }, key).unwrap()
}

/// A message of alice to bob.
pub(crate) fn message(number: u8) -> InstantMessage {
    message_between(&alice(), &bob(), number)
}

pub(crate) fn message_between(from: &Keypair, to: &Keypair, number: u8) -> InstantMessage {
    InstantMessage {
        id: MessageId::from_bytes([number; 16]),
        from: presentity(from),
        to: inbox(to),
        sent_at: CLOCK.at_start,
        thread: None,
        reply_to: None,
        content_type: "text/plain; charset=utf-8".to_owned(),
        language: None,
        body: format!("message {number}").into_bytes(),
        extensions: BTreeMap::new(),
    }
}
