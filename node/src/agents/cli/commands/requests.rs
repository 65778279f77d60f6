//! `here requests`: who asks to watch, and the PRINCIPAL's word on it.

use anyhow::Result;
use jiff::Zoned;

use super::access::{allowing, blocking};
use crate::{
    agents::cli::{
        Context,
        arguments::{RequestsAction, RequestsArguments},
        exit::Exit,
        failure::Failure,
        output::{FAINT, NAME, Output, OutputClosed},
        sanitise,
        table::{Table, plain, styled},
        times::moment,
        words,
    },
    local_api::{
        client::Client,
        documents::{SubscriberDocument, SubscriptionStateWord},
    },
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &RequestsArguments) -> Result<Exit> {
    let client = context.client()?;
    let requests = requests(&client).await?;
    match &arguments.action {
        None | Some(RequestsAction::List) => {
            if context.output.json {
                context.output.document(&serde_json::json!({ "requests": requests }))?;
            } else {
                print(&requests, &context.output, &Zoned::now())?;
            }
            Ok(Exit::Done)
        }
        Some(RequestsAction::Approve { who, grants }) => {
            let who = asked(&client, &requests, who).await?;
            client.put_access_rule(&who.subscriber.id, &allowing(grants)?).await?;
            context.done(&format!("{} may watch you", words::person(&who.subscriber)))
        }
        Some(RequestsAction::Deny { who, politely }) => {
            let who = asked(&client, &requests, who).await?;
            client.put_access_rule(&who.subscriber.id, &blocking(*politely)).await?;
            let how = if *politely { "always sees you closed" } else { "is refused" };
            context.done(&format!("{} {how}", words::person(&who.subscriber)))
        }
    }
}

async fn requests(client: &Client) -> Result<Vec<SubscriberDocument>> {
    let mut requests = client.subscriptions().await?.subscribers;
    requests.retain(|subscriber| {
        matches!(subscriber.state, SubscriptionStateWord::Pending | SubscriptionStateWord::Waiting)
    });
    Ok(requests)
}

/// The request of the one who is meant.
async fn asked(client: &Client, requests: &[SubscriberDocument], who: &str) -> Result<SubscriberDocument> {
    let named = |request: &&SubscriberDocument| {
        let person = &request.subscriber;
        [Some(&person.id), Some(&person.short_id), person.name.as_ref(), person.petname.as_ref()]
            .into_iter()
            .flatten()
            .any(|name| name.to_lowercase() == who.to_lowercase())
    };
    // Whoever asks may be withheld from this node, and be known by that alone.
    let mut found: Vec<_> = requests.iter().filter(named).collect();
    if found.len() != 1 {
        let id = client.presentity(who).await?.id;
        found = requests.iter().filter(|request| request.subscriber.id == id).collect();
    }
    let request = found.first().ok_or_else(|| {
        let message = format!("{who} does not ask to watch you; `here access allow {who}` lets them anyway");
        Failure::new(Exit::Failed, "not-found", message)
    })?;
    Ok((*request).clone())
}

fn print(requests: &[SubscriberDocument], output: &Output, now: &Zoned) -> Result<(), OutputClosed> {
    if requests.is_empty() {
        output.notice("nobody waits for your word; `here access confirm strangers` lets them ask");
        return Ok(());
    }
    let mut table = Table::new(["WHO", "STATE", "SINCE", "KEPT UNTIL", "ID"]);
    for request in requests {
        let state = match request.state {
            SubscriptionStateWord::Waiting => "asks no more",
            _ => "asks",
        };
        table.row([
            styled(NAME, words::person(&request.subscriber)),
            plain(state),
            styled(FAINT, moment(words::timestamp(request.since), now)),
            styled(FAINT, moment(words::timestamp(request.expires_at), now)),
            styled(FAINT, sanitise::line(&request.subscriber.short_id)),
        ]);
    }
    table.print(output)
}
