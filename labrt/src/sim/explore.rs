//! Bounded exhaustive search: the policy that follows one path through the tree of all schedules, and the
//! tree.
//!
//! Each run follows the choices of a prefix and decides by itself behind it; afterwards the last choice that
//! has another possibility becomes that one. Without a bound on preemptions, sleep sets (Godefroid,
//! *Partial-Order Methods for the Verification of Concurrent Systems*, 1996) leave out schedules that differ
//! from an earlier one only in the order of steps that do not touch the same object.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::SmallRng;

use super::policy::{Access, Policy, Slot};
use super::task::Task;

/// The tree of schedules, as far as it is explored, shared by the runs of one search.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    state: Arc<Mutex<State>>,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

impl Eq for Tree {}

#[derive(Debug, Default)]
struct State {
    /// The choices of the present path.
    path: Vec<Choice>,
    /// How many of them the present run has made.
    depth: usize,
    /// How many of those were preemptions.
    preemptions: u32,
    bound: Option<u32>,
    /// The task that the present run has chosen last. Steps without an effect on others are not chosen.
    last: Option<Slot>,
    /// Objects of the present run in the order in which they were first used: addresses differ from run to
    /// run, these numbers do not, as long as the program repeats itself.
    objects: Vec<usize>,
    /// Whether sleep sets must not be used, since the program does not repeat itself so exactly.
    plain: bool,
    /// A repeated choice was another step than before.
    differed: bool,
    /// Whether the present run only repeats an order that was explored before, up to the order of independent
    /// steps.
    redundant: bool,
    /// Sleeping tasks at the present depth, with what they would do.
    asleep: Vec<(Slot, Access)>,
}

#[derive(Debug, Clone)]
struct Choice {
    /// What is still to be tried, the present choice last.
    left: Vec<Slot>,
    /// Tasks that were tried here before, or slept on arrival.
    asleep: Vec<(Slot, Access)>,
    /// Choices of something else than a task count possibilities only.
    of_task: bool,
    /// What the present choice does, if it is a task's.
    access: Access,
}

impl Tree {
    /// A tree of which nothing is explored, with at most so many preemptions in a schedule.
    pub(crate) fn new(bound: Option<u32>) -> Tree {
        let state = State { bound, ..State::default() };
        Tree { state: Arc::new(Mutex::new(state)) }
    }

    /// A run begins at the root.
    pub(crate) fn begin(&self) {
        let state = &mut *self.state.lock();
        (state.depth, state.preemptions, state.redundant, state.last) = (0, 0, false, None);
        state.asleep.clear();
        state.objects.clear();
    }

    /// Whether the run that has ended was left out, since it repeats another.
    pub(crate) fn is_redundant(&self) -> bool {
        self.state.lock().redundant
    }

    /// Turns to the next path; false if there is none.
    pub(crate) fn advance(&self) -> bool {
        let state = &mut *self.state.lock();
        if std::mem::take(&mut state.differed) && !state.sleeps_never() {
            // What was left out may have been left out wrongly: everything once more, and nothing is left
            // out.
            state.plain = true;
            state.path.clear();
            return true;
        }
        // What lies behind the depth was not reached by the last run.
        state.path.truncate(state.depth);
        while let Some(choice) = state.path.last_mut() {
            if let Some(tried) = choice.left.pop()
                && choice.of_task
            {
                choice.asleep.push((tried, choice.access));
            }
            if !choice.left.is_empty() {
                return true;
            }
            state.path.pop();
        }
        false
    }
}

impl State {
    fn sleeps_never(&self) -> bool {
        self.plain || self.bound.is_some()
    }

    /// What the task does next, with a number in place of the object's address.
    fn step(&mut self, task: &Task) -> Access {
        let Access { object, writes } = task.access;
        if [Access::NONE.object, Access::LOOK.object].contains(&object) {
            return task.access;
        }
        let known = self.objects.iter().position(|&other| other == object);
        let number = known.unwrap_or_else(|| {
            self.objects.push(object);
            self.objects.len() - 1
        });
        Access { object: number + 1, writes }
    }

    fn choose_task(&mut self, ready: &[Slot], tasks: &[Task]) -> usize {
        if self.redundant {
            return 0;
        }
        let steps: Vec<(Slot, Access)> =
            ready.iter().map(|&slot| (slot, self.step(&tasks[slot as usize]))).collect();
        let step_of =
            |slot: Slot| steps.iter().find(|step| step.0 == slot).map_or(Access::LOOK, |step| step.1);
        let is_new = self.depth == self.path.len();
        if is_new {
            let Some(choice) = self.new_choice(ready) else {
                self.redundant = true;
                return 0;
            };
            self.path.push(choice);
        }
        // Behind the last choice of the prefix everything is new.
        let is_repeated = !is_new && self.depth + 1 < self.path.len();
        let choice = &mut self.path[self.depth];
        let chosen = choice.left.last().copied().unwrap_or(ready[0]);
        self.differed |= is_repeated && choice.access != step_of(chosen);
        choice.access = step_of(chosen);
        self.depth += 1;
        let preempted = self.last.is_some_and(|last| last != chosen && ready.contains(&last));
        self.preemptions += u32::from(preempted);
        self.last = Some(chosen);
        let access = choice.access;
        self.asleep.clone_from(&choice.asleep);
        // Tasks whose step depends on this one wake up.
        self.asleep.retain(|&(slot, other)| slot != chosen && !depends(access, other));
        // A program that does not repeat itself may have other tasks ready than it had before.
        ready.iter().position(|&slot| slot == chosen).unwrap_or(0)
    }

    /// The possibilities here: to go on first, so that it is the last in the list. None if all of them sleep.
    fn new_choice(&mut self, ready: &[Slot]) -> Option<Choice> {
        let could_go_on = self.last.filter(|last| ready.contains(last));
        let spent = self.bound.is_some_and(|bound| self.preemptions >= bound);
        let mut left = could_go_on.filter(|_| spent).map_or_else(|| ready.to_vec(), |last| vec![last]);
        let asleep = if self.sleeps_never() { Vec::new() } else { self.asleep.clone() };
        left.retain(|slot| !asleep.iter().any(|(sleeper, _)| sleeper == slot));
        left.sort_unstable_by_key(|&slot| (Some(slot) == could_go_on, std::cmp::Reverse(slot)));
        let of_task = !self.sleeps_never();
        (!left.is_empty()).then_some(Choice { left, asleep, of_task, access: Access::NONE })
    }

    fn choose(&mut self, count: usize) -> usize {
        if self.redundant {
            return 0;
        }
        if self.depth == self.path.len() {
            let left = (0..count as Slot).rev().collect();
            let asleep = self.asleep.clone();
            self.path.push(Choice { left, asleep, of_task: false, access: Access::NONE });
        }
        let choice = &self.path[self.depth];
        self.depth += 1;
        choice.left.last().map_or(0, |&chosen| (chosen as usize).min(count - 1))
    }
}

/// Whether the order of two steps may matter.
fn depends(one: Access, other: Access) -> bool {
    one == Access::LOOK || other == Access::LOOK || one.races_with(other)
}

/// Follows the present path of the tree.
pub(crate) struct Explore {
    tree: Tree,
    /// The task that has just let others go first.
    yielded: Option<Slot>,
    /// What is left of the ready tasks without it, kept for its memory.
    others: Vec<Slot>,
}

impl Explore {
    pub(crate) fn new(tree: Tree) -> Self {
        tree.begin();
        Explore { tree, yielded: None, others: Vec::new() }
    }
}

impl Policy for Explore {
    fn pick(&mut self, ready: &[Slot], tasks: &[Task], current: Slot, _: &mut SmallRng) -> usize {
        if ready.len() == 1 {
            self.yielded = None;
        }
        if let Some(yielded) = self.yielded.take() {
            self.others.clear();
            self.others.extend(ready.iter().copied().filter(|&slot| slot != yielded));
            let chosen = self.tree.state.lock().choose_task(&self.others, tasks);
            let chosen = self.others[chosen];
            return ready.iter().position(|&slot| slot == chosen).unwrap_or(0);
        }
        // A step that no other task can notice is made at once: its place in the order makes no difference.
        let unnoticed = |slot: Slot| tasks[slot as usize].access == Access::NONE;
        let own = ready.iter().position(|&slot| slot == current && unnoticed(slot));
        let any = || ready.iter().position(|&slot| unnoticed(slot));
        match own.or_else(any) {
            Some(position) => position,
            None => self.tree.state.lock().choose_task(ready, tasks),
        }
    }

    fn stride(&mut self, _: &mut SmallRng) -> u32 {
        1
    }

    fn yielded(&mut self, slot: Slot) {
        self.yielded = Some(slot);
    }

    fn choose(&mut self, count: usize, _: &mut SmallRng) -> usize {
        self.tree.state.lock().choose(count)
    }
}
