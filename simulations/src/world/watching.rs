//! Asking nodes what they keep and who watches whom, for the oracles.

use std::sync::{Arc, Mutex, PoisonError};

use hereabouts::mesh::handle::{MeshHandle, Stopped};
use hereabouts_protocol::durable::StoredContact;
use rand::RngExt;

use super::{ASKING, World, nanoseconds};
use crate::{
    oracles::{Said, Tables, Watching},
    scenario::AdversaryKind,
    virtual_machine::{executor, now},
};

/// Answers that come while time passes.
#[derive(Debug, Clone, Default)]
struct Answered(Arc<Mutex<(usize, Said)>>);

impl World {
    /// Every node is asked how full its tables are.
    pub(crate) fn look_at_tables(&self) {
        let limits = &self.scenario.node;
        let (records_max, inbox_max) = (limits.records_max, limits.inbox_max);
        for node in &self.nodes {
            let Some(handle) = node.handle() else { continue };
            let (number, oracles) = (node.number, self.oracles.clone());
            executor::spawn(
                node.host,
                Box::pin(async move {
                    let asked = async {
                        let watching = ask(&handle).await?;
                        let records = handle.presentities().await?.len();
                        let messages = handle.overview().await?.inbox_messages;
                        Ok::<_, Stopped>(Tables::new(
                            &watching,
                            (records, records_max),
                            (messages, inbox_max),
                        ))
                    };
                    // One that is ending keeps nothing any more.
                    if let Ok(tables) = asked.await {
                        oracles.handle_tables(number, &tables);
                    }
                }),
            );
        }
    }

    /// Some live node ends its SUBSCRIPTION to a guarded presentity and begins it again at once, up to
    /// [`FLIPS_MAX`] times.
    pub(crate) fn flip(&mut self) {
        let running: Vec<_> =
            self.nodes.iter().filter(|node| node.is_running()).map(|node| node.number).collect();
        let (Some(number), Some(guarded)) = (self.draw(&running), self.draw(&self.running_guarded())) else {
            return;
        };
        let times = self.random.random_range(1..=FLIPS_MAX);
        let (Some(node), Some(of)) = (self.nodes.get(number), self.nodes.get(guarded)) else { return };
        let (Some(handle), Some(process), false) = (node.handle(), &node.process, number == guarded) else {
            return;
        };
        let petname = format!("guarded {guarded}");
        let (presentity, flipping) = (of.presentity, process.flipping.clone());
        executor::spawn(
            node.host,
            Box::pin(async move {
                let _flipping = flipping.lock().await;
                for _ in 0..times {
                    // The node may be ending.
                    let _ = handle.remove_contact(petname.clone()).await;
                    let _ = handle.put_contact(StoredContact { petname: petname.clone(), presentity }).await;
                }
            }),
        );
    }

    /// What nodes say of those who watch them must be what these know, within the time to settle.
    pub(super) fn check_watching(&mut self) {
        if self.scenario.access.is_none() {
            return;
        }
        self.look_at_tables();
        let until = now() + nanoseconds(self.scenario.settle);
        if self.scenario.adversaries.iter().any(|some| watches(some.kind)) {
            self.advance_until(now() + STORM_SETTLES, |_| false);
        }
        let ledger = self.answers.ledger().clone();
        loop {
            let answered = self.ask_all();
            self.advance_until(now() + ASKING, |_| answered.lock().0 == 0);
            let said = std::mem::take(&mut answered.lock().1);
            if self.oracles.check_watching(&said, &ledger, now() >= until) {
                return;
            }
            self.advance_until(now() + ASKED_AGAIN, |_| false);
        }
    }

    fn ask_all(&self) -> Answered {
        let answered = Answered::default();
        for node in &self.nodes {
            let Some(handle) = node.handle() else { continue };
            answered.lock().0 += 1;
            let (answered, presentity) = (answered.clone(), node.presentity);
            executor::spawn(
                node.host,
                Box::pin(async move {
                    let watching = ask(&handle).await;
                    let mut answered = answered.lock();
                    answered.0 -= 1;
                    if let Ok(watching) = watching {
                        answered.1.insert(presentity, watching);
                    }
                }),
            );
        }
        answered
    }
}

impl Answered {
    fn lock(&self) -> std::sync::MutexGuard<'_, (usize, Said)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether adversaries of this kind are watchers, and in the rules as any other.
pub(super) fn watches(kind: AdversaryKind) -> bool {
    matches!(kind, AdversaryKind::Recorder | AdversaryKind::Fetcher | AdversaryKind::Subscriber)
}

async fn ask(handle: &MeshHandle) -> Result<Watching, Stopped> {
    let watchers = handle.watchers().await?.into_iter().collect();
    Ok(Watching { watchers, subscriptions: handle.subscriptions().await? })
}

const FLIPS_MAX: usize = 5;
/// Nanoseconds in which adversaries rest, ask once more, and are answered.
const STORM_SETTLES: u64 = 4_000_000_000;
const ASKED_AGAIN: u64 = 1_000_000_000;
