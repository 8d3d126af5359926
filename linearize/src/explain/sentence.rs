//! Sentences for models that have none of their own.

use crate::history::{History, Operation};
use crate::model::Model;

/// `Append "z" by client 3`, with the result if it says something.
pub(crate) fn naming<M: Model>(model: &M, operation: &Operation<M::Op, M::Result>) -> String {
    let mut words = format!("{} by client {}", model.describe_op(&operation.op), operation.client);
    match &operation.result {
        Some(result) => {
            let result = model.describe_result(&operation.op, result);
            if !result.is_empty() {
                words.push_str(" returned ");
                words.push_str(&result);
            }
        }
        None => words.push_str(" never returned"),
    }
    words
}

/// What is said of `operations` around which every order gets stuck, if it is not known that they cannot be
/// ordered by themselves.
pub(crate) fn around<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    operations: &[usize],
    stuck: usize,
) -> String {
    let others = operations.iter().filter(|&&other| other != stuck);
    let others: Vec<String> = others.map(|&index| naming(model, &history[index])).collect();
    let mut sentence = format!(
        "No order of all operations gets past {}. Which of the others it contradicts was not found out",
        naming(model, &history[stuck])
    );
    if !others.is_empty() {
        sentence.push_str("; at the same time ran ");
        sentence.push_str(&others.join("; "));
    }
    sentence.push('.');
    sentence
}

/// Why `operations` (by rising call) cannot be ordered, as far as that can be said without knowing the model.
pub(crate) fn for_any_model<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    operations: &[usize],
) -> String {
    match operations {
        [only] => format!("{}, which no order of the operations allows.", naming(model, &history[*only])),
        _ => format!(
            "No order fits these {} operations: {}.",
            operations.len(),
            listing(model, history, operations)
        ),
    }
}

/// `operations` (by rising call), each with the one that returned last before it was called.
pub(crate) fn listing<M: Model>(
    model: &M,
    history: &History<M::Op, M::Result>,
    operations: &[usize],
) -> String {
    let mut list = String::new();
    for (place, &index) in operations.iter().enumerate() {
        if place > 0 {
            list.push_str("; ");
        }
        list.push_str(&naming(model, &history[index]));
        let before = operations[..place].iter().filter(|&&other| history[other].precedes(&history[index]));
        if let Some(&newest) = before.max_by_key(|&&other| history[other].end) {
            let gap = history.after(history[index].call - history[newest].end);
            let newest = &history[newest];
            let name = model.describe_op(&newest.op);
            list.push_str(&format!(", called {gap} {name} by client {} had returned", newest.client));
        }
    }
    list
}
