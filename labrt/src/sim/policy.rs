//! Scheduling policies: who runs next, and how long until the next voluntary switch.

use crate::config::{PolicyKind, Schedule};
use rand::{Rng, RngExt, rngs::SmallRng};

/// Slot of a task in the simulation's table. Slots are reused, in an order that is a function of the seed.
pub(crate) type Slot = u32;

/// A scheduling strategy. All three methods draw from the run's scheduling stream only, so that a seed decides them.
pub(crate) trait Policy {
    /// A task was started in this slot.
    fn spawned(&mut self, _slot: Slot, _rng: &mut SmallRng) {}
    /// Which of the ready tasks runs next, as a position in `ready`, which is never empty.
    fn pick(&mut self, ready: &[Slot], rng: &mut SmallRng) -> usize;
    /// At how many free yield points from now the running task is put back among the ready ones; at least 1.
    fn stride(&mut self, rng: &mut SmallRng) -> u32;
}

pub(crate) fn make(kind: &PolicyKind, rng: &mut SmallRng) -> Box<dyn Policy> {
    match kind {
        PolicyKind::Random { switch_every } => Box::new(Random { switch_every: (*switch_every).max(1) }),
        PolicyKind::Pct { depth, steps } => Box::new(Pct::new(*depth, *steps, rng)),
        PolicyKind::RoundRobin => Box::new(RoundRobin::default()),
        PolicyKind::Replay(schedule) => Box::new(Replay { schedule: schedule.clone(), pick: 0, stride: 0 }),
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
    fn pick(&mut self, ready: &[Slot], rng: &mut SmallRng) -> usize {
        if ready.len() == 1 { 0 } else { below(ready.len(), rng) }
    }

    fn stride(&mut self, rng: &mut SmallRng) -> u32 {
        // Uniform in [1, 2k-1] has mean k and is cheaper than the geometric law.
        1 + below(2 * self.switch_every as usize - 1, rng) as u32
    }
}

/// Priorities by slot; higher runs first. Change points lower the running task below everybody else.
struct Pct {
    priorities: Vec<u64>,
    /// Decisions at which the chosen task loses its priority, in descending order.
    change_points: Vec<u32>,
    decisions: u32,
}

impl Pct {
    fn new(depth: u32, steps: u32, rng: &mut SmallRng) -> Self {
        let points = depth.saturating_sub(1);
        let mut change_points: Vec<u32> = (0..points).map(|_| rng.random_range(0..steps.max(1))).collect();
        change_points.sort_unstable_by(|a, b| b.cmp(a));
        Pct { priorities: Vec::new(), change_points, decisions: 0 }
    }
}

impl Policy for Pct {
    fn spawned(&mut self, slot: Slot, rng: &mut SmallRng) {
        let slot = slot as usize;
        if self.priorities.len() <= slot {
            self.priorities.resize(slot + 1, 0);
        }
        // The upper half is for initial priorities, the lower for tasks that met a change point.
        self.priorities[slot] = rng.next_u64() | (1 << 63);
    }

    fn pick(&mut self, ready: &[Slot], _rng: &mut SmallRng) -> usize {
        let priorities = &mut self.priorities;
        let best = |p: &[u64]| {
            (0..ready.len())
                .max_by_key(|&i| p[ready[i] as usize])
                .expect("`ready` is never empty by contract")
        };
        let mut chosen = best(priorities);
        self.decisions += 1;
        while self.change_points.last().is_some_and(|&point| point < self.decisions) {
            self.change_points.pop();
            priorities[ready[chosen] as usize] = self.change_points.len() as u64;
            chosen = best(priorities);
        }
        chosen
    }

    fn stride(&mut self, _rng: &mut SmallRng) -> u32 {
        1
    }
}

/// The ready list loses order by swap-removal, so the turn is kept by slot: the next slot above the last one that ran.
#[derive(Default)]
struct RoundRobin {
    last: Slot,
}

impl Policy for RoundRobin {
    fn pick(&mut self, ready: &[Slot], _rng: &mut SmallRng) -> usize {
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

struct Replay {
    schedule: Schedule,
    pick: usize,
    stride: usize,
}

impl Policy for Replay {
    fn pick(&mut self, ready: &[Slot], _rng: &mut SmallRng) -> usize {
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
