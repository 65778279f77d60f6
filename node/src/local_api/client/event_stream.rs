//! Reading server-sent events, and coming back when the connection breaks.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Client, ClientError};
use crate::local_api::{documents::EventDocument, errors::ErrorCode};

/// The events of a node, as they happen.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    cursor: Option<String>,
    body: Option<Incoming>,
    frames: FrameParser,
    resumes: u32,
}

impl EventStream {
    pub(super) async fn open(client: Client, cursor: Option<String>) -> Result<Self, ClientError> {
        let body = client.open(PATH, cursor.as_deref()).await?;
        Ok(Self { client, cursor, body: Some(body), frames: FrameParser::default(), resumes: 0 })
    }

    /// The cursor of the last event, to come back with.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The next event; nothing if the node has stopped.
    ///
    /// When the connection breaks while the node still listens, this comes back at the event where it broke,
    /// up to [`RESUMES_MAX`] times in a row without an event. Dropping the future loses no event.
    ///
    /// # Errors
    /// If coming back fails, or what comes is no event.
    pub async fn next(&mut self) -> Result<Option<EventDocument>, ClientError> {
        loop {
            while let Some(frame) = self.frames.next_frame() {
                if let Some(id) = frame.id {
                    self.cursor = Some(id);
                }
                if frame.data.is_empty() {
                    continue;
                }
                self.resumes = 0;
                let event = serde_json::from_str(&frame.data);
                return event.map(Some).map_err(|error| ClientError::Unintelligible(error.to_string()));
            }
            let Some(body) = &mut self.body else {
                if !self.resume().await? {
                    return Ok(None);
                }
                continue;
            };
            match body.frame().await {
                Some(Ok(frame)) => self.frames.push(&frame.into_data().unwrap_or_default())?,
                Some(Err(_)) | None => self.body = None,
            }
        }
    }

    /// Opens the stream anew where it broke; false if the node has stopped.
    async fn resume(&mut self) -> Result<bool, ClientError> {
        self.frames = FrameParser::default();
        if self.resumes == RESUMES_MAX {
            let message = format!("the event stream broke {RESUMES_MAX} times in a row");
            return Err(ClientError::Broken(message));
        }
        if self.resumes > 0 {
            tokio::time::sleep(RESUME_WAIT * 2_u32.pow(self.resumes - 1)).await;
        }
        self.resumes += 1;
        match self.client.open(PATH, self.cursor.as_deref()).await {
            Ok(body) => {
                self.body = Some(body);
                Ok(true)
            }
            Err(ClientError::NotRunning { .. }) => Ok(false),
            Err(ClientError::Broken(_)) => Ok(true),
            Err(ClientError::Refused(error))
                if matches!(error.code, ErrorCode::Busy | ErrorCode::Stopping) =>
            {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }
}

/// One server-sent event, as far as it is of interest here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Frame {
    id: Option<String>,
    data: String,
}

/// Cuts a stream of bytes into frames, as the WHATWG HTML standard has it, section 9.2.6.
#[derive(Debug, Default)]
struct FrameParser {
    bytes: Vec<u8>,
}

impl FrameParser {
    fn push(&mut self, bytes: &Bytes) -> Result<(), ClientError> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > FRAME_BYTES_MAX {
            return Err(ClientError::Unintelligible(format!("an event over {FRAME_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// The next complete frame that is more than a comment. It ends with an empty line; this server ends
    /// lines with a line feed.
    fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let end = self.bytes.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            let frame = parse_block(&String::from_utf8_lossy(&block));
            if frame != Frame::default() {
                return Some(frame);
            }
        }
    }
}

fn parse_block(block: &str) -> Frame {
    let mut frame = Frame::default();
    let mut data: Option<String> = None;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => frame.id = Some(value.to_owned()),
            "data" => match &mut data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            // Comments have no name. The kind of the event is in its data too.
            _ => (),
        }
    }
    frame.data = data.unwrap_or_default();
    frame
}

/// Times that a stream comes back in a row without an event between.
pub const RESUMES_MAX: u32 = 5;
/// The wait before the second of them; each doubles it, so that all take a second and a half.
const RESUME_WAIT: Duration = Duration::from_millis(100);
/// Bytes that may wait for the end of an event: 1 MiB, many times the largest message.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
const PATH: &str = "/v1/events";

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_stream_that_breaks_goes_on_after_its_last_event_and_ends_with_the_node() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("here.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let path = socket.clone();
        let node = tokio::spawn(async move {
            // The first connection breaks in the middle of an event.
            let whole = format!("{HEAD}id: 3-1\n\n{}", trouble("3-2"));
            let torn = format!("{whole}id: 3-3\nda");
            assert!(!answer(&listener, &torn).await.contains("last-event-id"));
            let request = answer(&listener, &format!("{HEAD}{}", trouble("3-3"))).await;
            assert!(request.contains("last-event-id: 3-2\r\n"), "{request}");
            std::fs::remove_file(path).unwrap();
        });
        let mut events = Client::new(&socket).events(None).await.unwrap();
        for cursor in ["3-2", "3-3"] {
            assert_eq!(events.next().await.unwrap().unwrap().cursor, cursor);
        }
        node.await.unwrap();
        assert_eq!(events.next().await, Ok(None));
    }

    #[tokio::test]
    async fn a_stream_that_only_breaks_is_given_up() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("here.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let node = tokio::spawn(async move {
            for _ in 0..=RESUMES_MAX {
                answer(&listener, HEAD).await;
            }
            listener
        });
        let mut events = Client::new(&socket).events(None).await.unwrap();
        let error = events.next().await.unwrap_err();
        assert!(error.to_string().contains("broke 5 times"), "{error}");
        drop(node.await.unwrap());
    }

    /// Takes one connection, answers its request and hangs up. The request.
    async fn answer(listener: &UnixListener, answer: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    fn trouble(cursor: &str) -> String {
        let data = format!(
            "{{\"cursor\":\"{cursor}\",\"at\":\"2026-03-01T09:30:00.000Z\",\
            \"event\":\"trouble\",\"message\":\"rain\"}}"
        );
        format!("event: trouble\nid: {cursor}\ndata: {data}\n\n")
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

    #[test]
    fn frames_are_cut_wherever_the_bytes_were_split() {
        let text = ": keep-alive\n\nid: 3-1\n\n\
            event: gap\nid: 3-2\ndata: {\"a\":\ndata: 1}\n\n: keep-alive\n\ndata: ü";
        let expected = [
            Frame { id: Some("3-1".to_owned()), data: String::new() },
            Frame { id: Some("3-2".to_owned()), data: "{\"a\":\n1}".to_owned() },
        ];
        for size in 1..text.len() {
            let mut parser = FrameParser::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                parser.push(&Bytes::copy_from_slice(chunk)).unwrap();
                found.extend(std::iter::from_fn(|| parser.next_frame()));
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_end_is_given_up() {
        let mut parser = FrameParser::default();
        let piece = Bytes::from(vec![b'x'; FRAME_BYTES_MAX]);
        assert_eq!(parser.push(&piece), Ok(()));
        assert!(parser.push(&piece).is_err());
    }
}
