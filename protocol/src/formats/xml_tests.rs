use super::*;

fn read(xml: &str) -> Element<'_> {
    parse(xml, 10_000).unwrap()
}

fn problem(xml: &str) -> String {
    match parse(xml, 10_000) {
        Err(FormatError::Malformed { problem, .. }) => problem,
        other => panic!("{xml}: {other:?}"),
    }
}

#[test]
fn names_are_read_with_their_namespaces() {
    let root = read(r#"<a xmlns="urn:1" xmlns:p="urn:2" b="1" p:b="2"><p:c/><c xmlns=""/></a>"#);
    assert!(root.is("urn:1", "a"));
    assert_eq!((root.attribute("b"), root.attribute_in("urn:2", "b")), (Some("1"), Some("2")));
    let keys: Vec<_> = root.children.iter().map(Element::key).collect();
    assert_eq!(keys, ["{urn:2}c", "{}c"]);
}

#[test]
fn text_is_what_references_and_cdata_say() {
    let root = read(
        "\u{feff}<?xml version='1.0' encoding='utf-8'?>\
         <!-- --><a b='&#9;&lt;\n'>x&#x41;&amp;<![CDATA[<&]]>\r\n</a>",
    );
    assert_eq!((root.text.as_str(), root.attribute("b")), ("xA&<&\n", Some("\t< ")));
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for xml in [
        "",
        "text",
        "<a>",
        "</a>",
        "<a></b>",
        "<a/><b/>",
        "<a/>text",
        "<a/>&amp;",
        "<a/><![CDATA[x]]>",
        "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a b=1/>",
        "<a b/>",
        "<a>]]></a>",
        "<a>&amp</a>",
        "<a>&none;</a>",
        "<a b='&none;'/>",
        "<a>&#0;</a>",
        "<a>&#1;</a>",
        "<a b='&#1;'/>",
        "<a>\u{1}</a>",
        "<a>\u{fffe}</a>",
        "<1/>",
        "<a:b:c xmlns:a='urn:1'/>",
        "<:a/>",
        "<p:a/>",
        "<a p:b='1'/>",
        "<a xmlns:p='urn:1' xmlns:q='urn:1' p:b='' q:b=''/>",
        "<a xmlns:p=''/>",
        "<a xmlns:xml='urn:1'/>",
        "<a xmlns:p='http://www.w3.org/2000/xmlns/'/>",
        "<a><!-- -- --></a>",
        "<a><?b?></a>",
        "<a/><?xml version='1.0'?>x",
        "<?xml version='1.0' encoding='latin1'?><a/>",
        "<?xml version='2.0'?><a/>",
    ] {
        problem(xml);
    }
    assert!(problem("<a><b></a>").contains('b'));
    assert_eq!(parse("<!DOCTYPE a><a/>", 100).err(), Some(FormatError::DocumentType));
    assert_eq!(parse("<abc/>", 5).err(), Some(FormatError::TooLong { found: 6, limit: 5 }));
}

#[test]
fn a_kept_element_means_the_same_elsewhere() {
    let xml = "<a xmlns='urn:1' xmlns:p='urn:&amp;2' xmlns:q='urn:3'>\
               <p:b  p:c='q:d'>\r\n <e/> <!-- x --></p:b></a>";
    let root = read(xml);
    let kept = root.children[0].kept();
    assert_eq!(kept, "<p:b xmlns=\"urn:1\" xmlns:p=\"urn:&amp;2\"  p:c='q:d'>\r\n <e/> <!-- x --></p:b>");
    let again = read(&kept);
    assert!(again.says_same(&root.children[0]));
    assert_eq!(again.kept(), kept);
    let unprefixed = read("<p:a xmlns:p='urn:1'><b xml:lang='en'/></p:a>").children[0].kept();
    assert_eq!(unprefixed, "<b xmlns=\"\" xml:lang='en'/>");
    let own = "<b xmlns='urn:1'><c xmlns=''/></b>";
    assert_eq!(read(&format!("<a>{own}</a>")).children[0].kept(), own);
}

#[test]
fn only_whole_elements_that_need_nothing_around_stand_alone() {
    let keys = |text: &str| standing_alone(text, |all| all.iter().map(Element::key).collect::<Vec<_>>());
    assert_eq!(keys("<a xmlns='u'/><b xmlns='u'><c/></b>"), Some(vec!["{u}a".to_owned(), "{u}b".to_owned()]));
    for text in [
        "",
        " ",
        "x",
        "<a xmlns='u'/> ",
        "<a/>",
        "<p:a/>",
        "<a xmlns='u'>",
        "</kept><kept>",
        "<!-- --><a xmlns='u'/>",
    ] {
        assert_eq!(keys(text), None, "{text}");
    }
    let nested = |depth: usize| format!("<a xmlns='u'>{}{}</a>", "<a>".repeat(depth), "</a>".repeat(depth));
    assert_eq!((keys(&nested(26)).is_some(), keys(&nested(27)).is_some()), (true, false));
}

#[test]
fn what_is_written_is_read_as_it_was() {
    let harmful = "<>&\"'\r\n\t ]]>\u{85}\u{2028}";
    let mut out = Writer::new();
    out.open("a", &[("b", harmful)]);
    out.leaf("c", &[], harmful);
    out.leaf("d", &[("e", "\0")], "x\u{1f}\u{ffff}");
    out.empty("f", &[]);
    out.close();
    let xml = out.finish();
    let root = read(&xml);
    assert_eq!((root.attribute("b"), root.children[0].text.as_str()), (Some(harmful), harmful));
    assert_eq!(
        (root.children[1].attribute("e"), root.children[1].text.as_str()),
        (Some("\u{fffd}"), "x\u{fffd}\u{fffd}")
    );
    assert_eq!(root.children[2].text, "");
}
