//! A node on this machine: its directory, its mesh and its local API, put together.
//!
//! **Decides** in which order things begin and end, and how long an end may take. **Leaves** what each part
//! does to that part. Used by `here up`, and by `here demo` three times in one process.
//!
//! **Life**: [`Daemon::start`] takes the directory (its lock keeps a second node out), opens the store, binds
//! the socket of the API, then starts the mesh, so that nothing is published by a node that cannot run. The
//! node runs in tasks of the tokio runtime until somebody ends it: [`Daemon::leave`], or a client of the API,
//! of which [`Daemon::ended`] tells. One that is dropped ends without a goodbye, which is a power cut to the
//! others. The directory is released when the mesh and its store are gone.
//!
//! **Limits**: saying goodbye and finishing requests may take [`LEAVE_TIME_MAX`] together; after that the
//! node ends all the same. What was acknowledged is on disk by then in any case.

use std::{collections::BTreeSet, env, fs, io, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use futures::StreamExt;
use hereabouts_protocol::{
    identity::Realm,
    node::NodeLimits,
    overlay::links::NEIGHBOURS,
    presence::{information::DISPLAY_NAME_BYTES_MAX, publication::Publishes, record::PresenceRecord},
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use rand::{TryRng, rngs::SysRng};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    local_api::{ApiSocket, documents::NodeDocument},
    mesh::{
        self, MeshConfig,
        addresses::GivenAddress,
        circuits::{RelaySettings, Relaying},
        clock::BootClock,
        discovery::Lan,
        events::{Event, EventLog, EventStream},
        handle::{MeshHandle, Stopped},
        transport,
    },
    storage::{home::Home, sqlite::Database},
};

/// How a node is to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its directory.
    pub home: PathBuf,
    /// What its PRINCIPAL calls itself; the last name used if none is given.
    pub name: Option<String>,
    /// What it is called if no name was ever given; [`usual_name`] as a rule.
    pub first_name: String,
    /// The realm it is in.
    pub realm: Realm,
    /// Where it listens; on [`LISTEN_DEFAULT`] if nothing is given.
    pub listen: Vec<Multiaddr>,
    /// Peers to dial.
    pub peers: Vec<GivenAddress>,
    /// Whether it is a relay for others.
    pub relay: bool,
    /// Relays through which it is to be reached.
    pub relayed_by: Vec<GivenAddress>,
    /// Whether in no other way: it listens nowhere then, and does not look for peers on the LAN.
    pub relayed_only: bool,
    /// Whether it looks for peers on the LAN by mDNS.
    pub mdns: bool,
    /// When it publishes, if it is a PRESENTITY.
    pub publishes: Publishes,
    /// Whether it keeps an INSTANT INBOX.
    pub keeps_inbox: bool,
    /// Whether it gives what it knows of others to whoever asks.
    pub serves_cache: bool,
}

/// A node that runs.
#[derive(Debug)]
pub struct Daemon {
    mesh: MeshHandle,
    socket: PathBuf,
    troubles: Vec<String>,
    running: watch::Receiver<()>,
    node: JoinHandle<()>,
    api: JoinHandle<io::Result<()>>,
}

impl Daemon {
    /// Starts a node and returns when it runs and its API answers.
    ///
    /// # Errors
    /// If the directory is in use or cannot be used, or the node cannot listen. Nothing was published then.
    pub async fn start(options: Options) -> Result<Self> {
        let home = Home::open(&options.home)?;
        let key = home.key()?;
        let (database, restored) = Database::open(&home.database_path())?;
        let socket = ApiSocket::bind(home.socket_path()).context("cannot offer the local API")?;
        let (discovery, troubles) = if options.mdns && !options.relayed_only {
            Lan::mdns(key.public().to_peer_id())
        } else {
            (Lan::off(), Vec::new())
        };
        let default = options.listen.is_empty() && !options.relayed_only;
        let listen = if default { listen_default() } else { options.listen };
        let (transport, circuits) =
            transport::lan_with_circuits(&key).context("cannot make the key of the connections")?;
        let awaited = listen.iter().map(Family::of).collect();
        let config = MeshConfig {
            transport,
            relaying: Relaying {
                circuits: Some(circuits),
                by: options.relayed_by,
                only: options.relayed_only,
                serves: options.relay.then(RelaySettings::default),
            },
            reach: transport::lan_reach(),
            key,
            realm: options.realm,
            display_name: options
                .name
                .or_else(|| restored.information.is_none().then_some(options.first_name)),
            listen,
            peers: options.peers,
            discovery,
            spawner: Box::new(|task| drop(tokio::spawn(task))),
            storage: database,
            restored,
            clock: BootClock::start(),
            seed: seed()?,
            limits: NodeLimits::default(),
            neighbours: NEIGHBOURS,
            gossip: mesh::gossip::GossipSettings::default(),
            publishes: options.publishes,
            keeps_inbox: options.keeps_inbox,
            serves_cache: options.serves_cache,
            verify: PresenceRecord::verify,
            events: EventLog::default(),
        };
        let (mesh, node) = mesh::start(config).await?;
        let events = mesh.events(None);
        let path = socket.path().to_owned();
        let (lives, running) = watch::channel(());
        let node = tokio::spawn(async move {
            // Declared before the mesh, which holds the store, and so released after it.
            let _held = (home, lives);
            node.await;
        });
        let api = tokio::spawn(socket.serve(mesh.clone(), gone(running.clone())));
        listens(events, awaited).await;
        Ok(Self { mesh, socket: path, troubles, running, node, api })
    }

    /// The way into its mesh.
    pub fn mesh(&self) -> &MeshHandle {
        &self.mesh
    }

    /// What does not work here, in sentences.
    pub fn troubles(&self) -> &[String] {
        &self.troubles
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// If it has ended.
    pub async fn document(&self) -> Result<NodeDocument, Stopped> {
        NodeDocument::read(&self.mesh, &self.socket).await
    }

    /// Waits until the mesh has ended, for whatever reason. [`Self::leave`] is still due.
    pub async fn ended(&self) {
        gone(self.running.clone()).await;
    }

    /// Leaves the mesh with a goodbye, writes everything to disk and ends.
    ///
    /// # Errors
    /// If a part of the node failed.
    pub async fn leave(mut self) -> Result<()> {
        let leaving = async {
            self.mesh.shut_down().await;
            (&mut self.node).await.context("the mesh failed")?;
            (&mut self.api).await.context("the local API failed")??;
            Ok(())
        };
        // If that takes too long, dropping what is left ends it.
        timeout(LEAVE_TIME_MAX, leaving).await.unwrap_or_else(|_| {
            tracing::warn!(seconds = LEAVE_TIME_MAX.as_secs(), "leaving took too long");
            Ok(())
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.node.abort();
        self.api.abort();
    }
}

/// What a node is called when nobody gave it a name: as its machine is, else as its user.
pub fn usual_name() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let names = [host, env::var("USER").ok()].into_iter().flatten();
    let mut names = names.map(|name| name.trim().to_owned());
    fitting(names.find(|name| !name.is_empty()).unwrap_or_else(|| "somebody".to_owned()))
}

/// As much of a name as fits a presence document.
pub fn fitting(mut name: String) -> String {
    while name.len() > DISPLAY_NAME_BYTES_MAX {
        name.pop();
    }
    name
}

/// Where a node listens that was not told: every address of this host, each kind on a free port.
pub const LISTEN_DEFAULT: [&str; 4] =
    ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1"];

fn listen_default() -> Vec<Multiaddr> {
    LISTEN_DEFAULT
        .iter()
        .map(|address| address.parse().expect("the addresses above are well formed"))
        .collect()
}

fn seed() -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    SysRng.try_fill_bytes(&mut seed).context("the system gives no random numbers")?;
    Ok(seed)
}

/// Waits until the other end of the channel is gone.
async fn gone(mut running: watch::Receiver<()>) {
    while running.changed().await.is_ok() {}
}

/// What kind of address one is, as far as it tells whether an address was listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Family {
    ipv6: bool,
    quic: bool,
}

impl Family {
    fn of(address: &Multiaddr) -> Self {
        Self {
            ipv6: address.iter().any(|part| matches!(part, Protocol::Ip6(_))),
            quic: address.iter().any(|part| matches!(part, Protocol::QuicV1)),
        }
    }
}

/// Waits until the node listens on an address of each kind, so that it can say where. What a host cannot
/// listen on, such as IPv6 where there is none, is not waited for long.
async fn listens(mut events: EventStream, mut awaited: BTreeSet<Family>) {
    let listening = async {
        while !awaited.is_empty() {
            let Some(logged) = events.next().await else { return };
            if let Event::Listening(address) = logged.event {
                awaited.remove(&Family::of(&address));
            }
        }
    };
    // If it is late, the further addresses come as events.
    let _ = timeout(LISTEN_TIME_MAX, listening).await;
}

/// How long a clean end may take.
pub const LEAVE_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the start waits for addresses to listen on. They take some milliseconds.
const LISTEN_TIME_MAX: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_name_fits_a_presence_document() {
        let name = usual_name();
        assert!((1..=DISPLAY_NAME_BYTES_MAX).contains(&name.len()));
    }

    #[test]
    fn the_default_addresses_are_of_four_kinds() {
        let families: BTreeSet<_> = listen_default().iter().map(Family::of).collect();
        assert_eq!(families.len(), LISTEN_DEFAULT.len());
    }
}
