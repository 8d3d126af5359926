// handout: file never
//! Records with checksums: what was written to its end, and what a crash has torn.

use labgob::DecodeError;

use crate::persist::Record;

/// Why some bytes are not a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It is the last one, and was not written to its end.
    Torn,
    /// It is not what was written.
    Damaged(String),
}

/// Adds a record and its checksum.
pub(crate) fn add_record(record: &Record<'_>, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    labgob::encode_into(record, bytes);
    let checksum = crc32fast::hash(&bytes[start..]);
    bytes.extend_from_slice(&checksum.to_le_bytes());
}

/// The record at the front, and its length with the checksum.
pub(crate) fn read_record(bytes: &[u8]) -> Result<(Record<'static>, usize), Bad> {
    let (record, used) = match labgob::decode_prefix::<Record<'static>>(bytes) {
        Ok(read) => read,
        Err(DecodeError::Truncated) => return Err(Bad::Torn),
        Err(error) => return Err(Bad::Damaged(error.to_string())),
    };
    let checksum = bytes[used..].first_chunk::<4>().ok_or(Bad::Torn)?;
    let end = used + checksum.len();
    if crc32fast::hash(&bytes[..used]) == u32::from_le_bytes(*checksum) {
        return Ok((record, end));
    }
    // Zeros in the place of a length make a record look shorter than it is.
    let is_last = bytes[end..].iter().all(|&byte| byte == 0);
    Err(if is_last { Bad::Torn } else { Bad::Damaged("a checksum is wrong".to_owned()) })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use bytes::Bytes;
    use labapi::Persister;

    use super::*;
    use crate::persist::Persistent;
    use crate::rpc::Entry;

    fn entries(term: u64, count: usize) -> Vec<Entry> {
        vec![Entry { term, command: Bytes::from_static(b"command!") }; count]
    }

    /// Wherever a record is torn, those before it are read, and it is cut off before the next is written.
    #[test]
    fn a_torn_record_is_dropped() {
        let records = [
            Record::HardState { current_term: 300, voted_for: Some(1) },
            Record::Entries(Cow::Owned(entries(300, 300))),
            Record::Truncate { index: 70_000 },
            Record::Base { last_included_index: 9, last_included_term: 3 },
        ];
        for record in &records {
            let mut bytes = Vec::new();
            add_record(record, &mut bytes);
            for length in 1..bytes.len() {
                let mut with_zeros = bytes.clone();
                with_zeros[length..].fill(0);
                for torn in [&bytes[..length], &with_zeros].into_iter().filter(|torn| *torn != bytes) {
                    check_torn(torn);
                }
            }
        }
    }

    fn check_torn(torn: &[u8]) {
        let disk = Persister::new();
        Persistent::load(disk.clone()).advance_term(7);
        disk.append(torn);
        let mut persistent = Persistent::load(disk.clone());
        assert_eq!(persistent.current_term(), 7, "torn: {torn:?}");
        persistent.append(&entries(7, 1));
        assert_eq!(Persistent::load(disk).log(), persistent.log(), "torn: {torn:?}");
    }

    #[test]
    #[should_panic(expected = "a checksum is wrong")]
    fn a_damaged_record_with_others_behind_it_is_refused() {
        let disk = Persister::new();
        let mut persistent = Persistent::load(disk.clone());
        persistent.advance_term(7);
        persistent.append(&entries(7, 1));
        let mut bytes = disk.state();
        bytes[1] = 8;
        disk.save(&bytes, None);
        Persistent::load(disk);
    }

    /// What a mutator has returned from is never lost.
    #[test]
    fn every_mutator_syncs() {
        let disk = Persister::new();
        disk.lose_unsynced();
        let mut persistent = Persistent::load(disk.clone());
        let steps: [fn(&mut Persistent); 6] = [
            |persistent| persistent.advance_term(2),
            |persistent| persistent.vote_for(1),
            |persistent| persistent.advance_term_as_candidate(0),
            |persistent| persistent.append(&entries(3, 100)),
            |persistent| persistent.truncate(90, 89),
            |persistent| persistent.install_snapshot(80, 3, Bytes::from("eighty")),
        ];
        for (number, step) in steps.iter().enumerate() {
            let before = disk.writes();
            step(&mut persistent);
            assert!(disk.writes() > before, "step {number} wrote nothing");
            assert_eq!(disk.durable_writes(), disk.writes(), "step {number} did not sync");
        }
    }
}
