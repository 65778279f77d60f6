//! The handlers: each reads a request, asks the mesh and answers a document.
//!
//! One file per noun, named as in [`super::documents`]. The attribute above a handler is its description in
//! the OpenAPI document, and the only place where its path stands.

mod access;
mod contacts;
mod delegates;
mod delivery;
mod events;
mod formats;
mod messages;
mod node;
mod presence;
mod subscriptions;
mod watchers;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Api, LARGE_REQUEST_BYTES_MAX, openapi};

/// Every endpoint, with its description.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(node::node))
        .routes(routes!(node::shut_down))
        .routes(routes!(node::description))
        .routes(routes!(presence::presentities))
        .routes(routes!(presence::presentity))
        .routes(routes!(presence::fetch))
        .routes(routes!(presence::own_presence, presence::set_presence))
        .routes(routes!(presence::update_presence))
        .routes(routes!(delegates::delegates))
        .routes(routes!(delegates::put_delegate, delegates::remove_delegate))
        .routes(routes!(subscriptions::subscriptions))
        .routes(routes!(subscriptions::watch, subscriptions::unwatch))
        .routes(routes!(messages::send))
        .routes(routes!(messages::inbox))
        .routes(routes!(messages::message, messages::delete_message))
        .routes(routes!(messages::outbox))
        .routes(routes!(messages::cancel))
        .routes(routes!(contacts::contacts))
        .routes(routes!(contacts::put_contact, contacts::remove_contact))
        .routes(routes!(delivery::delivery_rules))
        .routes(routes!(delivery::put_delivery_rule, delivery::remove_delivery_rule))
        .routes(routes!(access::access_rules))
        .routes(routes!(access::put_access_rule, access::remove_access_rule))
        .routes(routes!(watchers::watchers))
        .routes(routes!(watchers::fetch_watchers, watchers::watch_watchers, watchers::unwatch_watchers))
        .routes(routes!(watchers::visibility, watchers::set_visibility))
        .routes(routes!(formats::export_pidf))
        .routes(routes!(formats::import_pidf))
        .routes(routes!(formats::export_winfo))
        .routes(routes!(formats::export_presence_rules))
        .merge(large(OpenApiRouter::new().routes(routes!(formats::import_presence_rules))))
        .routes(routes!(formats::export_cpim))
        .routes(routes!(formats::send_cpim))
        .routes(routes!(events::events))
}

/// The same for documents that may be larger than others.
fn large(router: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    router.layer(DefaultBodyLimit::max(LARGE_REQUEST_BYTES_MAX))
}
