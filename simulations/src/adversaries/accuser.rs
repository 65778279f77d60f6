//! The false accuser: says of nodes that live that they are out of contact.
//!
//! It publishes a record of its own, as an honest node does, since nobody listens to accusers of whom nothing
//! is known. Each time that it acts it gossips a suspicion of up to [`ACCUSED_MAX`] presentities, on grounds
//! that it draws, each of the newest version that it heard of, and tells some of them over a stream that they
//! are lost. Several accusers draw alike, so that they confirm each other as long as they know the same.
//! Limit: [`KNOWN_MAX`] presentities.

use std::collections::BTreeMap;

use hereabouts_protocol::{
    identity::{InboxAddress, Presentity, Realm},
    presence::{
        information::PresenceInformation,
        record::{NodeAddress, PresenceRecord, Version},
        suspicion::{self, Accusation, Grounds, Suspicion, SuspicionBody},
    },
    wire::frames::{PresenceRequest, ToldRecord},
};
use libp2p::{Multiaddr, identity::Keypair};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    actor::Wire,
    forger::{body, told},
};

/// One false accuser.
pub(super) struct Accuser {
    key: Keypair,
    presentity: Presentity,
    realm: Realm,
    own: PresenceRecord,
    newest: BTreeMap<Presentity, PresenceRecord>,
    acts: u64,
    /// What all accusers of a run draw alike.
    shared: StdRng,
}

impl Accuser {
    pub(super) fn new(
        (key, presentity): (Keypair, Presentity),
        realm: Realm,
        (name, address): (String, Multiaddr),
    ) -> Self {
        let inbox = InboxAddress { node: presentity, realm: realm.clone() };
        let mut body = body(realm.clone(), presentity, PresenceInformation::open(name, &inbox));
        body.addresses = vec![NodeAddress(address.to_vec())];
        body.version.sequence = 1;
        let own = PresenceRecord::sign(body, &key).expect("it is within every limit");
        let shared = StdRng::seed_from_u64(0);
        Self { key, presentity, realm, own, newest: BTreeMap::new(), acts: 0, shared }
    }

    /// A record went by.
    pub(super) fn heard(&mut self, record: &PresenceRecord) {
        let presentity = record.presentity();
        if presentity == self.presentity || record.body().departing {
            self.newest.remove(&presentity);
            return;
        }
        let newer = self.newest.get(&presentity).is_none_or(|known| record.supersedes(known));
        if newer && (self.newest.len() < KNOWN_MAX || self.newest.contains_key(&presentity)) {
            self.newest.insert(presentity, record.clone());
        }
    }

    /// Accuses some.
    pub(super) fn act(&mut self, wire: &mut Wire) {
        wire.publish(self.own.bytes().to_vec());
        let Some(bytes) = self.suspicion() else { return };
        wire.publish(bytes);
        for victim in wire.victims() {
            let record = Presentity::from_peer_id(&victim).and_then(|who| self.newest.get(&who));
            if let Some(record) = record.filter(|_| self.shared.random_bool(TOLD_SHARE)) {
                let told = ToldRecord { lost: true, ..told(record.bytes().to_vec()) };
                let request = PresenceRequest::Exchange { wanted: Vec::new(), records: vec![told] };
                wire.ask(&victim, &request);
            }
        }
    }

    /// The next suspicion; none as long as nobody is known.
    pub(super) fn suspicion(&mut self) -> Option<Vec<u8>> {
        self.acts += 1;
        let grounds = [Grounds::Refused, Grounds::Unreachable, Grounds::Unresponsive, Grounds::Silent];
        let mut accusations = Vec::new();
        for record in self.newest.values() {
            let grounds = grounds.get(self.shared.random_range(0..grounds.len())).copied();
            if self.shared.random_bool(ACCUSED_SHARE)
                && accusations.len() < ACCUSED_MAX
                && let Some(grounds) = grounds
            {
                let (subject, version) = (record.presentity(), record.version());
                accusations.push(Accusation { subject, version, grounds });
            }
        }
        let body = SuspicionBody {
            format: suspicion::FORMAT,
            realm: self.realm.clone(),
            accuser: self.presentity,
            issued: Version { incarnation: 1, sequence: self.acts },
            accusations,
        };
        let suspicion = Suspicion::sign(body, &self.key).ok()?;
        Some(suspicion.bytes().to_vec())
    }
}

/// As many as a suspicion holds.
const ACCUSED_MAX: usize = suspicion::ACCUSATIONS_MAX;
const ACCUSED_SHARE: f64 = 0.3;
const TOLD_SHARE: f64 = 0.1;
const KNOWN_MAX: usize = 4096;
