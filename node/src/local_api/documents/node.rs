//! The document that says which node this is.

use std::{collections::BTreeMap, path::Path};

use hereabouts_protocol::identity::InboxAddress;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::mesh::handle::{MeshHandle, Role, Stopped};

/// Which node answers, and how it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeDocument {
    /// The node's peer id, which is also the presentity's.
    pub id: String,
    /// The eight characters of it that people see.
    pub short_id: String,
    /// The `pres:` URI.
    pub uri: String,
    /// The `im:` URI of its own inbox.
    pub inbox_address: String,
    /// What it calls itself.
    pub name: String,
    /// The realm it is in.
    pub realm: String,
    /// What it is to others in this run.
    #[serde(default)]
    pub roles: Vec<RoleWord>,
    /// Multiaddresses it listens on.
    pub listen: Vec<String>,
    /// Ids of the relays through which it is reached.
    #[serde(default)]
    pub relayed_by: Vec<String>,
    /// The path of the socket of this API.
    pub socket: String,
    /// Counts the starts of this node.
    pub incarnation: u64,
    /// The process.
    pub pid: u32,
    /// The version of the program.
    #[serde(default)]
    pub version: String,
    /// Nodes it holds a connection with.
    #[serde(default)]
    pub connected: usize,
    /// Messages in the inbox.
    #[serde(default)]
    pub inbox_messages: u64,
    /// Statements of others that were not taken over, by reason.
    #[serde(default)]
    pub refused: BTreeMap<String, u64>,
}

/// What a node may be to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoleWord {
    /// It shows a PRESENTITY.
    Presentity,
    /// It keeps an INSTANT INBOX.
    Inbox,
    /// It gives the records of others that it knows to whoever asks.
    Cache,
    /// It relays requests and messages for two who cannot reach each other.
    Relay,
}

impl RoleWord {
    /// The word itself.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Presentity => "presentity",
            Self::Inbox => "inbox",
            Self::Cache => "cache",
            Self::Relay => "relay",
        }
    }
}

impl From<Role> for RoleWord {
    fn from(role: Role) -> Self {
        match role {
            Role::Presentity => Self::Presentity,
            Role::Inbox => Self::Inbox,
            Role::Cache => Self::Cache,
            Role::Relay => Self::Relay,
        }
    }
}

impl NodeDocument {
    /// Asks the mesh that runs in this process.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn read(mesh: &MeshHandle, socket: &Path) -> Result<Self, Stopped> {
        let overview = mesh.overview().await?;
        let information = mesh.own_information().await?;
        let inbox = InboxAddress { node: mesh.presentity, realm: mesh.realm.clone() };
        Ok(Self {
            id: mesh.presentity.to_string(),
            short_id: mesh.presentity.short_id(),
            uri: mesh.presentity.pres_uri(&mesh.realm),
            inbox_address: inbox.to_string(),
            name: information.display_name,
            realm: mesh.realm.to_string(),
            roles: mesh.roles.iter().copied().map(RoleWord::from).collect(),
            relayed_by: overview.relayed_by.iter().map(ToString::to_string).collect(),
            listen: overview.listen.iter().map(ToString::to_string).collect(),
            socket: socket.display().to_string(),
            incarnation: overview.incarnation,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            connected: overview.connected,
            inbox_messages: overview.inbox_messages,
            refused: overview.refused.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
        })
    }
}
