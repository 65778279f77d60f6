//! The standard formats: what other programs of the field read and write.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use hereabouts_protocol::{
    formats::{cpim, pidf, presence_rules, winfo},
    identity::InboxAddress,
    message::outbox::{Draft, LIFETIME_MAX, Recipient},
};

use super::{
    Api,
    access::rules_now,
    messages::{find_message, send_draft},
    presence::view_of,
};
use crate::local_api::{
    documents::{AccessRulesDocument, PresentityDocument, SentDocument},
    errors::{ErrorBody, ErrorCode},
    openapi::errors_of,
    requests::Segment,
};

errors_of!(PidfErrors: BadRequest, UnknownName, AmbiguousName, NeverHeard, Withheld);
errors_of!(ImportErrors: BadRequest, RequestTooLarge, InvalidPresence);
errors_of!(OwnErrors:);
errors_of!(RulesErrors: BadRequest, RequestTooLarge, InvalidRule, LimitReached, StorageFailed);
errors_of!(SendErrors: RequestTooLarge, InvalidMessage, InvalidRecipient, MessageTooLarge, LimitReached);
errors_of!(MessageErrors: BadRequest, NotFound, AmbiguousId, StorageFailed);

/// Somebody's presence as PIDF (RFC 3863), as it is known here
#[utoipa::path(
    get,
    path = "/v1/formats/pidf/{who}",
    tag = "formats",
    params(("who" = String, Path, description = "Whose: a name, an id or a URI")),
    responses(
        (status = 200, body = String, content_type = "application/pidf+xml", description = "The document"),
        PidfErrors
    )
)]
pub(super) async fn export_pidf(
    State(api): State<Api>,
    Segment(who): Segment,
) -> Result<Response, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    let view = view_of(&api, presentity).await?.ok_or_else(|| {
        ErrorBody::new(ErrorCode::NeverHeard, format!("nothing was heard of {presentity} yet"))
    })?;
    let information = view.information.ok_or_else(|| {
        let message = format!("the presence of {who} is withheld from you; `here fetch` asks for it");
        ErrorBody::new(ErrorCode::Withheld, message)
    })?;
    Ok(answer(pidf::MEDIA_TYPE, pidf::export(presentity, &api.mesh.realm, &information, view.heard_at)))
}

/// Set this node's own presence from PIDF
///
/// Elements that are not known are kept and published. Name and inbox stay this node's own.
#[utoipa::path(
    put,
    path = "/v1/formats/pidf",
    tag = "formats",
    request_body(content = String, content_type = "application/pidf+xml"),
    responses((status = 200, body = PresentityDocument, description = "Its state"), ImportErrors)
)]
pub(super) async fn import_pidf(
    State(api): State<Api>,
    body: Bytes,
) -> Result<axum::Json<PresentityDocument>, ErrorBody> {
    let refuse = |message: String| ErrorBody::new(ErrorCode::InvalidPresence, message);
    let xml = std::str::from_utf8(&body).map_err(|error| refuse(format!("no UTF-8: {error}")))?;
    let mut information = pidf::import(xml).map_err(|error| refuse(error.to_string()))?.information;
    information.move_inbox(&InboxAddress { node: api.mesh.presentity, realm: api.mesh.realm.clone() });
    information.display_name = api.mesh.own_information().await?.display_name;
    let view = api.mesh.set_information(information).await?;
    Ok(axum::Json(PresentityDocument::new(&view, &api.mesh.realm, Api::now())))
}

/// This node's watchers as winfo (RFC 3858)
#[utoipa::path(
    get,
    path = "/v1/formats/winfo",
    tag = "formats",
    responses(
        (status = 200, body = String, content_type = "application/watcherinfo+xml", description = "All"),
        OwnErrors
    )
)]
pub(super) async fn export_winfo(State(api): State<Api>) -> Result<Response, ErrorBody> {
    let list = winfo::WatcherList {
        presentity: api.mesh.presentity,
        realm: api.mesh.realm.clone(),
        version: 0,
        extent: winfo::Extent::Full,
        watchers: api.mesh.watchers().await?.into_iter().collect(),
    };
    Ok(answer(winfo::MEDIA_TYPE, winfo::export(&list, Api::now())))
}

/// The access rules as presence rules (RFC 5025)
#[utoipa::path(
    get,
    path = "/v1/formats/presence-rules",
    tag = "formats",
    responses(
        (status = 200, body = String, content_type = "application/auth-policy+xml", description = "All"),
        OwnErrors
    )
)]
pub(super) async fn export_presence_rules(State(api): State<Api>) -> Result<Response, ErrorBody> {
    let rules = api.mesh.access_rules().await?;
    let contacts = api.mesh.contacts().await?.into_iter().map(|contact| contact.presentity);
    let contacts: BTreeSet<_> = contacts.collect();
    Ok(answer(presence_rules::MEDIA_TYPE, presence_rules::export(&rules, &api.mesh.realm, &contacts)))
}

/// Set all access rules from presence rules
///
/// Rules that are not in the document are taken back. Each rule of it says in an extension what it is here,
/// as those that are written here do.
#[utoipa::path(
    put,
    path = "/v1/formats/presence-rules",
    tag = "formats",
    request_body(content = String, content_type = "application/auth-policy+xml"),
    responses((status = 200, body = AccessRulesDocument, description = "The rules in force"), RulesErrors)
)]
pub(super) async fn import_presence_rules(
    State(api): State<Api>,
    body: Bytes,
) -> Result<axum::Json<AccessRulesDocument>, ErrorBody> {
    let refuse = |message: String| ErrorBody::new(ErrorCode::InvalidRule, message);
    let xml = std::str::from_utf8(&body).map_err(|error| refuse(format!("no UTF-8: {error}")))?;
    let rules = presence_rules::import(xml).map_err(|error| refuse(error.to_string()))?;
    api.mesh.replace_access_rules(rules).await?;
    rules_now(&api).await
}

/// A message of the inbox as Message/CPIM (RFC 3862)
#[utoipa::path(
    get,
    path = "/v1/formats/cpim/{id}",
    tag = "formats",
    params(("id" = String, Path, description = "The id, a unique beginning of it, or `at:` and the cursor")),
    responses(
        (status = 200, body = String, content_type = "message/cpim", description = "The message"),
        MessageErrors
    )
)]
pub(super) async fn export_cpim(State(api): State<Api>, Segment(id): Segment) -> Result<Response, ErrorBody> {
    let entry = find_message(&api, &id).await?;
    Ok(answer(cpim::MEDIA_TYPE, cpim::export(&entry.stored.message)))
}

/// Send a message that is given as Message/CPIM (RFC 3862)
///
/// It is sent to the inbox in `To`, and `From` must be this node. All it says goes with it, headers that are
/// not known here too, but its id and time, which are those of this sending.
#[utoipa::path(
    post,
    path = "/v1/formats/cpim",
    tag = "formats",
    request_body(content = String, content_type = "message/cpim"),
    responses((status = 200, body = SentDocument, description = "The outcome"), SendErrors)
)]
pub(super) async fn send_cpim(
    State(api): State<Api>,
    body: Bytes,
) -> Result<axum::Json<SentDocument>, ErrorBody> {
    let refuse = |message: String| ErrorBody::new(ErrorCode::InvalidMessage, message);
    let message = cpim::import(&body).map_err(|error| refuse(error.to_string()))?;
    if message.from != api.mesh.presentity {
        let inbox = InboxAddress { node: api.mesh.presentity, realm: api.mesh.realm.clone() };
        return Err(refuse(format!(
            "its sender is im:{}…, and this node sends as {inbox} alone",
            message.from
        )));
    }
    let draft = Draft {
        to: Recipient::Inbox(message.to),
        body: message.body,
        content_type: message.content_type,
        language: message.language,
        thread: message.thread,
        reply_to: message.reply_to,
        extensions: message.extensions,
        queue: false,
        lifetime: LIFETIME_MAX,
    };
    send_draft(&api, draft).await
}

fn answer(media_type: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(media_type));
    response
}
