//! ACCESS RULES: what each WATCHER is given of this node's PRESENCE INFORMATION.
//!
//! **Decides** which rule holds for a watcher and what it sees of a document, in one function
//! ([`View::of`]) that stands behind gossip, FETCH and NOTIFICATION alike. **Leaves** to [`super::views`]
//! how what is not for anybody is kept from the others, to [`crate::watcher`] what becomes of a
//! SUBSCRIPTION, and to the aggregate who is a contact.
//!
//! One [`AccessRule`] holds for each watcher that asks: its own, if the PRINCIPAL set one; that of the
//! contacts, if it has a petname; or else that of the strangers. The fourth is for *anybody*: those who ask
//! nothing and listen to the gossip. What goes there in the clear is what that rule and every other grants
//! ([`AccessRules::clear`]), so that whoever is granted less finds no more there than it is given.
//!
//! Source: RFC 2778 (ACCESS RULES), RFC 2779 2.3.1 to 2.3.3 and 5.1.15, RFC 5025 for the ways of handling
//! and the transformations. Deviation: there a watcher gets what any matching rule grants, so that nobody
//! can be blocked who matches another rule; here the most particular rule decides alone.
//!
//! Limits: [`WATCHER_RULES_MAX`] watchers with a rule of their own, [`VIEWS_MAX`] different views, and
//! [`super::information::TUPLES_MAX`] tuples named by a rule.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    information::{
        Basic, INBOX_TUPLE_ID, OtherPresenceMarkup, PresenceInformation, PresenceTuple, Status, TUPLES_MAX,
        Token,
    },
    record::SEALED_VIEWS_MAX,
    user_input::UserInputGrant,
};
use crate::identity::Presentity;

/// What the PRINCIPAL of a PRESENTITY grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRules(BTreeMap<Audience, AccessRule>);

impl AccessRules {
    /// The rules that were set, and the default where none was: everything to everybody, so that two nodes
    /// that never met see each other at once.
    pub fn new(set: impl IntoIterator<Item = (Audience, AccessRule)>) -> Self {
        let default = Audience::CLASSES.map(|class| (class, AccessRule::default()));
        Self(default.into_iter().chain(set).collect())
    }

    /// All of them: the classes, then single watchers in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Audience, &AccessRule)> {
        self.0.iter()
    }

    /// The rule that was set for these, or by default holds.
    pub fn of(&self, audience: &Audience) -> Option<&AccessRule> {
        self.0.get(audience)
    }

    /// Sets a rule, or with none goes back to the default; for a single watcher to that of its class.
    ///
    /// # Errors
    /// What is wrong with it; the old one stands.
    pub fn put(&mut self, audience: Audience, rule: Option<AccessRule>) -> Result<(), AccessRuleError> {
        self.put_all([(audience, rule)])
    }

    /// Sets several together, as [`Self::put`] does one.
    ///
    /// # Errors
    /// What is wrong with one of them, or with all together; the old ones stand.
    pub fn put_all(&mut self, set: impl IntoIterator<Item = SetAccessRule>) -> Result<(), AccessRuleError> {
        let before = self.0.clone();
        for (audience, rule) in set {
            match rule {
                Some(rule) => {
                    if let Err(error) = rule.check(&audience) {
                        self.0 = before;
                        return Err(error);
                    }
                    self.0.insert(audience, rule);
                }
                None if matches!(audience, Audience::Watcher(_)) => drop(self.0.remove(&audience)),
                None => drop(self.0.insert(audience, AccessRule::default())),
            }
        }
        let watchers = self.0.keys().filter(|audience| matches!(audience, Audience::Watcher(_))).count();
        let error = if watchers > WATCHER_RULES_MAX {
            Some(AccessRuleError::TooManyWatchers)
        } else {
            (self.sealed().len() > VIEWS_MAX).then_some(AccessRuleError::TooManyViews)
        };
        error.map_or(Ok(()), |error| {
            self.0 = before;
            Err(error)
        })
    }

    /// What has to be set so that these become `wanted`.
    pub fn changes_to(&self, wanted: &Self) -> Vec<SetAccessRule> {
        let gone = self.0.keys().filter(|audience| !wanted.0.contains_key(audience));
        let gone = gone.map(|audience| (*audience, None));
        let new = wanted.0.iter().filter(|(audience, rule)| self.0.get(audience) != Some(rule));
        gone.chain(new.map(|(audience, rule)| (*audience, Some(rule.clone())))).collect()
    }

    /// The rule that holds for one who asks; `hides` if it lets not everybody see that it does.
    ///
    /// # Panics
    /// Never: the classes have a rule from the beginning on.
    pub fn decide(&self, watcher: Presentity, is_contact: bool, hides: bool) -> &AccessRule {
        let class = if is_contact { Audience::Contacts } else { Audience::Strangers };
        let own = self.0.get(&Audience::Watcher(watcher));
        let rule = own.or_else(|| self.0.get(&class)).expect("classes always have a rule");
        if hides && rule.visible_only && rule.handling != Handling::PoliteBlock { &REFUSED } else { rule }
    }

    /// What is granted to anybody who listens, and by every other rule as well.
    pub fn clear(&self) -> Option<Transformations> {
        let granted = self.0.values().map(|rule| match rule.view() {
            // Who hides would find there what it is refused.
            Some(View::Granted(granted)) if !rule.visible_only => Some(granted),
            Some(View::Granted(_) | View::Decoy) | None => None,
        });
        granted.reduce(|one, other| Some(one?.meet(&other?))).flatten()
    }

    /// The views that some watcher is given and that do not go in the clear. As long as there is one, there
    /// is the decoy too, so that nobody can tell from their number whether somebody is politely blocked.
    pub fn sealed(&self) -> BTreeSet<View> {
        let clear = self.clear();
        let asked = self.0.iter().filter(|(audience, _)| **audience != Audience::Anybody);
        let views = asked.filter_map(|(_, rule)| rule.view());
        let mut sealed: BTreeSet<View> = views
            .filter(
                |view| !matches!((view, &clear), (View::Granted(granted), Some(clear)) if granted == clear),
            )
            .collect();
        if !sealed.is_empty() || clear.is_none() {
            sealed.insert(View::Decoy);
        }
        sealed
    }
}

impl Default for AccessRules {
    fn default() -> Self {
        Self::new([])
    }
}

/// A rule to be set for these, or with none taken back.
pub type SetAccessRule = (Audience, Option<AccessRule>);

/// For whom a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Those who ask nothing: whoever gets the record, from whomever.
    Anybody,
    /// Those who ask and have a petname.
    Contacts,
    /// Those who ask and have none.
    Strangers,
    /// One watcher, whichever it is of these.
    Watcher(Presentity),
}

impl Audience {
    /// All but single watchers.
    pub const CLASSES: [Self; 3] = [Self::Anybody, Self::Contacts, Self::Strangers];
}

/// What a watcher is granted. The default grants everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccessRule {
    /// What becomes of its request.
    pub handling: Handling,
    /// What it is given of the document if that is [`Handling::Allow`].
    pub grants: Transformations,
    /// Whether it may see the other watchers then, as far as these let it.
    pub watchers: bool,
    /// Whether it is refused as long as its VISIBILITY RULES hide it from anybody, instead of being let or
    /// waiting. [`Handling::PoliteBlock`] is not told from anything by that.
    pub visible_only: bool,
}

impl AccessRule {
    /// A rule without a grant.
    pub fn without_grant(handling: Handling) -> Self {
        Self { handling, ..Self::default() }
    }

    /// What a watcher is given under this rule; nothing if nothing is.
    pub fn view(&self) -> Option<View> {
        match self.handling {
            Handling::Block | Handling::Confirm => None,
            Handling::PoliteBlock => Some(View::Decoy),
            Handling::Allow => Some(View::Granted(self.grants.clone())),
        }
    }

    fn check(&self, audience: &Audience) -> Result<(), AccessRuleError> {
        let asks_nothing = *audience == Audience::Anybody;
        let asks = matches!(self.handling, Handling::Confirm | Handling::PoliteBlock) || self.visible_only;
        if asks_nothing && asks {
            return Err(AccessRuleError::AnybodyAsksNothing);
        }
        if self.grants.tuples.as_ref().is_some_and(|tuples| tuples.len() > TUPLES_MAX) {
            return Err(AccessRuleError::TooManyTuples);
        }
        Ok(())
    }
}

/// What becomes of a watcher's request (RFC 5025 section 3.2, `sub-handling`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handling {
    /// It is refused, and the watcher is told.
    Block,
    /// A SUBSCRIPTION waits for the PRINCIPAL's word; a FETCH is refused until then.
    Confirm,
    /// It seems to be granted, and what the watcher is given is always CLOSED. Its messages are answered
    /// `closed`.
    PoliteBlock,
    /// It is granted.
    #[default]
    Allow,
}

/// What a watcher sees of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// Of a presentity that takes no messages and says nothing else (RFC 5025 section 3.2.1).
    Decoy,
    /// What is granted.
    Granted(Transformations),
}

impl View {
    /// The document in this view. The view of a view is the same, and what is withheld looks like absent.
    pub fn of(&self, document: &PresenceInformation) -> PresenceInformation {
        match self {
            Self::Decoy => decoy(document),
            Self::Granted(granted) => granted.apply(document),
        }
    }
}

/// Which parts of a document are given (RFC 5025 section 3.3). A tuple that is given has its id and STATUS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "StoredTransformations")]
pub struct Transformations {
    /// The tuples with these ids; all if none are named.
    pub tuples: Option<BTreeSet<Token>>,
    /// Notes, of tuples and of the document.
    pub notes: bool,
    /// Activities, likewise.
    pub activities: bool,
    /// COMMUNICATION ADDRESSES. Who is not given them cannot send a message without another source.
    pub addresses: bool,
    /// Until when this holds, likewise.
    pub until: bool,
    /// User input, likewise.
    pub user_input: UserInputGrant,
    /// Further OTHER PRESENCE MARKUP: extensions.
    pub extensions: bool,
}

impl Default for Transformations {
    /// Everything.
    fn default() -> Self {
        Self {
            tuples: None,
            notes: true,
            activities: true,
            addresses: true,
            until: true,
            user_input: UserInputGrant::Full,
            extensions: true,
        }
    }
}

impl Transformations {
    /// Only STATUS and the display name.
    pub const fn status_only() -> Self {
        Self {
            tuples: None,
            notes: false,
            activities: false,
            addresses: false,
            until: false,
            user_input: UserInputGrant::Withheld,
            extensions: false,
        }
    }

    /// What both give.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let tuples = match (&self.tuples, &other.tuples) {
            (Some(one), Some(other)) => Some(one & other),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        Self {
            tuples,
            notes: self.notes && other.notes,
            activities: self.activities && other.activities,
            addresses: self.addresses && other.addresses,
            until: self.until && other.until,
            user_input: self.user_input.min(other.user_input),
            extensions: self.extensions && other.extensions,
        }
    }

    fn apply(&self, document: &PresenceInformation) -> PresenceInformation {
        let gives = |tuple: &&PresenceTuple| self.tuples.as_ref().is_none_or(|ids| ids.contains(&tuple.id));
        let tuple = |tuple: &PresenceTuple| PresenceTuple {
            communication_address: tuple.communication_address.clone().filter(|_| self.addresses),
            markup: self.markup(&tuple.markup),
            ..tuple.clone()
        };
        let mut tuples: Vec<_> = document.tuples.iter().filter(gives).map(tuple).collect();
        if tuples.is_empty() {
            // RFC 2778 asks for one at least; this one says nothing of those that are withheld.
            tuples.push(closed());
        }
        PresenceInformation {
            display_name: document.display_name.clone(),
            tuples,
            markup: self.markup(&document.markup),
        }
    }

    fn markup(&self, markup: &OtherPresenceMarkup) -> OtherPresenceMarkup {
        let markup = markup.clone();
        OtherPresenceMarkup {
            note: markup.note.filter(|_| self.notes),
            activities: if self.activities { markup.activities } else { BTreeSet::new() },
            until: markup.until.filter(|_| self.until),
            user_input: markup.user_input.and_then(|input| self.user_input.of(input)),
            extensions: if self.extensions { markup.extensions } else { BTreeMap::new() },
        }
    }
}

/// As they are stored: by a build that did not know user input, which was an extension then, without it.
#[derive(Deserialize)]
#[serde(default)]
struct StoredTransformations {
    tuples: Option<BTreeSet<Token>>,
    notes: bool,
    activities: bool,
    addresses: bool,
    until: bool,
    user_input: Option<UserInputGrant>,
    extensions: bool,
}

impl Default for StoredTransformations {
    fn default() -> Self {
        let Transformations { tuples, notes, activities, addresses, until, extensions, .. } =
            Transformations::default();
        Self { tuples, notes, activities, addresses, until, user_input: None, extensions }
    }
}

impl From<StoredTransformations> for Transformations {
    fn from(stored: StoredTransformations) -> Self {
        let StoredTransformations { tuples, notes, activities, addresses, until, user_input, extensions } =
            stored;
        let as_extension = if extensions { UserInputGrant::Full } else { UserInputGrant::Withheld };
        let user_input = user_input.unwrap_or(as_extension);
        Self { tuples, notes, activities, addresses, until, user_input, extensions }
    }
}

/// The document of one who takes no messages: name and inbox, CLOSED.
fn decoy(document: &PresenceInformation) -> PresenceInformation {
    let inbox = document.instant_message_tuple().and_then(|tuple| tuple.communication_address.clone());
    PresenceInformation {
        display_name: document.display_name.clone(),
        tuples: vec![PresenceTuple { communication_address: inbox, ..closed() }],
        markup: OtherPresenceMarkup::default(),
    }
}

fn closed() -> PresenceTuple {
    PresenceTuple {
        id: INBOX_TUPLE_ID.parse().expect("the id of that tuple is a word"),
        status: Status { basic: Basic::Closed, further: BTreeSet::new() },
        communication_address: None,
        markup: OtherPresenceMarkup::default(),
    }
}

/// A rule that cannot be set. The old one stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccessRuleError {
    /// Confirm, polite-block or visible only for those who never ask.
    #[error("whoever asks nothing can only be allowed or blocked; name contacts, strangers or a watcher")]
    AnybodyAsksNothing,
    /// A rule names more tuples than a document has.
    #[error("a rule names at most {TUPLES_MAX} tuples")]
    TooManyTuples,
    /// More than [`WATCHER_RULES_MAX`] watchers with a rule of their own.
    #[error("{WATCHER_RULES_MAX} watchers have a rule of their own already; forget one first")]
    TooManyWatchers,
    /// More than [`VIEWS_MAX`] different views.
    #[error(
        "rules may make {VIEWS_MAX} different views besides what anybody sees, and this would be one more; \
         grant the same to several"
    )]
    TooManyViews,
}

/// What holds for whom a rule refuses since it hides.
static REFUSED: AccessRule = AccessRule {
    handling: Handling::Block,
    grants: Transformations::status_only(),
    watchers: false,
    visible_only: true,
};

/// Watchers with a rule of their own.
pub const WATCHER_RULES_MAX: usize = 1024;
/// Different views in one record, the decoy among them.
pub const VIEWS_MAX: usize = SEALED_VIEWS_MAX;

#[cfg(test)]
#[path = "access_rules_tests.rs"]
mod tests;
