use super::*;
use crate::testing::{CLOCK, alice, information, presentity};

fn word(text: &str) -> Token {
    text.parse().unwrap()
}

fn exported(change: impl FnOnce(&mut PresenceInformation)) -> String {
    let mut document = information(&alice(), "Alice");
    change(&mut document);
    let xml = export(presentity(&alice()), &Realm::default(), &document, CLOCK.at_start);
    assert_eq!(import(&xml).map(|read| read.information), Ok(document), "{xml}");
    xml
}

fn with_activities(words: &[&str]) -> String {
    exported(|document| document.markup.activities = words.iter().map(|text| word(text)).collect())
}

/// A foreign document with this in its tuple and that behind it.
fn foreign(in_tuple: &str, behind: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<p:presence xmlns:p='{PIDF}' xmlns='urn:foreign' xmlns:rp='{RPID}' \
         xmlns:dm='{DATA_MODEL}' entity='pres:someone@example.com'>\n<p:tuple id='Bs35.r9'>\n<p:status>\
         <p:basic>open</p:basic></p:status>{in_tuple}\n<p:timestamp>2005-05-30T16:14:29+02:00</p:timestamp>\
         </p:tuple>\n{behind}</p:presence>"
    )
}

fn refused(xml: &str) -> String {
    import(xml).unwrap_err().to_string()
}

fn contains_in_order(xml: &str, parts: &[&str]) {
    let mut rest = xml;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no {part} in its place in {xml}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn a_document_says_what_it_can_in_the_words_of_the_rfcs() {
    let xml = exported(|document| {
        let tuple = &mut document.tuples[0];
        tuple.status.further = ["away", "busy", "dnd"].map(word).into();
        tuple.markup.note = Some(Note { text: "a < b".to_owned(), language: Some("en".to_owned()) });
        tuple.markup.activities = [word("meeting")].into();
        document.markup.activities = [word("travel")].into();
        document.markup.until = Some(UnixTime::from_millis(0));
    });
    let (entity, contact) = (
        format!("entity=\"{}\"", presentity(&alice()).pres_uri(&Realm::default())),
        format!("<contact>im:{}@lan.alt</contact>", presentity(&alice())),
    );
    contains_in_order(
        &xml,
        &[
            &entity,
            "<tuple id=\"t-inbox\">",
            "<basic>open</basic>",
            "<jc:show>dnd</jc:show>",
            "<h:value>away</h:value>",
            "<h:value>busy</h:value>",
            "</status>",
            "<h:activities>meeting</h:activities>",
            &contact,
            "<note xml:lang=\"en\">a &lt; b</note>",
            "<timestamp>2023-11-14T22:13:20.000Z</timestamp>",
            "<dm:person id=\"p-1\">",
            "<c:display-name>Alice</c:display-name>",
            "<rp:activities until=\"1970-01-01T00:00:00.000Z\">",
            "<rp:travel/>",
            "<dm:timestamp>2023-11-14T22:13:20.000Z</dm:timestamp>",
        ],
    );
    assert!(!xml.contains("h:means") && !xml.contains("h:exactly"));
}

#[test]
fn activities_that_rpid_cannot_say_are_said_beside() {
    contains_in_order(&with_activities(&["lunch"]), &["<rp:meal/>", "<h:activities>lunch</h:activities>"]);
    contains_in_order(
        &with_activities(&["lunch", "meal"]),
        &["<rp:meal/>", "<h:activities>lunch meal</h:activities>"],
    );
    let invented = with_activities(&["yodelling"]);
    assert!(invented.contains("<rp:other>yodelling</rp:other>") && !invented.contains("h:activities"));
    let unknown = with_activities(&["unknown"]);
    assert!(unknown.contains("<rp:unknown/>") && !unknown.contains("h:activities"));
    let mixed = with_activities(&["tv", "unknown"]);
    assert!(!mixed.contains("<rp:unknown/>") && mixed.contains("<h:activities>tv unknown</h:activities>"));
}

#[test]
fn an_address_says_its_means_where_the_uri_does_not() {
    let with_address = |means: &str, contact: &str| {
        let address = CommunicationAddress { means: word(means), contact: contact.to_owned() };
        exported(|document| document.tuples[0].communication_address = Some(address))
    };
    let plain = with_address("tel", "tel:+15550100");
    assert!(plain.contains("<contact>tel:+15550100</contact>") && !plain.contains("h:means"));
    let other = with_address("voice", "tel:+15550100");
    contains_in_order(&other, &["<h:means>voice</h:means>", "<contact>tel:+15550100</contact>"]);
    for no_uri in ["", "next door", "a:%zz", "http://[::1]/", "http://a:99999/", "näher:x"] {
        let xml = with_address("door", no_uri);
        assert!(!xml.contains("<contact") && xml.contains("<h:exactly name=\"contact\""), "{no_uri}");
    }
}

#[test]
fn what_xml_cannot_carry_is_carried_beside() {
    let xml = exported(|document| {
        document.display_name = "A\0B".to_owned();
        document.markup.note =
            Some(Note { text: "\u{1b}[31m".to_owned(), language: Some("no tag".to_owned()) });
    });
    assert!(xml.contains("<c:display-name>A\u{fffd}B</c:display-name>"));
    assert!(xml.contains("<note>\u{fffd}[31m</note>"));
    assert_eq!(xml.matches("<h:exactly ").count(), 3);
}

#[test]
fn extensions_stand_in_base64_and_the_priority_where_it_belongs() {
    let xml = exported(|document| {
        let extensions = &mut document.tuples[0].markup.extensions;
        extensions.insert("x-mood".to_owned(), vec![0, 255]);
        extensions.insert(CONTACT_PRIORITY.to_owned(), b"0.75".to_vec());
    });
    assert!(xml.contains("<h:extension name=\"x-mood\">AP8=</h:extension>"));
    assert!(xml.contains("<contact priority=\"0.75\">"));
    assert!(!xml.contains("name=\"contact-priority\""));
}

#[test]
fn what_a_foreign_document_says_beyond_is_kept_and_written_back() {
    let read = import(&foreign(
        "<rp:class>work</rp:class><x a='1'>&lt;<rp:y/></x>\
         <p:contact priority='2'>mailto:a@b.example</p:contact>\
         <p:note xml:lang='de'>eins</p:note><p:note>zwei</p:note>",
        "<p:note>drei</p:note><dm:device id='d'><dm:deviceID>urn:x:1</dm:deviceID></dm:device>\
         <dm:person id='q'>\
         <rp:activities><rp:note>so</rp:note><rp:away/><rp:other>Knitting socks</rp:other></rp:activities>\
         <rp:mood><rp:happy/></rp:mood><dm:note>vier</dm:note></dm:person><dm:person id='r'/>",
    ))
    .unwrap();
    assert_eq!((read.entity.as_str(), read.presentity), ("pres:someone@example.com", None));
    assert_eq!(read.at, date_time::parse("2005-05-30T14:14:29Z"));
    let document = &read.information;
    let tuple = &document.tuples[0];
    assert_eq!(tuple.id.as_str(), "bs35-r9");
    assert_eq!(tuple.markup.note.as_ref().map(|note| note.text.as_str()), Some("eins"));
    let address = tuple.communication_address.as_ref().unwrap();
    assert_eq!((address.means.as_str(), address.contact.as_str()), ("mailto", "mailto:a@b.example"));
    let names: Vec<_> = tuple.markup.extensions.keys().map(String::as_str).collect();
    assert_eq!(names, ["{urn:foreign}x", "{urn:ietf:params:xml:ns:pidf:rpid}class", PIDF_NOTE]);
    let x = format!("<x xmlns=\"urn:foreign\" xmlns:rp=\"{RPID}\" a='1'>&lt;<rp:y/></x>");
    assert_eq!(tuple.markup.extensions["{urn:foreign}x"], x.as_bytes());
    let names: Vec<_> = document.markup.extensions.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            ACTIVITIES_NOTE,
            ACTIVITIES_OTHER,
            PERSON_NOTE,
            "person/{urn:ietf:params:xml:ns:pidf:rpid}mood",
            "{urn:ietf:params:xml:ns:pidf:data-model}device",
            "{urn:ietf:params:xml:ns:pidf:data-model}person",
        ]
    );
    assert_eq!(words(&document.markup.activities), "away other");
    let again = export(presentity(&alice()), &Realm::default(), document, CLOCK.at_start);
    assert!(!again.contains("h:extension"), "{again}");
    contains_in_order(
        &again,
        &[&x, "zwei", "drei", ">so<", "<rp:away/>", ">Knitting socks<", "mood", "vier", "device"],
    );
    assert_eq!(import(&again).map(|read| read.information), Ok(read.information));
}

#[test]
fn the_note_of_the_person_stands_for_that_of_the_document() {
    let read = import(&foreign("", "<dm:person id='q'><dm:note>vier</dm:note></dm:person>")).unwrap();
    let note = read.information.markup.note.as_ref().map(|note| note.text.as_str());
    assert_eq!((note, read.information.markup.extensions.len()), (Some("vier"), 0));
}

#[test]
fn ids_lose_their_prefix_unless_another_tuple_has_what_is_left() {
    let ids = |ids: &[&str]| {
        let tuple = |id: &&str| format!("<tuple id='{id}'><status><basic>open</basic></status></tuple>");
        let tuples: String = ids.iter().map(tuple).collect();
        let read = import(&format!("<presence xmlns='{PIDF}' entity='pres:a@b'>{tuples}</presence>"));
        read.map(|read| read.information.tuples.iter().map(|tuple| tuple.id.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(ids(&["t-a", "t-t-a", "b"]).unwrap(), ["a", "t-a", "b"]);
    assert_eq!(ids(&["a", "t-a"]).unwrap(), ["a", "t-a"]);
    assert_eq!(ids(&["_A.B"]).unwrap(), ["a-b"]);
    assert!(ids(&["a", "A"]).is_err());
    assert!(ids(&["1"]).is_err());
}

#[test]
fn what_is_too_large_to_be_kept_is_said_by_name() {
    let large = foreign(&format!("<x>{}</x>", "y".repeat(600)), "");
    assert!(
        refused(&large)
            .starts_with("<{urn:foreign}x> is not known here and cannot be kept: the extension value is")
    );
    let named = foreign(&format!("<{}/>", "x".repeat(60)), "");
    assert!(refused(&named).contains("cannot be kept: the extension name is"));
    let many: String = (0..17).map(|number| format!("<x{number}/>")).collect();
    assert!(refused(&foreign(&many, "")).contains("cannot be kept: the number of extensions is 17"));
}

#[test]
fn an_error_names_the_element_and_what_was_expected() {
    let base = foreign("", "");
    for (from, to, says) in [
        (
            "<p:basic>open</p:basic>",
            "<p:basic>ajar</p:basic>",
            "<basic> says \"ajar\", and open or closed was expected",
        ),
        ("<p:basic>open</p:basic>", "", "<status> lacks a <basic>"),
        (" id='Bs35.r9'", "", "<tuple> lacks the attribute id"),
        ("2005-05-30", "2005-02-30", "<timestamp> says \"2005-02-30T16:14:29+02:00\", and a time such as"),
        ("<p:basic>", "<p:basic><x/>", "<basic> has no place for <{urn:foreign}x>"),
        (
            "<p:timestamp>",
            "<p:foo/><p:timestamp>",
            "<tuple> has no place for <{urn:ietf:params:xml:ns:pidf}foo>",
        ),
        ("<p:timestamp>", "<x xmlns=''/><p:timestamp>", "<tuple> has no place for <{}x>"),
        (
            "<p:timestamp>",
            "<p:contact>next door</p:contact><p:timestamp>",
            "<contact> says \"next door\", and a URI",
        ),
        ("entity=", "identity=", "<presence> lacks the attribute entity"),
        ("xmlns:p='urn:ietf:params:xml:ns:pidf'", "xmlns:p='urn:x'", "the document is a <{urn:x}presence>"),
        ("<?xml version=\"1.0\"?>", "<!DOCTYPE x>", "the document has a document type declaration"),
        ("</p:tuple>", "", "not well-formed XML at byte"),
    ] {
        assert!(base.contains(from), "{from}");
        let said = refused(&base.replace(from, to));
        assert!(said.starts_with(says), "{said} instead of {says}");
    }
    let empty = format!("<presence xmlns='{PIDF}' entity='pres:a@b'/>");
    assert_eq!(refused(&empty), "presence information needs at least one tuple");
}

#[test]
fn the_largest_document_that_fits_into_a_record_can_be_read_back() {
    // As many bytes of a document as a record has, where XML writes most for each.
    let largest = exported(|document| {
        document.markup.note = Some(Note { text: "\0".repeat(256), language: None });
        document.display_name = "&".repeat(64);
        for number in 0..16 {
            document.markup.extensions.insert(format!("x{number}"), Vec::new());
            document.tuples[0].markup.extensions.insert("&".repeat(number + 1), Vec::new());
        }
        document.tuples[0].status.further = (0..8).map(|number| word(&format!("w{number}"))).collect();
    });
    assert!(largest.len() < DOCUMENT_BYTES_MAX / 4, "{}", largest.len());
}
