//! The formats that others read: PIDF, watcher information, presence rules and Message/CPIM.
//!
//! **Decides** how the values of this crate are written in the formats that the IETF defined for RFC 2778's
//! terms, and what is read from them. **Leaves** files, media types of requests and what becomes of the
//! values to whoever calls. Nothing here is spoken between nodes: that is [`crate::wire`].
//!
//! One promise holds for all four: what was exported and is imported is the same value again. Where a format
//! has no place for something, or XML cannot carry a character, the exact value stands beside in an element
//! or header of [`EXTENSION_NAMESPACE`], and other readers find the nearest thing that the format knows. The
//! other way round, what a document says and this build does not model is kept in an extension map and
//! written back, or refused by name, but not dropped unless the module says so.
//!
//! Whatever is imported may come from anywhere: no input makes an importer panic, recurse deeply or take
//! memory out of proportion, and an error names the element or header and what was expected. Document types
//! and with them entities are refused. Limits: [`DOCUMENT_BYTES_MAX`] for what speaks of one presentity or
//! message, [`LIST_BYTES_MAX`] for lists, [`ELEMENTS_MAX`], [`DEPTH_MAX`] and [`ATTRIBUTES_MAX`].

pub mod cpim;
mod date_time;
pub mod pidf;
pub mod presence_rules;
pub mod winfo;
mod xml;

use thiserror::Error;

use crate::{
    identity::{Presentity, Realm},
    message::instant_message::MessageError,
    presence::{
        access_rules::AccessRuleError,
        information::{Extensions, InformationError, check_extensions},
    },
};

/// The namespace of what the formats have no word for: a tag URI (RFC 4151), which needs no registration. Its
/// authority is a name under `.alt` (RFC 9476), as the addresses' is, so DNS can never give it to another.
pub const EXTENSION_NAMESPACE: &str = "tag:hereabouts.alt,2026:presence";

/// Bytes of a document about one presentity, or of one message. What fits into a record or frame stays far
/// below, however it is escaped.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a list of watchers or rules, which people import from their own files. The longest that a node
/// keeps fit: a thousand rules need 2 MiB, four thousand watchers that hide from many need 14 MiB.
pub const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Elements of a document.
pub const ELEMENTS_MAX: usize = 64 * 1024;
/// Elements inside each other, the outermost among them.
pub const DEPTH_MAX: usize = 32;
/// Attributes and namespace declarations of one element.
pub const ATTRIBUTES_MAX: usize = 64;

/// A document that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatError {
    /// It is too long.
    #[error("the document is {found} bytes, and at most {limit} are taken")]
    TooLong {
        /// Its size in bytes.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It has more elements, or more attributes in one, than are taken.
    #[error("the document has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It has a document type, by which it could define entities.
    #[error("the document has a document type declaration, and none is taken")]
    DocumentType,
    /// It is not well-formed, or its namespaces are not.
    #[error("not well-formed XML at byte {at}: {problem}")]
    Malformed {
        /// Where.
        at: usize,
        /// What the parser says.
        problem: String,
    },
    /// It is another kind of document.
    #[error("the document is a <{found}>, and a <{expected}> was expected")]
    Root {
        /// The root element, with its namespace in braces.
        found: String,
        /// The one that was expected, likewise.
        expected: String,
    },
    /// An element lacks a child.
    #[error("<{element}> lacks {expected}")]
    Missing {
        /// The element.
        element: String,
        /// What it lacks.
        expected: &'static str,
    },
    /// An element lacks an attribute.
    #[error("<{element}> lacks the attribute {attribute}")]
    MissingAttribute {
        /// The element.
        element: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// An element stands where the format has no place for it, or once too often.
    #[error("<{element}> has no place for <{found}>")]
    Unexpected {
        /// The element.
        element: String,
        /// What it holds.
        found: String,
    },
    /// An element or attribute says something else than it may.
    #[error("{place} says {found:?}, and {expected} was expected")]
    Content {
        /// The element as `<name>`, or the attribute as `<name> attribute`.
        place: String,
        /// What it says, or the beginning of it.
        found: String,
        /// What it may say.
        expected: &'static str,
    },
    /// What this build does not know cannot be kept.
    #[error("{what} is not known here and cannot be kept: {reason}")]
    CannotKeep {
        /// The element or header.
        what: String,
        /// The limit that it breaks.
        reason: InformationError,
    },
    /// The presence document breaks a limit.
    #[error(transparent)]
    Information(#[from] InformationError),
    /// The rule cannot be set.
    #[error("the rule {rule} cannot be set: {reason}")]
    Rule {
        /// The rule's id.
        rule: String,
        /// Why.
        reason: AccessRuleError,
    },
    /// What a rule says in the standard's words is not what it says in ours.
    #[error("the {part} of rule {rule} are not those of its <access-rule>: change both, or let `here` do it")]
    RuleDisagrees {
        /// The rule's id.
        rule: String,
        /// `actions` or `transformations`.
        part: &'static str,
    },
    /// The message breaks a limit.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The headers end in something else than CR LF, or do not end.
    #[error("line {line} of the headers is not ended by CR LF, or is not UTF-8")]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// A header breaks the syntax or says something else than it may.
    #[error("the header {header} should be {expected}")]
    Header {
        /// The header, or the beginning of its line.
        header: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A header is missing.
    #[error("the header {header} is missing")]
    MissingHeader {
        /// Which.
        header: &'static str,
    },
    /// A header that may be there once is there again.
    #[error("the header {header} is there twice")]
    HeaderTwice {
        /// Which.
        header: String,
    },
    /// The sender requires that a header is understood, and it is not.
    #[error("the message requires that the header {header} is understood, and it is not")]
    Required {
        /// Which.
        header: String,
    },
}

/// The presentity and realm of a URI `scheme:<PeerId>@<realm>.alt`.
fn presentity_of(uri: &str, scheme: &str) -> Option<(Presentity, Realm)> {
    let (key, domain) = uri.strip_prefix(scheme)?.strip_prefix(':')?.split_once('@')?;
    Some((key.parse().ok()?, domain.strip_suffix(".alt")?.parse().ok()?))
}

/// Puts an entry into an extension map, unless it breaks the map's limits.
fn keep(
    extensions: &mut Extensions,
    name: String,
    value: Vec<u8>,
    what: impl FnOnce() -> String,
) -> Result<(), FormatError> {
    extensions.insert(name, value);
    check_extensions(extensions).map_err(|reason| FormatError::CannotKeep { what: what(), reason })
}

/// A text as it is shown in an error: its beginning.
fn shown(text: &str) -> String {
    const CHARACTERS_MAX: usize = 60;
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}
