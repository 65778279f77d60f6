//! The description of the API as an OpenAPI document, generated from the handlers and the documents.

use std::collections::BTreeMap;

use utoipa::{
    OpenApi as _,
    openapi::{
        ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
        ServerBuilder,
    },
};

use super::{
    endpoints,
    errors::{ErrorCode, ErrorDocument},
};

/// The whole description; its version is the program's.
pub fn openapi() -> OpenApi {
    endpoints::router().split_for_parts().1
}

/// What the description says of the API as a whole.
pub(super) fn base() -> OpenApi {
    /// The error documents, which [`error_responses`] refers to by name.
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(ErrorDocument)))]
    struct Errors;

    let mut openapi = Errors::openapi();
    openapi.info = InfoBuilder::new()
        .title("Hereabouts local API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()))
        .build();
    let server = ServerBuilder::new()
        .url("http://localhost")
        .description(Some("Through the Unix socket here.sock in the node's home directory"));
    openapi.servers = Some(vec![server.build()]);
    openapi
}

/// The responses of an endpoint that may fail with `codes`, and with those that every endpoint may.
pub(super) fn error_responses(codes: &[ErrorCode]) -> BTreeMap<String, RefOr<Response>> {
    let mut sentences: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for code in codes.iter().chain(&[ErrorCode::Busy, ErrorCode::Stopping]) {
        sentences.entry(code.status().as_u16()).or_default().push(format!("`{code}`: {}", code.meaning()));
    }
    let response = |(status, sentences): (u16, Vec<String>)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorDocument"))).build();
        let response = ResponseBuilder::new()
            .description(sentences.join("\n\n"))
            .content("application/json", content)
            .build();
        (status.to_string(), RefOr::T(response))
    };
    sentences.into_iter().map(response).collect()
}

/// Names the errors of an endpoint as a type that the description of its handler refers to.
macro_rules! errors_of {
    ($name:ident: $($code:ident),* $(,)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::local_api::openapi::error_responses(&[
                    $($crate::local_api::errors::ErrorCode::$code),*
                ])
            }
        }
    };
}
pub(super) use errors_of;

const DESCRIPTION: &str = "\
What the daemon of Hereabouts offers to the programs of its user: who is here, what they say, messages.\n\n\
Try it: `curl --unix-socket ~/.local/state/hereabouts/here.sock http://localhost/v1/presentities`.\n\n\
Wherever a path or a document asks *who*, a petname will do, or a display name that only one presentity \
has (in any letter case), the beginning of a peer id (three characters or more), a whole one, or a `pres:` \
or `im:` URI. A failure answers an `ErrorDocument` with a code for programs and a sentence for people. \
Readers skip over fields they do not know; the node refuses fields that it does not know.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_holds_every_endpoint_and_no_other() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut found = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods =
                item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase()));
            found.extend(methods);
        }
        found.sort();
        assert_eq!(found, ENDPOINTS);
    }

    #[test]
    fn every_reference_in_the_description_leads_somewhere() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > 20);
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
    }

    #[test]
    fn every_endpoint_is_explained_and_says_how_it_fails() {
        let document = serde_json::to_value(openapi()).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
                assert!(operation["responses"]["503"].is_object(), "{method} {path} names no errors");
                let responses = operation["responses"].as_object().unwrap();
                let successes = responses.keys().filter(|status| status.starts_with('2'));
                assert_eq!(successes.count(), 1, "{method} {path}");
                for (status, response) in responses {
                    assert!(
                        response["description"].is_string(),
                        "{method} {path}: {status} is not explained"
                    );
                }
                for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                    let parameters = operation["parameters"].as_array().unwrap();
                    assert!(
                        parameters.iter().any(|parameter| parameter["name"] == name),
                        "{method} {path}: {name}"
                    );
                }
            }
        }
    }

    fn collect_references(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(|reference| reference.as_str()).map(str::to_owned));
                fields.values().for_each(|field| collect_references(field, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
            _ => (),
        }
    }

    const ENDPOINTS: [&str; 44] = [
        "DELETE /v1/access-rules/{whom}",
        "DELETE /v1/contacts/{petname}",
        "DELETE /v1/delegates/{who}",
        "DELETE /v1/delivery-rules/{whose}",
        "DELETE /v1/inbox/{id}",
        "DELETE /v1/outbox/{id}",
        "DELETE /v1/presentities/{who}/watchers",
        "DELETE /v1/subscriptions/{who}",
        "GET /v1/access-rules",
        "GET /v1/contacts",
        "GET /v1/delegates",
        "GET /v1/delivery-rules",
        "GET /v1/events",
        "GET /v1/formats/cpim/{id}",
        "GET /v1/formats/pidf/{who}",
        "GET /v1/formats/presence-rules",
        "GET /v1/formats/winfo",
        "GET /v1/inbox",
        "GET /v1/inbox/{id}",
        "GET /v1/node",
        "GET /v1/openapi.json",
        "GET /v1/outbox",
        "GET /v1/presence",
        "GET /v1/presentities",
        "GET /v1/presentities/{who}",
        "GET /v1/subscriptions",
        "GET /v1/visibility",
        "GET /v1/watchers",
        "POST /v1/formats/cpim",
        "POST /v1/messages",
        "POST /v1/presentities/{who}/fetch",
        "POST /v1/presentities/{who}/watchers",
        "POST /v1/shutdown",
        "PUT /v1/access-rules/{whom}",
        "PUT /v1/contacts/{petname}",
        "PUT /v1/delegates/{who}",
        "PUT /v1/delivery-rules/{whose}",
        "PUT /v1/formats/pidf",
        "PUT /v1/formats/presence-rules",
        "PUT /v1/presence",
        "PUT /v1/presentities/{who}/presence",
        "PUT /v1/presentities/{who}/watchers",
        "PUT /v1/subscriptions/{who}",
        "PUT /v1/visibility",
    ];
}
