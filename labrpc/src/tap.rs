//! The tap: a directed test sees every message and decides what becomes of it.

use std::time::Duration;

use crate::name::Name;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the caller to the server.
    Request,
    /// Back.
    Reply,
}

/// A message that is about to leave.
#[derive(Debug)]
pub struct TapEvent<'a> {
    /// Request or reply.
    pub direction: Direction,
    /// The end that the call was made on.
    pub end: &'a Name,
    /// The server that it goes to, or that it comes from.
    pub server: &'a Name,
    /// Service and method: `"RaftRpc.request_vote"`.
    pub method: &'static str,
    /// The encoded arguments or the encoded reply.
    pub bytes: &'a [u8],
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapAction {
    /// It goes on, with the delay that the network has chosen.
    Deliver,
    /// It is lost; the caller learns it when the message would have arrived.
    Drop,
    /// It arrives twice, each time with its own delay. A caller takes the first reply and drops the second,
    /// so this makes a difference for requests: the handler runs twice.
    Duplicate,
    /// It takes exactly this long.
    Delay(Duration),
}

/// The closure that a test sets.
pub(crate) type Tap = Box<dyn FnMut(&TapEvent<'_>) -> TapAction + Send>;
