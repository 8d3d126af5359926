//! A queue for benches of the general search.

use linearize::generate::Random;
use linearize::models::collections::{Queue, QueueOp};
use linearize::{History, Model, Operation};

/// A queue that is known by its step function alone.
pub(crate) struct Plain(pub(crate) Queue<u32>);

impl Model for Plain {
    type Op = QueueOp<u32>;
    type Result = Option<u32>;
    type State = <Queue<u32> as Model>::State;

    fn initial(&self) -> Self::State {
        self.0.initial()
    }

    fn step(&self, state: &Self::State, op: &Self::Op, result: Option<&Self::Result>) -> Option<Self::State> {
        self.0.step(state, op, result)
    }
}

/// 1,000 operations of eight clients, of which the last is spoilt on demand: then everything must be
/// explored.
pub(crate) fn queue_history(spoilt: bool) -> History<QueueOp<u32>, Option<u32>> {
    let mut random = Random::new(7);
    let mut queue = std::collections::VecDeque::new();
    let mut clocks = [0u64; 8];
    let mut slots: Vec<(u64, u64, u64, u32)> = Vec::new();
    for number in 0..1_000 {
        let clock = &mut clocks[number % 8];
        let call = *clock + random.below(1_000);
        let effect = call + random.below(1_000);
        *clock = effect + random.below(1_000) + 1;
        slots.push((effect, call, *clock - 1, (number % 8) as u32));
    }
    slots.sort_unstable();
    let mut operations = Vec::new();
    for (number, (_, call, end, client)) in slots.into_iter().enumerate() {
        // Mostly dequeues, so the queue stays short: the orders that are open are those of what is in it.
        operations.push(if random.below(5) < 2 {
            queue.push_back(number as u32);
            Operation::new(client, QueueOp::Enqueue(number as u32), None, call, end)
        } else {
            let front = queue.pop_front();
            let seen = if spoilt && number > 990 { Some(0) } else { front };
            Operation::new(client, QueueOp::Dequeue, seen, call, end)
        });
    }
    History::new(operations).expect("the clients' operations follow one another")
}
