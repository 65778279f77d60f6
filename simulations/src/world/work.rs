//! What the PRINCIPALS do: change their status, send messages, watch each other.

use std::time::Duration;

use hereabouts::mesh::handle::Sent;
use hereabouts_protocol::message::outbox::{Draft, Recipient};
use rand::{RngExt, seq::index};

use super::{Action, World, nanoseconds};
use crate::{
    oracles,
    trace::TraceEvent,
    virtual_machine::{executor, now},
};

impl World {
    /// Some live publisher changes its status.
    pub(crate) fn change(&mut self) {
        if let Some(number) = self.draw(&self.live_publishers()) {
            self.change_of(number);
        }
    }

    /// Several live publishers change their status within a short time.
    pub(crate) fn burst(&mut self) {
        let live = self.live_publishers();
        let count = self.scenario.workload.burst_changes.min(live.len());
        let within = self.scenario.workload.burst_within.map_or(0, nanoseconds);
        for place in index::sample(&mut self.random, live.len(), count) {
            let at = now() + self.random.random_range(0..=within);
            if let Some(number) = live.get(place) {
                self.plan(at, Action::ChangeOf(*number));
            }
        }
    }

    fn live_publishers(&self) -> Vec<usize> {
        let live = self.nodes.iter().filter(|node| node.publishes && node.is_running());
        live.map(|node| node.number).collect()
    }

    /// This node changes its status, if it runs.
    pub(crate) fn change_of(&mut self, number: usize) {
        let Some(node) = self.nodes.get(number) else { return };
        let (Some(handle), Some(process), host) = (node.handle(), &node.process, node.host) else { return };
        let changing = process.changing.clone();
        self.options.trace.add(&TraceEvent::Told { at: now(), host, what: "changes its status" });
        if self.measurements.followed_at.is_none() {
            self.measurements.followed_at = Some(now());
            self.network.with_spread(|spread| spread.follow_next_of(host));
        }
        let (oracles, guarded) = (self.oracles.clone(), self.nodes.get(number).and_then(|node| node.guarded));
        executor::spawn(
            host,
            Box::pin(async move {
                let _changing = changing.lock().await;
                let change = oracles.next_change(number);
                let begun = now();
                let Ok(information) = handle.own_information().await else { return };
                if handle.set_information(oracles::document(information, change, guarded)).await.is_ok() {
                    oracles.handle_published(number, change, begun);
                }
            }),
        );
    }

    /// Some live node sends a message to some presentity that it has seen.
    pub(crate) fn message(&mut self) {
        let senders: Vec<_> =
            self.nodes.iter().filter(|node| node.is_running()).map(|node| node.number).collect();
        let receivers: Vec<_> =
            self.nodes.iter().filter(|node| node.publishes).map(|node| node.number).collect();
        let (Some(from), Some(to)) = (self.draw(&senders), self.draw(&receivers)) else { return };
        let (Some(sender), Some(receiver)) = (self.nodes.get(from), self.nodes.get(to)) else { return };
        let (Some(handle), false) = (sender.handle(), from == to) else { return };
        let draft = Draft {
            to: Recipient::Presentity(receiver.presentity),
            body: vec![b'x'; self.scenario.workload.message_bytes],
            content_type: "text/plain; charset=utf-8".to_owned(),
            language: None,
            thread: None,
            reply_to: None,
            extensions: Default::default(),
            queue: self.scenario.workload.queued,
            lifetime: LIFETIME,
        };
        let oracles = self.oracles.clone();
        executor::spawn(
            sender.host,
            Box::pin(async move {
                let begun = now();
                // Nothing was sent if there is an error: the recipient was never heard of, say.
                if let Ok((id, sent)) = handle.send(draft).await {
                    let outcome = match sent {
                        Sent::Final(delivery) => Some(delivery),
                        Sent::Queued => None,
                    };
                    oracles.handle_sent(id, (from, to), begun, outcome);
                }
            }),
        );
    }

    /// Every node subscribes to as many presentities as the scenario says.
    pub(super) fn begin_watches(&mut self) {
        let receivers: Vec<_> =
            self.nodes.iter().filter(|node| node.publishes).map(|node| node.presentity).collect();
        for number in 0..self.nodes.len() {
            for _ in 0..self.scenario.workload.watches {
                let drawn = self.draw(&receivers);
                let Some(node) = self.nodes.get(number) else { continue };
                if let (Some(handle), Some(watched)) = (node.handle(), drawn)
                    && watched != node.presentity
                {
                    executor::spawn(
                        node.host,
                        Box::pin(async move {
                            // Too many are watched already, or the node is ending.
                            let _ = handle.watch(watched).await;
                        }),
                    );
                }
            }
        }
    }

    pub(super) fn draw<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        if among.is_empty() {
            return None;
        }
        let drawn = self.random.random_range(0..among.len());
        among.get(drawn).copied()
    }
}

const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
