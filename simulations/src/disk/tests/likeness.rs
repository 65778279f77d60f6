//! The simulated disk against the real store, and against itself: chance makes changes, all must agree.

use hereabouts::storage::sqlite::Database;
use hereabouts_protocol::{
    durable::{StoredAccessRule, StoredContact, StoredDeliveryRule, StoredKey, StoredWatcher},
    message::{
        delivery_rules::{DeliveryRule, Whose},
        instant_message::FailureReason,
    },
    presence::{
        access_rules::{AccessRule, Audience},
        delegates::Delegates,
        information::PresenceInformation,
        sealing::ViewKey,
    },
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionState},
        watcher_information::{VisibleTo, Watcher},
    },
};

use super::*;

#[test]
fn it_answers_as_the_real_store_does() {
    let directory = std::env::temp_dir().join(format!("here-sim-disk-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for seed in 0..4 {
        let path = directory.join(format!("{seed}.db"));
        compare(&path, seed);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

fn compare(path: &std::path::Path, seed: u64) {
    let simulation = Simulation::new();
    let mut random = StdRng::seed_from_u64(seed);
    let disk = disk();
    for run in 0..3 {
        let (real, restored) = Database::open(path).unwrap();
        assert_eq!(disk.open(), restored, "seed {seed}, run {run}");
        for step in 0..40 {
            let changes = changes(&mut random);
            let expected = block_on(real.commit(changes.clone(), Durability::Durable));
            let found = disk.commit(changes.clone(), Durability::Durable);
            simulation.pass(10);
            let found = found.now_or_never().expect("the fsync has ended");
            let said = format!("seed {seed}, run {run}, step {step}: {changes:?}");
            match (&found, &expected) {
                (Err(StorageError::Refused { .. }), Err(StorageError::Refused { .. })) => (),
                _ => assert_eq!(found, expected, "{said}"),
            }
            let cursor = random.random_range(0..60);
            let (found, expected) = (disk.inbox(cursor, 30), real.inbox(cursor, 30));
            assert_eq!(block_on(found), block_on(expected), "{said}");
            let prefix: String = id(random.random_range(0..600)).to_string().chars().take(3).collect();
            let (found, expected) = (disk.inbox_by_id(prefix.clone()), real.inbox_by_id(prefix));
            assert_eq!(block_on(found), block_on(expected), "{said}");
            let key = key(random.random_range(0..600));
            assert_eq!(block_on(disk.was_received(key)), block_on(real.was_received(key)), "{said}");
        }
    }
}

/// After a power cut the disk is as one is that never saw more than the beginning that was left.
#[test]
fn a_power_cut_leaves_what_some_beginning_of_the_commits_makes() {
    let simulation = Simulation::new();
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let (disk, mut commits) = (disk(), Vec::new());
        let mut done_last = 0;
        for number in 1..=30 {
            let changes = changes(&mut random);
            let durability = if random.random_bool(0.5) { Durability::Lazy } else { Durability::Durable };
            let done = disk.commit(changes.clone(), durability);
            commits.push(changes);
            simulation.pass(random.random_range(0..40));
            if durability == Durability::Durable && done.now_or_never().is_some_and(|result| result.is_ok()) {
                done_last = number;
            }
        }
        let synced = disk.synced_inbox_ids();
        disk.crash(Loss::Power, &mut random);
        let left = (disk.open(), block_on(disk.inbox(0, 1000)));
        let beginning = |count: usize| {
            let other = self::disk();
            let _ = commits.iter().take(count).map(|changes| lazily_or_not(&other, changes)).count();
            (other.open(), block_on(other.inbox(0, 1000)), other.inbox_ids())
        };
        let all: Vec<_> = (done_last..=commits.len()).map(beginning).collect();
        assert!(all.iter().any(|(open, inbox, _)| (open, inbox) == (&left.0, &left.1)), "seed {seed}");
        assert!(all.iter().any(|(.., ids)| *ids == synced), "seed {seed}");
    }
}

fn lazily_or_not(disk: &SimulatedDisk, changes: &[Change]) {
    // What is refused was refused the first time too.
    drop(disk.commit(changes.to_vec(), Durability::Lazy));
}

fn changes(random: &mut StdRng) -> Vec<Change> {
    (0..random.random_range(1..12)).map(|_| change(random)).collect()
}

fn change(random: &mut StdRng) -> Change {
    let number = random.random_range(0..600);
    let few = number % 12;
    match random.random_range(0..100) {
        0..3 => Change::Incarnation(random.random()),
        3..5 => Change::Information(PresenceInformation::open(few.to_string(), &message(0).to)),
        5..13 => Change::Record(record(few, random.random_range(0..9))),
        13..17 => Change::ForgetRecord(presentity(few)),
        17..30 => Change::KnownPeer(known_peer(few / 4, random.random_range(0..12))),
        30..50 => Change::StoreMessage(received(number, 0)),
        50..53 => {
            // Of another sender, who uses the same ids.
            let mut stored = received(few, 0);
            stored.message.from = presentity(5);
            Change::StoreMessage(stored)
        }
        53..60 => Change::MarkRead(key(number)),
        60..68 => Change::DeleteMessage(key(number)),
        68..80 => Change::PutOutbox(outbox(number, outbox_state(random))),
        80..85 => Change::RemoveOutbox(id(number)),
        85..91 => watching_change(random, few),
        91..96 => {
            Change::PutContact(StoredContact { petname: few.to_string(), presentity: presentity(number) })
        }
        96..97 => Change::RemoveContact(few.to_string()),
        97 => Change::PutDeliveryRule(StoredDeliveryRule { whose: whose(few), rule: delivery_rule(number) }),
        98 => Change::RemoveDeliveryRule(whose(few)),
        _ => Change::PutContact(StoredContact { petname: String::new(), presentity: presentity(number) }),
    }
}

/// One of the changes of what is stored of those who watch and are watched.
fn watching_change(random: &mut StdRng, few: u16) -> Change {
    let (who, audience) = (presentity(few), audience(few));
    match random.random_range(0..8) {
        0 => {
            let rule = AccessRule { watchers: random.random(), ..AccessRule::default() };
            Change::PutAccessRule(StoredAccessRule { audience, rule })
        }
        1 => Change::RemoveAccessRule(audience),
        2 => Change::Visibility(VisibleTo::AllBut([who].into())),
        3 => {
            let key = ViewKey::restored([1; 8], random.random(), [2; 32]);
            Change::PutKey(StoredKey { presentity: who, key, ends_at: UnixTime::from_millis(few.into()) })
        }
        4 => Change::RemoveKey(who),
        5 => {
            let mut delegates = Delegates::default();
            delegates.put(who, ["phone".parse().unwrap()].into()).unwrap();
            Change::Delegates(delegates)
        }
        6 => Change::PutWatcher(StoredWatcher { presentity: who, watcher: watcher(random) }),
        _ => Change::RemoveWatcher(who),
    }
}

fn watcher(random: &mut StdRng) -> Watcher {
    let at = UnixTime::from_millis(random.random_range(0..9));
    Watcher {
        first_at: at,
        last_at: at,
        fetches: random.random(),
        subscribes: 0,
        refused: 1,
        state: SubscriptionState::Waiting,
        event: Some(SubscriptionEvent::Subscribe),
        state_since: at,
        fetched_at: [at].into(),
        visible_to: VisibleTo::Everybody,
    }
}

fn audience(number: u16) -> Audience {
    match number {
        0 => Audience::Anybody,
        1 => Audience::Contacts,
        2 => Audience::Strangers,
        number => Audience::Watcher(presentity(number)),
    }
}

fn whose(number: u16) -> Whose {
    match number {
        0 => Whose::Contacts,
        1 => Whose::Strangers,
        number => Whose::Sender(presentity(number)),
    }
}

fn delivery_rule(number: u16) -> DeliveryRule {
    DeliveryRule { per_minute: Some(number.into()), ..DeliveryRule::default() }
}

fn outbox_state(random: &mut StdRng) -> OutboxState {
    match random.random_range(0..5) {
        0 | 1 => OutboxState::Queued,
        2 => OutboxState::Delivered,
        3 => OutboxState::Failed(FailureReason::Denied),
        _ => OutboxState::Cancelled,
    }
}
