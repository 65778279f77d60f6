//! Message/CPIM: an INSTANT MESSAGE for programs that know nothing of Hereabouts.
//!
//! | here | in the message |
//! |---|---|
//! | sender | `From`, an `im:` URI in the realm of the address |
//! | address | `To` |
//! | when it was written | `DateTime` |
//! | id | `imdn.Message-ID` (RFC 5438), 32 hexadecimal digits |
//! | thread, where replies go | `h.Thread`, `h.Reply-To` |
//! | content type, language | `Content-Type`, `Content-Language` of the content |
//! | body | the content, as it is |
//! | extensions | `h.Extension`, name and value in base64 |
//!
//! `h` stands for [`EXTENSION_NAMESPACE`]. A content type or language that MIME would change or not allow is
//! said exactly in `h.Content-Type` or `h.Language`. Headers that this build does not know are kept in the
//! extension map under `{namespace}Name`, as what follows the colon, lines of one name below each other; so
//! are `Subject`, `cc` and every `To` after the first. Headers of the content are kept under `content/Name`.
//! They are written back as they were. Lost: the order among headers of different names, prefixes, names of
//! people before URIs, folding and letter case of MIME headers, `Require` once it was heeded, and how the
//! content was encoded.
//!
//! Source: RFC 3862; an unprefixed `NS` is always the header of that name, so that a default namespace can be
//! left again. Deviation: the formal syntax of parameters is not checked. A message that requires what is not
//! understood is refused, as is one whose sender is no Hereabouts node or in another realm than the first
//! `To`, or whose id is of another form: its receiver could not tell a repetition. Limits:
//! [`DOCUMENT_BYTES_MAX`] for import, and those of [`InstantMessage::check`].

use std::{collections::BTreeMap, fmt::Write as _};

use data_encoding::BASE64;

use super::{DOCUMENT_BYTES_MAX, EXTENSION_NAMESPACE, FormatError, date_time, keep, shown};
use crate::{
    identity::InboxAddress,
    message::instant_message::{InstantMessage, MessageId},
    presence::information::Extensions,
    time::UnixTime,
};

/// The media type of these messages.
pub const MEDIA_TYPE: &str = "message/cpim";

/// The message as bytes: headers in UTF-8, then the body as it is.
pub fn export(message: &InstantMessage) -> Vec<u8> {
    let InstantMessage { id, from, to, sent_at, thread, reply_to, content_type, language, body, extensions } =
        message;
    let mut out = Headers::default();
    out.line("Content-type", " Message/CPIM");
    out.text.push_str(LINE_END);
    out.line("From", &format!(" <im:{from}@{}.alt>", to.realm));
    out.line("To", &format!(" <{to}>"));
    out.line("DateTime", &format!(" {}", date_time::format(*sent_at)));
    out.named(IMDN, "Message-ID", &format!(" {id}"));
    if let Some(thread) = thread {
        out.named(EXTENSION_NAMESPACE, "Thread", &format!(" {thread}"));
    }
    if let Some(reply_to) = reply_to {
        out.named(EXTENSION_NAMESPACE, "Reply-To", &format!(" <{reply_to}>"));
    }
    if !is_mime_value(content_type) {
        out.named(EXTENSION_NAMESPACE, "Content-Type", &format!(" {}", escaped(content_type)));
    }
    let tag = language.as_deref().filter(|tag| is_language(tag));
    if let Some(language) = language.as_ref().filter(|_| tag.is_none()) {
        out.named(EXTENSION_NAMESPACE, "Language", &format!(" {}", escaped(language)));
    }
    let mut content = Headers::default();
    for (name, value) in extensions {
        if let Some((namespace, header, lines)) = kept_header(name, value) {
            lines.iter().for_each(|line| out.named(namespace, header, line));
        } else if let Some((header, value)) = kept_content_header(name, value) {
            content.line(header, &format!(" {value}"));
        } else {
            let (name, value) = (BASE64.encode(name.as_bytes()), BASE64.encode(value));
            out.named(EXTENSION_NAMESPACE, "Extension", &format!(" {name},{value}"));
        }
    }
    out.text.push_str(LINE_END);
    let plain_type = if is_mime_value(content_type) { content_type } else { "application/octet-stream" };
    out.line("Content-Type", &format!(" {plain_type}"));
    if let Some(tag) = tag {
        out.line("Content-Language", &format!(" {tag}"));
    }
    if std::str::from_utf8(body).is_err() {
        out.line("Content-Transfer-Encoding", " binary");
    }
    out.text.push_str(&content.text);
    out.text.push_str(LINE_END);
    let mut bytes = out.text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads a message.
///
/// # Errors
/// What is wrong with it: the header, and what was expected.
pub fn import(bytes: &[u8]) -> Result<InstantMessage, FormatError> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(FormatError::TooLong { found: bytes.len(), limit: DOCUMENT_BYTES_MAX });
    }
    let mut reader = Reader { rest: bytes, line: 0 };
    let outer = mime_headers(reader.block()?)?;
    let outer_type = outer.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let media_type = outer_type.map(|(_, value)| value.split(';').next().unwrap_or_default().trim());
    if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(MEDIA_TYPE)) {
        return Err(header_error("Content-type", "Message/CPIM, before all others"));
    }
    let mut heard = Heard::default();
    for line in reader.block()? {
        heard.header(line)?;
    }
    let content = mime_headers(reader.block()?)?;
    let message = heard.message(content, reader.rest)?;
    message.check()?;
    Ok(message)
}

/// Headers as they are written.
#[derive(Default)]
struct Headers<'e> {
    text: String,
    prefixes: BTreeMap<&'e str, String>,
}

impl<'e> Headers<'e> {
    fn line(&mut self, name: &str, after_colon: &str) {
        let _ = write!(self.text, "{name}:{after_colon}{LINE_END}");
    }

    /// A header of some namespace, which is declared when it is first made use of.
    fn named(&mut self, namespace: &'e str, name: &str, after_colon: &str) {
        if namespace == CPIM {
            self.line(name, after_colon);
            return;
        }
        if !self.prefixes.contains_key(namespace) {
            let prefix = match namespace {
                IMDN => "imdn".to_owned(),
                EXTENSION_NAMESPACE => "h".to_owned(),
                _ => format!("x{}", self.prefixes.len()),
            };
            self.line("NS", &format!(" {prefix} <{namespace}>"));
            self.prefixes.insert(namespace, prefix);
        }
        let prefix = self.prefixes.get(namespace).map_or("", String::as_str);
        let name = format!("{prefix}.{name}");
        self.line(&name, after_colon);
    }
}

/// The namespace, name and lines of an extension, if an import makes the same extension of these headers.
fn kept_header<'e>(name: &'e str, value: &'e [u8]) -> Option<(&'e str, &'e str, Vec<&'e str>)> {
    let (namespace, header) = name.strip_prefix('{')?.split_once('}')?;
    let value = std::str::from_utf8(value).ok()?;
    let lines: Vec<&str> = value.split('\n').collect();
    let kept = is_namespace(namespace)
        && is_header_name(header)
        && (is_kept(namespace, header) || (namespace, header) == (CPIM, "To"))
        && lines.iter().all(|line| value_of(line).is_some());
    kept.then_some((namespace, header, lines))
}

/// The same for a header of the content.
fn kept_content_header<'e>(name: &'e str, value: &'e [u8]) -> Option<(&'e str, &'e str)> {
    let header = name.strip_prefix(CONTENT_PREFIX)?;
    let value = std::str::from_utf8(value).ok()?;
    let read = CONTENT_HEADERS.iter().any(|read| header.eq_ignore_ascii_case(read));
    (is_header_name(header) && !read && is_mime_value(value)).then_some((header, value))
}

/// Whether a header is one that this build does not read.
fn is_kept(namespace: &str, name: &str) -> bool {
    match namespace {
        CPIM => !["From", "To", "DateTime", "NS", "Require"].contains(&name),
        IMDN => name != "Message-ID",
        EXTENSION_NAMESPACE => !EXTENSION_HEADERS.contains(&name),
        _ => true,
    }
}

/// Whether a value says in a MIME header what it says here.
fn is_mime_value(value: &str) -> bool {
    !value.is_empty() && value.trim() == value && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn is_language(tag: &str) -> bool {
    !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_namespace(uri: &str) -> bool {
    !uri.is_empty() && uri.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && !b"<>{}".contains(&byte))
}

/// Whether a text is a `Name` of RFC 3862.
fn is_header_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// The value in what follows the colon of a header: behind the parameters and exactly one space.
fn value_of(after_colon: &str) -> Option<&str> {
    if after_colon.chars().any(char::is_control) {
        return None;
    }
    let (mut quoted, mut escape) = (false, false);
    let space = after_colon.bytes().position(|byte| {
        let ends = byte == b' ' && !quoted;
        quoted ^= byte == b'"' && !escape;
        escape = byte == b'\\' && !escape;
        ends
    })?;
    let (parameters, value) = after_colon.split_at_checked(space)?;
    let value = value.strip_prefix(' ')?;
    ((parameters.is_empty() || parameters.starts_with(';')) && value.trim_matches(' ') == value)
        .then_some(value)
}

/// A text as a value: with escapes for what a value may not hold.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let last = text.chars().count().saturating_sub(1);
    for (number, character) in text.chars().enumerate() {
        let outermost = number == 0 || number == last;
        match character {
            '\\' => escaped.push_str("\\\\"),
            _ if character.is_control() || (outermost && character == ' ') => {
                let _ = write!(escaped, "\\u{:04X}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

fn unescaped(value: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = value.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        text.push(match rest.next()? {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'u' => {
                let digits =
                    rest.as_str().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
                rest.nth(3);
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            character @ ('\\' | '"' | '\'') => character,
            _ => return None,
        });
    }
    Some(text)
}

/// Lines of headers, and what follows them.
struct Reader<'b> {
    rest: &'b [u8],
    line: usize,
}

impl<'b> Reader<'b> {
    /// The lines up to an empty one.
    fn block(&mut self) -> Result<Vec<&'b str>, FormatError> {
        let mut lines = Vec::new();
        loop {
            self.line += 1;
            let error = FormatError::Line { line: self.line };
            let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else { return Err(error) };
            let (line, rest) = self.rest.split_at(end);
            let line = line.strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
            let Some(line) = line else { return Err(error) };
            self.rest = rest.get(1..).unwrap_or_default();
            if line.is_empty() {
                return Ok(lines);
            }
            lines.push(line);
        }
    }
}

/// Headers of MIME, with folded lines put together.
fn mime_headers(lines: Vec<&str>) -> Result<Vec<(&str, String)>, FormatError> {
    let mut headers: Vec<(&str, String)> = Vec::new();
    for line in lines {
        let folded = line.starts_with([' ', '\t']);
        if let Some((_, value)) = headers.last_mut().filter(|_| folded) {
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        let header = line.split_once(':').filter(|(name, _)| is_header_name(name));
        let (name, value) = header.ok_or_else(|| header_error(line, "a MIME header"))?;
        headers.push((name, value.trim().to_owned()));
    }
    Ok(headers)
}

/// What the headers of a message said so far.
#[derive(Default)]
struct Heard {
    namespaces: BTreeMap<String, String>,
    default_namespace: Option<String>,
    from: Option<InboxAddress>,
    to: Option<InboxAddress>,
    sent_at: Option<UnixTime>,
    id: Option<MessageId>,
    /// What our own headers say, by name.
    own: BTreeMap<String, String>,
    /// What stands in `h.Extension`.
    encoded: Extensions,
    kept: Extensions,
}

impl Heard {
    fn header(&mut self, line: &str) -> Result<(), FormatError> {
        let header = line.split_once(':').and_then(|(name, rest)| Some((name, rest, value_of(rest)?)));
        let (qualified, after_colon, value) = header.ok_or_else(|| {
            header_error(line, "a name, a colon, one space and a value without blanks around")
        })?;
        let (namespace, name) = self.resolve(qualified)?;
        let once = |is_new: bool| {
            if is_new { Ok(()) } else { Err(FormatError::HeaderTwice { header: shown(qualified) }) }
        };
        match (namespace.as_str(), name) {
            (CPIM, "NS") => self.namespace(value)?,
            (CPIM, "Require") => self.require(value)?,
            (CPIM, "From") => once(self.from.replace(address(qualified, value)?).is_none())?,
            (CPIM, "To") if self.to.is_none() => self.to = Some(address(qualified, value)?),
            (CPIM, "DateTime") => {
                let at = date_time::parse(value).ok_or_else(|| header_error(qualified, A_TIME))?;
                once(self.sent_at.replace(at).is_none())?;
            }
            (IMDN, "Message-ID") => {
                let id = value.parse().map_err(|_| header_error(qualified, AN_ID))?;
                once(self.id.replace(id).is_none())?;
            }
            (EXTENSION_NAMESPACE, "Extension") => {
                let extension = value.split_once(',').and_then(|(name, value)| {
                    let name = String::from_utf8(BASE64.decode(name.as_bytes()).ok()?).ok()?;
                    Some((name, BASE64.decode(value.as_bytes()).ok()?))
                });
                let (name, value) =
                    extension.ok_or_else(|| header_error(qualified, "name and value in base64"))?;
                once(self.encoded.insert(name, value).is_none())?;
            }
            (EXTENSION_NAMESPACE, own) if EXTENSION_HEADERS.contains(&own) => {
                let text =
                    unescaped(value).ok_or_else(|| header_error(qualified, "a value with known escapes"))?;
                once(self.own.insert(own.to_owned(), text).is_none())?;
            }
            _ => self.keep(&namespace, name, after_colon)?,
        }
        Ok(())
    }

    fn keep(&mut self, namespace: &str, name: &str, after_colon: &str) -> Result<(), FormatError> {
        let key = format!("{{{namespace}}}{name}");
        let lines = match self.kept.get(&key) {
            Some(lines) => [lines.as_slice(), b"\n", after_colon.as_bytes()].concat(),
            None => after_colon.into(),
        };
        keep(&mut self.kept, key, lines, || format!("the header {}", shown(name)))
    }

    /// The namespace and name of a header.
    fn resolve<'n>(&self, qualified: &'n str) -> Result<(String, &'n str), FormatError> {
        let (prefix, name) =
            qualified.split_once('.').map_or((None, qualified), |(one, two)| (Some(one), two));
        if !is_header_name(name) || !prefix.is_none_or(is_header_name) {
            return Err(header_error(qualified, "a name of letters, digits and '-'"));
        }
        let namespace = match prefix {
            Some(prefix) => self.namespaces.get(prefix).cloned(),
            None if name == "NS" => Some(CPIM.to_owned()),
            None => Some(self.default_namespace.clone().unwrap_or_else(|| CPIM.to_owned())),
        };
        let namespace =
            namespace.ok_or_else(|| header_error(qualified, "in a namespace that NS declared"))?;
        Ok((namespace, name))
    }

    fn namespace(&mut self, value: &str) -> Result<(), FormatError> {
        let (prefix, uri) =
            value.strip_suffix('>').and_then(|value| value.split_once('<')).unwrap_or_default();
        let prefix = prefix.trim_end();
        if !is_namespace(uri) || !(prefix.is_empty() || is_header_name(prefix)) {
            return Err(header_error("NS", "a prefix, or none, and a <URI>"));
        }
        if prefix.is_empty() {
            self.default_namespace = Some(uri.to_owned());
        } else {
            self.namespaces.insert(prefix.to_owned(), uri.to_owned());
        }
        Ok(())
    }

    /// RFC 3862 section 4.6: who does not understand a header that is named here must refuse the message.
    fn require(&self, value: &str) -> Result<(), FormatError> {
        for qualified in value.split(',').map(str::trim) {
            let (namespace, name) = self.resolve(qualified)?;
            let known =
                !is_kept(&namespace, name) || (namespace == CPIM && ["Subject", "cc"].contains(&name));
            if !known {
                return Err(FormatError::Required { header: shown(qualified) });
            }
        }
        Ok(())
    }

    fn message(mut self, content: Vec<(&str, String)>, body: &[u8]) -> Result<InstantMessage, FormatError> {
        let missing = |header| FormatError::MissingHeader { header };
        let from = self.from.take().ok_or_else(|| missing("From"))?;
        let to = self.to.take().ok_or_else(|| missing("To"))?;
        if from.realm != to.realm {
            return Err(header_error("From", "in the realm of To"));
        }
        let mut extensions = std::mem::take(&mut self.kept);
        let (mut content_type, mut language, mut encoding) = (None, None, None);
        for (name, value) in content {
            let slot = match CONTENT_HEADERS.iter().position(|read| name.eq_ignore_ascii_case(read)) {
                Some(0) => &mut content_type,
                Some(1) => &mut language,
                Some(_) => &mut encoding,
                None => {
                    let key = format!("{CONTENT_PREFIX}{name}");
                    if extensions.contains_key(&key) {
                        return Err(FormatError::HeaderTwice { header: shown(name) });
                    }
                    keep(&mut extensions, key, value.into_bytes(), || format!("the header {}", shown(name)))?;
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                return Err(FormatError::HeaderTwice { header: shown(name) });
            }
        }
        let content_type = content_type.ok_or_else(|| missing("Content-Type"))?;
        for (name, value) in std::mem::take(&mut self.encoded) {
            if extensions.contains_key(&name) {
                return Err(FormatError::HeaderTwice { header: shown(&name) });
            }
            keep(&mut extensions, name, value, || "an Extension".to_owned())?;
        }
        Ok(InstantMessage {
            id: self.id.ok_or_else(|| missing("imdn.Message-ID"))?,
            from: from.node,
            to,
            sent_at: self.sent_at.ok_or_else(|| missing("DateTime"))?,
            thread: self.own_as("Thread", AN_ID, |text| text.parse().ok())?,
            reply_to: self.own_as("Reply-To", AN_ADDRESS, |text| {
                text.strip_prefix('<')?.strip_suffix('>')?.parse().ok()
            })?,
            content_type: self.own.remove("Content-Type").unwrap_or(content_type),
            language: self.own.remove("Language").or(language),
            body: decoded(body, encoding.as_deref())?,
            extensions,
        })
    }

    fn own_as<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, FormatError> {
        let text = self.own.remove(name);
        text.map(|text| parse(&text).ok_or_else(|| header_error(name, expected))).transpose()
    }
}

/// The address in the value of `From` or `To`: a URI in angle brackets, perhaps behind a name.
fn address(header: &str, value: &str) -> Result<InboxAddress, FormatError> {
    let uri = value.strip_suffix('>').and_then(|value| Some(value.rsplit_once('<')?.1));
    uri.and_then(|uri| uri.parse().ok()).ok_or_else(|| header_error(header, AN_ADDRESS))
}

fn decoded(body: &[u8], encoding: Option<&str>) -> Result<Vec<u8>, FormatError> {
    let encoding = encoding.unwrap_or("binary").to_ascii_lowercase();
    match encoding.as_str() {
        "7bit" | "8bit" | "binary" => Ok(body.to_owned()),
        "base64" => {
            let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            BASE64.decode(&text).map_err(|_| header_error("Content-Transfer-Encoding", "that of the content"))
        }
        _ => Err(header_error("Content-Transfer-Encoding", "7bit, 8bit, binary or base64")),
    }
}

fn header_error(header: &str, expected: &'static str) -> FormatError {
    FormatError::Header { header: shown(header), expected }
}

const CPIM: &str = "urn:ietf:params:cpim-headers:";
const IMDN: &str = "urn:ietf:params:imdn";
const LINE_END: &str = "\r\n";
/// The headers of our namespace.
const EXTENSION_HEADERS: [&str; 5] = ["Thread", "Reply-To", "Content-Type", "Language", "Extension"];
/// The headers of the content that are read, in the order that [`Heard::message`] knows.
const CONTENT_HEADERS: [&str; 3] = ["content-type", "content-language", "content-transfer-encoding"];
const CONTENT_PREFIX: &str = "content/";

const A_TIME: &str = "a time such as 2026-11-22T08:10:00Z";
const AN_ID: &str = "32 hexadecimal digits";
const AN_ADDRESS: &str = "an address such as <im:12D3KooW…@lan.alt>";

#[cfg(test)]
#[path = "cpim_tests.rs"]
mod tests;
