//! PRESENCE INFORMATION: what a PRESENTITY says about itself.
//!
//! The document of RFC 2778 section 3: one or more PRESENCE TUPLES, each with a STATUS, optionally a
//! COMMUNICATION ADDRESS (means and contact address, two fields) and OTHER PRESENCE MARKUP. The vocabulary
//! is PIDF's and RPID's (RFC 3863, RFC 4480), so the document can be written in those formats. OPEN and
//! CLOSED exclude each other by type, and every further value, known to this build or not, combines with
//! either. Unknown extensions are kept as bytes.
//!
//! What only a [`PresenceInformation::check`] can tell (sizes, counts, unique tuple ids, that neither OPEN
//! nor CLOSED is among the further values) is checked once where a document enters: when its owner sets it
//! and when a record is decoded. The record holds the sum against its own limit.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::user_input::{self, UserInput};
use crate::{identity::InboxAddress, time::UnixTime};

/// Names and values this build need not understand, kept and forwarded untouched. A name is a token, an
/// `x-` name or an absolute URI.
pub type Extensions = BTreeMap<String, Vec<u8>>;

/// PRESENCE INFORMATION (RFC 2778): the presence document of one PRESENTITY.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceInformation {
    /// What the PRINCIPAL calls itself. A hint: two presentities may claim one name.
    pub display_name: String,
    /// One to [`TUPLES_MAX`] tuples with distinct ids.
    pub tuples: Vec<PresenceTuple>,
    /// What holds for the PRINCIPAL rather than for one tuple (RFC 4479's person).
    pub markup: OtherPresenceMarkup,
}

impl PresenceInformation {
    /// A document of one OPEN tuple that takes instant messages at `inbox`.
    pub fn open(display_name: impl Into<String>, inbox: &InboxAddress) -> Self {
        Self {
            display_name: display_name.into(),
            tuples: vec![PresenceTuple {
                id: Token::known(INBOX_TUPLE_ID),
                status: Status { basic: Basic::Open, further: BTreeSet::new() },
                communication_address: Some(CommunicationAddress::instant_message(inbox)),
                markup: OtherPresenceMarkup::default(),
            }],
            markup: OtherPresenceMarkup::default(),
        }
    }

    /// The first tuple whose COMMUNICATION MEANS is instant messaging.
    pub fn instant_message_tuple(&self) -> Option<&PresenceTuple> {
        self.tuples.iter().find(|tuple| {
            tuple.communication_address.as_ref().is_some_and(CommunicationAddress::is_for_instant_messages)
        })
    }

    /// The tuple that stands for the whole where there is room for one: the one for instant messages, or
    /// else the first.
    pub fn leading_tuple(&self) -> Option<&PresenceTuple> {
        self.instant_message_tuple().or_else(|| self.tuples.first())
    }

    /// Where and whether this PRESENTITY takes instant messages, read from its document.
    pub fn instant_inbox(&self) -> Option<(InboxAddress, Basic)> {
        let tuple = self.instant_message_tuple()?;
        Some((tuple.instant_inbox()?, tuple.status.basic))
    }

    /// Lets the tuple of this node's own inbox name `inbox`: its address differs when the document was set in
    /// another realm.
    pub fn move_inbox(&mut self, inbox: &InboxAddress) {
        for tuple in self.tuples.iter_mut().filter(|tuple| tuple.id.as_str() == INBOX_TUPLE_ID) {
            tuple.communication_address = Some(CommunicationAddress::instant_message(inbox));
        }
    }

    /// Checks every limit of this module.
    ///
    /// # Errors
    /// The first limit that does not hold.
    pub fn check(&self) -> Result<(), InformationError> {
        at_most("display name", self.display_name.len(), DISPLAY_NAME_BYTES_MAX)?;
        at_most("number of tuples", self.tuples.len(), TUPLES_MAX)?;
        if self.tuples.is_empty() {
            return Err(InformationError::NoTuple);
        }
        let mut ids = BTreeSet::new();
        for tuple in &self.tuples {
            if !ids.insert(&tuple.id) {
                return Err(InformationError::TupleIdTwice);
            }
            at_most("number of status values", tuple.status.further.len(), VALUES_MAX)?;
            for basic in [Basic::Open, Basic::Closed] {
                if tuple.status.further.iter().any(|value| value.as_str() == basic.as_str()) {
                    return Err(InformationError::BasicAmongFurther { basic });
                }
            }
            if let Some(address) = &tuple.communication_address {
                at_most("contact address", address.contact.len(), CONTACT_BYTES_MAX)?;
            }
            tuple.markup.check()?;
        }
        self.markup.check()
    }
}

/// PRESENCE TUPLE (RFC 2778): a STATUS, an optional COMMUNICATION ADDRESS, OTHER PRESENCE MARKUP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceTuple {
    /// Stable between documents, so that a WATCHER can compare tuples.
    pub id: Token,
    /// Whether the associated inbox takes messages, and more.
    pub status: Status,
    /// How and where to reach the PRINCIPAL; a tuple without one is legal.
    pub communication_address: Option<CommunicationAddress>,
    /// What else is said of this tuple.
    pub markup: OtherPresenceMarkup,
}

impl PresenceTuple {
    /// The INSTANT INBOX that it names, if it names one.
    pub fn instant_inbox(&self) -> Option<InboxAddress> {
        let address = self.communication_address.as_ref().filter(|address| address.is_for_instant_messages());
        address?.contact.parse().ok()
    }

    /// Whether the tuple is about `inbox`.
    pub fn is_for(&self, inbox: &InboxAddress) -> bool {
        self.communication_address.as_ref() == Some(&CommunicationAddress::instant_message(inbox))
    }
}

/// STATUS (RFC 2778): OPEN or CLOSED, and any further values beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The two values that exclude each other.
    pub basic: Basic,
    /// Values that combine, such as `away`, `xa`, `busy`, `dnd`, `chat`; neither `open` nor `closed`. `away`
    /// does not imply CLOSED.
    pub further: BTreeSet<Token>,
}

/// The two STATUS values that RFC 2778 defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basic {
    /// The associated INSTANT INBOX accepts messages.
    Open,
    /// The associated INSTANT INBOX accepts no messages.
    Closed,
}

impl Basic {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// COMMUNICATION ADDRESS (RFC 2778): COMMUNICATION MEANS and CONTACT ADDRESS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommunicationAddress {
    /// The method, for example `im` or `tel`.
    pub means: Token,
    /// The point of contact for that method, a URI; for `im` an INSTANT INBOX ADDRESS.
    pub contact: String,
}

impl CommunicationAddress {
    /// Whether the method is instant messaging.
    pub fn is_for_instant_messages(&self) -> bool {
        self.means.as_str() == MEANS_INSTANT_MESSAGE
    }

    /// The address of an INSTANT INBOX.
    pub fn instant_message(inbox: &InboxAddress) -> Self {
        Self { means: Token::known(MEANS_INSTANT_MESSAGE), contact: inbox.to_string() }
    }
}

/// OTHER PRESENCE MARKUP (RFC 2778): whatever else is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "MarkupOnTheWire<'_>")]
pub struct OtherPresenceMarkup {
    /// A sentence for people.
    pub note: Option<Note>,
    /// RPID activities (RFC 4480 section 3.2), see [`ACTIVITIES`]; others are kept.
    pub activities: BTreeSet<Token>,
    /// When this stops being true. The PRESENTITY's node then goes back to plain OPEN.
    pub until: Option<UnixTime>,
    /// Whether the device is in use.
    pub user_input: Option<UserInput>,
    /// What this build need not understand.
    pub extensions: Extensions,
}

impl OtherPresenceMarkup {
    fn check(&self) -> Result<(), InformationError> {
        if let Some(note) = &self.note {
            at_most("note", note.text.len(), NOTE_BYTES_MAX)?;
            at_most("language tag", note.language.as_ref().map_or(0, String::len), LANGUAGE_BYTES_MAX)?;
        }
        at_most("number of activities", self.activities.len(), VALUES_MAX)?;
        let own = self.extensions.get(user_input::NAME);
        if own.is_some_and(|value| self.user_input.is_some() || UserInput::of_value(value).is_some()) {
            return Err(InformationError::UserInputTwice);
        }
        // It travels as one of them.
        let count = self.extensions.len() + usize::from(self.user_input.is_some());
        at_most("number of extensions", count, EXTENSIONS_MAX)?;
        check_extensions(&self.extensions)
    }
}

impl Serialize for OtherPresenceMarkup {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { note, activities, until, user_input, extensions } = self;
        let mut extensions = Cow::Borrowed(extensions);
        if let Some(input) = user_input {
            extensions.to_mut().insert(user_input::NAME.to_owned(), input.value());
        }
        let (note, activities) = (Cow::Borrowed(note), Cow::Borrowed(activities));
        MarkupOnTheWire { note, activities, until: *until, extensions }.serialize(serializer)
    }
}

/// OTHER PRESENCE MARKUP as records have it since their first format: what came later is an extension there.
#[derive(Serialize, Deserialize)]
struct MarkupOnTheWire<'m> {
    note: Cow<'m, Option<Note>>,
    activities: Cow<'m, BTreeSet<Token>>,
    until: Option<UnixTime>,
    extensions: Cow<'m, Extensions>,
}

impl From<MarkupOnTheWire<'_>> for OtherPresenceMarkup {
    fn from(read: MarkupOnTheWire<'_>) -> Self {
        let mut extensions = read.extensions.into_owned();
        Self {
            note: read.note.into_owned(),
            activities: read.activities.into_owned(),
            until: read.until,
            user_input: UserInput::take(&mut extensions),
            extensions,
        }
    }
}

/// A note and the language it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The text, shown to people with control characters removed.
    pub text: String,
    /// A BCP 47 tag such as `en`, if known.
    pub language: Option<String>,
}

/// A word of a vocabulary that may grow: 1 to 32 of `a-z`, `0-9`, `-`, `_`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Token(String);

impl Token {
    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the tuple that a node publishes for its own INSTANT INBOX.
    pub fn inbox() -> Self {
        Self::known(INBOX_TUPLE_ID)
    }

    fn known(word: &str) -> Self {
        Self(word.to_owned())
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Token {
    type Err = InformationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        let begins_with_letter = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if !begins_with_letter || text.len() > TOKEN_BYTES_MAX || !text.bytes().all(word) {
            return Err(InformationError::NotAToken);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Checks the limits of an extension map.
///
/// # Errors
/// The first limit that does not hold.
pub fn check_extensions(extensions: &Extensions) -> Result<(), InformationError> {
    at_most("number of extensions", extensions.len(), EXTENSIONS_MAX)?;
    for (name, value) in extensions {
        at_most("extension name", name.len(), EXTENSION_NAME_BYTES_MAX)?;
        at_most("extension value", value.len(), EXTENSION_VALUE_BYTES_MAX)?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(InformationError::ExtensionName);
        }
    }
    Ok(())
}

fn at_most(what: &'static str, found: usize, limit: usize) -> Result<(), InformationError> {
    if found > limit { Err(InformationError::TooMuch { what, found, limit }) } else { Ok(()) }
}

/// A presence document that cannot be published or accepted. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InformationError {
    /// RFC 2778 asks for one tuple at least.
    #[error("presence information needs at least one tuple")]
    NoTuple,
    /// Two tuples share an id.
    #[error("two tuples have the same id")]
    TupleIdTwice,
    /// OPEN or CLOSED stands beside the one of them that is the STATUS.
    #[error("{basic} cannot go with another status: open and closed exclude each other; give one of them")]
    BasicAmongFurther {
        /// Which of them.
        basic: Basic,
    },
    /// Some part is larger than its limit (bytes, or a count).
    #[error("the {what} is {found}, and at most {limit} is allowed")]
    TooMuch {
        /// Which part.
        what: &'static str,
        /// Its size in bytes, or its count.
        found: usize,
        /// The limit in the same unit.
        limit: usize,
    },
    /// A status, activity, means or tuple id is no word.
    #[error("a word is 1 to 32 of a-z, 0-9, '-' and '_', beginning with a letter")]
    NotAToken,
    /// An extension has the name that user input travels under, and says the like.
    #[error("`user-input` is not set as an extension but as what it is")]
    UserInputTwice,
    /// An extension without a printable name.
    #[error("an extension needs a printable name")]
    ExtensionName,
}

/// The id of the tuple that a node publishes for its own INSTANT INBOX.
pub const INBOX_TUPLE_ID: &str = "inbox";
/// The COMMUNICATION MEANS of instant messages.
pub const MEANS_INSTANT_MESSAGE: &str = "im";

/// The further STATUS values that this build offers (XMPP's `show` and RPID's `busy`).
pub const FURTHER_STATUS_VALUES: [&str; 5] = ["away", "busy", "chat", "dnd", "xa"];

/// RPID's activities (RFC 4480 section 3.2). `unknown` stands alone, by the RFC.
pub const ACTIVITIES: [&str; 27] = [
    "appointment",
    "away",
    "breakfast",
    "busy",
    "dinner",
    "holiday",
    "in-transit",
    "looking-for-work",
    "lunch",
    "meal",
    "meeting",
    "on-the-phone",
    "other",
    "performance",
    "permanent-absence",
    "playing",
    "presentation",
    "shopping",
    "sleeping",
    "spectator",
    "steering",
    "travel",
    "tv",
    "unknown",
    "vacation",
    "working",
    "worship",
];

/// Bytes of a display name.
pub const DISPLAY_NAME_BYTES_MAX: usize = 64;
/// Tuples in one document.
pub const TUPLES_MAX: usize = 8;
/// Bytes of a note.
pub const NOTE_BYTES_MAX: usize = 256;
/// Bytes of a CONTACT ADDRESS.
pub const CONTACT_BYTES_MAX: usize = 256;
/// Entries of an extension map.
pub const EXTENSIONS_MAX: usize = 16;
/// Bytes of an extension's name.
pub const EXTENSION_NAME_BYTES_MAX: usize = 64;
/// Bytes of an extension's value.
pub const EXTENSION_VALUE_BYTES_MAX: usize = 512;
/// Further status values of one tuple, and activities of one markup.
pub const VALUES_MAX: usize = 8;
const TOKEN_BYTES_MAX: usize = 32;
/// The longest tag that BCP 47 asks implementations to handle.
const LANGUAGE_BYTES_MAX: usize = 35;

#[cfg(test)]
#[path = "information_tests.rs"]
mod tests;
