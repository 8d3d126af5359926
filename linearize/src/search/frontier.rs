//! The same graph, breadth first: everything that is possible at one return, then everything at the next.
//!
//! Going deep first finds an order soon, if there is one and little is hidden. To be sure that there is none,
//! all of the graph must be seen anyway; then it costs far less memory to go return by return, because nodes
//! and states behind the return at hand need no longer be remembered. What stays of a node is how it was
//! reached, eight bytes.
//!
//! Each step adds to what is done of what is under way, so the nodes of one return are dealt with by how much
//! is done in them: all ways to a node are known before it is left, it is left once, and then it is
//! forgotten.

use std::collections::hash_map::Entry;
use std::mem::size_of;

use rustc_hash::FxHashMap;

use super::events::{Events, NEVER};
use super::graph::{Action, Outcome};
use super::map_bytes;
use super::states::States;
use crate::history::OPEN;
use crate::limits::{Limits, Progress};
use crate::model::Effect;
use crate::verdict::Limit;

/// How many slots there can be.
pub(crate) const SLOTS: usize = 64;

/// All that is possible at one moment: state, what is done of what is under way, and the last step to there,
/// among [`Frontier::ways`].
type Layer = FxHashMap<(u32, u64), u32>;

/// A step, and the one before it.
struct Way {
    before: u32,
    item: u32,
}

/// Nothing came before.
const START: u32 = u32::MAX;

/// A candidate at one return.
#[derive(Clone, Copy)]
struct Candidate {
    item: u32,
    slot: u32,
    class: u32,
    open: bool,
    /// The slots of candidates that return before it, ask the same and got the same.
    twins: u64,
}

/// What is under way at one return.
#[derive(Default)]
struct Scene {
    returning: u32,
    /// By rising return.
    candidates: Vec<Candidate>,
    /// Reads, as slot, class and item.
    reads: Vec<(u32, u32, u32)>,
}

/// One run of the search. It must not be asked about overwrites, of which it does not make the use that can
/// be made.
pub(crate) struct Frontier<'s, 'm> {
    pub(crate) events: &'s Events,
    /// With a column for each slot.
    pub(crate) states: States<'m>,
    pub(crate) limits: &'s Limits,
    pub(crate) progress: &'s Progress,
    pub(crate) visits: u64,
    ways: Vec<Way>,
    scene: Scene,
    /// Nodes before the return at hand that have not been left, by how much is done in them.
    levels: Vec<Layer>,
    /// Nodes behind it.
    passed: Layer,
}

impl<'s, 'm> Frontier<'s, 'm> {
    pub(crate) fn new(
        events: &'s Events,
        states: States<'m>,
        limits: &'s Limits,
        progress: &'s Progress,
    ) -> Self {
        Frontier {
            events,
            states,
            limits,
            progress,
            visits: 0,
            ways: Vec::new(),
            scene: Scene::default(),
            levels: vec![Layer::default(); SLOTS + 1],
            passed: Layer::default(),
        }
    }

    /// Explores return by return.
    pub(crate) fn run(&mut self) -> Outcome {
        let mut layer = Layer::default();
        layer.insert((0, 0), START);
        for event in 0..self.events.timeline.returns.len() {
            self.set_scene(event);
            layer = match self.pass(layer) {
                Ok(next) if next.is_empty() => return Outcome::Exhausted { deepest: event },
                Ok(next) => self.forget(next),
                Err(limit) => return Outcome::Limited { limit, deepest: event },
            };
        }
        // The history ends here, so any node will do; the order of a hash map is not one to depend on.
        let way = layer.values().copied().min().unwrap_or(START);
        Outcome::Found(self.trail(way))
    }

    fn set_scene(&mut self, event: usize) {
        let events = self.events;
        let mut scene = Scene { returning: events.slot_of_return(event), ..Scene::default() };
        for item in events.under_way(event) {
            let entry = events.items[item as usize];
            debug_assert!(entry.slot != NEVER && entry.effect != Effect::Overwrite);
            if entry.effect == Effect::Read {
                scene.reads.push((entry.slot, events.class_of(item), item));
                continue;
            }
            let same = |other: &&Candidate| events.items[other.item as usize].class == entry.class;
            let twins = scene.candidates.iter().filter(same).fold(0, |twins, other| twins | 1 << other.slot);
            let (slot, class, open) = (entry.slot, events.class_of(item), entry.end == OPEN);
            scene.candidates.push(Candidate { item, slot, class, open, twins });
        }
        self.scene = scene;
    }

    /// From all nodes before a return to all behind it.
    fn pass(&mut self, layer: Layer) -> Result<Layer, Limit> {
        for ((state, done), way) in layer {
            self.arrive(state, done, way);
        }
        for done in 0..=SLOTS {
            for (node, way) in std::mem::take(&mut self.levels[done]) {
                self.visits += 1;
                if self.visits & 0x3ff == 0 {
                    self.progress.add_states(0x400);
                    self.over_limit()?;
                }
                self.leave(node, way);
            }
        }
        Ok(std::mem::take(&mut self.passed))
    }

    /// Takes every step that leads on from a node.
    fn leave(&mut self, (state, done): (u32, u64), before: u32) {
        for place in 0..self.scene.candidates.len() {
            let Candidate { item, slot, class, open, twins } = self.scene.candidates[place];
            if done >> slot & 1 == 1 || twins & !done != 0 {
                continue;
            }
            let Some(after) = self.states.step(state, slot, class) else { continue };
            // What never returns need not happen if it changes nothing.
            if open && after == state {
                continue;
            }
            let way = self.ways.len() as u32;
            self.ways.push(Way { before, item });
            if !self.arrive(after, done | 1 << slot, way) {
                self.ways.truncate(way as usize);
            }
        }
    }

    /// Enters a node among those of its kind. Returns whether it is new.
    fn arrive(&mut self, state: u32, mut done: u64, mut way: u32) -> bool {
        for &(slot, class, item) in &self.scene.reads {
            if done >> slot & 1 == 0 && self.states.step(state, slot, class).is_some() {
                done |= 1 << slot;
                self.ways.push(Way { before: way, item });
                way = self.ways.len() as u32 - 1;
            }
        }
        let returning = 1 << self.scene.returning;
        let level = &mut self.levels[done.count_ones() as usize];
        let layer = if done & returning != 0 { &mut self.passed } else { level };
        match layer.entry((state, done & !returning)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(way);
                true
            }
        }
    }

    /// Forgets the states that no node of `layer` is in.
    fn forget(&mut self, layer: Layer) -> Layer {
        let mut nodes: Vec<((u32, u64), u32)> = layer.into_iter().collect();
        self.states.keep(nodes.iter_mut().map(|((state, _), _)| state));
        nodes.into_iter().collect()
    }

    fn over_limit(&self) -> Result<(), Limit> {
        if self.visits >= self.limits.states {
            return Err(Limit::States);
        }
        let layers = self.levels.iter().chain([&self.passed]);
        let bytes = layers.map(|layer| map_bytes(layer, size_of::<((u32, u64), u32)>())).sum::<usize>()
            + self.ways.capacity() * size_of::<Way>()
            + self.states.bytes()
            + self.events.bytes();
        if bytes > self.limits.memory { Err(Limit::Memory) } else { Ok(()) }
    }

    /// The steps that lead to the last one.
    fn trail(&self, mut way: u32) -> Vec<Action> {
        let mut trail = Vec::new();
        while way != START {
            let Way { before, item } = self.ways[way as usize];
            trail.push(Action::Step(item));
            way = before;
        }
        trail.reverse();
        trail
    }
}
