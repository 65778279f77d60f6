//! SUBSCRIPTIONS: whom this node watches and who watches it.

use axum::{Json, extract::State, http::StatusCode};

use super::Api;
use crate::local_api::{
    documents::{SubscriptionsDocument, WatchDocument},
    errors::{ErrorBody, ErrorCode},
    openapi::errors_of,
    requests::Segment,
};

errors_of!(ListErrors:);
errors_of!(WatchErrors: BadRequest, UnknownName, AmbiguousName, LimitReached);
errors_of!(UnwatchErrors: BadRequest, UnknownName, AmbiguousName, NotFound);

/// Who watches this node's presentity, and whom this node watches
#[utoipa::path(
    get,
    path = "/v1/subscriptions",
    tag = "subscriptions",
    responses((status = 200, body = SubscriptionsDocument, description = "Both of them"), ListErrors)
)]
pub(super) async fn subscriptions(State(api): State<Api>) -> Result<Json<SubscriptionsDocument>, ErrorBody> {
    let subscriptions = api.mesh.subscriptions().await?;
    Ok(Json(SubscriptionsDocument::new(&subscriptions, &api.directory().await?)))
}

/// Subscribe to a presentity
///
/// The node renews the subscription until it is ended here; asking twice is asking once. Changes come as
/// events.
#[utoipa::path(
    put,
    path = "/v1/subscriptions/{who}",
    tag = "subscriptions",
    params(("who" = String, Path, description = "Whom: a name, an id or a URI")),
    responses((status = 200, body = WatchDocument, description = "Where it stands"), WatchErrors)
)]
pub(super) async fn watch(
    State(api): State<Api>,
    Segment(who): Segment,
) -> Result<Json<WatchDocument>, ErrorBody> {
    let directory = api.directory().await?;
    let presentity = directory.resolve(&who)?;
    api.mesh.watch(presentity).await?;
    let id = presentity.to_string();
    let subscriptions = SubscriptionsDocument::new(&api.mesh.subscriptions().await?, &directory);
    let watched = subscriptions.watching.into_iter().find(|watch| watch.presentity.id == id);
    watched.map(Json).ok_or_else(|| {
        ErrorBody::new(ErrorCode::NotFound, format!("the subscription to {who} was ended at the same time"))
    })
}

/// End a subscription
#[utoipa::path(
    delete,
    path = "/v1/subscriptions/{who}",
    tag = "subscriptions",
    params(("who" = String, Path, description = "Whom: a name, an id or a URI")),
    responses((status = 204, description = "The subscription is ended"), UnwatchErrors)
)]
pub(super) async fn unwatch(State(api): State<Api>, Segment(who): Segment) -> Result<StatusCode, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    if !api.mesh.unwatch(presentity).await? {
        let message = format!("{who} is not watched; `here subscriptions` lists those who are");
        return Err(ErrorBody::new(ErrorCode::NotFound, message));
    }
    Ok(StatusCode::NO_CONTENT)
}
