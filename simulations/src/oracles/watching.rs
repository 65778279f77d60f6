//! What nodes say of those who watch them, held against what these know themselves.
//!
//! Nodes are asked while the run goes on how full their tables are ([`Tables`]), and at the end who watches
//! whom ([`Watching`]). The oracles: tables stay within their limits; whoever asks too often is put off;
//! WATCHER INFORMATION counts what was given and refused, of those too who subscribe and cancel at once;
//! and a SUBSCRIPTION stands the same on both sides.

use std::collections::BTreeMap;

use hereabouts_protocol::{
    identity::Presentity,
    watcher::{
        subscribers::{REQUESTS_MAX, SUBSCRIBERS_MAX},
        subscription::{SubscriptionState, Subscriptions},
        watcher_information::{FETCH_INTERVAL, FETCHES_AT_ONCE, WATCHERS_MAX, Watcher},
        watches::WATCHES_MAX,
    },
};

use crate::adversaries::ledger::{Account, Ledger, Tally};

/// What a node says of its tables, and how much they may hold.
#[derive(Debug, Clone)]
pub(crate) struct Tables(Vec<(&'static str, usize, usize)>);

impl Tables {
    /// Of a node that keeps so many records and messages at most.
    pub(crate) fn new(
        watching: &Watching,
        (records, records_max): (usize, usize),
        (messages, inbox_max): (u64, usize),
    ) -> Self {
        let subscribers = &watching.subscriptions.subscribers;
        let is_active = |state: SubscriptionState| state == SubscriptionState::Active;
        let active = subscribers.iter().filter(|one| is_active(one.state)).count();
        Self(vec![
            ("watchers", watching.watchers.len(), WATCHERS_MAX),
            ("subscribers", active, SUBSCRIBERS_MAX),
            ("requests for a subscription", subscribers.len() - active, REQUESTS_MAX),
            ("watched presentities", watching.subscriptions.watching.len(), WATCHES_MAX),
            // Its own is beside them.
            ("presentities", records, records_max + 1),
            ("messages", usize::try_from(messages).unwrap_or(usize::MAX), inbox_max),
        ])
    }

    /// Those that hold too much, in words.
    pub(super) fn overfull(&self) -> impl Iterator<Item = String> + '_ {
        let over = self.0.iter().filter(|(_, found, most)| found > most);
        over.map(|(what, found, most)| format!("keeps {found} {what}, and may {most}"))
    }

    /// How many tables these are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The most of each.
    pub(super) fn merge(&self, most: &mut BTreeMap<&'static str, usize>) {
        for (what, found, _) in &self.0 {
            let place = most.entry(what).or_default();
            *place = (*place).max(*found);
        }
    }
}

/// What a node says of those who watch it, and of whom it watches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watching {
    pub(crate) watchers: BTreeMap<Presentity, Watcher>,
    pub(crate) subscriptions: Subscriptions,
}

/// What each node says, by its presentity.
pub(crate) type Said = BTreeMap<Presentity, Watching>;

/// The pairs of nodes, and of adversaries and nodes, that say other things of one SUBSCRIPTION.
pub(super) fn one_sided(said: &Said, ledger: &Ledger) -> (usize, Vec<String>) {
    let standing = |of: &Presentity, watcher: &Presentity| -> Option<Option<SubscriptionState>> {
        let subscribers = &said.get(of)?.subscriptions.subscribers;
        Some(subscribers.iter().find(|one| one.presentity == *watcher).map(|one| one.state))
    };
    let honest = said.iter().flat_map(|(watcher, watching)| {
        let watching = watching.subscriptions.watching.iter();
        watching.map(move |one| ((*watcher, one.presentity), one.state))
    });
    let accounts = ledger.accounts().into_iter();
    let hostile = accounts.filter_map(|(pair, account)| Some((pair, account.stands?)));
    let mut count = 0;
    let mut differ = Vec::new();
    for ((watcher, of), here) in honest.chain(hostile) {
        let Some(there) = standing(&of, &watcher) else { continue };
        count += 1;
        let same = match here {
            SubscriptionState::Active | SubscriptionState::Pending => there == Some(here),
            // One that waits asks no more.
            SubscriptionState::Waiting | SubscriptionState::Terminated => {
                there.is_none_or(|there| there == SubscriptionState::Waiting)
            }
        };
        if !same {
            differ.push(format!("{watcher:?} holds its subscription to {of:?} {here:?}, and that {there:?}"));
        }
    }
    (count, differ)
}

/// The accounts that WATCHER INFORMATION does not agree with, or of whom asked more than is answered.
pub(super) fn uncounted(said: &Said, ledger: &Ledger) -> (usize, Vec<String>) {
    let accounts = ledger.accounts();
    let mut wrong = Vec::new();
    let mut count = 0;
    for ((watcher, of), account) in &accounts {
        let Some(watching) = said.get(of) else { continue };
        count += 1;
        let pair = format!("{watcher:?} asked {of:?}");
        if let Some(from) = account.from {
            let seconds = account.until.saturating_sub(from) as f64 / 1e9;
            let most = f64::from(FETCHES_AT_ONCE) + seconds / FETCH_INTERVAL.as_secs_f64() + 1.0;
            if f64::from(account.dealt_with()) > most {
                let dealt_with = account.dealt_with();
                wrong.push(format!("{pair}, which answered {dealt_with} times within {seconds:.1} s"));
            }
        }
        wrong.extend(
            miscounted(account, watching.watchers.get(watcher)).map(|what| format!("{pair}: {what}")),
        );
    }
    (count, wrong)
}

fn miscounted(account: &Account, seen: Option<&Watcher>) -> impl Iterator<Item = String> {
    let Account { fetches, subscribes, approved, .. } = *account;
    let open = |tallies: &[Tally]| tallies.iter().map(|tally| tally.unknown).sum::<u32>();
    let refused = fetches.refused + subscribes.refused;
    let counts = [
        ("fetches", seen.map_or(0, |seen| seen.fetches), fetches.given, open(&[fetches])),
        // One that waited for an answer is counted when it is approved.
        (
            "subscribes",
            seen.map_or(0, |seen| seen.subscribes),
            subscribes.given,
            open(&[subscribes]) + approved,
        ),
        ("refusals", seen.map_or(0, |seen| seen.refused), refused, open(&[fetches, subscribes])),
    ];
    let wrong = counts.into_iter().filter(|(_, found, least, open)| !(*least..=least + open).contains(found));
    wrong.map(|(what, found, least, open)| {
        format!("{found} {what} are counted, and there were {least} to {}", least + open)
    })
}

#[cfg(test)]
mod tests {
    use hereabouts_protocol::{
        time::{Timestamp, UnixTime, WallClock},
        watcher::watcher_information::{VisibleTo, WatcherInformation},
    };

    use super::*;

    fn seen(fetches: usize, subscribes: usize, refused: usize) -> Watcher {
        let clock = WallClock { at_start: UnixTime::from_millis(1) };
        let mut information = WatcherInformation::new(clock, []);
        let who = Presentity::from_public_key_bytes([1; 32]);
        for _ in 0..fetches {
            information.handle_asked(Timestamp::START, who, VisibleTo::default());
            information.handle_fetch(Timestamp::START, who, true);
        }
        for _ in 0..subscribes {
            information.handle_asked(Timestamp::START, who, VisibleTo::default());
            information.handle_subscribe(who, true);
        }
        for _ in 0..refused {
            information.handle_asked(Timestamp::START, who, VisibleTo::default());
            information.handle_fetch(Timestamp::START, who, false);
        }
        let watchers: Vec<_> = information.iter(Timestamp::START).map(|(_, seen)| seen.clone()).collect();
        watchers.into_iter().next().unwrap()
    }

    #[test]
    fn what_was_given_must_be_counted_and_no_more() {
        let tally = |given, refused, unknown| Tally { given, refused, put_off: 9, unknown };
        let account = Account { fetches: tally(3, 1, 1), subscribes: tally(2, 0, 0), ..Account::default() };
        let wrong = |seen: Option<&Watcher>| miscounted(&account, seen).count();
        assert_eq!(wrong(Some(&seen(3, 2, 1))), 0);
        assert_eq!(wrong(Some(&seen(4, 2, 2))), 0, "one was not answered");
        assert_eq!(wrong(Some(&seen(5, 2, 1))), 1);
        assert_eq!(wrong(Some(&seen(2, 1, 1))), 2);
        assert_eq!(wrong(None), 3);
    }
}
