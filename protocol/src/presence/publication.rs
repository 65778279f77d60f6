//! The PRESENTITY's side: this node's own document, and when it is published.
//!
//! **Decides** when a new record is signed: at once when the PRINCIPAL changes the document, when the inbox
//! fills up, is denied to everybody or takes messages again, when somebody says that it is out of contact,
//! and at the goodbye; a moment after the addresses change, so that a burst is one record; and at
//! [`REFRESH_INTERVAL`], so that the lease never ends while the node lives. Changes that follow each other
//! within [`CHANGE_INTERVAL`] are one record with the last document, at the end of it; the goodbye waits for
//! nothing. A document with an `until` goes back to plain OPEN at that time. **Leaves** the spreading to the
//! driver.
//!
//! Versions: every run has an incarnation of its own, which the store has kept before the first record is
//! made. A node that hears of itself with a higher version than its own (a restored backup, a lost state
//! directory, a second machine with this key) jumps to an incarnation above it, stores that, and publishes
//! again. Two machines with one key would chase each other for ever, so each further jump waits twice as
//! long, and after [`OVERTAKEN_TIMES_ODD`] of them the PRINCIPAL is told.

use std::{collections::VecDeque, time::Duration};

use libp2p_identity::Keypair;
use rand::{SeedableRng, rngs::StdRng};

use super::{
    access_rules::{AccessRules, View},
    information::{Basic, InformationError, PresenceInformation},
    record::{DISPLAY_NAME, FORMAT, NodeAddress, PresenceRecord, RecordBody, RecordError, Version},
    suspicion::{self, Accusation, Suspicion, SuspicionBody, SuspicionError},
    views::Views,
};
use crate::{
    identity::{InboxAddress, Presentity, Realm},
    time::{Timestamp, WallClock},
};

/// This node's own PRESENCE INFORMATION and its records.
#[derive(Debug)]
pub struct Publication {
    key: Keypair,
    clock: WallClock,
    presentity: Presentity,
    realm: Realm,
    information: PresenceInformation,
    views: Views,
    addresses: Vec<NodeAddress>,
    publishes: Publishes,
    version: Version,
    /// Whether the node keeps an inbox at all.
    keeps_inbox: bool,
    /// Whether that takes a message of anybody now.
    inbox_ready: bool,
    departed: bool,
    record: Option<PresenceRecord>,
    publish_at: Option<Timestamp>,
    /// When a change of the document was last published.
    changed_at: Option<Timestamp>,
    /// The document has changed since the last record.
    change_waits: bool,
    jump: Option<Jump>,
    overtaken_times: u32,
    suspicions: u64,
    /// When this presentity last refuted a suspicion.
    refuted_at: Option<Timestamp>,
    outputs: VecDeque<PublicationOutput>,
}

impl Publication {
    /// A publication of `information` whose first record is made [`SETTLE_TIME`] from `now`, if any is.
    ///
    /// # Panics
    /// If `key` is not an Ed25519 key.
    pub fn new(
        now: Timestamp,
        clock: WallClock,
        key: Keypair,
        realm: Realm,
        incarnation: u64,
        information: PresenceInformation,
        views: Views,
        publishes: Publishes,
    ) -> Self {
        let presentity = Presentity::from_public_key(&key.public()).expect("a node has an Ed25519 key");
        Self {
            key,
            clock,
            presentity,
            realm,
            information,
            views,
            addresses: Vec::new(),
            publishes,
            version: Version { incarnation, sequence: 0 },
            keeps_inbox: true,
            inbox_ready: true,
            departed: false,
            record: None,
            publish_at: Some(now + SETTLE_TIME),
            changed_at: None,
            change_waits: false,
            jump: None,
            overtaken_times: 0,
            suspicions: 0,
            refuted_at: None,
            outputs: VecDeque::new(),
        }
    }

    /// The same of a node that keeps no inbox unless `keeps_inbox`: its tuple is CLOSED and without address.
    #[must_use]
    pub fn with_inbox(self, keeps_inbox: bool) -> Self {
        Self { keeps_inbox, ..self }
    }

    /// Whose it is.
    pub fn presentity(&self) -> Presentity {
        self.presentity
    }

    /// The document that the PRINCIPAL set.
    pub fn information(&self) -> &PresenceInformation {
        &self.information
    }

    /// The document as it is published: what the PRINCIPAL set, but CLOSED where it names this node's inbox
    /// while that is full or denied to everybody, or if there is none.
    pub fn effective_information(&self) -> PresenceInformation {
        let mut information = self.information.clone();
        if !self.inbox_ready || !self.keeps_inbox {
            let inbox = InboxAddress { node: self.presentity, realm: self.realm.clone() };
            for tuple in information.tuples.iter_mut().filter(|tuple| tuple.is_for(&inbox)) {
                tuple.status.basic = Basic::Closed;
                if !self.keeps_inbox {
                    tuple.communication_address = None;
                }
            }
        }
        information
    }

    /// Its views, and who holds the keys.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// The same, to release a key.
    pub fn views_mut(&mut self) -> &mut Views {
        &mut self.views
    }

    /// The newest record, once there is one.
    pub fn record(&self) -> Option<&PresenceRecord> {
        self.record.as_ref()
    }

    /// The incarnation of the next record.
    pub fn incarnation(&self) -> u64 {
        self.version.incarnation
    }

    /// Whether the goodbye was said.
    pub fn has_departed(&self) -> bool {
        self.departed
    }

    /// The PRINCIPAL sets a new document. It is published at once, or [`CHANGE_INTERVAL`] after the last
    /// change, unless another takes its place until then; after the goodbye it is only stored.
    ///
    /// # Errors
    /// Why it cannot be; the old one stands.
    pub fn handle_set(
        &mut self,
        now: Timestamp,
        information: PresenceInformation,
    ) -> Result<(), PublishError> {
        information.check()?;
        let before = std::mem::replace(&mut self.information, information);
        if !self.departed {
            let waiting = (self.publish_at, self.change_waits);
            self.change(now);
            let is_due = self.publish_at.is_some_and(|at| at <= now);
            // What waits is signed in vain, so that who sets it is told at once if it cannot be.
            if let Err(error) = if is_due { self.publish(now) } else { self.sign().map(drop) } {
                self.information = before;
                (self.publish_at, self.change_waits) = waiting;
                return Err(error);
            }
        }
        self.outputs.push_back(PublicationOutput::PersistInformation(self.information.clone()));
        Ok(())
    }

    /// Whether a record could be made under `rules`.
    ///
    /// # Errors
    /// Why not.
    pub fn check_rules(&self, now: Timestamp, rules: AccessRules) -> Result<(), PublishError> {
        let random = StdRng::from_seed([0; 32]);
        self.sign_with(&Views::new(now, rules, random)).map(drop)
    }

    /// Other rules hold, or others are contacts now; see [`Views::handle_rules`]. What changes by that is
    /// published like a change of the document. Returns whether that is so.
    pub fn handle_rules(
        &mut self,
        now: Timestamp,
        rules: AccessRules,
        given: impl Fn(&Presentity) -> Option<View>,
    ) -> bool {
        let changed = self.views.handle_rules(now, rules, given) && !self.departed;
        if changed {
            self.change(now);
        }
        changed
    }

    /// A watcher asks. What other rules make is published before it is answered, if that waits: a key that
    /// opens nothing yet would be of no use to it.
    pub fn handle_asked(&mut self, now: Timestamp) {
        if self.record.is_some() && !self.departed && self.views.awaits_record() {
            // The rules were found to fit before they were set.
            let _ = self.publish(now);
        }
    }

    /// The node is reached at other addresses.
    pub fn handle_addresses(&mut self, now: Timestamp, addresses: Vec<NodeAddress>) {
        if addresses != self.addresses {
            self.addresses = addresses;
            let soon = now + SETTLE_TIME;
            if self.publish_at.is_none_or(|at| at > soon) {
                self.publish_at = Some(soon);
            }
        }
    }

    /// The inbox takes no message of anybody, since it is full or its rules deny everybody, or does so again.
    pub fn handle_inbox_ready(&mut self, now: Timestamp, ready: bool) {
        if ready != self.inbox_ready {
            self.inbox_ready = ready;
            self.change(now);
        }
    }

    /// Somebody holds a record of this presentity that this run did not make and that beats all it made.
    pub fn handle_overtaken(&mut self, now: Timestamp, record: &PresenceRecord) {
        let version = record.version();
        let ours = self.record.as_ref().is_some_and(|own| !record.supersedes(own));
        if ours || (self.record.is_none() && version < self.version) || self.departed {
            return;
        }
        let incarnation = version.incarnation.saturating_add(1);
        if self.jump.as_ref().is_some_and(|jump| jump.incarnation >= incarnation) {
            return;
        }
        let at = match self.overtaken_times.checked_sub(1) {
            None => now,
            Some(doublings) => {
                let delay = OVERTAKEN_DELAY.saturating_mul(2_u32.saturating_pow(doublings.min(16)));
                now + delay.min(OVERTAKEN_DELAY_MAX)
            }
        };
        self.overtaken_times += 1;
        self.jump = Some(Jump { incarnation, at, stored: false });
        self.outputs.push_back(PublicationOutput::PersistIncarnation(incarnation));
        if self.overtaken_times == OVERTAKEN_TIMES_ODD {
            self.outputs.push_back(PublicationOutput::KeyInUseElsewhere);
        }
    }

    /// An incarnation that was put out to be stored is on disk.
    pub fn handle_incarnation_stored(&mut self, now: Timestamp, incarnation: u64) {
        if let Some(jump) = &mut self.jump
            && jump.incarnation == incarnation
        {
            jump.stored = true;
            self.handle_timeout(now);
        }
    }

    /// The store failed to keep an incarnation: it is tried again when this presentity is next heard of.
    pub fn handle_incarnation_store_failed(&mut self, incarnation: u64) {
        if self.jump.as_ref().is_some_and(|jump| jump.incarnation == incarnation) {
            self.jump = None;
            self.overtaken_times = self.overtaken_times.saturating_sub(1);
        }
    }

    /// Somebody says that this presentity is out of contact: a newer record refutes it.
    pub fn handle_accused(&mut self, now: Timestamp) {
        if self.record.is_none() || self.departed {
            return;
        }
        let soonest = self.refuted_at.map_or(now, |at| at + REFUTATION_INTERVAL);
        if soonest > now {
            self.publish_at = Some(self.publish_at.map_or(soonest, |at| at.min(soonest)));
        } else {
            self.refuted_at = Some(now);
            // The document was found to fit when it was set.
            let _ = self.publish(now);
        }
    }

    /// Makes a suspicion of this node's own.
    ///
    /// # Errors
    /// If the accusations break a limit of a suspicion.
    pub fn suspicion(&mut self, accusations: Vec<Accusation>) -> Result<Suspicion, SuspicionError> {
        self.suspicions += 1;
        let body = SuspicionBody {
            format: suspicion::FORMAT,
            realm: self.realm.clone(),
            accuser: self.presentity,
            issued: Version { incarnation: self.version.incarnation, sequence: self.suspicions },
            accusations,
        };
        Suspicion::sign(body, &self.key)
    }

    /// Says goodbye: a last record, after which nothing is published.
    pub fn handle_depart(&mut self, now: Timestamp) {
        if !self.departed {
            self.departed = true;
            self.jump = None;
            // It was published before with the same document, so it fits.
            let _ = self.publish(now);
            self.publish_at = None;
        }
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.departed {
            return;
        }
        if let Some(jump) = &self.jump
            && jump.stored
            && jump.at <= now
        {
            self.version = Version { incarnation: jump.incarnation, sequence: 0 };
            self.jump = None;
            self.publish_at = Some(now);
        }
        while self.lapses_at().is_some_and(|at| at <= now) {
            self.lapse();
            if !self.keeps_rhythm() {
                self.publish_at = Some(now);
            }
            self.outputs.push_back(PublicationOutput::PersistInformation(self.information.clone()));
        }
        if self.publish_at.is_some_and(|at| at <= now)
            && let Err(error) = self.publish(now)
        {
            self.publish_at = None;
            self.outputs.push_back(PublicationOutput::TooLarge(error));
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<PublicationOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if self.departed {
            return None;
        }
        let jump = self.jump.as_ref().filter(|jump| jump.stored).map(|jump| jump.at);
        [self.publish_at, jump, self.lapses_at()].into_iter().flatten().min()
    }

    /// The document changed: it is published as soon as the last change is old enough.
    fn change(&mut self, now: Timestamp) {
        self.change_waits = true;
        if self.keeps_rhythm() {
            return;
        }
        let at = self.changed_at.map_or(now, |changed| now.max(changed + CHANGE_INTERVAL));
        self.publish_at = Some(self.publish_at.map_or(at, |planned| planned.min(at)));
    }

    /// Whether what changed is told by the next record of a rhythm.
    fn keeps_rhythm(&self) -> bool {
        matches!(self.publishes, Publishes::Rhythm(_)) && self.record.is_some()
    }

    fn publish(&mut self, now: Timestamp) -> Result<(), PublishError> {
        if self.publishes == Publishes::Nothing {
            self.publish_at = None;
            return Ok(());
        }
        let document = self.effective_information();
        self.views.handle_publishing(now, &document);
        let record = self.sign()?;
        self.views.handle_published(&document);
        if std::mem::take(&mut self.change_waits) {
            self.changed_at = Some(now);
        }
        self.version = record.version();
        self.record = Some(record.clone());
        self.publish_at = Some(match self.publishes {
            Publishes::Rhythm(period) => now + period.clamp(RHYTHM_MIN, REFRESH_INTERVAL),
            Publishes::Changes | Publishes::Nothing => now + REFRESH_INTERVAL,
        });
        self.outputs.push_back(PublicationOutput::Publish(record));
        Ok(())
    }

    /// The next record, with as many of the addresses as fit.
    fn sign(&self) -> Result<PresenceRecord, PublishError> {
        self.sign_with(&self.views)
    }

    fn sign_with(&self, views: &Views) -> Result<PresenceRecord, PublishError> {
        let document = self.effective_information();
        let (public, sealed_views) = views.seal(&self.presentity, &document);
        let name = views.clear_name(&document).map(|name| (DISPLAY_NAME.to_owned(), name.into()));
        let version = Version { incarnation: self.version.incarnation, sequence: self.version.sequence + 1 };
        let mut body = RecordBody {
            format: FORMAT,
            realm: self.realm.clone(),
            presentity: self.presentity,
            version,
            lease_seconds: LEASE_SECONDS,
            departing: self.departed,
            addresses: if self.departed { Vec::new() } else { self.addresses.clone() },
            public,
            sealed_views,
            extensions: name.into_iter().collect(),
        };
        loop {
            match PresenceRecord::sign(body.clone(), &self.key) {
                Ok(record) => return Ok(record),
                // The document matters more than the last of the addresses.
                Err(_) if body.addresses.pop().is_some() => (),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn lapses_at(&self) -> Option<Timestamp> {
        let tuples = self.information.tuples.iter().filter_map(|tuple| tuple.markup.until);
        tuples.chain(self.information.markup.until).min().map(|until| self.clock.timestamp(until))
    }

    fn lapse(&mut self) {
        let until = self.information.markup.until;
        let leading = self.information.leading_tuple().map(|tuple| tuple.id.clone());
        let first = self.lapses_at();
        for tuple in &mut self.information.tuples {
            let of_document = until.is_some_and(|until| Some(self.clock.timestamp(until)) == first);
            let own = tuple.markup.until.is_some_and(|until| Some(self.clock.timestamp(until)) == first);
            if own || (of_document && Some(&tuple.id) == leading.as_ref()) {
                tuple.status.basic = Basic::Open;
                tuple.status.further.clear();
                if own {
                    clear(&mut tuple.markup);
                }
            }
        }
        if until.is_some_and(|until| Some(self.clock.timestamp(until)) == first) {
            clear(&mut self.information.markup);
        }
    }
}

/// When records are published, if at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishes {
    /// Never: the node is no PRESENTITY. It watches and takes messages.
    Nothing,
    /// When something changes, see [`Publication`].
    Changes,
    /// Once in this time, whether or not something changed, from [`RHYTHM_MIN`] to [`REFRESH_INTERVAL`]:
    /// nobody learns from the gossip when something did, since each record is sealed anew. Changes are seen
    /// that much later. Other addresses, the refutation of a suspicion and the goodbye do not wait, nor does
    /// a watcher that asks while other rules wait.
    Rhythm(Duration),
}

/// What the publication asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicationOutput {
    /// Spread this record.
    Publish(PresenceRecord),
    /// Store the boot counter durably, then call [`Publication::handle_incarnation_stored`], or
    /// [`Publication::handle_incarnation_store_failed`] if that failed.
    PersistIncarnation(u64),
    /// Store the document.
    PersistInformation(PresenceInformation),
    /// Another machine seems to run with this key.
    KeyInUseElsewhere,
    /// The record cannot be made even without addresses.
    TooLarge(PublishError),
}

/// Why a document cannot be published. The old one stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A limit of the document.
    #[error(transparent)]
    Information(#[from] InformationError),
    /// A limit of the record; with [`crate::wire::codec::WireError::TooLarge`] all parts together.
    #[error(transparent)]
    Record(#[from] RecordError),
}

#[derive(Debug)]
struct Jump {
    incarnation: u64,
    at: Timestamp,
    stored: bool,
}

fn clear(markup: &mut super::information::OtherPresenceMarkup) {
    markup.note = None;
    markup.activities.clear();
    markup.until = None;
}

/// How long a record holds if nothing more is heard: an hour. A backstop, not a heartbeat.
pub const LEASE_SECONDS: u32 = 60 * 60;
/// The shortest rhythm. A record costs every node of the realm about 1 kB, so that one node in ten seconds is
/// a quarter of what an idle node may send.
pub const RHYTHM_MIN: Duration = Duration::from_secs(10);
/// An unchanged record is published anew after this, well before the lease ends.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(40 * 60);
/// Addresses come one by one when a node starts or an interface comes up; one record tells them all.
pub const SETTLE_TIME: Duration = Duration::from_millis(30);
/// The least time between two records that are due to changes of the document: ten a second are more than a
/// person can follow, and what a program changes faster would cost every node of the realm a record each
/// time. The last change is seen by all this much later at most, beside the 20 ms that its way takes.
pub const CHANGE_INTERVAL: Duration = Duration::from_millis(100);
/// Suspicions are not refuted more often, however many accuse: well within the wait of those who believe
/// them.
pub const REFUTATION_INTERVAL: Duration = Duration::from_millis(500);
/// The wait before the second jump over a version that somebody else made; it doubles.
const OVERTAKEN_DELAY: Duration = Duration::from_secs(1);
const OVERTAKEN_DELAY_MAX: Duration = Duration::from_secs(60);
/// One jump happens after a restored backup. So many mean a second machine with this key.
const OVERTAKEN_TIMES_ODD: u32 = 3;

#[cfg(test)]
#[path = "publication_tests.rs"]
mod tests;
