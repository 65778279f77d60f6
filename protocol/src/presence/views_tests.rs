use rand::SeedableRng;

use super::*;
use crate::{
    presence::{
        access_rules::{AccessRule, Audience, Handling, Transformations},
        information::Note,
        record::{PresenceRecord, RecordBody},
    },
    testing::{alice, at, body, information, keypair, presentity},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Alice's views, and the records that she published.
struct Publisher {
    views: Views,
    contacts: BTreeSet<Presentity>,
    records: u64,
}

impl Publisher {
    fn new(rules: &[(Audience, AccessRule)], contacts: &[Presentity]) -> Self {
        let rules = AccessRules::new(rules.iter().cloned());
        let views = Views::new(at(0), rules, StdRng::seed_from_u64(1));
        Self { views, contacts: contacts.iter().copied().collect(), records: 0 }
    }

    fn publish(&mut self, now: Timestamp, document: &PresenceInformation) -> PresenceRecord {
        self.records += 1;
        self.views.handle_publishing(now, document);
        let (public, sealed_views) = self.views.seal(&presentity(&alice()), document);
        self.views.handle_published(document);
        let body = RecordBody { public, sealed_views, ..body(&alice(), 1, self.records) };
        PresenceRecord::sign(body, &alice()).unwrap()
    }

    /// What `watcher` is given by the rules that hold.
    fn view(&self, watcher: Presentity) -> Option<View> {
        self.views.rules().decide(watcher, self.contacts.contains(&watcher), false).view()
    }

    fn put(&mut self, audience: Audience, rule: AccessRule) -> bool {
        let mut rules = self.views.rules().clone();
        rules.put(audience, Some(rule)).unwrap();
        let contacts = self.contacts.clone();
        let given = |who: &Presentity| rules.decide(*who, contacts.contains(who), false).view();
        self.views.handle_rules(at(0), rules.clone(), given)
    }

    fn release(&mut self, watcher: Presentity) -> ViewKey {
        let view = self.view(watcher).expect("it is given something");
        self.views.release(watcher, &view).expect("that is sealed").key
    }

    /// Whether there is news for `watcher`, and the key that it lacked.
    fn news(&mut self, watcher: Presentity) -> Option<Option<ViewKey>> {
        let view = self.view(watcher)?;
        let lacks_key = self.views.holds(&watcher, &view) == Some(false);
        self.views.has_news(&watcher, &view).then(|| {
            let released = self.views.release(watcher, &view);
            released.filter(|_| lacks_key).map(|released| released.key)
        })
    }
}

fn opened(key: &ViewKey, record: &PresenceRecord) -> Option<PresenceInformation> {
    key.open(record).map(|(document, _)| document)
}

fn noted(note: &str) -> PresenceInformation {
    let mut document = information(&alice(), "Alice");
    document.markup.note = Some(Note { text: note.to_owned(), language: None });
    document
}

fn closed(document: &PresenceInformation) -> PresenceInformation {
    let mut document = document.clone();
    document.tuples[0].status.basic = Basic::Closed;
    document
}

fn bob() -> Presentity {
    presentity(&keypair(2))
}

fn carol() -> Presentity {
    presentity(&keypair(3))
}

fn dave() -> Presentity {
    presentity(&keypair(4))
}

fn allow(grants: Transformations) -> AccessRule {
    AccessRule { grants, ..AccessRule::default() }
}

fn handled(handling: Handling) -> AccessRule {
    AccessRule::without_grant(handling)
}

/// Nothing in the clear; everything for the contacts bob and carol, the status for strangers such as dave.
fn publisher() -> Publisher {
    let rules = [
        (Audience::Anybody, handled(Handling::Block)),
        (Audience::Strangers, allow(Transformations::status_only())),
    ];
    Publisher::new(&rules, &[bob(), carol()])
}

#[test]
fn by_default_everything_goes_in_the_clear_and_nobody_needs_a_key() {
    let mut publisher = Publisher::new(&[], &[]);
    let record = publisher.publish(at(0), &noted("hello"));
    assert_eq!(record.body().public, Some(noted("hello")));
    assert_eq!(record.body().sealed_views, []);
    let view = publisher.view(bob()).unwrap();
    assert_eq!(publisher.views.release(bob(), &view), None);
}

#[test]
fn each_watcher_opens_its_own_view_and_nothing_of_it_is_in_the_clear() {
    let mut publisher = publisher();
    let record = publisher.publish(at(0), &noted("hello"));
    assert_eq!((record.body().public.as_ref(), record.body().sealed_views.len()), (None, 3));
    assert_eq!(opened(&publisher.release(bob()), &record), Some(noted("hello")));
    let status_only = View::Granted(Transformations::status_only()).of(&noted("hello"));
    assert_eq!(opened(&publisher.release(dave()), &record), Some(status_only));
}

#[test]
fn a_key_that_is_released_opens_what_is_published_from_then_on_and_nothing_from_before() {
    let mut publisher = publisher();
    let before = publisher.publish(at(0), &noted("before"));
    let newest = publisher.publish(at(1), &noted("newest"));
    let key = publisher.release(bob());
    let later = publisher.publish(at(2), &noted("later"));
    assert_eq!(opened(&key, &before), None);
    assert_eq!(opened(&key, &newest), Some(noted("newest")));
    assert_eq!(opened(&key, &later), Some(noted("later")));
}

#[test]
fn a_key_that_is_released_before_there_is_a_record_opens_the_first() {
    let mut publisher = publisher();
    let key = publisher.release(bob());
    let first = publisher.publish(at(0), &noted("first"));
    assert_eq!(opened(&key, &first), Some(noted("first")));
}

#[test]
fn revoking_one_holder_begins_just_that_chain_anew_and_the_others_are_given_the_new_key_with_the_news() {
    let mut publisher = publisher();
    publisher.publish(at(0), &noted("before"));
    let [bobs, carols, daves] = [bob(), carol(), dave()].map(|who| publisher.release(who));
    assert!(publisher.put(Audience::Watcher(bob()), handled(Handling::Block)), "a new record is needed");
    let after = publisher.publish(at(1), &noted("after"));
    assert_eq!((opened(&bobs, &after), opened(&carols, &after)), (None, None));
    assert_eq!(publisher.news(bob()), None);
    let new = publisher.news(carol()).expect("there is news").expect("with a key");
    assert_eq!(opened(&new, &after), Some(noted("after")));
    assert!(opened(&daves, &after).is_some(), "another view goes on with its chain");
    assert_eq!(publisher.news(dave()), None, "and shows nothing new");
}

#[test]
fn a_holder_who_is_refused_opens_no_later_record_and_the_next_is_not_made_for_that() {
    let mut publisher = publisher();
    publisher.publish(at(0), &noted("before"));
    let (bobs, daves) = (publisher.release(bob()), publisher.release(dave()));
    publisher.views.handle_refused(&bob());
    publisher.views.handle_refused(&carol());
    assert!(!publisher.views.awaits_record());
    let goodbye = publisher.publish(at(1), &noted("before"));
    assert_eq!(
        opened(&bobs, &goodbye),
        Some(noted("before")),
        "he has read that, and carol needs no new key"
    );
    let after = publisher.publish(at(1), &noted("after"));
    assert_eq!((opened(&bobs, &after), opened(&daves, &after).is_some()), (None, true));
    // Whoever is let is given the new key, also bob if that is he again.
    let carols = publisher.news(carol()).flatten().expect("she lacks it");
    assert_eq!(opened(&carols, &after), Some(noted("after")));
    let again = publisher.publish(at(2), &noted("again"));
    assert_eq!(opened(&carols, &again), Some(noted("again")), "it was begun anew once");
}

#[test]
fn a_rule_that_takes_nothing_from_any_holder_needs_no_new_record() {
    let mut publisher = publisher();
    publisher.publish(at(0), &noted("hello"));
    publisher.release(bob());
    assert!(!publisher.put(Audience::Watcher(dave()), handled(Handling::Block)), "he never had a key");
    assert!(!publisher.put(Audience::Watcher(bob()), AccessRule::default()), "what he has anyway");
}

#[test]
fn a_polite_block_gives_the_decoy_and_never_anything_else() {
    let mut publisher = publisher();
    assert!(!publisher.put(Audience::Watcher(bob()), handled(Handling::PoliteBlock)));
    let first = publisher.publish(at(0), &noted("hello"));
    let key = publisher.release(bob());
    let decoy = View::Decoy.of(&noted("hello"));
    assert_eq!(opened(&key, &first), Some(decoy.clone()));
    // Neither a change of what is hidden nor how often there is one shows.
    let second = publisher.publish(at(1), &noted("away"));
    assert_eq!((opened(&key, &second), publisher.news(bob())), (Some(decoy), None));
    assert_eq!(publisher.news(carol()).map(|key| key.is_some()), Some(true));
}

#[test]
fn turning_closed_begins_all_chains_anew_so_that_who_is_politely_blocked_learns_nothing_from_a_new_key() {
    let mut publisher = publisher();
    publisher.put(Audience::Watcher(bob()), handled(Handling::PoliteBlock));
    publisher.publish(at(0), &noted("hello"));
    let keys = [bob(), carol(), dave()].map(|who| (who, publisher.release(who)));
    let record = publisher.publish(at(1), &closed(&noted("hello")));
    for (who, key) in keys {
        assert_eq!(opened(&key, &record), None);
        assert_eq!(publisher.news(who).map(|key| key.is_some()), Some(true), "each is given a new key");
    }
    // What is CLOSED already does not turn so again, and opening needs no other keys.
    let keys = [bob(), carol(), dave()].map(|who| publisher.release(who));
    for document in [closed(&noted("still")), noted("open")] {
        let record = publisher.publish(at(2), &document);
        assert!(keys.iter().all(|key| opened(key, &record).is_some()));
    }
}

#[test]
fn a_chain_is_begun_anew_after_a_day() {
    let mut publisher = publisher();
    publisher.publish(at(0), &noted("hello"));
    let key = publisher.release(bob());
    let last = publisher.publish(at(0) + DAY - Duration::from_secs(1), &noted("hello"));
    assert_eq!((opened(&key, &last).is_some(), publisher.news(bob())), (true, None));
    let next = publisher.publish(at(0) + DAY, &noted("hello"));
    assert_eq!(opened(&key, &next), None);
    let new = publisher.news(bob()).flatten().expect("a new key");
    assert_eq!(opened(&new, &next), Some(noted("hello")));
}

#[test]
fn a_refresh_is_sealed_anew_and_is_no_news_to_a_holder() {
    let mut publisher = publisher();
    let first = publisher.publish(at(0), &noted("hello"));
    let key = publisher.release(bob());
    let refresh = publisher.publish(at(2400), &noted("hello"));
    let ciphertexts = |record: &PresenceRecord| -> Vec<_> {
        record.body().sealed_views.iter().map(|view| view.ciphertext[4..].to_vec()).collect()
    };
    let (before, after) = (ciphertexts(&first), ciphertexts(&refresh));
    assert!(before.iter().all(|view| !after.contains(view)), "no two are alike");
    assert_eq!(publisher.news(bob()), None);
    assert_eq!(opened(&key, &refresh), Some(noted("hello")));
    assert_eq!(publisher.news(carol()).map(|key| key.is_some()), Some(true), "who has no key yet is told");
}

#[test]
fn a_change_that_a_view_does_not_show_is_no_news_in_it() {
    let mut publisher = publisher();
    publisher.publish(at(0), &noted("hello"));
    publisher.release(bob());
    publisher.release(dave());
    publisher.publish(at(1), &noted("goodbye"));
    assert_eq!((publisher.news(bob()), publisher.news(dave())), (Some(None), None));
}

#[test]
fn news_in_the_clear_is_what_the_clear_shows() {
    let rules = Audience::CLASSES.map(|class| (class, allow(Transformations::status_only())));
    let mut publisher = Publisher::new(&rules, &[]);
    publisher.publish(at(0), &noted("hello"));
    assert_eq!(publisher.news(bob()), Some(None));
    publisher.publish(at(1), &noted("goodbye"));
    assert_eq!(publisher.news(bob()), None);
    publisher.publish(at(2), &closed(&noted("goodbye")));
    assert_eq!(publisher.news(bob()), Some(None));
}

#[test]
fn views_stand_in_the_order_of_their_names_and_are_of_one_length() {
    for seed in 0..10 {
        let mut publisher = publisher();
        publisher.views.random = StdRng::seed_from_u64(seed);
        let without_notes = Transformations { notes: false, ..Transformations::default() };
        publisher.put(Audience::Watcher(bob()), allow(without_notes));
        // All of them are renamed.
        publisher.publish(at(0), &noted("hello"));
        let record = publisher.publish(at(0), &closed(&noted("somewhat longer")));
        let views = &record.body().sealed_views;
        assert_eq!(views.len(), 4);
        assert!(views.windows(2).all(|two| two[0].key_id < two[1].key_id));
        let lengths: BTreeSet<_> = views.iter().map(|view| view.ciphertext.len()).collect();
        assert_eq!(lengths.len(), 1);
    }
}

#[test]
fn two_runs_have_no_key_in_common() {
    let names = |seed| -> Vec<_> {
        let mut publisher = publisher();
        publisher.views = Views::new(at(0), publisher.views.rules().clone(), StdRng::seed_from_u64(seed));
        let record = publisher.publish(at(0), &noted("hello"));
        record.body().sealed_views.iter().map(|view| view.key_id).collect()
    };
    assert_eq!(names(1), names(1));
    assert!(names(1).iter().all(|name| !names(2).contains(name)));
}

#[test]
fn a_chain_with_more_holders_than_are_told_apart_is_begun_anew_with_each_change_of_the_rules() {
    let mut publisher = publisher();
    publisher.publish(at(0), &noted("hello"));
    let everything = View::Granted(Transformations::default());
    for number in 0..HOLDERS_MAX {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let who = Presentity::from_public_key_bytes(bytes);
        publisher.contacts.insert(who);
        publisher.views.release(who, &everything);
    }
    assert!(!publisher.put(Audience::Watcher(dave()), handled(Handling::Block)));
    let key = publisher.release(bob());
    assert!(publisher.put(Audience::Watcher(dave()), AccessRule::default()));
    let record = publisher.publish(at(1), &noted("hello"));
    assert_eq!(opened(&key, &record), None);
    assert_eq!(publisher.news(bob()).map(|key| key.is_some()), Some(true));
}

#[test]
fn keys_may_be_kept_for_a_day() {
    let mut publisher = publisher();
    let view = publisher.view(bob()).unwrap();
    let released = publisher.views.release(bob(), &view).unwrap();
    assert_eq!(released.lifetime_seconds, 86_400);
}
