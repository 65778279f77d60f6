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

mod config;
mod contact;
mod messaging;
mod petnames;
mod ports;
mod remote;
mod storing;
mod updates;
mod watched;
mod watching;
mod winfo;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sha2::{Digest as _, Sha256};

use self::petnames::Petnames;
pub use self::{
    config::{NodeConfig, NodeLimits},
    messaging::DraftError,
    ports::{
        FetchOutcome, FetchToken, GossipToken, IncomingRequest, NodeInput, NodeOutput, Notice,
        OutgoingRequest, PersistToken, RequestFailure, RequestToken, Response, ResponseToken, SentOutcome,
        UpdateToken, WatchersToken,
    },
    updates::ChangeError,
    watched::AccessError,
};
use crate::{
    durable::{Change, OutboxEntry, Restored, StoredContact, StoredMessage},
    identity::{InboxAddress, Presentity, Realm},
    message::{delivery_rules::DeliveryRules, inbox::Inbox, instant_message::MessageId, outbox::Outbox},
    presence::{
        access_rules::AccessRules,
        accusations::Accusations,
        delegates::Delegates,
        information::{Basic, PresenceInformation},
        liveness::{Liveness, SLEPT},
        publication::{Publication, PublicationOutput, PublishError},
        reconciliation::{Digest, Line, Plan},
        record::{PresenceRecord, Verifier},
        rumors::{RumorOutput, Rumors},
        service::{
            Contact, ContactState, Evidence, Offered, PresenceService, PresentityView, ServiceOutput, Source,
            Transition, fingerprint,
        },
        views::Views,
    },
    time::{Timestamp, WallClock},
    watcher::{
        keyring::Keyring,
        notifications::Notifications,
        subscribers::Subscribers,
        subscription::Subscriptions,
        watcher_information::{VisibleTo, WatcherInformation},
        watches::{WatchReason, Watches},
        winfo::{WinfoSubscribers, WinfoWatches},
    },
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
    notifications: Notifications,
    watches: Watches,
    inbox: Inbox,
    keeps_inbox: bool,
    serves_cache: bool,
    outbox: Outbox,
    petnames: Petnames,
    keyring: Keyring,
    watcher_information: WatcherInformation,
    winfo_subscribers: WinfoSubscribers,
    winfo_watches: WinfoWatches,
    visible_to: VisibleTo,
    delegates: Delegates,
    linked: BTreeSet<Presentity>,
    pending: BTreeMap<RequestToken, Pending>,
    persisting: BTreeMap<PersistToken, Persisting>,
    recalling: BTreeMap<PersistToken, messaging::Recalling>,
    has_published: bool,
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
        let NodeConfig { clock, key, realm, incarnation, information, seed, limits, .. } = config;
        let NodeConfig { publishes, keeps_inbox, serves_cache, verify, .. } = config;
        let rules = AccessRules::new(restored.access_rules.into_iter().map(|set| (set.audience, set.rule)));
        let views = Views::new(now, rules, apart(&seed));
        let publication =
            Publication::new(now, clock, key, realm.clone(), incarnation, information, views, publishes)
                .with_inbox(keeps_inbox);
        let watcher_information = WatcherInformation::new(clock, restored.watchers);
        let address = InboxAddress { node: publication.presentity(), realm: realm.clone() };
        let mut random = StdRng::from_seed(seed);
        let mut node = Self {
            clock,
            service: PresenceService::new(clock, limits.presentities_max),
            subscribers: Subscribers::new(now, clock, watcher_information.waiting()),
            notifications: Notifications::default(),
            watcher_information,
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
            keeps_inbox,
            serves_cache,
            petnames: Petnames::new(restored.contacts),
            keyring: Keyring::new(now, clock, restored.keys),
            winfo_subscribers: WinfoSubscribers::new(now, clock),
            winfo_watches: WinfoWatches::new(clock),
            visible_to: restored.visible_to,
            delegates: restored.delegates,
            linked: BTreeSet::new(),
            pending: BTreeMap::new(),
            persisting: BTreeMap::new(),
            recalling: BTreeMap::new(),
            has_published: false,
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
        node.publication.handle_inbox_ready(now, node.inbox.is_ready());
        for contact in node.petnames.contacts().collect::<Vec<_>>() {
            node.watch_contact(now, contact);
        }
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
            NodeInput::Way(presentity) => {
                self.watches.handle_way(now, presentity);
                self.winfo_watches.handle_way(now, presentity);
                self.outbox.handle_in_reach(now, presentity);
            }
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
                self.publication.handle_inbox_ready(now, self.inbox.is_ready());
            }
            NodeInput::ContactPut(contact) => {
                let presentity = contact.presentity;
                let before = self.petnames.put(contact);
                self.watch_contact(now, presentity);
                self.no_contact(now, before);
            }
            NodeInput::ContactRemoved(petname) => {
                let before = self.petnames.remove(&petname);
                self.no_contact(now, before);
            }
            NodeInput::DeliveryRule(whose, rule) => {
                self.inbox.handle_rule(whose, rule);
                self.publication.handle_inbox_ready(now, self.inbox.is_ready());
            }
            NodeInput::AccessRules(set) => self.handle_access_rules(now, set),
            NodeInput::Visibility(visible_to) => self.handle_visibility(now, visible_to),
            NodeInput::Delegates(delegates) => self.delegates = delegates,
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
        self.notifications.handle_timeout(now);
        self.watches.handle_timeout(now);
        self.outbox.handle_timeout(now);
        self.rumors.handle_timeout(now);
        self.liveness.handle_timeout(now);
        self.accusations.handle_timeout(now);
        self.watcher_information.handle_timeout(now);
        self.winfo_subscribers.handle_timeout(now);
        self.winfo_watches.handle_timeout(now);
        self.keys_due(now);
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

    /// Says goodbye: publishes the departing record and tells every linked peer directly.
    /// [`Self::has_said_goodbye`] turns true when they have all answered or failed.
    pub fn handle_depart(&mut self, now: Timestamp) {
        self.publication.handle_depart(now);
        self.watcher_information.handle_stop(now);
        self.settle(now);
        if let Some(record) = self.publication.record().map(|record| record.bytes().to_vec()) {
            for peer in self.linked.clone() {
                let notify =
                    PresenceRequest::Notify { record: record.clone(), subscription: None, key: None };
                self.send_request(now, peer, OutgoingRequest::Presence(notify), Pending::Goodbye);
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
            self.notifications.poll_timeout(),
            self.watches.poll_timeout(),
            self.outbox.poll_timeout(),
            self.rumors.poll_timeout(),
            self.liveness.poll_timeout(),
            self.accusations.poll_timeout(),
            self.watcher_information.poll_timeout(),
            self.winfo_subscribers.poll_timeout(),
            self.winfo_watches.poll_timeout(),
            self.keyring.poll_timeout(),
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
        self.petnames.to_store()
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
            sealed: false,
            display_name: Some(self.publication.information().display_name.clone()),
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
        self.petnames.of(presentity).cloned()
    }

    /// The node of `presentity` is in reach, or was restarted: what it knew of this watcher may be gone.
    fn ask_anew(&mut self, now: Timestamp, presentity: Presentity) {
        self.watches.handle_in_reach(now, presentity);
        self.winfo_watches.handle_in_reach(now, presentity);
    }

    /// Drains the machines until none has anything to say, since one may cause another to.
    fn settle(&mut self, now: Timestamp) {
        loop {
            if let Some(output) = self.publication.poll_output() {
                self.publication_output(now, output);
            } else if let Some(output) = self.service.poll_output() {
                self.service_output(now, output);
            } else if let Some(change) = self.subscribers.poll_output() {
                self.subscriber_changed(now, change);
            } else if let Some((watcher, ended)) = self.notifications.poll_output() {
                self.send_notification(now, watcher, ended);
            } else if let Some(output) = self.watches.poll_output() {
                self.subscribe(now, output);
            } else if let Some(output) = self.watcher_information.poll_output() {
                self.watcher_output(now, output);
            } else if let Some(subscriber) = self.winfo_subscribers.poll_output() {
                self.notify_watchers(now, subscriber);
            } else if let Some((presentity, duration)) = self.winfo_watches.poll_output() {
                self.subscribe_watchers(now, presentity, duration);
            } else if let Some(output) = self.outbox.poll_output() {
                self.outbox_output(now, output);
            } else if let Some(output) = self.rumors.poll_output() {
                self.rumor_output(now, output);
            } else if let Some(output) = self.liveness.poll_output() {
                self.liveness_output(now, output);
            } else if let Some(output) = self.accusations.poll_output() {
                self.accusations_output(now, output);
            } else if !self.winfo_round(now) {
                break;
            }
        }
    }

    fn publication_output(&mut self, now: Timestamp, output: PublicationOutput) {
        match output {
            PublicationOutput::Publish(record) => {
                self.accusations.handle_record(now, record.presentity(), record.version());
                self.outputs.push_back(NodeOutput::Publish(record.bytes().to_vec()));
                let first = !std::mem::replace(&mut self.has_published, true);
                self.notify(now, &record, first);
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
                    self.ask_anew(now, presentity);
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
        let newer = self.service.record(&presentity).is_none_or(|known| record.supersedes(known));
        let opened = if newer { self.open(now, &record) } else { None };
        let offered = self.service.handle_record(now, record, opened, source);
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
                self.ask_anew(now, presentity);
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

    /// Somebody may have lost their last petname.
    fn no_contact(&mut self, now: Timestamp, before: Option<Presentity>) {
        if let Some(before) = before.filter(|before| !self.petnames.names(before)) {
            self.watches.handle_unwatch(before, WatchReason::Contact);
        }
        self.contacts_changed(now);
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

/// Random numbers for keys, apart from those that decide when and whom to ask.
fn apart(seed: &[u8; 32]) -> StdRng {
    StdRng::from_seed(Sha256::new().chain_update(b"hereabouts keys\0").chain_update(seed).finalize().into())
}

#[derive(Debug)]
enum Pending {
    Compare { peer: Presentity, digest: Digest, round: u32, before: Plan },
    Exchange { peer: Presentity, plan: Plan, cut: bool, round: u32 },
    Fetch { fetch: FetchToken, presentity: Presentity },
    FetchWatchers { fetch: WatchersToken },
    Update { update: UpdateToken },
    SubscribeWatchers { presentity: Presentity },
    NotifyWatchers { to: Presentity },
    Subscribe { presentity: Presentity },
    Notify { to: Presentity },
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
