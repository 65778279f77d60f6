//! A change of PRESENCE INFORMATION: what somebody says anew, and what it makes of the document.
//!
//! **Decides** what of a document a change replaces, and which changes contradict themselves. **Leaves** the
//! limits of the document to [`PresenceInformation::check`], who may make a change to
//! [`super::delegates`], and when it is published to [`super::publication`].
//!
//! A change is applied to the document as it is then, so that two who change different things at once do not
//! undo each other's. Source: RFC 3903 has documents replaced as a whole, with entity tags to find out who
//! came in between; a change needs none.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::information::{
    Basic, CommunicationAddress, INBOX_TUPLE_ID, Note, OtherPresenceMarkup, PresenceInformation,
    PresenceTuple, Status, Token,
};
use super::user_input::UserInput;
use crate::{identity::InboxAddress, time::UnixTime};

/// A change of PRESENCE INFORMATION. What it does not speak of stays: other tuples, extensions.
///
/// With `basic` it states the STATUS of a tuple as a whole: `further` is replaced, by nothing if it is not
/// given. If that tuple is the inbox, the statement is about the whole PRINCIPAL, so `note`, `activities`
/// and `until` of the document are replaced too, by nothing if they are not given. Without `basic`, and for
/// another tuple, only the fields that are given change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceChange {
    /// The tuple that `basic`, `further` and `address` are about; [`INBOX_TUPLE_ID`] unless given. One that
    /// is not there yet is made.
    pub tuple: Option<Token>,
    /// The STATUS of the tuple.
    pub basic: Option<Basic>,
    /// Values beside it.
    pub further: Option<BTreeSet<Token>>,
    /// The COMMUNICATION ADDRESS of the tuple.
    pub address: Option<CommunicationAddress>,
    /// A sentence for people; an empty text takes it away.
    pub note: Option<Note>,
    /// RPID activities.
    pub activities: Option<BTreeSet<Token>>,
    /// When this stops being true.
    pub until: Option<UnixTime>,
    /// A tuple to be removed.
    pub remove_tuple: Option<Token>,
    /// What the PRINCIPAL calls itself from now on.
    pub display_name: Option<String>,
    /// Whether the device is in use. No statement about the PRINCIPAL takes it back, only another of these.
    pub user_input: Option<UserInputChange>,
}

/// What becomes of the document's user input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserInputChange {
    /// Nothing is said of it any more.
    TakeBack,
    /// This is said from now on.
    Say(UserInput),
}

impl PresenceChange {
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
    ) -> Result<PresenceInformation, PresenceChangeError> {
        if *self == Self::default() {
            return Err(PresenceChangeError::Nothing);
        }
        if self.until.is_some_and(|until| until <= now) {
            return Err(PresenceChangeError::UntilIsOver);
        }
        let mut information = current.clone();
        if let Some(name) = &self.display_name {
            information.display_name.clone_from(name);
        }
        if self.speaks_of_a_tuple() {
            self.apply_to_tuple(&mut information, inbox)?;
        }
        self.apply_to_document(&mut information.markup);
        if let Some(id) = &self.remove_tuple {
            self.remove(id, &mut information)?;
        }
        Ok(information)
    }

    /// The ids of the tuples that it changes, and nothing if it changes more than tuples.
    pub fn only_tuples(&self) -> Option<BTreeSet<&str>> {
        let of_tuple = self.speaks_of_a_tuple().then(|| self.tuple_id());
        // What is said of the inbox is said of the whole PRINCIPAL.
        let more = self.note.is_some()
            || self.activities.is_some()
            || self.until.is_some()
            || self.display_name.is_some()
            || self.user_input.is_some()
            || (self.basic.is_some() && self.tuple_id() == INBOX_TUPLE_ID);
        let removed = self.remove_tuple.as_ref().map(Token::as_str);
        (!more).then(|| of_tuple.into_iter().chain(removed).collect())
    }

    fn speaks_of_a_tuple(&self) -> bool {
        self.tuple.is_some() || self.basic.is_some() || self.further.is_some() || self.address.is_some()
    }

    fn tuple_id(&self) -> &str {
        self.tuple.as_ref().map_or(INBOX_TUPLE_ID, Token::as_str)
    }

    fn apply_to_tuple(
        &self,
        information: &mut PresenceInformation,
        inbox: &InboxAddress,
    ) -> Result<(), PresenceChangeError> {
        let id = self.tuple.clone().unwrap_or_else(Token::inbox);
        if let Some(tuple) = information.tuples.iter_mut().find(|tuple| tuple.id == id) {
            if let Some(basic) = self.basic {
                tuple.status = Status { basic, further: self.further.clone().unwrap_or_default() };
            } else if let Some(further) = &self.further {
                tuple.status.further.clone_from(further);
            }
            if self.address.is_some() {
                tuple.communication_address.clone_from(&self.address);
            }
            return Ok(());
        }
        let basic = self.basic.ok_or_else(|| PresenceChangeError::NewTupleNeedsStatus { id: id.clone() })?;
        let own = || (id == Token::inbox()).then(|| CommunicationAddress::instant_message(inbox));
        information.tuples.push(PresenceTuple {
            communication_address: self.address.clone().or_else(own),
            id,
            status: Status { basic, further: self.further.clone().unwrap_or_default() },
            markup: OtherPresenceMarkup::default(),
        });
        Ok(())
    }

    fn apply_to_document(&self, markup: &mut OtherPresenceMarkup) {
        if self.basic.is_some() && self.tuple_id() == INBOX_TUPLE_ID {
            markup.note = None;
            markup.activities.clear();
            markup.until = None;
        }
        if let Some(note) = &self.note {
            markup.note = (!note.text.is_empty()).then(|| note.clone());
        }
        if let Some(activities) = &self.activities {
            markup.activities.clone_from(activities);
        }
        if self.until.is_some() {
            markup.until = self.until;
        }
        match self.user_input {
            Some(UserInputChange::Say(input)) => markup.user_input = Some(input),
            Some(UserInputChange::TakeBack) => markup.user_input = None,
            None => {}
        }
    }

    fn remove(&self, id: &Token, information: &mut PresenceInformation) -> Result<(), PresenceChangeError> {
        if self.speaks_of_a_tuple() && self.tuple_id() == id.as_str() {
            return Err(PresenceChangeError::SetAndRemoved { id: id.clone() });
        }
        let tuples = information.tuples.len();
        information.tuples.retain(|tuple| tuple.id != *id);
        if information.tuples.len() == tuples {
            let ids: Vec<_> = information.tuples.iter().map(|tuple| tuple.id.as_str()).collect();
            return Err(PresenceChangeError::NoSuchTuple { id: id.clone(), ids: ids.join(", ") });
        }
        Ok(())
    }
}

/// Why a change makes no document. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PresenceChangeError {
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
        id: Token,
    },
    /// One tuple is set and removed at once.
    #[error(
        "the tuple {id} is set and removed at once; do one of the two (to set another, name it as `tuple`)"
    )]
    SetAndRemoved {
        /// The id.
        id: Token,
    },
    /// There is no tuple to be removed.
    #[error("there is no tuple {id} to be removed; there are: {ids}")]
    NoSuchTuple {
        /// The id.
        id: Token,
        /// Those that there are.
        ids: String,
    },
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
