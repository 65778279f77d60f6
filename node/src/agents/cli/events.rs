//! What happened, as one line for people: under `here up` and `here watch`.

use jiff::Zoned;

use super::{
    output::{FAINT, Output},
    sanitise,
    times::clock,
    words,
};
use crate::local_api::documents::{
    EventBody, EventDocument, OutboxStateWord, PresentityDocument, SubscriptionStateWord,
};

/// The line for an event; none for what only programs need to know.
///
/// Messages are announced without their text: the line may end up in a log that others read.
pub(super) fn line(event: &EventDocument, output: &Output, now: &Zoned) -> Option<String> {
    let happened = match &event.body {
        EventBody::Appeared { presentity } => {
            format!("{} appeared: {}", words::name(presentity), words::status_and_note(presentity, now))
        }
        EventBody::Suspected { presentity }
        | EventBody::Cleared { presentity }
        | EventBody::Lost { presentity }
        | EventBody::Returned { presentity }
            if presentity.contact.unsteady =>
        {
            return None;
        }
        EventBody::Unsteady { presentity } => {
            format!("{} is out of contact again and again", words::name(presentity))
        }
        EventBody::Steady { presentity } => {
            format!("{} is steady again: {}", words::name(presentity), words::sentence(presentity, now))
        }
        EventBody::Changed { presentity }
        | EventBody::Suspected { presentity }
        | EventBody::Lost { presentity } => words::sentence(presentity, now),
        EventBody::Cleared { presentity } => format!("{} answers again", words::name(presentity)),
        EventBody::Left { presentity } => format!("{} left", words::name(presentity)),
        EventBody::Returned { presentity } => back(presentity, now),
        EventBody::Message { message } => {
            let id = short(&message.id);
            format!("message {id} from {} (here inbox read {id})", words::person(&message.from))
        }
        EventBody::Delivery { id, to, state, reason } => {
            let state = match (state, reason) {
                (OutboxStateWord::Failed, Some(reason)) => format!("failed: {reason}"),
                (state, _) => outbox_state(*state).to_owned(),
            };
            format!("message {} to {}: {state}", short(id), words::person(to))
        }
        EventBody::Subscriber { subscriber, state, reason } => {
            let name = words::person(subscriber);
            match (state, reason) {
                (SubscriptionStateWord::Active, _) => format!("{name} watches you now"),
                (SubscriptionStateWord::Pending, _) => {
                    format!("{name} asks to watch you (here requests)")
                }
                // It is in the list still, and nobody waits.
                (SubscriptionStateWord::Waiting, _) => return None,
                (SubscriptionStateWord::Terminated, _) => format!("{name} watches you no more"),
            }
        }
        EventBody::Updated { by } => format!("{} changed your presence", words::person(by)),
        EventBody::Listening { address } => format!("listening on {}", sanitise::line(address)),
        EventBody::Relayed { relay } => format!("reached through {}", words::person(relay)),
        EventBody::NotRelayed { relay, message } => {
            format!("not reached through {}: {}", words::person(relay), sanitise::line(message))
        }
        EventBody::Trouble { message } => format!("trouble: {}", sanitise::line(message)),
        // `here watchers --watch` tells of them.
        EventBody::Watcher { .. } | EventBody::Gap => return None,
    };
    Some(at(words::timestamp(event.at), &happened, output, now))
}

/// A line with the time of day before it.
pub(super) fn at(time: jiff::Timestamp, happened: &str, output: &Output, now: &Zoned) -> String {
    format!("{}  {happened}", output.paint(FAINT, clock(time, now)))
}

/// That somebody is back, and how they are.
pub(super) fn back(presentity: &PresentityDocument, now: &Zoned) -> String {
    format!("{} is back: {}", words::name(presentity), words::status_and_note(presentity, now))
}

/// Where a queued message stands, in a word.
pub(super) const fn outbox_state(state: OutboxStateWord) -> &'static str {
    match state {
        OutboxStateWord::Queued => "queued",
        OutboxStateWord::Delivered => "delivered",
        OutboxStateWord::Failed => "failed",
        OutboxStateWord::Expired => "expired",
        OutboxStateWord::Cancelled => "cancelled",
    }
}

/// The beginning of a message's id, enough to name it by among the messages of a person.
pub(super) fn short(id: &str) -> String {
    sanitise::line(id).chars().take(SHORT_MESSAGE_ID_DIGITS).collect()
}

/// Digits of a message's id that are shown where not all of them are.
pub(super) const SHORT_MESSAGE_ID_DIGITS: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::{
            output::tests::Written,
            words::tests::{bob, now},
        },
        *,
    };

    fn told(body: Value) -> Option<String> {
        let event = EventDocument {
            cursor: "1-1".to_owned(),
            at: "2030-03-05T11:03:05.000Z".parse().ok()?,
            body: serde_json::from_value(body).ok()?,
        };
        line(&event, &Output::into_writer(Written::default(), false), &now())
    }

    #[test]
    fn each_change_of_presence_reads_as_what_happened() {
        let presence = |event: &str| told(json!({ "event": event, "presentity": bob() })).unwrap();
        let state = "open · away until 12:00 \"back at noon\"";
        assert_eq!(presence("appeared"), format!("11:03:05  Bob appeared: {state}"));
        assert_eq!(presence("changed"), format!("11:03:05  Bob is {state}"));
        assert_eq!(presence("left"), "11:03:05  Bob left");
        assert_eq!(presence("returned"), format!("11:03:05  Bob is back: {state}"));
    }

    #[test]
    fn a_message_is_announced_without_its_text() {
        let person =
            json!({ "id": "12D3KooWAAAAAAAA", "short_id": "AAAAAAAA", "name": "Alice", "petname": null });
        let message = json!({
            "id": "3f2a91c0".repeat(4), "cursor": 1, "from": person, "to": "im:x@lan.alt",
            "sent_at": "2030-03-05T11:03:05.000Z", "received_at": "2030-03-05T11:03:05.000Z", "read": false,
            "content_type": "text/plain", "language": null, "thread": null, "reply_to": null,
            "text": "secret",
        });
        let line = told(json!({ "event": "message", "message": message })).unwrap();
        assert_eq!(line, "11:03:05  message 3f2a91c0 from Alice (here inbox read 3f2a91c0)");
        let delivery = json!({ "event": "delivery", "id": "7be0".repeat(8), "to": person, "state": "failed",
            "reason": "closed" });
        assert_eq!(told(delivery).unwrap(), "11:03:05  message 7be07be0 to Alice: failed: closed");
        let subscriber = json!({ "event": "subscriber", "subscriber": person, "state": "terminated",
            "reason": "timeout" });
        assert_eq!(told(subscriber).unwrap(), "11:03:05  Alice watches you no more");
    }

    #[test]
    fn a_gap_is_for_programs() {
        assert_eq!(told(json!({ "event": "gap" })), None);
        assert!(told(json!({ "event": "trouble", "message": "no multicast" })).is_some());
    }
}
