//! Who is who: a PRESENTITY is an Ed25519 key, a realm is RFC 2778's DOMAIN.
//!
//! A [`Presentity`] is the 32 bytes of a public key, so every statement that carries one certifies itself.
//! The same bytes are the libp2p `PeerId` of the node that speaks for it: an Ed25519 `PeerId` is the key
//! with a fixed header. People see petnames (kept by the node) and display names (hints, in the
//! presence document); neither is an identity.
//!
//! URIs follow RFC 3859 and RFC 3860: `pres:<PeerId>@<realm>.alt` and `im:<PeerId>@<realm>.alt`. The key
//! stands in the local part since that keeps its letter case; `.alt` (RFC 9476) marks a name that DNS must
//! never be asked about.

use std::{fmt, str::FromStr};

use libp2p_identity::{PeerId, PublicKey, ed25519};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What every Ed25519 `PeerId` begins with in base58, so it tells nobody apart.
pub const PEER_ID_PREFIX: &str = "12D3KooW";

/// Characters of a [`Presentity::short_id`].
pub const SHORT_ID_CHARACTERS: usize = 8;

/// A PRESENTITY (RFC 2778): somebody whose presence can be watched, named by an Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Presentity([u8; 32]);

impl Presentity {
    /// The presentity of a raw Ed25519 public key. Whether it is a point on the curve shows when a
    /// signature is checked.
    pub const fn from_public_key_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw Ed25519 public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The presentity whose key this `PeerId` holds; none if it is not an Ed25519 one.
    pub fn from_peer_id(peer_id: &PeerId) -> Option<Self> {
        let bytes = peer_id.to_bytes();
        let key = bytes.strip_prefix(&PEER_ID_HEADER)?;
        Some(Self(key.try_into().ok()?))
    }

    /// The presentity that `key` speaks for; none if it is not an Ed25519 key.
    pub fn from_public_key(key: &PublicKey) -> Option<Self> {
        let key = key.clone().try_into_ed25519().ok()?;
        Some(Self(key.to_bytes()))
    }

    /// The `PeerId` of the node that speaks for this presentity.
    ///
    /// # Panics
    /// Never: 38 bytes with this header are a `PeerId` by definition.
    pub fn peer_id(&self) -> PeerId {
        let mut bytes = [0; 38];
        let (header, key) = bytes.split_at_mut(PEER_ID_HEADER.len());
        header.copy_from_slice(&PEER_ID_HEADER);
        key.copy_from_slice(&self.0);
        PeerId::from_bytes(&bytes).expect("an identity multihash of 36 bytes is a PeerId")
    }

    /// Whether `signature` is this presentity's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519::PublicKey::try_from_bytes(&self.0).is_ok_and(|key| key.verify(message, signature))
    }

    /// The eight characters that people see beside a name: those after [`PEER_ID_PREFIX`].
    pub fn short_id(&self) -> String {
        self.to_string().chars().skip(PEER_ID_PREFIX.len()).take(SHORT_ID_CHARACTERS).collect()
    }

    /// Whether `prefix` is the beginning of this presentity's id, with or without [`PEER_ID_PREFIX`].
    pub fn matches_prefix(&self, prefix: &str) -> bool {
        let id = self.to_string();
        !prefix.is_empty()
            && (id.starts_with(prefix)
                || id.strip_prefix(PEER_ID_PREFIX).is_some_and(|rest| rest.starts_with(prefix)))
    }

    /// `pres:<PeerId>@<realm>.alt` (RFC 3859).
    pub fn pres_uri(&self, realm: &Realm) -> String {
        format!("pres:{self}@{realm}.alt")
    }
}

impl fmt::Display for Presentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer_id().fmt(f)
    }
}

impl fmt::Debug for Presentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short_id())
    }
}

impl FromStr for Presentity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let peer_id: PeerId = text.parse().map_err(|_| IdentityError::NotAPeerId)?;
        Self::from_peer_id(&peer_id).ok_or(IdentityError::NotEd25519)
    }
}

/// A realm: RFC 2778's DOMAIN, the name of one mesh. Nodes of two realms never mix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Realm(String);

impl Realm {
    /// The realm's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Realm {
    /// `lan`.
    fn default() -> Self {
        Self("lan".to_owned())
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Realm {
    type Err = IdentityError;

    /// A realm is a DNS label: 1 to 63 of `a-z`, `0-9` and `-`, with no `-` at either end.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let label =
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if text.is_empty()
            || text.len() > REALM_BYTES_MAX
            || !label
            || text.starts_with('-')
            || text.ends_with('-')
        {
            return Err(IdentityError::NotARealm);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Realm {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An INSTANT INBOX ADDRESS (RFC 2778): the `im:` URI of an INSTANT INBOX of a node in a realm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboxAddress {
    /// The key of the node that keeps the inbox.
    pub node: Presentity,
    /// The realm it is reached in.
    pub realm: Realm,
}

impl fmt::Display for InboxAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "im:{}@{}.alt", self.node, self.realm)
    }
}

impl FromStr for InboxAddress {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, domain) = text
            .strip_prefix("im:")
            .and_then(|rest| rest.split_once('@'))
            .ok_or(IdentityError::NotAnInboxAddress)?;
        let realm = domain.strip_suffix(".alt").ok_or(IdentityError::NotAnInboxAddress)?;
        Ok(Self { node: node.parse()?, realm: realm.parse()? })
    }
}

impl Serialize for InboxAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InboxAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A name or URI that does not say whom it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// The text is not base58 of a multihash.
    #[error("not a peer id (it looks like 12D3KooW…)")]
    NotAPeerId,
    /// The `PeerId` is of another kind of key.
    #[error("the peer id is not of an Ed25519 key, and Hereabouts knows no other")]
    NotEd25519,
    /// The text is no DNS label.
    #[error("a realm is 1 to 63 of a-z, 0-9 and '-', with no '-' at either end")]
    NotARealm,
    /// The text is no `im:` URI of this form.
    #[error("not an inbox address (it looks like im:12D3KooW…@lan.alt)")]
    NotAnInboxAddress,
}

const REALM_BYTES_MAX: usize = 63;

/// Multihash code 0 (identity), 36 bytes: protobuf field 1 = key type 1 (Ed25519), field 2 = 32 bytes.
const PEER_ID_HEADER: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

#[cfg(test)]
mod tests {
    use libp2p_identity::Keypair;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_presentity_and_its_peer_id_are_one() {
        let key = Keypair::ed25519_from_bytes([7; 32]).unwrap().public();
        let presentity = Presentity::from_public_key(&key).unwrap();
        assert_eq!(presentity.peer_id(), key.to_peer_id());
        assert_eq!(Presentity::from_peer_id(&key.to_peer_id()), Some(presentity));
        assert!(presentity.to_string().starts_with(PEER_ID_PREFIX));
        assert!(presentity.matches_prefix(&presentity.short_id()[..3]));
        assert!(!presentity.matches_prefix(""));
    }

    proptest! {
        #[test]
        fn any_key_survives_its_uri(bytes: [u8; 32]) {
            let node = Presentity::from_public_key_bytes(bytes);
            let address = InboxAddress { node, realm: Realm::default() };
            prop_assert_eq!(address.to_string().parse::<InboxAddress>(), Ok(address));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<InboxAddress>();
            let _ = text.parse::<Presentity>();
            let _ = text.parse::<Realm>();
        }
    }

    #[test]
    fn a_realm_is_a_dns_label() {
        for good in ["lan", "a", "floor-3", &"x".repeat(63)] {
            assert!(good.parse::<Realm>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "ä", &"x".repeat(64)] {
            assert_eq!(bad.parse::<Realm>(), Err(IdentityError::NotARealm), "{bad}");
        }
    }
}
