//! The formats as other programs see them: what is exported keeps to grammars that say what the RFCs demand
//! (`schemas/README.md`), what is exported and imported is the same again, and no input does harm.
//!
//! `xmllint`, of the package `libxml2-utils`, checks documents by the grammars, and does not know our code.

#![expect(clippy::unwrap_used, reason = "a failure is what a test is for")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    num::NonZeroU32,
    process::{Command, Stdio},
};

use hereabouts_protocol::{
    formats::{DOCUMENT_BYTES_MAX, EXTENSION_NAMESPACE, FormatError, cpim, pidf, presence_rules, winfo},
    identity::{InboxAddress, Presentity, Realm},
    message::instant_message::{InstantMessage, MessageId},
    presence::{
        access_rules::{AccessRule, AccessRules, Audience, Handling, Transformations},
        information::{
            ACTIVITIES, Basic, CommunicationAddress, Extensions, FURTHER_STATUS_VALUES, Note,
            OtherPresenceMarkup, PresenceInformation, PresenceTuple, Status, Token,
        },
        user_input::{InputState, UserInput, UserInputGrant},
    },
    time::UnixTime,
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionState},
        watcher_information::{VisibleTo, Watcher},
    },
};
use proptest::{collection, option, prelude::*, sample::select};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn presence_documents_validate(
        who in presentity(),
        realm in realm(),
        document in information(),
        at in time(),
    ) {
        let xml = pidf::export(who, &realm, &document, at);
        prop_assert_eq!(complaint(PIDF, &xml), "", "{}", xml);
    }

    #[test]
    fn watcher_lists_validate(list in watcher_list(), at in time()) {
        let xml = winfo::export(&list, at);
        prop_assert_eq!(complaint(WATCHER_INFO, &xml), "", "{}", xml);
    }

    #[test]
    fn presence_rules_validate(
        rules in access_rules(),
        realm in realm(),
        contacts in collection::btree_set(presentity(), 0..3),
    ) {
        let xml = presence_rules::export(&rules, &realm, &contacts);
        prop_assert_eq!(complaint(PRESENCE_RULES, &xml), "", "{}", xml);
    }
}

#[test]
fn the_grammar_of_presence_documents_refuses_others() {
    let document = "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:p='urn:ietf:params:xml:ns:pidf'
    xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' xmlns:rp='urn:ietf:params:xml:ns:pidf:rpid'
    xmlns:c='urn:ietf:params:xml:ns:pidf:cipid' xmlns:x='urn:x' entity='pres:a@b.example'>
  <tuple id='t-a'>
    <status><basic>open</basic><x:a p:mustUnderstand='1'/></status>
    <rp:privacy><rp:audio/><rp:video/></rp:privacy>
    <rp:user-input idle-threshold='60'>idle</rp:user-input>
    <x:a xml:lang='de' x:b='c'>d<rp:mood><rp:calm/></rp:mood><e xmlns=''/></x:a>
    <contact priority='0.8'>im:a@b.example</contact>
    <note xml:lang='en'>one</note>
    <timestamp>2026-11-22T08:10:00.120Z</timestamp>
  </tuple>
  <note>two</note>
  <dm:person id='p-a'>
    <c:display-name>A</c:display-name>
    <rp:activities until='2026-11-22T09:00:00Z'><rp:note>so</rp:note><rp:away/><rp:tv/></rp:activities>
    <rp:sphere><x:a/><x:b/></rp:sphere>
    <dm:note>three</dm:note>
    <dm:timestamp>2026-11-22T08:10:00.120Z</dm:timestamp>
  </dm:person>
  <dm:device id='d-a'><rp:class>home</rp:class><dm:deviceID>urn:x:1</dm:deviceID></dm:device>
  <x:a/>
</presence>";
    let faults = [
        ("<presence xmlns='urn:ietf:params:xml:ns:pidf'", "<presence xmlns='urn:ietf:params:xml:ns:pidf:'"),
        ("<presence ", "<presence version='1' "),
        (" entity='pres:a@b.example'", ""),
        ("<x:a/>\n</presence>", "<a xmlns=''/></presence>"),
        ("<x:a/>\n</presence>", "<note/></presence>"),
        ("<x:a/>\n</presence>", "<dm:people/></presence>"),
        ("<x:a/>\n</presence>", "words</presence>"),
        ("<tuple id='t-a'>", "<tuple>"),
        ("<tuple id='t-a'>", "<tuple id='1'>"),
        ("<tuple id='t-a'>", "<tuple id='p-a'>"),
        ("<status><basic>open</basic><x:a p:mustUnderstand='1'/></status>", ""),
        ("<basic>open</basic>", "<basic>ajar</basic>"),
        ("<basic>open</basic>", "<basic>open</basic><basic>open</basic>"),
        ("<basic>open</basic>", "<note>open</note>"),
        ("p:mustUnderstand='1'", "p:mustUnderstand='a little'"),
        ("priority='0.8'", "priority='1.5'"),
        ("priority='0.8'", "priority='0.1234'"),
        ("<note xml:lang='en'>one</note>", "<contact>im:c@b.example</contact>"),
        ("<note xml:lang='en'>one</note>", "<x:a/>"),
        ("xml:lang='en'", "xml:lang='in English'"),
        ("<timestamp>2026-11-22T08:10:00.120Z", "<timestamp>yesterday"),
        ("<rp:audio/><rp:video/>", "<rp:video/><rp:audio/>"),
        ("<rp:calm/>", "<rp:away/>"),
        (">idle<", ">idly<"),
        ("idle-threshold='60'", "idle-threshold='0'"),
        ("<c:display-name>A", "<c:display-name>A<x:a/>"),
        ("<rp:sphere><x:a/><x:b/></rp:sphere>", "<rp:spheres/>"),
        ("until='2026-11-22T09:00:00Z'", "until='9:00'"),
        ("<rp:note>so</rp:note><rp:away/>", "<rp:away/><rp:note>so</rp:note>"),
        ("<rp:away/>", "<rp:lunch/>"),
        ("<rp:away/>", "<rp:unknown/>"),
        ("<rp:away/>", "<rp:away>far</rp:away>"),
        ("<x:b/></rp:sphere>", "<rp:work/></rp:sphere>"),
        ("<dm:note>three</dm:note>", "<note>three</note>"),
        ("<dm:note>three</dm:note>", "<dm:note>three</dm:note><x:a/>"),
        ("<dm:person id='p-a'>", "<dm:person>"),
        ("<dm:deviceID>urn:x:1</dm:deviceID>", ""),
    ];
    refuses(PIDF, document, &faults);
}

#[test]
fn the_grammar_of_watcher_lists_refuses_others() {
    let document = "<watcherinfo xmlns='urn:ietf:params:xml:ns:watcherinfo' xmlns:x='urn:x' version='4'
    state='full'>
  <watcher-list resource='pres:a@b.example' package='presence'>
    <watcher id='a' status='active' event='approved' expiration='9' duration-subscribed='2'
        display-name='C' xml:lang='en'>pres:c@b.example</watcher>
    <x:a b='c'>d<e xmlns=''/></x:a>
  </watcher-list>
  <x:a/>
</watcherinfo>";
    let faults = [
        ("ns:watcherinfo", "ns:watcherinfo:"),
        ("version='4'", ""),
        ("version='4'", "version='-4'"),
        ("state='full'", ""),
        ("state='full'", "state='empty'"),
        ("resource='pres:a@b.example'", ""),
        ("package='presence'", ""),
        ("package='presence'", "package='presence' x:a='b'"),
        ("id='a'", ""),
        ("status='active'", ""),
        ("status='active'", "status='init'"),
        ("event='approved'", ""),
        ("event='approved'", "event='fetched'"),
        ("expiration='9'", "expiration='soon'"),
        ("duration-subscribed='2'", "duration-subscribed='-2'"),
        ("display-name='C'", "x:display-name='C'"),
        ("xml:lang='en'", "xml:lang='in English'"),
        ("pres:c@b.example", "pres:c@b.example<x:a/>"),
        ("d<e xmlns=''/></x:a>", "d</x:a><e xmlns=''/>"),
        ("d<e xmlns=''/></x:a>", "<watcher/></x:a>"),
        ("  <x:a/>\n", "  <watcher id='b' status='active' event='approved'>pres:d@b.example</watcher>"),
        ("  <x:a/>\n", "words"),
    ];
    refuses(WATCHER_INFO, document, &faults);
}

#[test]
fn the_grammar_of_presence_rules_refuses_others() {
    let document = "<cp:ruleset xmlns:cp='urn:ietf:params:xml:ns:common-policy'
    xmlns:pr='urn:ietf:params:xml:ns:pres-rules' xmlns:x='urn:x'>
  <cp:rule id='a'>
    <cp:conditions>
      <cp:identity>
        <cp:one id='pres:c@b.example'/>
        <cp:many domain='b.example'><cp:except id='pres:d@b.example'/><x:a/></cp:many>
      </cp:identity>
      <cp:sphere value='work'/>
      <cp:validity>
        <cp:from>2026-11-22T08:00:00Z</cp:from><cp:until>2026-11-22T09:00:00Z</cp:until>
      </cp:validity>
    </cp:conditions>
    <cp:actions><pr:sub-handling>allow</pr:sub-handling><x:a b='c'>d</x:a></cp:actions>
    <cp:transformations>
      <pr:provide-services>
        <pr:occurrence-id>t-a</pr:occurrence-id><pr:class>home</pr:class>
      </pr:provide-services>
      <pr:provide-persons><pr:all-persons/></pr:provide-persons>
      <pr:provide-activities>true</pr:provide-activities>
      <pr:provide-user-input>bare</pr:provide-user-input>
      <pr:provide-unknown-attribute name='a' ns='urn:x'>true</pr:provide-unknown-attribute>
    </cp:transformations>
  </cp:rule>
  <cp:rule id='b'/>
</cp:ruleset>";
    let faults = [
        ("ns:common-policy", "ns:common-policy:"),
        ("<cp:ruleset ", "<cp:ruleset id='a' "),
        ("<cp:rule id='b'/>", "<cp:rule/>"),
        ("<cp:rule id='b'/>", "<cp:rule id='a'/>"),
        ("<cp:rule id='b'/>", "<cp:rule id='2'/>"),
        ("<cp:rule id='b'/>", "<cp:rule id='b'><cp:actions/><cp:conditions/></cp:rule>"),
        ("<cp:rule id='b'/>", "<x:a/>"),
        ("<cp:sphere value='work'/>", "<cp:sphere>work</cp:sphere>"),
        ("<cp:sphere value='work'/>", "<cp:identity/>"),
        ("<cp:sphere value='work'/>", "<cp:spheres/>"),
        ("<cp:sphere value='work'/>", "<pr:sub-handling>allow</pr:sub-handling>"),
        ("<cp:one id='pres:c@b.example'/>", "<cp:one/>"),
        ("<cp:one id='pres:c@b.example'/>", "<cp:except id='pres:c@b.example'/>"),
        ("<cp:until>2026-11-22T09:00:00Z</cp:until>", ""),
        ("<cp:until>2026-11-22T09:00:00Z</cp:until>", "<cp:until>9:00</cp:until>"),
        (">allow<", ">permit<"),
        ("<x:a b='c'>d</x:a>", "<a/>"),
        ("<x:a b='c'>d</x:a>", "<pr:provide-note>true</pr:provide-note>"),
        ("<x:a b='c'>d</x:a>", "<x:a><pr:sub-handling/></x:a>"),
        ("<pr:class>home</pr:class>", "<pr:all-services/>"),
        ("<pr:class>home</pr:class>", "<pr:deviceID>urn:x:1</pr:deviceID>"),
        ("<pr:all-persons/>", "<pr:all-persons/><pr:all-persons/>"),
        ("<pr:provide-user-input>bare</pr:provide-user-input>", "<pr:sub-handling>allow</pr:sub-handling>"),
        ("<pr:provide-user-input>bare</pr:provide-user-input>", "<pr:provide-weather/>"),
        ("<pr:provide-activities>true", "<pr:provide-activities>yes"),
        (">bare<", ">true<"),
        (" ns='urn:x'", ""),
    ];
    refuses(PRESENCE_RULES, document, &faults);
}

proptest! {
    #[test]
    fn a_presence_document_survives_its_format(
        who in presentity(),
        realm in realm(),
        information in information(),
        at in time(),
    ) {
        prop_assert_eq!(information.check(), Ok(()));
        let xml = pidf::export(who, &realm, &information, at);
        let entity = who.pres_uri(&realm);
        let expected = pidf::Imported { entity, presentity: Some((who, realm)), at: Some(at), information };
        prop_assert_eq!(pidf::import(&xml), Ok(expected), "{}", xml);
    }

    #[test]
    fn a_watcher_list_survives_its_format(list in watcher_list(), at in time()) {
        let xml = winfo::export(&list, at);
        prop_assert_eq!(winfo::import(&xml), Ok(list), "{}", xml);
    }

    #[test]
    fn rules_survive_their_format(
        rules in access_rules(),
        realm in realm(),
        contacts in collection::btree_set(presentity(), 0..3),
    ) {
        let xml = presence_rules::export(&rules, &realm, &contacts);
        prop_assert_eq!(presence_rules::import(&xml), Ok(rules), "{}", xml);
    }

    #[test]
    fn a_message_survives_its_format(message in message()) {
        prop_assert_eq!(message.check(), Ok(()));
        let bytes = cpim::export(&message);
        prop_assert_eq!(cpim::import(&bytes), Ok(message), "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_bytes_panic(
        bytes in collection::vec(any::<u8>(), 0..400),
        text in "\\PC{0,100}|[<>/a-z =\"':&;#!?\\[\\]-]{0,100}",
    ) {
        import_all(&bytes);
        import_all(text.as_bytes());
        import_all(format!("<a xmlns='urn:ietf:params:xml:ns:pidf'>{text}</a>").as_bytes());
    }

    #[test]
    fn no_damage_to_a_document_panics(
        documents in (information(), watcher_list(), access_rules(), message()),
        from in any::<prop::sample::Index>(),
        length in 0_usize..40,
        instead in "\\PC{0,8}|[<>/ =\"&;]{0,8}",
    ) {
        let (information, list, rules, message) = documents;
        for mut bytes in [
            pidf::export(person(1), &Realm::default(), &information, at()).into_bytes(),
            winfo::export(&list, at()).into_bytes(),
            presence_rules::export(&rules, &Realm::default(), &BTreeSet::from([person(2)])).into_bytes(),
            cpim::export(&message),
        ] {
            let from = from.index(bytes.len());
            let to = (from + length).min(bytes.len());
            bytes.splice(from..to, instead.bytes());
            import_all(&bytes);
        }
    }

    #[test]
    fn what_is_read_of_a_damaged_document_can_be_written(
        information in information(),
        from in any::<prop::sample::Index>(),
        length in 0_usize..10,
        instead in "[a-z<>/ =\"&;]{0,8}",
    ) {
        let xml = pidf::export(person(1), &Realm::default(), &information, at());
        let mut bytes = xml.into_bytes();
        let from = from.index(bytes.len());
        let to = (from + length).min(bytes.len());
        bytes.splice(from..to, instead.bytes());
        if let Ok(read) = pidf::import(&String::from_utf8_lossy(&bytes)) {
            let again = pidf::export(person(1), &Realm::default(), &read.information, at());
            let read_again = pidf::import(&again).map(|read| read.information);
            prop_assert_eq!(read_again, Ok(read.information), "{}", again);
        }
    }
}

#[test]
fn depth_length_entities_and_crowds_are_refused() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let many = |what, limit| Some(FormatError::TooMany { what, limit });
    assert_eq!(pidf::import(&nested(33)).err(), many("elements inside each other", 32));
    assert!(matches!(pidf::import(&nested(32)), Err(FormatError::Root { .. })));
    assert!(matches!(pidf::import(&nested(100_000)), Err(FormatError::TooLong { .. })));
    assert_eq!(winfo::import(&nested(100_000)).err(), many("elements inside each other", 32));
    let crowd = format!("<a>{}</a>", "<b/>".repeat(70_000));
    assert_eq!(winfo::import(&crowd).err(), many("elements", 65_536));
    let attributes: String = (0..65).map(|number| format!(" a{number}=''")).collect();
    assert_eq!(pidf::import(&format!("<a{attributes}/>")).err(), many("attributes in one element", 64));
    let blanks = " ".repeat(DOCUMENT_BYTES_MAX);
    let too_long = FormatError::TooLong { found: blanks.len() + 4, limit: DOCUMENT_BYTES_MAX };
    assert_eq!(pidf::import(&format!("<a/>{blanks}")), Err(too_long.clone()));
    assert_eq!(cpim::import(format!("{blanks}    ").as_bytes()), Err(too_long));
    let billion = "<!DOCTYPE a [<!ENTITY x 'ha'><!ENTITY y '&x;&x;'>]><a>&y;</a>";
    assert_eq!(pidf::import(billion), Err(FormatError::DocumentType));
    assert!(matches!(pidf::import("<a>&y;</a>"), Err(FormatError::Malformed { .. })));
}

/// The names of the grammars.
const PIDF: &str = "pidf";
const WATCHER_INFO: &str = "watcherinfo";
const PRESENCE_RULES: &str = "presence_rules";

/// Asserts that a document keeps to a grammar, and does not with any of its parts replaced by what is wrong.
fn refuses(grammar: &str, document: &str, faults: &[(&str, &str)]) {
    assert_eq!(complaint(grammar, document), "");
    for (part, spoilt) in faults {
        assert_eq!(document.matches(part).count(), 1, "{part}");
        let complaint = complaint(grammar, &document.replace(part, spoilt));
        assert!(complaint.contains("fails to validate"), "{spoilt} instead of {part}: {complaint}");
    }
}

/// What `xmllint` says against a document; nothing if it keeps to the grammar.
fn complaint(grammar: &str, xml: &str) -> String {
    let grammar = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemas/{}.rng"), grammar);
    let mut xmllint = Command::new("xmllint")
        .args(["--noout", "--nonet", "--relaxng", &grammar, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs xmllint: apt-get install libxml2-utils");
    xmllint.stdin.take().unwrap().write_all(xml.as_bytes()).unwrap();
    let output = xmllint.wait_with_output().unwrap();
    if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() }
}

fn import_all(bytes: &[u8]) {
    let _ = cpim::import(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = pidf::import(&text);
    let _ = winfo::import(&text);
    let _ = presence_rules::import(&text);
}

fn person(number: u8) -> Presentity {
    Presentity::from_public_key_bytes([number; 32])
}

fn inbox(number: u8) -> InboxAddress {
    InboxAddress { node: person(number), realm: Realm::default() }
}

fn at() -> UnixTime {
    UnixTime::from_millis(1_700_000_000_000)
}

fn presentity() -> impl Strategy<Value = Presentity> {
    prop_oneof![
        any::<u8>().prop_map(|byte| person(byte % 8)),
        any::<[u8; 32]>().prop_map(Presentity::from_public_key_bytes)
    ]
}

fn realm() -> impl Strategy<Value = Realm> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?".prop_map(|text| text.parse().unwrap())
}

fn time() -> impl Strategy<Value = UnixTime> {
    prop_oneof![any::<u64>(), 0..4_000_000_000_000_u64].prop_map(UnixTime::from_millis)
}

/// Texts with everything that XML, MIME or a schema may take amiss.
fn text() -> impl Strategy<Value = String> {
    let harmful = select(vec![
        '<',
        '>',
        '&',
        '"',
        '\'',
        ']',
        '\r',
        '\n',
        '\t',
        ' ',
        '\0',
        '\u{1}',
        '\u{7f}',
        '\u{85}',
        '\u{feff}',
        '\u{fffe}',
        '\u{ffff}',
        '\u{2028}',
        '\u{10ffff}',
        '\\',
        ':',
        'é',
    ]);
    let harmful = collection::vec(harmful, 0..8).prop_map(String::from_iter);
    prop_oneof!["[ -~]{0,20}", "\\PC{0,12}", harmful, Just("]]>".to_owned()), Just("&amp;".to_owned())]
}

fn token() -> impl Strategy<Value = Token> {
    let known = ACTIVITIES.iter().chain(&FURTHER_STATUS_VALUES).chain(&["t-t-a", "t-a", "a"]);
    let known = select(known.map(|word| (*word).to_owned()).collect::<Vec<_>>());
    prop_oneof!["[a-z][a-z0-9_-]{0,31}", known].prop_map(|text| text.parse().unwrap())
}

fn tokens() -> impl Strategy<Value = BTreeSet<Token>> {
    collection::btree_set(token(), 0..4)
}

/// Entries that an import may have kept, and some that look like it.
fn kept() -> impl Strategy<Value = (String, Vec<u8>)> {
    let pidf = "urn:ietf:params:xml:ns:pidf";
    let (model, rpid) = (format!("{pidf}:data-model"), format!("{pidf}:rpid"));
    let entries = [
        ("{urn:x}a".to_owned(), r#"<x:a xmlns:x="urn:x" x:b="&lt;&#9;"> <x:c/>é</x:a>"#.to_owned()),
        ("{urn:x}a".to_owned(), r#"<a xmlns="urn:x"/><a xmlns="urn:x">]]&gt;</a>"#.to_owned()),
        ("{urn:x}a".to_owned(), r#"<a xmlns="urn:x"/> <a xmlns="urn:x"/>"#.to_owned()),
        ("{urn:x}a".to_owned(), "<x:a/>".to_owned()),
        ("{urn:x}a".to_owned(), r#"<a xmlns="urn:x">"#.to_owned()),
        ("{urn:x}a".to_owned(), r#"<b xmlns="urn:x"/>"#.to_owned()),
        ("{urn:x}b".to_owned(), "<b xmlns='urn:x'><c xmlns=''/><!-- - --><![CDATA[<]]></b>".to_owned()),
        ("{urn:x}b".to_owned(), "</kept><b xmlns='urn:x'/><kept>".to_owned()),
        ("{urn:x}b".to_owned(), String::new()),
        ("{}b".to_owned(), r#"<b xmlns=""/>"#.to_owned()),
        ("person/{urn:x}a".to_owned(), r#"<a xmlns="urn:x" xml:lang="en"/>"#.to_owned()),
        ("status/{urn:x}a".to_owned(), r#"<a xmlns="urn:x"/>"#.to_owned()),
        ("status/{jabber:client}show".to_owned(), r#"<show xmlns="jabber:client">busy</show>"#.to_owned()),
        ("status/{jabber:client}show".to_owned(), r#"<show xmlns="jabber:client">away</show>"#.to_owned()),
        (format!("status/{{{pidf}}}basic"), format!(r#"<basic xmlns="{pidf}">open</basic>"#)),
        (format!("{{{pidf}}}note"), format!(r#"<note xmlns="{pidf}" xml:lang="de">zwei</note>"#)),
        (format!("{{{pidf}}}tuple"), format!(r#"<tuple xmlns="{pidf}" id="a"/>"#)),
        (format!("person/{{{model}}}note"), format!(r#"<d:note xmlns:d="{model}">zwei</d:note>"#)),
        (format!("person/{{{rpid}}}mood"), format!(r#"<r:mood xmlns:r="{rpid}"><r:happy/></r:mood>"#)),
        (
            format!("person/{{{rpid}}}activities"),
            format!(r#"<r:activities xmlns:r="{rpid}"><r:tv/></r:activities>"#),
        ),
        (format!("activities/{{{rpid}}}note"), format!(r#"<r:note xmlns:r="{rpid}">so</r:note>"#)),
        (format!("activities/{{{rpid}}}other"), format!(r#"<r:other xmlns:r="{rpid}">Free text</r:other>"#)),
        (format!("activities/{{{rpid}}}other"), format!(r#"<r:other xmlns:r="{rpid}">word</r:other>"#)),
        (format!("activities/{{{rpid}}}tv"), format!(r#"<r:tv xmlns:r="{rpid}"/>"#)),
        ("activities/{urn:x}a".to_owned(), r#"<a xmlns="urn:x"/>"#.to_owned()),
        (
            format!("{{{pidf}:cipid}}card"),
            format!(r#"<c:card xmlns:c="{pidf}:cipid">http://a.example/</c:card>"#),
        ),
        ("contact-priority".to_owned(), "0.8".to_owned()),
        ("contact-priority".to_owned(), "1.5".to_owned()),
        (format!("{{{EXTENSION_NAMESPACE}}}later"), format!(r#"<later xmlns="{EXTENSION_NAMESPACE}"/>"#)),
        (format!("{{{EXTENSION_NAMESPACE}}}until"), format!(r#"<until xmlns="{EXTENSION_NAMESPACE}"/>"#)),
        ("{urn:ietf:params:cpim-headers:}Subject".to_owned(), " Lunch\n;lang=fr Déjeuner".to_owned()),
        ("{urn:ietf:params:cpim-headers:}Subject".to_owned(), " Lunch\r\nFrom: x".to_owned()),
        ("{urn:ietf:params:cpim-headers:}Subject".to_owned(), "Lunch".to_owned()),
        ("{urn:ietf:params:cpim-headers:}To".to_owned(), " <im:x@y>".to_owned()),
        ("{urn:ietf:params:cpim-headers:}From".to_owned(), " <im:x@y>".to_owned()),
        ("{urn:ietf:params:imdn}Disposition-Notification".to_owned(), " display".to_owned()),
        ("{urn:ietf:params:imdn}Message-ID".to_owned(), " display".to_owned()),
        ("{urn:y}Mood".to_owned(), ";a=\"b c\" good".to_owned()),
        ("{urn:z}Mood".to_owned(), " bad".to_owned()),
        (format!("{{{EXTENSION_NAMESPACE}}}Thread"), " bad".to_owned()),
        (format!("{{{EXTENSION_NAMESPACE}}}Later"), " good".to_owned()),
        ("content/Content-ID".to_owned(), "<1@example.com>".to_owned()),
        ("content/content-type".to_owned(), "text/plain".to_owned()),
        ("content/Content-Disposition".to_owned(), "a\r\n\r\nb".to_owned()),
    ];
    select(entries.to_vec()).prop_map(|(name, value)| (name, value.into_bytes()))
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let name = prop_oneof!["[a-z:/-]{1,16}", "[!-~]{1,16}", "\\PC{1,8}", Just("\u{fffe}".to_owned())];
    let any = (name, collection::vec(any::<u8>(), 0..40));
    collection::vec(prop_oneof![any, kept(), kept()], 0..4).prop_map(Extensions::from_iter)
}

fn user_input() -> impl Strategy<Value = UserInput> {
    let state = select(vec![InputState::Active, InputState::Idle]);
    (state, option::of(1..=u32::MAX), option::of(time())).prop_map(|(state, threshold, last_input)| {
        UserInput { state, idle_threshold_seconds: threshold.and_then(NonZeroU32::new), last_input }
    })
}

fn markup() -> impl Strategy<Value = OtherPresenceMarkup> {
    let language = prop_oneof![Just("en".to_owned()), Just("en-GB".to_owned()), text()];
    let note = (text(), option::of(language)).prop_map(|(text, language)| Note { text, language });
    (option::of(note), tokens(), option::of(time()), option::of(user_input()), extensions()).prop_map(
        |(note, activities, until, user_input, extensions)| OtherPresenceMarkup {
            note,
            activities,
            until,
            user_input,
            extensions,
        },
    )
}

fn tuple() -> impl Strategy<Value = PresenceTuple> {
    let contact = prop_oneof![
        any::<u8>().prop_map(|number| inbox(number).to_string()),
        select(vec![
            "tel:+15550100",
            "xmpp:a@b.example/c?d",
            "https://a.example:80/%41",
            "a:%zz",
            "http://[::1]/",
            "x+y.z:1"
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,3}:[!-~]{0,12}",
        text(),
    ];
    let means = prop_oneof![
        select(vec!["im", "tel", "xmpp", "https"]).prop_map(|word| word.parse().unwrap()),
        token()
    ];
    let address = (means, contact).prop_map(|(means, contact)| CommunicationAddress { means, contact });
    let basic = prop_oneof![Just(Basic::Open), Just(Basic::Closed)];
    (token(), basic, tokens(), option::of(address), markup()).prop_map(
        |(id, basic, further, communication_address, markup)| PresenceTuple {
            id,
            status: Status { basic, further },
            communication_address,
            markup,
        },
    )
}

fn information() -> impl Strategy<Value = PresenceInformation> {
    let strategy = (text(), collection::vec(tuple(), 1..4), markup(), any::<bool>());
    strategy.prop_map(|(display_name, mut tuples, mut markup, has_second_person)| {
        let mut ids = BTreeSet::new();
        tuples.retain(|tuple| ids.insert(tuple.id.clone()));
        if has_second_person {
            // Once in a document, since it has an id.
            let model = "urn:ietf:params:xml:ns:pidf:data-model";
            let person = format!(r#"<d:person xmlns:d="{model}" id="p-2"/>"#);
            markup.extensions.insert(format!("{{{model}}}person"), person.into_bytes());
        }
        PresenceInformation { display_name, tuples, markup }
    })
}

fn watcher() -> impl Strategy<Value = Watcher> {
    let states = SubscriptionState::ALL;
    let events = SubscriptionEvent::ALL;
    let visible_to = prop_oneof![
        Just(VisibleTo::Everybody),
        Just(VisibleTo::Nobody),
        collection::btree_set(presentity(), 0..4).prop_map(VisibleTo::AllBut),
    ];
    let regular = (0..1_000_000_000_u64, 1..100_000_u64, 0..8_u64).prop_map(|(first, step, count)| {
        (0..count).map(|number| UnixTime::from_millis(first + step * number)).collect()
    });
    let fetched_at = prop_oneof![collection::vec_deque(time(), 0..8), regular];
    let counts = (any::<u32>(), 0_u32..3, any::<u32>());
    (
        (time(), time(), time()),
        counts,
        (select(states.to_vec()), option::of(select(events.to_vec()))),
        (fetched_at, visible_to),
    )
        .prop_map(
            |(
                (first_at, last_at, state_since),
                (fetches, subscribes, refused),
                (state, event),
                (fetched_at, visible_to),
            )| Watcher {
                first_at,
                last_at,
                fetches,
                subscribes,
                refused,
                state,
                event,
                state_since,
                fetched_at,
                visible_to,
            },
        )
}

fn watcher_list() -> impl Strategy<Value = winfo::WatcherList> {
    let extent = prop_oneof![Just(winfo::Extent::Full), Just(winfo::Extent::Partial)];
    let watchers = collection::btree_map(presentity(), watcher(), 0..4);
    (presentity(), realm(), any::<u64>(), extent, watchers).prop_map(
        |(presentity, realm, version, extent, watchers)| winfo::WatcherList {
            presentity,
            realm,
            version,
            extent,
            watchers,
        },
    )
}

fn access_rules() -> impl Strategy<Value = AccessRules> {
    let audience = prop_oneof![select(Audience::CLASSES.to_vec()), presentity().prop_map(Audience::Watcher),];
    let handlings =
        [Handling::Block, Handling::Confirm, Handling::PoliteBlock, Handling::Allow, Handling::Allow];
    let tuples = option::of(collection::btree_set(token(), 0..3));
    use UserInputGrant::{Bare, Full, Thresholds, Withheld};
    let user_input = select(vec![Withheld, Bare, Thresholds, Full]);
    let rule = (select(handlings.to_vec()), tuples, any::<[bool; 7]>(), user_input).prop_map(
        |(handling, tuples, flags, user_input)| {
            let [watchers, visible_only, notes, activities, addresses, until, extensions] = flags;
            let grants =
                Transformations { tuples, notes, activities, addresses, until, user_input, extensions };
            AccessRule { handling, watchers, visible_only, grants }
        },
    );
    collection::vec((audience, rule), 0..5).prop_map(|set| {
        let mut rules = AccessRules::default();
        for (audience, rule) in set {
            // One that may not be set is not.
            let _ = rules.put(audience, Some(rule));
        }
        rules
    })
}

fn message() -> impl Strategy<Value = InstantMessage> {
    let id = || any::<[u8; 16]>().prop_map(MessageId::from_bytes);
    let address = || (presentity(), realm()).prop_map(|(node, realm)| InboxAddress { node, realm });
    let content_type = prop_oneof![Just("text/plain; charset=utf-8".to_owned()), "[ -~]{0,12}/[ -~]{0,12}"];
    let language =
        prop_oneof![Just("en".to_owned()), text().prop_filter("too long", |text| text.len() <= 35)];
    let body = prop_oneof![collection::vec(any::<u8>(), 0..300), text().prop_map(String::into_bytes)];
    (
        (id(), presentity(), address(), time(), option::of(id())),
        (option::of(address()), content_type, option::of(language)),
        (body, extensions()),
    )
        .prop_map(
            |((id, from, to, sent_at, thread), (reply_to, content_type, language), (body, extensions))| {
                InstantMessage {
                    id,
                    from,
                    to,
                    sent_at,
                    thread,
                    reply_to,
                    content_type,
                    language,
                    body,
                    extensions: BTreeMap::from_iter(extensions),
                }
            },
        )
}
