use proptest::prelude::*;

use super::*;
use crate::testing::message;

fn changed(change: impl FnOnce(&mut InstantMessage)) -> Result<(), MessageError> {
    let mut message = message(1);
    change(&mut message);
    message.check()
}

#[test]
fn a_body_is_taken_up_to_sixteen_kibibytes() {
    let of = |length| changed(|message| message.body = vec![0; length]);
    assert_eq!(of(16 * 1024), Ok(()));
    assert_eq!(of(16 * 1024 + 1), Err(MessageError::BodyTooLarge { found: 16 * 1024 + 1 }));
    assert_eq!(of(0), Ok(()));
}

#[test]
fn a_content_type_is_printable_and_has_a_subtype() {
    let of = |text: &str| changed(|message| message.content_type = text.to_owned());
    for good in ["text/plain", "application/json; charset=utf-8", &format!("a/{}", "x".repeat(125))] {
        assert_eq!(of(good), Ok(()), "{good}");
    }
    for bad in ["", "text", "text/plain\r\nX: y", "text/plän", &format!("a/{}", "x".repeat(126))] {
        assert_eq!(of(bad), Err(MessageError::ContentType), "{bad}");
    }
}

#[test]
fn a_language_tag_is_at_most_35_bytes() {
    let of = |length| changed(|message| message.language = Some("x".repeat(length)));
    assert_eq!((of(35), of(36)), (Ok(()), Err(MessageError::Language)));
}

#[test]
fn extensions_are_held_to_the_limits_of_every_extension_map() {
    let refused = changed(|message| drop(message.extensions.insert(String::new(), Vec::new())));
    assert_eq!(refused, Err(MessageError::Extensions(InformationError::ExtensionName)));
}

#[test]
fn only_a_text_type_with_utf8_is_text() {
    let mut message = message(1);
    assert_eq!(message.text(), Some("message 1"));
    message.content_type = "application/json".to_owned();
    assert_eq!(message.text(), None);
    message.content_type = "text/plain".to_owned();
    message.body = vec![0xff];
    assert_eq!(message.text(), None);
}

#[test]
fn an_id_is_32_lower_case_hexadecimal_digits() {
    let id = MessageId::from_bytes([0xab; 16]);
    assert_eq!(id.to_string(), "ab".repeat(16));
    for bad in ["", "ab", &"AB".repeat(16), &"ab".repeat(17), &"zz".repeat(16)] {
        assert_eq!(bad.parse::<MessageId>(), Err(MessageError::Id), "{bad}");
    }
}

#[test]
fn only_what_may_pass_by_itself_keeps_a_queued_message_waiting() {
    let temporary: Vec<_> = FailureReason::ALL.into_iter().filter(|reason| reason.is_temporary()).collect();
    let expected = [
        FailureReason::Closed,
        FailureReason::RateLimited,
        FailureReason::InboxFull,
        FailureReason::Unreachable,
    ];
    assert_eq!(temporary, expected);
}

#[test]
fn every_reason_has_a_word_of_its_own() {
    let words: std::collections::BTreeSet<_> =
        FailureReason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), FailureReason::ALL.len());
}

proptest! {
    #[test]
    fn an_id_survives_its_text(bytes: [u8; 16]) {
        let id = MessageId::from_bytes(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }
}
