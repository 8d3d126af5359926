//! The same services over real sockets.
//!
//! A connection begins with a *hello* of twelve bytes, the letters `MR-6.824` and the version of this format,
//! and a frame with the job's [`Token`]. The server answers with a frame that says whether it admits the
//! client. So a worker of another version or another job, or a program that wanted to talk to something else,
//! is told so before the server takes any of its bytes for a message. Then come frames, each with its length
//! in front: a request (method and arguments) and its reply, in turns. A client that makes several calls at a
//! time has as many connections.
//!
//! The server does not trust what arrives to be well formed: lengths are bounded, decoding is [`labgob`]'s,
//! and bytes that cannot be read end their own connection and no other.

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
