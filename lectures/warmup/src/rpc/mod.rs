//! Part 0C: what a call promises. A client's [`Stub`] and a server's [`Dispatcher`] around a network that
//! loses, delays, reorders and repeats messages.

mod cache;
mod dispatcher;
mod key_value;
mod message;
mod stub;
mod wire;

pub use cache::{Admission, ReplyCache};
pub use dispatcher::{Dispatcher, Guarantee, Handler};
pub use key_value::{Clerk, KeyValue};
pub use message::{ClientId, Outcome, Rejection, Reply, Request, Rpc, RpcClient};
pub use stub::{CallError, Mode, RESEND, Stub};
pub use wire::{Malformed, Value, decode, encode};
