// handout: file guided
//! Figure 8 of the paper, played: "a leader cannot determine commitment using log entries
//! from older terms".
//!
//! The paper's servers S1 to S5 are servers 0 to 4 here. A crash loses all but the disk; a
//! server that is "down" just gets no messages.

use raft::rules::{HEARTBEAT_INTERVAL, Role};

use crate::bare::*;

/// The five servers of the figure.
struct Figure8 {
    servers: Vec<Server>,
}

impl Figure8 {
    /// (a) S1 is leader of term 2 and partially replicates the log entry at index 2: to S2
    /// only. All servers have the entry of term 1 at index 1.
    fn at_a() -> Figure8 {
        let mut play = Figure8 { servers: (0..5).map(|me| Server::boot(me, 5).with_log(&[1])).collect() };
        play.elect(0, &[1, 2]);
        play.servers[0].start("x");
        play.replicate(0, 1);
        assert_eq!(play.logs(), ["1 2", "1 2", "1", "1", "1"]);
        play
    }

    /// (b) S1 crashes; S5 is elected leader for term 3 with votes from S3, S4, and itself,
    /// and accepts a different entry at log index 2.
    fn at_b() -> Figure8 {
        let mut play = Figure8::at_a();
        play.crash(0);
        // S5 has not heard of term 2, so its first attempt tells it; the second is term 3.
        play.servers[4].stand_for_election();
        play.elect(4, &[2, 3]);
        play.servers[4].start("y");
        assert_eq!(
            (play.servers[4].state.term(), play.logs()),
            (3, ["1 2", "1 2", "1", "1", "1 3"].map(String::from))
        );
        play
    }

    /// (c) S5 crashes; S1 restarts, is elected leader, and continues replication. At this
    /// point, the log entry from term 2 has been replicated on a majority of the servers.
    fn at_c() -> Figure8 {
        let mut play = Figure8::at_b();
        play.crash(4);
        // S3 and S4 are in term 3, so that S1 wins term 4.
        play.servers[0].stand_for_election();
        play.elect(0, &[1, 2]);
        assert_eq!(play.servers[0].state.term(), 4);
        play.replicate(0, 1);
        play.replicate(0, 2);
        assert_eq!(play.logs(), ["1 2", "1 2", "1 2", "1", "1 3"]);
        play
    }

    /// The server loses all but what is on its disk.
    fn crash(&mut self, server: usize) {
        self.servers[server] = self.servers[server].reboot();
        assert_eq!(self.servers[server].state.role, Role::Follower);
    }

    /// The server stands for election and asks these servers for their votes. It needs all of
    /// them.
    fn elect(&mut self, candidate: usize, voters: &[usize]) {
        self.servers[candidate].stand_for_election();
        for &voter in voters {
            assert!(!self.servers[candidate].state.is_leader(), "the votes sufficed before server {voter}'s");
            self.exchange(candidate, voter);
        }
        assert!(self.servers[candidate].state.is_leader());
    }

    /// The leader brings the other's log to the state of its own.
    fn replicate(&mut self, leader: usize, follower: usize) {
        self.with_two(leader, follower, |leader, follower| leader.repair(follower, |_, _| ()));
    }

    /// One message there, one back.
    fn exchange(&mut self, from: usize, to: usize) {
        self.with_two(from, to, |from, to| _ = from.exchange(to));
    }

    /// Two servers of the list, both to be changed.
    fn with_two(&mut self, one: usize, other: usize, act: impl FnOnce(&mut Server, &mut Server)) {
        let mut called = std::mem::replace(&mut self.servers[other], Server::boot(other, 5));
        self.servers[one].wait(HEARTBEAT_INTERVAL);
        act(&mut self.servers[one], &mut called);
        self.servers[other] = called;
    }

    /// The terms of the logs.
    fn logs(&self) -> [String; 5] {
        std::array::from_fn(|server| {
            let terms = self.servers[server].terms();
            terms.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
        })
    }
}

/// (c) "… but it is not committed": three of five have the entry of term 2, S1 knows it,
/// and yet does not count it.
#[test]
fn c_an_entry_of_an_older_term_on_a_majority_is_not_committed() {
    let play = Figure8::at_c();
    let leader = &play.servers[0].state;
    assert_eq!([1, 2].map(|peer| leader.peers[peer].match_index), [2, 2]);
    assert_eq!(leader.commit_index, 0);
}

/// (d) "If S1 crashes as in (d), S5 could be elected leader (with votes from S2, S3, and
/// S4) and overwrite the entry with its own entry from term 3." Had S1 committed the entry
/// in (c), it would now be lost.
#[test]
fn d_the_entry_of_the_older_term_is_overwritten() {
    let mut play = Figure8::at_c();
    play.crash(0);
    // S2 and S3 have voted in term 4, so S5 wins term 5.
    play.servers[4].stand_for_election();
    play.elect(4, &[1, 2]);
    assert_eq!(play.servers[4].state.term(), 5);
    for follower in 0..4 {
        play.replicate(4, follower);
    }
    assert_eq!(play.logs(), ["1 3"; 5]);
}

/// (e) "However, if S1 replicates an entry from its current term on a majority of the
/// servers before crashing, as in (e), then this entry is committed (S5 cannot win an
/// election). At this point all preceding entries in the log are committed as well."
#[test]
fn e_with_an_entry_of_its_own_term_the_older_one_is_safe() {
    let mut play = Figure8::at_c();
    play.servers[0].start("z");
    play.replicate(0, 1);
    assert_eq!(play.servers[0].state.commit_index, 0, "two of five");
    play.replicate(0, 2);
    assert_eq!(play.servers[0].state.commit_index, 3);
    assert_eq!(play.logs(), ["1 2 4", "1 2 4", "1 2 4", "1", "1 3"]);
    play.crash(0);
    play.servers[4].stand_for_election();
    play.servers[4].stand_for_election();
    for voter in [1, 2, 3] {
        play.exchange(4, voter);
    }
    assert_eq!(play.servers[4].state.votes, [4, 3], "only S4's log is not ahead of S5's");
    assert_eq!(play.servers[4].state.role, Role::Candidate);
}
