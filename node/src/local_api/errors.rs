//! What the API answers when something cannot be done.
//!
//! One document for every failure: a code that programs branch on, and a sentence for people that says what
//! to do. The HTTP status is coarser. Codes are a promise; the list is [`ErrorCode`].

use std::fmt;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hereabouts_protocol::{
    message::instant_message::MessageError,
    node::DraftError,
    presence::{access_rules::AccessRuleError, delegates::DelegateError},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::{
    documents::{PersonDocument, SetPresenceError},
    names::{NameError, PetnameError},
};
use crate::{
    mesh::{
        events::CursorError,
        handle::{
            AccessRuleFailure, ContactError, FetchError, InboxError, RuleError, SendError, SetDelegateError,
            SetError, Stopped, UpdateError, VisibilityError, WatchError,
        },
    },
    storage::StorageError,
};

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDocument {
    /// The error.
    pub error: ErrorBody,
}

/// What went wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize, ToSchema)]
#[error("{message}")]
pub struct ErrorBody {
    /// For programs.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
    /// Those an ambiguous name may mean; left out of other errors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<PersonDocument>,
}

impl ErrorBody {
    /// An error without candidates.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), candidates: Vec::new() }
    }
}

/// Defines [`ErrorCode`] in one table: what it means, its name, its word in documents, its HTTP status.
macro_rules! error_codes {
    ($($meaning:literal $name:ident $word:literal $status:ident;)*) => {
        /// What went wrong, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum ErrorCode {
            $(#[doc = $meaning] $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as documents write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The HTTP status that carries this code.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// What the code means, in a sentence or two.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

error_codes! {
    "The request cannot be understood: no JSON, a field unknown or missing, a parameter out of range."
    BadRequest "bad-request" BAD_REQUEST;
    "What is given as a cursor is none."
    BadCursor "bad-cursor" BAD_REQUEST;
    "The body of the request is over its limit."
    RequestTooLarge "request-too-large" PAYLOAD_TOO_LARGE;
    "There is no such path, message, petname or subscription."
    NotFound "not-found" NOT_FOUND;
    "The path knows other methods."
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED;
    "The name stands for nobody."
    UnknownName "unknown-name" NOT_FOUND;
    "The name stands for several, who are listed as candidates."
    AmbiguousName "ambiguous-name" CONFLICT;
    "The id stands for several messages."
    AmbiguousId "ambiguous-id" CONFLICT;
    "Whom the name means is clear, but nothing was ever heard of them and their node cannot be reached."
    NeverHeard "never-heard" NOT_FOUND;
    "The presentity does not let this node see its presence, or change it."
    NotAllowed "not-allowed" FORBIDDEN;
    "The presentity decides on each watcher, and has not yet on this node. A subscription asks for that."
    Unconfirmed "unconfirmed" FORBIDDEN;
    "The presentity's node was asked too often. The message says when to ask again."
    TooFast "too-fast" TOO_MANY_REQUESTS;
    "The other node gave no answer."
    Unanswered "unanswered" GATEWAY_TIMEOUT;
    "The change makes no presence document that can be published. The old one stands."
    InvalidPresence "invalid-presence" UNPROCESSABLE_ENTITY;
    "The petname cannot be used."
    InvalidPetname "invalid-petname" UNPROCESSABLE_ENTITY;
    "The delivery or access rule cannot be. The old one stands."
    InvalidRule "invalid-rule" UNPROCESSABLE_ENTITY;
    "The message breaks a limit other than that of its size. It was not sent."
    InvalidMessage "invalid-message" UNPROCESSABLE_ENTITY;
    "The recipient is this node itself, or in another realm. The message was not sent."
    InvalidRecipient "invalid-recipient" UNPROCESSABLE_ENTITY;
    "The body of the message is over its limit. It was not sent."
    MessageTooLarge "message-too-large" UNPROCESSABLE_ENTITY;
    "The recipient's presence is withheld, and the address of the inbox with it. The message was not sent."
    Withheld "withheld" CONFLICT;
    "The recipient publishes no inbox for instant messages. The message was not sent."
    NoInbox "no-inbox" CONFLICT;
    "The message does not wait any more."
    NotWaiting "not-waiting" CONFLICT;
    "As many as there may be are there already."
    LimitReached "limit-reached" CONFLICT;
    "The store failed."
    StorageFailed "storage-failed" INTERNAL_SERVER_ERROR;
    "Too many requests or event streams at the same time."
    Busy "busy" SERVICE_UNAVAILABLE;
    "The node is stopping."
    Stopping "stopping" SERVICE_UNAVAILABLE;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl IntoResponse for ErrorBody {
    fn into_response(self) -> Response {
        (self.code.status(), Json(ErrorDocument { error: self })).into_response()
    }
}

impl From<Stopped> for ErrorBody {
    fn from(error: Stopped) -> Self {
        Self::new(ErrorCode::Stopping, format!("{error}; start it anew with `here up`"))
    }
}

impl From<StorageError> for ErrorBody {
    fn from(error: StorageError) -> Self {
        let code = match error {
            StorageError::Busy => ErrorCode::Busy,
            StorageError::Closed => ErrorCode::Stopping,
            _ => ErrorCode::StorageFailed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<NameError> for ErrorBody {
    fn from(error: NameError) -> Self {
        let message = error.to_string();
        match error {
            NameError::Ambiguous { candidates, .. } => {
                Self { code: ErrorCode::AmbiguousName, message, candidates }
            }
            NameError::Unknown { .. } | NameError::NotAUri { .. } | NameError::OtherRealm { .. } => {
                Self::new(ErrorCode::UnknownName, message)
            }
        }
    }
}

impl From<PetnameError> for ErrorBody {
    fn from(error: PetnameError) -> Self {
        Self::new(ErrorCode::InvalidPetname, error.to_string())
    }
}

impl From<SetPresenceError> for ErrorBody {
    fn from(error: SetPresenceError) -> Self {
        Self::new(ErrorCode::InvalidPresence, error.to_string())
    }
}

impl From<CursorError> for ErrorBody {
    fn from(error: CursorError) -> Self {
        Self::new(ErrorCode::BadCursor, error.to_string())
    }
}

impl From<MessageError> for ErrorBody {
    fn from(error: MessageError) -> Self {
        let code = match error {
            MessageError::BodyTooLarge { .. } => ErrorCode::MessageTooLarge,
            MessageError::Id => ErrorCode::BadRequest,
            MessageError::ContentType | MessageError::Language | MessageError::Extensions(_) => {
                ErrorCode::InvalidMessage
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<SetError> for ErrorBody {
    fn from(error: SetError) -> Self {
        match error {
            SetError::Stopped(stopped) => stopped.into(),
            SetError::Change(_) | SetError::Information(_) | SetError::RecordTooLarge { .. } => {
                Self::new(ErrorCode::InvalidPresence, error.to_string())
            }
        }
    }
}

impl From<UpdateError> for ErrorBody {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Stopped(stopped) => stopped.into(),
            UpdateError::Refused => Self::new(ErrorCode::NotAllowed, error.to_string()),
            UpdateError::Invalid { .. } => Self::new(ErrorCode::InvalidPresence, error.to_string()),
            UpdateError::Unanswered => Self::new(ErrorCode::Unanswered, error.to_string()),
        }
    }
}

impl From<SetDelegateError> for ErrorBody {
    fn from(error: SetDelegateError) -> Self {
        match error {
            SetDelegateError::Stopped(stopped) => stopped.into(),
            SetDelegateError::Storage(storage) => storage.into(),
            SetDelegateError::Delegate(DelegateError::TooMany) => {
                Self::new(ErrorCode::LimitReached, error.to_string())
            }
            SetDelegateError::Delegate(DelegateError::TooManyTuples) => {
                Self::new(ErrorCode::InvalidRule, error.to_string())
            }
        }
    }
}

impl From<FetchError> for ErrorBody {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Stopped(stopped) => stopped.into(),
            FetchError::Unknown => Self::new(ErrorCode::NeverHeard, error.to_string()),
            FetchError::Refused { .. } => Self::new(ErrorCode::NotAllowed, error.to_string()),
            FetchError::Unconfirmed => Self::new(ErrorCode::Unconfirmed, error.to_string()),
            FetchError::TooFast { .. } => Self::new(ErrorCode::TooFast, error.to_string()),
        }
    }
}

impl From<WatchError> for ErrorBody {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Stopped(stopped) => stopped.into(),
            WatchError::TooMany { .. } => Self::new(ErrorCode::LimitReached, error.to_string()),
        }
    }
}

impl From<SendError> for ErrorBody {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Stopped(stopped) => stopped.into(),
            SendError::Draft(DraftError::Message(message)) => message.into(),
            SendError::Draft(ref draft) => {
                let code = match draft {
                    DraftError::NeverHeard => ErrorCode::NeverHeard,
                    DraftError::Withheld => ErrorCode::Withheld,
                    DraftError::NoInbox | DraftError::NoSuchTuple { .. } => ErrorCode::NoInbox,
                    DraftError::OutboxFull { .. } => ErrorCode::LimitReached,
                    DraftError::Oneself | DraftError::OtherRealm | DraftError::Message(_) => {
                        ErrorCode::InvalidRecipient
                    }
                };
                Self::new(code, error.to_string())
            }
            SendError::Storage(_) => Self::new(ErrorCode::StorageFailed, error.to_string()),
        }
    }
}

impl From<InboxError> for ErrorBody {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Stopped(stopped) => stopped.into(),
            InboxError::Storage(storage) => storage.into(),
        }
    }
}

impl From<RuleError> for ErrorBody {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::Stopped(stopped) => stopped.into(),
            RuleError::Storage(storage) => storage.into(),
            RuleError::Rule(_) => Self::new(ErrorCode::InvalidRule, error.to_string()),
            RuleError::TooMany { .. } => Self::new(ErrorCode::LimitReached, error.to_string()),
        }
    }
}

impl From<AccessRuleFailure> for ErrorBody {
    fn from(error: AccessRuleFailure) -> Self {
        match error {
            AccessRuleFailure::Stopped(stopped) => stopped.into(),
            AccessRuleFailure::Storage(storage) => storage.into(),
            AccessRuleFailure::Rule(AccessRuleError::TooManyWatchers | AccessRuleError::TooManyViews) => {
                Self::new(ErrorCode::LimitReached, error.to_string())
            }
            AccessRuleFailure::Rule(_) | AccessRuleFailure::RecordTooLarge { .. } => {
                Self::new(ErrorCode::InvalidRule, error.to_string())
            }
        }
    }
}

impl From<VisibilityError> for ErrorBody {
    fn from(error: VisibilityError) -> Self {
        match error {
            VisibilityError::Stopped(stopped) => stopped.into(),
            VisibilityError::Storage(storage) => storage.into(),
            VisibilityError::TooMany => Self::new(ErrorCode::LimitReached, error.to_string()),
        }
    }
}

impl From<ContactError> for ErrorBody {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::Stopped(stopped) => stopped.into(),
            ContactError::Storage(storage) => storage.into(),
            ContactError::TooMany { .. } => Self::new(ErrorCode::LimitReached, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn every_code_is_the_same_word_in_the_table_in_documents_and_in_the_description() {
        let words: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(serde_json::to_value(ErrorCode::ALL).unwrap(), json!(words));
        assert_eq!(serde_json::to_value(ErrorCode::schema()).unwrap()["enum"], json!(words));
    }

    #[test]
    fn candidates_are_named_only_where_there_are_some() {
        let plain = ErrorDocument { error: ErrorBody::new(ErrorCode::NotFound, "no such thing") };
        let expected = json!({"error": {"code": "not-found", "message": "no such thing"}});
        assert_eq!(serde_json::to_value(&plain).unwrap(), expected);
        assert_eq!(serde_json::from_value::<ErrorDocument>(expected).unwrap(), plain);

        let bob = |id: &str| PersonDocument {
            id: id.to_owned(),
            short_id: id.to_owned(),
            name: Some("bob".to_owned()),
            petname: None,
        };
        let candidates = vec![bob("1"), bob("2")];
        let ambiguous =
            NameError::Ambiguous { who: "bob".to_owned(), count: 2, candidates: candidates.clone() };
        let error = ErrorBody::from(ambiguous);
        assert_eq!((error.code, error.code.status()), (ErrorCode::AmbiguousName, StatusCode::CONFLICT));
        assert_eq!(error.candidates, candidates);
    }
}
