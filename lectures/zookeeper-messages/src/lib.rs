//! What the processes of the lecture's coordination service say to each other: operations, errors, events,
//! and the messages of clients and servers. The crate `zookeeper` has both, and begins with how it all works.

pub mod path;
pub mod rpc;
