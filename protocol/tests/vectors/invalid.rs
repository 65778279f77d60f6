//! Bytes that must be refused, each wrong in one way only.

use hereabouts_protocol::{
    presence::{
        information::PresenceInformation,
        record::{FORMAT, NodeAddress, RECORD_BYTES_MAX, RecordBody, SIGNING_DOMAIN, SealedView},
        suspicion::{self, SuspicionBody},
    },
    watcher::watcher_information::VisibleTo,
    wire::{
        codec::encode,
        frames::{MessageRequest, PresenceRequest},
    },
};
use libp2p_identity::Keypair;

use super::samples::{self, body, key, message, presentity, sized};

/// Bytes that are to be refused.
pub(super) struct Invalid {
    pub(super) name: &'static str,
    pub(super) frame: &'static str,
    pub(super) reason: &'static str,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn invalid() -> Vec<Invalid> {
    let frames = invalid_frames().into_iter();
    let records = forged_records().into_iter().chain(malformed_records()).chain(over_limit_records());
    records
        .map(|(name, reason, bytes)| Invalid { name, frame: "PresenceRecord", reason, bytes })
        .chain(frames.map(|(name, frame, reason, bytes)| Invalid { name, frame, reason, bytes }))
        .chain(invalid_suspicions())
        .collect()
}

fn invalid_suspicions() -> Vec<Invalid> {
    let (_, suspicion, _) = samples::suspicions().swap_remove(0);
    let changed = |change: fn(&mut SuspicionBody)| {
        let mut body = suspicion.body().clone();
        change(&mut body);
        let encoded = encode(&body);
        let signature = key(1).sign(&[suspicion::SIGNING_DOMAIN, &encoded].concat()).unwrap();
        [encoded, signature].concat()
    };
    let mut flipped = suspicion.bytes().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let suspicions = [
        ("a suspicion with a flipped bit in its signature", "forged", flipped),
        ("a suspicion of nobody", "over-limit", changed(|body| body.accusations.clear())),
        (
            "a suspicion of its accuser",
            "over-limit",
            changed(|body| body.accusations[0].subject = body.accuser),
        ),
        (
            "a suspicion of one presentity twice",
            "over-limit",
            changed(|body| body.accusations.push(body.accusations[0])),
        ),
        (
            "a suspicion of another realm",
            "foreign-realm",
            changed(|body| body.realm = "attic".parse().unwrap()),
        ),
        ("a suspicion of another format", "malformed", changed(|body| body.format = 3)),
    ];
    let invalid = |(name, reason, bytes)| Invalid { name, frame: "Suspicion", reason, bytes };
    suspicions.into_iter().map(invalid).collect()
}

fn forged_records() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (alice, encoded) = (key(1), encode(&body(&key(1), 1, 1)));
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = resigned(encoded.clone());
        change(&mut bytes);
        bytes
    };
    let signed_with = |key: &Keypair, domain: &[u8]| {
        let signature = key.sign(&[domain, &encoded].concat()).unwrap();
        [encoded.clone(), signature].concat()
    };
    vec![
        ("a format of the future", "unknown-format", changed(|bytes| bytes[0] = 3)),
        ("a flipped bit in the signature", "forged", changed(|bytes| *bytes.last_mut().unwrap() ^= 1)),
        ("a flipped bit in the version", "forged", changed(|bytes| bytes[INCARNATION_AT] ^= 2)),
        ("signed by another key", "forged", signed_with(&key(2), SIGNING_DOMAIN)),
        ("signed without the domain", "forged", signed_with(&alice, b"")),
    ]
}

/// With signatures that hold, so that nothing but the encoding is wrong.
fn malformed_records() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let encoded = |change: fn(&mut Vec<u8>)| {
        let mut bytes = encode(&body(&key(1), 1, 1));
        change(&mut bytes);
        resigned(bytes)
    };
    let good = resigned(encode(&body(&key(1), 1, 1)));
    let extensions = |bytes: &mut Vec<u8>, replacement: &[u8]| {
        // No extensions, the last byte of the body, become some.
        bytes.pop();
        bytes.extend_from_slice(replacement);
    };
    let mut out_of_order = encode(&body(&key(1), 1, 1));
    extensions(&mut out_of_order, &[2, 1, b'b', 0, 1, b'a', 0]);
    let mut twice = encode(&body(&key(1), 1, 1));
    extensions(&mut twice, &[2, 1, b'a', 0, 1, b'a', 0]);
    let wide = |bytes: &mut Vec<u8>| drop(bytes.splice(INCARNATION_AT..=INCARNATION_AT, [251, 1, 0]));
    vec![
        ("no bytes", "malformed", Vec::new()),
        ("shorter than a signature", "malformed", vec![FORMAT; 63]),
        ("a byte after the signature", "malformed", [good.as_slice(), &[0]].concat()),
        ("a byte between body and signature", "malformed", encoded(|bytes| bytes.push(0))),
        ("an incarnation in more bytes than it needs", "malformed", encoded(wide)),
        ("extensions out of order", "malformed", resigned(out_of_order)),
        ("an extension twice", "malformed", resigned(twice)),
        ("a realm that is no label", "malformed", encoded(|bytes| bytes[REALM_AT] = b'L')),
        ("a departing flag of 2", "malformed", encoded(|bytes| bytes[DEPARTING_AT] = 2)),
    ]
}

/// With signatures that hold, so that nothing but the size or the realm is wrong.
fn over_limit_records() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let of = |change: fn(&mut RecordBody)| {
        let mut body = body(&key(1), 1, 1);
        change(&mut body);
        resigned(encode(&body))
    };
    let document = |change: fn(&mut PresenceInformation)| {
        let mut body = body(&key(1), 1, 1);
        change(body.public.as_mut().unwrap());
        resigned(encode(&body))
    };
    let sealed = SealedView { key_id: [0; 8], ciphertext: Vec::new() };
    let nine_views = RecordBody { sealed_views: vec![sealed; 9], ..body(&key(1), 1, 1) };
    vec![
        ("another realm", "foreign-realm", of(|body| body.realm = "attic".parse().unwrap())),
        ("a lease of more than a day", "over-limit", of(|body| body.lease_seconds = 86_401)),
        ("nine addresses", "over-limit", of(|body| body.addresses = vec![NodeAddress(vec![4]); 9])),
        ("an address of 65 bytes", "over-limit", of(|body| body.addresses = vec![NodeAddress(vec![4; 65])])),
        ("nine sealed views", "over-limit", resigned(encode(&nine_views))),
        ("a document without a tuple", "over-limit", document(|document| document.tuples.clear())),
        (
            "two tuples of one id",
            "over-limit",
            document(|document| document.tuples.extend(document.tuples.clone())),
        ),
        (
            "a display name of 65 bytes",
            "over-limit",
            document(|document| document.display_name = "x".repeat(65)),
        ),
        (
            "an extension without a name",
            "over-limit",
            of(|body| body.extensions = [(String::new(), Vec::new())].into()),
        ),
        ("1025 bytes", "oversized", resigned(encode(&sized(&key(1), RECORD_BYTES_MAX + 1)))),
    ]
}

fn invalid_frames() -> Vec<(&'static str, &'static str, &'static str, Vec<u8>)> {
    let huge_length = [253, 0, 0, 0, 0, 0, 0, 0, 0x10];
    let (request, response) = ("PresenceRequest", "PresenceResponse");
    let presentity = presentity(&key(1));
    let fetch = encode(&PresenceRequest::Fetch { presentity, visible_to: VisibleTo::Everybody });
    let hidden_from = |keys: [u8; 2]| {
        let keys = keys.map(|key| [key; 32]).concat();
        [[3, 60, 1, 2].as_slice(), &keys].concat()
    };
    let message = encode(&MessageRequest { message: message(), remaining_ms: 1 });
    vec![
        ("no bytes", request, "malformed", Vec::new()),
        ("a request of the future", request, "malformed", vec![7]),
        ("a byte after the end", request, "trailing-bytes", [fetch.as_slice(), &[0]].concat()),
        ("cut short", request, "malformed", fetch[..20].to_vec()),
        ("seconds in more bytes than they need", request, "not-canonical", vec![3, 251, 60, 0, 0]),
        ("a request number in more bytes than it needs", request, "not-canonical", vec![251, 3, 0, 60, 0]),
        ("seconds of more than 32 bits", request, "malformed", vec![3, 253, 0, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("hidden from two in the wrong order", request, "not-canonical", hidden_from([2, 1])),
        ("hidden from the same one twice", request, "not-canonical", hidden_from([1, 1])),
        ("a visibility of the future", request, "malformed", vec![3, 60, 3]),
        ("a state of the future", response, "malformed", vec![3, 4, 0, 0, 0, 0, 0]),
        ("an event of the future", response, "malformed", vec![3, 1, 8, 0, 0, 0, 0]),
        ("an answer of the future", response, "malformed", vec![2, 0, 5]),
        ("a record of 2^60 bytes", request, "malformed", [[4].as_slice(), &huge_length].concat()),
        ("a list of 2^60 keys", request, "malformed", [[1].as_slice(), &huge_length].concat()),
        ("an option that is neither absent nor present", response, "malformed", vec![2, 2]),
        ("a response of the future", response, "malformed", vec![7]),
        (
            "a message with a byte after the end",
            "MessageRequest",
            "trailing-bytes",
            [message.as_slice(), &[0]].concat(),
        ),
        ("a message to no address", "MessageRequest", "malformed", {
            // The id, the sender, then the address: its length and `im:`.
            let mut bytes = message.clone();
            bytes[49] = b'x';
            bytes
        }),
        ("a reason of the future", "MessageResponse", "malformed", vec![1, 11]),
        ("a response of more than 16 bytes", "MessageResponse", "oversized", vec![0; 17]),
    ]
}

/// A record of any bytes, with a signature that holds.
fn resigned(encoded: Vec<u8>) -> Vec<u8> {
    let signature = key(1).sign(&[SIGNING_DOMAIN, &encoded].concat()).unwrap();
    [encoded, signature].concat()
}

/// Where fields stand in a body of the realm `lan`: format, realm (4 bytes), key (32), incarnation, sequence,
/// lease (3 for an hour), departing.
const REALM_AT: usize = 2;
const INCARNATION_AT: usize = 37;
const DEPARTING_AT: usize = 42;
