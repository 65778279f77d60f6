use rand::SeedableRng;

use super::*;
use crate::testing::{keypair, presentity};

const MESH: u8 = 12;

fn who(number: u8) -> Presentity {
    presentity(&keypair(number))
}

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A node that has run for a while and is linked to the peers 1 to `links`; it has drawn two of them for its
/// partners, and got to know of them.
fn linked(links: u8) -> Rumors {
    let mut rumors = Rumors::new(ms(0), StdRng::from_seed([1; 32]));
    run(&mut rumors, ms(1_500));
    for number in 1..=links {
        rumors.handle_link_established(ms(1_500), who(number));
    }
    for output in run(&mut rumors, ms(1_700)) {
        let RumorOutput::Tell { to, told } = output else { panic!("{output:?}") };
        assert_eq!(told, [], "an introduction");
        rumors.handle_heard(ms(1_700), to, true);
    }
    rumors
}

fn run(rumors: &mut Rumors, now: Timestamp) -> Vec<RumorOutput> {
    rumors.handle_timeout(now);
    assert!(rumors.poll_timeout().is_none_or(|due| due > now), "nothing due stays undone");
    std::iter::from_fn(|| rumors.poll_output()).collect()
}

fn tell(to: Presentity, told: &[Presentity]) -> RumorOutput {
    let mut told = told.to_vec();
    told.sort();
    RumorOutput::Tell { to, told }
}

fn somebody(number: usize) -> Presentity {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
    Presentity::from_public_key_bytes(bytes)
}

#[test]
fn few_records_are_passed_on_by_gossip_and_all_of_a_storm_are_told_together() {
    let mut rumors = linked(2);
    let now = ms(10_000);
    let many: Vec<_> = (0..=HEARD_MAX).map(somebody).collect();
    for presentity in &many[..HEARD_MAX] {
        assert!(
            rumors.handle_gossip(now, *presentity, News::Newcomer, who(1)),
            "gossip passes on few at once"
        );
    }
    assert_eq!(rumors.poll_timeout(), None);
    assert!(!rumors.handle_gossip(now, many[HEARD_MAX], News::Newcomer, who(1)), "and none in a storm");
    assert!(rumors.handle_gossip(now, who(99), News::Change, who(1)), "changes are few");
    assert_eq!(run(&mut rumors, now), [], "news wait for company");
    let told = run(&mut rumors, now + TELL_AFTER);
    let expected = [tell(who(1), &many[..HEARD_MAX]), tell(who(2), &many)];
    assert!(told.len() == 2 && expected.iter().all(|tell| told.contains(tell)), "{told:?}");
    assert!(!rumors.handle_gossip(now + SECOND, somebody(9999), News::Newcomer, who(1)), "it is told");
    assert!(
        rumors.handle_gossip(now + STORM + STORM, somebody(8888), News::Newcomer, who(1)),
        "the storm is over"
    );
}

#[test]
fn what_was_told_is_not_passed_on_by_gossip_but_something_newer_of_the_same_is() {
    let mut rumors = linked(2);
    let now = ms(10_000);
    rumors.handle_told(now, who(30), true, who(1));
    assert_eq!(run(&mut rumors, now + TELL_AFTER), [tell(who(2), &[who(30)])]);
    assert!(!rumors.handle_gossip(now + TELL_AFTER, who(30), News::Change, who(1)));
    rumors.handle_newer(who(30));
    assert!(rumors.handle_gossip(now + TELL_AFTER, who(30), News::Change, who(1)));
}

#[test]
fn what_a_peer_says_of_itself_is_told_unless_gossip_brings_it_in_time() {
    let mut rumors = linked(2);
    let now = ms(10_000);
    rumors.handle_direct(now, who(1));
    rumors.handle_direct(now, who(30));
    assert!(rumors.handle_gossip(now, who(30), News::Known, who(2)));
    assert_eq!(run(&mut rumors, now + TELL_AFTER), [tell(who(2), &[who(1)])]);
    assert_eq!(rumors.poll_timeout(), None);
}

#[test]
fn what_gossip_passed_on_is_told_on_when_a_peer_tells_it() {
    let mut rumors = linked(2);
    let now = ms(10_000);
    assert!(rumors.handle_gossip(now, who(30), News::Newcomer, who(9)));
    rumors.handle_told(now, who(30), false, who(1));
    assert_eq!(run(&mut rumors, now + TELL_AFTER), [tell(who(2), &[who(30)])]);
    rumors.handle_told(now + TELL_AFTER, who(30), false, who(1));
    assert_eq!(run(&mut rumors, now + SECOND), [], "once");
}

#[test]
fn one_telling_at_a_time_and_a_failed_one_is_followed_by_a_comparison() {
    let mut rumors = linked(1);
    let from = who(9);
    rumors.handle_told(ms(10_000), who(30), true, from);
    assert_eq!(run(&mut rumors, ms(10_200)), [tell(who(1), &[who(30)])]);
    rumors.handle_told(ms(10_300), who(31), true, from);
    assert_eq!(run(&mut rumors, ms(20_000)), [], "the answer is awaited");
    rumors.handle_heard(ms(20_000), who(1), true);
    assert_eq!(run(&mut rumors, ms(20_200)), [tell(who(1), &[who(31)])]);
    rumors.handle_tell_failed(ms(20_300), who(1));
    assert_eq!(run(&mut rumors, ms(20_500)), [RumorOutput::Compare { to: who(1) }]);
    assert_eq!(rumors.poll_timeout(), None);
}

#[test]
fn what_does_not_fit_into_one_telling_follows_in_the_next() {
    let mut rumors = linked(1);
    let many: Vec<_> = (0..=TOLD_MAX).map(somebody).collect();
    for one in &many {
        rumors.handle_told(ms(10_000), *one, true, who(9));
    }
    assert_eq!(run(&mut rumors, ms(10_200)), [tell(who(1), &many[..TOLD_MAX])]);
    rumors.handle_heard(ms(10_200), who(1), true);
    assert_eq!(run(&mut rumors, ms(10_400)), [tell(who(1), &many[TOLD_MAX..])]);
}

#[test]
fn two_parts_that_meet_compare_and_a_newcomer_does_later() {
    let many: Vec<_> = (0..=BROUGHT_MAX).map(somebody).collect();
    let mut rumors = linked(2);
    rumors.handle_reconciled(ms(10_000), who(1), &many);
    assert_eq!(run(&mut rumors, ms(10_200)), [RumorOutput::Compare { to: who(2) }]);
    rumors.handle_reconciled(ms(10_200), who(1), &many);
    assert_eq!(run(&mut rumors, ms(11_000)), [], "not again at once");
    assert_eq!(run(&mut rumors, ms(11_400)), [RumorOutput::Compare { to: who(2) }]);
    rumors.handle_reconciled(ms(20_000), who(2), &many[1..]);
    assert_eq!(run(&mut rumors, ms(20_200)), [tell(who(1), &many[1..])]);

    let mut rumors = linked(2);
    rumors.handle_reconciled(ms(2_000), who(1), &many);
    assert_eq!(run(&mut rumors, ms(2_499)), []);
    assert_eq!(run(&mut rumors, ms(3_000)), [RumorOutput::Compare { to: who(2) }]);
}

#[test]
fn a_comparison_neither_comes_sooner_for_news_nor_ends_a_telling_under_way() {
    let mut rumors = linked(2);
    rumors.compare_with(ms(10_000), who(1));
    assert_eq!(run(&mut rumors, ms(10_200)), [RumorOutput::Compare { to: who(1) }]);
    rumors.handle_told(ms(10_200), somebody(1), true, who(2));
    rumors.compare_with(ms(10_200), who(1));
    assert_eq!(run(&mut rumors, ms(10_400)), [tell(who(1), &[somebody(1)])]);
    assert_eq!(run(&mut rumors, ms(11_199)), [], "at most once a second");
    rumors.handle_told(ms(11_199), somebody(2), true, who(2));
    assert_eq!(run(&mut rumors, ms(11_400)), [RumorOutput::Compare { to: who(1) }]);
    rumors.handle_told(ms(11_400), somebody(3), true, who(2));
    assert_eq!(run(&mut rumors, ms(20_000)), [], "the first telling is not answered");
}

#[test]
fn partners_are_drawn_when_a_node_has_run_for_a_while_and_replaced() {
    let mut rumors = Rumors::new(ms(0), StdRng::from_seed([1; 32]));
    for number in 1..=3 {
        rumors.handle_link_established(ms(10), who(number));
    }
    assert_eq!(run(&mut rumors, ms(149)), []);
    assert!(run(&mut rumors, ms(450)).is_empty() && run(&mut rumors, ms(650)).len() == CHOSEN);
    let mut drawn: Vec<_> = rumors.partners.keys().copied().collect();
    for partner in &drawn {
        rumors.handle_heard(ms(650), *partner, true);
    }
    assert_eq!(run(&mut rumors, ms(9_000)).len(), CHOSEN, "they are compared with");
    rumors.handle_heard(ms(10_000), drawn[0], false);
    assert!(!rumors.partners.contains_key(&drawn.remove(0)), "it has partners enough");
    assert_eq!(run(&mut rumors, ms(10_200)).len(), 2, "another is drawn, told and compared with");
    rumors.handle_link_down(ms(10_300), drawn[0]);
    let left = rumors.partners.len();
    assert_eq!(left, 1, "who refused is not asked again");
    for number in 1..=3 {
        rumors.handle_link_down(ms(10_300), who(number));
    }
    assert_eq!(rumors.poll_timeout(), None, "nobody is left");
}

#[test]
fn who_tells_becomes_a_partner_while_there_is_room() {
    let mut rumors = linked(20);
    let took = (1..=20).filter(|number| rumors.handle_teller(ms(10_000), who(*number))).count();
    assert_eq!(took, PARTNERS_MAX);
    assert!(!rumors.handle_teller(ms(10_000), who(30)), "a stranger is none");
    assert_eq!(run(&mut rumors, ms(10_200)).len(), PARTNERS_MAX - CHOSEN, "they are compared with");
}

/// Nodes that draw their partners at random pass everything on to everybody.
#[test]
fn what_one_node_hears_reaches_all() {
    for seed in 0..50 {
        let mut random = StdRng::from_seed([seed; 32]);
        let mut nodes: BTreeMap<Presentity, Rumors> = (1..=MESH)
            .map(|number| (who(number), Rumors::new(ms(0), StdRng::from_rng(&mut random))))
            .collect();
        for (presentity, node) in &mut nodes {
            for other in (1..=MESH).map(who).filter(|other| other != presentity) {
                node.handle_link_established(ms(0), other);
            }
        }
        let news = who(100);
        let mut knows = BTreeSet::new();
        for step in 0..100 {
            let now = ms(step * 100);
            if step == 60 {
                knows.insert(who(1));
                nodes.get_mut(&who(1)).unwrap().handle_told(now, news, true, who(101));
            }
            for presentity in (1..=MESH).map(who) {
                for output in run(nodes.get_mut(&presentity).unwrap(), now) {
                    // What comparisons find does not count here.
                    let RumorOutput::Tell { to, told } = output else { continue };
                    let other = nodes.get_mut(&to).unwrap();
                    let partner = other.handle_teller(now, presentity);
                    for news in told {
                        other.handle_told(now, news, knows.insert(to), presentity);
                    }
                    nodes.get_mut(&presentity).unwrap().handle_heard(now, to, partner);
                }
            }
        }
        assert_eq!(knows.len(), usize::from(MESH), "seed {seed}");
    }
}
