use super::*;
use crate::{
    identity::Realm,
    testing::{alice, bob, inbox, message, presentity},
};

fn text(change: impl FnOnce(&mut InstantMessage)) -> String {
    let mut message = message(1);
    change(&mut message);
    let bytes = export(&message);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(import(&bytes), Ok(message), "{text}");
    text
}

/// The lines of a message that alice sent bob, with these headers beside.
fn foreign(headers: &[&str], content: &[&str], body: &str) -> Vec<u8> {
    let (from, to) = (inbox(&alice()), inbox(&bob()));
    let addresses = [
        "Content-Type: message/cpim; x=y".to_owned(),
        String::new(),
        format!("From: Alice \"<x>\" <{from}>"),
        format!("To: <{to}>"),
        "DateTime: 2000-12-13T13:40:00-08:00".to_owned(),
        "NS: imdn <urn:ietf:params:imdn>".to_owned(),
        "imdn.Message-ID: 00112233445566778899aabbccddeeff".to_owned(),
    ];
    let lines = addresses.iter().map(String::as_str).chain(headers.iter().copied()).chain([""]);
    let lines: Vec<_> = lines.chain(content.iter().copied()).chain([""]).collect();
    format!("{}\r\n{body}", lines.join("\r\n")).into_bytes()
}

fn refused(bytes: &[u8]) -> String {
    import(bytes).unwrap_err().to_string()
}

const PLAIN: &[&str] = &["Content-type: text/plain"];

#[test]
fn a_message_is_written_as_rfc_3862_has_it() {
    let written = text(|message| {
        message.thread = Some(MessageId::from_bytes([2; 16]));
        message.language = Some("en".to_owned());
        message
            .extensions
            .insert("{urn:ietf:params:cpim-headers:}Subject".to_owned(), b";lang=en Lunch".to_vec());
        message.extensions.insert("x".to_owned(), vec![0]);
    });
    let (alice, bob) = (presentity(&alice()), presentity(&bob()));
    let expected = [
        "Content-type: Message/CPIM".to_owned(),
        String::new(),
        format!("From: <im:{alice}@lan.alt>"),
        format!("To: <im:{bob}@lan.alt>"),
        "DateTime: 2023-11-14T22:13:20.000Z".to_owned(),
        "NS: imdn <urn:ietf:params:imdn>".to_owned(),
        "imdn.Message-ID: 01010101010101010101010101010101".to_owned(),
        "NS: h <tag:hereabouts.alt,2026:presence>".to_owned(),
        "h.Thread: 02020202020202020202020202020202".to_owned(),
        "h.Extension: eA==,AA==".to_owned(),
        "Subject:;lang=en Lunch".to_owned(),
        String::new(),
        "Content-Type: text/plain; charset=utf-8".to_owned(),
        "Content-Language: en".to_owned(),
        String::new(),
        "message 1".to_owned(),
    ];
    // The order of extensions is that of their names.
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines[8..11].sort();
        lines
    };
    let written: Vec<_> = written.split("\r\n").map(str::to_owned).collect();
    assert_eq!(sorted(&written), sorted(&expected));
}

#[test]
fn what_headers_cannot_say_is_said_beside() {
    let written = text(|message| {
        message.content_type = " a\\b/c ".to_owned();
        message.language = Some(" e\r\nn\0".to_owned());
        message.body = vec![0xff, b'\r', b'\n', 0];
        message.reply_to = Some(InboxAddress { realm: "attic".parse::<Realm>().unwrap(), ..inbox(&alice()) });
    });
    for line in [
        "h.Content-Type: \\u0020a\\\\b/c\\u0020",
        "h.Language: \\u0020e\\u000D\\u000An\\u0000",
        "Content-Type: application/octet-stream",
        "Content-Transfer-Encoding: binary",
    ] {
        assert!(written.contains(&format!("\r\n{line}\r\n")), "{line} in {written}");
    }
    assert!(!written.contains("Content-Language"));
}

#[test]
fn no_field_of_a_message_can_make_a_header() {
    let mut message = message(1);
    message.content_type = "text/plain\r\nX: y".to_owned();
    message.extensions.insert("{urn:x}A".to_owned(), b" b\r\nFrom: <im:c>".to_vec());
    message.extensions.insert("{urn:x\r\nTo: }A".to_owned(), b" b".to_vec());
    message.extensions.insert("content/A\r\nB".to_owned(), b"c".to_vec());
    let written = export(&message);
    let lines = String::from_utf8(written).unwrap();
    assert!(!lines.contains("\r\nX: y") && !lines.contains("<im:c>"), "{lines}");
    assert_eq!((lines.matches("\r\nTo: ").count(), lines.matches("\r\nB").count()), (1, 0));
}

#[test]
fn what_a_foreign_message_says_beyond_is_kept_and_written_back() {
    let other = "To: Carol <im:carol@example.com>";
    let headers = [
        other,
        "cc: <im:dave@example.com>",
        "Subject: Lunch",
        "Subject:;lang=fr Déjeuner",
        "NS: f <mid:f@example.com>",
        "f.Vital:;a=\"b c\" yes",
        "imdn.Disposition-Notification: positive-delivery",
        "NS: <urn:other>",
        "From: nobody",
        "NS: <urn:ietf:params:cpim-headers:>",
        "Require: Subject,imdn.Message-ID",
    ];
    let content = [
        "content-type: text/plain;",
        " charset=utf-8",
        "Content-ID: <1@example.com>",
        "content-language: de",
    ];
    let read = import(&foreign(&headers, &content, "a\nb\r\n")).unwrap();
    assert_eq!((read.from, &read.to), (presentity(&alice()), &inbox(&bob())));
    assert_eq!(Some(read.sent_at), date_time::parse("2000-12-13T21:40:00Z"));
    assert_eq!(read.content_type, "text/plain; charset=utf-8");
    assert_eq!((read.language.as_deref(), read.body.as_slice()), (Some("de"), &b"a\nb\r\n"[..]));
    let kept: Vec<_> =
        read.extensions.iter().map(|(name, value)| (&**name, std::str::from_utf8(value).unwrap())).collect();
    assert_eq!(
        kept,
        [
            ("content/Content-ID", "<1@example.com>"),
            ("{mid:f@example.com}Vital", ";a=\"b c\" yes"),
            ("{urn:ietf:params:cpim-headers:}Subject", " Lunch\n;lang=fr Déjeuner"),
            ("{urn:ietf:params:cpim-headers:}To", " Carol <im:carol@example.com>"),
            ("{urn:ietf:params:cpim-headers:}cc", " <im:dave@example.com>"),
            ("{urn:ietf:params:imdn}Disposition-Notification", " positive-delivery"),
            ("{urn:other}From", " nobody"),
        ]
    );
    let written = export(&read);
    assert!(!String::from_utf8_lossy(&written).contains("h.Extension"));
    assert_eq!(import(&written), Ok(read));
}

#[test]
fn a_message_that_requires_what_is_not_understood_is_refused() {
    let required =
        |name: &str| refused(&foreign(&["NS: f <urn:f>", &format!("Require: Subject,{name}")], PLAIN, ""));
    assert_eq!(
        required("f.Vital"),
        "the message requires that the header f.Vital is understood, and it is not"
    );
    assert!(required("imdn.Disposition-Notification").contains("requires"));
    assert!(required("Colour").contains("requires"));
    assert!(required("g.Vital").contains("in a namespace that NS declared"));
}

#[test]
fn encoded_contents_are_decoded() {
    let content = |encoding: &str| {
        ["Content-Type: text/plain".to_owned(), format!("Content-Transfer-Encoding: {encoding}")]
    };
    let read = |encoding: &str, body: &str| {
        let lines = content(encoding);
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        import(&foreign(&[], &lines, body)).map(|message| message.body)
    };
    assert_eq!(read("BASE64", "aGVs\r\nbG8=\r\n"), Ok(b"hello".to_vec()));
    assert_eq!(read("8bit", "=41"), Ok(b"=41".to_vec()));
    assert!(read("base64", "?").is_err());
    assert!(
        read("quoted-printable", "=41").unwrap_err().to_string().contains("7bit, 8bit, binary or base64")
    );
}

#[test]
fn an_error_names_the_header_and_what_was_expected() {
    let headers = |headers: &[&str]| refused(&foreign(headers, PLAIN, ""));
    for (line, says) in [
        ("Subject:Lunch", "the header Subject:Lunch should be a name, a colon, one space and a value"),
        ("Subject:  Lunch", "the header Subject:  Lunch should be a name, a colon, one space"),
        ("Subject: Lunch ", "the header Subject: Lunch  should be"),
        ("Subject: Lu\tnch", "the header Subject: Lu\tnch should be"),
        (" folded: x", "the header  folded should be a name of letters"),
        ("g.Vital: yes", "the header g.Vital should be in a namespace that NS declared"),
        ("DateTime: 2000-12-13T13:40:00Z", "the header DateTime is there twice"),
        ("From: <im:x>", "the header From should be an address such as"),
        ("NS: f urn:f", "the header NS should be a prefix, or none, and a <URI>"),
    ] {
        let said = headers(&[line]);
        assert!(said.starts_with(says), "{said:?} instead of {says:?}");
    }
    let own = "NS: h <tag:hereabouts.alt,2026:presence>";
    assert!(headers(&[own, "h.Thread: x"]).contains("Thread should be 32 hexadecimal digits"));
    assert!(headers(&[own, "h.Language: \\x"]).contains("a value with known escapes"));
    assert!(headers(&[own, "h.Extension: x"]).contains("name and value in base64"));
    assert_eq!(refused(&foreign(&[], &[], "")), "the header Content-Type is missing");
    assert_eq!(refused(&foreign(&[], &[PLAIN[0], PLAIN[0]], "")), "the header Content-type is there twice");
    let all = String::from_utf8(foreign(&[], PLAIN, "")).unwrap();
    let without = |line: &str| {
        let lines = all.split_inclusive("\r\n").filter(|other| !other.starts_with(line));
        refused(lines.collect::<String>().as_bytes())
    };
    for line in ["From", "To", "DateTime", "imdn.Message-ID"] {
        assert_eq!(without(line), format!("the header {line} is missing"));
    }
    assert!(without("Content-Type: message/cpim").contains("should be Message/CPIM"));
    assert!(
        refused(all.replace("\r\n", "\n").as_bytes())
            .starts_with("line 1 of the headers is not ended by CR LF")
    );
    assert!(refused(b"Content-type: Message/CPIM\r\n\r\nFrom: x").starts_with("line 3"));
    assert!(
        refused(all.replacen("lan.alt", "attic.alt", 1).as_bytes())
            .contains("From should be in the realm of To")
    );
}

#[test]
fn what_cannot_be_kept_is_said_by_name() {
    let long = format!("Colour: {}", "x".repeat(600));
    assert!(
        refused(&foreign(&[&long], PLAIN, ""))
            .starts_with("the header Colour is not known here and cannot be kept")
    );
    let many: Vec<String> = (0..17).map(|number| format!("Colour{number}: x")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(refused(&foreign(&many, PLAIN, "")).contains("cannot be kept: the number of extensions is 17"));
}

#[test]
fn escapes_are_those_of_the_rfc() {
    assert_eq!(unescaped(r#"a\\\"\'\b\t\n\r\u00e9é"#).as_deref(), Some("a\\\"'\u{8}\t\n\réé"));
    for bad in [r"\", r"\x", r"\u12", r"\u12g4", r"\ud800", r"\uéé"] {
        assert_eq!(unescaped(bad), None, "{bad}");
    }
}
