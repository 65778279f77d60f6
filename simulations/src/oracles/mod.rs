//! The oracles: what must never happen and what must come to be, judged outside of the code under test.
//!
//! [`Oracles`] sees what each node tells its PRINCIPAL ([`Oracles::handle_event`]), and knows from the runner
//! what is true: who runs, what each published, who was cut off. It checks as the run goes:
//!
//! - *no view regresses*: a node never shows an older version of somebody than it did, over restarts either,
//!   but for what a power cut took from its disk;
//! - *only what was said is shown*: a document that is shown was published by its presentity, word for word;
//! - *live nodes are not shown lost*: counted, and held against the scenario's bound, where neither of the
//!   two was cut off, stopped or just started; lost packets and a slow processor are no excuse;
//! - *delivered is delivered*: what was acknowledged is in the inbox exactly once, what was refused is not;
//! - *what is denied is not stored*: from when a DELIVERY RULE denies a sender, no message of it comes;
//! - *nobody sees what is withheld*: what ACCESS RULES do not grant a watcher it never shows, and it is in
//!   nothing that its host received, see [`access`] and [`captured`];
//! - *tables stay bounded*, *what is given is counted, and limited*, and *both sides of a subscription
//!   agree*: see [`watching`];
//! - *agreement*: after healing, within the scenario's bound, every live node shows every live presentity
//!   present with its newest document, and nobody who is gone.
//!
//! A violation is kept with its time. What must have happened for a run to prove anything (the *sometimes*
//! checks) is counted beside.

mod access;
mod agreement;
mod captured;
mod marks;
mod messages;
mod names;
mod watching;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hereabouts::mesh::{events::Event, handle::AccessRuleFailure};
use hereabouts_protocol::{
    identity::Presentity,
    message::instant_message::{Delivery, MessageId},
    presence::{information::PresenceInformation, record::Version, service::PresentityView},
};

pub(crate) use self::watching::{Said, Tables, Watching};
pub use self::{access::Grant, marks::PRESENTITIES_MAX, names::*};
use self::{
    access::{Access, Seen},
    agreement::{Agreement, Cell, Shown, Truth},
    captured::Captured,
    marks::Mark,
    messages::{Denials, Messages},
};
use crate::{
    adversaries::ledger::Ledger,
    network::{Network, captures::Received},
    report::{Failure, OracleCount},
    scenario::Sometimes,
    trace::{Trace, TraceEvent},
    virtual_machine::now,
};

/// The oracles of one run; clones are handles of the same ones.
#[derive(Debug, Clone)]
pub struct Oracles(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    network: Network,
    trace: Trace,
    columns: HashMap<Presentity, usize>,
    hostile: HashSet<Presentity>,
    subjects: Vec<Subject>,
    agreement: Agreement,
    access: Access,
    /// Pairs that do not show what the rules give, unless that may have changed since it was counted.
    access_wrong: Option<u64>,
    captured: Captured,
    /// The most that any node kept in its tables.
    kept: BTreeMap<&'static str, usize>,
    messages: Messages,
    denials: Denials,
    changes: Latencies,
    leaves: Latencies,
    losses: Latencies,
    false_lost: u64,
    checked: BTreeMap<&'static str, u64>,
    violations: BTreeMap<&'static str, u64>,
    failures: Vec<Failure>,
    sometimes: BTreeMap<Sometimes, u64>,
}

/// What is known of one node and its presentity.
#[derive(Debug)]
struct Subject {
    host: u32,
    presentity: Presentity,
    column: Option<usize>,
    name: String,
    started_at: u64,
    /// Until then it may be shown lost, and may show others so: it was cut off, or stopped, or just started.
    excused_until: u64,
    /// Changes that the runner asked it to publish.
    asked: u32,
    /// Those that it published: number, and when.
    published: Vec<(u32, u64)>,
    departure: Option<Departure>,
    disk_lost: bool,
}

/// A death or goodbye that some still do not show.
#[derive(Debug)]
struct Departure {
    at: u64,
    graceful: bool,
    unaware: u64,
}

/// Latencies in milliseconds.
pub type Latencies = Vec<f64>;

/// A node as the oracles know it from the start.
#[derive(Debug)]
pub struct Known {
    /// Its host in the network.
    pub host: u32,
    /// Whose node it is.
    pub presentity: Presentity,
    /// What it calls itself.
    pub name: String,
    /// Whether it is a PRESENTITY.
    pub publishes: bool,
    /// Its number among those that have ACCESS RULES, if it has: not everybody is to show it.
    pub guarded: Option<u8>,
}

impl Oracles {
    /// Oracles of these nodes. With `departures` nobody who is gone may be shown present at the end.
    pub fn new(network: Network, trace: Trace, nodes: Vec<Known>, departures: bool) -> Self {
        let mut access = Access::default();
        let mut captured = Captured::default();
        for node in &nodes {
            captured.add_host(node.host, node.presentity);
            if let Some(number) = node.guarded {
                access.guard(node.presentity, number);
            }
        }
        let shown = |node: &Known| node.publishes && node.guarded.is_none();
        let publishers: Vec<_> =
            nodes.iter().enumerate().filter(|(_, node)| shown(node)).map(|(node, _)| node).collect();
        let columns = publishers
            .iter()
            .enumerate()
            .filter_map(|(column, node)| Some((nodes.get(*node)?.presentity, column)))
            .collect::<HashMap<_, _>>();
        let subjects: Vec<_> = nodes
            .into_iter()
            .map(|node| Subject {
                host: node.host,
                presentity: node.presentity,
                column: shown(&node).then(|| columns.get(&node.presentity).copied()).flatten(),
                name: node.name,
                started_at: 0,
                excused_until: 0,
                asked: 0,
                published: Vec::new(),
                departure: None,
                disk_lost: false,
            })
            .collect();
        Self(Arc::new(Mutex::new(State {
            network,
            trace,
            agreement: Agreement::new(subjects.len(), publishers, departures),
            access,
            access_wrong: None,
            captured,
            kept: BTreeMap::new(),
            columns,
            hostile: HashSet::new(),
            subjects,
            messages: Messages::default(),
            denials: Denials::default(),
            changes: Vec::new(),
            leaves: Vec::new(),
            losses: Vec::new(),
            false_lost: 0,
            checked: BTreeMap::new(),
            violations: BTreeMap::new(),
            failures: Vec::new(),
            sometimes: BTreeMap::new(),
        })))
    }

    /// A presentity of an adversary, which may say of itself what it likes, and its host.
    pub fn add_hostile(&self, host: u32, presentity: Presentity) {
        let mut state = self.lock();
        state.hostile.insert(presentity);
        state.captured.add_host(host, presentity);
    }

    /// A node told its PRINCIPAL something.
    pub fn handle_event(&self, node: usize, event: &Event) {
        self.lock().event(now(), node, event);
    }

    /// A node runs, with a document that tells `change`.
    pub fn handle_started(&self, node: usize, change: u32) {
        let mut state = self.lock();
        let now = now();
        let Some(subject) = state.subjects.get_mut(node) else { return };
        subject.started_at = now;
        subject.excused_until = subject.excused_until.max(now + GRACE);
        subject.departure = None;
        // It numbers on from what its disk kept. Later changes will not be shown again, so they are no news.
        subject.published.retain(|(number, _)| *number <= change);
        let (column, presentity) = (subject.column, subject.presentity);
        state.access.started(&presentity, change);
        state.access_wrong = None;
        state.agreement.set_live(node, true);
        if let Some(column) = column {
            state.agreement.set_truth(column, Truth::Alive { change });
        }
        state.told(now, node, "started");
    }

    /// A node does not run any more.
    pub fn handle_ended(&self, node: usize, graceful: bool) {
        let mut state = self.lock();
        let now = now();
        if !state.agreement.is_live(node) {
            return;
        }
        state.forget_awareness_of(node);
        state.access.forget(node);
        state.access_wrong = None;
        state.agreement.set_live(node, false);
        let Some(column) = state.subjects.get(node).and_then(|subject| subject.column) else { return };
        state.agreement.set_truth(column, Truth::Gone);
        let unaware = state.agreement.shown_present(column);
        if let Some(subject) = state.subjects.get_mut(node) {
            subject.departure = (unaware > 0).then_some(Departure { at: now, graceful, unaware });
        }
        state.told(now, node, if graceful { "left" } else { "died" });
    }

    /// A node lost everything that it had stored.
    pub fn handle_disk_lost(&self, node: usize) {
        let mut state = self.lock();
        state.agreement.cut_versions(node, &BTreeMap::new());
        state.messages.handle_outbox_lost(now(), node);
        if let Some(subject) = state.subjects.get_mut(node) {
            subject.disk_lost = true;
        }
        state.count(Sometimes::DiskLoss);
    }

    /// A node's machine lost power, and its disk kept records of these versions only: records are stored
    /// lazily, so the last may be lost.
    pub fn handle_power_cut(&self, node: usize, kept: &[(Presentity, Version)]) {
        let mut state = self.lock();
        let kept = kept.iter();
        let kept = kept.filter_map(|(of, version)| Some((*state.columns.get(of)?, *version))).collect();
        state.agreement.cut_versions(node, &kept);
    }

    /// From now on this node may be shown lost and may show others so, until that ends.
    pub fn excuse(&self, node: usize) {
        if let Some(subject) = self.lock().subjects.get_mut(node) {
            subject.excused_until = u64::MAX;
        }
    }

    /// The excuse ends, after a time of grace.
    pub fn end_excuse(&self, node: usize) {
        if let Some(subject) = self.lock().subjects.get_mut(node) {
            subject.excused_until = now() + GRACE;
        }
    }

    /// The number of the next change of a node's document.
    pub fn next_change(&self, node: usize) -> u32 {
        self.lock().subjects.get_mut(node).map_or(0, |subject| {
            subject.asked += 1;
            subject.asked
        })
    }

    /// A node published change number `change` at `at`.
    pub fn handle_published(&self, node: usize, change: u32, at: u64) {
        let mut state = self.lock();
        let Some(subject) = state.subjects.get_mut(node) else { return };
        subject.published.push((change, at));
        let (column, presentity) = (subject.column, subject.presentity);
        state.access.changed(presentity, change, at, now());
        state.access_wrong = None;
        if let Some(column) = column.filter(|_| state.agreement.is_live(node)) {
            state.agreement.set_truth(column, Truth::Alive { change });
        }
    }

    /// A guarded presentity's rule for a watcher is asked for.
    pub fn handle_granting(&self, of: Presentity, watcher: Presentity, grant: Grant) {
        let mut state = self.lock();
        state.access.granting(of, watcher, grant, now());
        state.access_wrong = None;
    }

    /// The rule that was asked for last is confirmed.
    pub fn handle_granted(&self, of: Presentity, watcher: Presentity) {
        let mut state = self.lock();
        state.access.granted(of, watcher, now());
        state.access_wrong = None;
    }

    /// A rule of a guarded presentity could not be set: only its node's end is a reason for that.
    pub fn handle_rule_error(&self, of: Presentity, error: &AccessRuleFailure) {
        if !matches!(error, AccessRuleFailure::Stopped(_) | AccessRuleFailure::Storage(_)) {
            self.violate(ACCESS, format!("a rule of {of:?} could not be set: {error}"));
        }
    }

    /// The name of a guarded presentity is for anybody who listens.
    pub fn handle_named(&self, of: &Presentity) {
        self.lock().access.name(of);
    }

    /// Hosts received something: they may have what their watchers are granted, and nothing else.
    pub fn handle_received(&self, received: &[Received]) {
        let mut state = self.lock();
        let State { captured, access, .. } = &mut *state;
        let mut found = Vec::new();
        for received in received {
            found.extend(captured.handle(received, |of| access.is_guarded(of)));
        }
        for (host, watcher, mark) in found {
            state.check_seen(now(), &format!("host {host}"), watcher, mark);
        }
    }

    /// Bytes that were looked through, and sealed views that keys opened.
    pub fn captured(&self) -> (u64, u64) {
        let captured = &self.lock().captured;
        (captured.bytes, captured.opened)
    }

    /// A node says how full its tables are.
    pub(crate) fn handle_tables(&self, node: usize, tables: &Tables) {
        let mut state = self.lock();
        *state.checked.entry(TABLES).or_default() += u64::try_from(tables.count()).unwrap_or(u64::MAX);
        tables.merge(&mut state.kept);
        for what in tables.overfull() {
            state.violate(now(), TABLES, format!("node {node} {what}"));
        }
    }

    /// The most that any node kept of what its tables hold.
    pub fn kept(&self) -> BTreeMap<&'static str, usize> {
        self.lock().kept.clone()
    }

    /// What nodes say of those who watch them is held against what these know. Returns false if it may agree
    /// later, and there is time left.
    pub(crate) fn check_watching(&self, said: &Said, ledger: &Ledger, is_late: bool) -> bool {
        let (pairs, differ) = watching::one_sided(said, ledger);
        if !differ.is_empty() && !is_late {
            return false;
        }
        let (accounts, wrong) = watching::uncounted(said, ledger);
        let mut state = self.lock();
        for (oracle, count, found) in [(SIDES, pairs, differ), (COUNTED, accounts, wrong)] {
            *state.checked.entry(oracle).or_default() += u64::try_from(count).unwrap_or(u64::MAX);
            for what in found {
                state.violate(now(), oracle, what);
            }
        }
        true
    }

    /// A node has a rule from now on that denies the messages of a sender.
    pub fn handle_denied(&self, node: usize, sender: Presentity) {
        let mut state = self.lock();
        if state.denials.handle_denied(now(), node, sender) {
            state.count(Sometimes::ContactDenied);
        }
    }

    /// A sender was told what became of its message: the outcome, or nothing if it waits.
    pub fn handle_sent(&self, id: MessageId, path: (usize, usize), sent_at: u64, outcome: Option<Delivery>) {
        let mut state = self.lock();
        if outcome.is_none() {
            state.count(Sometimes::QueuedMessage);
        }
        state.messages.handle_sent(now(), id, path, sent_at, outcome);
    }

    /// Something happened that a run may have to show.
    pub fn count(&self, what: Sometimes) {
        self.lock().count(what);
    }

    /// What must never happen, happened.
    pub fn violate(&self, oracle: &'static str, what: String) {
        self.lock().violate(now(), oracle, what);
    }

    /// Pairs of a live node and a presentity that it shows wrongly.
    pub fn disagreeing(&self) -> u64 {
        let mut state = self.lock();
        let access = match state.access_wrong {
            Some(wrong) => wrong,
            None => u64::try_from(state.wrong_views().len()).unwrap_or(u64::MAX),
        };
        state.access_wrong = Some(access);
        state.agreement.wrong() + access
    }

    /// The share of pairs that are right, and the nodes that run.
    pub fn agreeing(&self) -> (f64, u64) {
        let state = self.lock();
        (state.agreement.share(), state.agreement.live())
    }

    /// Messages that wait although both nodes run.
    pub fn waiting_messages(&self) -> usize {
        let state = self.lock();
        state.messages.waiting(|node| state.agreement.is_live(node)).count()
    }

    /// A few of the pairs that disagree and of the messages that wait, in words.
    pub fn disagreements(&self) -> String {
        let state = self.lock();
        let words =
            state.agreement.some_wrong(DISAGREEMENTS_SHOWN).into_iter().map(|(node, of, cell, truth)| {
                let shown = match cell.shown {
                    Shown::Nothing => "nothing".to_owned(),
                    Shown::Present => format!("present with change {}", cell.change),
                    Shown::Left => "left".to_owned(),
                    Shown::Lost => "lost".to_owned(),
                };
                let truth = match truth {
                    Truth::Unborn => "never ran".to_owned(),
                    Truth::Alive { change } => format!("runs with change {change}"),
                    Truth::Gone => "is gone".to_owned(),
                };
                format!("node {node} shows of node {of} {shown}, which {truth}")
            });
        let waiting = state.messages.waiting(|node| state.agreement.is_live(node)).take(DISAGREEMENTS_SHOWN);
        let waiting = waiting.map(|(from, to, sent_at)| {
            format!("a message of node {from} to node {to} waits since {:.1} s", sent_at as f64 / 1e9)
        });
        let views = state.wrong_views().into_iter().take(DISAGREEMENTS_SHOWN);
        let views = views.map(|(node, of, due, shown)| {
            format!("node {node} shows of {of:?} {shown:?}, and its rule gives {due:?}")
        });
        words.chain(waiting).chain(views).collect::<Vec<_>>().join("; ")
    }

    /// Compares what senders were told with the inboxes: how often a message is stored at a node.
    pub fn check_messages(&self, stored: impl Fn(usize, &MessageId) -> usize) {
        let mut state = self.lock();
        let known = |node: usize, id: &MessageId| {
            let lost = state.subjects.get(node).is_none_or(|subject| subject.disk_lost);
            (!lost).then(|| stored(node, id))
        };
        let untrue = state.messages.untrue(known);
        let count = u64::try_from(state.messages.count()).unwrap_or(u64::MAX);
        *state.checked.entry(MESSAGES).or_default() += count;
        for untrue in untrue {
            let what = format!("message {} to node {} {}", untrue.id, untrue.to, untrue.what);
            state.violate(now(), MESSAGES, what);
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> Findings {
        let state = self.lock();
        let counts = SAFETY.iter().chain(&LIVENESS).map(|oracle| OracleCount {
            name: (*oracle).to_owned(),
            checked: state.checked.get(oracle).copied().unwrap_or(0),
            violations: state.violations.get(oracle).copied().unwrap_or(0),
        });
        Findings {
            failures: state.failures.clone(),
            counts: counts.collect(),
            sometimes: state.sometimes.clone(),
            changes: state.changes.clone(),
            guarded_changes: state.access.latencies.clone(),
            leaves: state.leaves.clone(),
            losses: state.losses.clone(),
            unseen_departures: state.subjects.iter().filter(|subject| subject.departure.is_some()).count(),
            messages: state.messages.latencies.clone(),
            message_outcomes: state.messages.outcomes.clone(),
            false_lost: state.false_lost,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // One thread uses them; a panic ends the simulation in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the oracles found in a run.
#[derive(Debug)]
pub struct Findings {
    /// What must never happen and did, the first of them.
    pub failures: Vec<Failure>,
    /// How often each oracle looked, and what it found.
    pub counts: Vec<OracleCount>,
    /// What happened how often.
    pub sometimes: BTreeMap<Sometimes, u64>,
    /// From publishing until a live node shows it, in milliseconds, for each change and node.
    pub changes: Latencies,
    /// The same for guarded presentities and those who are granted everything; from the grant, if that came
    /// later.
    pub guarded_changes: Latencies,
    /// From a goodbye until the last live node shows it, in milliseconds.
    pub leaves: Latencies,
    /// From a death until the last live node shows it, in milliseconds.
    pub losses: Latencies,
    /// Goodbyes and deaths that some live node never showed.
    pub unseen_departures: usize,
    /// From sending until the sender knows of the delivery, in milliseconds.
    pub messages: Latencies,
    /// What senders were told, by kind.
    pub message_outcomes: BTreeMap<&'static str, u64>,
    /// How often a live node in reach was shown lost.
    pub false_lost: u64,
}

impl State {
    fn event(&mut self, now: u64, node: usize, event: &Event) {
        match event {
            Event::Appeared(view) | Event::Changed(view) => self.shown(now, node, view, "shows"),
            Event::Left(view) => self.shown(now, node, view, "shows as left"),
            Event::Returned(view) => {
                self.count(Sometimes::Returned);
                self.shown(now, node, view, "shows as returned");
            }
            Event::Suspected(view) => {
                self.count(Sometimes::Suspected);
                self.shown(now, node, view, "suspects");
            }
            Event::Cleared(view) => self.shown(now, node, view, "suspects no more"),
            Event::Lost(view) => {
                self.count(Sometimes::Lost);
                self.lost(now, node, view);
                self.shown(now, node, view, "shows as lost");
            }
            Event::Message(entry) => {
                let id = entry.stored.message.id;
                *self.checked.entry(MESSAGES).or_default() += 1;
                *self.checked.entry(DENIED).or_default() += 1;
                let from = entry.stored.message.from;
                if self.denials.handle_stored(now, node, from) {
                    self.violate(
                        now,
                        DENIED,
                        format!("node {node} stored a message of {from:?}, whom it denies"),
                    );
                }
                let again = self.messages.handle_arrived(id) > 1;
                if again && self.subjects.get(node).is_some_and(|subject| !subject.disk_lost) {
                    self.violate(now, MESSAGES, format!("message {id} was stored at node {node} twice"));
                }
                self.told(now, node, &format!("stored message {id}"));
            }
            Event::Delivery { id, state, .. } => {
                self.messages.handle_finished(now, *id, *state);
                self.told(now, node, &format!("finished message {id}: {state:?}"));
            }
            Event::Trouble(text) => self.told(now, node, text),
            Event::Unsteady(_) | Event::Steady(_) => (),
            Event::Subscriber { .. }
            | Event::Watcher { .. }
            | Event::Updated { .. }
            | Event::Listening(_)
            | Event::Relayed { .. }
            | Event::NotRelayed { .. }
            | Event::Gap => (),
        }
    }

    /// What a node shows of a guarded presentity.
    fn shown_guarded(&mut self, now: u64, node: usize, view: &PresentityView, how: &str) {
        let Version { incarnation, sequence } = view.version;
        let of = view.presentity;
        self.told(now, node, &format!("{how} {of:?} {incarnation}.{sequence}"));
        let seen = Seen::of(view.information.as_ref());
        let Some(subject) = self.subjects.get(node) else { return };
        let (watcher, started_at) = (subject.presentity, subject.started_at);
        for mark in seen.marks() {
            self.check_seen(now, &format!("node {node}"), watcher, *mark);
        }
        self.access.shows((node, watcher), of, seen, started_at);
        self.access_wrong = None;
    }

    fn check_seen(&mut self, now: u64, who: &str, watcher: Presentity, mark: Mark) {
        *self.checked.entry(ACCESS).or_default() += 1;
        if let Some(of) = self.access.withheld(&watcher, mark) {
            let Mark { field, change, .. } = mark;
            let what = format!("{who} has {field:?} of change {change} of {of:?}, which is withheld from it");
            self.violate(now, ACCESS, what);
        }
    }

    /// The pairs that do not show what the rules give.
    fn wrong_views(&self) -> Vec<(usize, Presentity, Seen, Option<Seen>)> {
        let live = self.subjects.iter().enumerate().filter(|(node, _)| self.agreement.is_live(*node));
        let watchers: Vec<_> = live.map(|(node, subject)| (node, subject.presentity)).collect();
        let runs = |of: &Presentity| watchers.iter().any(|(_, watcher)| watcher == of);
        self.access.wrong(&watchers, runs).collect()
    }

    fn shown(&mut self, now: u64, node: usize, view: &PresentityView, how: &str) {
        if self.access.is_guarded(&view.presentity) {
            self.shown_guarded(now, node, view, how);
            return;
        }
        let Some(column) = self.columns.get(&view.presentity).copied() else {
            self.told(now, node, &format!("{how} {:?} {:?}", view.presentity, view.version));
            if !self.hostile.contains(&view.presentity) {
                self.violate(now, AUTHENTIC, format!("node {node} shows somebody who does not exist"));
            }
            return;
        };
        let Version { incarnation, sequence } = view.version;
        self.told(now, node, &format!("{how} node {column} {incarnation}.{sequence}"));
        let change = self.check_document(now, node, column, view);
        let cell = Cell::new(view.version, change, view.contact.state);
        let before = self.agreement.set_cell(node, column, cell);
        *self.checked.entry(REGRESS).or_default() += 1;
        if cell.is_older_than(&before) {
            let what = format!("node {node} shows {:?} after a newer one", view.version);
            self.violate(now, REGRESS, what);
        }
        self.note_changes(now, node, column, (before.change, change));
        if before.shown == Shown::Present && cell.shown != Shown::Present {
            self.note_departure(now, column);
        }
    }

    /// The number of the change that a document tells, after a look at whether it was published so.
    fn check_document(&mut self, now: u64, node: usize, column: usize, view: &PresentityView) -> u32 {
        *self.checked.entry(AUTHENTIC).or_default() += 1;
        let (Some(subject), Some(information)) = (self.subject_of(column), &view.information) else {
            return 0;
        };
        let change = change_of(information);
        let said = change.is_some_and(|change| change <= subject.asked)
            && information.display_name == subject.name
            && information.instant_inbox().is_some_and(|(inbox, _)| inbox.node == view.presentity);
        if !said {
            let what = format!("node {node} shows of {} what it never said: {information:?}", subject.name);
            self.violate(now, AUTHENTIC, what);
        }
        change.unwrap_or(0)
    }

    fn note_changes(&mut self, now: u64, node: usize, column: usize, (before, after): (u32, u32)) {
        // Whoever is ending has been forgotten already, but still sees.
        if after <= before || !self.agreement.is_live(node) {
            return;
        }
        let Some(started_at) = self.subjects.get(node).map(|subject| subject.started_at) else { return };
        let Some(subject) = self.subject_of(column) else { return };
        let news = subject
            .published
            .iter()
            .filter(|(number, at)| (before + 1..=after).contains(number) && *at >= started_at);
        let news: Vec<_> = news.map(|(_, at)| (now - at) as f64 / 1e6).collect();
        self.changes.extend(news);
    }

    /// A node that showed the presentity present does so no more.
    fn note_departure(&mut self, now: u64, column: usize) {
        let Some(subject) = self.agreement.node(column).and_then(|node| self.subjects.get_mut(node)) else {
            return;
        };
        let Some(departure) = &mut subject.departure else { return };
        departure.unaware -= 1;
        if departure.unaware == 0 {
            let latency = (now - departure.at) as f64 / 1e6;
            let graceful = departure.graceful;
            subject.departure = None;
            if graceful { self.leaves.push(latency) } else { self.losses.push(latency) }
        }
    }

    /// A node that ends is no longer awaited to notice anything.
    fn forget_awareness_of(&mut self, node: usize) {
        for subject in &mut self.subjects {
            if let (Some(departure), Some(column)) = (&mut subject.departure, subject.column)
                && self.agreement.cell(node, column).shown == Shown::Present
            {
                departure.unaware -= 1;
                if departure.unaware == 0 {
                    subject.departure = None;
                }
            }
        }
    }

    fn lost(&mut self, now: u64, node: usize, view: &PresentityView) {
        *self.checked.entry(FALSE_LOST).or_default() += 1;
        let Some(column) = self.columns.get(&view.presentity) else { return };
        let alive = matches!(self.agreement.truth(*column), Truth::Alive { .. });
        let Some(of) = self.agreement.node(*column) else { return };
        let (Some(one), Some(other)) = (self.subjects.get(node), self.subjects.get(of)) else { return };
        let excused = one.excused_until > now || other.excused_until > now;
        let was_present = self.agreement.cell(node, *column).shown == Shown::Present;
        if alive && !excused && was_present && self.network.in_reach(one.host, other.host) {
            self.false_lost += 1;
            self.told(now, node, &format!("shows node {of} lost, which runs and is in reach"));
        }
    }

    fn subject_of(&self, column: usize) -> Option<&Subject> {
        self.subjects.get(self.agreement.node(column)?)
    }

    fn told(&self, at: u64, node: usize, what: &str) {
        let host = self.subjects.get(node).map_or(u32::MAX, |subject| subject.host);
        self.trace.add(&TraceEvent::Told { at, host, what });
    }

    fn count(&mut self, what: Sometimes) {
        *self.sometimes.entry(what).or_default() += 1;
    }

    fn violate(&mut self, now: u64, oracle: &'static str, what: String) {
        *self.violations.entry(oracle).or_default() += 1;
        if self.failures.len() < FAILURES_KEPT {
            self.failures.push(Failure { oracle: oracle.to_owned(), at_seconds: now as f64 / 1e9, what });
        }
    }
}

/// The document that a node publishes as change number `change`; the first is number 0. That of a guarded
/// one, by its number, is marked.
pub fn document(
    mut information: PresenceInformation,
    change: u32,
    guarded: Option<u8>,
) -> PresenceInformation {
    if let Some(of) = guarded {
        return marks::document(information, of, change);
    }
    information.markup.note = (change > 0).then(|| hereabouts_protocol::presence::information::Note {
        text: format!("{CHANGE_NOTE}{change}"),
        language: None,
    });
    information
}

/// The number of the change that a document tells; none if it is not one of [`document`]'s.
pub fn change_of(information: &PresenceInformation) -> Option<u32> {
    match &information.markup.note {
        None => Some(0),
        Some(note) => {
            let marked = Mark::find(note.text.as_bytes()).first().map(|mark| mark.change.into());
            marked.or_else(|| note.text.strip_prefix(CHANGE_NOTE)?.parse().ok())
        }
    }
}

const CHANGE_NOTE: &str = "change ";
/// How long after a disturbance has ended a node may still be shown lost: as long as redialling takes.
const GRACE: u64 = 15_000_000_000;
const FAILURES_KEPT: usize = 20;
const DISAGREEMENTS_SHOWN: usize = 5;

/// Whether a contact is shown present, for those who look at views themselves.
pub fn is_present(view: &PresentityView) -> bool {
    view.contact.state.is_in_contact()
}
