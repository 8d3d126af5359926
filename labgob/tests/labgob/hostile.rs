//! Bytes that are short, long, garbled or made to harm: an error value, at once, and little memory.
//!
//! How much memory is asked for can be observed without counting: a length that were honoured would ask for
//! more than any machine has, which panics or ends the process.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use labgob::{DecodeError, MAX_DEPTH, MAX_EMPTY_ELEMENTS, decode, decode_prefix, encode};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::values::{Everything, Shape, everything};

proptest! {
    #[test]
    fn every_proper_prefix_is_an_error(value in everything(), cut in any::<Index>()) {
        let bytes = encode(&value);
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(decode::<Everything>(cut).err(), Some(DecodeError::Truncated));
    }

    #[test]
    fn bytes_left_over_are_an_error(value in everything(), tail in prop::collection::vec(any::<u8>(), 1..9)) {
        let mut bytes = encode(&value);
        let used = bytes.len();
        bytes.extend_from_slice(&tail);
        let expected = DecodeError::Trailing { used, extra: tail.len() };
        prop_assert_eq!(decode::<Everything>(&bytes).err(), Some(expected));
    }

    /// A garbled value may be another value; then it is written back as one. Nothing else may happen.
    #[test]
    fn garbled_bytes_are_a_value_or_an_error(
        value in everything(),
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = encode(&value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(other) = decode::<Everything>(&bytes) {
            encode(&other);
        }
    }

    #[test]
    fn noise_is_a_value_or_an_error(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode::<Everything>(&noise);
        let _ = decode::<Shape>(&noise);
        let _ = decode::<Vec<String>>(&noise);
        let _ = decode::<HashMap<String, Vec<(u8, f64)>>>(&noise);
        if let Ok((_, used)) = decode_prefix::<Shape>(&noise) {
            prop_assert!(used <= noise.len());
        }
    }
}

/// The bytes of a length, followed by `rest`.
fn promise(length: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = encode(&length);
    bytes.extend_from_slice(rest);
    bytes
}

/// A promise of `length` elements, of which three come.
fn assert_truncated<T: DeserializeOwned>() {
    for length in [4096, 1 << 20, 1 << 33, 1 << 40, 1 << 62, u64::MAX / 8, u64::MAX] {
        let error = decode::<T>(&promise(length, &[0, 0, 0])).err();
        let name = std::any::type_name::<T>();
        assert_eq!(error, Some(DecodeError::Truncated), "{name} with a promise of {length} elements");
    }
}

#[derive(Deserialize)]
struct Blob(
    #[expect(dead_code)]
    #[serde(with = "labgob::bytes")]
    Vec<u8>,
);

#[test]
fn promised_lengths_are_not_believed() {
    assert_truncated::<String>();
    assert_truncated::<Box<str>>();
    assert_truncated::<Blob>();
    assert_truncated::<Vec<u8>>();
    assert_truncated::<Vec<u64>>();
    assert_truncated::<Vec<[u64; 32]>>();
    assert_truncated::<Vec<String>>();
    assert_truncated::<Vec<Vec<Vec<u8>>>>();
    assert_truncated::<VecDeque<u128>>();
    assert_truncated::<HashMap<u64, u64>>();
    assert_truncated::<BTreeMap<String, String>>();
    assert_truncated::<HashSet<Vec<u8>>>();
}

/// The element that reserves: each level may trust a hint for a moment, and no level may trust all of it.
#[test]
fn nested_promises_are_not_believed_either() {
    let bytes: Vec<u8> = (0..40).flat_map(|_| encode(&u64::MAX)).collect();
    type Nested = Vec<Vec<Vec<Vec<Vec<[u64; 32]>>>>>;
    assert_eq!(decode::<Nested>(&bytes).err(), Some(DecodeError::Truncated));
}

/// What a sequence would be told to reserve.
struct Hint(Option<usize>);

impl<'de> Deserialize<'de> for Hint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Hint, D::Error> {
        struct HintVisitor;
        impl<'de> serde::de::Visitor<'de> for HintVisitor {
            type Value = Hint;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a sequence")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, access: A) -> Result<Hint, A::Error> {
                Ok(Hint(access.size_hint()))
            }
        }
        deserializer.deserialize_seq(HintVisitor)
    }
}

#[test]
fn room_is_reserved_for_few_elements_on_the_word_of_a_length() {
    let hint = |length| decode::<Hint>(&promise(length, &[])).expect("only the length is read").0;
    assert_eq!(hint(3), Some(3));
    assert_eq!(hint(u64::MAX), Some(64));
}

#[test]
fn elements_without_bytes_are_counted() {
    let most = decode::<Vec<()>>(&encode(&vec![(); MAX_EMPTY_ELEMENTS])).map(|units| units.len());
    assert_eq!(most, Ok(MAX_EMPTY_ELEMENTS));
    for length in [MAX_EMPTY_ELEMENTS as u64 + 1, u64::MAX] {
        assert!(matches!(decode::<Vec<()>>(&promise(length, &[])), Err(DecodeError::Invalid(_))));
        assert!(matches!(decode::<HashMap<(), ()>>(&promise(length, &[])), Err(DecodeError::Invalid(_))));
    }
}

/// A type that contains itself in a few ways.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Tuple(u8, Box<Chain>),
    Struct { next: Option<Box<Chain>> },
    Many(Vec<Chain>),
}

#[test]
fn bytes_do_not_decide_how_deep_the_stack_grows() {
    let hostile: [&[u8]; 3] = [&[1, 9], &[2, 1], &[3, 1]];
    for pattern in hostile {
        let error = decode::<Chain>(&pattern.repeat(1_000_000)).err();
        let expected = DecodeError::Invalid(format!("nested deeper than {MAX_DEPTH} levels"));
        assert_eq!(error, Some(expected), "with the pattern {pattern:?}");
    }
}

/// Simulated threads have small stacks: the deepest value that is allowed must fit one of 64 KiB.
#[test]
fn the_deepest_value_fits_a_small_stack() {
    let mut chain = Chain::End;
    for _ in 0..MAX_DEPTH / 2 - 1 {
        chain = Chain::Tuple(7, Box::new(chain));
    }
    let bytes = encode(&chain);
    let small = std::thread::Builder::new().stack_size(64 * 1024);
    let thread = small.spawn(move || decode::<Chain>(&bytes)).expect("a thread can be started");
    assert_eq!(thread.join().expect("the stack suffices"), Ok(chain));
}

#[test]
fn errors_say_what_is_wrong() {
    let reason = |error: Option<DecodeError>| error.expect("the bytes are wrong").to_string();
    assert_eq!(reason(decode::<u64>(&[]).err()), "the bytes end before the value does");
    assert_eq!(reason(decode::<u8>(&[1, 2, 3]).err()), "2 bytes are left over behind a value of 1 bytes");
    assert!(reason(decode::<bool>(&[2]).err()).contains("2"));
    assert!(reason(decode::<char>(&[255, 255]).err()).contains("no such value"));
    assert!(reason(decode::<String>(&[2, 0xC3, 0x28]).err()).contains("utf-8"));
    assert!(reason(decode::<Shape>(&[77]).err()).contains("77"));
    assert!(reason(decode::<Option<u8>>(&[2]).err()).contains("Option"));
    assert!(reason(decode::<u8>(&[]).err()).contains("end before"));
}
