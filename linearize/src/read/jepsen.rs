//! Jepsen's logs of one register: one event a line, in the order of real time.
//!
//! `INFO  jepsen.util - 4 :invoke :cas [2 4]` (with tabs between); functions are `:read`, `:write` and `:cas`. `:ok` means done, and for `:read`
//! gives the value; `:fail :cas` that the value was not `from` at that moment; any other `:fail` that nothing happened;
//! `:info` that nobody knows, so the operation stays open. An answer may leave out what its call said, or give a reason
//! (`:timed-out`) in its place; it must not say anything else. An event's time is the number of its line. Lines of other
//! loggers, and of the nemesis, are skipped; one without a message is broken.

use std::io::BufRead;

use rustc_hash::FxHashMap;

use super::{Lines, Located, Problem, RegisterHistory, broken, locate};
use crate::history::{History, Operation, Unit};
use crate::models::register::{RegisterOp, RegisterResult};

type Op = RegisterOp<i64>;
type Answer = RegisterResult<i64>;

/// What stands before an event.
const LOGGER: &str = "jepsen.util";

/// Whether a file that begins with this line is a log.
pub(super) fn is_log_line(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.any(|word| matches!(word, "INFO" | "WARN" | "ERROR" | "DEBUG")) && words.next().is_some()
}

pub(super) fn read(mut lines: Lines<impl BufRead>) -> Located<RegisterHistory> {
    let mut calls: Vec<(Operation<Op, Answer>, u64, bool)> = Vec::new();
    let mut running: FxHashMap<u32, usize> = FxHashMap::default();
    while let Some((number, line)) = lines.next()? {
        let at = |problem| (Some(number), problem);
        let Some(event) = parse(line).map_err(at)? else { continue };
        if event.kind == ":invoke" {
            running.insert(event.process, calls.len());
            calls.push((
                Operation::open(event.process, operation(event.function, event.value).map_err(at)?, number),
                number,
                true,
            ));
            continue;
        }
        let Some(place) = running.remove(&event.process) else {
            return Err(at(Problem::ReturnWithoutCall(event.process)));
        };
        let (called, _, happened) = &mut calls[place];
        match answer(&called.op, &event).map_err(at)? {
            Outcome::Returned(result) => {
                called.result = Some(result);
                called.end = number;
            }
            Outcome::Nothing => *happened = false,
            Outcome::Unknown => {}
        }
    }
    calls.retain(|call| call.2);
    if calls.is_empty() {
        return Err((None, Problem::Empty));
    }
    let numbers: Vec<u64> = calls.iter().map(|call| call.1).collect();
    let history = History::new(calls.into_iter().map(|call| call.0).collect());
    history.map(|history| history.with_unit(Unit::Events)).map_err(|error| locate(&error, &numbers))
}

struct Event<'a> {
    process: u32,
    kind: &'a str,
    function: &'a str,
    /// Everything behind the function.
    value: &'a str,
}

/// The event in a line, if there is one.
fn parse(line: &str) -> Result<Option<Event<'_>>, Problem> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    let Some((_, rest)) = line.split_once(LOGGER) else {
        return other_logger(line).map(|()| None);
    };
    let rest =
        rest.trim_start().strip_prefix('-').ok_or_else(|| broken("\"-\" expected after the logger"))?;
    let (process, rest) = word(rest);
    let (kind, rest) = word(rest);
    let (function, value) = word(rest);
    if process == ":nemesis" {
        return Ok(None);
    }
    let process = process
        .parse()
        .map_err(|_| broken(format!("{} where a process should be", crate::words::quoted(process))))?;
    Ok(Some(Event { process, kind, function, value: value.trim() }))
}

/// Whether a line is that of another logger. What is cut before its message may have been an event.
fn other_logger(line: &str) -> Result<(), Problem> {
    match is_log_line(line) {
        false => Err(broken("not a line of a log")),
        true if line.split_whitespace().any(|word| word == "-") => Ok(()),
        true => Err(broken("a line of a log without a message: \" - \" expected after the logger")),
    }
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// The operation that a function and its value are.
fn operation(function: &str, value: &str) -> Result<Op, Problem> {
    match function {
        ":read" => Ok(RegisterOp::Read),
        ":write" => Ok(RegisterOp::Write(number(value)?)),
        ":cas" => {
            let inside = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let mut both = inside.unwrap_or("").split_whitespace();
            match (both.next(), both.next(), both.next()) {
                (Some(from), Some(to), None) => {
                    Ok(RegisterOp::CompareAndSwap { from: number(from)?, to: number(to)? })
                }
                _ => Err(broken("[from to] expected after :cas")),
            }
        }
        other => Err(Problem::UnknownOperation(other.to_owned())),
    }
}

fn number(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| broken(format!("{} where a number should be", crate::words::quoted(text))))
}

enum Outcome {
    Returned(Answer),
    /// It certainly did not happen.
    Nothing,
    /// Perhaps it happened, or will.
    Unknown,
}

/// What an answer repeats must be what was called. Before a reason, which has a colon, there may be anything; and of what
/// nobody knows anything may be said.
fn compare(op: &Op, event: &Event<'_>) -> Result<(), Problem> {
    let (repeated, reason) = match event.value.split_once(':') {
        Some((repeated, _)) => (repeated.trim(), true),
        None => (event.value, event.kind == ":info"),
    };
    match operation(event.function, repeated) {
        Ok(answered) if answered != *op => {
            Err(broken(format!("the answer is one to {} {repeated}, which was not the call", event.function)))
        }
        Err(problem) if !reason && !matches!(repeated, "" | "nil") => Err(problem),
        _ => Ok(()),
    }
}

fn answer(op: &Op, event: &Event<'_>) -> Result<Outcome, Problem> {
    let function = match op {
        RegisterOp::Read => ":read",
        RegisterOp::Write(_) => ":write",
        RegisterOp::CompareAndSwap { .. } => ":cas",
    };
    if event.function != function {
        return Err(broken(format!(
            "the answer to {function} is one to {}",
            crate::words::quoted(event.function)
        )));
    }
    compare(op, event)?;
    Ok(match (event.kind, op) {
        (":ok", RegisterOp::Read) => {
            let value = if event.value == "nil" { None } else { Some(number(event.value)?) };
            Outcome::Returned(RegisterResult::Value(value))
        }
        (":ok", RegisterOp::Write(_)) => Outcome::Returned(RegisterResult::Written),
        (":ok", RegisterOp::CompareAndSwap { .. }) => Outcome::Returned(RegisterResult::Swapped(true)),
        // With a reason behind it, the request failed; without, the comparison did.
        (":fail", RegisterOp::CompareAndSwap { .. }) if !event.value.contains(':') => {
            Outcome::Returned(RegisterResult::Swapped(false))
        }
        (":fail", _) => Outcome::Nothing,
        (":info", _) => Outcome::Unknown,
        (other, _) => return Err(broken(format!("unknown type {}", crate::words::quoted(other)))),
    })
}
