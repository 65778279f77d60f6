//! Every JSON document of the local API, and how each is made from what the mesh knows.
//!
//! The server writes these types, the client reads them and `here --json` prints them, so there is one
//! definition of each. Documents that go out are built from the protocol's types by their `new`; documents
//! that come in ([`SetPresence`], [`SendMessage`], [`PutContact`]) refuse fields they do not know, so a
//! misspelt one is an error and not a wish ignored. The schemas of the OpenAPI document are derived from
//! the same definitions.
//!
//! Conventions: ids and URIs are text, bytes are base64, times are RFC 3339 in UTC with milliseconds
//! ([`DocumentTime`]), vocabularies are lower-case words. A field without a value is `null`, unless its
//! description says that it is left out. A later version may add fields, which readers must skip over.

mod access;
mod delegates;
mod delivery;
mod events;
mod messages;
mod node;
mod people;
mod presence;
mod set_presence;
mod time;
mod watchers;

pub use access::{
    AccessRuleDocument, AccessRulesDocument, GrantsDocument, HandlingWord, UserInputGrantWord,
    WatcherRuleDocument,
};
pub use delegates::{DelegateDocument, DelegatesDocument, PutDelegate};
pub use delivery::{DeliveryActionWord, DeliveryRuleDocument, DeliveryRulesDocument, SenderRuleDocument};
pub use events::{EventBody, EventDocument};
pub use messages::{
    InboxDocument, MessageDocument, OutboxDocument, OutboxEntryDocument, OutboxStateWord, OutcomeWord,
    SendMessage, SentDocument,
};
pub use node::NodeDocument;
pub use people::{
    ContactsDocument, PersonDocument, PetnameDocument, PutContact, SubscriberDocument, SubscriptionsDocument,
    WatchDocument,
};
pub use presence::{
    AccusedDocument, BasicWord, CommunicationDocument, ContactDocument, ContactStateWord, EvidenceWord,
    FetchedDocument, GroundsWord, InputStateWord, NoteDocument, PresentitiesDocument, PresentityDocument,
    SourceWord, StatusDocument, TupleDocument, UserInputDocument, VersionDocument,
};
pub use set_presence::{NoneWord, SetPresence, SetPresenceError, SetUserInput};
pub use time::DocumentTime;
pub use watchers::{
    SetVisibility, SubscriptionEventWord, SubscriptionStateWord, VisibilityDocument, WatcherDocument,
    WatcherKindWord, WatchersDocument,
};

#[cfg(test)]
mod tests;
