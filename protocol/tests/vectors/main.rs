//! The golden vectors in `protocol/vectors`: what another implementation is tested against.
//!
//! Two tests read the files as a stranger would: every valid vector decodes to the value written beside it
//! and encodes to the same bytes again, every invalid one is refused for the reason written beside it. A
//! third makes the files anew, without chance or clock, and demands that nothing differs. When the wire
//! changes on purpose, `UPDATE_VECTORS=1 cargo test -p hereabouts-protocol --test vectors` writes them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a missing field of a vector must fail the test, and does so with its name"
)]

mod invalid;
mod json;
mod samples;

use std::path::Path;

use data_encoding::HEXLOWER;
use hereabouts_protocol::{
    identity::{InboxAddress, Presentity, Realm},
    presence::{
        reconciliation::{Difference, Digest, Line, difference, plan},
        record::{PresenceRecord, Reaction},
        sealing::ViewKey,
        service::fingerprint,
        suspicion::Suspicion,
    },
    wire::{
        codec::{self, WireError},
        frames::{
            MESSAGE_REQUEST_BYTES_MAX, MESSAGE_RESPONSE_BYTES_MAX, MessageRequest, MessageResponse,
            PRESENCE_REQUEST_BYTES_MAX, PRESENCE_RESPONSE_BYTES_MAX, PresenceRequest, PresenceResponse,
        },
    },
};
use libp2p_identity::Keypair;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[test]
fn every_vector_is_what_it_says() {
    for vector in vectors("identity") {
        let seed: [u8; 32] = bytes(&vector["seed"]).try_into().unwrap();
        assert_eq!(identity(text(&vector["name"]), seed, text(&vector["realm"])), vector);
    }
    for vector in vectors("records") {
        let record = PresenceRecord::verify(&bytes(&vector["hex"]), &realm(&vector)).unwrap();
        assert_eq!(record_vector(text(&vector["name"]), &record, text(&vector["seed"])), vector);
    }
    for vector in vectors("suspicions") {
        let suspicion = Suspicion::verify(&bytes(&vector["hex"]), &realm(&vector)).unwrap();
        assert_eq!(suspicion_vector(text(&vector["name"]), &suspicion, text(&vector["seed"])), vector);
    }
    for vector in vectors("views") {
        let record = PresenceRecord::verify(&bytes(&vector["record"]), &realm(&vector)).unwrap();
        let given = &vector["key"];
        // A key as it stands in a frame: the id, the step, which is below 251 here, and the secret.
        let step = u8::try_from(given["step"].as_u64().unwrap()).unwrap();
        let encoded = [bytes(&given["id"]), vec![step], bytes(&given["key"])].concat();
        let key: ViewKey = codec::decode(&encoded, encoded.len()).unwrap();
        let (document, opened_with) = key.open(&record).unwrap();
        assert_eq!(json::information(&document), vector["document"], "{}", vector["name"]);
        assert_eq!(json::view_key(&opened_with), vector["opened_with"], "{}", vector["name"]);
    }
    for vector in vectors("frames") {
        let (value, encoded) = decoded_frame(text(&vector["frame"]), &bytes(&vector["hex"])).unwrap();
        assert_eq!((&value, &encoded), (&vector["value"], &bytes(&vector["hex"])), "{}", vector["name"]);
    }
    for vector in vectors("reconciliation") {
        let (initiator, responder) = (json::lines(&vector["initiator"]), json::lines(&vector["responder"]));
        assert_eq!(reconciliation(text(&vector["name"]), &initiator, &responder), vector);
    }
}

#[test]
fn every_invalid_vector_is_refused_for_its_reason() {
    for vector in vectors("invalid") {
        let bytes = bytes(&vector["hex"]);
        let found = match text(&vector["frame"]) {
            "PresenceRecord" => {
                let error = PresenceRecord::verify(&bytes, &realm(&vector)).unwrap_err();
                assert_eq!(verdict(error.reaction()), vector["verdict"], "{}", vector["name"]);
                error.reason()
            }
            "Suspicion" => {
                let error = Suspicion::verify(&bytes, &realm(&vector)).unwrap_err();
                assert_eq!(verdict(error.reaction()), vector["verdict"], "{}", vector["name"]);
                error.reason()
            }
            frame => reason(decoded_frame(frame, &bytes).unwrap_err()),
        };
        assert_eq!(found, vector["reason"], "{}", vector["name"]);
    }
}

#[test]
fn the_files_are_what_this_build_makes() {
    let identity = samples::identities().map(|(name, seed, realm)| identity(name, seed, realm));
    let records =
        samples::records().into_iter().map(|(name, record, seed)| record_vector(name, &record, &seed));
    let frames = samples::frames().into_iter().map(|(name, frame, value, bytes)| {
        json!({ "name": name, "frame": frame, "value": value, "hex": HEXLOWER.encode(&bytes) })
    });
    let views = samples::views().into_iter().map(|(name, key, document, record)| {
        let (opened, opened_with) = key.open(&record).unwrap();
        assert_eq!(opened, document, "{name}");
        json!({
            "name": name, "realm": "lan", "key": json::view_key(&key),
            "record": HEXLOWER.encode(record.bytes()),
            "document": json::information(&document), "opened_with": json::view_key(&opened_with),
        })
    });
    let tables = samples::tables().into_iter();
    let tables = tables.map(|(name, initiator, responder)| reconciliation(name, &initiator, &responder));
    let invalid = invalid::invalid().into_iter().map(|invalid| {
        let mut vector = json!({
            "name": invalid.name, "frame": invalid.frame, "reason": invalid.reason,
            "hex": HEXLOWER.encode(&invalid.bytes),
        });
        if ["PresenceRecord", "Suspicion"].contains(&invalid.frame) {
            vector["realm"] = json!("lan");
            vector["verdict"] = json!(if invalid.reason == "unknown-format" { "ignore" } else { "reject" });
        }
        vector
    });
    check("identity", identity.collect());
    check("records", records.collect());
    let suspicions = samples::suspicions().into_iter();
    let suspicions = suspicions.map(|(name, suspicion, seed)| suspicion_vector(name, &suspicion, &seed));
    check("suspicions", suspicions.collect());
    check("views", views.collect());
    check("frames", frames.collect());
    check("reconciliation", tables.collect());
    check("invalid", invalid.collect());
}

fn identity(name: &str, seed: [u8; 32], realm: &str) -> Value {
    let realm: Realm = realm.parse().unwrap();
    let key = Keypair::ed25519_from_bytes(seed).unwrap().public();
    let presentity = Presentity::from_public_key(&key).unwrap();
    json!({
        "name": name,
        "seed": HEXLOWER.encode(&seed),
        "realm": realm.as_str(),
        "public_key": HEXLOWER.encode(presentity.as_bytes()),
        "peer_id": presentity.to_string(),
        "pres_uri": presentity.pres_uri(&realm),
        "inbox_address": InboxAddress { node: presentity, realm }.to_string(),
    })
}

fn record_vector(name: &str, record: &PresenceRecord, seed: &str) -> Value {
    let hash = Sha256::digest(record.bytes());
    json!({
        "name": name,
        "seed": seed,
        "realm": record.body().realm.as_str(),
        "body": json::body(record.body()),
        "hex": HEXLOWER.encode(record.bytes()),
        "fingerprint": fingerprint(record).to_string(),
        "gossip_message_id": HEXLOWER.encode(&hash[..16]),
    })
}

fn suspicion_vector(name: &str, suspicion: &Suspicion, seed: &str) -> Value {
    let hash = Sha256::digest(suspicion.bytes());
    json!({
        "name": name,
        "seed": seed,
        "realm": suspicion.body().realm.as_str(),
        "body": json::suspicion(suspicion.body()),
        "hex": HEXLOWER.encode(suspicion.bytes()),
        "gossip_message_id": HEXLOWER.encode(&hash[..16]),
    })
}

fn reconciliation(name: &str, initiator: &[Line], responder: &[Line]) -> Value {
    let digest = Digest::of(initiator);
    let difference: Difference = difference(responder, &digest);
    let plan = plan(initiator, &digest, &difference);
    let peer_ids = |presentities: &[Presentity]| -> Vec<String> {
        presentities.iter().map(ToString::to_string).collect()
    };
    json!({
        "name": name,
        "initiator": json::table(initiator),
        "responder": json::table(responder),
        "digest": json::digest(&digest),
        "difference": json::difference(&difference),
        "wanted": peer_ids(&plan.wanted),
        "offered": peer_ids(&plan.offered),
    })
}

/// The value of a frame as JSON, and its encoding.
fn decoded_frame(frame: &str, bytes: &[u8]) -> Result<(Value, Vec<u8>), WireError> {
    fn decoded<T>(bytes: &[u8], limit: usize, json: fn(&T) -> Value) -> Result<(Value, Vec<u8>), WireError>
    where
        T: Serialize + DeserializeOwned,
    {
        let value: T = codec::decode(bytes, limit)?;
        Ok((json(&value), codec::encode(&value)))
    }

    match frame {
        "PresenceRequest" => {
            decoded::<PresenceRequest>(bytes, PRESENCE_REQUEST_BYTES_MAX, json::presence_request)
        }
        "PresenceResponse" => {
            decoded::<PresenceResponse>(bytes, PRESENCE_RESPONSE_BYTES_MAX, json::presence_response)
        }
        "MessageRequest" => {
            decoded::<MessageRequest>(bytes, MESSAGE_REQUEST_BYTES_MAX, json::message_request)
        }
        "MessageResponse" => {
            decoded::<MessageResponse>(bytes, MESSAGE_RESPONSE_BYTES_MAX, json::message_response)
        }
        other => panic!("no such frame: {other}"),
    }
}

fn reason(error: WireError) -> &'static str {
    match error {
        WireError::TooLarge { .. } => "oversized",
        WireError::Malformed => "malformed",
        WireError::TrailingBytes { .. } => "trailing-bytes",
        WireError::NotCanonical => "not-canonical",
    }
}

fn verdict(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::Accept => "accept",
        Reaction::Ignore => "ignore",
        Reaction::Reject => "reject",
    }
}

fn realm(vector: &Value) -> Realm {
    text(&vector["realm"]).parse().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(text(value).as_bytes()).unwrap()
}

fn file(name: &str) -> Value {
    let text = match name {
        "identity" => include_str!("../../vectors/identity.json"),
        "records" => include_str!("../../vectors/records.json"),
        "suspicions" => include_str!("../../vectors/suspicions.json"),
        "views" => include_str!("../../vectors/views.json"),
        "frames" => include_str!("../../vectors/frames.json"),
        "reconciliation" => include_str!("../../vectors/reconciliation.json"),
        "invalid" => include_str!("../../vectors/invalid.json"),
        other => panic!("no such file: {other}"),
    };
    serde_json::from_str(text).unwrap()
}

fn vectors(name: &str) -> Vec<Value> {
    let vectors = file(name)["vectors"].as_array().unwrap().clone();
    assert!(!vectors.is_empty());
    vectors
}

/// Compares a file with what it should hold, or writes it if that is asked for.
#[expect(clippy::disallowed_methods, reason = "tests may read the environment and write their golden files")]
fn check(name: &str, vectors: Vec<Value>) {
    let made = json!({ "about": samples::about(name), "vectors": vectors });
    if std::env::var("UPDATE_VECTORS").is_ok_and(|value| value == "1") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name).with_extension("json");
        std::fs::write(path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
        return;
    }
    let found = file(name);
    assert_eq!(made["about"], found["about"], "{name}: UPDATE_VECTORS=1 writes it anew");
    let (made, found) = (made["vectors"].as_array().unwrap(), found["vectors"].as_array().unwrap());
    for (made, found) in made.iter().zip(found) {
        assert_eq!(made, found, "{name}: UPDATE_VECTORS=1 writes it anew");
    }
    assert_eq!(made.len(), found.len(), "{name}: UPDATE_VECTORS=1 writes it anew");
}
