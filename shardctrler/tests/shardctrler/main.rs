//! The tests of the shard controller: part 4A on a cluster, and directed tests that stage rare
//! interleavings.

mod bad_input_4a;
mod cluster;
mod directed_4a;
mod fewest_moves;
mod part_4a;
// handout: drop
mod unwatched;
// handout: end
