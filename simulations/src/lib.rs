//! Whether Hereabouts holds at scale: the node's real mesh, thousands at a time, under virtual time, by seed.
//!
//! [`world::run`] runs a [`scenario`]: it makes its thread a [`virtual_machine`], puts a node with a
//! simulated [`disk`] on every host of a simulated [`network`], does to them what the scenario says, lets the
//! [`oracles`] judge what the nodes tell, and gives a [`report`]. What runs on the hosts is
//! `hereabouts::mesh`, unchanged. The program `here-sim` is this library's command line.

mod adversaries;
pub mod build;
pub mod capsule;
pub mod disk;
mod faults;
pub mod network;
pub mod oracles;
pub mod report;
pub mod scenario;
pub mod shipped;
pub mod study;
pub mod trace;
mod verify;
pub mod virtual_machine;
pub mod world;
