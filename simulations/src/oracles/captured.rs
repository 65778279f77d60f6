//! What is in all that a host ever received, whatever its node made of it.
//!
//! Each chunk of each stream is looked through for marked fields ([`super::marks`]) as it arrives. Records
//! and keys are kept, over restarts of the node too, and every sealed view is opened that some key opens,
//! whether the key came before the record or after it. What is found is judged by [`super::access`].
//!
//! Limits: [`RECORDS_MAX`] records of each presentity and [`KEYS_MAX`] keys, of each host; the oldest
//! makes room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hereabouts_protocol::{
    identity::{Presentity, Realm},
    presence::{record::PresenceRecord, sealing::ViewKey, views::ReleasedKey},
    wire::{
        codec,
        frames::{
            FetchAnswer, PRESENCE_REQUEST_BYTES_MAX, PRESENCE_RESPONSE_BYTES_MAX, PresenceRequest,
            PresenceResponse, ToldRecord,
        },
    },
};

use super::marks::Mark;
use crate::{
    network::captures::{Frame, Received},
    verify,
    virtual_machine::HostId,
};

/// What all hosts received.
#[derive(Debug, Default)]
pub(super) struct Captured {
    hosts: BTreeMap<HostId, Host>,
    realm: Realm,
    /// Bytes that were looked through.
    pub(super) bytes: u64,
    /// Views that were opened, each by each host.
    pub(super) opened: u64,
}

#[derive(Debug)]
struct Host {
    watcher: Presentity,
    records: BTreeMap<Presentity, VecDeque<PresenceRecord>>,
    keys: VecDeque<ViewKey>,
}

impl Captured {
    /// On this host runs the node of this presentity.
    pub(super) fn add_host(&mut self, host: HostId, watcher: Presentity) {
        self.hosts.insert(host, Host { watcher, records: BTreeMap::new(), keys: VecDeque::new() });
    }

    /// A host received something; the host, its watcher and the marks that it has by it. Records are looked
    /// into of those that are guarded.
    pub(super) fn handle(
        &mut self,
        received: &Received,
        is_guarded: impl Fn(&Presentity) -> bool,
    ) -> Vec<(HostId, Presentity, Mark)> {
        let Some(host) = self.hosts.get_mut(&received.to) else { return Vec::new() };
        self.bytes += u64::try_from(received.bytes.len()).unwrap_or(u64::MAX);
        let mut marks = Mark::find(&received.bytes);
        for frame in &received.frames {
            let (records, key) = contents(frame);
            for bytes in &records {
                let claimed = PresenceRecord::claimed_presentity(bytes, &self.realm);
                if claimed.is_some_and(|of| is_guarded(&of))
                    && let Ok(record) = verify::once(bytes, &self.realm)
                {
                    self.opened += host.keep_record(record, &mut marks);
                }
            }
            if let Some(released) = key {
                self.opened += host.keep_key(released.key, &mut marks);
            }
        }
        let watcher = host.watcher;
        marks.into_iter().map(|mark| (received.to, watcher, mark)).collect()
    }
}

impl Host {
    /// How many views of it are opened.
    fn keep_record(&mut self, record: PresenceRecord, marks: &mut BTreeSet<Mark>) -> u64 {
        let kept = self.records.entry(record.presentity()).or_default();
        if kept.iter().any(|known| known.bytes() == record.bytes()) {
            return 0;
        }
        let opened = self.keys.iter().filter(|key| open(key, &record, marks)).count();
        push(kept, record, RECORDS_MAX);
        u64::try_from(opened).unwrap_or(u64::MAX)
    }

    /// How many views are opened by it.
    fn keep_key(&mut self, key: ViewKey, marks: &mut BTreeSet<Mark>) -> u64 {
        if self.keys.contains(&key) {
            return 0;
        }
        let records = self.records.values().flatten();
        let opened = records.filter(|record| open(&key, record, marks)).count();
        push(&mut self.keys, key, KEYS_MAX);
        u64::try_from(opened).unwrap_or(u64::MAX)
    }
}

fn open(key: &ViewKey, record: &PresenceRecord, marks: &mut BTreeSet<Mark>) -> bool {
    let Some((document, _)) = key.open(record) else { return false };
    marks.extend(Mark::of(&document));
    true
}

fn push<T>(kept: &mut VecDeque<T>, new: T, most: usize) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(new);
}

/// The records of a frame, and the key that it releases.
fn contents(frame: &Frame) -> (Vec<Vec<u8>>, Option<ReleasedKey>) {
    let told = |records: Vec<ToldRecord>| records.into_iter().map(|told| told.record).collect();
    match frame {
        Frame::Gossip(data) => (vec![data.clone()], None),
        Frame::Request(bytes) => match codec::decode(bytes, PRESENCE_REQUEST_BYTES_MAX) {
            Ok(PresenceRequest::Exchange { records, .. } | PresenceRequest::Tell { records }) => {
                (told(records), None)
            }
            Ok(PresenceRequest::Notify { record, key, .. }) => (vec![record], key),
            _ => (Vec::new(), None),
        },
        Frame::Response(bytes) => match codec::decode(bytes, PRESENCE_RESPONSE_BYTES_MAX) {
            Ok(PresenceResponse::Exchanged { records }) => (told(records), None),
            Ok(PresenceResponse::Fetched { record, answer }) => {
                let key = match answer {
                    FetchAnswer::Granted { key } => key,
                    _ => None,
                };
                (told(record.into_iter().collect()), key)
            }
            Ok(PresenceResponse::Subscribed { record, key, .. }) => (told(record.into_iter().collect()), key),
            _ => (Vec::new(), None),
        },
    }
}

const RECORDS_MAX: usize = 512;
const KEYS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hereabouts_protocol::{
        identity::InboxAddress,
        presence::{
            access_rules::{Transformations, View},
            information::PresenceInformation,
            record::{FORMAT, RecordBody, Version},
            sealing::padded_bytes,
        },
    };
    use libp2p::identity::Keypair;

    use super::*;
    use crate::oracles::marks::{self, Field};

    const CHANGE: u32 = 5;

    fn author() -> (Keypair, Presentity) {
        let key = Keypair::ed25519_from_bytes([3; 32]).unwrap();
        let presentity = Presentity::from_public_key(&key.public()).unwrap();
        (key, presentity)
    }

    fn marked() -> PresenceInformation {
        let inbox = InboxAddress { node: author().1, realm: Realm::default() };
        marks::document(PresenceInformation::open("Node 1", &inbox), 1, CHANGE)
    }

    /// A record of the marked document: what goes in the clear, and what is sealed with which key.
    fn record(clear: Option<View>, sealed: &[(View, ViewKey)]) -> Vec<u8> {
        let (key, presentity) = author();
        let document = marked();
        let seal = |(view, key): &(View, ViewKey)| {
            let seen = view.of(&document);
            key.seal(&presentity, &seen, padded_bytes(&seen))
        };
        let body = RecordBody {
            format: FORMAT,
            realm: Realm::default(),
            presentity,
            version: Version { incarnation: 1, sequence: 5 },
            lease_seconds: 60,
            departing: false,
            addresses: Vec::new(),
            public: clear.map(|view| view.of(&document)),
            sealed_views: sealed.iter().map(seal).collect(),
            extensions: BTreeMap::new(),
        };
        PresenceRecord::sign(body, &key).unwrap().bytes().to_vec()
    }

    fn captured() -> Captured {
        let mut captured = Captured::default();
        captured.add_host(7, Presentity::from_public_key_bytes([9; 32]));
        captured
    }

    fn fields(captured: &mut Captured, bytes: &[u8], frame: Option<Frame>) -> Vec<Field> {
        let received = Received { to: 7, bytes: bytes.to_vec(), frames: frame.into_iter().collect() };
        let found = captured.handle(&received, |of| *of == author().1);
        found.into_iter().map(|(_, _, mark)| mark.field).collect()
    }

    fn everything() -> View {
        View::Granted(Transformations::default())
    }

    #[test]
    fn each_field_that_goes_in_the_clear_is_found() {
        let bytes = record(Some(everything()), &[]);
        let mut found = fields(&mut captured(), &bytes, None);
        found.sort_unstable();
        assert!(found.into_iter().eq(Field::of_change(CHANGE)));
        let status = View::Granted(Transformations::status_only());
        let found = fields(&mut captured(), &record(Some(status), &[]), None);
        assert_eq!(found, [Field::Name, Field::TupleId, Field::TupleStatus]);
    }

    #[test]
    fn a_sealed_view_is_opened_by_a_key_that_comes_before_it_or_after_it_and_by_no_other() {
        let [key, other] = [1, 2].map(|id| ViewKey::first([id; 8], [id; 32]));
        let bytes = record(None, &[(everything(), key.clone()), (View::Decoy, other)]);
        let record = || Some(Frame::Gossip(bytes.clone()));
        let release = |key: &ViewKey| {
            let key = Some(ReleasedKey { key: key.clone(), lifetime_seconds: 60 });
            let notify = PresenceRequest::Notify { record: Vec::new(), subscription: None, key };
            Some(Frame::Request(codec::encode(&notify)))
        };
        for frames in [[release(&key), record()], [record(), release(&key)]] {
            let mut captured = captured();
            let [first, second] = frames;
            assert_eq!(fields(&mut captured, &bytes, first), []);
            assert_eq!(fields(&mut captured, &bytes, second).len(), Field::of_change(CHANGE).count());
            assert_eq!(captured.opened, 1);
        }
        let mut captured = captured();
        assert_eq!(fields(&mut captured, &bytes, record()), []);
        assert_eq!(fields(&mut captured, &bytes, release(&ViewKey::first([1; 8], [4; 32]))), []);
        assert_eq!(fields(&mut captured, &bytes, release(&key.next())), [], "it is of a later record");
        assert_eq!(captured.opened, 0);
    }
}
