//! The checkers: what must hold of a cluster at every moment (Figure 3 of the Raft paper), whatever the test
//! is about.
//!
//! Each server shows its state at every change ([`crate::Observer`]). A [`Mirror`] keeps what was shown; a
//! [`Step`] is the difference to what it showed before; and each checker, a file of its own, judges the step
//! with the little that it must remember itself. The cost is proportional to what has changed, so that the
//! checkers are on in every run.
//!
//! | checker | says |
//! |---|---|
//! | [`election_safety`] | at most one leader can be elected in a given term, and no server's term goes back |
//! | [`leader_append_only`] | a leader never overwrites or deletes entries in its log |
//! | [`log_matching`] | logs that agree on index and term of an entry are equal up to it |
//! | [`log_matching`], too | LogOrigin: an entry of a term appears first at the leader of that term |
//! | [`leader_completeness`] | what is committed is on a majority, and in the log of every later leader |
//! | [`state_machine_safety`] | no two servers commit or apply different entries at the same index |
//! | [`acknowledged`] | a follower keeps what it has taken from the leader of its term |

mod acknowledged;
mod election_safety;
mod leader_append_only;
mod leader_completeness;
mod log_matching;
mod mirror;
mod state_machine_safety;

pub(crate) use state_machine_safety::Applied;

use labapi::{Role, View};
use mirror::{Mirror, Step};

use crate::failure::{Broken, Invariant};

/// All checkers of one cluster that need to look into its servers.
pub(crate) struct Checkers {
    servers: Vec<Mirror>,
    election_safety: election_safety::ElectionSafety,
    log_matching: log_matching::LogMatching,
    completeness: leader_completeness::LeaderCompleteness,
    /// The step under judgement; kept for the memory of its lists.
    step: Step,
    /// Whether a former leader ever lost an entry that was not committed: what the tests of Figure 8 are
    /// about.
    pub(crate) lost_suffixes: u64,
}

/// What of a step is worth a line in the story.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The server's role or term has changed to these.
    pub(crate) role: Option<(Role, u64)>,
    /// A leader has committed up to here.
    pub(crate) committed: Option<u64>,
}

impl Checkers {
    /// Checkers of a cluster with so many servers.
    pub(crate) fn new(servers: usize) -> Self {
        Checkers {
            servers: (0..servers).map(|_| Mirror::default()).collect(),
            election_safety: Default::default(),
            log_matching: Default::default(),
            completeness: Default::default(),
            step: Step::default(),
            lost_suffixes: 0,
        }
    }

    /// What each server showed last, a line each.
    pub(crate) fn knowledge(&self) -> Vec<String> {
        self.servers.iter().enumerate().map(|(server, mirror)| mirror.words(server)).collect()
    }

    /// The life in which each server showed something last, and the commit index that it showed.
    pub(crate) fn last_shown(&self) -> impl Iterator<Item = (u64, u64)> {
        self.servers.iter().map(|mirror| (mirror.incarnation, mirror.commit_index))
    }

    /// Server `server`, in its `incarnation`th life, shows its state.
    pub(crate) fn observe(
        &mut self,
        server: usize,
        incarnation: u64,
        view: &View<'_>,
    ) -> Result<News, Broken> {
        let step = &mut self.step;
        self.servers[server].advance(server, incarnation, view, step)?;
        self.election_safety.check(step)?;
        leader_append_only::check(step)?;
        self.log_matching.check(step, &self.servers[server])?;
        acknowledged::check(step, &self.servers)?;
        self.completeness.check(step, &self.servers)?;
        if step.removed.iter().any(|entry| entry.led) {
            self.lost_suffixes += 1;
        }
        Ok(step.news())
    }
}

impl Invariant {
    /// The report of a breach.
    pub(crate) fn broken(self, message: String) -> Broken {
        Broken::invariant(self, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Server `server` shows a log of entries of these terms; each command is its term.
    fn show(
        checkers: &mut Checkers,
        server: usize,
        (role, term): (Role, u64),
        log: &[u64],
        commit_index: u64,
    ) -> Option<Invariant> {
        let view = View {
            term,
            role,
            commit_index,
            last_included_index: 0,
            last_index: log.len() as u64,
            changed_from: 1,
            entry: &|index| log.get(index as usize - 1).map(|&term| (term, term)),
        };
        checkers.observe(server, 1, &view).err().and_then(|broken| broken.invariant)
    }

    #[test]
    fn a_commit_by_counting_an_earlier_term_is_told_by_the_name_that_it_has_from_outside() {
        let mut checkers = Checkers::new(3);
        assert_eq!(show(&mut checkers, 0, (Role::Leader, 1), &[1], 0), None);
        assert_eq!(show(&mut checkers, 1, (Role::Follower, 1), &[1], 0), None);
        assert_eq!(show(&mut checkers, 0, (Role::Leader, 2), &[1], 0), None);
        assert_eq!(show(&mut checkers, 0, (Role::Leader, 2), &[1], 1), Some(Invariant::CurrentTermCommit));
    }
}
