//! The search for a walk, depth first, with a memory of where there is no way on.

use std::mem::size_of;

use rustc_hash::FxHashMap;

use super::super::tree::{NOWHERE, Place};
use super::course::Course;
use super::steps::{Goal, Node, Step, Ways, bit};
use crate::keys::order::slim::{Kind, NONE};
use crate::limits::{Limits, Progress};
use crate::search::mask::Mask;
use crate::verdict::Limit;

/// Something that happened on the way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    /// This item reads.
    Read { item: u32 },
    /// At return number `event` a step was taken; `settles` is [`NONE`] if it settles no write.
    Write { event: u32, item: u32, settles: u32 },
    /// From return number `event` on no read looks, until the next put.
    Leave { event: u32 },
}

/// What comes of it.
pub(super) enum Outcome {
    /// A walk to the end.
    Found(Vec<Move>),
    /// There is none; return number `deepest` is the first that none reaches.
    Exhausted { deepest: u32 },
    /// The limits came first.
    Limited { limit: Limit, deepest: u32 },
}

/// A node from which not all ways were tried.
struct Frame<K> {
    node: Node<K>,
    goal: Goal,
    ways: Ways,
    next: usize,
    /// The classes of which a step found no taker, on all ways tried so far.
    missed: u64,
    trail: usize,
}

/// Where one gets from a node without a choice.
enum Arrival<K> {
    End,
    /// No way on; with the classes that were missed.
    Dead(u64),
    Choice(Node<K>, Goal),
}

/// Nodes from which there is no way on.
struct Dead<K> {
    /// By event, place and the two flags.
    nodes: FxHashMap<(u32, Place, bool, bool), Vec<Spot<K>>>,
    count: usize,
}

/// What was spent, what was settled, and which classes were missed.
type Spot<K> = (K, K, u64);

impl<K> Default for Dead<K> {
    fn default() -> Self {
        Dead { nodes: FxHashMap::default(), count: 0 }
    }
}

impl<K: Mask> Dead<K> {
    fn insert(&mut self, node: &Node<K>, missed: u64) {
        let same = self.nodes.entry((node.event, node.place, node.shown, node.obliged)).or_default();
        let before = same.len();
        same.retain(|(spent, settled, _)| !(node.spent.is_subset(spent) && settled.is_subset(&node.settled)));
        same.push((node.spent.clone(), node.settled.clone(), missed));
        self.count = self.count + same.len() - before;
    }

    /// Whether there is no way on from `node`, because there was none from where less was spent and more was
    /// settled. Then the classes missed there.
    fn find(&self, node: &Node<K>) -> Option<u64> {
        let same = self.nodes.get(&(node.event, node.place, node.shown, node.obliged))?;
        let harder =
            |(spent, settled, _): &&Spot<K>| spent.is_subset(&node.spent) && node.settled.is_subset(settled);
        same.iter().find(harder).map(|&(_, _, missed)| missed)
    }
}

pub(super) struct Search<'a, K: Mask> {
    course: &'a Course<'a>,
    limits: &'a Limits,
    progress: &'a Progress,
    dead: Dead<K>,
    stack: Vec<Frame<K>>,
    trail: Vec<Move>,
    deepest: u32,
    states: u64,
}

impl<'a, K: Mask> Search<'a, K> {
    pub(super) fn new(course: &'a Course<'a>, limits: &'a Limits, progress: &'a Progress) -> Self {
        Search {
            course,
            limits,
            progress,
            dead: Dead::default(),
            stack: Vec::new(),
            trail: Vec::new(),
            deepest: 0,
            states: 0,
        }
    }

    /// Searches. Returns also how many nodes were visited.
    pub(super) fn run(mut self) -> (Outcome, u64) {
        let start = Node {
            event: 0,
            place: self.course.tree.root(),
            shown: true,
            obliged: false,
            spent: K::empty(self.course.timeline.slots),
            settled: K::empty(self.course.timeline.slots),
        };
        let outcome = self.explore(start);
        self.progress.add_states(self.states & 0xfff);
        (outcome, self.states)
    }

    fn explore(&mut self, start: Node<K>) -> Outcome {
        if let Err(end) = self.enter(start) {
            return end;
        }
        while let Some(frame) = self.stack.last_mut() {
            self.trail.truncate(frame.trail);
            let Some(step) = Self::next_step(self.course, frame) else {
                self.give_up();
                continue;
            };
            let mut child = frame.node.clone();
            let obliged = matches!(frame.goal, Goal::Spend { .. } | Goal::Oblige { .. })
                || frame.next > frame.ways.spare;
            child.obliged = obliged && !matches!(step, Step::Pass);
            self.take(&mut child, step);
            if let Some(limit) = self.over_limit() {
                return Outcome::Limited { limit, deepest: self.deepest };
            }
            if let Err(end) = self.enter(child) {
                return end;
            }
        }
        Outcome::Exhausted { deepest: self.deepest }
    }

    /// The next way to try from a frame.
    fn next_step(course: &Course<'_>, frame: &mut Frame<K>) -> Option<Step> {
        let Frame { node, goal, ways, next, missed, .. } = frame;
        if *next == ways.spare {
            let spare = matches!(goal, Goal::Settle { .. } | Goal::Spend { .. });
            if !matches!(goal, Goal::Spend { .. }) {
                *missed |= course.missed(node, *goal, !spare);
            }
            if spare && *missed & bit(ways.class) == 0 {
                return None;
            }
            if spare {
                *missed |= course.missed(node, *goal, true);
            }
            if matches!(goal, Goal::Spend { .. }) {
                ways.steps.append(&mut course.ways_to_spend(node, ways.class));
            }
        }
        let step = ways.steps.get(*next).copied();
        *next += 1;
        step
    }

    fn give_up(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        self.dead.insert(&frame.node, frame.missed);
        if let Some(parent) = self.stack.last_mut() {
            parent.missed |= frame.missed;
        }
    }

    fn over_limit(&mut self) -> Option<Limit> {
        self.states += 1;
        if self.states & 0xfff == 0 {
            self.progress.add_states(0x1000);
        }
        if self.states >= self.limits.states {
            return Some(Limit::States);
        }
        let heap = if self.course.timeline.slots > 64 { self.course.timeline.slots / 4 } else { 0 };
        let bytes = self.dead.count * (size_of::<Spot<K>>() + size_of::<u64>() * 4 + heap)
            + self.stack.capacity() * (size_of::<Frame<K>>() + 64 + heap)
            + self.trail.capacity() * size_of::<Move>()
            + self.course.timeline.bytes();
        (bytes > self.limits.memory).then_some(Limit::Memory)
    }

    /// Takes a step at the return of `node`.
    fn take(&mut self, node: &mut Node<K>, step: Step) {
        match step {
            Step::Pass => self.go_on(node),
            Step::Leave => self.leave(node),
            Step::Write { class, place } => {
                let put = self.course.classes[class as usize].kind == Kind::Put;
                if put {
                    self.settle_all(node);
                }
                let item = self.course.taker(node, class);
                node.spent.insert(self.course.items[item as usize].slot);
                let settles = self.course.settles(node, class);
                if settles != NONE {
                    node.settled.insert(self.course.items[settles as usize].slot);
                }
                (node.place, node.shown) = (place, false);
                self.trail.push(Move::Write { event: node.event, item, settles });
            }
        }
    }

    /// Everything under way can take effect now, where no read looks.
    fn settle_all(&self, node: &mut Node<K>) {
        for (_, item) in self.course.under_way(node.event).filter(|(_, item)| item.kind != Kind::Get) {
            node.settled.insert(item.slot);
        }
    }

    fn leave(&mut self, node: &mut Node<K>) {
        (node.place, node.shown) = (NOWHERE, true);
        self.trail.push(Move::Leave { event: node.event });
    }

    /// Past the return of `node`.
    fn go_on(&self, node: &mut Node<K>) {
        let slot = self.course.items[self.course.timeline.returns[node.event as usize] as usize].slot;
        node.spent.remove(slot);
        node.settled.remove(slot);
        node.obliged = false;
        node.event += 1;
    }

    /// Goes on from `node` as far as nothing has to be chosen; the error is an outcome.
    fn enter(&mut self, node: Node<K>) -> Result<(), Outcome> {
        let trail = self.trail.len();
        let missed = match self.arrive(node) {
            Arrival::End => return Err(Outcome::Found(std::mem::take(&mut self.trail))),
            Arrival::Dead(missed) => missed,
            Arrival::Choice(node, goal) => match self.dead.find(&node) {
                Some(missed) => missed,
                None => {
                    let ways = self.course.ways(&node, goal);
                    let trail = self.trail.len();
                    self.stack.push(Frame { node, goal, ways, next: 0, missed: 0, trail });
                    return Ok(());
                }
            },
        };
        self.trail.truncate(trail);
        match self.stack.last_mut() {
            Some(parent) => parent.missed |= missed,
            None => return Err(Outcome::Exhausted { deepest: self.deepest }),
        }
        Ok(())
    }

    fn arrive(&mut self, mut node: Node<K>) -> Arrival<K> {
        loop {
            if node.event as usize == self.course.timeline.returns.len() {
                return Arrival::End;
            }
            self.deepest = self.deepest.max(node.event);
            self.read_all(&mut node);
            let Some(goal) = self.goal(&mut node) else {
                self.go_on(&mut node);
                continue;
            };
            let until = self.course.until(&node);
            if node.place == NOWHERE || self.course.is_live(&node, node.place, until) {
                return match self.course.hopeless(&node) {
                    Some(missed) => Arrival::Dead(missed),
                    None => Arrival::Choice(node, goal),
                };
            }
            if !node.shown {
                return Arrival::Dead(0);
            }
            self.leave(&mut node);
        }
    }

    /// A read that sees what it saw may as well read now: it changes nothing.
    fn read_all(&mut self, node: &mut Node<K>) {
        if node.place == NOWHERE {
            return;
        }
        for (number, item) in self.course.under_way(node.event) {
            if item.kind == Kind::Get && item.place == node.place && !node.settled.has(item.slot) {
                node.settled.insert(item.slot);
                node.shown = true;
                self.trail.push(Move::Read { item: number });
            }
        }
    }

    /// What has to be reached before the next return, if anything.
    fn goal(&self, node: &mut Node<K>) -> Option<Goal> {
        let item = self.course.timeline.returns[node.event as usize];
        let entry = &self.course.items[item as usize];
        let spent = node.spent.has(entry.slot);
        if entry.kind == Kind::Get {
            return (!node.settled.has(entry.slot)).then_some(Goal::Read { item });
        }
        if node.place == NOWHERE {
            node.settled.insert(entry.slot);
        }
        match (node.settled.has(entry.slot), spent) {
            _ if node.obliged && !spent => Some(Goal::Oblige { item }),
            (false, _) => Some(Goal::Settle { item }),
            (true, false) => Some(Goal::Spend { item }),
            (true, true) => None,
        }
    }
}
