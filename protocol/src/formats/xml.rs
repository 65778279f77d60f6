//! XML, as much of it as the formats need: a tree of what was read, and a writer.
//!
//! **Decides** what is taken for well-formed XML 1.0 with namespaces, on top of a parser that checks less
//! than the standards ask for: one root, names, characters, references, unique attributes, declared prefixes.
//! What passes here a validator takes too, so that an element can be kept as it stands and written into
//! another document ([`Element::kept`]). **Leaves** to the formats what the elements mean.
//!
//! Source: XML 1.0 (fifth edition) and Namespaces in XML 1.0. Deviations: no document types, so the only
//! entities are the five predefined ones; no encoding but UTF-8; processing instructions are ignored outside
//! the root and refused inside. Limits: those of [`super`], each an error.

use std::{collections::BTreeMap, rc::Rc};

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesDecl, BytesRef, BytesStart, Event},
};

use super::{ATTRIBUTES_MAX, DEPTH_MAX, ELEMENTS_MAX, FormatError, shown};

/// An element and what it holds.
#[derive(Debug)]
pub(super) struct Element<'x> {
    /// Its namespace; empty if it is in none.
    pub(super) namespace: Rc<str>,
    pub(super) local: String,
    pub(super) children: Vec<Self>,
    /// Its own text without that of its children.
    pub(super) text: String,
    prefix: String,
    attributes: Vec<Attribute>,
    /// The prefixes that it declares; an empty one for the default namespace.
    declared: Vec<String>,
    raw: &'x str,
}

#[derive(Debug, PartialEq, Eq)]
struct Attribute {
    namespace: Rc<str>,
    local: String,
    prefix: String,
    value: String,
}

impl Element<'_> {
    pub(super) fn is(&self, namespace: &str, local: &str) -> bool {
        *self.namespace == *namespace && self.local == local
    }

    /// The name with its namespace in braces.
    pub(super) fn key(&self) -> String {
        format!("{{{}}}{}", self.namespace, self.local)
    }

    /// The value of an attribute in no namespace.
    pub(super) fn attribute(&self, local: &str) -> Option<&str> {
        self.attribute_in("", local)
    }

    /// The value of `xml:lang`, if it names a language.
    pub(super) fn language(&self) -> Option<&str> {
        self.attribute_in(XML_NAMESPACE, "lang").filter(|tag| !tag.is_empty())
    }

    fn attribute_in(&self, namespace: &str, local: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|one| *one.namespace == *namespace && one.local == local);
        found.map(|attribute| attribute.value.as_str())
    }

    pub(super) fn required(&self, attribute: &'static str) -> Result<&str, FormatError> {
        let missing = || FormatError::MissingAttribute { element: shown(&self.local), attribute };
        self.attribute(attribute).ok_or_else(missing)
    }

    /// What an attribute says.
    pub(super) fn attribute_as<T>(
        &self,
        attribute: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FormatError> {
        let text = self.required(attribute)?;
        parse(text.trim()).ok_or_else(|| FormatError::Content {
            place: format!("<{}> {attribute}", shown(&self.local)),
            found: shown(text),
            expected,
        })
    }

    /// What the element says, which holds no other.
    pub(super) fn content<T>(
        &self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, FormatError> {
        let text = self.only_text()?;
        parse(text.trim()).ok_or_else(|| FormatError::Content {
            place: format!("<{}>", shown(&self.local)),
            found: shown(text),
            expected,
        })
    }

    /// The text of an element that holds no other.
    pub(super) fn only_text(&self) -> Result<&str, FormatError> {
        self.children.first().map_or(Ok(&self.text), |child| Err(self.unexpected(child)))
    }

    pub(super) fn unexpected(&self, child: &Self) -> FormatError {
        FormatError::Unexpected { element: shown(&self.local), found: shown(&child.key()) }
    }

    pub(super) fn missing(&self, expected: &'static str) -> FormatError {
        FormatError::Missing { element: shown(&self.local), expected }
    }

    /// The only child of this name, if there is one.
    pub(super) fn child(&self, namespace: &str, local: &str) -> Result<Option<&Self>, FormatError> {
        let mut found = self.children.iter().filter(|child| child.is(namespace, local));
        let first = found.next();
        found.next().map_or(Ok(first), |second| Err(self.unexpected(second)))
    }

    /// The element as text that means the same in any document: as it was written, with a declaration of
    /// each prefix that was declared outside. Prefixes inside of values (as in `xsi:type`) are not traced.
    pub(super) fn kept(&self) -> String {
        let mut free = BTreeMap::new();
        self.free_prefixes(&mut free);
        let name_end = 1 + self.local.len() + if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let (name, rest) = self.raw.split_at_checked(name_end).unwrap_or((self.raw, ""));
        let mut kept = name.to_owned();
        for (prefix, namespace) in free {
            let attribute = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            push_attribute(&mut kept, &attribute, &namespace);
        }
        kept.push_str(rest);
        kept
    }

    /// Whether [`Self::kept`] has to add nothing.
    fn stands_alone(&self) -> bool {
        let mut free = BTreeMap::new();
        self.free_prefixes(&mut free);
        free.is_empty()
    }

    /// The prefixes that are used here and declared outside, with what they stand for.
    fn free_prefixes(&self, free: &mut BTreeMap<String, Rc<str>>) {
        let mut used = BTreeMap::from([(self.prefix.clone(), Rc::clone(&self.namespace))]);
        for attribute in self.attributes.iter().filter(|attribute| !attribute.prefix.is_empty()) {
            used.insert(attribute.prefix.clone(), Rc::clone(&attribute.namespace));
        }
        for child in &self.children {
            child.free_prefixes(&mut used);
        }
        used.retain(|prefix, _| prefix != "xml" && !self.declared.contains(prefix));
        free.append(&mut used);
    }

    /// Whether both say the same: names, attributes, text but for blanks around it, and children.
    pub(super) fn says_same(&self, other: &Element<'_>) -> bool {
        let attributes = |element: &Element<'_>| -> BTreeMap<(Rc<str>, String), String> {
            let pairs = element.attributes.iter();
            pairs.map(|one| ((Rc::clone(&one.namespace), one.local.clone()), one.value.clone())).collect()
        };
        self.is(&other.namespace, &other.local)
            && self.text.trim() == other.text.trim()
            && attributes(self) == attributes(other)
            && self.children.len() == other.children.len()
            && self.children.iter().zip(&other.children).all(|(one, another)| one.says_same(another))
    }
}

/// The root of a document.
pub(super) fn parse(xml: &str, bytes_max: usize) -> Result<Element<'_>, FormatError> {
    parse_within(xml, bytes_max, DEPTH_MAX)
}

/// The elements that a text consists of, if there is nothing else, each [stands alone](Element::kept), and
/// there is room for them inside of a few others.
pub(super) fn standing_alone<T>(text: &str, check: impl FnOnce(&[Element<'_>]) -> T) -> Option<T> {
    const ROOM: usize = 4;
    let wrapped = format!("<kept>{text}</kept>");
    let root = parse_within(&wrapped, usize::MAX, DEPTH_MAX - ROOM).ok()?;
    let as_written: usize = root.children.iter().map(|child| child.raw.len()).sum();
    let alone = as_written == text.len() && root.children.iter().all(Element::stands_alone);
    (alone && !root.children.is_empty()).then(|| check(&root.children))
}

fn parse_within(xml: &str, bytes_max: usize, depth_max: usize) -> Result<Element<'_>, FormatError> {
    if xml.len() > bytes_max {
        return Err(FormatError::TooLong { found: xml.len(), limit: bytes_max });
    }
    let xml = xml.strip_prefix('\u{feff}').unwrap_or(xml);
    if let Some((at, _)) = xml.char_indices().find(|(_, character)| !is_xml_character(*character)) {
        return Err(malformed(at, "a character that XML does not allow"));
    }
    let mut tree = Tree { xml, depth_max, open: Vec::new(), scopes: Vec::new(), root: None, elements: 0 };
    let mut reader = Reader::from_str(xml);
    reader.config_mut().enable_all_checks(true);
    loop {
        let start = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = reader.read_event().map_err(|error| {
            malformed(usize::try_from(reader.error_position()).unwrap_or(start), &error.to_string())
        })?;
        let end = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        if !tree.take(start, end, event)? {
            break;
        }
    }
    match (tree.open.last(), tree.root) {
        (None, Some(root)) => Ok(root),
        (None, None) => Err(malformed(xml.len(), "there is no element")),
        (Some(open), _) => {
            Err(malformed(xml.len(), &format!("<{}> is not closed", shown(&open.element.local))))
        }
    }
}

/// What is read so far.
struct Tree<'x> {
    xml: &'x str,
    depth_max: usize,
    open: Vec<Open<'x>>,
    /// Namespaces by prefix, the innermost last.
    scopes: Vec<(String, Rc<str>)>,
    root: Option<Element<'x>>,
    elements: usize,
}

/// An element whose end is not read.
struct Open<'x> {
    element: Element<'x>,
    start: usize,
    /// How many scopes there were outside.
    scopes: usize,
}

impl<'x> Tree<'x> {
    /// Takes the next event; whether there may be another.
    fn take(&mut self, start: usize, end: usize, event: Event<'_>) -> Result<bool, FormatError> {
        match event {
            Event::Start(tag) => self.start(start, &tag)?,
            Event::Empty(tag) => {
                self.start(start, &tag)?;
                self.end(end);
            }
            Event::End(_) => self.end(end),
            Event::Text(text) => {
                if text.contains("]]>") {
                    return Err(malformed(start, "]]> in text"));
                }
                self.text(start, &text.xml10_content())?;
            }
            Event::CData(text) if !self.open.is_empty() => self.text(start, &text.xml10_content())?,
            Event::GeneralRef(reference) if !self.open.is_empty() => {
                let character = referred(start, &reference)?;
                self.text(start, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::CData(_) | Event::GeneralRef(_) => {
                return Err(malformed(start, "text outside of the root"));
            }
            Event::Comment(_) => {}
            Event::Decl(declaration) if start == 0 => check_declaration(&declaration)?,
            Event::PI(_) if self.open.is_empty() => {}
            Event::Decl(_) | Event::PI(_) => {
                return Err(malformed(start, "a processing instruction inside of an element"));
            }
            Event::DocType(_) => return Err(FormatError::DocumentType),
            Event::Eof => return Ok(false),
        }
        Ok(true)
    }

    fn text(&mut self, start: usize, text: &str) -> Result<(), FormatError> {
        match self.open.last_mut() {
            Some(open) => open.element.text.push_str(text),
            None if text.bytes().all(|byte| b" \t\r\n".contains(&byte)) => {}
            None => return Err(malformed(start, "text outside of the root")),
        }
        Ok(())
    }

    fn start(&mut self, start: usize, tag: &BytesStart<'_>) -> Result<(), FormatError> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(FormatError::TooMany { what: "elements", limit: ELEMENTS_MAX });
        }
        if self.open.len() >= self.depth_max {
            return Err(FormatError::TooMany { what: "elements inside each other", limit: self.depth_max });
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(malformed(start, "a second root element"));
        }
        let scopes = self.scopes.len();
        let (written, declared) = self.attributes(start, tag)?;
        let (prefix, local) = names(start, tag.name().0)?;
        let namespace = self.resolve(start, &prefix)?;
        let mut attributes = Vec::new();
        for (prefix, local, value) in written {
            // The default namespace is not that of attributes.
            let namespace = if prefix.is_empty() { Rc::from("") } else { self.resolve(start, &prefix)? };
            let is_again = |one: &Attribute| one.namespace == namespace && one.local == local;
            if attributes.iter().any(is_again) {
                return Err(malformed(start, &format!("the attribute {} twice", shown(&local))));
            }
            attributes.push(Attribute { namespace, local, prefix, value });
        }
        let (children, text, raw) = (Vec::new(), String::new(), "");
        let element = Element { namespace, local, prefix, attributes, declared, children, text, raw };
        self.open.push(Open { element, start, scopes });
        Ok(())
    }

    /// The attributes of a tag. What they declare is in scope from here on, and named beside.
    fn attributes(
        &mut self,
        start: usize,
        tag: &BytesStart<'_>,
    ) -> Result<(Vec<(String, String, String)>, Vec<String>), FormatError> {
        let (mut written, mut declared) = (Vec::new(), Vec::new());
        for (number, attribute) in tag.attributes().enumerate() {
            if number >= ATTRIBUTES_MAX {
                return Err(FormatError::TooMany {
                    what: "attributes in one element",
                    limit: ATTRIBUTES_MAX,
                });
            }
            let attribute = attribute.map_err(|error| malformed(start, &error.to_string()))?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0);
            let value = value.map_err(|error| malformed(start, &error.to_string()))?.into_owned();
            if attribute.value.contains('<') || !value.chars().all(is_xml_character) {
                return Err(malformed(start, "a character that XML does not allow in a value"));
            }
            let (prefix, local) = names(start, attribute.key.0)?;
            let declares = match (prefix.as_str(), local.as_str()) {
                ("", "xmlns") => Some(String::new()),
                ("xmlns", _) => Some(local.clone()),
                _ => None,
            };
            let Some(declares) = declares else {
                written.push((prefix, local, value));
                continue;
            };
            let reserved = ["xml", "xmlns"].contains(&declares.as_str())
                || [XML_NAMESPACE, XMLNS_NAMESPACE].contains(&value.as_str());
            if reserved || (value.is_empty() && !declares.is_empty()) {
                return Err(malformed(start, "a namespace declaration that is not allowed"));
            }
            self.scopes.push((declares.clone(), value.into()));
            declared.push(declares);
        }
        Ok((written, declared))
    }

    fn resolve(&self, start: usize, prefix: &str) -> Result<Rc<str>, FormatError> {
        if prefix == "xml" {
            return Ok(XML_NAMESPACE.into());
        }
        match self.scopes.iter().rev().find(|(declared, _)| declared == prefix) {
            Some((_, namespace)) => Ok(Rc::clone(namespace)),
            None if prefix.is_empty() => Ok("".into()),
            None => Err(malformed(start, &format!("the prefix {} is not declared", shown(prefix)))),
        }
    }

    fn end(&mut self, end: usize) {
        let Some(Open { mut element, start, scopes }) = self.open.pop() else { return };
        element.raw = self.xml.get(start..end).unwrap_or_default();
        self.scopes.truncate(scopes);
        match self.open.last_mut() {
            Some(parent) => parent.element.children.push(element),
            None => self.root = Some(element),
        }
    }
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), FormatError> {
    let version = declaration.version().map_err(|error| malformed(0, &error.to_string()))?;
    if !version.starts_with("1.") {
        return Err(malformed(0, "a version of XML that is not known"));
    }
    let encoding = declaration.encoding().transpose().map_err(|error| malformed(0, &error.to_string()))?;
    if encoding.is_some_and(|name| !name.eq_ignore_ascii_case("utf-8")) {
        return Err(malformed(0, "an encoding other than UTF-8"));
    }
    Ok(())
}

/// What a reference in text stands for.
fn referred(start: usize, reference: &BytesRef<'_>) -> Result<char, FormatError> {
    let by_number = reference.resolve_char_ref().map_err(|error| malformed(start, &error.to_string()))?;
    let character = by_number.or(match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    });
    let allowed = character.filter(|character| is_xml_character(*character));
    allowed.ok_or_else(|| malformed(start, &format!("&{}; stands for nothing", shown(reference))))
}

/// A qualified name as prefix and local name.
fn names(start: usize, qualified: &str) -> Result<(String, String), FormatError> {
    let (prefix, local) = qualified.split_once(':').map_or((None, qualified), |(one, two)| (Some(one), two));
    if !is_name(local) || !prefix.is_none_or(is_name) {
        return Err(malformed(start, &format!("{:?} is not a name", shown(qualified))));
    }
    Ok((prefix.unwrap_or_default().to_owned(), local.to_owned()))
}

/// Whether a text is an `NCName`.
fn is_name(text: &str) -> bool {
    let begins = |character: char| {
        matches!(character, 'A'..='Z' | 'a'..='z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
            | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
            | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
            | '\u{10000}'..='\u{effff}')
    };
    let goes_on = |character: char| {
        begins(character)
            || matches!(character, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}'
                | '\u{203f}'..='\u{2040}')
    };
    text.chars().next().is_some_and(begins) && text.chars().all(goes_on)
}

/// Whether a document can hold a character at all, even as a reference.
pub(super) fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn malformed(at: usize, problem: &str) -> FormatError {
    FormatError::Malformed { at, problem: problem.to_owned() }
}

/// Writes a document of elements, one a line.
pub(super) struct Writer {
    text: String,
    open: Vec<&'static str>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), open: Vec::new() }
    }

    /// Begins an element.
    pub(super) fn open(&mut self, name: &'static str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.open.push(name);
    }

    /// Ends the element begun last.
    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push_str(">\n");
        }
    }

    /// An element that holds a text. Characters that XML does not allow become U+FFFD.
    pub(super) fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.tag(name, attributes);
        if text.is_empty() {
            self.text.push_str("/>\n");
            return;
        }
        self.text.push('>');
        for character in text.chars() {
            push_escaped(&mut self.text, character, "\r");
        }
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    /// An element that holds nothing.
    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.leaf(name, attributes, "");
    }

    /// Elements that are XML already.
    pub(super) fn kept(&mut self, xml: &str) {
        self.indent();
        self.text.push_str(xml);
        self.text.push('\n');
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            push_attribute(&mut self.text, name, value);
        }
    }

    fn indent(&mut self) {
        self.text.extend(std::iter::repeat_n("  ", self.open.len()));
    }
}

fn push_attribute(text: &mut String, name: &str, value: &str) {
    text.push(' ');
    text.push_str(name);
    text.push_str("=\"");
    for character in value.chars() {
        push_escaped(text, character, "\r\n\t\"");
    }
    text.push('"');
}

/// A character, as a reference if it is one of `also` or stands for markup.
fn push_escaped(text: &mut String, character: char, also: &str) {
    match character {
        '<' => text.push_str("&lt;"),
        '>' => text.push_str("&gt;"),
        '&' => text.push_str("&amp;"),
        _ if also.contains(character) => text.push_str(&format!("&#{};", u32::from(character))),
        _ if is_xml_character(character) => text.push(character),
        _ => text.push(char::REPLACEMENT_CHARACTER),
    }
}

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS_NAMESPACE: &str = "http://www.w3.org/2000/xmlns/";

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
