//! Leader Append-Only (Figure 3, §5.3): a leader never overwrites or deletes entries in its log; it only
//! appends.

use super::mirror::Step;
use crate::failure::{Broken, Invariant};

pub(super) fn check(step: &Step) -> Result<(), Broken> {
    if !step.stayed_leader() || step.removed.is_empty() {
        return Ok(());
    }
    let Step { server, term, from, last_index_before, .. } = *step;
    Err(Invariant::LeaderAppendOnly.broken(format!(
        "server {server}, leader of term {term}, changed its log from index {from} on, which reached to \
         {last_index_before}"
    )))
}
