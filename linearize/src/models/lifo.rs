//! Stacks on which no value is pushed twice: decided without any search.
//!
//! A value is *surely there* strictly between the return of its push and the call of its pop. A *gap* is a
//! moment at which no value is surely there. Four observations decide a history:
//!
//! - A value that is never surely there can be pushed and popped in one moment, whatever lies below it.
//! - At a gap the stack can be empty: whatever lies on it then can be popped just before it or pushed just
//!   after it. So a history is cut at its gaps, and a pop that found nothing needs a gap while it runs.
//! - Between two neighbouring gaps the stack is never empty, so one value lies at the bottom all that time.
//!   Its push can have taken effect at the first gap, and its pop at the second.
//! - If several values can lie at the bottom, each may: a value that is pushed first and popped last hinders
//!   nobody. So all of them are taken away, new gaps show, and the rest is decided in the same way.
//!
//! The history is not linearizable exactly if that ends before all values are taken away. Then no value can
//! lie at the bottom between two gaps, nor can any of the few values that together cover the time between
//! them, which are the flaw.
//!
//! A tree over all moments counts how many values are surely there, and another tells which values wait for a
//! gap. So it takes time n log n. Lee and Mathur ("Efficient decrease-and-conquer linearizability
//! monitoring", 2024) take values away one by one too; the gaps and the proof above are ours.

use std::collections::BTreeSet;

use super::Value;
use super::paired::{Does, Flaw, Item, NONE, pair};
use super::stack::StackOp;
use crate::history::History;
use crate::model::Decision;

/// Decides a history, unless it has an open pop or a value that was pushed twice.
pub(super) fn decide<V: Value>(history: &History<StackOp<V>, Option<V>>) -> Option<Decision> {
    let found = pair(history, does)?.and_then(|items| find_order(history, items));
    Some(found.map_or_else(Decision::Flaw, Decision::Order))
}

pub(super) fn does<V>(op: &StackOp<V>) -> Does<'_, V> {
    match op {
        StackOp::Push(value) => Does::Put(value),
        StackOp::Pop => Does::Take,
    }
}

/// When an operation takes effect: the moment; of equal moments the lower phase; then the lower rank.
type Place = (u64, Phase, (u32, u32), u32);

/// What happens at a gap, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Pops,
    /// The stack can be empty. Values that are never surely there come and go.
    Between,
    Pushes,
}

fn find_order<V: Value>(
    history: &History<StackOp<V>, Option<V>>,
    items: Vec<Item>,
) -> Result<Vec<u32>, Flaw> {
    let (mut lasting, brief): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|item| item.in_by < item.out_from);
    lasting.sort_by_key(|item| item.in_by);
    let nothing = |index: &u32| {
        let operation = &history[*index as usize];
        operation.op == StackOp::Pop && operation.result == Some(None)
    };
    let empty: Vec<u32> = (0..history.len() as u32).filter(nothing).collect();
    let mut moments: Vec<u64> = lasting.iter().flat_map(|item| [item.in_by, item.out_from]).collect();
    moments.extend(empty.iter().map(|&index| history[index as usize].call));
    moments.sort_unstable();
    moments.dedup();
    let mut order: Vec<Place> = Vec::with_capacity(history.len());
    for item in &brief {
        order.push((item.out_from, Phase::Between, (item.put, 0), item.put));
        order.push((item.out_from, Phase::Between, (item.put, 1), item.take));
    }
    let peeling = Peeling::new(&lasting, &moments);
    for index in empty {
        let operation = &history[index as usize];
        match peeling.gap_from(operation.call).filter(|&gap| gap <= operation.end) {
            Some(gap) => order.push((gap, Phase::Between, (index, 0), index)),
            None => {
                let mut flaw = chain(&lasting, operation.call.saturating_sub(1), operation.end + 1);
                flaw.push(index);
                return Err(flaw);
            }
        }
    }
    peeling.run(&mut order)?;
    order.sort_unstable();
    Ok(order.into_iter().map(|(_, _, _, operation)| operation).collect())
}

/// The operations of the fewest values of which one is surely there at each moment after `from` and before
/// `until`. `items` by the moment by which they were pushed.
fn chain<'a>(items: impl IntoIterator<Item = &'a Item>, from: u64, until: u64) -> Flaw {
    let mut items = items.into_iter().peekable();
    let mut flaw = Vec::new();
    let (mut covered, mut longest) = (from, None::<&Item>);
    while covered < until {
        let first = flaw.is_empty();
        while let Some(item) = items.next_if(|item| item.in_by < covered || first && item.in_by == covered) {
            if longest.is_none_or(|longest| longest.out_from < item.out_from) {
                longest = Some(item);
            }
        }
        let next = longest.filter(|item| item.out_from > covered);
        let next = next.expect("between two gaps some value is surely there at each moment");
        flaw.extend(next.operations());
        covered = next.out_from;
    }
    flaw
}

/// Takes away the values that can lie at the bottom, until none is left.
struct Peeling<'a> {
    /// By the moment by which they were pushed.
    items: &'a [Item],
    moments: &'a [u64],
    there: There,
    waiting: Waiting,
    gaps: BTreeSet<usize>,
    /// For each item: whether there is a gap in the interval of its push, and of its pop.
    found: Vec<[bool; 2]>,
    /// Items with both.
    ready: Vec<u32>,
}

impl<'a> Peeling<'a> {
    fn new(items: &'a [Item], moments: &'a [u64]) -> Self {
        let mut peeling = Peeling {
            items,
            moments,
            there: There::new(moments.len()),
            waiting: Waiting::new(moments.len()),
            gaps: BTreeSet::new(),
            found: vec![[false; 2]; items.len()],
            ready: Vec::new(),
        };
        for (item, number) in items.iter().zip(0_u32..) {
            let (from, to) = peeling.surely_there(item);
            peeling.there.change(from, to, 1);
            let [called, out_from] = [peeling.place(item.called), peeling.place(item.out_from)];
            // The moment of its pop may be the last of all.
            let out_by = moments.partition_point(|&other| other <= item.out_by);
            peeling.waiting.add(called, from, number * 2);
            peeling.waiting.add(out_from, out_by, number * 2 + 1);
        }
        peeling.find_gaps();
        peeling
    }

    /// The place of the first moment from `moment` on.
    fn place(&self, moment: u64) -> usize {
        self.moments.partition_point(|&other| other < moment)
    }

    /// The places strictly between its push and its pop.
    fn surely_there(&self, item: &Item) -> (usize, usize) {
        (self.place(item.in_by) + 1, self.place(item.out_from))
    }

    /// The first gap from `moment` on, which is one of the moments.
    fn gap_from(&self, moment: u64) -> Option<u64> {
        self.gaps.range(self.place(moment)..).next().map(|&gap| self.moments[gap])
    }

    /// Takes note of new gaps, and of the values that waited for them.
    fn find_gaps(&mut self) {
        let mut new = Vec::new();
        self.there.take_gaps(&mut new);
        for gap in new {
            self.gaps.insert(gap);
            let (found, ready) = (&mut self.found, &mut self.ready);
            self.waiting.wake(gap, |number| {
                let both = &mut found[number as usize / 2];
                if !std::mem::replace(&mut both[number as usize % 2], true) && *both == [true; 2] {
                    ready.push(number / 2);
                }
            });
        }
    }

    fn run(mut self, order: &mut Vec<Place>) -> Result<(), Flaw> {
        let mut taken = vec![false; self.items.len()];
        let mut rank = 0;
        while let Some(number) = self.ready.pop() {
            let item = &self.items[number as usize];
            taken[number as usize] = true;
            rank += 1;
            let before = self.gaps.range(..=self.place(item.in_by)).next_back();
            let bottom = before.map(|&gap| self.moments[gap]).expect("a gap was found in its push");
            order.push((bottom, Phase::Pushes, (rank, 0), item.put));
            if item.take != NONE {
                let gap = self.gap_from(item.out_from).expect("a gap was found in its pop");
                order.push((gap, Phase::Pops, (u32::MAX - rank, 0), item.take));
            }
            let (from, to) = self.surely_there(item);
            self.there.change(from, to, -1);
            self.find_gaps();
        }
        let left: Vec<&Item> =
            self.items.iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(item, _)| item).collect();
        let Some(first) = left.first().map(|item| item.in_by) else { return Ok(()) };
        let until = self.gap_from(first + 1).expect("nothing is surely there at the last moment");
        Err(chain(left, first, until))
    }
}

/// How many values are surely there at each moment: a tree whose nodes know the least of their halves.
struct There {
    size: usize,
    /// For each node, the least below it, with all that was added to the node itself.
    least: Vec<i32>,
    /// For each node, what was added to all moments below it.
    added: Vec<i32>,
}

/// More values than there are.
const FAR: i32 = i32::MAX / 2;

impl There {
    fn new(moments: usize) -> There {
        let size = moments.next_power_of_two();
        let mut there = There { size, least: vec![0; size * 2], added: vec![0; size * 2] };
        there.change(moments, size, FAR);
        there
    }

    /// Adds `by` to the moments from `from` up to before `to`.
    fn change(&mut self, from: usize, to: usize, by: i32) {
        let (mut left, mut right) = (from + self.size, to.max(from) + self.size);
        let ends = [left, right - 1];
        if left == right {
            return;
        }
        while left < right {
            if left % 2 == 1 {
                self.add(left, by);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                self.add(right, by);
            }
            (left, right) = (left / 2, right / 2);
        }
        for end in ends {
            self.renew(end / 2);
        }
    }

    fn add(&mut self, node: usize, by: i32) {
        self.least[node] += by;
        self.added[node] += by;
    }

    /// Renews the least of `node` and of all above it.
    fn renew(&mut self, mut node: usize) {
        while node > 0 {
            let below = self.least[node * 2].min(self.least[node * 2 + 1]);
            self.least[node] = below + self.added[node];
            node /= 2;
        }
    }

    /// Takes the moments at which nothing is surely there, each only once.
    fn take_gaps(&mut self, gaps: &mut Vec<usize>) {
        while self.least[1] == 0 {
            let (mut node, mut above) = (1, 0);
            while node < self.size {
                above += self.added[node];
                node = if self.least[node * 2] + above == 0 { node * 2 } else { node * 2 + 1 };
            }
            gaps.push(node - self.size);
            self.add(node, FAR);
            self.renew(node / 2);
        }
    }
}

/// The values that wait for a gap, by the moments that they wait for: each at the few nodes that cover those.
struct Waiting {
    size: usize,
    nodes: Vec<Vec<u32>>,
}

impl Waiting {
    fn new(moments: usize) -> Waiting {
        let size = moments.next_power_of_two();
        Waiting { size, nodes: vec![Vec::new(); size * 2] }
    }

    /// `number` waits for a gap from `from` up to before `to`.
    fn add(&mut self, from: usize, to: usize, number: u32) {
        let (mut left, mut right) = (from + self.size, to + self.size);
        while left < right {
            if left % 2 == 1 {
                self.nodes[left].push(number);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                self.nodes[right].push(number);
            }
            (left, right) = (left / 2, right / 2);
        }
    }

    /// Tells `awake` all that wait for this gap; they no longer wait here.
    fn wake(&mut self, gap: usize, mut awake: impl FnMut(u32)) {
        let mut node = gap + self.size;
        while node > 0 {
            std::mem::take(&mut self.nodes[node]).into_iter().for_each(&mut awake);
            node /= 2;
        }
    }
}
