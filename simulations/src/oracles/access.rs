//! Who may see what of whom, and who does: ACCESS RULES judged from outside.
//!
//! A guarded presentity has a rule for each watcher, which the runner sets, and publishes numbered changes as
//! documents of which every field is marked ([`super::marks`]). What a watcher is granted is known over time,
//! from when a rule was asked for until the next one was confirmed. A field of a change may be seen by
//! whoever was granted it at some moment while that change stood, and by nobody else: not by an honest
//! node's PRINCIPAL, and not in anything that the host of a watcher ever received ([`super::captured`]).
//! In the end each watcher shows what its last rule gives, no more and no less.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hereabouts_protocol::{
    identity::Presentity,
    presence::{
        access_rules::{AccessRule, Handling, Transformations},
        information::{Basic, INBOX_TUPLE_ID, PresenceInformation, Token},
        user_input::UserInputGrant,
    },
};
use rand::{RngExt, rngs::StdRng};

use super::marks::{Field, Mark, marked_tuple};
use crate::virtual_machine::now as virtual_now;

/// What a watcher is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// All of the document.
    Everything,
    /// These parts of it.
    Part(Transformations),
    /// Nothing, until the PRINCIPAL decides.
    Confirm,
    /// Nothing.
    Blocked,
    /// A CLOSED decoy.
    Decoy,
}

impl Grant {
    /// One of each kind for the guarded presentity `of`, with parts that are drawn. A record has room for the
    /// views of no more.
    pub fn draw_kinds(of: u8, random: &mut StdRng) -> [Self; 5] {
        let ids = [Some(marked_tuple(of)), INBOX_TUPLE_ID.parse().ok()];
        let mut some = |share| random.random_bool(share);
        let named: BTreeSet<_> = ids.into_iter().flatten().filter(|_| some(0.5)).collect();
        let part = Transformations {
            tuples: some(0.5).then_some(named),
            notes: some(0.5),
            activities: some(0.5),
            addresses: some(0.5),
            until: some(0.5),
            user_input: if some(0.5) { UserInputGrant::Full } else { UserInputGrant::Thresholds },
            extensions: some(0.5),
        };
        [Self::Everything, Self::Part(part), Self::Confirm, Self::Blocked, Self::Decoy]
    }

    /// The rule that grants it.
    pub fn rule(&self) -> AccessRule {
        match self {
            Self::Everything => AccessRule::default(),
            Self::Part(part) => AccessRule { grants: part.clone(), ..AccessRule::default() },
            Self::Confirm => AccessRule::without_grant(Handling::Confirm),
            Self::Blocked => AccessRule::without_grant(Handling::Block),
            Self::Decoy => AccessRule::without_grant(Handling::PoliteBlock),
        }
    }

    /// Whether a field is given.
    fn gives(&self, field: Field, tuple: &Token) -> bool {
        match self {
            Self::Everything => true,
            Self::Part(part) => field.is_in(part, tuple),
            Self::Decoy => field == Field::Name,
            Self::Confirm | Self::Blocked => false,
        }
    }

    /// What is seen of the document of `of` that tells `change`; before the first change nothing is marked.
    fn shows(&self, of: u8, change: u32) -> Seen {
        let tuple = marked_tuple(of);
        let basic = match self {
            Self::Confirm | Self::Blocked => return Seen::Nothing,
            Self::Decoy => Basic::Closed,
            Self::Everything => Basic::Open,
            Self::Part(part) => {
                let names = |tuples: &BTreeSet<Token>| {
                    let inbox = tuples.iter().any(|id| id.as_str() == INBOX_TUPLE_ID);
                    inbox || (change > 0 && tuples.contains(&tuple))
                };
                if part.tuples.as_ref().is_none_or(names) { Basic::Open } else { Basic::Closed }
            }
        };
        let fields = Field::of_change(change).filter(|field| change > 0 && self.gives(*field, &tuple));
        Seen::Document(basic, fields.map(|field| Mark::new(field, of, change)).collect())
    }
}

/// What is known of all guarded presentities.
#[derive(Debug, Default)]
pub(super) struct Access {
    guarded: BTreeMap<Presentity, Guarded>,
    /// Who they are, by number.
    numbers: BTreeMap<u8, Presentity>,
    /// What each node shows of each: its number, and what of the document it sees.
    shown: HashMap<(usize, Presentity), Seen>,
    /// From a change, or a grant that came later, until a watcher that is granted its note shows it.
    pub(super) latencies: super::Latencies,
}

#[derive(Debug, Default)]
struct Guarded {
    number: u8,
    /// Whether its name is for anybody who listens.
    is_named: bool,
    /// Changes, with when each was asked for and, if one followed, when that was published.
    changes: BTreeMap<u32, Span>,
    /// The change that its document tells now.
    newest: u32,
    grants: BTreeMap<Presentity, Vec<Granted>>,
}

/// A rule that was asked for. One that was not confirmed may hold or not: its node died.
#[derive(Debug, Clone)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing of it.
    Nothing,
    /// OPEN or CLOSED, and the marked fields.
    Document(Basic, BTreeSet<Mark>),
}

impl Seen {
    /// What `information` shows.
    pub(super) fn of(information: Option<&PresenceInformation>) -> Self {
        let Some(information) = information else { return Self::Nothing };
        let status = information.leading_tuple().map(|tuple| tuple.status.basic);
        Self::Document(status.unwrap_or(Basic::Closed), Mark::of(information))
    }

    /// The marked fields.
    pub(super) fn marks(&self) -> impl Iterator<Item = &Mark> {
        let marks = match self {
            Self::Nothing => None,
            Self::Document(_, marks) => Some(marks),
        };
        marks.into_iter().flatten()
    }
}

impl Access {
    pub(super) fn guard(&mut self, presentity: Presentity, number: u8) {
        self.guarded.insert(presentity, Guarded { number, ..Guarded::default() });
        self.numbers.insert(number, presentity);
    }

    /// The name of a presentity is for anybody.
    pub(super) fn name(&mut self, presentity: &Presentity) {
        if let Some(guarded) = self.guarded.get_mut(presentity) {
            guarded.is_named = true;
        }
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

    /// Somebody has a marked field: whether it may, and if not whose it is.
    pub(super) fn withheld(&self, watcher: &Presentity, mark: Mark) -> Option<Presentity> {
        let of = self.numbers.get(&mark.of)?;
        let guarded = self.guarded.get(of)?;
        if watcher == of || (guarded.is_named && mark.field == Field::Name) {
            return None;
        }
        let stood = match guarded.changes.get(&u32::from(mark.change)) {
            // What is in every document.
            _ if mark.change == 0 => Span { from: 0, until: u64::MAX },
            Some(stood) => *stood,
            // One that is not known to be published is being published at this moment.
            None => Span { from: virtual_now(), until: u64::MAX },
        };
        let tuple = marked_tuple(mark.of);
        let mut grants = guarded.grants.get(watcher).into_iter().flatten();
        let granted = grants.any(|one| one.grant.gives(mark.field, &tuple) && one.span.meets(stood));
        (!granted).then_some(*of)
    }

    /// A node that runs since `started_at` shows something of a guarded presentity.
    pub(super) fn shows(
        &mut self,
        (node, watcher): (usize, Presentity),
        of: Presentity,
        seen: Seen,
        started_at: u64,
    ) {
        let before = self.shown.insert((node, of), seen.clone());
        if before.as_ref() == Some(&seen) {
            return;
        }
        let Some(note) = seen.marks().find(|mark| mark.field == Field::Note) else { return };
        let Some(guarded) = self.guarded.get(&of) else { return };
        let tuple = marked_tuple(guarded.number);
        let grants = guarded.grants.get(&watcher).into_iter().flatten();
        let granted = grants.filter(|one| one.grant.gives(Field::Note, &tuple));
        let granted = granted.map(|one| one.span.from).max();
        if let (Some(changed), Some(granted)) = (guarded.changes.get(&note.change.into()), granted)
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
                let shown = self.shown.get(&(*node, *of));
                let possible = grants.iter().skip(confirmed);
                let mut possible = possible.map(|one| one.grant.shows(guarded.number, guarded.newest));
                let due = possible.next()?;
                let right = shown == Some(&due) || possible.any(|due| shown == Some(&due));
                (!right).then(|| (*node, *of, due, shown.cloned()))
            })
        })
    }
}

/// Nanoseconds by which a change may be published later than it was taken: changes that follow each other are
/// one record. Twice that, since time has a grain.
const COALESCING: u64 = 200_000_000;
