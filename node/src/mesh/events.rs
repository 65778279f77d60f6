//! The event log: what happened, in order, with a cursor, so that a listener who comes back misses nothing.
//!
//! The last [`EVENTS_KEPT`] events of this run are kept. A listener names the cursor of the last event it
//! saw and gets everything after it; if that is no longer kept, or is of an earlier run of the node, it
//! first gets [`Event::Gap`] and must read the state anew. Listeners read at their own pace from the log
//! itself, so a slow one costs no memory and meets a gap at worst.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use futures::Stream;
use hereabouts_protocol::{
    durable::OutboxState,
    identity::{InboxAddress, Presentity},
    message::instant_message::MessageId,
    presence::service::PresentityView,
    time::UnixTime,
};
use libp2p::Multiaddr;

use crate::storage::InboxEntry;

/// Something that a person or program beside the node may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A presentity was seen for the first time in this run.
    Appeared(PresentityView),
    /// Its document changed. Refreshes of an unchanged one are no events.
    Changed(PresentityView),
    /// It said goodbye.
    Left(PresentityView),
    /// It is out of contact.
    Lost(PresentityView),
    /// It is back after it left or was lost.
    Returned(PresentityView),
    /// A message came in and is stored.
    Message(InboxEntry),
    /// A queued message reached a final state.
    Delivery {
        /// The message.
        id: MessageId,
        /// Whom it was for.
        to: InboxAddress,
        /// Where it stands now.
        state: OutboxState,
    },
    /// Somebody subscribed to this node's presentity, or their subscription ended.
    Subscriber {
        /// Who.
        presentity: Presentity,
        /// Whether it is active now.
        active: bool,
    },
    /// The node listens on a further address.
    Listening(Multiaddr),
    /// Something is wrong that the PRINCIPAL may want to mend.
    Trouble(String),
    /// Events are missing here: read the state anew.
    Gap,
}

/// An event with its place and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its place.
    pub cursor: EventCursor,
    /// When it happened.
    pub at: UnixTime,
    /// What happened.
    pub event: Event,
}

/// A place in the event log of one run of a node, written `<incarnation>-<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventCursor {
    /// The boot counter of the run.
    pub incarnation: u64,
    /// Counts the events of the run from 1; 0 is before all of them.
    pub number: u64,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation, self.number)
    }
}

impl FromStr for EventCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (incarnation, number) = text.split_once('-').ok_or(CursorError)?;
        Ok(Self {
            incarnation: incarnation.parse().map_err(|_| CursorError)?,
            number: number.parse().map_err(|_| CursorError)?,
        })
    }
}

/// The text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor looks like 3-17; leave it out to begin with what happens from now on")]
pub struct CursorError;

/// The last events of one run.
#[derive(Debug)]
pub struct EventLog {
    incarnation: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<LoggedEvent>,
    last_number: u64,
    ended: bool,
    waiting: Vec<Waker>,
}

impl EventLog {
    pub(super) fn new(incarnation: u64) -> Self {
        Self { incarnation, state: Mutex::default() }
    }

    pub(super) fn append(&self, at: UnixTime, event: Event) {
        let mut state = self.lock();
        state.last_number += 1;
        let cursor = EventCursor { incarnation: self.incarnation, number: state.last_number };
        if state.kept.len() == EVENTS_KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(LoggedEvent { cursor, at, event });
        wake_all(&mut state);
    }

    /// No further event will come: the streams end when they have given what is kept.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        wake_all(&mut state);
    }

    pub(super) fn stream(self: &Arc<Self>, cursor: Option<EventCursor>) -> EventStream {
        let state = self.lock();
        let (seen, gap) = match cursor {
            None => (state.last_number, false),
            Some(cursor) if cursor.incarnation == self.incarnation && cursor.number <= state.last_number => {
                (cursor.number, false)
            }
            Some(_) => (0, true),
        };
        drop(state);
        EventStream { log: self.clone(), seen, gap }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events after a cursor, as they come. Ends when the mesh ends.
#[derive(Debug)]
pub struct EventStream {
    log: Arc<EventLog>,
    seen: u64,
    gap: bool,
}

impl EventStream {
    /// The cursor of the last event that was given, for coming back later.
    pub fn cursor(&self) -> EventCursor {
        EventCursor { incarnation: self.log.incarnation, number: self.seen }
    }
}

impl Stream for EventStream {
    type Item = LoggedEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LoggedEvent>> {
        let log = self.log.clone();
        let mut state = log.lock();
        let first_kept = state.kept.front().map_or(state.last_number + 1, |event| event.cursor.number);
        if self.gap || self.seen + 1 < first_kept {
            self.gap = false;
            self.seen = first_kept - 1;
            let at = state.kept.front().map_or_else(UnixTime::default, |event| event.at);
            return Poll::Ready(Some(LoggedEvent { cursor: self.cursor(), at, event: Event::Gap }));
        }
        let index = usize::try_from(self.seen + 1 - first_kept).unwrap_or(usize::MAX);
        if let Some(event) = state.kept.get(index) {
            self.seen = event.cursor.number;
            return Poll::Ready(Some(event.clone()));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

fn wake_all(state: &mut State) {
    for waker in state.waiting.drain(..) {
        waker.wake();
    }
}

/// Events that are kept for listeners who come back. A presence event is about 1 kB.
pub const EVENTS_KEPT: usize = 1024;
