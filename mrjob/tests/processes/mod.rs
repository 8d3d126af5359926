//! Tests on real processes, over real sockets: the seven of the course's script, bad input, and bad company.

mod bad_company;
mod bad_input;
mod course;
mod faults;
mod limits;
mod stage;
