//! A small asynchronous client of the local API: what `here` speaks to its node with.
//!
//! One function per endpoint, each on a connection of its own, so that nothing is shared and nothing goes
//! stale. Requests end within [`REQUEST_TIME_MAX`], and answers are read up to [`ANSWER_BYTES_MAX`]. A
//! failure says what to do; [`ClientError::NotRunning`] is told from all others, since it is what people
//! meet first. [`Client::events`] comes back by itself when its connection breaks; nothing else is tried
//! twice.

mod connection;
mod event_stream;

use std::path::{Path, PathBuf};

use axum::http::Method;
use bytes::Bytes;
use serde::Serialize;
use thiserror::Error;

pub use self::connection::{ANSWER_BYTES_MAX, REQUEST_TIME_MAX};
pub use self::event_stream::{EventStream, RESUMES_MAX};
use super::{
    documents::{
        AccessRuleDocument, AccessRulesDocument, ContactsDocument, DelegatesDocument, DeliveryRuleDocument,
        DeliveryRulesDocument, FetchedDocument, InboxDocument, MessageDocument, NodeDocument, OutboxDocument,
        PetnameDocument, PresentitiesDocument, PresentityDocument, PutContact, PutDelegate, SendMessage,
        SentDocument, SetPresence, SetVisibility, SubscriptionsDocument, VisibilityDocument, WatchDocument,
        WatchersDocument,
    },
    errors::ErrorBody,
};

/// Speaks to the node that listens on one socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// # Errors
/// Every call fails with [`ClientError::NotRunning`] if nothing listens, [`ClientError::Refused`] if the node
/// answers an error, and another [`ClientError`] if no answer comes or it makes no sense.
#[expect(clippy::missing_errors_doc, reason = "the calls share their errors, told above")]
impl Client {
    /// A client of the node on `socket`. Nothing is opened yet.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Which node answers.
    pub async fn node(&self) -> Result<NodeDocument, ClientError> {
        self.get("/v1/node").await
    }

    /// Everybody known; with `fetch`, those whose presence is withheld so far are asked for it first.
    pub async fn presentities(&self, fetch: bool) -> Result<PresentitiesDocument, ClientError> {
        self.get(&format!("/v1/presentities?fetch={fetch}")).await
    }

    /// What is known of `who`.
    pub async fn presentity(&self, who: &str) -> Result<PresentityDocument, ClientError> {
        self.get(&format!("/v1/presentities/{}", segment(who))).await
    }

    /// Asks the node of `who` for its presence, once.
    pub async fn fetch(&self, who: &str) -> Result<FetchedDocument, ClientError> {
        self.ask(Method::POST, &format!("/v1/presentities/{}/fetch", segment(who)), None::<&()>).await
    }

    /// This node's own presence.
    pub async fn presence(&self) -> Result<PresentityDocument, ClientError> {
        self.get("/v1/presence").await
    }

    /// Changes this node's own presence; the document as it is published from now on.
    pub async fn set_presence(&self, change: &SetPresence) -> Result<PresentityDocument, ClientError> {
        self.ask(Method::PUT, "/v1/presence", Some(change)).await
    }

    /// Subscribes to `who`.
    pub async fn watch(&self, who: &str) -> Result<WatchDocument, ClientError> {
        self.ask(Method::PUT, &format!("/v1/subscriptions/{}", segment(who)), None::<&()>).await
    }

    /// Ends the subscription to `who`.
    pub async fn unwatch(&self, who: &str) -> Result<(), ClientError> {
        self.delete(&format!("/v1/subscriptions/{}", segment(who))).await
    }

    /// Who watches this node's presentity, and whom this node watches.
    pub async fn subscriptions(&self) -> Result<SubscriptionsDocument, ClientError> {
        self.get("/v1/subscriptions").await
    }

    /// Sends a message and waits for its outcome.
    pub async fn send(&self, message: &SendMessage) -> Result<SentDocument, ClientError> {
        self.ask(Method::POST, "/v1/messages", Some(message)).await
    }

    /// All messages of the inbox after `cursor`, oldest first.
    pub async fn inbox(&self, cursor: u64) -> Result<InboxDocument, ClientError> {
        let mut inbox = InboxDocument { messages: Vec::new(), cursor };
        loop {
            let page: InboxDocument = self.get(&format!("/v1/inbox?cursor={}", inbox.cursor)).await?;
            if page.messages.is_empty() {
                return Ok(inbox);
            }
            inbox.messages.extend(page.messages);
            inbox.cursor = page.cursor;
        }
    }

    /// Reads the message whose id begins with `id`; it counts as read from then on.
    pub async fn message(&self, id: &str) -> Result<MessageDocument, ClientError> {
        self.get(&format!("/v1/inbox/{}", segment(id))).await
    }

    /// Deletes the message whose id begins with `id`.
    pub async fn delete_message(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/v1/inbox/{}", segment(id))).await
    }

    /// Queued messages, and what became of those that were.
    pub async fn outbox(&self) -> Result<OutboxDocument, ClientError> {
        self.get("/v1/outbox").await
    }

    /// Withdraws the queued message whose id begins with `id`.
    pub async fn cancel(&self, id: &str) -> Result<(), ClientError> {
        self.delete(&format!("/v1/outbox/{}", segment(id))).await
    }

    /// The petnames.
    pub async fn contacts(&self) -> Result<ContactsDocument, ClientError> {
        self.get("/v1/contacts").await
    }

    /// Lets `petname` stand for `who`.
    pub async fn put_contact(&self, petname: &str, who: &str) -> Result<PetnameDocument, ClientError> {
        let contact = PutContact { who: who.to_owned() };
        self.ask(Method::PUT, &format!("/v1/contacts/{}", segment(petname)), Some(&contact)).await
    }

    /// Removes a petname.
    pub async fn remove_contact(&self, petname: &str) -> Result<(), ClientError> {
        self.delete(&format!("/v1/contacts/{}", segment(petname))).await
    }

    /// Asks the node of `who` to change its presence.
    pub async fn update_presence(&self, who: &str, change: &SetPresence) -> Result<(), ClientError> {
        let path = format!("/v1/presentities/{}/presence", segment(who));
        self.call(Method::PUT, &path, Some(to_json(change))).await.map(drop)
    }

    /// Who else may update this node's presence.
    pub async fn delegates(&self) -> Result<DelegatesDocument, ClientError> {
        self.get("/v1/delegates").await
    }

    /// Lets `who` update this node's presence.
    pub async fn put_delegate(
        &self,
        who: &str,
        delegate: &PutDelegate,
    ) -> Result<DelegatesDocument, ClientError> {
        self.ask(Method::PUT, &format!("/v1/delegates/{}", segment(who)), Some(delegate)).await
    }

    /// Lets `who` update it no more.
    pub async fn remove_delegate(&self, who: &str) -> Result<DelegatesDocument, ClientError> {
        self.ask(Method::DELETE, &format!("/v1/delegates/{}", segment(who)), None::<&()>).await
    }

    /// The delivery rules.
    pub async fn delivery_rules(&self) -> Result<DeliveryRulesDocument, ClientError> {
        self.get("/v1/delivery-rules").await
    }

    /// Sets the rule for the messages of `whose`: contacts, strangers, or one sender.
    pub async fn put_delivery_rule(
        &self,
        whose: &str,
        rule: &DeliveryRuleDocument,
    ) -> Result<DeliveryRulesDocument, ClientError> {
        self.ask(Method::PUT, &format!("/v1/delivery-rules/{}", segment(whose)), Some(rule)).await
    }

    /// Removes the rule for the messages of `whose`.
    pub async fn remove_delivery_rule(&self, whose: &str) -> Result<DeliveryRulesDocument, ClientError> {
        self.ask(Method::DELETE, &format!("/v1/delivery-rules/{}", segment(whose)), None::<&()>).await
    }

    /// The access rules.
    pub async fn access_rules(&self) -> Result<AccessRulesDocument, ClientError> {
        self.get("/v1/access-rules").await
    }

    /// Sets the rule for `whom`: anybody, contacts, strangers, or one watcher.
    pub async fn put_access_rule(
        &self,
        whom: &str,
        rule: &AccessRuleDocument,
    ) -> Result<AccessRulesDocument, ClientError> {
        self.ask(Method::PUT, &format!("/v1/access-rules/{}", segment(whom)), Some(rule)).await
    }

    /// Removes the rule for `whom`.
    pub async fn remove_access_rule(&self, whom: &str) -> Result<AccessRulesDocument, ClientError> {
        self.ask(Method::DELETE, &format!("/v1/access-rules/{}", segment(whom)), None::<&()>).await
    }

    /// Who asked for this node's presence.
    pub async fn watchers(&self) -> Result<WatchersDocument, ClientError> {
        self.get("/v1/watchers").await
    }

    /// Asks the node of `who` who asked for its presence.
    pub async fn fetch_watchers(&self, who: &str) -> Result<WatchersDocument, ClientError> {
        self.ask(Method::POST, &format!("/v1/presentities/{}/watchers", segment(who)), None::<&()>).await
    }

    /// Watches who asks for the presence of `who`; the changes are events.
    pub async fn watch_watchers(&self, who: &str) -> Result<(), ClientError> {
        let path = format!("/v1/presentities/{}/watchers", segment(who));
        self.call(Method::PUT, &path, None).await.map(drop)
    }

    /// Ends that.
    pub async fn unwatch_watchers(&self, who: &str) -> Result<(), ClientError> {
        self.delete(&format!("/v1/presentities/{}/watchers", segment(who))).await
    }

    /// Who may see whom this node watches.
    pub async fn visibility(&self) -> Result<VisibilityDocument, ClientError> {
        self.get("/v1/visibility").await
    }

    /// Says who may see whom this node watches.
    pub async fn set_visibility(&self, wanted: &SetVisibility) -> Result<VisibilityDocument, ClientError> {
        self.ask(Method::PUT, "/v1/visibility", Some(wanted)).await
    }

    /// The presence of `who` as PIDF, as it is known.
    pub async fn pidf(&self, who: &str) -> Result<Bytes, ClientError> {
        self.call(Method::GET, &format!("/v1/formats/pidf/{}", segment(who)), None).await
    }

    /// Sets this node's own presence from PIDF.
    pub async fn set_pidf(&self, xml: Vec<u8>) -> Result<PresentityDocument, ClientError> {
        let answer = self.call(Method::PUT, "/v1/formats/pidf", Some(xml)).await?;
        from_json(&answer)
    }

    /// Sets all access rules from presence rules.
    pub async fn set_presence_rules(&self, xml: Vec<u8>) -> Result<AccessRulesDocument, ClientError> {
        let answer = self.call(Method::PUT, "/v1/formats/presence-rules", Some(xml)).await?;
        from_json(&answer)
    }

    /// Sends a message that is given as Message/CPIM.
    pub async fn send_cpim(&self, message: Vec<u8>) -> Result<SentDocument, ClientError> {
        let answer = self.call(Method::POST, "/v1/formats/cpim", Some(message)).await?;
        from_json(&answer)
    }

    /// This node's watchers as winfo.
    pub async fn winfo(&self) -> Result<Bytes, ClientError> {
        self.call(Method::GET, "/v1/formats/winfo", None).await
    }

    /// The access rules as presence rules.
    pub async fn presence_rules(&self) -> Result<Bytes, ClientError> {
        self.call(Method::GET, "/v1/formats/presence-rules", None).await
    }

    /// The message whose id begins with `id` as Message/CPIM.
    pub async fn cpim(&self, id: &str) -> Result<Bytes, ClientError> {
        self.call(Method::GET, &format!("/v1/formats/cpim/{}", segment(id)), None).await
    }

    /// What happens after `cursor`, or from now on. Returned when the node listens to this stream, so that
    /// what happens from then on is not missed.
    pub async fn events(&self, cursor: Option<&str>) -> Result<EventStream, ClientError> {
        EventStream::open(self.clone(), cursor.map(str::to_owned)).await
    }

    /// Stops the node. Returns when it has left the mesh and its socket is gone; its process ends at once
    /// after that and gives up the lock of its home directory.
    pub async fn shut_down(&self) -> Result<(), ClientError> {
        self.call_and_await_end(Method::POST, "/v1/shutdown").await
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path, None::<&()>).await
    }

    async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, path, None).await.map(drop)
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        document: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let answer = self.call(method, path, document.map(to_json)).await?;
        from_json(&answer)
    }
}

fn from_json<T: serde::de::DeserializeOwned>(answer: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(answer).map_err(|error| ClientError::Unintelligible(error.to_string()))
}

fn to_json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("documents are made of what JSON has")
}

/// Why a call to the node failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// Nothing listens on the socket.
    #[error("no node runs here ({} answers nothing); start one with `here up`", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket belongs to somebody else.
    #[error(
        "the node on {} belongs to another user; run this as that user, or name your own --home",
        socket.display()
    )]
    Forbidden {
        /// The socket.
        socket: PathBuf,
    },
    /// The node answers that it cannot be done.
    #[error(transparent)]
    Refused(#[from] ErrorBody),
    /// The connection broke or no answer came in time. Whether it was done is not known.
    #[error("the node did not answer: {0}; see whether it is well with `here id`")]
    Broken(String),
    /// The answer is not the document expected.
    #[error("the node's answer is not understood ({0}); is it of another version than this program?")]
    Unintelligible(String),
}

impl ClientError {
    /// The error for programs: that of the node, or one of `not-running`, `forbidden`, `no-answer` and
    /// `unintelligible`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotRunning { .. } => "not-running",
            Self::Forbidden { .. } => "forbidden",
            Self::Refused(error) => error.code.as_str(),
            Self::Broken(_) => "no-answer",
            Self::Unintelligible(_) => "unintelligible",
        }
    }
}

/// `text` as one segment of a path.
fn segment(text: &str) -> String {
    if text.is_empty() {
        // An empty segment would be another path; a blank name means the same nobody.
        return "%20".to_owned();
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_can_stand_in_a_path() {
        assert_eq!(segment("Bob"), "Bob");
        assert_eq!(segment("../a b?ä"), "%2E%2E%2Fa%20b%3F%C3%A4");
        assert_eq!(segment(""), "%20");
    }

    #[tokio::test]
    async fn where_no_socket_is_or_nobody_listens_no_node_runs() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("here.sock");
        let client = Client::new(&path);
        assert_eq!(client.node().await, Err(ClientError::NotRunning { socket: path.clone() }));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = client.events(None).await.unwrap_err();
        assert_eq!(error.code(), "not-running");
        assert!(error.to_string().contains("here up"), "{error}");
    }
}
