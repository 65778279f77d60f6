//! What a node is made of.

use libp2p_identity::Keypair;

use crate::{
    identity::Realm,
    message::inbox::INBOX_MESSAGES_MAX,
    presence::{
        information::PresenceInformation, publication::Publishes, record::Verifier, service::PRESENTITIES_MAX,
    },
    time::WallClock,
};

/// What a node is made of, beside what its store gives back.
#[derive(Debug)]
pub struct NodeConfig {
    /// What the wall clock said at [`crate::time::Timestamp::START`].
    pub clock: WallClock,
    /// The Ed25519 key of the node.
    pub key: Keypair,
    /// The realm it is in.
    pub realm: Realm,
    /// The boot counter of this run: above the stored one, and stored durably already.
    pub incarnation: u64,
    /// The document to begin with.
    pub information: PresenceInformation,
    /// What random choices are drawn from.
    pub seed: [u8; 32],
    /// Sizes.
    pub limits: NodeLimits,
    /// When it publishes, if it is a PRESENTITY.
    pub publishes: Publishes,
    /// Whether it keeps an INSTANT INBOX. A node that keeps none sends messages and takes none.
    pub keeps_inbox: bool,
    /// Whether it gives what it knows of others to whoever asks: the role of a cache. One that does not still
    /// keeps it for its own WATCHERS, and takes part in gossip.
    pub serves_cache: bool,
    /// How records of others are verified.
    pub verify: Verifier,
}

/// Sizes of a node's tables. Each entry costs memory or disk; see the constants for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Records kept, default [`PRESENTITIES_MAX`]. At the limit the one longest out of contact makes room.
    pub presentities_max: usize,
    /// Messages that the inbox holds, default [`INBOX_MESSAGES_MAX`]. At the limit the status turns CLOSED.
    pub inbox_messages_max: u64,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self { presentities_max: PRESENTITIES_MAX, inbox_messages_max: INBOX_MESSAGES_MAX }
    }
}
