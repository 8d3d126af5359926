//! Secrets: what begins each report of one process, and where a batch's seeds begin.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use lab_terminal::Failure;
use sha2::{Digest, Sha256};

/// A new one, from the randomness that std draws for its hash maps: two times 64 bits.
pub(crate) fn draw() -> String {
    format!("{:016x}{:016x}", number(), number())
}

fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The first of a batch's seeds: from a file, so that another machine or another day has the same; otherwise
/// drawn. Far below the largest, so that any number of runs has room.
pub(crate) fn first_seed(file: Option<&Path>, lab: &str) -> Result<u64, Failure> {
    let Some(file) = file else { return Ok(number() >> 4) };
    let secret = fs::read(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
    if secret.trim_ascii().len() < 8 {
        return Err(Failure::new(format!(
            "{} holds less than 8 letters, which can be guessed",
            file.display()
        )));
    }
    let hash =
        Sha256::new().chain_update(lab).chain_update("\0").chain_update(secret.trim_ascii()).finalize();
    let bytes: [u8; 8] = std::array::from_fn(|at| hash[at]);
    Ok(u64::from_le_bytes(bytes) >> 4)
}
