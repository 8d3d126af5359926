//! The tests of the coordination service: part A the tree and the order of operations, part B reads and
//! watches, part C sessions and faults, part D what clients build. Directed tests follow.

mod cluster;
mod directed;
mod directed_client;
mod directed_moves;
mod directed_sessions;
mod directed_syncs;
mod directed_times;
mod directed_watches;
mod model;
mod part_a;
mod part_b;
mod part_c;
mod part_d;
mod part_d_locks;
mod recipes_late;
mod recipes_more;
mod watch;
