//! How Hereabouts runs on a machine: libp2p, storage, the local API and the user agents.
//!
//! [`mesh`] drives `protocol`'s node over libp2p. [`storage`] keeps what must outlive the process.
//! [`local_api`] is the one door for programs on the same machine, and [`agents`] are its clients: the
//! command line `here`. What is said between nodes, and what it means, is decided in `hereabouts_protocol`
//! alone. The mesh is generic over everything that a simulation replaces; the rest is for machines only.

pub mod agents;
pub mod local_api;
pub mod mesh;
pub mod storage;
