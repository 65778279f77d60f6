use super::*;
use hereabouts_protocol::presence::record::{PresenceRecord, Reaction};

fn identity(secret: u8) -> (Keypair, Presentity) {
    let key = Keypair::ed25519_from_bytes([secret; 32]).unwrap();
    let presentity = Presentity::from_public_key(&key.public()).unwrap();
    (key, presentity)
}

fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// The records that a spammer of this key publishes are as good as any.
fn records(secret: u8, count: usize) -> Vec<PresenceRecord> {
    let name = ("somebody".to_owned(), tcp([10, 0, 0, 1].into(), PORT));
    let mut author = Spammer::new(identity(secret), Realm::default(), name, Answers::default(), random());
    let record = |_| PresenceRecord::verify(&author.next_record(), &Realm::default()).unwrap();
    (0..count).map(record).collect()
}

#[test]
fn every_forgery_is_rejected_by_a_node_whether_or_not_its_victim_was_heard_of() {
    let (key, presentity) = identity(1);
    let victim = identity(2).1;
    let mut forger = Forger::new(key, presentity, Realm::default(), vec![victim], true, random());
    for known in [false, true] {
        for kind in forger::FORGERIES {
            for _ in 0..200 {
                let bytes = forger.forge(kind, victim);
                let error = PresenceRecord::verify(&bytes, &Realm::default()).unwrap_err();
                assert_eq!(error.reaction(), Reaction::Reject, "{kind:?}, {known}: {error}");
            }
        }
        forger.heard(&records(2, 1)[0]);
    }
}

#[test]
fn a_spammers_records_are_valid_and_each_supersedes_the_last() {
    let records = records(3, 3);
    assert!(records[1].supersedes(&records[0]) && records[2].supersedes(&records[1]));
    assert!(!records[1].says_the_same(&records[0]));
}

#[test]
fn a_superseded_record_is_gossiped_again_only_when_it_is_forgotten() {
    let records = records(4, 2);
    let mut replayer = Replayer::new(identity(5).1, Realm::default(), Answers::default(), random());
    let second = 1_000_000_000;
    replayer.heard(0, &records[0]);
    assert_eq!(replayer.forgotten(200 * second), None, "it is the newest");
    replayer.heard(second, &records[1]);
    assert_eq!(replayer.forgotten(100 * second), None, "gossipsub still knows it");
    assert_eq!(replayer.forgotten(130 * second).as_deref(), Some(records[0].bytes()));
    assert_eq!(replayer.forgotten(131 * second), None, "it was just sent again");
}
