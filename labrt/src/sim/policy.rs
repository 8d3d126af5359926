//! Scheduling policies: which task runs next, and how long until the next voluntary switch.

use rand::{Rng, RngExt, rngs::SmallRng};

use super::explore::Explore;
use super::task::Task;
use crate::config::{PolicyKind, Schedule};

/// Slot of a task in the simulation's table. Slots are reused, in an order that is a function of the seed.
pub(crate) type Slot = u32;

/// What a task does next: which shared object it reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// The object's address; 0 for none.
    pub(crate) object: usize,
    pub(crate) writes: bool,
}

impl Access {
    /// Nothing that another task could notice.
    pub(crate) const NONE: Access = Access { object: 0, writes: false };

    /// A look at what another task may change without announcing it: whether a lock is free, a thread has
    /// ended.
    pub(crate) const LOOK: Access = Access { object: usize::MAX, writes: true };

    /// Whether it only finds out something that others decide.
    #[inline]
    pub(crate) fn is_look(self) -> bool {
        self.object != Access::NONE.object && !self.writes || self.object == Access::LOOK.object
    }

    /// What can be compared from run to run: not the address.
    pub(crate) fn kind(self) -> AccessKind {
        AccessKind { has_object: self.object != Access::NONE.object, writes: self.writes }
    }

    /// Whether it matters which of the two comes first.
    pub(crate) fn races_with(self, other: Access) -> bool {
        self.object != 0 && self.object == other.object && (self.writes || other.writes)
    }
}

/// Whether a step touches a shared object, and whether it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccessKind {
    has_object: bool,
    writes: bool,
}

/// A scheduling strategy. All methods draw from the run's scheduling stream only, so that a seed decides
/// them.
pub(crate) trait Policy {
    /// A task was started in this slot.
    fn spawned(&mut self, _slot: Slot, _rng: &mut SmallRng) {}
    /// Which of the ready tasks runs next, as a position in `ready`, which is never empty. `current` ran
    /// last; it is among the ready ones if it could go on.
    fn pick(&mut self, ready: &[Slot], tasks: &[Task], current: Slot, rng: &mut SmallRng) -> usize;
    /// At how many free yield points from now the running task is put back among the ready ones; at least 1.
    fn stride(&mut self, rng: &mut SmallRng) -> u32;
    /// The task says that others should run, or seems to wait for them by looking again and again.
    fn yielded(&mut self, _slot: Slot) {}
    /// One of `count` possibilities of another kind: which waiter wakes.
    fn choose(&mut self, count: usize, rng: &mut SmallRng) -> usize {
        below(count, rng)
    }
}

pub(crate) fn make(kind: &PolicyKind, rng: &mut SmallRng) -> Box<dyn Policy> {
    match kind {
        PolicyKind::Varied => Box::new(Varied::new(rng)),
        PolicyKind::Random { switch_every } => Box::new(Random { switch_every: (*switch_every).max(1) }),
        PolicyKind::Pct { depth, steps } => Box::new(Pct::new(*depth, *steps, rng)),
        PolicyKind::Pos => Box::new(Pos::default()),
        PolicyKind::RoundRobin => Box::new(RoundRobin::default()),
        PolicyKind::Calm => Box::new(Calm),
        PolicyKind::Replay(schedule) => Box::new(Replay { schedule: schedule.clone(), pick: 0, stride: 0 }),
        PolicyKind::Explore(tree) => Box::new(Explore::new(tree.clone())),
    }
}

/// A number in `0..bound` by multiplication; the bias is below 2^-31 for the sizes of a ready list.
pub(crate) fn below(bound: usize, rng: &mut SmallRng) -> usize {
    ((u64::from(rng.next_u32()) * bound as u64) >> 32) as usize
}

struct Random {
    switch_every: u32,
}

impl Policy for Random {
    #[inline]
    fn pick(&mut self, ready: &[Slot], _: &[Task], _: Slot, rng: &mut SmallRng) -> usize {
        if ready.len() == 1 { 0 } else { below(ready.len(), rng) }
    }

    #[inline]
    fn stride(&mut self, rng: &mut SmallRng) -> u32 {
        // Uniform in [1, 2k-1] has mean k and is cheaper than the geometric law.
        1 + below(2 * self.switch_every as usize - 1, rng) as u32
    }
}

/// Decisions at the start of a run that [`Varied`] makes at every point: all of a small program, and little
/// of a test of a whole cluster. Fifty cost up to 3 % of the shortest of these tests, a hundred 6 %.
const DENSE: u32 = 48;

/// First dense, then a random walk with a stride of its own; see [`PolicyKind::Varied`].
struct Varied {
    dense_left: u32,
    dense: Dense,
    /// In the dense part steps that no other task notices come first: all threads are started, and each has
    /// come to a step that matters, before any of these is made. Otherwise short threads end before the next
    /// is started, and never meet.
    unnoticed_first: bool,
    /// The task that ran last has asked for others to run.
    has_yielded: bool,
    sparse: Random,
}

/// What decides in the dense part: what one finds rarely another often finds soon.
enum Dense {
    Walk,
    Pos(Pos),
    /// The only one that finds soon what needs several steps of one thread between two of another.
    Ahead(Ahead),
    InStep(InStep),
}

impl Varied {
    fn new(rng: &mut SmallRng) -> Self {
        let dense = match below(16, rng) {
            0 => Dense::Walk,
            1..6 => Dense::Pos(Pos::default()),
            6..15 => Dense::Ahead(Ahead::default()),
            _ => Dense::InStep(InStep::default()),
        };
        let unnoticed_first = matches!(dense, Dense::Ahead(_)) || rng.random_bool(0.5);
        // Log-uniform in 1 to 64.
        let switch_every = rng.random_range(0.0..=6.0_f64).exp2().round() as u32;
        Varied {
            dense_left: DENSE,
            dense,
            unnoticed_first,
            has_yielded: false,
            sparse: Random { switch_every },
        }
    }
}

impl Policy for Varied {
    fn spawned(&mut self, slot: Slot, rng: &mut SmallRng) {
        match &mut self.dense {
            _ if self.dense_left == 0 => {}
            Dense::Walk => {}
            Dense::Pos(pos) => pos.spawned(slot, rng),
            Dense::Ahead(ahead) => ahead.spawned(slot, rng),
            Dense::InStep(in_step) => in_step.spawned(slot, rng),
        }
    }

    #[inline]
    fn pick(&mut self, ready: &[Slot], tasks: &[Task], current: Slot, rng: &mut SmallRng) -> usize {
        if self.dense_left == 0 {
            return self.sparse.pick(ready, tasks, current, rng);
        }
        self.dense_left -= 1;
        let has_yielded = std::mem::take(&mut self.has_yielded);
        let unnoticed = |&slot: &Slot| tasks[slot as usize].access == Access::NONE;
        if self.unnoticed_first
            && !has_yielded
            && let Some(position) = ready.iter().position(unnoticed)
        {
            return position;
        }
        match &mut self.dense {
            Dense::Walk => match ready.iter().position(|&slot| slot == current) {
                Some(own) if has_yielded && ready.len() > 1 => {
                    (own + 1 + below(ready.len() - 1, rng)) % ready.len()
                }
                _ => below(ready.len(), rng),
            },
            Dense::Pos(pos) => pos.pick(ready, tasks, current, rng),
            Dense::Ahead(ahead) => ahead.pick(ready, tasks, current, rng),
            Dense::InStep(in_step) => in_step.pick(ready, tasks, current, rng),
        }
    }

    #[inline]
    fn stride(&mut self, rng: &mut SmallRng) -> u32 {
        if self.dense_left == 0 { self.sparse.stride(rng) } else { 1 }
    }

    fn yielded(&mut self, slot: Slot) {
        self.has_yielded = true;
        match &mut self.dense {
            Dense::Pos(pos) => pos.yielded(slot),
            Dense::Ahead(ahead) => ahead.yielded(slot),
            Dense::Walk | Dense::InStep(_) => {}
        }
    }
}

/// A step of each ready task in turn, in an order that is drawn for each round: threads that do the same
/// meet at the same line.
#[derive(Default)]
struct InStep {
    /// The last round in which each task ran, by slot.
    last_rounds: Vec<u32>,
    round: u32,
}

impl Policy for InStep {
    fn spawned(&mut self, slot: Slot, _: &mut SmallRng) {
        let slot = slot as usize;
        if self.last_rounds.len() <= slot {
            self.last_rounds.resize(slot + 1, 0);
        }
        self.last_rounds[slot] = 0;
    }

    fn pick(&mut self, ready: &[Slot], _: &[Task], _: Slot, rng: &mut SmallRng) -> usize {
        let is_due = |slot: Slot| self.last_rounds[slot as usize] < self.round;
        let due = ready.iter().filter(|&&slot| is_due(slot)).count();
        let chosen = if due == 0 {
            self.round += 1;
            below(ready.len(), rng)
        } else {
            let nth = below(due, rng);
            let mut positions = (0..ready.len()).filter(|&position| is_due(ready[position]));
            positions.nth(nth).expect("as many were counted")
        };
        self.last_rounds[ready[chosen] as usize] = self.round;
        chosen
    }

    fn stride(&mut self, _: &mut SmallRng) -> u32 {
        1
    }
}

/// One thread runs ahead to where its next step races with another's, and there the others mostly go past it:
/// of two that race, the one ahead goes first in one of four cases.
#[derive(Default)]
struct Ahead {
    /// Of each task, by slot: the highest runs ahead.
    ranks: Vec<u64>,
}

impl Policy for Ahead {
    fn spawned(&mut self, slot: Slot, rng: &mut SmallRng) {
        let slot = slot as usize;
        if self.ranks.len() <= slot {
            self.ranks.resize(slot + 1, 0);
        }
        self.ranks[slot] = rng.next_u64() >> 1;
    }

    fn pick(&mut self, ready: &[Slot], tasks: &[Task], _: Slot, rng: &mut SmallRng) -> usize {
        let access = |position: usize| tasks[ready[position] as usize].access;
        let rank = |&position: &usize| self.ranks.get(ready[position] as usize).copied().unwrap_or(0);
        let races = |&position: &usize| {
            (0..ready.len()).any(|other| other != position && access(position).races_with(access(other)))
        };
        if let Some(free) = (0..ready.len()).filter(|position| !races(position)).max_by_key(rank) {
            return free;
        }
        let ahead = (0..ready.len()).max_by_key(rank).expect("`ready` is never empty by contract");
        // One share for the thread that runs ahead, three for each of the others.
        match below(3 * ready.len() - 2, rng) {
            0 => ahead,
            share => (ahead + 1 + (share - 1) / 3) % ready.len(),
        }
    }

    fn stride(&mut self, _: &mut SmallRng) -> u32 {
        1
    }

    fn yielded(&mut self, slot: Slot) {
        if let Some(rank) = self.ranks.get_mut(slot as usize) {
            *rank = 0;
        }
    }
}

/// Partial order sampling; see [`PolicyKind::Pos`].
#[derive(Default)]
struct Pos {
    /// Of the next step of each task, by slot; 0 for one that is to be drawn.
    priorities: Vec<u64>,
}

impl Pos {
    fn set(&mut self, slot: Slot, priority: u64) {
        let slot = slot as usize;
        if self.priorities.len() <= slot {
            self.priorities.resize(slot + 1, 0);
        }
        self.priorities[slot] = priority;
    }
}

impl Policy for Pos {
    fn spawned(&mut self, slot: Slot, _: &mut SmallRng) {
        self.set(slot, 0);
    }

    fn pick(&mut self, ready: &[Slot], tasks: &[Task], _: Slot, rng: &mut SmallRng) -> usize {
        let mut best = (0, 0);
        for (position, &slot) in ready.iter().enumerate() {
            if self.priorities.get(slot as usize).is_none_or(|&priority| priority == 0) {
                self.set(slot, rng.next_u64() | 1);
            }
            best = best.max((self.priorities[slot as usize], position));
        }
        let chosen = ready[best.1];
        // The chosen task's next step draws anew, and so do those that race with this one: their order is
        // open again.
        self.set(chosen, 0);
        let access = tasks[chosen as usize].access;
        for &slot in ready {
            if tasks[slot as usize].access.races_with(access) {
                self.set(slot, 0);
            }
        }
        best.1
    }

    fn stride(&mut self, _: &mut SmallRng) -> u32 {
        1
    }

    fn yielded(&mut self, slot: Slot) {
        // The lowest that counts as drawn: every other task goes first, once.
        self.set(slot, 1);
    }
}

/// Priorities by slot; higher runs first. Change points lower the running task below all others.
struct Pct {
    priorities: Vec<u64>,
    /// Decisions at which the chosen task loses its priority, in descending order.
    change_points: Vec<u32>,
    decisions: u32,
    /// The last priority that was given to a lowered task; the next one is below it.
    lowest: u64,
}

impl Pct {
    fn new(depth: u32, steps: u32, rng: &mut SmallRng) -> Self {
        let points = depth.saturating_sub(1);
        let point = |rng: &mut SmallRng| match steps {
            // The length is unknown: as likely among the first ten decisions as among the next ninety.
            0 => rng.random_range(0.0..20.0_f64).exp2() as u32,
            steps => rng.random_range(0..steps),
        };
        let mut change_points: Vec<u32> = (0..points).map(|_| point(rng)).collect();
        change_points.sort_unstable_by(|a, b| b.cmp(a));
        Pct { priorities: Vec::new(), change_points, decisions: 0, lowest: 1 << 62 }
    }

    fn lower(&mut self, slot: Slot) {
        self.lowest -= 1;
        self.priorities[slot as usize] = self.lowest;
    }

    fn best(&self, ready: &[Slot]) -> usize {
        let priority = |&position: &usize| self.priorities[ready[position] as usize];
        (0..ready.len()).max_by_key(priority).expect("`ready` is never empty by contract")
    }
}

impl Policy for Pct {
    fn spawned(&mut self, slot: Slot, rng: &mut SmallRng) {
        let slot = slot as usize;
        if self.priorities.len() <= slot {
            self.priorities.resize(slot + 1, 0);
        }
        // The upper half is for initial priorities, the lower for tasks that were lowered.
        self.priorities[slot] = rng.next_u64() | (1 << 63);
    }

    fn pick(&mut self, ready: &[Slot], _: &[Task], _: Slot, _: &mut SmallRng) -> usize {
        let mut chosen = self.best(ready);
        self.decisions += 1;
        while self.change_points.last().is_some_and(|&point| point < self.decisions) {
            self.change_points.pop();
            self.lower(ready[chosen]);
            chosen = self.best(ready);
        }
        chosen
    }

    fn stride(&mut self, _rng: &mut SmallRng) -> u32 {
        1
    }

    fn yielded(&mut self, slot: Slot) {
        self.lower(slot);
    }
}

/// The ready list loses order by swap-removal, so the turn is kept by slot: the next slot above the last one
/// that ran.
#[derive(Default)]
struct RoundRobin {
    last: Slot,
}

impl Policy for RoundRobin {
    fn pick(&mut self, ready: &[Slot], _: &[Task], _: Slot, _: &mut SmallRng) -> usize {
        let last = self.last;
        let turn = |&i: &usize| (ready[i] <= last, ready[i]);
        let chosen = (0..ready.len()).min_by_key(turn).expect("`ready` is never empty by contract");
        self.last = ready[chosen];
        chosen
    }

    fn stride(&mut self, _rng: &mut SmallRng) -> u32 {
        1
    }
}

/// See [`PolicyKind::Calm`]: by number, since the ready list loses its order by swap-removal.
struct Calm;

impl Policy for Calm {
    fn pick(&mut self, ready: &[Slot], tasks: &[Task], _: Slot, _: &mut SmallRng) -> usize {
        let number = |&position: &usize| tasks[ready[position] as usize].token;
        (0..ready.len()).min_by_key(number).expect("`ready` is never empty by contract")
    }

    fn stride(&mut self, _rng: &mut SmallRng) -> u32 {
        u32::MAX
    }

    fn choose(&mut self, _count: usize, _rng: &mut SmallRng) -> usize {
        0
    }
}

struct Replay {
    schedule: Schedule,
    pick: usize,
    stride: usize,
}

impl Policy for Replay {
    fn pick(&mut self, ready: &[Slot], _: &[Task], _: Slot, _: &mut SmallRng) -> usize {
        let pick = self.schedule.picks.get(self.pick).copied().unwrap_or(0) as usize;
        self.pick += 1;
        // A schedule of other code may point past the end; any valid choice will do then.
        pick.min(ready.len() - 1)
    }

    fn stride(&mut self, _rng: &mut SmallRng) -> u32 {
        let stride = self.schedule.strides.get(self.stride).copied().unwrap_or(u32::MAX);
        self.stride += 1;
        stride
    }
}
