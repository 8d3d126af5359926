//! Names of files: one place, since coordinator, workers and tests must agree on them.
//!
//! | file | name | who may see it |
//! |---|---|---|
//! | intermediate, of one attempt of a map | `mr-X-Y.A`: map X, partition Y, attempt A | reducers, once the coordinator has picked attempt A |
//! | being written | `mr-tmp-…` | nobody but its writer |
//! | output | `mr-out-Y` | everybody: it is complete |
//!
//! An intermediate file carries its attempt because two attempts of a map may run at
//! once, and the losing one's files must be deletable without touching the winner's
//! (paper, §3.3). Partitions without a pair have no file.

/// Begins the names of output files.
pub const OUTPUT_PREFIX: &str = "mr-out-";

/// Begins the names of files that are being written. What is left of them when a job ends
/// belongs to dead attempts.
pub const TEMPORARY_PREFIX: &str = "mr-tmp-";

/// The intermediate file of one attempt of map `map` for reduce `partition`.
pub fn intermediate(map: usize, partition: usize, attempt: u32) -> String {
    format!("mr-{map}-{partition}.{attempt}")
}

/// The output file of reduce `partition`.
pub fn output(partition: usize) -> String {
    format!("{OUTPUT_PREFIX}{partition}")
}

/// A name for what will be `name`, while it is being written by this attempt.
pub fn temporary(name: &str, attempt: u32) -> String {
    format!("{TEMPORARY_PREFIX}{name}-{attempt}")
}

/// Begins the names of the runs that attempts of this map have spilled.
pub fn temporary_runs(map: usize) -> String {
    format!("{TEMPORARY_PREFIX}run-{map}-")
}

/// Whether a temporary name is of this attempt.
pub fn is_of_attempt(name: &str, attempt: u32) -> bool {
    name.rsplit_once('-').is_some_and(|(_, number)| number.parse() == Ok(attempt))
}

/// Whether this is the name of an intermediate file, of any map, partition and attempt.
pub fn is_intermediate(name: &str) -> bool {
    let parse = || {
        let (map, rest) = name.strip_prefix("mr-")?.split_once('-')?;
        let (partition, attempt) = rest.split_once('.')?;
        Some((map.parse::<u32>().ok()?, partition.parse::<u32>().ok()?, attempt.parse::<u32>().ok()?))
    };
    parse().is_some()
}

/// Whether a file of this name is made by a job, and not a part of its input. An input
/// file with such a name can be called `./mr-…`.
pub fn is_own(name: &str) -> bool {
    name.starts_with("mr-") && !name.contains('/')
}

/// The partition whose output file has this name.
pub fn partition_of_output(name: &str) -> Option<usize> {
    name.strip_prefix(OUTPUT_PREFIX)?.parse().ok()
}
