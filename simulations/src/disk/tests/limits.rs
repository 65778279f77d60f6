//! What a disk refuses, remembers and forgets.

use hereabouts::storage::{KNOWN_PEERS_MAX, OUTBOX_FINISHED_MAX, sqlite::COMMITS_WAITING_MAX};
use hereabouts_protocol::durable::{ADDRESSES_PER_PEER_MAX, StoredContact};

use super::{super::interner::SWEEP_AT_MIN, *};

#[test]
fn a_full_disk_takes_nothing_until_there_is_room() {
    let simulation = Simulation::new();
    let disk = disk();
    disk.set_full(true);
    let full = StorageError::DiskFull { path: PathBuf::from(PATH) };
    let changes = vec![Change::StoreMessage(received(1, 0))];
    for durability in [Durability::Lazy, Durability::Durable] {
        assert_eq!(disk.commit(changes.clone(), durability).now_or_never(), Some(Err(full.clone())));
    }
    simulation.pass(5000);
    assert_eq!(disk.open(), Restored::default());
    disk.set_full(false);
    assert_eq!(store(&disk, 1), Outcome::Stored { cursor: 1 });
}

#[test]
fn a_commit_that_breaks_a_rule_does_nothing_at_all() {
    let _simulation = Simulation::new();
    let disk = disk();
    let unnamed = StoredContact { petname: String::new(), presentity: presentity(1) };
    let nowhere = KnownPeer { address: vec![], ..known_peer(1, 1) };
    for refused in [Change::PutContact(unnamed), Change::KnownPeer(nowhere)] {
        let changes = vec![Change::Incarnation(3), Change::StoreMessage(received(1, 0)), refused];
        let result = disk.commit(changes, Durability::Durable).now_or_never();
        assert!(matches!(result, Some(Err(StorageError::Refused { .. }))));
        assert_eq!(disk.open(), Restored::default());
    }
    assert_eq!(store(&disk, 1), Outcome::Stored { cursor: 1 });
}

#[test]
fn so_many_commits_wait_and_no_more() {
    let simulation = Simulation::new();
    let disk = disk();
    let commit = || disk.commit(vec![Change::Incarnation(1)], Durability::Durable).now_or_never();
    for _ in 0..=COMMITS_WAITING_MAX {
        assert_eq!(commit(), None);
    }
    assert_eq!(commit(), Some(Err(StorageError::Busy)));
    simulation.pass(10);
    assert_eq!(commit(), None);
}

#[test]
fn as_many_lazy_commits_as_share_an_fsync_wait_for_no_more() {
    let simulation = Simulation::new();
    let disk = disk();
    for number in 0..1500 {
        store(&disk, number);
    }
    simulation.pass(10);
    assert_eq!(disk.synced_inbox_ids().len(), COMMITS_WAITING_MAX);
}

#[test]
fn a_message_is_stored_once_over_restarts() {
    let simulation = Simulation::new();
    let disk = disk();
    assert_eq!(store(&disk, 1), Outcome::Stored { cursor: 1 });
    assert_eq!(store(&disk, 2), Outcome::Stored { cursor: 2 });
    assert_eq!(lazily(&disk, vec![Change::DeleteMessage(key(2))]), [Outcome::Done]);
    simulation.pass(2000);
    power_cut(&disk, 0);
    assert_eq!(disk.open().inbox_messages, 1);
    assert_eq!([store(&disk, 1), store(&disk, 2)], [Outcome::Duplicate; 2]);
    assert_eq!(disk.duplicates(), 2);
    assert_eq!(store(&disk, 3), Outcome::Stored { cursor: 5 }, "no cursor is used twice");
    assert_eq!(disk.inbox_ids(), [key(1), key(3)]);
    disk.wipe();
    assert_eq!(disk.open(), Restored::default());
    assert_eq!(store(&disk, 1), Outcome::Stored { cursor: 1 });
}

#[test]
fn old_messages_are_forgotten_unless_they_lie_in_the_inbox() {
    let _simulation = Simulation::new();
    let disk = disk();
    store(&disk, 1);
    store(&disk, 2);
    lazily(&disk, vec![Change::DeleteMessage(key(2))]);
    let remembers = |number| block_on(disk.was_received(key(number))).unwrap();
    lazily(&disk, vec![Change::StoreMessage(received(3, 8 * 24))]);
    assert!(remembers(1) && remembers(2), "for eight days at least");
    lazily(&disk, vec![Change::StoreMessage(received(4, 8 * 24 + 1))]);
    assert!(remembers(1) && !remembers(2));
    // Looked at already, so it is passed over until the next start.
    lazily(&disk, vec![Change::DeleteMessage(key(1)), Change::StoreMessage(received(5, 8 * 24 + 1))]);
    assert!(remembers(1));
    disk.open();
    lazily(&disk, vec![Change::StoreMessage(received(6, 8 * 24 + 1))]);
    assert!(!remembers(1));
}

#[test]
fn the_peers_reached_longest_ago_are_forgotten() {
    let _simulation = Simulation::new();
    let disk = disk();
    let peers_max = u16::try_from(KNOWN_PEERS_MAX).unwrap();
    let reach = |number, address| Change::KnownPeer(known_peer(number, address));
    lazily(&disk, (0..peers_max).map(|number| reach(number, 1)).collect());
    lazily(&disk, vec![reach(0, 2), reach(peers_max, 1), reach(peers_max + 1, 1)]);
    let known = disk.open().known_peers;
    let is_known = |number| known.iter().any(|peer| peer.presentity == presentity(number));
    assert!(is_known(0) && is_known(3) && is_known(peers_max) && is_known(peers_max + 1));
    assert!(!is_known(1) && !is_known(2));
    assert_eq!(known.len(), KNOWN_PEERS_MAX + 1, "peer 0 has two addresses");
    assert_eq!(known[0], known_peer(peers_max + 1, 1), "newest first");

    lazily(&disk, (1..=10).chain([5]).map(|address| reach(7, address)).collect());
    let own = disk.open().known_peers.into_iter().filter(|peer| peer.presentity == presentity(7));
    let addresses: Vec<_> = own.map(|peer| peer.address[0]).collect();
    assert_eq!(addresses, [5, 10, 9, 8, 7, 6, 4, 3]);
    assert_eq!(addresses.len(), ADDRESSES_PER_PEER_MAX);
}

#[test]
fn the_outbox_keeps_the_newest_finished_entries_and_every_queued_one() {
    let _simulation = Simulation::new();
    let disk = disk();
    let all = u16::try_from(OUTBOX_FINISHED_MAX).unwrap() + 3;
    let put = |number, state| Change::PutOutbox(outbox(number, state));
    lazily(&disk, (0..all).map(|number| put(number, OutboxState::Queued)).collect());
    // Number 0 stays queued, number 1 ends last, and number 2, which ends first, is put twice.
    let ends = [2, 2].into_iter().chain(3..all).chain([1]);
    lazily(&disk, ends.map(|number| put(number, OutboxState::Delivered)).collect());
    let left: Vec<_> = disk.open().outbox.iter().map(|entry| entry.message.id).collect();
    assert_eq!(left[..4], [id(0), id(1), id(4), id(5)], "2 and 3 ended first");
    assert_eq!(left.len(), OUTBOX_FINISHED_MAX + 1);
}

#[test]
fn equal_records_are_held_once_and_unheld_ones_not_for_ever() {
    let _simulation = Simulation::new();
    let interner = RecordInterner::default();
    let disks = [(); 3].map(|()| SimulatedDisk::new(interner.clone(), Duration::ZERO, false));
    let versions = u64::try_from(10 * SWEEP_AT_MIN).unwrap();
    for sequence in 1..=versions {
        for disk in &disks {
            let changes = vec![Change::Record(record(1, sequence)), Change::KnownPeer(known_peer(1, 1))];
            drop(disk.commit(changes, Durability::Durable));
        }
    }
    let (records, addresses) = interner.counts();
    assert!(records <= SWEEP_AT_MIN && addresses == 1);
    for disk in &disks {
        let version = Version { incarnation: 1, sequence: versions };
        assert_eq!(disk.record_versions(), [(presentity(1), version)]);
        assert_eq!(disk.open().records, [record(1, versions)]);
    }
}
