//! Liveness: which linked peers are watched, and which of them give no sign of life.
//!
//! **Decides** who sends beats to whom, which peer is looked after and when, and what came of that.
//! **Leaves** beats, probes and connections to the driver, and what follows to [`super::accusations`].
//!
//! A process that ends tells so: its host closes the connections. A pulled cable or lost power tells
//! nothing, so somebody has to notice. Each node sends a *beat* every [`BEAT_INTERVAL`] to its *successor*:
//! of its linked peers the one whose key follows its own, the first after the last. Who gets one counts on
//! the next, and looks after its sender if that is late by [`BEAT_LATE`], which costs a probe if the sender
//! has another successor by then. So everybody is watched by its successor, at a cost that does not grow
//! with the number of links.
//!
//! To look after a peer is a *check*. It sends a probe over the link, and soon after, unless there was a
//! sign of life, tries whether the peer's host takes a connection ([`LivenessOutput::Reach`]), which tells
//! a dead host from a slow process. If neither is answered for [`ASKED_AFTER`], the peer is *silent*, and
//! others are asked to check it too: this is SWIM's indirect probe, with everybody who is linked as the
//! helpers. After [`CHECK_WAIT`] the check ends with what was found. Whatever comes from a peer is a sign
//! of life, and ends it at once. A node that acts later than it wanted to, since it was stopped or gets no
//! processor, begins its checks anew: the answers may lie unread.
//!
//! Checked are also those that others suspect, by trying their host alone if there is no link, those whose
//! link broke, all links after a sleep, all links by turns, one every [`TURN_INTERVAL`], and all links at
//! once when one turns out to be unreachable or several are suspected, since power and switches fail for
//! several. Limits: one check of a peer at a time, [`HEARSAY_MAX`] without a link. Source: SWIM's indirect
//! probes (Das et al., 2002), Chord's successors for who watches whom, Lifeguard's local health (Dadgar et
//! al., 2018) for beginning anew.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use super::suspicion::Grounds;
use crate::{identity::Presentity, time::Timestamp};

/// Whom to watch. Feed it with the `handle_*` methods, drain [`Self::poll_output`], and call
/// [`Self::handle_timeout`] when [`Self::poll_timeout`] says so.
#[derive(Debug)]
pub struct Liveness {
    own: Presentity,
    links: BTreeMap<Presentity, Link>,
    checks: BTreeMap<Presentity, Check>,
    /// Those that are to be checked by hearsay when others have been.
    waiting: BTreeSet<Presentity>,
    /// The links that are to be checked one after the other, and when the next is.
    sweep: BTreeSet<Presentity>,
    sweep_at: Timestamp,
    swept_at: Option<Timestamp>,
    /// When somebody was suspected, of late.
    suspected_at: VecDeque<Timestamp>,
    beat_at: Timestamp,
    turn_at: Timestamp,
    /// Whose turn was last.
    turn: Presentity,
    outputs: VecDeque<LivenessOutput>,
}

/// A linked peer.
#[derive(Debug)]
struct Link {
    /// When a beat of it is missed, if one is counted on.
    missed_at: Option<Timestamp>,
}

/// A look after a peer.
#[derive(Debug)]
struct Check {
    cause: Cause,
    since: Timestamp,
    ends: Timestamp,
    /// When its host is to be tried, until that is done.
    reach_at: Option<Timestamp>,
    /// When others are to be asked, until that is done.
    ask_at: Option<Timestamp>,
    reach: Option<Reach>,
}

/// Why a peer is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// This node missed a sign of life on a link, or it is the link's turn.
    Missed,
    /// Others did, and there is a link.
    Told,
    /// Its link broke.
    LinkDown,
    /// No connection with it could be made.
    Undialled,
    /// Others suspect it, and there is no link.
    Hearsay,
    /// This node slept, and its link may be stuck.
    Woken,
}

/// What came of trying whether a peer's host takes connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It takes them: the host is alive, and a process listens.
    Accepted,
    /// It says that nobody listens.
    Refused,
    /// It says nothing.
    Silent,
    /// There is no address at which to try, or too much is tried already.
    Untried,
}

impl Liveness {
    /// Nobody linked. When the first beat is due is drawn from `random`, so that not all nodes of a LAN that
    /// was switched on send theirs in the same instant.
    pub fn new(now: Timestamp, own: Presentity, mut random: StdRng) -> Self {
        let mut within = |most: Duration| now + most.mul_f64(random.random_range(0.0..1.0));
        Self {
            own,
            links: BTreeMap::new(),
            checks: BTreeMap::new(),
            waiting: BTreeSet::new(),
            sweep: BTreeSet::new(),
            sweep_at: now,
            swept_at: None,
            suspected_at: VecDeque::new(),
            beat_at: within(BEAT_INTERVAL),
            turn_at: within(TURN_INTERVAL),
            turn: own,
            outputs: VecDeque::new(),
        }
    }

    /// A peer is linked. If it is the new successor it gets a beat at once, so that it counts on the next.
    pub fn handle_link_established(&mut self, now: Timestamp, peer: Presentity) {
        if self.links.is_empty() {
            // Nothing was due to nobody.
            (self.beat_at, self.turn_at) = (self.beat_at.max(now), self.turn_at.max(now));
        }
        self.links.insert(peer, Link { missed_at: None });
        self.checks.remove(&peer);
        self.waiting.remove(&peer);
        if self.after(self.own) == Some(peer) {
            self.outputs.push_back(LivenessOutput::Beat(peer));
            self.beat_at = now + BEAT_INTERVAL;
        }
    }

    /// A peer is linked no more. Unless it was closed on purpose, its host is asked whether it is still
    /// there.
    pub fn handle_link_down(&mut self, now: Timestamp, peer: Presentity, on_purpose: bool) {
        self.links.remove(&peer);
        self.sweep.remove(&peer);
        self.checks.remove(&peer);
        if !on_purpose {
            self.check(now, peer, Cause::LinkDown);
        }
    }

    /// Something came from a peer.
    pub fn handle_alive(&mut self, now: Timestamp, peer: Presentity) {
        self.checks.remove(&peer);
        self.waiting.remove(&peer);
        self.sweep.remove(&peer);
        self.look_further(now);
    }

    /// A peer's beat came, and the next is counted on.
    pub fn handle_beat(&mut self, now: Timestamp, peer: Presentity) {
        self.handle_alive(now, peer);
        if let Some(link) = self.links.get_mut(&peer) {
            link.missed_at = Some(now + BEAT_INTERVAL + BEAT_LATE);
        }
    }

    /// Another node gets no answer from a peer. If this node is linked with it, it looks for itself.
    pub fn handle_told(&mut self, now: Timestamp, peer: Presentity) {
        if self.links.contains_key(&peer) {
            self.check(now, peer, Cause::Told);
        }
    }

    /// A peer is suspected. If several are within a short time, all links are checked.
    pub fn handle_suspected(&mut self, now: Timestamp, peer: Presentity) {
        self.suspected_at.push_back(now);
        self.suspected_at.retain(|at| now.since(*at) <= MANY_WITHIN);
        if self.suspected_at.len() >= MANY_SUSPECTED {
            self.suspected_at.clear();
            if self.swept_at.is_none_or(|at| now.since(at) >= SWEEP_INTERVAL) {
                self.sweep_all(now, peer);
            }
        }
    }

    /// Looks after a peer before what others say of it is believed: over the link, or else by trying its
    /// host, now or when others have been tried.
    pub fn look(&mut self, now: Timestamp, peer: Presentity) {
        if self.links.contains_key(&peer) {
            self.check(now, peer, Cause::Told);
        } else if self.has_room_for_hearsay() {
            self.check(now, peer, Cause::Hearsay);
        } else if self.waiting.len() < WAITING_MAX {
            self.waiting.insert(peer);
        }
    }

    /// No connection could be made with a peer, whose host did not refuse it.
    pub fn handle_undialled(&mut self, now: Timestamp, peer: Presentity) {
        if !self.links.contains_key(&peer) {
            self.check(now, peer, Cause::Undialled);
        }
    }

    /// What came of a [`LivenessOutput::Reach`].
    pub fn handle_reach(&mut self, now: Timestamp, peer: Presentity, reach: Reach) {
        let linked = self.links.contains_key(&peer);
        let Some(check) = self.checks.get_mut(&peer) else { return };
        if reach == Reach::Silent && check.reach.is_some() {
            // Of an earlier try.
            return;
        }
        check.reach = Some(reach);
        if reach != Reach::Silent {
            // Its host lives, so that nobody needs to hurry: packets may be lost several times over.
            check.ask_at = None;
            let wait = if reach == Reach::Refused { REFUSED_AFTER } else { DEAD_END_AFTER };
            if check.cause != Cause::Woken {
                check.ends = check.since + wait;
            }
        }
        if reach == Reach::Accepted {
            self.outputs.push_back(LivenessOutput::HostLives(peer));
        }
        // A link that stands all the same has to be closed before anything is said.
        if linked || reach == Reach::Silent {
            return;
        }
        let cause = check.cause;
        let grounds = match (reach, cause) {
            (Reach::Refused, _) => Some(Grounds::Refused),
            (Reach::Untried, Cause::Undialled) => Some(Grounds::Unreachable),
            (_, Cause::Undialled) => Some(Grounds::Unresponsive),
            // A new link is on its way, or nobody needs one.
            _ => None,
        };
        self.checks.remove(&peer);
        self.outputs.push_back(match grounds {
            Some(grounds) => LivenessOutput::Found { peer, grounds, cause },
            None => LivenessOutput::Looked(peer),
        });
        self.look_further(now);
    }

    /// Whether a peer is being checked.
    pub fn is_checking(&self, peer: &Presentity) -> bool {
        self.checks.contains_key(peer) || self.waiting.contains(peer)
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let late = self.poll_timeout().map_or(Duration::ZERO, |due| now.since(due));
        if late > LATE {
            for (peer, cause) in
                self.checks.iter().map(|(peer, check)| (*peer, check.cause)).collect::<Vec<_>>()
            {
                self.checks.remove(&peer);
                self.check(now, peer, cause);
            }
            // So may the beats.
            let counted_on = self.links.values_mut().filter_map(|link| link.missed_at.as_mut());
            counted_on.for_each(|missed_at| *missed_at = (now + BEAT_LATE).max(*missed_at));
        }
        if late > SLEPT {
            // What was sent before is sent again after as long as it waited already, and everything behind
            // it.
            for peer in self.links.keys().copied().collect::<Vec<_>>() {
                self.check(now, peer, Cause::Woken);
            }
        }
        self.beat(now);
        self.turn(now);
        self.sweep(now);
        let missed = self.links.iter_mut().filter_map(|(peer, link)| {
            link.missed_at.take_if(|at| *at <= now)?;
            Some(*peer)
        });
        for peer in missed.collect::<Vec<_>>() {
            self.check(now, peer, Cause::Missed);
        }
        self.go_on(now);
        self.look_further(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<LivenessOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let checks = self.checks.values().filter_map(Check::due);
        if self.links.is_empty() {
            return checks.min();
        }
        let missed = self.links.values().filter_map(|link| link.missed_at);
        let sweep = (!self.sweep.is_empty()).then_some(self.sweep_at);
        checks.chain(missed).chain(sweep).chain([self.beat_at, self.turn_at]).min()
    }

    fn beat(&mut self, now: Timestamp) {
        if self.beat_at <= now {
            self.beat_at = now + BEAT_INTERVAL;
            self.outputs.extend(self.after(self.own).map(LivenessOutput::Beat));
        }
    }

    fn turn(&mut self, now: Timestamp) {
        if self.turn_at <= now {
            if let Some(next) = self.after(self.turn) {
                self.turn = next;
                self.check(now, next, Cause::Missed);
            }
            self.turn_at = now + TURN_INTERVAL;
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        while self.sweep_at <= now
            && let Some(peer) = self.sweep.pop_first()
        {
            self.check(now, peer, Cause::Missed);
            self.sweep_at = now + SWEEP_STEP;
        }
    }

    /// Takes every check to its next step.
    fn go_on(&mut self, now: Timestamp) {
        let mut ended = Vec::new();
        for (peer, check) in &mut self.checks {
            if check.reach_at.take_if(|at| *at <= now).is_some() {
                self.outputs.push_back(LivenessOutput::Reach(*peer));
            }
            if check.ask_at.take_if(|at| *at <= now).is_some() {
                self.outputs.push_back(LivenessOutput::Silent(*peer));
            }
            if check.ends <= now {
                ended.push((*peer, check.reach, check.cause));
            }
        }
        for (peer, reach, cause) in ended {
            self.checks.remove(&peer);
            let linked = self.links.contains_key(&peer);
            let host_lives = matches!(reach, Some(Reach::Accepted | Reach::Refused | Reach::Untried));
            if linked && (host_lives || cause == Cause::Woken) {
                // The link is a dead end, or its process does not run: a new one is to tell.
                self.outputs.push_back(LivenessOutput::DeadEnd(peer));
            } else {
                let grounds = Grounds::Unreachable;
                self.outputs.push_back(LivenessOutput::Found { peer, grounds, cause });
                if cause != Cause::Hearsay {
                    let earliest = self.swept_at.map_or(now, |at| at + SWEEP_AGAIN);
                    self.sweep_all(earliest.max(now), peer);
                }
            }
        }
    }

    fn has_room_for_hearsay(&self) -> bool {
        self.checks.values().filter(|check| check.cause == Cause::Hearsay).count() < HEARSAY_MAX
    }

    fn look_further(&mut self, now: Timestamp) {
        while self.has_room_for_hearsay()
            && let Some(peer) = self.waiting.pop_first()
        {
            if !self.links.contains_key(&peer) {
                self.check(now, peer, Cause::Hearsay);
            }
        }
    }

    /// Checks all links from then on, unless that is going on or to come.
    fn sweep_all(&mut self, at: Timestamp, but: Presentity) {
        if self.sweep.is_empty() {
            self.swept_at = Some(at);
            self.sweep_at = at + SWEEP_STEP;
            self.sweep = self.links.keys().copied().filter(|peer| *peer != but).collect();
        }
    }

    /// The linked peer whose key follows, the first after the last.
    fn after(&self, key: Presentity) -> Option<Presentity> {
        let following = self.links.range((Bound::Excluded(key), Bound::Unbounded));
        following.chain(&self.links).next().map(|(peer, _)| *peer)
    }

    /// Looks after a peer, unless that is under way.
    fn check(&mut self, now: Timestamp, peer: Presentity, cause: Cause) {
        if self.checks.contains_key(&peer) {
            return;
        }
        if self.links.contains_key(&peer) {
            self.outputs.push_back(LivenessOutput::Probe(peer));
        }
        let mut check =
            Check { cause, since: now, reach_at: None, ask_at: None, ends: now + CHECK_WAIT, reach: None };
        if cause == Cause::Missed {
            check.reach_at = Some(now + REACH_AFTER);
            check.ask_at = Some(now + ASKED_AFTER);
            check.ends = now + REACH_AFTER + CHECK_WAIT;
        } else {
            self.outputs.push_back(LivenessOutput::Reach(peer));
        }
        self.checks.insert(peer, check);
    }
}

impl Check {
    fn due(&self) -> Option<Timestamp> {
        [self.reach_at, self.ask_at, Some(self.ends)].into_iter().flatten().min()
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LivenessOutput {
    /// Send a beat to a linked peer. No answer is awaited.
    Beat(Presentity),
    /// Probe a linked peer; [`Liveness::handle_alive`] is awaited.
    Probe(Presentity),
    /// Try whether a peer's host takes a connection; [`Liveness::handle_reach`] is awaited.
    Reach(Presentity),
    /// The peer is silent: ask whoever is linked with it to check.
    Silent(Presentity),
    /// A peer's host takes connections, whatever others say.
    HostLives(Presentity),
    /// A check ended and found nothing.
    Looked(Presentity),
    /// The link with a peer is a dead end: close it, and try another.
    DeadEnd(Presentity),
    /// What a check found.
    Found {
        /// Who was checked.
        peer: Presentity,
        /// In what way it is out of contact.
        grounds: Grounds,
        /// Why it was checked.
        cause: Cause,
    },
}

/// How often a beat goes to the successor. It costs some 200 bytes on the wire with its acknowledgement.
pub const BEAT_INTERVAL: Duration = Duration::from_millis(1500);
/// By so much a beat may come late: it is sent again twice by then if packets are lost.
pub const BEAT_LATE: Duration = Duration::from_millis(800);
/// How often one of all links is checked, by turns. Yamux takes the opportunity to measure, so that it costs
/// about a kilobyte.
pub const TURN_INTERVAL: Duration = Duration::from_secs(30);
/// How long a check waits for a connection: the kernel asks a second time after a second.
pub const CHECK_WAIT: Duration = Duration::from_millis(1500);
/// After so long without an answer a link is a dead end, if the peer's host lives.
const DEAD_END_AFTER: Duration = Duration::from_secs(8);
/// The same if its host says that nobody listens any more: the link does not tell so, QUIC's for seconds.
const REFUSED_AFTER: Duration = Duration::from_millis(500);
/// The answer to a probe is mostly there by then.
const REACH_AFTER: Duration = Duration::from_millis(250);
/// How long a peer is given before others are asked.
const ASKED_AFTER: Duration = Duration::from_millis(600);
/// Those that wait for such a check; further ones are believed without.
const WAITING_MAX: usize = 4096;
/// At so many checks by hearsay no further one is begun.
const HEARSAY_MAX: usize = 64;
/// So many that are suspected within [`MANY_WITHIN`] have a common cause, perhaps.
const MANY_SUSPECTED: usize = 4;
const MANY_WITHIN: Duration = Duration::from_secs(5);
/// From one link to the next when all are checked.
const SWEEP_STEP: Duration = Duration::from_millis(20);
/// All links are not checked more often on others' word.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// All links are not checked more often since one was found unreachable. One that is cut off itself soon
/// finds so, and has to look after all of them though it looked before.
const SWEEP_AGAIN: Duration = Duration::from_secs(5);
/// A node that acts so late slept.
pub const SLEPT: Duration = Duration::from_secs(5);
/// By so much a node that is well does not act late.
const LATE: Duration = Duration::from_millis(500);

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;
