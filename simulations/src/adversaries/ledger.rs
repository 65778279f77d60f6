//! What watchers asked of nodes, and what they were answered: seen from the side that asks.
//!
//! A node says of itself whom it gave what (WATCHER INFORMATION) and where SUBSCRIPTIONS stand. This is
//! what the other side knows of the same, for the oracles to compare.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hereabouts_protocol::{
    identity::Presentity,
    watcher::subscription::{SubscriptionEvent, SubscriptionReport, SubscriptionState},
    wire::frames::{FetchAnswer, PresenceResponse},
};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A FETCH.
    Fetch,
    /// A SUBSCRIBE for an hour.
    Subscribe,
    /// A SUBSCRIBE for no time.
    Cancel,
    /// A FETCH of WATCHER INFORMATION.
    Watchers,
}

/// All accounts of a run; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    /// By watcher and presentity.
    accounts: BTreeMap<(Presentity, Presentity), Account>,
    is_over: bool,
}

/// What one watcher asked of one presentity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    /// From when on and until when it was answered, in nanoseconds.
    pub(crate) from: Option<u64>,
    pub(crate) until: u64,
    pub(crate) fetches: Tally,
    pub(crate) subscribes: Tally,
    pub(crate) watchers: Tally,
    /// Notifications that a SUBSCRIPTION is approved.
    pub(crate) approved: u32,
    /// Where its SUBSCRIPTION stands, as it was told last.
    pub(crate) stands: Option<SubscriptionState>,
}

/// What became of questions of one kind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) given: u32,
    pub(crate) refused: u32,
    /// There were too many.
    pub(crate) put_off: u32,
    /// Not answered, or in such a way that it is open which of these it was.
    pub(crate) unknown: u32,
}

impl Account {
    /// Questions that were dealt with.
    pub(crate) fn dealt_with(&self) -> u32 {
        [self.fetches, self.subscribes, self.watchers].iter().map(|tally| tally.given + tally.refused).sum()
    }
}

impl Ledger {
    /// The storm is over: nobody asks any more but for where things stand.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Every account, with its watcher and presentity.
    pub(crate) fn accounts(&self) -> Vec<((Presentity, Presentity), Account)> {
        self.lock().accounts.iter().map(|(pair, account)| (*pair, account.clone())).collect()
    }

    pub(super) fn handle_asked(&self, now: u64, watcher: Presentity, of: Presentity, question: Asked) {
        let mut books = self.lock();
        let account = books.accounts.entry((watcher, of)).or_default();
        account.from.get_or_insert(now);
        if let Some(tally) = account.tally(question) {
            tally.unknown += 1;
        }
    }

    /// An answer came, or none will. Returns whether the watcher was put off.
    pub(super) fn handle_answered(
        &self,
        now: u64,
        pair: (Presentity, Presentity),
        question: Asked,
        response: Option<&PresenceResponse>,
    ) -> bool {
        let mut books = self.lock();
        let account = books.accounts.entry(pair).or_default();
        account.until = now;
        if let Some(PresenceResponse::Subscribed { subscription, .. }) = response {
            account.stands = Some(subscription.state);
        }
        let Some(tally) = account.tally(question) else { return false };
        let outcome = response.and_then(outcome);
        let place = match outcome {
            Some(Outcome::Given) => &mut tally.given,
            Some(Outcome::Refused) => &mut tally.refused,
            Some(Outcome::PutOff) => &mut tally.put_off,
            None => return false,
        };
        *place += 1;
        tally.unknown -= 1;
        outcome == Some(Outcome::PutOff)
    }

    pub(super) fn handle_notified(&self, watcher: Presentity, of: Presentity, report: SubscriptionReport) {
        let mut books = self.lock();
        let account = books.accounts.entry((watcher, of)).or_default();
        account.stands = Some(report.state);
        if report.event == SubscriptionEvent::Approved {
            account.approved += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn tally(&mut self, question: Asked) -> Option<&mut Tally> {
        match question {
            Asked::Fetch => Some(&mut self.fetches),
            Asked::Subscribe => Some(&mut self.subscribes),
            Asked::Watchers => Some(&mut self.watchers),
            // Nobody counts these.
            Asked::Cancel => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Given,
    Refused,
    PutOff,
}

/// What an answer comes to; nothing if it does not say.
fn outcome(response: &PresenceResponse) -> Option<Outcome> {
    match response {
        PresenceResponse::Fetched { answer, .. } => match answer {
            FetchAnswer::Granted { .. } => Some(Outcome::Given),
            FetchAnswer::Refused | FetchAnswer::Unconfirmed => Some(Outcome::Refused),
            FetchAnswer::TooFast { .. } => Some(Outcome::PutOff),
            FetchAnswer::Known => None,
        },
        PresenceResponse::Watchers { retry_after_ms: None, .. } => Some(Outcome::Given),
        PresenceResponse::Watchers { .. } => Some(Outcome::PutOff),
        PresenceResponse::Subscribed { subscription, record, .. } => match subscription.state {
            SubscriptionState::Active if record.is_some() => Some(Outcome::Given),
            // It stands, and there were too many questions.
            SubscriptionState::Active => Some(Outcome::PutOff),
            SubscriptionState::Terminated if subscription.event == SubscriptionEvent::Probation => {
                Some(Outcome::PutOff)
            }
            SubscriptionState::Terminated => Some(Outcome::Refused),
            // It waits, whether this question was dealt with or put off.
            SubscriptionState::Pending | SubscriptionState::Waiting => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_is_counted_by_what_it_comes_to() {
        let [watcher, of] = [1, 2].map(|byte| Presentity::from_public_key_bytes([byte; 32]));
        let ledger = Ledger::default();
        let fetched = |answer| PresenceResponse::Fetched { record: None, answer };
        let answers = [
            Some(fetched(FetchAnswer::Granted { key: None })),
            Some(fetched(FetchAnswer::Refused)),
            Some(fetched(FetchAnswer::TooFast { retry_after_ms: 900 })),
            None,
        ];
        let put_off = answers.map(|answer| {
            ledger.handle_asked(5, watcher, of, Asked::Fetch);
            ledger.handle_answered(9, (watcher, of), Asked::Fetch, answer.as_ref())
        });
        assert_eq!(put_off, [false, false, true, false]);
        let [(pair, account)] = ledger.accounts().try_into().unwrap();
        let Tally { given, refused, put_off, unknown } = account.fetches;
        assert_eq!((pair, account.from, account.until), ((watcher, of), Some(5), 9));
        assert_eq!((given, refused, put_off, unknown), (1, 1, 1, 1));
        assert_eq!(account.dealt_with(), 2);
    }
}
