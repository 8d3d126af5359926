// handout: file guided
//! Tests of this solution's rules by themselves, without a cluster. They use this solution's own
//! types, so they are a test target of their own, and another solution does without it.

#[path = "../shardctrler/fewest_moves.rs"]
mod fewest_moves;
mod rebalancing;
