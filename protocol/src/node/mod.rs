//! One node: the state machines of this crate together, behind one face.
//!
//! [`Node`] routes between them and owns what belongs to none: which peers are linked, which requests wait
//! for an answer, what waits for the disk, the petnames, and the counts of what was refused.
//!
//! Life cycle: made from what the store gave back, with an incarnation that the store has already kept;
//! publishes its first record when its addresses have settled; compares tables with every peer it dials
//! and, every [`RECONCILIATION_INTERVAL`], with one linked peer drawn at random; ends with
//! [`Node::handle_depart`], after which it publishes nothing.
//!
//! Limits: requests awaiting an answer are bounded by what causes them (links, watches, subscribers, the
//! outbox), and the driver ends each with an answer or a failure within its own time.

mod contact;
mod ports;
mod remote;
mod storing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use libp2p_identity::Keypair;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use thiserror::Error;

pub use self::ports::{
    FetchToken, GossipToken, IncomingRequest, NodeInput, NodeOutput, Notice, OutgoingRequest, PersistToken,
    RequestFailure, RequestToken, Response, ResponseToken, SentOutcome,
};
use crate::{
    durable::{Change, OutboxEntry, Restored, StoredContact, StoredMessage},
    identity::{InboxAddress, Presentity, Realm},
    message::{
        delivery_rules::DeliveryRules,
        inbox::{INBOX_MESSAGES_MAX, Inbox},
        instant_message::{InstantMessage, MessageError, MessageId},
        outbox::{Draft, LIFETIME_MAX, Outbox, OutboxOutput, Recipient, UNDER_WAY_MAX, WAITING_MAX},
    },
    presence::{
        accusations::Accusations,
        information::{Basic, PresenceInformation},
        liveness::{Liveness, SLEPT},
        publication::{Publication, PublicationOutput, PublishError},
        reconciliation::{Digest, Line, Plan},
        record::{PresenceRecord, Verifier},
        rumors::{RumorOutput, Rumors},
        service::{
            Contact, ContactState, Evidence, Offered, PRESENTITIES_MAX, PresenceService, PresentityView,
            ServiceOutput, Source, Transition, fingerprint,
        },
    },
    time::{Timestamp, WallClock},
    watcher::subscription::{Subscribers, Subscriptions, Watches},
    wire::frames::{PresenceRequest, ToldRecord},
};

/// One node of the mesh, without IO.
///
/// The contract for whoever drives it:
///
/// 1. Call a `handle_*` method when something happened, with the time now. Time never goes back.
/// 2. Then call [`Self::poll_output`] until there is nothing, and carry each output out. Their order matters
///    for outputs of one kind only.
/// 3. Then ask [`Self::poll_timeout`] and call [`Self::handle_timeout`] at that time, if nothing else happens
///    before. It may be called too early, at no harm.
///
/// What changes nothing takes `&self`: the getters may be called at any time between.
#[derive(Debug)]
pub struct Node {
    clock: WallClock,
    realm: Realm,
    publication: Publication,
    service: PresenceService,
    subscribers: Subscribers,
    watches: Watches,
    inbox: Inbox,
    outbox: Outbox,
    contacts: BTreeMap<String, Presentity>,
    linked: BTreeSet<Presentity>,
    pending: BTreeMap<RequestToken, Pending>,
    persisting: BTreeMap<PersistToken, Persisting>,
    recalling: BTreeMap<PersistToken, remote::Recalling>,
    notified: Option<PresenceRecord>,
    rumors: Rumors,
    liveness: Liveness,
    accusations: Accusations,
    /// Those whom another node told to be lost, while this node looks for itself.
    doubted: BTreeSet<Presentity>,
    reconcile_at: Timestamp,
    /// What the store refused is to be stored then, and what it waited before.
    store_again: Option<(Timestamp, Duration)>,
    refused: BTreeMap<&'static str, u64>,
    next_token: u64,
    random: StdRng,
    verify: Verifier,
    outputs: VecDeque<NodeOutput>,
}

impl Node {
    /// A node that goes on from what its store gave back.
    ///
    /// # Panics
    /// If the key is not an Ed25519 key.
    pub fn new(now: Timestamp, config: NodeConfig, restored: Restored) -> Self {
        let NodeConfig { clock, key, realm, incarnation, information, seed, limits, publishes, verify } =
            config;
        let publication =
            Publication::new(now, clock, key, realm.clone(), incarnation, information, publishes);
        let address = InboxAddress { node: publication.presentity(), realm: realm.clone() };
        let mut random = StdRng::from_seed(seed);
        let mut node = Self {
            clock,
            service: PresenceService::new(clock, limits.presentities_max),
            subscribers: Subscribers::new(clock),
            watches: Watches::new(clock),
            inbox: Inbox::new(
                address,
                restored.inbox_messages,
                limits.inbox_messages_max,
                DeliveryRules::new(restored.delivery_rules.into_iter().map(|set| (set.whose, set.rule))),
            ),
            // What was queued in another realm stays in the store until the node is in that realm again.
            outbox: Outbox::new(
                now,
                clock,
                restored.outbox.into_iter().filter(|entry| entry.message.to.realm == realm).collect(),
            ),
            contacts: restored
                .contacts
                .into_iter()
                .map(|contact| (contact.petname, contact.presentity))
                .collect(),
            linked: BTreeSet::new(),
            pending: BTreeMap::new(),
            persisting: BTreeMap::new(),
            recalling: BTreeMap::new(),
            notified: None,
            rumors: Rumors::new(now, StdRng::from_rng(&mut random)),
            liveness: Liveness::new(now, publication.presentity(), StdRng::from_rng(&mut random)),
            accusations: Accusations::new(publication.presentity(), StdRng::from_rng(&mut random)),
            doubted: BTreeSet::new(),
            reconcile_at: now + RECONCILIATION_INTERVAL.mul_f64(random.random_range(0.5..1.5)),
            store_again: None,
            refused: BTreeMap::new(),
            next_token: 0,
            random,
            verify,
            outputs: VecDeque::new(),
            realm,
            publication,
        };
        for stored in restored.records {
            // Records of an earlier run were checked then, but the file may have been changed since.
            if let Ok(record) = verify(&stored.bytes, &node.realm) {
                node.take_record(now, record, Source::Restored { heard_at: stored.heard_at });
            }
        }
        node.publication.handle_inbox_full(now, node.inbox.is_full());
        node
    }

    /// Something came in, or an earlier output ended.
    pub fn handle(&mut self, now: Timestamp, input: NodeInput) {
        match input {
            NodeInput::Gossip { token, from, bytes } => self.gossip(now, token, from, &bytes),
            NodeInput::LinkEstablished { presentity, dialled } => {
                self.link_established(now, presentity, dialled)
            }
            NodeInput::LinkDown { presentity } => {
                self.linked.remove(&presentity);
                self.service.handle_link_down(presentity);
                self.rumors.handle_link_down(now, presentity);
                let known = self.is_accused_by_this_node(&presentity);
                let gone = known || !self.service.is_in_contact(&presentity);
                self.liveness.handle_link_down(now, presentity, gone);
            }
            NodeInput::Unreachable { presentity, was_linked, refused } => {
                self.unreachable(now, presentity, was_linked, refused);
            }
            NodeInput::Request { token, from, request } => self.request(now, token, from, request),
            NodeInput::Response { token, response } => self.response(now, token, response),
            NodeInput::RequestFailed { token, failure } => self.request_failed(now, token, failure),
            NodeInput::Addresses(addresses) => self.publication.handle_addresses(now, addresses),
            NodeInput::Persisted { token, outcomes } => self.persisted(now, token, outcomes),
            NodeInput::NotPersisted => self.store_again_soon(now),
            NodeInput::Alive(presentity) => self.alive(now, presentity),
            NodeInput::Beat(presentity) => {
                self.alive(now, presentity);
                self.liveness.handle_beat(now, presentity);
            }
            NodeInput::Reached { presentity, reach } => self.liveness.handle_reach(now, presentity, reach),
            NodeInput::Recalled { token, stored } => self.recalled(token, stored),
            NodeInput::MessageDeleted => {
                self.inbox.handle_deleted();
                self.publication.handle_inbox_full(now, self.inbox.is_full());
            }
            NodeInput::ContactPut(contact) => {
                self.contacts.insert(contact.petname, contact.presentity);
            }
            NodeInput::ContactRemoved(petname) => {
                self.contacts.remove(&petname);
            }
            NodeInput::DeliveryRule(whose, rule) => self.inbox.handle_rule(whose, rule),
        }
        self.settle(now);
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_some_and(|due| now.since(due) > SLEPT) {
            self.reconcile_at = now;
        }
        self.publication.handle_timeout(now);
        self.service.handle_timeout(now);
        self.subscribers.handle_timeout(now);
        self.watches.handle_timeout(now);
        self.outbox.handle_timeout(now);
        self.rumors.handle_timeout(now);
        self.liveness.handle_timeout(now);
        self.accusations.handle_timeout(now);
        if self.store_again.is_some_and(|(at, _)| at <= now) {
            self.store_everything();
        }
        if self.reconcile_at <= now {
            self.reconcile_at = now + RECONCILIATION_INTERVAL.mul_f64(self.random.random_range(0.5..1.5));
            if !self.linked.is_empty() {
                let drawn = self.random.random_range(0..self.linked.len());
                if let Some(peer) = self.linked.iter().nth(drawn).copied() {
                    self.compare(now, peer, 0, Plan::default());
                }
            }
        }
        self.settle(now);
    }

    /// The PRINCIPAL sets a new presence document, which is published at once, see
    /// [`Publication::handle_set`].
    ///
    /// # Errors
    /// Why it cannot be; the old one stands.
    pub fn handle_set(
        &mut self,
        now: Timestamp,
        information: PresenceInformation,
    ) -> Result<(), PublishError> {
        self.publication.handle_set(now, information)?;
        self.settle(now);
        Ok(())
    }

    /// The PRINCIPAL wants a message sent; its outcome follows as [`NodeOutput::Sent`].
    ///
    /// # Errors
    /// Why it is not even tried; nothing was sent or stored.
    pub fn handle_send(&mut self, now: Timestamp, draft: Draft) -> Result<MessageId, DraftError> {
        let to = match draft.to {
            Recipient::Inbox(address) => address,
            Recipient::Presentity(presentity) => {
                let record = self.service.record(&presentity).ok_or(DraftError::NeverHeard)?;
                let document = record.body().public.as_ref();
                document.and_then(PresenceInformation::instant_inbox).ok_or(DraftError::NoInbox)?.0
            }
        };
        if to.node == self.presentity() {
            return Err(DraftError::Oneself);
        }
        if to.realm != self.realm {
            return Err(DraftError::OtherRealm);
        }
        let id = MessageId::from_bytes(self.random.random());
        let message = InstantMessage {
            id,
            from: self.presentity(),
            to,
            sent_at: self.clock.unix(now),
            thread: draft.thread,
            reply_to: draft.reply_to,
            content_type: draft.content_type,
            language: draft.language,
            body: draft.body,
            extensions: BTreeMap::new(),
        };
        message.check()?;
        let lifetime = draft.lifetime.min(LIFETIME_MAX);
        let room = if draft.queue {
            self.outbox.handle_queue(now, message, lifetime)
        } else {
            self.outbox.handle_plain(now, message, lifetime)
        };
        if !room {
            let limit = if draft.queue { WAITING_MAX } else { UNDER_WAY_MAX };
            return Err(DraftError::OutboxFull { limit });
        }
        self.settle(now);
        Ok(id)
    }

    /// The PRINCIPAL withdraws a queued message; false if none of this id waits.
    pub fn handle_cancel(&mut self, now: Timestamp, id: MessageId) -> bool {
        let waited = self.outbox.handle_cancel(now, id);
        self.settle(now);
        waited
    }

    /// FETCH: asks `presentity`'s node, once. [`NodeOutput::Fetched`] follows.
    pub fn handle_fetch(&mut self, now: Timestamp, presentity: Presentity) -> FetchToken {
        let fetch = FetchToken(self.token());
        let request = OutgoingRequest::Presence(PresenceRequest::Fetch { presentity });
        self.send_request(now, presentity, request, Pending::Fetch { fetch, presentity });
        fetch
    }

    /// SUBSCRIBE: watches `presentity` until [`Self::handle_unwatch`]; false if too many are watched.
    pub fn handle_watch(&mut self, now: Timestamp, presentity: Presentity) -> bool {
        let begun = self.watches.handle_watch(now, presentity);
        self.settle(now);
        begun
    }

    /// Ends a subscription of this node; false if there was none.
    pub fn handle_unwatch(&mut self, now: Timestamp, presentity: Presentity) -> bool {
        let ended = self.watches.handle_unwatch(presentity);
        self.settle(now);
        ended
    }

    /// Says goodbye: publishes the departing record and tells every linked peer directly.
    /// [`Self::has_said_goodbye`] turns true when they have all answered or failed.
    pub fn handle_depart(&mut self, now: Timestamp) {
        self.publication.handle_depart(now);
        self.settle(now);
        if let Some(record) = self.publication.record().map(|record| record.bytes().to_vec()) {
            for peer in self.linked.clone() {
                let request = OutgoingRequest::Presence(PresenceRequest::Notify { record: record.clone() });
                self.send_request(now, peer, request, Pending::Goodbye);
            }
        }
    }

    /// What is to be carried out next.
    pub fn poll_output(&mut self) -> Option<NodeOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let machines = [
            self.publication.poll_timeout(),
            self.service.poll_timeout(),
            self.subscribers.poll_timeout(),
            self.watches.poll_timeout(),
            self.outbox.poll_timeout(),
            self.rumors.poll_timeout(),
            self.liveness.poll_timeout(),
            self.accusations.poll_timeout(),
        ];
        let store_again = self.store_again.map(|(at, _)| at).filter(|_| !self.stores_everything());
        machines.into_iter().flatten().chain(store_again).chain([self.reconcile_at]).min()
    }

    /// This node's own PRESENTITY.
    pub fn presentity(&self) -> Presentity {
        self.publication.presentity()
    }

    /// The realm it is in.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The incarnation of its next record.
    pub fn incarnation(&self) -> u64 {
        self.publication.incarnation()
    }

    /// The document that the PRINCIPAL set.
    pub fn information(&self) -> &PresenceInformation {
        self.publication.information()
    }

    /// The newest record of this node's own presentity, once there is one.
    pub fn own_record(&self) -> Option<&PresenceRecord> {
        self.publication.record()
    }

    /// The newest record of another presentity.
    pub fn record(&self, presentity: &Presentity) -> Option<&PresenceRecord> {
        self.service.record(presentity)
    }

    /// Everybody known, this node's own presentity first.
    pub fn views(&self, now: Timestamp) -> Vec<PresentityView> {
        let others: Vec<_> = self.service.presentities().collect();
        std::iter::once(self.own_view(now))
            .chain(others.iter().filter_map(|who| self.view(now, who)))
            .collect()
    }

    /// What is known of `presentity`.
    pub fn view(&self, now: Timestamp, presentity: &Presentity) -> Option<PresentityView> {
        if *presentity == self.presentity() {
            return Some(self.own_view(now));
        }
        let mut view = self.service.view(presentity)?;
        view.petname = self.petname(presentity);
        view.accused = self.accused_by(presentity);
        Some(view)
    }

    /// Who watches this node's presentity, and whom this node watches.
    pub fn subscriptions(&self) -> Subscriptions {
        Subscriptions { subscribers: self.subscribers.views(), watching: self.watches.views() }
    }

    /// Queued messages and what became of the last finished ones.
    pub fn outbox(&self) -> Vec<OutboxEntry> {
        self.outbox.entries()
    }

    /// Messages in the inbox.
    pub fn inbox_messages(&self) -> u64 {
        self.inbox.messages()
    }

    /// The DELIVERY RULES of the inbox.
    pub fn delivery_rules(&self) -> &DeliveryRules {
        self.inbox.rules()
    }

    /// The petnames.
    pub fn contacts(&self) -> Vec<StoredContact> {
        let contact = |(petname, presentity): (&String, &Presentity)| StoredContact {
            petname: petname.clone(),
            presentity: *presentity,
        };
        self.contacts.iter().map(contact).collect()
    }

    /// Statements of others that were not taken over, by reason.
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        self.refused.iter().map(|(reason, count)| (*reason, *count)).collect()
    }

    /// Whether `presentity` is believed to be in contact.
    pub fn is_in_contact(&self, presentity: &Presentity) -> bool {
        self.service.is_in_contact(presentity)
    }

    /// The others that are believed to be in contact.
    pub fn in_contact(&self) -> impl Iterator<Item = Presentity> + '_ {
        self.service.presentities().filter(|who| self.service.is_in_contact(who))
    }

    /// Whether every linked peer has taken the goodbye, or failed to.
    pub fn has_said_goodbye(&self) -> bool {
        self.publication.has_departed()
            && !self.pending.values().any(|pending| matches!(pending, Pending::Goodbye))
    }

    fn own_view(&self, now: Timestamp) -> PresentityView {
        let unix = self.clock.unix(now);
        let version = self.publication.record().map(PresenceRecord::version).unwrap_or_default();
        PresentityView {
            presentity: self.presentity(),
            is_self: true,
            petname: self.petname(&self.presentity()),
            version,
            information: Some(self.publication.effective_information()),
            contact: Contact {
                state: ContactState::Present,
                since: self.clock.at_start,
                evidence: Evidence::Own,
                unsteady: false,
            },
            heard_at: unix,
            accused: Vec::new(),
        }
    }

    fn petname(&self, presentity: &Presentity) -> Option<String> {
        self.contacts.iter().find(|(_, named)| *named == presentity).map(|(petname, _)| petname.clone())
    }

    /// Drains the machines until none has anything to say, since one may cause another to.
    fn settle(&mut self, now: Timestamp) {
        loop {
            if let Some(output) = self.publication.poll_output() {
                self.publication_output(now, output);
            } else if let Some(output) = self.service.poll_output() {
                self.service_output(now, output);
            } else if let Some(change) = self.subscribers.poll_output() {
                let notice = Notice::Subscriber { presentity: change.presentity, active: change.active };
                self.outputs.push_back(NodeOutput::Notice(notice));
            } else if let Some(output) = self.watches.poll_output() {
                let seconds = u32::try_from(output.duration.as_secs()).unwrap_or(u32::MAX);
                let request = OutgoingRequest::Presence(PresenceRequest::Subscribe { seconds });
                self.send_request(
                    now,
                    output.presentity,
                    request,
                    Pending::Subscribe { presentity: output.presentity },
                );
            } else if let Some(output) = self.outbox.poll_output() {
                self.outbox_output(now, output);
            } else if let Some(output) = self.rumors.poll_output() {
                self.rumor_output(now, output);
            } else if let Some(output) = self.liveness.poll_output() {
                self.liveness_output(now, output);
            } else if let Some(output) = self.accusations.poll_output() {
                self.accusations_output(now, output);
            } else {
                break;
            }
        }
    }

    fn publication_output(&mut self, now: Timestamp, output: PublicationOutput) {
        match output {
            PublicationOutput::Publish(record) => {
                self.accusations.handle_record(now, record.presentity(), record.version());
                self.outputs.push_back(NodeOutput::Publish(record.bytes().to_vec()));
                let told: Vec<_> = match &self.notified {
                    Some(notified) if record.says_the_same(notified) => Vec::new(),
                    Some(_) => self.subscribers.iter().collect(),
                    // The first record of this run. Links that stand already compared tables without it.
                    None => self.linked.iter().copied().collect(),
                };
                for watcher in told {
                    let notify = PresenceRequest::Notify { record: record.bytes().to_vec() };
                    self.send_request(now, watcher, OutgoingRequest::Presence(notify), Pending::Notify);
                }
                self.notified = Some(record);
            }
            PublicationOutput::PersistIncarnation(incarnation) => {
                let change = Change::Incarnation(incarnation);
                self.persist(vec![change], Persisting::Incarnation(incarnation));
            }
            PublicationOutput::PersistInformation(information) => {
                self.persist(vec![Change::Information(information)], Persisting::Information);
            }
            PublicationOutput::KeyInUseElsewhere => self.trouble(
                "another machine seems to run with this node's key: stop one, give it its own directory",
            ),
            PublicationOutput::TooLarge(error) => {
                self.trouble(&format!("the presence document cannot be published: {error}"));
            }
        }
    }

    fn service_output(&mut self, now: Timestamp, output: ServiceOutput) {
        match output {
            ServiceOutput::Persist(record) => self.persist_lazily(Change::Record(record)),
            ServiceOutput::Forget(presentity) => self.persist_lazily(Change::ForgetRecord(presentity)),
            ServiceOutput::Transition(presentity, transition) => {
                let Some(view) = self.view(now, &presentity) else { return };
                // Reading an address costs a base58 decoding, which a node that joins is spared.
                let inbox = (transition == Transition::Changed)
                    .then(|| view.information.as_ref().and_then(PresenceInformation::instant_inbox))
                    .flatten();
                self.outputs.push_back(NodeOutput::Notice(Notice::Transition(view, transition)));
                if matches!(transition, Transition::Appeared | Transition::Returned) {
                    self.watches.handle_in_reach(now, presentity);
                    self.outbox.handle_in_reach(now, presentity);
                } else if let Some((inbox, Basic::Open)) = inbox {
                    self.outbox.handle_in_reach(now, inbox.node);
                }
            }
        }
    }

    fn rumor_output(&mut self, now: Timestamp, output: RumorOutput) {
        match output {
            RumorOutput::Tell { to, told } => {
                let (records, cut) = self.records(now, &told);
                let request = OutgoingRequest::Presence(PresenceRequest::Tell { records });
                self.send_request(now, to, request, Pending::Tell { to, cut });
            }
            RumorOutput::Compare { to } => {
                if !self.compare(now, to, 0, Plan::default()) {
                    // The one under way may have begun too early to find everything.
                    self.rumors.compare_with(now, to);
                }
            }
        }
    }

    fn outbox_output(&mut self, now: Timestamp, output: OutboxOutput) {
        match output {
            OutboxOutput::Transmit { message, remaining } => self.transmit(now, message, remaining),
            OutboxOutput::Settled { id, outcome } => {
                self.outputs.push_back(NodeOutput::Sent { id, outcome: SentOutcome::Final(outcome) });
            }
            OutboxOutput::Persist { id, change } => self.persist(vec![change], Persisting::Outbox(id)),
            OutboxOutput::Waiting { id } => {
                self.outputs.push_back(NodeOutput::Sent { id, outcome: SentOutcome::Queued });
            }
            OutboxOutput::Finished { id, to, state } => {
                self.outputs.push_back(NodeOutput::Notice(Notice::Finished { id, to, state }));
            }
        }
    }

    fn take_record(&mut self, now: Timestamp, record: PresenceRecord, source: Source) -> Offered {
        if record.presentity() == self.presentity() {
            let own = self.publication.record().is_some_and(|own| own.bytes() == record.bytes());
            // A record of our own from the store is of an earlier incarnation than this run's.
            if !own && !matches!(source, Source::Restored { .. }) {
                self.publication.handle_overtaken(now, &record);
            }
            return if own { Offered::Known } else { Offered::Stale };
        }
        let presentity = record.presentity();
        let addresses = record.body().addresses.clone();
        let departing = record.body().departing;
        let version = record.version();
        let before = self.service.record(&presentity).map(|known| known.version().incarnation);
        let linked = self.linked.contains(&presentity);
        let offered = self.service.handle_record(now, record, source);
        if offered == Offered::Newer {
            self.rumors.handle_newer(presentity);
            self.accusations.handle_record(now, presentity, version);
            self.doubted.remove(&presentity);
            if linked {
                self.service.handle_link_established(now, presentity);
            }
            if departing {
                self.outputs.push_back(NodeOutput::Departed(presentity));
            } else if !addresses.is_empty() {
                self.outputs.push_back(NodeOutput::Addresses { presentity, addresses });
            }
            if before.is_some_and(|before| before != version.incarnation) {
                self.watches.handle_in_reach(now, presentity);
            }
        }
        offered
    }

    /// What a comparison is answered from.
    fn table(&self) -> Vec<Line> {
        self.service.fingerprints().chain(self.own_line()).collect()
    }

    /// What a comparison is asked about.
    fn table_heard(&self) -> Vec<Line> {
        self.service.fingerprints_heard().chain(self.own_line()).collect()
    }

    fn own_line(&self) -> Option<Line> {
        self.publication.record().map(|own| (own.presentity(), own.version(), fingerprint(own), false))
    }

    fn told(&self, now: Timestamp, presentity: &Presentity) -> Option<ToldRecord> {
        if *presentity == self.presentity() {
            let record = self.publication.record()?.bytes().to_vec();
            return Some(ToldRecord { record, elapsed_ms: 0, lost: false });
        }
        let (record, elapsed, lost) = self.service.told(now, presentity)?;
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Some(ToldRecord { record: record.bytes().to_vec(), elapsed_ms, lost })
    }

    fn send_request(&mut self, now: Timestamp, to: Presentity, request: OutgoingRequest, pending: Pending) {
        if self.service.has_left(&to) && !self.linked.contains(&to) {
            // It said that nobody would answer; whoever comes back makes itself heard.
            self.failed(now, pending, RequestFailure::Unreachable);
            return;
        }
        let token = RequestToken(self.token());
        self.pending.insert(token, pending);
        self.outputs.push_back(NodeOutput::Request { token, to, request });
    }

    fn trouble(&mut self, text: &str) {
        self.outputs.push_back(NodeOutput::Notice(Notice::Trouble(text.to_owned())));
    }

    fn count_refused(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }
}

/// What a node is made of, beside what its store gives back.
#[derive(Debug)]
pub struct NodeConfig {
    /// What the wall clock said at [`Timestamp::START`].
    pub clock: WallClock,
    /// The Ed25519 key of the node.
    pub key: Keypair,
    /// The realm it is in.
    pub realm: Realm,
    /// The boot counter of this run: above the stored one, and stored durably already.
    pub incarnation: u64,
    /// The document to begin with.
    pub information: PresenceInformation,
    /// What random choices are drawn from.
    pub seed: [u8; 32],
    /// Sizes.
    pub limits: NodeLimits,
    /// Whether it is a PRESENTITY. A node that is none watches and takes messages, and publishes nothing.
    pub publishes: bool,
    /// How records of others are verified.
    pub verify: Verifier,
}

/// Sizes of a node's tables. Each entry costs memory or disk; see the constants for how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Records kept, default [`PRESENTITIES_MAX`]. At the limit the one longest out of contact makes room.
    pub presentities_max: usize,
    /// Messages that the inbox holds, default [`INBOX_MESSAGES_MAX`]. At the limit the status turns CLOSED.
    pub inbox_messages_max: u64,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self { presentities_max: PRESENTITIES_MAX, inbox_messages_max: INBOX_MESSAGES_MAX }
    }
}

/// Why a message is not even tried.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DraftError {
    /// The message breaks a limit.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Nothing was ever heard of the recipient, so where its inbox is is not known.
    #[error("nothing was ever heard of the recipient; an im: address would say where to send")]
    NeverHeard,
    /// The recipient's document names no inbox for instant messages.
    #[error("the recipient publishes no inbox for instant messages")]
    NoInbox,
    /// The message is for this node itself.
    #[error("that is this node's own inbox")]
    Oneself,
    /// The inbox address is of another realm.
    #[error("that inbox is in another realm, which this node is not in")]
    OtherRealm,
    /// Too many messages are under way or wait.
    #[error("{limit} messages are under way or wait already, which is the limit")]
    OutboxFull {
        /// The limit.
        limit: usize,
    },
}

#[derive(Debug)]
enum Pending {
    Compare { peer: Presentity, digest: Digest, round: u32, before: Plan },
    Exchange { peer: Presentity, plan: Plan, cut: bool, round: u32 },
    Fetch { fetch: FetchToken, presentity: Presentity },
    Subscribe { presentity: Presentity },
    Notify,
    Tell { to: Presentity, cut: bool },
    TellAccused,
    Goodbye,
    Message { id: MessageId },
}

#[derive(Debug)]
enum Persisting {
    Message { response: ResponseToken, message: StoredMessage, repeats: Vec<ResponseToken> },
    Outbox(MessageId),
    Incarnation(u64),
    Information,
    Everything,
}

/// How often a node compares tables with one linked peer, on average; each wait is drawn between a half and
/// one and a half of it. An equal table costs about 200 bytes, so that an idle node spends 7 bytes a second.
pub const RECONCILIATION_INTERVAL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
