// handout: file guided
//! The form of a snapshot on the disk and between servers: the machine's bytes, the log index
//! up to which they reach, and a checksum over both.
//!
//! A server that started from half a snapshot would be a replica that has lost commands, and
//! no test would see it. So a server does not start with a damaged snapshot.

use std::fmt;

/// Length of index and checksum. They stand behind the machine's bytes, so that sealing does
/// not copy them.
const TRAILER: usize = 8 + 4;

/// Why some bytes are not a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Fewer bytes than the shortest snapshot has.
    TooShort,
    /// Other bytes than those that were written.
    Checksum,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Damage::TooShort => "it is cut short",
            Damage::Checksum => "its checksum is wrong: it is cut short or corrupted",
        })
    }
}

// handout: bodies RSM
/// Makes a snapshot of a machine's bytes after it has applied everything up to `index`.
pub(crate) fn seal(mut machine: Vec<u8>, index: u64) -> Vec<u8> {
    machine.reserve_exact(TRAILER);
    machine.extend_from_slice(&index.to_le_bytes());
    let checksum = crc32fast::hash(&machine);
    machine.extend_from_slice(&checksum.to_le_bytes());
    debug_assert!(
        open(&machine).is_ok_and(|(sealed, _)| sealed == index),
        "the snapshot would not open again"
    );
    machine
}

/// The index up to which a snapshot reaches, and the machine's bytes.
pub(crate) fn open(snapshot: &[u8]) -> Result<(u64, &[u8]), Damage> {
    let (sealed, checksum) = snapshot.split_last_chunk::<4>().ok_or(Damage::TooShort)?;
    let (machine, index) = sealed.split_last_chunk::<8>().ok_or(Damage::TooShort)?;
    if crc32fast::hash(sealed) != u32::from_le_bytes(*checksum) {
        return Err(Damage::Checksum);
    }
    debug_assert_eq!(machine.len() + TRAILER, snapshot.len(), "the trailer is a fixed number of bytes");
    Ok((u64::from_le_bytes(*index), machine))
}

// handout: bodies kept
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_snapshot_opens() {
        assert_eq!(open(&seal(b"machine".to_vec(), 7)), Ok((7, b"machine".as_slice())));
        assert_eq!(open(&seal(Vec::new(), 0)), Ok((0, [].as_slice())));
    }

    #[test]
    fn all_damage_is_noticed() {
        let sealed = seal(b"machine".to_vec(), 7);
        for length in 0..sealed.len() {
            assert!(open(&sealed[..length]).is_err(), "cut to {length} bytes");
        }
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&damaged), Err(Damage::Checksum), "bit {bit} flipped");
        }
    }
}
