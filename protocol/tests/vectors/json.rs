//! Values as JSON, for people and for other languages: keys as PeerIds, bytes in hexadecimal, integers of 64
//! bits as decimal strings (JSON numbers lose them), everything else as it is.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use hereabouts_protocol::{
    identity::{InboxAddress, Presentity},
    message::instant_message::{InstantMessage, MessageId},
    presence::{
        change::UserInputChange,
        information::{
            CommunicationAddress, Extensions, Note, OtherPresenceMarkup, PresenceInformation, PresenceTuple,
            Token,
        },
        reconciliation::{Difference, Digest, Line},
        record::{RecordBody, Version},
        sealing::ViewKey,
        suspicion::{Accusation, SuspicionBody},
        user_input::UserInput,
        views::ReleasedKey,
    },
    watcher::{subscription::SubscriptionReport, watcher_information::VisibleTo},
    wire::{
        codec::encode,
        frames::{
            FetchAnswer, MessageRequest, MessageResponse, PresenceRequest, PresenceResponse, ToldRecord,
            UpdateAnswer, WatcherReport,
        },
    },
};
use serde_json::{Value, json};

pub(super) fn body(body: &RecordBody) -> Value {
    let sealed_views = body.sealed_views.iter();
    json!({
        "format": body.format,
        "realm": body.realm.as_str(),
        "presentity": peer_id(&body.presentity),
        "version": version(&body.version),
        "lease_seconds": body.lease_seconds,
        "departing": body.departing,
        "addresses": body.addresses.iter().map(|address| hex(&address.0)).collect::<Vec<_>>(),
        "public": body.public.as_ref().map(information),
        "sealed_views": sealed_views
            .map(|view| json!({ "key_id": hex(&view.key_id), "ciphertext": hex(&view.ciphertext) }))
            .collect::<Vec<_>>(),
        "extensions": extensions(&body.extensions),
    })
}

pub(super) fn suspicion(body: &SuspicionBody) -> Value {
    let accusation = |accusation: &Accusation| {
        json!({
            "subject": peer_id(&accusation.subject),
            "version": version(&accusation.version),
            "grounds": format!("{:?}", accusation.grounds),
        })
    };
    json!({
        "format": body.format,
        "realm": body.realm.as_str(),
        "accuser": peer_id(&body.accuser),
        "issued": version(&body.issued),
        "accusations": body.accusations.iter().map(accusation).collect::<Vec<_>>(),
    })
}

pub(super) fn presence_request(request: &PresenceRequest) -> Value {
    match request {
        PresenceRequest::Compare(digest) => json!({ "Compare": self::digest(digest) }),
        PresenceRequest::Exchange { wanted, records } => json!({ "Exchange": {
            "wanted": wanted.iter().map(peer_id).collect::<Vec<_>>(),
            "records": records.iter().map(told).collect::<Vec<_>>(),
        } }),
        PresenceRequest::Fetch { presentity, visible_to } => json!({ "Fetch": {
            "presentity": peer_id(presentity),
            "visible_to": self::visible_to(visible_to),
        } }),
        PresenceRequest::Subscribe { seconds, visible_to } => json!({ "Subscribe": {
            "seconds": seconds,
            "visible_to": self::visible_to(visible_to),
        } }),
        PresenceRequest::Notify { record, subscription, key } => json!({ "Notify": {
            "record": hex(record),
            "subscription": subscription.as_ref().map(self::subscription),
            "key": key.as_ref().map(released),
        } }),
        PresenceRequest::Tell { records } => {
            json!({ "Tell": { "records": records.iter().map(told).collect::<Vec<_>>() } })
        }
        PresenceRequest::FetchWatchers => json!("FetchWatchers"),
        PresenceRequest::SubscribeWatchers { seconds } => {
            json!({ "SubscribeWatchers": { "seconds": seconds } })
        }
        PresenceRequest::NotifyWatchers { subscription, watchers } => json!({ "NotifyWatchers": {
            "subscription": self::subscription(subscription),
            "watchers": watchers.iter().map(watcher).collect::<Vec<_>>(),
        } }),
        PresenceRequest::Update(change) => json!({ "Update": {
            "tuple": change.tuple.as_ref().map(ToString::to_string),
            "basic": change.basic.as_ref().map(ToString::to_string),
            "further": change.further.as_ref().map(words),
            "address": change.address.as_ref().map(communication_address),
            "note": change.note.as_ref().map(note),
            "activities": change.activities.as_ref().map(words),
            "until": change.until.map(|until| until.as_millis().to_string()),
            "remove_tuple": change.remove_tuple.as_ref().map(ToString::to_string),
            "display_name": change.display_name,
            "user_input": change.user_input.as_ref().map(|change| match change {
                UserInputChange::TakeBack => json!("TakeBack"),
                UserInputChange::Say(input) => json!({ "Say": user_input(input) }),
            }),
        } }),
    }
}

pub(super) fn presence_response(response: &PresenceResponse) -> Value {
    match response {
        PresenceResponse::Compared(difference) => json!({ "Compared": self::difference(difference) }),
        PresenceResponse::Exchanged { records } => {
            json!({ "Exchanged": { "records": records.iter().map(told).collect::<Vec<_>>() } })
        }
        PresenceResponse::Fetched { record, answer } => json!({ "Fetched": {
            "record": record.as_ref().map(told),
            "answer": fetch_answer(answer),
        } }),
        PresenceResponse::Subscribed { subscription, record, key } => json!({ "Subscribed": {
            "subscription": self::subscription(subscription),
            "record": record.as_ref().map(told),
            "key": key.as_ref().map(released),
        } }),
        PresenceResponse::Notified => json!("Notified"),
        PresenceResponse::Heard { partner } => json!({ "Heard": { "partner": partner } }),
        PresenceResponse::Watchers { watchers, retry_after_ms } => json!({ "Watchers": {
            "watchers": watchers.iter().map(watcher).collect::<Vec<_>>(),
            "retry_after_ms": retry_after_ms.as_ref().map(ToString::to_string),
        } }),
        PresenceResponse::SubscribedWatchers { subscription, watchers } => json!({ "SubscribedWatchers": {
            "subscription": self::subscription(subscription),
            "watchers": watchers.iter().map(watcher).collect::<Vec<_>>(),
        } }),
        PresenceResponse::NotifiedWatchers => json!("NotifiedWatchers"),
        PresenceResponse::Updated(UpdateAnswer::Taken) => json!({ "Updated": "Taken" }),
        PresenceResponse::Updated(UpdateAnswer::Refused) => json!({ "Updated": "Refused" }),
        PresenceResponse::Updated(UpdateAnswer::Invalid { reason }) => {
            json!({ "Updated": { "Invalid": { "reason": reason } } })
        }
    }
}

pub(super) fn view_key(key: &ViewKey) -> Value {
    // The secret is the last of the three fields, and has no accessor.
    let encoded = encode(key);
    json!({ "id": hex(&key.id), "step": key.step, "key": hex(&encoded[encoded.len() - 32..]) })
}

fn released(released: &ReleasedKey) -> Value {
    json!({ "key": view_key(&released.key), "lifetime_seconds": released.lifetime_seconds })
}

fn visible_to(visible_to: &VisibleTo) -> Value {
    match visible_to {
        VisibleTo::Everybody => json!("Everybody"),
        VisibleTo::AllBut(hidden_from) => {
            json!({ "AllBut": hidden_from.iter().map(peer_id).collect::<Vec<_>>() })
        }
        VisibleTo::Nobody => json!("Nobody"),
    }
}

fn subscription(report: &SubscriptionReport) -> Value {
    json!({
        "state": format!("{:?}", report.state),
        "event": format!("{:?}", report.event),
        "expires_seconds": report.expires_seconds,
        "retry_after_seconds": report.retry_after_seconds,
    })
}

fn fetch_answer(answer: &FetchAnswer) -> Value {
    match answer {
        FetchAnswer::Known => json!("Known"),
        FetchAnswer::Granted { key } => json!({ "Granted": { "key": key.as_ref().map(released) } }),
        FetchAnswer::Refused => json!("Refused"),
        FetchAnswer::Unconfirmed => json!("Unconfirmed"),
        FetchAnswer::TooFast { retry_after_ms } => {
            json!({ "TooFast": { "retry_after_ms": retry_after_ms.to_string() } })
        }
    }
}

fn watcher(report: &WatcherReport) -> Value {
    json!({
        "presentity": peer_id(&report.presentity),
        "first_at": report.first_at.as_millis().to_string(),
        "last_at": report.last_at.as_millis().to_string(),
        "fetches": report.fetches,
        "subscribes": report.subscribes,
        "refused": report.refused,
        "period_ms": report.period_ms.map(|period| period.to_string()),
        "state": format!("{:?}", report.state),
        "event": report.event.map(|event| format!("{event:?}")),
    })
}

pub(super) fn message_request(request: &MessageRequest) -> Value {
    json!({ "message": message(&request.message), "remaining_ms": request.remaining_ms.to_string() })
}

pub(super) fn message_response(response: &MessageResponse) -> Value {
    match response {
        MessageResponse::Delivered => json!("Delivered"),
        MessageResponse::Failed(reason) => json!({ "Failed": reason.as_str() }),
    }
}

pub(super) fn digest(digest: &Digest) -> Value {
    json!({ "bits": digest.bits, "sums": digest.sums.iter().map(ToString::to_string).collect::<Vec<_>>() })
}

pub(super) fn difference(difference: &Difference) -> Value {
    let line = |(who, of, lost): &(Presentity, Version, bool)| json!([peer_id(who), version(of), lost]);
    json!({
        "ranges": difference.ranges,
        "versions": difference.versions.iter().map(line).collect::<Vec<_>>(),
    })
}

pub(super) fn table(lines: &[Line]) -> Value {
    let line = |(presentity, of, fingerprint, lost): &Line| {
        json!({
            "presentity": peer_id(presentity), "version": version(of), "fingerprint": fingerprint.to_string(),
            "lost": lost,
        })
    };
    lines.iter().map(line).collect()
}

/// The way back, for tables.
pub(super) fn lines(table: &Value) -> Vec<Line> {
    let number = |value: &Value| -> u64 { value.as_str().unwrap().parse().unwrap() };
    let line = |line: &Value| {
        let version = &line["version"];
        let version =
            Version { incarnation: number(&version["incarnation"]), sequence: number(&version["sequence"]) };
        let presentity = line["presentity"].as_str().unwrap().parse().unwrap();
        (presentity, version, number(&line["fingerprint"]), line["lost"].as_bool().unwrap())
    };
    table.as_array().unwrap().iter().map(line).collect()
}

fn message(message: &InstantMessage) -> Value {
    let id = |id: &MessageId| id.to_string();
    json!({
        "id": id(&message.id),
        "from": peer_id(&message.from),
        "to": message.to.to_string(),
        "sent_at": message.sent_at.as_millis().to_string(),
        "thread": message.thread.as_ref().map(id),
        "reply_to": message.reply_to.as_ref().map(InboxAddress::to_string),
        "content_type": message.content_type,
        "language": message.language,
        "body": hex(&message.body),
        "extensions": extensions(&message.extensions),
    })
}

pub(super) fn information(information: &PresenceInformation) -> Value {
    json!({
        "display_name": information.display_name,
        "tuples": information.tuples.iter().map(tuple).collect::<Vec<_>>(),
        "markup": markup(&information.markup),
    })
}

fn tuple(tuple: &PresenceTuple) -> Value {
    json!({
        "id": tuple.id.as_str(),
        "status": {
            "basic": tuple.status.basic.to_string(),
            "further": words(&tuple.status.further),
        },
        "communication_address": tuple.communication_address.as_ref().map(communication_address),
        "markup": markup(&tuple.markup),
    })
}

fn communication_address(address: &CommunicationAddress) -> Value {
    json!({ "means": address.means.as_str(), "contact": address.contact })
}

fn words(words: &BTreeSet<Token>) -> Value {
    json!(words.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn note(note: &Note) -> Value {
    json!({ "text": note.text, "language": note.language })
}

fn markup(markup: &OtherPresenceMarkup) -> Value {
    json!({
        "note": markup.note.as_ref().map(note),
        "activities": words(&markup.activities),
        "until": markup.until.map(|until| until.as_millis().to_string()),
        "user_input": markup.user_input.as_ref().map(user_input),
        "extensions": extensions(&markup.extensions),
    })
}

fn user_input(input: &UserInput) -> Value {
    json!({
        "state": input.state.as_str(),
        "idle_threshold_seconds": input.idle_threshold_seconds,
        "last_input": input.last_input.map(|last| last.as_millis().to_string()),
    })
}

fn told(told: &ToldRecord) -> Value {
    json!({ "record": hex(&told.record), "elapsed_ms": told.elapsed_ms.to_string(), "lost": told.lost })
}

fn version(version: &Version) -> Value {
    json!({ "incarnation": version.incarnation.to_string(), "sequence": version.sequence.to_string() })
}

fn extensions(extensions: &Extensions) -> Value {
    let named: BTreeMap<_, _> = extensions.iter().map(|(name, value)| (name, hex(value))).collect();
    json!(named)
}

fn peer_id(presentity: &Presentity) -> String {
    presentity.to_string()
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
