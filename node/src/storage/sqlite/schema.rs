//! The tables, and how a file of an older build becomes one of this build.
//!
//! `PRAGMA user_version` counts the [`MIGRATIONS`] that a file has seen; those it has not seen run in order
//! in one transaction. A migration is never edited once released, only followed by another.
//!
//! People may look inside with the `sqlite3` tool. Keys are BLOBs of 32 bytes, message ids of 16 (see
//! `hex()`), addresses of peers binary multiaddresses; times are milliseconds since 1970. Integers that other
//! nodes choose use all 64 bits and show as negative beyond 2^63.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::open::OpenError;

/// What `PRAGMA application_id` says of our files: "Here".
pub(super) const APPLICATION_ID: u32 = 0x4865_7265;

/// The schema that this build writes.
pub(super) const VERSION: u32 = 4;

/// Brings the file to [`VERSION`], all or nothing. A file that is there already is not written to; that it is
/// not newer was checked before.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    migrate_to(connection, path, VERSION)
}

/// Brings the file to an earlier version, as an older build would have.
pub(super) fn migrate_to(connection: &mut Connection, path: &Path, wanted: u32) -> Result<(), OpenError> {
    let explain = |error| OpenError::explain(path, &error);
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    let found = version(&transaction).map_err(explain)?;
    if found >= wanted {
        return Ok(());
    }
    let missing = (1..).zip(MIGRATIONS).filter(|(version, _)| (found + 1..=wanted).contains(version));
    for (_, migration) in missing {
        transaction.execute_batch(migration).map_err(explain)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(explain)?;
    transaction.pragma_update(None, "user_version", wanted).map_err(explain)?;
    transaction.commit().map_err(explain)
}

/// The schema version of the file; 0 if it is empty.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

const MIGRATIONS: [&str; VERSION as usize] = [TABLES, DELIVERY_RULES, WATCHERS, DELEGATES];

const TABLES: &str = "
-- What this node says of itself. One row.
CREATE TABLE node (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    incarnation INTEGER NOT NULL,
    information TEXT                             -- JSON; NULL until the PRINCIPAL set one
) STRICT;
INSERT INTO node VALUES (1, 0, NULL);

-- The newest signed record of each presentity.
CREATE TABLE records (
    presentity  BLOB PRIMARY KEY CHECK (length(presentity) = 32),
    incarnation INTEGER NOT NULL,
    sequence    INTEGER NOT NULL,
    heard_at    INTEGER NOT NULL,
    bytes       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Where peers were reached. A larger place is a later success, whatever the clock said.
CREATE TABLE known_peers (
    place        INTEGER PRIMARY KEY,
    presentity   BLOB NOT NULL CHECK (length(presentity) = 32),
    address      BLOB NOT NULL CHECK (length(address) > 0),
    connected_at INTEGER NOT NULL,
    UNIQUE (presentity, address)
) STRICT;

-- Every message that was ever stored in the inbox, for a while: a retry of it is a duplicate.
CREATE TABLE received (
    cursor      INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id  BLOB NOT NULL CHECK (length(message_id) = 16),
    sender      BLOB NOT NULL CHECK (length(sender) = 32),
    received_at INTEGER NOT NULL,
    UNIQUE (message_id, sender)
) STRICT;

-- The received messages that were not deleted. Names have one index only, in `received`: a second would cost
-- a third of all writing.
CREATE TABLE inbox (
    cursor       INTEGER PRIMARY KEY REFERENCES received (cursor),
    read         INTEGER NOT NULL DEFAULT 0 CHECK (read IN (0, 1)),
    recipient    TEXT NOT NULL,                  -- an im: URI
    sent_at      INTEGER NOT NULL,
    thread       BLOB CHECK (length(thread) = 16),
    reply_to     TEXT,                           -- an im: URI
    content_type TEXT NOT NULL,
    language     TEXT,
    extensions   TEXT NOT NULL,                  -- JSON: name to base64
    body         BLOB NOT NULL
) STRICT;
CREATE VIEW messages AS SELECT * FROM inbox JOIN received USING (cursor);

CREATE TABLE outbox (
    place        INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id   BLOB NOT NULL UNIQUE CHECK (length(message_id) = 16),
    sender       BLOB NOT NULL CHECK (length(sender) = 32),
    recipient    TEXT NOT NULL,
    sent_at      INTEGER NOT NULL,
    thread       BLOB CHECK (length(thread) = 16),
    reply_to     TEXT,
    content_type TEXT NOT NULL,
    language     TEXT,
    extensions   TEXT NOT NULL,
    queued_at    INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('queued', 'delivered', 'failed', 'expired', 'cancelled')),
    reason       TEXT CHECK ((reason IS NOT NULL) = (state = 'failed')),
    finished     INTEGER CHECK ((finished IS NULL) = (state = 'queued')), -- counts up: the order of the ends
    body         BLOB NOT NULL
) STRICT;
CREATE INDEX outbox_finished ON outbox (finished) WHERE finished IS NOT NULL;

CREATE TABLE contacts (
    petname    TEXT PRIMARY KEY CHECK (petname <> ''),
    presentity BLOB NOT NULL CHECK (length(presentity) = 32)
) STRICT, WITHOUT ROWID;
";

const DELIVERY_RULES: &str = "
CREATE TABLE delivery_rules (
    whose TEXT PRIMARY KEY CHECK (whose <> ''),  -- 'contacts', 'strangers', or the id of a sender
    rule  TEXT NOT NULL                          -- JSON
) STRICT, WITHOUT ROWID;
";

const WATCHERS: &str = "
CREATE TABLE access_rules (
    audience TEXT PRIMARY KEY CHECK (audience <> ''), -- 'anybody', 'contacts', 'strangers', or an id
    rule     TEXT NOT NULL                            -- JSON
) STRICT, WITHOUT ROWID;

-- Who else may see whom this node watches. One row.
CREATE TABLE visibility (
    only_row   INTEGER PRIMARY KEY CHECK (only_row = 1),
    visible_to TEXT NOT NULL                          -- JSON
) STRICT;

-- The keys to what others let this node see. Secret, as this file is.
CREATE TABLE view_keys (
    presentity BLOB PRIMARY KEY CHECK (length(presentity) = 32),
    key_id     BLOB NOT NULL CHECK (length(key_id) = 8),
    step       INTEGER NOT NULL,
    key        BLOB NOT NULL CHECK (length(key) = 32),
    ends_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who asked for this node's presence, and what they were given.
CREATE TABLE watchers (
    presentity BLOB PRIMARY KEY CHECK (length(presentity) = 32),
    watcher    TEXT NOT NULL                          -- JSON
) STRICT, WITHOUT ROWID;
";

const DELEGATES: &str = "
-- Who else may update this node's presence. One row.
CREATE TABLE delegates (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    delegates TEXT NOT NULL                           -- JSON
) STRICT;
";
