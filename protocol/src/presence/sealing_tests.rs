use proptest::prelude::*;

use super::*;
use crate::{
    presence::{
        information::{NOTE_BYTES_MAX, Note},
        record::RecordBody,
    },
    testing::{alice, bob, body, information, presentity},
};

fn first() -> ViewKey {
    ViewKey::first(*b"a chain.", [7; 32])
}

fn steps(key: &ViewKey, steps: u32) -> ViewKey {
    (0..steps).fold(key.clone(), |key, _| key.next())
}

fn noted(note: &str) -> PresenceInformation {
    let mut document = information(&alice(), "Alice");
    document.markup.note = Some(Note { text: note.to_owned(), language: None });
    document
}

fn sealed(key: &ViewKey, document: &PresenceInformation) -> SealedView {
    key.seal(&presentity(&alice()), document, padded_bytes(document))
}

/// A record of alice with these views.
fn record(sealed_views: Vec<SealedView>) -> PresenceRecord {
    PresenceRecord::sign(RecordBody { sealed_views, ..body(&alice(), 1, 1) }, &alice()).unwrap()
}

#[test]
fn a_key_opens_what_was_sealed_with_it_or_with_a_later_link_and_moves_on_to_that() {
    let document = noted("hello");
    let key = steps(&first(), 3);
    for later in [0, 1, 2, 40] {
        let with = steps(&key, later);
        assert_eq!(key.open(&record(vec![sealed(&with, &document)])), Some((document.clone(), with)));
    }
}

#[test]
fn a_key_opens_nothing_that_was_sealed_before_it() {
    let document = noted("hello");
    for earlier in 0..5 {
        let before = record(vec![sealed(&steps(&first(), earlier), &document)]);
        assert_eq!(steps(&first(), 5).open(&before), None, "{earlier}");
    }
    // Nor if whoever has the ciphertext claims that it is a later one.
    let mut view = sealed(&first(), &document);
    view.ciphertext[..4].copy_from_slice(&5_u32.to_le_bytes());
    assert_eq!(steps(&first(), 5).open(&record(vec![view])), None);
}

#[test]
fn another_key_another_chain_and_another_presentity_open_nothing() {
    let document = noted("hello");
    let view = sealed(&first(), &document);
    let carries = record(vec![view.clone()]);
    assert_eq!(ViewKey::first(*b"a chain.", [8; 32]).open(&carries), None);
    assert_eq!(ViewKey::first(*b"another.", [7; 32]).open(&carries), None);
    assert_eq!(first().open(&record(Vec::new())), None);

    // A copy of the view under another name, or in a record of somebody else's, is worth nothing.
    let renamed = SealedView { key_id: *b"another.", ..view.clone() };
    assert_eq!(ViewKey::first(*b"another.", [7; 32]).open(&record(vec![renamed])), None);
    let copied = RecordBody { sealed_views: vec![view], ..body(&bob(), 1, 1) };
    assert_eq!(first().open(&PresenceRecord::sign(copied, &bob()).unwrap()), None);
}

#[test]
fn a_view_is_found_among_others() {
    let (mine, other) = (noted("for me"), noted("for another"));
    let another = ViewKey::first([0; 8], [1; 32]);
    let both = record(vec![sealed(&another, &other), sealed(&first(), &mine)]);
    assert_eq!(first().open(&both), Some((mine, first())));
    assert_eq!(another.open(&both), Some((other, another)));
}

#[test]
fn a_view_that_is_cut_short_or_lengthened_opens_nothing() {
    let document = noted("hello");
    let whole = sealed(&first(), &document);
    for length in 0..whole.ciphertext.len() {
        let ciphertext = whole.ciphertext[..length].to_vec();
        assert_eq!(first().open(&record(vec![SealedView { ciphertext, ..whole.clone() }])), None, "{length}");
    }
    let mut longer = whole;
    longer.ciphertext.push(0);
    assert_eq!(first().open(&record(vec![longer])), None);
}

#[test]
fn a_watcher_takes_no_more_steps_than_the_limit() {
    let document = noted("hello");
    let last = steps(&first(), STEPS_MAX);
    let opened = first().open(&record(vec![sealed(&last, &document)]));
    assert_eq!(opened, Some((document.clone(), last.clone())));
    assert_eq!(first().open(&record(vec![sealed(&last.next(), &document)])), None);
    assert_eq!(last.open(&record(vec![sealed(&last.next(), &document)])), Some((document, last.next())));
    let mut far = sealed(&first(), &noted("hello"));
    far.ciphertext[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(first().open(&record(vec![far])), None);
}

#[test]
fn each_step_is_another_secret_of_the_same_chain() {
    let (one, two) = (first(), first().next());
    assert_eq!((one.id, one.step, two.id, two.step), (*b"a chain.", 0, *b"a chain.", 1));
    assert_ne!(one.key, two.key);
    assert_ne!(sealed(&one, &noted("hello")).ciphertext[4..], sealed(&two, &noted("hello")).ciphertext[4..]);
}

#[test]
fn the_length_of_a_note_does_not_show_within_a_step_of_padding() {
    let mut lengths: Vec<_> = (0..=NOTE_BYTES_MAX)
        .map(|length| sealed(&first(), &noted(&"x".repeat(length))).ciphertext.len())
        .collect();
    lengths.dedup();
    assert!(lengths.len() <= NOTE_BYTES_MAX / PADDING_BYTES + 2, "{lengths:?}");
    assert!(lengths.windows(2).all(|two| two[1] - two[0] == PADDING_BYTES), "{lengths:?}");
}

#[test]
fn a_view_that_is_padded_for_a_larger_one_is_as_long_and_opens_all_the_same() {
    let (small, large) = (noted("x"), noted(&"x".repeat(200)));
    let padded = padded_bytes(&large);
    let views = [&small, &large].map(|document| first().seal(&presentity(&alice()), document, padded));
    assert_eq!(views[0].ciphertext.len(), views[1].ciphertext.len());
    // The step, the padded document, the tag.
    assert_eq!(views[0].ciphertext.len(), 4 + padded + 16);
    assert_eq!(first().open(&record(vec![views[0].clone()])), Some((small, first())));
}

#[test]
fn a_document_that_breaks_a_limit_is_not_taken_from_a_view_either() {
    let mut document = noted("hello");
    document.tuples.clear();
    assert_eq!(first().open(&record(vec![sealed(&first(), &document)])), None);
}

#[test]
fn the_secret_is_not_printed() {
    let key = ViewKey::first([1; 8], [0xab; 32]);
    let printed = format!("{key:?} {key:#?}");
    assert!(!printed.contains("171") && !printed.to_lowercase().contains("ab, "), "{printed}");
    assert!(printed.contains("step: 0"), "{printed}");
}

proptest! {
    #[test]
    fn any_document_that_fits_comes_back_and_its_padding_is_whole_steps(
        document in crate::testing::arbitrary::information(),
        more in 0_usize..3,
    ) {
        let padded = padded_bytes(&document) + more * PADDING_BYTES;
        let view = first().seal(&presentity(&alice()), &document, padded);
        prop_assert_eq!((view.ciphertext.len() - 4 - 16) % PADDING_BYTES, 0);
        if padded < 600 {
            prop_assert_eq!(first().open(&record(vec![view])), Some((document, first())));
        }
    }

    #[test]
    fn any_flipped_bit_opens_nothing(position: prop::sample::Index, bit in 0_u8..8) {
        let mut view = sealed(&first(), &noted("hello"));
        let position = position.index(view.ciphertext.len());
        view.ciphertext[position] ^= 1 << bit;
        prop_assert_eq!(first().open(&record(vec![view])), None);
    }

    #[test]
    fn no_ciphertext_panics_or_opens(ciphertext in prop::collection::vec(any::<u8>(), 0..300)) {
        let view = SealedView { key_id: *b"a chain.", ciphertext };
        prop_assert_eq!(first().open(&record(vec![view])), None);
    }
}
