use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Range, RangeInclusive},
};

use rand::SeedableRng;

use super::*;

#[test]
fn beats_go_to_the_successor_and_everybody_is_checked_by_turns() {
    let mut liveness = linked(5, 10);
    let (mut beats, mut probes) = (0, BTreeMap::<Presentity, usize>::new());
    for now in (0..=300_000).step_by(100) {
        for output in run(&mut liveness, ms(now)) {
            match output {
                LivenessOutput::Beat(peer) => {
                    assert_eq!(peer, who(6));
                    beats += 1;
                }
                LivenessOutput::Probe(peer) => {
                    *probes.entry(peer).or_default() += 1;
                    liveness.handle_alive(ms(0), peer);
                }
                output => panic!("{output:?}"),
            }
        }
    }
    assert!((199..=201).contains(&beats), "{beats}");
    assert_eq!(probes.len(), 9);
    assert!(probes.values().all(|times| (1..=2).contains(times)), "{probes:?}");
}

#[test]
fn the_successor_of_the_last_is_the_first() {
    let mut liveness = linked(10, 10);
    let outputs: Vec<_> = (0..=20).flat_map(|tenth| run(&mut liveness, ms(tenth * 100))).collect();
    assert!(outputs.contains(&LivenessOutput::Beat(who(1))), "{outputs:?}");
}

#[test]
fn who_misses_a_beat_is_looked_after_step_by_step() {
    let mut liveness = linked(5, 10);
    assert_eq!(
        steps(&mut liveness, 0..=10_000, who(4), &[0, 1_500, 3_000]),
        [
            (5_300, LivenessOutput::Probe(who(4))),
            (5_600, LivenessOutput::Reach(who(4))),
            (5_900, LivenessOutput::Silent(who(4))),
            (7_100, found(4, Grounds::Unreachable, Cause::Missed)),
        ]
    );
}

#[test]
fn a_new_successor_gets_a_beat_at_once() {
    let mut liveness = Liveness::new(ms(0), who(5), StdRng::from_seed([1; 32]));
    for (peer, beats) in [(8, true), (9, false), (7, true), (3, false), (6, true)] {
        liveness.handle_link_established(ms(100), who(peer));
        let beat = liveness.poll_output();
        assert_eq!(beat, beats.then_some(LivenessOutput::Beat(who(peer))), "{peer}");
    }
    assert_eq!(steps(&mut liveness, 100..=1_500, who(6), &[]), []);
    assert_eq!(steps(&mut liveness, 1_600..=1_600, who(6), &[]), [(1_600, LivenessOutput::Beat(who(6)))]);
}

#[test]
fn whatever_comes_is_a_sign_of_life() {
    let mut liveness = linked(5, 10);
    liveness.handle_told(ms(0), who(4));
    assert!(liveness.is_checking(&who(4)));
    liveness.handle_alive(ms(0), who(4));
    assert!(!liveness.is_checking(&who(4)));
    run(&mut liveness, ms(0));
    assert_eq!(steps(&mut liveness, 0..=9_000, who(4), &[]), []);
}

#[test]
fn others_are_not_asked_about_whose_host_lives_and_the_link_gets_time() {
    let mut liveness = linked(5, 10);
    let mut seen = steps(&mut liveness, 0..=4_100, who(4), &[0, 1_500]);
    assert_eq!(seen.pop(), Some((4_100, LivenessOutput::Reach(who(4)))));
    liveness.handle_reach(ms(0), who(4), Reach::Accepted);
    assert_eq!(
        steps(&mut liveness, 4_100..=20_000, who(4), &[]),
        [(4_100, LivenessOutput::HostLives(who(4))), (11_800, LivenessOutput::DeadEnd(who(4)))],
        "a new link is to tell"
    );
}

#[test]
fn a_link_whose_peer_refuses_connections_is_a_dead_end_soon() {
    let mut liveness = linked(5, 10);
    run(&mut liveness, ms(0));
    liveness.handle_told(ms(0), who(4));
    run(&mut liveness, ms(0));
    liveness.handle_reach(ms(0), who(4), Reach::Refused);
    assert_eq!(steps(&mut liveness, 0..=400, who(4), &[]), []);
    assert_eq!(steps(&mut liveness, 500..=500, who(4), &[]), [(500, LivenessOutput::DeadEnd(who(4)))]);
}

#[test]
fn a_broken_link_is_told_from_a_dead_host_by_trying_it() {
    let mut liveness = linked(5, 10);
    for (reach, tells) in [
        (Reach::Refused, Some(found(4, Grounds::Refused, Cause::LinkDown))),
        (Reach::Accepted, None),
        (Reach::Silent, Some(found(4, Grounds::Unreachable, Cause::LinkDown))),
    ] {
        liveness.handle_link_established(ms(0), who(4));
        while liveness.poll_output().is_some() {}
        liveness.handle_link_down(ms(0), who(4), false);
        assert_eq!(run(&mut liveness, ms(0)), [LivenessOutput::Reach(who(4))]);
        liveness.handle_reach(ms(0), who(4), reach);
        liveness.handle_timeout(ms(1_600));
        let outputs: Vec<_> = std::iter::from_fn(|| liveness.poll_output()).collect();
        let told = outputs.into_iter().find(|output| matches!(output, LivenessOutput::Found { .. }));
        assert_eq!(told, tells, "{reach:?}");
    }
}

#[test]
fn a_link_that_was_closed_on_purpose_is_not_looked_after() {
    let mut liveness = linked(5, 10);
    liveness.handle_link_down(ms(0), who(4), true);
    assert!(!liveness.is_checking(&who(4)));
}

#[test]
fn one_who_takes_connections_and_says_nothing_on_them_is_unresponsive() {
    let mut liveness = linked(5, 10);
    liveness.handle_link_down(ms(0), who(4), true);
    liveness.handle_undialled(ms(0), who(4));
    liveness.handle_undialled(ms(0), who(6));
    assert!(!liveness.is_checking(&who(6)), "there is a link");
    assert_eq!(run(&mut liveness, ms(0)), [LivenessOutput::Reach(who(4))]);
    liveness.handle_reach(ms(0), who(4), Reach::Accepted);
    assert_eq!(liveness.poll_output(), Some(LivenessOutput::HostLives(who(4))));
    assert_eq!(liveness.poll_output(), Some(found(4, Grounds::Unresponsive, Cause::Undialled)));
}

#[test]
fn one_who_is_unreachable_makes_all_others_be_looked_after_soon_and_not_again_and_again() {
    let mut liveness = linked(5, 10);
    let mut probed = |told_at: Option<u64>, time: Range<u64>| {
        let mut probes = 0;
        for now in time.step_by(10) {
            if told_at == Some(now) {
                liveness.handle_told(ms(now), who(4));
            }
            for output in run(&mut liveness, ms(now)) {
                if let LivenessOutput::Probe(peer) = output
                    && peer != who(4)
                {
                    probes += 1;
                    liveness.handle_alive(ms(0), peer);
                }
            }
        }
        probes
    };
    assert!((8..=9).contains(&probed(Some(0), 0..2_000)));
    assert!(probed(Some(2_000), 2_000..6_000) <= 1, "it is a turn at the most");
    assert!((8..=9).contains(&probed(None, 6_000..8_000)), "put off, not left out");
    assert!(probed(None, 8_000..28_000) <= 1);
}

#[test]
fn all_are_looked_after_on_others_word_though_not_again_soon_unless_one_is_found_unreachable() {
    let mut liveness = linked(5, 10);
    let suspect_four = |liveness: &mut Liveness, now: u64| {
        (100..104).for_each(|number| liveness.handle_suspected(ms(now), who(number)));
    };
    let mut probed = |suspected_at: Option<u64>, told_at: Option<u64>, time: Range<u64>| {
        let mut probed = BTreeSet::new();
        for now in time.step_by(10) {
            if suspected_at == Some(now) {
                suspect_four(&mut liveness, now);
            }
            if told_at == Some(now) {
                liveness.handle_told(ms(now), who(4));
            }
            for output in run(&mut liveness, ms(now)) {
                if let LivenessOutput::Probe(peer) = output
                    && (peer != who(4) || told_at.is_none())
                {
                    probed.insert(peer);
                    liveness.handle_alive(ms(now), peer);
                }
            }
        }
        probed.len()
    };
    assert!(probed(Some(0), None, 0..2_000) >= 8);
    assert!(probed(Some(2_000), None, 2_000..6_000) <= 1, "on others' word it would be again and again");
    assert!(probed(None, Some(6_000), 6_000..10_000) >= 8, "but this one it found itself");
}

#[test]
fn what_others_say_of_one_without_a_link_is_tried_on_its_host_but_not_of_all_at_once() {
    let mut liveness = linked(1, 2);
    run(&mut liveness, ms(0));
    for peer in 10..90 {
        liveness.look(ms(0), who(peer));
    }
    let outputs: Vec<_> = std::iter::from_fn(|| liveness.poll_output()).collect();
    assert_eq!(outputs.len(), HEARSAY_MAX);
    assert!(outputs.iter().all(|output| matches!(output, LivenessOutput::Reach(_))));
    for (peer, reach) in [(10, Reach::Accepted), (11, Reach::Refused), (12, Reach::Untried)] {
        liveness.handle_reach(ms(0), who(peer), reach);
        assert!(!liveness.is_checking(&who(peer)));
    }
    assert_eq!(
        std::iter::from_fn(|| liveness.poll_output())
            .filter(|output| !matches!(output, LivenessOutput::Reach(_)))
            .collect::<Vec<_>>(),
        [
            LivenessOutput::HostLives(who(10)),
            LivenessOutput::Looked(who(10)),
            found(11, Grounds::Refused, Cause::Hearsay),
            LivenessOutput::Looked(who(12)),
        ]
    );
    assert!(liveness.is_checking(&who(89)), "it waits");
    // Without a link nothing is due but checks: as they end, others begin.
    liveness.handle_link_down(ms(0), who(2), true);
    for peer in 13..90 {
        liveness.handle_reach(ms(0), who(peer), Reach::Accepted);
    }
    assert!((10..90).all(|peer| !liveness.is_checking(&who(peer))), "all were looked after");
}

#[test]
fn several_that_are_suspected_within_seconds_make_all_links_be_checked() {
    let probed = |at: [u64; 4]| {
        let mut liveness = linked(5, 10);
        let mut probed = BTreeSet::new();
        for now in (0..at[3] + 2_000).step_by(10) {
            for number in (0..4).filter(|number| at[*number as usize] == now) {
                liveness.handle_suspected(ms(now), who(100 + number));
            }
            for output in run(&mut liveness, ms(now)) {
                if let LivenessOutput::Probe(peer) = output {
                    probed.insert(peer);
                    liveness.handle_alive(ms(now), peer);
                }
            }
        }
        probed.len()
    };
    assert_eq!(probed([1_000, 1_500, 2_000, 2_500]), 9);
    assert!(probed([1_000, 3_000, 5_000, 7_000]) <= 1, "it is a turn at the most");
}

#[test]
fn a_node_that_acts_late_begins_its_checks_anew() {
    let mut liveness = linked(5, 10);
    assert_eq!(steps(&mut liveness, 0..=2_000, who(4), &[0, 1_500]), []);
    liveness.handle_told(ms(2_000), who(6));
    run(&mut liveness, ms(2_000));
    let woken = 5_000;
    let outputs = run(&mut liveness, ms(woken));
    assert!(!outputs.iter().any(|output| matches!(output, LivenessOutput::Found { .. })), "{outputs:?}");
    assert!(outputs.contains(&LivenessOutput::Probe(who(6))), "once more");
    assert!(!liveness.is_checking(&who(4)), "its beats may lie unread");
    let later = steps(&mut liveness, woken + 100..=woken + 900, who(4), &[]);
    assert_eq!(later.first(), Some(&(woken + 800, LivenessOutput::Probe(who(4)))));
}

#[test]
fn a_node_that_slept_checks_all_its_links_and_does_not_wait_long_for_them() {
    let mut liveness = linked(5, 10);
    run(&mut liveness, ms(0));
    let woken = 600_000;
    let outputs = run(&mut liveness, ms(woken));
    let probed = outputs.iter().filter(|output| matches!(output, LivenessOutput::Probe(_))).count();
    assert_eq!(probed, 9);
    for peer in [1, 2, 3, 6, 7, 8, 9] {
        liveness.handle_alive(ms(0), who(peer));
    }
    liveness.handle_reach(ms(0), who(4), Reach::Accepted);
    let outputs = run(&mut liveness, ms(woken + 1_500));
    let dead_ends = [4, 10].map(|peer| LivenessOutput::DeadEnd(who(peer)));
    assert!(dead_ends.iter().all(|dead_end| outputs.contains(dead_end)), "{outputs:?}");
    assert!(
        !outputs.iter().any(|output| matches!(output, LivenessOutput::Found { .. })),
        "nobody is accused"
    );
}

#[test]
fn nobody_is_watched_where_nobody_is_linked() {
    let mut liveness = linked(1, 2);
    liveness.handle_link_down(ms(0), who(2), true);
    assert_eq!(liveness.poll_timeout(), None);
    assert_eq!(run(&mut liveness, ms(100_000)), []);
}

fn found(peer: u8, grounds: Grounds, cause: Cause) -> LivenessOutput {
    LivenessOutput::Found { peer: who(peer), grounds, cause }
}

/// Number `own` of `nodes` that are all linked.
fn linked(own: u8, nodes: u8) -> Liveness {
    let mut liveness = Liveness::new(ms(0), who(own), StdRng::from_seed([1; 32]));
    for other in (1..=nodes).filter(|other| *other != own) {
        liveness.handle_link_established(ms(0), who(other));
    }
    while liveness.poll_output().is_some() {}
    liveness
}

/// What is put out about `peer` and when, while its beats come at those times and all others answer.
fn steps(
    liveness: &mut Liveness,
    time: RangeInclusive<u64>,
    peer: Presentity,
    beats: &[u64],
) -> Vec<(u64, LivenessOutput)> {
    let mut steps = Vec::new();
    for now in time.step_by(100) {
        if beats.contains(&now) {
            liveness.handle_beat(ms(now), peer);
        }
        for output in run(liveness, ms(now)) {
            let (LivenessOutput::Beat(of)
            | LivenessOutput::Probe(of)
            | LivenessOutput::Reach(of)
            | LivenessOutput::Silent(of)
            | LivenessOutput::HostLives(of)
            | LivenessOutput::Looked(of)
            | LivenessOutput::DeadEnd(of)
            | LivenessOutput::Found { peer: of, .. }) = output;
            if of == peer {
                steps.push((now, output));
            } else {
                liveness.handle_alive(ms(0), of);
            }
        }
    }
    steps
}

fn run(liveness: &mut Liveness, now: Timestamp) -> Vec<LivenessOutput> {
    liveness.handle_timeout(now);
    std::iter::from_fn(|| liveness.poll_output()).collect()
}

fn who(number: u8) -> Presentity {
    Presentity::from_public_key_bytes([number; 32])
}

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}
