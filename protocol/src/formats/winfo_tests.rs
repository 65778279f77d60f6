use std::time::Duration;

use super::*;
use crate::{
    formats::ELEMENTS_MAX,
    testing::{CLOCK, alice, bob, keypair, presentity},
    watcher::watcher_information::{HIDDEN_FROM_MAX, WATCHERS_MAX},
};

fn watcher(state: SubscriptionState, event: Option<SubscriptionEvent>) -> Watcher {
    let at = CLOCK.at_start;
    Watcher {
        first_at: at,
        last_at: at + Duration::from_secs(150),
        fetches: 4,
        subscribes: 1,
        refused: 2,
        state,
        event,
        state_since: at,
        fetched_at: (0..4).map(|number| at + Duration::from_millis(50_500) * number).collect(),
        visible_to: VisibleTo::default(),
    }
}

fn list() -> WatcherList {
    let subscriber = watcher(SubscriptionState::Active, Some(SubscriptionEvent::Subscribe));
    let poller = Watcher {
        visible_to: VisibleTo::AllBut(BTreeSet::from([presentity(&alice())])),
        ..watcher(SubscriptionState::Terminated, None)
    };
    WatcherList {
        presentity: presentity(&alice()),
        realm: Realm::default(),
        version: 7,
        extent: Extent::Full,
        watchers: BTreeMap::from([(presentity(&bob()), subscriber), (presentity(&keypair(3)), poller)]),
    }
}

fn at() -> UnixTime {
    CLOCK.at_start + Duration::from_secs(742)
}

fn changed(from: &str, to: &str) -> String {
    let xml = export(&list(), at());
    assert!(xml.contains(from), "{from} in {xml}");
    import(&xml.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn subscribers_are_watchers_and_everybody_has_a_log() {
    let xml = export(&list(), at());
    let (alice, bob) = (presentity(&alice()), presentity(&bob()));
    let carol = presentity(&keypair(3));
    for part in [
        "version=\"7\" state=\"full\"".to_owned(),
        format!("<watcher-list resource=\"pres:{alice}@lan.alt\" package=\"presence\">"),
        format!(
            "<watcher id=\"{bob}\" status=\"active\" event=\"subscribe\" \
             duration-subscribed=\"742\">pres:{bob}@lan.alt</watcher>"
        ),
        format!(
            "<h:fetch-log watcher=\"pres:{carol}@lan.alt\" kind=\"poller\" fetches=\"4\" \
             first=\"2023-11-14T22:13:20.000Z\" last=\"2023-11-14T22:15:50.000Z\" median-interval=\"50.500\""
        ),
        format!("<h:hidden-from>pres:{alice}@lan.alt</h:hidden-from>"),
    ] {
        assert!(xml.contains(&part), "{part} in {xml}");
    }
    assert_eq!(xml.matches("<watcher ").count(), 1);
    assert_eq!(import(&xml), Ok(list()));
}

#[test]
fn how_long_a_subscription_stands_is_said_only_where_it_is_known() {
    for (state, event, said) in [
        (SubscriptionState::Active, SubscriptionEvent::Approved, false),
        (SubscriptionState::Pending, SubscriptionEvent::Subscribe, true),
        (SubscriptionState::Terminated, SubscriptionEvent::Subscribe, false),
    ] {
        let watchers = BTreeMap::from([(presentity(&bob()), watcher(state, Some(event)))]);
        let xml = export(&WatcherList { watchers, ..list() }, at());
        assert_eq!(xml.contains("duration-subscribed"), said, "{state:?} {event}");
    }
}

#[test]
fn an_error_names_the_element_and_what_was_expected() {
    assert_eq!(
        changed("status=\"active\"", "status=\"asleep\""),
        "<watcher> status says \"asleep\", and pending, active, waiting or terminated was expected"
    );
    assert_eq!(
        changed("fetches=\"4\"", "fetches=\"-1\""),
        "<fetch-log> fetches says \"-1\", and a number was expected"
    );
    assert_eq!(changed(" refused=\"2\"", ""), "<fetch-log> lacks the attribute refused");
    assert_eq!(
        changed("package=\"presence\"", "package=\"x\""),
        "<watcher-list> package says \"x\", and presence was expected"
    );
    assert!(changed("pres:", "sip:").contains("a URI such as pres:12D3KooW…@lan.alt was expected"));
    assert_eq!(changed("h:fetch-log", "h:later"), "<watcher-list> lacks a <fetch-log> for each <watcher>");
    assert!(
        changed("<watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\"", "<watcherinfo xmlns=\"urn:x\"")
            .contains("{urn:x}watcherinfo")
    );
}

#[test]
fn nobody_is_there_twice() {
    let list = list();
    let bob = presentity(&bob());
    let xml = export(&list, at());
    let (before, after) = xml.split_once("    <watcher ").unwrap();
    let (watcher, after) = after.split_once('\n').unwrap();
    let twice = format!("{before}    <watcher {watcher}\n    <watcher {watcher}\n{after}");
    assert!(matches!(import(&twice), Err(FormatError::Unexpected { .. })));
    let other = xml.replace(&presentity(&keypair(3)).to_string(), &bob.to_string());
    assert!(matches!(import(&other), Err(FormatError::Unexpected { .. })));
}

#[test]
fn the_longest_table_that_a_node_keeps_can_be_read_back() {
    let presentity = |number: u8| Presentity::from_public_key_bytes([number; 32]);
    let hidden_from = (0..u8::try_from(HIDDEN_FROM_MAX).unwrap()).map(presentity).collect();
    let longest = Watcher {
        fetches: u32::MAX,
        fetched_at: vec![CLOCK.at_start; 8].into(),
        visible_to: VisibleTo::AllBut(hidden_from),
        ..watcher(SubscriptionState::Terminated, Some(SubscriptionEvent::Deactivated))
    };
    let sixteen =
        WatcherList { watchers: (0..16).map(|n| (presentity(n), longest.clone())).collect(), ..list() };
    let xml = export(&sixteen, at());
    assert!(xml.len() * WATCHERS_MAX / 16 < LIST_BYTES_MAX, "{}", xml.len());
    assert!(xml.matches("<h:").count() * WATCHERS_MAX / 16 * 4 / 3 < ELEMENTS_MAX);
    assert_eq!(import(&xml), Ok(sixteen));
}
