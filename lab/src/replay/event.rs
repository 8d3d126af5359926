//! What the runtime records while tracing, and which of it a user wants to see.

use serde::{Deserialize, Serialize};

/// Kinds that fill pages and are seldom asked for; `--just` brings them up.
const QUIET: [&str; 12] = [
    "spawn", "end", "block", "wake", "lock", "unlock", "yield", "switch", "timer", "send", "receive",
    "random",
];

/// What a verb of the tester does to each single link: the verb itself is told anyway.
const QUIET_FAULTS: [&str; 4] = ["connect", "enable", "add_server", "delete_server"];

/// One line of the event file. Whatever is missing is empty, and what is unknown is passed over: the file may
/// come from another version of the runtime.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Event {
    /// Virtual nanoseconds since the start of the run.
    pub(super) t: u64,
    /// The server or client process.
    pub(super) node: String,
    /// The thread on it.
    pub(super) task: String,
    /// `log`, `message`, `fault`, `verb`, `spawn`, `block`, …
    pub(super) kind: String,
    /// Of a log line, what it is about: `vote`, `log`, ….
    pub(super) target: String,
    pub(super) text: String,
}

impl Event {
    /// What the event is about: the target of a log line, a message or a fault, else the kind.
    pub(super) fn topic(&self) -> &str {
        match self.kind.as_str() {
            "log" | "message" | "fault" if !self.target.is_empty() => self.last_of_target(),
            kind => kind,
        }
    }

    /// The target of a student's log line is often a module's path, and that of a message names service and
    /// method: the last word says enough.
    fn last_of_target(&self) -> &str {
        self.target.rsplit([':', '.']).next().unwrap_or_default()
    }

    /// Whether a word of the user's names it.
    pub(super) fn is_named(&self, word: &str) -> bool {
        [&self.kind, &self.target, self.last_of_target()].iter().any(|name| name.eq_ignore_ascii_case(word))
    }

    fn is_quiet(&self) -> bool {
        QUIET.contains(&self.kind.as_str())
            || (self.kind == "fault" && QUIET_FAULTS.contains(&self.target.as_str()))
    }
}

/// Whether every run may have events of this kind, so that a word for it is right also where there are none.
pub(super) fn is_kind(word: &str) -> bool {
    let usual = ["log", "message", "fault", "verb", "print"];
    QUIET.iter().chain(&usual).any(|kind| kind.eq_ignore_ascii_case(word))
}

/// Which events are shown.
pub(super) struct Filter {
    just: Vec<String>,
    ignore: Vec<String>,
}

impl Filter {
    /// Only those that `just` names, or, if that is empty, all but the quiet ones; never those that `ignore`
    /// names.
    pub(super) fn new(just: &[String], ignore: &[String]) -> Filter {
        Filter { just: just.to_vec(), ignore: ignore.to_vec() }
    }

    /// All events, also the quiet ones.
    pub(super) fn everything() -> Filter {
        Filter { just: vec![String::new()], ignore: Vec::new() }
    }

    /// Whether the event is shown.
    pub(super) fn shows(&self, event: &Event) -> bool {
        if self.ignore.iter().any(|word| event.is_named(word)) {
            return false;
        }
        if self.just.is_empty() {
            return !event.is_quiet();
        }
        self.just.iter().any(|word| word.is_empty() || event.is_named(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, target: &str) -> Event {
        Event { kind: kind.to_owned(), target: target.to_owned(), ..Event::default() }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn quiet_kinds_are_shown_on_request_only() {
        let all = Filter::new(&[], &[]);
        assert!(all.shows(&event("log", "vote")) && all.shows(&event("fault", "")));
        assert!(!all.shows(&event("lock", "")) && !all.shows(&event("fault", "enable")));
        assert!(Filter::new(&words(&["lock"]), &[]).shows(&event("lock", "")));
    }

    #[test]
    fn just_and_ignore_name_topics() {
        let just = Filter::new(&words(&["VOTE", "fault"]), &words(&["timer"]));
        assert!(just.shows(&event("log", "raft::vote")) && just.shows(&event("fault", "")));
        assert!(!just.shows(&event("log", "append")));
        assert!(!Filter::new(&[], &words(&["vote"])).shows(&event("log", "vote")));
    }

    #[test]
    fn events_are_read_leniently() {
        let event: Event =
            serde_json::from_str(r#"{"t":5,"kind":"log","later":{"x":1}}"#).expect("it is an event");
        assert_eq!((event.t, event.topic(), event.node.as_str()), (5, "log", ""));
    }
}
