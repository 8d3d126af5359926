//! Election Safety (Figure 3, §5.2): at most one leader can be elected in a given term.
//!
//! It rests on each server voting at most once in a term, hence on terms that never go back, also not over a
//! crash (Figure 2, persistent state). That is checked here as well, since it explains a breach best.

use rustc_hash::FxHashMap;

use super::mirror::Step;
use crate::failure::{Broken, Invariant};

#[derive(Default)]
pub(super) struct ElectionSafety {
    /// The leader elected in each term: server and incarnation.
    leaders: FxHashMap<u64, (usize, u64)>,
}

impl ElectionSafety {
    pub(super) fn check(&mut self, step: &Step) -> Result<(), Broken> {
        let Step { server, incarnation, term, term_before, .. } = *step;
        if term < term_before {
            let how = if step.restarted { "was restarted in" } else { "went back to" };
            return Err(Invariant::ElectionSafety.broken(format!(
                "server {server} {how} term {term}, but had been in term {term_before}: it can vote again in terms in \
                 which it has voted"
            )));
        }
        if !step.elected() {
            return Ok(());
        }
        let (first, life) = *self.leaders.entry(term).or_insert((server, incarnation));
        if (first, life) == (server, incarnation) {
            return Ok(());
        }
        Err(Invariant::ElectionSafety.broken(if first == server {
            format!("server {server} was elected leader of term {term} again, after a restart")
        } else {
            format!("servers {first} and {server} were both elected leader of term {term}")
        }))
    }
}
