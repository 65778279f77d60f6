//! WATCHER INFORMATION and VISIBILITY RULES: who watches, and who may see that.

use axum::{Json, extract::State, http::StatusCode};
use hereabouts_protocol::watcher::watcher_information::VisibleTo;

use super::Api;
use crate::local_api::{
    documents::{SetVisibility, VisibilityDocument, WatchersDocument},
    errors::{ErrorBody, ErrorCode},
    openapi::errors_of,
    requests::{Document, Segment},
};

errors_of!(WatchersErrors:);
errors_of!(FetchErrors: BadRequest, UnknownName, AmbiguousName, Unanswered);
errors_of!(WatchErrors: BadRequest, UnknownName, AmbiguousName, LimitReached);
errors_of!(UnwatchErrors: BadRequest, UnknownName, AmbiguousName, NotFound);
errors_of!(VisibilityErrors:
    BadRequest, RequestTooLarge, UnknownName, AmbiguousName, LimitReached, StorageFailed);

/// Who asked for this node's presence
///
/// Everybody whose node asked this one within the last week: by a subscription or by fetches, and whether or
/// not anything was given. What is gossiped in the clear is received without asking, and not seen here.
#[utoipa::path(
    get,
    path = "/v1/watchers",
    tag = "watchers",
    responses((status = 200, body = WatchersDocument, description = "The watchers"), WatchersErrors)
)]
pub(super) async fn watchers(State(api): State<Api>) -> Result<Json<WatchersDocument>, ErrorBody> {
    let watchers = api.mesh.watchers().await?;
    Ok(Json(WatchersDocument::new(&watchers, &api.directory().await?)))
}

/// Ask another node who asked for its presence
///
/// Everybody sees their own entry; others only if the presentity's rules and theirs let it.
#[utoipa::path(
    post,
    path = "/v1/presentities/{who}/watchers",
    tag = "watchers",
    params(("who" = String, Path, description = "Whose watchers: a name, an id or a URI")),
    responses((status = 200, body = WatchersDocument, description = "The watchers"), FetchErrors)
)]
pub(super) async fn fetch_watchers(
    State(api): State<Api>,
    Segment(who): Segment,
) -> Result<Json<WatchersDocument>, ErrorBody> {
    let directory = api.directory().await?;
    let presentity = directory.resolve(&who)?;
    if presentity == api.mesh.presentity {
        return watchers(State(api)).await;
    }
    let told = api.mesh.fetch_watchers(presentity).await?.ok_or_else(|| {
        let message = format!("the node of {who} gave no answer; try again when `here who` shows it present");
        ErrorBody::new(ErrorCode::Unanswered, message)
    })?;
    Ok(Json(WatchersDocument::told(&told, &directory)))
}

/// Watch who asks for somebody's presence
///
/// The node keeps watching until that is ended here; asking twice is asking once. Each watcher that is new or
/// changed, or gone, comes as a `watcher` event, those that are there already first. Everybody sees their own
/// entry; others only if the presentity's rules and theirs let it. This node's own watchers come as events
/// always.
#[utoipa::path(
    put,
    path = "/v1/presentities/{who}/watchers",
    tag = "watchers",
    params(("who" = String, Path, description = "Whose watchers: a name, an id or a URI")),
    responses((status = 204, description = "They are watched"), WatchErrors)
)]
pub(super) async fn watch_watchers(
    State(api): State<Api>,
    Segment(who): Segment,
) -> Result<StatusCode, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    if presentity != api.mesh.presentity {
        api.mesh.watch_watchers(presentity).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// End watching who asks for somebody's presence
#[utoipa::path(
    delete,
    path = "/v1/presentities/{who}/watchers",
    tag = "watchers",
    params(("who" = String, Path, description = "Whose watchers: a name, an id or a URI")),
    responses((status = 204, description = "They are watched no more"), UnwatchErrors)
)]
pub(super) async fn unwatch_watchers(
    State(api): State<Api>,
    Segment(who): Segment,
) -> Result<StatusCode, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    if presentity != api.mesh.presentity && !api.mesh.unwatch_watchers(presentity).await? {
        return Err(ErrorBody::new(ErrorCode::NotFound, format!("the watchers of {who} are not watched")));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who may see whom this node watches
#[utoipa::path(
    get,
    path = "/v1/visibility",
    tag = "watchers",
    responses((status = 200, body = VisibilityDocument, description = "The rules in force"), WatchersErrors)
)]
pub(super) async fn visibility(State(api): State<Api>) -> Result<Json<VisibilityDocument>, ErrorBody> {
    let visible_to = api.mesh.visibility().await?;
    Ok(Json(VisibilityDocument::new(&visible_to, &api.directory().await?)))
}

/// Say who may see whom this node watches
///
/// Those who are watched are told at once, and honour it. They themselves always see their watchers.
#[utoipa::path(
    put,
    path = "/v1/visibility",
    tag = "watchers",
    request_body = SetVisibility,
    responses((status = 200, body = VisibilityDocument, description = "The rules in force"), VisibilityErrors)
)]
pub(super) async fn set_visibility(
    State(api): State<Api>,
    Document(wanted): Document<SetVisibility>,
) -> Result<Json<VisibilityDocument>, ErrorBody> {
    let directory = api.directory().await?;
    let hidden_from =
        wanted.hidden_from.iter().map(|who| directory.resolve(who)).collect::<Result<_, _>>()?;
    let visible_to = match wanted {
        SetVisibility { visible: false, .. } => VisibleTo::Nobody,
        SetVisibility { hidden_from, .. } if hidden_from.is_empty() => VisibleTo::Everybody,
        _ => VisibleTo::AllBut(hidden_from),
    };
    api.mesh.set_visibility(visible_to.clone()).await?;
    Ok(Json(VisibilityDocument::new(&visible_to, &directory)))
}
