//! Who else may update this node's PRESENCE INFORMATION, as documents.

use std::collections::BTreeSet;

use hereabouts_protocol::presence::{delegates::Delegates, information::Token};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PersonDocument, SetPresenceError, set_presence::words};
use crate::local_api::names::Directory;

/// Who else may update this node's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DelegatesDocument {
    /// By their keys.
    pub delegates: Vec<DelegateDocument>,
}

impl DelegatesDocument {
    /// The document of `delegates`, with names from `directory`.
    pub fn new(delegates: &Delegates, directory: &Directory) -> Self {
        let delegates = delegates.iter().map(|(who, tuples)| DelegateDocument {
            delegate: directory.person(who),
            tuples: tuples.iter().map(ToString::to_string).collect(),
        });
        Self { delegates: delegates.collect() }
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DelegateDocument {
    /// Who.
    #[serde(flatten)]
    pub delegate: PersonDocument,
    /// The ids of the tuples that they may change; everything if there is none.
    pub tuples: Vec<String>,
}

/// What somebody else may update.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PutDelegate {
    /// The ids of the tuples that they may change, which need not be there yet; everything if none is given.
    pub tuples: Vec<String>,
}

impl PutDelegate {
    /// The tuples.
    ///
    /// # Errors
    /// What is no id of a tuple.
    pub fn tuples(&self) -> Result<BTreeSet<Token>, SetPresenceError> {
        words("tuples", &self.tuples)
    }
}
