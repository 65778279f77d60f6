//! DELIVERY RULES as documents.

use hereabouts_protocol::message::{
    delivery_rules::{DeliveryAction, DeliveryRule, DeliveryRules, Whose},
    instant_message::BODY_BYTES_MAX,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PersonDocument;
use crate::local_api::names::Directory;

/// Whose messages the inbox takes, how many, how large and of which types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryRulesDocument {
    /// For each sender with a petname.
    pub contacts: DeliveryRuleDocument,
    /// For each sender without.
    pub strangers: DeliveryRuleDocument,
    /// For single senders, instead of these, by their keys.
    pub senders: Vec<SenderRuleDocument>,
}

impl DeliveryRulesDocument {
    /// The document of `rules`, with names from `directory`.
    pub fn new(rules: &DeliveryRules, directory: &Directory) -> Self {
        let of = |class: Whose| rules.of(&class).map(DeliveryRuleDocument::from).unwrap_or_default();
        let senders = rules.iter().filter_map(|(whose, rule)| match whose {
            Whose::Sender(sender) => {
                Some(SenderRuleDocument { sender: directory.person(sender), rule: rule.into() })
            }
            Whose::Contacts | Whose::Strangers => None,
        });
        Self { contacts: of(Whose::Contacts), strangers: of(Whose::Strangers), senders: senders.collect() }
    }
}

/// A DELIVERY RULE for one sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SenderRuleDocument {
    /// Whose messages it is for.
    #[serde(flatten)]
    pub sender: PersonDocument,
    /// What it demands of them.
    pub rule: DeliveryRuleDocument,
}

/// A DELIVERY RULE. What is left out of one that is set demands nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryRuleDocument {
    /// Whether messages are taken at all.
    pub action: DeliveryActionWord,
    /// Messages a minute of each sender, 1 to 60000; `null` for any number.
    pub per_minute: Option<u32>,
    /// Messages a minute of all contacts, or of all strangers, together; `null` for any number, and for one
    /// sender always.
    pub together_per_minute: Option<u32>,
    /// Bytes of a body, at most 16384.
    pub body_bytes_max: usize,
    /// What the content type must begin with, one of these; any type if there is none. At most 16.
    #[schema(example = json!(["text/", "image/png"]))]
    pub content_types: Vec<String>,
}

impl Default for DeliveryRuleDocument {
    fn default() -> Self {
        Self::from(&DeliveryRule { body_bytes_max: BODY_BYTES_MAX, ..DeliveryRule::default() })
    }
}

impl From<&DeliveryRule> for DeliveryRuleDocument {
    fn from(rule: &DeliveryRule) -> Self {
        Self {
            action: rule.action.into(),
            per_minute: rule.per_minute,
            together_per_minute: rule.together_per_minute,
            body_bytes_max: rule.body_bytes_max,
            content_types: rule.content_types.clone(),
        }
    }
}

impl From<DeliveryRuleDocument> for DeliveryRule {
    fn from(document: DeliveryRuleDocument) -> Self {
        Self {
            action: document.action.into(),
            per_minute: document.per_minute,
            together_per_minute: document.together_per_minute,
            body_bytes_max: document.body_bytes_max,
            content_types: document.content_types,
        }
    }
}

/// What is done with a sender's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryActionWord {
    /// They are taken, as far as the rest of the rule goes.
    Accept,
    /// They are refused, and the sender is told `denied`.
    Deny,
    /// They are dropped without an answer: the sender does not know what became of them.
    Ignore,
}

impl From<DeliveryAction> for DeliveryActionWord {
    fn from(action: DeliveryAction) -> Self {
        match action {
            DeliveryAction::Accept => Self::Accept,
            DeliveryAction::Deny => Self::Deny,
            DeliveryAction::Ignore => Self::Ignore,
        }
    }
}

impl From<DeliveryActionWord> for DeliveryAction {
    fn from(word: DeliveryActionWord) -> Self {
        match word {
            DeliveryActionWord::Accept => Self::Accept,
            DeliveryActionWord::Deny => Self::Deny,
            DeliveryActionWord::Ignore => Self::Ignore,
        }
    }
}
