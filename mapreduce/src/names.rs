//! Names of files, in one place, since coordinator, workers and tests must agree on them.
//!
//! | file | name | visible to |
//! |---|---|---|
//! | intermediate file of one attempt of a map | `mr-X-Y.A`: map X, partition Y, attempt A | reducers, once the coordinator has accepted attempt A |
//! | file that is being written | `mr-tmp-…` | its writer only |
//! | output | `mr-out-Y` | all users: it is complete |
//!
//! An intermediate file carries its attempt because two attempts of a map may run at once, and a worker must
//! be able to delete the files of the losing attempt without touching the winner's (paper, §3.3). Partitions
//! without a pair have no file. In part 1B a reducer's copy has the same name on its own disk as the file has
//! on the mapper's: a worker runs one reduce at a time.

/// Begins the names of output files.
pub const OUTPUT_PREFIX: &str = "mr-out-";

/// Begins the names of files that are being written. Those that are left when a job ends belong to dead
/// attempts.
pub const TEMPORARY_PREFIX: &str = "mr-tmp-";

/// The intermediate file of one attempt of map `map` for reduce `partition`.
pub fn intermediate(map: usize, partition: usize, attempt: u32) -> String {
    format!("mr-{map}-{partition}.{attempt}")
}

/// The output file of reduce `partition`.
pub fn output(partition: usize) -> String {
    format!("{OUTPUT_PREFIX}{partition}")
}

/// The name under which this attempt writes what will be `name`.
pub fn temporary(name: &str, attempt: u32) -> String {
    format!("{TEMPORARY_PREFIX}{name}-{attempt}")
}

/// Whether a job makes files of this name, so that none of its input files may have it. An input file with
/// such a name can be called `./mr-…`.
pub fn is_own(name: &str) -> bool {
    name.starts_with("mr-") && !name.contains('/')
}

/// The partition whose output file has this name.
pub fn partition_of_output(name: &str) -> Option<usize> {
    let partition = name.strip_prefix(OUTPUT_PREFIX)?.parse().ok()?;
    // `mr-out-007` and `mr-out-+7` are names that no job gives.
    (output(partition) == name).then_some(partition)
}
