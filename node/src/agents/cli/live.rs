//! The events of the node here, as they come, over broken connections and restarts of the node.
//!
//! The client's own stream comes back when its connection breaks and ends when the node does. A [`Live`]
//! stream goes on beyond that: it waits for the node to be started again for as long as it takes, asking
//! every [`RETRY_MIN`] to [`RETRY_MAX`], tells the person once, and comes back with the cursor of the last
//! event. Where events are missing the node says [`Gap`], and the caller reads the state anew.
//!
//! [`Gap`]: crate::local_api::documents::EventBody::Gap

use std::time::Duration;

use super::output::Output;
use crate::local_api::{
    client::{Client, ClientError, EventStream},
    documents::EventDocument,
    errors::ErrorCode,
};

/// Events without end.
#[derive(Debug)]
pub(super) struct Live {
    client: Client,
    output: Output,
    cursor: Option<String>,
    events: Option<EventStream>,
}

/// What a [`Live`] stream gives.
#[derive(Debug)]
pub(super) enum Happening {
    /// Something happened.
    Event(Box<EventDocument>),
    /// The connection was made anew, maybe to a node that was restarted: what was asked of it, such as a
    /// subscription, may have to be asked again.
    Reconnected {
        /// Whether what was missed follows as events (or as a gap); otherwise the state is to be read anew.
        resumed: bool,
    },
}

impl Live {
    /// The events from now on.
    ///
    /// # Errors
    /// If no node runs here; waiting for one begins only after the first connection.
    pub(super) async fn open(client: Client, output: Output) -> Result<Self, ClientError> {
        let events = client.events(None).await?;
        Ok(Self { client, output, cursor: None, events: Some(events) })
    }

    /// What comes next. Dropping the future loses no event.
    ///
    /// # Errors
    /// If there is no use in waiting, as when the socket belongs to somebody else now.
    pub(super) async fn next(&mut self) -> Result<Happening, ClientError> {
        if let Some(events) = &mut self.events {
            match events.next().await {
                Ok(Some(event)) => return Ok(Happening::Event(Box::new(event))),
                Err(error) if !is_passing(&error) => return Err(error),
                Ok(None) | Err(_) => {}
            }
            if let Some(cursor) = events.cursor() {
                self.cursor = Some(cursor.to_owned());
            }
            self.events = None;
        }
        let events = self.insist(|| self.client.events(self.cursor.as_deref())).await?;
        self.events = Some(events);
        Ok(Happening::Reconnected { resumed: self.cursor.is_some() })
    }

    /// Asks the node something, again and again while it is not there.
    ///
    /// # Errors
    /// If it refuses, or there is no use in waiting.
    pub(super) async fn insist<T, A>(&self, ask: impl Fn() -> A) -> Result<T, ClientError>
    where
        A: Future<Output = Result<T, ClientError>>,
    {
        let mut wait = RETRY_MIN;
        let mut told = false;
        loop {
            match ask().await {
                Ok(answer) => {
                    if told {
                        self.output.notice("the node is back");
                    }
                    return Ok(answer);
                }
                Err(error) if !is_passing(&error) => return Err(error),
                Err(_) if !told && wait > PATIENCE => {
                    told = true;
                    self.output
                        .notice("the node here has stopped; waiting for it to run again (ctrl-c ends)");
                }
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
        }
    }
}

/// Whether an error may be gone when the node was started again, or has caught its breath.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::NotRunning { .. } | ClientError::Broken(_) => true,
        ClientError::Refused(body) => matches!(body.code, ErrorCode::Busy | ErrorCode::Stopping),
        ClientError::Forbidden { .. } | ClientError::Unintelligible(_) => false,
    }
}

/// The first wait before another try.
const RETRY_MIN: Duration = Duration::from_millis(20);
/// The longest: how late a restart is noticed.
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Waits up to this are not worth a word to the person.
const PATIENCE: Duration = Duration::from_millis(100);
