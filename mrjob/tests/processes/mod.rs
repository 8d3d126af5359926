//! Tests on real processes, over real sockets: the seven of the course's script, bad input, bad company,
//! files and folders as they are, coordinators that are killed, reports, and several machines.

mod bad_company;
mod bad_input;
mod changes;
mod course;
mod faults;
mod files;
mod folders;
mod limits;
mod machines;
mod report;
mod resume;
mod stage;
