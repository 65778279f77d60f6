//! WHO: which presentity a person means by a word.
//!
//! **Decides** what a name stands for, and under what name somebody is shown. **Leaves** what is known to
//! the mesh. Tried in this order: a whole peer id or a `pres:` or `im:` URI; a petname; a display name;
//! the beginning of a peer id (with or without [`PEER_ID_PREFIX`]) of [`PREFIX_CHARACTERS_MIN`] characters or
//! more. The first kind that fits decides, and if it fits several presentities the word is refused
//! with the candidates: no node may be spoken to by accident.
//!
//! Anybody may claim any display name, so it must not pass for something stronger. Whole ids come first,
//! since a display name can be spelt like one. Petnames come before display names and are found in any
//! letter case, so that a stranger named `Bob` is not taken for the petname `bob`. A display name of
//! [`SHORT_ID_CHARACTERS`] or more that is also the beginning of somebody else's id is ambiguous.

use std::collections::{BTreeMap, BTreeSet};

use hereabouts_protocol::{
    durable::StoredContact,
    identity::{InboxAddress, PEER_ID_PREFIX, Presentity, Realm, SHORT_ID_CHARACTERS},
    presence::service::PresentityView,
};
use thiserror::Error;

use super::documents::PersonDocument;
use crate::mesh::handle::{MeshHandle, Stopped};

/// Everybody who has a name here, at one moment.
#[derive(Debug, Clone)]
pub struct Directory {
    realm: Realm,
    people: BTreeMap<Presentity, Person>,
    petnames: Vec<(String, Presentity)>,
}

#[derive(Debug, Clone, Default)]
struct Person {
    name: Option<String>,
    petname: Option<String>,
}

impl Directory {
    /// The directory of a mesh, as it is now.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn read(mesh: &MeshHandle) -> Result<Self, Stopped> {
        Ok(Self::new(mesh.realm.clone(), &mesh.presentities().await?, &mesh.contacts().await?))
    }

    /// A directory of those who were heard of and those who have petnames.
    pub fn new(realm: Realm, views: &[PresentityView], contacts: &[StoredContact]) -> Self {
        let mut people: BTreeMap<Presentity, Person> = BTreeMap::new();
        for contact in contacts {
            people.entry(contact.presentity).or_default().petname = Some(contact.petname.clone());
        }
        for view in views {
            let person = people.entry(view.presentity).or_default();
            person.name = view.display_name.clone();
            person.petname = view.petname.clone().or_else(|| person.petname.take());
        }
        let petnames = contacts.iter().map(|contact| (contact.petname.clone(), contact.presentity)).collect();
        Self { realm, people, petnames }
    }

    /// The realm that URIs are of.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// What `presentity` is called.
    pub fn person(&self, presentity: &Presentity) -> PersonDocument {
        let person = self.people.get(presentity).cloned().unwrap_or_default();
        PersonDocument {
            id: presentity.to_string(),
            short_id: presentity.short_id(),
            name: person.name,
            petname: person.petname,
        }
    }

    /// Whom `who` means.
    ///
    /// # Errors
    /// If it means nobody, or more than one.
    pub fn resolve(&self, who: &str) -> Result<Presentity, NameError> {
        let who = who.trim();
        if let Some(presentity) = self.whole_id(who)? {
            return Ok(presentity);
        }
        let kinds = [self.with_petname(who), self.with_display_name(who), self.with_id_prefix(who)];
        let found = kinds.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
        match (found.first(), found.len()) {
            (Some(presentity), 1) => Ok(*presentity),
            (None, _) => Err(NameError::Unknown { who: who.to_owned() }),
            _ => Err(NameError::Ambiguous {
                who: who.to_owned(),
                count: found.len(),
                candidates: found.iter().take(CANDIDATES_MAX).map(|one| self.person(one)).collect(),
            }),
        }
    }

    fn whole_id(&self, who: &str) -> Result<Option<Presentity>, NameError> {
        let address = match who.split_once(':') {
            // The two kinds of URI have one form.
            Some(("pres" | "im", rest)) => format!("im:{rest}"),
            _ => return Ok(who.parse().ok()),
        };
        let address: InboxAddress = address
            .parse()
            .map_err(|_| NameError::NotAUri { who: who.to_owned(), realm: self.realm.clone() })?;
        if address.realm != self.realm {
            return Err(NameError::OtherRealm { realm: address.realm, own: self.realm.clone() });
        }
        Ok(Some(address.node))
    }

    fn with_petname(&self, who: &str) -> BTreeSet<Presentity> {
        let exact = self.petnames.iter().find(|(petname, _)| petname == who);
        if let Some((_, presentity)) = exact {
            return BTreeSet::from([*presentity]);
        }
        let same = |petname: &str| petname.to_lowercase() == who.to_lowercase();
        self.petnames.iter().filter(|(petname, _)| same(petname)).map(|(_, presentity)| *presentity).collect()
    }

    fn with_display_name(&self, who: &str) -> BTreeSet<Presentity> {
        let wanted = who.to_lowercase();
        let same = |person: &Person| {
            person
                .name
                .as_deref()
                .is_some_and(|name| !name.is_empty() && name.trim().to_lowercase() == wanted)
        };
        let mut found = self.people_where(|_, person| same(person));
        if !found.is_empty() && who.chars().count() >= SHORT_ID_CHARACTERS {
            found.extend(self.with_id_prefix(who));
        }
        found
    }

    fn with_id_prefix(&self, who: &str) -> BTreeSet<Presentity> {
        if who.strip_prefix(PEER_ID_PREFIX).unwrap_or(who).chars().count() < PREFIX_CHARACTERS_MIN {
            return BTreeSet::new();
        }
        self.people_where(|presentity, _| presentity.matches_prefix(who))
    }

    fn people_where(&self, fits: impl Fn(&Presentity, &Person) -> bool) -> BTreeSet<Presentity> {
        self.people
            .iter()
            .filter(|(presentity, person)| fits(presentity, person))
            .map(|(presentity, _)| *presentity)
            .collect()
    }
}

/// Checks that `petname` can be told from every other way to name somebody, and shown.
///
/// # Errors
/// What is wrong with it.
pub fn check_petname(petname: &str) -> Result<(), PetnameError> {
    if petname.is_empty() || petname.trim() != petname {
        return Err(PetnameError::Blank);
    }
    if petname.len() > PETNAME_BYTES_MAX {
        return Err(PetnameError::TooLong { found: petname.len() });
    }
    if petname.chars().any(char::is_control) {
        return Err(PetnameError::Control);
    }
    let is_uri = matches!(petname.split_once(':'), Some(("pres" | "im", _)));
    if is_uri || petname.parse::<Presentity>().is_ok() {
        return Err(PetnameError::LooksLikeAnId);
    }
    Ok(())
}

/// A word that does not say whom it means.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nobody is called so.
    #[error("nobody here is known as {who:?}; see `here who` for those who are known")]
    Unknown {
        /// The word.
        who: String,
    },
    /// Several are.
    #[error("{who:?} means {count} presentities; name one by the beginning of its id")]
    Ambiguous {
        /// The word.
        who: String,
        /// How many it means.
        count: usize,
        /// The first [`CANDIDATES_MAX`] of them.
        candidates: Vec<PersonDocument>,
    },
    /// It begins like a URI and is none.
    #[error("{who:?} is no address; one looks like pres:12D3KooW…@{realm}.alt")]
    NotAUri {
        /// The word.
        who: String,
        /// This node's realm.
        realm: Realm,
    },
    /// It is a URI of somebody in another realm.
    #[error("that address is of the realm {realm}, and this node is in {own}; realms never mix")]
    OtherRealm {
        /// The URI's.
        realm: Realm,
        /// This node's.
        own: Realm,
    },
}

/// A petname that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PetnameError {
    /// Nothing, or space around it.
    #[error("a petname is not empty and neither begins nor ends with a space")]
    Blank,
    /// Over [`PETNAME_BYTES_MAX`].
    #[error("the petname is {found} bytes, and at most {PETNAME_BYTES_MAX} are allowed")]
    TooLong {
        /// Its size in bytes.
        found: usize,
    },
    /// It has control characters.
    #[error("a petname has no control characters")]
    Control,
    /// It would be taken for a peer id or a URI.
    #[error("a petname must not look like a peer id or an address; choose another name")]
    LooksLikeAnId,
}

/// Bytes of a petname, as many as a display name may have.
pub const PETNAME_BYTES_MAX: usize = hereabouts_protocol::presence::information::DISPLAY_NAME_BYTES_MAX;
/// Candidates that are listed for an ambiguous name.
pub const CANDIDATES_MAX: usize = 16;
/// Characters of a peer id that are enough to look for one.
pub const PREFIX_CHARACTERS_MIN: usize = 3;

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
