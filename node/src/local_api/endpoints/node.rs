//! The node itself: what it is, how it is stopped, what the API is.

use axum::{Json, extract::State, http::StatusCode};

use super::Api;
use crate::local_api::{
    documents::NodeDocument,
    errors::ErrorBody,
    openapi::{self, errors_of},
};

errors_of!(NodeErrors:);

/// Which node answers
#[utoipa::path(
    get,
    path = "/v1/node",
    tag = "node",
    responses((status = 200, body = NodeDocument, description = "Which node this is"), NodeErrors)
)]
pub(super) async fn node(State(api): State<Api>) -> Result<Json<NodeDocument>, ErrorBody> {
    Ok(Json(NodeDocument::read(&api.mesh, &api.socket).await?))
}

/// Stop the node
///
/// The node says goodbye to the others and writes everything to disk; then this answers. The process ends
/// shortly after.
#[utoipa::path(
    post,
    path = "/v1/shutdown",
    tag = "node",
    responses((status = 204, description = "The node has left the mesh"), NodeErrors)
)]
pub(super) async fn shut_down(State(api): State<Api>) -> StatusCode {
    tracing::info!("told to stop through the local API");
    api.mesh.shut_down().await;
    StatusCode::NO_CONTENT
}

/// This description
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "node",
    responses((status = 200, body = serde_json::Value, description = "An OpenAPI document"), NodeErrors)
)]
pub(super) async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi::openapi())
}
