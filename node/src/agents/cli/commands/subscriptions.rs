//! `here subscriptions`: who watches this node's presentity, and whom it watches.

use anyhow::Result;
use jiff::Zoned;

use crate::{
    agents::cli::{
        Context,
        exit::Exit,
        output::{FAINT, NAME, Output, OutputClosed},
        sanitise,
        table::{Table, plain, styled},
        times::moment,
        words,
    },
    local_api::documents::{SubscriptionEventWord, SubscriptionStateWord, SubscriptionsDocument},
};

pub(in crate::agents::cli) async fn run(context: &Context) -> Result<Exit> {
    let subscriptions = context.client()?.subscriptions().await?;
    if context.output.json {
        context.output.document(&subscriptions)?;
    } else {
        print(&subscriptions, &context.output, &Zoned::now())?;
    }
    Ok(Exit::Done)
}

fn print(subscriptions: &SubscriptionsDocument, output: &Output, now: &Zoned) -> Result<(), OutputClosed> {
    let mut table = Table::new(["WHO", "DIRECTION", "STATE", "SINCE", "UNTIL", "ID"]);
    for subscriber in &subscriptions.subscribers {
        table.row([
            styled(NAME, words::person(&subscriber.subscriber)),
            plain("watches you"),
            plain(state(subscriber.state, subscriber.event)),
            styled(FAINT, moment(words::timestamp(subscriber.since), now)),
            styled(FAINT, moment(words::timestamp(subscriber.expires_at), now)),
            styled(FAINT, sanitise::line(&subscriber.subscriber.short_id)),
        ]);
    }
    for watch in &subscriptions.watching {
        let until = watch.expires_at.map(|end| moment(words::timestamp(end), now));
        table.row([
            styled(NAME, words::person(&watch.presentity)),
            plain("you watch"),
            plain(state(watch.state, watch.event)),
            styled(FAINT, moment(words::timestamp(watch.since), now)),
            styled(FAINT, until.unwrap_or_else(|| "-".to_owned())),
            styled(FAINT, sanitise::line(&watch.presentity.short_id)),
        ]);
    }
    if subscriptions.subscribers.is_empty() && subscriptions.watching.is_empty() {
        output.notice("nobody watches you, and you watch nobody; `here watch WHO` begins to");
        return Ok(());
    }
    table.print(output)
}

/// Where a subscription stands, and if it has ended why.
pub(super) const fn state(state: SubscriptionStateWord, event: SubscriptionEventWord) -> &'static str {
    match (state, event) {
        (SubscriptionStateWord::Pending, _) => "pending",
        (SubscriptionStateWord::Active, _) => "active",
        (SubscriptionStateWord::Waiting, _) => "waiting",
        (SubscriptionStateWord::Terminated, SubscriptionEventWord::Rejected) => "refused",
        (SubscriptionStateWord::Terminated, SubscriptionEventWord::Noresource) => "ended: they have too many",
        (SubscriptionStateWord::Terminated, SubscriptionEventWord::Probation) => "ended: asked too often",
        (SubscriptionStateWord::Terminated, _) => "ended",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agents::cli::{output::tests::Written, words::tests::now};

    #[test]
    fn both_directions_stand_in_one_table() {
        let subscriptions = serde_json::from_value(json!({
            "subscribers": [{
                "id": "12D3KooWAAAAAAAA", "short_id": "AAAAAAAA", "name": "Alice", "petname": null,
                "state": "active", "event": "subscribe",
                "since": "2030-03-05T11:00:00.000Z", "expires_at": "2030-03-05T12:00:00.000Z" }],
            "watching": [{ "id": "12D3KooWBBBBBBBB", "short_id": "BBBBBBBB", "name": "Bob", "petname": null,
                "state": "pending", "event": "subscribe", "contact": false,
                "since": "2030-03-05T11:01:00.000Z", "expires_at": null }],
        }))
        .unwrap();
        let written = Written::default();
        print(&subscriptions, &Output::into_writer(written.clone(), false), &now()).unwrap();
        let expected = "\
WHO    DIRECTION    STATE    SINCE  UNTIL  ID
Alice  watches you  active   11:00  12:00  AAAAAAAA
Bob    you watch    pending  11:01  -      BBBBBBBB
";
        assert_eq!(written.text(), expected);
    }
}
