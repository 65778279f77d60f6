use proptest::prelude::*;

use super::*;
use crate::{
    identity::Realm,
    presence::record::{RecordBody, SealedView},
    testing::{
        CLOCK, alice, at, bob, body, departing_record, information, keypair, presentity, record, record_named,
    },
};

fn service() -> PresenceService {
    PresenceService::new(CLOCK, PRESENTITIES_MAX)
}

fn outputs(service: &mut PresenceService) -> Vec<ServiceOutput> {
    std::iter::from_fn(|| service.poll_output()).collect()
}

/// What a watcher would be told of alice since the last call.
fn transitions(service: &mut PresenceService) -> Vec<Transition> {
    let of = |output| match output {
        ServiceOutput::Transition(presentity, transition) => {
            assert_eq!(presentity, self::presentity(&alice()));
            Some(transition)
        }
        _ => None,
    };
    outputs(service).into_iter().filter_map(of).collect()
}

fn contact(service: &PresenceService) -> (ContactState, Evidence) {
    let contact = service.view(&presentity(&alice())).unwrap().contact;
    (contact.state, contact.evidence)
}

fn told(elapsed_seconds: u64, lost: bool) -> Source {
    Source::Told { elapsed: Duration::from_secs(elapsed_seconds), lost }
}

#[test]
fn a_first_record_makes_its_presentity_appear_and_is_put_out_to_be_stored() {
    let mut service = service();
    let record = record(&alice(), 1, 1);
    assert_eq!(service.handle_record(at(5), record.clone(), None, Source::Gossip), Offered::Newer);
    let who = presentity(&alice());
    let stored = StoredRecord {
        presentity: who,
        version: record.version(),
        bytes: record.bytes().to_vec(),
        heard_at: CLOCK.unix(at(5)),
    };
    let expected = [ServiceOutput::Persist(stored), ServiceOutput::Transition(who, Transition::Appeared)];
    assert_eq!(outputs(&mut service), expected);
    assert_eq!(contact(&service), (ContactState::Present, Evidence::Heard));
}

#[test]
fn a_refresh_that_says_the_same_is_stored_and_told_to_nobody() {
    let mut service = service();
    service.handle_record(at(0), record(&alice(), 1, 1), None, Source::Gossip);
    outputs(&mut service);
    assert_eq!(service.handle_record(at(1), record(&alice(), 1, 2), None, Source::Gossip), Offered::Newer);
    assert!(matches!(outputs(&mut service).as_slice(), [ServiceOutput::Persist(_)]));
}

#[test]
fn a_changed_document_is_a_change_and_a_goodbye_is_left() {
    let mut service = service();
    service.handle_record(at(0), record(&alice(), 1, 1), None, Source::Gossip);
    service.handle_record(at(1), record_named(&alice(), 1, 2, "Alicia"), None, Source::Gossip);
    service.handle_record(at(2), departing_record(&alice(), 1, 3), None, Source::Gossip);
    assert_eq!(transitions(&mut service), [Transition::Appeared, Transition::Changed, Transition::Left]);
    assert_eq!(contact(&service), (ContactState::Left, Evidence::Departed));
}

/// A record of which only a name, if any, and a sealed view are for anybody.
fn sealed_record(sequence: u64, name: Option<&str>) -> PresenceRecord {
    let view = SealedView { key_id: [1; 8], ciphertext: sequence.to_le_bytes().to_vec() };
    let name = name.map(|name| (DISPLAY_NAME.to_owned(), name.into()));
    let body = RecordBody {
        public: None,
        sealed_views: vec![view],
        extensions: name.into_iter().collect(),
        ..body(&alice(), 1, sequence)
    };
    PresenceRecord::sign(body, &alice()).unwrap()
}

fn opened(name: &str) -> Option<PresenceInformation> {
    Some(information(&alice(), name))
}

#[test]
fn what_a_key_opened_is_what_is_seen_and_changes_of_that_are_what_is_told() {
    let mut service = service();
    let who = presentity(&alice());
    service.handle_record(at(0), sealed_record(1, None), opened("Alice"), Source::Gossip);
    service.handle_record(at(1), sealed_record(2, None), opened("Alice"), Source::Gossip);
    assert_eq!(transitions(&mut service), [Transition::Appeared], "sealed anew, it says the same");
    service.handle_record(at(2), sealed_record(3, None), opened("Alicia"), Source::Gossip);
    assert_eq!(transitions(&mut service), [Transition::Changed]);
    let view = service.view(&who).unwrap();
    assert_eq!(
        (view.information, view.sealed, view.display_name.as_deref()),
        (opened("Alicia"), false, Some("Alicia"))
    );
    assert_eq!(service.information(&who), opened("Alicia").as_ref());
    assert_eq!(service.readable(&who), opened("Alicia").as_ref());
}

#[test]
fn who_has_no_key_sees_that_something_is_sealed_and_the_name_beside_it() {
    let mut service = service();
    let who = presentity(&alice());
    service.handle_record(at(0), sealed_record(1, Some("Alice")), None, Source::Gossip);
    service.handle_record(at(1), sealed_record(2, Some("Alice")), None, Source::Gossip);
    assert_eq!(transitions(&mut service), [Transition::Appeared]);
    let view = service.view(&who).unwrap();
    assert_eq!((view.information, view.sealed, view.display_name.as_deref()), (None, true, Some("Alice")));
    assert_eq!((service.information(&who), service.readable(&who)), (None, None));
    service.handle_record(at(2), sealed_record(3, Some("Alicia")), None, Source::Gossip);
    assert_eq!(transitions(&mut service), [Transition::Changed]);
}

#[test]
fn what_moves_from_the_clear_under_a_seal_and_back_is_no_change_to_who_opens_it() {
    let mut service = service();
    service.handle_record(at(0), record(&alice(), 1, 1), None, Source::Gossip);
    service.handle_record(at(1), sealed_record(2, Some("Alice")), opened("Alice"), Source::Gossip);
    service.handle_record(at(2), record(&alice(), 1, 3), None, Source::Gossip);
    assert_eq!(transitions(&mut service), [Transition::Appeared]);
    service.handle_record(at(3), sealed_record(4, Some("Alice")), None, Source::Gossip);
    assert_eq!(transitions(&mut service), [Transition::Changed], "and one to who does not");
}

#[test]
fn a_key_that_comes_or_goes_changes_what_is_seen_of_the_same_record() {
    let mut service = service();
    let who = presentity(&alice());
    service.handle_record(at(0), sealed_record(1, None), None, Source::Gossip);
    outputs(&mut service);
    service.handle_opened(at(1), who, opened("Alice"));
    service.handle_opened(at(2), who, opened("Alice"));
    assert_eq!(transitions(&mut service), [Transition::Changed]);
    service.handle_opened(at(3), who, None);
    service.handle_opened(at(4), who, None);
    assert_eq!(transitions(&mut service), [Transition::Changed]);
    assert!(service.view(&who).unwrap().sealed);
    service.handle_opened(at(5), presentity(&bob()), opened("Bob"));
    assert_eq!(outputs(&mut service), []);
}

#[test]
fn what_a_key_opens_of_a_record_that_is_only_remembered_is_no_news() {
    let mut service = service();
    let remembered = Source::Restored { heard_at: CLOCK.at_start };
    service.handle_record(at(0), sealed_record(1, None), opened("Alice"), remembered);
    service.handle_opened(at(1), presentity(&alice()), None);
    assert_eq!(outputs(&mut service), []);
    assert_eq!(service.information(&presentity(&alice())), None);
}

#[test]
fn an_older_record_and_the_same_again_change_nothing() {
    let mut service = service();
    let newest = record(&alice(), 2, 1);
    service.handle_record(at(0), newest.clone(), None, Source::Gossip);
    outputs(&mut service);
    assert_eq!(service.handle_record(at(1), record(&alice(), 1, 99), None, Source::Direct), Offered::Stale);
    assert_eq!(service.handle_record(at(1), newest.clone(), None, Source::Direct), Offered::Known);
    assert_eq!(outputs(&mut service), []);
    assert_eq!(service.record(&presentity(&alice())), Some(&newest));
}

#[test]
fn of_two_records_of_one_version_every_order_keeps_the_same_one() {
    let (one, other) = (record_named(&alice(), 1, 1, "one"), record_named(&alice(), 1, 1, "other"));
    let expected = if one.bytes() > other.bytes() { &one } else { &other };
    for records in [[&one, &other], [&other, &one]] {
        let mut service = service();
        for record in records {
            service.handle_record(at(0), record.clone(), None, Source::Gossip);
        }
        assert_eq!(service.record(&presentity(&alice())), Some(expected));
    }
}

#[test]
fn a_link_makes_present_and_its_loss_alone_judges_nothing() {
    let mut service = service();
    let who = presentity(&alice());
    service.handle_record(at(0), record(&alice(), 1, 1), None, told(0, true));
    assert_eq!(contact(&service), (ContactState::Lost, Evidence::Told));
    assert_eq!(transitions(&mut service), []);
    service.handle_link_established(at(1), who);
    assert_eq!(contact(&service), (ContactState::Present, Evidence::Connected));
    service.handle_link_down(who);
    assert_eq!(contact(&service), (ContactState::Present, Evidence::Connected));
    service.handle_lost(at(2), who, Evidence::LinkLost);
    assert_eq!(contact(&service), (ContactState::Lost, Evidence::LinkLost));
    assert_eq!(transitions(&mut service), [Transition::Returned, Transition::Lost]);
}

#[test]
fn whoever_is_suspect_is_in_contact_until_that_is_believed_or_cleared() {
    let mut service = service();
    let who = presentity(&alice());
    service.handle_suspected(at(0), who);
    service.handle_record(at(0), record(&alice(), 1, 1), None, Source::Gossip);
    service.handle_suspected(at(1), who);
    assert_eq!(contact(&service), (ContactState::Suspect, Evidence::Accused));
    assert!(service.is_in_contact(&who));
    service.handle_cleared(at(2), who);
    assert_eq!(contact(&service), (ContactState::Present, Evidence::Heard));
    service.handle_suspected(at(3), who);
    service.handle_lost(at(4), who, Evidence::Accused);
    service.handle_cleared(at(5), who);
    assert_eq!(contact(&service), (ContactState::Lost, Evidence::Accused));
    use Transition::{Appeared, Cleared, Lost, Suspected};
    assert_eq!(transitions(&mut service), [Appeared, Suspected, Cleared, Suspected, Lost]);
}

#[test]
fn a_newer_record_clears_and_its_document_is_told_if_it_changed() {
    let mut service = service();
    service.handle_record(at(0), record(&alice(), 1, 1), None, Source::Gossip);
    service.handle_suspected(at(1), presentity(&alice()));
    service.handle_record(at(2), record(&alice(), 1, 2), None, Source::Gossip);
    assert_eq!(contact(&service).0, ContactState::Present);
    use Transition::{Appeared, Cleared, Suspected};
    assert_eq!(transitions(&mut service), [Appeared, Suspected, Cleared]);
}

#[test]
fn who_is_lost_again_and_again_is_unsteady_until_it_is_steady_for_a_while() {
    let mut service = service();
    let who = presentity(&alice());
    service.handle_record(at(0), record(&alice(), 1, 1), None, Source::Gossip);
    for minute in 1..=5 {
        service.handle_lost(at(minute * 60), who, Evidence::Accused);
        service.handle_link_established(at(minute * 60 + 5), who);
        service.handle_link_down(who);
        assert_eq!(service.view(&who).unwrap().contact.unsteady, minute >= 3, "{minute}");
    }
    let told = transitions(&mut service);
    let unsteady = told.iter().position(|transition| *transition == Transition::Unsteady);
    assert_eq!(unsteady, Some(6), "once, at the third loss: {told:?}");
    assert_eq!(told.iter().filter(|transition| **transition == Transition::Unsteady).count(), 1);
    // A new record does not make it steady.
    service.handle_record(at(400), record(&alice(), 1, 2), None, Source::Gossip);
    assert!(service.view(&who).unwrap().contact.unsteady);
    service.handle_timeout(at(305) + STEADY_AFTER - Duration::from_secs(1));
    assert_eq!(transitions(&mut service), []);
    service.handle_timeout(at(305) + STEADY_AFTER);
    assert_eq!(transitions(&mut service), [Transition::Steady]);
    assert!(!service.view(&who).unwrap().contact.unsteady);
}

#[test]
fn who_is_present_beside_somebody_is_counted_as_far_as_asked() {
    let mut service = service();
    for number in 1..=5 {
        service.handle_record(at(0), record(&keypair(number), 1, 1), None, Source::Gossip);
    }
    let who = presentity(&keypair(1));
    assert_eq!((service.others_present(&who, 2), service.others_present(&who, 9)), (2, 4));
    service.handle_suspected(at(1), presentity(&keypair(2)));
    service.handle_lost(at(1), presentity(&keypair(3)), Evidence::Accused);
    assert_eq!(service.others_present(&who, 9), 2);
}

#[test]
fn what_another_node_says_does_not_overrule_a_link_of_our_own() {
    let mut service = service();
    service.handle_record(at(0), record(&alice(), 1, 1), None, Source::Gossip);
    service.handle_link_established(at(1), presentity(&alice()));
    service.handle_record(at(2), record(&alice(), 1, 2), None, told(0, true));
    assert_eq!(contact(&service), (ContactState::Present, Evidence::Connected));
}

#[test]
fn whoever_said_goodbye_stays_left_while_its_link_winds_up_and_returns_with_a_new_record() {
    let mut service = service();
    let who = presentity(&alice());
    service.handle_record(at(0), record(&alice(), 1, 1), None, Source::Gossip);
    service.handle_record(at(1), departing_record(&alice(), 1, 2), None, Source::Direct);
    service.handle_link_established(at(2), who);
    service.handle_link_down(who);
    service.handle_lost(at(3), who, Evidence::LinkLost);
    assert_eq!(contact(&service).0, ContactState::Left);
    service.handle_record(at(4), record(&alice(), 2, 1), None, Source::Gossip);
    assert_eq!(transitions(&mut service), [Transition::Appeared, Transition::Left, Transition::Returned]);
}

#[test]
fn a_lease_that_ends_without_a_link_makes_lost_and_with_one_does_not() {
    let mut service = service();
    let (alice, bob) = (alice(), bob());
    service.handle_record(at(0), record(&alice, 1, 1), None, Source::Gossip);
    service.handle_record(at(0), record(&bob, 1, 1), None, Source::Gossip);
    service.handle_link_established(at(1), presentity(&bob));
    assert_eq!(service.poll_timeout(), Some(at(3600)));
    service.handle_timeout(at(3599));
    assert!(service.is_in_contact(&presentity(&alice)));
    service.handle_timeout(at(3600));
    assert_eq!(contact(&service), (ContactState::Lost, Evidence::LeaseExpired));
    assert!(service.is_in_contact(&presentity(&bob)));
    assert_eq!(service.poll_timeout(), Some(at(7200)));
}

#[test]
fn a_lease_of_no_time_still_holds_ten_seconds() {
    let mut service = service();
    let body = RecordBody { lease_seconds: 0, ..body(&alice(), 1, 1) };
    service.handle_record(at(0), PresenceRecord::sign(body, &alice()).unwrap(), None, Source::Gossip);
    assert_eq!(service.poll_timeout(), Some(at(10)));
}

#[test]
fn what_was_heard_before_this_run_keeps_its_age() {
    let mut service = service();
    let who = presentity(&alice());
    let a_day = Duration::from_secs(24 * 3600);
    let heard_at = CLOCK.at_start - a_day;
    service.handle_record(at(1), record(&alice(), 1, 1), None, Source::Restored { heard_at });
    let view = service.view(&who).unwrap();
    assert_eq!((view.heard_at, view.contact.since), (heard_at, heard_at));
    let (_, elapsed, lost) = service.told(at(1), &who).unwrap();
    assert_eq!((elapsed, lost), (a_day + Duration::from_secs(1), false));

    service.handle_record(at(2), record(&alice(), 1, 2), None, told(7200, false));
    assert_eq!(service.view(&who).unwrap().heard_at, CLOCK.unix(at(2)) - Duration::from_secs(7200));
    assert_eq!(contact(&service), (ContactState::Lost, Evidence::LeaseExpired));
}

#[test]
fn a_restored_record_is_lost_told_to_nobody_and_not_stored_again() {
    let mut service = service();
    service.handle_record(at(0), record(&alice(), 4, 1), None, Source::Restored { heard_at: CLOCK.at_start });
    assert_eq!(contact(&service), (ContactState::Lost, Evidence::Remembered));
    assert_eq!(outputs(&mut service), []);
}

#[test]
fn a_replay_of_an_old_record_is_refused_after_a_restart_too() {
    let mut service = service();
    service.handle_record(at(0), record(&alice(), 4, 2), None, Source::Restored { heard_at: CLOCK.at_start });
    assert_eq!(service.handle_record(at(1), record(&alice(), 4, 1), None, Source::Direct), Offered::Stale);
    assert_eq!(contact(&service).0, ContactState::Lost);
}

#[test]
fn what_is_only_remembered_is_asked_about_until_somebody_confirms_it() {
    let record = record(&alice(), 4, 1);
    for (source, expected) in [
        (Source::Direct, (ContactState::Present, Evidence::Connected)),
        (told(60, false), (ContactState::Present, Evidence::Told)),
        (told(60, true), (ContactState::Lost, Evidence::Told)),
        (Source::Gossip, (ContactState::Lost, Evidence::Remembered)),
    ] {
        let mut service = service();
        let heard_at = CLOCK.at_start - Duration::from_secs(600);
        service.handle_record(at(0), record.clone(), None, Source::Restored { heard_at });
        assert_eq!((service.fingerprints().count(), service.fingerprints_heard().count()), (1, 0));
        assert_eq!(service.handle_record(at(1), record.clone(), None, source), Offered::Known);
        assert_eq!(contact(&service), expected);
        let confirmed = expected.1 != Evidence::Remembered;
        assert_eq!(service.fingerprints_heard().count(), usize::from(confirmed));
        let returned = expected.0 == ContactState::Present;
        assert_eq!(transitions(&mut service), if returned { vec![Transition::Returned] } else { Vec::new() });
        if confirmed {
            // What others say now of the same record changes nothing more.
            service.handle_record(at(2), record.clone(), None, told(0, returned));
            assert_eq!(contact(&service), expected);
        }
    }
}

#[test]
fn the_lease_of_what_was_confirmed_runs_from_when_it_was_heard() {
    let mut service = service();
    let heard_at = CLOCK.at_start - Duration::from_secs(600);
    service.handle_record(at(0), record(&alice(), 4, 1), None, Source::Restored { heard_at });
    service.handle_record(at(100), record(&alice(), 4, 1), None, told(60, false));
    assert_eq!(service.view(&presentity(&alice())).unwrap().heard_at, CLOCK.unix(at(40)));
    assert_eq!(service.poll_timeout(), Some(at(3640)));
}

#[test]
fn a_clock_that_went_back_makes_nothing_heard_in_the_future() {
    let mut service = service();
    let heard_at = CLOCK.at_start + Duration::from_secs(1000);
    service.handle_record(at(1), record(&alice(), 1, 1), None, Source::Restored { heard_at });
    assert_eq!(service.view(&presentity(&alice())).unwrap().heard_at, CLOCK.unix(at(1)));
}

#[test]
fn a_full_table_forgets_the_one_longest_out_of_contact_and_nobody_who_is_in_contact() {
    let mut service = PresenceService::new(CLOCK, 3);
    for (number, seconds) in [(1, 30), (2, 20), (3, 10)] {
        service.handle_record(at(seconds), record(&keypair(number), 1, 1), None, Source::Gossip);
    }
    assert_eq!(
        service.handle_record(at(40), record(&keypair(4), 1, 1), None, Source::Gossip),
        Offered::TableFull
    );
    service.handle_lost(at(41), presentity(&keypair(2)), Evidence::Accused);
    service.handle_lost(at(42), presentity(&keypair(1)), Evidence::Accused);
    outputs(&mut service);
    assert_eq!(
        service.handle_record(at(43), record(&keypair(4), 1, 1), None, Source::Gossip),
        Offered::Newer
    );
    let forgotten = presentity(&keypair(2));
    assert_eq!(outputs(&mut service).first(), Some(&ServiceOutput::Forget(forgotten)));
    assert_eq!(service.record(&forgotten), None);
    assert_eq!(service.presentities().count(), 3);
    // Of those who are in the table, newer records are always taken.
    assert_eq!(
        service.handle_record(at(44), record(&keypair(3), 1, 2), None, Source::Gossip),
        Offered::Newer
    );
}

#[test]
fn the_fingerprint_is_the_beginning_of_the_hash_little_endian() {
    let record = record(&alice(), 1, 1);
    let hash = Sha256::digest(record.bytes());
    assert_eq!(fingerprint(&record).to_le_bytes(), hash[..8]);
}

/// Everything that can happen to one of three presentities.
#[derive(Debug, Clone)]
enum Step {
    Record {
        source: u8,
        elapsed_seconds: u64,
        record: PresenceRecord,
    },
    LinkEstablished(Presentity),
    LinkDown(Presentity),
    Unreachable(Presentity),
    Timeout,
    /// The node is restarted with what was put out to be stored.
    Restart,
}

fn any_record() -> impl Strategy<Value = PresenceRecord> {
    (1_u8..=3, 1_u64..4, 1_u64..4, 0_u8..3, any::<bool>()).prop_map(
        |(key, incarnation, sequence, name, departing)| {
            let key = keypair(key);
            let public = Some(information(&key, &format!("name {name}")));
            PresenceRecord::sign(RecordBody { public, departing, ..body(&key, incarnation, sequence) }, &key)
                .unwrap()
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let who = || (1_u8..=3).prop_map(|number| presentity(&keypair(number)));
    prop_oneof![
        5 => (0_u8..3, 0_u64..10_000, any_record())
            .prop_map(|(source, elapsed_seconds, record)| Step::Record { source, elapsed_seconds, record }),
        1 => who().prop_map(Step::LinkEstablished),
        1 => who().prop_map(Step::LinkDown),
        1 => who().prop_map(Step::Unreachable),
        1 => Just(Step::Timeout),
        1 => Just(Step::Restart),
    ]
}

fn table(service: &PresenceService) -> Vec<(Presentity, Vec<u8>)> {
    let bytes = |who: &Presentity| service.record(who).unwrap().bytes().to_vec();
    service.presentities().map(|who| (who, bytes(&who))).collect()
}

fn restarted(store: &BTreeMap<Presentity, StoredRecord>, now: Timestamp) -> PresenceService {
    let mut service = service();
    for stored in store.values() {
        let record = PresenceRecord::verify(&stored.bytes, &Realm::default()).unwrap();
        service.handle_record(now, record, None, Source::Restored { heard_at: stored.heard_at });
    }
    service
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Commutative, associative, idempotent: any order of the same records, with any of them any number of
    /// times, and by whatever way they come, ends in the same table.
    #[test]
    fn any_order_and_repetition_of_the_same_records_ends_in_the_same_table(
        records in prop::collection::vec(any_record(), 1..12),
        shuffled in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3), 0..24),
    ) {
        let mut expected = service();
        for record in &records {
            expected.handle_record(at(1), record.clone(), None, Source::Gossip);
        }
        let mut merged = service();
        for (index, source) in shuffled {
            let source = [Source::Direct, Source::Gossip, told(5, true)][usize::from(source)];
            merged.handle_record(at(2), index.get(&records).clone(), None, source);
        }
        for record in records.iter().rev() {
            merged.handle_record(at(3), record.clone(), None, told(1, false));
        }
        prop_assert_eq!(table(&merged), table(&expected));
    }

    /// Merging the merged tables of two nodes is merging all records.
    #[test]
    fn two_tables_merged_either_way_are_one(
        ours in prop::collection::vec(any_record(), 0..8),
        theirs in prop::collection::vec(any_record(), 0..8),
    ) {
        let merge = |records: &[PresenceRecord]| {
            let mut service = service();
            for record in records {
                service.handle_record(at(1), record.clone(), None, Source::Gossip);
            }
            service
        };
        let (mut one, mut other) = (merge(&ours), merge(&theirs));
        let of = |service: &PresenceService| -> Vec<_> {
            service.presentities().filter_map(|who| service.record(&who).cloned()).collect()
        };
        let (from_one, from_other) = (of(&one), of(&other));
        for record in from_other {
            one.handle_record(at(2), record, None, told(0, false));
        }
        for record in from_one {
            other.handle_record(at(2), record, None, told(0, false));
        }
        prop_assert_eq!(table(&one), table(&other));
        prop_assert_eq!(table(&one), table(&merge(&[ours, theirs].concat())));
    }

    #[test]
    fn no_view_ever_goes_back_whatever_happens_and_not_over_a_restart(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut service = service();
        let mut store = BTreeMap::new();
        let mut highest: BTreeMap<Presentity, (Version, Vec<u8>)> = BTreeMap::new();
        for (seconds, step) in (1_u64..).map(|number| number * 700).zip(steps) {
            let now = at(seconds);
            match step {
                Step::Record { source, elapsed_seconds, record } => {
                    let lost = elapsed_seconds % 2 == 0;
                    let sources = [Source::Direct, Source::Gossip, told(elapsed_seconds, lost)];
                    let source = sources[usize::from(source)];
                    service.handle_record(now, record, None, source);
                }
                Step::LinkEstablished(who) => service.handle_link_established(now, who),
                Step::LinkDown(who) => service.handle_link_down(who),
                Step::Unreachable(who) => service.handle_lost(now, who, Evidence::LinkLost),
                Step::Timeout => {
                    service.handle_timeout(now);
                    prop_assert!(service.poll_timeout().is_none_or(|at| at > now));
                }
                Step::Restart => service = restarted(&store, now),
            }
            for output in outputs(&mut service) {
                if let ServiceOutput::Persist(stored) = output {
                    store.insert(stored.presentity, stored);
                }
            }
            for who in service.presentities() {
                let record = service.record(&who).unwrap();
                let seen = (record.version(), record.bytes().to_vec());
                let before = highest.insert(who, seen.clone());
                prop_assert!(before.is_none_or(|before| before <= seen), "{who:?} went back to {:?}", seen.0);
            }
            prop_assert_eq!(service.presentities().count(), highest.len(), "somebody was forgotten");
        }
    }
}
