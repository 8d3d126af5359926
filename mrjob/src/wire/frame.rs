//! The format of a connection.
//!
//! A frame is the length of a value in four bytes, lowest byte first, and the value in the encoding of
//! `labgob`.

use std::io::{self, ErrorKind, Read, Write};

use serde::{Deserialize, Serialize};

/// The version of this format. The messages of workers and coordinators have a version of their own
/// ([`mapreduce::rpc::PROTOCOL_VERSION`]).
pub const WIRE_VERSION: u32 = 2;

/// The first bytes of a hello. The version follows, lowest byte first.
pub const HELLO: &[u8; 8] = b"MR-6.824";

/// Length of a hello.
pub const HELLO_LENGTH: usize = HELLO.len() + size_of::<u32>();

/// The longest frame that a process reads. The longest message lists the sources of a reduce; 20,000 sources
/// take a fraction of this.
const LONGEST_FRAME: u32 = 64 << 20;

/// How much of a frame is read at once, so that a frame takes memory for the bytes that arrived, not for the
/// length that it claims.
const PIECE: usize = 64 << 10;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its full name, `"Service.method"`.
    pub method: String,
    /// Encoded.
    #[serde(with = "labgob::bytes")]
    pub args: Vec<u8>,
}

/// The answer to a request, and to a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The encoded reply; empty for a hello.
    Done(#[serde(with = "labgob::bytes")] Vec<u8>),
    /// The server refuses the hello or the call, for this reason, and closes the connection.
    Refused(String),
}

/// The hello of a version.
pub(super) fn hello(version: u32) -> [u8; HELLO_LENGTH] {
    let mut bytes = [0; HELLO_LENGTH];
    bytes[..HELLO.len()].copy_from_slice(HELLO);
    bytes[HELLO.len()..].copy_from_slice(&version.to_le_bytes());
    bytes
}

/// Writes a value in a frame.
///
/// # Errors
/// The stream's.
pub fn write_frame<T: Serialize>(stream: &mut impl Write, value: &T) -> io::Result<()> {
    let mut frame = vec![0; size_of::<u32>()];
    labgob::encode_into(value, &mut frame);
    let length = u32::try_from(frame.len() - size_of::<u32>()).ok().filter(|&length| length <= LONGEST_FRAME);
    let length = length.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the message is too long"))?;
    frame[..size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
    // One write: two would be two packets, and would wake the other side twice.
    stream.write_all(&frame)
}

/// Reads a value in a frame.
///
/// # Errors
/// The stream's, and [`ErrorKind::InvalidData`] if the bytes are not such a frame.
pub fn read_frame<T: for<'de> Deserialize<'de>>(stream: &mut impl Read) -> io::Result<T> {
    read_frame_up_to(stream, LONGEST_FRAME)
}

/// Reads a value in a frame of at most this many bytes, for clients that have not sent a token yet.
pub(super) fn read_frame_up_to<T: for<'de> Deserialize<'de>>(
    stream: &mut impl Read,
    longest: u32,
) -> io::Result<T> {
    let mut length = [0; size_of::<u32>()];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > longest {
        return Err(io::Error::new(ErrorKind::InvalidData, "a frame that is too long"));
    }
    let mut frame = Vec::new();
    while frame.len() < length as usize {
        let start = frame.len();
        frame.resize((start + PIECE.max(start)).min(length as usize), 0);
        stream.read_exact(&mut frame[start..])?;
    }
    labgob::decode(&frame).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_are_written() {
        let request = Request { method: "A.b".to_owned(), args: vec![7; 300_000] };
        let mut stream = Vec::new();
        write_frame(&mut stream, &request).unwrap();
        assert_eq!(read_frame::<Request>(&mut &stream[..]).unwrap(), request);
        let cut = read_frame::<Request>(&mut &stream[..stream.len() - 1]);
        assert_eq!(cut.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_promised_length_costs_nothing() {
        let error = read_frame::<Request>(&mut &[0xff; 100][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let mut promise = LONGEST_FRAME.to_le_bytes().to_vec();
        promise.push(0);
        assert_eq!(read_frame::<Request>(&mut &promise[..]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
