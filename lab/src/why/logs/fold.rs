//! Repetitions as one line: what is said again and again while nothing new happens, such as heartbeats.

use std::collections::{BTreeMap, BTreeSet};

use super::filter::topic;
use super::lines::Line;

/// A row of the log.
pub(super) enum Folded<'a, 'b> {
    Line(&'b Line<'a>),
    /// What stands in the place of lines that say the same as earlier ones.
    Repetitions(String),
}

/// Fewer repetitions than this are shown one by one.
const FEW: usize = 3;

/// The lines, with repetitions folded: lines that said the same before, on the same server, while no server
/// said anything new since.
pub(super) fn fold<'a, 'b>(lines: &[&'b Line<'a>], unfolded: bool) -> Vec<Folded<'a, 'b>> {
    let mut rows = Vec::new();
    let mut said: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
    let mut again: Vec<&'b Line<'a>> = Vec::new();
    for &line in lines {
        let shape = (&*line.event.node, topic(line.event), line.shape.as_str());
        if unfolded || said.insert(shape) {
            let cause = again.pop_if(|last| is_cause(last, line));
            end(&mut again, &mut rows);
            rows.extend(cause.into_iter().chain([line]).map(Folded::Line));
            // What comes next is a repetition only if it repeats something of the last quiet time.
            if !unfolded && !is_routine(line) {
                said.clear();
                said.insert(shape);
            }
        } else {
            again.push(line);
        }
    }
    end(&mut again, &mut rows);
    rows
}

/// Whether `line` tells what a server did because of what `last` says, for instance of a reply: it did so at
/// that moment. Then the reader needs both.
fn is_cause(last: &Line<'_>, line: &Line<'_>) -> bool {
    !is_routine(line) && last.event.node == line.event.node && last.event.t == line.event.t
}

/// Whether a line is of the sort that repeats itself: messages and writes. Anything else is an event, after
/// which even a heartbeat is worth a look.
fn is_routine(line: &Line<'_>) -> bool {
    matches!(&*line.event.kind, "message" | "disk" | "block" | "wake" | "lock" | "spawn")
}

fn end<'a, 'b>(again: &mut Vec<&'b Line<'a>>, rows: &mut Vec<Folded<'a, 'b>>) {
    if again.len() < FEW {
        rows.extend(again.drain(..).map(Folded::Line));
        return;
    }
    let mut counts: BTreeMap<&str, (usize, BTreeSet<u64>)> = BTreeMap::new();
    for line in again.iter() {
        let (count, calls) = counts.entry(topic(line.event)).or_default();
        *count += 1;
        calls.extend(line.call);
    }
    let words = |(topic, (count, calls)): (&&str, &(usize, BTreeSet<u64>))| match calls.len() {
        0 => format!("{topic} ×{count}"),
        calls => format!("{topic} ×{calls}"),
    };
    let until = again.last().map_or(0, |line| line.event.t);
    let list: Vec<String> = counts.iter().map(words).collect();
    rows.push(Folded::Repetitions(format!(
        "⋯ the same until {:.6}: {}",
        until as f64 / 1e9,
        list.join(", ")
    )));
    again.clear();
}

#[cfg(test)]
mod tests {
    use labtrace::{Event, Trace};

    use super::super::lines::lines;
    use super::*;

    fn rows(events: Vec<Event>, unfolded: bool) -> Vec<String> {
        let trace = Trace { events, ..Trace::default() };
        let lines = lines(&trace);
        let all: Vec<&Line<'_>> = lines.iter().collect();
        let text = |row: Folded<'_, '_>| match row {
            Folded::Line(line) => line.text.clone(),
            Folded::Repetitions(text) => text,
        };
        fold(&all, unfolded).into_iter().map(text).collect()
    }

    fn heartbeats(numbers: std::ops::Range<u64>) -> Vec<Event> {
        let beat =
            |n| Event::new(n, "s-0", "message", "Raft.append", "x").with("leg", "request").with("call", n);
        numbers.map(beat).collect()
    }

    #[test]
    fn heartbeats_are_one_line_until_something_happens() {
        let mut events = heartbeats(1..16);
        events.push(Event::new(16, "s-1", "state", "", "candidate in term 2"));
        events.extend(heartbeats(17..19));
        let rows = rows(events, false);
        assert_eq!(rows.len(), 5, "{rows:?}");
        assert_eq!(rows[1], "⋯ the same until 0.000000: append ×14");
        assert_eq!(rows[2], "candidate in term 2");
    }

    #[test]
    fn the_message_that_an_event_follows_is_shown() {
        let mut events = heartbeats(1..16);
        events.push(Event::new(15, "s-0", "state", "", "commit up to 2"));
        assert_eq!(
            rows(events.clone(), false)[1..],
            ["⋯ the same until 0.000000: append ×13", "→  #15 ", "commit up to 2"]
        );
        *events.last_mut().expect("the event that was just pushed") = Event::new(15, "s-1", "state", "", "y");
        assert_eq!(rows(events, false)[1..], ["⋯ the same until 0.000000: append ×14", "y"]);
    }

    #[test]
    fn nothing_is_folded_on_demand_or_if_there_is_little() {
        assert_eq!(rows(heartbeats(1..16), true).len(), 15);
        assert_eq!(rows(heartbeats(1..4), false).len(), 3);
    }
}
