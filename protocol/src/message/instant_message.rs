//! INSTANT MESSAGES: identifiable, small units of data to be delivered to an INSTANT INBOX.
//!
//! The id is 128 random bits (RFC 5438 asks for 64 at least) and unique per sender; a retry reuses it, so
//! that the receiver can remove duplicates. The content is labelled with a MIME type and may be anything up
//! to [`BODY_BYTES_MAX`]. The outcome of a delivery is one of three, as RFC 3860 has it: delivered (stored
//! durably, which says nothing of whether it was read), failed for a reason, or indeterminate.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    identity::{InboxAddress, Presentity},
    presence::information::{Extensions, InformationError, check_extensions},
    time::UnixTime,
};

/// INSTANT MESSAGE (RFC 2778).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstantMessage {
    /// Unique for its sender; a retry keeps it.
    pub id: MessageId,
    /// The SENDER. The receiver demands that it is the peer that the connection authenticated.
    pub from: Presentity,
    /// The INSTANT INBOX it is for.
    pub to: InboxAddress,
    /// When the sender's clock says it was written. Shown, never trusted.
    pub sent_at: UnixTime,
    /// Messages of one conversation share this.
    pub thread: Option<MessageId>,
    /// Where a reply goes (RFC 2779 4.1.3); nowhere if the sender takes none.
    pub reply_to: Option<InboxAddress>,
    /// The MIME type of the body, such as `text/plain; charset=utf-8`.
    pub content_type: String,
    /// A BCP 47 tag such as `en`, if known.
    pub language: Option<String>,
    /// The content.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// What this build need not understand, kept.
    pub extensions: Extensions,
}

impl InstantMessage {
    /// Checks the limits of this module.
    ///
    /// # Errors
    /// [`MessageError::BodyTooLarge`], or what else does not hold.
    pub fn check(&self) -> Result<(), MessageError> {
        if self.body.len() > BODY_BYTES_MAX {
            return Err(MessageError::BodyTooLarge { found: self.body.len() });
        }
        let type_is_shown = self.content_type.chars().all(|character| (' '..='~').contains(&character));
        if self.content_type.len() > CONTENT_TYPE_BYTES_MAX
            || !self.content_type.contains('/')
            || !type_is_shown
        {
            return Err(MessageError::ContentType);
        }
        if self.language.as_ref().is_some_and(|tag| tag.len() > LANGUAGE_BYTES_MAX) {
            return Err(MessageError::Language);
        }
        check_extensions(&self.extensions).map_err(MessageError::Extensions)
    }

    /// The body as text, if its type says that it is and it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        self.content_type.starts_with("text/").then(|| std::str::from_utf8(&self.body).ok()).flatten()
    }
}

/// The id of an INSTANT MESSAGE: 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// An id from its bytes, which the caller drew at random.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| MessageError::Id)?;
        Ok(Self(bytes.try_into().map_err(|_| MessageError::Id)?))
    }
}

/// How a delivery ended (RFC 2779 4.2.1, RFC 3860).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delivery {
    /// The receiver stored it durably, now or earlier.
    Delivered,
    /// It is not stored and will not be.
    Failed(FailureReason),
    /// No answer came: it may be stored or not. A retry with the same id is safe.
    Indeterminate,
}

/// Why a message was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureReason {
    /// The inbox's STATUS is CLOSED. Also what a politely blocked sender is told.
    Closed,
    /// DELIVERY RULES forbid it.
    Denied,
    /// The sender named in the message is not the one that the connection authenticated.
    Unauthenticated,
    /// Too many messages from this sender in too short a time.
    RateLimited,
    /// The body is over the limit.
    TooLarge,
    /// The node keeps no inbox of this address.
    NoSuchInbox,
    /// The inbox holds as many messages as it may, or cannot store more.
    InboxFull,
    /// The inbox takes no content of this type.
    UnsupportedType,
    /// The frame could not be understood.
    Malformed,
    /// Its time was over before it could be stored.
    Expired,
    /// The node could not be reached, so nothing was handed over.
    Unreachable,
}

impl FailureReason {
    /// Every reason, in the order of the wire.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Denied,
        Self::Unauthenticated,
        Self::RateLimited,
        Self::TooLarge,
        Self::NoSuchInbox,
        Self::InboxFull,
        Self::UnsupportedType,
        Self::Malformed,
        Self::Expired,
        Self::Unreachable,
    ];

    /// The reason as it is written in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Denied => "denied",
            Self::Unauthenticated => "unauthenticated",
            Self::RateLimited => "rate-limited",
            Self::TooLarge => "too-large",
            Self::NoSuchInbox => "no-such-inbox",
            Self::InboxFull => "inbox-full",
            Self::UnsupportedType => "unsupported-type",
            Self::Malformed => "malformed",
            Self::Expired => "expired",
            Self::Unreachable => "unreachable",
        }
    }

    /// Whether the same message may be taken later, so that a queued one keeps waiting: a CLOSED inbox
    /// opens, a full one is emptied, a node comes back.
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::Closed | Self::RateLimited | Self::InboxFull | Self::Unreachable)
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An INSTANT MESSAGE that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The body is over [`BODY_BYTES_MAX`].
    #[error("the message is {found} bytes, and at most {BODY_BYTES_MAX} are allowed")]
    BodyTooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// The content type is no printable ASCII `type/subtype` of at most 127 bytes.
    #[error("the content type is not a MIME type such as text/plain")]
    ContentType,
    /// The language tag is over 35 bytes.
    #[error("the language tag is too long")]
    Language,
    /// The extension map breaks its limits.
    #[error(transparent)]
    Extensions(InformationError),
    /// The text is not 32 hexadecimal digits.
    #[error("a message id is 32 hexadecimal digits")]
    Id,
}

/// Bytes of a body: 16 KiB. A longer content belongs in a file.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
const CONTENT_TYPE_BYTES_MAX: usize = 127;
/// The longest tag that BCP 47 asks implementations to handle.
const LANGUAGE_BYTES_MAX: usize = 35;

#[cfg(test)]
#[path = "instant_message_tests.rs"]
mod tests;
