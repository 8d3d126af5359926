//! stub
mod client;
mod invariants;
mod peers;
mod rpc;
mod server;
mod state;
mod tenure;

pub use client::{Clerk, TooLarge};
pub use peers::MakeEnd;
pub use rpc::{Content, Handover, KvError, PullError, ShardPeer, ShardRpc, key_to_shard};
pub use server::{Setup, ShardServer};
pub use state::{Command, Errand, Group, Reply, TenureView};
pub use tenure::Stage;
