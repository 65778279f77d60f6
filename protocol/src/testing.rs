//! What the tests of several modules make use of.

use std::collections::BTreeMap;

use libp2p_identity::Keypair;

use crate::{
    identity::{InboxAddress, Presentity, Realm},
    presence::{
        information::PresenceInformation,
        record::{FORMAT, RecordBody, Version},
    },
};

pub(crate) fn keypair(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).unwrap()
}

pub(crate) fn alice() -> Keypair {
    keypair(1)
}

pub(crate) fn presentity(key: &Keypair) -> Presentity {
    Presentity::from_public_key(&key.public()).unwrap()
}

pub(crate) fn inbox(key: &Keypair) -> InboxAddress {
    InboxAddress { node: presentity(key), realm: Realm::default() }
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
        public: Some(PresenceInformation::open("Alice", &inbox(key))),
        sealed_views: Vec::new(),
        extensions: BTreeMap::new(),
    }
}
