//! How the labs turn values into bytes and back.
//!
//! Everything that leaves a server (an RPC's arguments and reply, the state that Raft persists, a snapshot)
//! passes through this crate, as it passes through `labgob` in the course. So no two servers ever share
//! memory, and the size of a message is a number that tests can bound.
//!
//! # What to read
//!
//! [`encode`] and [`decode`] are all that a lab needs. [`decode_prefix`] reads one record off the front of a
//! longer log, [`encode_into`] appends to a buffer that is already there, [`encoded_size`] counts without
//! writing. A field of type `Vec<u8>` that may grow large should carry `#[serde(with = "labgob::bytes")]`:
//! the same bytes, copied at once instead of one by one. The module `guard` is the fence between hostile
//! bytes and the decoder.
//!
//! # The format
//!
//! Values are described by serde and written by bincode with its *standard* configuration: little endian, and
//! integers of variable length (one byte below 251, signed ones zigzag first). The other choice, integers of
//! fixed length, would be a little faster and much larger: terms, indices and lengths are nearly always
//! small. The course's encoder writes short integers too, so the bounds that its tests put on bytes and on
//! log sizes keep their meaning here. Nothing describes itself: no field names, no type tags. The reader must
//! ask for the type that was written.
//!
//! Equal values give equal bytes as long as they iterate in equal order: use `BTreeMap` rather than `HashMap`
//! in whatever replicas compare.
//!
//! # Bytes that cannot be trusted
//!
//! A torn disk or a garbled message must become an error value ([`DecodeError`]), never a panic, never an
//! allocation out of proportion to the input, never a loop out of proportion to it. The module `guard` says
//! how.
//!
//! # What is left out
//!
//! * Versions and schema evolution: all servers of a lab are built from one source.
//! * Serde's `flatten`, `untagged`, internally tagged enums and skipped fields: they need a self-describing
//!   format, and a reader of this one would lose its place. [`encode`] cannot see that they are used; the
//!   first round trip shows it.
//! * Cycles and values nested deeper than [`MAX_DEPTH`]: [`encode`] writes the latter, and nobody can read
//!   them back. A list whose elements own the next one is such a value from 32 elements on; a `Vec` is
//!   none.
#![forbid(unsafe_code)]

mod error;
mod guard;

pub mod bytes;

pub use error::DecodeError;
pub use guard::{MAX_DEPTH, MAX_EMPTY_ELEMENTS};

use bincode::config;
use bincode::enc::write::{SizeWriter, Writer};
use bincode::error::EncodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// See "The format" above. Decoding needs no limit of bincode's own: `guard` is stricter.
const CONFIG: config::Configuration = config::standard();

/// Room for an encoded value before its buffer grows for the first time. Most messages of the labs fit, and
/// the allocator hands out this size as cheaply as a smaller one.
const FIRST_CAPACITY: usize = 64;

/// The bytes of `value`.
///
/// # Panics
///
/// If the value cannot be written at all: an iterator of unknown length serialised as a sequence, or a
/// `Serialize` implementation that reports an error of its own. Both are mistakes in the program and not in
/// its input.
#[track_caller]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIRST_CAPACITY);
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the bytes of `value` to `buffer`, for a log of several records or a buffer that is used again.
///
/// # Panics
///
/// As [`encode`]. The buffer then ends with a part of the value.
#[track_caller]
pub fn encode_into<T: Serialize + ?Sized>(value: &T, buffer: &mut Vec<u8>) {
    write(value, Appender(buffer));
}

/// How many bytes [`encode`] would give, without writing them.
///
/// # Panics
///
/// As [`encode`].
#[track_caller]
pub fn encoded_size<T: Serialize + ?Sized>(value: &T) -> usize {
    let mut writer = SizeWriter::default();
    write(value, &mut writer);
    writer.bytes_written
}

/// The value that `bytes`, all of them, stand for.
///
/// # Errors
///
/// [`DecodeError::Truncated`] if the bytes end too soon, [`DecodeError::Trailing`] if some are left over,
/// [`DecodeError::Invalid`] if they cannot stand for a `T`. A garbled value that happens to be a valid `T` is
/// not noticed: the format holds no checksum.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, used) = decode_prefix(bytes)?;
    match bytes.len() - used {
        0 => Ok(value),
        extra => Err(DecodeError::Trailing { used, extra }),
    }
}

/// The value at the front of `bytes`, and how many bytes it took. What follows is the caller's: the next
/// record of a write-ahead log, for instance.
///
/// # Errors
///
/// [`DecodeError::Truncated`] or [`DecodeError::Invalid`], as for [`decode`].
pub fn decode_prefix<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    let (guarded, used): (guard::Guarded<T>, usize) =
        bincode::serde::borrow_decode_from_slice(bytes, CONFIG)?;
    Ok((guarded.0, used))
}

/// Writes `value` into a writer that cannot fail, so that whatever fails is the value itself.
#[track_caller]
fn write<T: Serialize + ?Sized>(value: &T, writer: impl Writer) {
    if let Err(error) = bincode::serde::encode_into_writer(value, writer, CONFIG) {
        panic!("labgob cannot encode a value of type {}: {error}", std::any::type_name::<T>());
    }
}

/// A writer that grows a buffer it does not own; bincode's own one would have to be given the buffer.
struct Appender<'a>(&'a mut Vec<u8>);

impl Writer for Appender<'_> {
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
