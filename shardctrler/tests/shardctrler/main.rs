//! The tests of the shard controller: rebalancing by itself (`rebalancing`), and part 4A on a
//! cluster.

mod bad_input_4a;
mod cluster;
mod directed_4a;
mod part_4a;
mod rebalancing;
