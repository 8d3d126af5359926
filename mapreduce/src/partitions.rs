// handout: bodies kept
//! The partitions for which a map has written a file.

use serde::{Deserialize, Serialize};

/// A set of partitions, one bit each: the coordinator keeps one for each finished map (the paper's O(M × R)
/// state, §3.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSet {
    bits: Box<[u8]>,
}

impl PartitionSet {
    /// The partitions whose files are not empty, given the length of each partition's file.
    pub fn of_lengths(lengths: &[u64]) -> PartitionSet {
        let mut bits = vec![0; lengths.len().div_ceil(8)];
        for (partition, _) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            bits[partition / 8] |= 1 << (partition % 8);
        }
        PartitionSet { bits: bits.into() }
    }

    /// Whether the partition is in the set.
    pub fn contains(&self, partition: usize) -> bool {
        self.bits.get(partition / 8).is_some_and(|byte| byte >> (partition % 8) & 1 == 1)
    }
}
