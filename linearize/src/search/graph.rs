//! The just-in-time graph search itself.

use std::collections::hash_map::Entry;
use std::mem::size_of;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::events::{Events, Item, NEVER};
use super::map_bytes;
use super::mask::Mask;
use super::states::{NONE, States};
use crate::limits::{Limits, Progress};
use crate::model::Effect;
use crate::verdict::Limit;

/// In which order candidates are tried. The answer is the same; the time to it may differ a thousandfold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preference {
    /// What returns first.
    Return,
    /// Updates before overwrites: an update is legal in few states, so one that is legal now had better
    /// happen now.
    Updates,
    /// Overwrites before updates.
    Overwrites,
}

/// For so many nodes there is room from the beginning, so that it need not grow again and again.
const ROOM: usize = 100;

/// How a partition was explored.
pub(crate) enum Outcome {
    /// A way through to the end.
    Found(Vec<Action>),
    /// There is none; the return number `deepest` is the first that cannot be reached.
    Exhausted { deepest: usize },
    /// The limits came first.
    Limited { limit: Limit, deepest: usize },
}

/// A step on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// This item takes effect now.
    Step(u32),
    /// This item took effect right before the newest overwrite, which left no trace of it.
    Under(u32),
}

/// A node of the graph: everything up to return number `event` has taken effect, and of what is under way,
/// `done`.
#[derive(Clone)]
struct Node<K> {
    event: u32,
    state: u32,
    /// One more than the return at which the newest overwrite took effect; 0 if none has.
    overwritten: u32,
    done: K,
}

/// What distinguishes visits of one node.
struct Visit<K> {
    overwritten: u32,
    /// The open operations that have taken effect.
    used: K,
}

impl<K: Mask> Visit<K> {
    fn covers(&self, other: &Self) -> bool {
        self.overwritten >= other.overwritten && self.used.is_subset(&other.used)
    }
}

/// All visits of one node.
struct Seen<K> {
    first: Visit<K>,
    more: Vec<Visit<K>>,
}

struct Frame<K> {
    node: Node<K>,
    /// The next candidate to try; the first is number 0.
    next: u32,
    /// How long the trail was here.
    trail: u32,
}

/// One run of the search.
pub(crate) struct Search<'s, 'm, K: Mask> {
    pub(crate) events: &'s Events,
    pub(crate) states: &'s mut States<'m>,
    pub(crate) preference: Preference,
    pub(crate) limits: &'s Limits,
    pub(crate) progress: &'s Progress,
    /// Whether operations that never return may happen any number of times.
    pub(crate) endless: bool,
    /// Whether a node is visited once, whatever open operations it was reached by: fast, and may miss orders.
    pub(crate) once: bool,
    /// The slots of operations that never return.
    open: K,
    /// Nodes that were visited, without what open operations they have used.
    visited: FxHashMap<(u32, u32, K), Seen<K>>,
    /// How many entries of `visited` have more than one visit.
    crowded: usize,
    /// Whether a visit was left out because its node had been visited in another way.
    missed: bool,
    trail: Vec<Action>,
    stack: Vec<Frame<K>>,
    deepest: u32,
    visits: u64,
    /// What the memory last measured depended on.
    measured: Sizes,
}

/// Whether the next node makes the map grow, how many nodes have several visits and how many steps the model
/// has taken; the room for nodes, and for those on the way.
type Sizes = ((bool, usize, u64), usize, usize);

impl<'s, 'm, K: Mask> Search<'s, 'm, K> {
    pub(crate) fn new(
        events: &'s Events,
        states: &'s mut States<'m>,
        preference: Preference,
        limits: &'s Limits,
        progress: &'s Progress,
    ) -> Self {
        let mut open = K::empty(events.timeline.slots);
        for item in events.items.iter().filter(|item| item.end == u64::MAX && item.slot != NEVER) {
            open.insert(item.slot);
        }
        // Most short histories are gone through with hardly a step back.
        let room = events.items.len().min(ROOM);
        Search {
            events,
            states,
            preference,
            limits,
            progress,
            endless: false,
            once: false,
            open,
            visited: FxHashMap::with_capacity_and_hasher(room, FxBuildHasher),
            crowded: 0,
            missed: false,
            trail: Vec::with_capacity(room),
            stack: Vec::with_capacity(room),
            deepest: 0,
            visits: 0,
            measured: ((true, 0, 0), 0, 0),
        }
    }

    /// Explores depth first. Returns the outcome and how many nodes were visited.
    pub(crate) fn run(mut self) -> (Outcome, u64) {
        let start = Node { event: 0, state: 0, overwritten: 0, done: K::empty(self.events.timeline.slots) };
        let outcome = self.explore(start);
        self.progress.add_states(self.visits & 0xfff);
        (outcome, self.visits)
    }

    fn explore(&mut self, start: Node<K>) -> Outcome {
        if self.enter(start) {
            return Outcome::Found(std::mem::take(&mut self.trail));
        }
        while let Some(mut frame) = self.stack.pop() {
            self.trail.truncate(frame.trail as usize);
            let Some(child) = self.next_child(&frame.node, &mut frame.next) else { continue };
            self.stack.push(frame);
            if let Some(limit) = self.over_limit() {
                return Outcome::Limited { limit, deepest: self.deepest as usize };
            }
            if self.enter(child) {
                return Outcome::Found(std::mem::take(&mut self.trail));
            }
        }
        let deepest = self.deepest as usize;
        // What was left out might have led on.
        if self.missed {
            Outcome::Limited { limit: Limit::States, deepest }
        } else {
            Outcome::Exhausted { deepest }
        }
    }

    fn over_limit(&mut self) -> Option<Limit> {
        if self.visits >= self.limits.states {
            return Some(Limit::States);
        }
        let sizes = (self.visited.len() == self.visited.capacity(), self.crowded, self.states.taken());
        let sizes = (sizes, self.visited.capacity(), self.stack.capacity());
        if std::mem::replace(&mut self.measured, sizes) == sizes {
            return None;
        }
        let heap = if self.events.timeline.slots > 64 { self.events.timeline.slots / 4 } else { 0 };
        let entry = size_of::<((u32, u32, K), Seen<K>)>() + heap;
        let bytes = map_bytes(&self.visited, entry)
            + self.crowded * 2 * (size_of::<Visit<K>>() + heap / 2)
            + self.stack.capacity() * (size_of::<Frame<K>>() + heap / 2)
            + self.states.bytes()
            + self.events.bytes();
        (bytes > self.limits.memory).then_some(Limit::Memory)
    }

    /// Goes on from `node` as far as nothing has to be chosen. Returns whether that is the end of the
    /// history.
    fn enter(&mut self, mut node: Node<K>) -> bool {
        let (events, trail) = (self.events, self.trail.len());
        loop {
            if node.event as usize == events.timeline.returns.len() {
                return true;
            }
            let item = events.timeline.returns[node.event as usize];
            let entry = &events.items[item as usize];
            if node.done.has(entry.slot) {
                node.done.remove(entry.slot);
            } else if entry.effect == Effect::Read && self.step(node.state, entry).is_some() {
                self.trail.push(Action::Step(item));
            } else {
                break;
            }
            node.event += 1;
        }
        self.deepest = self.deepest.max(node.event);
        self.take_reads(&mut node);
        if !self.is_new(&node) {
            self.trail.truncate(trail);
            return false;
        }
        self.visits += 1;
        if self.visits & 0xfff == 0 {
            self.progress.add_states(0x1000);
        }
        self.stack.push(Frame { node, next: 0, trail: self.trail.len() as u32 });
        false
    }

    /// Whether nothing as good as `node` was visited. Of two nodes that differ only in the open operations
    /// that they have used and in the newest overwrite, the one that has used less, and has the newer
    /// overwrite, can do all that the other can.
    fn is_new(&mut self, node: &Node<K>) -> bool {
        let key = (node.event, node.state, node.done.without(&self.open));
        let visit = Visit { overwritten: node.overwritten, used: node.done.within(&self.open) };
        match self.visited.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(Seen { first: visit, more: Vec::new() });
                true
            }
            Entry::Occupied(mut entry) => {
                let seen = entry.get_mut();
                if seen.first.covers(&visit) || seen.more.iter().any(|other| other.covers(&visit)) {
                    return false;
                }
                if self.once {
                    self.missed = true;
                    return false;
                }
                if visit.covers(&seen.first) {
                    seen.first = visit;
                } else {
                    self.crowded += 1;
                    seen.more.push(visit);
                }
                true
            }
        }
    }

    fn step(&mut self, state: u32, item: &Item) -> Option<u32> {
        self.states.step(state, item.class, self.events.classes[item.class as usize])
    }

    /// A read that is right in this state may as well take effect now: it changes nothing, and later can only
    /// be worse.
    fn take_reads(&mut self, node: &mut Node<K>) {
        let events = self.events;
        for item in events.under_way(node.event as usize) {
            let entry = &events.items[item as usize];
            if entry.effect == Effect::Read
                && !node.done.has(entry.slot)
                && self.step(node.state, entry).is_some()
            {
                node.done.insert(entry.slot);
                self.trail.push(Action::Step(item));
            }
        }
    }

    /// The next node after `node`: that of the first candidate from number `next` on that leads anywhere.
    /// `next` becomes the number behind it. Number 0 is to pass under the newest overwrite. The others are
    /// what is under way, in the order that the preference wants, for which the list is gone through twice.
    fn next_child(&mut self, node: &Node<K>, next: &mut u32) -> Option<Node<K>> {
        let events = self.events;
        let returning = events.timeline.returns[node.event as usize];
        if *next == 0 {
            *next = 1;
            let child = self.pass_under(node, returning);
            if child.is_some() {
                return child;
            }
        }
        let list = events.timeline.list(node.event as usize);
        let preferred = match self.preference {
            Preference::Return => None,
            Preference::Updates => Some(Effect::Update),
            Preference::Overwrites => Some(Effect::Overwrite),
        };
        let count = if preferred.is_some() { 2 * list.len() } else { list.len() };
        while *next as usize <= count {
            let rank = *next as usize - 1;
            *next += 1;
            let item = list[if rank < list.len() { rank } else { rank - list.len() }];
            let entry = &events.items[item as usize];
            let its_turn = preferred.is_none_or(|first| (entry.effect == first) == (rank < list.len()));
            if its_turn && let Some(child) = self.child(node, item, entry, returning) {
                return Some(child);
            }
        }
        None
    }

    /// What it leads to if `item` takes effect at `node`.
    fn child(&mut self, node: &Node<K>, item: u32, entry: &Item, returning: u32) -> Option<Node<K>> {
        if entry.effect == Effect::Read
            || node.done.has(entry.slot)
            || !self.events.timeline.is_under_way(item, node.event as usize)
            || self.has_twin_before(node, item)
        {
            return None;
        }
        let state = self.step(node.state, entry)?;
        let overwrite = entry.effect == Effect::Overwrite;
        // What never returns need not happen: not if it changes nothing, unless it hides an overwrite, nor if
        // the next thing to happen is an overwrite.
        let idle = entry.end == u64::MAX && state == node.state && !(overwrite && self.hides(node, item));
        let optional = overwrite || entry.end == u64::MAX;
        if idle || (optional && item != returning && !self.is_awaited(node, item, state)) {
            return None;
        }
        let mut child = node.clone();
        child.state = state;
        if !self.endless || entry.end != u64::MAX {
            child.done.insert(entry.slot);
        }
        if overwrite {
            child.overwritten = node.event + 1;
        }
        self.trail.push(Action::Step(item));
        Some(child)
    }

    /// An overwrite that must have happened by now, and was called before the newest overwrite happened, may
    /// have happened right before that one, where no operation could see it.
    fn pass_under(&mut self, node: &Node<K>, returning: u32) -> Option<Node<K>> {
        let entry = &self.events.items[returning as usize];
        if entry.effect != Effect::Overwrite || entry.first >= node.overwritten {
            return None;
        }
        let mut child = node.clone();
        child.event += 1;
        self.trail.push(Action::Under(returning));
        Some(child)
    }

    /// Whether an operation that asks the same and got the same returns earlier and has not happened. Of
    /// such, the one that returns first can always go first.
    fn has_twin_before(&self, node: &Node<K>, item: u32) -> bool {
        let mut twin = self.events.items[item as usize].twin;
        while twin != NONE {
            let entry = &self.events.items[twin as usize];
            if entry.last < node.event {
                return false;
            }
            // One that is not under way yet was called later and returns earlier; there may be another before
            // it.
            if entry.slot != NEVER && entry.first <= node.event && !node.done.has(entry.slot) {
                return true;
            }
            twin = entry.twin;
        }
        false
    }

    /// Whether an overwrite must happen that could pass under `item` and under no overwrite before it.
    fn hides(&self, node: &Node<K>, item: u32) -> bool {
        self.events.under_way(node.event as usize).any(|other| {
            let entry = &self.events.items[other as usize];
            other != item
                && entry.effect == Effect::Overwrite
                && entry.end != u64::MAX
                && entry.first >= node.overwritten
                && !node.done.has(entry.slot)
        })
    }

    /// Whether anything under way could make use of `state`, which `item` would bring about. If not, what
    /// comes next is an overwrite, and `item`, if it is one, had better pass under that; if it never returns,
    /// never happen.
    fn is_awaited(&mut self, node: &Node<K>, item: u32, state: u32) -> bool {
        let events = self.events;
        events.under_way(node.event as usize).any(|other| {
            let entry = &events.items[other as usize];
            let again = self.endless && entry.end == u64::MAX;
            (other != item || again)
                && !node.done.has(entry.slot)
                && entry.effect != Effect::Overwrite
                && self.step(state, entry).is_some()
        })
    }
}
