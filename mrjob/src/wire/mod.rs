//! The lab's services over real sockets.
//!
//! A connection begins with a *hello* of twelve bytes (the letters `MR-6.824` and the version of this format)
//! and a frame with the job's [`Token`]. The server answers with a frame that says whether it accepts the
//! client. So it refuses a worker of another version or another job, or an unrelated program, before it reads
//! any message from it. Then requests (method and arguments) and replies follow in turn, each in a frame with
//! its length in front. A client with several calls at a time has as many connections.
//!
//! The server does not trust its input: lengths are bounded, decoding is [`labgob`]'s, and bytes that cannot
//! be decoded end only their own connection.

mod address;
mod client;
mod frame;
mod server;
mod token;

pub use address::{Address, AddressError, Stream};
pub use client::Link;
pub use frame::{HELLO, HELLO_LENGTH, Request, Response, WIRE_VERSION, read_frame, write_frame};
pub use server::{Connections, Listener};
pub use token::Token;
