//! The tests of chain replication: part CA is a chain without failures, part CB what happens when something
//! fails, part CC reads at every node. The directed tests and the lecture's story follow.

mod cluster;
mod directed;
mod directed_epochs;
mod directed_rules;
mod model;
mod part_a;
mod part_b;
mod part_b_partitions;
mod part_c;
mod refusals;
mod reigns;
mod stories;
mod watch;
// handout: drop
mod zk_manager;
// handout: end
