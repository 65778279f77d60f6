//! The views of the own document: what goes in the clear, what is sealed, and who holds the keys.
//!
//! **Decides** which views a record carries, when their keys change, and whether a SUBSCRIBER has anything
//! to be told. **Leaves** who is given which view to [`super::access_rules`], the cipher to
//! [`super::sealing`], and the moment of publishing to [`super::publication`].
//!
//! A key is *released* to a watcher when it is granted a view; the chain that it belongs to then counts it
//! among its holders. A chain is *rotated*, that is begun anew with a random key, when a holder is not
//! granted the view any more, when it is a day old, when the presentity turns CLOSED (so that a watcher who
//! is politely blocked, and gets another key, learns nothing from that), and at each start of the node. Who
//! comes to be refused by its own doing, since it hides now, makes no record: the chain is rotated when a
//! record says something new. The holders of a rotated chain have to be given the new key: SUBSCRIBERS with
//! the notification that carries the next record, others when they ask.
//!
//! All views of a record are padded to one length and stand in the order of their random names. They are
//! sealed anew for each record, also where nothing changed, so that nobody can tell a refresh from a change
//! in a view it cannot open.
//!
//! Limits: [`HOLDERS_MAX`] holders of a chain are told apart; with more, each withdrawal from anybody
//! rotates it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{
    access_rules::{AccessRule, AccessRules, Audience, View},
    information::{Basic, PresenceInformation},
    record::SealedView,
    sealing::{ViewKey, padded_bytes},
};
use crate::{identity::Presentity, time::Timestamp};

/// The views of one PRESENTITY.
#[derive(Debug)]
pub struct Views {
    rules: AccessRules,
    chains: BTreeMap<View, Chain>,
    published: Option<PresenceInformation>,
    /// What the newest record says in the clear.
    clear: Option<PresenceInformation>,
    /// Whether the newest record says something else in the clear than the one before.
    clear_changed: bool,
    random: StdRng,
}

impl Views {
    /// The views that `rules` make. Keys are drawn from `random`, which must be seeded with what nobody
    /// can guess.
    pub fn new(now: Timestamp, rules: AccessRules, random: StdRng) -> Self {
        let mut views = Self {
            rules: AccessRules::default(),
            chains: BTreeMap::new(),
            published: None,
            clear: None,
            clear_changed: false,
            random,
        };
        views.handle_rules(now, rules, |_| None);
        views
    }

    /// The rules.
    pub fn rules(&self) -> &AccessRules {
        &self.rules
    }

    /// Other rules hold, or others are contacts now. `given` tells what a watcher is given from now on.
    /// Returns whether a new record is needed.
    pub fn handle_rules(
        &mut self,
        now: Timestamp,
        rules: AccessRules,
        given: impl Fn(&Presentity) -> Option<View>,
    ) -> bool {
        let sealed = rules.sealed();
        let mut changed =
            self.rules.clear() != rules.clear() || names_beside(&self.rules) != names_beside(&rules);
        self.rules = rules;
        let before = self.chains.len();
        self.chains.retain(|view, _| sealed.contains(view));
        changed |= self.chains.len() < before;
        for view in sealed {
            let withdrawn = self.chains.get(&view).is_none_or(|chain| {
                chain.many || chain.holders.iter().any(|holder| given(holder).as_ref() != Some(&view))
            });
            if withdrawn {
                let chain = Chain::begin(now, &mut self.random);
                self.chains.insert(view, chain);
                changed = true;
            }
        }
        changed
    }

    /// Rotates what is due to be before `document` is published.
    pub fn handle_publishing(&mut self, now: Timestamp, document: &PresenceInformation) {
        let was_open = self.published.as_ref().is_some_and(is_open);
        let closes = was_open && !is_open(document);
        let says_more = self.published.as_ref() != Some(document);
        for chain in self.chains.values_mut() {
            if closes || (chain.refused && says_more) || now.since(chain.begun) >= CHAIN_LIFETIME {
                *chain = Chain::begin(now, &mut self.random);
            }
        }
    }

    /// Whether there is a view that no record carries yet, so that its key opens nothing so far.
    pub fn awaits_record(&self) -> bool {
        self.chains.values().any(|chain| !chain.used)
    }

    /// What a record of `document` says to anybody, and its sealed views.
    pub fn seal(
        &self,
        presentity: &Presentity,
        document: &PresenceInformation,
    ) -> (Option<PresenceInformation>, Vec<SealedView>) {
        let clear = self.clear_of(document);
        let views = self.chains.iter().map(|(view, chain)| (chain.next_key(), view.of(document)));
        let views: Vec<_> = views.collect();
        let padded = views.iter().map(|(_, seen)| padded_bytes(seen)).max().unwrap_or(0);
        let mut sealed: Vec<_> =
            views.into_iter().map(|(key, seen)| key.seal(presentity, &seen, padded)).collect();
        sealed.sort_by_key(|view| view.key_id);
        (clear, sealed)
    }

    /// A record of `document` was published, with what [`Self::seal`] made.
    pub fn handle_published(&mut self, document: &PresenceInformation) {
        for (view, chain) in &mut self.chains {
            let seen = view.of(document);
            chain.changed = chain.shown.as_ref() != Some(&seen);
            chain.shown = Some(seen);
            chain.key = chain.next_key();
            chain.used = true;
        }
        let clear = self.clear_of(document);
        self.clear_changed = self.clear != clear;
        self.clear = clear;
        self.published = Some(document.clone());
    }

    /// The key of `view` for `watcher`, which is granted it; none if the view goes in the clear. It opens the
    /// newest record, or else the next.
    pub fn release(&mut self, watcher: Presentity, view: &View) -> Option<ReleasedKey> {
        let chain = self.chains.get_mut(view)?;
        if chain.holders.len() < HOLDERS_MAX || chain.holders.contains(&watcher) {
            chain.holders.insert(watcher);
        } else {
            chain.many = true;
        }
        let lifetime_seconds = u32::try_from(KEY_LIFETIME.as_secs()).unwrap_or(u32::MAX);
        Some(ReleasedKey { key: chain.key.clone(), lifetime_seconds })
    }

    /// `watcher` asked and was given nothing. If it holds a key, that opens no later record.
    pub fn handle_refused(&mut self, watcher: &Presentity) {
        for chain in self.chains.values_mut() {
            chain.refused |= chain.many || chain.holders.contains(watcher);
        }
    }

    /// Whether a subscriber who is granted `view` has to be told of the newest record: it would see a
    /// difference, or lacks the key.
    pub fn has_news(&self, watcher: &Presentity, view: &View) -> bool {
        match self.chains.get(view) {
            Some(chain) => chain.changed || !chain.holders.contains(watcher),
            None => self.clear_changed,
        }
    }

    /// Whether `watcher` was given the key to `view` as it is now; nothing if the view goes in the clear.
    #[cfg(test)]
    pub(crate) fn holds(&self, watcher: &Presentity, view: &View) -> Option<bool> {
        self.chains.get(view).map(|chain| chain.holders.contains(watcher))
    }

    /// What the presentity is called, for the record beside a document that is sealed: without a name nobody
    /// would know whom to ask. Withheld only where nothing at all is for anybody.
    pub fn clear_name<'a>(&self, document: &'a PresenceInformation) -> Option<&'a str> {
        names_beside(&self.rules).then_some(&document.display_name)
    }

    fn clear_of(&self, document: &PresenceInformation) -> Option<PresenceInformation> {
        self.rules.clear().map(|granted| View::Granted(granted).of(document))
    }
}

/// A key that a watcher is given, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedKey {
    /// The key.
    pub key: ViewKey,
    /// Seconds that the watcher may keep it.
    pub lifetime_seconds: u32,
}

#[derive(Debug)]
struct Chain {
    /// The key of the newest record, or of the first if there is none yet.
    key: ViewKey,
    used: bool,
    begun: Timestamp,
    holders: BTreeSet<Presentity>,
    /// There are more holders than are told apart.
    many: bool,
    /// One of them is refused now.
    refused: bool,
    /// What the newest record shows in this view.
    shown: Option<PresenceInformation>,
    /// Whether the record before showed something else.
    changed: bool,
}

impl Chain {
    fn begin(now: Timestamp, random: &mut StdRng) -> Self {
        Self {
            key: ViewKey::first(random.random(), random.random()),
            used: false,
            begun: now,
            holders: BTreeSet::new(),
            many: false,
            refused: false,
            shown: None,
            changed: false,
        }
    }

    fn next_key(&self) -> ViewKey {
        if self.used { self.key.next() } else { self.key.clone() }
    }
}

/// Whether records have the name beside the sealed document.
fn names_beside(rules: &AccessRules) -> bool {
    rules.clear().is_none() && rules.of(&Audience::Anybody).and_then(AccessRule::view).is_some()
}

fn is_open(document: &PresenceInformation) -> bool {
    document.leading_tuple().is_some_and(|tuple| tuple.status.basic == Basic::Open)
}

/// A chain of keys is not used longer than this: a day.
pub const CHAIN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// A watcher may keep a key for this long after it was given it: a day. It reads the last state so long
/// when the presentity is out of contact.
pub const KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Holders of one chain that are told apart: as many as a table has presentities.
pub const HOLDERS_MAX: usize = 4096;

#[cfg(test)]
#[path = "views_tests.rs"]
mod tests;
