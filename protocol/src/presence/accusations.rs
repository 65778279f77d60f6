//! Accusations: who says that whom is out of contact, and when that is believed.
//!
//! **Decides** how long an accused presentity may keep silent, when this node speaks its own suspicions, and
//! when its own presentity has to refute one. **Leaves** finding silent peers to [`super::liveness`],
//! signatures to [`super::suspicion`] and what is shown to [`super::service`].
//!
//! An accusation names a version of a record. A newer record refutes it, and the wait for that depends on
//! how many accuse independently: one alone waits [`WAIT_ALONE`], [`ACCUSERS_ENOUGH`] wait
//! [`WAIT_CONFIRMED`], fewer where fewer are there to see. Who only says that a process does not answer on
//! a host that does (*unresponsive*) makes suspect, and no more unless this node finds the same:
//! [`WAIT_UNRESPONSIVE`]. That somebody is *silent* is no accusation but asks whoever is linked to look. A
//! sign of life that this node gets itself clears the accused.
//!
//! A liar cannot make a live presentity look lost, since that hears of it and refutes, and since whoever is
//! to believe it tries the host of the accused first; nor can it make it refute without end, since an
//! accuser that was refuted, by a record or by a look, counts only after a wait, which doubles from
//! [`REFUTED_WAIT`] to [`REFUTED_WAIT_MAX`], for the accused itself as for all others. Whoever accuses more
//! than [`ACCUSATIONS_AT_ONCE`] and one a second, or repeats an old suspicion, is not listened to.
//!
//! This node's own suspicions are spoken within [`SPOKEN_WITHIN`], at random and several together, unless
//! enough others said the same by then; what it knows from trying a host alone, within [`SPOKEN_LATER`] after
//! that, unless so few are there that each is needed. Limits: [`SUBJECTS_MAX`] accused, [`ACCUSERS_MAX`]
//! accusers of each and [`ACCUSERS_KNOWN_MAX`] in all. Source: SWIM's suspicions, and the waits of
//! Lifeguard's section 4.2 (Dadgar et al., 2018); that refuted accusers have to wait is ours.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use super::{
    record::Version,
    suspicion::{ACCUSATIONS_MAX, Accusation, Grounds},
};
use crate::{identity::Presentity, time::Timestamp};

/// Everybody who is accused. Feed it with the `handle_*` methods, drain [`Self::poll_output`], and call
/// [`Self::handle_timeout`] when [`Self::poll_timeout`] says so.
#[derive(Debug)]
pub struct Accusations {
    own: Presentity,
    subjects: BTreeMap<Presentity, Subject>,
    due: BTreeSet<(Timestamp, Presentity)>,
    accusers: BTreeMap<Presentity, Accuser>,
    /// What this node is about to say: of peers that it was linked with, and of those whose host it tried.
    unspoken: [Unspoken; 2],
    random: StdRng,
    outputs: VecDeque<AccusationsOutput>,
}

/// What is said together, and when.
#[derive(Debug, Default)]
struct Unspoken {
    accusations: BTreeMap<Presentity, Accusation>,
    at: Option<Timestamp>,
}

/// What is known of one who is or was accused.
#[derive(Debug, Default)]
struct Subject {
    version: Version,
    accused: Vec<Accused>,
    /// When the first accusation that stands began to count.
    since: Option<Timestamp>,
    /// When somebody last asked to look.
    asked_at: Option<Timestamp>,
    /// When this node last looked, and found it alive though accused.
    looked_at: Option<Timestamp>,
    /// How many accusers are enough, as of the last accusation.
    enough: usize,
    /// Whether the wait is over.
    believed: bool,
    /// Accusers that were refuted: how often, and until when they do not count.
    refuted: BTreeMap<Presentity, (u32, Timestamp)>,
    filed: Option<Timestamp>,
}

/// That somebody accuses, for [`Accusations::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accused {
    /// Who accuses.
    pub accuser: Presentity,
    /// Why.
    pub grounds: Grounds,
    /// From when on it counts.
    pub at: Timestamp,
}

/// One who accused.
#[derive(Debug)]
struct Accuser {
    issued: Version,
    allowance: f64,
    at: Timestamp,
}

impl Accusations {
    /// Nobody accused.
    pub fn new(own: Presentity, random: StdRng) -> Self {
        Self {
            own,
            subjects: BTreeMap::new(),
            due: BTreeSet::new(),
            accusers: BTreeMap::new(),
            unspoken: Default::default(),
            random,
            outputs: VecDeque::new(),
        }
    }

    /// Whether another node's suspicion is to be looked at: it is newer than all of it before, and it does
    /// not accuse too many.
    pub fn handle_suspicion(
        &mut self,
        now: Timestamp,
        accuser: Presentity,
        issued: Version,
        accusations: usize,
    ) -> bool {
        if issued <= self.accuser(now, accuser).issued || !self.spends(now, accuser, accusations) {
            return false;
        }
        self.accuser(now, accuser).issued = issued;
        true
    }

    /// Whether another node may accuse so many, which it has said already if it did not gossip it.
    pub fn spends(&mut self, now: Timestamp, accuser: Presentity, accusations: usize) -> bool {
        let known = self.accuser(now, accuser);
        let spent = f64::from(u32::try_from(accusations).unwrap_or(u32::MAX));
        let allowed = spent <= known.allowance;
        if allowed {
            known.allowance -= spent;
        }
        allowed
    }

    fn accuser(&mut self, now: Timestamp, accuser: Presentity) -> &mut Accuser {
        if self.accusers.len() >= ACCUSERS_KNOWN_MAX && !self.accusers.contains_key(&accuser) {
            let oldest = self.accusers.iter().min_by_key(|(_, accuser)| accuser.at).map(|(key, _)| *key);
            oldest.map(|oldest| self.accusers.remove(&oldest));
        }
        let fresh = Accuser { issued: Version::default(), allowance: ACCUSATIONS_AT_ONCE, at: now };
        let known = self.accusers.entry(accuser).or_insert(fresh);
        known.allowance = (known.allowance + now.since(known.at).as_secs_f64()).min(ACCUSATIONS_AT_ONCE);
        known.at = now;
        known
    }

    /// Somebody, perhaps this node, accuses. `known` is the version of the newest record of the accused,
    /// and `able` how many nodes there are to see for themselves, the accuser included.
    pub fn handle_accusation(
        &mut self,
        now: Timestamp,
        accuser: Presentity,
        accusation: Accusation,
        known: Version,
        able: usize,
    ) -> Offered {
        let Accusation { subject, version, grounds } = accusation;
        // Of a version that nobody has, nothing could refute it.
        if version != known || !self.make_room(subject) {
            return Offered::Useless;
        }
        let entry = self.subjects.entry(subject).or_default();
        if version > entry.version {
            entry.version = version;
            entry.clear();
        }
        if grounds == Grounds::Silent {
            let lately = entry.asked_at.is_some_and(|at| now.since(at) < ASKED_AGAIN);
            if lately || !entry.accused.is_empty() {
                return Offered::Useless;
            }
            entry.asked_at = Some(now);
            self.file(now, subject);
            return Offered::News;
        }
        let before = entry.accused.iter().position(|accused| accused.accuser == accuser);
        if before.is_some() || entry.accused.len() >= ACCUSERS_MAX {
            return Offered::Useless;
        }
        let at = entry.counts_from(now, accuser);
        entry.enough = able.clamp(1, ACCUSERS_ENOUGH);
        entry.accused.push(Accused { accuser, grounds, at });
        if accuser == self.own {
            let wait = SPOKEN_WITHIN.mul_f64(self.random.random_range(0.01..1.0));
            let [linked, _] = &mut self.unspoken;
            linked.accusations.insert(subject, accusation);
            linked.at.get_or_insert(now + wait);
        }
        self.judge(now, subject);
        Offered::News
    }

    /// One more is suspected or lost, so that no more than `able` nodes are there to see for themselves, this
    /// one included: nobody waits for accusers that there are not.
    pub fn handle_fewer_able(&mut self, now: Timestamp, able: usize) {
        let enough = able.max(1);
        let waits = |entry: &Subject| !entry.believed && !entry.accused.is_empty() && enough < entry.enough;
        let waiting = self.subjects.iter_mut().filter(|(_, entry)| waits(entry));
        let waiting = waiting.map(|(subject, entry)| {
            entry.enough = enough;
            *subject
        });
        waiting.collect::<Vec<_>>().into_iter().for_each(|subject| self.judge(now, subject));
    }

    /// This node tried the host of one whom others accuse, and got no answer: it accuses as well. It says so
    /// only after those who have a link, and if these were not enough.
    pub fn handle_looked(&mut self, now: Timestamp, subject: Presentity, grounds: Grounds) {
        let Some(entry) = self.subjects.get_mut(&subject).filter(|entry| entry.since.is_some()) else {
            return;
        };
        if entry.accused.iter().all(|accused| accused.accuser != self.own) {
            let at = entry.counts_from(now, self.own);
            entry.accused.push(Accused { accuser: self.own, grounds, at });
            let share = self.random.random_range(0.0..1.0);
            // Where so few are there, each of them is needed.
            let needed = entry.enough < ACCUSERS_ENOUGH;
            let wait = if needed {
                SPOKEN_WITHIN.mul_f64(share)
            } else {
                SPOKEN_WITHIN + SPOKEN_LATER.mul_f64(share)
            };
            let [_, looked] = &mut self.unspoken;
            looked.accusations.insert(subject, Accusation { subject, version: entry.version, grounds });
            looked.at = Some(looked.at.map_or(now + wait, |at| at.min(now + wait)));
            self.judge(now, subject);
        }
    }

    /// A newer record of `subject` is there: what was said of an older one is refuted.
    pub fn handle_record(&mut self, now: Timestamp, subject: Presentity, version: Version) {
        self.unsay(subject);
        let Some(entry) = self.subjects.get_mut(&subject).filter(|entry| entry.version < version) else {
            return;
        };
        // Who was restarted was gone indeed.
        let is_refutation = version.incarnation == entry.version.incarnation;
        entry.version = version;
        if is_refutation {
            entry.refute(now, |_| true);
        }
        self.cleared(now, subject);
    }

    /// The host of `subject` takes connections: what was said is not so, unless no more was said than that it
    /// does not answer on them.
    pub fn handle_host_lives(&mut self, now: Timestamp, subject: Presentity) {
        let Some(entry) = self.subjects.get_mut(&subject) else { return };
        let before = entry.accused.len();
        entry.refute(now, |accused| accused.grounds != Grounds::Unresponsive);
        entry.accused.retain(|accused| accused.grounds == Grounds::Unresponsive);
        entry.looked_at = Some(now);
        let (left, own) = (entry.accused.len(), self.own);
        let keeps_own = entry.accused.iter().any(|accused| accused.accuser == own);
        entry.believed &= left == before;
        if !keeps_own {
            self.unsay(subject);
        }
        if left == 0 && before > 0 {
            self.cleared(now, subject);
        } else if left < before {
            self.judge(now, subject);
        }
    }

    /// This node got a sign of life of `subject` itself.
    pub fn handle_alive(&mut self, now: Timestamp, subject: Presentity) {
        let Some(entry) = self.subjects.get_mut(&subject) else { return };
        if !entry.accused.is_empty() {
            entry.refute(now, |_| true);
            entry.looked_at = Some(now);
            self.unsay(subject);
            self.cleared(now, subject);
        }
    }

    /// This node gets no answer from `accusation`'s subject: whoever is linked with it is to look.
    pub fn handle_silent(&mut self, now: Timestamp, accusation: Accusation, known: Version) {
        if self.handle_accusation(now, self.own, accusation, known, 1) == Offered::News {
            self.outputs.push_back(AccusationsOutput::Speak(vec![accusation]));
        }
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(&(at, subject)) = self.due.first()
            && at <= now
        {
            self.judge(now, subject);
        }
        let mut due = Vec::new();
        for unspoken in self.unspoken.iter_mut().filter(|unspoken| unspoken.at.is_some_and(|at| at <= now)) {
            due.extend(std::mem::take(unspoken).accusations.into_values());
        }
        self.speak(due);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<AccusationsOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let speak = self.unspoken.iter().filter_map(|unspoken| unspoken.at);
        self.due.first().map(|(at, _)| *at).into_iter().chain(speak).min()
    }

    /// Who accuses `subject`.
    pub fn of(&self, subject: &Presentity) -> &[Accused] {
        self.subjects.get(subject).map_or(&[], |entry| &entry.accused)
    }

    /// Whether an accusation of `subject` counts.
    pub fn is_suspected(&self, subject: &Presentity) -> bool {
        self.subjects.get(subject).is_some_and(|entry| entry.since.is_some())
    }

    /// Whether the wait of `subject` is over.
    pub fn is_believed(&self, subject: &Presentity) -> bool {
        self.subjects.get(subject).is_some_and(|entry| entry.believed)
    }

    fn cleared(&mut self, now: Timestamp, subject: Presentity) {
        let Some(entry) = self.subjects.get_mut(&subject) else { return };
        let counted = entry.since.is_some();
        entry.clear();
        if counted && subject != self.own {
            self.outputs.push_back(AccusationsOutput::Cleared(subject));
        }
        self.file(now, subject);
    }

    /// Says what follows from the accusations that count by now, and when to look again.
    fn judge(&mut self, now: Timestamp, subject: Presentity) {
        let Some(entry) = self.subjects.get_mut(&subject) else { return };
        let counts = entry.accused.iter().any(|accused| accused.at <= now);
        if counts && entry.since.is_none() {
            entry.since = Some(now);
            self.outputs.push_back(if subject == self.own {
                AccusationsOutput::Refute
            } else {
                AccusationsOutput::Suspected(subject)
            });
        }
        let over = entry.believed_at(now, self.own).is_some_and(|at| at <= now);
        if over && !entry.believed && subject != self.own {
            entry.believed = true;
            self.outputs.push_back(AccusationsOutput::Believed(subject));
        }
        self.file(now, subject);
    }

    fn file(&mut self, now: Timestamp, subject: Presentity) {
        let Some(entry) = self.subjects.get_mut(&subject) else { return };
        let due = entry.due(now, subject, self.own);
        if due.is_some_and(|at| at <= now) {
            // Nothing stands against it any more.
            self.forget(subject);
            return;
        }
        if entry.filed != due {
            if let Some(before) = std::mem::replace(&mut entry.filed, due) {
                self.due.remove(&(before, subject));
            }
            self.due.extend(due.map(|at| (at, subject)));
        }
    }

    fn make_room(&mut self, newcomer: Presentity) -> bool {
        if self.subjects.len() < SUBJECTS_MAX || self.subjects.contains_key(&newcomer) {
            return true;
        }
        let believed = self.subjects.iter().filter(|(_, entry)| entry.believed);
        let oldest = believed.min_by_key(|(_, entry)| entry.since).map(|(subject, _)| *subject);
        oldest.map(|oldest| self.forget(oldest)).is_some()
    }

    fn forget(&mut self, subject: Presentity) {
        if let Some(at) = self.subjects.remove(&subject).and_then(|entry| entry.filed) {
            self.due.remove(&(at, subject));
        }
    }

    /// What this node was about to say of `subject` is not so.
    fn unsay(&mut self, subject: Presentity) {
        for unspoken in &mut self.unspoken {
            unspoken.accusations.remove(&subject);
        }
    }

    /// Speaks what is due, but what enough others said meanwhile.
    fn speak(&mut self, due: Vec<Accusation>) {
        let own = self.own;
        let said = |accusation: &Accusation| {
            let others = self.of(&accusation.subject).iter().filter(|accused| accused.accuser != own);
            others.count() >= ACCUSERS_ENOUGH
        };
        let to_say: Vec<_> = due.into_iter().filter(|accusation| !said(accusation)).collect();
        for some in to_say.chunks(ACCUSATIONS_MAX) {
            self.outputs.push_back(AccusationsOutput::Speak(some.to_vec()));
        }
    }
}

impl Subject {
    /// From when on what `accuser` says now counts: not while it was refuted lately, nor so soon after this
    /// node looked that it would be made to look all the time.
    fn counts_from(&self, now: Timestamp, accuser: Presentity) -> Timestamp {
        let refuted = self.refuted.get(&accuser).map(|(_, until)| *until);
        let looked = self.looked_at.map(|at| at + ASKED_AGAIN);
        refuted.into_iter().chain(looked).fold(now, Timestamp::max)
    }

    /// Lets those who accused falsely wait before they count again, unless that was believed.
    fn refute(&mut self, now: Timestamp, who: impl Fn(&Accused) -> bool) {
        if self.believed {
            return;
        }
        self.refuted.retain(|_, (_, until)| now.since(*until) <= REFUTED_WAIT_MAX);
        for accused in self.accused.iter().filter(|accused| who(accused)) {
            if self.refuted.len() >= REFUTED_MAX && !self.refuted.contains_key(&accused.accuser) {
                continue;
            }
            let (times, until) = self.refuted.entry(accused.accuser).or_insert((0, now));
            *until = now + REFUTED_WAIT.saturating_mul(1 << (*times).min(16)).min(REFUTED_WAIT_MAX);
            *times += 1;
        }
    }

    fn clear(&mut self) {
        self.accused.clear();
        self.since = None;
        self.believed = false;
    }

    /// When the wait is over: some time after the first accusation, or after the last that was needed.
    /// Never if others say nothing but that it does not answer, which a look does not contradict.
    fn believed_at(&self, now: Timestamp, own: Presentity) -> Option<Timestamp> {
        let since = self.since?;
        let strong = |accused: &&Accused| accused.at <= now && accused.grounds != Grounds::Unresponsive;
        let mut accused: Vec<_> = self.accused.iter().filter(strong).map(|accused| accused.at).collect();
        accused.sort_unstable();
        if accused.is_empty() {
            let is_own = self.accused.iter().any(|accused| accused.accuser == own);
            return is_own.then_some(since + WAIT_UNRESPONSIVE);
        }
        if let Some(enough) = accused.get(self.enough.saturating_sub(1)) {
            return Some(since.max(*enough) + WAIT_CONFIRMED);
        }
        // Lifeguard: from the longest to the shortest, by the logarithm of the confirmations.
        let logarithm = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX)).ln();
        let share = logarithm(accused.len()) / logarithm(self.enough);
        Some(since + (WAIT_ALONE - (WAIT_ALONE - WAIT_CONFIRMED).mul_f64(share)))
    }

    /// When there is something to do: an accusation begins to count, the wait ends, or all is forgotten.
    fn due(&self, now: Timestamp, subject: Presentity, own: Presentity) -> Option<Timestamp> {
        let begins = self.accused.iter().map(|accused| accused.at).filter(|at| *at > now).min();
        let waits = self.believed_at(now, own).filter(|_| !self.believed && subject != own);
        let forgotten = self.accused.is_empty().then(|| {
            let refuted = self.refuted.values().map(|(_, until)| *until + REFUTED_WAIT_MAX);
            let again = self.asked_at.max(self.looked_at).map(|at| at + ASKED_AGAIN);
            refuted.chain(again).max().unwrap_or(now)
        });
        [begins, waits, forgotten].into_iter().flatten().min()
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccusationsOutput {
    /// Gossip a suspicion of this node's own, which names these.
    Speak(Vec<Accusation>),
    /// Somebody is suspected from now on.
    Suspected(Presentity),
    /// Nobody suspects them any more.
    Cleared(Presentity),
    /// They did not refute it in time: they are out of contact.
    Believed(Presentity),
    /// This node's own presentity is accused: publish a newer record.
    Refute,
}

/// What an accusation is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// Others are to hear of it.
    News,
    /// It is known, refuted, or one too many.
    Useless,
}

/// So many accusers are enough for the shortest wait.
pub const ACCUSERS_ENOUGH: usize = 3;
/// How long an accused presentity has to refute what [`ACCUSERS_ENOUGH`] say, from when the last of them says
/// it. Gossip there and back takes tens of milliseconds on a LAN, and a second and more where a quarter of
/// the packets is lost.
pub const WAIT_CONFIRMED: Duration = Duration::from_millis(1400);
/// The same for what one alone says.
pub const WAIT_ALONE: Duration = Duration::from_secs(15);
/// The same for one of whom the worst that is said is that it does not answer, though its host does.
pub const WAIT_UNRESPONSIVE: Duration = Duration::from_secs(60);
/// How long this node listens to others before it speaks: with two dozen accusers, the third speaks on
/// average after a ninth of it.
const SPOKEN_WITHIN: Duration = Duration::from_millis(300);
/// Those who have no link speak within this after that.
const SPOKEN_LATER: Duration = Duration::from_secs(1);
/// Nobody is asked more often to look at the same presentity.
const ASKED_AGAIN: Duration = Duration::from_secs(2);
/// An accuser that was refuted does not count for the same presentity for this long, at first.
const REFUTED_WAIT: Duration = Duration::from_secs(5);
/// And for this long at the most.
const REFUTED_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// What one accuser may say at once: somebody with many links loses most of them. Allowed again, one a
/// second.
const ACCUSATIONS_AT_ONCE: f64 = 128.0;
/// Refuted accusers of one presentity that are remembered; further ones need not wait.
const REFUTED_MAX: usize = 64;
/// Further accusers are not kept; a few more than enough, for what crosses on the way.
const ACCUSERS_MAX: usize = 5;
/// Accused presentities. At the limit one that was believed long ago makes room, or else nobody.
const SUBJECTS_MAX: usize = 4096;
/// Accusers whose last suspicion is remembered. At the limit the one longest ago is forgotten.
const ACCUSERS_KNOWN_MAX: usize = 4096;

#[cfg(test)]
#[path = "accusations_tests.rs"]
mod tests;
