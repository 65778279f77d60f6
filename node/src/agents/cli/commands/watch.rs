//! `here watch`: a SUBSCRIPTION as lines, one for each change.
//!
//! The event stream is opened before the state is read, so no change falls between the two; what the state
//! already showed is recognised by version and skipped when it comes as an event. After a gap or a restart
//! of the node the state is read anew, and printed only if it differs from the last line. A node that was
//! just started knows others from its last run and has yet to meet them, so what it only remembers is not
//! taken for a change before [`SETTLING_TIME`].

use std::time::Duration;

use anyhow::Result;
use jiff::Zoned;
use tokio::time::{Instant, timeout_at};

use crate::{
    agents::cli::{
        Context, events,
        exit::Exit,
        live::{Happening, Live},
        words,
    },
    local_api::{
        client::Client,
        documents::{EventBody, EventDocument, EvidenceWord, PresentityDocument},
    },
};

pub(in crate::agents::cli) async fn run(context: &Context, who: &str) -> Result<Exit> {
    let wishes = context.interrupt.listen()?;
    let client = context.client()?;
    let id = client.presentity(who).await?.id;
    let watched_before = client.subscriptions().await?.watching.iter().any(|watch| watch.presentity.id == id);
    client.watch(&id).await?;
    let ended = tokio::select! {
        ended = follow(context, &client, &id) => ended,
        () = wishes.to_end() => Ok(()),
        () = context.output.closed() => Ok(()),
    };
    if !watched_before {
        // If the node is gone, the subscription is too.
        let _ = client.unwatch(&id).await;
    }
    ended.map(|()| Exit::Done)
}

async fn follow(context: &Context, client: &Client, id: &str) -> Result<()> {
    let live = Live::open(client.clone(), context.output.clone()).await?;
    let shown = client.presentity(id).await?;
    print_state(context, &shown)?;
    let mut watching = Watching { context, client, id, live, shown, settled_at: None };
    loop {
        watching.step().await?;
    }
}

/// A subscription and what was printed of it.
struct Watching<'a> {
    context: &'a Context,
    client: &'a Client,
    id: &'a str,
    live: Live,
    shown: PresentityDocument,
    /// When what the node only remembers is to be printed after all.
    settled_at: Option<Instant>,
}

impl Watching<'_> {
    /// Waits for what comes next, and prints it if it is a change.
    async fn step(&mut self) -> Result<()> {
        let happening = match self.settled_at {
            None => self.live.next().await?,
            Some(deadline) => match timeout_at(deadline, self.live.next()).await {
                Ok(happening) => happening?,
                Err(_) => {
                    self.settled_at = None;
                    return self.read_anew(true).await;
                }
            },
        };
        match happening {
            Happening::Event(event) if event.body == EventBody::Gap => self.read_anew(false).await,
            Happening::Event(event) => self.take(&event),
            Happening::Reconnected { resumed } => {
                self.live.insist(|| self.client.watch(self.id)).await?;
                if resumed { Ok(()) } else { self.read_anew(false).await }
            }
        }
    }

    fn take(&mut self, event: &EventDocument) -> Result<()> {
        let Some(presentity) = event.body.presentity().filter(|presentity| presentity.id == self.id) else {
            return Ok(());
        };
        if is_late(presentity, &self.shown) {
            return Ok(());
        }
        self.settled_at = None;
        if differs(presentity, &self.shown) {
            print_event(self.context, event)?;
        }
        self.shown = presentity.clone();
        Ok(())
    }

    async fn read_anew(&mut self, is_settled: bool) -> Result<()> {
        let presentity = self.live.insist(|| self.client.presentity(self.id)).await?;
        if presentity.contact.evidence == EvidenceWord::Remembered && !is_settled {
            self.settled_at = Some(Instant::now() + SETTLING_TIME);
            return Ok(());
        }
        if differs(&presentity, &self.shown) {
            print_state(self.context, &presentity)?;
        }
        self.shown = presentity;
        Ok(())
    }
}

/// Whether an event is about a state from before the one that is shown.
fn is_late(event: &PresentityDocument, shown: &PresentityDocument) -> bool {
    let order = |presentity: &PresentityDocument| (presentity.version, presentity.contact.since);
    order(event) < order(shown)
}

/// Whether a WATCHER would tell two states apart. Versions, ages and evidence change with mere refreshes.
pub(super) fn differs(one: &PresentityDocument, other: &PresentityDocument) -> bool {
    let seen = |presentity: &PresentityDocument| {
        let PresentityDocument {
            name, contact, tuples, note, activities, until, user_input, extensions, ..
        } = presentity.clone();
        (name, contact.state, tuples, note, activities, until, user_input, extensions)
    };
    seen(one) != seen(other)
}

pub(super) fn print_state(context: &Context, presentity: &PresentityDocument) -> Result<()> {
    let output = &context.output;
    if output.json {
        output.document_line(presentity)?;
    } else {
        let now = Zoned::now();
        output.line(events::at(now.timestamp(), &words::sentence(presentity, &now), output, &now))?;
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

/// How long a node that was just started may take to meet those it remembers, before they are told to be
/// out of contact.
const SETTLING_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        agents::cli::words::tests::bob,
        local_api::documents::{BasicWord, ContactStateWord},
    };

    #[test]
    fn a_refresh_makes_no_difference() {
        let mut refreshed = bob();
        refreshed.version.sequence += 1;
        refreshed.heard_at = "2030-03-05T11:05:00Z".parse().unwrap();
        refreshed.age_seconds = 0.0;
        refreshed.contact.evidence = EvidenceWord::Heard;
        assert!(!differs(&refreshed, &bob()));
        assert!(!is_late(&refreshed, &bob()));
    }

    #[test]
    fn user_input_that_changes_makes_a_difference() {
        let input = json!({ "state": "idle" });
        let idle = PresentityDocument { user_input: serde_json::from_value(input).unwrap(), ..bob() };
        assert!(differs(&idle, &bob()));
    }

    #[test]
    fn a_changed_document_and_a_changed_contact_make_a_difference() {
        let mut closed = bob();
        closed.version.sequence += 1;
        closed.tuples[0].status.basic = BasicWord::Closed;
        assert!(differs(&closed, &bob()) && !is_late(&closed, &bob()));
        let mut lost = bob();
        lost.contact.state = ContactStateWord::Lost;
        lost.contact.since = "2030-03-05T11:05:00Z".parse().unwrap();
        assert!(differs(&lost, &bob()) && !is_late(&lost, &bob()));
    }

    #[test]
    fn an_event_from_before_the_shown_state_is_late() {
        let mut shown = bob();
        shown.version.sequence += 1;
        assert!(is_late(&bob(), &shown));
    }
}
