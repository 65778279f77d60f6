//! Presence rules: ACCESS RULES for programs that know nothing of Hereabouts.
//!
//! There what several matching rules grant adds up; here the most particular rule decides alone. The document
//! is written so that both come out the same for every watcher, as things stand:
//!
//! | here | `conditions` in the document |
//! |---|---|
//! | a watcher with a rule of its own | `one` |
//! | contacts | `one` for each contact that has no rule of its own |
//! | strangers | `many` with `except` for each contact and each watcher with a rule of its own |
//! | anybody | none: it matches everybody |
//!
//! What the rule for anybody says there is what goes in the clear ([`AccessRules::clear`]): no more than each
//! of the other rules grants, so that it adds nothing to them. Exactly and for import each rule says what it
//! is in an `h:access-rule` among its actions (`h` is [`EXTENSION_NAMESPACE`]). An import demands that the
//! standard's actions and transformations beside it say the same, so that a change of the one by hand is not
//! passed over in silence, and that all three classes are there, so that none is open by default.
//!
//! Lost for other readers: that COMMUNICATION ADDRESSES are withheld (RFC 5025 gives them with each tuple),
//! that watchers may see each other or are refused if they hide, grants that lie dormant in a rule that does
//! not allow, and who will be a contact later. *until* and extensions are `provide-unknown-attribute`s of our
//! elements, where not everything is granted. Lost in an import: the list of contacts, which is that of the
//! petnames.
//!
//! Source: RFC 5025, RFC 4745. Deviation: rules without an `h:access-rule` are refused, since their meaning
//! depends on all of them together. Limits: [`LIST_BYTES_MAX`], and those of [`AccessRules::put`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    EXTENSION_NAMESPACE, FormatError, LIST_BYTES_MAX,
    pidf::{CIPID, TUPLE_ID_PREFIX},
    presentity_of, shown,
    xml::{self, Element, Writer},
};
use crate::{
    identity::{Presentity, Realm},
    presence::{
        access_rules::{AccessRule, AccessRules, Audience, Handling, Transformations},
        information::Token,
        user_input::UserInputGrant,
    },
};

/// The media type of these documents.
pub const MEDIA_TYPE: &str = "application/auth-policy+xml";

/// The rules of a presentity that has these contacts.
pub fn export(rules: &AccessRules, realm: &Realm, contacts: &BTreeSet<Presentity>) -> String {
    let own: BTreeSet<Presentity> = rules
        .iter()
        .filter_map(|(audience, _)| match audience {
            Audience::Watcher(watcher) => Some(*watcher),
            Audience::Anybody | Audience::Contacts | Audience::Strangers => None,
        })
        .collect();
    let mut out = Writer::new();
    out.open("cp:ruleset", &NAMESPACES);
    for (audience, rule) in rules.iter() {
        out.open("cp:rule", &[("id", &rule_id(audience))]);
        write_conditions(&mut out, audience, realm, contacts, &own);
        write_said(&mut out, audience, rule, rules);
        out.close();
    }
    out.close();
    out.finish()
}

/// Reads rules.
///
/// # Errors
/// What is wrong with them: the element or rule, and what was expected.
pub fn import(xml: &str) -> Result<AccessRules, FormatError> {
    let root = xml::parse(xml, LIST_BYTES_MAX)?;
    if !root.is(COMMON_POLICY, "ruleset") {
        let expected = format!("{{{COMMON_POLICY}}}ruleset");
        return Err(FormatError::Root { found: shown(&root.key()), expected });
    }
    let mut set = BTreeMap::new();
    let mut elements = Vec::new();
    for element in &root.children {
        if !element.is(COMMON_POLICY, "rule") {
            return Err(root.unexpected(element));
        }
        let (audience, rule) = rule(element)?;
        // The limits of one rule alone, and at the end those of all together.
        put(&mut AccessRules::default(), element, audience, rule.clone())?;
        if set.insert(audience, rule).is_some() {
            return Err(root.unexpected(element));
        }
        elements.push((audience, element));
    }
    if !Audience::CLASSES.iter().all(|class| set.contains_key(class)) {
        return Err(root.missing("a rule for each of anybody, contacts and strangers"));
    }
    let mut rules = AccessRules::new(set);
    for (audience, element) in &elements {
        check_said(element, audience, &rules)?;
    }
    if let Some((audience, element)) = elements.last() {
        let rule = rules.of(audience).cloned().unwrap_or_default();
        put(&mut rules, element, *audience, rule)?;
    }
    Ok(rules)
}

fn write_conditions(
    out: &mut Writer,
    audience: &Audience,
    realm: &Realm,
    contacts: &BTreeSet<Presentity>,
    own: &BTreeSet<Presentity>,
) {
    if *audience == Audience::Anybody {
        return;
    }
    out.open("cp:conditions", &[]);
    out.open("cp:identity", &[]);
    match audience {
        Audience::Anybody => {}
        Audience::Watcher(watcher) => out.empty("cp:one", &[("id", &watcher.pres_uri(realm))]),
        Audience::Contacts => {
            // An identity must not be empty, and there may be no contact.
            out.empty("h:contacts", &[]);
            for contact in contacts.difference(own) {
                out.empty("cp:one", &[("id", &contact.pres_uri(realm))]);
            }
        }
        Audience::Strangers => {
            out.open("cp:many", &[]);
            for known in contacts.union(own) {
                out.empty("cp:except", &[("id", &known.pres_uri(realm))]);
            }
            out.close();
        }
    }
    out.close();
    out.close();
}

/// Actions and transformations of a rule.
fn write_said(out: &mut Writer, audience: &Audience, rule: &AccessRule, rules: &AccessRules) {
    let (handling, granted) = match (audience, rule.handling) {
        // What goes in the clear is what all rules grant; what matches everybody must not grant more.
        (Audience::Anybody, _) => match rules.clear() {
            Some(clear) => (Handling::Allow, Some(clear)),
            None => (Handling::Block, None),
        },
        (_, Handling::Allow) => (Handling::Allow, Some(rule.grants.clone())),
        (_, handling) => (handling, None),
    };
    out.open("cp:actions", &[]);
    out.leaf("pr:sub-handling", &[], handling_word(handling));
    write_exact(out, audience, rule);
    out.close();
    if let Some(granted) = granted {
        out.open("cp:transformations", &[]);
        write_granted(out, &granted);
        out.close();
    }
}

fn write_exact(out: &mut Writer, audience: &Audience, rule: &AccessRule) {
    let word = |grants: bool| if grants { "true" } else { "false" };
    let AccessRule { handling, grants, watchers, visible_only } = rule;
    let tuples =
        grants.tuples.as_ref().map(|ids| ids.iter().map(Token::as_str).collect::<Vec<_>>().join(" "));
    let mut attributes = vec![
        ("audience", audience_word(audience)),
        ("handling", handling_word(*handling)),
        ("watchers", word(*watchers)),
        ("visible-only", word(*visible_only)),
        ("notes", word(grants.notes)),
        ("activities", word(grants.activities)),
        ("addresses", word(grants.addresses)),
        ("until", word(grants.until)),
        ("user-input", user_input_word(grants.user_input)),
        ("extensions", word(grants.extensions)),
    ];
    if let Some(tuples) = &tuples {
        attributes.push(("tuples", tuples));
    }
    out.empty("h:access-rule", &attributes);
}

/// What RFC 5025 has a word for.
fn write_granted(out: &mut Writer, granted: &Transformations) {
    out.open("pr:provide-services", &[]);
    match &granted.tuples {
        None => out.empty("pr:all-services", &[]),
        Some(ids) => {
            for id in ids {
                out.leaf("pr:occurrence-id", &[], &format!("{TUPLE_ID_PREFIX}{id}"));
            }
        }
    }
    out.close();
    out.open("pr:provide-persons", &[]);
    out.empty("pr:all-persons", &[]);
    out.close();
    let Transformations { notes, activities, until, user_input, extensions, .. } = *granted;
    if notes && activities && until && user_input == UserInputGrant::Full && extensions {
        out.empty("pr:provide-all-attributes", &[]);
        return;
    }
    let mut unknown = |namespace: &str, names: &[&str]| {
        for name in names {
            out.leaf("pr:provide-unknown-attribute", &[("name", name), ("ns", namespace)], "true");
        }
    };
    // A name and STATUS are always given.
    unknown(CIPID, &["display-name"]);
    unknown(EXTENSION_NAMESPACE, &["value", "means"]);
    if until {
        unknown(EXTENSION_NAMESPACE, &["until"]);
    }
    if extensions {
        unknown(EXTENSION_NAMESPACE, &["extension"]);
    }
    if activities {
        unknown(EXTENSION_NAMESPACE, &["activities"]);
        out.leaf("pr:provide-activities", &[], "true");
    }
    if user_input != UserInputGrant::Withheld {
        out.leaf("pr:provide-user-input", &[], user_input_word(user_input));
    }
    if notes {
        out.leaf("pr:provide-note", &[], "true");
    }
}

/// What a `rule` says in our words, and for whom.
fn rule(element: &Element<'_>) -> Result<(Audience, AccessRule), FormatError> {
    let actions = element.child(COMMON_POLICY, "actions")?.ok_or_else(|| element.missing("its <actions>"))?;
    let exact = actions.child(EXTENSION_NAMESPACE, "access-rule")?;
    let exact = exact.ok_or_else(|| actions.missing("an <access-rule> of this project's namespace"))?;
    let class = exact.attribute_as("audience", "anybody, contacts, strangers or watcher", |text| {
        let classes = Audience::CLASSES.into_iter().map(Some).chain([None]);
        classes.into_iter().find(|class| class.as_ref().map_or(WATCHER, audience_word) == text)
    })?;
    let audience = match class {
        Some(class) => class,
        None => Audience::Watcher(only_watcher(element)?),
    };
    check_conditions(element, &audience)?;
    let granted = |name| {
        exact.attribute_as(name, "true or false", |text| match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    };
    let tuples = match exact.attribute("tuples") {
        None => None,
        Some(_) => Some(exact.attribute_as("tuples", "ids of tuples", |text| {
            text.split_whitespace().map(|id| id.parse::<Token>().ok()).collect()
        })?),
    };
    let handlings = [Handling::Block, Handling::Confirm, Handling::PoliteBlock, Handling::Allow];
    let handling = exact.attribute_as("handling", "block, confirm, polite-block or allow", |text| {
        handlings.into_iter().find(|handling| handling_word(*handling) == text)
    })?;
    let grants = Transformations {
        tuples,
        notes: granted("notes")?,
        activities: granted("activities")?,
        addresses: granted("addresses")?,
        until: granted("until")?,
        user_input: exact.attribute_as("user-input", "false, bare, thresholds or full", |text| {
            USER_INPUT_GRANTS.into_iter().find(|grant| user_input_word(*grant) == text)
        })?,
        extensions: granted("extensions")?,
    };
    let (watchers, visible_only) = (granted("watchers")?, granted("visible-only")?);
    Ok((audience, AccessRule { handling, grants, watchers, visible_only }))
}

/// The watcher that the `identity` of a rule names.
fn only_watcher(element: &Element<'_>) -> Result<Presentity, FormatError> {
    let missing = || element.missing("one <one> in the <identity> of its <conditions>");
    let conditions = element.child(COMMON_POLICY, "conditions")?.ok_or_else(missing)?;
    let identity = conditions.child(COMMON_POLICY, "identity")?.ok_or_else(missing)?;
    let one = identity.child(COMMON_POLICY, "one")?.ok_or_else(missing)?;
    let who =
        one.attribute_as("id", "a URI such as pres:12D3KooW…@lan.alt", |text| presentity_of(text, "pres"))?;
    Ok(who.0)
}

/// Refuses conditions that this build would not heed.
fn check_conditions(element: &Element<'_>, audience: &Audience) -> Result<(), FormatError> {
    let Some(conditions) = element.child(COMMON_POLICY, "conditions")? else { return Ok(()) };
    for condition in &conditions.children {
        let names: &[&str] = match audience {
            Audience::Anybody => return Err(conditions.unexpected(condition)),
            Audience::Watcher(_) => &["one"],
            Audience::Contacts => &["contacts", "one"],
            Audience::Strangers => &["many"],
        };
        if !condition.is(COMMON_POLICY, "identity") {
            return Err(conditions.unexpected(condition));
        }
        if let Some(child) = condition.children.iter().find(|child| !names.contains(&child.local.as_str())) {
            return Err(condition.unexpected(child));
        }
    }
    Ok(())
}

/// Demands that the actions and transformations of a rule are those that [`export`] would write for it.
fn check_said(element: &Element<'_>, audience: &Audience, rules: &AccessRules) -> Result<(), FormatError> {
    let mut out = Writer::new();
    out.open("cp:rule", &NAMESPACES);
    write_said(&mut out, audience, &rules.of(audience).cloned().unwrap_or_default(), rules);
    out.close();
    let written = out.finish();
    let written = xml::parse(&written, LIST_BYTES_MAX)?;
    for part in ["actions", "transformations"] {
        let expected = written.child(COMMON_POLICY, part)?.map_or(&[][..], |said| &said.children);
        let said = element.child(COMMON_POLICY, part)?.map_or(&[][..], |said| &said.children);
        let ours = |child: &&Element<'_>| child.is(EXTENSION_NAMESPACE, "access-rule");
        let among =
            |one: &Element<'_>, others: &[Element<'_>]| others.iter().any(|other| one.says_same(other));
        let agrees = said.len() == expected.len()
            && said.iter().all(|child| ours(&child) || among(child, expected))
            && expected.iter().all(|child| ours(&child) || among(child, said));
        if !agrees {
            return Err(FormatError::RuleDisagrees { rule: shown_id(element), part });
        }
    }
    Ok(())
}

fn put(
    rules: &mut AccessRules,
    element: &Element<'_>,
    audience: Audience,
    rule: AccessRule,
) -> Result<(), FormatError> {
    let error = |reason| FormatError::Rule { rule: shown_id(element), reason };
    rules.put(audience, Some(rule)).map_err(error)
}

fn shown_id(element: &Element<'_>) -> String {
    shown(element.attribute("id").unwrap_or("without an id"))
}

fn rule_id(audience: &Audience) -> String {
    match audience {
        Audience::Watcher(watcher) => format!("w-{watcher}"),
        Audience::Anybody | Audience::Contacts | Audience::Strangers => audience_word(audience).to_owned(),
    }
}

const fn audience_word(audience: &Audience) -> &'static str {
    match audience {
        Audience::Anybody => "anybody",
        Audience::Contacts => "contacts",
        Audience::Strangers => "strangers",
        Audience::Watcher(_) => WATCHER,
    }
}

const fn handling_word(handling: Handling) -> &'static str {
    match handling {
        Handling::Block => "block",
        Handling::Confirm => "confirm",
        Handling::PoliteBlock => "polite-block",
        Handling::Allow => "allow",
    }
}

/// RFC 5025 section 3.3.2.13.
const fn user_input_word(grant: UserInputGrant) -> &'static str {
    match grant {
        UserInputGrant::Withheld => "false",
        UserInputGrant::Bare => "bare",
        UserInputGrant::Thresholds => "thresholds",
        UserInputGrant::Full => "full",
    }
}

const USER_INPUT_GRANTS: [UserInputGrant; 4] =
    [UserInputGrant::Withheld, UserInputGrant::Bare, UserInputGrant::Thresholds, UserInputGrant::Full];
const WATCHER: &str = "watcher";
const COMMON_POLICY: &str = "urn:ietf:params:xml:ns:common-policy";
const NAMESPACES: [(&str, &str); 3] = [
    ("xmlns:cp", COMMON_POLICY),
    ("xmlns:pr", "urn:ietf:params:xml:ns:pres-rules"),
    ("xmlns:h", EXTENSION_NAMESPACE),
];

#[cfg(test)]
#[path = "presence_rules_tests.rs"]
mod tests;
