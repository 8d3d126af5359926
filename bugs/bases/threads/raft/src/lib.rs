//! A second Raft, for the zoo: correct, and written in another way than the reference.
//!
//! The reference is a monitor with a fixed set of threads and one message at a time to each follower. So many
//! mistakes change nothing in it: a reply that comes late is dropped at its time-out, for instance. This Raft
//! is what many students write: a thread for each RPC with long time-outs, heartbeats without entries, one
//! mutex, the whole state saved at each change, snapshots sent in one piece, and no assertions. It shows its
//! messages and its state to nobody.
//!
//! - `rpc.rs`: the messages
//! - `log.rs`: the log
//! - `raft.rs`: the state, the threads, and the rules that hold for all servers
//! - `election.rs`: leader election (2A)
//! - `replication.rs`: heartbeats, entries, commitment (2B); each change calls `persist` (2C)
//! - `snapshot.rs`: log compaction (2D)
//!
//! Threads: a ticker, an apply thread, and one for each RPC. No thread sends anything, on the network or on
//! the apply channel, while it has the lock.

mod election;
mod log;
mod raft;
mod replication;
mod rpc;
mod snapshot;

pub use raft::Raft;

use labapi::{ApplyMsg, Consensus, Persister, Role};
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::sync::Arc;
use rpc::{
    AppendEntriesArgs, AppendEntriesReply, InstallSnapshotArgs, InstallSnapshotReply, RaftRpc,
    RequestVoteArgs, RequestVoteReply,
};

impl Consensus for Raft {
    fn make(peers: Vec<ClientEnd>, me: usize, persister: Persister, apply: Sender<ApplyMsg>) -> Arc<Raft> {
        Raft::begin(peers, me, persister, apply)
    }

    fn service(self: &Arc<Raft>) -> Service {
        Arc::clone(self).into_service()
    }

    fn start(self: &Arc<Raft>, command: Vec<u8>) -> Option<(u64, u64)> {
        self.start_command(command)
    }

    fn get_state(self: &Arc<Raft>) -> (u64, bool) {
        let state = self.state.lock();
        (state.current_term, state.role == Role::Leader)
    }

    fn snapshot(self: &Arc<Raft>, index: u64, snapshot: Vec<u8>) {
        self.take_snapshot(index, &snapshot);
    }
}

impl RaftRpc for Raft {
    fn request_vote(&self, args: RequestVoteArgs) -> RequestVoteReply {
        self.handle_request_vote(&args)
    }

    fn append_entries(&self, args: AppendEntriesArgs) -> AppendEntriesReply {
        self.handle_append_entries(args)
    }

    fn install_snapshot(&self, args: InstallSnapshotArgs) -> InstallSnapshotReply {
        self.handle_install_snapshot(args)
    }
}
