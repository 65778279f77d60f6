//! The numbers of gossip: how many links push a record, and what repairs what the push missed.
//!
//! **Decides** the trade between latency, copies and bytes: [`GossipSettings`], whose defaults are those that
//! the study `here-sim study gossip` chose; its report is `simulations/studies/gossip.md`. **Leaves** the
//! links themselves to the overlay, and the validation of records to the driver.
//!
//! Source: gossipsub v1.1 (mesh, lazy push, flood publishing) and v1.2 (IDONTWANT). Where libp2p's defaults
//! are left although no field says so:
//!
//! - `max_transmit_size` 128 KiB: it is held against the whole read buffer, so it must not be near the size
//!   of a record; our own limit of 1 KiB is held in validation.
//! - first heartbeat after 100 ms: a mesh stands soon after the start.
//! - queues of 512 messages for a slow peer, 2 s old at most: old presence is worthless.
//!
//! Settings are checked once, by [`GossipSettings::check`], before anything starts: gossipsub's own builder
//! accepts mesh numbers that contradict each other.

use std::{ops::RangeInclusive, time::Duration};

use libp2p::gossipsub::{self, ValidationMode};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// How a node gossips. All nodes of a realm may differ; what a node sets it pays for, and its peers in part.
#[derive(Debug, Clone, PartialEq)]
pub struct GossipSettings {
    /// Links of the mesh that a node aims at: each gets every record at once. Default 3, the fewest with
    /// which hardly any node waits for repair; range 1 to 64, between `mesh_peers_min` and
    /// `mesh_peers_max`. More: fewer hops, and each one more is about one more copy of every record at
    /// every node; fewer: a node that loses some hears by repair only.
    pub mesh_peers: usize,
    /// Below so many, links are added at the next heartbeat. Default 3; range 1 to `mesh_peers`, and at least
    /// `mesh_outbound_min`. Higher: quicker repair, more grafting; lower: nodes stay with few, and when
    /// others die some hear by repair only, after half a second and more.
    pub mesh_peers_min: usize,
    /// Above so many, links are cut back to `mesh_peers`. Default 5; range `mesh_peers` to 128. Higher: more
    /// copies, since those whom others graft keep their links; lower: more are cut, and wait for
    /// `prune_backoff`.
    pub mesh_peers_max: usize,
    /// Links of the mesh that this node dialled itself, so that nobody is cut off by those who dial it.
    /// Default 1; range 0 to half of `mesh_peers`. Higher: harder to surround, more grafting.
    pub mesh_outbound_min: usize,
    /// Whether a node's own records go to all its links instead of those of the mesh. Default no. Yes: one
    /// hop less from the origin, for as many more copies as it has links beyond the mesh.
    pub flood_publish: bool,
    /// Links outside the mesh that are told at each heartbeat which records there were (IHAVE), at least.
    /// Default 3, the fewest with which a change got by one in ten who drop everything within a second in
    /// each of thirty runs; range 0 to 64. More: what the push missed is repaired at the next heartbeat more
    /// surely, for some 170 bytes and 18 per record each; none, with `lazy_share` 0: tables are compared
    /// instead, within half a minute.
    pub lazy_peers_min: usize,
    /// The same as a share of the links outside the mesh, where that is more. Default 0.05; range 0 to 1.
    pub lazy_share: f64,
    /// Heartbeats for which records are kept to answer who asks for them. Default 4; range 1 to 100, at least
    /// `history_told_heartbeats`. Longer costs memory: a kilobyte for each record of that time.
    pub history_heartbeats: usize,
    /// Heartbeats for which records are told of by lazy push. Default 1; range 1 to `history_heartbeats`.
    /// More: more chances of repair, each for the bytes of one lazy push.
    pub history_told_heartbeats: usize,
    /// Time between heartbeats: mesh repair and lazy push. Default 1 s; range 100 ms to 1 min. Shorter:
    /// repair comes sooner, every record is told of as often but to fewer that lack it, and every node wakes
    /// as often; longer: what the push missed comes later.
    pub heartbeat_interval: Duration,
    /// How long one whose link was cut from the mesh waits before it asks again. Default 4 s; range 1 s to
    /// 1 h. Those that many join at once are cut by several, and a node whose few links all cut it hears of
    /// changes late, or by comparing tables only, until then. Shorter: more asking in vain.
    pub prune_backoff: Duration,
    /// Whoever gets a record whose message is longer than so many bytes tells the rest of its mesh not to
    /// send it (IDONTWANT). Default 1000, above nearly every record; range 0 to 1 MiB. Lower: each receipt
    /// sends a message of some 150 bytes to every link of the mesh, and spares copies only where links are
    /// slower than that message.
    pub idontwant_above_bytes: usize,
    /// Whether the origin of such a record tells so too. Default no: nobody has it before the origin does.
    pub idontwant_on_publish: bool,
}

impl Default for GossipSettings {
    fn default() -> Self {
        Self {
            mesh_peers: 3,
            mesh_peers_min: 3,
            mesh_peers_max: 5,
            mesh_outbound_min: 1,
            flood_publish: false,
            lazy_peers_min: 3,
            lazy_share: 0.05,
            history_heartbeats: 4,
            history_told_heartbeats: 1,
            heartbeat_interval: Duration::from_secs(1),
            prune_backoff: Duration::from_secs(4),
            idontwant_above_bytes: 1000,
            idontwant_on_publish: false,
        }
    }
}

impl GossipSettings {
    /// Range of `mesh_peers` and `mesh_peers_min`.
    pub const MESH_PEERS: RangeInclusive<usize> = 1..=64;
    /// Range of `mesh_peers_max`.
    pub const MESH_PEERS_MAX: RangeInclusive<usize> = 1..=128;
    /// Range of `mesh_outbound_min`.
    pub const MESH_OUTBOUND_MIN: RangeInclusive<usize> = 0..=32;
    /// Range of `lazy_peers_min`.
    pub const LAZY_PEERS_MIN: RangeInclusive<usize> = 0..=64;
    /// Range of `lazy_share`.
    pub const LAZY_SHARE: RangeInclusive<f64> = 0.0..=1.0;
    /// Range of both counts of heartbeats.
    pub const HISTORY_HEARTBEATS: RangeInclusive<usize> = 1..=100;
    /// Range of `heartbeat_interval`.
    pub const HEARTBEAT_INTERVAL: RangeInclusive<Duration> =
        Duration::from_millis(100)..=Duration::from_secs(60);
    /// Range of `prune_backoff`.
    pub const PRUNE_BACKOFF: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
    /// Range of `idontwant_above_bytes`.
    pub const IDONTWANT_ABOVE_BYTES: RangeInclusive<usize> = 0..=1024 * 1024;

    /// Whether the settings are in range and fit each other.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), GossipSettingsError> {
        let in_range = [
            ("mesh_peers", Self::MESH_PEERS.contains(&self.mesh_peers)),
            ("mesh_peers_min", Self::MESH_PEERS.contains(&self.mesh_peers_min)),
            ("mesh_peers_max", Self::MESH_PEERS_MAX.contains(&self.mesh_peers_max)),
            ("mesh_outbound_min", Self::MESH_OUTBOUND_MIN.contains(&self.mesh_outbound_min)),
            ("lazy_peers_min", Self::LAZY_PEERS_MIN.contains(&self.lazy_peers_min)),
            ("lazy_share", Self::LAZY_SHARE.contains(&self.lazy_share)),
            ("history_heartbeats", Self::HISTORY_HEARTBEATS.contains(&self.history_heartbeats)),
            ("history_told_heartbeats", Self::HISTORY_HEARTBEATS.contains(&self.history_told_heartbeats)),
            ("heartbeat_interval", Self::HEARTBEAT_INTERVAL.contains(&self.heartbeat_interval)),
            ("prune_backoff", Self::PRUNE_BACKOFF.contains(&self.prune_backoff)),
            ("idontwant_above_bytes", Self::IDONTWANT_ABOVE_BYTES.contains(&self.idontwant_above_bytes)),
        ];
        if let Some((field, _)) = in_range.into_iter().find(|(_, holds)| !holds) {
            return Err(GossipSettingsError::OutOfRange { field });
        }
        let in_order = [
            ("mesh_peers_min", "mesh_peers", self.mesh_peers_min, self.mesh_peers),
            ("mesh_peers", "mesh_peers_max", self.mesh_peers, self.mesh_peers_max),
            ("mesh_outbound_min", "mesh_peers_min", self.mesh_outbound_min, self.mesh_peers_min),
            ("mesh_outbound_min", "half of mesh_peers", self.mesh_outbound_min, self.mesh_peers / 2),
            (
                "history_told_heartbeats",
                "history_heartbeats",
                self.history_told_heartbeats,
                self.history_heartbeats,
            ),
        ];
        match in_order.into_iter().find(|(_, _, less, more)| less > more) {
            Some((field, limit, found, most)) => {
                Err(GossipSettingsError::Above { field, found, limit, most })
            }
            None => Ok(()),
        }
    }

    /// What gossipsub is configured with.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn config(&self) -> Result<gossipsub::Config, GossipSettingsError> {
        self.check()?;
        Ok(self.checked_config())
    }

    fn checked_config(&self) -> gossipsub::Config {
        gossipsub::ConfigBuilder::default()
            .validation_mode(ValidationMode::Anonymous)
            .validate_messages()
            .message_id_fn(|message| {
                let hash = Sha256::digest(&message.data);
                hash.iter().copied().take(MESSAGE_ID_BYTES).collect::<Vec<u8>>().into()
            })
            .max_transmit_size(128 * 1024)
            .max_control_message_size(64 * 1024)
            .max_control_messages_sent(800)
            .flood_publish(self.flood_publish)
            .mesh_n(self.mesh_peers)
            .mesh_n_low(self.mesh_peers_min)
            .mesh_n_high(self.mesh_peers_max)
            .mesh_outbound_min(self.mesh_outbound_min)
            .gossip_lazy(self.lazy_peers_min)
            .gossip_factor(self.lazy_share)
            .history_gossip(self.history_told_heartbeats)
            .history_length(self.history_heartbeats)
            .heartbeat_initial_delay(Duration::from_millis(100))
            .heartbeat_interval(self.heartbeat_interval)
            .duplicate_cache_time(Duration::from_secs(120))
            .publish_queue_duration(Duration::from_secs(2))
            .forward_queue_duration(Duration::from_secs(1))
            .connection_handler_queue_len(512)
            .prune_backoff(self.prune_backoff)
            .unsubscribe_backoff(Duration::from_secs(3))
            .idontwant_message_size_threshold(self.idontwant_above_bytes)
            .idontwant_on_publish(self.idontwant_on_publish)
            .build()
            .expect("what was checked is all that gossipsub checks")
    }
}

/// Which settings of gossip cannot be. Nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GossipSettingsError {
    /// A number is outside the range that its field documents.
    #[error("`{field}` of gossip is out of range")]
    OutOfRange {
        /// The field.
        field: &'static str,
    },
    /// Two numbers contradict each other.
    #[error("`{field}` of gossip is {found}, above {limit}, which is {most}")]
    Above {
        /// The field that is too high.
        field: &'static str,
        /// Its value.
        found: usize,
        /// What it may not exceed.
        limit: &'static str,
        /// The value of that.
        most: usize,
    },
}

const MESSAGE_ID_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&mut GossipSettings)) -> GossipSettingsError {
        let mut settings = GossipSettings::default();
        change(&mut settings);
        settings.config().map(|_| ()).unwrap_err()
    }

    #[test]
    fn every_setting_reaches_gossipsub() {
        let settings = GossipSettings {
            mesh_peers: 5,
            mesh_peers_min: 4,
            mesh_peers_max: 9,
            mesh_outbound_min: 1,
            flood_publish: true,
            lazy_peers_min: 7,
            lazy_share: 0.75,
            history_heartbeats: 8,
            history_told_heartbeats: 6,
            heartbeat_interval: Duration::from_millis(300),
            prune_backoff: Duration::from_secs(11),
            idontwant_above_bytes: 123,
            idontwant_on_publish: true,
        };
        let config = settings.config().unwrap();
        assert_eq!((config.mesh_n(), config.mesh_n_low(), config.mesh_n_high()), (5, 4, 9));
        assert_eq!((config.mesh_outbound_min(), config.flood_publish()), (1, true));
        assert_eq!((config.gossip_lazy(), config.gossip_factor()), (7, 0.75));
        assert_eq!((config.history_length(), config.history_gossip()), (8, 6));
        assert_eq!(config.heartbeat_interval(), Duration::from_millis(300));
        assert_eq!(config.prune_backoff(), Duration::from_secs(11));
        assert_eq!((config.idontwant_message_size_threshold(), config.idontwant_on_publish()), (123, true));
    }

    #[test]
    fn the_defaults_are_in_order() {
        assert_eq!(GossipSettings::default().check(), Ok(()));
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        let field = |error| match error {
            GossipSettingsError::OutOfRange { field } => field,
            GossipSettingsError::Above { .. } => panic!("{error}"),
        };
        assert_eq!(field(refused(|settings| settings.mesh_peers = 0)), "mesh_peers");
        assert_eq!(field(refused(|settings| settings.mesh_peers_max = 129)), "mesh_peers_max");
        assert_eq!(field(refused(|settings| settings.lazy_share = f64::NAN)), "lazy_share");
        assert_eq!(
            field(refused(|settings| settings.history_told_heartbeats = 0)),
            "history_told_heartbeats"
        );
        assert_eq!(
            field(refused(|settings| settings.heartbeat_interval = Duration::ZERO)),
            "heartbeat_interval"
        );
    }

    #[test]
    fn numbers_that_contradict_each_other_are_refused() {
        for (change, words) in [
            (
                (|settings| settings.mesh_peers_min = 5) as fn(&mut GossipSettings),
                "above mesh_peers, which is 3",
            ),
            (|settings| settings.mesh_peers_max = 2, "above mesh_peers_max, which is 2"),
            (|settings| settings.mesh_outbound_min = 2, "above half of mesh_peers, which is 1"),
            (|settings| settings.history_told_heartbeats = 5, "above history_heartbeats, which is 4"),
        ] {
            let error = refused(change).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
