//! Who else may update the PRESENCE INFORMATION of a PRESENTITY (RFC 2779 2.3.4).
//!
//! **Decides** whether a change of one who is no longer the PRINCIPAL's own user agent is taken. **Leaves**
//! who asks to the connection, which authenticates it. A delegate signs nothing: the presentity's own node
//! takes the change over, signs the record, and so remains the only one whose word counts; while that node is
//! out of contact nobody can update anything.
//!
//! A delegate may change everything, or only tuples that are named. Limits: [`DELEGATES_MAX`] of them,
//! [`TUPLES_MAX`] tuples each.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    change::PresenceChange,
    information::{TUPLES_MAX, Token},
};
use crate::identity::Presentity;

/// Who else may update a PRESENTITY's document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Delegate>", into = "Vec<Delegate>")]
pub struct Delegates(BTreeMap<Presentity, BTreeSet<Token>>);

impl Delegates {
    /// All of them, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Presentity, &BTreeSet<Token>)> {
        self.0.iter()
    }

    /// Lets `delegate` change these tuples, or everything if none is named; replaces what it was let before.
    ///
    /// # Errors
    /// The limit that does not hold; nothing was changed.
    pub fn put(&mut self, delegate: Presentity, tuples: BTreeSet<Token>) -> Result<(), DelegateError> {
        if tuples.len() > TUPLES_MAX {
            return Err(DelegateError::TooManyTuples);
        }
        if !self.0.contains_key(&delegate) && self.0.len() >= DELEGATES_MAX {
            return Err(DelegateError::TooMany);
        }
        self.0.insert(delegate, tuples);
        Ok(())
    }

    /// Lets `delegate` change nothing any more; whether it was let anything.
    pub fn remove(&mut self, delegate: &Presentity) -> bool {
        self.0.remove(delegate).is_some()
    }

    /// Whether `who` may make this change.
    pub fn allow(&self, who: &Presentity, change: &PresenceChange) -> bool {
        let Some(tuples) = self.0.get(who) else { return false };
        let named = |id: &str| tuples.iter().any(|tuple| tuple.as_str() == id);
        tuples.is_empty() || change.only_tuples().is_some_and(|ids| ids.into_iter().all(named))
    }
}

/// One of [`Delegates`], as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Delegate {
    presentity: Presentity,
    tuples: BTreeSet<Token>,
}

impl From<Vec<Delegate>> for Delegates {
    fn from(delegates: Vec<Delegate>) -> Self {
        Self(delegates.into_iter().map(|delegate| (delegate.presentity, delegate.tuples)).collect())
    }
}

impl From<Delegates> for Vec<Delegate> {
    fn from(delegates: Delegates) -> Self {
        delegates.0.into_iter().map(|(presentity, tuples)| Delegate { presentity, tuples }).collect()
    }
}

/// A delegate that cannot be. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DelegateError {
    /// There are [`DELEGATES_MAX`] already.
    #[error("{DELEGATES_MAX} others may update your presence already, which is the limit; remove one first")]
    TooMany,
    /// More tuples than a document has.
    #[error("a document has at most {TUPLES_MAX} tuples, so no more can be named")]
    TooManyTuples,
}

/// Delegates of one presentity.
pub const DELEGATES_MAX: usize = 64;

#[cfg(test)]
#[path = "delegates_tests.rs"]
mod tests;
