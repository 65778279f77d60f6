//! `[gossip]`: how much each honest node pushes to whom.

use std::fmt;

use hereabouts::mesh::gossip::GossipSettings;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::quantity::{write_duration, write_share};
use super::reader::{Read, Section};

/// The settings of a node's gossip; what each means is on its field of [`GossipSettings`], whose defaults,
/// ranges and relations hold here as well.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Gossip(pub GossipSettings);

impl Gossip {
    pub(super) const FIELDS: &'static [&'static str] = &[
        "mesh_peers",
        "mesh_peers_min",
        "mesh_peers_max",
        "mesh_outbound_min",
        "flood_publish",
        "lazy_peers_min",
        "lazy_share",
        "history_heartbeats",
        "history_told_heartbeats",
        "heartbeat_interval",
        "prune_backoff",
        "idontwant_above_bytes",
        "idontwant_on_publish",
    ];

    pub(super) fn read(section: &Section<'_>) -> Read<Self> {
        use GossipSettings as Settings;
        let count = |field, range| section.count(field, range);
        let default = Settings::default();
        let percent = Settings::LAZY_SHARE.start() * 100.0..=Settings::LAZY_SHARE.end() * 100.0;
        Ok(Self(Settings {
            mesh_peers: count("mesh_peers", Settings::MESH_PEERS)?.unwrap_or(default.mesh_peers),
            mesh_peers_min: count("mesh_peers_min", Settings::MESH_PEERS)?.unwrap_or(default.mesh_peers_min),
            mesh_peers_max: count("mesh_peers_max", Settings::MESH_PEERS_MAX)?
                .unwrap_or(default.mesh_peers_max),
            mesh_outbound_min: count("mesh_outbound_min", Settings::MESH_OUTBOUND_MIN)?
                .unwrap_or(default.mesh_outbound_min),
            flood_publish: section.flag("flood_publish")?.unwrap_or(default.flood_publish),
            lazy_peers_min: count("lazy_peers_min", Settings::LAZY_PEERS_MIN)?
                .unwrap_or(default.lazy_peers_min),
            lazy_share: section.share("lazy_share", percent)?.unwrap_or(default.lazy_share),
            history_heartbeats: count("history_heartbeats", Settings::HISTORY_HEARTBEATS)?
                .unwrap_or(default.history_heartbeats),
            history_told_heartbeats: count("history_told_heartbeats", Settings::HISTORY_HEARTBEATS)?
                .unwrap_or(default.history_told_heartbeats),
            heartbeat_interval: section
                .duration("heartbeat_interval", Settings::HEARTBEAT_INTERVAL)?
                .unwrap_or(default.heartbeat_interval),
            prune_backoff: section
                .duration("prune_backoff", Settings::PRUNE_BACKOFF)?
                .unwrap_or(default.prune_backoff),
            idontwant_above_bytes: count("idontwant_above_bytes", Settings::IDONTWANT_ABOVE_BYTES)?
                .unwrap_or(default.idontwant_above_bytes),
            idontwant_on_publish: section
                .flag("idontwant_on_publish")?
                .unwrap_or(default.idontwant_on_publish),
        }))
    }

    /// The fields that are not at their default, with their values.
    pub fn set(&self) -> Vec<(&'static str, String)> {
        let fields = self.fields().into_iter().zip(Self::default().fields());
        fields
            .filter(|(own, default)| own != default)
            .map(|((name, own), _)| (name, own.to_string()))
            .collect()
    }

    fn fields(&self) -> [(&'static str, Value); 13] {
        let settings = &self.0;
        [
            ("mesh_peers", Value::Count(settings.mesh_peers)),
            ("mesh_peers_min", Value::Count(settings.mesh_peers_min)),
            ("mesh_peers_max", Value::Count(settings.mesh_peers_max)),
            ("mesh_outbound_min", Value::Count(settings.mesh_outbound_min)),
            ("flood_publish", Value::Flag(settings.flood_publish)),
            ("lazy_peers_min", Value::Count(settings.lazy_peers_min)),
            ("lazy_share", Value::Text(write_share(settings.lazy_share))),
            ("history_heartbeats", Value::Count(settings.history_heartbeats)),
            ("history_told_heartbeats", Value::Count(settings.history_told_heartbeats)),
            ("heartbeat_interval", Value::Text(write_duration(settings.heartbeat_interval))),
            ("prune_backoff", Value::Text(write_duration(settings.prune_backoff))),
            ("idontwant_above_bytes", Value::Count(settings.idontwant_above_bytes)),
            ("idontwant_on_publish", Value::Flag(settings.idontwant_on_publish)),
        ]
    }
}

impl Serialize for Gossip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.fields();
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        for (name, value) in &fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A field's value as the language writes it.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum Value {
    Count(usize),
    Flag(bool),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
