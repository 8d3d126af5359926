//! stub
mod client;
mod rpc;
mod server;
mod state;
mod tested;

pub use client::{Clerk, ClerkError};
pub use rpc::{KvError, MAX_KEY, MAX_VALUE, Operation};
pub use server::{KvServer, Reads};
pub use state::KeyValue;
