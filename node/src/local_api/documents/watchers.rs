//! WATCHER INFORMATION and VISIBILITY RULES as documents.

use hereabouts_protocol::{
    identity::Presentity,
    watcher::{
        subscription::{SubscriptionEvent, SubscriptionState},
        watcher_information::{VisibleTo, Watcher, WatcherKind},
    },
    wire::frames::WatcherReport,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DocumentTime, PersonDocument};
use crate::local_api::names::Directory;

/// Who asked for a presentity's presence within the last week, and what they were given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WatchersDocument {
    /// Those who asked last come first.
    pub watchers: Vec<WatcherDocument>,
}

impl WatchersDocument {
    /// The document of what this node saw.
    pub fn new(watchers: &[(Presentity, Watcher)], directory: &Directory) -> Self {
        let document =
            |(who, watcher): &(Presentity, Watcher)| WatcherDocument::seen(*who, watcher, directory);
        Self::sorted(watchers.iter().map(document).collect())
    }

    /// The document of what another node told.
    pub fn told(watchers: &[WatcherReport], directory: &Directory) -> Self {
        Self::sorted(watchers.iter().map(|report| WatcherDocument::told(report, directory)).collect())
    }

    fn sorted(mut watchers: Vec<WatcherDocument>) -> Self {
        watchers.sort_by_key(|watcher| std::cmp::Reverse(watcher.last_at));
        Self { watchers }
    }
}

/// One who asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WatcherDocument {
    /// Who.
    #[serde(flatten)]
    pub watcher: PersonDocument,
    /// Which kind of watcher it is.
    pub kind: WatcherKindWord,
    /// Seconds between its fetches, of a poller; `null` otherwise.
    pub period_seconds: Option<f64>,
    /// Where its subscription stands; `terminated` also if there never was one.
    pub state: SubscriptionStateWord,
    /// What brought it there (RFC 3857); `null` if there never was one.
    pub event: Option<SubscriptionEventWord>,
    /// When it first asked.
    pub first_at: DocumentTime,
    /// When it last asked.
    pub last_at: DocumentTime,
    /// Fetches that were granted.
    pub fetches: u32,
    /// Subscriptions and renewals that were granted.
    pub subscribes: u32,
    /// Requests that were refused, or wait.
    pub refused: u32,
    /// Whether it hides from others; `null` in what another node tells.
    pub hidden: Option<bool>,
}

impl WatcherDocument {
    fn seen(who: Presentity, watcher: &Watcher, directory: &Directory) -> Self {
        let kind = watcher.kind();
        let period = match kind {
            WatcherKind::Poller { period } => Some(period.as_secs_f64()),
            _ => None,
        };
        Self {
            watcher: directory.person(&who),
            kind: kind.into(),
            period_seconds: period,
            state: watcher.state.into(),
            event: watcher.event.map(Into::into),
            first_at: watcher.first_at.into(),
            last_at: watcher.last_at.into(),
            fetches: watcher.fetches,
            subscribes: watcher.subscribes,
            refused: watcher.refused,
            hidden: Some(watcher.visible_to.hides()),
        }
    }

    /// The document of what another node told of one, or this one tells others.
    pub(super) fn told(report: &WatcherReport, directory: &Directory) -> Self {
        let given = report.fetches > 0 || report.subscribes > 0;
        let kind = match (report.state, report.period_ms) {
            (SubscriptionState::Active, _) => WatcherKindWord::Subscriber,
            (SubscriptionState::Pending | SubscriptionState::Waiting, _) => WatcherKindWord::Requester,
            (SubscriptionState::Terminated, Some(_)) => WatcherKindWord::Poller,
            (SubscriptionState::Terminated, None) if given => WatcherKindWord::Fetcher,
            (SubscriptionState::Terminated, None) => WatcherKindWord::Refused,
        };
        let seconds = |ms: u64| std::time::Duration::from_millis(ms).as_secs_f64();
        Self {
            watcher: directory.person(&report.presentity),
            kind,
            period_seconds: report.period_ms.map(seconds),
            state: report.state.into(),
            event: report.event.map(Into::into),
            first_at: report.first_at.into(),
            last_at: report.last_at.into(),
            fetches: report.fetches,
            subscribes: report.subscribes,
            refused: report.refused,
            hidden: None,
        }
    }
}

/// The kinds of watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WatcherKindWord {
    /// It is notified of every change.
    Subscriber,
    /// It asked, and has no subscription.
    Fetcher,
    /// It asks regularly.
    Poller,
    /// It asked for a subscription that you have not decided on.
    Requester,
    /// It asked and was given nothing.
    Refused,
}

impl From<WatcherKind> for WatcherKindWord {
    fn from(kind: WatcherKind) -> Self {
        match kind {
            WatcherKind::Subscriber => Self::Subscriber,
            WatcherKind::Fetcher => Self::Fetcher,
            WatcherKind::Poller { .. } => Self::Poller,
            WatcherKind::Requester => Self::Requester,
            WatcherKind::Refused => Self::Refused,
        }
    }
}

/// Where a subscription stands (RFC 3857).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionStateWord {
    /// The presentity's node has not answered yet, or its principal has not decided.
    Pending,
    /// Granted.
    Active,
    /// Nobody asks any more, and the presentity's principal has not decided.
    Waiting,
    /// Refused, or ended.
    Terminated,
}

impl From<SubscriptionState> for SubscriptionStateWord {
    fn from(state: SubscriptionState) -> Self {
        match state {
            SubscriptionState::Pending => Self::Pending,
            SubscriptionState::Active => Self::Active,
            SubscriptionState::Waiting => Self::Waiting,
            SubscriptionState::Terminated => Self::Terminated,
        }
    }
}

/// What brought a subscription to its state (RFC 3857).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionEventWord {
    /// The watcher asked.
    Subscribe,
    /// The presentity's principal allowed it.
    Approved,
    /// The presentity's node ended it; asking again helps at once.
    Deactivated,
    /// The presentity's node ended it; asking again helps later.
    Probation,
    /// The presentity's principal does not allow it.
    Rejected,
    /// The watcher ended it, or did not renew it in time.
    Timeout,
    /// The presentity's principal did not decide in time.
    Giveup,
    /// There are too many.
    Noresource,
}

impl From<SubscriptionEvent> for SubscriptionEventWord {
    fn from(event: SubscriptionEvent) -> Self {
        match event {
            SubscriptionEvent::Subscribe => Self::Subscribe,
            SubscriptionEvent::Approved => Self::Approved,
            SubscriptionEvent::Deactivated => Self::Deactivated,
            SubscriptionEvent::Probation => Self::Probation,
            SubscriptionEvent::Rejected => Self::Rejected,
            SubscriptionEvent::Timeout => Self::Timeout,
            SubscriptionEvent::Giveup => Self::Giveup,
            SubscriptionEvent::Noresource => Self::Noresource,
        }
    }
}

/// Who besides a presentity itself may see that this node watches it (VISIBILITY RULES).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VisibilityDocument {
    /// Whether anybody may.
    pub visible: bool,
    /// Those who may not, if anybody else may. At most 32.
    pub hidden_from: Vec<PersonDocument>,
}

impl VisibilityDocument {
    /// The document of `visible_to`, with names from `directory`.
    pub fn new(visible_to: &VisibleTo, directory: &Directory) -> Self {
        let hidden_from = match visible_to {
            VisibleTo::AllBut(hidden_from) => hidden_from.iter().map(|who| directory.person(who)).collect(),
            VisibleTo::Everybody | VisibleTo::Nobody => Vec::new(),
        };
        Self { visible: *visible_to != VisibleTo::Nobody, hidden_from }
    }
}

/// Who is to see no more that this node watches others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetVisibility {
    /// Whether anybody may see it.
    pub visible: bool,
    /// Those who may not, if anybody else may: names, ids or URIs. At most 32.
    #[serde(default)]
    pub hidden_from: Vec<String>,
}
