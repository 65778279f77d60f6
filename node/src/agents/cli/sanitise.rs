//! Makes text that came from others safe to show on a terminal.
//!
//! A name, note or message may hold whatever its author's program let through: escape sequences that
//! recolour or retitle the terminal, controls that turn the reading direction so that the line says
//! something else, characters that take no space and make two names look alike, line breaks that forge a
//! line of ours. [`line()`] and [`text()`] remove all of these. What is visible stays, in every script;
//! letters that look alike are no concern here, since people are told apart by petname and id.
//!
//! JSON is not stripped, since programs want the exact text; [`json()`] escapes the same characters, which
//! JSON can express without loss.

use unicode_width::UnicodeWidthChar;

/// One line: line breaks, tabs and every other white space become single spaces, none at either end.
pub fn line(from_others: &str) -> String {
    let words = visible(from_others.chars().map(|c| if c.is_whitespace() { ' ' } else { c }));
    // Stripping may have laid two spaces side by side, so white space is settled last.
    words.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Lines: like [`line()`], but line breaks and tabs stay, and so do runs of spaces.
pub fn text(from_others: &str) -> String {
    let unbroken = from_others.replace("\r\n", "\n");
    visible(unbroken.chars().map(|c| match c {
        '\n' | '\t' => c,
        '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' => '\n',
        _ if c.is_whitespace() => ' ',
        _ => c,
    }))
}

/// The same JSON document with every hidden character written as `\uXXXX`.
pub fn json(document: &str) -> String {
    let mut escaped = String::with_capacity(document.len());
    for character in document.chars() {
        // In JSON these stand inside strings only; line breaks and spaces between its tokens are ASCII.
        if !character.is_ascii() && (is_hidden(character) || character.is_control()) || character == '\u{7f}'
        {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Drops what is hidden, and bounds how many marks pile up on one character.
fn visible(characters: impl Iterator<Item = char>) -> String {
    let mut shown = String::new();
    let mut marks = 0;
    let mut has_base = false;
    for character in characters {
        let is_layout = character == '\n' || character == '\t';
        if !is_layout && (character.is_control() || is_hidden(character)) {
            continue;
        }
        if !is_layout && character.width() == Some(0) {
            marks += 1;
            // A mark with nothing of the author's before it would sit on a character of ours.
            if !has_base || marks > MARKS_MAX {
                continue;
            }
        } else {
            marks = 0;
            has_base = !is_layout && character != ' ';
        }
        shown.push(character);
    }
    shown
}

/// Whether a character is a format character that shows nothing itself: it turns the reading direction,
/// takes no space, breaks lines or only selects a glyph. Format characters that are visible (such as the
/// Arabic number signs) are not among them.
fn is_hidden(character: char) -> bool {
    HIDDEN.iter().any(|&(first, last)| (first..=last).contains(&character))
}

/// Unicode 16's invisible format characters (general category Cf without the visible ones), line and
/// paragraph separators, and the further characters of `Default_Ignorable_Code_Point`, as closed ranges.
const HIDDEN: [(char, char); 24] = [
    ('\u{ad}', '\u{ad}'),         // soft hyphen
    ('\u{34f}', '\u{34f}'),       // combining grapheme joiner
    ('\u{61c}', '\u{61c}'),       // Arabic letter mark
    ('\u{115f}', '\u{1160}'),     // Hangul fillers
    ('\u{17b4}', '\u{17b5}'),     // Khmer inherent vowels
    ('\u{180b}', '\u{180f}'),     // Mongolian variation selectors, vowel separator
    ('\u{200b}', '\u{200f}'),     // zero-width space, joiners, direction marks
    ('\u{2028}', '\u{202e}'),     // separators, embeddings and overrides
    ('\u{2060}', '\u{206f}'),     // word joiner, invisible operators, isolates, deprecated controls
    ('\u{2800}', '\u{2800}'),     // blank Braille pattern
    ('\u{3164}', '\u{3164}'),     // Hangul filler
    ('\u{fe00}', '\u{fe0f}'),     // variation selectors
    ('\u{feff}', '\u{feff}'),     // byte order mark
    ('\u{ffa0}', '\u{ffa0}'),     // halfwidth Hangul filler
    ('\u{fff0}', '\u{fffb}'),     // unassigned ignorables, interlinear annotations
    ('\u{fffe}', '\u{ffff}'),     // noncharacters
    ('\u{13430}', '\u{1343f}'),   // Egyptian hieroglyph joiners
    ('\u{1bca0}', '\u{1bca3}'),   // shorthand format controls
    ('\u{1d159}', '\u{1d159}'),   // musical null notehead
    ('\u{1d173}', '\u{1d17a}'),   // musical beams and slurs
    ('\u{e0000}', '\u{e0fff}'),   // tags, variation selectors supplement
    ('\u{e000}', '\u{f8ff}'),     // private use: what they show, if anything, nobody can say
    ('\u{f0000}', '\u{ffffd}'),   // private use
    ('\u{100000}', '\u{10fffd}'), // private use
];

/// Marks that one character may carry. Vietnamese needs two, Hebrew with points and accents three.
const MARKS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_lose_their_power() {
        assert_eq!(line("\u{1b}[31mBob\u{1b}[0m"), "[31mBob[0m");
        assert_eq!(line("Bob\u{9b}2J\u{7}\u{8}\u{7f}"), "Bob2J");
        assert_eq!(text("\u{1b}]0;title\u{7}hello"), "]0;titlehello");
    }

    #[test]
    fn nothing_turns_the_reading_direction() {
        for control in
            "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}"
                .chars()
        {
            assert_eq!(line(&format!("a{control}b")), "ab", "{control:?}");
        }
    }

    #[test]
    fn names_that_differ_by_what_is_hidden_look_the_same() {
        for hidden in ["\u{200b}", "\u{200d}", "\u{feff}", "\u{ad}", "\u{3164}", "\u{e0041}", "\u{fe0f}", " "]
        {
            assert_eq!(line(&format!("Bob{hidden}")), "Bob", "{hidden:?}");
        }
        assert_eq!(line("  Bob \u{a0}\u{2003} Miller\u{3000}"), "Bob Miller");
    }

    #[test]
    fn a_line_stays_one_line_and_a_text_keeps_its_lines() {
        assert_eq!(line("one\ntwo\r\nthree\u{2028}four\tfive\u{85}six"), "one two three four five six");
        assert_eq!(text("one\r\ntwo\rthree\u{2029}four\n\tfive  six"), "one\ntwo\nthree\nfour\n\tfive  six");
    }

    #[test]
    fn people_of_every_script_keep_their_names() {
        for name in [
            "Zoë",
            "Nguyễn",
            "Đặng Thị",
            "محمد",
            "שָׁלוֹם",
            "李小龍",
            "ほげ",
            "สมชาย",
            "हिन्दी",
            "Ωμέγα",
            "🦀 Ferris",
        ] {
            assert_eq!(line(name), name);
        }
    }

    #[test]
    fn marks_cannot_pile_up_or_sit_on_what_is_before() {
        let piled: String = std::iter::once('e').chain(std::iter::repeat_n('\u{301}', 50)).collect();
        assert_eq!(line(&piled).chars().count(), 1 + MARKS_MAX);
        assert_eq!(line("\u{301}\u{301}e"), "e");
    }

    #[test]
    fn json_keeps_every_character_but_shows_none_that_is_hidden() {
        let document = serde_json::json!({ "note": "a\u{202e}b\u{9b}c\u{7f}\u{e0041}\n", "name": "Zoë" });
        let escaped = json(&document.to_string());
        assert!(escaped.contains("\\u202e") && escaped.contains("\\u009b") && escaped.contains("Zoë"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), document);
    }

    proptest! {
        #[test]
        fn no_text_brings_a_control_character_through(any in any::<String>()) {
            prop_assert!(!line(&any).contains(|c: char| c.is_control() || is_hidden(c)));
            let layout = |c: char| c == '\n' || c == '\t';
            prop_assert!(!text(&any).contains(|c: char| (c.is_control() && !layout(c)) || is_hidden(c)));
            let document = json(&serde_json::json!(any).to_string());
            prop_assert!(!document.contains(|c: char| c.is_control() || is_hidden(c)));
        }

        #[test]
        fn cleaning_twice_changes_nothing(any in any::<String>()) {
            let once = line(&any);
            prop_assert_eq!(&line(&once), &once);
            prop_assert_eq!(&text(&once), &once);
            let once = text(&any);
            prop_assert_eq!(&text(&once), &once);
        }
    }
}
