//! INSTANT MESSAGES, the inbox and the outbox as documents.

use data_encoding::BASE64;
use hereabouts_protocol::{
    durable::{OutboxEntry, OutboxState},
    message::instant_message::{Delivery, FailureReason, InstantMessage, MessageId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DocumentTime, PersonDocument};
use crate::{local_api::names::Directory, mesh::handle::Sent, storage::InboxEntry};

/// A message of the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageDocument {
    /// 32 hexadecimal digits, unique for its sender.
    pub id: String,
    /// Its place in the inbox: higher than that of every message stored before it.
    pub cursor: u64,
    /// The sender, as the connection authenticated it.
    pub from: PersonDocument,
    /// The `im:` URI it was sent to.
    pub to: String,
    /// When the sender's clock says it was written.
    pub sent_at: DocumentTime,
    /// When it was stored, by this node's clock.
    pub received_at: DocumentTime,
    /// Whether the PRINCIPAL read it.
    pub read: bool,
    /// The MIME type of the body.
    #[schema(example = "text/plain; charset=utf-8")]
    pub content_type: String,
    /// A BCP 47 tag, if known.
    pub language: Option<String>,
    /// Shared by the messages of one conversation.
    pub thread: Option<String>,
    /// The `im:` URI a reply goes to; `null` if the sender takes none.
    pub reply_to: Option<String>,
    /// The body if it is text, else `null`.
    pub text: Option<String>,
    /// The body as base64 if it is not text, else left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

impl MessageDocument {
    /// The document of `entry`, with names from `directory`.
    pub fn new(entry: &InboxEntry, directory: &Directory) -> Self {
        let message = &entry.stored.message;
        let (text, body_base64) = body(message);
        Self {
            id: message.id.to_string(),
            cursor: entry.cursor,
            from: directory.person(&message.from),
            to: message.to.to_string(),
            sent_at: message.sent_at.into(),
            received_at: entry.stored.received_at.into(),
            read: entry.read,
            content_type: message.content_type.clone(),
            language: message.language.clone(),
            thread: message.thread.map(|thread| thread.to_string()),
            reply_to: message.reply_to.as_ref().map(ToString::to_string),
            text,
            body_base64,
        }
    }
}

/// A page of the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxDocument {
    /// Oldest first.
    pub messages: Vec<MessageDocument>,
    /// The place of the last of them, or the one that was asked for if there is none: ask for what follows
    /// it.
    pub cursor: u64,
}

/// A message to be sent. Exactly one of `text` and `body_base64` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// A petname, a display name, the beginning of a peer id, or a `pres:` or `im:` URI.
    pub to: String,
    /// The id of the tuple of their document that names the inbox; the first that names one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuple: Option<String>,
    /// The body as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The body as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// The MIME type; `text/plain; charset=utf-8` for text and `application/octet-stream` for bytes unless
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// A BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Shared by the messages of one conversation: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The `im:` URI a reply is to go to; this node's own inbox, or the one its document names, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Whether it waits in the outbox while the recipient is out of reach.
    #[serde(default)]
    pub queue: bool,
    /// Seconds after which a queued message is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub expires_seconds: Option<u64>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentDocument {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The outcome.
    pub outcome: OutcomeWord,
    /// Why it failed; `null` unless it did.
    #[schema(schema_with = failure_reason_schema)]
    pub reason: Option<FailureReason>,
}

impl SentDocument {
    /// The document of one message.
    pub fn new(id: MessageId, sent: Sent) -> Self {
        let (outcome, reason) = match sent {
            Sent::Final(Delivery::Delivered) => (OutcomeWord::Delivered, None),
            Sent::Final(Delivery::Failed(reason)) => (OutcomeWord::Failed, Some(reason)),
            Sent::Final(Delivery::Indeterminate) => (OutcomeWord::Indeterminate, None),
            Sent::Queued => (OutcomeWord::Queued, None),
        };
        Self { id: id.to_string(), outcome, reason }
    }
}

/// How sending a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeWord {
    /// The receiver stored it durably.
    Delivered,
    /// It waits in the outbox.
    Queued,
    /// It is not stored and will not be.
    Failed,
    /// No answer came: it may be stored or not.
    Indeterminate,
}

/// Queued messages and what became of those that were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutboxDocument {
    /// Oldest first.
    pub entries: Vec<OutboxEntryDocument>,
}

/// An entry of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutboxEntryDocument {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Whose inbox it is for.
    pub to: PersonDocument,
    /// Where it stands.
    pub state: OutboxStateWord,
    /// Why it failed; `null` unless it did.
    #[schema(schema_with = failure_reason_schema)]
    pub reason: Option<FailureReason>,
    /// When it was sent.
    pub queued_at: DocumentTime,
    /// When the node stops trying.
    pub expires_at: DocumentTime,
    /// Deliveries tried.
    pub attempts: u32,
    /// The body if it is text, else `null`.
    pub text: Option<String>,
}

impl OutboxEntryDocument {
    /// The document of `entry`, with names from `directory`.
    pub fn new(entry: &OutboxEntry, directory: &Directory) -> Self {
        let (state, reason) = OutboxStateWord::with_reason(entry.state);
        Self {
            id: entry.message.id.to_string(),
            to: directory.person(&entry.message.to.node),
            state,
            reason,
            queued_at: entry.queued_at.into(),
            expires_at: entry.expires_at.into(),
            attempts: entry.attempts,
            text: entry.message.text().map(str::to_owned),
        }
    }
}

/// Where a queued message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutboxStateWord {
    /// It waits, or is under way.
    Queued,
    /// The receiver stored it.
    Delivered,
    /// The receiver refused it for good.
    Failed,
    /// Its time was over.
    Expired,
    /// The PRINCIPAL withdrew it.
    Cancelled,
}

impl OutboxStateWord {
    /// The word as documents write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// The word for `state`, and the reason beside it.
    pub fn with_reason(state: OutboxState) -> (Self, Option<FailureReason>) {
        match state {
            OutboxState::Queued => (Self::Queued, None),
            OutboxState::Delivered => (Self::Delivered, None),
            OutboxState::Failed(reason) => (Self::Failed, Some(reason)),
            OutboxState::Expired => (Self::Expired, None),
            OutboxState::Cancelled => (Self::Cancelled, None),
        }
    }
}

fn body(message: &InstantMessage) -> (Option<String>, Option<String>) {
    match message.text() {
        Some(text) => (Some(text.to_owned()), None),
        None => (None, Some(BASE64.encode(&message.body))),
    }
}

/// The schema of an optional [`FailureReason`], which is the protocol's own type.
pub(super) fn failure_reason_schema() -> utoipa::openapi::schema::Object {
    use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
    let words = FailureReason::ALL.iter().map(|reason| Some(reason.as_str())).chain([None]);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words))
        .description(Some("Why the message was not delivered."))
        .build()
}
