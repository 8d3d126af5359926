//! The tests of the sharded key/value service: a group's rules by themselves (`life`,
//! `any_order`), parts 4B and 4C (the challenges) on a cluster, and directed tests that stage rare
//! interleavings (`directed_…`).

// handout: drop classic
mod any_order;
// handout: end
mod callers;
mod challenges_4c;
mod clients;
mod cluster;
mod concurrent_4b;
mod costly;
mod custody;
mod deposed_4b;
mod directed_4b;
mod directed_4c;
mod even;
// handout: drop
mod figures;
// handout: end
mod ledger;
// handout: drop classic
mod life;
mod own_messages;
// handout: end
mod part_4b;
// handout: drop
mod unwatched;
// handout: end
