use rand::SeedableRng;

use super::*;

#[test]
fn three_accusers_are_believed_after_the_shortest_wait() {
    let mut accusations = new();
    for (number, accuser) in [10, 11, 12].into_iter().enumerate() {
        let now = ms(u64::try_from(number).unwrap() * 10);
        assert_eq!(accuse(&mut accusations, now, accuser, Grounds::Refused), Offered::News);
    }
    assert_eq!(outputs(&mut accusations), [AccusationsOutput::Suspected(SUBJECT)]);
    assert_eq!(believed_at(&mut accusations, 30), Some(1_420));
}

#[test]
fn one_accuser_alone_waits_longest_and_two_less() {
    let mut accusations = new();
    accuse(&mut accusations, ms(0), 10, Grounds::Unreachable);
    assert_eq!(believed_at(&mut accusations, 0), Some(15_000));

    let mut accusations = new();
    accuse(&mut accusations, ms(0), 10, Grounds::Unreachable);
    accuse(&mut accusations, ms(0), 11, Grounds::Unreachable);
    let at = believed_at(&mut accusations, 0).unwrap();
    assert!((5_000..8_000).contains(&at), "{at}");
}

#[test]
fn fewer_are_enough_where_fewer_can_see() {
    for able in [1, 2] {
        let mut accusations = new();
        for accuser in 0..able {
            let accuser = who(10 + u8::try_from(accuser).unwrap());
            let grounds = Grounds::Unreachable;
            accusations.handle_accusation(ms(0), accuser, accusation(grounds, 1), version(1), able);
        }
        assert_eq!(believed_at(&mut accusations, 0), Some(1_400), "{able}");
    }
}

#[test]
fn nobody_waits_for_accusers_that_are_not_there_any_more() {
    for (able, believed) in [(5, 15_000), (1, 1_400)] {
        let mut accusations = new();
        accuse(&mut accusations, ms(0), 10, Grounds::Unreachable);
        accusations.handle_fewer_able(ms(1_000), able);
        assert_eq!(believed_at(&mut accusations, 1_000), Some(believed), "{able} are left");
    }
}

#[test]
fn a_process_that_does_not_answer_on_a_host_that_does_is_given_a_minute() {
    let mut accusations = new();
    for accuser in 10..14 {
        accuse(&mut accusations, ms(0), accuser, Grounds::Unresponsive);
    }
    accusations.handle_timeout(ms(70_000));
    assert!(!accusations.is_believed(&SUBJECT), "others alone are not believed in that");
    accuse(&mut accusations, ms(0), 1, Grounds::Unresponsive);
    assert_eq!(believed_at(&mut accusations, 70_000), Some(70_000));
}

#[test]
fn where_only_two_can_see_each_says_at_once_what_it_found() {
    let mut accusations = new();
    let (subject, version) = (SUBJECT, Version { incarnation: 1, sequence: 1 });
    let accusation = Accusation { subject, version, grounds: Grounds::Unreachable };
    accusations.handle_accusation(ms(0), who(10), accusation, version, 2);
    accusations.handle_looked(ms(500), SUBJECT, Grounds::Unreachable);
    outputs(&mut accusations);
    accusations.handle_timeout(ms(800));
    assert_eq!(outputs(&mut accusations), [AccusationsOutput::Speak(vec![accusation])]);
}

#[test]
fn a_node_that_looked_itself_believes_one_accuser_sooner_and_says_so_after_the_others() {
    let mut accusations = new();
    accusations.handle_looked(ms(0), SUBJECT, Grounds::Refused);
    assert_eq!(accusations.of(&SUBJECT).len(), 0, "nobody accuses it");
    accuse(&mut accusations, ms(0), 10, Grounds::Unreachable);
    accusations.handle_looked(ms(500), SUBJECT, Grounds::Unreachable);
    accusations.handle_looked(ms(600), SUBJECT, Grounds::Unreachable);
    assert_eq!(accusations.of(&SUBJECT).len(), 2);
    let spoken = |output: &AccusationsOutput| matches!(output, AccusationsOutput::Speak(_));
    let (mut believed, mut said) = (None, None);
    for now in (500..20_000).step_by(10) {
        accusations.handle_timeout(ms(now));
        let outputs = outputs(&mut accusations);
        if outputs.iter().any(spoken) {
            said = Some(now);
        }
        if outputs.contains(&AccusationsOutput::Believed(SUBJECT)) {
            believed = Some(now);
        }
    }
    assert!(said.is_some_and(|at| (800..=1_800).contains(&at)), "{said:?}");
    assert!(believed.is_some_and(|at| (5_000..8_000).contains(&at)), "{believed:?}");
}

#[test]
fn to_be_silent_is_to_be_looked_after_and_no_more() {
    let mut accusations = new();
    assert_eq!(accuse(&mut accusations, ms(0), 10, Grounds::Silent), Offered::News);
    assert_eq!(accuse(&mut accusations, ms(500), 11, Grounds::Silent), Offered::Useless);
    assert_eq!(accuse(&mut accusations, ms(2_000), 11, Grounds::Silent), Offered::News);
    assert_eq!((believed_at(&mut accusations, 2_000), outputs(&mut accusations)), (None, vec![]));
}

#[test]
fn a_newer_record_refutes_and_older_accusations_count_no_more() {
    let mut accusations = new();
    accuse(&mut accusations, ms(0), 10, Grounds::Refused);
    accusations.handle_record(ms(100), SUBJECT, version(2));
    assert_eq!(
        outputs(&mut accusations),
        [AccusationsOutput::Suspected(SUBJECT), AccusationsOutput::Cleared(SUBJECT)]
    );
    let old = accusations.handle_accusation(ms(200), who(11), accusation(Grounds::Refused, 1), version(2), 9);
    assert_eq!(old, Offered::Useless);
    assert_eq!(believed_at(&mut accusations, 200), None);
}

#[test]
fn a_sign_of_life_clears_and_the_accuser_has_to_wait_as_if_refuted() {
    use AccusationsOutput::{Cleared, Suspected};
    for lives in [Accusations::handle_alive, Accusations::handle_host_lives] {
        let mut accusations = new();
        accuse(&mut accusations, ms(0), 10, Grounds::Refused);
        lives(&mut accusations, ms(10), SUBJECT);
        assert_eq!(outputs(&mut accusations), [Suspected(SUBJECT), Cleared(SUBJECT)]);
        accuse(&mut accusations, ms(20), 10, Grounds::Refused);
        accusations.handle_timeout(ms(5_000));
        assert_eq!(outputs(&mut accusations), []);
        accusations.handle_timeout(ms(5_010));
        assert_eq!(outputs(&mut accusations), [Suspected(SUBJECT)]);
    }
}

#[test]
fn a_host_that_takes_connections_says_nothing_of_one_that_does_not_answer_on_them() {
    let mut accusations = new();
    accuse(&mut accusations, ms(0), 10, Grounds::Unresponsive);
    accuse(&mut accusations, ms(0), 11, Grounds::Refused);
    accusations.handle_host_lives(ms(10), SUBJECT);
    let left: Vec<_> = accusations.of(&SUBJECT).iter().map(|accused| accused.accuser).collect();
    assert_eq!(left, [who(10)]);
    assert_eq!(outputs(&mut accusations), [AccusationsOutput::Suspected(SUBJECT)]);
}

#[test]
fn a_refuted_accuser_counts_after_a_wait_that_doubles() {
    let mut accusations = new();
    for (now, sequence, counts_at) in [(0, 1, 0), (1_000, 2, 5_000 + 100), (20_000, 3, 20_000)] {
        let accusation = accusation(Grounds::Refused, sequence);
        let offered = accusations.handle_accusation(ms(now), who(10), accusation, version(sequence), ENOUGH);
        assert_eq!(offered, Offered::News);
        let suspected = (now..now + 20_000).step_by(100).find(|now| {
            accusations.handle_timeout(ms(*now));
            outputs(&mut accusations).contains(&AccusationsOutput::Suspected(SUBJECT))
        });
        assert_eq!(suspected, Some(counts_at), "number {sequence}");
        accusations.handle_record(ms(counts_at + 100), SUBJECT, version(sequence + 1));
        outputs(&mut accusations);
    }
    let waits = accusations.subjects[&SUBJECT].refuted[&who(10)];
    assert_eq!(waits, (3, ms(20_100 + 20_000)));
}

#[test]
fn one_that_was_believed_and_returns_refutes_nobody() {
    let mut accusations = new();
    for accuser in 10..13 {
        accuse(&mut accusations, ms(0), accuser, Grounds::Unreachable);
    }
    assert!(believed_at(&mut accusations, 0).is_some());
    accusations.handle_record(ms(9_000), SUBJECT, version(2));
    assert!(accusations.subjects.is_empty());
}

#[test]
fn the_accused_itself_refutes_whenever_an_accusation_counts() {
    let mut accusations = new();
    let of_own =
        |sequence| Accusation { subject: OWN, version: version(sequence), grounds: Grounds::Refused };
    accusations.handle_accusation(ms(0), who(10), of_own(1), version(1), 9);
    assert_eq!(outputs(&mut accusations), [AccusationsOutput::Refute]);
    accusations.handle_record(ms(0), OWN, version(2));
    accusations.handle_accusation(ms(10), who(10), of_own(2), version(2), 9);
    assert_eq!(outputs(&mut accusations), [], "it was refuted just now");
    accusations.handle_accusation(ms(10), who(11), of_own(2), version(2), 9);
    assert_eq!(outputs(&mut accusations), [AccusationsOutput::Refute], "another one was not");
}

#[test]
fn own_suspicions_are_spoken_together_and_not_if_enough_others_did() {
    let mut accusations = new();
    for subject in [30, 31] {
        let accusation = Accusation { subject: who(subject), version: version(1), grounds: Grounds::Refused };
        accusations.handle_accusation(ms(0), OWN, accusation, version(1), 9);
    }
    for accuser in 10..13 {
        let accusation = Accusation { subject: who(31), version: version(1), grounds: Grounds::Refused };
        accusations.handle_accusation(ms(1), who(accuser), accusation, version(1), 9);
    }
    accusations.handle_timeout(ms(300));
    let spoken = outputs(&mut accusations).into_iter().find_map(|output| match output {
        AccusationsOutput::Speak(accusations) => Some(accusations),
        _ => None,
    });
    let subjects: Vec<_> = spoken.unwrap().iter().map(|accusation| accusation.subject).collect();
    assert_eq!(subjects, [who(30)]);
}

#[test]
fn old_suspicions_and_too_many_are_not_listened_to() {
    let mut accusations = new();
    assert!(accusations.handle_suspicion(ms(0), who(10), version(5), 1));
    assert!(!accusations.handle_suspicion(ms(0), who(10), version(5), 1), "the same again");
    assert!(!accusations.handle_suspicion(ms(0), who(10), version(4), 1), "an older one");
    let listened =
        (6..100).take_while(|number| accusations.handle_suspicion(ms(0), who(10), version(*number), 16));
    assert_eq!(listened.count(), 7);
    assert!(accusations.handle_suspicion(ms(0), who(11), version(1), 16), "of another one");
    assert!(accusations.handle_suspicion(ms(20_000), who(10), version(200), 16), "after a while");
}

#[test]
fn nothing_is_kept_of_what_was_cleared_long_ago() {
    let mut accusations = new();
    accuse(&mut accusations, ms(0), 10, Grounds::Refused);
    accusations.handle_record(ms(10), SUBJECT, version(2));
    accuse(&mut accusations, ms(20), 10, Grounds::Silent);
    let mut turns = 0;
    while let Some(at) = accusations.poll_timeout() {
        accusations.handle_timeout(at);
        turns += 1;
        assert!(turns < 10);
    }
    assert!(accusations.subjects.is_empty());
}

#[test]
fn at_the_limit_one_that_was_believed_long_ago_makes_room() {
    let mut accusations = new();
    let subject = |number: usize| {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        Presentity::from_public_key_bytes(key)
    };
    let mut accuse = |now: u64, number: usize| {
        let accusation =
            Accusation { subject: subject(number), version: version(1), grounds: Grounds::Refused };
        let offered = accusations.handle_accusation(ms(now), who(10), accusation, version(1), 1);
        accusations.handle_timeout(ms(now));
        offered
    };
    assert!((0..SUBJECTS_MAX).all(|number| accuse(0, number) == Offered::News));
    assert_eq!(accuse(10, SUBJECTS_MAX), Offered::Useless, "all may still be refuted");
    assert_eq!(accuse(5_000, 1), Offered::Useless, "it is known");
    assert_eq!(accuse(5_000, SUBJECTS_MAX), Offered::News);
    assert_eq!(accusations.subjects.len(), SUBJECTS_MAX);
}

const OWN: Presentity = Presentity::from_public_key_bytes([1; 32]);
const SUBJECT: Presentity = Presentity::from_public_key_bytes([2; 32]);
const ENOUGH: usize = ACCUSERS_ENOUGH;

fn new() -> Accusations {
    Accusations::new(OWN, StdRng::from_seed([3; 32]))
}

fn accuse(accusations: &mut Accusations, now: Timestamp, accuser: u8, grounds: Grounds) -> Offered {
    accusations.handle_accusation(now, who(accuser), accusation(grounds, 1), version(1), ENOUGH)
}

fn accusation(grounds: Grounds, sequence: u64) -> Accusation {
    Accusation { subject: SUBJECT, version: version(sequence), grounds }
}

fn outputs(accusations: &mut Accusations) -> Vec<AccusationsOutput> {
    std::iter::from_fn(|| accusations.poll_output()).collect()
}

/// When the subject is believed to be out of contact, within two minutes.
fn believed_at(accusations: &mut Accusations, from: u64) -> Option<u64> {
    (from..120_000).step_by(10).find(|now| {
        accusations.handle_timeout(ms(*now));
        outputs(accusations).contains(&AccusationsOutput::Believed(SUBJECT))
    })
}

fn who(number: u8) -> Presentity {
    Presentity::from_public_key_bytes([number; 32])
}

fn version(sequence: u64) -> Version {
    Version { incarnation: 1, sequence }
}

fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}
