//! Duty: who takes part in discovery, so that neither a start of many nor quiet makes a storm.
//!
//! **Decides** whether this node looks for others and answers those that look. **Leaves** the looking to
//! the driver, dialling to [`super::links`].
//!
//! Where everybody answers every question, N hosts that start together make N² packets, and each hears N of
//! them whenever one asks. But a newcomer needs a dozen links only, and learns the rest over them. So where
//! there are [`MANY`] or more, each takes part by lot: its lot is below [`ANSWERERS`] / N or it is not. As it
//! hears of more peers, more and more fall silent, and about [`ANSWERERS`] remain, whatever the number. Lots
//! are drawn anew about every [`DRAW_EVERY`], so that nothing is lost if all of those die or leave.
//!
//! N is what discovery told in the last seconds, and then what the presence service shows present: answers
//! are not proven, and count for [`HEARD_FOR`] only. Nor does N count above [`COUNTED_MAX`]: whoever fills
//! the presence service with made-up records silences most of a realm, but hardly all. A node that has fewer
//! links than it wants at two looks running takes part whatever it heard. One whose address changed, or that
//! slept, begins as if it had just started: active until it hears of many.
//!
//! Those that start together find those that take part, and these are few, or started just before them: links
//! with them alone make a mesh of hubs and of long ways. So once after each beginning, when records have told
//! of many, and when many return at once, [`MIXED`] links with any of these are asked for.
//!
//! There is no end: a node has its part for as long as it runs.

use std::{collections::BTreeSet, time::Duration};

use libp2p_identity::PeerId;
use rand::{RngExt, rngs::StdRng, seq::IteratorRandom};

use super::links::NEIGHBOURS;
use crate::time::Timestamp;

/// Whether one node takes part in discovery. Feed it with the `handle_*` methods, drain
/// [`Self::poll_output`], and call [`Self::handle_timeout`] when [`Self::poll_timeout`] says so.
#[derive(Debug)]
pub struct Duty {
    /// Whether there are so many that lots decide.
    many: bool,
    lot: f64,
    draw_at: Timestamp,
    /// Whom discovery told of lately, [`COUNTED_MAX`] at most.
    heard: BTreeSet<PeerId>,
    heard_until: Timestamp,
    /// How many were present at the last look.
    present: usize,
    /// Whether links were missing then.
    lacked: bool,
    links: usize,
    /// How many links it had then.
    links_before: usize,
    /// Until then it takes part in any case.
    lonely_until: Timestamp,
    looked_at: Timestamp,
    look_at: Timestamp,
    active: bool,
    told: bool,
    /// Whether it has not asked for mixed links since it began.
    begins: bool,
    mixing: bool,
    /// Since when those who return are counted, and how many did.
    returned: (Timestamp, usize),
    random: StdRng,
}

impl Duty {
    /// Active, as discovery is from the start.
    pub fn new(now: Timestamp, random: StdRng) -> Self {
        let mut duty = Self {
            many: false,
            lot: 0.0,
            draw_at: now,
            heard: BTreeSet::new(),
            heard_until: now,
            present: 0,
            lacked: false,
            links: 0,
            links_before: 0,
            lonely_until: now,
            looked_at: now,
            look_at: now + LOOK_FIRST,
            active: true,
            told: true,
            begins: true,
            mixing: false,
            returned: (now, 0),
            random,
        };
        duty.draw(now);
        duty
    }

    /// Discovery told of a peer, when this node had so many links.
    pub fn handle_discovered(&mut self, now: Timestamp, peer: PeerId, links: usize) {
        self.links = links;
        if self.heard.len() < COUNTED_MAX {
            self.heard.insert(peer);
        }
        self.heard_until = now + HEARD_FOR;
        self.decide(now);
    }

    /// An address of this node came or went: who is there is another question now.
    pub fn handle_moved(&mut self, now: Timestamp) {
        self.begin_anew();
        self.look_at = self.look_at.min(now + LOOK_FIRST);
        self.decide(now);
    }

    /// A link was lost.
    pub fn handle_link_lost(&mut self, now: Timestamp) {
        self.look_at = self.look_at.min(now + LOOK_SOON);
    }

    /// Somebody returned who was lost. Many at once are the other part of a mesh that was split: there is
    /// hardly a link with them yet.
    pub fn handle_returned(&mut self, now: Timestamp) {
        let (since, count) = &mut self.returned;
        if now.since(*since) > RETURNED_WITHIN {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count == RETURNED_MANY {
            self.begins = true;
            self.look_at = self.look_at.min(now + LOOK_FIRST);
        }
    }

    /// Acts on what is due. To be told how many others are shown present, and whether the overlay has fewer
    /// links than it wants.
    pub fn handle_timeout(&mut self, now: Timestamp, present: usize, lacks_links: bool) {
        if now < self.look_at {
            return;
        }
        if self.heard_until <= now {
            self.heard.clear();
        }
        self.present = present;
        self.links_before = self.links;
        if now.since(self.looked_at) > ASLEEP {
            self.begin_anew();
        }
        if std::mem::replace(&mut self.lacked, lacks_links) && lacks_links {
            self.lonely_until = now + LONELY_FOR;
        }
        if self.draw_at <= now {
            self.draw(now);
        }
        self.decide(now);
        self.mixing |= self.many && std::mem::take(&mut self.begins);
        self.looked_at = now;
        self.look_at = now + if self.many && lacks_links { LOOK_SOON } else { LOOK_EVERY };
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<DutyOutput> {
        if std::mem::replace(&mut self.told, self.active) != self.active {
            return Some(DutyOutput::Active(self.active));
        }
        std::mem::take(&mut self.mixing).then_some(DutyOutput::Mix(MIXED))
    }

    /// When [`Self::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Timestamp {
        self.look_at
    }

    /// So many of these, drawn at random.
    pub fn sample<T>(&mut self, of: impl Iterator<Item = T>, count: usize) -> Vec<T> {
        of.sample(&mut self.random, count)
    }

    fn begin_anew(&mut self) {
        self.many = false;
        self.present = 0;
        self.heard.clear();
        self.begins = true;
    }

    fn draw(&mut self, now: Timestamp) {
        self.lot = self.random.random_range(0.0..1.0);
        self.draw_at = now + DRAW_EVERY.mul_f64(self.random.random_range(0.75..1.25));
    }

    fn decide(&mut self, now: Timestamp) {
        let known = self.heard.len().max(self.present).min(COUNTED_MAX);
        self.many = known >= if self.many { FEW } else { MANY };
        let by_lot = self.lot * (known as f64) < ANSWERERS && self.links < self.links_before + TAKEN_MAX;
        self.active = !self.many || now < self.lonely_until || by_lot;
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DutyOutput {
    /// Whether discovery is to be active from now on.
    Active(bool),
    /// Dial so many of all that are present, drawn at random, even if no more links are wanted.
    Mix(usize),
}

/// From here on lots decide: the links of a node that is linked with everybody.
const MANY: usize = NEIGHBOURS;
/// And no longer below this, so that one who comes and goes makes nobody ask again and again.
const FEW: usize = MANY * 3 / 4;
/// How many are to take part: twice as many as a newcomer links with, so that hardly ever all of those that
/// it finds are gone or full.
const ANSWERERS: f64 = 24.0;
/// In a realm of 4,096, the most that a node shows, 96 take part. Of a hundred that are made to believe in
/// that many, two.
const COUNTED_MAX: usize = 1024;
/// Longer than a newcomer needs to be shown the realm.
const HEARD_FOR: Duration = Duration::from_secs(30);
/// Who takes part anew asks, and all answer: at [`ANSWERERS`] squared for each interval 0.3 packets a second.
/// If all of them are gone at once, the next takes part after an [`ANSWERERS`]th of this, on average.
const DRAW_EVERY: Duration = Duration::from_secs(30 * 60);
/// Links made between two looks, after which it is another's turn: those that newcomers find they link with,
/// and who has very many links is a poor neighbour in gossip, to which a few of them are enough.
const TAKEN_MAX: usize = 32;
/// So many that return within [`RETURNED_WITHIN`] are a part of the realm.
const RETURNED_MANY: usize = 8;
const RETURNED_WITHIN: Duration = Duration::from_secs(10);
/// With as many again that others dial, enough for short ways between any two.
const MIXED: usize = 4;
/// By then records have told of everybody, even where a thousand start together.
const LOOK_FIRST: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Links are made within milliseconds, or a second if a dial is in vain.
const LOOK_SOON: Duration = Duration::from_secs(5);
const LONELY_FOR: Duration = Duration::from_secs(60);
/// Looks are never so far apart on a machine that is awake.
const ASLEEP: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::testing::peer_numbered;

    fn duty(seed: u64) -> Duty {
        Duty::new(Timestamp::START, StdRng::seed_from_u64(seed))
    }

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::START + Duration::from_secs(seconds)
    }

    /// Looks whenever one is due until `until`.
    fn pass(duty: &mut Duty, until: Timestamp, present: usize, lacks_links: bool) {
        while duty.poll_timeout() <= until {
            duty.handle_timeout(duty.poll_timeout(), present, lacks_links);
        }
    }

    fn hear(duty: &mut Duty, now: Timestamp, peers: usize) {
        let known = duty.heard.len();
        (known..known + peers).for_each(|number| duty.handle_discovered(now, peer_numbered(number), 0));
    }

    #[test]
    fn links_are_mixed_anew_when_many_return_at_once_and_not_when_some_do() {
        let mut duty = duty(1);
        pass(&mut duty, seconds(60), 200, false);
        assert_eq!(std::iter::from_fn(|| duty.poll_output()).last(), Some(DutyOutput::Mix(MIXED)));
        for number in 0..30 {
            duty.handle_returned(seconds(100 + number * 2));
        }
        pass(&mut duty, seconds(200), 200, false);
        assert!(!std::iter::from_fn(|| duty.poll_output()).any(|output| output == DutyOutput::Mix(MIXED)));
        (0..RETURNED_MANY).for_each(|_| duty.handle_returned(seconds(300)));
        pass(&mut duty, seconds(300) + LOOK_FIRST, 200, false);
        assert!(std::iter::from_fn(|| duty.poll_output()).any(|output| output == DutyOutput::Mix(MIXED)));
    }

    fn active(duties: &[Duty]) -> usize {
        duties.iter().filter(|duty| duty.active).count()
    }

    #[test]
    fn few_are_always_active() {
        for seed in 0..100 {
            let mut duty = duty(seed);
            hear(&mut duty, seconds(0), 39);
            pass(&mut duty, seconds(24 * 3600), 39, true);
            assert!(duty.active && duty.poll_output().is_none(), "never was it otherwise");
        }
    }

    #[test]
    fn of_many_about_as_many_remain_whatever_their_number() {
        for nodes in [50, 100, 500, 1000] {
            let mut duties: Vec<_> = (0..nodes as u64).map(duty).collect();
            for duty in &mut duties {
                hear(duty, seconds(0), nodes - 1);
            }
            assert!((12..=38).contains(&active(&duties)), "{} at the start of {nodes}", active(&duties));
            for duty in &mut duties {
                pass(duty, seconds(7200), nodes - 1, false);
            }
            assert!((12..=38).contains(&active(&duties)), "{} of {nodes} later", active(&duties));
        }
    }

    #[test]
    fn everybody_has_a_turn() {
        for seed in 0..20 {
            let mut duty = duty(seed);
            let turn = |half_hour: u64| {
                pass(&mut duty, seconds(half_hour * 1800), 100, false);
                duty.active
            };
            assert!((1..50).any(turn));
        }
    }

    #[test]
    fn what_is_told_is_what_changed() {
        let mut duty = (0..).map(duty).find(|duty| duty.lot > 0.9).unwrap();
        assert_eq!(duty.poll_output(), None);
        hear(&mut duty, seconds(1), 39);
        assert_eq!(duty.poll_output(), None);
        hear(&mut duty, seconds(1), 1);
        assert_eq!(duty.poll_output(), Some(DutyOutput::Active(false)));
        assert_eq!(duty.poll_output(), None);
    }

    #[test]
    fn links_are_mixed_once_after_a_beginning_among_many() {
        let mut duty = duty(1);
        let is_mix = |output: &DutyOutput| *output == DutyOutput::Mix(MIXED);
        let mut mixes = |until, present| {
            let mut mixes = 0;
            while duty.poll_timeout() <= until {
                duty.handle_timeout(duty.poll_timeout(), present, false);
                mixes += std::iter::from_fn(|| duty.poll_output()).filter(is_mix).count();
            }
            mixes
        };
        assert_eq!(mixes(seconds(3), 500), 1);
        assert_eq!(mixes(seconds(600), 500), 0);
        let mut duty = self::duty(2);
        pass(&mut duty, seconds(3), 39, false);
        assert_eq!(duty.poll_output(), None);
    }

    #[test]
    fn who_took_many_links_lets_others_take_them() {
        let mut duty = (0..).map(duty).find(|duty| duty.lot < 0.01).unwrap();
        hear(&mut duty, seconds(1), 200);
        assert!(duty.active);
        duty.handle_discovered(seconds(1), peer_numbered(0), TAKEN_MAX);
        assert!(!duty.active);
        pass(&mut duty, seconds(3), 200, false);
        assert!(duty.active);
    }

    #[test]
    fn answers_without_records_are_soon_forgotten() {
        let mut duty = (0..).map(duty).find(|duty| duty.lot > 0.5).unwrap();
        hear(&mut duty, seconds(1), 200);
        assert!(!duty.active);
        pass(&mut duty, seconds(70), 20, false);
        assert!(duty.active, "only twenty of two hundred are there");
    }

    #[test]
    fn who_lacks_links_takes_part_whatever_it_heard() {
        let mut duty = (0..).map(duty).find(|duty| duty.lot > 0.5).unwrap();
        pass(&mut duty, seconds(60), 300, false);
        assert!(!duty.active);
        duty.handle_link_lost(seconds(61));
        pass(&mut duty, seconds(72), 300, true);
        assert!(duty.active, "at the second look");
        hear(&mut duty, seconds(73), 500);
        pass(&mut duty, seconds(120), 300, true);
        assert!(duty.active);
        pass(&mut duty, seconds(240), 300, false);
        assert!(!duty.active, "linked again");
    }

    #[test]
    fn a_move_and_a_long_sleep_are_new_beginnings() {
        let mut duty = (0..).map(duty).find(|duty| duty.lot > 0.5).unwrap();
        pass(&mut duty, seconds(60), 300, false);
        duty.handle_moved(seconds(61));
        assert!(duty.active);
        hear(&mut duty, seconds(61), 40);
        assert!(!duty.active, "it was answered");
        pass(&mut duty, seconds(120), 300, false);
        duty.handle_timeout(seconds(4000), 300, false);
        assert!(duty.active);
        duty.lot = 0.9;
        pass(&mut duty, seconds(4030), 300, false);
        assert!(!duty.active);
    }

    #[test]
    fn one_who_comes_and_goes_changes_nothing() {
        let mut duty = (0..).map(duty).find(|duty| duty.lot > 0.9).unwrap();
        pass(&mut duty, seconds(60), 40, false);
        assert_eq!(duty.poll_output(), Some(DutyOutput::Active(false)));
        assert_eq!(duty.poll_output(), Some(DutyOutput::Mix(MIXED)));
        for (time, present) in (3..50).zip([39, 40].into_iter().cycle()) {
            pass(&mut duty, seconds(time * 30), present, false);
            assert_eq!(duty.poll_output(), None);
        }
        pass(&mut duty, seconds(1600), 29, false);
        assert_eq!(duty.poll_output(), Some(DutyOutput::Active(true)));
    }

    #[test]
    fn made_up_records_do_not_silence_a_realm() {
        let mut duties: Vec<_> = (0..400).map(duty).collect();
        for duty in &mut duties {
            pass(duty, seconds(60), 4096, false);
        }
        assert!((3..=20).contains(&active(&duties)), "{}", active(&duties));
    }
}
