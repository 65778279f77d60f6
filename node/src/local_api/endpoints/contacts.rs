//! Petnames: what the PRINCIPAL of this node calls others.

use axum::{Json, extract::State, http::StatusCode};
use hereabouts_protocol::durable::StoredContact;

use super::Api;
use crate::local_api::{
    documents::{ContactsDocument, PetnameDocument, PutContact},
    errors::{ErrorBody, ErrorCode},
    names::check_petname,
    openapi::errors_of,
    requests::{Document, Segment},
};

errors_of!(ListErrors:);
errors_of!(PutErrors:
    BadRequest, RequestTooLarge, UnknownName, AmbiguousName, InvalidPetname, LimitReached, StorageFailed);
errors_of!(RemoveErrors: BadRequest, NotFound, StorageFailed);

/// The petnames
#[utoipa::path(
    get,
    path = "/v1/contacts",
    tag = "contacts",
    responses((status = 200, body = ContactsDocument, description = "The petnames"), ListErrors)
)]
pub(super) async fn contacts(State(api): State<Api>) -> Result<Json<ContactsDocument>, ErrorBody> {
    Ok(Json(ContactsDocument::new(&api.mesh.contacts().await?)))
}

/// Give somebody a petname
///
/// If the petname stood for somebody else it does not any more.
#[utoipa::path(
    put,
    path = "/v1/contacts/{petname}",
    tag = "contacts",
    params(("petname" = String, Path, description = "At most 64 bytes")),
    request_body = PutContact,
    responses((status = 200, body = PetnameDocument, description = "The petname"), PutErrors)
)]
pub(super) async fn put_contact(
    State(api): State<Api>,
    Segment(petname): Segment,
    Document(PutContact { who }): Document<PutContact>,
) -> Result<Json<PetnameDocument>, ErrorBody> {
    check_petname(&petname)?;
    let presentity = api.directory().await?.resolve(&who)?;
    let contact = StoredContact { petname, presentity };
    let document = PetnameDocument::from(&contact);
    api.mesh.put_contact(contact).await?;
    Ok(Json(document))
}

/// Remove a petname
#[utoipa::path(
    delete,
    path = "/v1/contacts/{petname}",
    tag = "contacts",
    params(("petname" = String, Path, description = "The petname, spelt exactly")),
    responses((status = 204, description = "The petname is removed"), RemoveErrors)
)]
pub(super) async fn remove_contact(
    State(api): State<Api>,
    Segment(petname): Segment,
) -> Result<StatusCode, ErrorBody> {
    if !api.mesh.remove_contact(petname.clone()).await? {
        let message = format!("there is no petname {petname:?}; `here contact list` lists those there are");
        return Err(ErrorBody::new(ErrorCode::NotFound, message));
    }
    Ok(StatusCode::NO_CONTENT)
}
