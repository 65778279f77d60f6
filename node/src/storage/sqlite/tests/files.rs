use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::*;

/// Every file of a directory with its bytes.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Tries to open the store of a place and shows that nothing in it changed.
fn refused(place: &Place) -> OpenError {
    let before = contents(place.0.path());
    let error = Database::open(&place.path()).unwrap_err();
    let after = contents(place.0.path());
    for (path, bytes) in &before {
        assert!(after.get(path) == Some(bytes), "{} changed", path.display());
    }
    // An index of a log that was there anyway is no content.
    let added: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(added.iter().all(|path| path.ends_with("node.db-shm")), "{added:?} came to be");
    assert!(error.to_string().contains(&place.path().display().to_string()), "{error}");
    error
}

#[test]
fn a_rule_of_a_build_that_had_user_input_as_an_extension_gives_it_as_that_was_given() {
    let place = Place::new();
    drop(place.open());
    let put = |audience: &str, extensions: bool| {
        let rule = format!(r#"{{"handling":"allow","grants":{{"notes":false,"extensions":{extensions}}}}}"#);
        let sql = "INSERT INTO access_rules (audience, rule) VALUES (?1, ?2)";
        place.outsider().execute(sql, [audience, &rule]).unwrap();
    };
    put("contacts", true);
    put("strangers", false);
    let (_, restored) = place.open();
    let given: Vec<_> = restored.access_rules.iter().map(|stored| stored.rule.grants.user_input).collect();
    assert_eq!(given, [UserInputGrant::Full, UserInputGrant::Withheld]);
    assert!(
        restored.access_rules.iter().all(|stored| !stored.rule.visible_only && !stored.rule.grants.notes)
    );
}

fn filled() -> Place {
    let place = Place::new();
    let (database, _) = place.open();
    let changes = (1..=300).map(|number| Change::StoreMessage(received(number))).collect();
    commit(&database, changes);
    commit(&database, vec![Change::PutContact(contact("bob", 1))]);
    place
}

#[test]
fn a_new_store_is_migrated_from_nothing_and_closed_to_others() {
    let place = Place::new();
    let (database, _) = place.open();
    for name in ["node.db", "node.db-wal", "node.db-shm"] {
        let mode = fs::metadata(place.0.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    drop(database);
    let outsider = place.outsider();
    let pragma = |name: &str| -> String {
        outsider
            .query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(pragma("user_version"), schema::VERSION.to_string());
    assert_eq!(pragma("application_id"), schema::APPLICATION_ID.to_string());
    assert_eq!(pragma("journal_mode"), "wal");
    assert_eq!(pragma("integrity_check"), "ok");
}

#[test]
fn a_store_of_an_older_build_is_brought_up_to_date_and_keeps_what_is_in_it() {
    let place = Place::new();
    let mut older = place.outsider();
    schema::migrate_to(&mut older, &place.path(), 1).unwrap();
    older.execute("INSERT INTO contacts VALUES ('bob', ?1)", [presentity(1).as_bytes()]).unwrap();
    drop(older);
    let (database, restored) = place.open();
    assert_eq!(restored.contacts, [contact("bob", 1)]);
    let rule = delivery_rule(Whose::Contacts, 1);
    assert_eq!(commit(&database, vec![Change::PutDeliveryRule(rule)]), [Outcome::Done]);
}

#[test]
fn a_creation_that_was_cut_short_is_done_again() {
    let place = Place::new();
    fs::write(place.path(), "").unwrap();
    drop(place.open());

    let place = Place::new();
    place.outsider().execute_batch("PRAGMA journal_mode = wal").unwrap();
    assert!(fs::metadata(place.path()).unwrap().len() > 0);
    let (database, restored) = place.open();
    assert_eq!(restored, Restored::default());
    assert!(matches!(store(&database, received(1)), Outcome::Stored { .. }));
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_is() {
    let place = filled();
    place.outsider().pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    let newer = OpenError::Newer { path: place.path(), found: schema::VERSION + 1, known: schema::VERSION };
    assert_eq!(refused(&place), newer);
}

#[test]
fn a_newer_store_that_was_killed_is_refused_and_keeps_its_log() {
    let place = filled();
    let outsider = place.outsider();
    outsider.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    let killed = Place::new();
    for name in ["node.db", "node.db-wal"] {
        fs::copy(place.0.path().join(name), killed.0.path().join(name)).unwrap();
    }
    assert!(fs::metadata(killed.0.path().join("node.db-wal")).unwrap().len() > 0);
    assert!(matches!(refused(&killed), OpenError::Newer { .. }));
}

#[test]
fn what_is_no_database_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let mut fake = b"SQLite format 3\0".to_vec();
    fake.extend([0xa5; 10_000]);
    for bytes in [b"x".to_vec(), b"my holiday\n".repeat(1000), vec![0; 4096], fake] {
        fs::write(place.path(), bytes).unwrap();
        let error = refused(&place);
        assert_eq!(error, OpenError::NotADatabase { path: place.path() });
        assert!(error.to_string().contains("move it away"), "{error}");
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let place = Place::new();
    place.outsider().execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    assert_eq!(refused(&place), OpenError::Foreign { path: place.path() });
    // And with a schema version that looks like one of ours.
    place.outsider().pragma_update(None, "user_version", schema::VERSION).unwrap();
    assert_eq!(refused(&place), OpenError::Foreign { path: place.path() });

    let empty = Place::new();
    empty.outsider().pragma_update(None, "application_id", 7).unwrap();
    assert_eq!(refused(&empty), OpenError::Foreign { path: empty.path() });
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let place = filled();
    let sound = fs::read(place.path()).unwrap();
    assert!(sound.len() > 10 * 4096);
    let mut schema_gone = sound.clone();
    schema_gone[100..4096].fill(0xff);
    let mut tables_gone = sound.clone();
    tables_gone[4096..].fill(0xff);
    let cut = sound[..sound.len() / 2].to_vec();
    for (what, bytes) in [("schema", schema_gone), ("tables", tables_gone), ("cut", cut)] {
        fs::write(place.path(), bytes).unwrap();
        let error = refused(&place);
        assert!(matches!(error, OpenError::Storage(StorageError::Damaged { .. })), "{what}: {error}");
    }
    fs::write(place.path(), sound).unwrap();
    assert_eq!(place.open().1.inbox_messages, 300);
}

#[test]
fn a_value_that_makes_no_sense_is_damage() {
    let place = filled();
    let was = "UPDATE node SET information = NULL";
    for (nonsense, repair) in [
        ("UPDATE node SET information = '{'", was),
        ("UPDATE node SET information = '{\"display_name\": 5}'", was),
        ("DELETE FROM node", "INSERT INTO node VALUES (1, 0, NULL)"),
    ] {
        place.outsider().execute(nonsense, []).unwrap();
        let error = refused(&place);
        assert!(matches!(error, OpenError::Storage(StorageError::Damaged { .. })), "{nonsense}: {error}");
        place.outsider().execute(repair, []).unwrap();
    }
    place.outsider().execute("UPDATE inbox SET recipient = 'nobody' WHERE cursor = 7", []).unwrap();
    let (database, _) = place.open();
    assert_eq!(block_on(database.inbox(0, 6)).unwrap().len(), 6);
    assert!(matches!(block_on(database.inbox(6, 1)), Err(StorageError::Damaged { .. })));
}

#[test]
fn a_log_without_its_file_is_not_thrown_away() {
    let place = Place::new();
    fs::write(place.path(), "").unwrap();
    fs::write(place.0.path().join("node.db-wal"), "all that is left").unwrap();
    let error = refused(&place);
    assert!(matches!(error, OpenError::Storage(StorageError::Damaged { .. })), "{error}");
}

#[test]
fn a_directory_that_cannot_be_written_says_so() {
    // The superuser may write everywhere but into the kernel's own file systems.
    let closed = Place::new();
    fs::set_permissions(closed.0.path(), Permissions::from_mode(0o500)).unwrap();
    let path = match fs::write(closed.0.path().join("probe"), "") {
        Ok(()) => PathBuf::from("/sys/node.db"),
        Err(_) => closed.path(),
    };
    let error = Database::open(&path).unwrap_err();
    assert_eq!(error, OpenError::Storage(StorageError::NotWritable { path }));
    assert!(error.to_string().contains("writable disk"), "{error}");
}

#[test]
fn a_store_without_a_directory_says_so() {
    let place = Place::new();
    let path = place.0.path().join("nowhere/node.db");
    assert!(matches!(Database::open(&path), Err(OpenError::Storage(StorageError::Io { .. }))));
    assert_eq!(contents(place.0.path()), BTreeMap::new());
}
