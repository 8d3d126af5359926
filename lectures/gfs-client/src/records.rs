//! What applications need on top of appends (§2.7.2): records that tell whether they are whole, and whether
//! they were read before.
//!
//! ```text
//! magic (4) length (4) checksum (4) writer (8) number (8) | payload
//! ```
//!
//! The checksum covers what is behind it, and the length. A reader looks for records in each chunk and skips
//! what is none: padding, and what an append has left that failed on the way.

// handout: drop classic
use std::collections::BTreeSet;

// handout: end
use crate::client::{Client, Error};

// handout: drop classic
/// What a record begins with. It is no proof, only what a reader looks for: the checksum decides.
const MAGIC: &[u8; 4] = b"\xF5rec";
/// Bytes before the payload.
const HEAD: usize = 28;
/// Behind a file's name: the name of the file that says how much of it is valid.
const CHECKPOINT: &str = ".checkpoint";

// handout: end
/// A record's number: its writer, drawn at random, and its number among the writer's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The writer.
    pub writer: u64,
    /// From 1.
    pub number: u64,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub id: RecordId,
    /// What the application wrote.
    pub payload: Vec<u8>,
}

// handout: drop classic
fn number<const BYTES: usize>(bytes: &[u8], at: usize) -> Option<[u8; BYTES]> {
    bytes.get(at..at + BYTES)?.try_into().ok()
}

// handout: end
// handout: bodies GB
impl Record {
    /// The record as it stands in a file.
    pub fn encode(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_le_bytes();
        let body = [&self.id.writer.to_le_bytes()[..], &self.id.number.to_le_bytes(), &self.payload].concat();
        let sum = crc32fast::hash(&[&length[..], &body].concat()).to_le_bytes();
        [&MAGIC[..], &length, &sum, &body].concat()
    }

    /// The whole record at the beginning of these bytes, and its length there; None if there is none, or only
    /// a part. Whatever the bytes are, nothing worse happens: a length that is nonsense is longer than the
    /// rest.
    pub fn decode(bytes: &[u8]) -> Option<(Record, usize)> {
        let length = number(bytes, 4)?;
        let end = HEAD.checked_add(u32::from_le_bytes(length) as usize)?;
        let body = bytes.get(12..end)?;
        let sum = crc32fast::hash(&[&length[..], body].concat()).to_le_bytes();
        let id = RecordId {
            writer: u64::from_le_bytes(number(bytes, 12)?),
            number: u64::from_le_bytes(number(bytes, 20)?),
        };
        let is_whole = bytes.starts_with(MAGIC) && sum == bytes[8..12];
        is_whole.then(|| (Record { id, payload: bytes[HEAD..end].to_vec() }, end))
    }
}

/// Appends records with numbers.
#[derive(Clone, Debug)]
pub struct RecordWriter {
    // handout: drop classic
    writer: u64,
    number: u64,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

impl Default for RecordWriter {
    fn default() -> Self {
        RecordWriter { writer: labrt::rand::random(), number: 0 }
    }
}

impl RecordWriter {
    /// Appends a record, at least once. Returns its number, and where it is for sure. An error leaves it open
    /// whether it is there; the next record has another number, so that readers can tell the two apart.
    ///
    /// # Errors
    /// As [`Client::append`].
    pub fn append(
        &mut self,
        client: &mut Client,
        path: &str,
        payload: &[u8],
    ) -> Result<(RecordId, u64), Error> {
        self.number += 1;
        let id = RecordId { writer: self.writer, number: self.number };
        let record = Record { id, payload: payload.to_vec() }.encode();
        client.append(path, &record).map(|offset| (id, offset))
    }
}

/// All records in these bytes, also those that are there twice, each with its place. Where a record is broken
/// the search goes on one byte further, since a whole one may stand in the broken one's supposed payload.
pub fn scan(bytes: &[u8]) -> Vec<(usize, Record)> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match Record::decode(&bytes[at..]) {
            Some((record, length)) => {
                records.push((at, record));
                at += length;
            }
            // On to where the next record may begin.
            None => {
                let rest = &bytes[at + 1..];
                at += 1 + rest.iter().position(|byte| *byte == MAGIC[0]).unwrap_or(rest.len());
            }
        }
    }
    records
}

/// The records of a file, each once, in the order of the file.
///
/// # Errors
/// As [`Client::read`].
pub fn read_records(client: &mut Client, path: &str) -> Result<Vec<Record>, Error> {
    Ok(once(&client.read_all(path)?))
}

/// The first copy of each record counts. They are equal, so it does not matter which.
fn once(bytes: &[u8]) -> Vec<Record> {
    let mut seen = BTreeSet::new();
    let records = scan(bytes).into_iter().map(|(_, record)| record);
    records.filter(|record| seen.insert(record.id)).collect()
}

/// Says that the first `valid` bytes of a file are what readers may use. The file with that number appears by
/// a rename, whole: a reader in the middle of this sees the old number or the new one.
///
/// # Errors
/// As [`Client::write`] and [`Client::publish`].
pub fn write_checkpoint(client: &mut Client, path: &str, valid: u64) -> Result<(), Error> {
    let temporary = format!("{path}{CHECKPOINT}.{:016x}", labrt::rand::random::<u64>());
    client.create(&temporary)?;
    client.write(&temporary, 0, &valid.to_le_bytes())?;
    client.publish(&temporary, &format!("{path}{CHECKPOINT}"))
}

/// As [`read_records`], but only up to what the writer's checkpoint says. So a reader beside a writer never
/// sees the end of a file in the making (§2.7.2); what it reads once it reads again next time, as a prefix.
///
/// # Errors
/// As [`Client::read`]; without a checkpoint there is no such file.
pub fn read_to_checkpoint(client: &mut Client, path: &str) -> Result<Vec<Record>, Error> {
    let checkpoint = client.read_all(&format!("{path}{CHECKPOINT}"))?;
    let valid = number(&checkpoint, 0).map_or(0, u64::from_le_bytes);
    Ok(once(&client.read(path, 0, usize::try_from(valid).unwrap_or(usize::MAX))?))
}
