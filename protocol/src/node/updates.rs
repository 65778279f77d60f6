//! Changes of the PRESENCE INFORMATION: those of this node's own PRINCIPAL, those that others may make, and
//! those that this node asks another to make.
//!
//! **Decides** nothing of its own: [`crate::presence::change`] says what a change makes of the document, and
//! [`crate::presence::delegates`] who may make it.

use thiserror::Error;

use super::{Node, NodeOutput, Notice, OutgoingRequest, Pending, UpdateToken};
use crate::{
    identity::Presentity,
    presence::{
        change::{PresenceChange, PresenceChangeError},
        delegates::Delegates,
        publication::PublishError,
    },
    time::Timestamp,
    wire::frames::{PresenceRequest, PresenceResponse, REASON_BYTES_MAX, UpdateAnswer},
};

impl Node {
    /// The PRINCIPAL changes the document, which is published as by [`Self::handle_set`].
    ///
    /// # Errors
    /// Why it cannot be; the old one stands.
    pub fn handle_change(&mut self, now: Timestamp, change: &PresenceChange) -> Result<(), ChangeError> {
        let unix = self.clock.unix(now);
        let information = change.apply(self.information(), self.inbox.address(), unix)?;
        Ok(self.handle_set(now, information)?)
    }

    /// Asks `presentity`'s node to change its document. [`NodeOutput::Updated`] follows.
    pub fn handle_update(
        &mut self,
        now: Timestamp,
        presentity: Presentity,
        change: PresenceChange,
    ) -> UpdateToken {
        let update = UpdateToken(self.token());
        let request = OutgoingRequest::Presence(PresenceRequest::Update(change));
        self.send_request(now, presentity, request, Pending::Update { update });
        update
    }

    /// Who else may update the document of this node's presentity.
    pub fn delegates(&self) -> &Delegates {
        &self.delegates
    }

    pub(super) fn update_request(
        &mut self,
        now: Timestamp,
        from: Presentity,
        change: &PresenceChange,
    ) -> PresenceResponse {
        if !self.delegates.allow(&from, change) {
            self.count_refused("update-not-allowed");
            return PresenceResponse::Updated(UpdateAnswer::Refused);
        }
        PresenceResponse::Updated(match self.handle_change(now, change) {
            Ok(()) => {
                self.outputs.push_back(NodeOutput::Notice(Notice::Updated { by: from }));
                UpdateAnswer::Taken
            }
            Err(error) => UpdateAnswer::Invalid { reason: bounded(error.to_string()) },
        })
    }

    pub(super) fn updated(&mut self, token: UpdateToken, answer: Option<UpdateAnswer>) {
        let answer = answer.map(|answer| match answer {
            UpdateAnswer::Invalid { reason } => UpdateAnswer::Invalid { reason: bounded(reason) },
            answer => answer,
        });
        self.outputs.push_back(NodeOutput::Updated { token, answer });
    }
}

/// As much of a reason as may be told.
fn bounded(mut reason: String) -> String {
    while reason.len() > REASON_BYTES_MAX {
        reason.pop();
    }
    reason
}

/// Why a change is not made. The old document stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// It makes no document.
    #[error(transparent)]
    Change(#[from] PresenceChangeError),
    /// The document that it makes cannot be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}
