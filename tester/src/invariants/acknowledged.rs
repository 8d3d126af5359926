//! A follower keeps what it has acknowledged.
//!
//! A leader counts an entry that a follower has taken, and may commit it at any moment from then on. So a
//! follower may drop an entry only if it conflicts with the log of the leader of its own term (Figure 2,
//! `AppendEntries`, receiver step 3), not because an older message arrives late, and not because of a crash.
//! Figure 3 has no name for it; its loss breaks Leader Completeness in the end, much later and far away.

use labapi::Role;

use super::mirror::{Mirror, Step};
use crate::failure::{Broken, Invariant};

pub(super) fn check(step: &Step, servers: &[Mirror]) -> Result<(), Broken> {
    if step.removed.is_empty() || step.role == Role::Leader {
        return Ok(());
    }
    let leads = |(_, server): &(usize, &Mirror)| server.role == Role::Leader && server.term == step.term;
    let Some((leader, log)) = servers.iter().enumerate().find(leads) else { return Ok(()) };
    let own = &servers[step.server];
    for (index, entry) in (step.from..).zip(&step.removed) {
        let same = |other: super::mirror::Entry| other.term == entry.term && other.digest == entry.digest;
        let still_there = index <= own.last_included_index || own.entry(index).is_some_and(same);
        if !still_there && log.entry(index).is_some_and(same) {
            let how = if step.restarted { "lost in a crash" } else { "dropped" };
            return Err(Invariant::AcknowledgedEntry.broken(format!(
                "server {} {how} the entry at index {index} (term {}), which it had taken from server {leader}, leader \
                 of term {}, and which that leader still has",
                step.server, entry.term, step.term
            )));
        }
    }
    Ok(())
}
