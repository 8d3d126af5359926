//! Finding the fewest operations that show the error.

use rustc_hash::FxHashMap;

use crate::history::{OPEN, Operation};
use crate::limits::{Limits, Progress};
use crate::model::{Effect, Model};
use crate::search::{self, Found};

/// How many states all the trials together may visit.
const STATES: u64 = 8_000;

/// How many states one trial may visit.
pub(crate) const STATES_A_TRIAL: u64 = 1_000;

/// The part of an operation in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// As it was observed.
    Bound,
    /// At any time, with any result, or never.
    Free,
    /// Not there.
    Absent,
}

/// The outcome of a trial.
pub(crate) enum Trial {
    /// The places (in the list of roles) of the operations, in an order that is possible.
    Linearizable(Vec<u32>),
    NotLinearizable,
    Undecided,
}

/// That all is linearizable once the operation at `freed` is: an order, as places in the list of roles.
#[derive(Clone)]
pub(crate) struct Proof {
    freed: usize,
    order: Vec<u32>,
}

/// Tries out what happens if operations are freed or left out.
pub(crate) trait Trials {
    fn attempt(&mut self, roles: &[Role]) -> Trial;

    /// As [`Trials::attempt`], giving up sooner.
    fn attempt_briefly(&mut self, roles: &[Role]) -> Trial {
        self.attempt(roles)
    }

    /// From `roles`, which are known not to be linearizable, frees all that can be freed and then leaves out
    /// all that need not be there. Returns whether the result is known to be minimal.
    fn minimize(&mut self, roles: &mut [Role]) -> bool {
        self.free_what_is_old(roles);
        self.free_large_parts(roles);
        let Some(proofs) = self.free_one_by_one(roles) else { return false };
        self.drop_idle_context(roles, proofs);
        true
    }

    /// Most often an error shows among the last few operations: tries the last four alone, the last eight,
    /// and so on.
    fn free_what_is_old(&mut self, roles: &mut [Role]) {
        let bound = bound(roles);
        let mut last = 4;
        while last < bound.len() {
            let mut trial = roles.to_vec();
            for &at in &bound[..bound.len() - last] {
                trial[at] = Role::Free;
            }
            if matches!(self.attempt_briefly(&trial), Trial::NotLinearizable) {
                roles.copy_from_slice(&trial);
                return;
            }
            last *= 2;
        }
    }

    /// Delta debugging (Zeller and Hildebrandt 2002): first large parts, then smaller ones.
    fn free_large_parts(&mut self, roles: &mut [Role]) {
        let mut size = bound(roles).len().div_ceil(2);
        while size > 1 {
            for chunk in bound(roles).chunks(size) {
                let mut trial = roles.to_vec();
                for &at in chunk {
                    trial[at] = Role::Free;
                }
                if matches!(self.attempt_briefly(&trial), Trial::NotLinearizable) {
                    roles.copy_from_slice(&trial);
                }
            }
            size /= 2;
        }
    }

    /// Frees single operations. Returns the proofs that no other can be freed, if they were found.
    ///
    /// Once is enough: what is linearizable with an operation freed stays so when another is freed later, in
    /// the same order.
    fn free_one_by_one(&mut self, roles: &mut [Role]) -> Option<Vec<Proof>> {
        let mut proofs = Vec::new();
        let mut doubtful = Vec::new();
        for at in bound(roles) {
            match self.attempt_without(roles, at) {
                Trial::NotLinearizable => roles[at] = Role::Free,
                Trial::Linearizable(order) => proofs.push(Proof { freed: at, order }),
                Trial::Undecided => doubtful.push(at),
            }
        }
        // What was freed since may have made these easier.
        for at in doubtful {
            match self.attempt_without(roles, at) {
                Trial::NotLinearizable => roles[at] = Role::Free,
                Trial::Linearizable(order) => proofs.push(Proof { freed: at, order }),
                Trial::Undecided => return None,
            }
        }
        Some(proofs)
    }

    /// What happens if the operation at `at` is freed too.
    fn attempt_without(&mut self, roles: &[Role], at: usize) -> Trial {
        let mut trial = roles.to_vec();
        trial[at] = Role::Free;
        self.attempt(&trial)
    }

    /// Leaves out what is free and used in none of the orders that exist once a bound operation is freed, and
    /// then what is not used in others that exist as well.
    fn drop_idle_context(&mut self, roles: &mut [Role], mut proofs: Vec<Proof>) {
        let mut used = vec![false; roles.len()];
        for &place in proofs.iter().flat_map(|proof| &proof.order) {
            used[place as usize] = true;
        }
        for at in 0..roles.len() {
            if roles[at] == Role::Free && !used[at] {
                roles[at] = Role::Absent;
            }
        }
        let rest: Vec<usize> = (0..roles.len()).filter(|&at| roles[at] == Role::Free).collect();
        if rest.len() > CONTEXT {
            return;
        }
        for at in rest {
            roles[at] = Role::Absent;
            match self.renewed(roles, at, &proofs) {
                Some(renewed) => proofs = renewed,
                None => roles[at] = Role::Free,
            }
        }
    }

    /// The same proofs without the operation at `at`, if there are such.
    fn renewed(&mut self, roles: &[Role], at: usize, proofs: &[Proof]) -> Option<Vec<Proof>> {
        let renew = |proof: &Proof| {
            if !proof.order.contains(&(at as u32)) {
                return Some(proof.clone());
            }
            match self.attempt_without(roles, proof.freed) {
                Trial::Linearizable(order) => Some(Proof { freed: proof.freed, order }),
                _ => None,
            }
        };
        proofs.iter().map(renew).collect()
    }

    /// Whether freeing any of `bound` makes the rest linearizable.
    fn is_minimal(&mut self, roles: &[Role], bound: &[usize]) -> bool {
        bound.iter().all(|&at| matches!(self.attempt_without(roles, at), Trial::Linearizable(_)))
    }

    /// Whether `roles` satisfy all that [`super::Explanation`] promises.
    fn holds(&mut self, roles: &[Role]) -> bool {
        matches!(self.attempt(roles), Trial::NotLinearizable) && self.is_minimal(roles, &bound(roles))
    }
}

/// A context larger than this is what long texts need; to look for a smaller one is not worth the time.
const CONTEXT: usize = 32;

pub(crate) fn bound(roles: &[Role]) -> Vec<usize> {
    (0..roles.len()).filter(|&at| roles[at] == Role::Bound).collect()
}

/// All orders of so many operations can be tried.
const FEW: usize = 12;

/// How many states may be visited in vain by trials in which what is freed may happen any number of times.
const ENDLESS: u64 = 2_000;

/// With more kinds of freed operations than this, a trial in which each may happen any number of times takes
/// too long.
const KINDS: usize = 64;

/// Trials by the general search, for any model.
pub(crate) struct BySearch<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Op, M::Result>],
    indices: &'a [u32],
    /// For each of `indices`, what it is once freed: equal for equal operations. `None` for a read, which is
    /// as good as absent then.
    freed: Vec<Option<u32>>,
    /// How many states are left for all trials, and how many one may visit.
    states: u64,
    a_trial: u64,
    endless: u64,
}

/// Operations as a trial has them, by rising call, each with its place in the list of roles.
struct Cast<O, R> {
    operations: Vec<Operation<O, R>>,
    places: Vec<u32>,
}

impl<'a, M: Model> BySearch<'a, M> {
    pub(crate) fn new(
        model: &'a M,
        operations: &'a [Operation<M::Op, M::Result>],
        indices: &'a [u32],
    ) -> Self {
        let mut numbers: FxHashMap<&M::Op, u32> = FxHashMap::default();
        let freed = indices.iter().map(|&index| {
            let op = &operations[index as usize].op;
            let next = numbers.len() as u32;
            (model.effect(op, None) != Effect::Read).then(|| *numbers.entry(op).or_insert(next))
        });
        let freed = freed.collect();
        let (states, a_trial, endless) = (STATES, STATES_A_TRIAL, ENDLESS);
        let trials = BySearch { model, operations, indices, freed, states, a_trial, endless };
        // So few operations have few orders, even freed.
        if indices.len() <= FEW { trials.patient() } else { trials }
    }

    /// For callers that want to know for certain, however long it takes.
    pub(crate) fn patient(mut self) -> Self {
        (self.states, self.a_trial) = (u64::MAX, Limits::default().states);
        self
    }

    /// For callers that want to know without the shortcut of operations that may be repeated.
    pub(crate) fn exact(mut self) -> Self {
        self.endless = 0;
        self
    }

    /// The operations of a trial. With `once`, only one of those that are the same once freed.
    fn cast(&self, roles: &[Role], once: bool) -> Cast<M::Op, M::Result> {
        let mut free = Vec::new();
        let mut bound = Vec::new();
        let mut seen = vec![false; self.indices.len()];
        for (at, (role, freed)) in roles.iter().zip(&self.freed).enumerate() {
            match (role, freed) {
                (Role::Bound, _) => bound.push(at as u32),
                (Role::Free, Some(number)) => {
                    if !(std::mem::replace(&mut seen[*number as usize], true) && once) {
                        free.push(at as u32);
                    }
                }
                (Role::Free, None) | (Role::Absent, _) => {}
            }
        }
        let of = |at: u32| &self.operations[self.indices[at as usize] as usize];
        let freed = free.iter().map(|&at| Operation::open(0, of(at).op.clone(), 0));
        let operations = freed.chain(bound.iter().map(|&at| of(at).clone())).collect();
        free.append(&mut bound);
        Cast { operations, places: free }
    }

    /// What can be told from a trial in which operations that never return may happen any number of times.
    /// There is far less to remember of those. Whatever is impossible then is impossible; and an order that
    /// happens to use none of them too often is an order.
    fn attempt_endless(&mut self, roles: &[Role]) -> Option<Trial> {
        let cast = self.cast(roles, true);
        // Each is a candidate at every node, however often it happened before.
        if cast.operations.len() - bound(roles).len() > KINDS {
            return None;
        }
        let order: Vec<u32> = (0..cast.operations.len() as u32).collect();
        let limits = Limits::default().with_states(STATES_A_TRIAL.min(self.endless));
        let progress = Progress::default();
        match search::search_endless(self.model, &cast.operations, &order, &limits, &progress) {
            Found::Order(order) => {
                self.without_repetition(roles, &cast.places, &order).map(Trial::Linearizable)
            }
            Found::Nothing { .. } => Some(Trial::NotLinearizable),
            Found::Limited { states, .. } => {
                self.endless = self.endless.saturating_sub(states);
                None
            }
        }
    }

    /// The places of an order in which each repeated operation is another one of the same kind, if there are
    /// enough of them.
    fn without_repetition(&self, roles: &[Role], places: &[u32], order: &[u32]) -> Option<Vec<u32>> {
        let mut unused: Vec<Vec<u32>> = vec![Vec::new(); self.indices.len()];
        for (at, number) in self.freed.iter().enumerate().rev() {
            if let (Role::Free, Some(number)) = (roles[at], *number) {
                unused[number as usize].push(at as u32);
            }
        }
        let mut bound = vec![false; roles.len()];
        let replace = |&at: &u32| {
            let place = places[at as usize] as usize;
            match (roles[place], self.freed[place]) {
                (Role::Free, Some(number)) => unused[number as usize].pop(),
                // One that never returned can have been repeated too, though it is not free.
                _ => (!std::mem::replace(&mut bound[place], true)).then_some(place as u32),
            }
        };
        order.iter().map(replace).collect()
    }

    fn attempt_within(&mut self, roles: &[Role], states: u64) -> Trial {
        if self.states == 0 {
            return Trial::Undecided;
        }
        let settled = if self.endless > 0 { self.attempt_endless(roles) } else { None };
        settled.unwrap_or_else(|| self.attempt_exactly(roles, states))
    }

    fn attempt_exactly(&mut self, roles: &[Role], states: u64) -> Trial {
        let Cast { operations, places } = self.cast(roles, false);
        let order: Vec<u32> = (0..operations.len() as u32).collect();
        let limits = Limits::default().with_states(states.min(self.states));
        let progress = Progress::default();
        let found = search::search(self.model, &operations, &order, &limits, &progress);
        // What is freed is under way at every return, so that to prepare a trial costs the square of its
        // size.
        let prepared = (operations.len() as u64).pow(2) / 64;
        self.states = self.states.saturating_sub(progress.states() + prepared);
        match found {
            Found::Order(order) => {
                Trial::Linearizable(order.into_iter().map(|at| places[at as usize]).collect())
            }
            Found::Nothing { .. } => Trial::NotLinearizable,
            Found::Limited { .. } => Trial::Undecided,
        }
    }
}

impl<M: Model> Trials for BySearch<'_, M> {
    fn attempt(&mut self, roles: &[Role]) -> Trial {
        self.attempt_within(roles, self.a_trial)
    }

    fn attempt_briefly(&mut self, roles: &[Role]) -> Trial {
        self.attempt_within(roles, self.a_trial / 8)
    }
}

/// The parts to begin with, given that what had returned up to the return of `stuck` cannot be linearized:
/// what was called later is as good as free.
pub(crate) fn before<O, R>(operations: &[Operation<O, R>], indices: &[u32], stuck: u32) -> Vec<Role> {
    let end = operations[stuck as usize].end;
    debug_assert_ne!(end, OPEN, "nothing gets stuck at an operation that never returned");
    indices
        .iter()
        .map(|&index| if operations[index as usize].call <= end { Role::Bound } else { Role::Absent })
        .collect()
}
