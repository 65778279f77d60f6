//! Petnames: what this node's PRINCIPAL calls others, who are its contacts by that.

use std::collections::{BTreeMap, BTreeSet};

use crate::{durable::StoredContact, identity::Presentity};

/// Names for presentities, found from both ends.
#[derive(Debug, Default)]
pub(super) struct Petnames {
    whom: BTreeMap<String, Presentity>,
    names: BTreeMap<Presentity, BTreeSet<String>>,
}

impl Petnames {
    pub(super) fn new(contacts: impl IntoIterator<Item = StoredContact>) -> Self {
        let mut petnames = Self::default();
        for contact in contacts {
            petnames.put(contact);
        }
        petnames
    }

    /// Lets a name stand for somebody; for whom it stood before.
    pub(super) fn put(&mut self, contact: StoredContact) -> Option<Presentity> {
        let StoredContact { petname, presentity } = contact;
        let before = self.remove(&petname);
        self.names.entry(presentity).or_default().insert(petname.clone());
        self.whom.insert(petname, presentity);
        before
    }

    /// Lets a name stand for nobody; for whom it stood before.
    pub(super) fn remove(&mut self, petname: &str) -> Option<Presentity> {
        let before = self.whom.remove(petname)?;
        if let Some(names) = self.names.get_mut(&before) {
            names.remove(petname);
            if names.is_empty() {
                self.names.remove(&before);
            }
        }
        Some(before)
    }

    /// Whether somebody has a petname.
    pub(super) fn names(&self, presentity: &Presentity) -> bool {
        self.names.contains_key(presentity)
    }

    /// The first petname of somebody.
    pub(super) fn of(&self, presentity: &Presentity) -> Option<&String> {
        self.names.get(presentity)?.first()
    }

    /// Those who have one.
    pub(super) fn contacts(&self) -> impl Iterator<Item = Presentity> + '_ {
        self.names.keys().copied()
    }

    pub(super) fn to_store(&self) -> Vec<StoredContact> {
        let contact = |(petname, presentity): (&String, &Presentity)| StoredContact {
            petname: petname.clone(),
            presentity: *presentity,
        };
        self.whom.iter().map(contact).collect()
    }
}
