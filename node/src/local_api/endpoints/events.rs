//! What happens, as server-sent events.
//!
//! The first frame carries the cursor and no event, so that a listener can come back even if nothing
//! happened while it listened. A listener that reads slowly costs no memory: it reads from the log of the
//! mesh, and what is not kept there any more it meets as a gap.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event as Frame, KeepAlive, Sse},
};
use futures::{Stream, StreamExt, future, stream};
use serde::Deserialize;

use super::Api;
use crate::{
    local_api::{
        EVENT_STREAMS_MAX,
        documents::EventDocument,
        errors::{ErrorBody, ErrorCode},
        names::Directory,
        openapi::errors_of,
        requests::Parameters,
        until_true,
    },
    mesh::events::{Event, EventCursor, LoggedEvent},
};

errors_of!(EventErrors: BadRequest, BadCursor);

/// What happens, as it happens
///
/// Server-sent events without end: `event` is the kind, `id` the cursor, `data` an `EventDocument`. To miss
/// nothing, listen first and read the state then; to come back, give the cursor of the last event. If that is
/// too old, or of an earlier run of the node, the first event is a `gap`, and the state must be read anew. A
/// comment is sent every 15 seconds when nothing happens. The stream ends when the node stops.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "events",
    params(
        EventParameters,
        ("Last-Event-ID" = Option<String>, Header, description = "As `cursor`, which it overrides"),
    ),
    responses(
        (status = 200, body = EventDocument, content_type = "text/event-stream", description = "The events"),
        EventErrors
    )
)]
pub(super) async fn events(
    State(api): State<Api>,
    Parameters(parameters): Parameters<EventParameters>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Frame, Infallible>>>, ErrorBody> {
    let cursor = cursor(&headers, parameters)?;
    let Ok(permit) = api.event_streams.clone().try_acquire_owned() else {
        let message =
            format!("{EVENT_STREAMS_MAX} event streams are open already, which is the limit; close one");
        return Err(ErrorBody::new(ErrorCode::Busy, message));
    };
    let log = api.mesh.events(cursor);
    let first = Frame::default().id(log.cursor().to_string());
    let stopping = until_true(api.stopping.clone());
    let frames = log.then(move |logged| frame(api.clone(), logged));
    let frames = stream::once(future::ready(first)).chain(frames).take_until(stopping).map(move |frame| {
        let _held_as_long_as_the_stream = &permit;
        Ok(frame)
    });
    Ok(Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL).text("keep-alive")))
}

/// Where to begin.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventParameters {
    /// The cursor of the last event that was seen; what happens from now on unless given.
    #[param(example = "3-17")]
    cursor: Option<String>,
}

fn cursor(headers: &HeaderMap, parameters: EventParameters) -> Result<Option<EventCursor>, ErrorBody> {
    let header =
        headers.get("last-event-id").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let text = header.filter(|text| !text.is_empty()).or(parameters.cursor);
    Ok(text.map(|text| text.parse()).transpose()?)
}

async fn frame(api: Api, logged: LoggedEvent) -> Frame {
    let nobody = || Directory::new(api.mesh.realm.clone(), &[], &[]);
    let directory = match logged.event {
        // The mesh may end while its last events are read; they are given without names then.
        Event::Message(_)
        | Event::Delivery { .. }
        | Event::Subscriber { .. }
        | Event::Watcher { .. }
        | Event::Updated { .. }
        | Event::Relayed { .. }
        | Event::NotRelayed { .. } => api.directory().await.unwrap_or_else(|_| nobody()),
        Event::Appeared(_)
        | Event::Changed(_)
        | Event::Left(_)
        | Event::Suspected(_)
        | Event::Cleared(_)
        | Event::Lost(_)
        | Event::Returned(_)
        | Event::Unsteady(_)
        | Event::Steady(_)
        | Event::Listening(_)
        | Event::Trouble(_)
        | Event::Gap => nobody(),
    };
    let document = EventDocument::new(&logged, &directory, Api::now());
    Frame::default()
        .id(&document.cursor)
        .event(document.body.word())
        .json_data(&document)
        .expect("documents are made of what JSON has")
}

/// How often a silent stream shows that it is alive.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
