//! How a client finds the leader of a replicated service.
//!
//! Only the leader serves clients, and no server tells them which one it is. The leader seldom
//! changes, so a client first asks the server that answered last.

// handout: drop classic
use labrt::thread;
// handout: end
use labrt::time::Duration;

/// How long a clerk waits for one server. A leader that is cut off from its peers does not
/// answer until it learns of its successor, which would answer. This is several times as long
/// as a commit takes on a network that loses messages, so a clerk does not leave a leader
/// that is still working.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(400);

// handout: drop classic
/// The pause after no server has answered. An election is under way, and asking faster does
/// not end it sooner.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

// handout: end
// handout: bodies kept
/// The servers of one service, and the one that answered last.
pub struct LeaderCache<Peer> {
    servers: Vec<Peer>,
    // handout: put classic
    // // Your data here.
    // handout: end
    // handout: drop classic
    /// The server that answered last.
    leader: usize,
    // handout: end
}

// handout: bodies RSM
impl<Peer> LeaderCache<Peer> {
    /// For servers in any order.
    ///
    /// # Panics
    /// Without any server.
    pub fn new(servers: Vec<Peer>) -> Self {
        assert!(!servers.is_empty(), "a service has at least one server");
        LeaderCache { servers, leader: 0 }
    }

    /// Asks the servers, the last known leader first, until `ask` has an answer; each of them
    /// once at most. `ask` gives `None` if the server does not answer, or does not lead.
    pub fn ask_each<T>(&mut self, mut ask: impl FnMut(&Peer) -> Option<T>) -> Option<T> {
        for _ in 0..self.servers.len() {
            if let Some(answer) = ask(&self.servers[self.leader]) {
                return Some(answer);
            }
            self.leader = (self.leader + 1) % self.servers.len();
            debug_assert!(self.leader < self.servers.len(), "there is no server {}", self.leader);
        }
        None
    }

    /// Asks the servers until one has an answer, for ever if none ever has.
    pub fn ask<T>(&mut self, mut ask: impl FnMut(&Peer) -> Option<T>) -> T {
        loop {
            if let Some(answer) = self.ask_each(&mut ask) {
                return answer;
            }
            thread::sleep(RETRY_PAUSE);
        }
    }
}

// handout: bodies kept
#[cfg(test)]
mod tests {
    use super::LeaderCache;

    #[test]
    fn the_server_that_answered_last_is_asked_first() {
        let mut leader_cache = LeaderCache::new(vec!['a', 'b', 'c']);
        let mut asked = String::new();
        let mut ask_who = |leader: char, asked: &mut String| {
            leader_cache.ask_each(|&server| {
                asked.push(server);
                (server == leader).then_some(server)
            })
        };
        assert_eq!(ask_who('b', &mut asked), Some('b'));
        assert_eq!(ask_who('b', &mut asked), Some('b'));
        assert_eq!(ask_who('-', &mut asked), None);
        assert_eq!(ask_who('a', &mut asked), Some('a'));
        assert_eq!(asked, "ab".to_owned() + "b" + "bca" + "bca");
    }
}
