//! Verbs that look for the leader.

use std::time::Duration;

use labapi::Consensus;
use labrt::rand::random_range;
use labrt::thread;
use labrt::time::Instant;

use super::Cluster;
use crate::failure::Invariant;

/// How long a term may need to reach all connected servers: a few heartbeats over slow links.
const SPREAD: Duration = Duration::from_secs(2);

/// How long `check_terms_agree` waits between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// How often `check_one_leader` looks before it gives up, after about five seconds; more often where a
/// swarm's seed has made a link slow.
const LOOKS: u32 = 10;

impl<R: Consensus> Cluster<R> {
    /// Waits until a connected server leads, and returns it; if several do, the one of the highest term.
    ///
    /// # Panics
    /// If two servers lead the same term, or there is no leader for about five seconds; for a minute if a
    /// swarm's seed has made a link slow.
    pub fn check_one_leader(&self) -> usize {
        let looks = LOOKS * self.test().knobs().patience();
        for _ in 0..looks {
            thread::sleep(Duration::from_millis(450 + random_range(0..100)));
            let leaders = self.leaders();
            for (position, &(server, term)) in leaders.iter().enumerate() {
                if let Some(&(other, _)) = leaders[..position].iter().find(|&&(_, same)| same == term) {
                    let message = format!("servers {other} and {server} both lead term {term}");
                    self.test().break_off(Invariant::ElectionSafety.broken(message));
                }
            }
            if let Some(&(leader, term)) = leaders.iter().max_by_key(|&&(_, term)| term) {
                self.test().note(format!("check_one_leader: server {leader}, term {term}"));
                return leader;
            }
        }
        let seconds = looks / 2;
        self.test()
            .fail_waiting(format!("expected one leader, but for {seconds} seconds no connected server led"))
    }

    /// Connected servers that believe they lead, with their terms.
    fn leaders(&self) -> Vec<(usize, u64)> {
        let connected = (0..self.len()).filter(|&server| self.is_connected(server));
        let state = connected.filter_map(|server| self.get_state(server).map(|state| (server, state)));
        state.filter(|&(_, (_, leads))| leads).map(|(server, (term, _))| (server, term)).collect()
    }

    /// Checks that no connected server believes it leads.
    ///
    /// # Panics
    /// If one does.
    pub fn check_no_leader(&self) {
        if let Some((server, term)) = self.leaders().first() {
            self.test().fail(format!(
                "expected no leader among the connected servers, but server {server} leads term {term}"
            ));
        }
        self.test().note("check_no_leader");
    }

    /// Waits until all connected servers are in one term, and returns it.
    ///
    /// # Panics
    /// If they are not for two seconds: a leader's next message tells each of them its term.
    pub fn check_terms_agree(&self) -> u64 {
        let deadline = Instant::now() + SPREAD;
        let term = loop {
            match self.common_term() {
                Ok(term) => break term,
                Err(terms) if Instant::now() >= deadline => {
                    self.test().fail_waiting(format!("expected one term within two seconds, but {terms}"))
                }
                Err(_) => thread::sleep(LOOK),
            }
        };
        self.test().note(format!("check_terms_agree: {term}"));
        term
    }

    /// The term of all connected servers, 0 if there are none; an error names two whose terms differ.
    fn common_term(&self) -> Result<u64, String> {
        let mut agreed: Option<(usize, u64)> = None;
        for server in (0..self.len()).filter(|&server| self.is_connected(server)) {
            let Some((term, _)) = self.get_state(server) else { continue };
            let (first, expected) = *agreed.get_or_insert((server, term));
            if term != expected {
                return Err(format!("server {first} is in term {expected} and server {server} in {term}"));
            }
        }
        Ok(agreed.map_or(0, |(_, term)| term))
    }

    /// The highest term of any living server.
    pub fn highest_term(&self) -> u64 {
        (0..self.len()).filter_map(|server| self.get_state(server)).map(|(term, _)| term).max().unwrap_or(0)
    }
}
