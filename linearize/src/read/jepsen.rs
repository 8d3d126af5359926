//! Jepsen's logs of one register: one event a line, in the order of real time.
//!
//! `INFO  jepsen.util - 4 :invoke :cas [2 4]` (with tabs between); functions are `:read`, `:write` and `:cas`. `:ok` means done, and for `:read`
//! gives the value; `:fail :cas` that the value was not `from` at that moment; any other `:fail` that nothing happened;
//! `:info` that nobody knows, so the operation stays open. An event's time is the number of its line. Lines of other
//! loggers, and of the nemesis, are skipped.

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
            calls.push((Operation::open(event.process, call(&event).map_err(at)?, number), number, true));
            continue;
        }
        let Some(place) = running.remove(&event.process) else {
            return Err(at(Problem::ReturnWithoutCall(event.process)));
        };
        let (operation, _, happened) = &mut calls[place];
        match answer(&operation.op, &event).map_err(at)? {
            Outcome::Returned(result) => {
                operation.result = Some(result);
                operation.end = number;
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
        return if is_log_line(line) { Ok(None) } else { Err(broken("not a line of a log")) };
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

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

fn call(event: &Event<'_>) -> Result<Op, Problem> {
    match event.function {
        ":read" => Ok(RegisterOp::Read),
        ":write" => Ok(RegisterOp::Write(number(event.value)?)),
        ":cas" => {
            let inside = event.value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
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
