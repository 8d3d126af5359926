//! [`Raft`] behind the interface that every solution of this lab offers.

// handout: drop classic
use labapi::{ApplyMsg, Consensus, Observer, Persister, WireFormat};
// handout: end
// handout: drop
use labapi::{Options, ReadIndex};
// handout: end
// handout: put classic
// use labapi::{ApplyMsg, Consensus, Observer, Persister, Probe, Role, Shown};
// handout: end
use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
// handout: drop classic
use labrt::sync::Arc;

use crate::rpc::RaftRpc;
use crate::server::Raft;
use crate::wire::RaftWire;
// handout: end
// handout: put classic
// use labrt::sync::{Arc, Mutex};
//
// use crate::rpc::{
//     AppendEntriesArgs, AppendEntriesReply, RaftPeer, RaftRpc, RequestVoteArgs, RequestVoteReply,
// };
//
// /// One server of a Raft cluster.
// pub struct Raft {
//     /// What all threads of the server share.
//     state: Mutex<State>,
//     /// This server's number, its index in `peers`.
//     me: usize,
//     /// How to call each server. The slot of this server is unused.
//     peers: Vec<RaftPeer>,
//     /// This server's disk.
//     persister: Persister,
//     /// Where the service takes its messages.
//     apply: Sender<ApplyMsg>,
//     // Your data here.
// }
//
// /// What the lock protects (Figure 2, State).
// struct State {
//     term: u64,
//     role: Role,
//     /// Term and command of each entry. The first has index 1, until there are snapshots (2D).
//     log: Vec<(u64, Vec<u8>)>,
//     commit_index: u64,
//     /// Shows the state to the tester, which then checks Figure 3 at each change.
//     probe: Probe,
//     // Your data here (2A, 2B, 2C, 2D).
// }
//
// impl State {
//     /// Shows what has changed. Call it before you give up the lock.
//     fn show(&mut self) {
//         let State { term, role, log, commit_index, probe, .. } = self;
//         let (term, role, commit_index) = (*term, *role, *commit_index);
//         let shown = Shown { term, role, commit_index, last_included_index: 0 };
//         probe.show(shown, log.len() as u64, |index| {
//             let (term, command) = &log[index as usize - 1];
//             (*term, command)
//         });
//     }
// }
//
// impl RaftRpc for Raft {
//     fn request_vote(&self, args: RequestVoteArgs) -> RequestVoteReply {
//         todo!("2A")
//     }
//
//     fn append_entries(&self, args: AppendEntriesArgs) -> AppendEntriesReply {
//         todo!("2A")
//     }
// }
// handout: end

// handout: bodies classic 2A
impl Consensus for Raft {
    fn make(peers: Vec<ClientEnd>, me: usize, persister: Persister, apply: Sender<ApplyMsg>) -> Arc<Raft> {
        Raft::make(peers, me, persister, apply)
    }

    // handout: body classic kept
    fn service(self: &Arc<Raft>) -> Service {
        self.clone().into_service()
    }

    // handout: body classic 2B
    fn start(self: &Arc<Raft>, command: Vec<u8>) -> Option<(u64, u64)> {
        Raft::start(self, command)
    }

    fn get_state(self: &Arc<Raft>) -> (u64, bool) {
        Raft::get_state(self)
    }

    // handout: body classic 2D
    fn snapshot(self: &Arc<Raft>, index: u64, snapshot: Vec<u8>) {
        Raft::snapshot(self, index, snapshot);
    }

    // handout: drop
    fn make_with(
        peers: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        apply: Sender<ApplyMsg>,
        options: Options,
    ) -> Arc<Raft> {
        Raft::make_with(peers, me, persister, apply, options)
    }

    fn last_included_index(self: &Arc<Raft>) -> Option<u64> {
        Some(Raft::last_included_index(self))
    }

    fn read_index(self: &Arc<Raft>) -> ReadIndex {
        Raft::read_index(self).map_or(ReadIndex::NotLeader, ReadIndex::At)
    }

    // handout: end
    // handout: drop classic
    fn wait_for_leadership(self: &Arc<Raft>, seen: (u64, bool)) -> (u64, bool) {
        Raft::wait_for_leadership(self, seen)
    }

    fn watch(self: &Arc<Raft>, observer: Box<dyn Observer>) {
        Raft::watch(self, observer);
    }

    fn wire() -> Option<&'static dyn WireFormat> {
        Some(&RaftWire)
    }
    // handout: end
    // handout: put classic
    // fn watch(self: &Arc<Raft>, observer: Box<dyn Observer>) {
    //     let mut state = self.state.lock();
    //     state.probe.attach(observer);
    //     state.show();
    // }
    // handout: end
}
