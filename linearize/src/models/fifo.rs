//! Queues in which no value is enqueued twice: decided without any search.
//!
//! Henzinger, Sezgin and Vafeiadis ("Aspect-oriented linearizability proofs", 2013) show that a history of a
//! queue whose values are distinct is linearizable exactly if it has none of four flaws:
//!
//! - a value is dequeued that was never enqueued, or enqueued only later;
//! - a value is dequeued twice;
//! - a was enqueued before b, and yet b was dequeued before a, or a never;
//! - a dequeue found nothing, and at each moment of it some value was surely there: enqueued, and its dequeue
//!   not yet called.
//!
//! What is meant by *before* is that one had returned when the other was called. An enqueue takes effect
//! before the dequeue of its value returns, and that dequeue only after the enqueue was called, so intervals
//! are cut to that at first (`paired`). Then sorting decides everything.
//!
//! Open dequeues may have taken any value, and of equal values it does not show which was taken: both are
//! left to the search.

use super::Value;
use super::collections::QueueOp;
use super::paired::{Does, Flaw, Item, NONE, pair};
use crate::history::{History, OPEN};
use crate::model::Decision;

/// A moment in the interval of a dequeue that found nothing, at which the queue can have been empty.
#[derive(Clone, Copy, Debug)]
struct Empty {
    at: u64,
    dequeue: u32,
}

/// Decides a history, unless it has an open dequeue or a value that was enqueued twice.
pub(super) fn decide<V: Value>(history: &History<QueueOp<V>, Option<V>>) -> Option<Decision> {
    let found = pair(history, does)?.and_then(|items| find_order(history, items));
    Some(found.map_or_else(Decision::Flaw, Decision::Order))
}

pub(super) fn does<V>(op: &QueueOp<V>) -> Does<'_, V> {
    match op {
        QueueOp::Enqueue(value) => Does::Put(value),
        QueueOp::Dequeue => Does::Take,
    }
}

fn find_order<V: Value>(
    history: &History<QueueOp<V>, Option<V>>,
    mut items: Vec<Item>,
) -> Result<Vec<u32>, Flaw> {
    items.sort_by_key(|item| item.called);
    check_fifo(&items)?;
    let empties = find_empty_moments(history, &items)?;
    for item in &mut items {
        item.group = empties.partition_point(|empty| empty.at <= item.in_by);
    }
    Ok(arrange(items, &empties))
}

/// Looks for a value that was enqueued before another and dequeued after it. `items` by rising call.
fn check_fifo(items: &[Item]) -> Result<(), Flaw> {
    let mut by_return: Vec<&Item> = items.iter().collect();
    by_return.sort_by_key(|item| item.in_by);
    let mut returned = by_return.into_iter().peekable();
    // Of those that were surely enqueued, the one whose dequeue was called last.
    let mut latest: Option<&Item> = None;
    for item in items {
        while let Some(other) = returned.next_if(|other| other.in_by < item.called) {
            if latest.is_none_or(|latest| other.out_from > latest.out_from) {
                latest = Some(other);
            }
        }
        if let Some(first) = latest
            && item.out_by < first.out_from
        {
            return Err(first.operations().chain(item.operations()).collect());
        }
    }
    Ok(())
}

/// For each dequeue that found nothing the first moment at which the queue can have been empty, by rising
/// moment.
fn find_empty_moments<V: Value>(
    history: &History<QueueOp<V>, Option<V>>,
    items: &[Item],
) -> Result<Vec<Empty>, Flaw> {
    let mut by_return: Vec<&Item> = items.iter().filter(|item| item.in_by < item.out_from).collect();
    by_return.sort_by_key(|item| item.in_by);
    let mut found = Vec::new();
    let (mut next, mut busy_until) = (0, 0);
    for (index, operation) in history.operations().iter().enumerate() {
        if operation.op != QueueOp::Dequeue || operation.result != Some(None) {
            continue;
        }
        // The queue is surely not empty strictly between the two moments of an item. Calls rise, so what was
        // passed stays passed.
        let mut at = busy_until.max(operation.call);
        let mut scan = next;
        while let Some(item) = by_return.get(scan).filter(|item| item.in_by < at) {
            if item.out_from > at {
                at = item.out_from;
            }
            scan += 1;
        }
        if at > operation.end {
            return Err(cover(index as u32, operation.call, operation.end, &by_return));
        }
        (next, busy_until) = (scan, at);
        found.push(Empty { at, dequeue: index as u32 });
    }
    found.sort_by_key(|empty| empty.at);
    Ok(found)
}

/// The fewest items that together were surely there all the time from `call` to `end`.
fn cover(dequeue: u32, call: u64, end: u64, by_return: &[&Item]) -> Flaw {
    let mut flaw = vec![dequeue];
    let mut at = call;
    while at <= end {
        let there = by_return.iter().take_while(|item| item.in_by < at);
        let Some(longest) = there.max_by_key(|item| item.out_from).filter(|item| item.out_from > at) else {
            unreachable!("something was found to be there at each moment");
        };
        flaw.extend(longest.operations());
        if longest.out_from == OPEN {
            break;
        }
        at = longest.out_from;
    }
    flaw
}

/// Puts the values in the order in which they went through the queue, and then all operations in theirs.
fn arrange(items: Vec<Item>, empties: &[Empty]) -> Vec<u32> {
    // (moment, place, whether a dequeue, operation)
    let mut all: Vec<(u64, usize, bool, u32)> = Vec::with_capacity(items.len() * 2 + empties.len());
    let mut place = 0;
    let (mut enqueued, mut dequeued) = (0, 0);
    let mut groups = vec![Vec::new(); empties.len() + 1];
    for item in items {
        groups[item.group].push(item);
    }
    for (number, group) in groups.into_iter().enumerate() {
        if let Some(empty) = number.checked_sub(1).map(|before| empties[before]) {
            enqueued = enqueued.max(empty.at);
            all.push((empty.at, place, false, empty.dequeue));
            place += 1;
        }
        for item in in_order(&group) {
            enqueued = enqueued.max(item.called);
            all.push((enqueued, place, false, item.put));
            if item.take != NONE {
                dequeued = dequeued.max(item.out_from).max(enqueued);
                all.push((dequeued, place, true, item.take));
            }
            place += 1;
        }
    }
    all.sort_unstable();
    all.into_iter().map(|(_, _, _, operation)| operation).collect()
}

/// An order in which no item comes before one that was enqueued, or dequeued, before it. There is one,
/// because no two contradict each other.
fn in_order(items: &[Item]) -> Vec<Item> {
    let sorted = |key: fn(&Item) -> u64| {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|&at| key(&items[at]));
        order
    };
    let sides = [
        (sorted(|item| item.called), sorted(|item| item.in_by)),
        (sorted(|item| item.out_from), sorted(|item| item.out_by)),
    ];
    let calls: [fn(&Item) -> u64; 2] = [|item| item.called, |item| item.out_from];
    let ends: [fn(&Item) -> u64; 2] = [|item| item.in_by, |item| item.out_by];
    let (mut next_call, mut next_end) = ([0; 2], [0; 2]);
    let mut free = vec![0; items.len()];
    let mut taken = vec![false; items.len()];
    let mut ready = Vec::new();
    let mut order = Vec::with_capacity(items.len());
    while order.len() < items.len() {
        for side in 0..2 {
            let (by_call, by_end) = &sides[side];
            while taken[by_end[next_end[side]]] {
                next_end[side] += 1;
            }
            let earliest = ends[side](&items[by_end[next_end[side]]]);
            // An operation called by the earliest return of those left has none of them before it.
            while let Some(&at) =
                by_call.get(next_call[side]).filter(|&&at| calls[side](&items[at]) <= earliest)
            {
                next_call[side] += 1;
                free[at] += 1;
                if free[at] == 2 {
                    ready.push(at);
                }
            }
        }
        let at = ready.pop().expect("values that contradict each other were found before");
        taken[at] = true;
        order.push(items[at]);
    }
    order
}
