use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;

use super::*;

#[test]
fn the_successor_is_probed_regularly_and_everybody_by_turns() {
    let mut liveness = linked(5, 10);
    let mut probes = BTreeMap::<Presentity, usize>::new();
    for now in (0..=150_000).step_by(100) {
        for output in run(&mut liveness, ms(now)) {
            let LivenessOutput::Probe(peer) = output else { panic!("{output:?}") };
            *probes.entry(peer).or_default() += 1;
            liveness.handle_alive(peer);
        }
    }
    assert!((49..=53).contains(&probes.remove(&who(6)).unwrap()));
    let others: Vec<_> = probes.into_iter().collect();
    assert_eq!(others.len(), 8);
    assert!(others.iter().all(|(_, times)| (1..=2).contains(times)), "{others:?}");
}

#[test]
fn the_successor_of_the_last_is_the_first() {
    let mut liveness = linked(10, 10);
    let probed: BTreeSet<_> = (0..=30).flat_map(|tenth| run(&mut liveness, ms(tenth * 100))).collect();
    assert!(probed.contains(&LivenessOutput::Probe(who(1))), "{probed:?}");
}

#[test]
fn who_gives_no_sign_of_life_is_silent() {
    let mut liveness = linked(1, 2);
    let (mut asked, mut silent) = (None, None);
    for now in (0..20_000).step_by(100) {
        for output in run(&mut liveness, ms(now)) {
            match output {
                LivenessOutput::Probe(_) => _ = asked.get_or_insert(now),
                LivenessOutput::Silent { .. } => _ = silent.get_or_insert(now),
            }
        }
    }
    assert!(asked.unwrap() <= 3_000);
    assert_eq!(silent.unwrap() - asked.unwrap(), 4_000);
}

#[test]
fn whatever_comes_is_a_sign_of_life() {
    let mut liveness = linked(1, 2);
    for now in (0..20_000).step_by(100) {
        let outputs = run(&mut liveness, ms(now));
        assert!(!outputs.contains(&SILENT), "at {now}");
        if now % 3_900 == 0 {
            liveness.handle_alive(who(2));
        }
    }
}

#[test]
fn who_probed_regularly_and_stops_is_probed() {
    let mut liveness = linked(5, 10);
    let probed = |liveness: &mut Liveness, from: u64, until: u64| {
        let outputs = (from..until).step_by(100).flat_map(|now| run(liveness, ms(now)));
        outputs.filter(|output| *output == LivenessOutput::Probe(who(4))).count()
    };
    // Its turn may come as well.
    for now in (0..60_000).step_by(3_000) {
        liveness.handle_probed(ms(now), who(4));
        probed(&mut liveness, now, now + 3_000);
        liveness.handle_alive(who(4));
    }
    assert_eq!(probed(&mut liveness, 60_000, 62_900), 0);
    assert_eq!(probed(&mut liveness, 62_900, 63_100), 1);

    let mut liveness = linked(5, 10);
    liveness.handle_probed(ms(0), who(4));
    assert_eq!(probed(&mut liveness, 0, 5_000), 0, "one probe is nothing to count on");
}

#[test]
fn who_is_said_to_be_lost_is_probed_at_once_and_its_silence_is_no_discovery() {
    let mut liveness = linked(5, 10);
    run(&mut liveness, ms(0));
    liveness.handle_told_lost(ms(0), who(1));
    liveness.handle_told_lost(ms(0), who(99));
    assert_eq!(liveness.poll_output(), Some(LivenessOutput::Probe(who(1))));
    assert_eq!(liveness.poll_output(), None, "with the other there is no link");
    let outputs = (0..=4_000).step_by(100).flat_map(|now| run(&mut liveness, ms(now)));
    assert!(outputs.into_iter().any(|output| output == LivenessOutput::Silent { peer: who(1), told: true }));
}

#[test]
fn a_node_that_acts_late_accuses_nobody() {
    let mut liveness = linked(1, 2);
    let mut due = liveness.poll_timeout().unwrap();
    while run(&mut liveness, due).is_empty() {
        due = liveness.poll_timeout().unwrap();
    }
    let woken = ms(3_600_000);
    assert!(!run(&mut liveness, woken).contains(&SILENT));
    let mut silent = None;
    for now in (3_600_000..3_610_000).step_by(100) {
        if run(&mut liveness, ms(now)).contains(&SILENT) {
            silent.get_or_insert(now);
        }
    }
    assert_eq!(silent, Some(3_604_000), "but waits anew");
}

#[test]
fn nobody_is_probed_where_nobody_is_linked() {
    let mut liveness = linked(1, 2);
    liveness.handle_link_down(who(2));
    assert_eq!(liveness.poll_timeout(), None);
    assert_eq!(run(&mut liveness, ms(100_000)), []);
}

const SILENT: LivenessOutput =
    LivenessOutput::Silent { peer: Presentity::from_public_key_bytes([2; 32]), told: false };

/// Number `own` of `nodes` that are all linked.
fn linked(own: u8, nodes: u8) -> Liveness {
    let mut liveness = Liveness::new(ms(0), who(own), StdRng::from_seed([1; 32]));
    for other in (1..=nodes).filter(|other| *other != own) {
        liveness.handle_link_established(who(other));
    }
    liveness
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
