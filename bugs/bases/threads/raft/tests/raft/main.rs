//! The tests of the Raft lab that any solution can be given: those on a cluster.

mod catching_up;
mod churn;
mod deposed;
mod directed_2a;
mod directed_2b;
mod directed_2c;
mod directed_2d;
mod even;
mod field;
mod moments;
mod part_2a;
mod part_2b;
mod part_2b_counts;
mod part_2c;
mod part_2d;
mod partial;
mod slow;
mod snapshot_crash;
mod snapshots;
mod waiting;
