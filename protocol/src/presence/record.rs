//! PresenceRecord: PRESENCE INFORMATION as it travels, certified by the key it is about.
//!
//! A record is signed once by its PRESENTITY over exact bytes, and those bytes are stored, forwarded and
//! reconciled unchanged, so any copy from anybody is as good as the original. Which of two is newer is
//! told by [`Version`] alone: the incarnation counts the boots of the node (kept on disk), the sequence
//! counts its records since. Nobody's clock takes part. Should a key ever sign two different records of one
//! version (two machines with one state directory), all nodes prefer the same one, by the order of bytes.
//!
//! On the wire: the encoded [`RecordBody`], then 64 bytes of Ed25519 signature over [`SIGNING_DOMAIN`] and
//! the body. The first byte is [`FORMAT`]; a record of another format is ignored and not held against
//! whoever passed it on. Limits: [`RECORD_BYTES_MAX`] for all of it, and those of its parts.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use libp2p_identity::Keypair;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::information::{
    DISPLAY_NAME_BYTES_MAX, Extensions, InformationError, PresenceInformation, check_extensions,
};
use crate::{
    identity::{Presentity, Realm},
    wire::{codec::WireError, signed},
};

/// A record whose signature, realm and limits hold. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceRecord {
    body: Arc<RecordBody>,
    bytes: Arc<[u8]>,
}

impl PresenceRecord {
    /// Signs `body` with the key of its presentity.
    ///
    /// # Errors
    /// If the body breaks a limit.
    ///
    /// # Panics
    /// If `key` is not the key of `body.presentity`: the caller's mistake, never a peer's.
    pub fn sign(body: RecordBody, key: &Keypair) -> Result<Self, RecordError> {
        body.check()?;
        let bytes = signed::sign(&body, body.presentity, SIGNING_DOMAIN, key, RECORD_BYTES_MAX)
            .map_err(RecordError::Wire)?;
        Ok(Self { body: body.into(), bytes: bytes.into() })
    }

    /// Takes a record from anybody.
    ///
    /// # Errors
    /// What is wrong with it; see [`RecordError::reaction`].
    pub fn verify(bytes: &[u8], realm: &Realm) -> Result<Self, RecordError> {
        if let Some(&format) = bytes.first().filter(|format| **format != FORMAT)
            && bytes.len() <= RECORD_BYTES_MAX
        {
            return Err(RecordError::UnknownFormat { format });
        }
        let opened = signed::open::<RecordBody>(bytes, RECORD_BYTES_MAX).map_err(RecordError::Wire)?;
        if opened.body.realm != *realm {
            return Err(RecordError::ForeignRealm);
        }
        opened.body.check()?;
        if !opened.is_by(&opened.body.presentity, SIGNING_DOMAIN) {
            return Err(RecordError::Forged);
        }
        Ok(Self { body: opened.body.into(), bytes: bytes.into() })
    }

    /// Whose record `bytes` are, if they are one of `realm`; nothing of it is checked. For asking whether
    /// the same bytes are known already, before a signature is looked at.
    pub fn claimed_presentity(bytes: &[u8], realm: &Realm) -> Option<Presentity> {
        // The format, the length of the realm's name, which is below 251, and the name stand before the key.
        let key = bytes.get(2 + realm.as_str().len()..)?.first_chunk()?;
        Some(Presentity::from_public_key_bytes(*key))
    }

    /// What the record says.
    pub fn body(&self) -> &RecordBody {
        &self.body
    }

    /// The signed bytes, as they are stored and forwarded.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whose it is.
    pub fn presentity(&self) -> Presentity {
        self.body.presentity
    }

    /// Which of the presentity's records it is.
    pub fn version(&self) -> Version {
        self.body.version
    }

    /// What the presentity calls itself, as far as anybody may know: in its document, or beside it where that
    /// is sealed.
    pub fn display_name(&self) -> Option<&str> {
        let of_document = self.body.public.as_ref().map(|document| document.display_name.as_str());
        let beside = || {
            let bytes = self.body.extensions.get(DISPLAY_NAME)?;
            std::str::from_utf8(bytes).ok().filter(|name| name.len() <= DISPLAY_NAME_BYTES_MAX)
        };
        of_document.or_else(beside)
    }

    /// How long the state holds if nothing more is heard.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.body.lease_seconds.into())
    }

    /// Whether this record is to replace `other`, of the same presentity.
    pub fn supersedes(&self, other: &Self) -> bool {
        self.version().cmp(&other.version()).then_with(|| self.bytes.cmp(&other.bytes)) == Ordering::Greater
    }

    /// Whether a WATCHER without a key would see no difference: a refresh, or a change of addresses only.
    /// Sealed views differ in any case.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.body.departing == other.body.departing
            && self.body.public == other.body.public
            && self.body.extensions == other.body.extensions
    }
}

/// How records of others are verified: [`PresenceRecord::verify`], or something that gives the same answers.
/// A simulation, in which one process is every node, checks each record once and remembers the answer.
pub type Verifier = fn(&[u8], &Realm) -> Result<PresenceRecord, RecordError>;

/// What a record says, in the order of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordBody {
    /// [`FORMAT`].
    pub format: u8,
    /// The realm it is for; worthless in any other.
    pub realm: Realm,
    /// Whose it is, and the key that signs it.
    pub presentity: Presentity,
    /// Which of the presentity's records it is.
    pub version: Version,
    /// Seconds that it holds if nothing more is heard, at most [`LEASE_SECONDS_MAX`].
    pub lease_seconds: u32,
    /// The node says goodbye.
    pub departing: bool,
    /// Where the node can be reached: multiaddresses in binary form, best first.
    pub addresses: Vec<NodeAddress>,
    /// What anybody in the realm may see; nothing if everything is withheld.
    pub public: Option<PresenceInformation>,
    /// What only those with the key may see.
    pub sealed_views: Vec<SealedView>,
    /// What this build need not understand, kept and forwarded untouched.
    pub extensions: Extensions,
}

impl RecordBody {
    fn check(&self) -> Result<(), RecordError> {
        if self.addresses.len() > ADDRESSES_MAX {
            return Err(RecordError::TooManyAddresses);
        }
        if self.addresses.iter().any(|address| address.0.len() > ADDRESS_BYTES_MAX) {
            return Err(RecordError::AddressTooLong);
        }
        if self.sealed_views.len() > SEALED_VIEWS_MAX {
            return Err(RecordError::TooManySealedViews);
        }
        if self.lease_seconds > LEASE_SECONDS_MAX {
            return Err(RecordError::LeaseTooLong);
        }
        if let Some(information) = &self.public {
            information.check()?;
        }
        Ok(check_extensions(&self.extensions)?)
    }
}

/// Which of two records of one PRESENTITY is newer: the one with the higher incarnation, then sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Version {
    /// The node's persisted boot counter.
    pub incarnation: u64,
    /// Counts the records of one incarnation, from 1.
    pub sequence: u64,
}

/// A multiaddress in binary form. Whether it is one is for the dialler to see; it is a hint in any case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeAddress(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// PRESENCE INFORMATION for some watchers only, encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedView {
    /// Names the key that opens it.
    pub key_id: [u8; 8],
    /// The padded, encrypted document.
    #[serde(with = "serde_bytes")]
    pub ciphertext: Vec<u8>,
}

/// Why a record was not taken. Nothing was changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Bytes invalid.
    #[error(transparent)]
    Wire(WireError),
    /// Peer incompatible: a format that this build does not know.
    #[error("a record of format {format}; this build knows format {FORMAT}")]
    UnknownFormat {
        /// The format.
        format: u8,
    },
    /// Peer misbehaved: the signature is not the presentity's.
    #[error("the signature is not of the presentity it names")]
    Forged,
    /// Peer misbehaved: a record of another realm.
    #[error("a record of another realm")]
    ForeignRealm,
    /// Limit reached: more than [`ADDRESSES_MAX`] addresses.
    #[error("more than {ADDRESSES_MAX} addresses")]
    TooManyAddresses,
    /// Limit reached: an address of more than [`ADDRESS_BYTES_MAX`] bytes.
    #[error("an address of more than {ADDRESS_BYTES_MAX} bytes")]
    AddressTooLong,
    /// Limit reached: more than [`SEALED_VIEWS_MAX`] sealed views.
    #[error("more than {SEALED_VIEWS_MAX} sealed views")]
    TooManySealedViews,
    /// Limit reached: a lease of more than [`LEASE_SECONDS_MAX`].
    #[error("a lease of more than {LEASE_SECONDS_MAX} seconds")]
    LeaseTooLong,
    /// The document breaks a limit.
    #[error(transparent)]
    Information(#[from] InformationError),
}

impl RecordError {
    /// What to do with whoever passed such a record on.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::UnknownFormat { .. } => Reaction::Ignore,
            _ => Reaction::Reject,
        }
    }

    /// The word that such records are counted under.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wire(WireError::TooLarge { .. }) => "oversized",
            Self::Wire(_) => "malformed",
            Self::UnknownFormat { .. } => "unknown-format",
            Self::Forged => "forged",
            Self::ForeignRealm => "foreign-realm",
            Self::TooManyAddresses
            | Self::AddressTooLong
            | Self::TooManySealedViews
            | Self::LeaseTooLong
            | Self::Information(_) => "over-limit",
        }
    }
}

/// What gossip does with a record and whoever passed it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Pass it on.
    Accept,
    /// Do not pass it on, and hold it against nobody.
    Ignore,
    /// Do not pass it on, and hold it against whoever did.
    Reject,
}

/// The extension that holds the display name, in UTF-8, where there is no public document.
pub const DISPLAY_NAME: &str = "display-name";
/// The format of records that this build reads and writes.
pub const FORMAT: u8 = 1;
/// Stands before the body under the signature, so that the signature means nothing elsewhere.
pub const SIGNING_DOMAIN: &[u8] = b"hereabouts presence record 1\0";
/// Bytes of a record with its signature. One Ethernet frame holds it beside all headers.
pub const RECORD_BYTES_MAX: usize = 1024;
/// Addresses in one record.
pub const ADDRESSES_MAX: usize = 8;
/// Bytes of one address: an IPv6 QUIC address has 26.
pub const ADDRESS_BYTES_MAX: usize = 64;
/// Sealed views in one record.
pub const SEALED_VIEWS_MAX: usize = 8;
/// The longest lease: a day.
pub const LEASE_SECONDS_MAX: u32 = 24 * 60 * 60;

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
