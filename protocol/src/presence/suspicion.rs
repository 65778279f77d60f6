//! Suspicion: what a node gossips about presentities of whom it gets no sign of life.
//!
//! It names, for each, the version of the record that it knows: whoever is suspected and alive publishes a
//! newer one, which refutes every suspicion of an older. It is signed by its accuser, travels as a record
//! does and on the same topic, and is told from one by its first byte, [`FORMAT`]. What it proves is decided
//! by [`super::accusations`].
//!
//! On the wire: the encoded [`SuspicionBody`], then 64 bytes of Ed25519 signature over [`SIGNING_DOMAIN`] and
//! the body. Limits: [`SUSPICION_BYTES_MAX`] for all of it, [`ACCUSATIONS_MAX`] presentities. Source: the
//! suspicion mechanism of SWIM (Das et al., 2002), with signatures.

use std::collections::BTreeSet;

use libp2p_identity::Keypair;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::record::{Reaction, Version};
use crate::{
    identity::{Presentity, Realm},
    wire::{codec::WireError, signed},
};

/// A suspicion whose signature, realm and limits hold. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    body: SuspicionBody,
    bytes: Vec<u8>,
}

impl Suspicion {
    /// Signs `body` with the key of its accuser.
    ///
    /// # Errors
    /// If the body breaks a limit.
    ///
    /// # Panics
    /// If `key` is not the key of `body.accuser`: the caller's mistake, never a peer's.
    pub fn sign(body: SuspicionBody, key: &Keypair) -> Result<Self, SuspicionError> {
        body.check()?;
        let bytes = signed::sign(&body, body.accuser, SIGNING_DOMAIN, key, SUSPICION_BYTES_MAX)
            .map_err(SuspicionError::Wire)?;
        Ok(Self { body, bytes })
    }

    /// Takes a suspicion from anybody.
    ///
    /// # Errors
    /// What is wrong with it; see [`SuspicionError::reaction`].
    pub fn verify(bytes: &[u8], realm: &Realm) -> Result<Self, SuspicionError> {
        let opened =
            signed::open::<SuspicionBody>(bytes, SUSPICION_BYTES_MAX).map_err(SuspicionError::Wire)?;
        if opened.body.realm != *realm {
            return Err(SuspicionError::ForeignRealm);
        }
        opened.body.check()?;
        if !opened.is_by(&opened.body.accuser, SIGNING_DOMAIN) {
            return Err(SuspicionError::Forged);
        }
        Ok(Self { body: opened.body, bytes: bytes.to_vec() })
    }

    /// Whether `bytes` are meant to be a suspicion, and not a record.
    pub fn is_meant(bytes: &[u8]) -> bool {
        bytes.first() == Some(&FORMAT)
    }

    /// What it says.
    pub fn body(&self) -> &SuspicionBody {
        &self.body
    }

    /// The signed bytes, as they are forwarded.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a suspicion says, in the order of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspicionBody {
    /// [`FORMAT`].
    pub format: u8,
    /// The realm it is for; worthless in any other.
    pub realm: Realm,
    /// Who suspects, and the key that signs.
    pub accuser: Presentity,
    /// Which of the accuser's suspicions it is: its incarnation, and their count in it, from 1.
    pub issued: Version,
    /// Whom it suspects: 1 to [`ACCUSATIONS_MAX`], each presentity once, and not the accuser.
    pub accusations: Vec<Accusation>,
}

impl SuspicionBody {
    fn check(&self) -> Result<(), SuspicionError> {
        if self.format != FORMAT {
            return Err(SuspicionError::Wire(WireError::Malformed));
        }
        let subjects: BTreeSet<_> = self.accusations.iter().map(|accusation| accusation.subject).collect();
        let count = self.accusations.len();
        if count == 0 || count > ACCUSATIONS_MAX || subjects.len() < count || subjects.contains(&self.accuser)
        {
            return Err(SuspicionError::Accusations);
        }
        Ok(())
    }
}

/// That one presentity seems to be out of contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accusation {
    /// Who.
    pub subject: Presentity,
    /// The newest of its records that the accuser knows.
    pub version: Version,
    /// Why.
    pub grounds: Grounds,
}

/// Why an accuser suspects somebody. The order is that of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "the wire knows no others, see WIRE.md section 4.8")]
pub enum Grounds {
    /// It does not answer yet. Whoever is linked with it is asked to see for itself.
    Silent,
    /// Its connection broke, and its host says that nobody listens there any more.
    Refused,
    /// It does not answer, and neither does its host.
    Unreachable,
    /// Its host takes connections, and it says nothing on them: it is stopped, or starved.
    Unresponsive,
}

/// Why a suspicion was not taken. Nothing was changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SuspicionError {
    /// Bytes invalid.
    #[error(transparent)]
    Wire(WireError),
    /// Peer misbehaved: the signature is not the accuser's.
    #[error("the signature is not of the accuser it names")]
    Forged,
    /// Peer misbehaved: a suspicion of another realm.
    #[error("a suspicion of another realm")]
    ForeignRealm,
    /// Limit reached: nobody is accused, somebody twice, the accuser itself, or more than
    /// [`ACCUSATIONS_MAX`].
    #[error("not 1 to {ACCUSATIONS_MAX} different presentities other than the accuser")]
    Accusations,
}

impl SuspicionError {
    /// What to do with whoever passed such a suspicion on.
    pub fn reaction(&self) -> Reaction {
        Reaction::Reject
    }

    /// The word that such suspicions are counted under.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wire(WireError::TooLarge { .. }) => "oversized",
            Self::Wire(_) => "malformed",
            Self::Forged => "forged",
            Self::ForeignRealm => "foreign-realm",
            Self::Accusations => "over-limit",
        }
    }
}

/// The first byte of a suspicion, where a record has [`super::record::FORMAT`].
pub const FORMAT: u8 = 2;
/// Stands before the body under the signature, so that the signature means nothing elsewhere.
pub const SIGNING_DOMAIN: &[u8] = b"hereabouts suspicion 1\0";
/// Bytes of a suspicion with its signature: as of a record.
pub const SUSPICION_BYTES_MAX: usize = 1024;
/// Presentities that one suspicion names. With the longest versions and realm it is within
/// [`SUSPICION_BYTES_MAX`].
pub const ACCUSATIONS_MAX: usize = 16;

#[cfg(test)]
#[path = "suspicion_tests.rs"]
mod tests;
