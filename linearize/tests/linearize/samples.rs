//! Histories as a test of a key/value service records them, made up.

use linearize::picture::Fault;
use linearize::{KvBuilder, KvHistory};

use crate::small::Random;

/// What is wrong with a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// A read in the middle shows what was there two hundred operations before.
    Stale,
}

/// How large a history is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) operations: usize,
    pub(crate) clients: u32,
    pub(crate) keys: u64,
}

/// Clients that call `Get`, `Append` and sometimes `Put` one after the other, each taking some milliseconds; an operation takes
/// effect at a moment in between.
pub(crate) fn service(size: Size, flaw: Flaw, seed: u64) -> KvHistory {
    let mut random = Random(seed);
    let mut builder = KvBuilder::new();
    let mut values: Vec<String> = vec![String::new(); size.keys as usize];
    let mut old = values.clone();
    // All effects in order of time: a client's next call is made after its last return.
    let mut free: Vec<u64> = (0..size.clients).map(|client| u64::from(client) * 13_007).collect();
    let mut flawed = flaw == Flaw::None;
    for number in 0..size.operations {
        let client = (0..size.clients as usize).min_by_key(|&client| free[client]).unwrap();
        let call = free[client];
        // Effects happen in the order of the calls, so each must return after the last effect, which is before this call.
        let end = call + 200_000 + random.below(4_000_000);
        free[client] = end + 10_000 + random.below(300_000);
        let key = random.below(size.keys) as usize;
        let (name, text) = (format!("k{key}"), format!("x {client} {number} y"));
        match random.below(20) {
            0 => {
                values[key].clone_from(&text);
                builder.put(client as u32, &name, &text, call, Some(end));
            }
            1..=9 => {
                values[key].push_str(&text);
                builder.append(client as u32, &name, &text, call, Some(end));
            }
            _ => {
                let wrong = !flawed && number > size.operations / 2 && old[key] != values[key];
                flawed |= wrong;
                let seen = if wrong { &old[key] } else { &values[key] };
                builder.get(client as u32, &name, call, Some((seen, end)));
            }
        }
        if number % (size.operations / 20).max(40) == 0 {
            old.clone_from(&values);
        }
    }
    builder.finish().unwrap()
}

/// A few of every sort.
pub(crate) fn faults(history: &KvHistory) -> Vec<Fault> {
    let last = history.history().operations().iter().map(|operation| operation.end).max().unwrap_or(0);
    let fault = |from: u64, to: u64, group: &str, label: &str, targets: &[&str]| Fault {
        from: last / 1000 * from,
        to: last / 1000 * to,
        label: label.to_owned(),
        group: group.to_owned(),
        targets: targets.iter().map(|&target| target.to_owned()).collect(),
    };
    vec![
        fault(100, 180, "partition", "majority and rest", &["{0 1 2}", "{3 4}"]),
        fault(480, 520, "partition", "leader cut off", &["2"]),
        fault(300, 330, "crash", "server down", &["server 1"]),
        fault(505, 560, "crash", "server down", &["server 3"]),
        fault(490, 490, "leader", "term 7", &["server 4"]),
        fault(530, 530, "leader", "term 8", &["server 0"]),
        fault(700, 900, "drops", "one message in ten lost", &[]),
    ]
}
