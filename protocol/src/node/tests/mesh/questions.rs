//! What tests ask a mesh, and what they make it do in one line.

use std::time::Duration;

use super::Mesh;
use crate::{
    durable::{OutboxState, StoredContact},
    message::{
        instant_message::MessageId,
        outbox::{Draft, Recipient},
    },
    node::{AccessError, NodeInput, Notice},
    presence::{
        access_rules::{AccessRule, Audience},
        record::PresenceRecord,
        service::{ContactState, Evidence, PresentityView, Transition},
    },
    time::UnixTime,
};

impl Mesh {
    /// How `seat` sees the contact of `other`; nothing if it has never heard of it.
    pub(in crate::node::tests) fn contact(
        &self,
        seat: usize,
        other: usize,
    ) -> Option<(ContactState, Evidence)> {
        let view = self.node(seat).view(self.local(seat), &self.who(other))?;
        Some((view.contact.state, view.contact.evidence))
    }

    /// What `seat` knows of `other`.
    pub(in crate::node::tests) fn view(&self, seat: usize, other: usize) -> PresentityView {
        self.node(seat).view(self.local(seat), &self.who(other)).expect("it is known")
    }

    pub(in crate::node::tests) fn heard_at(&self, seat: usize, other: usize) -> UnixTime {
        self.view(seat, other).heard_at
    }

    /// Whether every running node has the same record of every other, and believes it present.
    pub(in crate::node::tests) fn agree(&self) -> bool {
        let running: Vec<_> = (0..self.seats.len()).filter(|seat| self.runs(*seat)).collect();
        running.iter().all(|seat| {
            running.iter().filter(|other| *other != seat).all(|other| {
                let record = self.node(*seat).record(&self.who(*other)).map(PresenceRecord::bytes);
                record == self.node(*other).own_record().map(PresenceRecord::bytes)
                    && self.node(*seat).is_in_contact(&self.who(*other))
            })
        })
    }

    /// What `seat` was told of `other` since the notices were last taken.
    pub(in crate::node::tests) fn transitions(&self, seat: usize, other: usize) -> Vec<Transition> {
        let who = self.who(other);
        let of = |notice: &Notice| match notice {
            Notice::Transition(view, transition) if view.presentity == who => Some(*transition),
            _ => None,
        };
        self.seats[seat].notices.iter().filter_map(of).collect()
    }

    pub(in crate::node::tests) fn take_notices(&mut self) {
        for seat in &mut self.seats {
            seat.notices.clear();
        }
    }

    pub(in crate::node::tests) fn troubles(&self, seat: usize) -> usize {
        self.seats[seat].notices.iter().filter(|notice| matches!(notice, Notice::Trouble(_))).count()
    }

    /// How queued messages of `seat` ended, in that order.
    pub(in crate::node::tests) fn finished(&self, seat: usize) -> Vec<(MessageId, OutboxState)> {
        let of = |notice: &Notice| match notice {
            Notice::Finished { id, state, .. } => Some((*id, *state)),
            _ => None,
        };
        self.seats[seat].notices.iter().filter_map(of).collect()
    }

    /// The texts in the inbox of `seat`, in the order in which they came.
    pub(in crate::node::tests) fn inbox(&self, seat: usize) -> Vec<String> {
        let text = |message: &crate::durable::StoredMessage| message.message.text().unwrap().to_owned();
        self.seats[seat].disk.inbox.iter().map(text).collect()
    }

    /// Sends a text from one node to another.
    pub(in crate::node::tests) fn send(
        &mut self,
        from: usize,
        to: usize,
        text: &str,
        queue: bool,
    ) -> MessageId {
        let draft = Draft { queue, ..self.draft(to, text) };
        self.with(from, |node, now| node.handle_send(now, draft)).unwrap()
    }

    pub(in crate::node::tests) fn draft(&self, to: usize, text: &str) -> Draft {
        Draft {
            to: Recipient::Inbox(crate::testing::inbox(&self.seats[to].key)),
            body: text.as_bytes().to_vec(),
            content_type: "text/plain".to_owned(),
            language: None,
            thread: None,
            reply_to: None,
            extensions: Default::default(),
            queue: false,
            lifetime: Duration::from_secs(3600),
        }
    }

    /// Sets an ACCESS RULE as a driver would: checked, stored, then told.
    pub(in crate::node::tests) fn rule(
        &mut self,
        seat: usize,
        audience: Audience,
        rule: Option<AccessRule>,
    ) -> Result<(), AccessError> {
        let checked = rule.clone();
        self.with(seat, |node, now| node.check_access_rules(now, vec![(audience, checked)]))?;
        let rules = &mut self.seats[seat].disk.access_rules;
        match &rule {
            Some(rule) => drop(rules.insert(audience, rule.clone())),
            None => drop(rules.remove(&audience)),
        }
        self.input(seat, NodeInput::AccessRules(vec![(audience, rule)]));
        Ok(())
    }

    /// Gives `other` a petname.
    pub(in crate::node::tests) fn befriend(&mut self, seat: usize, other: usize) {
        let contact = StoredContact { petname: format!("friend {other}"), presentity: self.who(other) };
        self.seats[seat].disk.contacts.insert(contact.petname.clone(), contact.presentity);
        self.input(seat, NodeInput::ContactPut(contact));
    }

    /// Takes the petname of `other` back.
    pub(in crate::node::tests) fn unfriend(&mut self, seat: usize, other: usize) {
        let petname = format!("friend {other}");
        self.seats[seat].disk.contacts.remove(&petname);
        self.input(seat, NodeInput::ContactRemoved(petname));
    }

    pub(in crate::node::tests) fn refused(&self, seat: usize, reason: &str) -> u64 {
        let refused = self.node(seat).refused();
        refused.iter().find(|(counted, _)| *counted == reason).map_or(0, |(_, count)| *count)
    }

    /// Every token that was handed out comes back: within a second, for a comparison may have just begun.
    pub(in crate::node::tests) fn assert_nothing_stays_awaited(&mut self) {
        let end = self.now + Duration::from_secs(1);
        while self.seats.iter().filter_map(|seat| seat.node.as_ref()).any(|node| !node.pending.is_empty()) {
            if !self.step(end) {
                break;
            }
        }
        self.assert_nothing_is_awaited();
    }

    /// Nothing waits for anybody.
    pub(in crate::node::tests) fn assert_nothing_is_awaited(&self) {
        for (number, seat) in self.seats.iter().enumerate() {
            assert!(seat.answering.is_empty(), "node {number} owes an answer");
            assert!(seat.gossiped.is_empty(), "node {number} owes a verdict");
            if let Some(node) = &seat.node {
                assert!(node.pending.is_empty(), "node {number} awaits {:?}", node.pending);
                assert!(
                    node.persisting.is_empty(),
                    "node {number} awaits the disk for {:?}",
                    node.persisting
                );
                assert!(node.recalling.is_empty(), "node {number} awaits {:?}", node.recalling);
            }
        }
    }
}
