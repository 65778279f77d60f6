//! The outbox of a simulated disk: every queued entry, and the finished ones that ended last.

use std::{collections::BTreeMap, sync::Arc};

use hereabouts::storage::OUTBOX_FINISHED_MAX;
use hereabouts_protocol::{
    durable::{OutboxEntry, OutboxState},
    message::instant_message::MessageId,
};

/// Entries by place, the order in which they were first put.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: BTreeMap<u64, Held>,
    places: BTreeMap<MessageId, u64>,
    /// The places of the finished entries, in the order of their ends.
    finished: BTreeMap<u64, u64>,
    /// Larger than every place of an entry or an end that was ever given.
    place_next: u64,
}

/// How to undo one change of the outbox: the entry is as it was before, or not there.
#[derive(Debug)]
pub(super) struct OutboxUndo {
    id: MessageId,
    before: Option<(u64, Held)>,
}

#[derive(Debug, Clone)]
struct Held {
    entry: Arc<OutboxEntry>,
    /// Its place among the ends.
    finished: Option<u64>,
}

impl Outbox {
    /// Puts an entry, and drops the one that ended first if too many have.
    pub(super) fn put(&mut self, entry: OutboxEntry) -> (OutboxUndo, Option<OutboxUndo>) {
        let undo = self.take(entry.message.id);
        let place = undo.before.as_ref().map_or(self.place_next, |(place, _)| *place);
        let ended_before = undo.before.as_ref().and_then(|(_, held)| held.finished);
        let finished = (entry.state != OutboxState::Queued).then(|| ended_before.unwrap_or(self.place_next));
        self.place_next += 1;
        self.insert(entry.message.id, place, Held { entry: Arc::new(entry), finished });
        let dropped = self.first_ended().filter(|_| self.finished.len() > OUTBOX_FINISHED_MAX);
        (undo, dropped.map(|id| self.take(id)))
    }

    /// None if it is not there.
    pub(super) fn remove(&mut self, id: MessageId) -> Option<OutboxUndo> {
        Some(self.take(id)).filter(|undo| undo.before.is_some())
    }

    pub(super) fn undo(&mut self, undo: OutboxUndo) {
        self.take(undo.id);
        if let Some((place, held)) = undo.before {
            self.insert(undo.id, place, held);
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &OutboxEntry> {
        self.entries.values().map(|held| &*held.entry)
    }

    fn first_ended(&self) -> Option<MessageId> {
        let (_, place) = self.finished.first_key_value()?;
        Some(self.entries.get(place)?.entry.message.id)
    }

    fn take(&mut self, id: MessageId) -> OutboxUndo {
        let before = self.places.remove(&id).and_then(|place| Some((place, self.entries.remove(&place)?)));
        if let Some((_, Held { finished: Some(finished), .. })) = &before {
            self.finished.remove(finished);
        }
        OutboxUndo { id, before }
    }

    fn insert(&mut self, id: MessageId, place: u64, held: Held) {
        if let Some(finished) = held.finished {
            self.finished.insert(finished, place);
        }
        self.places.insert(id, place);
        self.entries.insert(place, held);
    }
}
