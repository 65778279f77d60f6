//! `here outbox`: queued messages, and what became of those that were.

use anyhow::Result;
use jiff::Zoned;

use crate::{
    agents::cli::{
        Context,
        arguments::{OutboxAction, OutboxArguments},
        events::{outbox_state, short},
        exit::Exit,
        output::{FAINT, NAME},
        sanitise,
        table::{Table, plain, styled},
        times::moment,
        words,
    },
    local_api::documents::{OutboxEntryDocument, OutboxStateWord},
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &OutboxArguments) -> Result<Exit> {
    match &arguments.action {
        None | Some(OutboxAction::List) => list(context).await,
        Some(OutboxAction::Cancel(message)) => {
            context.client()?.cancel(&message.id).await?;
            context.done("cancelled")
        }
    }
}

async fn list(context: &Context) -> Result<Exit> {
    let outbox = context.client()?.outbox().await?;
    if context.output.json {
        context.output.document(&outbox)?;
    } else if outbox.entries.is_empty() {
        context
            .output
            .notice("the outbox is empty: no message was ever queued, or all have been forgotten since");
    } else {
        table(&outbox.entries, &Zoned::now()).print(&context.output)?;
    }
    Ok(Exit::Done)
}

fn table(entries: &[OutboxEntryDocument], now: &Zoned) -> Table<7> {
    let mut table = Table::new(["ID", "TO", "STATE", "QUEUED", "EXPIRES", "TRIES", "MESSAGE"]);
    for entry in entries {
        let expires = match entry.state {
            OutboxStateWord::Queued => moment(words::timestamp(entry.expires_at), now),
            OutboxStateWord::Delivered
            | OutboxStateWord::Failed
            | OutboxStateWord::Expired
            | OutboxStateWord::Cancelled => "-".to_owned(),
        };
        table.row([
            plain(short(&entry.id)),
            styled(NAME, words::person(&entry.to)),
            plain(state(entry)),
            styled(FAINT, moment(words::timestamp(entry.queued_at), now)),
            styled(FAINT, expires),
            plain(entry.attempts),
            plain(sanitise::line(entry.text.as_deref().unwrap_or("(no text, see --json)"))),
        ]);
    }
    table
}

fn state(entry: &OutboxEntryDocument) -> String {
    match entry.reason {
        Some(reason) => format!("{}: {reason}", outbox_state(entry.state)),
        None => outbox_state(entry.state).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agents::cli::{
        output::{Output, tests::Written},
        words::tests::now,
    };

    #[test]
    fn what_waits_and_what_became_of_the_rest_stand_in_one_table() {
        let entry = |id: &str, state: &str, reason: Option<&str>| -> OutboxEntryDocument {
            let to =
                json!({ "id": "12D3KooWBBBBBBBB", "short_id": "BBBBBBBB", "name": "Bob", "petname": null });
            serde_json::from_value(json!({
                "id": id.repeat(8), "to": to, "state": state, "reason": reason, "attempts": 2,
                "text": "hi\nthere",
                "queued_at": "2030-03-05T11:00:00.000Z", "expires_at": "2030-03-06T11:00:00.000Z",
            }))
            .unwrap()
        };
        let written = Written::default();
        let entries = [entry("7be0", "queued", None), entry("11aa", "failed", Some("closed"))];
        table(&entries, &now()).print(&Output::into_writer(written.clone(), false)).unwrap();
        let expected = "\
ID        TO   STATE           QUEUED  EXPIRES         TRIES  MESSAGE
7be07be0  Bob  queued          11:00   tomorrow 11:00  2      hi there
11aa11aa  Bob  failed: closed  11:00   -               2      hi there
";
        assert_eq!(written.text(), expected);
    }
}
