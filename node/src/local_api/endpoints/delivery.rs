//! DELIVERY RULES: whose messages the inbox takes.

use axum::{Json, extract::State};
use hereabouts_protocol::message::delivery_rules::Whose;

use super::Api;
use crate::local_api::{
    documents::{DeliveryRuleDocument, DeliveryRulesDocument},
    errors::{ErrorBody, ErrorCode},
    openapi::errors_of,
    requests::{Document, Segment},
};

errors_of!(ListErrors:);
errors_of!(PutErrors:
    BadRequest, RequestTooLarge, UnknownName, AmbiguousName, InvalidRule, LimitReached, StorageFailed);
errors_of!(RemoveErrors: BadRequest, NotFound, UnknownName, AmbiguousName, StorageFailed);

/// The delivery rules
///
/// The rule of a sender is its own if it has one, else that of the contacts or of the strangers.
#[utoipa::path(
    get,
    path = "/v1/delivery-rules",
    tag = "delivery rules",
    responses((status = 200, body = DeliveryRulesDocument, description = "The rules in force"), ListErrors)
)]
pub(super) async fn delivery_rules(State(api): State<Api>) -> Result<Json<DeliveryRulesDocument>, ErrorBody> {
    rules_now(&api).await
}

/// Set a delivery rule
///
/// It holds for the next message, and replaces the one that was set before. What is left out demands nothing.
#[utoipa::path(
    put,
    path = "/v1/delivery-rules/{whose}",
    tag = "delivery rules",
    params(("whose" = String, Path, description = "`contacts`, `strangers`, or who")),
    request_body = DeliveryRuleDocument,
    responses((status = 200, body = DeliveryRulesDocument, description = "The rules in force"), PutErrors)
)]
pub(super) async fn put_delivery_rule(
    State(api): State<Api>,
    Segment(whose): Segment,
    Document(rule): Document<DeliveryRuleDocument>,
) -> Result<Json<DeliveryRulesDocument>, ErrorBody> {
    let whose = resolve(&api, &whose).await?;
    api.mesh.put_delivery_rule(whose, rule.into()).await?;
    rules_now(&api).await
}

/// Remove a delivery rule
///
/// For a sender the rule of the contacts or of the strangers holds again, for these what holds in a new node.
#[utoipa::path(
    delete,
    path = "/v1/delivery-rules/{whose}",
    tag = "delivery rules",
    params(("whose" = String, Path, description = "`contacts`, `strangers`, or who")),
    responses((status = 200, body = DeliveryRulesDocument, description = "The rules in force"), RemoveErrors)
)]
pub(super) async fn remove_delivery_rule(
    State(api): State<Api>,
    Segment(whose): Segment,
) -> Result<Json<DeliveryRulesDocument>, ErrorBody> {
    let found = resolve(&api, &whose).await?;
    if !api.mesh.remove_delivery_rule(found).await? {
        let message = format!("no rule was set for {whose:?}; `here delivery` lists those in force");
        return Err(ErrorBody::new(ErrorCode::NotFound, message));
    }
    rules_now(&api).await
}

async fn rules_now(api: &Api) -> Result<Json<DeliveryRulesDocument>, ErrorBody> {
    let rules = api.mesh.delivery_rules().await?;
    Ok(Json(DeliveryRulesDocument::new(&rules, &api.directory().await?)))
}

/// The two kinds come before anybody who calls themselves so.
async fn resolve(api: &Api, whose: &str) -> Result<Whose, ErrorBody> {
    Ok(match whose {
        "contacts" => Whose::Contacts,
        "strangers" => Whose::Strangers,
        who => Whose::Sender(api.directory().await?.resolve(who)?),
    })
}
