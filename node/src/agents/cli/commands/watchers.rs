//! `here watchers`: WATCHER INFORMATION, this node's own or somebody else's.

use anyhow::Result;
use jiff::Zoned;

use super::subscriptions::state;
use crate::{
    agents::cli::{
        Context,
        arguments::{WatchersArguments, WatchersFormat},
        exit::Exit,
        output::{FAINT, NAME, Output, OutputClosed},
        sanitise,
        table::{Table, plain, styled},
        times::moment,
        words,
    },
    local_api::documents::{WatcherDocument, WatcherKindWord, WatchersDocument},
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &WatchersArguments) -> Result<Exit> {
    let client = context.client()?;
    if let Some(WatchersFormat::Winfo) = arguments.format {
        context.output.bytes(&client.winfo().await?)?;
        return Ok(Exit::Done);
    }
    let watchers = match &arguments.who {
        Some(who) => client.fetch_watchers(who).await?,
        None => client.watchers().await?,
    };
    if context.output.json {
        context.output.document(&watchers)?;
    } else {
        print(&watchers, &context.output, &Zoned::now())?;
    }
    Ok(Exit::Done)
}

fn print(watchers: &WatchersDocument, output: &Output, now: &Zoned) -> Result<(), OutputClosed> {
    if watchers.watchers.is_empty() {
        output.notice("nobody asked within the last week, as far as you may see");
        return Ok(());
    }
    let mut table = Table::new(["WHO", "KIND", "SUBSCRIPTION", "GIVEN", "REFUSED", "LAST", "ID"]);
    for watcher in &watchers.watchers {
        let subscription = watcher.event.map_or("-", |event| state(watcher.state, event));
        let hidden = if watcher.hidden == Some(true) { " (hidden from others)" } else { "" };
        table.row([
            styled(NAME, words::person(&watcher.watcher)),
            plain(format!("{}{hidden}", kind(watcher))),
            plain(subscription),
            plain(given(watcher)),
            plain(watcher.refused.to_string()),
            styled(FAINT, moment(words::timestamp(watcher.last_at), now)),
            styled(FAINT, sanitise::line(&watcher.watcher.short_id)),
        ]);
    }
    table.print(output)
}

fn kind(watcher: &WatcherDocument) -> String {
    match (watcher.kind, watcher.period_seconds) {
        (WatcherKindWord::Subscriber, _) => "subscriber".to_owned(),
        (WatcherKindWord::Requester, _) => "asks to subscribe".to_owned(),
        (WatcherKindWord::Refused, _) => "refused".to_owned(),
        (WatcherKindWord::Poller, Some(period)) => format!("poller, about every {period:.0} s"),
        (WatcherKindWord::Poller, None) => "poller".to_owned(),
        (WatcherKindWord::Fetcher, _) => "fetcher".to_owned(),
    }
}

/// What was given, and how often.
fn given(watcher: &WatcherDocument) -> String {
    let times = |count: u32, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let given = [times(watcher.fetches, "fetch"), times(watcher.subscribes, "subscription")];
    let given: Vec<_> = given.into_iter().flatten().map(|words| words.replace("fetchs", "fetches")).collect();
    if given.is_empty() { "nothing".to_owned() } else { given.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agents::cli::{output::tests::Written, words::tests::now};

    #[test]
    fn each_kind_of_watcher_is_told_apart() {
        let watcher = |name: &str, kind: &str, fetches: u32, subscribes: u32, state: &str| {
            json!({ "id": format!("12D3KooW{name}"), "short_id": name, "name": name, "petname": null,
                "kind": kind, "period_seconds": (kind == "poller").then_some(2.04), "state": state,
                "event": (subscribes > 0).then_some("subscribe"),
                "first_at": "2030-03-05T11:00:00.000Z", "last_at": "2030-03-05T11:02:00.000Z",
                "fetches": fetches, "subscribes": subscribes, "refused": 0, "hidden": kind == "fetcher" })
        };
        let watchers = json!({ "watchers": [
            watcher("Alice", "subscriber", 0, 1, "active"),
            watcher("Carol", "poller", 12, 0, "terminated"),
            watcher("Dave", "fetcher", 1, 0, "terminated"),
        ]});
        let watchers = serde_json::from_value(watchers).unwrap();
        let written = Written::default();
        print(&watchers, &Output::into_writer(written.clone(), false), &now()).unwrap();
        let expected = "\
WHO    KIND                          SUBSCRIPTION  GIVEN           REFUSED  LAST   ID
Alice  subscriber                    active        1 subscription  0        11:02  Alice
Carol  poller, about every 2 s       -             12 fetches      0        11:02  Carol
Dave   fetcher (hidden from others)  -             1 fetch         0        11:02  Dave
";
        assert_eq!(written.text(), expected);
    }
}
