//! PIDF: a presence document for programs that know nothing of Hereabouts.
//!
//! | here | in the document |
//! |---|---|
//! | presentity | `entity`, a `pres:` URI |
//! | tuple id | `id` with `t-` before it, so that it differs from every other id |
//! | OPEN, CLOSED | `basic` |
//! | further STATUS values | one of dnd, xa, away, chat as `jc:show` (RFC 8048); the rest as `h:value` |
//! | COMMUNICATION ADDRESS | `contact`, with `h:means` where that is not the URI's scheme |
//! | note, language | `note`, `xml:lang` |
//! | display name | `c:display-name` of the person (RFC 4482) |
//! | activities of the document | `rp:activities` of the person; of a tuple `h:activities` |
//! | until | `until` of `rp:activities`, or else `h:until` |
//! | user input | `rp:user-input` of the person or tuple |
//! | extensions | `h:extension`, in base64 |
//!
//! `h` is [`EXTENSION_NAMESPACE`]. An activity that RPID does not know becomes `rp:other`; `lunch` (missing
//! in RPID's schema) becomes `rp:meal`, and `h:activities` then says them exactly. A text that XML cannot
//! carry (control characters), a language tag that is none and a contact that is no URI stand beside in
//! `h:exactly`, in base64: readers that do not know it see U+FFFD, no language or no contact.
//!
//! What a document says and this build does not model is kept as XML in the extension map of the tuple or
//! document, under its name `{namespace}local`, with `status/`, `person/` or `activities/` before it for
//! the element it stood in, and written back there. Elements of one name are one entry, a `contact`'s
//! priority is the entry `contact-priority`. Kept like that are also second notes, persons and `activities`,
//! and the text of `rp:other`. Lost: the order among elements of different names, attributes that the
//! schemas do not have, `from` and `id` of `activities`, the id of the person, and ids of tuples that are no
//! [`Token`], which become one.
//!
//! Source: RFC 3863, RFC 4479, RFC 4480. Deviations: `basic` and one tuple at least are demanded, since
//! RFC 2778 does. Limits: [`DOCUMENT_BYTES_MAX`] for import, and those of
//! [`PresenceInformation::check`]. A document that fits into a record is never too long.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use data_encoding::BASE64;

use super::{
    DOCUMENT_BYTES_MAX, EXTENSION_NAMESPACE, FormatError, date_time, keep, presentity_of, shown,
    xml::{self, Element, Writer, is_xml_character},
};
use crate::{
    identity::{Presentity, Realm},
    presence::{
        information::{
            ACTIVITIES, Basic, CommunicationAddress, Extensions, Note, OtherPresenceMarkup,
            PresenceInformation, PresenceTuple, Status, Token,
        },
        user_input::{InputState, UserInput},
    },
    time::UnixTime,
};

/// The media type of these documents.
pub const MEDIA_TYPE: &str = "application/pidf+xml";

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Whose document it is, a URI.
    pub entity: String,
    /// The presentity and realm of that URI, if it is one of this project's.
    pub presentity: Option<(Presentity, Realm)>,
    /// The newest of its timestamps.
    pub at: Option<UnixTime>,
    /// The document, within the limits.
    pub information: PresenceInformation,
}

/// The document of a presentity as it was at a time.
pub fn export(
    presentity: Presentity,
    realm: &Realm,
    information: &PresenceInformation,
    at: UnixTime,
) -> String {
    let (entity, at) = (presentity.pres_uri(realm), date_time::format(at));
    let (mut out, markup) = (Writer::new(), &information.markup);
    let namespaces = [
        ("xmlns", PIDF),
        ("xmlns:dm", DATA_MODEL),
        ("xmlns:rp", RPID),
        ("xmlns:c", CIPID),
        ("xmlns:jc", JABBER),
        ("xmlns:h", EXTENSION_NAMESPACE),
        ("entity", &entity),
    ];
    out.open("presence", &namespaces);
    for tuple in &information.tuples {
        write_tuple(&mut out, tuple, &at);
    }
    let written = Written {
        note: markup.note.is_some(),
        display_name: !information.display_name.is_empty(),
        activities: !markup.activities.is_empty(),
        user_input: markup.user_input.is_some(),
    };
    let kept = Kept::of(&markup.extensions, Place::DOCUMENT, written);
    if let Some(note) = &markup.note {
        write_note(&mut out, note);
    }
    kept.write(&mut out, Place::Presence, NOTES);
    write_person(&mut out, information, &kept, &at);
    kept.write(&mut out, Place::Presence, OTHERS);
    out.close();
    out.finish()
}

/// Reads a document.
///
/// # Errors
/// What is wrong with it: the element, and what was expected.
pub fn import(xml: &str) -> Result<Imported, FormatError> {
    let root = xml::parse(xml, DOCUMENT_BYTES_MAX)?;
    if !root.is(PIDF, "presence") {
        return Err(FormatError::Root { found: shown(&root.key()), expected: format!("{{{PIDF}}}presence") });
    }
    let entity = root.required("entity")?.trim().to_owned();
    let mut import = Import::default();
    let mut information = PresenceInformation {
        display_name: String::new(),
        tuples: Vec::new(),
        markup: OtherPresenceMarkup::default(),
    };
    let markup = &mut information.markup;
    let mut tuples = Vec::new();
    let mut person = None;
    for child in import.modelled(Place::Presence, &root, &mut markup.extensions, &[])? {
        match child.local.as_str() {
            "tuple" => tuples.push(child),
            "note" => markup.note = Some(note(child)?),
            _ => person = Some(child),
        }
    }
    if let Some(person) = person {
        import.person(person, &mut information)?;
    }
    for tuple in tuples {
        let tuple = import.tuple(tuple)?;
        information.tuples.push(tuple);
    }
    information.check()?;
    Ok(Imported { presentity: presentity_of(&entity, "pres"), entity, at: import.newest, information })
}

/// The elements that can hold what this build does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Presence,
    Person,
    Activities,
    Tuple,
    Status,
}

/// What becomes of an element that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// This module knows it.
    Modelled,
    /// It does the first time; another of the name is kept.
    ModelledOnce,
    /// It is kept.
    Kept,
    /// The schema has no place for it.
    Refused,
}

impl Place {
    const DOCUMENT: &[Self] = &[Self::Presence, Self::Person, Self::Activities];
    const TUPLE: &[Self] = &[Self::Tuple, Self::Status];

    /// What stands before the name of what is kept.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Presence | Self::Tuple => "",
            Self::Person => "person/",
            Self::Activities => "activities/",
            Self::Status => "status/",
        }
    }

    fn role(self, element: &Element<'_>) -> Role {
        let says_token = || element.text.trim().parse::<Token>().is_ok();
        match (self, &*element.namespace, element.local.as_str()) {
            (Self::Presence, PIDF, "tuple")
            | (Self::Tuple, PIDF, "status" | "contact" | "timestamp")
            | (Self::Status, PIDF, "basic")
            | (Self::Status, EXTENSION_NAMESPACE, "value")
            | (Self::Person, DATA_MODEL, "timestamp")
            | (Self::Tuple, EXTENSION_NAMESPACE, "means")
            | (
                Self::Tuple | Self::Person,
                EXTENSION_NAMESPACE,
                "activities" | "exactly" | "extension" | "until",
            ) => Role::Modelled,
            (Self::Presence | Self::Tuple, PIDF, "note")
            | (Self::Presence, DATA_MODEL, "person")
            | (Self::Person, DATA_MODEL, "note")
            | (Self::Tuple | Self::Person, RPID, "user-input")
            | (Self::Person, RPID, "activities")
            | (Self::Person, CIPID, "display-name") => Role::ModelledOnce,
            (Self::Status, JABBER, "show") if SHOWS.contains(&element.text.trim()) => Role::Modelled,
            (Self::Activities, RPID, "note") => Role::Kept,
            (Self::Activities, RPID, "other") if !element.text.trim().is_empty() && !says_token() => {
                Role::Kept
            }
            (Self::Activities, RPID, _) => Role::Modelled,
            (_, "", _)
            | (Self::Presence | Self::Tuple | Self::Status, PIDF, _)
            | (Self::Person, DATA_MODEL, _) => Role::Refused,
            _ => Role::Kept,
        }
    }
}

/// What was written of the things that are modelled once, so that another of the name is kept when read.
#[derive(Debug, Clone, Copy)]
struct Written {
    note: bool,
    display_name: bool,
    activities: bool,
    user_input: bool,
}

/// The extensions that are elements of other documents, by place, and those that are not.
struct Kept<'e> {
    elements: Vec<(Place, &'e str, &'e str)>,
    extensions: Vec<(&'e str, &'e [u8])>,
}

impl<'e> Kept<'e> {
    fn of(extensions: &'e Extensions, places: &[Place], mut written: Written) -> Self {
        let kept_in = |place: Place, written: Written| {
            extensions.iter().filter_map(move |(name, value)| {
                is_kept(name, value, place, written).map(|xml| (place, name.as_str(), xml))
            })
        };
        // What is kept of the activities makes them be written, and then others can be kept beside.
        written.activities |=
            places.contains(&Place::Activities) && kept_in(Place::Activities, written).next().is_some();
        let elements: Vec<_> = places.iter().flat_map(|place| kept_in(*place, written)).collect();
        let names: BTreeSet<&str> = elements.iter().map(|(_, name, _)| *name).collect();
        let others = extensions.iter().filter(|(name, _)| !names.contains(name.as_str()));
        Self { extensions: others.map(|(name, value)| (name.as_str(), value.as_slice())).collect(), elements }
    }

    fn has(&self, place: Place, name: &str) -> bool {
        self.elements.iter().any(|(kept, key, _)| *kept == place && (name.is_empty() || *key == name))
    }

    /// Writes what is kept for a place: its notes, or what is no note. The schemas have them apart.
    fn write(&self, out: &mut Writer, place: Place, notes: bool) {
        let is_note = |key: &str| [PIDF_NOTE, PERSON_NOTE, ACTIVITIES_NOTE].contains(&key);
        for (_, _, xml) in self.elements.iter().filter(|(at, key, _)| *at == place && is_note(key) == notes) {
            out.kept(xml);
        }
    }

    /// Writes what is no element: in base64.
    fn write_extensions(&self, out: &mut Writer, priority_is_written: bool) {
        for (name, value) in &self.extensions {
            if *name == CONTACT_PRIORITY && priority_is_written {
                continue;
            }
            let value = BASE64.encode(value);
            if name.chars().all(is_xml_character) {
                out.leaf("h:extension", &[("name", name)], &value);
            } else {
                out.leaf("h:extension", &[("name-base64", &BASE64.encode(name.as_bytes()))], &value);
            }
        }
    }
}

/// The XML of an extension, if an import makes the same extension of it at this place.
fn is_kept<'e>(name: &str, value: &'e [u8], place: Place, written: Written) -> Option<&'e str> {
    let key = name.strip_prefix(place.prefix()).filter(|key| key.starts_with('{'))?;
    let text = std::str::from_utf8(value).ok()?;
    let is_written_already = match (place, key) {
        (Place::Presence | Place::Tuple, PIDF_NOTE) | (Place::Person, DATA_MODEL_NOTE) => written.note,
        (Place::Person, DISPLAY_NAME) => written.display_name,
        (Place::Person, RPID_ACTIVITIES) => written.activities,
        (Place::Tuple | Place::Person, RPID_USER_INPUT) => written.user_input,
        _ => true,
    };
    let all_kept = |elements: &[Element<'_>]| {
        elements.iter().all(|element| {
            element.key() == key
                && match place.role(element) {
                    Role::Kept => true,
                    Role::ModelledOnce => is_written_already,
                    Role::Modelled | Role::Refused => false,
                }
        })
    };
    xml::standing_alone(text, all_kept).filter(|kept| *kept).map(|_| text)
}

fn write_tuple(out: &mut Writer, tuple: &PresenceTuple, at: &str) {
    let PresenceTuple { id, status, communication_address, markup } = tuple;
    let written = Written {
        note: markup.note.is_some(),
        display_name: false,
        activities: false,
        user_input: markup.user_input.is_some(),
    };
    let kept = Kept::of(&markup.extensions, Place::TUPLE, written);
    out.open("tuple", &[("id", &format!("{TUPLE_ID_PREFIX}{id}"))]);
    write_status(out, status, &kept);
    if !markup.activities.is_empty() {
        out.leaf("h:activities", &[], &words(&markup.activities));
    }
    write_until(out, markup.until);
    write_user_input(out, markup.user_input);
    let uri = communication_address.as_ref().filter(|address| is_uri(&address.contact));
    if let Some(CommunicationAddress { means, contact }) = communication_address {
        if uri.is_none() {
            write_exactly(out, "contact", contact);
        }
        if uri.is_none() || means_of(contact).as_ref() != Some(means) {
            out.leaf("h:means", &[], means.as_str());
        }
    }
    write_exact_note(out, markup.note.as_ref());
    let priority = markup.extensions.get(CONTACT_PRIORITY).and_then(|value| std::str::from_utf8(value).ok());
    let priority = priority.filter(|value| uri.is_some() && is_priority(value));
    kept.write_extensions(out, priority.is_some());
    kept.write(out, Place::Tuple, OTHERS);
    if let Some(address) = uri {
        let priority = priority.map(|value| ("priority", value));
        out.leaf("contact", priority.as_slice(), &address.contact);
    }
    if let Some(note) = &markup.note {
        write_note(out, note);
    }
    kept.write(out, Place::Tuple, NOTES);
    out.leaf("timestamp", &[], at);
    out.close();
}

fn write_status(out: &mut Writer, status: &Status, kept: &Kept<'_>) {
    out.open("status", &[]);
    out.leaf("basic", &[], &status.basic.to_string());
    let show = SHOWS.into_iter().find(|show| status.further.iter().any(|value| value.as_str() == *show));
    if let Some(show) = show {
        out.leaf("jc:show", &[], show);
    }
    for value in status.further.iter().filter(|value| Some(value.as_str()) != show) {
        out.leaf("h:value", &[], value.as_str());
    }
    kept.write(out, Place::Status, OTHERS);
    out.close();
}

fn write_person(out: &mut Writer, information: &PresenceInformation, kept: &Kept<'_>, at: &str) {
    let PresenceInformation { display_name, markup, .. } = information;
    out.open("dm:person", &[("id", PERSON_ID)]);
    if !display_name.is_empty() {
        out.leaf("c:display-name", &[], display_name);
    }
    if !display_name.chars().all(is_xml_character) {
        write_exactly(out, "display-name", display_name);
    }
    if markup.activities.is_empty() && !kept.has(Place::Activities, "") {
        write_until(out, markup.until);
    } else {
        write_activities(out, markup, kept);
    }
    write_user_input(out, markup.user_input);
    write_exact_note(out, markup.note.as_ref());
    kept.write_extensions(out, false);
    kept.write(out, Place::Person, OTHERS);
    kept.write(out, Place::Person, NOTES);
    out.leaf("dm:timestamp", &[], at);
    out.close();
}

fn write_activities(out: &mut Writer, markup: &OtherPresenceMarkup, kept: &Kept<'_>) {
    let until = markup.until.map(date_time::format);
    let until = until.as_ref().map(|until| ("until", until.as_str()));
    out.open("rp:activities", until.as_slice());
    kept.write(out, Place::Activities, NOTES);
    let mut read_back = BTreeSet::new();
    let has_other = kept.has(Place::Activities, ACTIVITIES_OTHER);
    let others_are_said = markup.activities.len() > 1 || kept.has(Place::Activities, "");
    for activity in markup.activities.iter().map(Token::as_str) {
        // RPID's schema lets `unknown` stand alone only.
        if (activity == "unknown" && others_are_said) || (activity == "other" && has_other) {
            continue;
        }
        let known = ACTIVITIES.contains(&activity);
        let name = if activity == "lunch" { "meal" } else { activity };
        read_back.insert(name);
        if known {
            out.empty(&format!("rp:{name}"), &[]);
        } else {
            out.leaf("rp:other", &[], activity);
        }
    }
    kept.write(out, Place::Activities, OTHERS);
    out.close();
    if has_other {
        read_back.insert("other");
    }
    if !read_back.into_iter().eq(markup.activities.iter().map(Token::as_str)) {
        out.leaf("h:activities", &[], &words(&markup.activities));
    }
}

fn write_until(out: &mut Writer, until: Option<UnixTime>) {
    if let Some(until) = until {
        out.leaf("h:until", &[], &date_time::format(until));
    }
}

fn write_user_input(out: &mut Writer, input: Option<UserInput>) {
    let Some(UserInput { state, idle_threshold_seconds, last_input }) = input else { return };
    let threshold = idle_threshold_seconds.map(|seconds| seconds.to_string());
    let last_input = last_input.map(date_time::format);
    let attributes: Vec<_> = [("idle-threshold", &threshold), ("last-input", &last_input)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    out.leaf("rp:user-input", &attributes, state.as_str());
}

fn write_note(out: &mut Writer, note: &Note) {
    let language = note.language.as_deref().filter(|tag| is_language(tag)).map(|tag| ("xml:lang", tag));
    out.leaf("note", language.as_slice(), &note.text);
}

/// What [`write_note`] cannot write as it is.
fn write_exact_note(out: &mut Writer, note: Option<&Note>) {
    let Some(Note { text, language }) = note else { return };
    if !text.chars().all(is_xml_character) {
        write_exactly(out, "note", text);
    }
    if let Some(language) = language.as_ref().filter(|tag| !is_language(tag)) {
        write_exactly(out, "language", language);
    }
}

fn write_exactly(out: &mut Writer, name: &str, text: &str) {
    out.leaf("h:exactly", &[("name", name)], &BASE64.encode(text.as_bytes()));
}

/// What is noted while a document is read.
#[derive(Default)]
struct Import {
    newest: Option<UnixTime>,
    ids: BTreeSet<Token>,
}

impl Import {
    /// The children that are modelled. The others are kept, or refused. Of the names `seen` there was one.
    fn modelled<'d, 'x>(
        &self,
        place: Place,
        element: &'d Element<'x>,
        extensions: &mut Extensions,
        seen: &[&str],
    ) -> Result<Vec<&'d Element<'x>>, FormatError> {
        let mut modelled = Vec::new();
        let mut seen: BTreeSet<String> = seen.iter().map(|name| (*name).to_owned()).collect();
        for child in &element.children {
            match place.role(child) {
                Role::Modelled => modelled.push(child),
                Role::ModelledOnce if seen.insert(child.key()) => modelled.push(child),
                Role::ModelledOnce | Role::Kept => {
                    let name = format!("{}{}", place.prefix(), child.key());
                    let mut xml = extensions.get(&name).cloned().unwrap_or_default();
                    xml.extend(child.kept().bytes());
                    keep(extensions, name, xml, || format!("<{}>", shown(&child.key())))?;
                }
                Role::Refused => return Err(element.unexpected(child)),
            }
        }
        // Now that it is known what is kept, so that no name comes from both.
        for child in modelled.iter().filter(|child| child.is(EXTENSION_NAMESPACE, "extension")) {
            let (name, value) = extension(child)?;
            if extensions.contains_key(&name) {
                return Err(element.unexpected(child));
            }
            keep(extensions, name, value, || "<extension>".to_owned())?;
        }
        Ok(modelled)
    }

    fn timestamp(&mut self, element: &Element<'_>) -> Result<(), FormatError> {
        let at = element.content(A_TIME, date_time::parse)?;
        self.newest = self.newest.max(Some(at));
        Ok(())
    }

    fn tuple(&mut self, element: &Element<'_>) -> Result<PresenceTuple, FormatError> {
        let mut markup = OtherPresenceMarkup::default();
        let id = self.id(element)?;
        let (mut status, mut contact, mut means) = (None, None, None);
        for child in self.modelled(Place::Tuple, element, &mut markup.extensions, &[])? {
            match (&*child.namespace, child.local.as_str()) {
                (PIDF, "status") if status.is_none() => {
                    status = Some(self.status(child, &mut markup.extensions)?);
                }
                (PIDF, "contact") if contact.is_none() => contact = Some(child),
                (PIDF, "timestamp") => self.timestamp(child)?,
                (PIDF, "note") => markup.note = Some(note(child)?),
                (RPID, _) => markup.user_input = Some(user_input(child)?),
                (PIDF, _) => return Err(element.unexpected(child)),
                (_, "means") => means = Some(child.content(A_WORD, |text| text.parse().ok())?),
                _ => own_markup(child, &mut markup)?,
            }
        }
        let exact = exactly(element)?;
        exact_note(&exact, &mut markup);
        if let Some(priority) = contact.and_then(|contact| contact.attribute("priority")) {
            // RFC 3863 4.1.4: one that is out of range is ignored.
            if is_priority(priority) {
                let name = CONTACT_PRIORITY.to_owned();
                keep(&mut markup.extensions, name, priority.into(), || "a contact's priority".to_owned())?;
            }
        }
        let contact = match (exact.get("contact"), contact) {
            (Some(text), _) => Some(text.clone()),
            (None, Some(contact)) => {
                Some(contact.content("a URI", |text| is_uri(text).then(|| text.to_owned()))?)
            }
            (None, None) => None,
        };
        let communication_address = match contact {
            Some(contact) => {
                let means = means.or_else(|| means_of(&contact));
                let means = means.ok_or_else(|| element.missing("a <means> for its <contact>"))?;
                Some(CommunicationAddress { means, contact })
            }
            None => None,
        };
        let status = status.ok_or_else(|| element.missing("a <status>"))?;
        Ok(PresenceTuple { id, status, communication_address, markup })
    }

    /// The id of a tuple, without the prefix of [`export`] unless another tuple has what is left.
    fn id(&mut self, element: &Element<'_>) -> Result<Token, FormatError> {
        let id = element.required("id")?;
        let stripped = id.strip_prefix(TUPLE_ID_PREFIX).and_then(|rest| rest.parse::<Token>().ok());
        let token = stripped.filter(|token| !self.ids.contains(token)).or_else(|| word_of(id));
        let token = token.filter(|token| self.ids.insert(token.clone()));
        token.ok_or_else(|| FormatError::Content {
            place: "<tuple> id".to_owned(),
            found: shown(id),
            expected: "an id that no other tuple has",
        })
    }

    fn status(&self, element: &Element<'_>, extensions: &mut Extensions) -> Result<Status, FormatError> {
        let mut status = Status { basic: Basic::Closed, further: BTreeSet::new() };
        let mut has_basic = false;
        for child in self.modelled(Place::Status, element, extensions, &[])? {
            if child.is(PIDF, "basic") {
                has_basic = true;
                status.basic = child.content("open or closed", |text| match text {
                    "open" => Some(Basic::Open),
                    "closed" => Some(Basic::Closed),
                    _ => None,
                })?;
            } else {
                status.further.insert(child.content(A_WORD, |text| text.parse().ok())?);
            }
        }
        if has_basic { Ok(status) } else { Err(element.missing("a <basic>")) }
    }

    fn person(
        &mut self,
        element: &Element<'_>,
        document: &mut PresenceInformation,
    ) -> Result<(), FormatError> {
        let PresenceInformation { display_name, markup, .. } = document;
        // The note of the document comes first; that of the person stands for it where there is none.
        let seen: &[&str] = if markup.note.is_some() { &[DATA_MODEL_NOTE] } else { &[] };
        let children = self.modelled(Place::Person, element, &mut markup.extensions, seen)?;
        // What `h:activities` and `h:until` say stands above what RPID's elements say.
        let (own, others): (Vec<_>, Vec<_>) =
            children.into_iter().partition(|child| *child.namespace == *EXTENSION_NAMESPACE);
        for child in others {
            match (&*child.namespace, child.local.as_str()) {
                (RPID, "user-input") => markup.user_input = Some(user_input(child)?),
                (RPID, _) => self.activities(child, markup)?,
                (CIPID, _) => child.only_text()?.clone_into(display_name),
                (_, "note") => markup.note = Some(note(child)?),
                _ => self.timestamp(child)?,
            }
        }
        for child in own {
            own_markup(child, markup)?;
        }
        let exact = exactly(element)?;
        exact_note(&exact, markup);
        if let Some(name) = exact.get("display-name") {
            display_name.clone_from(name);
        }
        Ok(())
    }

    fn activities(&self, element: &Element<'_>, markup: &mut OtherPresenceMarkup) -> Result<(), FormatError> {
        if element.attribute("until").is_some() {
            markup.until = Some(element.attribute_as("until", A_TIME, date_time::parse)?);
        }
        for child in self.modelled(Place::Activities, element, &mut markup.extensions, &[])? {
            let says = child.only_text()?.trim();
            let word = if child.local == "other" && !says.is_empty() { says } else { &child.local };
            let token = word.parse().map_err(|_| element.unexpected(child))?;
            markup.activities.insert(token);
        }
        let is_free_text =
            |child: &Element<'_>| child.is(RPID, "other") && Place::Activities.role(child) == Role::Kept;
        if element.children.iter().any(is_free_text) {
            markup.activities.extend("other".parse::<Token>());
        }
        Ok(())
    }
}

/// An element of ours that tuples and persons share.
fn own_markup(element: &Element<'_>, markup: &mut OtherPresenceMarkup) -> Result<(), FormatError> {
    match element.local.as_str() {
        "activities" => {
            markup.activities = element.content("words", |text| {
                text.split_whitespace().map(|word| word.parse::<Token>().ok()).collect()
            })?;
        }
        "until" => markup.until = Some(element.content(A_TIME, date_time::parse)?),
        // The others are read by name.
        _ => {}
    }
    Ok(())
}

fn user_input(element: &Element<'_>) -> Result<UserInput, FormatError> {
    let state = element.content("active or idle", |text| match text {
        "active" => Some(InputState::Active),
        "idle" => Some(InputState::Idle),
        _ => None,
    })?;
    let threshold = element.attribute("idle-threshold").map(|_| {
        element.attribute_as("idle-threshold", "a number of seconds", |text| text.parse::<NonZeroU32>().ok())
    });
    let last_input = element.attribute("last-input");
    let last_input = last_input.map(|_| element.attribute_as("last-input", A_TIME, date_time::parse));
    Ok(UserInput {
        state,
        idle_threshold_seconds: threshold.transpose()?,
        last_input: last_input.transpose()?,
    })
}

fn note(element: &Element<'_>) -> Result<Note, FormatError> {
    let language = element.language().map(str::to_owned);
    Ok(Note { text: element.only_text()?.to_owned(), language })
}

/// What stands beside because XML or the schema cannot say it.
fn exactly(element: &Element<'_>) -> Result<BTreeMap<String, String>, FormatError> {
    let mut exact = BTreeMap::new();
    for child in element.children.iter().filter(|child| child.is(EXTENSION_NAMESPACE, "exactly")) {
        let text = child.content("base64 of UTF-8", |text| String::from_utf8(base64(text)?).ok())?;
        exact.insert(child.required("name")?.to_owned(), text);
    }
    Ok(exact)
}

fn exact_note(exact: &BTreeMap<String, String>, markup: &mut OtherPresenceMarkup) {
    if let Some(note) = &mut markup.note {
        if let Some(text) = exact.get("note") {
            note.text.clone_from(text);
        }
        if let Some(language) = exact.get("language") {
            note.language = Some(language.clone());
        }
    }
}

/// The name and value of an `h:extension`.
fn extension(element: &Element<'_>) -> Result<(String, Vec<u8>), FormatError> {
    let name = if element.attribute("name-base64").is_some() {
        let decode = |text: &str| String::from_utf8(base64(text)?).ok();
        element.attribute_as("name-base64", "base64 of UTF-8", decode)?
    } else {
        element.required("name")?.to_owned()
    };
    Ok((name, element.content("base64", base64)?))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    BASE64.decode(text.as_bytes()).ok()
}

fn words(tokens: &BTreeSet<Token>) -> String {
    tokens.iter().map(Token::as_str).collect::<Vec<_>>().join(" ")
}

/// The word that an id becomes which is none.
fn word_of(id: &str) -> Option<Token> {
    const CHARACTERS_MAX: usize = 32;
    let allowed = |character: char| match character.to_ascii_lowercase() {
        character @ ('a'..='z' | '0'..='9' | '-' | '_') => character,
        _ => '-',
    };
    let word: String = id.chars().map(allowed).take(CHARACTERS_MAX).collect();
    word.parse().or_else(|_| word.trim_start_matches(|first: char| !first.is_ascii_lowercase()).parse()).ok()
}

/// The COMMUNICATION MEANS that a URI implies: its scheme, with `-` for what a word cannot hold.
fn means_of(uri: &str) -> Option<Token> {
    let (scheme, _) = uri.split_once(':')?;
    scheme.to_ascii_lowercase().replace(['+', '.'], "-").parse().ok()
}

/// Whether a text is an absolute URI (RFC 3986). Of those with an authority only plain host names are taken,
/// since not every reader agrees on the others.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let of_rest = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    let is_escape = |after: &str| {
        after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    scheme.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && scheme.bytes().all(of_scheme)
        && !rest.is_empty()
        && rest.bytes().all(of_rest)
        && rest.split('%').skip(1).all(is_escape)
        && rest.strip_prefix("//").is_none_or(begins_with_host)
}

/// Whether what follows the `//` of a URI begins with a plain host name, and perhaps a port.
fn begins_with_host(rest: &str) -> bool {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    !host.is_empty()
        && host.bytes().all(of_host)
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}

/// Whether a text is an `xs:language`.
fn is_language(tag: &str) -> bool {
    let part =
        |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let first = tag.split('-').next().unwrap_or_default();
    tag.split('-').all(part) && first.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether a text is a `priority`: 0 to 1 with up to three decimals.
fn is_priority(text: &str) -> bool {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digit = |byte: u8| if whole == "1" { byte == b'0' } else { byte.is_ascii_digit() };
    ["0", "1"].contains(&whole) && decimals.len() <= 3 && decimals.bytes().all(digit)
}

const PIDF: &str = "urn:ietf:params:xml:ns:pidf";
const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";
const RPID: &str = "urn:ietf:params:xml:ns:pidf:rpid";
pub(super) const CIPID: &str = "urn:ietf:params:xml:ns:pidf:cipid";
const JABBER: &str = "jabber:client";

const PIDF_NOTE: &str = "{urn:ietf:params:xml:ns:pidf}note";
const DATA_MODEL_NOTE: &str = "{urn:ietf:params:xml:ns:pidf:data-model}note";
const PERSON_NOTE: &str = "person/{urn:ietf:params:xml:ns:pidf:data-model}note";
const ACTIVITIES_NOTE: &str = "activities/{urn:ietf:params:xml:ns:pidf:rpid}note";
const ACTIVITIES_OTHER: &str = "activities/{urn:ietf:params:xml:ns:pidf:rpid}other";
const DISPLAY_NAME: &str = "{urn:ietf:params:xml:ns:pidf:cipid}display-name";
const RPID_USER_INPUT: &str = "{urn:ietf:params:xml:ns:pidf:rpid}user-input";
const RPID_ACTIVITIES: &str = "{urn:ietf:params:xml:ns:pidf:rpid}activities";

const NOTES: bool = true;
const OTHERS: bool = false;

/// XMPP's `show` values, those first that say most against being disturbed. A document has one.
const SHOWS: [&str; 4] = ["dnd", "xa", "away", "chat"];

/// Before the id of every tuple, so that no other element's id is the same.
pub(super) const TUPLE_ID_PREFIX: &str = "t-";
const PERSON_ID: &str = "p-1";
/// The extension that is the `priority` of a tuple's `contact`.
const CONTACT_PRIORITY: &str = "contact-priority";

const A_TIME: &str = "a time such as 2026-11-22T08:10:00Z";
const A_WORD: &str = "a word of a-z, 0-9, '-' and '_'";

#[cfg(test)]
#[path = "pidf_tests.rs"]
mod tests;
