//! What the documents that `here --json` prints say: one reader for each question that several tests ask.
//!
//! Decides where in a document something stands; what is missing reads as nothing. Leaves to the tests what
//! it should be.

use std::fs;

use serde_json::Value;

use super::{Node, entry};

/// `open` or `closed` of the first tuple of `of`, as a document of `here who` shows it.
pub fn status<'who>(who: &'who Value, of: &Node) -> Option<&'who str> {
    entry(who, of.id())?.pointer("/tuples/0/status/basic")?.as_str()
}

/// The note of `of`, as a document of `here who` shows it.
pub fn note<'who>(who: &'who Value, of: &Node) -> Option<&'who str> {
    entry(who, of.id())?.pointer("/note/text")?.as_str()
}

/// The tuple with this id of a presentity.
pub fn tuple<'all>(presentity: &'all Value, id: &str) -> Option<&'all Value> {
    presentity.get("tuples")?.as_array()?.iter().find(|tuple| tuple["id"] == id)
}

/// Waits until `watcher` lists `presentity` and shows this note of it, or none.
///
/// # Panics
///
/// If it does not in time.
pub fn wait_note(watcher: &Node, presentity: &Node, text: Option<&str>) {
    watcher
        .wait_who("the note", |who| entry(who, presentity.id()).is_some() && note(who, presentity) == text);
}

/// Waits until `watcher` has the newest record that `presentity` made, whether it can read it or not.
///
/// # Panics
///
/// If it has not in time.
pub fn wait_newest(watcher: &Node, presentity: &Node) {
    watcher.wait_who("the newest record", |who| {
        let own = presentity.json(&["who"]);
        let version = |who: &Value| entry(who, presentity.id()).map(|entry| entry["version"].clone());
        version(who).is_some() && version(who) == version(&own)
    });
}

/// State and event of the subscription of `watcher` to `presentity`, as the watcher's own node lists it.
pub fn subscription(watcher: &Node, presentity: &Node) -> (String, String) {
    let subscriptions = watcher.json(&["subscriptions"]);
    let watch = of(&subscriptions, "watching", presentity).cloned().unwrap_or_default();
    let text = |field: &str| watch[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("event"))
}

/// What a document of `here subscriptions` says of one who subscribes to the node that printed it.
pub fn subscriber<'all>(subscriptions: &'all Value, who: &Node) -> Option<&'all Value> {
    of(subscriptions, "subscribers", who)
}

/// What a document of `here watchers` says of one watcher.
pub fn watcher<'all>(watchers: &'all Value, who: &Node) -> Option<&'all Value> {
    of(watchers, "watchers", who)
}

/// The kind of that watcher.
pub fn kind<'all>(watchers: &'all Value, who: &Node) -> Option<&'all str> {
    watcher(watchers, who)?.get("kind")?.as_str()
}

/// The texts in the inbox of a node, in its order.
pub fn texts(node: &Node) -> Vec<String> {
    let document = node.json(&["inbox"]);
    let messages = document["messages"].as_array().into_iter().flatten();
    messages.filter_map(|message| Some(message["text"].as_str()?.to_owned())).collect()
}

/// Whether any file of a node's home holds these words.
///
/// # Panics
///
/// If the home is not there.
pub fn has_on_disk(node: &Node, words: &str) -> bool {
    let files = fs::read_dir(node.home()).expect("the home is there").flatten();
    files
        .filter_map(|file| fs::read(file.path()).ok())
        .any(|bytes| bytes.windows(words.len()).any(|window| window == words.as_bytes()))
}

/// The entry about `who` in a list of a document.
fn of<'all>(document: &'all Value, list: &str, who: &Node) -> Option<&'all Value> {
    document.get(list)?.as_array()?.iter().find(|entry| entry["id"] == who.id())
}
