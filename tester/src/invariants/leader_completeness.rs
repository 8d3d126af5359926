//! Leader Completeness (Figure 3, §5.4): if a log entry is committed in a given term, then that entry will be
//! present in the logs of the leaders for all higher-numbered terms.
//!
//! Its two sides are checked as soon as they can be: when a leader commits, that the rules for doing so hold
//! (Figure 2, rules for leaders: an entry of its own term, on a majority), and when a leader is elected, that
//! it has everything. A commit by counting entries of an earlier term has its own name, as it has from
//! outside. What followers take for committed must be what leaders have committed, which is State Machine
//! Safety for the logs.

use labapi::Role;

use super::mirror::{Entry, Mirror, Step};
use crate::failure::{Broken, Invariant};

#[derive(Default)]
pub(super) struct LeaderCompleteness {
    /// All committed entries in order; the first has index 1.
    committed: Vec<Committed>,
}

#[derive(Debug, Clone, Copy)]
struct Committed {
    entry: Entry,
    /// Term of the leader that committed it.
    in_term: u64,
}

impl LeaderCompleteness {
    pub(super) fn check(&mut self, step: &Step, servers: &[Mirror]) -> Result<(), Broken> {
        if step.elected() {
            self.check_elected(step, &servers[step.server])?;
        }
        if step.commit_index > step.commit_before {
            if step.role == Role::Leader {
                self.check_rule(step, servers)?;
            }
            self.take_committed(step, &servers[step.server])?;
        }
        Ok(())
    }

    /// A new leader must have all that was committed in earlier terms. Given Log Matching, the last such
    /// entry stands for all before it.
    fn check_elected(&self, step: &Step, leader: &Mirror) -> Result<(), Broken> {
        let earlier = self.committed.iter().rposition(|committed| committed.in_term < step.term);
        let Some(position) = earlier else { return Ok(()) };
        let (index, committed) = (position as u64 + 1, self.committed[position]);
        if index <= leader.last_included_index
            || leader.entry(index).is_some_and(|own| own.term == committed.entry.term)
        {
            return Ok(());
        }
        let has = leader.entry(index).map_or_else(
            || format!("ends at index {}", leader.last_index()),
            |own| format!("has an entry of term {} there", own.term),
        );
        Err(Invariant::LeaderCompleteness.broken(format!(
            "server {} was elected leader of term {}, but lacks the entry at index {index} (term {}) that the leader of \
             term {} has committed: its log {has}",
            step.server, step.term, committed.entry.term, committed.in_term
        )))
    }

    /// If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term ==
    /// currentTerm: set commitIndex = N (Figure 2).
    fn check_rule(&self, step: &Step, servers: &[Mirror]) -> Result<(), Broken> {
        let index = step.commit_index;
        let Some(entry) = servers[step.server].entry(index) else { return Ok(()) };
        if entry.term != step.term {
            return Err(Invariant::CurrentTermCommit.broken(format!(
                "server {}, leader of term {}, commits index {index} by counting, although that entry is of term {}: a \
                 later leader may lack it (Figure 8)",
                step.server, step.term, entry.term
            )));
        }
        let has = |server: &&Mirror| {
            index <= server.last_included_index
                || server.entry(index).is_some_and(|own| own.term == entry.term)
        };
        let holders = servers.iter().filter(has).count();
        if 2 * holders > servers.len() {
            return Ok(());
        }
        Err(Invariant::LeaderCompleteness.broken(format!(
            "server {}, leader of term {}, commits index {index}, which only {holders} of {} servers have shown in their logs",
            step.server,
            step.term,
            servers.len()
        )))
    }

    /// Compares what the server newly takes for committed with what is known to be, or notes it if a leader
    /// goes ahead.
    fn take_committed(&mut self, step: &Step, server: &Mirror) -> Result<(), Broken> {
        for index in step.commit_before + 1..=step.commit_index {
            // Beneath the snapshot nothing can be compared, and everything was when it was committed.
            let Some(entry) = server.entry(index) else { continue };
            match self.committed.get(index as usize - 1) {
                Some(known) if known.entry.term != entry.term || known.entry.digest != entry.digest => {
                    return Err(Invariant::StateMachineSafety.broken(format!(
                        "server {} takes its entry at index {index} (term {}) for committed, but the one of term {} was \
                         committed in term {}",
                        step.server, entry.term, known.entry.term, known.in_term
                    )));
                }
                Some(_) => {}
                None if step.role == Role::Leader && self.committed.len() as u64 + 1 == index => {
                    self.committed.push(Committed { entry, in_term: step.term });
                }
                None => {
                    return Err(Invariant::LeaderCompleteness.broken(format!(
                        "server {}, a {} in term {}, takes index {index} for committed, which no leader has committed",
                        step.server, step.role, step.term
                    )));
                }
            }
        }
        Ok(())
    }
}
