//! Finding the fewest operations that show the error.

use rustc_hash::FxHashMap;

use crate::history::{OPEN, Operation};
use crate::limits::{Limits, Progress};
use crate::model::Effect;
use crate::search::{self, Asked, ByNumber, Found};

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
}

impl dyn Trials + '_ {
    /// From `roles`, which are known not to be linearizable, frees all that can be freed and then leaves out
    /// all that need not be there. Returns whether the result is known to be minimal.
    pub(crate) fn minimize(&mut self, roles: &mut [Role]) -> bool {
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
    pub(crate) fn is_minimal(&mut self, roles: &[Role], bound: &[usize]) -> bool {
        bound.iter().all(|&at| matches!(self.attempt_without(roles, at), Trial::Linearizable(_)))
    }

    /// Whether `roles` satisfy all that [`super::Explanation`] promises.
    pub(crate) fn holds(&mut self, roles: &[Role]) -> bool {
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

/// All orders of so many are tried sooner than those in which an operation may happen any number of times: a
/// queue grows without end then.
const FEWEST: usize = 8;

/// How many states may be visited in vain by trials in which what is freed may happen any number of times.
const ENDLESS: u64 = 2_000;

/// With more kinds of freed operations than this, a trial in which each may happen any number of times takes
/// too long.
const KINDS: usize = 64;

/// Trials by the general search, for any model.
pub(crate) struct BySearch<'a> {
    model: &'a mut dyn ByNumber,
    /// Each operation as it was observed. In all trials operations are called by their place here.
    observed: Vec<Asked>,
    /// Each as it is once freed, in a class numbered without gaps. `None` for a read, which is as good as
    /// absent then.
    freed: Vec<Option<(u32, Asked)>>,
    /// How many states are left for all trials, and how many one may visit.
    states: u64,
    a_trial: u64,
    endless: u64,
}

impl<'a> BySearch<'a> {
    /// Trials with the operations `indices`, which are in the order of their calls.
    pub(crate) fn new(model: &'a mut dyn ByNumber, indices: &[u32]) -> Self {
        let mut numbers: FxHashMap<u32, u32> = FxHashMap::default();
        let (mut observed, mut freed) =
            (Vec::with_capacity(indices.len()), Vec::with_capacity(indices.len()));
        for (&index, name) in indices.iter().zip(0..) {
            observed.push(Asked { name, ..Asked::observed(model, index) });
            let (class, effect) = model.classify(index, false);
            let next = numbers.len() as u32;
            freed.push((effect != Effect::Read).then(|| {
                let number = *numbers.entry(class).or_insert(next);
                (number, Asked { name, class, effect, call: 0, end: OPEN })
            }));
        }
        let (states, a_trial, endless) = (STATES, STATES_A_TRIAL, ENDLESS);
        let trials = BySearch { model, observed, freed, states, a_trial, endless };
        // So few operations have few orders, even freed.
        let trials = if indices.len() <= FEW { trials.patient() } else { trials };
        if indices.len() <= FEWEST { trials.exact() } else { trials }
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

    /// The operations of a trial, by rising call. With `once`, only one of those that are the same once
    /// freed.
    fn cast(&self, roles: &[Role], once: bool) -> Vec<Asked> {
        let mut cast = Vec::new();
        let mut seen = vec![false; self.observed.len()];
        for (role, freed) in roles.iter().zip(&self.freed) {
            if let (Role::Free, Some((number, asked))) = (role, freed)
                && !(std::mem::replace(&mut seen[*number as usize], true) && once)
            {
                cast.push(*asked);
            }
        }
        let bound = roles.iter().zip(&self.observed).filter(|(role, _)| **role == Role::Bound);
        cast.extend(bound.map(|(_, asked)| *asked));
        cast
    }

    /// What can be told from a trial in which operations that never return may happen any number of times.
    /// There is far less to remember of those. Whatever is impossible then is impossible; and an order that
    /// happens to use none of them too often is an order.
    fn attempt_endless(&mut self, roles: &[Role]) -> Option<Trial> {
        let cast = self.cast(roles, true);
        // Each is a candidate at every node, however often it happened before.
        if cast.len() - bound(roles).len() > KINDS {
            return None;
        }
        let limits = Limits::default().with_states(STATES_A_TRIAL.min(self.endless));
        match search::search_endless(self.model, cast, &limits, &Progress::default()) {
            Found::Order(order) => self.without_repetition(roles, &order).map(Trial::Linearizable),
            Found::Nothing { .. } => Some(Trial::NotLinearizable),
            Found::Limited { states, .. } => {
                self.endless = self.endless.saturating_sub(states);
                None
            }
        }
    }

    /// An order in which each repeated operation is replaced by another one of the same kind, if there are
    /// enough of them.
    fn without_repetition(&self, roles: &[Role], order: &[u32]) -> Option<Vec<u32>> {
        let mut unused: Vec<Vec<u32>> = vec![Vec::new(); self.observed.len()];
        for (at, freed) in self.freed.iter().enumerate().rev() {
            if let (Role::Free, Some((number, _))) = (roles[at], freed) {
                unused[*number as usize].push(at as u32);
            }
        }
        let mut bound = vec![false; roles.len()];
        let replace = |&name: &u32| {
            let place = name as usize;
            match (roles[place], &self.freed[place]) {
                (Role::Free, Some((number, _))) => unused[*number as usize].pop(),
                // One that never returned can have been repeated too, though it is not free.
                _ => (!std::mem::replace(&mut bound[place], true)).then_some(name),
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
        let cast = self.cast(roles, false);
        // What is freed is under way at every return, so that to prepare a trial costs the square of its
        // size.
        let prepared = (cast.len() as u64).pow(2) / 64;
        let limits = Limits::default().with_states(states.min(self.states));
        let progress = Progress::default();
        let found = search::search_asked(self.model, cast, &limits, &progress);
        self.states = self.states.saturating_sub(progress.states() + prepared);
        match found {
            Found::Order(order) => Trial::Linearizable(order),
            Found::Nothing { .. } => Trial::NotLinearizable,
            Found::Limited { .. } => Trial::Undecided,
        }
    }
}

impl Trials for BySearch<'_> {
    fn attempt(&mut self, roles: &[Role]) -> Trial {
        self.attempt_within(roles, self.a_trial)
    }

    fn attempt_briefly(&mut self, roles: &[Role]) -> Trial {
        self.attempt_within(roles, self.a_trial / 8)
    }
}

/// As `minimize` of [`Trials`], by the general search.
pub(crate) fn by_search(model: &mut dyn ByNumber, indices: &[u32], roles: &mut [Role]) -> bool {
    let trials: &mut dyn Trials = &mut BySearch::new(model, indices);
    trials.minimize(roles)
}

/// Whether `roles` satisfy all that [`super::Explanation`] promises, by the general search; not `patient`, if
/// that may be left open.
pub(crate) fn holds_by_search(
    model: &mut dyn ByNumber,
    indices: &[u32],
    roles: &[Role],
    patient: bool,
) -> bool {
    let trials = BySearch::new(model, indices).exact();
    let trials: &mut dyn Trials = &mut if patient { trials.patient() } else { trials };
    trials.holds(roles)
}

/// The parts to begin with, given that what had returned up to the return of `stuck` cannot be linearized:
/// what was called later is as good as free.
pub(crate) fn before<O, R>(operations: &[Operation<O, R>], indices: &[u32], stuck: u32) -> Vec<Role> {
    let end = operations[stuck as usize].end;
    debug_assert_ne!(end, OPEN, "nothing gets stuck at an operation that never returned");
    let role = |&index: &u32| if operations[index as usize].call <= end { Role::Bound } else { Role::Absent };
    indices.iter().map(role).collect()
}
