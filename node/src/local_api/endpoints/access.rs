//! ACCESS RULES: what watchers are given of this node's presence.

use axum::{Json, extract::State};
use hereabouts_protocol::presence::access_rules::Audience;

use super::Api;
use crate::local_api::{
    documents::{AccessRuleDocument, AccessRulesDocument},
    errors::{ErrorBody, ErrorCode},
    openapi::errors_of,
    requests::{Document, Segment},
};

errors_of!(ListErrors:);
errors_of!(PutErrors:
    BadRequest, RequestTooLarge, UnknownName, AmbiguousName, InvalidRule, LimitReached, StorageFailed);
errors_of!(RemoveErrors: BadRequest, NotFound, UnknownName, AmbiguousName, InvalidRule, StorageFailed);

/// The access rules
///
/// The rule of a watcher that asks is its own if it has one, else that of the contacts or of the strangers.
/// What goes in the clear is what the rule for anybody and all others grant.
#[utoipa::path(
    get,
    path = "/v1/access-rules",
    tag = "access rules",
    responses((status = 200, body = AccessRulesDocument, description = "The rules in force"), ListErrors)
)]
pub(super) async fn access_rules(State(api): State<Api>) -> Result<Json<AccessRulesDocument>, ErrorBody> {
    rules_now(&api).await
}

/// Set an access rule
///
/// It holds at once, and replaces the one that was set before. What is left out is granted. Whoever is given
/// less than before keeps no key to what follows, and is told if their subscription ends.
#[utoipa::path(
    put,
    path = "/v1/access-rules/{whom}",
    tag = "access rules",
    params(("whom" = String, Path, description = "`anybody`, `contacts`, `strangers`, or who")),
    request_body = AccessRuleDocument,
    responses((status = 200, body = AccessRulesDocument, description = "The rules in force"), PutErrors)
)]
pub(super) async fn put_access_rule(
    State(api): State<Api>,
    Segment(whom): Segment,
    Document(rule): Document<AccessRuleDocument>,
) -> Result<Json<AccessRulesDocument>, ErrorBody> {
    let audience = resolve(&api, &whom).await?;
    let rule = rule.rule().map_err(|error| ErrorBody::new(ErrorCode::InvalidRule, error))?;
    api.mesh.put_access_rule(audience, Some(rule)).await?;
    rules_now(&api).await
}

/// Remove an access rule
///
/// For a watcher the rule of the contacts or of the strangers holds again, for these that of a new node.
#[utoipa::path(
    delete,
    path = "/v1/access-rules/{whom}",
    tag = "access rules",
    params(("whom" = String, Path, description = "`anybody`, `contacts`, `strangers`, or who")),
    responses((status = 200, body = AccessRulesDocument, description = "The rules in force"), RemoveErrors)
)]
pub(super) async fn remove_access_rule(
    State(api): State<Api>,
    Segment(whom): Segment,
) -> Result<Json<AccessRulesDocument>, ErrorBody> {
    let audience = resolve(&api, &whom).await?;
    if api.mesh.access_rules().await?.of(&audience).is_none() {
        let message = format!("no rule was set for {whom:?}; `here access` lists those in force");
        return Err(ErrorBody::new(ErrorCode::NotFound, message));
    }
    api.mesh.put_access_rule(audience, None).await?;
    rules_now(&api).await
}

pub(super) async fn rules_now(api: &Api) -> Result<Json<AccessRulesDocument>, ErrorBody> {
    let rules = api.mesh.access_rules().await?;
    Ok(Json(AccessRulesDocument::new(&rules, &api.directory().await?)))
}

/// The classes come before anybody who calls themselves so.
async fn resolve(api: &Api, whom: &str) -> Result<Audience, ErrorBody> {
    let audience = match whom {
        "anybody" => Audience::Anybody,
        "contacts" => Audience::Contacts,
        "strangers" => Audience::Strangers,
        who => Audience::Watcher(api.directory().await?.resolve(who)?),
    };
    if audience == Audience::Watcher(api.mesh.presentity) {
        let message = "that is this node itself, which sees everything";
        return Err(ErrorBody::new(ErrorCode::InvalidRule, message));
    }
    Ok(audience)
}
