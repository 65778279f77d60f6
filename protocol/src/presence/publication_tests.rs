use proptest::prelude::*;

use super::*;
use crate::{
    presence::{
        access_rules::{AccessRule, Audience, Handling, Transformations},
        information::{Note, Token},
        record::{ADDRESSES_MAX, RECORD_BYTES_MAX},
    },
    testing::{CLOCK, alice, at, bob, information, presentity, record, record_named},
    wire::codec::WireError,
};

const INCARNATION: u64 = 5;

fn publication() -> Publication {
    publication_of(information(&alice(), "Alice"))
}

fn publication_of(information: PresenceInformation) -> Publication {
    let views = Views::new(at(0), AccessRules::default(), StdRng::from_seed([7; 32]));
    Publication::new(
        at(0),
        CLOCK,
        alice(),
        Realm::default(),
        INCARNATION,
        information,
        views,
        Publishes::Changes,
    )
}

/// A publication whose first record is out.
fn published() -> Publication {
    let mut publication = publication();
    publication.handle_timeout(at(1));
    assert_eq!(versions(&mut publication), [(INCARNATION, 1)]);
    publication
}

fn outputs(publication: &mut Publication) -> Vec<PublicationOutput> {
    std::iter::from_fn(|| publication.poll_output()).collect()
}

/// The versions that are published, of all outputs since the last call.
fn versions(publication: &mut Publication) -> Vec<(u64, u64)> {
    let version = |output| match output {
        PublicationOutput::Publish(record) => Some((record.version().incarnation, record.version().sequence)),
        _ => None,
    };
    outputs(publication).into_iter().filter_map(version).collect()
}

fn millis(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn word(text: &str) -> Token {
    text.parse().unwrap()
}

fn address(number: u8) -> NodeAddress {
    NodeAddress(vec![number; 8])
}

/// The status and the further values of the inbox's tuple in the newest record.
fn status(publication: &Publication) -> (Basic, usize) {
    let information = publication.record().unwrap().body().public.clone().unwrap();
    let status = &information.instant_message_tuple().unwrap().status;
    (status.basic, status.further.len())
}

/// A publication that publishes every minute.
fn rhythmic() -> Publication {
    let document = information(&alice(), "one");
    let every_minute = Publishes::Rhythm(Duration::from_secs(60));
    let views = Views::new(at(0), AccessRules::default(), StdRng::from_seed([1; 32]));
    let (clock, realm) = (CLOCK, Realm::default());
    Publication::new(at(0), clock, alice(), realm, INCARNATION, document, views, every_minute)
}

#[test]
fn in_a_rhythm_a_record_is_published_at_its_times_and_at_no_other_whether_or_not_anything_changed() {
    let mut publication = rhythmic();
    let mut times = Vec::new();
    let mut set = [at(70), at(71), at(200)].into_iter().peekable();
    while let Some(now) = publication.poll_timeout().filter(|now| *now <= at(400)) {
        while let Some(changed) = set.next_if(|changed| *changed < now) {
            let name = format!("at {}", changed.as_millis());
            publication.handle_set(changed, information(&alice(), &name)).unwrap();
        }
        publication.handle_timeout(now);
        while let Some(output) = publication.poll_output() {
            if let PublicationOutput::Publish(record) = output {
                times.push((now.as_millis() / 1000, record.display_name().unwrap().to_owned()));
            }
        }
    }
    let expected = [(0, "one"), (60, "one"), (120, "at 71000"), (180, "at 71000"), (240, "at 200000")];
    let found: Vec<_> = times.iter().take(5).map(|(second, name)| (*second, name.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_first_record_waits_for_the_addresses_of_a_start() {
    let mut publication = publication();
    assert_eq!(publication.poll_timeout(), Some(at(0) + SETTLE_TIME));
    publication.handle_addresses(millis(5), vec![address(1)]);
    publication.handle_addresses(millis(10), vec![address(1), address(2)]);
    publication.handle_timeout(millis(29));
    assert_eq!(publication.record(), None);
    publication.handle_timeout(millis(30));
    assert_eq!(versions(&mut publication), [(INCARNATION, 1)]);
    let body = publication.record().unwrap().body();
    assert_eq!(body.addresses, [address(1), address(2)]);
    assert_eq!((body.lease_seconds, body.departing), (LEASE_SECONDS, false));
}

#[test]
fn a_burst_of_addresses_is_one_record_and_the_same_addresses_are_none() {
    let mut publication = published();
    for number in 1..=4 {
        publication.handle_addresses(millis(2000 + u64::from(number)), vec![address(number)]);
    }
    assert_eq!(publication.poll_timeout(), Some(millis(2031)));
    publication.handle_timeout(millis(2031));
    assert_eq!(versions(&mut publication), [(INCARNATION, 2)]);
    publication.handle_addresses(at(3), vec![address(4)]);
    assert_eq!(publication.poll_timeout(), Some(millis(2031) + REFRESH_INTERVAL));
}

#[test]
fn a_new_document_is_published_at_once_and_stored() {
    let mut publication = published();
    let document = information(&alice(), "Alicia");
    assert_eq!(publication.handle_set(at(2), document.clone()), Ok(()));
    let record = publication.record().unwrap().clone();
    assert_eq!(record.version(), Version { incarnation: INCARNATION, sequence: 2 });
    let expected = [PublicationOutput::Publish(record), PublicationOutput::PersistInformation(document)];
    assert_eq!(outputs(&mut publication), expected);
}

#[test]
fn of_changes_in_quick_succession_the_first_goes_at_once_and_the_last_when_the_interval_is_over() {
    let mut publication = published();
    let named = |number: u64| information(&alice(), &format!("Alice {number}"));
    for number in 0..=50 {
        assert_eq!(publication.handle_set(millis(2000 + number), named(number)), Ok(()));
        publication.handle_timeout(millis(2000 + number));
    }
    assert_eq!(publication.poll_timeout(), Some(at(2) + CHANGE_INTERVAL));
    let done = outputs(&mut publication);
    let stored = done.iter().filter(|done| matches!(done, PublicationOutput::PersistInformation(_)));
    assert_eq!(stored.count(), 51, "each is stored at once");
    assert_eq!(done.len(), 52, "and only the first is published");
    assert_eq!(publication.record().unwrap().body().public, Some(named(0)));
    assert_eq!(publication.effective_information(), named(50));
    publication.handle_timeout(at(2) + CHANGE_INTERVAL);
    assert_eq!(versions(&mut publication), [(INCARNATION, 3)]);
    assert_eq!(publication.record().unwrap().body().public, Some(named(50)));
    assert_eq!(publication.poll_timeout(), Some(at(2) + CHANGE_INTERVAL + REFRESH_INTERVAL));
    // The interval begins anew with what was published at the end of it.
    publication.handle_set(millis(2150), named(51)).unwrap();
    assert_eq!(publication.poll_timeout(), Some(millis(2200)));
    publication.handle_timeout(millis(2200));
    publication.handle_set(millis(2300), named(52)).unwrap();
    assert_eq!(versions(&mut publication), [(INCARNATION, 4), (INCARNATION, 5)]);
}

#[test]
fn a_change_that_waits_and_cannot_be_published_is_refused_at_once_and_the_one_before_it_goes() {
    let mut publication = published();
    publication.handle_set(at(2), information(&alice(), "one")).unwrap();
    publication.handle_set(millis(2010), information(&alice(), "two")).unwrap();
    outputs(&mut publication);
    let mut too_large = information(&alice(), "three");
    for number in 0..4 {
        too_large.markup.extensions.insert(format!("x-{number}"), vec![0; 300]);
    }
    let refused = publication.handle_set(millis(2020), too_large);
    assert!(
        matches!(refused, Err(PublishError::Record(RecordError::Wire(WireError::TooLarge { .. })))),
        "{refused:?}"
    );
    assert_eq!(outputs(&mut publication), []);
    publication.handle_timeout(at(2) + CHANGE_INTERVAL);
    assert_eq!(versions(&mut publication), [(INCARNATION, 3)]);
    assert_eq!(publication.record().unwrap().body().public, Some(information(&alice(), "two")));
}

#[test]
fn the_goodbye_waits_for_no_interval_and_tells_the_last_document() {
    let mut publication = published();
    publication.handle_set(at(2), information(&alice(), "one")).unwrap();
    publication.handle_set(millis(2001), information(&alice(), "two")).unwrap();
    publication.handle_depart(millis(2002));
    assert_eq!(versions(&mut publication), [(INCARNATION, 2), (INCARNATION, 3)]);
    let body = publication.record().unwrap().body();
    assert_eq!((body.departing, &body.public), (true, &Some(information(&alice(), "two"))));
    assert_eq!(publication.poll_timeout(), None);
}

#[test]
fn an_inbox_that_is_now_full_and_now_not_is_no_flood_of_records() {
    let mut publication = published();
    for number in 0..=90 {
        publication.handle_inbox_ready(millis(2000 + number), number % 2 != 0);
        publication.handle_timeout(millis(2000 + number));
    }
    publication.handle_timeout(at(2) + CHANGE_INTERVAL);
    assert_eq!(versions(&mut publication), [(INCARNATION, 2), (INCARNATION, 3)]);
    assert_eq!(status(&publication).0, Basic::Closed);
}

#[test]
fn a_document_that_breaks_a_limit_changes_nothing() {
    let mut publication = published();
    let (document, version) = (publication.information().clone(), publication.record().unwrap().version());
    let mut too_many = document.clone();
    too_many.tuples.clear();
    assert_eq!(
        publication.handle_set(at(2), too_many),
        Err(PublishError::Information(InformationError::NoTuple))
    );
    let mut too_large = document.clone();
    for number in 0..4 {
        too_large.markup.extensions.insert(format!("x-{number}"), vec![0; 300]);
    }
    let refused = publication.handle_set(at(2), too_large);
    assert!(
        matches!(refused, Err(PublishError::Record(RecordError::Wire(WireError::TooLarge { .. })))),
        "{refused:?}"
    );
    assert_eq!(outputs(&mut publication), []);
    assert_eq!(*publication.information(), document);
    assert_eq!(publication.record().unwrap().version(), version);
}

#[test]
fn the_record_is_refreshed_well_before_its_lease_ends() {
    let mut publication = published();
    let due = at(1) + REFRESH_INTERVAL;
    assert_eq!(publication.poll_timeout(), Some(due));
    assert!(REFRESH_INTERVAL < Duration::from_secs(LEASE_SECONDS.into()) * 3 / 4);
    publication.handle_timeout(due);
    assert_eq!(versions(&mut publication), [(INCARNATION, 2)]);
}

#[test]
fn a_full_inbox_is_published_as_closed_and_opens_again() {
    let mut publication = published();
    publication.handle_inbox_ready(at(2), false);
    assert_eq!(publication.poll_timeout(), Some(at(2)));
    publication.handle_timeout(at(2));
    assert_eq!(status(&publication).0, Basic::Closed);
    assert_eq!(publication.information().instant_message_tuple().unwrap().status.basic, Basic::Open);
    publication.handle_inbox_ready(at(3), false);
    publication.handle_timeout(at(3));
    publication.handle_inbox_ready(at(4), true);
    publication.handle_timeout(at(4));
    assert_eq!(status(&publication).0, Basic::Open);
    assert_eq!(versions(&mut publication), [(INCARNATION, 2), (INCARNATION, 3)]);
}

#[test]
fn addresses_that_do_not_fit_beside_the_document_are_left_out_from_the_last() {
    let mut publication = published();
    let addresses: Vec<_> = (0..8).map(|number| NodeAddress(vec![number; 60])).collect();
    publication.handle_addresses(at(2), addresses.clone());
    let mut document = information(&alice(), "Alice");
    document.markup.extensions.insert("x-large".to_owned(), vec![0; 400]);
    assert_eq!(publication.handle_set(at(2), document.clone()), Ok(()));
    let told = &publication.record().unwrap().body().addresses;
    assert!(!told.is_empty() && told.len() < addresses.len());
    assert_eq!(*told, addresses[..told.len()]);
    // When the document has become small again, all of them are told again.
    document.markup.extensions.clear();
    assert_eq!(publication.handle_set(at(3), document), Ok(()));
    assert_eq!(publication.record().unwrap().body().addresses, addresses);
}

#[test]
fn too_many_addresses_or_a_wrong_one_never_keep_the_record_back() {
    let mut publication = publication();
    publication.handle_addresses(at(0), (0..40).map(address).collect());
    publication.handle_timeout(at(1));
    assert_eq!(publication.record().unwrap().body().addresses.len(), ADDRESSES_MAX);
    publication.handle_addresses(at(2), vec![NodeAddress(vec![0; 65])]);
    publication.handle_timeout(at(3));
    assert_eq!(publication.record().unwrap().body().addresses, []);
    assert_eq!(versions(&mut publication), [(INCARNATION, 1), (INCARNATION, 2)]);
}

#[test]
fn a_document_that_cannot_be_published_at_all_is_reported_once() {
    let mut document = information(&alice(), "Alice");
    document.markup.extensions.insert("x-large".to_owned(), vec![0; RECORD_BYTES_MAX]);
    let mut publication = publication_of(document);
    publication.handle_timeout(at(1));
    assert!(matches!(outputs(&mut publication).as_slice(), [PublicationOutput::TooLarge(_)]));
    assert_eq!(publication.poll_timeout(), None);
    // A smaller one mends it.
    assert_eq!(publication.handle_set(at(2), information(&alice(), "Alice")), Ok(()));
    assert_eq!(versions(&mut publication), [(INCARNATION, 1)]);
}

/// The rules that bob alone is handled by in this way.
fn rules_for_bob(handling: Handling) -> AccessRules {
    let mut rules = AccessRules::default();
    let audience = Audience::Watcher(presentity(&bob()));
    rules.put(audience, Some(AccessRule::without_grant(handling))).unwrap();
    rules
}

#[test]
fn rules_that_seal_something_are_published_at_once_like_a_change_of_the_document() {
    let mut publication = published();
    let blocked = rules_for_bob(Handling::Block);
    assert!(publication.handle_rules(at(2), blocked.clone(), |_| None));
    assert_eq!(publication.poll_timeout(), Some(at(2)));
    publication.handle_timeout(at(2));
    let sealed = publication.record().unwrap().body().clone();
    assert_eq!((sealed.public, sealed.sealed_views.len()), (None, 2));
    assert!(!publication.handle_rules(at(3), blocked, |_| None), "the same again");
    // And back, within the interval between changes.
    let soon = at(2) + CHANGE_INTERVAL / 2;
    assert!(publication.handle_rules(soon, AccessRules::default(), |_| None));
    assert_eq!(publication.poll_timeout(), Some(at(2) + CHANGE_INTERVAL));
    publication.handle_timeout(at(2) + CHANGE_INTERVAL);
    let clear = publication.record().unwrap().body().clone();
    assert_eq!((clear.public, clear.sealed_views.len()), (Some(information(&alice(), "Alice")), 0));
}

#[test]
fn after_the_goodbye_rules_publish_nothing() {
    let mut publication = published();
    publication.handle_depart(at(2));
    outputs(&mut publication);
    assert!(!publication.handle_rules(at(3), rules_for_bob(Handling::Block), |_| None));
    assert_eq!((outputs(&mut publication), publication.poll_timeout()), (vec![], None));
}

#[test]
fn the_name_stands_beside_a_sealed_document_unless_nothing_at_all_is_for_anybody() {
    let mut publication = published();
    let name = |publication: &Publication| publication.record().unwrap().display_name().map(str::to_owned);
    let mut rules = rules_for_bob(Handling::Block);
    publication.handle_rules(at(2), rules.clone(), |_| None);
    publication.handle_timeout(at(2));
    assert_eq!(name(&publication).as_deref(), Some("Alice"));
    assert!(publication.record().unwrap().body().extensions.contains_key(DISPLAY_NAME));
    rules.put(Audience::Anybody, Some(AccessRule::without_grant(Handling::Block))).unwrap();
    assert!(publication.handle_rules(at(3), rules, |_| None), "the views are the same");
    publication.handle_timeout(at(3));
    assert_eq!(name(&publication), None);
    publication.handle_rules(at(4000), AccessRules::default(), |_| None);
    publication.handle_timeout(at(4000));
    assert_eq!(name(&publication).as_deref(), Some("Alice"));
    assert!(!publication.record().unwrap().body().extensions.contains_key(DISPLAY_NAME));
}

#[test]
fn rules_whose_views_do_not_fit_are_found_out_before_they_hold() {
    let mut publication = published();
    let mut document = information(&alice(), "Alice");
    document.markup.note = Some(Note { text: "x".repeat(250), language: None });
    assert_eq!(publication.handle_set(at(2), document), Ok(()));
    let mut rules = rules_for_bob(Handling::Block);
    assert_eq!(publication.check_rules(at(3), rules.clone()), Ok(()));
    let grants = Transformations { activities: false, ..Transformations::default() };
    rules.put(Audience::Contacts, Some(AccessRule { grants, ..AccessRule::default() })).unwrap();
    let refused = publication.check_rules(at(3), rules);
    assert!(
        matches!(refused, Err(PublishError::Record(RecordError::Wire(WireError::TooLarge { .. })))),
        "{refused:?}"
    );
    assert_eq!(publication.views().rules(), &AccessRules::default());
}

#[test]
fn a_document_that_does_not_fit_beside_its_views_is_refused_and_the_old_one_stands() {
    let mut publication = published();
    publication.handle_rules(at(2), rules_for_bob(Handling::Block), |_| None);
    publication.handle_timeout(at(2));
    let version = publication.record().unwrap().version();
    let mut document = information(&alice(), "Alice");
    document.markup.extensions.insert("x-large".to_owned(), vec![0; 400]);
    assert!(matches!(publication.handle_set(at(3), document), Err(PublishError::Record(_))));
    assert_eq!(publication.information(), &information(&alice(), "Alice"));
    assert_eq!(publication.record().unwrap().version(), version);
}

#[test]
fn nothing_is_published_after_the_goodbye() {
    let mut publication = published();
    publication.handle_addresses(at(2), vec![address(1)]);
    publication.handle_depart(at(2));
    let last = publication.record().unwrap().clone();
    assert!(last.body().departing && last.body().addresses.is_empty());
    assert_eq!(versions(&mut publication), [(INCARNATION, 2)]);

    publication.handle_depart(at(3));
    publication.handle_addresses(at(3), vec![address(2)]);
    publication.handle_inbox_ready(at(3), false);
    publication.handle_overtaken(at(3), &record(&alice(), 99, 1));
    let document = information(&alice(), "Alicia");
    assert_eq!(publication.handle_set(at(3), document.clone()), Ok(()));
    publication.handle_timeout(at(3) + REFRESH_INTERVAL);
    assert_eq!(publication.poll_timeout(), None);
    assert_eq!(publication.record(), Some(&last));
    assert_eq!(outputs(&mut publication), [PublicationOutput::PersistInformation(document)]);
}

#[test]
fn a_node_that_hears_of_itself_with_a_higher_version_stores_a_higher_incarnation_and_then_publishes_it() {
    let mut publication = published();
    publication.handle_overtaken(at(2), &record(&alice(), 9, 4));
    assert_eq!(outputs(&mut publication), [PublicationOutput::PersistIncarnation(10)]);
    publication.handle_timeout(at(3));
    assert_eq!(versions(&mut publication), [], "the store has not kept it yet");
    publication.handle_incarnation_stored(at(4), 10);
    assert_eq!(versions(&mut publication), [(10, 1)]);
    assert_eq!(publication.incarnation(), 10);
}

#[test]
fn a_jump_that_could_not_be_stored_is_tried_again_when_its_reason_is_heard_of_again() {
    let mut publication = published();
    for _ in 0..5 {
        publication.handle_overtaken(at(2), &record(&alice(), 9, 4));
        assert_eq!(outputs(&mut publication), [PublicationOutput::PersistIncarnation(10)]);
        publication.handle_incarnation_store_failed(10);
        publication.handle_timeout(at(2));
    }
    publication.handle_overtaken(at(3), &record(&alice(), 9, 4));
    outputs(&mut publication);
    publication.handle_incarnation_stored(at(3), 10);
    assert_eq!(versions(&mut publication), [(10, 1)]);
}

#[test]
fn before_the_first_record_only_what_beats_this_run_makes_it_jump() {
    let mut publication = publication();
    publication.handle_overtaken(at(0), &record(&alice(), INCARNATION - 1, 7));
    assert_eq!(outputs(&mut publication), []);
    publication.handle_overtaken(at(0), &record(&alice(), INCARNATION, 1));
    assert_eq!(outputs(&mut publication), [PublicationOutput::PersistIncarnation(INCARNATION + 1)]);
}

#[test]
fn an_older_record_of_this_presentity_makes_no_jump_and_the_same_version_with_greater_bytes_does() {
    let mut publication = published();
    publication.handle_overtaken(at(2), &record(&alice(), INCARNATION, 0));
    assert_eq!(outputs(&mut publication), []);
    // The length of a name stands before it, so the longer one makes the greater bytes.
    publication.handle_overtaken(at(2), &record_named(&alice(), INCARNATION, 1, "Al"));
    assert_eq!(outputs(&mut publication), []);
    publication.handle_overtaken(at(2), &record_named(&alice(), INCARNATION, 1, "Alicia"));
    assert_eq!(outputs(&mut publication), [PublicationOutput::PersistIncarnation(INCARNATION + 1)]);
}

#[test]
fn the_same_news_twice_is_one_jump_and_higher_news_replaces_it() {
    let mut publication = published();
    publication.handle_overtaken(at(2), &record(&alice(), 9, 4));
    publication.handle_overtaken(at(2), &record(&alice(), 9, 4));
    publication.handle_overtaken(at(2), &record(&alice(), 12, 1));
    let expected = [PublicationOutput::PersistIncarnation(10), PublicationOutput::PersistIncarnation(13)];
    assert_eq!(outputs(&mut publication), expected);
    publication.handle_incarnation_stored(at(3), 10);
    publication.handle_timeout(at(3));
    assert_eq!(versions(&mut publication), []);
    publication.handle_incarnation_stored(at(3), 13);
    publication.handle_timeout(at(4));
    assert_eq!(versions(&mut publication), [(13, 1)]);
}

#[test]
fn two_machines_with_one_key_chase_each_other_ever_more_slowly_and_the_principal_is_told() {
    let mut publication = published();
    let mut now = at(10);
    let mut waits = Vec::new();
    let mut told = 0;
    for _ in 0..9 {
        let above = publication.incarnation() + 1;
        publication.handle_overtaken(now, &record(&alice(), above, 1));
        publication.handle_incarnation_stored(now, above + 1);
        let jumped = |publication: &Publication| publication.incarnation() == above + 1;
        if !jumped(&publication) {
            let due = publication.poll_timeout().unwrap();
            waits.push(due.since(now).as_secs());
            now = due;
            publication.handle_timeout(now);
        }
        assert!(jumped(&publication));
        told += outputs(&mut publication)
            .iter()
            .filter(|output| **output == PublicationOutput::KeyInUseElsewhere)
            .count();
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(told, 1);
}

/// A document that is busy until `tuple_until` in its tuple and until `document_until` as a whole.
fn busy(tuple_until: Option<u64>, document_until: Option<u64>) -> PresenceInformation {
    let mut document = information(&alice(), "Alice");
    let tuple = &mut document.tuples[0];
    tuple.status.basic = Basic::Closed;
    tuple.status.further.insert(word("busy"));
    tuple.markup.until = tuple_until.map(|seconds| CLOCK.unix(at(seconds)));
    tuple.markup.note = Some(Note { text: "in a meeting".to_owned(), language: None });
    document.markup.until = document_until.map(|seconds| CLOCK.unix(at(seconds)));
    document.markup.activities.insert(word("meeting"));
    document
}

#[test]
fn a_document_with_an_until_goes_back_to_plain_open_at_that_time() {
    let mut publication = published();
    assert_eq!(publication.handle_set(at(2), busy(None, Some(100))), Ok(()));
    assert_eq!(publication.poll_timeout(), Some(at(100)));
    publication.handle_timeout(at(99));
    assert_eq!(status(&publication), (Basic::Closed, 1));
    outputs(&mut publication);
    publication.handle_timeout(at(100));
    assert_eq!(status(&publication), (Basic::Open, 0));
    let markup = &publication.information().markup;
    assert_eq!((markup.until, markup.activities.len()), (None, 0));
    let stored = publication.information().clone();
    let record = publication.record().unwrap().clone();
    let outputs = outputs(&mut publication);
    assert!(
        outputs.contains(&PublicationOutput::PersistInformation(stored))
            && outputs.contains(&PublicationOutput::Publish(record))
    );
    assert_eq!(publication.poll_timeout(), Some(at(100) + REFRESH_INTERVAL));
}

#[test]
fn the_until_of_a_tuple_ends_that_tuple_alone() {
    let mut publication = published();
    let mut document = busy(Some(50), Some(100));
    let mut phone = document.tuples[0].clone();
    phone.id = word("phone");
    phone.communication_address = None;
    phone.markup.until = None;
    document.tuples.push(phone.clone());
    assert_eq!(publication.handle_set(at(2), document), Ok(()));
    publication.handle_timeout(at(50));
    assert_eq!(status(&publication), (Basic::Open, 0));
    let now = publication.information();
    assert_eq!((now.tuples[0].markup.note.as_ref(), now.tuples[0].markup.until), (None, None));
    assert_eq!((&now.tuples[1], now.markup.until), (&phone, Some(CLOCK.unix(at(100)))));
    assert_eq!(publication.poll_timeout(), Some(at(100)));
}

#[test]
fn an_until_that_is_over_ends_at_the_next_timeout() {
    let mut publication = published();
    let mut document = busy(None, None);
    document.markup.until = Some(crate::time::UnixTime::from_millis(1));
    assert_eq!(publication.handle_set(at(2), document), Ok(()));
    assert!(publication.poll_timeout().unwrap() <= at(2));
    publication.handle_timeout(at(2));
    assert_eq!(status(&publication), (Basic::Open, 0));
    assert!(publication.poll_timeout().unwrap() > at(2));
}

#[derive(Debug, Clone)]
enum Step {
    Set { tuple_until: Option<u64>, document_until: Option<u64> },
    Addresses(u8),
    InboxReady(bool),
    Overtaken(u64, u64),
    Stored,
    Wait(u64),
    WaitMillis(u64),
    Depart,
}

fn any_step() -> impl Strategy<Value = Step> {
    let until = || prop::option::of(0_u64..20_000);
    prop_oneof![
        2 => (until(), until())
            .prop_map(|(tuple_until, document_until)| Step::Set { tuple_until, document_until }),
        2 => (0_u8..12).prop_map(Step::Addresses),
        2 => any::<bool>().prop_map(Step::InboxReady),
        2 => (0_u64..12, 0_u64..4).prop_map(|(incarnation, sequence)| Step::Overtaken(incarnation, sequence)),
        2 => Just(Step::Stored),
        4 => (0_u64..5000).prop_map(Step::Wait),
        4 => (0_u64..150).prop_map(Step::WaitMillis),
        1 => Just(Step::Depart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn versions_only_rise_never_before_they_are_stored_and_no_deadline_stays_behind(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut publication = publication();
        let mut now = at(0);
        let mut stored = INCARNATION;
        let mut storing = Vec::new();
        let mut last = Version::default();
        let mut departed = false;
        for step in steps {
            match step {
                Step::Set { tuple_until, document_until } => {
                    prop_assert_eq!(publication.handle_set(now, busy(tuple_until, document_until)), Ok(()));
                }
                Step::Addresses(count) => {
                    publication.handle_addresses(now, (0..count).map(address).collect());
                }
                Step::InboxReady(ready) => publication.handle_inbox_ready(now, ready),
                Step::Overtaken(incarnation, sequence) => {
                    publication.handle_overtaken(now, &record(&alice(), incarnation, sequence));
                }
                Step::Stored => {
                    if let Some(incarnation) = storing.pop() {
                        stored = stored.max(incarnation);
                        publication.handle_incarnation_stored(now, incarnation);
                    }
                }
                Step::Wait(seconds) => now = now + Duration::from_secs(seconds),
                Step::WaitMillis(millis) => now = now + Duration::from_millis(millis),
                Step::Depart => publication.handle_depart(now),
            }
            publication.handle_timeout(now);
            prop_assert!(publication.poll_timeout().is_none_or(|at| at > now));
            for output in outputs(&mut publication) {
                match output {
                    PublicationOutput::Publish(record) => {
                        prop_assert!(!departed, "published after the goodbye");
                        departed = record.body().departing;
                        prop_assert!(record.version() > last);
                        last = record.version();
                        prop_assert!(last.incarnation <= stored);
                    }
                    PublicationOutput::PersistIncarnation(incarnation) => storing.push(incarnation),
                    PublicationOutput::PersistInformation(_) | PublicationOutput::KeyInUseElsewhere => (),
                    PublicationOutput::TooLarge(error) => prop_assert!(false, "{error}"),
                }
            }
        }
    }

    #[test]
    fn changes_are_never_closer_than_the_interval_and_the_last_is_published_within_it(
        waits in prop::collection::vec(0_u64..160, 1..40),
    ) {
        let mut publication = published();
        let mut now = at(2);
        let mut published_at: Vec<Timestamp> = Vec::new();
        for (number, wait) in waits.into_iter().enumerate() {
            // Whoever drives it comes back when it is due.
            while let Some(due) = publication.poll_timeout().filter(|due| *due <= now) {
                publication.handle_timeout(due);
                published_at.extend(versions(&mut publication).iter().map(|_| due));
            }
            let document = information(&alice(), &format!("Alice {number}"));
            prop_assert_eq!(publication.handle_set(now, document.clone()), Ok(()));
            published_at.extend(versions(&mut publication).iter().map(|_| now));
            let due = publication.poll_timeout().unwrap();
            let told = publication.record().unwrap().body().public.as_ref() == Some(&document);
            prop_assert!(told || due <= now + CHANGE_INTERVAL);
            now = now + Duration::from_millis(wait);
        }
        for pair in published_at.windows(2) {
            prop_assert!(pair[1].since(pair[0]) >= CHANGE_INTERVAL);
        }
    }
}
