//! Marks: what tells each field of a guarded document from all other bytes that travel.
//!
//! Each change of a guarded presentity is a document of which each field is or holds a [`Mark`]: which
//! field, whose, of which change. Two changes that follow each other have all that ACCESS RULES can withhold;
//! one has no room for it in a record with three views. Whoever has the mark has the field, by whatever way
//! it came. A mark is `qz`, a letter for the field and five digits, or as a time the same in eight bytes; by
//! chance there is one in more than 2^40 bytes.
//!
//! The id of the marked tuple is the same in all documents, since rules name it: its change is zero.
//!
//! Limits: [`PRESENTITIES_MAX`] presentities; changes beyond 65,535 of one bear the last mark.

use std::collections::BTreeSet;

use hereabouts_protocol::{
    presence::{
        access_rules::Transformations,
        information::{
            Basic, CommunicationAddress, INBOX_TUPLE_ID, Note, OtherPresenceMarkup, PresenceInformation,
            PresenceTuple, Status, Token,
        },
        user_input::{InputState, UserInput, UserInputGrant},
    },
    time::UnixTime,
};

/// One field of a guarded document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
    /// The display name.
    Name,
    /// The note of the document.
    Note,
    /// The language that it says it is in.
    NoteLanguage,
    /// An activity.
    Activity,
    /// Until when it holds.
    Until,
    /// When the last input was.
    LastInput,
    /// The name of an extension.
    ExtensionName,
    /// Its value.
    Extension,
    /// The id of a tuple.
    TupleId,
    /// A further value of its STATUS.
    TupleStatus,
    /// Its COMMUNICATION MEANS.
    Means,
    /// Its CONTACT ADDRESS.
    Contact,
    /// Its note.
    TupleNote,
    /// The language of that.
    TupleNoteLanguage,
    /// Its activity.
    TupleActivity,
    /// Until when it holds.
    TupleUntil,
    /// When the last input there was.
    TupleLastInput,
    /// The name of an extension of it.
    TupleExtensionName,
    /// The value of that.
    TupleExtension,
}

impl Field {
    /// All of them.
    pub(super) const ALL: [Self; 19] = [
        Self::Name,
        Self::Note,
        Self::NoteLanguage,
        Self::Activity,
        Self::Until,
        Self::LastInput,
        Self::ExtensionName,
        Self::Extension,
        Self::TupleId,
        Self::TupleStatus,
        Self::Means,
        Self::Contact,
        Self::TupleNote,
        Self::TupleNoteLanguage,
        Self::TupleActivity,
        Self::TupleUntil,
        Self::TupleLastInput,
        Self::TupleExtensionName,
        Self::TupleExtension,
    ];

    /// Those that the document of `change` has.
    pub(super) fn of_change(change: u32) -> impl Iterator<Item = Self> {
        let of_even = |field: &Self| matches!(field, Self::LastInput | Self::TupleLastInput);
        let of_odd = |field: &Self| {
            matches!(
                field,
                Self::Until
                    | Self::NoteLanguage
                    | Self::TupleUntil
                    | Self::TupleNoteLanguage
                    | Self::TupleExtensionName
                    | Self::TupleExtension
            )
        };
        let is_even = change.is_multiple_of(2);
        Self::ALL.into_iter().filter(move |field| if is_even { !of_odd(field) } else { !of_even(field) })
    }

    /// Whether it is given where these parts are granted; `tuple` is the id of the marked one.
    pub(super) fn is_in(self, granted: &Transformations, tuple: &Token) -> bool {
        let of_tuple = granted.tuples.as_ref().is_none_or(|ids| ids.contains(tuple));
        match self {
            Self::Name => true,
            Self::Note | Self::NoteLanguage => granted.notes,
            Self::Activity => granted.activities,
            Self::Until => granted.until,
            Self::LastInput => granted.user_input == UserInputGrant::Full,
            Self::ExtensionName | Self::Extension => granted.extensions,
            Self::TupleId | Self::TupleStatus => of_tuple,
            Self::Means | Self::Contact => of_tuple && granted.addresses,
            Self::TupleNote | Self::TupleNoteLanguage => of_tuple && granted.notes,
            Self::TupleActivity => of_tuple && granted.activities,
            Self::TupleUntil => of_tuple && granted.until,
            Self::TupleLastInput => of_tuple && granted.user_input == UserInputGrant::Full,
            Self::TupleExtensionName | Self::TupleExtension => of_tuple && granted.extensions,
        }
    }

    fn letter(self) -> u8 {
        LETTERS.into_iter().zip(Self::ALL).find(|(_, field)| *field == self).map_or(0, |(letter, _)| letter)
    }

    fn of_letter(letter: u8) -> Option<Self> {
        LETTERS.into_iter().zip(Self::ALL).find(|(one, _)| *one == letter).map(|(_, field)| field)
    }

    const fn is_time(self) -> bool {
        matches!(self, Self::Until | Self::LastInput | Self::TupleUntil | Self::TupleLastInput)
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark {
    /// Which field.
    pub(super) field: Field,
    /// Whose, by the number of the guarded presentity.
    pub(super) of: u8,
    /// Of which change.
    pub(super) change: u16,
}

impl Mark {
    /// The mark of a field in the document that tells `change`.
    pub(super) fn new(field: Field, of: u8, change: u32) -> Self {
        let change = if field == Field::TupleId { 0 } else { u16::try_from(change).unwrap_or(u16::MAX) };
        Self { field, of, change }
    }

    fn number(self) -> u32 {
        u32::from(self.of) << 16 | u32::from(self.change)
    }

    /// As it stands in a text.
    pub(super) fn text(self) -> String {
        let digit = |place: u32| {
            let value = self.number() / BASE.pow(place) % BASE;
            char::from_digit(value, BASE).unwrap_or('0')
        };
        let digits: String = (0..DIGITS).rev().map(digit).collect();
        format!("{SIGN}{}{digits}", char::from(self.field.letter()))
    }

    fn token(self) -> Token {
        self.text().parse().expect("a mark is a word")
    }

    /// As it stands in a time, in the year 6235.
    fn time(self) -> UnixTime {
        let [first, second] = SIGN_BYTES;
        let [one, two, three, _] = self.number().to_le_bytes();
        let bytes = [one, two, three, self.field.letter(), first, second, 0, 0];
        UnixTime::from_millis(u64::from_le_bytes(bytes))
    }

    /// The marks in `bytes`.
    pub(super) fn find(bytes: &[u8]) -> BTreeSet<Self> {
        let signs = bytes.windows(2).enumerate().filter(|(_, window)| *window == SIGN_BYTES);
        signs.filter_map(|(at, _)| Self::text_at(bytes, at).or_else(|| Self::time_at(bytes, at))).collect()
    }

    /// Those of a document.
    pub(super) fn of(information: &PresenceInformation) -> BTreeSet<Self> {
        Self::find(&hereabouts_protocol::wire::codec::encode(information))
    }

    fn text_at(bytes: &[u8], at: usize) -> Option<Self> {
        let (letter, digits) = bytes.get(at + 2..at + 3 + usize::try_from(DIGITS).ok()?)?.split_first()?;
        let field = Field::of_letter(*letter).filter(|field| !field.is_time())?;
        let value = |sum: u32, digit: &u8| Some(sum * BASE + char::from(*digit).to_digit(BASE)?);
        Self::of_number(field, digits.iter().try_fold(0, value)?)
    }

    fn time_at(bytes: &[u8], at: usize) -> Option<Self> {
        let [one, two, three, letter] = *bytes.get(at.checked_sub(4)?..at)?.first_chunk()?;
        let field = Field::of_letter(letter).filter(|field| field.is_time())?;
        let number = u32::from_le_bytes([one, two, three, 0]);
        (bytes.get(at + 2..at + 4)? == [0, 0]).then(|| Self::of_number(field, number)).flatten()
    }

    fn of_number(field: Field, number: u32) -> Option<Self> {
        let of = u8::try_from(number >> 16).ok()?;
        Some(Self { field, of, change: u16::try_from(number & 0xffff).ok()? })
    }
}

/// The id of the tuple that is marked.
pub(super) fn marked_tuple(of: u8) -> Token {
    Mark::new(Field::TupleId, of, 0).token()
}

/// The document in which every field is marked that it has: that of the guarded presentity `of` that tells
/// `change`. Its inbox is that of `own`.
pub(super) fn document(own: PresenceInformation, of: u8, change: u32) -> PresenceInformation {
    let mark = |field| Mark::new(field, of, change);
    let fields: BTreeSet<_> = Field::of_change(change).collect();
    let mark_if = |field| fields.contains(&field).then(|| mark(field));
    let markup = |[note, language, activity, until, last_input, name, value]: [Field; 7]| {
        let last_input = mark_if(last_input).map(Mark::time);
        OtherPresenceMarkup {
            note: Some(Note { text: mark(note).text(), language: mark_if(language).map(Mark::text) }),
            activities: BTreeSet::from([mark(activity).token()]),
            until: mark_if(until).map(Mark::time),
            user_input: last_input.map(|_| UserInput {
                state: InputState::Idle,
                idle_threshold_seconds: None,
                last_input,
            }),
            extensions: mark_if(name)
                .map(|name| (name.text(), mark(value).text().into_bytes()))
                .into_iter()
                .collect(),
        }
    };
    let inbox = own.tuples.into_iter().filter(|tuple| tuple.id.as_str() == INBOX_TUPLE_ID);
    let marked = PresenceTuple {
        id: marked_tuple(of),
        status: Status { basic: Basic::Open, further: BTreeSet::from([mark(Field::TupleStatus).token()]) },
        communication_address: Some(CommunicationAddress {
            means: mark(Field::Means).token(),
            contact: mark(Field::Contact).text(),
        }),
        markup: markup([
            Field::TupleNote,
            Field::TupleNoteLanguage,
            Field::TupleActivity,
            Field::TupleUntil,
            Field::TupleLastInput,
            Field::TupleExtensionName,
            Field::TupleExtension,
        ]),
    };
    PresenceInformation {
        display_name: mark(Field::Name).text(),
        tuples: inbox.chain([marked]).collect(),
        markup: markup([
            Field::Note,
            Field::NoteLanguage,
            Field::Activity,
            Field::Until,
            Field::LastInput,
            Field::ExtensionName,
            Field::Extension,
        ]),
    }
}

const SIGN: &str = "qz";
const SIGN_BYTES: [u8; 2] = *b"qz";
const LETTERS: [u8; 19] = *b"abcdefghijklmnoprst";
const BASE: u32 = 36;
const DIGITS: u32 = 5;
/// Guarded presentities whose marks are told apart.
pub const PRESENTITIES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use hereabouts_protocol::{
        identity::{InboxAddress, Presentity, Realm},
        presence::{access_rules::View, sealing::padded_bytes},
    };

    use super::*;

    fn marked(of: u8, change: u32) -> PresenceInformation {
        let node = Presentity::from_public_key_bytes([1; 32]);
        let inbox = InboxAddress { node, realm: Realm::default() };
        document(PresenceInformation::open("Node 1", &inbox), of, change)
    }

    #[test]
    fn every_field_of_a_document_is_marked_and_each_mark_is_found() {
        for (of, change) in [(0, 1), (7, 36), (255, 65_535)] {
            let information = marked(of, change);
            information.check().unwrap();
            let expected: BTreeSet<_> =
                Field::of_change(change).map(|field| Mark::new(field, of, change)).collect();
            assert_eq!(Mark::of(&information), expected);
        }
        let both: BTreeSet<_> = Field::of_change(1).chain(Field::of_change(2)).collect();
        assert!(both.into_iter().eq(Field::ALL), "two changes have every field");
    }

    #[test]
    fn every_part_that_a_rule_withholds_takes_just_its_marks_away() {
        let nothing = Transformations { tuples: Some(BTreeSet::new()), ..Transformations::status_only() };
        let everything = Transformations::default();
        let parts = [
            Transformations { notes: false, ..everything.clone() },
            Transformations { activities: false, ..everything.clone() },
            Transformations { addresses: false, ..everything.clone() },
            Transformations { until: false, ..everything.clone() },
            Transformations { user_input: UserInputGrant::Thresholds, ..everything.clone() },
            Transformations { extensions: false, ..everything.clone() },
            Transformations { tuples: Some(BTreeSet::new()), ..Transformations::default() },
        ];
        let mut taken = BTreeSet::new();
        for change in [9, 10] {
            let information = marked(3, change);
            let seen = |granted: &Transformations| Mark::of(&View::Granted(granted.clone()).of(&information));
            for granted in parts.iter().chain([&everything, &nothing]) {
                let marks = seen(granted);
                let given = Field::of_change(change).filter(|field| field.is_in(granted, &marked_tuple(3)));
                assert_eq!(marks, given.map(|field| Mark::new(field, 3, change)).collect(), "{granted:?}");
                taken.extend(seen(&everything).difference(&marks).map(|mark| mark.field));
            }
        }
        assert_eq!(taken.len(), Field::ALL.len() - 1, "every field but the name can be withheld");
    }

    #[test]
    fn three_views_of_a_marked_document_fit_into_a_record() {
        assert!([65_534, 65_535].iter().all(|change| padded_bytes(&marked(255, *change)) <= 256));
    }

    #[test]
    fn what_is_no_mark_is_none() {
        for bytes in [&b"qz"[..], b"qza0000", b"qzq00000", b"qza0000-", b"qzazzzzz", b"qze00000"] {
            assert_eq!(Mark::find(bytes), BTreeSet::new(), "{bytes:?}");
        }
        assert_eq!(Mark::find(b"..qza00001..").len(), 1);
    }
}
