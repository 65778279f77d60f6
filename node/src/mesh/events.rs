//! The event log: what happened, in order, with a cursor, so that a listener who comes back misses nothing.
//!
//! The last [`EVENTS_KEPT`] events of this run are kept, unless told otherwise. A listener names the cursor
//! of the last event it saw and gets everything after it; if that is no longer kept, or is of an earlier run
//! of the node, it first gets [`Event::Gap`] and must read the state anew. Listeners read at their own pace
//! from the log itself, so a slow one costs no memory and meets a gap at worst.

use std::{
    collections::{BTreeMap, VecDeque},
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
    watcher::subscription::{SubscriptionEvent, SubscriptionState},
    wire::frames::WatcherReport,
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
    /// It seems to be out of contact.
    Suspected(PresentityView),
    /// It does not seem so any more.
    Cleared(PresentityView),
    /// It is out of contact.
    Lost(PresentityView),
    /// It is back after it left or was lost.
    Returned(PresentityView),
    /// It was lost and returned again and again, and goes on so, as far as anybody knows.
    Unsteady(PresentityView),
    /// It does so no more.
    Steady(PresentityView),
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
    /// Somebody asked to subscribe to this node's presentity, subscribed, or their subscription ended.
    Subscriber {
        /// Who.
        presentity: Presentity,
        /// Where the subscription stands now.
        state: SubscriptionState,
        /// Since what.
        event: SubscriptionEvent,
    },
    /// Who watches `of` has changed: this node's own presentity, or one whose WATCHER INFORMATION it watches.
    Watcher {
        /// Whose watcher it is.
        of: Presentity,
        /// What is known of it, or was last.
        watcher: WatcherReport,
        /// Whether it is kept, or may be seen, no more.
        gone: bool,
    },
    /// Somebody else changed this node's PRESENCE INFORMATION, as they may.
    Updated {
        /// Who.
        by: Presentity,
    },
    /// The node listens on a further address.
    Listening(Multiaddr),
    /// The node is reached through a relay.
    Relayed {
        /// By whom.
        relay: Presentity,
    },
    /// It is not, or no more, and asks again.
    NotRelayed {
        /// By whom.
        relay: Presentity,
        /// A sentence that says why.
        why: String,
    },
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
pub struct EventLog {
    incarnation: u64,
    kept_max: usize,
    tap: Option<Tap>,
    state: Mutex<State>,
}

/// Is told of each event as it happens, before anybody reads it from the log, and must not wait.
pub type Tap = Box<dyn Fn(&LoggedEvent) + Send + Sync>;

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<LoggedEvent>,
    last_number: u64,
    ended: bool,
    waiting: BTreeMap<u64, Waker>,
    next_stream: u64,
}

impl EventLog {
    /// A log that keeps the last `kept_max` events, at least one, and tells `tap` of each.
    pub fn new(kept_max: usize, tap: Option<Tap>) -> Self {
        Self { incarnation: 0, kept_max: kept_max.max(1), tap, state: Mutex::default() }
    }

    pub(super) fn of_run(self, incarnation: u64) -> Self {
        Self { incarnation, ..self }
    }

    pub(super) fn append(&self, at: UnixTime, event: Event) {
        let mut state = self.lock();
        state.last_number += 1;
        let cursor = EventCursor { incarnation: self.incarnation, number: state.last_number };
        let event = LoggedEvent { cursor, at, event };
        if let Some(tap) = &self.tap {
            tap(&event);
        }
        if state.kept.len() == self.kept_max {
            state.kept.pop_front();
        }
        state.kept.push_back(event);
        wake_all(&mut state);
    }

    /// No further event will come: the streams end when they have given what is kept.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        wake_all(&mut state);
    }

    pub(super) fn stream(self: &Arc<Self>, cursor: Option<EventCursor>) -> EventStream {
        let mut state = self.lock();
        state.next_stream += 1;
        let stream = state.next_stream;
        let (seen, gap) = match cursor {
            None => (state.last_number, false),
            Some(cursor) if cursor.incarnation == self.incarnation && cursor.number <= state.last_number => {
                (cursor.number, false)
            }
            Some(_) => (0, true),
        };
        drop(state);
        EventStream { log: self.clone(), stream, seen, gap }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for EventLog {
    /// A log that keeps [`EVENTS_KEPT`] events.
    fn default() -> Self {
        Self::new(EVENTS_KEPT, None)
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

/// The events after a cursor, as they come. Ends when the mesh ends.
#[derive(Debug)]
pub struct EventStream {
    log: Arc<EventLog>,
    stream: u64,
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
        state.waiting.insert(self.stream, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.log.lock().waiting.remove(&self.stream);
    }
}

fn wake_all(state: &mut State) {
    for waker in std::mem::take(&mut state.waiting).into_values() {
        waker.wake();
    }
}

/// Events that are kept for listeners who come back. A presence event is about 1 kB.
pub const EVENTS_KEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[test]
    fn a_listener_who_comes_back_misses_nothing() {
        let log = log_of(3);
        let mut first = log.stream(Some(cursor(1, 0)));
        assert_eq!(numbers(&mut first), [1, 2, 3]);
        let seen = first.cursor();
        drop(first);
        append(&log, 2);
        assert_eq!(numbers(&mut log.stream(Some(seen))), [4, 5]);
    }

    #[test]
    fn a_listener_without_a_cursor_begins_with_what_comes() {
        let log = log_of(3);
        let mut stream = log.stream(None);
        assert_eq!(numbers(&mut stream), [0; 0]);
        append(&log, 1);
        assert_eq!(numbers(&mut stream), [4]);
    }

    #[test]
    fn who_comes_too_late_is_told_of_the_gap_and_gets_what_is_kept() {
        let log = log_of(EVENTS_KEPT + 2);
        let mut stream = log.stream(Some(cursor(1, 1)));
        let gap = stream.next().now_or_never().flatten().unwrap();
        assert_eq!((gap.event, gap.cursor), (Event::Gap, cursor(1, 2)));
        assert_eq!(numbers(&mut stream).len(), EVENTS_KEPT);
    }

    #[test]
    fn a_cursor_of_another_run_or_of_the_future_meets_a_gap() {
        let log = log_of(1);
        for odd in [cursor(0, 1), cursor(2, 1), cursor(1, 9)] {
            let event = log.stream(Some(odd)).next().now_or_never().flatten().unwrap();
            assert_eq!(event.event, Event::Gap);
        }
    }

    #[test]
    fn streams_end_after_what_is_kept_when_the_mesh_ends_and_leave_no_waker() {
        let log = log_of(1);
        let mut waiting = log.stream(None);
        assert_eq!(numbers(&mut waiting), [0; 0]);
        log.end();
        assert_eq!(waiting.next().now_or_never(), Some(None));
        let mut stream = log.stream(None);
        stream.log.lock().ended = false;
        assert_eq!(stream.next().now_or_never(), None);
        drop(stream);
        assert!(log.lock().waiting.is_empty());
    }

    fn log_of(events: usize) -> Arc<EventLog> {
        let log = Arc::new(EventLog::default().of_run(1));
        append(&log, events);
        log
    }

    fn append(log: &EventLog, events: usize) {
        for _ in 0..events {
            log.append(UnixTime::default(), Event::Trouble(String::new()));
        }
    }

    fn numbers(stream: &mut EventStream) -> Vec<u64> {
        let mut numbers = Vec::new();
        while let Some(Some(event)) = stream.next().now_or_never() {
            numbers.push(event.cursor.number);
        }
        numbers
    }

    fn cursor(incarnation: u64, number: u64) -> EventCursor {
        EventCursor { incarnation, number }
    }
}
