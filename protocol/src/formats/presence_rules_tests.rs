use proptest::{collection, option, prelude::*, sample::select};

use super::*;
use crate::{
    presence::access_rules::AccessRuleError,
    testing::{alice, arbitrary::user_input_grant, bob, keypair, presentity},
};

const PRES_RULES: &str = "urn:ietf:params:xml:ns:pres-rules";

fn granting(change: impl FnOnce(&mut Transformations)) -> AccessRule {
    let mut rule = AccessRule::default();
    change(&mut rule.grants);
    rule
}

fn rules() -> AccessRules {
    AccessRules::new([
        (Audience::Watcher(presentity(&bob())), AccessRule::without_grant(Handling::PoliteBlock)),
        (Audience::Contacts, granting(|grants| grants.notes = false)),
        (Audience::Strangers, AccessRule::without_grant(Handling::Confirm)),
    ])
}

fn exported(rules: &AccessRules) -> String {
    let contacts = BTreeSet::from([presentity(&alice()), presentity(&bob())]);
    export(rules, &Realm::default(), &contacts)
}

fn changed(from: &str, to: &str) -> Result<AccessRules, FormatError> {
    let xml = exported(&rules());
    assert!(xml.contains(from), "{from} in {xml}");
    import(&xml.replacen(from, to, 1))
}

#[test]
fn each_rule_is_for_those_for_whom_no_other_is() {
    let xml = exported(&rules());
    let (alice, bob) = (presentity(&alice()), presentity(&bob()));
    for part in [
        format!("<cp:rule id=\"w-{bob}\">"),
        format!("<h:contacts/>\n        <cp:one id=\"pres:{alice}@lan.alt\"/>\n      </cp:identity>"),
        format!("<cp:except id=\"pres:{alice}@lan.alt\"/>"),
        format!("<cp:except id=\"pres:{bob}@lan.alt\"/>"),
        "<pr:sub-handling>polite-block</pr:sub-handling>".to_owned(),
        "audience=\"strangers\" handling=\"confirm\"".to_owned(),
        "<pr:provide-activities>true</pr:provide-activities>".to_owned(),
    ] {
        assert!(xml.contains(&part), "{part} in {xml}");
    }
    assert!(!xml.contains("provide-note") && !xml.contains("provide-all-attributes"), "{xml}");
    assert_eq!(import(&xml), Ok(rules()));
}

#[test]
fn the_default_grants_everything_to_everybody() {
    let xml = export(&AccessRules::default(), &Realm::default(), &BTreeSet::new());
    assert_eq!(xml.matches("<pr:provide-all-attributes/>").count(), 3);
    assert_eq!(import(&xml), Ok(AccessRules::default()));
}

#[test]
fn a_change_by_hand_of_one_side_only_is_refused() {
    let disagrees = |from, to, part| {
        assert!(
            matches!(changed(from, to), Err(FormatError::RuleDisagrees { part: found, .. }) if found == part),
            "{to}"
        );
    };
    disagrees("<pr:sub-handling>confirm", "<pr:sub-handling>allow", "actions");
    disagrees("handling=\"confirm\"", "handling=\"block\"", "actions");
    disagrees("<pr:provide-activities>true", "<pr:provide-activities>false", "transformations");
    disagrees("<pr:all-services/>", "", "transformations");
    disagrees("<pr:all-persons/>", "<pr:all-persons/><pr:class>x</pr:class>", "transformations");
    disagrees(
        "notes=\"false\" activities=\"true\"",
        "notes=\"false\" activities=\"false\"",
        "transformations",
    );
}

#[test]
fn rules_that_would_mean_something_else_here_are_refused() {
    let says = |from, to, says: &str| {
        let said = changed(from, to).unwrap_err().to_string();
        assert!(said.contains(says), "{said} instead of {says}");
    };
    says("h:access-rule", "h:later", "<actions> lacks an <access-rule> of this project's namespace");
    says("<cp:many>", "<cp:many/><cp:one id='x'/><cp:many>", "<identity> has no place for");
    says("<cp:identity>", "<cp:sphere value='work'/><cp:identity>", "<conditions> has no place for");
    says("audience=\"strangers\"", "audience=\"contacts\"", "has no place for");
    says("audience=\"strangers\"", "audience=\"friends\"", "<access-rule> audience says \"friends\"");
    says(
        "notes=\"true\"",
        "notes=\"maybe\"",
        "<access-rule> notes says \"maybe\", and true or false was expected",
    );
    says("<cp:identity>\n        <cp:one id=\"pres:", "<cp:identity><cp:one id=\"sip:", "a URI such as");
    says(COMMON_POLICY, "urn:x", "the document is a <{urn:x}ruleset>");
}

#[test]
fn no_class_is_open_because_its_rule_is_missing() {
    let xml = exported(&rules());
    let start = xml.find("  <cp:rule id=\"strangers\">").unwrap();
    let end = start + xml[start..].find("</cp:rule>\n").unwrap() + "</cp:rule>\n".len();
    let without = [&xml[..start], &xml[end..]].concat();
    assert_eq!(
        import(&without),
        Err(FormatError::Missing {
            element: "ruleset".to_owned(),
            expected: "a rule for each of anybody, contacts and strangers"
        })
    );
}

#[test]
fn limits_hold_for_what_is_imported() {
    let confirm = AccessRules::new([(Audience::Anybody, AccessRule::without_grant(Handling::Confirm))]);
    let refused =
        FormatError::Rule { rule: "anybody".to_owned(), reason: AccessRuleError::AnybodyAsksNothing };
    assert_eq!(import(&exported(&confirm)), Err(refused));
    let one = |number: u8| {
        let tuples = BTreeSet::from([format!("w{number}").parse().unwrap()]);
        let rule = granting(|grants| grants.tuples = Some(tuples));
        (Audience::Watcher(presentity(&keypair(number))), rule)
    };
    let views = AccessRules::new((0..100).map(one));
    let reason = AccessRuleError::TooManyViews;
    assert!(
        matches!(import(&exported(&views)), Err(FormatError::Rule { reason: found, .. }) if found == reason)
    );
}

#[test]
fn a_thousand_rules_and_contacts_are_within_the_limit() {
    let numbered = |number: u16| {
        let mut key = [7; 32];
        key[..2].copy_from_slice(&number.to_be_bytes());
        Presentity::from_public_key_bytes(key)
    };
    let tuples: BTreeSet<Token> =
        (0..8).map(|number| format!("{}{number}", "w".repeat(31)).parse().unwrap()).collect();
    let rule = granting(|grants| grants.tuples = Some(tuples));
    let rules = AccessRules::new((0..1024).map(|number| (Audience::Watcher(numbered(number)), rule.clone())));
    let xml = export(&rules, &Realm::default(), &(1000..4000).map(numbered).collect());
    assert!(xml.len() < LIST_BYTES_MAX * 3 / 4, "{}", xml.len());
    assert_eq!(import(&xml), Ok(rules));
}

/// What a reader that knows RFC 5025 and not us gives a watcher: the highest handling, and every standard
/// transformation that some matching rule has. An id of none is one that nobody authenticated.
fn granted_by_the_rfc(root: &Element<'_>, id: Option<&str>) -> (String, BTreeSet<String>) {
    let handlings = ["block", "confirm", "polite-block", "allow"];
    let (mut highest, mut transformations) = (0, BTreeSet::new());
    for rule in root.children.iter().filter(|rule| matches(rule, id)) {
        for part in &rule.children {
            for child in part.children.iter().filter(|child| *child.namespace == *PRES_RULES) {
                if part.local == "actions" {
                    let value = handlings.iter().position(|handling| *handling == child.text).unwrap();
                    highest = highest.max(value);
                } else {
                    flatten(child, &mut transformations);
                }
            }
        }
    }
    (handlings[highest].to_owned(), transformations)
}

/// Whether the conditions hold. An identity holds if one of its children does that the reader knows.
fn matches(rule: &Element<'_>, id: Option<&str>) -> bool {
    let conditions = rule.child(COMMON_POLICY, "conditions").unwrap();
    conditions.is_none_or(|conditions| {
        conditions.children.iter().all(|identity| {
            assert!(identity.is(COMMON_POLICY, "identity"));
            identity.children.iter().filter(|child| *child.namespace == *COMMON_POLICY).any(|child| {
                let excepted = child.children.iter().any(|except| except.attribute("id") == id);
                let is_one = child.local == "one" && child.attribute("id") == id;
                id.is_some() && (is_one || (child.local == "many" && !excepted))
            })
        })
    })
}

fn flatten(element: &Element<'_>, into: &mut BTreeSet<String>) {
    // Of enumerated permissions the highest counts, so that each has the lower ones in it.
    let levels = ["bare", "thresholds", "full"];
    let of_user_input = |highest: &str| {
        let up_to = levels.iter().position(|level| *level == highest).map_or(0, |place| place + 1);
        levels.into_iter().take(up_to).map(|level| format!("user-input {level}"))
    };
    if element.local == "provide-all-attributes" {
        for name in ["notes", "activities", "until", "extensions"] {
            into.insert(name.to_owned());
        }
        into.extend(of_user_input("full"));
    }
    if element.local == "provide-user-input" {
        into.extend(of_user_input(&element.text));
        return;
    }
    let name = element.attribute("name").unwrap_or(&element.local);
    let name = match name {
        "provide-note" => "notes",
        "provide-activities" => "activities",
        "extension" => "extensions",
        _ => name,
    };
    into.insert(format!("{name}{}", element.text.trim().trim_start_matches("true")));
    for child in &element.children {
        into.insert(format!("{}/{}{}", element.local, child.local, child.text));
    }
}

/// What the rule that decides here grants, in the same words.
fn granted_here(rule: &AccessRule) -> (String, BTreeSet<String>) {
    let mut out = Writer::new();
    out.open("x", &NAMESPACES);
    if rule.handling == Handling::Allow {
        write_granted(&mut out, &rule.grants);
    }
    out.close();
    let xml = out.finish();
    let mut words = BTreeSet::new();
    xml::parse(&xml, LIST_BYTES_MAX).unwrap().children.iter().for_each(|child| flatten(child, &mut words));
    (handling_word(rule.handling).to_owned(), words)
}

/// Without what `provide-all-attributes` says at once.
fn plain((handling, mut words): (String, BTreeSet<String>)) -> (String, BTreeSet<String>) {
    for extra in ["provide-all-attributes", "display-name", "value", "means"] {
        words.remove(extra);
    }
    // A reader takes every tuple where some rule has all.
    if words.contains("provide-services/all-services") {
        words.retain(|word| !word.starts_with("provide-services/occurrence-id"));
    }
    (handling, words)
}

fn rule() -> impl Strategy<Value = AccessRule> {
    let handlings =
        [Handling::Block, Handling::Confirm, Handling::PoliteBlock, Handling::Allow, Handling::Allow];
    let token = select(vec!["a", "b"]).prop_map(|text| text.parse::<Token>().unwrap());
    let tuples = option::of(collection::btree_set(token, 0..3));
    (select(handlings.to_vec()), tuples, any::<[bool; 6]>(), user_input_grant()).prop_map(
        |(handling, tuples, [watchers, notes, activities, addresses, until, extensions], user_input)| {
            AccessRule {
                handling,
                watchers,
                // Other readers know nothing of it.
                visible_only: false,
                grants: Transformations {
                    tuples,
                    notes,
                    activities,
                    addresses,
                    until,
                    user_input,
                    extensions,
                },
            }
        },
    )
}

proptest! {
    #[test]
    fn a_reader_that_adds_grants_up_comes_to_the_same_result(
        set in collection::vec((0_u8..6, rule()), 0..6),
        contacts in collection::btree_set(0_u8..6, 0..4),
    ) {
        let watcher = |number: u8| presentity(&keypair(number));
        let audience = |number: u8| match number {
            0 => Audience::Anybody,
            1 => Audience::Contacts,
            2 => Audience::Strangers,
            number => Audience::Watcher(watcher(number)),
        };
        let rules = AccessRules::new(set.into_iter().map(|(number, rule)| (audience(number), rule)));
        let contacts: BTreeSet<_> = contacts.into_iter().map(watcher).collect();
        let xml = export(&rules, &Realm::default(), &contacts);
        let root = xml::parse(&xml, LIST_BYTES_MAX).unwrap();
        for number in 0..6 {
            let who = watcher(number);
            let decided = rules.decide(who, contacts.contains(&who), false);
            let by_rfc = granted_by_the_rfc(&root, Some(&who.pres_uri(&Realm::default())));
            prop_assert_eq!(plain(by_rfc), plain(granted_here(decided)), "{} {}", number, xml);
        }
        let (handling, words) = plain(granted_by_the_rfc(&root, None));
        let allowing = |grants| AccessRule { grants, ..AccessRule::default() };
        let clear = rules.clear().map(|grants| plain(granted_here(&allowing(grants))));
        let expected = clear.unwrap_or_else(|| ("block".to_owned(), BTreeSet::new()));
        prop_assert_eq!((handling, words), expected, "{}", xml);
    }
}
