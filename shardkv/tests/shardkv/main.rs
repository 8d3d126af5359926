//! The tests of the sharded key/value service: a group's rules by themselves (`life`,
//! `any_order`), part 4B on a cluster, and directed tests that stage rare interleavings
//! (`directed_4b`).

mod any_order;
mod challenges_4b;
mod clients;
mod cluster;
mod concurrent_4b;
mod costly;
mod custody;
mod directed_4b;
mod figures_4b;
mod life;
mod part_4b;
