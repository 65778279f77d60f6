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

/// How often a process syncs its disk before it starts its mesh: when it makes its directory, key and
/// database, and when it finds them. Counted with strace of `here up`; one more is the mesh's own.
pub(super) const START_SYNCS: [u32; 2] = [11, 2];
/// `here up` of a new node works that long until it is up. p50 of the LAN benchmark, on two quiet cores.
const START_WORK: Duration = Duration::from_millis(12);
