//! Histories and faults to make pages of.

use linearize::generate::{Spoil, Workload, spoil};
use linearize::models::collections::{Queue, QueueOp};
use linearize::picture::Fault;
use linearize::{History, KvBuilder, KvHistory, Operation};

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

/// Values, keys and faults that would like to be more than text.
pub(crate) const HOSTILE: [&str; 14] = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=\"window.hacked = 1\">",
    "'><svg onload=window.hacked=1>",
    "{{script}}{{data}}",
    "<!--<script>",
    "]]></style><b>bold</b>",
    "javascript:window.hacked=1",
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m",
    "line\u{2028}separator\u{2029}paragraph\r\nnext\tcell",
    "\u{202e}txet desrever\u{2066}",
    "\\ud800 \\u0000 \\x1b[31m",
    "\0\u{1}\u{8}\u{7f}\u{feff}\u{200b}",
    "&lt;b&gt; &amp;amp; &#x27;",
    "日本語 👩‍👩‍👧 ẞ",
];

/// A history whose every text is hostile, linearizable, and faults that are.
pub(crate) fn hostile() -> (KvHistory, Vec<Fault>) {
    let mut builder = KvBuilder::new();
    let mut time = 0;
    for key in HOSTILE {
        let mut state = String::new();
        for text in HOSTILE {
            builder.append(1, key, text, time, Some(time + 500));
            state.push_str(text);
            builder.get(2, key, time + 600, Some((&state, time + 900)));
            time += 1_000;
        }
    }
    let fault = |text: &&str| Fault {
        from: 500,
        to: 90_000,
        label: (*text).to_owned(),
        group: (*text).to_owned(),
        targets: vec![(*text).to_owned()],
    };
    (builder.finish().unwrap(), HOSTILE.iter().map(fault).collect())
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
