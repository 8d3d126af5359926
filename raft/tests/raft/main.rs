//! The tests of the Raft lab: the rules by themselves (`figure…`), and the parts 2A to 2D
//! on a cluster.

// handout: drop classic
mod any_order;
mod bare;
// handout: end
mod catching_up;
mod churn;
mod deposed;
mod directed_2a;
mod directed_2b;
mod directed_2c;
mod directed_2d;
// handout: drop
mod disturbance;
// handout: end
mod even;
mod field;
// handout: drop classic
mod figure13;
mod figure2;
mod figure2_servers;
mod figure7;
mod figure8;
mod message_sizes;
// handout: end
mod moments;
mod part_2a;
mod part_2b;
mod part_2b_counts;
mod part_2c;
mod part_2d;
mod partial;
// handout: drop
mod pipelining;
mod reads;
// handout: end
mod slow;
mod snapshot_crash;
mod snapshots;
mod waiting;
