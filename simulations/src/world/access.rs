//! ACCESS RULES in a run: who is guarded, whom their rules let see what, and how these change.
//!
//! For each guarded presentity the seed draws what anybody who listens, its contacts and strangers are
//! granted, and how each watcher stands to it: with a rule of its own, as a contact or as a stranger.

use hereabouts::mesh::handle::MeshHandle;
use hereabouts_protocol::{
    durable::StoredContact,
    identity::Presentity,
    presence::access_rules::{AccessRule, Audience, Handling},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{World, key, purpose, watching::watches};
use crate::{
    oracles::{Grant, Oracles},
    scenario::{Adversaries, Scenario},
    virtual_machine::executor,
};

/// What a guarded presentity grants, but for rules of single watchers.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// One grant of each kind, from which all are drawn.
    kinds: [Grant; 5],
    anybody: Option<Grant>,
    contacts: Grant,
    strangers: Grant,
}

impl Guard {
    fn draw(of: u8, random: &mut StdRng) -> Self {
        let kinds = Grant::draw_kinds(of, random);
        let mut kind = |count| kinds.get(random.random_range(0..count)).cloned().unwrap_or(Grant::Blocked);
        // Those who ask nothing can only be allowed or blocked.
        let (listens, allowed) = (kind(2), kind(5));
        let anybody = matches!(allowed, Grant::Everything | Grant::Part(_)).then_some(listens);
        let (contacts, strangers) = (kind(5), kind(5));
        Self { kinds, anybody, contacts, strangers }
    }

    /// A watcher that has a petname for other reasons has a rule of its own.
    fn draw_standing(&self, is_guarded: bool, random: &mut StdRng) -> Standing {
        let standing = if is_guarded { 0 } else { random.random_range(0..5) };
        match standing {
            3 => Standing::Contact,
            4 => Standing::Stranger,
            _ => {
                let grant = self.kinds.get(random.random_range(0..self.kinds.len()));
                Standing::Own(grant.cloned().unwrap_or(Grant::Blocked))
            }
        }
    }

    fn grant(&self, standing: &Standing) -> Grant {
        match standing {
            Standing::Own(grant) => grant.clone(),
            Standing::Contact => self.contacts.clone(),
            Standing::Stranger => self.strangers.clone(),
        }
    }
}

/// How a watcher stands to a guarded presentity.
#[derive(Debug, Clone)]
enum Standing {
    /// It has a rule of its own.
    Own(Grant),
    /// It has a petname.
    Contact,
    /// It has neither.
    Stranger,
}

/// A watcher and its number among those of a guarded presentity.
type Numbered = (usize, Presentity);

/// The nodes that are guarded: the first of those that publish.
pub(super) fn guarded(scenario: &Scenario, publishes: impl Fn(usize) -> bool) -> Vec<usize> {
    let count = scenario.access.as_ref().map_or(0, |access| access.guarded.of(scenario.nodes));
    (0..scenario.nodes).filter(|number| publishes(*number)).take(count).collect()
}

/// The presentities of the adversaries of some sections.
pub(super) fn hostile(
    scenario: &Scenario,
    seed: u64,
    is_wanted: impl Fn(&Adversaries) -> bool,
) -> Vec<Presentity> {
    let mut number = scenario.nodes;
    let mut hostile = Vec::new();
    for adversaries in &scenario.adversaries {
        for _ in 0..adversaries.count(scenario.nodes) {
            if is_wanted(adversaries) {
                hostile.extend(Presentity::from_public_key(&key(seed, number).public()));
            }
            number += 1;
        }
    }
    hostile
}

impl World {
    /// Every guarded node sets its rules, and every watcher gives it a petname.
    pub(super) fn begin_access(&mut self) {
        let mut random = StdRng::seed_from_u64(purpose(self.options.seed, ACCESS));
        for number in self.running_guarded() {
            let Some(node) = self.nodes.get(number) else { continue };
            let (Some(handle), Some(process), Some(place)) = (node.handle(), &node.process, node.guarded)
            else {
                continue;
            };
            let (host, of, changing) = (node.host, node.presentity, process.changing.clone());
            let guard = Guard::draw(place, &mut random);
            let watchers = self.watchers(number).into_iter().map(|watcher| {
                let is_guarded = self.is_guarded(&watcher.1);
                (watcher, guard.draw_standing(is_guarded, &mut random))
            });
            let (watchers, oracles): (Vec<_>, _) = (watchers.collect(), self.oracles.clone());
            self.guards.insert(number, guard.clone());
            executor::spawn(
                host,
                Box::pin(async move {
                    let _changing = changing.lock().await;
                    set_rules(handle, of, (guard, watchers), oracles).await;
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

    fn is_guarded(&self, presentity: &Presentity) -> bool {
        self.nodes.iter().any(|node| node.guarded.is_some() && node.presentity == *presentity)
    }

    /// Some guarded node that runs changes its status.
    pub(crate) fn change_guarded(&mut self) {
        if let Some(number) = self.draw(&self.running_guarded()) {
            self.change_of(number);
        }
    }

    pub(super) fn running_guarded(&self) -> Vec<usize> {
        let guarded = self.nodes.iter().filter(|node| node.guarded.is_some() && node.is_running());
        guarded.map(|node| node.number).collect()
    }

    /// Some guarded node that runs changes its rule for some watcher.
    pub(crate) fn change_rule(&mut self) {
        let Some(number) = self.draw(&self.running_guarded()) else { return };
        let watchers = self.watchers(number);
        let Some(watcher) = self.draw(&watchers) else { return };
        let is_guarded = self.is_guarded(&watcher.1);
        let Some(guard) = self.guards.get(&number).cloned() else { return };
        let standing = guard.draw_standing(is_guarded, &mut self.random);
        let Some(node) = self.nodes.get(number) else { return };
        let (Some(handle), Some(process)) = (node.handle(), &node.process) else { return };
        let (of, oracles, changing) = (node.presentity, self.oracles.clone(), process.changing.clone());
        if self.scenario.access.as_ref().is_some_and(|access| access.lies) {
            oracles.handle_granting(of, watcher.1, guard.grant(&standing));
            oracles.handle_granted(of, watcher.1);
            return;
        }
        executor::spawn(
            node.host,
            Box::pin(async move {
                let _changing = changing.lock().await;
                set_rule(&handle, of, watcher, (&guard, standing), &oracles).await;
            }),
        );
    }

    /// All that may watch a node: the others, and adversaries that do.
    fn watchers(&self, number: usize) -> Vec<Numbered> {
        let others = self.nodes.iter().filter(|node| node.number != number).map(|node| node.presentity);
        // Adversaries that watch are in the rules as anybody else.
        let hostile = hostile(&self.scenario, self.options.seed, |some| watches(some.kind));
        others.chain(hostile).enumerate().collect()
    }
}

async fn set_rules(
    handle: MeshHandle,
    of: Presentity,
    (guard, watchers): (Guard, Vec<(Numbered, Standing)>),
    oracles: Oracles,
) {
    if guard.anybody.is_some() {
        oracles.handle_named(&of);
    }
    // Those of all come last: nobody is refused on the way who is granted something in the end.
    for (watcher, standing) in watchers {
        set_rule(&handle, of, watcher, (&guard, standing), &oracles).await;
    }
    let block = || AccessRule::without_grant(Handling::Block);
    let rules = [
        (Audience::Anybody, guard.anybody.as_ref().map_or_else(block, Grant::rule)),
        (Audience::Contacts, guard.contacts.rule()),
        (Audience::Strangers, guard.strangers.rule()),
    ];
    for (audience, rule) in rules {
        if let Err(error) = handle.put_access_rule(audience, Some(rule)).await {
            oracles.handle_rule_error(of, &error);
        }
    }
}

/// Lets a watcher stand so from now on. What it is granted changes once by that, at most.
async fn set_rule(
    handle: &MeshHandle,
    of: Presentity,
    (number, watcher): Numbered,
    (guard, standing): (&Guard, Standing),
    oracles: &Oracles,
) {
    oracles.handle_granting(of, watcher, guard.grant(&standing));
    let petname = format!("watcher {number}");
    let known = match standing {
        // Its rule decides, whatever it is beside.
        Standing::Own(_) => Ok(()),
        Standing::Contact => handle.put_contact(StoredContact { petname, presentity: watcher }).await,
        Standing::Stranger => handle.remove_contact(petname).await.map(drop),
    };
    let rule = match standing {
        Standing::Own(grant) => Some(grant.rule()),
        Standing::Contact | Standing::Stranger => None,
    };
    match handle.put_access_rule(Audience::Watcher(watcher), rule).await {
        Ok(()) if known.is_ok() => oracles.handle_granted(of, watcher),
        Ok(()) => (),
        Err(error) => oracles.handle_rule_error(of, &error),
    }
}

const ACCESS: u64 = 11;
