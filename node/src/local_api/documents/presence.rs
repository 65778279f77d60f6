//! PRESENCE INFORMATION as documents.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use data_encoding::BASE64;
use hereabouts_protocol::{
    identity::Realm,
    presence::{
        information::{
            Basic, CommunicationAddress, Extensions, MEANS_INSTANT_MESSAGE, Note, OtherPresenceMarkup,
            PresenceTuple, Token,
        },
        record::Version,
        service::{AccusedBy, Contact, ContactState, Evidence, PresentityView},
        suspicion::Grounds,
        user_input::{InputState, UserInput},
    },
    time::UnixTime,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DocumentTime;
use crate::mesh::handle::Fetched;

/// Everybody known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PresentitiesDocument {
    /// The others in the order of the names they are shown by, then this node's own.
    pub presentities: Vec<PresentityDocument>,
}

impl PresentitiesDocument {
    /// Sorts by petname or display name, without regard to case; those without a name come after them.
    pub fn new(views: &[PresentityView], realm: &Realm, now: UnixTime) -> Self {
        let mut presentities: Vec<_> =
            views.iter().map(|view| PresentityDocument::new(view, realm, now)).collect();
        presentities.sort_by_cached_key(|presentity| {
            let name = presentity.shown_name().map(str::to_lowercase);
            (presentity.is_self, name.is_none(), name, presentity.id.clone())
        });
        Self { presentities }
    }
}

/// A presentity: its PRESENCE INFORMATION, and whether it is in contact, which is no part of that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PresentityDocument {
    /// Its peer id.
    #[schema(example = "12D3KooWNoRtqPmYSWAfhEvYXBLL5rX9aqZUTDfdSDrH3CUBNqnj")]
    pub id: String,
    /// The eight characters of it that people see.
    pub short_id: String,
    /// Its `pres:` URI.
    pub uri: String,
    /// Whether it is this node's own.
    #[serde(rename = "self")]
    pub is_self: bool,
    /// What the PRINCIPAL of this node calls it.
    pub petname: Option<String>,
    /// What it calls itself: a hint that anybody may claim; `null` if even that is withheld.
    pub name: Option<String>,
    /// Whether it is in contact.
    pub contact: ContactDocument,
    /// Who gets no sign of life of it, the first first; mostly nobody.
    pub accused: Vec<AccusedDocument>,
    /// When its record was heard, by this node's clock.
    pub heard_at: DocumentTime,
    /// Seconds since then.
    pub age_seconds: f64,
    /// Which of its records this is.
    pub version: VersionDocument,
    /// Whether it shows more to those whom it lets, and this node has not asked or is not let.
    pub sealed: bool,
    /// Its tuples; none if its document is withheld from this node.
    pub tuples: Vec<TupleDocument>,
    /// A sentence for people.
    pub note: Option<NoteDocument>,
    /// RPID activities.
    pub activities: Vec<String>,
    /// When what it says stops being true.
    pub until: Option<DocumentTime>,
    /// Whether the device is in use.
    pub user_input: Option<UserInputDocument>,
    /// Values by name, as base64.
    pub extensions: BTreeMap<String, String>,
}

impl PresentityDocument {
    /// The document of `view` at `now`.
    pub fn new(view: &PresentityView, realm: &Realm, now: UnixTime) -> Self {
        let information = view.information.as_ref();
        let markup =
            information.map_or_else(OtherPresenceMarkup::default, |document| document.markup.clone());
        Self {
            id: view.presentity.to_string(),
            short_id: view.presentity.short_id(),
            uri: view.presentity.pres_uri(realm),
            is_self: view.is_self,
            petname: view.petname.clone(),
            name: view.display_name.clone(),
            contact: view.contact.into(),
            accused: view.accused.iter().map(Into::into).collect(),
            heard_at: view.heard_at.into(),
            age_seconds: now.since(view.heard_at).as_secs_f64(),
            version: view.version.into(),
            sealed: view.sealed,
            tuples: information
                .map_or_else(Vec::new, |document| document.tuples.iter().map(Into::into).collect()),
            note: markup.note.map(Into::into),
            activities: words(&markup.activities),
            until: markup.until.map(Into::into),
            user_input: markup.user_input.map(Into::into),
            extensions: base64_values(&markup.extensions),
        }
    }

    /// The name that people see: the petname, or else what it calls itself.
    pub fn shown_name(&self) -> Option<&str> {
        self.petname.as_deref().or_else(|| self.name.as_deref().filter(|name| !name.is_empty()))
    }

    /// The tuple that stands for the whole where there is room for one: the first for instant messages, or
    /// else the first.
    pub fn leading_tuple(&self) -> Option<&TupleDocument> {
        let takes_messages = |tuple: &&TupleDocument| {
            tuple.communication.as_ref().is_some_and(|address| address.means == MEANS_INSTANT_MESSAGE)
        };
        self.tuples.iter().find(takes_messages).or_else(|| self.tuples.first())
    }
}

/// A presentity and where its state came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FetchedDocument {
    /// The state.
    #[serde(flatten)]
    pub presentity: PresentityDocument,
    /// Where it came from.
    pub source: SourceWord,
}

impl FetchedDocument {
    /// The document of `fetched` at `now`.
    pub fn new(fetched: &Fetched, realm: &Realm, now: UnixTime) -> Self {
        let source = if fetched.direct { SourceWord::Direct } else { SourceWord::Known };
        Self { presentity: PresentityDocument::new(&fetched.view, realm, now), source }
    }
}

/// Where a fetched state came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SourceWord {
    /// The presentity's own node gave it just now.
    Direct,
    /// That node could not be asked; this is the last known state.
    Known,
}

/// Whether a presentity is in contact. Not a STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactDocument {
    /// The judgement.
    pub state: ContactStateWord,
    /// Since when it holds.
    pub since: DocumentTime,
    /// What it rests on.
    pub evidence: EvidenceWord,
    /// Whether it changes again and again.
    pub unsteady: bool,
}

impl From<Contact> for ContactDocument {
    fn from(contact: Contact) -> Self {
        Self {
            state: contact.state.into(),
            since: contact.since.into(),
            evidence: contact.evidence.into(),
            unsteady: contact.unsteady,
        }
    }
}

/// The judgement on somebody's contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContactStateWord {
    /// In contact.
    Present,
    /// In contact as far as is known, but somebody gets no sign of life.
    Suspect,
    /// Gone with a goodbye.
    Left,
    /// Out of contact without one.
    Lost,
}

impl From<ContactState> for ContactStateWord {
    fn from(state: ContactState) -> Self {
        match state {
            ContactState::Present => Self::Present,
            ContactState::Suspect => Self::Suspect,
            ContactState::Left => Self::Left,
            ContactState::Lost => Self::Lost,
        }
    }
}

/// What a judgement on somebody's contact rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceWord {
    /// It is this node itself.
    #[serde(rename = "self")]
    Own,
    /// A connection with its node stands.
    Connected,
    /// A new record of it was heard.
    Heard,
    /// Another node said so.
    Told,
    /// Known from an earlier run of this node.
    Remembered,
    /// The connection was lost, and its host says that nobody listens any more.
    LinkLost,
    /// Nodes get no sign of life, see `accused`, and it does not contradict them.
    Accused,
    /// It said goodbye.
    Departed,
    /// Its lease ended and nothing was heard.
    LeaseExpired,
}

impl From<Evidence> for EvidenceWord {
    fn from(evidence: Evidence) -> Self {
        match evidence {
            Evidence::Own => Self::Own,
            Evidence::Connected => Self::Connected,
            Evidence::Heard => Self::Heard,
            Evidence::Told => Self::Told,
            Evidence::Remembered => Self::Remembered,
            Evidence::LinkLost => Self::LinkLost,
            Evidence::Accused => Self::Accused,
            Evidence::Departed => Self::Departed,
            Evidence::LeaseExpired => Self::LeaseExpired,
        }
    }
}

/// One who gets no sign of life of a presentity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccusedDocument {
    /// The peer id of who says so; perhaps of this node itself.
    pub by: String,
    /// In what way.
    pub grounds: GroundsWord,
    /// Since when that counts.
    pub since: DocumentTime,
}

impl From<&AccusedBy> for AccusedDocument {
    fn from(accused: &AccusedBy) -> Self {
        Self { by: accused.accuser.to_string(), grounds: accused.grounds.into(), since: accused.since.into() }
    }
}

/// In what way somebody gets no sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroundsWord {
    /// It does not answer yet.
    Silent,
    /// The connection broke, and its host says that nobody listens any more.
    Refused,
    /// Neither it nor its host answers.
    Unreachable,
    /// Its host takes connections, and it says nothing on them.
    Unresponsive,
}

impl From<Grounds> for GroundsWord {
    fn from(grounds: Grounds) -> Self {
        match grounds {
            Grounds::Silent => Self::Silent,
            Grounds::Refused => Self::Refused,
            Grounds::Unreachable => Self::Unreachable,
            Grounds::Unresponsive => Self::Unresponsive,
        }
    }
}

/// Which of a presentity's records one is. The higher, incarnation first, is the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct VersionDocument {
    /// Counts the starts of its node.
    pub incarnation: u64,
    /// Counts its records since.
    pub sequence: u64,
}

impl From<Version> for VersionDocument {
    fn from(version: Version) -> Self {
        Self { incarnation: version.incarnation, sequence: version.sequence }
    }
}

/// A PRESENCE TUPLE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TupleDocument {
    /// Tells the tuples of one document apart.
    pub id: String,
    /// Its STATUS.
    pub status: StatusDocument,
    /// Its COMMUNICATION ADDRESS, if it has one.
    pub communication: Option<CommunicationDocument>,
    /// A sentence for people.
    pub note: Option<NoteDocument>,
    /// RPID activities.
    pub activities: Vec<String>,
    /// When what it says stops being true.
    pub until: Option<DocumentTime>,
    /// Whether the device is in use.
    pub user_input: Option<UserInputDocument>,
    /// Values by name, as base64.
    pub extensions: BTreeMap<String, String>,
}

impl From<&PresenceTuple> for TupleDocument {
    fn from(tuple: &PresenceTuple) -> Self {
        Self {
            id: tuple.id.to_string(),
            status: StatusDocument {
                basic: tuple.status.basic.into(),
                further: words(&tuple.status.further),
            },
            communication: tuple.communication_address.as_ref().map(Into::into),
            note: tuple.markup.note.clone().map(Into::into),
            activities: words(&tuple.markup.activities),
            until: tuple.markup.until.map(Into::into),
            user_input: tuple.markup.user_input.map(Into::into),
            extensions: base64_values(&tuple.markup.extensions),
        }
    }
}

/// A STATUS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusDocument {
    /// Whether the inbox takes messages.
    pub basic: BasicWord,
    /// Values beside it, such as `away`.
    pub further: Vec<String>,
}

/// The two STATUS values that exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BasicWord {
    /// The inbox accepts messages.
    Open,
    /// The inbox accepts no messages.
    Closed,
}

impl From<Basic> for BasicWord {
    fn from(basic: Basic) -> Self {
        match basic {
            Basic::Open => Self::Open,
            Basic::Closed => Self::Closed,
        }
    }
}

impl From<BasicWord> for Basic {
    fn from(word: BasicWord) -> Self {
        match word {
            BasicWord::Open => Self::Open,
            BasicWord::Closed => Self::Closed,
        }
    }
}

/// A COMMUNICATION ADDRESS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommunicationDocument {
    /// The COMMUNICATION MEANS, such as `im`.
    pub means: String,
    /// The CONTACT ADDRESS, a URI.
    pub contact: String,
}

impl From<&CommunicationAddress> for CommunicationDocument {
    fn from(address: &CommunicationAddress) -> Self {
        Self { means: address.means.to_string(), contact: address.contact.clone() }
    }
}

/// A note and the language it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteDocument {
    /// The text, at most 256 bytes.
    pub text: String,
    /// A BCP 47 tag such as `en`, if known.
    #[serde(default)]
    pub language: Option<String>,
}

impl From<Note> for NoteDocument {
    fn from(note: Note) -> Self {
        Self { text: note.text, language: note.language }
    }
}

impl From<NoteDocument> for Note {
    fn from(note: NoteDocument) -> Self {
        Self { text: note.text, language: note.language }
    }
}

/// Whether a device is in use (RFC 4480 section 3.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserInputDocument {
    /// Whether there is input.
    pub state: InputStateWord,
    /// After how many seconds without input it counts as idle, if that is said.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub idle_threshold_seconds: Option<NonZeroU32>,
    /// When the last input was, if that is said.
    #[serde(default)]
    pub last_input: Option<DocumentTime>,
}

impl From<UserInput> for UserInputDocument {
    fn from(input: UserInput) -> Self {
        Self {
            state: input.state.into(),
            idle_threshold_seconds: input.idle_threshold_seconds,
            last_input: input.last_input.map(Into::into),
        }
    }
}

impl From<UserInputDocument> for UserInput {
    fn from(input: UserInputDocument) -> Self {
        Self {
            state: input.state.into(),
            idle_threshold_seconds: input.idle_threshold_seconds,
            last_input: input.last_input.map(|time| time.0),
        }
    }
}

/// The two values of user input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InputStateWord {
    /// The device is in use.
    Active,
    /// It has not been used for a while.
    Idle,
}

impl From<InputState> for InputStateWord {
    fn from(state: InputState) -> Self {
        match state {
            InputState::Active => Self::Active,
            InputState::Idle => Self::Idle,
        }
    }
}

impl From<InputStateWord> for InputState {
    fn from(word: InputStateWord) -> Self {
        match word {
            InputStateWord::Active => Self::Active,
            InputStateWord::Idle => Self::Idle,
        }
    }
}

fn words(tokens: &BTreeSet<Token>) -> Vec<String> {
    tokens.iter().map(ToString::to_string).collect()
}

fn base64_values(extensions: &Extensions) -> BTreeMap<String, String> {
    extensions.iter().map(|(name, value)| (name.clone(), BASE64.encode(value))).collect()
}
