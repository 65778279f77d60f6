use super::*;
use crate::{
    presence::record::{RecordBody, SealedView},
    testing::{CLOCK, alice, at, bob, body, information, keypair, presentity},
};

const DAY: u64 = 24 * 3600;

fn first() -> ViewKey {
    ViewKey::first(*b"a chain.", [7; 32])
}

fn steps(steps: u32) -> ViewKey {
    (0..steps).fold(first(), |key, _| key.next())
}

fn released(key: ViewKey) -> ReleasedKey {
    ReleasedKey { key, lifetime_seconds: u32::try_from(DAY).unwrap() }
}

fn document() -> PresenceInformation {
    information(&alice(), "Alice, for some")
}

/// A record of alice that is sealed with `key`.
fn record(key: &ViewKey) -> PresenceRecord {
    let view: SealedView = key.seal(&presentity(&alice()), &document(), 256);
    let body = RecordBody { public: None, sealed_views: vec![view], ..body(&alice(), 1, 1) };
    PresenceRecord::sign(body, &alice()).unwrap()
}

fn keyring() -> Keyring {
    Keyring::new(at(0), CLOCK, [])
}

fn holding(key: ViewKey) -> Keyring {
    let mut keyring = keyring();
    keyring.handle_released(at(0), presentity(&alice()), released(key));
    keyring
}

#[test]
fn a_released_key_is_to_be_stored_and_opens_the_records_of_its_giver() {
    let mut keyring = keyring();
    assert_eq!(keyring.open(&record(&first())), None);
    let who = presentity(&alice());
    let (stored, dropped) = keyring.handle_released(at(5), who, released(first()));
    let expected = StoredKey { presentity: who, key: first(), ends_at: CLOCK.unix(at(5 + DAY)) };
    assert_eq!((stored, dropped), (expected.clone(), None));
    assert_eq!(keyring.to_store(&who), Some(expected));
    assert_eq!(keyring.open(&record(&first())), Some((document(), false)));
}

#[test]
fn a_key_moves_on_with_what_it_opens_and_opens_nothing_older_then() {
    let mut keyring = holding(first());
    assert_eq!(keyring.open(&record(&steps(3))), Some((document(), true)));
    assert_eq!(keyring.to_store(&presentity(&alice())).unwrap().key, steps(3));
    assert_eq!(keyring.open(&record(&steps(3))), Some((document(), false)));
    assert_eq!(keyring.open(&record(&steps(2))), None);
}

#[test]
fn a_key_for_somebody_elses_records_opens_nothing() {
    let mut keyring = keyring();
    keyring.handle_released(at(0), presentity(&bob()), released(first()));
    assert_eq!(keyring.open(&record(&first())), None);
}

#[test]
fn the_newest_key_of_a_presentity_is_held_and_no_other() {
    let mut keyring = holding(first());
    let other = ViewKey::first(*b"another.", [8; 32]);
    keyring.handle_released(at(1), presentity(&alice()), released(other.clone()));
    assert_eq!(keyring.open(&record(&first())), None);
    assert!(keyring.open(&record(&other)).is_some());
}

#[test]
fn the_same_chain_again_prolongs_the_time_and_does_not_go_back() {
    let mut keyring = holding(steps(5));
    let (stored, _) = keyring.handle_released(at(100), presentity(&alice()), released(steps(2)));
    assert_eq!((stored.key, stored.ends_at), (steps(5), CLOCK.unix(at(100 + DAY))));
    let (stored, _) = keyring.handle_released(at(100), presentity(&alice()), released(steps(9)));
    assert_eq!(stored.key, steps(9));
    assert_eq!(keyring.open(&record(&steps(8))), None);
}

#[test]
fn a_key_is_dropped_when_its_time_is_over() {
    let mut keyring = holding(first());
    assert_eq!(keyring.poll_timeout(), Some(at(DAY)));
    assert_eq!(keyring.handle_timeout(at(DAY - 1)), []);
    assert!(keyring.open(&record(&first())).is_some());
    assert_eq!(keyring.handle_timeout(at(DAY)), [presentity(&alice())]);
    assert_eq!((keyring.open(&record(&first())), keyring.poll_timeout()), (None, None));
}

#[test]
fn no_key_is_held_for_longer_than_a_week_whatever_its_giver_says() {
    let mut keyring = keyring();
    let for_ever = ReleasedKey { key: first(), lifetime_seconds: u32::MAX };
    let (stored, _) = keyring.handle_released(at(0), presentity(&alice()), for_ever);
    assert_eq!(stored.ends_at, CLOCK.unix(at(7 * DAY)));
    let far = StoredKey { presentity: presentity(&alice()), key: first(), ends_at: CLOCK.unix(at(99 * DAY)) };
    assert_eq!(Keyring::new(at(0), CLOCK, [far]).poll_timeout(), Some(at(7 * DAY)));
}

#[test]
fn a_refusal_drops_the_key() {
    let mut keyring = holding(first());
    assert!(keyring.handle_refused(&presentity(&alice())));
    assert_eq!(keyring.open(&record(&first())), None);
    assert!(!keyring.handle_refused(&presentity(&alice())));
}

#[test]
fn what_was_stored_opens_the_same_after_a_restart_for_what_is_left_of_its_time() {
    let stored = |ends_at| StoredKey { presentity: presentity(&alice()), key: first(), ends_at };
    let mut keyring = Keyring::new(at(0), CLOCK, [stored(CLOCK.unix(at(10)))]);
    assert!(keyring.open(&record(&steps(1))).is_some());
    assert_eq!(keyring.poll_timeout(), Some(at(10)));
    let mut late = Keyring::new(at(0), CLOCK, [stored(CLOCK.at_start)]);
    assert_eq!((late.open(&record(&first())), late.poll_timeout()), (None, None));
}

#[test]
fn at_the_limit_the_key_that_ends_first_makes_room() {
    let number = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Presentity::from_public_key_bytes(bytes)
    };
    let mut keyring = keyring();
    for who in 0..KEYS_MAX {
        let now = if who == 70 { at(0) } else { at(1) };
        assert_eq!(keyring.handle_released(now, number(who), released(first())).1, None);
    }
    assert_eq!(keyring.handle_released(at(2), number(5), released(steps(1))).1, None, "it has room already");
    let newcomer = presentity(&keypair(9));
    assert_eq!(keyring.handle_released(at(2), newcomer, released(first())).1, Some(number(70)));
    assert!(keyring.to_store(&newcomer).is_some() && keyring.to_store(&number(70)).is_none());
}

#[test]
fn a_key_is_awaited_for_a_moment_from_the_first_record_that_does_not_open() {
    let mut keyring = keyring();
    let who = presentity(&alice());
    keyring.handle_awaited(at(1), who);
    keyring.handle_awaited(at(2), who);
    assert_eq!(keyring.poll_timeout(), Some(at(1) + AWAITED_MAX));
    assert_eq!(keyring.handle_awaited_timeout(at(2)), []);
    assert_eq!(keyring.handle_awaited_timeout(at(3)), [who]);
    assert_eq!((keyring.handle_awaited_timeout(at(9)), keyring.poll_timeout()), (vec![], None));
}

#[test]
fn a_record_that_opens_an_answer_and_a_refusal_leave_nothing_awaited() {
    let who = presentity(&alice());
    let awaiting = || {
        let mut keyring = holding(first());
        keyring.handle_awaited(at(0), who);
        keyring
    };
    let mut opened = awaiting();
    assert!(opened.open(&record(&steps(1))).is_some());
    assert!(!opened.handle_given(&who));
    let mut given = awaiting();
    assert!(given.handle_given(&who) && !given.handle_given(&who));
    let mut refused = awaiting();
    assert!(refused.handle_refused(&who) && !refused.handle_given(&who));
    for mut keyring in [opened, given, refused] {
        assert_eq!(keyring.handle_awaited_timeout(at(9)), []);
    }
    // A key that does not open the newest record changes nothing in that.
    let mut other = awaiting();
    other.handle_released(at(0), who, released(ViewKey::first(*b"another.", [8; 32])));
    assert_eq!(other.open(&record(&first())), None);
    assert!(other.handle_given(&who));
}
