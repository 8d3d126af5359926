//! Two candidates of one term, and the voter whom both ask.
//!
//! It takes a coincidence to bring them about, and no test that waits for one finds the bugs that need it. Here every link is
//! held, so that a follower learns neither of its leader nor of another candidate; then the messages of one candidate
//! are let through. Messages on a held link are not lost: they arrive when it is released, as if the network had been slow.

use labrt::thread;
use labrt::time::Instant;
use raft::Raft;
use std::time::Duration;
use tester::Cluster;

/// Three servers after an election of which one of them has not heard.
pub(crate) struct Rivals {
    /// Has just become the leader of `term`.
    winner: usize,
    /// Hears nothing, and will stand for election in the same term.
    rival: usize,
    /// Led before, and has voted for the winner. Without its vote the rival cannot win.
    pub(crate) voter: usize,
    term: u64,
}

impl Rivals {
    /// Has one of two followers elected with the vote of the leader so far. None if it came otherwise: both stood at
    /// the same time, or the first one's time was over before it had its vote.
    pub(crate) fn arise(cluster: &Cluster<Raft>) -> Option<Rivals> {
        let voter = cluster.check_one_leader();
        let (old_term, _) = cluster.get_state(voter)?;
        each_link(cluster, |link| cluster.net().network().hold(link));
        let followers = [1, 2].map(|distance| (voter + distance) % 3);
        let stands = |server: &usize| cluster.get_state(*server).is_some_and(|(term, _)| term > old_term);
        wait_until(Duration::from_secs(3), || followers.iter().any(stands));
        let winner = followers.into_iter().find(stands)?;
        let rival = 3 - voter - winner;
        cluster.net().network().release(cluster.link(winner, voter));
        let rivals = Rivals { winner, rival, voter, term: old_term + 1 };
        let won = || rivals.leads(cluster, winner);
        wait_until(Duration::from_millis(200), won).then_some(rivals)
    }

    /// Lets the rival's messages reach the voter, and looks for a second whether that makes two leaders of one term. Returns
    /// whether the rival stood for election in that term at all.
    pub(crate) fn contest(&self, cluster: &Cluster<Raft>) -> bool {
        let Rivals { winner, rival, voter, term } = *self;
        cluster.net().network().release(cluster.link(rival, voter));
        let mut contested = false;
        wait_until(Duration::from_secs(1), || {
            contested |= cluster.get_state(rival).is_some_and(|(its, _)| its == term);
            cluster.test().expect(!(self.leads(cluster, winner) && self.leads(cluster, rival)), || {
                format!("servers {winner} and {rival} both lead term {term}: server {voter} voted for both")
            });
            cluster.get_state(rival).is_some_and(|(its, _)| its > term)
        });
        contested
    }

    fn leads(&self, cluster: &Cluster<Raft>, server: usize) -> bool {
        cluster.get_state(server) == Some((self.term, true))
    }
}

/// Everything that was held arrives, late as it is.
pub(crate) fn release_all(cluster: &Cluster<Raft>) {
    each_link(cluster, |link| cluster.net().network().release(link));
}

fn each_link(cluster: &Cluster<Raft>, act: impl Fn(usize)) {
    for from in 0..cluster.len() {
        (0..cluster.len()).filter(|&to| to != from).for_each(|to| act(cluster.link(from, to)));
    }
}

/// Looks every millisecond whether the condition holds; whether it did within that time.
pub(crate) fn wait_until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    condition()
}
