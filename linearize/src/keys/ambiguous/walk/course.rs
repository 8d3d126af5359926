//! A key as a row of returns, each with what is under way at it.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::super::tree::{NOWHERE, Place, Tree};
use crate::keys::order::slim::{Gathered, INITIAL, Kind, NONE, Slim};
use crate::keys::texts::{Text, Texts};
use crate::search::timeline::Timeline;

/// One operation, as the walk sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Its number in [`Gathered::ops`].
    pub(super) op: u32,
    pub(super) kind: Kind,
    /// Of writes: the class of those that write the same in the same way.
    pub(super) class: u32,
    /// Its bit while it is under way. Bits of operations that have returned are used again.
    pub(super) slot: u32,
    pub(super) call: u64,
    pub(super) end: u64,
    /// Of reads: where in the tree what they saw is, and their rank there.
    pub(super) place: Place,
    pub(super) rank: u32,
}

/// All writes of one text in one way.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) kind: Kind,
    pub(super) text: Text,
    /// Those that never return, by rising call.
    pub(super) open: Vec<u32>,
    /// When its members are called, rising.
    calls: Vec<u64>,
}

/// The classes of one kind, by text.
#[derive(Debug, Default)]
struct Names {
    by_text: FxHashMap<Text, u32>,
    /// The lengths that occur, rising.
    lengths: Vec<u32>,
}

impl Names {
    /// Calls `visit` with each class whose text `bytes` begins with.
    fn matching(&self, texts: &Texts, bytes: &[u8], mut visit: impl FnMut(u32)) {
        for &length in &self.lengths {
            let Some(start) = bytes.get(..length as usize) else { break };
            if let Some(&class) = texts.find_bytes(start).and_then(|text| self.by_text.get(&text)) {
                visit(class);
            }
        }
    }
}

/// A key, prepared.
pub(super) struct Course<'a> {
    pub(super) texts: &'a Texts,
    pub(super) tree: Tree<'a>,
    pub(super) items: Vec<Item>,
    /// Without those that never return.
    pub(super) timeline: Timeline,
    pub(super) classes: Vec<Class>,
    /// Classes with members that never return.
    pub(super) with_open: Vec<u32>,
    puts: Names,
    appends: Names,
    /// The reads by rising call, and for each return the first one that is called after it.
    reads: Vec<u32>,
    later: Vec<u32>,
    /// For each return, the earliest return of a put that is called after it: by then, whatever stands there
    /// now is gone.
    replaced: Vec<u64>,
}

impl<'a> Course<'a> {
    pub(super) fn new(texts: &'a Texts, gathered: &'a Gathered) -> Course<'a> {
        let ops = &gathered.ops;
        let (tree, places) = Tree::new(texts, ops);
        let mut course = Course {
            texts,
            tree,
            items: Vec::with_capacity(ops.len()),
            timeline: Timeline::default(),
            classes: Vec::new(),
            with_open: Vec::new(),
            puts: Names::default(),
            appends: Names::default(),
            reads: Vec::new(),
            later: Vec::new(),
            replaced: Vec::new(),
        };
        let mut by_call: Vec<usize> = (INITIAL as usize + 1..ops.len()).collect();
        by_call.sort_by_key(|&number| ops[number].call);
        for number in by_call {
            course.add(number as u32, &ops[number], places[number]);
        }
        course.finish_classes();
        let spans: Vec<(u64, u64)> = course.items.iter().map(|item| (item.call, item.end)).collect();
        let items = &mut course.items;
        let enter = |item: usize, slot, _| items[item].slot = slot;
        course.timeline = Timeline::new(spans.len(), |item| spans[item], false, enter);
        course.look_ahead();
        course
    }

    fn add(&mut self, number: u32, op: &Slim, (place, rank): (Place, u32)) {
        let item = self.items.len() as u32;
        let mut class = NONE;
        if op.kind == Kind::Get {
            self.reads.push(item);
        } else {
            let names = if op.kind == Kind::Put { &mut self.puts } else { &mut self.appends };
            class = *names.by_text.entry(op.text).or_insert(self.classes.len() as u32);
            if class as usize == self.classes.len() {
                self.classes.push(Class {
                    kind: op.kind,
                    text: op.text,
                    open: Vec::new(),
                    calls: Vec::new(),
                });
            }
            self.classes[class as usize].calls.push(op.call);
            if op.end == u64::MAX {
                self.classes[class as usize].open.push(item);
            }
        }
        let place = if op.kind == Kind::Get { place } else { NOWHERE };
        let Slim { call, end, kind, .. } = *op;
        self.items.push(Item { op: number, kind, class, slot: NONE, call, end, place, rank });
    }

    fn finish_classes(&mut self) {
        for names in [&mut self.puts, &mut self.appends] {
            let mut lengths: Vec<u32> =
                names.by_text.keys().map(|&text| self.texts.place(text).length).collect();
            lengths.sort_unstable();
            lengths.dedup();
            names.lengths = lengths;
        }
        let open = |&class: &u32| !self.classes[class as usize].open.is_empty();
        self.with_open = (0..self.classes.len() as u32).filter(open).collect();
    }

    fn look_ahead(&mut self) {
        self.replaced = vec![u64::MAX; self.timeline.returns.len()];
        let mut puts = self.items.iter().rev().filter(|item| item.kind == Kind::Put).peekable();
        let mut earliest = u64::MAX;
        for event in (0..self.timeline.returns.len()).rev() {
            let now = self.now(event as u32);
            while let Some(put) = puts.next_if(|put| put.call > now) {
                earliest = earliest.min(put.end);
            }
            self.replaced[event] = earliest;
        }
        let mut next = 0;
        for event in 0..self.timeline.returns.len() {
            let now = self.now(event as u32);
            while self.reads.get(next).is_some_and(|&read| self.items[read as usize].call <= now) {
                next += 1;
            }
            self.later.push(next as u32);
        }
    }

    /// When return number `event` happens.
    pub(super) fn now(&self, event: u32) -> u64 {
        self.items[self.timeline.returns[event as usize] as usize].end
    }

    /// The earliest return of a put that is called after return number `event`.
    pub(super) fn replaced(&self, event: u32) -> u64 {
        self.replaced[event as usize]
    }

    /// The items under way at return number `event`, first those that return first, without those that never
    /// return.
    pub(super) fn under_way(&self, event: u32) -> impl Iterator<Item = (u32, &Item)> + Clone {
        self.timeline.under_way(event as usize).map(|item| (item, &self.items[item as usize]))
    }

    /// The reads called after return number `event` and by `until`.
    pub(super) fn reads_after(&self, event: u32, until: u64) -> impl Iterator<Item = &Item> + Clone {
        let later = &self.reads[self.later[event as usize] as usize..];
        later.iter().map(|&read| &self.items[read as usize]).take_while(move |read| read.call <= until)
    }

    /// How many writes of `class` are called after `from` and by `until`.
    pub(super) fn called(&self, class: u32, from: u64, until: u64) -> usize {
        let calls = &self.classes[class as usize].calls;
        calls.partition_point(|&call| call <= until) - calls.partition_point(|&call| call <= from)
    }

    pub(super) fn ranks(&self, place: Place) -> Range<u32> {
        self.tree.ranks(place)
    }

    /// Where a write of `class` leads from `place`.
    pub(super) fn follow(&self, place: Place, class: u32) -> Place {
        let Class { kind, text, .. } = &self.classes[class as usize];
        let from = if *kind == Kind::Put { self.tree.root() } else { place };
        self.tree.follow(from, self.texts.bytes(*text))
    }

    /// Calls `visit` with the classes of puts that what `read` saw can have begun with.
    pub(super) fn heads(&self, read: &Item, visit: impl FnMut(u32)) {
        self.puts.matching(self.texts, self.tree.bytes(read.place), visit);
    }

    /// Calls `visit` with the classes of appends that can come at `place` on the way to what `read` saw.
    pub(super) fn next(&self, place: Place, read: &Item, visit: impl FnMut(u32)) {
        if self.ranks(place).contains(&read.rank)
            && let Some(rest) = self.tree.bytes(read.place).get(place.length()..)
        {
            self.appends.matching(self.texts, rest, visit);
        }
    }
}
