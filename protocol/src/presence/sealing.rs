//! Sealed views: a document that only those can read who hold a key to it.
//!
//! A [`ViewKey`] is one link of a chain. Each record that carries the view is sealed with the next link,
//! and a link is made of the one before by a hash: who is given a key opens what is published from then on,
//! and nothing from before. Revoking means to begin another chain ([`super::views`]), since a link cannot
//! be taken back.
//!
//! The ciphertext of a [`SealedView`] is the step of its link within the chain, 4 bytes, little-endian, and
//! the ChaCha20-Poly1305 (RFC 8439) of the padded document: its length, 2 bytes, little-endian, the encoded
//! document, and zeros up to the length that all views of the record share, a multiple of
//! [`PADDING_BYTES`]. The AEAD's key is a hash of the link and used once, so that its nonce is zero; what it
//! authenticates beside is the presentity and the name of the chain.
//!
//! Limits: [`STEPS_MAX`] steps are taken at most to open a view, so that a record can cost a watcher a
//! millisecond and no more.

use std::fmt;

use chacha20poly1305::{
    ChaCha20Poly1305, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    information::PresenceInformation,
    record::{PresenceRecord, RECORD_BYTES_MAX, SealedView},
};
use crate::{identity::Presentity, wire::codec};

/// A link of the chain of keys of one view.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewKey {
    /// Names the chain.
    pub id: [u8; 8],
    /// Its place in the chain.
    pub step: u32,
    key: [u8; 32],
}

impl ViewKey {
    /// The first link of a chain.
    pub const fn first(id: [u8; 8], key: [u8; 32]) -> Self {
        Self { id, step: 0, key }
    }

    /// A link as a store gives it back.
    pub const fn restored(id: [u8; 8], step: u32, key: [u8; 32]) -> Self {
        Self { id, step, key }
    }

    /// What is secret of it, for the store.
    pub const fn secret(&self) -> &[u8; 32] {
        &self.key
    }

    /// The link after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { id: self.id, step: self.step.saturating_add(1), key: derive(NEXT, &self.key) }
    }

    /// `document`, which `presentity` says of itself, for those who hold this key or an earlier one. It is
    /// padded to `padded_bytes`, as [`padded_bytes`] tells for the largest that is to look alike.
    ///
    /// # Panics
    /// If the document has more than the 256 GiB that one key can encrypt.
    pub fn seal(
        &self,
        presentity: &Presentity,
        document: &PresenceInformation,
        padded_bytes: usize,
    ) -> SealedView {
        let encoded = codec::encode(document);
        // A document that is larger than any record is refused with the record.
        let length = u16::try_from(encoded.len()).unwrap_or(u16::MAX);
        let mut plain = length.to_le_bytes().to_vec();
        plain.extend_from_slice(&encoded);
        plain.resize(plain.len().max(padded_bytes), 0);
        let sealed = self
            .cipher()
            .encrypt(&Nonce::default(), Payload { msg: &plain, aad: &self.aad(presentity) })
            .expect("a document is far below the limit of the cipher");
        SealedView { key_id: self.id, ciphertext: [&self.step.to_le_bytes()[..], &sealed].concat() }
    }

    /// The document that `record` holds for this key, and the link that opened it, which opens later ones
    /// with less work. Nothing if there is none, or if it was sealed before this key.
    pub fn open(&self, record: &PresenceRecord) -> Option<(PresenceInformation, Self)> {
        let view = record.body().sealed_views.iter().find(|view| view.key_id == self.id)?;
        let (step, sealed) = view.ciphertext.split_first_chunk()?;
        let steps = u32::from_le_bytes(*step).checked_sub(self.step).filter(|steps| *steps <= STEPS_MAX)?;
        let key = (0..steps).fold(self.clone(), |key, _| key.next());
        let aad = self.aad(&record.presentity());
        let plain = key.cipher().decrypt(&Nonce::default(), Payload { msg: sealed, aad: &aad }).ok()?;
        let (length, padded) = plain.split_first_chunk()?;
        let encoded = padded.get(..usize::from(u16::from_le_bytes(*length)))?;
        let document: PresenceInformation = codec::decode(encoded, RECORD_BYTES_MAX).ok()?;
        document.check().is_ok().then_some((document, key))
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&Key::from(derive(SEAL, &self.key)))
    }

    fn aad(&self, presentity: &Presentity) -> Vec<u8> {
        [SEAL, presentity.as_bytes(), &self.id].concat()
    }
}

/// What is secret is not written into logs.
impl fmt::Debug for ViewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewKey").field("id", &self.id).field("step", &self.step).finish_non_exhaustive()
    }
}

/// Bytes of `document` before it is encrypted, padded.
pub fn padded_bytes(document: &PresenceInformation) -> usize {
    (codec::encode(document).len() + LENGTH_BYTES).next_multiple_of(PADDING_BYTES)
}

fn derive(purpose: &[u8], key: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(purpose).chain_update(key).finalize().into()
}

const SEAL: &[u8] = b"hereabouts sealed view 1\0";
const NEXT: &[u8] = b"hereabouts view chain 1\0";
const LENGTH_BYTES: usize = 2;
/// Documents are padded to a multiple of this, so that a word more or less in a note does not show.
pub const PADDING_BYTES: usize = 64;
/// Links between a key and a view that it opens: a millisecond of hashing. A watcher moves on with each
/// record, so only one that missed more than these needs a new key.
pub const STEPS_MAX: u32 = 1 << 12;

#[cfg(test)]
#[path = "sealing_tests.rs"]
mod tests;
