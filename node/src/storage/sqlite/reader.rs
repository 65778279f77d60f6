//! Reading: the whole state once at the start, then the inbox on request.
//!
//! Requests are answered on a thread and a connection of their own. In write-ahead mode that connection
//! sees the last finished transaction, so no reader ever waits for the disk on a writer's behalf.

use std::{path::Path, sync::mpsc::Receiver};

use futures::channel::oneshot;
use hereabouts_protocol::{
    durable::{
        KnownPeer, MessageKey, OutboxEntry, Restored, StoredAccessRule, StoredContact, StoredDeliveryRule,
        StoredKey, StoredRecord, StoredWatcher,
    },
    presence::{record::Version, sealing::ViewKey},
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::de::DeserializeOwned;

use super::{
    failure::explain,
    rows::{
        audience, inbox_columns, inbox_entry, json, message_columns, outbox_entry, presentity, time,
        unsigned, whose,
    },
};
use crate::storage::{InboxEntry, StorageError};

/// A question, and where the answer goes.
pub(super) enum Read {
    Inbox { cursor: u64, limit: usize, answer: Answer<Vec<InboxEntry>> },
    InboxById { id_prefix: String, answer: Answer<Vec<InboxEntry>> },
    WasReceived { key: MessageKey, answer: Answer<bool> },
}

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, StorageError>>;

/// Answers until the last asker is gone.
pub(super) fn run(connection: &Connection, path: &Path, reads: &Receiver<Read>) {
    while let Ok(read) = reads.recv() {
        match read {
            Read::Inbox { cursor, limit, answer } => reply(answer, inbox(connection, cursor, limit), path),
            Read::InboxById { id_prefix, answer } => reply(answer, inbox_by_id(connection, &id_prefix), path),
            Read::WasReceived { key, answer } => reply(answer, was_received(connection, &key), path),
        }
    }
}

fn reply<T>(answer: Answer<T>, result: rusqlite::Result<T>, path: &Path) {
    // An asker that went away needs no answer.
    let _ = answer.send(result.map_err(|error| explain(path, &error)));
}

/// Everything but the contents of the inbox.
pub(super) fn restore(connection: &mut Connection) -> rusqlite::Result<Restored> {
    let snapshot = connection.transaction()?;
    let (incarnation, information): (u64, Option<String>) =
        snapshot.query_row("SELECT incarnation, information FROM node", [], |row| {
            Ok((unsigned(row, 0)?, row.get(1)?))
        })?;
    Ok(Restored {
        incarnation,
        information: information.map(|text| json(1, &text)).transpose()?,
        records: all(&snapshot, SELECT_RECORDS, [], record)?,
        known_peers: all(&snapshot, SELECT_KNOWN_PEERS, [], known_peer)?,
        inbox_messages: snapshot.query_row("SELECT count(*) FROM inbox", [], |row| unsigned(row, 0))?,
        outbox: outbox(&snapshot)?,
        contacts: all(&snapshot, "SELECT petname, presentity FROM contacts ORDER BY petname", [], contact)?,
        delivery_rules: delivery_rules(&snapshot)?,
        access_rules: access_rules(&snapshot)?,
        visible_to: only_row(&snapshot, "SELECT visible_to FROM visibility")?,
        delegates: only_row(&snapshot, "SELECT delegates FROM delegates")?,
        keys: all(
            &snapshot,
            "SELECT presentity, key_id, step, key, ends_at FROM view_keys ORDER BY presentity",
            [],
            view_key,
        )?,
        watchers: all(
            &snapshot,
            "SELECT presentity, watcher FROM watchers ORDER BY presentity",
            [],
            watcher,
        )?,
    })
}

fn inbox(connection: &Connection, cursor: u64, limit: usize) -> rusqlite::Result<Vec<InboxEntry>> {
    let sql =
        concat!("SELECT ", inbox_columns!(), " FROM messages WHERE cursor > ?1 ORDER BY cursor LIMIT ?2");
    // What does not fit lies beyond every cursor, and beyond every number of messages.
    let (after, limit) =
        (i64::try_from(cursor).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    all(connection, sql, [after, limit], inbox_entry)
}

fn inbox_by_id(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<InboxEntry>> {
    let (Some(first), Some(last)) = (padded(prefix, '0'), padded(prefix, 'f')) else { return Ok(Vec::new()) };
    let sql = concat!(
        "SELECT ",
        inbox_columns!(),
        " FROM messages WHERE message_id BETWEEN ?1 AND ?2 ORDER BY message_id, sender LIMIT 2"
    );
    all(connection, sql, [first, last], inbox_entry)
}

fn was_received(connection: &Connection, key: &MessageKey) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM received WHERE message_id = ?1 AND sender = ?2)";
    connection
        .prepare_cached(sql)?
        .query_row(params![key.id.as_bytes(), key.from.as_bytes()], |row| row.get(0))
}

/// The id whose digits are `prefix` and then only `digit`; none if there is no such id.
fn padded(prefix: &str, digit: char) -> Option<Vec<u8>> {
    let missing = ID_DIGITS.checked_sub(prefix.len())?;
    let digits = prefix.chars().chain(std::iter::repeat_n(digit, missing)).collect::<String>();
    data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()
}

fn outbox(connection: &Connection) -> rusqlite::Result<Vec<OutboxEntry>> {
    let sql = concat!(
        "SELECT ",
        message_columns!(),
        ", queued_at, expires_at, attempts, state, reason FROM outbox ORDER BY place"
    );
    all(connection, sql, [], outbox_entry)
}

fn record(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    Ok(StoredRecord {
        presentity: presentity(row, 0)?,
        version: Version { incarnation: unsigned(row, 1)?, sequence: unsigned(row, 2)? },
        heard_at: time(row, 3)?,
        bytes: row.get(4)?,
    })
}

fn known_peer(row: &Row<'_>) -> rusqlite::Result<KnownPeer> {
    Ok(KnownPeer { presentity: presentity(row, 0)?, address: row.get(1)?, connected_at: time(row, 2)? })
}

fn contact(row: &Row<'_>) -> rusqlite::Result<StoredContact> {
    Ok(StoredContact { petname: row.get(0)?, presentity: presentity(row, 1)? })
}

/// In the order of their kinds and keys, which is not that of the words.
fn delivery_rules(connection: &Connection) -> rusqlite::Result<Vec<StoredDeliveryRule>> {
    let mut rules = all(connection, "SELECT whose, rule FROM delivery_rules", [], delivery_rule)?;
    rules.sort_by_key(|stored| stored.whose);
    Ok(rules)
}

fn delivery_rule(row: &Row<'_>) -> rusqlite::Result<StoredDeliveryRule> {
    Ok(StoredDeliveryRule { whose: whose(row, 0)?, rule: json(1, &row.get::<_, String>(1)?)? })
}

fn access_rules(connection: &Connection) -> rusqlite::Result<Vec<StoredAccessRule>> {
    let mut rules = all(connection, "SELECT audience, rule FROM access_rules", [], access_rule)?;
    rules.sort_by_key(|stored| stored.audience);
    Ok(rules)
}

fn access_rule(row: &Row<'_>) -> rusqlite::Result<StoredAccessRule> {
    Ok(StoredAccessRule { audience: audience(row, 0)?, rule: json(1, &row.get::<_, String>(1)?)? })
}

/// What is kept as JSON in a table of one row, which is not there before it was set.
fn only_row<T: Default + DeserializeOwned>(connection: &Connection, sql: &str) -> rusqlite::Result<T> {
    let stored = connection.query_row(sql, [], |row| json(0, &row.get::<_, String>(0)?)).optional()?;
    Ok(stored.unwrap_or_default())
}

fn view_key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let key = ViewKey::restored(row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(StoredKey { presentity: presentity(row, 0)?, key, ends_at: time(row, 4)? })
}

fn watcher(row: &Row<'_>) -> rusqlite::Result<StoredWatcher> {
    Ok(StoredWatcher { presentity: presentity(row, 0)?, watcher: json(1, &row.get::<_, String>(1)?)? })
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(values, read)?.collect()
}

const SELECT_RECORDS: &str =
    "SELECT presentity, incarnation, sequence, heard_at, bytes FROM records ORDER BY presentity";
const SELECT_KNOWN_PEERS: &str =
    "SELECT presentity, address, connected_at FROM known_peers ORDER BY place DESC";
const ID_DIGITS: usize = 32;
