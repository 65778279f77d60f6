//! What each change does to the tables.
//!
//! Runs inside the writer's transaction, one savepoint around all changes of a commit. Each statement is
//! prepared once per connection. The limits of the store are kept here, at the change that could pass them,
//! except the memory of received messages, which [`forget_received`] trims once per transaction.

use std::iter::once;

use hereabouts_protocol::{
    durable::{
        ADDRESSES_PER_PEER_MAX, Change, KnownPeer, MessageKey, OutboxEntry, OutboxState, Outcome,
        StoredAccessRule, StoredContact, StoredDeliveryRule, StoredKey, StoredMessage, StoredRecord,
        StoredWatcher,
    },
    presence::information::PresenceInformation,
    time::UnixTime,
};
use rusqlite::{Connection, OptionalExtension, Params, params, params_from_iter, types::ToSqlOutput};

use super::rows::{
    audience_word, content_columns, content_values, millis, optional, outbox_state_words, time, to_json,
    whose_word,
};
use crate::storage::{KNOWN_PEERS_MAX, OUTBOX_FINISHED_MAX, RECEIVED_IDS_KEPT};

/// The cursor of the message that [`name`] names; NULL if it is not known.
macro_rules! cursor_of_name {
    () => {
        "(SELECT cursor FROM received WHERE message_id = ?1 AND sender = ?2)"
    };
}

/// Applies one change.
pub(super) fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<Outcome> {
    match change {
        Change::Incarnation(incarnation) => {
            execute(connection, "UPDATE node SET incarnation = ?1", params![incarnation.cast_signed()])
        }
        Change::Information(information) => put_information(connection, information),
        Change::Record(record) => put_record(connection, record),
        Change::ForgetRecord(presentity) => {
            execute(connection, "DELETE FROM records WHERE presentity = ?1", [presentity.as_bytes()])
        }
        Change::KnownPeer(peer) => put_known_peer(connection, peer),
        Change::StoreMessage(stored) => store_message(connection, stored),
        Change::MarkRead(key) => {
            let sql = concat!("UPDATE inbox SET read = 1 WHERE cursor = ", cursor_of_name!());
            execute(connection, sql, name(key))
        }
        Change::DeleteMessage(key) => {
            let sql = concat!("DELETE FROM inbox WHERE cursor = ", cursor_of_name!());
            execute(connection, sql, name(key))
        }
        Change::PutOutbox(entry) => put_outbox(connection, entry),
        Change::RemoveOutbox(id) => {
            execute(connection, "DELETE FROM outbox WHERE message_id = ?1", [id.as_bytes()])
        }
        Change::PutContact(StoredContact { petname, presentity }) => {
            let sql = "INSERT INTO contacts (petname, presentity) VALUES (?1, ?2)
                       ON CONFLICT (petname) DO UPDATE SET presentity = excluded.presentity";
            execute(connection, sql, params![petname, presentity.as_bytes()])
        }
        Change::RemoveContact(petname) => {
            execute(connection, "DELETE FROM contacts WHERE petname = ?1", [petname])
        }
        Change::PutDeliveryRule(StoredDeliveryRule { whose, rule }) => {
            let sql = "INSERT INTO delivery_rules (whose, rule) VALUES (?1, ?2)
                       ON CONFLICT (whose) DO UPDATE SET rule = excluded.rule";
            execute(connection, sql, params![whose_word(whose), to_json(rule)?])
        }
        Change::RemoveDeliveryRule(whose) => {
            execute(connection, "DELETE FROM delivery_rules WHERE whose = ?1", [whose_word(whose)])
        }
        change => apply_watching(connection, change),
    }
}

/// Applies a change of what is kept of those who watch and are watched.
fn apply_watching(connection: &Connection, change: &Change) -> rusqlite::Result<Outcome> {
    match change {
        Change::PutAccessRule(StoredAccessRule { audience, rule }) => {
            let sql = "INSERT INTO access_rules (audience, rule) VALUES (?1, ?2)
                       ON CONFLICT (audience) DO UPDATE SET rule = excluded.rule";
            execute(connection, sql, params![audience_word(audience), to_json(rule)?])
        }
        Change::RemoveAccessRule(audience) => {
            execute(connection, "DELETE FROM access_rules WHERE audience = ?1", [audience_word(audience)])
        }
        Change::Visibility(visible_to) => {
            let sql = "INSERT INTO visibility (only_row, visible_to) VALUES (1, ?1)
                       ON CONFLICT (only_row) DO UPDATE SET visible_to = excluded.visible_to";
            execute(connection, sql, [to_json(visible_to)?])
        }
        Change::Delegates(delegates) => {
            let sql = "INSERT INTO delegates (only_row, delegates) VALUES (1, ?1)
                       ON CONFLICT (only_row) DO UPDATE SET delegates = excluded.delegates";
            execute(connection, sql, [to_json(delegates)?])
        }
        Change::PutKey(StoredKey { presentity, key, ends_at }) => {
            let sql = "INSERT INTO view_keys (presentity, key_id, step, key, ends_at)
                       VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT (presentity) DO UPDATE SET key_id = excluded.key_id,
                           step = excluded.step, key = excluded.key, ends_at = excluded.ends_at";
            let values = params![presentity.as_bytes(), key.id, key.step, key.secret(), millis(*ends_at)];
            execute(connection, sql, values)
        }
        Change::RemoveKey(presentity) => {
            execute(connection, "DELETE FROM view_keys WHERE presentity = ?1", [presentity.as_bytes()])
        }
        Change::PutWatcher(StoredWatcher { presentity, watcher }) => {
            let sql = "INSERT INTO watchers (presentity, watcher) VALUES (?1, ?2)
                       ON CONFLICT (presentity) DO UPDATE SET watcher = excluded.watcher";
            execute(connection, sql, params![presentity.as_bytes(), to_json(watcher)?])
        }
        Change::RemoveWatcher(presentity) => {
            execute(connection, "DELETE FROM watchers WHERE presentity = ?1", [presentity.as_bytes()])
        }
        other => unreachable!("{other:?} is applied with the rest"),
    }
}

/// Forgets received messages that are older than [`RECEIVED_IDS_KEPT`] at `now` or exceed `ids_max`, oldest
/// first, at most [`RECEIVED_FORGOTTEN_MAX`] at a time so that no transaction grows long. Those that lie
/// in the inbox still are passed over.
///
/// Looks only beyond the cursor `from`, and returns the cursor from which to go on the next time.
pub(super) fn forget_received(
    connection: &Connection,
    from: i64,
    now: UnixTime,
    ids_max: u64,
) -> rusqlite::Result<i64> {
    let newest: Option<i64> =
        connection.prepare_cached("SELECT max(cursor) FROM received")?.query_row([], |row| row.get(0))?;
    let over_limit = newest.unwrap_or(0).saturating_sub_unsigned(ids_max);
    let too_old = now - RECEIVED_IDS_KEPT;
    let sql = "SELECT cursor, received_at FROM received WHERE cursor > ?1 ORDER BY cursor LIMIT ?2";
    let mut oldest = connection.prepare_cached(sql)?;
    let mut rows = oldest.query([from, RECEIVED_FORGOTTEN_MAX])?;
    let mut to = from;
    // Stops at the first that is kept, which nearly always is the very first.
    while let Some(row) = rows.next()? {
        let cursor: i64 = row.get(0)?;
        if cursor > over_limit && time(row, 1)? >= too_old {
            break;
        }
        to = cursor;
    }
    drop(rows);
    if to > from {
        let sql = "DELETE FROM received WHERE cursor > ?1 AND cursor <= ?2
                   AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.cursor = received.cursor)";
        execute(connection, sql, [from, to])?;
    }
    Ok(to)
}

fn put_information(connection: &Connection, information: &PresenceInformation) -> rusqlite::Result<Outcome> {
    execute(connection, "UPDATE node SET information = ?1", [to_json(information)?])
}

fn put_record(connection: &Connection, record: &StoredRecord) -> rusqlite::Result<Outcome> {
    let sql = "INSERT INTO records (presentity, incarnation, sequence, heard_at, bytes)
               VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (presentity) DO UPDATE SET incarnation = excluded.incarnation,
                   sequence = excluded.sequence, heard_at = excluded.heard_at, bytes = excluded.bytes";
    let values = params![
        record.presentity.as_bytes(),
        record.version.incarnation.cast_signed(),
        record.version.sequence.cast_signed(),
        millis(record.heard_at),
        record.bytes,
    ];
    execute(connection, sql, values)
}

fn put_known_peer(connection: &Connection, peer: &KnownPeer) -> rusqlite::Result<Outcome> {
    let key = peer.presentity.as_bytes();
    let known = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM known_peers WHERE presentity = ?1)")?
        .query_row([key], |row| row.get::<_, bool>(0))?;
    // A replaced row gets the largest place, which makes it the newest.
    let sql = "INSERT OR REPLACE INTO known_peers (place, presentity, address, connected_at)
               VALUES ((SELECT coalesce(max(place), 0) + 1 FROM known_peers), ?1, ?2, ?3)";
    execute(connection, sql, params![key, peer.address, millis(peer.connected_at)])?;
    let sql = "DELETE FROM known_peers WHERE place IN (SELECT place FROM known_peers
               WHERE presentity = ?1 ORDER BY place DESC LIMIT -1 OFFSET ?2)";
    execute(connection, sql, params![key, limit(ADDRESSES_PER_PEER_MAX)])?;
    if !known {
        let sql = "DELETE FROM known_peers WHERE presentity IN (SELECT presentity FROM known_peers
                   GROUP BY presentity ORDER BY max(place) DESC LIMIT -1 OFFSET ?1)";
        execute(connection, sql, [limit(KNOWN_PEERS_MAX)])?;
    }
    Ok(Outcome::Done)
}

fn store_message(connection: &Connection, stored: &StoredMessage) -> rusqlite::Result<Outcome> {
    let message = &stored.message;
    let (id, sender) = (message.id.as_bytes(), message.from.as_bytes());
    let sql = "INSERT INTO received (message_id, sender, received_at) VALUES (?1, ?2, ?3)
               ON CONFLICT (message_id, sender) DO NOTHING";
    if execute(connection, sql, params![id, sender, millis(stored.received_at)])? == Outcome::Missing {
        return Ok(Outcome::Duplicate);
    }
    let sql = concat!(
        "INSERT INTO inbox (cursor, ",
        content_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    );
    let cursor = connection.last_insert_rowid();
    execute(
        connection,
        sql,
        params_from_iter(once(ToSqlOutput::from(cursor)).chain(content_values(message))),
    )?;
    Ok(Outcome::Stored { cursor: cursor.unsigned_abs() })
}

fn put_outbox(connection: &Connection, entry: &OutboxEntry) -> rusqlite::Result<Outcome> {
    let id = entry.message.id.as_bytes();
    let is_finished = entry.state != OutboxState::Queued;
    let finished = if is_finished { Some(end_place(connection, id)?) } else { None };
    let (state, reason) = outbox_state_words(entry.state);
    let own = [
        ToSqlOutput::from(id.as_slice()),
        ToSqlOutput::from(entry.message.from.as_bytes().as_slice()),
        ToSqlOutput::from(millis(entry.queued_at)),
        ToSqlOutput::from(millis(entry.expires_at)),
        ToSqlOutput::from(entry.attempts),
        ToSqlOutput::from(state),
        optional(reason.map(str::to_owned)),
        optional(finished),
    ];
    let sql = concat!(
        "INSERT INTO outbox (message_id, sender, queued_at, expires_at, attempts, state, reason, finished, ",
        content_columns!(),
        ")
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (message_id) DO UPDATE SET sender = excluded.sender, recipient = excluded.recipient,
             sent_at = excluded.sent_at, thread = excluded.thread, reply_to = excluded.reply_to,
             content_type = excluded.content_type, language = excluded.language,
             extensions = excluded.extensions, body = excluded.body, queued_at = excluded.queued_at,
             expires_at = excluded.expires_at, attempts = excluded.attempts, state = excluded.state,
             reason = excluded.reason, finished = excluded.finished"
    );
    execute(connection, sql, params_from_iter(own.into_iter().chain(content_values(&entry.message))))?;
    if is_finished {
        let sql = "DELETE FROM outbox WHERE place IN (SELECT place FROM outbox WHERE finished IS NOT NULL
                   ORDER BY finished DESC LIMIT -1 OFFSET ?1)";
        execute(connection, sql, [limit(OUTBOX_FINISHED_MAX)])?;
    }
    Ok(Outcome::Done)
}

/// The place of an outbox entry among the finished ones: the one it has, or the next.
fn end_place(connection: &Connection, id: &[u8; 16]) -> rusqlite::Result<i64> {
    let own = connection
        .prepare_cached("SELECT finished FROM outbox WHERE message_id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?
        .flatten();
    match own {
        Some(place) => Ok(place),
        None => connection
            .prepare_cached("SELECT coalesce(max(finished), 0) + 1 FROM outbox WHERE finished IS NOT NULL")?
            .query_row([], |row| row.get(0)),
    }
}

/// Runs a prepared statement; [`Outcome::Missing`] if it touched no row.
fn execute(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<Outcome> {
    match connection.prepare_cached(sql)?.execute(values)? {
        0 => Ok(Outcome::Missing),
        _ => Ok(Outcome::Done),
    }
}

/// The values of [`cursor_of_name`].
fn name(key: &MessageKey) -> [&[u8]; 2] {
    [key.id.as_bytes(), key.from.as_bytes()]
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).expect("the limits of the store are small")
}

/// Forgetting one costs a few microseconds; this many, some 20 ms. It is more than a
/// transaction of commits with one message each can add.
const RECEIVED_FORGOTTEN_MAX: i64 = 4096;
