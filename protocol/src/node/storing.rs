//! What goes to the store and what comes back from it, also when the store fails for a while.
//!
//! **Decides** what is stored again after a failure: everything that memory has, since what was refused is
//! not remembered apart. **Leaves** the store and its order to the driver.

use std::time::Duration;

use super::{Node, NodeOutput, PersistToken, Persisting, SentOutcome};
use crate::{
    durable::{Change, Durability, Outcome},
    message::inbox::Stored,
    time::Timestamp,
};

impl Node {
    pub(super) fn persisted(&mut self, now: Timestamp, token: PersistToken, outcomes: Option<Vec<Outcome>>) {
        match self.persisting.remove(&token) {
            Some(Persisting::Message { response, message, repeats }) => {
                let stored = match outcomes.as_deref() {
                    Some([Outcome::Duplicate]) => Stored::Duplicate,
                    Some(_) => Stored::New,
                    None => Stored::Failed,
                };
                let cursor = outcomes.iter().flatten().find_map(|outcome| match outcome {
                    Outcome::Stored { cursor } => Some(*cursor),
                    _ => None,
                });
                self.message_stored(now, response, message, repeats, stored, cursor);
            }
            Some(Persisting::Outbox(id)) if outcomes.is_some() => self.outbox.handle_stored(now, id),
            Some(Persisting::Outbox(id)) => {
                if self.outbox.handle_store_failed(now, id) {
                    self.outputs.push_back(NodeOutput::Sent { id, outcome: SentOutcome::NotStored });
                } else {
                    self.trouble(
                        "the end of a queued message was not stored; it may be sent again at the next start",
                    );
                }
            }
            Some(Persisting::Incarnation(incarnation)) if outcomes.is_some() => {
                self.publication.handle_incarnation_stored(now, incarnation);
            }
            Some(Persisting::Incarnation(incarnation)) => {
                self.publication.handle_incarnation_store_failed(incarnation);
                self.trouble("the boot counter could not be stored, so nothing newer can be published");
            }
            Some(Persisting::Information) if outcomes.is_none() => {
                self.trouble("a new presence document was not stored; that is tried again until it is");
                self.store_again_soon(now);
            }
            Some(Persisting::Everything) => {
                let waited = self.store_again.take().map_or(STORE_AGAIN_MIN, |(_, waited)| waited);
                if outcomes.is_none() {
                    let wait = waited.saturating_mul(2).min(STORE_AGAIN_MAX);
                    self.store_again = Some((now + wait, wait));
                }
            }
            Some(Persisting::Information) | None => (),
        }
    }

    pub(super) fn persist(&mut self, changes: Vec<Change>, purpose: Persisting) {
        let token = PersistToken(self.token());
        self.persisting.insert(token, purpose);
        self.outputs.push_back(NodeOutput::Persist {
            token: Some(token),
            changes,
            durability: Durability::Durable,
        });
    }

    pub(super) fn store_again_soon(&mut self, now: Timestamp) {
        self.store_again.get_or_insert((now + STORE_AGAIN_MIN, STORE_AGAIN_MIN));
    }

    /// Stores anew all that memory has and the store may have refused.
    pub(super) fn store_everything(&mut self) {
        if !self.stores_everything() {
            let records = self.service.to_store().map(Change::Record);
            let information = Change::Information(self.publication.information().clone());
            let keys = self.keyring.all_to_store().map(Change::PutKey);
            let watchers = self.watcher_information.to_store().map(Change::PutWatcher);
            let changes = records.chain([information]).chain(keys).chain(watchers).collect();
            self.persist(changes, Persisting::Everything);
        }
    }

    pub(super) fn stores_everything(&self) -> bool {
        self.persisting.values().any(|purpose| matches!(purpose, Persisting::Everything))
    }

    pub(super) fn persist_lazily(&mut self, change: Change) {
        self.outputs.push_back(NodeOutput::Persist {
            token: None,
            changes: vec![change],
            durability: Durability::Lazy,
        });
    }
}

/// A store that failed is tried again after this, and each time after twice as long.
const STORE_AGAIN_MIN: Duration = Duration::from_secs(1);
const STORE_AGAIN_MAX: Duration = Duration::from_secs(4);
