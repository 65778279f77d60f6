//! A LAN inside this machine, for tests and benchmarks of the real `here` program.
//!
//! *What it gives.* [`Lab`] is a switch room: network segments (bridges) in a network namespace of its own,
//! with hosts (network namespaces too) plugged into them by virtual cables. [`Node`] is one `here up`
//! process, on such a host or on this machine's loopback, with a fresh state directory, its event stream
//! read line by line, and every other `here` command to run against it. [`Lines`] waits for lines of a
//! running program.
//!
//! *What it leaves to others.* What a node should do is in the scenarios (`lan.rs`, `durability.rs`); how
//! long things take is in `benches/lan.rs`.
//!
//! *Source.* `namespaces(7)`, `user_namespaces(7)`, `veth(4)`. No root is needed: all namespaces belong to
//! one new user namespace, in which the test is root. Nothing is ever sent on a real interface, since none
//! is in there.
//!
//! *Life cycle.* [`Lab::build`] checks once whether this machine can do it, and prints `SKIPPED: …` if not
//! (with `HERE_REQUIRE_LAB=1` that is a failure instead). Then segments, then hosts, then nodes. Everything
//! ends when it is dropped; and since a namespace is held by a `cat` that reads a pipe from this process,
//! and a node asks for SIGKILL at the death of its parent, nothing stays behind if this process itself is
//! killed.
//!
//! *Limits.* [`SEGMENTS_MAX`], [`HOSTS_PER_SEGMENT_MAX`], and the kernel's neighbour table, which all
//! namespaces share: [`Lab::host`] refuses a host that could overflow it. Every wait is for a condition and
//! has a bound, [`PATIENCE`] unless said otherwise.
//!
//! *How it gives up.* A condition not met in time, or a command that fails, panics with what was waited for
//! and what was seen; a node that is dropped by a panic prints its last events and its standard error.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test program uses a part of the laboratory"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "JSON documents are read by key, and what is missing reads as null"
)]
#![allow(clippy::print_stderr, reason = "a failed test shows what its nodes said")]

pub mod documents;
mod network;
mod node;
mod preflight;
mod process;

use std::time::Duration;

pub use network::{Addresses, HOSTS_PER_SEGMENT_MAX, Host, Lab, SEGMENTS_MAX, Segment};
pub use node::{
    Client, Node, Output, Place, contact_state, entry, have_all_sight, on_a_segment, start_together,
};
pub use process::{Lines, Running};

/// How long a test waits for a condition before it fails. Generous: on a busy machine the programs under
/// test may wait seconds for a processor, and a wait ends as soon as its condition holds.
pub const PATIENCE: Duration = Duration::from_secs(20);
