//! The change of PRESENCE INFORMATION that a person makes, and what it makes of the document.

use std::collections::BTreeSet;

use hereabouts_protocol::{
    identity::{IdentityError, InboxAddress},
    presence::information::{
        Basic, CommunicationAddress, INBOX_TUPLE_ID, InformationError, OtherPresenceMarkup,
        PresenceInformation, PresenceTuple, Status, Token,
    },
    time::UnixTime,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::{BasicWord, DocumentTime, NoteDocument};

/// A change of this node's PRESENCE INFORMATION. What it does not speak of stays: other tuples, extensions.
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
}

impl SetPresence {
    /// The document that the change makes of `current`. `inbox` is the address that an inbox tuple gets
    /// when it has to be made anew. The limits of a document are not checked here.
    ///
    /// # Errors
    /// What the change leaves open or contradicts.
    pub fn apply(
        &self,
        current: &PresenceInformation,
        inbox: &InboxAddress,
        now: UnixTime,
    ) -> Result<PresenceInformation, SetPresenceError> {
        if *self == Self::default() {
            return Err(SetPresenceError::Nothing);
        }
        if self.until.is_some_and(|until| until.0 <= now) {
            return Err(SetPresenceError::UntilIsOver);
        }
        let mut information = current.clone();
        if let Some(name) = &self.display_name {
            information.display_name.clone_from(name);
        }
        if self.speaks_of_a_tuple() {
            self.apply_to_tuple(&mut information, inbox)?;
        }
        self.apply_to_document(&mut information.markup)?;
        if let Some(id) = &self.remove_tuple {
            self.remove(id, &mut information)?;
        }
        Ok(information)
    }

    fn speaks_of_a_tuple(&self) -> bool {
        self.tuple.is_some()
            || self.basic.is_some()
            || self.further.is_some()
            || self.means.is_some()
            || self.contact.is_some()
    }

    fn tuple_id(&self) -> &str {
        self.tuple.as_deref().unwrap_or(INBOX_TUPLE_ID)
    }

    fn apply_to_tuple(
        &self,
        information: &mut PresenceInformation,
        inbox: &InboxAddress,
    ) -> Result<(), SetPresenceError> {
        let id: Token = word("tuple", self.tuple_id())?;
        let address = self.communication_address()?;
        let further = self.further_values()?;
        if let Some(tuple) = information.tuples.iter_mut().find(|tuple| tuple.id == id) {
            if let Some(basic) = self.basic {
                tuple.status = Status { basic: basic.into(), further: further.unwrap_or_default() };
            } else if let Some(further) = further {
                tuple.status.further = further;
            }
            if address.is_some() {
                tuple.communication_address = address;
            }
            return Ok(());
        }
        let basic: Basic =
            self.basic.ok_or_else(|| SetPresenceError::NewTupleNeedsStatus { id: id.to_string() })?.into();
        let own = || (id.as_str() == INBOX_TUPLE_ID).then(|| CommunicationAddress::instant_message(inbox));
        information.tuples.push(PresenceTuple {
            communication_address: address.or_else(own),
            id,
            status: Status { basic, further: further.unwrap_or_default() },
            markup: OtherPresenceMarkup::default(),
        });
        Ok(())
    }

    fn further_values(&self) -> Result<Option<BTreeSet<Token>>, SetPresenceError> {
        self.further.as_deref().map(|values| words("further", values)).transpose()
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

    fn apply_to_document(&self, markup: &mut OtherPresenceMarkup) -> Result<(), SetPresenceError> {
        if self.basic.is_some() && self.tuple_id() == INBOX_TUPLE_ID {
            markup.note = None;
            markup.activities.clear();
            markup.until = None;
        }
        if let Some(note) = &self.note {
            markup.note = (!note.text.is_empty()).then(|| note.clone().into());
        }
        if let Some(activities) = &self.activities {
            markup.activities = words("activities", activities)?;
        }
        if let Some(until) = self.until {
            markup.until = Some(until.0);
        }
        Ok(())
    }

    fn remove(&self, id: &str, information: &mut PresenceInformation) -> Result<(), SetPresenceError> {
        if self.speaks_of_a_tuple() && self.tuple_id() == id {
            return Err(SetPresenceError::SetAndRemoved { id: id.to_owned() });
        }
        let tuples = information.tuples.len();
        information.tuples.retain(|tuple| tuple.id.as_str() != id);
        if information.tuples.len() == tuples {
            let ids: Vec<_> = information.tuples.iter().map(|tuple| tuple.id.as_str()).collect();
            return Err(SetPresenceError::NoSuchTuple { id: id.to_owned(), ids: ids.join(", ") });
        }
        Ok(())
    }
}

/// Why a change makes no document. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetPresenceError {
    /// No field is given.
    #[error("nothing is to be set; name a status (open or closed), a note, or what else is to change")]
    Nothing,
    /// The end lies in the past.
    #[error("`until` lies in the past; name a time to come")]
    UntilIsOver,
    /// A tuple that is not there yet is given no STATUS.
    #[error("there is no tuple {id} yet, and a new one needs a status (open or closed)")]
    NewTupleNeedsStatus {
        /// The id.
        id: String,
    },
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
    /// One tuple is set and removed at once.
    #[error(
        "the tuple {id} is set and removed at once; do one of the two (to set another, name it as `tuple`)"
    )]
    SetAndRemoved {
        /// The id.
        id: String,
    },
    /// There is no tuple to be removed.
    #[error("there is no tuple {id} to be removed; there are: {ids}")]
    NoSuchTuple {
        /// The id.
        id: String,
        /// Those that there are.
        ids: String,
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

fn words(field: &'static str, texts: &[String]) -> Result<BTreeSet<Token>, SetPresenceError> {
    texts.iter().map(|text| word(field, text)).collect()
}

fn word(field: &'static str, text: &str) -> Result<Token, SetPresenceError> {
    text.parse().map_err(|error| SetPresenceError::NotAWord { field, text: text.to_owned(), error })
}
