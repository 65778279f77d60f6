use std::{collections::BTreeMap, fmt::Debug};

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::{
    message::instant_message::InstantMessage,
    presence::record::RecordBody,
    testing::arbitrary::{
        instant_message, message_request, message_response, presence_request, presence_response, record_body,
    },
    wire::frames::{MessageRequest, MessageResponse, PresenceRequest, PresenceResponse},
};

const LIMIT: usize = 128 * 1024;

#[test]
fn integers_up_to_250_take_one_byte_and_larger_ones_a_mark_and_their_width() {
    assert_eq!(encode(&0_u64), [0]);
    assert_eq!(encode(&250_u64), [250]);
    assert_eq!(encode(&251_u64), [251, 251, 0]);
    assert_eq!(encode(&0xffff_u64), [251, 0xff, 0xff]);
    assert_eq!(encode(&0x0001_0000_u32), [252, 0, 0, 1, 0]);
    assert_eq!(encode(&0x0001_0000_0000_u64), [253, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(encode(&255_u8), [255]);
    assert_eq!(encode(&300_u16), [251, 44, 1]);
}

#[test]
fn strings_sequences_options_and_variants_are_as_wire_md_says() {
    assert_eq!(encode(&"ab"), [2, b'a', b'b']);
    assert_eq!(encode(&vec![7_u16, 300]), [2, 7, 251, 44, 1]);
    assert_eq!(encode(&None::<u8>), [0]);
    assert_eq!(encode(&Some(true)), [1, 1]);
    assert_eq!(encode(&[1_u8, 2, 3]), [1, 2, 3]);
    assert_eq!(encode(&BTreeMap::from([("b", 1_u8), ("a", 2)])), [2, 1, b'a', 2, 1, b'b', 1]);
    assert_eq!(encode(&PresenceResponse::Notified), [4]);
}

#[test]
fn the_length_is_held_against_the_limit_before_anything_is_read() {
    let bytes = vec![0xff; 11];
    assert_eq!(decode::<Vec<u8>>(&bytes, 10), Err(WireError::TooLarge { found: 11, limit: 10 }));
    assert_eq!(decode::<Vec<u8>>(&[0], 1), Ok(Vec::new()));
}

#[test]
fn a_byte_after_the_end_is_refused() {
    assert_eq!(decode::<u64>(&[5, 0], LIMIT), Err(WireError::TrailingBytes { count: 1 }));
}

#[test]
fn a_number_in_more_bytes_than_it_needs_is_refused() {
    assert_eq!(decode::<u64>(&[251, 5, 0], LIMIT), Err(WireError::NotCanonical));
    assert_eq!(decode::<u64>(&[253, 5, 0, 0, 0, 0, 0, 0, 0], LIMIT), Err(WireError::NotCanonical));
}

#[test]
fn a_map_out_of_order_or_with_a_key_twice_is_refused() {
    type Map = BTreeMap<String, u8>;
    assert_eq!(decode::<Map>(&[2, 1, b'b', 1, 1, b'a', 2], LIMIT), Err(WireError::NotCanonical));
    assert_eq!(decode::<Map>(&[2, 1, b'a', 1, 1, b'a', 1], LIMIT), Err(WireError::NotCanonical));
    assert!(decode::<Map>(&[2, 1, b'a', 2, 1, b'b', 1], LIMIT).is_ok());
}

#[test]
fn what_is_no_boolean_option_variant_or_utf8_is_malformed() {
    assert_eq!(decode::<bool>(&[2], LIMIT), Err(WireError::Malformed));
    assert_eq!(decode::<Option<u8>>(&[2, 0], LIMIT), Err(WireError::Malformed));
    assert_eq!(decode::<PresenceResponse>(&[7], LIMIT), Err(WireError::Malformed));
    assert_eq!(decode::<String>(&[1, 0xff], LIMIT), Err(WireError::Malformed));
    assert_eq!(decode::<u32>(&[], LIMIT), Err(WireError::Malformed));
    // 254 would mark 16 bytes, 255 nothing at all.
    assert_eq!(decode::<u64>(&[254; 17], LIMIT), Err(WireError::Malformed));
    assert_eq!(decode::<u64>(&[255; 17], LIMIT), Err(WireError::Malformed));
}

/// A length that memory cannot hold must fail before memory is asked for: the allocator would end the
/// process, and this test with it.
#[test]
fn a_length_beyond_all_memory_is_refused_without_asking_for_it() {
    #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
    struct Bytes(#[serde(with = "serde_bytes")] Vec<u8>);

    for shift in [63, 62, 60, 48, 40, 32, 24, 21] {
        let mut bytes = vec![253];
        bytes.extend_from_slice(&(1_u64 << shift).to_le_bytes());
        assert_eq!(decode::<Bytes>(&bytes, LIMIT), Err(WireError::Malformed), "bytes, 2^{shift}");
        assert_eq!(decode::<String>(&bytes, LIMIT), Err(WireError::Malformed), "string, 2^{shift}");
        assert_eq!(decode::<Vec<u64>>(&bytes, LIMIT), Err(WireError::Malformed), "sequence, 2^{shift}");
        assert_eq!(
            decode::<BTreeMap<String, Vec<u8>>>(&bytes, LIMIT),
            Err(WireError::Malformed),
            "map, 2^{shift}"
        );
    }
}

#[test]
fn every_length_prefix_inside_a_frame_may_lie_and_nothing_breaks() {
    let huge = [253, 0, 0, 0, 0, 0, 0, 0, 0x10];
    let notify = [[4].as_slice(), &huge].concat();
    assert_eq!(decode::<PresenceRequest>(&notify, LIMIT), Err(WireError::Malformed));
    let exchange = [[1].as_slice(), &huge].concat();
    assert_eq!(decode::<PresenceRequest>(&exchange, LIMIT), Err(WireError::Malformed));
    let told = [[1, 0, 1].as_slice(), &huge].concat();
    assert_eq!(decode::<PresenceRequest>(&told, LIMIT), Err(WireError::Malformed));
    let realm = [[1].as_slice(), &huge].concat();
    assert_eq!(decode::<RecordBody>(&realm, LIMIT), Err(WireError::Malformed));
}

/// The limit on what a frame claims must not refuse a frame that is merely large: a digest of the largest
/// size in which every number takes one byte and claims eight.
#[test]
fn a_frame_of_nothing_but_small_numbers_is_taken_up_to_the_limit() {
    let numbers = vec![1_u64; LIMIT - 5];
    let bytes = encode(&numbers);
    assert_eq!(bytes.len(), LIMIT);
    assert_eq!(decode::<Vec<u64>>(&bytes, LIMIT), Ok(numbers));
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Result<(), TestCaseError> {
    let decoded = decode::<T>(&encode(value), LIMIT);
    prop_assert_eq!(decoded.as_ref(), Ok(value));
    Ok(())
}

/// Whatever is accepted of `bytes` has no other encoding.
fn is_canonical_or_refused<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = decode::<T>(bytes, LIMIT) {
        prop_assert_eq!(encode(&value), bytes);
    }
    Ok(())
}

fn is_canonical_or_refused_as_anything(bytes: &[u8]) -> Result<(), TestCaseError> {
    is_canonical_or_refused::<PresenceRequest>(bytes)?;
    is_canonical_or_refused::<PresenceResponse>(bytes)?;
    is_canonical_or_refused::<MessageRequest>(bytes)?;
    is_canonical_or_refused::<MessageResponse>(bytes)?;
    is_canonical_or_refused::<RecordBody>(bytes)
}

#[derive(Debug, Clone)]
enum Mutation {
    Replace(u8),
    Insert(u8),
    Remove,
    /// Cuts the end off.
    Cut,
    /// Copies what comes before over what comes after.
    Double,
}

fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, Mutation)>> {
    let mutation = prop_oneof![
        any::<u8>().prop_map(Mutation::Replace),
        prop::sample::select(vec![0, 1, 2, 250, 251, 252, 253, 254, 255]).prop_map(Mutation::Replace),
        any::<u8>().prop_map(Mutation::Insert),
        Just(Mutation::Remove),
        Just(Mutation::Cut),
        Just(Mutation::Double),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), mutation), 1..4)
}

fn mutate(bytes: &mut Vec<u8>, mutations: &[(prop::sample::Index, Mutation)]) {
    for (index, mutation) in mutations {
        if bytes.is_empty() {
            return;
        }
        let at = index.index(bytes.len());
        match mutation {
            Mutation::Replace(byte) => bytes[at] = *byte,
            Mutation::Insert(byte) => bytes.insert(at, *byte),
            Mutation::Remove => drop(bytes.remove(at)),
            Mutation::Cut => bytes.truncate(at),
            Mutation::Double => bytes.extend_from_within(..at),
        }
    }
}

proptest! {
    #[test]
    fn every_frame_survives_the_wire(
        presence_request in presence_request(),
        presence_response in presence_response(),
        message_request in message_request(),
        message_response in message_response(),
    ) {
        survives(&presence_request)?;
        survives(&presence_response)?;
        survives(&message_request)?;
        survives(&message_response)?;
    }

    #[test]
    fn every_record_body_survives_the_wire(body in record_body()) {
        survives(&body)?;
    }

    #[test]
    fn every_message_survives_the_wire(message in instant_message()) {
        survives::<InstantMessage>(&message)?;
    }

    #[test]
    fn random_bytes_are_refused_or_canonical_as_any_frame(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        is_canonical_or_refused_as_anything(&bytes)?;
    }

    #[test]
    fn mutated_presence_frames_are_refused_or_canonical(
        request in presence_request(),
        response in presence_response(),
        mutations in mutations(),
    ) {
        for mut bytes in [encode(&request), encode(&response)] {
            mutate(&mut bytes, &mutations);
            is_canonical_or_refused_as_anything(&bytes)?;
        }
    }

    #[test]
    fn mutated_message_frames_are_refused_or_canonical(
        request in message_request(),
        response in message_response(),
        mutations in mutations(),
    ) {
        for mut bytes in [encode(&request), encode(&response)] {
            mutate(&mut bytes, &mutations);
            is_canonical_or_refused_as_anything(&bytes)?;
        }
    }

    #[test]
    fn mutated_record_bodies_are_refused_or_canonical(body in record_body(), mutations in mutations()) {
        let mut bytes = encode(&body);
        mutate(&mut bytes, &mutations);
        is_canonical_or_refused_as_anything(&bytes)?;
    }
}
