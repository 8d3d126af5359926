//! The network of the labs: remote procedure calls that can be lost, delayed, reordered and repeated.
#![forbid(unsafe_code)]

mod calls;
mod delay;
mod end;
mod error;
mod name;
mod network;
mod path;
mod rules;
mod service;
mod shared;
mod tap;

pub use delay::DelayModel;
pub use end::{Caller, ClientEnd};
pub use error::RpcError;
pub use labgob::DecodeError;
pub use name::Name;
pub use network::Network;
pub use service::{Server, Service};
pub use tap::{Direction, TapAction, TapEvent};
