//! The machines that the nodes run on: what things take beside packets and disks.

use std::time::Duration;

use crate::{
    network::HANDSHAKE_CRYPTOGRAPHY,
    virtual_machine::{Machine, executor::Processors},
};

/// What the machines of a run are like.
///
/// By default every host has processors enough, so that only starting and handshakes take time. Hosts of one
/// machine, as those of the benchmark of real processes, share its processors; then each poll of a task takes
/// time as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardware {
    /// Processors that all hosts share; none if each has its own, which are no limit.
    pub shared_processors: Option<usize>,
    /// What a poll takes of a shared processor.
    pub poll: Duration,
    /// What starting a process waits for: loading the program, and making its directory, key and database.
    pub start_wait: Duration,
    /// What a process takes of a processor until it starts its mesh.
    pub start_work: Duration,
    /// What each end of a connection takes of a processor for its handshake.
    pub handshake: Duration,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            shared_processors: None,
            poll: Duration::ZERO,
            start_wait: START_WAIT,
            start_work: START_WORK,
            handshake: HANDSHAKE_CRYPTOGRAPHY,
        }
    }
}

impl Hardware {
    pub(super) fn set_up(self, machine: &mut Machine) {
        if let Some(count) = self.shared_processors {
            machine.executor.share(Processors::new(count, self.poll));
        }
    }
}

/// `here up` of a new node listens 51 ms after it was started, of which the processor works 13 ms; what is
/// waited for are mostly the syncs of the new database. p50 of `cargo bench --bench lan`, on two cores.
const START_WAIT: Duration = Duration::from_millis(38);
const START_WORK: Duration = Duration::from_millis(13);
