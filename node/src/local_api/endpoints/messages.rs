//! INSTANT MESSAGES: sending, the inbox, the outbox.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use data_encoding::BASE64;
use hereabouts_protocol::{
    durable::{OutboxEntry, OutboxState},
    identity::InboxAddress,
    message::outbox::{Draft, LIFETIME_MAX, Recipient},
    node::DraftError,
    presence::information::Extensions,
};
use serde::Deserialize;

use super::Api;
use crate::{
    local_api::{
        documents::{
            InboxDocument, MessageDocument, OutboxDocument, OutboxEntryDocument, OutboxStateWord,
            SendMessage, SentDocument,
        },
        errors::{ErrorBody, ErrorCode},
        openapi::errors_of,
        requests::{Document, Parameters, Segment},
    },
    mesh::handle::SendError,
    storage::InboxEntry,
};

errors_of!(SendErrors:
    BadRequest, RequestTooLarge, UnknownName, AmbiguousName, InvalidMessage, InvalidRecipient,
    MessageTooLarge, NoInbox, Withheld, LimitReached, StorageFailed);
errors_of!(InboxErrors: BadRequest, StorageFailed);
errors_of!(MessageErrors: BadRequest, NotFound, AmbiguousId, StorageFailed);
errors_of!(OutboxErrors:);
errors_of!(CancelErrors: BadRequest, NotFound, AmbiguousId, NotWaiting);

/// Send a message and wait for its outcome
///
/// A refusal by the recipient's node is an outcome and no error of this request: look at `outcome`. A message
/// with `queue` answers `queued` as soon as the recipient turns out to be out of reach; what becomes of it is
/// a `delivery` event. Where the recipient's presence is sealed and no key is there yet, their node is asked
/// for it first, as by a fetch.
#[utoipa::path(
    post,
    path = "/v1/messages",
    tag = "messages",
    request_body = SendMessage,
    responses((status = 200, body = SentDocument, description = "The outcome"), SendErrors)
)]
pub(super) async fn send(
    State(api): State<Api>,
    Document(message): Document<SendMessage>,
) -> Result<Json<SentDocument>, ErrorBody> {
    let to = recipient(&api, &message.to, message.tuple.as_deref()).await?;
    send_draft(&api, draft(to, message)?).await
}

/// Sends a message and says what became of it.
pub(super) async fn send_draft(api: &Api, draft: Draft) -> Result<Json<SentDocument>, ErrorBody> {
    let (id, sent) = match (api.mesh.send(draft.clone()).await, &draft.to) {
        (
            Err(SendError::Draft(DraftError::Withheld)),
            Recipient::Presentity(presentity) | Recipient::Tuple(presentity, _),
        ) => {
            // Their node tells where the inbox is, if it lets this one see that; if not, that is said.
            let _ = api.mesh.fetch(*presentity).await;
            api.mesh.send(draft).await?
        }
        (sent, _) => sent?,
    };
    Ok(Json(SentDocument::new(id, sent)))
}

/// Messages of the inbox, oldest first
#[utoipa::path(
    get,
    path = "/v1/inbox",
    tag = "messages",
    params(InboxParameters),
    responses((status = 200, body = InboxDocument, description = "A page of the inbox"), InboxErrors)
)]
pub(super) async fn inbox(
    State(api): State<Api>,
    Parameters(InboxParameters { cursor, limit }): Parameters<InboxParameters>,
) -> Result<Json<InboxDocument>, ErrorBody> {
    if !(1..=INBOX_PAGE_MAX).contains(&limit) {
        return Err(ErrorBody::new(ErrorCode::BadRequest, format!("`limit` is from 1 to {INBOX_PAGE_MAX}")));
    }
    let entries = api.mesh.inbox(cursor, limit).await?;
    let directory = api.directory().await?;
    let messages: Vec<_> = entries.iter().map(|entry| MessageDocument::new(entry, &directory)).collect();
    let cursor = messages.last().map_or(cursor, |message| message.cursor);
    Ok(Json(InboxDocument { messages, cursor }))
}

/// Read a message
///
/// It counts as read from then on.
#[utoipa::path(
    get,
    path = "/v1/inbox/{id}",
    tag = "messages",
    params(("id" = String, Path, description = "The id, a unique beginning of it, or `at:` and the cursor")),
    responses((status = 200, body = MessageDocument, description = "The message"), MessageErrors)
)]
pub(super) async fn message(
    State(api): State<Api>,
    Segment(id): Segment,
) -> Result<Json<MessageDocument>, ErrorBody> {
    let mut entry = find_message(&api, &id).await?;
    entry.read = api.mesh.mark_read(entry.key()).await?;
    Ok(Json(MessageDocument::new(&entry, &api.directory().await?)))
}

/// Delete a message
#[utoipa::path(
    delete,
    path = "/v1/inbox/{id}",
    tag = "messages",
    params(("id" = String, Path, description = "The id, a unique beginning of it, or `at:` and the cursor")),
    responses((status = 204, description = "The message is deleted"), MessageErrors)
)]
pub(super) async fn delete_message(
    State(api): State<Api>,
    Segment(id): Segment,
) -> Result<StatusCode, ErrorBody> {
    let entry = find_message(&api, &id).await?;
    if !api.mesh.delete_message(entry.key()).await? {
        return Err(no_message(&id));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Queued messages, and what became of those that were, oldest first
#[utoipa::path(
    get,
    path = "/v1/outbox",
    tag = "messages",
    responses((status = 200, body = OutboxDocument, description = "The outbox"), OutboxErrors)
)]
pub(super) async fn outbox(State(api): State<Api>) -> Result<Json<OutboxDocument>, ErrorBody> {
    let entries = api.mesh.outbox().await?;
    let directory = api.directory().await?;
    let entries = entries.iter().map(|entry| OutboxEntryDocument::new(entry, &directory)).collect();
    Ok(Json(OutboxDocument { entries }))
}

/// Withdraw a queued message
///
/// One that is under way at this moment may still arrive.
#[utoipa::path(
    delete,
    path = "/v1/outbox/{id}",
    tag = "messages",
    params(("id" = String, Path, description = "The id or a unique beginning of it")),
    responses((status = 204, description = "The message is withdrawn"), CancelErrors)
)]
pub(super) async fn cancel(State(api): State<Api>, Segment(id): Segment) -> Result<StatusCode, ErrorBody> {
    let prefix = id_prefix(&id)?;
    let entries = api.mesh.outbox().await?;
    let begins = |entry: &&OutboxEntry| entry.message.id.to_string().starts_with(&prefix);
    let waits = |entry: &&OutboxEntry| entry.state == OutboxState::Queued;
    let waiting: Vec<_> = entries.iter().filter(begins).filter(waits).collect();
    match (waiting.as_slice(), entries.iter().find(begins)) {
        ([entry], _) if api.mesh.cancel(entry.message.id).await? => Ok(StatusCode::NO_CONTENT),
        ([_], _) => {
            let message = format!("the message {id} reached its end at this moment; see `here outbox`");
            Err(ErrorBody::new(ErrorCode::NotWaiting, message))
        }
        ([], Some(entry)) => {
            let state = OutboxStateWord::with_reason(entry.state).0.as_str();
            let message = format!("the message {id} does not wait any more: it is {state}");
            Err(ErrorBody::new(ErrorCode::NotWaiting, message))
        }
        ([], None) => {
            let message =
                format!("there is no message {id} in the outbox; `here outbox` lists those there are");
            Err(ErrorBody::new(ErrorCode::NotFound, message))
        }
        _ => Err(ambiguous_id(&id)),
    }
}

/// Which page of the inbox.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InboxParameters {
    /// The messages after this place; from the beginning unless given.
    cursor: u64,
    /// At most so many messages.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: usize,
}

impl Default for InboxParameters {
    fn default() -> Self {
        Self { cursor: 0, limit: INBOX_PAGE_DEFAULT }
    }
}

/// An `im:` URI names the inbox itself; every other way names the presentity whose document names the inbox.
/// This node's own presentity is its own inbox, so that the mesh can tell why nothing is sent to it.
async fn recipient(api: &Api, to: &str, tuple: Option<&str>) -> Result<Recipient, ErrorBody> {
    let bad = |text: String| ErrorBody::new(ErrorCode::BadRequest, text);
    let presentity = api.directory().await?.resolve(to)?;
    let is_inbox = to.trim_start().starts_with("im:") || presentity == api.mesh.presentity;
    match tuple.map(str::parse).transpose() {
        Err(error) => Err(bad(format!("`tuple` is {tuple:?}: {error}"))),
        Ok(Some(_)) if is_inbox => {
            Err(bad("an im: address names the inbox already; leave out the tuple".to_owned()))
        }
        Ok(Some(tuple)) => Ok(Recipient::Tuple(presentity, tuple)),
        Ok(None) if is_inbox => {
            Ok(Recipient::Inbox(InboxAddress { node: presentity, realm: api.mesh.realm.clone() }))
        }
        Ok(None) => Ok(Recipient::Presentity(presentity)),
    }
}

fn draft(to: Recipient, message: SendMessage) -> Result<Draft, ErrorBody> {
    let bad = |text: String| ErrorBody::new(ErrorCode::BadRequest, text);
    let (body, usual_type) = match (message.text, message.body_base64) {
        (Some(text), None) => (text.into_bytes(), "text/plain; charset=utf-8"),
        (None, Some(base64)) => {
            let body = BASE64.decode(base64.as_bytes());
            (
                body.map_err(|error| bad(format!("`body_base64` is no base64: {error}")))?,
                "application/octet-stream",
            )
        }
        _ => return Err(bad("give the body as `text` or as `body_base64`, one of the two".to_owned())),
    };
    let lifetime = message.expires_seconds.map_or(LIFETIME_MAX, Duration::from_secs);
    if lifetime.is_zero() || lifetime > LIFETIME_MAX {
        return Err(bad(format!("`expires_seconds` is from 1 to {}", LIFETIME_MAX.as_secs())));
    }
    let reply_to = message.reply_to.map(|uri| uri.parse()).transpose();
    Ok(Draft {
        to,
        body,
        content_type: message.content_type.unwrap_or_else(|| usual_type.to_owned()),
        language: message.language,
        thread: message.thread.map(|thread| thread.to_lowercase().parse()).transpose()?,
        reply_to: reply_to.map_err(|error| bad(format!("`reply_to` is {error}")))?,
        extensions: Extensions::new(),
        queue: message.queue,
        lifetime,
    })
}

pub(super) async fn find_message(api: &Api, id: &str) -> Result<InboxEntry, ErrorBody> {
    if let Some(cursor) = id.strip_prefix(CURSOR_PREFIX) {
        let cursor: u64 = cursor.parse().map_err(|_| not_an_id(id))?;
        let entries = api.mesh.inbox(cursor.saturating_sub(1), 1).await?;
        return entries.into_iter().find(|entry| entry.cursor == cursor).ok_or_else(|| no_message(id));
    }
    let mut entries = api.mesh.inbox_by_id(id_prefix(id)?).await?;
    if entries.len() > 1 {
        return Err(ambiguous_id(id));
    }
    entries.pop().ok_or_else(|| no_message(id))
}

fn id_prefix(id: &str) -> Result<String, ErrorBody> {
    let digits = id.len() <= ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && !id.is_empty() { Ok(id.to_lowercase()) } else { Err(not_an_id(id)) }
}

fn not_an_id(id: &str) -> ErrorBody {
    let message =
        format!("{id:?} is no message id, which is {ID_DIGITS} hexadecimal digits or the first of them");
    ErrorBody::new(ErrorCode::BadRequest, message)
}

fn no_message(id: &str) -> ErrorBody {
    let message = format!("there is no message {id} in the inbox; `here inbox` lists those there are");
    ErrorBody::new(ErrorCode::NotFound, message)
}

fn ambiguous_id(id: &str) -> ErrorBody {
    let message =
        format!("{id} is the beginning of several ids; give more of it, or name the place, as in at:17");
    ErrorBody::new(ErrorCode::AmbiguousId, message)
}

/// What a message is named by beside its id, since two senders can give their messages the same one.
const CURSOR_PREFIX: &str = "at:";
/// Digits of a whole message id.
const ID_DIGITS: usize = 32;
/// Messages on a page of the inbox.
const INBOX_PAGE_DEFAULT: usize = 100;
/// Messages on a page of the inbox at most: with the largest bodies about 10 MB.
const INBOX_PAGE_MAX: usize = 500;
