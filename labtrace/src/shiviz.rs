//! A trace as a log for ShiViz (Beschastnikh et al., CACM 2016): each event with a vector clock.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::{Trace, calls, clean};

/// The regular expression that ShiViz must be given for such a log.
pub const SHIVIZ_PARSER: &str = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})";

type Clock = BTreeMap<String, u64>;

/// Writes the events that say something about servers, two lines each. The first line is the parser's
/// expression, and an empty one follows, as ShiViz wants a log that is opened as a file.
///
/// # Errors
/// If `out` cannot be written to.
pub fn write_shiviz(trace: &Trace, mut out: impl Write) -> io::Result<()> {
    writeln!(out, "{SHIVIZ_PARSER}\n")?;
    let calls = calls(&trace.events);
    let mut clocks: BTreeMap<String, Clock> = BTreeMap::new();
    // The clocks of messages under way, by call, and whether they are replies.
    let mut under_way: BTreeMap<(u64, bool), Clock> = BTreeMap::new();
    for event in &trace.events {
        let kinds = ["message", "state", "apply", "client", "log", "print", "verb", "verdict"];
        if !kinds.contains(&&*event.kind) {
            continue;
        }
        let host = host(&event.node);
        let clock = clocks.entry(host.clone()).or_default();
        *clock.entry(host.clone()).or_default() += 1;
        let number = event.number("call").filter(|number| calls.contains_key(number));
        if let Some(number) = number {
            let seen = match event.field("leg") {
                "arrives" => under_way.get(&(number, false)),
                "returns" => under_way.get(&(number, true)),
                _ => None,
            };
            for (other, &time) in seen.into_iter().flatten() {
                let own = clock.entry(other.clone()).or_default();
                *own = (*own).max(time);
            }
            match event.field("leg") {
                "request" => under_way.insert((number, false), clock.clone()),
                "reply" => under_way.insert((number, true), clock.clone()),
                _ => None,
            };
        }
        let words = clean(&format!("{:.6} {} {}", event.t as f64 / 1e9, event.kind, event.text), 300);
        let clock = serde_json::to_string(clock)?;
        writeln!(out, "{words}\n{host} {clock}")?;
    }
    out.flush()
}

/// A node's name without blanks, which separate the parts of a line.
fn host(node: &str) -> String {
    clean(node, 60).replace(char::is_whitespace, "-")
}
