//! One request on one connection.

use std::{io, time::Duration};

use axum::http::{HeaderValue, Method, Request, Response, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::{Body, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, task::JoinHandle, time::timeout};

use super::{Client, ClientError};
use crate::local_api::errors::ErrorDocument;

impl Client {
    /// The body of a successful answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, ClientError> {
        let whole = async {
            let response = self.connect().await?.request(method, path, body, None).await?;
            collect(response.into_body()).await
        };
        timeout(REQUEST_TIME_MAX, whole).await.map_err(|_| too_slow())?
    }

    /// A request after which the node closes the connection of its own accord.
    pub(super) async fn call_and_await_end(&self, method: Method, path: &str) -> Result<(), ClientError> {
        let whole = async {
            let mut connection = self.connect().await?;
            connection.request(method, path, None, None).await?;
            // The requests can still be sent, so it is the node that ends this; how is of no matter.
            let _ = (&mut connection.task).await;
            Ok(())
        };
        timeout(REQUEST_TIME_MAX, whole).await.map_err(|_| too_slow())?
    }

    /// A successful answer whose body goes on without end.
    pub(super) async fn open(
        &self,
        path: &str,
        last_event_id: Option<&str>,
    ) -> Result<Incoming, ClientError> {
        let answer = async { self.connect().await?.request(Method::GET, path, None, last_event_id).await };
        Ok(timeout(REQUEST_TIME_MAX, answer).await.map_err(|_| too_slow())??.into_body())
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        let socket = || self.socket.clone();
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { socket: socket() }
            }
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { socket: socket() },
            _ => ClientError::Broken(error.to_string()),
        })?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let task = tokio::spawn(async move {
            // The request or its body reports the same error.
            let _ = connection.await;
        });
        Ok(Connection { requests, task })
    }
}

struct Connection {
    requests: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
}

impl Connection {
    async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        last_event_id: Option<&str>,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::new(Full::new(Bytes::from(body.unwrap_or_default())));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(broken)?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(id) = last_event_id {
            headers.insert("last-event-id", HeaderValue::from_str(id).map_err(broken)?);
        }
        let response = self.requests.send_request(request).await.map_err(broken)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = collect(response.into_body()).await?;
        Err(match serde_json::from_slice::<ErrorDocument>(&body) {
            Ok(document) => ClientError::Refused(document.error),
            Err(error) => ClientError::Unintelligible(format!("{status}: {error}")),
        })
    }
}

fn broken(error: impl std::error::Error) -> ClientError {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text.push_str(&format!(": {source}"));
    }
    ClientError::Broken(text)
}

fn too_slow() -> ClientError {
    ClientError::Broken(format!("nothing came for {} seconds", REQUEST_TIME_MAX.as_secs()))
}

async fn collect(body: impl Body<Data = Bytes, Error = hyper::Error>) -> Result<Bytes, ClientError> {
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    Ok(collected.map_err(|error| ClientError::Broken(error.to_string()))?.to_bytes())
}

/// How long a request may last. The node bounds sending a message and leaving the mesh far below this.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of an answer: 64 MiB, a multiple of what thousands of presentities or a full page of the inbox take.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
