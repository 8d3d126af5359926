//! Election Safety (Figure 3, §5.2): at most one leader can be elected in a given term.
//!
//! It rests on each server voting at most once in a term, hence on terms that never go back, also not over a
//! crash (Figure 2, persistent state). That is checked here as well, under its own name, since it explains a
//! breach best.

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
            return Err(Invariant::GrowingTerm.broken(format!(
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

#[cfg(test)]
mod tests {
    use labapi::Role;

    use super::*;

    fn rule(step: &Step) -> Option<Invariant> {
        ElectionSafety::default().check(step).err().and_then(|broken| broken.invariant)
    }

    #[test]
    fn a_term_that_goes_back_is_told_by_the_name_that_it_has_from_outside() {
        let back = Step { term_before: 5, term: 4, ..Step::default() };
        assert_eq!(rule(&back), Some(Invariant::GrowingTerm));
        assert_eq!(rule(&Step { restarted: true, ..back }), Some(Invariant::GrowingTerm));
    }

    #[test]
    fn a_term_has_one_leader_in_one_of_its_lives() {
        let mut safety = ElectionSafety::default();
        let elected = |server, incarnation| {
            let restarted = incarnation > 1;
            Step { server, incarnation, restarted, term: 5, role: Role::Leader, ..Step::default() }
        };
        assert_eq!(safety.check(&elected(1, 1)), Ok(()));
        for again in [elected(2, 1), elected(1, 2)] {
            let broken = safety.check(&again).err().and_then(|broken| broken.invariant);
            assert_eq!(broken, Some(Invariant::ElectionSafety));
        }
    }
}
