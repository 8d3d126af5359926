//! The same services over real sockets.
//!
//! A connection begins with a *hello* of twelve bytes, the letters `MR-6.824` and the
//! version of this format, which the server answers with a frame that says whether it is
//! welcome. So a worker of another version, or somebody who wanted to talk to something
//! else, is told so and turned away before a byte of his is taken for a message. Then
//! come frames, each with its length in front: a request (method and arguments) and its
//! reply, in turns. A client that makes several calls at a time has as many connections.
//!
//! Nothing that arrives is trusted to be well formed: lengths are bounded, decoding is
//! [`labgob`]'s, and what cannot be read ends its own connection and no other. There is
//! no authentication; a coordinator belongs on a network of friends.

mod address;
mod client;
mod frame;
mod server;

pub use address::{Address, AddressError, Stream};
pub use client::Link;
pub use frame::{HELLO, HELLO_LENGTH, Request, Response, WIRE_VERSION, read_frame, write_frame};
pub use server::{Connections, Listener};
