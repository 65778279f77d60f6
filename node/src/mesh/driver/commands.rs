//! What the process beside the mesh asks, and the answers.

use std::collections::BTreeSet;

use futures::{FutureExt, channel::oneshot};
use hereabouts_protocol::{
    durable::{Change, Durability, Outcome, StoredAccessRule, StoredContact, StoredDeliveryRule},
    identity::Presentity,
    message::{
        delivery_rules::{DeliveryRule, SENDER_RULES_MAX, Whose},
        instant_message::MessageId,
        outbox::Draft,
    },
    node::{AccessError, ChangeError, NodeInput},
    presence::{
        access_rules::SetAccessRule,
        change::PresenceChange,
        delegates::Delegates,
        information::{PresenceInformation, Token},
        publication::PublishError,
        record::RecordError,
        service::PresentityView,
    },
    time::Timestamp,
    watcher::{watcher_information::VisibleTo, watches::WATCHES_MAX, winfo},
    wire::codec::WireError,
};

use super::{Clock, Discovery, Driver, Storage, StorageDone, StorageError};
use crate::mesh::handle::{
    AccessRuleFailure, Command, ContactError, Overview, RuleError, SendError, SetDelegateError, SetError,
    VisibilityError, WatchError,
};

/// What is left to do when the store has done its part of a command.
pub(super) enum AfterStorage {
    Reply(Box<dyn FnOnce() + Send>),
    Deleted(Result<bool, StorageError>, oneshot::Sender<Result<bool, StorageError>>),
    ContactPut(StoredContact, Result<(), StorageError>, oneshot::Sender<Result<(), ContactError>>),
    ContactRemoved(String, Result<bool, StorageError>, oneshot::Sender<Result<bool, ContactError>>),
    RulePut(StoredDeliveryRule, Result<(), StorageError>, oneshot::Sender<Result<(), RuleError>>),
    RuleRemoved(Whose, Result<bool, StorageError>, oneshot::Sender<Result<bool, RuleError>>),
    AccessRulesSet(
        Vec<SetAccessRule>,
        Result<(), StorageError>,
        oneshot::Sender<Result<(), AccessRuleFailure>>,
    ),
    DelegatesSet(Delegates, Result<(), StorageError>, oneshot::Sender<Result<bool, SetDelegateError>>),
    VisibilitySet(VisibleTo, Result<(), StorageError>, oneshot::Sender<Result<(), VisibilityError>>),
}

impl<D: Discovery, S: Storage, C: Clock> Driver<D, S, C> {
    /// Carries out a command.
    pub(super) fn command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Overview(reply) => answer(reply, self.overview()),
            Command::Presentities(reply) => answer(reply, self.node.views(now)),
            Command::OwnInformation(reply) => answer(reply, self.node.information().clone()),
            Command::SetInformation(information, reply) => answer(reply, self.set(now, information)),
            Command::ChangePresence(change, reply) => answer(reply, self.change(now, &change)),
            Command::Update(presentity, change, reply) => {
                let token = self.node.handle_update(now, presentity, change);
                self.updaters.insert(token, reply);
            }
            Command::Delegates(reply) => answer(reply, self.node.delegates().clone()),
            Command::SetDelegate(delegate, tuples, reply) => self.set_delegate(delegate, tuples, reply),
            Command::Fetch(presentity, reply) => {
                let token = self.node.handle_fetch(now, presentity);
                self.fetchers.insert(token, (presentity, reply));
            }
            Command::Watch(presentity, reply) => {
                let begun = self.node.handle_watch(now, presentity);
                answer(reply, watching(begun, WATCHES_MAX));
            }
            Command::Unwatch(presentity, reply) => answer(reply, self.node.handle_unwatch(now, presentity)),
            Command::Subscriptions(reply) => answer(reply, self.node.subscriptions()),
            Command::Send(draft, reply) => self.send(now, draft, reply),
            Command::Inbox(cursor, limit, reply) => {
                self.answer_after(self.storage.inbox(cursor, limit), reply);
            }
            Command::InboxById(prefix, reply) => self.answer_after(self.storage.inbox_by_id(prefix), reply),
            Command::MarkRead(key, reply) => {
                self.answer_after(self.commit_one(Change::MarkRead(key)), reply);
            }
            Command::DeleteMessage(key, reply) => {
                let commit = self.commit_one(Change::DeleteMessage(key));
                self.after(commit.map(|done| AfterStorage::Deleted(done, reply)));
            }
            Command::Outbox(reply) => answer(reply, self.node.outbox()),
            Command::Cancel(id, reply) => answer(reply, self.node.handle_cancel(now, id)),
            Command::Contacts(reply) => answer(reply, self.node.contacts()),
            Command::PutContact(contact, reply) => self.put_contact(contact, reply),
            Command::RemoveContact(petname, reply) => {
                let commit = self.commit_one(Change::RemoveContact(petname.clone()));
                self.after(commit.map(|done| AfterStorage::ContactRemoved(petname, done, reply)));
            }
            Command::DeliveryRules(reply) => answer(reply, self.node.delivery_rules().clone()),
            Command::PutDeliveryRule(whose, rule, reply) => self.put_delivery_rule(whose, rule, reply),
            Command::RemoveDeliveryRule(whose, reply) => {
                let commit = self.commit_one(Change::RemoveDeliveryRule(whose));
                self.after(commit.map(move |done| AfterStorage::RuleRemoved(whose, done, reply)));
            }
            Command::AccessRules(reply) => answer(reply, self.node.access_rules().clone()),
            Command::SetAccessRules(set, reply) => self.set_access_rules(now, set, reply),
            Command::ReplaceAccessRules(rules, reply) => {
                self.set_access_rules(now, self.node.access_rules().changes_to(&rules), reply);
            }
            Command::Watchers(reply) => answer(reply, self.node.watchers(now)),
            Command::FetchWatchers(presentity, reply) => {
                let token = self.node.handle_fetch_watchers(now, presentity);
                self.watcher_fetchers.insert(token, reply);
            }
            Command::WatchWatchers(presentity, reply) => {
                let begun = self.node.handle_watch_watchers(now, presentity);
                answer(reply, watching(begun, winfo::WATCHES_MAX));
            }
            Command::UnwatchWatchers(presentity, reply) => {
                answer(reply, self.node.handle_unwatch_watchers(now, presentity));
            }
            Command::Visibility(reply) => answer(reply, self.node.visible_to().clone()),
            Command::SetVisibility(visible_to, reply) => self.set_visibility(visible_to, reply),
            Command::ShutDown(reply) => self.leave(reply),
        }
    }

    pub(super) fn after_storage(&mut self, now: Timestamp, after: AfterStorage) {
        match after {
            AfterStorage::Reply(reply) => reply(),
            AfterStorage::Deleted(done, reply) => {
                if matches!(done, Ok(true)) {
                    self.node.handle(now, NodeInput::MessageDeleted);
                }
                answer(reply, done);
            }
            AfterStorage::ContactPut(contact, done, reply) => {
                if done.is_ok() {
                    self.node.handle(now, NodeInput::ContactPut(contact));
                }
                answer(reply, done.map_err(ContactError::Storage));
            }
            AfterStorage::ContactRemoved(petname, done, reply) => {
                if matches!(done, Ok(true)) {
                    self.node.handle(now, NodeInput::ContactRemoved(petname));
                }
                answer(reply, done.map_err(ContactError::Storage));
            }
            AfterStorage::RulePut(StoredDeliveryRule { whose, rule }, done, reply) => {
                if done.is_ok() {
                    self.node.handle(now, NodeInput::DeliveryRule(whose, Some(rule)));
                }
                answer(reply, done.map_err(RuleError::Storage));
            }
            AfterStorage::RuleRemoved(whose, done, reply) => {
                if matches!(done, Ok(true)) {
                    self.node.handle(now, NodeInput::DeliveryRule(whose, None));
                }
                answer(reply, done.map_err(RuleError::Storage));
            }
            AfterStorage::AccessRulesSet(set, done, reply) => {
                if done.is_ok() {
                    self.node.handle(now, NodeInput::AccessRules(set));
                }
                answer(reply, done.map_err(AccessRuleFailure::Storage));
            }
            AfterStorage::DelegatesSet(delegates, done, reply) => {
                if done.is_err() || self.delegates.as_ref() == Some(&delegates) {
                    self.delegates = None;
                }
                if done.is_ok() {
                    self.node.handle(now, NodeInput::Delegates(delegates));
                }
                answer(reply, done.map(|()| true).map_err(SetDelegateError::Storage));
            }
            AfterStorage::VisibilitySet(visible_to, done, reply) => {
                if done.is_ok() {
                    self.node.handle(now, NodeInput::Visibility(visible_to));
                }
                answer(reply, done.map_err(VisibilityError::Storage));
            }
        }
    }

    fn overview(&self) -> Overview {
        Overview {
            incarnation: self.node.incarnation(),
            listen: self.listen.iter().cloned().collect(),
            relayed_by: self.relaying.held(),
            connected: self.overlay.links(),
            inbox_messages: self.node.inbox_messages(),
            refused: self.node.refused(),
        }
    }

    fn set(&mut self, now: Timestamp, information: PresenceInformation) -> Result<PresentityView, SetError> {
        self.node.handle_set(now, information).map_err(not_published)?;
        Ok(self.own_view(now))
    }

    fn change(&mut self, now: Timestamp, change: &PresenceChange) -> Result<PresentityView, SetError> {
        self.node.handle_change(now, change).map_err(|error| match error {
            ChangeError::Change(error) => SetError::Change(error),
            ChangeError::Publish(error) => not_published(error),
        })?;
        Ok(self.own_view(now))
    }

    fn own_view(&self, now: Timestamp) -> PresentityView {
        let own = self.node.presentity();
        self.node.view(now, &own).expect("a node knows itself")
    }

    fn send(
        &mut self,
        now: Timestamp,
        draft: Draft,
        reply: oneshot::Sender<Result<(MessageId, super::Sent), SendError>>,
    ) {
        match self.node.handle_send(now, draft) {
            Ok(id) => {
                self.senders.insert(id, reply);
            }
            Err(error) => answer(reply, Err(error.into())),
        }
    }

    fn put_contact(&self, contact: StoredContact, reply: oneshot::Sender<Result<(), ContactError>>) {
        let contacts = self.node.contacts();
        let new = contacts.iter().all(|known| known.petname != contact.petname);
        if new && contacts.len() >= CONTACTS_MAX {
            answer(reply, Err(ContactError::TooMany { limit: CONTACTS_MAX }));
            return;
        }
        let commit = self.storage.commit(vec![Change::PutContact(contact.clone())], Durability::Durable);
        self.after(commit.map(|done| AfterStorage::ContactPut(contact, done.map(drop), reply)));
    }

    fn put_delivery_rule(
        &self,
        whose: Whose,
        rule: DeliveryRule,
        reply: oneshot::Sender<Result<(), RuleError>>,
    ) {
        let rules = self.node.delivery_rules();
        if let Err(error) = rule.check(&whose) {
            answer(reply, Err(error.into()));
        } else if rules.of(&whose).is_none() && rules.senders() >= SENDER_RULES_MAX {
            answer(reply, Err(RuleError::TooMany { limit: SENDER_RULES_MAX }));
        } else {
            let stored = StoredDeliveryRule { whose, rule };
            let change = Change::PutDeliveryRule(stored.clone());
            let commit = self.storage.commit(vec![change], Durability::Durable);
            self.after(commit.map(|done| AfterStorage::RulePut(stored, done.map(drop), reply)));
        }
    }

    fn set_access_rules(
        &self,
        now: Timestamp,
        set: Vec<SetAccessRule>,
        reply: oneshot::Sender<Result<(), AccessRuleFailure>>,
    ) {
        if let Err(error) = self.node.check_access_rules(now, set.clone()) {
            let failure = match error {
                AccessError::Rule(error) => AccessRuleFailure::Rule(error),
                AccessError::Publish(PublishError::Record(RecordError::Wire(WireError::TooLarge {
                    found,
                    limit,
                }))) => AccessRuleFailure::RecordTooLarge { found, limit },
                AccessError::Publish(error) => {
                    unreachable!("a node's own record is otherwise in order: {error}")
                }
            };
            answer(reply, Err(failure));
            return;
        }
        let change = |(audience, rule): &SetAccessRule| match rule {
            Some(rule) => Change::PutAccessRule(StoredAccessRule { audience: *audience, rule: rule.clone() }),
            None => Change::RemoveAccessRule(*audience),
        };
        let commit = self.storage.commit(set.iter().map(change).collect(), Durability::Durable);
        self.after(commit.map(move |done| AfterStorage::AccessRulesSet(set, done.map(drop), reply)));
    }

    fn set_visibility(&self, visible_to: VisibleTo, reply: oneshot::Sender<Result<(), VisibilityError>>) {
        if !visible_to.is_within_limits() {
            answer(reply, Err(VisibilityError::TooMany));
            return;
        }
        let commit = self.storage.commit(vec![Change::Visibility(visible_to.clone())], Durability::Durable);
        self.after(commit.map(|done| AfterStorage::VisibilitySet(visible_to, done.map(drop), reply)));
    }

    fn set_delegate(
        &mut self,
        delegate: Presentity,
        tuples: Option<BTreeSet<Token>>,
        reply: oneshot::Sender<Result<bool, SetDelegateError>>,
    ) {
        // What is on its way to the disk counts already.
        let mut delegates = self.delegates.clone().unwrap_or_else(|| self.node.delegates().clone());
        let changed = match tuples {
            Some(tuples) => delegates.put(delegate, tuples).map(|()| true),
            None => Ok(delegates.remove(&delegate)),
        };
        if !matches!(changed, Ok(true)) {
            answer(reply, changed.map_err(SetDelegateError::Delegate));
            return;
        }
        self.delegates = Some(delegates.clone());
        let commit = self.storage.commit(vec![Change::Delegates(delegates.clone())], Durability::Durable);
        self.after(commit.map(|done| AfterStorage::DelegatesSet(delegates, done.map(drop), reply)));
    }

    /// Commits one change durably; whether there was something to change.
    fn commit_one(
        &self,
        change: Change,
    ) -> impl Future<Output = Result<bool, StorageError>> + Send + use<D, S, C> {
        let commit = self.storage.commit(vec![change], Durability::Durable);
        commit.map(|result| result.map(|outcomes| outcomes.first() != Some(&Outcome::Missing)))
    }

    /// Answers with what the store says.
    fn answer_after<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
        reply: oneshot::Sender<T>,
    ) {
        self.after(work.map(|done| AfterStorage::Reply(Box::new(move || answer(reply, done)))));
    }

    fn after(&self, work: impl Future<Output = AfterStorage> + Send + 'static) {
        self.storing.push(work.map(StorageDone::Command).boxed());
    }
}

fn watching(begun: bool, limit: usize) -> Result<(), WatchError> {
    if begun { Ok(()) } else { Err(WatchError::TooMany { limit }) }
}

fn not_published(error: PublishError) -> SetError {
    match error {
        PublishError::Information(error) | PublishError::Record(RecordError::Information(error)) => {
            SetError::Information(error)
        }
        PublishError::Record(RecordError::Wire(WireError::TooLarge { found, limit })) => {
            SetError::RecordTooLarge { found, limit }
        }
        PublishError::Record(error) => unreachable!("a node's own record is otherwise in order: {error}"),
    }
}

/// Whoever asked and went away needs no answer.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    let _ = reply.send(value);
}

/// Petnames of one node.
const CONTACTS_MAX: usize = 4096;
