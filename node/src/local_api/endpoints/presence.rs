//! PRESENCE INFORMATION: everybody's, and this node's own.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use futures::future::join_all;
use hereabouts_protocol::{
    identity::Presentity,
    presence::service::{ContactState, PresentityView},
};
use serde::Deserialize;
use tokio::time::timeout;

use super::Api;
use crate::{
    local_api::{
        documents::{FetchedDocument, PresentitiesDocument, PresentityDocument, SetPresence},
        errors::{ErrorBody, ErrorCode},
        openapi::errors_of,
        requests::{Document, Parameters, Segment},
    },
    mesh::handle::Stopped,
};

errors_of!(ListErrors: BadRequest);
errors_of!(OwnErrors:);
errors_of!(PresentityErrors: BadRequest, UnknownName, AmbiguousName, NeverHeard);
errors_of!(SetErrors: BadRequest, RequestTooLarge, InvalidPresence);
errors_of!(UpdateErrors:
    BadRequest, RequestTooLarge, UnknownName, AmbiguousName, NotAllowed, InvalidPresence, Unanswered);

/// Everybody known
///
/// With `fetch`, the nodes of those in contact whose presence is sealed and not known here are asked for it
/// first, as by a fetch: 32 at a time, for a second at most, and each once in a minute.
#[utoipa::path(
    get,
    path = "/v1/presentities",
    tag = "presence",
    params(ListParameters),
    responses((status = 200, body = PresentitiesDocument, description = "Everybody known"), ListErrors)
)]
pub(super) async fn presentities(
    State(api): State<Api>,
    Parameters(ListParameters { fetch }): Parameters<ListParameters>,
) -> Result<Json<PresentitiesDocument>, ErrorBody> {
    let mut views = api.mesh.presentities().await?;
    if fetch {
        let withheld = views.iter().filter(|view| view.sealed && view.contact.state == ContactState::Present);
        let due = api.due_to_ask(withheld.map(|view| view.presentity));
        if !due.is_empty() {
            // Whoever refuses or does not answer is shown as before.
            let asking = join_all(due.into_iter().map(|presentity| api.mesh.fetch(presentity)));
            let _ = timeout(ASKING_TIME_MAX, asking).await;
            views = api.mesh.presentities().await?;
        }
    }
    Ok(Json(PresentitiesDocument::new(&views, &api.mesh.realm, Api::now())))
}

/// What is listed.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Whether to ask for what is withheld so far.
    fetch: bool,
}

/// What is known of one presentity
#[utoipa::path(
    get,
    path = "/v1/presentities/{who}",
    tag = "presence",
    params(("who" = String, Path, description = "Whom: a name, an id or a URI")),
    responses((status = 200, body = PresentityDocument, description = "Its state"), PresentityErrors)
)]
pub(super) async fn presentity(
    State(api): State<Api>,
    Segment(who): Segment,
) -> Result<Json<PresentityDocument>, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    document_of(&api, presentity).await.map(Json)
}

/// Ask a presentity's node for its presence, once
///
/// Answers the last known state if that node cannot be reached within some seconds.
#[utoipa::path(
    post,
    path = "/v1/presentities/{who}/fetch",
    tag = "presence",
    params(("who" = String, Path, description = "Whom: a name, an id or a URI")),
    responses((status = 200, body = FetchedDocument, description = "State and source"), PresentityErrors)
)]
pub(super) async fn fetch(
    State(api): State<Api>,
    Segment(who): Segment,
) -> Result<Json<FetchedDocument>, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    let fetched = api.mesh.fetch(presentity).await?;
    Ok(Json(FetchedDocument::new(&fetched, &api.mesh.realm, Api::now())))
}

/// This node's own presence
#[utoipa::path(
    get,
    path = "/v1/presence",
    tag = "presence",
    responses((status = 200, body = PresentityDocument, description = "Its state"), OwnErrors)
)]
pub(super) async fn own_presence(State(api): State<Api>) -> Result<Json<PresentityDocument>, ErrorBody> {
    document_of(&api, api.mesh.presentity).await.map(Json)
}

/// Change this node's own presence
///
/// Answers the document as it is published from now on.
#[utoipa::path(
    put,
    path = "/v1/presence",
    tag = "presence",
    request_body = SetPresence,
    responses((status = 200, body = PresentityDocument, description = "Its state"), SetErrors)
)]
pub(super) async fn set_presence(
    State(api): State<Api>,
    Document(change): Document<SetPresence>,
) -> Result<Json<PresentityDocument>, ErrorBody> {
    let view = api.mesh.change_presence(change.change()?).await?;
    Ok(Json(PresentityDocument::new(&view, &api.mesh.realm, Api::now())))
}

/// Change somebody else's presence
///
/// Their node must let this one do so, which `PUT /v1/delegates` on their side does. They publish the change.
#[utoipa::path(
    put,
    path = "/v1/presentities/{who}/presence",
    tag = "presence",
    params(("who" = String, Path, description = "Whose: a name, an id or a URI")),
    request_body = SetPresence,
    responses((status = 204, description = "Their node made the change"), UpdateErrors)
)]
pub(super) async fn update_presence(
    State(api): State<Api>,
    Segment(who): Segment,
    Document(change): Document<SetPresence>,
) -> Result<StatusCode, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    api.mesh.update(presentity, change.change()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn document_of(api: &Api, presentity: Presentity) -> Result<PresentityDocument, ErrorBody> {
    let view = view_of(api, presentity).await?.ok_or_else(|| {
        let message =
            format!("nothing was heard of {presentity} yet; `here fetch` asks its node, if it is in reach");
        ErrorBody::new(ErrorCode::NeverHeard, message)
    })?;
    Ok(PresentityDocument::new(&view, &api.mesh.realm, Api::now()))
}

pub(super) async fn view_of(api: &Api, presentity: Presentity) -> Result<Option<PresentityView>, Stopped> {
    let views = api.mesh.presentities().await?;
    Ok(views.into_iter().find(|view| view.presentity == presentity))
}

/// How long a list waits for those who are asked.
const ASKING_TIME_MAX: Duration = Duration::from_secs(1);
