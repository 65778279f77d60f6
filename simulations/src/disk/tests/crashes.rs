//! What is on the platter when, and what a crash leaves.

use super::*;

#[test]
fn durable_means_that_it_survives_a_power_cut() {
    let simulation = Simulation::new();
    let survivors = least_survivors(|| {
        let disk = disk();
        let mut done = disk
            .commit(vec![Change::StoreMessage(received(1, 0)), Change::Incarnation(4)], Durability::Durable);
        assert_eq!(disk.inbox_ids(), [key(1)], "the node sees it at once");
        assert_eq!(disk.synced_inbox_ids(), []);
        simulation.pass(9);
        assert_eq!((&mut done).now_or_never(), None);
        simulation.pass(1);
        assert_eq!(done.now_or_never(), Some(Ok(vec![Outcome::Stored { cursor: 1 }, Outcome::Done])));
        assert_eq!(disk.synced_inbox_ids(), [key(1)]);
        disk
    });
    assert_eq!(survivors, 1);
}

#[test]
fn a_future_that_nobody_polls_changes_nothing() {
    let simulation = Simulation::new();
    let disk = disk();
    drop(disk.commit(vec![Change::StoreMessage(received(1, 0))], Durability::Durable));
    simulation.pass(10);
    assert_eq!(disk.synced_inbox_ids(), [key(1)]);
    let late = disk.commit(vec![Change::StoreMessage(received(2, 0))], Durability::Durable);
    power_cut(&disk, 0);
    disk.wipe();
    drop(simulation);
    assert_eq!(late.now_or_never(), None);
}

#[test]
fn what_was_not_synced_may_be_lost_from_the_end() {
    let simulation = Simulation::new();
    let mut left = Vec::new();
    for seed in 0..50 {
        let disk = disk();
        store(&disk, 1);
        store(&disk, 2);
        lazily(&disk, vec![Change::StoreMessage(received(3, 0)), Change::DeleteMessage(key(1))]);
        power_cut(&disk, seed);
        left.push(disk.inbox_ids());
        assert_eq!(disk.synced_inbox_ids(), disk.inbox_ids(), "what is left is on the platter");
        simulation.pass(5000);
        power_cut(&disk, seed);
        assert_eq!(left.last(), Some(&disk.inbox_ids()));
    }
    left.sort();
    left.dedup();
    let (first, second, third) = (vec![key(1)], vec![key(1), key(2)], vec![key(2), key(3)]);
    assert_eq!(left, [vec![], first, second, third], "each beginning, and no commit by half");
}

#[test]
fn lazy_commits_are_synced_within_a_second_and_a_bit() {
    let simulation = Simulation::new();
    let disk = disk();
    store(&disk, 1);
    simulation.pass(900);
    store(&disk, 2);
    simulation.pass(109);
    assert_eq!(disk.synced_inbox_ids(), []);
    simulation.pass(1);
    assert_eq!(disk.synced_inbox_ids(), [key(1), key(2)], "the second rides along");
}

#[test]
fn a_durable_commit_takes_lazy_ones_along() {
    let simulation = Simulation::new();
    let disk = disk();
    store(&disk, 1);
    simulation.pass(5);
    let done = disk.commit(vec![Change::MarkRead(key(1))], Durability::Durable);
    simulation.pass(10);
    assert_eq!(done.now_or_never(), Some(Ok(vec![Outcome::Done])));
    assert_eq!(disk.synced_inbox_ids(), [key(1)]);
}

#[test]
fn commits_that_wait_share_one_fsync() {
    let simulation = Simulation::new();
    let disk = disk();
    let durable = |number| disk.commit(vec![Change::StoreMessage(received(number, 0))], Durability::Durable);
    let mut first = durable(1);
    simulation.pass(3);
    let mut second = durable(2);
    simulation.pass(3);
    let mut third = durable(3);
    simulation.pass(4);
    assert!((&mut first).now_or_never().is_some());
    assert_eq!(disk.synced_inbox_ids(), [key(1)]);
    simulation.pass(9);
    assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
    simulation.pass(1);
    assert!(second.now_or_never().is_some() && third.now_or_never().is_some());
    assert_eq!(disk.synced_inbox_ids(), [key(1), key(2), key(3)]);
}

#[test]
fn a_disk_that_needs_no_time_is_done_at_once() {
    let _simulation = Simulation::new();
    let disk = SimulatedDisk::new(RecordInterner::default(), Duration::ZERO, false);
    for number in 1..4 {
        let done = disk.commit(vec![Change::StoreMessage(received(number, 0))], Durability::Durable);
        assert!(done.now_or_never().is_some());
        assert_eq!(disk.synced_inbox_ids().len(), usize::from(number));
    }
}

#[test]
fn a_killed_process_loses_nothing() {
    let simulation = Simulation::new();
    let disk = disk();
    store(&disk, 1);
    drop(disk.commit(vec![Change::StoreMessage(received(2, 0))], Durability::Durable));
    disk.crash(Loss::Process, &mut StdRng::seed_from_u64(0));
    assert_eq!(disk.open().inbox_messages, 2);
    simulation.pass(10);
    power_cut(&disk, 0);
    assert_eq!(disk.open().inbox_messages, 2, "the kernel wrote it in the meantime");
}

#[test]
fn a_disk_that_lies_loses_what_it_called_durable() {
    let simulation = Simulation::new();
    let commit = || {
        let disk = SimulatedDisk::new(RecordInterner::default(), Duration::from_millis(10), true);
        let done = disk.commit(vec![Change::StoreMessage(received(1, 0))], Durability::Durable);
        assert!(done.now_or_never().is_some());
        simulation.pass(500);
        disk
    };
    assert_eq!(least_survivors(commit), 0);
    let synced = || {
        let disk = commit();
        simulation.pass(510);
        disk
    };
    assert_eq!(least_survivors(synced), 1);
}

#[test]
fn everything_that_a_lost_commit_did_is_undone() {
    let simulation = Simulation::new();
    let disk = disk();
    let before = vec![
        Change::Incarnation(1),
        Change::Record(record(1, 1)),
        Change::Record(record(2, 1)),
        Change::KnownPeer(known_peer(1, 1)),
        Change::StoreMessage(received(1, 0)),
        Change::StoreMessage(received(2, 0)),
        Change::PutOutbox(outbox(1, OutboxState::Queued)),
        Change::PutOutbox(outbox(2, OutboxState::Queued)),
    ];
    lazily(&disk, before);
    simulation.pass(2000);
    let (restored, inbox) = (disk.open(), block_on(disk.inbox(0, 9)));
    let after = vec![
        Change::Incarnation(2),
        Change::Record(record(1, 2)),
        Change::Record(record(3, 2)),
        Change::ForgetRecord(presentity(2)),
        Change::KnownPeer(known_peer(1, 2)),
        Change::KnownPeer(known_peer(2, 1)),
        Change::MarkRead(key(1)),
        Change::DeleteMessage(key(2)),
        // So late that the deleted one is forgotten.
        Change::DeleteMessage(key(1)),
        Change::StoreMessage(received(3, 10_000)),
        Change::PutOutbox(outbox(1, OutboxState::Expired)),
        Change::RemoveOutbox(id(2)),
        Change::PutOutbox(outbox(3, OutboxState::Queued)),
    ];
    assert!(!lazily(&disk, after).contains(&Outcome::Missing));
    assert_eq!(block_on(disk.was_received(key(1))), Ok(false));
    // The seed lets the one commit be lost.
    let seed = (0..).find(|seed| StdRng::seed_from_u64(*seed).random_range(0..=1_usize) == 0).unwrap();
    power_cut(&disk, seed);
    assert_eq!(disk.open(), restored);
    assert_eq!(block_on(disk.inbox(0, 9)), inbox);
    assert_eq!(store(&disk, 4), Outcome::Stored { cursor: 3 }, "as the lost one, which was undone too");
    assert_eq!(store(&disk, 1), Outcome::Duplicate);
}
