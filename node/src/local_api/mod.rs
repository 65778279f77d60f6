//! The local door: one versioned HTTP and JSON API on a Unix socket, which every user agent goes through.
//!
//! **Decides** how a wish of the PRINCIPAL is written and answered: paths under `/v1`, the [`documents`],
//! what a name stands for ([`names`]), which failures there are ([`errors`]). **Leaves** everything that is
//! known or done to the mesh, behind its [`MeshHandle`]; nothing is kept here but which streams are open.
//!
//! **Source**: the notification of changes is the server-sent events of the WHATWG HTML standard; the
//! description is OpenAPI 3.1, generated from the handlers ([`openapi`]). RFC 2778's user agents are the
//! clients of this API, `here` itself through [`client`].
//!
//! **Life**: [`ApiSocket::bind`] makes the socket when the caller holds the lock of the home directory, so a
//! socket that is there already is stale and goes. [`ApiSocket::serve`] answers until told to stop. Then the
//! socket goes first, event streams end, requests under way have [`GRACE`] to finish.
//!
//! **Safety**: the socket has mode 0600 in a directory of mode 0700, and a peer whose credentials are neither
//! the owner's nor root's is hung up on. Browsers cannot reach a Unix socket, so there is no token.
//!
//! **Limits**: [`REQUEST_BYTES_MAX`] a request, [`REQUESTS_MAX`] requests and [`EVENT_STREAMS_MAX`] event
//! streams at the same time; over them the answer is an error of code `busy` or `request-too-large`.
//! Connections are not counted, since only the owner can make them.

pub mod client;
pub mod documents;
pub mod errors;
pub mod names;
pub mod openapi;

mod endpoints;
mod requests;
mod socket;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    future::IntoFuture,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hereabouts_protocol::{identity::Presentity, time::UnixTime};
use tokio::sync::{Semaphore, watch};

pub use self::socket::ApiSocket;
use self::{
    documents::DocumentTime,
    errors::{ErrorBody, ErrorCode},
    names::Directory,
};
use crate::mesh::handle::{MeshHandle, Stopped};

impl ApiSocket {
    /// Answers on this socket until `stop` is ready, then removes it and lets what is under way finish.
    ///
    /// # Errors
    /// If the socket stops working.
    pub async fn serve(self, mesh: MeshHandle, stop: impl Future<Output = ()>) -> io::Result<()> {
        let (listener, file) = self.into_parts();
        let (stopping, stopped) = watch::channel(false);
        let api = Api::new(mesh, file.path(), stopped.clone());
        let server = axum::serve(listener, router(api)).with_graceful_shutdown(until_true(stopped));
        let ending = async {
            stop.await;
            // In this order, so that a client whose stream ends sees that there is nothing to come back to.
            drop(file);
            stopping.send_replace(true);
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = server.into_future() => result,
            () = ending => Ok(()),
        }
    }
}

/// What the handlers share.
#[derive(Debug, Clone)]
struct Api {
    mesh: MeshHandle,
    socket: Arc<Path>,
    /// Whom a list asked for their presence of late, and when.
    asked: Arc<Mutex<BTreeMap<Presentity, Instant>>>,
    requests: Arc<Semaphore>,
    event_streams: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

impl Api {
    fn new(mesh: MeshHandle, socket: &Path, stopping: watch::Receiver<bool>) -> Self {
        Self {
            mesh,
            socket: socket.into(),
            asked: Arc::default(),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            stopping,
        }
    }

    async fn directory(&self) -> Result<Directory, Stopped> {
        Directory::read(&self.mesh).await
    }

    /// Those of `withheld` whom a list may ask for their presence now; they are not asked by the next ones.
    fn due_to_ask(&self, withheld: impl Iterator<Item = Presentity>) -> Vec<Presentity> {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| now.duration_since(*at) < ASK_INTERVAL);
        let due: Vec<_> = withheld.filter(|who| !asked.contains_key(who)).take(ASKED_AT_ONCE).collect();
        asked.extend(due.iter().map(|who| (*who, now)));
        due
    }

    fn now() -> UnixTime {
        DocumentTime::now().0
    }
}

fn router(api: Api) -> Router {
    let (routes, _) = endpoints::router().split_for_parts();
    routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(api.clone(), bounded))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(api)
}

async fn bounded(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Ok(_permit) = api.requests.try_acquire() else {
        let message = format!("{REQUESTS_MAX} requests are under way already, which is the limit; try again");
        return ErrorBody::new(ErrorCode::Busy, message).into_response();
    };
    tracing::debug!(method = %request.method(), path = request.uri().path(), "request");
    next.run(request).await
}

async fn no_such_path(request: Request) -> ErrorBody {
    let message = format!("there is no {}; GET /v1/openapi.json lists what there is", request.uri().path());
    ErrorBody::new(ErrorCode::NotFound, message)
}

async fn no_such_method(request: Request) -> ErrorBody {
    let (method, path) = (request.method(), request.uri().path());
    let message = format!("{path} knows no {method}; GET /v1/openapi.json lists what it knows");
    ErrorBody::new(ErrorCode::MethodNotAllowed, message)
}

async fn until_true(mut flag: watch::Receiver<bool>) {
    // An error means that the sender is gone, so there is nothing left to wait for.
    let _ = flag.wait_for(|value| *value).await;
}

/// Bytes of a request's body: 64 KiB, enough for the largest message in base64.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Bytes of presence rules: 2 MiB, enough for the 1024 rules that there may be.
pub const LARGE_REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Requests under way at the same time. One that sends a message may last some ten seconds.
pub const REQUESTS_MAX: usize = 256;
/// Event streams at the same time.
pub const EVENT_STREAMS_MAX: usize = 64;
/// How often a list asks the same node for a presence that is withheld. Whoever refuses counts each.
const ASK_INTERVAL: Duration = Duration::from_secs(60);
/// Those whom one list asks at the same time.
const ASKED_AT_ONCE: usize = 32;
/// How long requests under way may take when the API stops.
pub const GRACE: Duration = Duration::from_secs(2);
