//! `jepsen.log`, in its spellings since 2014.
//!
//! ```text
//! INFO  jepsen.util - 4 :invoke :cas [2 4]
//! INFO [2015-05-06 19:49:07,155] jepsen worker 3 - jepsen.util 4 :invoke :cas [2 4]
//! 2021-02-26 23:39:01,300{GMT} INFO [jepsen worker 1] jepsen.util: 4 :invoke :cas [2 4]
//! ```
//!
//! Lines of other loggers are skipped, and lines without a level, which continue the message before them:
//! printed maps, traces of stacks. A line with a level and no message was cut off and may have been an event.

use super::events::{Event, kind_named, of_words, process_named, word};
use super::{Problem, broken};

/// The logger of events.
const LOGGER: &str = "jepsen.util";

/// A level stands among the first words of a line.
const FIRST_WORDS: usize = 4;

/// What stands behind the level of a line.
fn behind_level(line: &str) -> Option<&str> {
    let mut rest = line;
    for _ in 0..FIRST_WORDS {
        let (first, behind) = word(rest);
        if matches!(first, "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "FATAL") {
            return Some(behind);
        }
        rest = behind;
    }
    None
}

/// Whether a file that begins with this line is a log.
pub(super) fn is_log_line(line: &str) -> bool {
    behind_level(line).is_some_and(|rest| !rest.trim().is_empty())
}

/// Whether a line of a log has an event.
pub(super) fn has_event(line: &str) -> bool {
    matches!(event(line), Ok(Some(_)))
}

/// The event in a line, if there is one, and whether the line is of the oldest spelling.
pub(super) fn event(line: &str) -> Result<Option<(Event<'_>, bool)>, Problem> {
    let Some(rest) = behind_level(line) else { return Ok(None) };
    let Some((before, behind)) = rest.split_once(LOGGER) else {
        return other_logger(rest).map(|()| None);
    };
    // Another logger may speak of this one.
    if before.contains(": ") || behind.starts_with(|next: char| next.is_alphanumeric() || next == '.') {
        return other_logger(rest).map(|()| None);
    }
    let old = before.trim().is_empty() && behind.trim_start().starts_with("- ");
    let message = behind.strip_prefix(':').unwrap_or(behind).trim_start();
    let message = message.strip_prefix('-').unwrap_or(message);
    if message.trim().is_empty() {
        return Err(broken("a line of a log without a message: \" - \" expected after the logger"));
    }
    let (process, rest) = word(message);
    let (kind, rest) = word(rest);
    let (function, value) = word(rest);
    // What else this logger says is no event.
    let numbered = process.bytes().all(|byte| byte.is_ascii_digit());
    let cut = numbered && kind.is_empty();
    if !kind.starts_with(':') && !cut {
        if !numbered && !before.trim().is_empty() {
            return Ok(None);
        }
        process_named(process)?;
    }
    let process = process_named(process)?;
    kind_named(kind.strip_prefix(':').unwrap_or(kind))?;
    of_words(process, kind, function, value).map(|event| Some((event, old)))
}

/// Whether a line is that of another logger. What is cut before its message may have been an event.
fn other_logger(rest: &str) -> Result<(), Problem> {
    if rest.contains(" - ") || rest.contains(": ") || rest.trim_end().ends_with([':', '-']) {
        return Ok(());
    }
    Err(broken("a line of a log without a message: \" - \" expected after the logger"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Kind, Process};

    #[test]
    fn spellings() {
        let lines = [
            "INFO  jepsen.util - 4\t:invoke\t:cas\t[2 4]",
            "INFO [2015-05-06 19:49:07,155] jepsen worker 3 - jepsen.util 4\t:invoke\t:cas\t[2 4]",
            "2021-02-26 23:39:01,300{GMT}\tINFO\t[jepsen worker 1] jepsen.util: 4\t:invoke\t:cas\t[2 4]",
            "2018-01-01 00:00:00,000 INFO  [jepsen worker 1] jepsen.util - 4\t:invoke\t:cas\t[2 4]",
        ];
        for (line, wanted) in lines.into_iter().zip([true, false, false, false]) {
            let (event, old) = event(line).unwrap().expect(line);
            assert_eq!(
                (event.process, event.kind, event.function),
                (Process::Client(4), Kind::Invoke, "cas")
            );
            assert_eq!(old, wanted, "{line}");
        }
        let nemesis = event("INFO  jepsen.util - :nemesis\t:info\t:start\tnil").unwrap().unwrap().0;
        assert_eq!((nemesis.process, nemesis.function), (Process::Other("nemesis"), "start"));
        for line in [
            "{:name \"lin-kv\"",
            "\tat jepsen.util$real_pmap.invoke(util.clj:57)",
            "2021-02-26 23:39:00,000{GMT}\tINFO\t[main] jepsen.core: Running test:",
            "2021-02-26 23:39:00,000{GMT}\tWARN\t[main] jepsen.core: jepsen.util said nothing",
            "2021-02-26 23:39:00,000{GMT}\tINFO\t[main] jepsen.util: Retrying in 5 s",
            "",
        ] {
            assert!(event(line).unwrap().is_none(), "{line}");
        }
        for line in
            ["INFO  jepsen.uti", "INFO  jepsen.util - 4", "INFO  jepsen.util - 4 :inv", "INFO jepsen.util -"]
        {
            assert!(event(line).is_err(), "{line}");
        }
    }
}
