//! Rumor mongering: news that gossip does not carry is told to a few linked peers, in batches.
//!
//! **Decides** whether gossip is to pass a record on, and which records are told to whom and when. **Leaves**
//! gossip itself and streams to the driver, what is news to the service, and what a comparison finds to
//! [`super::reconciliation`].
//!
//! A record that comes by gossip is passed on by gossip while such records are few. In a **storm**, when a
//! node hears more than [`HEARD_MAX`] within a second (many start together, or a division heals), each costs
//! more to pass on alone than together with others. Then it passes none on by gossip, and tells its partners
//! what it heard every [`TELL_AFTER`], in one request that is answered, so that a loss is noticed. Records of
//! those that were unknown and changes of those that were not are counted apart: while many join, a change is
//! still seen at once. Not every node sees the storm at the same moment, so what gossip passed on lately is
//! told too when the storm begins, or when a peer tells it. What a peer says of itself over a stream is told
//! unless gossip brings it by then.
//!
//! **Partners** are [`CHOSEN`] linked peers that this node drew, and linked peers that drew it, as their
//! first telling shows, which may be empty: a graph in which every node draws two others is connected with
//! high probability. It draws when it has run for a while: first links are no random ones, and those that
//! start together would draw each other. No partner is told what it told itself, and nothing is told twice.
//! If a comparison brought more than [`BROUGHT_MAX`] records, this node is new or two parts of the mesh have
//! met, and most of it may be old to the partners: instead of being told, they are compared with, by a new
//! node not before it has heard from others. A telling that fails is made good by a comparison too.
//!
//! Limits: [`PARTNERS_MAX`] partners, each with one telling under way and at most a whole table waiting for
//! it. Source: rumor mongering with push, in Demers et al., *Epidemic Algorithms for Replicated Database
//! Maintenance* (1987), beside that paper's anti-entropy; the random graph after Fenner and Frieze, *On the
//! connectivity of random m-orientable graphs and digraphs* (1982).

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use crate::{identity::Presentity, time::Timestamp};

/// What is to be told to whom. Feed it with the `handle_*` methods, drain [`Self::poll_output`], and call
/// [`Self::handle_timeout`] when [`Self::poll_timeout`] says so.
#[derive(Debug)]
pub struct Rumors {
    started: Timestamp,
    /// When partners are drawn, until that is done.
    draw_at: Option<Timestamp>,
    linked: BTreeSet<Presentity>,
    partners: BTreeMap<Presentity, Partner>,
    /// Linked peers that have partners enough.
    refused: BTreeSet<Presentity>,
    newcomers: Storm,
    changes: Storm,
    /// What gossip passed on lately or a comparison brought, and when.
    relayed: BTreeMap<Presentity, Timestamp>,
    /// What was told lately, and when.
    told: BTreeMap<Presentity, Timestamp>,
    forget_at: Timestamp,
    /// What peers said of themselves, and until when gossip may bring it.
    awaited: BTreeMap<Presentity, Timestamp>,
    outputs: VecDeque<RumorOutput>,
    random: StdRng,
}

#[derive(Debug, Default)]
struct Partner {
    chosen: bool,
    /// Whether it is to be told something, be it nothing, so that it knows of the partnership.
    introduce: bool,
    news: BTreeSet<Presentity>,
    tell_at: Option<Timestamp>,
    telling: bool,
    compare_at: Option<Timestamp>,
    compared_at: Option<Timestamp>,
}

impl Partner {
    /// When it is to be told, unless an answer is awaited first.
    fn tell_due(&self) -> Option<Timestamp> {
        self.tell_at.filter(|_| !self.telling)
    }
}

impl Rumors {
    /// Nothing to tell, nobody linked. Partners and waits are drawn from `random`.
    pub fn new(now: Timestamp, mut random: StdRng) -> Self {
        Self {
            started: now,
            draw_at: Some(now + DRAW_AFTER.mul_f64(random.random_range(0.5..1.5))),
            linked: BTreeSet::new(),
            partners: BTreeMap::new(),
            refused: BTreeSet::new(),
            newcomers: Storm::default(),
            changes: Storm::default(),
            relayed: BTreeMap::new(),
            told: BTreeMap::new(),
            forget_at: Timestamp::START,
            awaited: BTreeMap::new(),
            outputs: VecDeque::new(),
            random,
        }
    }

    /// A peer is linked. Who dialled compares tables with it, so there is nothing to tell it yet.
    pub fn handle_link_established(&mut self, now: Timestamp, peer: Presentity) {
        self.linked.insert(peer);
        if self.draw_at.is_none() && self.chosen() < CHOSEN {
            self.choose(now, peer);
        }
    }

    /// A peer is linked no more; if it was a chosen partner, another is drawn.
    pub fn handle_link_down(&mut self, now: Timestamp, peer: Presentity) {
        self.linked.remove(&peer);
        self.partners.remove(&peer);
        self.refused.remove(&peer);
        self.draw(now);
    }

    /// A newer record of `presentity` than before is in the table, however it came; the call that says how
    /// follows.
    pub fn handle_newer(&mut self, presentity: Presentity) {
        self.told.remove(&presentity);
        self.relayed.remove(&presentity);
    }

    /// The newest record of `presentity` came by gossip from `peer`; whether gossip is to pass it on. If it
    /// is not, it is told, unless it was.
    pub fn handle_gossip(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        news: News,
        peer: Presentity,
    ) -> bool {
        self.awaited.remove(&presentity);
        let storm = match news {
            News::Change => &mut self.changes,
            News::Newcomer | News::Known => &mut self.newcomers,
        };
        let begins = storm.note(now);
        let raging = now < storm.until;
        if begins {
            // What gossip passed on before may have gone to nodes that passed it on no more.
            for (presentity, at) in std::mem::take(&mut self.relayed) {
                if now.since(at) < LATELY {
                    self.tell_all_but(now, presentity, presentity);
                }
            }
        }
        let told = self.told.get(&presentity).is_some_and(|at| now.since(*at) < LATELY);
        if raging && !told {
            self.tell_all_but(now, peer, presentity);
        } else if !told {
            self.relayed.insert(presentity, now);
        }
        !told && !raging
    }

    /// `peer` told of `presentity` in a telling. It is told on if it was `new`, or if gossip passed it on
    /// lately, which may not have reached everybody.
    pub fn handle_told(&mut self, now: Timestamp, presentity: Presentity, new: bool, peer: Presentity) {
        let relayed = self.relayed.remove(&presentity).is_some_and(|at| now.since(at) < LATELY);
        if new || relayed {
            self.tell_all_but(now, peer, presentity);
        }
        if let Some(partner) = self.partners.get_mut(&peer) {
            partner.news.remove(&presentity);
        }
    }

    /// A peer said something new of itself over a stream.
    pub fn handle_direct(&mut self, now: Timestamp, presentity: Presentity) {
        self.awaited.insert(presentity, now + TELL_AFTER);
    }

    /// A peer tells: it takes this node for its partner. Whether this node does the same, for which the peer
    /// has to be linked, and room to be left.
    pub fn handle_teller(&mut self, now: Timestamp, peer: Presentity) -> bool {
        if self.partners.contains_key(&peer) {
            return true;
        }
        let accepted = self.linked.contains(&peer) && self.partners.len() < PARTNERS_MAX;
        if accepted {
            self.partners.insert(peer, Partner::default());
            self.compare_with(now, peer);
        }
        accepted
    }

    /// A comparison with `from` brought these, other peers' records, as news.
    pub fn handle_reconciled(&mut self, now: Timestamp, from: Presentity, brought: &[Presentity]) {
        if brought.len() <= BROUGHT_MAX {
            for presentity in brought {
                self.tell_all_but(now, from, *presentity);
            }
            return;
        }
        // One of them may come by gossip or be told yet, and is told on then.
        self.relayed.extend(brought.iter().map(|presentity| (*presentity, now)));
        let others: Vec<_> = self.partners.keys().filter(|peer| **peer != from).copied().collect();
        for peer in others {
            self.compare_with(now, peer);
        }
    }

    /// A telling was answered, with whether the peer is a partner too. If it is not, another is drawn.
    pub fn handle_heard(&mut self, now: Timestamp, peer: Presentity, partner: bool) {
        if !partner && self.partners.remove(&peer).is_some() {
            self.refused.insert(peer);
            self.draw(now);
        }
        let Some(partner) = self.partners.get_mut(&peer) else { return };
        partner.telling = false;
        if !partner.news.is_empty() {
            partner.tell_at = Some(now + TELL_AFTER);
        }
    }

    /// A telling failed; a comparison makes it good.
    pub fn handle_tell_failed(&mut self, now: Timestamp, peer: Presentity) {
        if let Some(partner) = self.partners.get_mut(&peer) {
            partner.telling = false;
            self.compare_with(now, peer);
        }
    }

    /// Acts on what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.forget_at <= now {
            self.forget_at = now + LATELY;
            self.told.retain(|_, at| now.since(*at) < LATELY);
            self.relayed.retain(|_, at| now.since(*at) < LATELY);
        }
        if self.draw_at.take_if(|at| *at <= now).is_some() {
            self.draw(now);
        }
        let not_gossiped = self.awaited.iter().filter(|(_, until)| **until <= now).map(|(who, _)| *who);
        for presentity in not_gossiped.collect::<Vec<_>>() {
            self.awaited.remove(&presentity);
            self.tell_all_but(now - TELL_AFTER, presentity, presentity);
        }
        for (peer, partner) in &mut self.partners {
            if partner.compare_at.take_if(|at| *at <= now).is_some() {
                // It finds whatever was to be told as well.
                partner.news.clear();
                partner.compared_at = Some(now);
                self.outputs.push_back(RumorOutput::Compare { to: *peer });
            }
            if partner.tell_due().is_none_or(|at| at > now) {
                continue;
            }
            partner.tell_at = None;
            if std::mem::take(&mut partner.introduce) || !partner.news.is_empty() {
                let told: BTreeSet<_> = partner.news.iter().take(TOLD_MAX).copied().collect();
                partner.news.retain(|presentity| !told.contains(presentity));
                partner.telling = true;
                self.told.extend(told.iter().map(|presentity| (*presentity, now)));
                self.outputs.push_back(RumorOutput::Tell { to: *peer, told: told.into_iter().collect() });
            }
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<RumorOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let due = self.partners.values().flat_map(|partner| [partner.tell_due(), partner.compare_at]);
        due.flatten().chain(self.awaited.values().copied()).chain(self.draw_at).min()
    }

    fn chosen(&self) -> usize {
        self.partners.values().filter(|partner| partner.chosen).count()
    }

    fn choose(&mut self, now: Timestamp, peer: Presentity) {
        let partner = self.partners.entry(peer).or_default();
        partner.chosen = true;
        partner.introduce = true;
        partner.tell_at.get_or_insert(now + TELL_AFTER);
    }

    /// Draws partners until there are enough, once it is time to.
    fn draw(&mut self, now: Timestamp) {
        let chosen = |peer: &&Presentity| self.partners.get(peer).is_some_and(|partner| partner.chosen);
        let others = self.linked.difference(&self.refused).filter(|peer| !chosen(peer));
        let mut others: Vec<_> = others.copied().collect();
        while self.draw_at.is_none() && self.chosen() < CHOSEN && !others.is_empty() {
            let drawn = others.swap_remove(self.random.random_range(0..others.len()));
            self.choose(now, drawn);
            self.compare_with(now, drawn);
        }
    }

    fn tell_all_but(&mut self, now: Timestamp, from: Presentity, presentity: Presentity) {
        for (peer, partner) in &mut self.partners {
            if *peer != from && *peer != presentity {
                partner.news.insert(presentity);
                partner.tell_at.get_or_insert(now + TELL_AFTER);
            }
        }
    }

    /// Compares tables with a peer soon if it is a partner: an earlier comparison failed or began too early,
    /// a telling left something out, or there may be much that it lacks.
    pub fn compare_with(&mut self, now: Timestamp, peer: Presentity) {
        let newcomer = now.since(self.started) < NEWCOMER;
        let wait = if newcomer { NEWCOMER_WAITS } else { TELL_AFTER };
        let wait = wait.mul_f64(self.random.random_range(0.5..1.0));
        if let Some(partner) = self.partners.get_mut(&peer) {
            let earliest =
                partner.compared_at.map_or(now, |compared_at| compared_at + COMPARE_EVERY).max(now);
            partner.compare_at.get_or_insert(earliest + wait);
        }
    }
}

/// What a record that came by gossip is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The first that it hears of the presentity.
    Newcomer,
    /// Newer than the one it had.
    Change,
    /// The one it had.
    Known,
}

/// Whether records of one kind come too thick.
#[derive(Debug, Default)]
struct Storm {
    /// When the last came, the oldest first.
    heard: VecDeque<Timestamp>,
    until: Timestamp,
}

impl Storm {
    /// Counts one; whether a storm begins with it.
    fn note(&mut self, now: Timestamp) -> bool {
        self.heard.push_back(now);
        while self.heard.len() > HEARD_MAX + 1 || self.heard.front().is_some_and(|at| now.since(*at) > SECOND)
        {
            self.heard.pop_front();
        }
        let rages = self.heard.len() > HEARD_MAX;
        let begins = rages && now >= self.until;
        if rages {
            self.until = now + STORM;
        }
        begins
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RumorOutput {
    /// Tell a peer the newest records of these; [`Rumors::handle_heard`] is awaited.
    Tell {
        /// Whom.
        to: Presentity,
        /// Whose records, [`TOLD_MAX`] at the most.
        told: Vec<Presentity>,
    },
    /// Compare tables with a peer.
    Compare {
        /// With whom.
        to: Presentity,
    },
}

/// Records that come by gossip within a second, above which it is a storm: a LAN that starts together needs
/// no batches.
const HEARD_MAX: usize = 100;
const SECOND: Duration = Duration::from_secs(1);
/// A storm is over when so long there were fewer.
const STORM: Duration = Duration::from_secs(2);
/// How long news wait for company: a mesh of 1,000 has some six hops.
const TELL_AFTER: Duration = Duration::from_millis(200);
/// For so long it is remembered what was told or passed on.
const LATELY: Duration = Duration::from_secs(10);
/// The least time between two comparisons with one partner.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// A node that has run no longer than this gets its table by its first comparisons and what it is told, and
/// waits so long before it compares with its partners.
const NEWCOMER: Duration = Duration::from_secs(5);
const NEWCOMER_WAITS: Duration = Duration::from_secs(1);
/// An equal table costs about as much as one record.
const BROUGHT_MAX: usize = 4;
/// Records told in one request.
pub const TOLD_MAX: usize = 150;
const DRAW_AFTER: Duration = Duration::from_millis(300);
/// Partners that a node draws itself.
const CHOSEN: usize = 2;
/// Partners in all.
const PARTNERS_MAX: usize = 8;

#[cfg(test)]
#[path = "rumors_tests.rs"]
mod tests;
