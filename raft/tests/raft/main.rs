//! The tests of the Raft lab: the rules by themselves (`figure…`), and the parts 2A to 2D
//! on a cluster.

mod any_order;
mod bare;
mod churn;
mod directed_2a;
mod directed_2b;
mod directed_2c;
mod directed_2d;
mod figure13;
mod figure2;
mod figure2_servers;
mod figure7;
mod figure8;
mod message_sizes;
mod part_2a;
mod part_2b;
mod part_2b_counts;
mod part_2c;
mod part_2d;
mod reads;
mod waiting;
