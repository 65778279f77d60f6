//! The PRESENCE SERVICE of one node: everybody's newest record, and whether they are in contact.
//!
//! **Decides** which of two records stands ([`PresenceRecord::supersedes`], nothing else), what a WATCHER is
//! to be told of, and who is present, left or lost. **Leaves** signatures to the record, gossip and links to
//! the driver, this node's own record to [`super::publication`].
//!
//! Merging is commutative, associative and idempotent: any order of the same records ends in the same
//! table, and no version ever goes back, not over a restart either, since the newest record of everybody
//! is put out to be stored and given back at the next start.
//!
//! Out of contact is RFC 2779's term for what is no STATUS: the state of a lost presentity stays readable,
//! with its age and the evidence. Whoever says goodbye is *left*. Whoever has a link is *present*. Whoever
//! is accused is *suspect*, which is still in contact, and *lost* if that is believed
//! ([`super::accusations`]); so are those whose link broke and whose host says that nobody listens, and
//! those whose lease ends without a link. A lost one that is heard of anew or linked to has *returned*.
//! What another node remembers of somebody's contact is taken over only until there is evidence of our own.
//!
//! Who is lost and returns again and again is *unsteady*: that is said once for the whole run of it, and what
//! it comes to when it is over, so that a bad cable does not fill anybody's screen.
//!
//! Limits: [`PRESENTITIES_MAX`] records. At the limit the one longest out of contact makes room; if all are
//! present a newcomer is refused. Source: RFC 2778 section 2.1, RFC 2779 3.2 and 3.3; DESIGN of records is
//! this project's own.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    information::PresenceInformation,
    reconciliation::Line,
    record::{DISPLAY_NAME, PresenceRecord, Version},
    suspicion::Grounds,
};
use crate::{
    durable::StoredRecord,
    identity::Presentity,
    time::{Timestamp, UnixTime, WallClock},
};

/// The table of everybody but this node's own presentity. Feed it with the `handle_*` methods, drain
/// [`Self::poll_output`], and call [`Self::handle_timeout`] when [`Self::poll_timeout`] says so.
#[derive(Debug)]
pub struct PresenceService {
    clock: WallClock,
    entries: BTreeMap<Presentity, Entry>,
    leases: BTreeSet<(Timestamp, Presentity)>,
    /// Those who are unsteady, by when they will have been steady long enough.
    unsteady: BTreeSet<(Timestamp, Presentity)>,
    outputs: VecDeque<ServiceOutput>,
    presentities_max: usize,
}

impl PresenceService {
    /// An empty table of at most `presentities_max` entries.
    pub fn new(clock: WallClock, presentities_max: usize) -> Self {
        Self {
            clock,
            entries: BTreeMap::new(),
            leases: BTreeSet::new(),
            unsteady: BTreeSet::new(),
            outputs: VecDeque::new(),
            presentities_max,
        }
    }

    /// Takes a verified record that came with `source`, and `opened`, what this node may see of it beyond
    /// what anybody may.
    pub fn handle_record(
        &mut self,
        now: Timestamp,
        record: PresenceRecord,
        opened: Option<PresenceInformation>,
        source: Source,
    ) -> Offered {
        let presentity = record.presentity();
        if let Some(known) = self.entries.get(&presentity) {
            if known.record.bytes() == record.bytes() {
                self.confirm(now, presentity, source);
                return Offered::Known;
            }
            if !record.supersedes(&known.record) {
                return Offered::Stale;
            }
        } else if !self.make_room() {
            return Offered::TableFull;
        }
        self.replace(now, record, opened.map(Box::new), source);
        Offered::Newer
    }

    /// This node may see more, or less, of the newest record of `presentity` than before.
    pub fn handle_opened(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        opened: Option<PresenceInformation>,
    ) {
        let Some(entry) = self.entries.get_mut(&presentity) else { return };
        let before = entry.information().cloned();
        entry.opened = opened.map(Box::new);
        if entry.information() != before.as_ref() && entry.contact.evidence != Evidence::Remembered {
            self.announce(now, presentity, Transition::Changed);
        }
    }

    /// A connection with the presentity's node stands.
    pub fn handle_link_established(&mut self, now: Timestamp, presentity: Presentity) {
        let Some(entry) = self.entries.get_mut(&presentity) else { return };
        entry.linked = true;
        if entry.contact.state != ContactState::Left {
            self.turn(now, presentity, ContactState::Present, Evidence::Connected);
        }
    }

    /// The last connection with the presentity's node went down. No judgement yet: that is for what follows.
    pub fn handle_link_down(&mut self, presentity: Presentity) {
        if let Some(entry) = self.entries.get_mut(&presentity) {
            entry.linked = false;
        }
    }

    /// The presentity seems to be out of contact.
    pub fn handle_suspected(&mut self, now: Timestamp, presentity: Presentity) {
        if self.entries.get(&presentity).is_some_and(|entry| entry.contact.state == ContactState::Present) {
            self.turn(now, presentity, ContactState::Suspect, Evidence::Accused);
        }
    }

    /// It does not seem so any more.
    pub fn handle_cleared(&mut self, now: Timestamp, presentity: Presentity) {
        let Some(entry) = self.entries.get(&presentity) else { return };
        if entry.contact.state == ContactState::Suspect {
            let evidence = if entry.linked { Evidence::Connected } else { Evidence::Heard };
            self.turn(now, presentity, ContactState::Present, evidence);
        }
    }

    /// The presentity is out of contact.
    pub fn handle_lost(&mut self, now: Timestamp, presentity: Presentity, evidence: Evidence) {
        if self.is_in_contact(&presentity) {
            self.turn(now, presentity, ContactState::Lost, evidence);
        }
    }

    /// Acts on what is due: leases that ended.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.steady_due(now);
        while let Some(&(ends, presentity)) = self.leases.first()
            && ends <= now
        {
            self.leases.remove(&(ends, presentity));
            let Some(entry) = self.entries.get_mut(&presentity) else { continue };
            if entry.linked {
                entry.lease_ends = now + entry.record.lease().max(LEASE_MIN);
                self.leases.insert((entry.lease_ends, presentity));
            } else if entry.contact.state.is_in_contact() {
                self.turn(now, presentity, ContactState::Lost, Evidence::LeaseExpired);
            }
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<ServiceOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let (lease, steady) = (self.leases.first(), self.unsteady.first());
        lease.into_iter().chain(steady).map(|(at, _)| *at).min()
    }

    /// The newest record of `presentity`.
    pub fn record(&self, presentity: &Presentity) -> Option<&PresenceRecord> {
        self.entries.get(presentity).map(|entry| &entry.record)
    }

    /// Everybody known, in the order of their keys.
    pub fn presentities(&self) -> impl Iterator<Item = Presentity> + '_ {
        self.entries.keys().copied()
    }

    /// All records, as they are to be stored.
    pub fn to_store(&self) -> impl Iterator<Item = StoredRecord> + '_ {
        self.entries.iter().map(|(presentity, entry)| StoredRecord {
            presentity: *presentity,
            version: entry.record.version(),
            bytes: entry.record.bytes().to_vec(),
            heard_at: entry.heard_at,
        })
    }

    /// What is known of `presentity`.
    pub fn view(&self, presentity: &Presentity) -> Option<PresentityView> {
        let entry = self.entries.get(presentity)?;
        Some(PresentityView {
            presentity: *presentity,
            is_self: false,
            petname: None,
            version: entry.record.version(),
            information: entry.information().cloned(),
            sealed: entry.is_sealed(),
            display_name: entry.display_name().map(str::to_owned),
            contact: entry.contact,
            heard_at: entry.heard_at,
            accused: Vec::new(),
        })
    }

    /// What this node may see of the document of `presentity`.
    pub fn information(&self, presentity: &Presentity) -> Option<&PresenceInformation> {
        self.entries.get(presentity)?.information()
    }

    /// The same, if there is nothing that it may not see for want of a key.
    pub fn readable(&self, presentity: &Presentity) -> Option<&PresenceInformation> {
        self.entries.get(presentity).filter(|entry| !entry.is_sealed())?.information()
    }

    /// Whether `presentity` is believed to be in contact.
    pub fn is_in_contact(&self, presentity: &Presentity) -> bool {
        self.entries.get(presentity).is_some_and(|entry| entry.contact.state.is_in_contact())
    }

    /// How many others than `presentity` are present and not suspected, as far as `most`.
    pub fn others_present(&self, presentity: &Presentity, most: usize) -> usize {
        let others = self
            .entries
            .iter()
            .filter(|(other, entry)| *other != presentity && entry.contact.state == ContactState::Present);
        others.take(most).count()
    }

    /// Whether `presentity` said goodbye and was not heard of since.
    pub fn has_left(&self, presentity: &Presentity) -> bool {
        self.entries.get(presentity).is_some_and(|entry| entry.contact.state == ContactState::Left)
    }

    /// A record as it is told to another node, with its age and this node's judgement.
    pub fn told(&self, now: Timestamp, presentity: &Presentity) -> Option<(&PresenceRecord, Duration, bool)> {
        let entry = self.entries.get(presentity)?;
        let elapsed = self.clock.unix(now).since(entry.heard_at);
        Some((&entry.record, elapsed, entry.is_lost()))
    }

    /// The fingerprint of every record, for answering a comparison of two tables.
    pub fn fingerprints(&self) -> impl Iterator<Item = Line> + '_ {
        self.entries.iter().map(|(presentity, entry)| entry.line(*presentity))
    }

    /// The same, for asking: what is only remembered from an earlier run is left out, so that the other node
    /// tells of it again, and with it whether the presentity is in contact.
    pub fn fingerprints_heard(&self) -> impl Iterator<Item = Line> + '_ {
        let heard = self.entries.iter().filter(|(_, entry)| entry.contact.evidence != Evidence::Remembered);
        heard.map(|(presentity, entry)| entry.line(*presentity))
    }

    fn heard_at(&self, now: Timestamp, source: Source) -> UnixTime {
        let unix = self.clock.unix(now);
        match source {
            Source::Direct | Source::Gossip => unix,
            Source::Told { elapsed, .. } => unix - elapsed,
            Source::Restored { heard_at } => heard_at.min(unix),
        }
    }

    /// Takes over what somebody who is in contact says of a presentity that is only remembered. That its
    /// record is gossiped again proves nothing: anybody may have kept it.
    fn confirm(&mut self, now: Timestamp, presentity: Presentity, source: Source) {
        let heard_at = self.heard_at(now, source);
        let Some(entry) = self.entries.get_mut(&presentity) else { return };
        let proves = matches!(source, Source::Direct | Source::Told { .. });
        if entry.contact.evidence == Evidence::Remembered && proves {
            let (state, evidence) = judge(&entry.record, source);
            entry.heard_at = entry.heard_at.max(heard_at);
            let lease_ends = self.clock.timestamp(entry.heard_at + entry.record.lease().max(LEASE_MIN));
            self.turn(now, presentity, state, evidence);
            self.set_lease(presentity, lease_ends);
        }
    }

    fn set_lease(&mut self, presentity: Presentity, ends: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&presentity) {
            self.leases.remove(&(entry.lease_ends, presentity));
            self.leases.insert((ends, presentity));
            entry.lease_ends = ends;
        }
    }

    fn make_room(&mut self) -> bool {
        if self.entries.len() < self.presentities_max {
            return true;
        }
        let longest_gone = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.contact.state.is_in_contact())
            .min_by_key(|(_, entry)| entry.contact.since)
            .map(|(presentity, _)| *presentity);
        let Some(presentity) = longest_gone else { return false };
        if let Some(entry) = self.entries.remove(&presentity) {
            self.leases.remove(&(entry.lease_ends, presentity));
            if let Some(until) = entry.losses.unsteady_until {
                self.unsteady.remove(&(until, presentity));
            }
        }
        self.outputs.push_back(ServiceOutput::Forget(presentity));
        true
    }

    fn replace(
        &mut self,
        now: Timestamp,
        record: PresenceRecord,
        opened: Option<Box<PresenceInformation>>,
        source: Source,
    ) {
        let heard_at = self.heard_at(now, source);
        let presentity = record.presentity();
        let (state, evidence) = judge(&record, source);
        let previous = self.entries.remove(&presentity);
        if let Some(previous) = &previous {
            self.leases.remove(&(previous.lease_ends, presentity));
        }
        let linked = previous.as_ref().is_some_and(|previous| previous.linked);
        let losses = previous.as_ref().map(|previous| previous.losses.clone()).unwrap_or_default();
        // What others say of one that is in contact is an accusation, and decides nothing here.
        let kept =
            previous.as_ref().map(|previous| previous.contact.state).filter(|state| state.is_in_contact());
        let (state, evidence) = match (state, kept) {
            (ContactState::Lost, _) if linked => (ContactState::Present, Evidence::Connected),
            (ContactState::Lost, Some(kept)) => (kept, evidence),
            _ => (state, evidence),
        };
        let since = match &previous {
            Some(previous) if previous.contact.state == state => previous.contact.since,
            _ => heard_at,
        };
        let transition = transition(previous.as_ref(), &record, opened.as_deref(), state, source);
        if !matches!(source, Source::Restored { .. }) {
            self.outputs.push_back(ServiceOutput::Persist(StoredRecord {
                presentity,
                version: record.version(),
                bytes: record.bytes().to_vec(),
                heard_at,
            }));
        }
        let lease = record.lease().max(LEASE_MIN);
        let heard_long_ago = self.clock.timestamp(heard_at + lease);
        let lease_ends = if kept.is_some() { now + lease } else { heard_long_ago.max(now) };
        let entry = Entry {
            fingerprint: fingerprint(&record),
            record,
            opened,
            heard_at,
            lease_ends,
            linked,
            contact: Contact { state, since, evidence, unsteady: losses.unsteady_until.is_some() },
            losses,
        };
        self.leases.insert((lease_ends, presentity));
        self.entries.insert(presentity, entry);
        if let Some(transition) = transition {
            self.announce(now, presentity, transition);
        }
    }

    fn turn(&mut self, now: Timestamp, presentity: Presentity, state: ContactState, evidence: Evidence) {
        let Some(entry) = self.entries.get_mut(&presentity) else { return };
        let before = entry.contact.state;
        if before == state {
            entry.contact.evidence = evidence;
            return;
        }
        entry.contact = Contact { state, since: self.clock.unix(now), evidence, ..entry.contact };
        let transition = match state {
            ContactState::Present if before == ContactState::Suspect => Transition::Cleared,
            ContactState::Present => Transition::Returned,
            ContactState::Suspect => Transition::Suspected,
            ContactState::Left => Transition::Left,
            ContactState::Lost => Transition::Lost,
        };
        if state == ContactState::Present {
            let lease_ends = now + entry.record.lease().max(LEASE_MIN);
            self.set_lease(presentity, lease_ends);
        }
        self.announce(now, presentity, transition);
    }

    /// Says what happened to a presentity, and whether it happens again and again.
    fn announce(&mut self, now: Timestamp, presentity: Presentity, transition: Transition) {
        let Some(entry) = self.entries.get_mut(&presentity) else { return };
        let losses = &mut entry.losses;
        if transition == Transition::Lost {
            losses.at.push_back(now);
            losses.at.retain(|at| now.since(*at) <= UNSTEADY_WITHIN);
            while losses.at.len() > UNSTEADY_LOSSES {
                losses.at.pop_front();
            }
        }
        let begins = losses.at.len() >= UNSTEADY_LOSSES && losses.unsteady_until.is_none();
        let goes_on = matches!(transition, Transition::Lost | Transition::Returned);
        if begins || (goes_on && losses.unsteady_until.is_some()) {
            if let Some(before) = losses.unsteady_until.replace(now + STEADY_AFTER) {
                self.unsteady.remove(&(before, presentity));
            }
            self.unsteady.insert((now + STEADY_AFTER, presentity));
        }
        entry.contact.unsteady = losses.unsteady_until.is_some();
        self.outputs.push_back(ServiceOutput::Transition(presentity, transition));
        if begins {
            self.outputs.push_back(ServiceOutput::Transition(presentity, Transition::Unsteady));
        }
    }

    fn steady_due(&mut self, now: Timestamp) {
        while let Some((_, presentity)) = self.unsteady.first().copied().filter(|(at, _)| *at <= now) {
            self.unsteady.pop_first();
            let Some(entry) = self.entries.get_mut(&presentity) else { continue };
            entry.losses = Losses::default();
            entry.contact.unsteady = false;
            self.outputs.push_back(ServiceOutput::Transition(presentity, Transition::Steady));
        }
    }
}

/// Where a record came from, which decides what it proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the presentity's own node.
    Direct,
    /// By gossip, just now.
    Gossip,
    /// Told by another node, with how long ago it heard it and whether it believes the presentity lost.
    Told {
        /// How long ago the other node heard it.
        elapsed: Duration,
        /// Whether the other node believes the presentity out of contact.
        lost: bool,
    },
    /// From this node's own store.
    Restored {
        /// When it was heard.
        heard_at: UnixTime,
    },
}

/// What became of a record that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is now the newest.
    Newer,
    /// It was the newest before.
    Known,
    /// A newer one is known.
    Stale,
    /// The table is full of presentities that are present.
    TableFull,
}

/// What the table asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceOutput {
    /// Something happened that a WATCHER may be told.
    Transition(Presentity, Transition),
    /// The record is to be stored.
    Persist(StoredRecord),
    /// The presentity was dropped to make room.
    Forget(Presentity),
}

/// What happened to a presentity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// First heard of in this run, and present.
    Appeared,
    /// Its document changed.
    Changed,
    /// It said goodbye.
    Left,
    /// It seems to be out of contact.
    Suspected,
    /// It does not seem so any more.
    Cleared,
    /// It is out of contact.
    Lost,
    /// It is back.
    Returned,
    /// It was lost [`UNSTEADY_LOSSES`] times within [`UNSTEADY_WITHIN`]. Its losses and returns are still
    /// told, but nobody is to be bothered with them until it is steady.
    Unsteady,
    /// It was neither lost nor did it return for [`STEADY_AFTER`]; its state is what counts again.
    Steady,
}

/// Everything that this node knows of a presentity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentityView {
    /// Who.
    pub presentity: Presentity,
    /// Whether it is this node's own.
    pub is_self: bool,
    /// What this node's PRINCIPAL calls it.
    pub petname: Option<String>,
    /// The version of its record.
    pub version: Version,
    /// What this node may see of its document; nothing if all of it is withheld.
    pub information: Option<PresenceInformation>,
    /// Whether there is more for those who are given a key, and this node has none.
    pub sealed: bool,
    /// What it calls itself, as far as this node may know.
    pub display_name: Option<String>,
    /// Whether it is in contact.
    pub contact: Contact,
    /// When its record was heard.
    pub heard_at: UnixTime,
    /// Who gets no sign of life of it, the first first.
    pub accused: Vec<AccusedBy>,
}

/// One who gets no sign of life of a presentity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccusedBy {
    /// Who; perhaps this node itself.
    pub accuser: Presentity,
    /// In what way.
    pub grounds: Grounds,
    /// Since when that counts.
    pub since: UnixTime,
}

/// Whether a presentity is in contact, since when and how that is known. Not a STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    /// The judgement.
    pub state: ContactState,
    /// Since when it holds.
    pub since: UnixTime,
    /// What it rests on.
    pub evidence: Evidence,
    /// Whether it changes again and again.
    pub unsteady: bool,
}

/// The judgement on somebody's contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContactState {
    /// In contact.
    Present,
    /// In contact as far as is known, but somebody gets no sign of life.
    Suspect,
    /// Gone with a goodbye.
    Left,
    /// Out of contact without one.
    Lost,
}

impl ContactState {
    /// Whether one who is in this state is believed to be there.
    pub fn is_in_contact(self) -> bool {
        matches!(self, Self::Present | Self::Suspect)
    }
}

/// What a judgement rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// It is this node itself.
    Own,
    /// A connection with its node stands.
    Connected,
    /// A new record of it was heard.
    Heard,
    /// Another node said so.
    Told,
    /// Known from an earlier run of this node.
    Remembered,
    /// The connection was lost, and its host says that nobody listens any more.
    LinkLost,
    /// Nodes get no sign of life, see [`PresentityView::accused`], and it does not contradict them.
    Accused,
    /// It said goodbye.
    Departed,
    /// Its lease ended and nothing was heard.
    LeaseExpired,
}

#[derive(Debug)]
struct Entry {
    record: PresenceRecord,
    /// What a key of this node opened.
    opened: Option<Box<PresenceInformation>>,
    fingerprint: u64,
    /// By the wall clock, since it may have been heard long before this run began.
    heard_at: UnixTime,
    lease_ends: Timestamp,
    linked: bool,
    contact: Contact,
    losses: Losses,
}

/// How often a presentity was lost lately.
#[derive(Debug, Clone, Default)]
struct Losses {
    at: VecDeque<Timestamp>,
    unsteady_until: Option<Timestamp>,
}

impl Entry {
    fn information(&self) -> Option<&PresenceInformation> {
        self.opened.as_deref().or_else(|| self.record.body().public.as_ref())
    }

    fn display_name(&self) -> Option<&str> {
        let opened = self.opened.as_deref().map(|document| document.display_name.as_str());
        opened.or_else(|| self.record.display_name())
    }

    fn is_sealed(&self) -> bool {
        self.opened.is_none() && !self.record.body().sealed_views.is_empty()
    }

    /// What is only remembered is no judgement of this run, so none is passed on.
    fn is_lost(&self) -> bool {
        self.contact.state == ContactState::Lost && self.contact.evidence != Evidence::Remembered
    }

    fn line(&self, presentity: Presentity) -> Line {
        (presentity, self.record.version(), self.fingerprint, self.is_lost())
    }
}

/// The first eight bytes of the SHA-256 of a record, little-endian.
pub fn fingerprint(record: &PresenceRecord) -> u64 {
    let hash = Sha256::digest(record.bytes());
    hash.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn judge(record: &PresenceRecord, source: Source) -> (ContactState, Evidence) {
    if record.body().departing {
        return (ContactState::Left, Evidence::Departed);
    }
    match source {
        Source::Direct => (ContactState::Present, Evidence::Connected),
        Source::Gossip => (ContactState::Present, Evidence::Heard),
        Source::Told { elapsed, .. } if elapsed >= record.lease().max(LEASE_MIN) => {
            (ContactState::Lost, Evidence::LeaseExpired)
        }
        Source::Told { lost: false, .. } => (ContactState::Present, Evidence::Told),
        Source::Told { lost: true, .. } => (ContactState::Lost, Evidence::Told),
        Source::Restored { .. } => (ContactState::Lost, Evidence::Remembered),
    }
}

fn transition(
    previous: Option<&Entry>,
    record: &PresenceRecord,
    opened: Option<&PresenceInformation>,
    state: ContactState,
    source: Source,
) -> Option<Transition> {
    let Some(previous) = previous else {
        let news = state.is_in_contact() && !matches!(source, Source::Restored { .. });
        return news.then_some(Transition::Appeared);
    };
    match (previous.contact.state, state) {
        (before, ContactState::Present) if before.is_in_contact() => {
            let quiet = (before == ContactState::Suspect).then_some(Transition::Cleared);
            let seen = opened.or_else(|| record.body().public.as_ref());
            let same = seen == previous.information()
                && record.body().departing == previous.record.body().departing
                && (seen.is_some() || record.display_name() == previous.record.display_name())
                && markup(record).eq(markup(&previous.record));
            if same { quiet } else { Some(Transition::Changed) }
        }
        (_, ContactState::Present) => Some(Transition::Returned),
        // Who left while this node was down is no news to it: it never saw them in this run.
        (ContactState::Lost, ContactState::Left) if previous.contact.evidence == Evidence::Remembered => None,
        (before, ContactState::Left) if before != ContactState::Left => Some(Transition::Left),
        (before, ContactState::Lost) if before.is_in_contact() => Some(Transition::Lost),
        _ => None,
    }
}

/// The extensions of a record, but for the name: that stands there only where the document is sealed.
fn markup(record: &PresenceRecord) -> impl Iterator<Item = (&String, &Vec<u8>)> {
    record.body().extensions.iter().filter(|(name, _)| *name != DISPLAY_NAME)
}

/// Records that one node keeps unless told otherwise. A record with its entry takes about 2 kB.
pub const PRESENTITIES_MAX: usize = 4096;
/// Who is lost so often is unsteady.
pub const UNSTEADY_LOSSES: usize = 3;
/// The time within which those losses are counted.
pub const UNSTEADY_WITHIN: Duration = Duration::from_secs(10 * 60);
/// Who neither is lost nor returns for so long is steady again.
pub const STEADY_AFTER: Duration = Duration::from_secs(5 * 60);
/// A record that names a shorter lease gets this one, so that a flood of expiries cannot be ordered.
const LEASE_MIN: Duration = Duration::from_secs(10);

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
