//! `here access`: what watchers are given of this node's presence.

use anyhow::Result;

use super::set::read;
use crate::{
    agents::cli::{
        Context,
        arguments::{AccessAction, AccessArguments, GrantArguments, InputDetail, Part, RulesFormat},
        exit::Exit,
        failure::Failure,
        output::{FAINT, NAME},
        sanitise,
        table::{Table, plain, styled},
        words,
    },
    local_api::{
        LARGE_REQUEST_BYTES_MAX,
        documents::{
            AccessRuleDocument, AccessRulesDocument, GrantsDocument, HandlingWord, UserInputGrantWord,
        },
    },
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &AccessArguments) -> Result<Exit> {
    let client = context.client()?;
    let rules = match &arguments.action {
        Some(AccessAction::List { format: Some(RulesFormat::PresenceRules) }) => {
            context.output.bytes(&client.presence_rules().await?)?;
            return Ok(Exit::Done);
        }
        None | Some(AccessAction::List { format: None }) => client.access_rules().await?,
        Some(AccessAction::Allow { whom, grants }) => {
            client.put_access_rule(whom, &allowing(grants)?).await?
        }
        Some(AccessAction::Confirm { whom, visible_only }) => {
            let rule = AccessRuleDocument { visible_only: *visible_only, ..handled(HandlingWord::Confirm) };
            client.put_access_rule(whom, &rule).await?
        }
        Some(AccessAction::Block { whom, politely }) => {
            client.put_access_rule(whom, &blocking(*politely)).await?
        }
        Some(AccessAction::Import { file }) => {
            client.set_presence_rules(read(file, LARGE_REQUEST_BYTES_MAX)?).await?
        }
        Some(AccessAction::Forget { whom }) => client.remove_access_rule(whom).await?,
    };
    show(context, &rules)
}

/// The rule that lets somebody see what the options say.
///
/// # Errors
/// If they contradict each other.
pub(super) fn allowing(grants: &GrantArguments) -> Result<AccessRuleDocument, Failure> {
    if grants.user_input.is_some() && grants.without.contains(&Part::UserInput) {
        let problem = "--without user-input gives nothing of it, so --user-input cannot say how much";
        return Err(Failure::new(Exit::Usage, "contradiction", problem));
    }
    let given = |part: Part| {
        let only = grants.only.is_empty() || grants.only.contains(&part);
        only && !grants.without.contains(&part)
    };
    let tuples = grants.tuple.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(AccessRuleDocument {
        handling: HandlingWord::Allow,
        grants: GrantsDocument {
            tuples: (!tuples.is_empty()).then_some(tuples),
            notes: given(Part::Notes),
            activities: given(Part::Activities),
            addresses: given(Part::Addresses),
            until: given(Part::Until),
            user_input: match grants.user_input {
                Some(InputDetail::Bare) => UserInputGrantWord::Bare,
                Some(InputDetail::Thresholds) => UserInputGrantWord::Thresholds,
                None if given(Part::UserInput) => UserInputGrantWord::Full,
                None => UserInputGrantWord::Withheld,
            },
            extensions: given(Part::Extensions),
        },
        watchers: grants.watchers,
        visible_only: grants.visible_only,
    })
}

/// The rule that refuses somebody.
pub(super) fn blocking(politely: bool) -> AccessRuleDocument {
    handled(if politely { HandlingWord::PoliteBlock } else { HandlingWord::Block })
}

fn handled(handling: HandlingWord) -> AccessRuleDocument {
    AccessRuleDocument { handling, ..AccessRuleDocument::default() }
}

/// Prints the rules, and what goes in the clear by them.
pub(super) fn show(context: &Context, rules: &AccessRulesDocument) -> Result<Exit> {
    let output = &context.output;
    if output.json {
        output.document(rules)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["WHOM", "RULE", "ID"]);
    let classes =
        [("anybody", &rules.anybody), ("contacts", &rules.contacts), ("strangers", &rules.strangers)];
    for (class, rule) in classes {
        let less = class == "anybody"
            && rule.handling == HandlingWord::Allow
            && rules.clear.as_ref() != Some(&rule.grants);
        let less = if less { ", as far as all others do" } else { "" };
        table.row([plain(class), plain(format!("{}{less}", rule_words(rule))), plain("")]);
    }
    for watcher in &rules.watchers {
        table.row([
            styled(NAME, words::person(&watcher.watcher)),
            plain(rule_words(&watcher.rule)),
            styled(FAINT, sanitise::line(&watcher.watcher.short_id)),
        ]);
    }
    table.print(output)?;
    output.line("")?;
    output.line(match &rules.clear {
        Some(clear) if *clear == GrantsDocument::default() => {
            "In the clear goes everything: whoever is in the realm reads it without asking.".to_owned()
        }
        Some(clear) => {
            format!("In the clear goes, without asking: {}. The rest is sealed.", grant_words(clear))
        }
        None if rules.anybody.handling == HandlingWord::Block => {
            "Nothing goes in the clear, not even your name: who asks and is let gets a key.".to_owned()
        }
        None => "In the clear goes only your name: who asks and is let gets a key.".to_owned(),
    })?;
    Ok(Exit::Done)
}

/// A rule as people read it.
fn rule_words(rule: &AccessRuleDocument) -> String {
    let visible = if rule.visible_only { ", unless it hides that it watches" } else { "" };
    match rule.handling {
        HandlingWord::Block => "blocked".to_owned(),
        HandlingWord::PoliteBlock => "blocked politely: always sees you closed".to_owned(),
        HandlingWord::Confirm => format!("waits for your word (here requests){visible}"),
        HandlingWord::Allow => {
            let watchers = if rule.watchers { ", and who watches you" } else { "" };
            format!("sees {}{watchers}{visible}", grant_words(&rule.grants))
        }
    }
}

/// What is given, as people read it.
fn grant_words(grants: &GrantsDocument) -> String {
    let parts = [
        ("notes", grants.notes),
        ("activities", grants.activities),
        ("addresses", grants.addresses),
        ("until", grants.until),
        ("user-input", grants.user_input != UserInputGrantWord::Withheld),
        ("extensions", grants.extensions),
    ];
    let given: Vec<_> = parts.iter().filter(|(_, given)| *given).map(|(part, _)| *part).collect();
    let withheld: Vec<_> = parts.iter().filter(|(_, given)| !given).map(|(part, _)| *part).collect();
    let of = match &grants.tuples {
        Some(tuples) => format!(" of {}", words::list(tuples)),
        None => String::new(),
    };
    let less = match grants.user_input {
        UserInputGrantWord::Withheld | UserInputGrantWord::Full => "",
        UserInputGrantWord::Bare => " (of user-input only whether there is any)",
        UserInputGrantWord::Thresholds => " (of user-input not when the last was)",
    };
    let parts = match (given.as_slice(), withheld.as_slice()) {
        (_, []) => format!("everything{of}"),
        ([], _) => format!("status{of}"),
        (_, withheld) if withheld.len() <= given.len() => {
            format!("everything{of} without {}", withheld.join(", "))
        }
        (given, _) => format!("status, {}{of}", given.join(", ")),
    };
    parts + less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_input_cannot_be_both_withheld_and_given() {
        let both = GrantArguments {
            without: vec![Part::UserInput],
            user_input: Some(InputDetail::Bare),
            ..GrantArguments::default()
        };
        assert!(allowing(&both).is_err());
    }

    #[test]
    fn a_rule_reads_as_what_it_grants() {
        let words_of = |grants: GrantArguments| rule_words(&allowing(&grants).unwrap());
        let none = GrantArguments::default;
        assert_eq!(words_of(none()), "sees everything");
        assert_eq!(words_of(GrantArguments { only: vec![Part::Status], ..none() }), "sees status");
        assert_eq!(
            words_of(GrantArguments { only: vec![Part::Notes], watchers: true, ..none() }),
            "sees status, notes, and who watches you"
        );
        assert_eq!(
            words_of(GrantArguments { without: vec![Part::Notes, Part::Activities], ..none() }),
            "sees everything without notes, activities"
        );
        assert_eq!(
            words_of(GrantArguments { tuple: vec!["inbox".parse().unwrap()], ..none() }),
            "sees everything of inbox"
        );
        assert_eq!(
            words_of(GrantArguments { user_input: Some(InputDetail::Bare), visible_only: true, ..none() }),
            "sees everything (of user-input only whether there is any), unless it hides that it watches"
        );
        assert_eq!(
            words_of(GrantArguments {
                only: vec![Part::Status],
                user_input: Some(InputDetail::Thresholds),
                ..none()
            }),
            "sees status, user-input (of user-input not when the last was)"
        );
        assert_eq!(rule_words(&blocking(false)), "blocked");
        assert_eq!(rule_words(&blocking(true)), "blocked politely: always sees you closed");
    }
}
