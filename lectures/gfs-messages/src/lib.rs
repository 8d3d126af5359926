//! What the processes of the lecture's file system say to each other, and the sizes and times that all of
//! them know. The crate `gfs` has the servers, and begins with how it all works; `gfs-client` has the client.

pub mod path;
pub mod rpc;
mod settings;

pub use rpc::{ChunkError, MasterError};
pub use settings::{Settings, TRIES};
