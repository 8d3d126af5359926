//! The form in which a snapshot lies on the disk and travels between servers: the machine's
//! bytes, the log index up to which they reach, and a checksum over both.
//!
//! A server that starts from half a snapshot would be a replica that has forgotten what it
//! promised, and would look perfectly well. So a damaged one is refused, loudly.

use std::fmt;

/// Length of what stands behind the machine's bytes: index and checksum. Behind and not
/// before them, so that sealing copies nothing.
const TRAILER: usize = 8 + 4;

/// Why some bytes are no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// There are fewer bytes than the shortest snapshot has.
    TooShort,
    /// The bytes are not those that were written.
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

/// Makes a snapshot of a machine's bytes after it has applied everything up to `index`.
pub(crate) fn seal(mut machine: Vec<u8>, index: u64) -> Vec<u8> {
    machine.reserve_exact(TRAILER);
    machine.extend_from_slice(&index.to_le_bytes());
    let checksum = crc32fast::hash(&machine);
    machine.extend_from_slice(&checksum.to_le_bytes());
    machine
}

/// The index up to which a snapshot reaches, and the machine's bytes.
pub(crate) fn open(snapshot: &[u8]) -> Result<(u64, &[u8]), Damage> {
    let (sealed, checksum) = snapshot.split_last_chunk::<4>().ok_or(Damage::TooShort)?;
    let (machine, index) = sealed.split_last_chunk::<8>().ok_or(Damage::TooShort)?;
    if crc32fast::hash(sealed) != u32::from_le_bytes(*checksum) {
        return Err(Damage::Checksum);
    }
    Ok((u64::from_le_bytes(*index), machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened() {
        assert_eq!(open(&seal(b"machine".to_vec(), 7)), Ok((7, b"machine".as_slice())));
        assert_eq!(open(&seal(Vec::new(), 0)), Ok((0, [].as_slice())));
    }

    #[test]
    fn no_damage_goes_unnoticed() {
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
