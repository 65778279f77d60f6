//! SUBSCRIPTIONS: the states that both sides share.
//!
//! States and events are RFC 3857's (section 4.7.1), seen the same from both sides: whatever the
//! presentity's node decides it says in a [`SubscriptionReport`], with the answer to a SUBSCRIBE or with a
//! NOTIFICATION, and the watcher's node takes it over. [`super::subscribers`] is the presentity's side,
//! [`super::watches`] the watcher's.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{subscribers::SubscriberView, watches::WatchView};

/// Where a subscription stands (RFC 3857).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionState {
    /// Asked for: it waits for the presentity's node to be in reach, or for its PRINCIPAL to decide.
    Pending,
    /// The watcher is notified.
    Active,
    /// Nobody asks any more, and the PRINCIPAL of the presentity has not decided yet.
    Waiting,
    /// At its end.
    Terminated,
}

impl SubscriptionState {
    /// All of them, in the order of the wire.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::Waiting, Self::Terminated];
}

/// What brought a subscription to its state (RFC 3857).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionEvent {
    /// The watcher asked.
    Subscribe,
    /// The presentity's PRINCIPAL allowed it.
    Approved,
    /// The presentity's node ended it; the watcher may ask again at once.
    Deactivated,
    /// The presentity's node ended it; the watcher may ask again later.
    Probation,
    /// The presentity's PRINCIPAL does not allow it.
    Rejected,
    /// The watcher ended it, or did not renew it in time.
    Timeout,
    /// The presentity's PRINCIPAL did not decide in time.
    Giveup,
    /// There are too many.
    Noresource,
}

impl SubscriptionEvent {
    /// All of them, in the order of the wire.
    pub const ALL: [Self; 8] = [
        Self::Subscribe,
        Self::Approved,
        Self::Deactivated,
        Self::Probation,
        Self::Rejected,
        Self::Timeout,
        Self::Giveup,
        Self::Noresource,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Approved => "approved",
            Self::Deactivated => "deactivated",
            Self::Probation => "probation",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::Giveup => "giveup",
            Self::Noresource => "noresource",
        }
    }
}

impl fmt::Display for SubscriptionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the presentity's node says of a subscription (RFC 6665's `Subscription-State`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionReport {
    /// Where it stands.
    pub state: SubscriptionState,
    /// Since what.
    pub event: SubscriptionEvent,
    /// Seconds until it ends unless it is renewed; zero if it has ended.
    pub expires_seconds: u32,
    /// Seconds after which asking again may help, if it has ended.
    pub retry_after_seconds: Option<u32>,
}

impl SubscriptionReport {
    pub(crate) fn stands(state: SubscriptionState, event: SubscriptionEvent, expires: Duration) -> Self {
        let expires_seconds = u32::try_from(expires.as_secs()).unwrap_or(u32::MAX);
        Self { state, event, expires_seconds, retry_after_seconds: None }
    }

    pub(crate) fn ended(event: SubscriptionEvent, retry_after: Option<Duration>) -> Self {
        let retry_after = retry_after.map(|after| u32::try_from(after.as_secs()).unwrap_or(u32::MAX));
        Self {
            state: SubscriptionState::Terminated,
            event,
            expires_seconds: 0,
            retry_after_seconds: retry_after,
        }
    }
}

/// Both sides, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscriptions {
    /// Who watches this node's presentity, or asked to.
    pub subscribers: Vec<SubscriberView>,
    /// Whom this node watches.
    pub watching: Vec<WatchView>,
}

/// The shortest lease, so that nobody can make a node renew all the time.
pub const DURATION_MIN: Duration = Duration::from_secs(60);
/// The longest lease, RFC 3856's default of an hour.
pub const DURATION_MAX: Duration = Duration::from_secs(60 * 60);
