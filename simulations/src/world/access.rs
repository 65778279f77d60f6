//! ACCESS RULES in a run: who is guarded, whom their rules let see what, and how these change.

use hereabouts::mesh::handle::MeshHandle;
use hereabouts_protocol::{
    durable::StoredContact,
    identity::Presentity,
    presence::access_rules::{AccessRule, Audience, Handling},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{World, key, purpose};
use crate::{
    oracles::{Grant, Oracles},
    scenario::{AdversaryKind, Scenario},
    virtual_machine::executor,
};

/// The nodes that are guarded: the first of those that publish.
pub(super) fn guarded(scenario: &Scenario, publishes: impl Fn(usize) -> bool) -> Vec<usize> {
    let count = scenario.access.as_ref().map_or(0, |access| access.guarded.of(scenario.nodes));
    (0..scenario.nodes).filter(|number| publishes(*number)).take(count).collect()
}

/// The presentities of adversaries that watch, and are in the rules as anybody else.
pub(super) fn recorders(scenario: &Scenario, seed: u64) -> Vec<Presentity> {
    let mut number = scenario.nodes;
    let mut recorders = Vec::new();
    for adversaries in &scenario.adversaries {
        for _ in 0..adversaries.amount.of(scenario.nodes) {
            if adversaries.kind == AdversaryKind::Recorder {
                recorders.extend(Presentity::from_public_key(&key(seed, number).public()));
            }
            number += 1;
        }
    }
    recorders
}

impl World {
    /// Every guarded node sets a rule for each watcher, and every watcher gives it a petname.
    pub(super) fn begin_access(&self) {
        let guarded: Vec<_> = self.nodes.iter().filter(|node| node.guarded).map(|node| node.number).collect();
        let mut random = StdRng::seed_from_u64(purpose(self.options.seed, ACCESS));
        for number in guarded {
            let Some(node) = self.nodes.get(number) else { continue };
            let (Some(handle), Some(process)) = (node.handle(), &node.process) else { continue };
            let (of, changing) = (node.presentity, process.changing.clone());
            let watchers = self.watchers(number);
            let rules = watchers
                .iter()
                .filter_map(|watcher| {
                    Some((*watcher, *Grant::ALL.get(random.random_range(0..Grant::ALL.len()))?))
                })
                .collect();
            let oracles = self.oracles.clone();
            executor::spawn(
                node.host,
                Box::pin(async move {
                    let _changing = changing.lock().await;
                    set_rules(handle, of, rules, oracles).await;
                }),
            );
            for node in self.nodes.iter().filter(|node| node.presentity != of) {
                let Some(handle) = node.handle() else { continue };
                let contact = StoredContact { petname: format!("guarded {number}"), presentity: of };
                executor::spawn(
                    node.host,
                    Box::pin(async move {
                        // The node may be ending.
                        let _ = handle.put_contact(contact).await;
                    }),
                );
            }
        }
    }

    /// Some guarded node that runs changes its status.
    pub(crate) fn change_guarded(&mut self) {
        if let Some(number) = self.draw(&self.running_guarded()) {
            self.change_of(number);
        }
    }

    fn running_guarded(&self) -> Vec<usize> {
        let guarded = self.nodes.iter().filter(|node| node.guarded && node.is_running());
        guarded.map(|node| node.number).collect()
    }

    /// Every node gives every other a petname, if the scenario has them know each other.
    pub(super) fn begin_contacts(&self) {
        if !self.scenario.workload.contacts {
            return;
        }
        for node in &self.nodes {
            let Some(handle) = node.handle() else { continue };
            let others = self.nodes.iter().filter(|other| other.number != node.number);
            let contacts: Vec<_> = others
                .map(|other| StoredContact {
                    petname: format!("node {}", other.number),
                    presentity: other.presentity,
                })
                .collect();
            executor::spawn(
                node.host,
                Box::pin(async move {
                    for contact in contacts {
                        // The node may be ending.
                        let _ = handle.put_contact(contact).await;
                    }
                }),
            );
        }
    }

    /// Some guarded node that runs changes its rule for some watcher.
    pub(crate) fn change_rule(&mut self) {
        let Some(number) = self.draw(&self.running_guarded()) else { return };
        let watchers = self.watchers(number);
        let (Some(watcher), Some(grant)) = (self.draw(&watchers), self.draw(&Grant::ALL)) else { return };
        let Some(node) = self.nodes.get(number) else { return };
        let (Some(handle), Some(process)) = (node.handle(), &node.process) else { return };
        let (of, oracles, changing) = (node.presentity, self.oracles.clone(), process.changing.clone());
        executor::spawn(
            node.host,
            Box::pin(async move {
                let _changing = changing.lock().await;
                set_rule(&handle, of, watcher, grant, &oracles).await;
            }),
        );
    }

    /// All that may watch a node: the others, and adversaries that do.
    fn watchers(&self, number: usize) -> Vec<Presentity> {
        let others = self.nodes.iter().filter(|node| node.number != number).map(|node| node.presentity);
        others.chain(recorders(&self.scenario, self.options.seed)).collect()
    }
}

async fn set_rules(handle: MeshHandle, of: Presentity, rules: Vec<(Presentity, Grant)>, oracles: Oracles) {
    // Nothing of it goes in the clear from now on, and nobody is granted anything but by a rule of its own.
    for audience in Audience::CLASSES {
        let block = AccessRule::without_grant(Handling::Block);
        if handle.put_access_rule(audience, Some(block)).await.is_err() {
            return;
        }
    }
    for (watcher, grant) in rules {
        set_rule(&handle, of, watcher, grant, &oracles).await;
    }
}

async fn set_rule(handle: &MeshHandle, of: Presentity, watcher: Presentity, grant: Grant, oracles: &Oracles) {
    oracles.handle_granting(of, watcher, grant);
    if handle.put_access_rule(Audience::Watcher(watcher), Some(grant.rule())).await.is_ok() {
        oracles.handle_granted(of, watcher);
    }
}

const ACCESS: u64 = 11;
