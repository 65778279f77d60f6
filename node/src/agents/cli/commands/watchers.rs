//! `here watchers`: WATCHER INFORMATION, this node's own or somebody else's.

use anyhow::Result;
use jiff::Zoned;
use serde::Serialize;

use super::subscriptions::state;
use crate::{
    agents::cli::{
        Context,
        arguments::{WatchersArguments, WatchersFormat},
        events,
        exit::Exit,
        live::{Happening, Live},
        output::{FAINT, NAME, Output, OutputClosed},
        sanitise,
        table::{Table, plain, styled},
        times::moment,
        words,
    },
    local_api::{
        client::Client,
        documents::{EventBody, WatcherDocument, WatcherKindWord, WatchersDocument},
    },
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &WatchersArguments) -> Result<Exit> {
    let client = context.client()?;
    if let Some(WatchersFormat::Winfo) = arguments.format {
        context.output.bytes(&client.winfo().await?)?;
        return Ok(Exit::Done);
    }
    if arguments.watch {
        return watch(context, arguments.who.as_deref()).await;
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

/// Goes on with each watcher that is new or changed, until somebody ends it.
async fn watch(context: &Context, who: Option<&str>) -> Result<Exit> {
    let wishes = context.interrupt.listen()?;
    let client = context.client()?;
    let own = client.node().await?.id;
    let of = match who {
        Some(who) => client.presentity(who).await?.id,
        None => own.clone(),
    };
    let is_own = of == own;
    let ended = tokio::select! {
        ended = follow(context, &client, &of, is_own) => ended,
        () = wishes.to_end() => Ok(()),
        () = context.output.closed() => Ok(()),
    };
    if !is_own {
        // If the node is gone, so is what it watched.
        let _ = client.unwatch_watchers(&of).await;
    }
    ended.map(|()| Exit::Done)
}

async fn follow(context: &Context, client: &Client, of: &str, is_own: bool) -> Result<()> {
    let mut live = Live::open(client.clone(), context.output.clone()).await?;
    client.watch_watchers(of).await?;
    if is_own {
        for watcher in client.watchers().await?.watchers.iter().rev() {
            tell(context, watcher, false)?;
        }
    }
    loop {
        match live.next().await? {
            Happening::Event(event) => match &event.body {
                EventBody::Watcher { of: whose, watcher, gone } if whose.id == of => {
                    tell(context, watcher, *gone)?;
                }
                _ => (),
            },
            Happening::Reconnected { .. } => live.insist(|| client.watch_watchers(of)).await?,
        }
    }
}

/// A line about one watcher.
fn tell(context: &Context, watcher: &WatcherDocument, gone: bool) -> Result<(), OutputClosed> {
    let output = &context.output;
    if output.json {
        return output.document_line(&Told { gone, watcher });
    }
    let now = Zoned::now();
    let who = output.paint(NAME, words::person(&watcher.watcher));
    let what = match gone {
        true => "gone".to_owned(),
        false => {
            let subscription = watcher.event.map(|event| format!(" ({})", state(watcher.state, event)));
            let refused = (watcher.refused > 0).then(|| format!(", refused {} times", watcher.refused));
            let (subscription, refused) = (subscription.unwrap_or_default(), refused.unwrap_or_default());
            format!("{}{subscription}, given {}{refused}", kind(watcher), given(watcher))
        }
    };
    output.line(events::at(words::timestamp(watcher.last_at), &format!("{who}: {what}"), output, &now))
}

/// A line of `here watchers --watch --json`.
#[derive(Debug, Serialize)]
struct Told<'a> {
    /// Whether the watcher is kept, or may be seen, no more.
    gone: bool,
    #[serde(flatten)]
    watcher: &'a WatcherDocument,
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
