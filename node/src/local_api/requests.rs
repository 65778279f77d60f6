//! How requests are read: as axum's own extractors do, but every failure is an [`ErrorBody`].

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::BytesRejection},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::{
    REQUEST_BYTES_MAX,
    errors::{ErrorBody, ErrorCode},
};

/// The JSON document in the body, whatever the content type says.
pub(super) struct Document<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Document<T> {
    type Rejection = ErrorBody;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorBody> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            ErrorBody::new(ErrorCode::BadRequest, format!("the body is not the document expected: {error}"))
        })
    }
}

/// The one parameter in the path, percent-decoded.
pub(super) struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ErrorBody;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorBody> {
        let Path(segment) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ErrorBody::new(ErrorCode::BadRequest, rejection.body_text()))?;
        Ok(Self(segment))
    }
}

/// The parameters after the `?`.
pub(super) struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ErrorBody;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorBody> {
        let Query(parameters) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ErrorBody::new(ErrorCode::BadRequest, rejection.body_text()))?;
        Ok(Self(parameters))
    }
}

fn unread(rejection: &BytesRejection) -> ErrorBody {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("the request is over {REQUEST_BYTES_MAX} bytes, which is the limit; send less");
        return ErrorBody::new(ErrorCode::RequestTooLarge, message);
    }
    ErrorBody::new(ErrorCode::BadRequest, rejection.body_text())
}
