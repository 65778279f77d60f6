//! How a command that could not do its work says so: a sentence, a code, and an exit code.
//!
//! Errors travel as [`anyhow::Error`]; this module is the one place that looks into them. Errors of the
//! local API keep their code and candidates, [`Failure`] is for those that arise here, and whatever else
//! comes is `failed` with its chain of causes.

use serde_json::json;

use super::{
    exit::Exit,
    output::{Output, OutputClosed},
    sanitise,
};
use crate::{
    local_api::{
        client::ClientError,
        documents::PersonDocument,
        errors::{ErrorBody, ErrorCode, ErrorDocument},
    },
    storage::home::HomeError,
};

/// An error that arises in the command line itself and has a code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(in crate::agents) struct Failure {
    exit: Exit,
    code: &'static str,
    message: String,
}

impl Failure {
    /// A failure that ends with `exit`; `code` is for programs, and `message` says what to do.
    pub(in crate::agents) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into() }
    }
}

/// Says what went wrong, as text on standard error or as a document on standard output.
pub(in crate::agents) fn report(error: &anyhow::Error, output: &Output) -> Exit {
    if error.downcast_ref::<OutputClosed>().is_some_and(OutputClosed::is_reader_gone) {
        return Exit::Done;
    }
    let (exit, code) = match (error.downcast_ref::<ClientError>(), error.downcast_ref::<Failure>()) {
        (Some(ClientError::Refused(body)), _) => {
            say(output, &ErrorDocument { error: body.clone() }, &with_candidates(body));
            return exit_of(body.code);
        }
        (Some(error @ ClientError::NotRunning { .. }), _) => (Exit::NoNode, error.code()),
        (Some(error), _) => (Exit::Failed, error.code()),
        (None, Some(failure)) => (failure.exit, failure.code),
        (None, None) => of_home(error),
    };
    let message = with_causes(error);
    say(output, &json!({ "error": { "code": code, "message": message } }), &message);
    exit
}

fn of_home(error: &anyhow::Error) -> (Exit, &'static str) {
    match error.downcast_ref::<HomeError>() {
        Some(HomeError::AlreadyRunning { .. }) => (Exit::NoNode, "already-running"),
        Some(_) => (Exit::Failed, "home"),
        None => (Exit::Failed, "failed"),
    }
}

fn say(output: &Output, document: &impl serde::Serialize, text: &str) {
    if !output.json || output.document(document).is_err() {
        output.notice(sanitise::text(text));
    }
}

/// The error and its causes, without those that the error before them has put into words already.
fn with_causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.is_empty() {
            cause
        } else if told.contains(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    })
}

fn with_candidates(body: &ErrorBody) -> String {
    let mut text = body.message.clone();
    for candidate in &body.candidates {
        text.push_str(&format!("\n  {}", line(candidate)));
    }
    text
}

fn line(candidate: &PersonDocument) -> String {
    let called = [candidate.petname.as_deref(), candidate.name.as_deref()].into_iter().flatten();
    let names: Vec<_> = called.map(sanitise::line).filter(|name| !name.is_empty()).collect();
    format!("{}  {}", candidate.short_id, names.join(" / "))
}

const fn exit_of(code: ErrorCode) -> Exit {
    use hereabouts_protocol::message::instant_message::FailureReason;
    match code {
        ErrorCode::UnknownName | ErrorCode::AmbiguousName | ErrorCode::NeverHeard => Exit::UnknownName,
        ErrorCode::MessageTooLarge => Exit::NotDelivered(FailureReason::TooLarge),
        ErrorCode::NotAllowed | ErrorCode::Unconfirmed => Exit::NotAllowed,
        ErrorCode::NoInbox | ErrorCode::Withheld => Exit::NotDelivered(FailureReason::NoSuchInbox),
        ErrorCode::InvalidMessage => Exit::NotDelivered(FailureReason::Malformed),
        ErrorCode::Stopping => Exit::NoNode,
        ErrorCode::BadRequest
        | ErrorCode::BadCursor
        | ErrorCode::RequestTooLarge
        | ErrorCode::NotFound
        | ErrorCode::MethodNotAllowed
        | ErrorCode::AmbiguousId
        | ErrorCode::InvalidPresence
        | ErrorCode::InvalidPetname
        | ErrorCode::InvalidRecipient
        | ErrorCode::InvalidRule
        | ErrorCode::NotWaiting
        | ErrorCode::TooFast
        | ErrorCode::Unanswered
        | ErrorCode::LimitReached
        | ErrorCode::StorageFailed
        | ErrorCode::Busy => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::{Context as _, anyhow};

    use super::{super::output::tests::Written, *};

    fn reported(error: &anyhow::Error, json: bool) -> (Exit, String) {
        let written = Written::default();
        let exit = report(error, &Output::into_writer(written.clone(), json));
        (exit, written.text())
    }

    fn ambiguous() -> anyhow::Error {
        let candidate = |short_id: &str, name: &str| PersonDocument {
            id: format!("12D3KooW{short_id}"),
            short_id: short_id.to_owned(),
            name: Some(name.to_owned()),
            petname: None,
        };
        let body = ErrorBody {
            code: ErrorCode::AmbiguousName,
            message: "\"bob\" means 2 presentities".to_owned(),
            candidates: vec![candidate("AAAAAAAA", "Bob"), candidate("BBBBBBBB", "bob\u{1b}[2J\nx")],
        };
        ClientError::Refused(body).into()
    }

    #[test]
    fn an_ambiguous_name_lists_the_candidates_without_their_tricks() {
        let (exit, text) = reported(&ambiguous(), false);
        assert_eq!(exit, Exit::UnknownName);
        assert_eq!(text, "here: \"bob\" means 2 presentities\n  AAAAAAAA  Bob\n  BBBBBBBB  bob[2J x\n");
        let (_, json) = reported(&ambiguous(), true);
        let document: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(document["error"]["code"], "ambiguous-name");
        assert_eq!(document["error"]["candidates"][1]["short_id"], "BBBBBBBB");
    }

    #[test]
    fn any_other_error_is_told_with_its_causes() {
        let error =
            Err::<(), _>(io::Error::other("disk on fire")).context("cannot read the text").unwrap_err();
        assert_eq!(
            reported(&error, false),
            (Exit::Failed, "here: cannot read the text: disk on fire\n".to_owned())
        );
        let told =
            Err::<(), _>(io::Error::other("disk on fire")).context("no store: disk on fire").unwrap_err();
        assert_eq!(reported(&told, false).1, "here: no store: disk on fire\n", "no cause is told twice");
        let (exit, json) =
            reported(&anyhow!(Failure::new(Exit::NoNode, "no-node", "no node runs here")), true);
        assert_eq!(exit, Exit::NoNode);
        assert_eq!(json, "{\"error\":{\"code\":\"no-node\",\"message\":\"no node runs here\"}}\n");
    }
}
