//! Who may see what of whom, and who does: ACCESS RULES judged from outside.
//!
//! A guarded presentity has a rule for each watcher, which the runner sets, and publishes numbered changes in
//! a note. What a watcher is granted is known over time, from when a rule was asked for until the next one
//! was confirmed. The note of a change may be seen by whoever was granted everything at some moment
//! while that change stood, and by nobody else: not by an honest node's PRINCIPAL, and not in anything that
//! an adversary ever received. In the end each watcher shows what its last rule gives, no more and no less.

use std::collections::{BTreeMap, HashMap};

use hereabouts_protocol::{
    identity::Presentity,
    presence::{
        access_rules::{AccessRule, Handling, Transformations},
        information::{Basic, PresenceInformation},
    },
};

use crate::virtual_machine::now as virtual_now;

/// What a watcher is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// All of the document.
    Everything,
    /// Name and STATUS.
    StatusOnly,
    /// Nothing, until the PRINCIPAL decides.
    Confirm,
    /// Nothing.
    Blocked,
    /// A CLOSED decoy.
    Decoy,
}

impl Grant {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Everything, Self::StatusOnly, Self::Confirm, Self::Blocked, Self::Decoy];

    /// The rule that grants it.
    pub fn rule(self) -> AccessRule {
        match self {
            Self::Everything => AccessRule::default(),
            Self::StatusOnly => {
                AccessRule { grants: Transformations::status_only(), ..AccessRule::default() }
            }
            Self::Confirm => AccessRule::without_grant(Handling::Confirm),
            Self::Blocked => AccessRule::without_grant(Handling::Block),
            Self::Decoy => AccessRule::without_grant(Handling::PoliteBlock),
        }
    }

    /// What is seen of a document that tells `change`.
    fn gives(self, change: u32) -> Seen {
        match self {
            Self::Everything if change > 0 => Seen::Change(change),
            Self::Everything | Self::StatusOnly => Seen::Status(Basic::Open),
            Self::Decoy => Seen::Status(Basic::Closed),
            Self::Confirm | Self::Blocked => Seen::Nothing,
        }
    }
}

/// What is known of all guarded presentities.
#[derive(Debug, Default)]
pub(super) struct Access {
    guarded: BTreeMap<Presentity, Guarded>,
    /// What each node shows of each: its number, and what of the document it sees.
    shown: HashMap<(usize, Presentity), Seen>,
    /// From a change, or a grant that came later, until a watcher that is granted everything shows it.
    pub(super) latencies: super::Latencies,
}

#[derive(Debug, Default)]
struct Guarded {
    /// Changes, with when each was asked for and, if one followed, when that was published.
    changes: BTreeMap<u32, Span>,
    /// The change that its document tells now.
    newest: u32,
    grants: BTreeMap<Presentity, Vec<Granted>>,
}

/// A rule that was asked for. One that was not confirmed may hold or not: its node died.
#[derive(Debug, Clone, Copy)]
struct Granted {
    grant: Grant,
    span: Span,
    confirmed: bool,
}

/// From when at the earliest until when at the latest, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: u64,
    until: u64,
}

impl Span {
    const fn meets(self, other: Self) -> bool {
        self.from <= other.until && other.from <= self.until
    }
}

/// What of a document somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing of it.
    Nothing,
    /// OPEN or CLOSED, without a note.
    Status(Basic),
    /// The note of this change.
    Change(u32),
}

impl Seen {
    /// What `information` shows.
    pub(super) fn of(information: Option<&PresenceInformation>) -> Self {
        let Some(information) = information else { return Self::Nothing };
        match super::change_of(information) {
            Some(change) if change > 0 => Self::Change(change),
            _ => {
                let status = information.leading_tuple().map(|tuple| tuple.status.basic);
                Self::Status(status.unwrap_or(Basic::Closed))
            }
        }
    }
}

impl Access {
    pub(super) fn guard(&mut self, presentity: Presentity) {
        self.guarded.insert(presentity, Guarded::default());
    }

    pub(super) fn is_guarded(&self, presentity: &Presentity) -> bool {
        self.guarded.contains_key(presentity)
    }

    /// A rule is asked for at `asked`.
    pub(super) fn granting(&mut self, of: Presentity, watcher: Presentity, grant: Grant, asked: u64) {
        if let Some(guarded) = self.guarded.get_mut(&of) {
            let span = Span { from: asked, until: u64::MAX };
            guarded.grants.entry(watcher).or_default().push(Granted { grant, span, confirmed: false });
        }
    }

    /// The rule that was asked for last is confirmed at `done`.
    pub(super) fn granted(&mut self, of: Presentity, watcher: Presentity, done: u64) {
        let grants = self.guarded.get_mut(&of).and_then(|guarded| guarded.grants.get_mut(&watcher));
        if let Some((last, earlier)) = grants.and_then(|grants| grants.split_last_mut()) {
            last.confirmed = true;
            for one in earlier {
                one.span.until = one.span.until.min(done);
            }
        }
    }

    /// A change was asked for at `asked` and published at `done`, or a moment later.
    pub(super) fn changed(&mut self, of: Presentity, change: u32, asked: u64, done: u64) {
        let Some(guarded) = self.guarded.get_mut(&of) else { return };
        for (_, span) in guarded.changes.range_mut(..change) {
            span.until = span.until.min(done + COALESCING);
        }
        guarded.changes.insert(change, Span { from: asked, until: u64::MAX });
        guarded.newest = change;
    }

    /// A presentity's node was started again, with a document that tells `change`.
    pub(super) fn started(&mut self, of: &Presentity, change: u32) {
        if let Some(guarded) = self.guarded.get_mut(of) {
            guarded.newest = change;
        }
    }

    /// Somebody sees the note of `change`: whether it may.
    pub(super) fn may_see(&self, watcher: &Presentity, of: &Presentity, change: u32) -> bool {
        let Some(guarded) = self.guarded.get(of) else { return true };
        // One that is not known to be published is being published at this moment.
        let now = Span { from: virtual_now(), until: u64::MAX };
        let stood = guarded.changes.get(&change).copied().unwrap_or(now);
        let grants = guarded.grants.get(watcher).into_iter().flatten();
        grants.into_iter().any(|one| one.grant == Grant::Everything && one.span.meets(stood))
    }

    /// A node that runs since `started_at` shows something of a guarded presentity.
    pub(super) fn shows(
        &mut self,
        (node, watcher): (usize, Presentity),
        of: Presentity,
        seen: Seen,
        started_at: u64,
    ) {
        let before = self.shown.insert((node, of), seen);
        if before == Some(seen) {
            return;
        }
        let Seen::Change(change) = seen else { return };
        let Some(guarded) = self.guarded.get(&of) else { return };
        let grants = guarded.grants.get(&watcher).into_iter().flatten();
        let granted = grants.filter(|one| one.grant == Grant::Everything).map(|one| one.span.from).max();
        if let (Some(changed), Some(granted)) = (guarded.changes.get(&change), granted)
            && changed.from > started_at
        {
            let due = changed.from.max(granted);
            self.latencies.push(virtual_now().saturating_sub(due) as f64 / 1e6);
        }
    }

    /// A node does not run any more.
    pub(super) fn forget(&mut self, node: usize) {
        self.shown.retain(|(of, _), _| *of != node);
    }

    /// The pairs that do not show what their rule gives, of watchers and presentities that run.
    pub(super) fn wrong<'a>(
        &'a self,
        watchers: &'a [(usize, Presentity)],
        runs: impl Fn(&Presentity) -> bool + 'a,
    ) -> impl Iterator<Item = (usize, Presentity, Seen, Option<Seen>)> + 'a {
        let live = self.guarded.iter().filter(move |(of, guarded)| runs(of) && !guarded.grants.is_empty());
        live.flat_map(move |(of, guarded)| {
            watchers.iter().filter(move |(_, watcher)| watcher != of).filter_map(move |(node, watcher)| {
                let grants = guarded.grants.get(watcher)?;
                let confirmed = grants.iter().rposition(|one| one.confirmed)?;
                let shown = self.shown.get(&(*node, *of)).copied();
                let mut possible = grants.iter().skip(confirmed).map(|one| one.grant.gives(guarded.newest));
                let due = possible.next()?;
                let right = shown == Some(due) || possible.any(|due| shown == Some(due));
                (!right).then_some((*node, *of, due, shown))
            })
        })
    }
}

/// Nanoseconds by which a change may be published later than it was taken: changes that follow each other are
/// one record. Twice that, since time has a grain.
const COALESCING: u64 = 200_000_000;
