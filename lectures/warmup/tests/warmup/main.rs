//! The tests of the warm-up lab: a module for each part, and what the parts share. They know a solution
//! through its public functions and types alone.

mod part_a;
mod part_b;
mod part_b_more;
mod part_c;
mod part_c_crashes;
mod part_c_lives;
mod schedules;
mod server;
mod site;
mod weather;
