//! Whether Hereabouts holds at scale.

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
pub mod trace;
mod verify;
pub mod virtual_machine;
pub mod world;
