//! Who somebody is, petnames, and SUBSCRIPTIONS as documents.

use hereabouts_protocol::{durable::StoredContact, watcher::subscription::Subscriptions};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DocumentTime, SubscriptionEventWord, SubscriptionStateWord};
use crate::local_api::names::Directory;

/// Somebody, by everything they may be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonDocument {
    /// The peer id.
    pub id: String,
    /// The eight characters of it that people see.
    pub short_id: String,
    /// What they call themselves, if that is known: a hint that anybody may claim.
    pub name: Option<String>,
    /// What the PRINCIPAL of this node calls them.
    pub petname: Option<String>,
}

impl PersonDocument {
    /// The name that people see: the petname, what they call themselves, or the short id.
    pub fn shown_name(&self) -> &str {
        self.petname
            .as_deref()
            .or_else(|| self.name.as_deref().filter(|name| !name.is_empty()))
            .unwrap_or(&self.short_id)
    }
}

/// The petnames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactsDocument {
    /// In the order of the petnames.
    pub contacts: Vec<PetnameDocument>,
}

impl ContactsDocument {
    /// The document of `contacts`.
    pub fn new(contacts: &[StoredContact]) -> Self {
        let mut contacts: Vec<_> = contacts.iter().map(PetnameDocument::from).collect();
        contacts.sort_by_cached_key(|contact| (contact.petname.to_lowercase(), contact.petname.clone()));
        Self { contacts }
    }
}

/// A petname.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PetnameDocument {
    /// What the PRINCIPAL of this node calls somebody.
    pub petname: String,
    /// Whom: the peer id.
    pub id: String,
    /// The eight characters of it that people see.
    pub short_id: String,
}

impl From<&StoredContact> for PetnameDocument {
    fn from(contact: &StoredContact) -> Self {
        Self {
            petname: contact.petname.clone(),
            id: contact.presentity.to_string(),
            short_id: contact.presentity.short_id(),
        }
    }
}

/// Whom a petname is to stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutContact {
    /// A petname, a display name, the beginning of a peer id, or a `pres:` or `im:` URI.
    pub who: String,
}

/// Who watches this node's presentity, and whom this node watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubscriptionsDocument {
    /// Who watches this node's presentity, or asked to.
    pub subscribers: Vec<SubscriberDocument>,
    /// Whom this node watches.
    pub watching: Vec<WatchDocument>,
}

impl SubscriptionsDocument {
    /// The document of `subscriptions`, with names from `directory`.
    pub fn new(subscriptions: &Subscriptions, directory: &Directory) -> Self {
        let subscribers = subscriptions.subscribers.iter().map(|subscriber| SubscriberDocument {
            subscriber: directory.person(&subscriber.presentity),
            state: subscriber.state.into(),
            event: subscriber.event.into(),
            since: subscriber.since.into(),
            expires_at: subscriber.expires_at.into(),
        });
        let watching = subscriptions.watching.iter().map(|watch| WatchDocument {
            presentity: directory.person(&watch.presentity),
            state: watch.state.into(),
            event: watch.event.into(),
            since: watch.since.into(),
            expires_at: watch.expires_at.map(Into::into),
            contact: watch.is_contact,
        });
        Self { subscribers: subscribers.collect(), watching: watching.collect() }
    }
}

/// Somebody who watches this node's presentity, or asked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubscriberDocument {
    /// Who.
    #[serde(flatten)]
    pub subscriber: PersonDocument,
    /// Where the subscription stands: pending until you decide, waiting if they ask no more.
    pub state: SubscriptionStateWord,
    /// What brought it there.
    pub event: SubscriptionEventWord,
    /// Since when it was asked for.
    pub since: DocumentTime,
    /// When the subscription ends unless it is renewed, or the request is forgotten.
    pub expires_at: DocumentTime,
}

/// Somebody whom this node watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchDocument {
    /// Whom.
    #[serde(flatten)]
    pub presentity: PersonDocument,
    /// Where the subscription stands.
    pub state: SubscriptionStateWord,
    /// What brought it there.
    pub event: SubscriptionEventWord,
    /// Since when it was asked for.
    pub since: DocumentTime,
    /// When it ends unless it is renewed, which this node does; `null` while it is not active.
    pub expires_at: Option<DocumentTime>,
    /// Whether it is watched since it has a petname.
    pub contact: bool,
}
