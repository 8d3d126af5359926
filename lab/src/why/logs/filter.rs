//! Which events of a run a user wants to see.

use std::time::Duration;

use labtrace::{Event, Trace};

use super::super::cli::Shown;
use super::lines::Line;
use crate::Failure;

/// Kinds that fill pages and are seldom asked for; `--just` brings them up.
const QUIET: [&str; 13] = [
    "spawn", "end", "block", "wake", "lock", "unlock", "yield", "switch", "timer", "send", "receive",
    "random", "span",
];

/// What a verb of the tester does to each single link: the verb itself is told anyway.
const QUIET_FAULTS: [&str; 5] = ["connect", "enable", "add_server", "delete_server", "kill"];

/// What the event is about: the target of a log line, a message or a fault, else the kind.
pub(super) fn topic(event: &Event) -> &str {
    match &*event.kind {
        "log" | "message" | "fault" | "client" if !event.target.is_empty() => last_of_target(event),
        kind => kind,
    }
}

/// The target of a student's log line is often a module's path, and that of a message names service and
/// method: the last word says enough.
fn last_of_target(event: &Event) -> &str {
    event.target.rsplit([':', '.']).next().unwrap_or_default()
}

/// Whether a word of the user's names it.
pub(super) fn is_named(event: &Event, word: &str) -> bool {
    [&*event.kind, &*event.target, last_of_target(event)].iter().any(|name| name.eq_ignore_ascii_case(word))
}

/// Whether every run may have events of this kind, so that a word for it is right also where there are none.
pub(super) fn is_kind(word: &str) -> bool {
    let usual = [
        "log", "message", "fault", "verb", "print", "state", "disk", "promise", "vote", "apply", "client",
        "verdict",
    ];
    QUIET.iter().chain(&usual).any(|kind| kind.eq_ignore_ascii_case(word))
}

fn is_quiet(event: &Event) -> bool {
    QUIET.contains(&&*event.kind) || (&*event.kind == "fault" && QUIET_FAULTS.contains(&&*event.target))
}

/// What the user wants to see.
pub(super) struct Filter<'a> {
    shown: &'a Shown,
    servers: Vec<String>,
}

impl<'a> Filter<'a> {
    /// # Errors
    /// If the run has no such server or RPC, or the times are the wrong way round.
    pub(super) fn new(trace: &Trace, shown: &'a Shown) -> Result<Filter<'a>, Failure> {
        if let (Some(from), Some(to)) = (shown.from, shown.to)
            && to < from
        {
            let [from, to] = [from, to].map(|time| time.as_secs_f64());
            return Err(Failure::new(format!("--to {to} is before --from {from} (seconds)")));
        }
        let mut servers = Vec::new();
        for word in &shown.server {
            let is_meant = |node: &str| node == word || node.rsplit('-').next() == Some(word);
            let node = trace.events.iter().map(|event| &*event.node).find(|node| is_meant(node));
            servers.push(node.ok_or_else(|| Failure::new(no_such_server(trace, word)))?.to_owned());
        }
        if let Some(rpc) = shown.rpc
            && !trace.events.iter().any(|event| event.number("call") == Some(rpc))
        {
            return Err(Failure::new(format!("this run has no RPC #{rpc}; the log names them behind #")));
        }
        Ok(Filter { shown, servers })
    }

    /// Whether the event is shown.
    pub(super) fn shows(&self, line: &Line<'_>) -> bool {
        let (shown, event) = (self.shown, line.event);
        let at = Duration::from_nanos(event.t);
        let outside = shown.from.is_some_and(|from| at < from) || shown.to.is_some_and(|to| at > to);
        if outside || line.is_merged || shown.ignore.iter().any(|word| is_named(event, word)) {
            return false;
        }
        let is_asked_for = match &shown.just[..] {
            [] => !is_quiet(event),
            just => just.iter().any(|word| is_named(event, word)),
        };
        is_asked_for
            && self.is_at_server(line)
            && shown.rpc.is_none_or(|rpc| line.call == Some(rpc))
            && shown.index.is_none_or(|index| speaks_of_index(event, &line.text, index))
            && shown.term.is_none_or(|term| speaks_of(event, &line.text, "term", term))
    }

    fn is_at_server(&self, line: &Line<'_>) -> bool {
        let number = line.event.number("server").map(|number| format!("server-{number}"));
        let is_there = |server: &String| {
            **server == *line.event.node || server == line.other || number.as_ref() == Some(server)
        };
        self.servers.is_empty() || self.servers.iter().any(is_there)
    }
}

fn no_such_server(trace: &Trace, word: &str) -> String {
    let mut nodes: Vec<&str> = trace.events.iter().map(|event| &*event.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    format!("this run has no server {word}; it has: {}", labtrace::clean(&nodes.join(", "), 2000))
}

/// Whether an event speaks of an index of the log: by a field, in a state whose changed entries include it,
/// or in words.
fn speaks_of_index(event: &Event, text: &str, index: u64) -> bool {
    if let (Some(from), Some(last)) = (event.number("from"), event.number("last")) {
        return (from..=last).contains(&index) || event.number("commit") == Some(index);
    }
    speaks_of(event, text, "index", index)
        || ["-> ", "..", "commit: "].iter().any(|mark| has(text, mark, index))
}

/// Whether a field has this name and number, or the text has the number behind a word that ends like this:
/// `prev_log_index: 7`, `term 3`, `term=3`.
fn speaks_of(event: &Event, text: &str, word: &str, number: u64) -> bool {
    let is_field = |(name, value): &(std::sync::Arc<str>, labtrace::Value)| {
        name.ends_with(word) && *value == labtrace::Value::Number(number)
    };
    event.fields.iter().any(is_field)
        || [": ", " ", "=", ":", " of "].iter().any(|mark| has(text, &format!("{word}{mark}"), number))
}

/// Whether the number stands behind the mark, whatever the case of the letters.
fn has(text: &str, mark: &str, number: u64) -> bool {
    let text = text.to_ascii_lowercase();
    let mut places = text.match_indices(mark);
    places.any(|(at, _)| {
        let digits: String = text[at + mark.len()..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse() == Ok(number)
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::lines::lines;
    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        shown: Shown,
    }

    fn shown(words: &[&str]) -> Shown {
        Words::parse_from([&["logs"], words].concat()).shown
    }

    /// How many of the events are shown.
    fn count(events: &[Event], words: &[&str]) -> usize {
        let trace = Trace { events: events.to_vec(), ..Trace::default() };
        let (shown, lines) = (shown(words), lines(&trace));
        let filter = Filter::new(&trace, &shown).expect("the words make sense");
        lines.iter().filter(|line| filter.shows(line)).count()
    }

    fn event(kind: &str, target: &str) -> Event {
        Event::new(1_000_000_000, "server-1", kind, target, "")
    }

    #[test]
    fn quiet_kinds_are_shown_on_request_only() {
        let events = [event("log", "vote"), event("fault", ""), event("lock", ""), event("fault", "enable")];
        assert_eq!(count(&events, &[]), 2);
        assert_eq!(count(&events, &["-j", "lock"]), 1);
    }

    #[test]
    fn just_and_ignore_name_topics() {
        let events = [event("log", "raft::vote"), event("fault", ""), event("log", "append")];
        assert_eq!(count(&events, &["-j", "VOTE,fault", "-i", "timer"]), 2);
        assert_eq!(count(&events, &["-i", "vote"]), 2);
    }

    #[test]
    fn times_and_servers_are_bounds() {
        let message =
            event("message", "Raft.vote").with("leg", "request").with("call", 3).with("to", "server-2");
        let events = [event("log", "vote"), message, Event::new(5, "server-3", "log", "x", "")];
        assert_eq!(count(&events, &["--from", "0.5"]), 2);
        assert_eq!(count(&events, &["--to", "999ms"]), 1);
        assert_eq!(count(&events, &["--server", "1"]), 2);
        assert_eq!(count(&events, &["--rpc", "3"]), 1);
        let trace = Trace { events: events.to_vec(), ..Trace::default() };
        let complaint =
            |words: &[&str]| Filter::new(&trace, &shown(words)).err().map(|error| error.to_string());
        assert!(
            complaint(&["--server", "7"]).is_some_and(|text| text.contains("it has: server-1, server-3"))
        );
        assert!(complaint(&["--rpc", "9"]).is_some());
    }

    #[test]
    fn an_index_and_a_term_are_found_in_any_debug() {
        let says = |text: &str| Event::new(0, "server-1", "log", "x", text);
        let index = [
            says("AppendArgs { prev_log_index: 7, term: 3 }"),
            says("server 1: start -> 7"),
            says("prev_log_index: 77"),
            Event::new(0, "s", "apply", "", "").with("index", 7),
            Event::new(0, "s", "state", "", "").with("from", 5).with("last", 9).with("term", 3),
        ];
        assert_eq!(count(&index, &["--index", "7"]), 4);
        assert_eq!(count(&index, &["--term", "3"]), 2);
    }
}
