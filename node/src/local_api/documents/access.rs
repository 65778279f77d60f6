//! ACCESS RULES as documents.

use std::collections::BTreeSet;

use hereabouts_protocol::presence::{
    access_rules::{AccessRule, AccessRules, Audience, Handling, Transformations},
    user_input::UserInputGrant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PersonDocument;
use crate::local_api::names::Directory;

/// What watchers are given of this node's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccessRulesDocument {
    /// For those who ask nothing: what is gossiped in the clear, as far as every other rule grants it too.
    pub anybody: AccessRuleDocument,
    /// For each watcher with a petname that asks.
    pub contacts: AccessRuleDocument,
    /// For each watcher without that asks.
    pub strangers: AccessRuleDocument,
    /// For single watchers, instead of these, by their keys.
    pub watchers: Vec<WatcherRuleDocument>,
    /// What goes in the clear by all of these; `null` if nothing does.
    pub clear: Option<GrantsDocument>,
}

impl AccessRulesDocument {
    /// The document of `rules`, with names from `directory`.
    pub fn new(rules: &AccessRules, directory: &Directory) -> Self {
        let of = |class: Audience| rules.of(&class).map(AccessRuleDocument::from).unwrap_or_default();
        let watchers = rules.iter().filter_map(|(audience, rule)| match audience {
            Audience::Watcher(watcher) => {
                Some(WatcherRuleDocument { watcher: directory.person(watcher), rule: rule.into() })
            }
            Audience::Anybody | Audience::Contacts | Audience::Strangers => None,
        });
        Self {
            anybody: of(Audience::Anybody),
            contacts: of(Audience::Contacts),
            strangers: of(Audience::Strangers),
            watchers: watchers.collect(),
            clear: rules.clear().as_ref().map(Into::into),
        }
    }
}

/// An ACCESS RULE for one watcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatcherRuleDocument {
    /// For whom it is.
    #[serde(flatten)]
    pub watcher: PersonDocument,
    /// What it grants.
    pub rule: AccessRuleDocument,
}

/// An ACCESS RULE. What is left out of one that is set grants everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessRuleDocument {
    /// What becomes of a request.
    pub handling: HandlingWord,
    /// What is given if that is `allow`.
    pub grants: GrantsDocument,
    /// Whether the other watchers may be seen then, as far as these let it.
    pub watchers: bool,
    /// Whether who hides that it watches, from anybody, is refused instead. Not for `anybody`.
    pub visible_only: bool,
}

impl Default for AccessRuleDocument {
    fn default() -> Self {
        Self::from(&AccessRule::default())
    }
}

impl From<&AccessRule> for AccessRuleDocument {
    fn from(rule: &AccessRule) -> Self {
        let AccessRule { handling, grants, watchers, visible_only } = rule;
        Self {
            handling: (*handling).into(),
            grants: grants.into(),
            watchers: *watchers,
            visible_only: *visible_only,
        }
    }
}

impl AccessRuleDocument {
    /// The rule that the document asks for.
    ///
    /// # Errors
    /// The tuple id that is none.
    pub fn rule(self) -> Result<AccessRule, String> {
        Ok(AccessRule {
            handling: self.handling.into(),
            grants: self.grants.transformations()?,
            watchers: self.watchers,
            visible_only: self.visible_only,
        })
    }
}

/// Which parts of the presence document are given. The name, and of each tuple the id and status, always are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrantsDocument {
    /// The tuples with these ids, at most 8; `null` for all.
    #[schema(example = json!(["inbox"]))]
    pub tuples: Option<Vec<String>>,
    /// Notes.
    pub notes: bool,
    /// Activities.
    pub activities: bool,
    /// Addresses. Who is not given them cannot send a message without another source.
    pub addresses: bool,
    /// Until when something holds.
    pub until: bool,
    /// How much of whether the device is in use.
    pub user_input: UserInputGrantWord,
    /// Extensions.
    pub extensions: bool,
}

impl Default for GrantsDocument {
    fn default() -> Self {
        Self::from(&Transformations::default())
    }
}

impl From<&Transformations> for GrantsDocument {
    fn from(grants: &Transformations) -> Self {
        Self {
            tuples: grants.tuples.as_ref().map(|tuples| tuples.iter().map(ToString::to_string).collect()),
            notes: grants.notes,
            activities: grants.activities,
            addresses: grants.addresses,
            until: grants.until,
            user_input: grants.user_input.into(),
            extensions: grants.extensions,
        }
    }
}

impl GrantsDocument {
    fn transformations(self) -> Result<Transformations, String> {
        let tuples = self.tuples.map(|tuples| {
            let token = |id: &String| id.parse().map_err(|error| format!("{id:?} is no tuple id: {error}"));
            tuples.iter().map(token).collect::<Result<BTreeSet<_>, _>>()
        });
        Ok(Transformations {
            tuples: tuples.transpose()?,
            notes: self.notes,
            activities: self.activities,
            addresses: self.addresses,
            until: self.until,
            user_input: self.user_input.into(),
            extensions: self.extensions,
        })
    }
}

/// How much of user input is given (RFC 5025).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UserInputGrantWord {
    /// Nothing.
    Withheld,
    /// Active or idle.
    Bare,
    /// And after what time without input it counts as idle.
    Thresholds,
    /// And when the last input was.
    Full,
}

impl From<UserInputGrant> for UserInputGrantWord {
    fn from(grant: UserInputGrant) -> Self {
        match grant {
            UserInputGrant::Withheld => Self::Withheld,
            UserInputGrant::Bare => Self::Bare,
            UserInputGrant::Thresholds => Self::Thresholds,
            UserInputGrant::Full => Self::Full,
        }
    }
}

impl From<UserInputGrantWord> for UserInputGrant {
    fn from(word: UserInputGrantWord) -> Self {
        match word {
            UserInputGrantWord::Withheld => Self::Withheld,
            UserInputGrantWord::Bare => Self::Bare,
            UserInputGrantWord::Thresholds => Self::Thresholds,
            UserInputGrantWord::Full => Self::Full,
        }
    }
}

/// What becomes of a watcher's request (RFC 5025).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HandlingWord {
    /// It is refused, and the watcher is told.
    Block,
    /// A subscription waits for your word; a fetch is refused until then.
    Confirm,
    /// It seems to be granted, but always shows you closed. Messages are answered `closed`.
    PoliteBlock,
    /// It is granted.
    Allow,
}

impl From<Handling> for HandlingWord {
    fn from(handling: Handling) -> Self {
        match handling {
            Handling::Block => Self::Block,
            Handling::Confirm => Self::Confirm,
            Handling::PoliteBlock => Self::PoliteBlock,
            Handling::Allow => Self::Allow,
        }
    }
}

impl From<HandlingWord> for Handling {
    fn from(word: HandlingWord) -> Self {
        match word {
            HandlingWord::Block => Self::Block,
            HandlingWord::Confirm => Self::Confirm,
            HandlingWord::PoliteBlock => Self::PoliteBlock,
            HandlingWord::Allow => Self::Allow,
        }
    }
}
