//! Histories and faults to make pages of.

use linearize::generate::{Spoil, Workload, spoil};
use linearize::{Fault, KvBuilder, KvHistory};

/// A few of every sort.
pub(crate) fn faults(history: &KvHistory) -> Vec<Fault> {
    let last =
        history.history().operations().iter().filter_map(|operation| operation.returned()).max().unwrap_or(0);
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

/// Three hundred keys, the last of which is not linearizable, and a tenth of the operations never returned.
pub(crate) fn many_keys() -> KvHistory {
    let workload = Workload { crashes: 1_000, ..Workload::lab(300, 40, 12_000) };
    spoil(&workload.generate(), Spoil::Stale)
}

/// A state of a few hundred kilobytes, of which one read lost a word in the middle.
pub(crate) fn long_texts() -> KvHistory {
    let mut builder = KvBuilder::new();
    let mut state = "w".repeat(2_000);
    builder.put(1, "long", &state, 0, Some(1));
    for round in 0..400u64 {
        let (time, text) = (10 + round * 10_000, format!("[{round}: {}]", "lorem ipsum ".repeat(60)));
        builder.append(1, "long", &text, time, Some(time + 4_000));
        state.push_str(&text);
        let seen = if round == 399 { state.replacen("[200: lorem", "[200: lorum", 1) } else { state.clone() };
        builder.get(2, "long", time + 5_000, Some((&seen, time + 9_000)));
    }
    builder.finish().unwrap()
}
