//! What every group of tests needs: a simulation to run in, and values to put into a disk.

mod crashes;
mod likeness;
mod limits;

use futures::executor::block_on;
use hereabouts_protocol::{
    durable::{KnownPeer, OutboxEntry, OutboxState, StoredMessage, StoredRecord},
    identity::{InboxAddress, Realm},
    message::instant_message::{InstantMessage, MessageId},
    time::UnixTime,
};
use rand::SeedableRng;

use super::*;

/// A simulation on this thread, until it is dropped.
struct Simulation;

impl Simulation {
    fn new() -> Self {
        virtual_time::enter();
        Self
    }

    /// Lets time pass.
    fn pass(&self, millis: u64) {
        virtual_time::advance(now() + millis * 1_000_000);
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        virtual_time::leave();
    }
}

/// A disk whose fsync takes ten milliseconds.
fn disk() -> SimulatedDisk {
    SimulatedDisk::new(RecordInterner::default(), Duration::from_millis(10), false)
}

fn lazily(disk: &SimulatedDisk, changes: Vec<Change>) -> Vec<Outcome> {
    disk.commit(changes, Durability::Lazy).now_or_never().expect("done at once").unwrap()
}

fn store(disk: &SimulatedDisk, number: u16) -> Outcome {
    lazily(disk, vec![Change::StoreMessage(received(number, 0))])[0]
}

fn power_cut(disk: &SimulatedDisk, seed: u64) {
    disk.crash(Loss::Power, &mut StdRng::seed_from_u64(seed));
}

/// The messages that a power cut leaves at least, whatever chance says.
fn least_survivors(disk: impl Fn() -> SimulatedDisk) -> usize {
    let left = |seed| {
        let disk = disk();
        power_cut(&disk, seed);
        disk.inbox_ids().len()
    };
    (0..20).map(left).min().unwrap()
}

fn presentity(number: u16) -> Presentity {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

fn id(number: u16) -> MessageId {
    let mut bytes = [3; 16];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    MessageId::from_bytes(bytes)
}

fn message(number: u16) -> InstantMessage {
    InstantMessage {
        id: id(number),
        from: presentity(1),
        to: InboxAddress { node: presentity(2), realm: Realm::default() },
        sent_at: UnixTime::from_millis(3),
        thread: None,
        reply_to: None,
        content_type: "text/plain".to_owned(),
        language: None,
        body: b"hello".to_vec(),
        extensions: [].into(),
    }
}

fn received(number: u16, at_hours: u64) -> StoredMessage {
    StoredMessage { message: message(number), received_at: UnixTime::from_millis(at_hours * 3_600_000) }
}

fn key(number: u16) -> MessageKey {
    MessageKey { from: presentity(1), id: id(number) }
}

fn record(number: u16, sequence: u64) -> StoredRecord {
    StoredRecord {
        presentity: presentity(number),
        version: Version { incarnation: 1, sequence },
        bytes: vec![9; 10],
        heard_at: UnixTime::from_millis(sequence),
    }
}

fn outbox(number: u16, state: OutboxState) -> OutboxEntry {
    OutboxEntry {
        message: message(number),
        queued_at: UnixTime::from_millis(4),
        expires_at: UnixTime::from_millis(5),
        attempts: 0,
        state,
    }
}

fn known_peer(number: u16, address: u8) -> KnownPeer {
    let connected_at = UnixTime::from_millis(6);
    KnownPeer { presentity: presentity(number), address: vec![address, 1], connected_at }
}
