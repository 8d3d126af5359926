//! The tests of the sharded key/value service: part 4B, and situations that chance brings
//! about too rarely (`directed_4b`).

mod challenges_4b;
mod clients;
mod cluster;
mod concurrent_4b;
mod costly;
mod custody;
mod directed_4b;
mod figures_4b;
mod part_4b;
