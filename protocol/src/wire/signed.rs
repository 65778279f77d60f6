//! Signed statements: an encoded body, then 64 bytes of Ed25519 signature over a domain and that body.
//!
//! The domain stands for the kind of statement, so that a signature means nothing elsewhere. Who has to have
//! signed, and what the body may say, is for whoever knows its type.

use libp2p_identity::Keypair;
use serde::{Serialize, de::DeserializeOwned};

use super::codec::{self, WireError};
use crate::identity::Presentity;

/// The bytes of `body`, signed by `signer`.
///
/// # Errors
/// If they are more than `limit`.
///
/// # Panics
/// If `key` is not the key of `signer`: the caller's mistake, never a peer's.
#[expect(clippy::unwrap_in_result, reason = "signing fails for other kinds of keys only, see the assertion")]
pub(crate) fn sign<T: Serialize>(
    body: &T,
    signer: Presentity,
    domain: &[u8],
    key: &Keypair,
    limit: usize,
) -> Result<Vec<u8>, WireError> {
    let of_key = Presentity::from_public_key(&key.public());
    assert_eq!(of_key, Some(signer), "a statement is signed by its own key");
    let mut bytes = codec::encode(body);
    let signature = key.sign(&[domain, &bytes].concat()).expect("an Ed25519 key signs anything");
    bytes.extend_from_slice(&signature);
    if bytes.len() > limit {
        return Err(WireError::TooLarge { found: bytes.len(), limit });
    }
    Ok(bytes)
}

/// A statement of which nothing is known yet but that it is well formed.
pub(crate) struct Opened<'a, T> {
    pub(crate) body: T,
    encoded: &'a [u8],
    signature: &'a [u8],
}

/// Takes a statement of at most `limit` bytes apart.
///
/// # Errors
/// If the bytes are too many, or no encoding of such a body with a signature.
pub(crate) fn open<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    limit: usize,
) -> Result<Opened<'_, T>, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLarge { found: bytes.len(), limit });
    }
    let body_length = bytes.len().checked_sub(SIGNATURE_BYTES).ok_or(WireError::Malformed)?;
    let (encoded, signature) = bytes.split_at(body_length);
    Ok(Opened { body: codec::decode(encoded, limit)?, encoded, signature })
}

impl<T> Opened<'_, T> {
    /// Whether `signer` signed it, as a statement of `domain`.
    pub(crate) fn is_by(&self, signer: &Presentity, domain: &[u8]) -> bool {
        signer.verifies(&[domain, self.encoded].concat(), self.signature)
    }
}

const SIGNATURE_BYTES: usize = 64;
