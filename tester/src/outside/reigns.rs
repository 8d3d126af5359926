//! Who led which term, and what each leader may call committed: an index that a majority acknowledged to it,
//! at or behind an entry of its own term (§5.3, §5.4.2).

use rustc_hash::FxHashMap;

use crate::failure::{Broken, Invariant};

/// The leaders of a cluster.
pub(super) struct Reigns {
    servers: usize,
    of_term: FxHashMap<u64, Reign>,
    /// The highest index that any leader could call committed until now.
    committable: u64,
}

/// A leader's time.
struct Reign {
    leader: usize,
    /// The leader's incarnation, if `get_state` named it.
    life: Option<u64>,
    /// The lowest index of an entry of its own term that it sent.
    first_own: Option<u64>,
    /// What each server has acknowledged to it.
    acknowledged: Vec<u64>,
}

impl Reigns {
    pub(super) fn new(servers: usize) -> Reigns {
        Reigns { servers, of_term: FxHashMap::default(), committable: 0 }
    }

    /// `server` leads `term`. Each term has one leader, which leads it in one life (§5.2).
    pub(super) fn leads(&mut self, server: usize, life: Option<u64>, term: u64) -> Result<(), Broken> {
        let reign = self.of_term.entry(term).or_insert_with(|| Reign {
            leader: server,
            life,
            first_own: None,
            acknowledged: vec![0; self.servers],
        });
        let first = reign.leader;
        if first != server {
            let (one, other) = (server.min(first), server.max(first));
            let message = format!("servers {one} and {other} are both leaders of term {term}");
            return Err(Invariant::ElectionSafety.broken(message));
        }
        if let (Some(before), Some(now)) = (reign.life, life)
            && before != now
        {
            let message = format!("server {server} leads term {term} again, after a restart");
            return Err(Invariant::ElectionSafety.broken(message));
        }
        reign.life = reign.life.or(life);
        Ok(())
    }

    /// Whether `get_state` has named a leader.
    pub(super) fn is_any_seen(&self) -> bool {
        self.of_term.values().any(|reign| reign.life.is_some())
    }

    /// The leader of `term` sends these entries (term and digest of each).
    pub(super) fn sends(&mut self, term: u64, prev_index: u64, entries: &[(u64, u64)]) {
        // Terms grow along a log, so that its own entries are the last ones.
        let Some(&(last, _)) = entries.last() else { return };
        let Some(reign) = self.of_term.get_mut(&term).filter(|_| last == term) else { return };
        let own = (prev_index + 1..).zip(entries).find(|(_, entry)| entry.0 == term);
        let first = own.map(|(index, _)| index);
        reign.first_own = [reign.first_own, first].into_iter().flatten().min();
    }

    /// `server` acknowledges everything up to `index` to the leader of `term`.
    pub(super) fn acknowledges(&mut self, server: usize, term: u64, index: u64) {
        let Some(reign) = self.of_term.get_mut(&term) else { return };
        if index <= reign.acknowledged[server] {
            return;
        }
        reign.acknowledged[server] = index;
        let on_majority = reign.on_majority();
        if reign.first_own.is_some_and(|first| first <= on_majority) {
            self.committable = self.committable.max(on_majority);
        }
    }

    pub(super) fn committable(&self) -> u64 {
        self.committable
    }

    /// The leader of `term` says that everything up to `index` is committed. `holders` servers are known to
    /// have held it at some time.
    pub(super) fn commits(&self, term: u64, index: u64, holders: usize) -> Result<(), Broken> {
        let Some(reign) = self.of_term.get(&term).filter(|_| index > self.committable) else { return Ok(()) };
        let says =
            format!("server {}, leader of term {term}, says that index {index} is committed", reign.leader);
        let all = self.servers;
        if 2 * holders <= all {
            return Err(Invariant::LeaderCompleteness.broken(format!(
                "{says}, but only {holders} of {all} servers are known to hold it: they have acknowledged it, or sent it to \
                 others"
            )));
        }
        if index <= reign.on_majority() {
            return Err(Invariant::CurrentTermCommit
                .broken(format!("{says}: a majority holds it, but no entry of term {term}")));
        }
        let counted = reign.counted(index);
        Err(Invariant::LeaderCompleteness.broken(format!(
            "{says}, but only {counted} of {all} servers hold it as far as they have told that leader in that term, itself \
             included; what was acknowledged in earlier terms may have been overwritten"
        )))
    }
}

impl Reign {
    /// How many servers hold `index` as far as they have acknowledged it to this leader, or are it.
    fn counted(&self, index: u64) -> usize {
        let others = self.acknowledged.iter().enumerate().filter(|&(server, _)| server != self.leader);
        1 + others.filter(|&(_, &acknowledged)| acknowledged >= index).count()
    }

    /// The highest index that a majority holds, the leader included.
    fn on_majority(&self) -> u64 {
        let is_majority = |&index: &u64| 2 * self.counted(index) > self.acknowledged.len();
        self.acknowledged.iter().copied().filter(is_majority).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Reigns {
        /// Servers 1 and 2 acknowledge that.
        fn acknowledged_by_two(&mut self, term: u64, index: u64) {
            (1..=2).for_each(|server| self.acknowledges(server, term, index));
        }
    }

    /// Server 0 of five leads `term`, and has sent entries of these terms from index 1 on.
    fn reigns(term: u64, terms: &[u64]) -> Reigns {
        let mut reigns = Reigns::new(5);
        assert_eq!(reigns.leads(0, None, term), Ok(()));
        let entries: Vec<(u64, u64)> = terms.iter().map(|&term| (term, 7)).collect();
        reigns.sends(term, 0, &entries);
        reigns
    }

    fn rule(result: Result<(), Broken>) -> Option<Invariant> {
        result.err().and_then(|broken| broken.invariant)
    }

    #[test]
    fn an_entry_of_an_older_term_is_not_committed_by_counting() {
        let mut reigns = reigns(4, &[1, 2]);
        reigns.acknowledged_by_two(4, 2);
        assert_eq!(rule(reigns.commits(4, 2, 3)), Some(Invariant::CurrentTermCommit));
        reigns.sends(4, 2, &[(4, 7)]);
        assert_eq!(rule(reigns.commits(4, 2, 3)), Some(Invariant::CurrentTermCommit), "only sent");
        reigns.acknowledged_by_two(4, 3);
        assert_eq!(reigns.commits(4, 3, 3), Ok(()));
    }

    #[test]
    fn a_later_leader_may_say_what_an_earlier_one_committed() {
        let mut reigns = reigns(2, &[2, 2]);
        reigns.acknowledged_by_two(2, 2);
        assert_eq!(reigns.leads(1, None, 3), Ok(()));
        assert_eq!(reigns.commits(3, 2, 3), Ok(()), "it may have counted without a word");
    }

    #[test]
    fn acknowledgements_count_in_their_own_term_only() {
        let mut reigns = reigns(2, &[2]);
        reigns.acknowledges(1, 2, 1);
        assert_eq!(rule(reigns.commits(2, 1, 2)), Some(Invariant::LeaderCompleteness));
        assert_eq!(reigns.leads(0, None, 4), Ok(()));
        reigns.acknowledges(2, 4, 1);
        let broken = reigns.commits(4, 1, 3).expect_err("two of five");
        assert!(broken.message.contains("only 2 of 5 servers hold it as far as they have told that leader"));
    }

    #[test]
    fn a_majority_of_an_even_cluster_is_more_than_half() {
        let mut reigns = Reigns::new(4);
        assert_eq!(reigns.leads(0, None, 1), Ok(()));
        reigns.sends(1, 0, &[(1, 7)]);
        reigns.acknowledges(1, 1, 1);
        assert_eq!(rule(reigns.commits(1, 1, 2)), Some(Invariant::LeaderCompleteness));
        reigns.acknowledges(3, 1, 1);
        assert_eq!(reigns.commits(1, 1, 3), Ok(()));
    }
}
