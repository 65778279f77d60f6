//! `here watch`: a SUBSCRIPTION as lines, one for each change.
//!
//! The event stream is opened before the state is read, so no change falls between the two; what the state
//! already showed is recognised by version and skipped when it comes as an event. After a gap or a restart
//! of the node the state is read anew, and printed only if it differs from the last line.

use anyhow::Result;
use jiff::{Timestamp, Zoned};

use crate::{
    agents::cli::{
        Context, events,
        exit::Exit,
        live::{Happening, Live},
        words,
    },
    local_api::{
        client::Client,
        documents::{EventBody, EventDocument, PresentityDocument},
    },
};

pub(in crate::agents::cli) async fn run(context: &Context, who: &str) -> Result<Exit> {
    let wishes = context.interrupt.listen()?;
    let client = context.client()?;
    let presentity = client.presentity(who).await?;
    let watched_before = is_watched(&client, &presentity.id).await?;
    client.watch(&presentity.id).await?;
    let ended = tokio::select! {
        ended = follow(context, &client, &presentity.id) => ended,
        () = wishes.to_end() => Ok(()),
        () = context.output.closed() => Ok(()),
    };
    if !watched_before {
        // If the node is gone, the subscription is too.
        let _ = client.unwatch(&presentity.id).await;
    }
    ended.map(|()| Exit::Done)
}

async fn follow(context: &Context, client: &Client, id: &str) -> Result<()> {
    let mut live = Live::open(client.clone(), context.output.clone()).await?;
    let mut shown = client.presentity(id).await?;
    print_state(context, &shown)?;
    loop {
        let is_current = match live.next().await? {
            Happening::Event(event) => {
                if let Some(presentity) = event.body.presentity()
                    && presentity.id == id
                    && is_news(presentity, &shown)
                {
                    print_event(context, &event)?;
                    shown = presentity.clone();
                }
                event.body != EventBody::Gap
            }
            Happening::Reconnected { resumed } => {
                live.insist(|| client.watch(id)).await?;
                resumed
            }
        };
        if !is_current {
            let presentity = live.insist(|| client.presentity(id)).await?;
            if differs(&presentity, &shown) {
                print_state(context, &presentity)?;
            }
            shown = presentity;
        }
    }
}

async fn is_watched(client: &Client, id: &str) -> Result<bool> {
    Ok(client.subscriptions().await?.watching.iter().any(|watch| watch.presentity.id == id))
}

/// Whether an event says something that was not shown: it is about a later state, and a different one.
fn is_news(event: &PresentityDocument, shown: &PresentityDocument) -> bool {
    let order = |presentity: &PresentityDocument| (presentity.version, presentity.contact.since);
    order(event) >= order(shown) && differs(event, shown)
}

/// Whether a WATCHER would tell two states apart. Versions, ages and evidence change with mere refreshes.
fn differs(one: &PresentityDocument, other: &PresentityDocument) -> bool {
    let seen = |presentity: &PresentityDocument| {
        let PresentityDocument { name, contact, tuples, note, activities, until, extensions, .. } =
            presentity.clone();
        (name, contact.state, tuples, note, activities, until, extensions)
    };
    seen(one) != seen(other)
}

fn print_state(context: &Context, presentity: &PresentityDocument) -> Result<()> {
    let output = &context.output;
    if output.json {
        output.document_line(presentity)?;
    } else {
        let now = Zoned::now();
        output.line(events::at(Timestamp::now(), &words::sentence(presentity, &now), output, &now))?;
    }
    Ok(())
}

fn print_event(context: &Context, event: &EventDocument) -> Result<()> {
    let output = &context.output;
    if output.json {
        output.document_line(&event.body.presentity())?;
    } else if let Some(line) = events::line(event, output, &Zoned::now()) {
        output.line(line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agents::cli::words::tests::bob,
        local_api::documents::{BasicWord, ContactStateWord, EvidenceWord},
    };

    #[test]
    fn a_refresh_is_no_news() {
        let shown = bob();
        let mut refreshed = bob();
        refreshed.version.sequence += 1;
        refreshed.heard_at = "2030-03-05T11:05:00Z".parse().unwrap();
        refreshed.age_seconds = 0.0;
        refreshed.contact.evidence = EvidenceWord::Heard;
        assert!(!is_news(&refreshed, &shown));
    }

    #[test]
    fn a_changed_document_and_a_changed_contact_are_news() {
        let shown = bob();
        let mut closed = bob();
        closed.version.sequence += 1;
        closed.tuples[0].status.basic = BasicWord::Closed;
        assert!(is_news(&closed, &shown));
        let mut lost = bob();
        lost.contact.state = ContactStateWord::Lost;
        lost.contact.since = "2030-03-05T11:05:00Z".parse().unwrap();
        assert!(is_news(&lost, &shown));
    }

    #[test]
    fn an_event_from_before_the_shown_state_is_no_news() {
        let earlier = bob();
        let mut shown = bob();
        shown.version.sequence += 1;
        shown.tuples[0].status.basic = BasicWord::Closed;
        assert!(!is_news(&earlier, &shown));
    }
}
