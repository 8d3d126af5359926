//! Lab 1: MapReduce (Dean and Ghemawat, *MapReduce: Simplified Data Processing on Large Clusters*, OSDI 2004).

pub mod app;
pub mod apps;
pub mod directory;
pub mod names;
pub mod sequential;
pub mod store;
pub mod task;

pub mod wire;
pub mod zipf;

pub use app::Application;
pub use server::{Coordinator, Observer, Status, Summary};
pub use worker::Worker;
pub mod events;
mod fetch;
mod recovery;
mod reports;
pub mod rpc;
mod server;
pub mod state;
pub mod tasks;
pub mod worker;
