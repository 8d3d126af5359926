//! A queue that gives the general search much to try.

use linearize::models::collections::{Queue, QueueOp};
use linearize::{History, Operation};

/// A queue of which each value is put in at the same time as many others, so that the general search has much
/// to try.
pub(crate) fn queue(clients: u32, rounds: u64) -> (Queue<u32>, History<QueueOp<u32>, Option<u32>>) {
    let mut operations = Vec::new();
    for round in 0..rounds {
        for client in 0..clients {
            let call = round * 1_000_000 + u64::from(client) * 1_000;
            let value = round as u32 * 100 + client;
            operations.push(Operation::new(client, QueueOp::Enqueue(value), None, call, call + 400_000));
            // Taken out in another order than that of the calls, which is possible.
            let taken = round as u32 * 100 + (clients - 1 - client);
            let call = call + 500_000;
            operations.push(Operation::new(client, QueueOp::Dequeue, Some(taken), call, call + 400_000));
        }
    }
    (Queue::new(), History::new(operations).unwrap())
}
