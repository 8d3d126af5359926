//! Queues and stacks of distinct values in which many wait.

use std::collections::VecDeque;

use linearize::generate::Random;
use linearize::{History, Operation};

const OPERATIONS: usize = 100_000;
const CLIENTS: usize = 64;
const BACKLOG: usize = 1_000;

/// A history of what `put` and `take` ask for; `next` is what comes out. If it is spoilt, two values that
/// were taken near the end, long after one another, are exchanged.
pub(crate) fn backlog<Op: Clone + PartialEq>(
    put: fn(u32) -> Op,
    take: &Op,
    next: fn(&mut VecDeque<u32>) -> Option<u32>,
    spoilt: bool,
) -> History<Op, Option<u32>> {
    let mut random = Random::new(1);
    let mut clocks = [0; CLIENTS];
    let mut moments: Vec<(u64, u64, u64, u32)> = Vec::new();
    for number in 0..OPERATIONS {
        let client = number % CLIENTS;
        let call = clocks[client] + random.below(1_000);
        let effect = call + random.below(1_000);
        clocks[client] = effect + random.below(1_000) + 1;
        moments.push((effect, call, clocks[client] - 1, client as u32));
    }
    moments.sort_unstable();
    let mut waiting = VecDeque::new();
    let mut operations = Vec::new();
    let mut taken = Vec::new();
    for (number, (_, call, end, client)) in moments.into_iter().enumerate() {
        let puts = if waiting.len() < BACKLOG { 3 } else { 1 };
        let (op, result) = if random.below(4) < puts {
            waiting.push_back(number as u32);
            (put(number as u32), None)
        } else {
            taken.push(number);
            (take.clone(), next(&mut waiting))
        };
        operations.push(Operation::new(client, op, result, call, end));
    }
    if spoilt {
        let late = &taken[taken.len() - 400..];
        let (early, later) = operations.split_at_mut(late[300]);
        std::mem::swap(&mut early[late[0]].result, &mut later[0].result);
    }
    History::new(operations).expect("the clients' operations follow one another")
}
