//! The tests of primary/backup virtual machines: part A replays recorded runs, part B is two hosts and their
//! failures. The directed tests and the lecture's stories follow.

mod bad_input;
mod cluster;
mod directed_b;
mod directed_c;
mod part_a;
mod part_b;
// handout: drop
mod raft_arbiter;
// handout: end
mod recording;
mod stories;
mod values;
mod watch;
