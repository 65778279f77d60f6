//! How values look in rows. What was written reads back equal; what does not read is damage, never a guess.

use std::{collections::BTreeMap, error::Error, str::FromStr};

use data_encoding::BASE64;
use hereabouts_protocol::{
    durable::{OutboxEntry, OutboxState, StoredMessage},
    identity::{InboxAddress, Presentity},
    message::{
        delivery_rules::Whose,
        instant_message::{FailureReason, InstantMessage, MessageId},
    },
    presence::{access_rules::Audience, information::Extensions},
    time::UnixTime,
};
use rusqlite::{
    Row,
    types::{ToSqlOutput, Type, Value},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned, de::IntoDeserializer};

use crate::storage::InboxEntry;

/// The columns that hold a message apart from its name; [`content_values`] fills them.
macro_rules! content_columns {
    () => {
        "recipient, sent_at, thread, reply_to, content_type, language, extensions, body"
    };
}
pub(super) use content_columns;

/// The columns that [`message`] reads, in their order.
macro_rules! message_columns {
    () => {
        concat!("message_id, sender, ", $crate::storage::sqlite::rows::content_columns!())
    };
}
pub(super) use message_columns;

/// The values of [`content_columns`].
pub(super) fn content_values(message: &InstantMessage) -> [ToSqlOutput<'_>; 8] {
    [
        ToSqlOutput::from(message.to.to_string()),
        ToSqlOutput::from(millis(message.sent_at)),
        optional(message.thread.map(|thread| thread.as_bytes().to_vec())),
        optional(message.reply_to.as_ref().map(InboxAddress::to_string)),
        ToSqlOutput::from(message.content_type.as_str()),
        optional(message.language.clone()),
        ToSqlOutput::from(extensions_text(&message.extensions)),
        ToSqlOutput::from(message.body.as_slice()),
    ]
}

/// A message from a row that begins with [`message_columns`].
pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<InstantMessage> {
    Ok(InstantMessage {
        id: MessageId::from_bytes(row.get(0)?),
        from: presentity(row, 1)?,
        to: parsed(row, 2)?,
        sent_at: time(row, 3)?,
        thread: row.get::<_, Option<[u8; 16]>>(4)?.map(MessageId::from_bytes),
        reply_to: row.get::<_, Option<String>>(5)?.map(|uri| parse(5, &uri)).transpose()?,
        content_type: row.get(6)?,
        language: row.get(7)?,
        extensions: extensions(row, 8)?,
        body: row.get(9)?,
    })
}

/// The columns that [`inbox_entry`] reads.
macro_rules! inbox_columns {
    () => {
        concat!($crate::storage::sqlite::rows::message_columns!(), ", received_at, cursor, read")
    };
}
pub(super) use inbox_columns;

/// An entry of the inbox from a row of [`inbox_columns`].
pub(super) fn inbox_entry(row: &Row<'_>) -> rusqlite::Result<InboxEntry> {
    Ok(InboxEntry {
        stored: StoredMessage { message: message(row)?, received_at: time(row, 10)? },
        cursor: unsigned(row, 11)?,
        read: row.get(12)?,
    })
}

/// An entry of the outbox from a row of [`message_columns`] and those that the pattern below names.
pub(super) fn outbox_entry(row: &Row<'_>) -> rusqlite::Result<OutboxEntry> {
    Ok(OutboxEntry {
        message: message(row)?,
        queued_at: time(row, 10)?,
        expires_at: time(row, 11)?,
        attempts: row.get(12)?,
        state: outbox_state(&row.get::<_, String>(13)?, row.get(14)?)?,
    })
}

/// The state and its reason as words.
pub(super) fn outbox_state_words(state: OutboxState) -> (&'static str, Option<&'static str>) {
    match state {
        OutboxState::Queued => ("queued", None),
        OutboxState::Delivered => ("delivered", None),
        OutboxState::Failed(reason) => ("failed", Some(reason.as_str())),
        OutboxState::Expired => ("expired", None),
        OutboxState::Cancelled => ("cancelled", None),
    }
}

/// The inverse of [`outbox_state_words`]; columns 13 and 14.
fn outbox_state(state: &str, reason: Option<String>) -> rusqlite::Result<OutboxState> {
    match (state, reason) {
        ("queued", None) => Ok(OutboxState::Queued),
        ("delivered", None) => Ok(OutboxState::Delivered),
        ("expired", None) => Ok(OutboxState::Expired),
        ("cancelled", None) => Ok(OutboxState::Cancelled),
        ("failed", Some(reason)) => FailureReason::deserialize(reason.into_deserializer())
            .map(OutboxState::Failed)
            .map_err(|error: serde::de::value::Error| damage(14, error)),
        (other, _) => Err(damage(13, format!("no outbox entry is {other:?}"))),
    }
}

/// A presentity from its 32 bytes.
pub(super) fn presentity(row: &Row<'_>, column: usize) -> rusqlite::Result<Presentity> {
    row.get(column).map(Presentity::from_public_key_bytes)
}

/// Milliseconds since 1970. The full range of 64 bits fits, since other nodes choose some of these.
pub(super) fn millis(time: UnixTime) -> i64 {
    time.as_millis().cast_signed()
}

/// The inverse of [`millis`].
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixTime> {
    unsigned(row, column).map(UnixTime::from_millis)
}

/// An integer that was written with `cast_signed`.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// A value that may be NULL.
pub(super) fn optional(value: Option<impl Into<Value>>) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(value.map_or(Value::Null, Into::into))
}

/// A value written as JSON.
pub(super) fn json<T: DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| damage(column, error))
}

/// A value to be written as JSON.
pub(super) fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Whose messages a DELIVERY RULE is for, as a word.
pub(super) fn whose_word(whose: &Whose) -> String {
    match whose {
        Whose::Contacts => CONTACTS.to_owned(),
        Whose::Strangers => STRANGERS.to_owned(),
        Whose::Sender(sender) => sender.to_string(),
    }
}

/// The inverse of [`whose_word`].
pub(super) fn whose(row: &Row<'_>, column: usize) -> rusqlite::Result<Whose> {
    let word: String = row.get(column)?;
    match word.as_str() {
        CONTACTS => Ok(Whose::Contacts),
        STRANGERS => Ok(Whose::Strangers),
        sender => parse(column, sender).map(Whose::Sender),
    }
}

/// For whom an ACCESS RULE is, as a word.
pub(super) fn audience_word(audience: &Audience) -> String {
    match audience {
        Audience::Anybody => ANYBODY.to_owned(),
        Audience::Contacts => CONTACTS.to_owned(),
        Audience::Strangers => STRANGERS.to_owned(),
        Audience::Watcher(watcher) => watcher.to_string(),
    }
}

/// The inverse of [`audience_word`].
pub(super) fn audience(row: &Row<'_>, column: usize) -> rusqlite::Result<Audience> {
    let word: String = row.get(column)?;
    match word.as_str() {
        ANYBODY => Ok(Audience::Anybody),
        CONTACTS => Ok(Audience::Contacts),
        STRANGERS => Ok(Audience::Strangers),
        watcher => parse(column, watcher).map(Audience::Watcher),
    }
}

fn extensions_text(extensions: &Extensions) -> String {
    let encoded: BTreeMap<&str, String> =
        extensions.iter().map(|(name, value)| (name.as_str(), BASE64.encode(value))).collect();
    serde_json::to_string(&encoded).expect("a map of strings is JSON")
}

fn extensions(row: &Row<'_>, column: usize) -> rusqlite::Result<Extensions> {
    let encoded: BTreeMap<String, String> = json(column, &row.get::<_, String>(column)?)?;
    encoded
        .into_iter()
        .map(|(name, value)| match BASE64.decode(value.as_bytes()) {
            Ok(bytes) => Ok((name, bytes)),
            Err(error) => Err(damage(column, error)),
        })
        .collect()
}

fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    parse(column, &row.get::<_, String>(column)?)
}

fn parse<T>(column: usize, text: &str) -> rusqlite::Result<T>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error: T::Err| damage(column, error))
}

fn damage(column: usize, error: impl Into<Box<dyn Error + Send + Sync + 'static>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}

const ANYBODY: &str = "anybody";
const CONTACTS: &str = "contacts";
const STRANGERS: &str = "strangers";
