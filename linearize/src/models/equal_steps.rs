//! Counters to which every client adds the same number: decided without any search.
//!
//! What a read returned says how many adds took effect before it, though not which. Reads are gone through by
//! rising value; those of one value form a *group*, during which nothing is added. An add that returned its
//! value is a group of its own, and then one add more.
//!
//! Before each group a known number of adds is left to choose. Of those called by then the ones that must
//! return first are chosen, as in a schedule with deadlines (Jackson 1955), and the group is put as late as
//! possible: not after the first return of its reads or of later ones, and not after the return of an add for
//! which there is no more room. A later place leaves more to choose from and makes nothing later impossible,
//! so the history is linearizable exactly if this never fails.
//!
//! With different numbers it would have to be found out which of them add up to what was read, which is the
//! problem of subset sums; those are left to the search.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::counter::CounterOp;
use crate::history::{History, OPEN};
use crate::model::Decision;

/// Operations that saw the same value.
struct Group {
    /// How many adds took effect before it.
    count: u64,
    members: Vec<u32>,
    /// Whether it is an add that returned what it found.
    adds: bool,
}

/// Decides a history, unless different numbers are added.
pub(super) fn decide(history: &History<CounterOp, i64>) -> Option<Decision> {
    let mut numbers = history.operations().iter().filter_map(|operation| match operation.op {
        CounterOp::Add(number) | CounterOp::FetchAdd(number) => Some(number),
        CounterOp::Read => None,
    });
    let number = numbers.next().unwrap_or(1);
    let largest = number.unsigned_abs().checked_mul(history.len() as u64);
    let wraps = largest.is_none_or(|largest| i64::try_from(largest).is_err());
    if number == 0 || wraps || numbers.any(|other| other != number) {
        return None;
    }
    let (mut adds, mut seen) = (Vec::new(), Vec::new());
    for (operation, index) in history.operations().iter().zip(0..) {
        match (operation.op, operation.result) {
            // An answer that no counter gives.
            (CounterOp::Add(_), Some(answer)) if answer != 0 => return None,
            (CounterOp::Add(_), _) | (CounterOp::FetchAdd(_), None) => adds.push(index),
            (CounterOp::Read, None) => {}
            (op, Some(value)) => {
                let count =
                    value.checked_div(number).filter(|count| count.checked_mul(number) == Some(value));
                let Some(count) = count.and_then(|count| u64::try_from(count).ok()) else {
                    return Some(Decision::Stuck(index));
                };
                seen.push((count, matches!(op, CounterOp::FetchAdd(_)), index));
            }
        }
    }
    seen.sort_unstable();
    Some(Schedule::new(history, adds).run(groups(&seen)))
}

fn groups(seen: &[(u64, bool, u32)]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for &(count, adds, index) in seen {
        match groups.last_mut() {
            Some(group) if group.count == count && !group.adds && !adds => group.members.push(index),
            _ => groups.push(Group { count, members: vec![index], adds }),
        }
    }
    groups
}

/// Which adds took effect before which group.
struct Schedule<'a> {
    history: &'a History<CounterOp, i64>,
    /// By call, and by return.
    by_call: Vec<u32>,
    by_return: Vec<u32>,
    /// The place of each operation among `by_return`.
    place: Vec<u32>,
    /// Which of `by_return` have not taken effect.
    left: Left,
    /// So many of `by_call` were called by now.
    called: usize,
    /// Of those, the ones that have not taken effect: places among `by_return`.
    ready: BinaryHeap<Reverse<u32>>,
    order: Vec<u32>,
}

impl<'a> Schedule<'a> {
    fn new(history: &'a History<CounterOp, i64>, adds: Vec<u32>) -> Self {
        let mut by_return = adds.clone();
        by_return.sort_by_key(|&add| history[add as usize].end);
        let mut place = vec![0; history.len()];
        for (&add, at) in by_return.iter().zip(0..) {
            place[add as usize] = at;
        }
        let left = Left::all(by_return.len());
        let (ready, order) = (BinaryHeap::new(), Vec::with_capacity(history.len()));
        Schedule { history, by_call: adds, by_return, place, left, called: 0, ready, order }
    }

    fn run(mut self, groups: Vec<Group>) -> Decision {
        let end = |index: u32| self.history[index as usize].end;
        // The first return of each group and of all later ones.
        let mut latest: Vec<u64> = groups
            .iter()
            .rev()
            .scan(OPEN, |latest, group| {
                *latest = group.members.iter().map(|&index| end(index)).fold(*latest, u64::min);
                Some(*latest)
            })
            .collect();
        latest.reverse();
        let (mut now, mut done, mut last) = (0, 0, None::<u32>);
        for (group, latest) in groups.iter().zip(latest) {
            let longest = group.members.iter().copied().max_by_key(|&index| end(index));
            last = last.into_iter().chain(longest).max_by_key(|&index| self.history[index as usize].end);
            match self.place(group, latest, now, done) {
                Some(moment) => now = moment,
                None => return Decision::Stuck(last.expect("a group has members")),
            }
            done = group.count + u64::from(group.adds);
        }
        self.finish()
    }

    /// Chooses the adds before `group` if `done` have taken effect, and puts it in from `now` on. Returns
    /// when its last member took effect, or `None` if there is no way.
    fn place(&mut self, group: &Group, latest: u64, now: u64, done: u64) -> Option<u64> {
        let history = self.history;
        let wanted = usize::try_from(group.count.checked_sub(done)?).ok()?;
        let calls = group.members.iter().map(|&index| history[index as usize].call);
        let last_call = calls.max().unwrap_or(0);
        // Of the adds that are left this one is too many.
        let excess = self.left.number(wanted).map(|at| history[self.by_return[at] as usize].end);
        let first = latest.min(excess.unwrap_or(OPEN));
        let end = first.max(last_call);
        if first < now || excess.is_some_and(|excess| excess < last_call) {
            return None;
        }
        while let Some(&add) =
            self.by_call.get(self.called).filter(|&&add| history[add as usize].call <= first)
        {
            self.ready.push(Reverse(self.place[add as usize]));
            self.called += 1;
        }
        let begun = self.order.len();
        for _ in 0..wanted {
            let Reverse(at) = self.ready.pop()?;
            self.left.remove(at as usize);
            self.order.push(self.by_return[at as usize]);
        }
        self.order[begun..].sort_unstable();
        self.order.extend(&group.members);
        let next = self.left.number(0).map(|at| history[self.by_return[at] as usize].end);
        next.is_none_or(|next| next >= end).then_some(end)
    }

    /// What no read shows comes last, unless it never returned.
    fn finish(mut self) -> Decision {
        let history = self.history;
        let rest = self.by_call.iter().filter(|&&add| self.left.has(self.place[add as usize] as usize));
        let rest: Vec<u32> = rest.copied().filter(|&add| !history[add as usize].is_open()).collect();
        self.order.extend(rest);
        Decision::Order(self.order)
    }
}

/// A set of the numbers below some bound, that tells how many smaller ones it has (Fenwick 1994).
struct Left {
    sums: Vec<u32>,
    members: Vec<bool>,
}

impl Left {
    fn all(count: usize) -> Left {
        let sums = (0..=count).map(|at| (at & at.wrapping_neg()) as u32).collect();
        Left { sums, members: vec![true; count] }
    }

    fn has(&self, member: usize) -> bool {
        self.members[member]
    }

    fn remove(&mut self, member: usize) {
        self.members[member] = false;
        let mut at = member + 1;
        while at < self.sums.len() {
            self.sums[at] -= 1;
            at += at & at.wrapping_neg();
        }
    }

    /// The member of which `rank` others are smaller.
    fn number(&self, rank: usize) -> Option<usize> {
        let (mut at, mut left) = (0, rank);
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            if let Some(&sum) = self.sums.get(at + step).filter(|&&sum| sum as usize <= left) {
                at += step;
                left -= sum as usize;
            }
            step /= 2;
        }
        (at < self.members.len()).then_some(at)
    }
}
