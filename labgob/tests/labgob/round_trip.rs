//! What goes in comes out, and takes the bytes that the format promises.

use std::fmt::Debug;

use labgob::{decode, decode_prefix, encode, encode_into, encoded_size};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::values::{Meters, Shape, Unit, containers, everything, scalars, shape};

/// All five functions agree on one value.
fn assert_round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let bytes = encode(value);
    assert_eq!(encoded_size(value), bytes.len());
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(value));

    let mut log = b"before".to_vec();
    encode_into(value, &mut log);
    assert_eq!(&log[..6], b"before");
    assert_eq!(&log[6..], bytes);

    log.extend_from_slice(b"after");
    let (prefix, used) = decode_prefix::<T>(&log[6..]).expect("the value stands at the front");
    assert_eq!((&prefix, used), (value, bytes.len()));
}

proptest! {
    #[test]
    fn scalars_survive(value in scalars()) {
        assert_round_trip(&value);
    }

    #[test]
    fn containers_survive(value in containers()) {
        assert_round_trip(&value);
    }

    #[test]
    fn enums_survive(value in shape()) {
        assert_round_trip(&value);
    }

    #[test]
    fn everything_survives(value in everything()) {
        assert_round_trip(&value);
    }

    #[test]
    fn floats_keep_their_bits(single in any::<u32>(), double in any::<u64>()) {
        let bytes = encode(&(f32::from_bits(single), f64::from_bits(double)));
        let (back_single, back_double) = decode::<(f32, f64)>(&bytes).expect("any bits are a float");
        prop_assert_eq!((back_single.to_bits(), back_double.to_bits()), (single, double));
    }

    #[test]
    fn records_of_a_log_are_read_one_by_one(records in prop::collection::vec(shape(), 0..20)) {
        let mut log = Vec::new();
        records.iter().for_each(|record| encode_into(record, &mut log));

        let mut rest = &log[..];
        for record in &records {
            let (read, used) = decode_prefix::<Shape>(rest).expect("a whole record is next");
            prop_assert_eq!(&read, record);
            rest = &rest[used..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn bytes_are_written_alike_with_and_without_the_attribute(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        #[derive(serde::Serialize)]
        struct Blob(#[serde(with = "labgob::bytes")] Vec<u8>);
        prop_assert_eq!(encode(&Blob(bytes.clone())), encode(&bytes));
    }
}

/// The format is a contract with what is on a simulated disk, and with the tests that bound the size of
/// messages.
#[test]
fn the_format_is_little_endian_with_short_integers() {
    assert_eq!(encode(&250_u64), [250]);
    assert_eq!(encode(&251_u64), [251, 251, 0]);
    assert_eq!(encode(&0x0102_0304_u32), [252, 4, 3, 2, 1]);
    assert_eq!(encode(&u64::MAX), [253, 255, 255, 255, 255, 255, 255, 255, 255]);
    assert_eq!(encode(&-1_i32), [1]);
    assert_eq!(encode(&1_i32), [2]);
    assert_eq!(encode("ab"), [2, b'a', b'b']);
    assert_eq!(encode(&Some(7_u8)), [1, 7]);
    assert_eq!(encode(&Shape::Newtype(3)), [1, 6]);
    assert_eq!(encode(&Meters(5)), [5]);
    assert_eq!(encode(&(Unit, ())), []);
}

/// As in the course's `TestRPCBytes`: long commands cost what they are long, not a multiple of it.
#[test]
fn long_text_costs_its_length_and_three_bytes() {
    assert_eq!(encoded_size(&"x".repeat(5000)), 5003);
}

#[test]
fn a_large_vector_grows_past_the_trusted_hint() {
    assert_round_trip(&(0..100_000_u64).collect::<Vec<_>>());
}

#[test]
#[should_panic(expected = "labgob cannot encode a value of type")]
fn a_value_that_cannot_be_written_says_so() {
    struct Unknown;
    impl Serialize for Unknown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            // A sequence of unknown length: the format puts the length first.
            serializer.serialize_seq(None).map(|_| unreachable!("the length is missing"))
        }
    }
    encode(&Unknown);
}
