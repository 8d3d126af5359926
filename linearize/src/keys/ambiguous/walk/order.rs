//! From a walk to an order of all operations: which write takes which step, and where the others hide.

use super::course::Course;
use super::search::Move;
use crate::keys::order::slim::{Kind, NONE};

/// A time at which no read looks: from a [`Move::Leave`], or a put, to that put.
struct Pause {
    from: u64,
    to: u64,
    /// Before which move.
    before: usize,
    hidden: Vec<u32>,
}

/// The operations, by their number in [`crate::keys::order::slim::Gathered::ops`], in the order in which they
/// take effect.
pub(super) fn order_of(course: &Course<'_>, trail: &[Move]) -> Vec<u32> {
    let mut pauses = pauses(course, trail);
    let takers = takers(course, trail, &pauses);
    let mut taken = vec![false; course.items.len()];
    for &item in takers.iter().filter(|&&item| item != NONE) {
        taken[item as usize] = true;
    }
    for &item in &course.timeline.returns {
        if course.items[item as usize].kind != Kind::Get && !taken[item as usize] {
            let pause = find(course, &pauses, item).expect("a write that takes no step can hide");
            pauses[pause].hidden.push(item);
        }
    }
    let mut order = Vec::with_capacity(course.items.len());
    let mut pauses = pauses.into_iter().peekable();
    let mut hide = |before: usize, order: &mut Vec<u32>| {
        while let Some(mut pause) = pauses.next_if(|pause| pause.before == before) {
            // By call, so that a write that returned before another was called comes first.
            pause.hidden.sort_unstable();
            order.append(&mut pause.hidden);
        }
    };
    for (at, (step, &taker)) in trail.iter().zip(&takers).enumerate() {
        hide(at, &mut order);
        match *step {
            Move::Read { item } => order.push(item),
            Move::Write { .. } => order.push(taker),
            Move::Leave { .. } => {}
        }
    }
    hide(trail.len(), &mut order);
    order.into_iter().map(|item| course.items[item as usize].op).collect()
}

fn pauses(course: &Course<'_>, trail: &[Move]) -> Vec<Pause> {
    let mut pauses = Vec::new();
    let mut left = None;
    for (before, step) in trail.iter().enumerate() {
        match *step {
            Move::Leave { event } => left = Some(course.now(event)),
            Move::Write { event, item, .. } if course.items[item as usize].kind == Kind::Put => {
                let to = course.now(event);
                let from = left.take().unwrap_or(to);
                pauses.push(Pause { from, to, before, hidden: Vec::new() });
            }
            Move::Write { .. } | Move::Read { .. } => {}
        }
    }
    if let Some(from) = left {
        pauses.push(Pause { from, to: u64::MAX, before: trail.len(), hidden: Vec::new() });
    }
    pauses
}

/// The first pause in which `item` can hide. Pauses follow one another in time.
fn find(course: &Course<'_>, pauses: &[Pause], item: u32) -> Option<usize> {
    let item = &course.items[item as usize];
    let first = pauses.partition_point(|pause| pause.to < item.call);
    pauses.get(first).filter(|pause| pause.from <= item.end).map(|_| first)
}

/// The write that takes each step, by move.
///
/// The search has counted twice: each step has a taker, and each write that cannot hide has a step that
/// settles it. Where the two differ, they are reconciled as Mendelsohn and Dulmage (1958) do: a write that
/// cannot hide and is no taker takes the step that settles it. The write that had this step then takes its
/// own, if it cannot hide either, and so on.
fn takers(course: &Course<'_>, trail: &[Move], pauses: &[Pause]) -> Vec<u32> {
    let mut takers = vec![NONE; trail.len()];
    let mut settled_by = vec![NONE; course.items.len()];
    let mut taken = vec![false; course.items.len()];
    for (at, step) in trail.iter().enumerate() {
        if let Move::Write { item, settles, .. } = *step {
            takers[at] = item;
            taken[item as usize] = true;
            if settles != NONE {
                settled_by[settles as usize] = at as u32;
            }
        }
    }
    let must =
        |item: u32| course.items[item as usize].end != u64::MAX && find(course, pauses, item).is_none();
    for &first in &course.timeline.returns {
        if course.items[first as usize].kind == Kind::Get || taken[first as usize] {
            continue;
        }
        let mut item = first;
        while must(item) {
            let step = settled_by[item as usize] as usize;
            item = std::mem::replace(&mut takers[step], item);
        }
    }
    takers
}
