use std::{fs, time::Duration};

use super::*;

/// Lazy commits of a store with these limits wait until a durable one comes or the store is closed.
fn patient() -> Limits {
    Limits { lazy_wait: Duration::from_secs(3600), ..Limits::default() }
}

fn put(petname: &str) -> Change {
    Change::PutContact(contact(petname, 1))
}

fn remove(petname: &str) -> Change {
    Change::RemoveContact(petname.to_owned())
}

fn petnames(restored: &Restored) -> Vec<&str> {
    restored.contacts.iter().map(|contact| contact.petname.as_str()).collect()
}

/// The transactions in the write-ahead log: frames that carry the size of the file end one (section 4.1 of
/// SQLite's file format).
fn transactions_in_log(place: &Place) -> usize {
    let log = fs::read(place.0.path().join("node.db-wal")).unwrap();
    let frames = log[32..].chunks(24 + 4096);
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[test]
fn a_commit_that_fails_leaves_nothing_of_itself_and_all_of_the_others() {
    let place = Place::new();
    let database = place.open_with(patient());
    let before = database.commit(vec![put("before")], Durability::Lazy);
    let failing = database.commit(vec![put("half"), put(""), put("rest")], Durability::Lazy);
    let after = database.commit(vec![put("after"), remove("half")], Durability::Durable);
    assert_eq!(block_on(before), Ok(vec![Outcome::Done]));
    assert!(matches!(block_on(failing), Err(StorageError::Refused { .. })));
    assert_eq!(block_on(after), Ok(vec![Outcome::Done, Outcome::Missing]));
    drop(database);
    assert_eq!(petnames(&place.open().1), ["after", "before"]);
}

#[test]
fn a_transaction_that_fails_at_its_end_fails_each_of_its_commits() {
    let place = Place::new();
    let database = place.open_with(patient());
    // A petname that passes its own statement and breaks the transaction.
    let sabotage = "CREATE TABLE broken (petname REFERENCES contacts DEFERRABLE INITIALLY DEFERRED);
                    CREATE TRIGGER break AFTER INSERT ON contacts WHEN new.petname = 'broken'
                    BEGIN INSERT INTO broken VALUES ('nobody'); END;";
    place.outsider().execute_batch(sabotage).unwrap();
    let good = database.commit(vec![put("good")], Durability::Lazy);
    let bad = database.commit(vec![put("broken")], Durability::Durable);
    let error = block_on(good).unwrap_err();
    assert_eq!(block_on(bad), Err(error));
    assert_eq!(commit(&database, vec![put("next")]), [Outcome::Done]);
    drop(database);
    assert_eq!(petnames(&place.open().1), ["next"]);
}

#[test]
fn commits_apply_in_the_order_of_the_calls_and_share_one_transaction() {
    let place = Place::new();
    let database = place.open_with(patient());
    let before = transactions_in_log(&place);
    let lazy: Vec<_> = (0..100)
        .map(|number| {
            let change = if number % 2 == 0 { put("bob") } else { remove("bob") };
            database.commit(vec![change, Change::Incarnation(number)], Durability::Lazy)
        })
        .collect();
    assert_eq!(
        commit(&database, vec![remove("bob"), Change::Incarnation(7)]),
        [Outcome::Missing, Outcome::Done]
    );
    for future in lazy {
        assert_eq!(block_on(future), Ok(vec![Outcome::Done; 2]));
    }
    assert_eq!(transactions_in_log(&place) - before, 1);
    drop(database);
    assert_eq!(place.open().1.incarnation, 7);
}

#[test]
fn lazy_commits_without_company_end_by_themselves() {
    let place = Place::new();
    let database = place.open_with(Limits { lazy_wait: Duration::from_millis(10), ..Limits::default() });
    assert_eq!(block_on(database.commit(vec![put("bob")], Durability::Lazy)), Ok(vec![Outcome::Done]));

    let fill = Limits { commits_per_transaction_max: 2, ..patient() };
    drop(database);
    let database = place.open_with(fill);
    let first = database.commit(vec![put("carol")], Durability::Lazy);
    let second = database.commit(vec![put("dave")], Durability::Lazy);
    assert_eq!(block_on(first), Ok(vec![Outcome::Done]));
    assert_eq!(block_on(second), Ok(vec![Outcome::Done]));
}

#[test]
fn closing_writes_what_waits_even_if_nobody_waits_for_it() {
    let place = Place::new();
    let database = place.open_with(patient());
    drop(database.commit(vec![put("unpolled")], Durability::Lazy));
    let waiting = database.commit(vec![put("bob")], Durability::Lazy);
    drop(database);
    assert_eq!(block_on(waiting), Ok(vec![Outcome::Done]));
    assert_eq!(petnames(&place.open().1), ["bob", "unpolled"]);
    let mut names: Vec<_> =
        fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["node.db"], "the log was moved into the file");
}

#[test]
fn a_full_queue_refuses_and_forgets_nothing_that_it_took() {
    let place = Place::new();
    let limits = Limits { commits_waiting_max: 2, commits_per_transaction_max: 2, ..Limits::default() };
    let database = place.open_with(limits);
    // While somebody else writes, the store's thread can hold one batch and the queue as much again.
    let outsider = place.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut futures: Vec<_> =
        (0..5).map(|number| database.commit(vec![put(&number.to_string())], Durability::Durable)).collect();
    let at_once: Vec<_> = futures.iter_mut().map(|future| future.now_or_never()).collect();
    assert!(at_once.contains(&Some(Err(StorageError::Busy))), "{at_once:?}");
    outsider.execute_batch("COMMIT").unwrap();
    let ends = futures.into_iter().zip(at_once);
    let results: Vec<_> = ends.map(|(future, end)| end.unwrap_or_else(|| block_on(future))).collect();
    drop(database);
    let (_, restored) = place.open();
    for (number, result) in results.iter().enumerate() {
        let is_there = petnames(&restored).contains(&number.to_string().as_str());
        assert!(*result == Err(StorageError::Busy) || *result == Ok(vec![Outcome::Done]), "{result:?}");
        assert_eq!(result.is_ok(), is_there, "{number}");
    }
    assert!(results.iter().filter(|result| result.is_ok()).count() >= 2);
}

#[test]
fn reading_does_not_wait_for_writing() {
    let place = Place::new();
    let (database, _) = place.open();
    store(&database, received(1));
    let outsider = place.outsider();
    outsider.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = database.commit(vec![Change::StoreMessage(received(2))], Durability::Durable);
    assert_eq!(inbox(&database).len(), 1);
    assert_eq!(block_on(database.was_received(key(1))), Ok(true));
    outsider.execute_batch("COMMIT").unwrap();
    assert_eq!(block_on(writing), Ok(vec![Outcome::Stored { cursor: 2 }]));
    assert_eq!(inbox(&database).len(), 2, "what was reported done is seen");
}

#[test]
fn a_full_disk_fails_what_does_not_fit_and_keeps_what_was_done() {
    let place = Place::new();
    drop(place.open());
    let limits = Limits { pages_max: Some(pages(&place) + 6), ..patient() };
    let database = place.open_with(limits);
    let mut large = received(1);
    large.message.body = vec![0; 16 * 1024];
    assert!(matches!(store(&database, large.clone()), Outcome::Stored { .. }));
    large.message.id = id(2);
    let small = database.commit(vec![put("small")], Durability::Lazy);
    let full = try_commit(&database, vec![put("with the large"), Change::StoreMessage(large.clone())]);
    assert_eq!(full, Err(StorageError::DiskFull { path: place.path() }));
    // Whether the small one was lost with the transaction is SQLite's choice; the report must be true.
    let small_is_stored = block_on(small).is_ok();
    assert_eq!(inbox(&database).len(), 1);

    // Room again: everything goes on.
    commit(&database, vec![Change::DeleteMessage(key(1))]);
    assert!(matches!(store(&database, large), Outcome::Stored { .. }));
    drop(database);
    let (_, restored) = place.open();
    assert_eq!(petnames(&restored), if small_is_stored { vec!["small"] } else { vec![] });
    assert_eq!(restored.inbox_messages, 1);
}

#[test]
fn a_durable_commit_survives_the_end_of_the_process_at_any_moment() {
    let place = Place::new();
    let database = place.open_with(patient());
    for number in 1..=20 {
        assert!(matches!(store(&database, received(number)), Outcome::Stored { .. }));
        let lazy = database.commit(vec![put("lazy")], Durability::Lazy);
        // What the disk holds at this moment is all that a kill would leave.
        let copy = Place::new();
        for name in ["node.db", "node.db-wal"] {
            fs::copy(place.0.path().join(name), copy.0.path().join(name)).unwrap();
        }
        let (database, restored) = copy.open();
        assert_eq!(restored.inbox_messages, u64::from(number));
        assert_eq!(inbox(&database).last().unwrap().stored, received(number));
        assert_eq!(store(&database, received(number)), Outcome::Duplicate);
        drop(lazy);
    }
}

fn pages(place: &Place) -> i64 {
    place.outsider().query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap()
}
