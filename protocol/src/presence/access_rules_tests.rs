use std::num::NonZeroU32;

use proptest::{collection, option, prelude::*};

use super::*;
use crate::{
    presence::{
        information::{CommunicationAddress, Note},
        user_input::{InputState, UserInput},
    },
    testing::{alice, arbitrary::user_input_grant, bob, information, keypair, presentity},
    time::UnixTime,
    wire::codec::encode,
};

fn allow(grants: Transformations) -> AccessRule {
    AccessRule { grants, ..AccessRule::default() }
}

fn block() -> AccessRule {
    AccessRule::without_grant(Handling::Block)
}

fn tuples(ids: &[&str]) -> Transformations {
    let ids = ids.iter().map(|id| id.parse().unwrap()).collect();
    Transformations { tuples: Some(ids), ..Transformations::default() }
}

fn without_notes() -> Transformations {
    Transformations { notes: false, ..Transformations::default() }
}

fn watcher(number: u8) -> Presentity {
    presentity(&keypair(number))
}

fn with(rules: &[(Audience, AccessRule)]) -> AccessRules {
    let mut set = AccessRules::default();
    for (audience, rule) in rules {
        set.put(*audience, Some(rule.clone())).unwrap();
    }
    set
}

#[test]
fn who_hides_is_refused_by_a_rule_for_the_visible_alone_and_finds_nothing_in_the_clear() {
    let visible_only = |handling| AccessRule { handling, visible_only: true, ..AccessRule::default() };
    let handled = |handling, hides| {
        let rules = AccessRules::new([(Audience::Strangers, visible_only(handling))]);
        assert_eq!(rules.clear(), None);
        rules.decide(watcher(1), false, hides).handling
    };
    for handling in [Handling::Block, Handling::Confirm, Handling::PoliteBlock, Handling::Allow] {
        assert_eq!(handled(handling, false), handling);
    }
    assert_eq!(handled(Handling::Allow, true), Handling::Block);
    assert_eq!(handled(Handling::Confirm, true), Handling::Block);
    assert_eq!(
        handled(Handling::PoliteBlock, true),
        Handling::PoliteBlock,
        "it must not be told from CLOSED"
    );
    let rules = AccessRules::new([(Audience::Strangers, visible_only(Handling::Allow))]);
    assert_eq!(rules.decide(watcher(1), true, true), &AccessRule::default(), "the rule of the contacts");
    let refused = AccessRules::default().put(Audience::Anybody, Some(visible_only(Handling::Allow)));
    assert_eq!(refused, Err(AccessRuleError::AnybodyAsksNothing));
}

#[test]
fn user_input_is_given_by_degrees() {
    let input = UserInput {
        state: InputState::Idle,
        idle_threshold_seconds: NonZeroU32::new(300),
        last_input: Some(UnixTime::from_millis(7)),
    };
    let mut document = information(&alice(), "Alice");
    document.markup.user_input = Some(input);
    let seen = |user_input| {
        let granted = Transformations { user_input, ..Transformations::default() };
        View::Granted(granted).of(&document).markup.user_input
    };
    assert_eq!(seen(UserInputGrant::Full), Some(input));
    let thresholds = UserInput { last_input: None, ..input };
    assert_eq!(seen(UserInputGrant::Thresholds), Some(thresholds));
    assert_eq!(seen(UserInputGrant::Bare), Some(UserInput { idle_threshold_seconds: None, ..thresholds }));
    assert_eq!(seen(UserInputGrant::Withheld), None);
}

#[test]
fn by_default_everything_is_granted_to_everybody_and_nothing_is_sealed() {
    let rules = AccessRules::default();
    let document = marked(&["phone", "desk"]);
    for is_contact in [false, true] {
        let rule = rules.decide(watcher(1), is_contact, false);
        assert_eq!((rule.handling, rule.watchers), (Handling::Allow, false));
        assert_eq!(rule.view().unwrap().of(&document), document);
    }
    assert_eq!(View::Granted(rules.clear().unwrap()).of(&document), document);
    assert_eq!(rules.sealed(), BTreeSet::new());
    assert_eq!(rules.iter().map(|(audience, _)| *audience).collect::<Vec<_>>(), Audience::CLASSES);
}

#[test]
fn the_most_particular_rule_decides_alone() {
    let own = Audience::Watcher(watcher(1));
    let rules = with(&[
        (own, allow(Transformations::status_only())),
        (Audience::Contacts, AccessRule::without_grant(Handling::Confirm)),
        (Audience::Strangers, block()),
    ]);
    for is_contact in [false, true] {
        assert_eq!(rules.decide(watcher(1), is_contact, false).grants, Transformations::status_only());
    }
    assert_eq!(rules.decide(watcher(2), true, false).handling, Handling::Confirm);
    assert_eq!(rules.decide(watcher(2), false, false).handling, Handling::Block);
}

#[test]
fn a_rule_that_is_taken_back_leaves_a_watcher_to_its_class_and_a_class_to_the_default() {
    let own = Audience::Watcher(watcher(1));
    let mut rules = with(&[(own, allow(without_notes())), (Audience::Strangers, block())]);
    assert_eq!(rules.of(&own), Some(&allow(without_notes())));
    rules.put(own, None).unwrap();
    assert_eq!((rules.of(&own), rules.decide(watcher(1), false, false)), (None, &block()));
    rules.put(Audience::Strangers, None).unwrap();
    assert_eq!(rules, AccessRules::default());
}

#[test]
fn blocking_one_watcher_takes_everything_out_of_the_clear() {
    for handling in [Handling::Block, Handling::Confirm, Handling::PoliteBlock] {
        let rule = AccessRule::without_grant(handling);
        let rules = with(&[(Audience::Watcher(watcher(1)), rule)]);
        assert_eq!(rules.clear(), None, "{handling:?}");
        // The others are granted what they were, under a seal.
        let everything = View::Granted(Transformations::default());
        assert_eq!(rules.sealed(), BTreeSet::from([View::Decoy, everything]));
    }
}

#[test]
fn a_lesser_grant_for_one_watcher_takes_just_that_out_of_the_clear() {
    let rules = with(&[(Audience::Watcher(watcher(1)), allow(without_notes()))]);
    assert_eq!(rules.clear(), Some(without_notes()));
    let everything = View::Granted(Transformations::default());
    assert_eq!(
        rules.sealed(),
        BTreeSet::from([View::Decoy, everything]),
        "what is in the clear is not sealed"
    );

    let two = with(&[
        (Audience::Watcher(watcher(1)), allow(tuples(&["phone", "desk"]))),
        (Audience::Watcher(watcher(2)), allow(tuples(&["desk", "inbox"]))),
    ]);
    assert_eq!(two.clear(), Some(tuples(&["desk"])));
}

#[test]
fn what_anybody_is_granted_less_goes_to_those_who_ask_under_a_seal() {
    let rules = with(&[(Audience::Anybody, block())]);
    assert_eq!(rules.clear(), None);
    assert!(rules.sealed().contains(&View::Granted(Transformations::default())));
}

#[test]
fn the_decoy_is_there_as_soon_as_anything_is_sealed_and_not_before() {
    assert!(!AccessRules::default().sealed().contains(&View::Decoy));
    let status_only = allow(Transformations::status_only());
    let all_alike = Audience::CLASSES.map(|class| (class, status_only.clone()));
    assert_eq!(with(&all_alike).sealed(), BTreeSet::new());
    assert!(with(&[(Audience::Contacts, status_only)]).sealed().contains(&View::Decoy));
    let all_blocked = Audience::CLASSES.map(|class| (class, block()));
    assert_eq!(with(&all_blocked).sealed(), BTreeSet::from([View::Decoy]));
}

#[test]
fn one_politely_blocked_watcher_changes_nothing_in_how_many_views_there_are() {
    let blocked = with(&[(Audience::Watcher(watcher(1)), block())]);
    let politely = with(&[(Audience::Watcher(watcher(1)), AccessRule::without_grant(Handling::PoliteBlock))]);
    assert_eq!((blocked.clear(), blocked.sealed()), (politely.clear(), politely.sealed()));
}

#[test]
fn who_asks_nothing_can_only_be_allowed_or_blocked() {
    let mut rules = AccessRules::default();
    for handling in [Handling::Confirm, Handling::PoliteBlock] {
        let rule = AccessRule::without_grant(handling);
        assert_eq!(rules.put(Audience::Anybody, Some(rule)), Err(AccessRuleError::AnybodyAsksNothing));
    }
    assert_eq!(rules, AccessRules::default());
    assert_eq!(rules.put(Audience::Anybody, Some(block())), Ok(()));
}

#[test]
fn a_rule_beyond_a_limit_is_refused_and_the_old_ones_stand() {
    let ids = |count: usize| Transformations {
        tuples: Some((0..count).map(|id| format!("tuple-{id}").parse().unwrap()).collect()),
        ..Transformations::default()
    };
    let mut rules = AccessRules::default();
    let too_many = Some(allow(ids(TUPLES_MAX + 1)));
    assert_eq!(rules.put(Audience::Contacts, too_many), Err(AccessRuleError::TooManyTuples));
    assert_eq!(rules.put(Audience::Contacts, Some(allow(ids(TUPLES_MAX)))), Ok(()));

    let number = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Audience::Watcher(Presentity::from_public_key_bytes(bytes))
    };
    let full = AccessRules::new((0..WATCHER_RULES_MAX).map(|watcher| (number(watcher), block())));
    let mut rules = full.clone();
    let one_more = rules.put(number(WATCHER_RULES_MAX), Some(block()));
    assert_eq!((one_more, &rules), (Err(AccessRuleError::TooManyWatchers), &full));
    assert_eq!(rules.put(number(0), Some(AccessRule::default())), Ok(()));
    assert_eq!(rules.put(number(1), None), Ok(()));
    assert_eq!(rules.put(number(WATCHER_RULES_MAX), Some(block())), Ok(()));
}

#[test]
fn there_are_no_more_different_views_than_a_record_has_room_for() {
    // Nothing goes in the clear, so every different grant is a view, beside the decoy.
    let mut rules = with(&[(Audience::Anybody, block())]);
    let tuple = |number: usize| Some(allow(tuples(&[&format!("tuple-{number}")])));
    let audience = |number: usize| Audience::Watcher(watcher(u8::try_from(number).unwrap()));
    for number in 2..VIEWS_MAX {
        assert_eq!(rules.put(audience(number), tuple(number)), Ok(()));
    }
    assert_eq!(rules.sealed().len(), VIEWS_MAX);
    let before = rules.clone();
    assert_eq!(rules.put(audience(100), tuple(100)), Err(AccessRuleError::TooManyViews));
    assert_eq!(rules, before);
    assert_eq!(rules.put(audience(100), tuple(2)), Ok(()), "the same to several is one view");
}

#[test]
fn several_are_set_together_or_none_is() {
    let before = with(&[(Audience::Watcher(watcher(1)), block())]);
    let mut rules = before.clone();
    let bad = (Audience::Anybody, Some(AccessRule::without_grant(Handling::Confirm)));
    assert!(rules.put_all([(Audience::Strangers, Some(block())), bad]).is_err());
    assert_eq!(rules, before);
    assert_eq!(
        rules.put_all([(Audience::Strangers, Some(block())), (Audience::Watcher(watcher(1)), None)]),
        Ok(())
    );
    assert_eq!(rules, with(&[(Audience::Strangers, block())]));
}

#[test]
fn a_document_of_which_no_tuple_is_granted_has_a_closed_one_that_says_nothing() {
    let seen = View::Granted(tuples(&["nothing"])).of(&marked(&["phone", "desk"]));
    assert_eq!(seen.tuples, [closed()]);
    assert_eq!(seen.check(), Ok(()));
}

#[test]
fn the_decoy_is_closed_and_has_name_and_inbox_and_nothing_else() {
    let mut document = information(&alice(), "Alice");
    let inbox = document.tuples[0].communication_address.clone();
    let plain = View::Decoy.of(&document);
    document.markup.note = Some(Note { text: "secret".to_owned(), language: None });
    document.tuples[0].status.further.insert("away".parse().unwrap());
    document.tuples[0].markup.activities.insert("meeting".parse().unwrap());
    document.tuples[0].id = "secret".parse().unwrap();
    let decoy = View::Decoy.of(&document);
    assert_eq!(decoy, plain);
    assert_eq!(decoy.tuples, [PresenceTuple { communication_address: inbox, ..closed() }]);
    assert_eq!((decoy.display_name.as_str(), decoy.check()), ("Alice", Ok(())));
}

/// The fields that a rule may withhold, each with what marks it in the encoding of a document.
const DOCUMENT: &str = "document";

/// A document with a marker of its own in every field, and these tuples beside the inbox.
fn marked(ids: &[&str]) -> PresenceInformation {
    let mut document = information(&bob(), "Bob");
    document.markup = marked_markup(DOCUMENT);
    document.tuples[0].markup = marked_markup("inbox");
    for id in ids {
        document.tuples.push(PresenceTuple {
            id: id.parse().unwrap(),
            status: Status { basic: Basic::Open, further: BTreeSet::new() },
            communication_address: Some(CommunicationAddress {
                means: "tel".parse().unwrap(),
                contact: format!("contact-of-{id}"),
            }),
            markup: marked_markup(id),
        });
    }
    document
}

fn marked_markup(of: &str) -> OtherPresenceMarkup {
    OtherPresenceMarkup {
        note: Some(Note { text: format!("note-of-{of}"), language: None }),
        activities: BTreeSet::from([format!("activity-of-{of}").parse().unwrap()]),
        until: Some(until_of(of)),
        user_input: Some(UserInput {
            state: InputState::Idle,
            idle_threshold_seconds: Some(threshold_of(of)),
            last_input: Some(last_input_of(of)),
        }),
        extensions: BTreeMap::from([(format!("x-name-of-{of}"), format!("value-of-{of}").into_bytes())]),
    }
}

/// Another time for each tuple, whose eight bytes stand in no other field.
fn until_of(of: &str) -> UnixTime {
    let mut bytes = [0xa5; 8];
    for (place, byte) in bytes.iter_mut().zip(of.bytes()) {
        *place ^= byte;
    }
    UnixTime::from_millis(u64::from_le_bytes(bytes))
}

/// The same with other bits.
fn last_input_of(of: &str) -> UnixTime {
    UnixTime::from_millis(!until_of(of).as_millis())
}

/// Another number for each tuple, whose four bytes stand in no other field.
fn threshold_of(of: &str) -> NonZeroU32 {
    let mut bytes = [0x96; 4];
    for (place, byte) in bytes.iter_mut().zip(of.bytes()) {
        *place ^= byte;
    }
    NonZeroU32::new(u32::from_le_bytes(bytes)).unwrap()
}

/// Everything that a view withholds of a marked document, as it would stand in its encoding.
fn withheld(view: &View, document: &PresenceInformation) -> Vec<Vec<u8>> {
    let mut withheld = Vec::new();
    let all = [DOCUMENT].into_iter().chain(document.tuples.iter().map(|tuple| tuple.id.as_str()));
    for of in all {
        let (granted, given) = match view {
            View::Decoy => (Transformations::status_only(), of == DOCUMENT),
            View::Granted(granted) => {
                let named = granted.tuples.as_ref();
                let given = of == DOCUMENT || named.is_none_or(|ids| ids.iter().any(|id| id.as_str() == of));
                (granted.clone(), given)
            }
        };
        let mut keep_back = |is_granted: bool, marker: Vec<u8>| {
            if !is_granted || !given {
                withheld.push(marker);
            }
        };
        keep_back(granted.notes, format!("note-of-{of}").into_bytes());
        keep_back(granted.activities, format!("activity-of-{of}").into_bytes());
        keep_back(granted.until, until_of(of).as_millis().to_le_bytes().to_vec());
        let input = |least: UserInputGrant| granted.user_input >= least;
        keep_back(input(UserInputGrant::Thresholds), threshold_of(of).get().to_le_bytes().to_vec());
        keep_back(input(UserInputGrant::Full), last_input_of(of).as_millis().to_le_bytes().to_vec());
        keep_back(granted.extensions, format!("x-name-of-{of}").into_bytes());
        keep_back(granted.extensions, format!("value-of-{of}").into_bytes());
        if of != DOCUMENT && of != "inbox" {
            keep_back(granted.addresses, format!("contact-of-{of}").into_bytes());
            // The id of a tuple is in its other markers too, all of which are withheld with it.
            keep_back(true, [&[u8::try_from(of.len()).unwrap()], of.as_bytes()].concat());
        }
    }
    withheld
}

const IDS: [&str; 4] = ["phone", "desk", "lab", "inbox"];

fn document() -> impl Strategy<Value = PresenceInformation> {
    prop::sample::subsequence(IDS[..3].to_vec(), 0..=3).prop_map(|ids| marked(&ids))
}

fn transformations() -> impl Strategy<Value = Transformations> {
    let ids = prop::sample::subsequence(IDS.to_vec(), 0..=4)
        .prop_map(|ids| ids.into_iter().map(|id| id.parse().unwrap()).collect());
    (option::of(ids), any::<[bool; 5]>(), user_input_grant()).prop_map(
        |(tuples, [notes, activities, addresses, until, extensions], user_input)| Transformations {
            tuples,
            notes,
            activities,
            addresses,
            until,
            user_input,
            extensions,
        },
    )
}

fn view() -> impl Strategy<Value = View> {
    prop_oneof![1 => Just(View::Decoy), 4 => transformations().prop_map(View::Granted)]
}

fn rule() -> impl Strategy<Value = AccessRule> {
    let handling = prop_oneof![
        1 => Just(Handling::Block),
        1 => Just(Handling::Confirm),
        1 => Just(Handling::PoliteBlock),
        9 => Just(Handling::Allow),
    ];
    (handling, transformations(), any::<[bool; 2]>()).prop_map(|(handling, grants, flags)| AccessRule {
        handling,
        grants,
        watchers: flags[0],
        visible_only: flags[1],
    })
}

/// Rules as they come about: set one after the other, where those that cannot be are left out.
fn rules() -> impl Strategy<Value = AccessRules> {
    let audience = prop_oneof![
        prop::sample::select(Audience::CLASSES.to_vec()),
        (1_u8..4).prop_map(|number| Audience::Watcher(watcher(number))),
    ];
    collection::vec((audience, option::weighted(0.9, rule())), 0..10).prop_map(|set| {
        let mut rules = AccessRules::default();
        for (audience, rule) in set {
            let _ = rules.put(audience, rule);
        }
        rules
    })
}

proptest! {
    #[test]
    fn what_is_said_to_change_makes_one_the_other(before in rules(), after in rules()) {
        let mut rules = before.clone();
        rules.put_all(before.changes_to(&after)).unwrap();
        prop_assert_eq!(&rules, &after);
        prop_assert!(after.changes_to(&after).is_empty());
    }

    #[test]
    fn the_view_of_a_view_is_the_same(view in view(), document in document()) {
        let seen = view.of(&document);
        prop_assert_eq!(seen.check(), Ok(()));
        prop_assert_eq!(view.of(&seen), seen);
    }

    #[test]
    fn the_view_of_a_view_is_the_same_for_any_document(
        view in view(),
        document in crate::testing::arbitrary::information(),
    ) {
        let seen = view.of(&document);
        prop_assert_eq!(view.of(&seen), seen);
    }

    #[test]
    fn what_is_in_the_clear_is_in_the_view_of_everybody_who_is_allowed_anything(
        rules in rules(),
        document in document(),
        number in 1_u8..5,
        is_contact: bool,
    ) {
        let rule = rules.decide(watcher(number), is_contact, false);
        let clear = rules.clear().map(|granted| View::Granted(granted).of(&document));
        match (rule.view(), clear) {
            (Some(view @ View::Granted(_)), Some(clear)) => prop_assert_eq!(view.of(&clear), clear),
            (Some(View::Granted(_)), None) => (),
            (None | Some(View::Decoy), clear) => prop_assert_eq!(clear, None),
        }
    }

    #[test]
    fn whoever_is_given_a_view_finds_it_sealed_or_in_the_clear(
        rules in rules(),
        number in 1_u8..5,
        is_contact: bool,
    ) {
        if let Some(view) = rules.decide(watcher(number), is_contact, false).view() {
            let clear = rules.clear().map(View::Granted);
            prop_assert_ne!(rules.sealed().contains(&view), clear == Some(view));
        }
        prop_assert!(rules.sealed().len() <= VIEWS_MAX);
    }

    #[test]
    fn nothing_that_is_withheld_is_anywhere_in_the_view(view in view(), document in document()) {
        let encoded = encode(&view.of(&document));
        for marker in withheld(&view, &document) {
            let found = encoded.windows(marker.len()).any(|window| window == marker);
            prop_assert!(!found, "{} in {encoded:?}", String::from_utf8_lossy(&marker));
        }
    }

    #[test]
    fn everything_that_is_granted_is_in_the_view(granted in transformations(), document in document()) {
        let ids = granted.tuples;
        let everything = Transformations { tuples: ids.clone(), ..Transformations::default() };
        let kept = View::Granted(everything).of(&document);
        let named = |tuple: &&PresenceTuple| ids.as_ref().is_none_or(|ids| ids.contains(&tuple.id));
        let expected: Vec<_> = document.tuples.iter().filter(named).cloned().collect();
        if !expected.is_empty() {
            prop_assert_eq!(kept.tuples, expected);
        }
        prop_assert_eq!(kept.markup, document.markup);
    }

    #[test]
    fn what_two_grants_both_give_is_what_one_gives_of_what_the_other_gives(
        one in transformations(),
        other in transformations(),
        document in document(),
    ) {
        let both = View::Granted(one.meet(&other)).of(&document);
        let (one, other) = (View::Granted(one), View::Granted(other));
        prop_assert_eq!(&one.of(&other.of(&document)), &both);
        prop_assert_eq!(&other.of(&one.of(&document)), &both);
    }
}
