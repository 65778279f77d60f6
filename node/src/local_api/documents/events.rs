//! What happened, as documents: one event of `GET /v1/events`, and one line of `here up --json`.

use hereabouts_protocol::{message::instant_message::FailureReason, time::UnixTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    DocumentTime, MessageDocument, OutboxStateWord, PersonDocument, PresentityDocument,
    SubscriptionEventWord, SubscriptionStateWord, WatcherDocument,
};
use crate::{
    local_api::names::Directory,
    mesh::events::{Event, LoggedEvent},
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventDocument {
    /// Its place, `<incarnation>-<number>`; give it back to get what follows.
    #[schema(example = "3-17")]
    pub cursor: String,
    /// When it happened.
    pub at: DocumentTime,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

impl EventDocument {
    /// The document of `logged`, with names from `directory`, ages counted at `now`.
    pub fn new(logged: &LoggedEvent, directory: &Directory, now: UnixTime) -> Self {
        Self {
            cursor: logged.cursor.to_string(),
            at: logged.at.into(),
            body: EventBody::new(&logged.event, directory, now),
        }
    }
}

/// What happened; `event` names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventBody {
    /// A presentity was seen for the first time in this run of the node.
    Appeared {
        /// Its state.
        presentity: Box<PresentityDocument>,
    },
    /// Its PRESENCE INFORMATION changed.
    Changed {
        /// Its state.
        presentity: Box<PresentityDocument>,
    },
    /// It said goodbye.
    Left {
        /// Its last state.
        presentity: Box<PresentityDocument>,
    },
    /// It seems to be out of contact; mostly it is lost or cleared within seconds.
    Suspected {
        /// Its state.
        presentity: Box<PresentityDocument>,
    },
    /// It does not seem so any more.
    Cleared {
        /// Its state.
        presentity: Box<PresentityDocument>,
    },
    /// It is out of contact.
    Lost {
        /// Its last state.
        presentity: Box<PresentityDocument>,
    },
    /// It is back after it left or was lost.
    Returned {
        /// Its state.
        presentity: Box<PresentityDocument>,
    },
    /// It was lost several times in a few minutes. Until `steady` its losses and returns are events as
    /// before, but with `unsteady` in `contact`: no news for people.
    Unsteady {
        /// Its state.
        presentity: Box<PresentityDocument>,
    },
    /// It was neither lost nor returned for some minutes.
    Steady {
        /// Its state.
        presentity: Box<PresentityDocument>,
    },
    /// A message came in and is stored.
    Message {
        /// The message with its body.
        message: Box<MessageDocument>,
    },
    /// A queued message reached a final state.
    Delivery {
        /// The message: 32 hexadecimal digits.
        id: String,
        /// Whose inbox it is for.
        to: PersonDocument,
        /// Where it stands now.
        state: OutboxStateWord,
        /// Why it failed; `null` unless it did.
        #[schema(schema_with = super::messages::failure_reason_schema)]
        reason: Option<FailureReason>,
    },
    /// Somebody asked to subscribe to this node's presentity, subscribed, or their subscription ended.
    Subscriber {
        /// Who.
        subscriber: PersonDocument,
        /// Where the subscription stands now.
        state: SubscriptionStateWord,
        /// What brought it there.
        reason: SubscriptionEventWord,
    },
    /// Who watches somebody has changed: this node, or one whose watchers it watches.
    Watcher {
        /// Whose watcher it is.
        of: PersonDocument,
        /// What is known of the watcher, or was last.
        watcher: Box<WatcherDocument>,
        /// Whether it is kept, or may be seen, no more.
        gone: bool,
    },
    /// Somebody else changed this node's own presence, as they may.
    Updated {
        /// Who.
        by: PersonDocument,
    },
    /// The node listens on a further address.
    Listening {
        /// A multiaddress.
        address: String,
    },
    /// The node is reached through a relay.
    Relayed {
        /// The relay.
        relay: PersonDocument,
    },
    /// It is not, or no more; it asks again by itself.
    NotRelayed {
        /// The relay.
        relay: PersonDocument,
        /// A sentence for people.
        message: String,
    },
    /// Something is wrong that the PRINCIPAL may want to mend.
    Trouble {
        /// A sentence for people.
        message: String,
    },
    /// Events are missing here, because the cursor is too old: read the state anew.
    Gap,
}

impl EventBody {
    /// The document of `event`.
    pub fn new(event: &Event, directory: &Directory, now: UnixTime) -> Self {
        let document = |view| Box::new(PresentityDocument::new(view, directory.realm(), now));
        match event {
            Event::Appeared(view) => Self::Appeared { presentity: document(view) },
            Event::Changed(view) => Self::Changed { presentity: document(view) },
            Event::Left(view) => Self::Left { presentity: document(view) },
            Event::Suspected(view) => Self::Suspected { presentity: document(view) },
            Event::Cleared(view) => Self::Cleared { presentity: document(view) },
            Event::Lost(view) => Self::Lost { presentity: document(view) },
            Event::Returned(view) => Self::Returned { presentity: document(view) },
            Event::Unsteady(view) => Self::Unsteady { presentity: document(view) },
            Event::Steady(view) => Self::Steady { presentity: document(view) },
            Event::Message(entry) => {
                Self::Message { message: Box::new(MessageDocument::new(entry, directory)) }
            }
            Event::Delivery { id, to, state } => {
                let (state, reason) = OutboxStateWord::with_reason(*state);
                Self::Delivery { id: id.to_string(), to: directory.person(&to.node), state, reason }
            }
            Event::Subscriber { presentity, state, event } => Self::Subscriber {
                subscriber: directory.person(presentity),
                state: (*state).into(),
                reason: (*event).into(),
            },
            Event::Watcher { of, watcher, gone } => Self::Watcher {
                of: directory.person(of),
                watcher: Box::new(WatcherDocument::told(watcher, directory)),
                gone: *gone,
            },
            Event::Updated { by } => Self::Updated { by: directory.person(by) },
            Event::Listening(address) => Self::Listening { address: address.to_string() },
            Event::Relayed { relay } => Self::Relayed { relay: directory.person(relay) },
            Event::NotRelayed { relay, why } => {
                Self::NotRelayed { relay: directory.person(relay), message: why.clone() }
            }
            Event::Trouble(message) => Self::Trouble { message: message.clone() },
            Event::Gap => Self::Gap,
        }
    }

    /// The word that `event` is in the document, and the name of the server-sent event.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Appeared { .. } => "appeared",
            Self::Changed { .. } => "changed",
            Self::Left { .. } => "left",
            Self::Suspected { .. } => "suspected",
            Self::Cleared { .. } => "cleared",
            Self::Lost { .. } => "lost",
            Self::Returned { .. } => "returned",
            Self::Unsteady { .. } => "unsteady",
            Self::Steady { .. } => "steady",
            Self::Message { .. } => "message",
            Self::Delivery { .. } => "delivery",
            Self::Subscriber { .. } => "subscriber",
            Self::Watcher { .. } => "watcher",
            Self::Updated { .. } => "updated",
            Self::Listening { .. } => "listening",
            Self::Relayed { .. } => "relayed",
            Self::NotRelayed { .. } => "not-relayed",
            Self::Trouble { .. } => "trouble",
            Self::Gap => "gap",
        }
    }

    /// The presentity that the event is about, if it is a change of presence.
    pub fn presentity(&self) -> Option<&PresentityDocument> {
        match self {
            Self::Appeared { presentity }
            | Self::Changed { presentity }
            | Self::Left { presentity }
            | Self::Suspected { presentity }
            | Self::Cleared { presentity }
            | Self::Lost { presentity }
            | Self::Returned { presentity }
            | Self::Unsteady { presentity }
            | Self::Steady { presentity } => Some(presentity),
            _ => None,
        }
    }
}
