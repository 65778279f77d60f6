//! The change of PRESENCE INFORMATION that a person makes, as a document.

use std::collections::BTreeSet;

use hereabouts_protocol::{
    identity::{IdentityError, InboxAddress},
    presence::{
        change::{PresenceChange, UserInputChange},
        information::{CommunicationAddress, InformationError, Token},
    },
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::{BasicWord, DocumentTime, NoteDocument, UserInputDocument};

/// A change of PRESENCE INFORMATION. What it does not speak of stays: other tuples, extensions.
///
/// With `basic` it states the STATUS of a tuple as a whole: `further` is replaced, by nothing if it is not
/// given. If that tuple is the inbox, the statement is about the whole PRINCIPAL, so `note`, `activities`
/// and `until` of the document are replaced too, by nothing if they are not given. Without `basic`, and for
/// another tuple, only the fields that are given change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SetPresence {
    /// The tuple that `basic`, `further`, `means` and `contact` are about; `inbox` unless given. One that is
    /// not there yet is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuple: Option<String>,
    /// The STATUS of the tuple.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicWord>,
    /// Values beside it, such as `away`, `busy`, `chat`, `dnd`, `xa`; any word will do, except `open` and
    /// `closed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub further: Option<Vec<String>>,
    /// A sentence for people; an empty text takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<NoteDocument>,
    /// RPID activities, such as `meeting`; any word will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activities: Option<Vec<String>>,
    /// When this stops being true and the node goes back to plain open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DocumentTime>,
    /// The COMMUNICATION MEANS of the tuple; goes with `contact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<String>,
    /// The CONTACT ADDRESS of the tuple, a URI; goes with `means`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// The id of a tuple to be removed. The last one cannot be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_tuple: Option<String>,
    /// What this node's PRINCIPAL calls itself from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Whether the device is in use; `"none"` if nothing is to be said of it any more. No other field
    /// replaces it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_input: Option<SetUserInput>,
}

/// What is to be said of user input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "\"none\", or an object with a `state`, active or idle")]
pub enum SetUserInput {
    /// Nothing.
    Nothing(NoneWord),
    /// This.
    Said(UserInputDocument),
}

/// The word for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NoneWord {
    /// Nothing.
    None,
}

impl From<SetUserInput> for UserInputChange {
    fn from(set: SetUserInput) -> Self {
        match set {
            SetUserInput::Nothing(NoneWord::None) => Self::TakeBack,
            SetUserInput::Said(input) => Self::Say(input.into()),
        }
    }
}

impl SetPresence {
    /// The change that is meant.
    ///
    /// # Errors
    /// What in it is no word or address.
    pub fn change(&self) -> Result<PresenceChange, SetPresenceError> {
        Ok(PresenceChange {
            tuple: self.tuple.as_deref().map(|id| word("tuple", id)).transpose()?,
            basic: self.basic.map(Into::into),
            further: self.further.as_deref().map(|values| words("further", values)).transpose()?,
            address: self.communication_address()?,
            note: self.note.clone().map(Into::into),
            activities: self.activities.as_deref().map(|values| words("activities", values)).transpose()?,
            until: self.until.map(|until| until.0),
            remove_tuple: self.remove_tuple.as_deref().map(|id| word("remove_tuple", id)).transpose()?,
            display_name: self.display_name.clone(),
            user_input: self.user_input.map(Into::into),
        })
    }

    fn communication_address(&self) -> Result<Option<CommunicationAddress>, SetPresenceError> {
        match (&self.means, &self.contact) {
            (Some(means), Some(contact)) => {
                let address = CommunicationAddress { means: word("means", means)?, contact: contact.clone() };
                // Other systems have im: addresses of their own (RFC 3860); those of this one end so.
                if address.is_for_instant_messages() && contact.ends_with(".alt") {
                    let parsed = contact.parse::<InboxAddress>();
                    parsed.map_err(|error| SetPresenceError::NoInbox { contact: contact.clone(), error })?;
                }
                Ok(Some(address))
            }
            (None, None) => Ok(None),
            _ => Err(SetPresenceError::HalfAnAddress),
        }
    }
}

/// Why what is to be set is no change. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetPresenceError {
    /// Only one of means and contact is given.
    #[error("`means` and `contact` are one address: give both or neither")]
    HalfAnAddress,
    /// The contact of instant messages is no address of an inbox.
    #[error("{contact:?} is no address for instant messages: {error}; `here id` shows that of a node")]
    NoInbox {
        /// What was given.
        contact: String,
        /// What an address is.
        error: IdentityError,
    },
    /// Something is no word.
    #[error("{text:?} cannot stand in `{field}`: {error}")]
    NotAWord {
        /// The field.
        field: &'static str,
        /// What stood there.
        text: String,
        /// What a word is.
        error: InformationError,
    },
}

pub(super) fn words(field: &'static str, texts: &[String]) -> Result<BTreeSet<Token>, SetPresenceError> {
    texts.iter().map(|text| word(field, text)).collect()
}

fn word(field: &'static str, text: &str) -> Result<Token, SetPresenceError> {
    text.parse().map_err(|error| SetPresenceError::NotAWord { field, text: text.to_owned(), error })
}
