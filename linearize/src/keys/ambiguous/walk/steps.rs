//! Where the walk stands, and which ways lead on from there.

use super::super::tree::{NOWHERE, Place};
use super::course::{Course, Item};
use crate::keys::order::slim::{Kind, NONE};
use crate::search::mask::Mask;

/// A point on the walk: everything before return number `event` has its place.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Node<K> {
    pub(super) event: u32,
    /// What the key holds, as far as it will be read.
    pub(super) place: Place,
    /// Whether it has been read, so that it may be left; also if there is nothing to read.
    pub(super) shown: bool,
    /// Whether the write that returns now must be the taker of a step.
    pub(super) obliged: bool,
    /// Of what is under way: the writes that are takers.
    pub(super) spent: K,
    /// Of what is under way: the reads that have read, and the writes that need no further step.
    pub(super) settled: K,
}

/// A way on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The write that returns is no taker.
    Pass,
    /// What stands there now will not be read any more.
    Leave,
    /// A write of this class, which leads to this place.
    Write { class: u32, place: Place },
}

/// What has to be reached before the next return.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// This read reads.
    Read { item: u32 },
    /// This write takes a step, or finds a moment at which no read looks.
    Settle { item: u32 },
    /// This write, which is settled, may be a taker.
    Spend { item: u32 },
    /// This write must be a taker.
    Oblige { item: u32 },
}

/// The ways on from a node, best first. Those from `spare` on can only help if a step of the class `class`
/// found no taker.
pub(super) struct Ways {
    pub(super) steps: Vec<Step>,
    pub(super) spare: usize,
    pub(super) class: u32,
}

/// How many reads are looked at to find out which writes are missed; if there are more, all are.
const LOOKED_AT: usize = 64;

/// A set of classes, in which some share a bit.
pub(super) fn bit(class: u32) -> u64 {
    1 << (class % 64)
}

impl Course<'_> {
    /// By then whatever stands there at `node` is gone: a put must have come.
    pub(super) fn until<K: Mask>(&self, node: &Node<K>) -> u64 {
        let puts = self.under_way(node.event).filter(|(_, item)| item.kind == Kind::Put);
        let unsettled = puts.filter(|(_, item)| !node.settled.has(item.slot));
        unsettled.map(|(_, item)| item.end).next().unwrap_or(u64::MAX).min(self.replaced(node.event))
    }

    /// The reads under way that have not read.
    fn waiting<K: Mask>(&self, node: &Node<K>) -> impl Iterator<Item = &Item> {
        let reads = self.under_way(node.event).filter(|(_, item)| item.kind == Kind::Get);
        reads.filter(|(_, item)| !node.settled.has(item.slot)).map(|(_, item)| item)
    }

    fn is_awaited<K: Mask>(&self, node: &Node<K>, place: Place) -> bool {
        let ranks = self.ranks(place);
        !ranks.is_empty() && self.waiting(node).any(|read| ranks.contains(&read.rank))
    }

    /// Whether a read can still see something at `place` or behind it, if it is gone by `until`.
    pub(super) fn is_live<K: Mask>(&self, node: &Node<K>, place: Place, until: u64) -> bool {
        let ranks = self.ranks(place);
        !ranks.is_empty()
            && (self.is_awaited(node, place)
                || self.reads_after(node.event, until).any(|read| ranks.contains(&read.rank)))
    }

    /// Looks for reads under way that cannot see what stands there, and for which there are too few puts, now
    /// and to come. Returns the class of puts that is lacking.
    pub(super) fn hopeless<K: Mask>(&self, node: &Node<K>) -> Option<u64> {
        let ranks = self.ranks(node.place);
        let mut away: Vec<&Item> = self.waiting(node).filter(|read| !ranks.contains(&read.rank)).collect();
        if away.is_empty() {
            return None;
        }
        away.sort_unstable_by_key(|read| read.rank);
        // Of reads that continue one another the last may do for all.
        let mut wanted: Vec<(u32, u32, u64)> = Vec::new();
        for (at, read) in away.iter().enumerate() {
            if away.get(at + 1).is_some_and(|next| self.ranks(read.place).contains(&next.rank)) {
                continue;
            }
            let (mut heads, mut head) = (0, NONE);
            self.heads(read, |class| (heads, head) = (heads + 1, class));
            if heads == 0 {
                return Some(0);
            }
            match wanted.iter_mut().find(|entry| entry.0 == head) {
                _ if heads != 1 => {}
                Some(entry) => *entry = (head, entry.1 + 1, entry.2.max(read.end)),
                None => wanted.push((head, 1, read.end)),
            }
        }
        let now = self.now(node.event);
        let unspent = |class: u32| {
            let closed =
                self.under_way(node.event).map(|(_, item)| item).filter(|item| item.kind == Kind::Put);
            let open = self.classes[class as usize].open.iter().map(|&item| &self.items[item as usize]);
            let called = closed.chain(open.take_while(|item| item.call <= now));
            called.filter(|item| item.class == class && !node.spent.has(item.slot)).count()
        };
        let lacking = wanted
            .into_iter()
            .find(|&(class, count, until)| unspent(class) + self.called(class, now, until) < count as usize);
        lacking.map(|(class, _, _)| bit(class))
    }

    /// The next taker of each class that has any: the one that returns first.
    fn takers<K: Mask>(&self, node: &Node<K>) -> Vec<(u32, u32)> {
        let mut takers: Vec<(u32, u32)> = Vec::new();
        for (number, item) in self.under_way(node.event) {
            let unspent = item.kind != Kind::Get && !node.spent.has(item.slot);
            if unspent && takers.iter().all(|&(class, _)| class != item.class) {
                takers.push((item.class, number));
            }
        }
        let now = self.now(node.event);
        for &class in &self.with_open {
            if takers.iter().any(|&(other, _)| other == class) {
                continue;
            }
            let open = &self.classes[class as usize].open;
            let called = open.iter().take_while(|&&item| self.items[item as usize].call <= now);
            let unspent = called.copied().find(|&item| !node.spent.has(self.items[item as usize].slot));
            takers.extend(unspent.map(|item| (class, item)));
        }
        takers
    }

    /// The taker of a step of `class`; there must be one.
    pub(super) fn taker<K: Mask>(&self, node: &Node<K>, class: u32) -> u32 {
        let found = self.takers(node).into_iter().find(|&(other, _)| other == class);
        found.expect("a step is offered only if there is a taker").1
    }

    /// The write that a step of `class` settles: the one that returns first.
    pub(super) fn settles<K: Mask>(&self, node: &Node<K>, class: u32) -> u32 {
        let mut same =
            self.under_way(node.event).filter(|(_, item)| item.class == class && item.kind != Kind::Get);
        same.find(|(_, item)| !node.settled.has(item.slot)).map_or(NONE, |(item, _)| item)
    }

    /// The ways on from `node` to `goal`.
    pub(super) fn ways<K: Mask>(&self, node: &Node<K>, goal: Goal) -> Ways {
        match goal {
            Goal::Read { item } => {
                let steps = self.ways_to_read(node, &self.items[item as usize]);
                Ways { spare: steps.len(), steps, class: NONE }
            }
            Goal::Settle { item } => self.ways_to_settle(node, item),
            Goal::Spend { item } => {
                let class = self.items[item as usize].class;
                Ways { steps: vec![Step::Pass], spare: 1, class }
            }
            Goal::Oblige { item } => {
                let class = self.items[item as usize].class;
                let steps = self.ways_to_spend(node, class);
                Ways { spare: steps.len(), steps, class }
            }
        }
    }

    /// Appends, and puts if what stands there may be left, with where they lead.
    fn writes<K: Mask>(&self, node: &Node<K>) -> Vec<(u32, Place)> {
        let takers = self.takers(node).into_iter().map(|(class, _)| class);
        let may = takers.filter(|&class| {
            let put = self.classes[class as usize].kind == Kind::Put;
            if put { node.shown } else { node.place != NOWHERE }
        });
        let led = may.map(|class| (class, self.follow(node.place, class)));
        led.filter(|&(_, place)| place != NOWHERE).collect()
    }

    /// Towards `read`; or, if a put can still lead there afterwards, to others that wait, before it is too
    /// late for them.
    fn ways_to_read<K: Mask>(&self, node: &Node<K>, read: &Item) -> Vec<Step> {
        let has_head = self.has_head(node, read);
        let mut ways: Vec<(u32, Step)> = Vec::new();
        for (class, place) in self.writes(node) {
            let towards = self.ranks(place).contains(&read.rank);
            if !(towards || has_head && self.is_awaited(node, place)) {
                continue;
            }
            let put = self.classes[class as usize].kind == Kind::Put;
            let cost = u32::from(!towards) * 2 + u32::from(put);
            ways.push((cost, Step::Write { class, place }));
        }
        ways.sort_by_key(|&(cost, _)| cost);
        ways.into_iter().map(|(_, step)| step).collect()
    }

    /// Whether a put under way can begin what `read` saw.
    fn has_head<K: Mask>(&self, node: &Node<K>, read: &Item) -> bool {
        let takers = self.takers(node);
        let mut found = false;
        self.heads(read, |class| found |= takers.iter().any(|&(other, _)| other == class));
        found
    }

    fn ways_to_settle<K: Mask>(&self, node: &Node<K>, item: u32) -> Ways {
        let Item { class, slot, .. } = self.items[item as usize];
        let (until, fresh) = (self.until(node), self.replaced(node.event));
        let (mut first, mut others, mut puts) = (Vec::new(), Vec::new(), Vec::new());
        for (other, place) in self.writes(node) {
            let step = Step::Write { class: other, place };
            let put = self.classes[other as usize].kind == Kind::Put;
            if !self.is_live(node, place, if put { fresh } else { until }) {
                continue;
            }
            match (put, other == class) {
                (true, _) => puts.push(step),
                (false, true) => first.push(step),
                (false, false) => others.push(step),
            }
        }
        if node.shown && node.place != NOWHERE {
            first.push(Step::Leave);
        }
        let mut steps = first;
        steps.append(&mut others);
        let spare = steps.len();
        // To put something new settles it no better than to leave what there is, but uses it.
        if !node.spent.has(slot) {
            steps.append(&mut puts);
        }
        Ways { steps, spare, class }
    }

    /// To a step of `class`.
    pub(super) fn ways_to_spend<K: Mask>(&self, node: &Node<K>, class: u32) -> Vec<Step> {
        let (until, fresh) = (self.until(node), self.replaced(node.event));
        let mut ways: Vec<(u32, Step)> = Vec::new();
        for (other, place) in self.writes(node) {
            let put = self.classes[other as usize].kind == Kind::Put;
            if self.is_live(node, place, if put { fresh } else { until }) {
                let cost = u32::from(other != class) * 2 + u32::from(put);
                ways.push((cost, Step::Write { class: other, place }));
            }
        }
        ways.sort_by_key(|&(cost, _)| cost);
        ways.into_iter().map(|(_, step)| step).collect()
    }

    /// The classes that would have led on from `node` to `goal`, or further, if there had been a taker;
    /// perhaps some more. With `heads`, also the puts.
    pub(super) fn missed<K: Mask>(&self, node: &Node<K>, goal: Goal, heads: bool) -> u64 {
        let mut missed = 0;
        let mut look = |read: &Item| {
            self.next(node.place, read, |class| missed |= bit(class));
            if heads {
                self.heads(read, |class| missed |= bit(class));
            }
        };
        match goal {
            Goal::Read { item } => {
                let read = &self.items[item as usize];
                look(read);
                // Without a put for this one, no way leads on.
                if self.has_head(node, read) {
                    self.waiting(node).for_each(look);
                }
            }
            Goal::Settle { .. } | Goal::Spend { .. } | Goal::Oblige { .. } => {
                let later = self.reads_after(node.event, self.replaced(node.event));
                if later.clone().nth(LOOKED_AT).is_some() {
                    return u64::MAX;
                }
                self.waiting(node).chain(later).for_each(look);
            }
        }
        // A bit that several classes share says nothing about any one of them.
        let available = self.takers(node).into_iter().fold(0, |all, (class, _)| all | bit(class));
        if self.classes.len() > 64 { missed } else { missed & !available }
    }
}
