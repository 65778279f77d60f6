//! Faults: what is done to nodes, machines and the network between them.
//!
//! Which fault befalls whom and when was drawn before (`world::plan`); here it is done and healed. A fault
//! that cuts nodes off or stops them excuses that they are shown lost meanwhile; lost packets and a slow
//! processor do not.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    disk::Loss,
    network::Admission,
    report::FaultSpan,
    scenario::{Fault, FaultKind, Sometimes},
    virtual_machine::now,
    world::{Action, World, describe},
};

/// The faults of a run, and which of them are at work.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) all: Vec<Fault>,
    /// Nodes, and where the fault is in the list of what happened.
    active: BTreeMap<usize, Vec<(Vec<usize>, usize)>>,
    pub(crate) spans: Vec<FaultSpan>,
    /// When suspended machines went to sleep.
    asleep: BTreeMap<usize, u64>,
    /// Machines without power, which are off the network until they start again.
    powerless: BTreeSet<usize>,
    /// Divisions so far, to number them.
    partitions: u32,
}

impl World {
    /// Does what the plan says.
    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Start(node) => {
                if self.faults.powerless.remove(&node) {
                    self.network.set_connected(self.host(node), true);
                }
                self.start(node);
            }
            Action::Kill { node, power, keep_disk, away } => {
                if power {
                    // Nothing of what its end would say gets out.
                    self.network.set_connected(self.host(node), false);
                    self.faults.powerless.insert(node);
                }
                let kind = if power { FaultKind::PowerCut } else { FaultKind::Crash };
                self.happened(kind, node, away);
                self.kill(node, if power { Loss::Power } else { Loss::Process });
                self.end(node, keep_disk, away);
            }
            Action::Leave { node, keep_disk, away } => {
                self.happened(FaultKind::Restart, node, away);
                self.shut_down(node);
                self.end(node, keep_disk, Some(away.unwrap_or(0).max(LEAVE_TIME)));
            }
            Action::Change => self.change(),
            Action::Burst => self.burst(),
            Action::ChangeOf(number) => self.change_of(number),
            Action::Message => self.message(),
            Action::ChangeGuarded => self.change_guarded(),
            Action::ChangeRule => self.change_rule(),
            Action::Deny(section) => self.deny(section),
            Action::Flip => self.flip(),
            Action::LookAtTables => self.look_at_tables(),
            Action::Begin { fault, nodes } => self.begin_fault(fault, nodes),
            Action::End { fault, nodes } => self.end_fault(fault, &nodes),
        }
    }

    /// Heals whatever can be healed, and lets nothing further happen but returns.
    pub(crate) fn heal_all(&mut self) {
        let mut returning = Vec::new();
        self.agenda.retain(|_, action| {
            if let Action::Start(node) = action {
                returning.push(*node);
            }
            false
        });
        for (fault, active) in std::mem::take(&mut self.faults.active) {
            for (nodes, span) in active {
                self.close_span(span);
                self.heal(fault, &nodes);
            }
        }
        for node in returning {
            self.act(Action::Start(node));
        }
    }

    fn end(&mut self, node: usize, keep_disk: bool, away: Option<u64>) {
        if !keep_disk {
            self.wipe(node);
        }
        if let Some(away) = away {
            self.plan(now() + away, Action::Start(node));
        }
    }

    fn begin_fault(&mut self, number: usize, nodes: Vec<usize>) {
        let Some(fault) = self.faults.all.get(number).cloned() else { return };
        self.faults.spans.push(FaultSpan {
            kind: fault.kind.to_string(),
            what: describe(&fault, &nodes),
            from_seconds: now() as f64 / 1e9,
            until_seconds: None,
        });
        let span = self.faults.spans.len() - 1;
        self.faults.active.entry(number).or_default().push((nodes.clone(), span));
        let hosts: Vec<_> = nodes.iter().map(|node| self.host(*node)).collect();
        if excuses(fault.kind) {
            self.excuse(&fault, &nodes);
        }
        match fault.kind {
            FaultKind::Pause | FaultKind::Suspend => {
                nodes.iter().for_each(|node| self.stop(*node, fault.kind))
            }
            FaultKind::SlowCpu => {
                let time = scaled(POLL_TIME, fault.factor);
                hosts.iter().for_each(|host| self.machine.executor.set_poll_time(*host, time));
            }
            FaultKind::Partition | FaultKind::OneWayCut => {
                self.oracles.count(Sometimes::Partition);
                self.faults.partitions += 1;
                let partition = self.faults.partitions;
                if fault.kind == FaultKind::Partition {
                    self.network.set_partition(&hosts, partition);
                } else {
                    self.network.set_mute(&hosts, Some(partition));
                }
            }
            FaultKind::CablePull => hosts.iter().for_each(|host| self.network.set_connected(*host, false)),
            FaultKind::Loss => hosts.iter().for_each(|host| self.network.set_loss(*host, fault.loss)),
            FaultKind::ClockSkew => nodes.iter().for_each(|node| self.skew(*node, &fault)),
            FaultKind::AddressChange => hosts.iter().for_each(|host| self.network.change_address(*host)),
            FaultKind::DiskFull => self.set_disks_full(&nodes, true),
            FaultKind::Refuse => {
                hosts.iter().for_each(|host| self.network.set_admission(*host, Admission::Refuse))
            }
            FaultKind::Swallow => {
                hosts.iter().for_each(|host| self.network.set_admission(*host, Admission::Swallow));
            }
            FaultKind::Crash | FaultKind::PowerCut | FaultKind::Restart => (),
        }
        if fault.lasts.is_none() {
            self.end_fault(number, &nodes);
        }
    }

    fn end_fault(&mut self, number: usize, nodes: &[usize]) {
        let Some(active) = self.faults.active.get_mut(&number) else { return };
        let Some(place) = active.iter().position(|(those, _)| those == nodes) else { return };
        let (nodes, span) = active.remove(place);
        self.close_span(span);
        self.heal(number, &nodes);
    }

    fn heal(&mut self, number: usize, nodes: &[usize]) {
        let Some(fault) = self.faults.all.get(number).cloned() else { return };
        let hosts: Vec<_> = nodes.iter().map(|node| self.host(*node)).collect();
        match fault.kind {
            FaultKind::Pause | FaultKind::Suspend => {
                nodes.iter().for_each(|node| self.go_on(*node, fault.kind))
            }
            FaultKind::SlowCpu => hosts.iter().for_each(|host| self.machine.executor.set_poll_time(*host, 0)),
            FaultKind::Partition => self.network.set_partition(&hosts, 0),
            FaultKind::OneWayCut => self.network.set_mute(&hosts, None),
            FaultKind::CablePull => hosts.iter().for_each(|host| self.network.set_connected(*host, true)),
            FaultKind::Loss => hosts.iter().for_each(|host| self.network.set_loss(*host, 0.0)),
            FaultKind::DiskFull => self.set_disks_full(nodes, false),
            FaultKind::Refuse | FaultKind::Swallow => {
                hosts.iter().for_each(|host| self.network.set_admission(*host, Admission::Accept));
            }
            FaultKind::Crash
            | FaultKind::PowerCut
            | FaultKind::Restart
            | FaultKind::ClockSkew
            | FaultKind::AddressChange => (),
        }
        if excuses(fault.kind) {
            for node in self.concerned(&fault, nodes) {
                self.oracles.end_excuse(node);
            }
        }
    }

    fn excuse(&self, fault: &Fault, nodes: &[usize]) {
        for node in self.concerned(fault, nodes) {
            self.oracles.excuse(node);
        }
    }

    /// The nodes whose sight of others a fault disturbs: where it divides the network, all.
    fn concerned(&self, fault: &Fault, nodes: &[usize]) -> Vec<usize> {
        if fault.kind.divides() { (0..self.nodes.len()).collect() } else { nodes.to_vec() }
    }

    fn stop(&mut self, node: usize, kind: FaultKind) {
        let host = self.host(node);
        self.machine.executor.set_paused(host, true);
        self.network.set_paused(host, true);
        if kind == FaultKind::Suspend {
            self.network.set_connected(host, false);
            self.faults.asleep.entry(node).or_insert_with(now);
        }
        self.oracles.count(if kind == FaultKind::Suspend { Sometimes::Suspend } else { Sometimes::Pause });
    }

    fn go_on(&mut self, node: usize, kind: FaultKind) {
        let host = self.host(node);
        if kind == FaultKind::Suspend {
            self.network.set_connected(host, true);
            if let Some(since) = self.faults.asleep.remove(&node) {
                self.machine.executor.add_lag(host, now() - since);
            }
        }
        self.network.set_paused(host, false);
        self.machine.executor.set_paused(host, false);
    }

    /// The wall clock is off from now on. A node reads it when it starts, so it is started again.
    fn skew(&mut self, node: usize, fault: &Fault) {
        let millis = i64::try_from(fault.skew.by.as_millis()).unwrap_or(i64::MAX);
        if let Some(skewed) = self.nodes.get_mut(node) {
            skewed.skew_millis = if fault.skew.ahead { millis } else { -millis };
        }
        self.shut_down(node);
        self.plan(now() + LEAVE_TIME, Action::Start(node));
    }

    fn set_disks_full(&self, nodes: &[usize], full: bool) {
        for node in nodes.iter().filter_map(|node| self.nodes.get(*node)) {
            node.disk.set_full(full);
        }
    }

    /// Notes a fault that is over as soon as its node is back.
    fn happened(&mut self, kind: FaultKind, node: usize, away: Option<u64>) {
        let from_seconds = now() as f64 / 1e9;
        self.faults.spans.push(FaultSpan {
            kind: kind.to_string(),
            what: format!("node {node}"),
            from_seconds,
            until_seconds: away.map(|away| from_seconds + away as f64 / 1e9),
        });
    }

    fn close_span(&mut self, span: usize) {
        if let Some(span) = self.faults.spans.get_mut(span) {
            span.until_seconds = Some(now() as f64 / 1e9);
        }
    }
}

/// Whether nodes that such a fault befalls may be shown lost.
fn excuses(kind: FaultKind) -> bool {
    !matches!(kind, FaultKind::Loss | FaultKind::SlowCpu | FaultKind::DiskFull)
}

fn scaled(nanoseconds: u64, factor: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "factors are at most 10,000")]
    #[expect(clippy::cast_sign_loss, reason = "factors are positive")]
    let scaled = (nanoseconds as f64 * factor) as u64;
    scaled
}

/// What one poll of a task takes on a processor that is not slow, about as measured.
const POLL_TIME: u64 = 20_000;
/// A node that said goodbye has ended by then.
const LEAVE_TIME: u64 = 1_000_000_000;
