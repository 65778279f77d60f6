//! Who else may update this node's PRESENCE INFORMATION.

use axum::{Json, extract::State};

use super::Api;
use crate::local_api::{
    documents::{DelegatesDocument, PutDelegate},
    errors::{ErrorBody, ErrorCode},
    openapi::errors_of,
    requests::{Document, Segment},
};

errors_of!(ListErrors:);
errors_of!(PutErrors:
    BadRequest, RequestTooLarge, UnknownName, AmbiguousName, InvalidRule, LimitReached, StorageFailed);
errors_of!(RemoveErrors: BadRequest, NotFound, UnknownName, AmbiguousName, StorageFailed);

/// Who else may update this node's presence
#[utoipa::path(
    get,
    path = "/v1/delegates",
    tag = "delegates",
    responses((status = 200, body = DelegatesDocument, description = "All of them"), ListErrors)
)]
pub(super) async fn delegates(State(api): State<Api>) -> Result<Json<DelegatesDocument>, ErrorBody> {
    all(&api).await
}

/// Let somebody else update this node's presence
///
/// All of it, or only the named tuples. Replaces what they were let before.
#[utoipa::path(
    put,
    path = "/v1/delegates/{who}",
    tag = "delegates",
    params(("who" = String, Path, description = "Whom: a name, an id or a URI")),
    request_body = PutDelegate,
    responses((status = 200, body = DelegatesDocument, description = "All of them"), PutErrors)
)]
pub(super) async fn put_delegate(
    State(api): State<Api>,
    Segment(who): Segment,
    Document(delegate): Document<PutDelegate>,
) -> Result<Json<DelegatesDocument>, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    let tuples =
        delegate.tuples().map_err(|error| ErrorBody::new(ErrorCode::BadRequest, error.to_string()))?;
    api.mesh.set_delegate(presentity, Some(tuples)).await?;
    all(&api).await
}

/// Let somebody update this node's presence no more
#[utoipa::path(
    delete,
    path = "/v1/delegates/{who}",
    tag = "delegates",
    params(("who" = String, Path, description = "Whom: a name, an id or a URI")),
    responses((status = 200, body = DelegatesDocument, description = "All of them"), RemoveErrors)
)]
pub(super) async fn remove_delegate(
    State(api): State<Api>,
    Segment(who): Segment,
) -> Result<Json<DelegatesDocument>, ErrorBody> {
    let presentity = api.directory().await?.resolve(&who)?;
    if !api.mesh.set_delegate(presentity, None).await? {
        let message = format!("{who} may update nothing; `here delegates` lists who may");
        return Err(ErrorBody::new(ErrorCode::NotFound, message));
    }
    all(&api).await
}

async fn all(api: &Api) -> Result<Json<DelegatesDocument>, ErrorBody> {
    Ok(Json(DelegatesDocument::new(&api.mesh.delegates().await?, &api.directory().await?)))
}
