//! Watcher information: who watches a presentity, for programs that know nothing of Hereabouts.
//!
//! A watcher that ever asked for a SUBSCRIPTION is a `watcher` with its state and the event that led there.
//! RFC 3857 wants nothing said of those who only fetch, since their subscriptions pass in an instant;
//! RFC 2778 does, so every watcher has an `h:fetch-log` as well (`h` is [`EXTENSION_NAMESPACE`]), in the
//! `watcher-list` behind the others: the `kind` of WATCHER, how many `fetches` and `subscribes` were granted
//! and how many requests `refused`, the `first` and the `last`, the `median-interval` in seconds of one who
//! fetches regularly, each of the last fetches, and VISIBILITY RULES.
//!
//! That is all that the presentity's own PRINCIPAL may know. What others are given is filtered before, by
//! [`WatcherInformation::visible`], and of the VISIBILITY RULES they should see nothing.
//!
//! [`WatcherInformation::visible`]: crate::watcher::watcher_information::WatcherInformation::visible
//!
//! Source: RFC 3858. `duration-subscribed` is said where it is known, of subscriptions that nobody had to
//! approve; `expiration` and `display-name` are not. Deviation: an import wants the `h:fetch-log` of every
//! watcher, since a list without it says nothing of FETCHERS, and takes no watchers but Hereabouts'. Lost in
//! an import are other elements and the realm of a watcher other than the presentity's. Limit:
//! [`LIST_BYTES_MAX`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    EXTENSION_NAMESPACE, FormatError, LIST_BYTES_MAX, date_time, presentity_of, shown,
    xml::{self, Element, Writer},
};
use crate::{
    identity::{Presentity, Realm},
    time::UnixTime,
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionState},
        watcher_information::{VisibleTo, Watcher, WatcherKind},
    },
};

/// The media type of these documents.
pub const MEDIA_TYPE: &str = "application/watcherinfo+xml";

/// A list of watchers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatcherList {
    /// Whom they watch.
    pub presentity: Presentity,
    /// Where.
    pub realm: Realm,
    /// From 0, one more with each document to the same receiver.
    pub version: u64,
    /// Whether these are all.
    pub extent: Extent,
    /// Who they are.
    pub watchers: BTreeMap<Presentity, Watcher>,
}

/// Whether a document tells all or what changed (RFC 3858's `state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All watchers: a receiver forgets those that it does not name.
    Full,
    /// Only those about whom something is new.
    Partial,
}

/// The list as it was at a time.
pub fn export(list: &WatcherList, at: UnixTime) -> String {
    let mut out = Writer::new();
    let namespaces = [
        ("xmlns", WATCHER_INFO),
        ("xmlns:h", EXTENSION_NAMESPACE),
        ("version", &list.version.to_string()),
        ("state", if list.extent == Extent::Full { "full" } else { "partial" }),
    ];
    out.open("watcherinfo", &namespaces);
    let resource = list.presentity.pres_uri(&list.realm);
    out.open("watcher-list", &[("resource", &resource), ("package", PACKAGE)]);
    for (who, watcher) in &list.watchers {
        if let Some(event) = watcher.event {
            write_watcher(&mut out, &who.pres_uri(&list.realm), who, watcher, event, at);
        }
    }
    for (who, watcher) in &list.watchers {
        write_fetch_log(&mut out, who, watcher, &list.realm);
    }
    out.close();
    out.close();
    out.finish()
}

/// Reads a list.
///
/// # Errors
/// What is wrong with it: the element, and what was expected.
pub fn import(xml: &str) -> Result<WatcherList, FormatError> {
    let root = xml::parse(xml, LIST_BYTES_MAX)?;
    if !root.is(WATCHER_INFO, "watcherinfo") {
        let expected = format!("{{{WATCHER_INFO}}}watcherinfo");
        return Err(FormatError::Root { found: shown(&root.key()), expected });
    }
    let version = root.attribute_as("version", A_NUMBER, |text| text.parse().ok())?;
    let extent = root.attribute_as("state", "full or partial", |text| match text {
        "full" => Some(Extent::Full),
        "partial" => Some(Extent::Partial),
        _ => None,
    })?;
    let list = root.child(WATCHER_INFO, "watcher-list")?;
    let list = list.ok_or_else(|| root.missing("a <watcher-list>"))?;
    list.attribute_as("package", "presence", |text| (text == PACKAGE).then_some(()))?;
    let (presentity, realm) =
        list.attribute_as("resource", A_PRESENTITY, |text| presentity_of(text, "pres"))?;
    let mut states = BTreeMap::new();
    for element in list.children.iter().filter(|child| child.is(WATCHER_INFO, "watcher")) {
        let who = element.content(A_PRESENTITY, |text| presentity_of(text, "pres"))?.0;
        let state = element.attribute_as("status", "pending, active, waiting or terminated", state_of)?;
        let event = element.attribute_as("event", "an event of RFC 3857", event_of)?;
        if states.insert(who, (state, event)).is_some() {
            return Err(list.unexpected(element));
        }
    }
    let mut watchers = BTreeMap::new();
    for element in list.children.iter().filter(|child| child.is(EXTENSION_NAMESPACE, "fetch-log")) {
        let who = element.attribute_as("watcher", A_PRESENTITY, |text| presentity_of(text, "pres"))?.0;
        let watcher = fetch_log(element, states.remove(&who))?;
        if watchers.insert(who, watcher).is_some() {
            return Err(list.unexpected(element));
        }
    }
    if states.is_empty() {
        Ok(WatcherList { presentity, realm, version, extent, watchers })
    } else {
        Err(list.missing("a <fetch-log> for each <watcher>"))
    }
}

fn write_watcher(
    out: &mut Writer,
    uri: &str,
    who: &Presentity,
    watcher: &Watcher,
    event: SubscriptionEvent,
    at: UnixTime,
) {
    let (id, subscribed) = (who.to_string(), at.since(watcher.state_since).as_secs().to_string());
    let mut attributes =
        vec![("id", id.as_str()), ("status", state(watcher.state)), ("event", event.as_str())];
    // Any other event came after the subscription was made, and when that was is not kept.
    if event == SubscriptionEvent::Subscribe && watcher.state != SubscriptionState::Terminated {
        attributes.push(("duration-subscribed", &subscribed));
    }
    out.leaf("watcher", &attributes, uri);
}

fn write_fetch_log(out: &mut Writer, who: &Presentity, watcher: &Watcher, realm: &Realm) {
    let (fetches, subscribes) = (watcher.fetches.to_string(), watcher.subscribes.to_string());
    let (kind, interval) = kind(watcher.kind());
    let (first, last) = (date_time::format(watcher.first_at), date_time::format(watcher.last_at));
    let (refused, since) = (watcher.refused.to_string(), date_time::format(watcher.state_since));
    let uri = who.pres_uri(realm);
    let mut attributes: Vec<(&str, &str)> =
        vec![("watcher", &uri), ("kind", kind), ("fetches", &fetches), ("first", &first), ("last", &last)];
    if let Some(interval) = &interval {
        attributes.push(("median-interval", interval));
    }
    attributes.extend([("subscribes", subscribes.as_str()), ("refused", &refused), ("since", &since)]);
    // A state that no event led to stands in no `watcher`. It is terminated, unless something is amiss.
    if watcher.event.is_none() && watcher.state != SubscriptionState::Terminated {
        attributes.push(("status", state(watcher.state)));
    }
    let hidden_from = match &watcher.visible_to {
        VisibleTo::Everybody => None,
        VisibleTo::AllBut(hidden_from) => {
            attributes.push(("visible-to", "all-but"));
            Some(hidden_from)
        }
        VisibleTo::Nobody => {
            attributes.push(("visible-to", "nobody"));
            None
        }
    };
    out.open("h:fetch-log", &attributes);
    // Lists in one element, as XML Schema has them: a long table would be many elements otherwise.
    if !watcher.fetched_at.is_empty() {
        let times: Vec<_> = watcher.fetched_at.iter().map(|time| date_time::format(*time)).collect();
        out.leaf("h:fetched", &[], &times.join(" "));
    }
    if let Some(hidden_from) = hidden_from {
        let uris: Vec<_> = hidden_from.iter().map(|other| other.pres_uri(realm)).collect();
        out.leaf("h:hidden-from", &[], &uris.join(" "));
    }
    out.close();
}

/// What is known of a watcher: its log, and the state of its subscription if it has or had one.
fn fetch_log(
    element: &Element<'_>,
    subscription: Option<(SubscriptionState, SubscriptionEvent)>,
) -> Result<Watcher, FormatError> {
    let count = |name| element.attribute_as(name, A_NUMBER, |text| text.parse().ok());
    let time = |name| element.attribute_as(name, A_TIME, date_time::parse);
    let state = match subscription {
        Some((state, _)) => state,
        None if element.attribute("status").is_some() => {
            element.attribute_as("status", "pending, active or waiting", state_of)?
        }
        None => SubscriptionState::Terminated,
    };
    let fetched_at: VecDeque<UnixTime> = match element.child(EXTENSION_NAMESPACE, "fetched")? {
        Some(list) => {
            list.content("times", |text| text.split_whitespace().map(date_time::parse).collect())?
        }
        None => VecDeque::new(),
    };
    let hidden_from: BTreeSet<Presentity> = match element.child(EXTENSION_NAMESPACE, "hidden-from")? {
        Some(list) => list.content("presentities", |text| {
            text.split_whitespace().map(|uri| Some(presentity_of(uri, "pres")?.0)).collect()
        })?,
        None => BTreeSet::new(),
    };
    let expected = "everybody, all-but or nobody, and not too many of them";
    let visible_to = match element.attribute("visible-to") {
        None => VisibleTo::Everybody,
        Some(_) => element.attribute_as("visible-to", expected, |text| {
            let visible_to = match text {
                "everybody" => VisibleTo::Everybody,
                "all-but" => VisibleTo::AllBut(hidden_from),
                "nobody" => VisibleTo::Nobody,
                _ => return None,
            };
            visible_to.is_within_limits().then_some(visible_to)
        })?,
    };
    Ok(Watcher {
        first_at: time("first")?,
        last_at: time("last")?,
        fetches: count("fetches")?,
        subscribes: count("subscribes")?,
        refused: count("refused")?,
        state,
        event: subscription.map(|(_, event)| event),
        state_since: time("since")?,
        fetched_at,
        visible_to,
    })
}

/// The word for a kind of watcher, and the interval of a poller in seconds.
fn kind(kind: WatcherKind) -> (&'static str, Option<String>) {
    match kind {
        WatcherKind::Subscriber => ("subscriber", None),
        WatcherKind::Fetcher => ("fetcher", None),
        WatcherKind::Poller { period } => {
            ("poller", Some(format!("{}.{:03}", period.as_secs(), period.subsec_millis())))
        }
        WatcherKind::Requester => ("requester", None),
        WatcherKind::Refused => ("refused", None),
    }
}

const fn state(state: SubscriptionState) -> &'static str {
    match state {
        SubscriptionState::Pending => "pending",
        SubscriptionState::Active => "active",
        SubscriptionState::Waiting => "waiting",
        SubscriptionState::Terminated => "terminated",
    }
}

fn state_of(text: &str) -> Option<SubscriptionState> {
    SubscriptionState::ALL.into_iter().find(|one| state(*one) == text)
}

fn event_of(text: &str) -> Option<SubscriptionEvent> {
    SubscriptionEvent::ALL.into_iter().find(|event| event.as_str() == text)
}

const WATCHER_INFO: &str = "urn:ietf:params:xml:ns:watcherinfo";
/// The event package that is watched.
const PACKAGE: &str = "presence";

const A_NUMBER: &str = "a number";
const A_TIME: &str = "a time such as 2026-11-22T08:10:00Z";
const A_PRESENTITY: &str = "a URI such as pres:12D3KooW…@lan.alt";

#[cfg(test)]
#[path = "winfo_tests.rs"]
mod tests;
