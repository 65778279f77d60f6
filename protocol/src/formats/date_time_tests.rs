use proptest::prelude::*;

use super::*;

fn millis(text: &str) -> Option<u64> {
    parse(text).map(UnixTime::as_millis)
}

#[test]
fn known_times_are_written_and_read() {
    for (text, time) in [
        ("1970-01-01T00:00:00.000Z", 0),
        ("2000-02-29T23:59:59.999Z", 951_868_799_999),
        ("2023-11-14T22:13:20.000Z", 1_700_000_000_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ("10000-01-01T00:00:00.000Z", 253_402_300_800_000),
    ] {
        assert_eq!(format(UnixTime::from_millis(time)), text);
        assert_eq!(millis(text), Some(time));
    }
}

#[test]
fn offsets_decimals_and_small_letters_are_read() {
    for (text, time) in [
        ("1970-01-01T01:30:00+01:30", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1970-01-01t00:00:00.5z", 500),
        ("1970-01-01T00:00:00.123999Z", 123),
        ("1998-12-31T23:59:60Z", 915_148_800_000),
    ] {
        assert_eq!(millis(text), Some(time), "{text}");
    }
}

#[test]
fn what_is_no_time_or_before_1970_is_refused() {
    for text in [
        "",
        "2023-11-14",
        "2023-11-14T22:13:20",
        "2023-02-29T00:00:00Z",
        "2023-13-01T00:00:00Z",
        "2023-00-01T00:00:00Z",
        "2023-11-14T24:00:00Z",
        "2023-11-14T22:60:00Z",
        "2023-11-14T22:13:20.Z",
        "2023-11-14T22:13:20.1x2Z",
        "2023-11-14T22:13Z",
        "2023-11-14T22:13:20Zulu",
        "2023-11-14T22:13:20+1:00",
        "23-11-14T22:13:20Z",
        "-2023-11-14T22:13:20Z",
        "9999999999-11-14T22:13:20Z",
        "1969-12-31T23:59:59.999Z",
        "0000-01-01T00:00:00Z",
        "ü-11-14T22:13:20Z",
    ] {
        assert_eq!(millis(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn any_time_survives_its_text(time: u64) {
        prop_assert_eq!(millis(&format(UnixTime::from_millis(time))), Some(time));
    }

    #[test]
    fn no_text_panics(text in "[0-9TZtz:+.-]{0,30}|\\PC{0,20}") {
        let _ = parse(&text);
    }
}
