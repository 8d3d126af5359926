//! Porcupine's test format: one event a line, as a map in Clojure's notation, in the order of real time.
//!
//! `{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}`; the type is `:invoke`, `:ok`, or, as in Jepsen, `:fail`
//! (it did not happen) and `:info` (nobody knows). An event's time is the number of its line. An answer may leave out what its
//! call said, or give a keyword in its place; it must not say anything else.

use std::io::BufRead;

use super::{LONGEST_VALUE, Lines, Located, Once, Problem, broken, locate};
use crate::history::{Operation, Unit};
use crate::models::key_value::{KvBuilder, KvHistory, KvOp};
use crate::texts::Text;
use rustc_hash::FxHashMap;

pub(super) fn read(mut lines: Lines<impl BufRead>) -> Located<KvHistory> {
    let mut builder = KvBuilder::new();
    builder.set_unit(Unit::Events);
    let mut calls: Vec<(Operation<KvOp, Text>, u64, bool)> = Vec::new();
    let mut running: FxHashMap<u32, Running> = FxHashMap::default();
    while let Some((number, line)) = lines.next()? {
        if line.trim().is_empty() {
            continue;
        }
        let at = |problem| (Some(number), problem);
        let event = parse(line).map_err(at)?;
        if event.kind == ":invoke" {
            let op = call(&mut builder, &event).map_err(at)?;
            // A second call of a busy client is found, with its line, when the history is built.
            running.insert(event.process, Running { place: calls.len(), key: event.key, value: event.value });
            calls.push((Operation::open(event.process, op, number), number, true));
            continue;
        }
        let Some(call) = running.remove(&event.process) else {
            return Err(at(Problem::ReturnWithoutCall(event.process)));
        };
        let (operation, _, happened) = &mut calls[call.place];
        call.compare(operation.op, &event).map_err(at)?;
        match event.kind {
            ":ok" => {
                operation.result = Some(result(&mut builder, operation.op, &event));
                operation.end = number;
            }
            ":fail" => *happened = false,
            ":info" => {}
            other => return Err(at(broken(format!("unknown type {}", crate::words::quoted(other))))),
        }
    }
    let mut numbers = Vec::with_capacity(calls.len());
    for (operation, number, _) in calls.into_iter().filter(|call| call.2) {
        builder.push(operation);
        numbers.push(number);
    }
    builder.finish().map_err(|error| locate(&error, &numbers))
}

struct Event<'a> {
    process: u32,
    kind: &'a str,
    function: &'a str,
    key: Option<Value>,
    value: Option<Value>,
}

/// What stands behind `:key` or `:value`: a string, or a word without quotes.
#[derive(PartialEq, Eq)]
struct Value {
    text: String,
    /// Whether it is a word that begins with a colon, which may be why there is no answer.
    keyword: bool,
}

/// A call without an answer so far, and what an answer must not contradict.
struct Running {
    place: usize,
    key: Option<Value>,
    value: Option<Value>,
}

impl Running {
    /// Whether `answer` can be one to this call of `op`.
    fn compare(&self, op: KvOp, answer: &Event<'_>) -> Result<(), Problem> {
        let (function, writes) = match op {
            KvOp::Get { .. } => (":get", false),
            KvOp::Put { .. } => (":put", true),
            KvOp::Append { .. } => (":append", true),
        };
        if answer.function != function && (answer.kind == ":ok" || !answer.function.is_empty()) {
            let other = crate::words::quoted(answer.function);
            return Err(broken(format!("the answer to {function} is one to {other}")));
        }
        same(":key", self.key.as_ref(), answer.key.as_ref())?;
        if writes { same(":value", self.value.as_ref(), answer.value.as_ref()) } else { Ok(()) }
    }
}

/// What an answer repeats must be what was called.
fn same(name: &str, called: Option<&Value>, answered: Option<&Value>) -> Result<(), Problem> {
    let (Some(called), Some(answered)) = (called, answered) else { return Ok(()) };
    if answered.keyword || called.text == answered.text {
        return Ok(());
    }
    let [called, answered] = [called, answered].map(|value| crate::words::quoted(&value.text));
    Err(broken(format!("the answer has {name} {answered}, and the call {called}")))
}

fn call(builder: &mut KvBuilder, event: &Event<'_>) -> Result<KvOp, Problem> {
    let key = event.key.as_ref().ok_or_else(|| broken("no :key"))?;
    let key = builder.key(&key.text);
    let value = event.value.as_ref().map(|value| &*value.text).ok_or_else(|| broken("no :value"));
    match event.function {
        ":get" => Ok(KvOp::Get { key }),
        ":put" => Ok(KvOp::Put { key, value: builder.written(value?) }),
        ":append" => Ok(KvOp::Append { key, value: builder.written(value?) }),
        other => Err(Problem::UnknownOperation(other.to_owned())),
    }
}

fn result(builder: &mut KvBuilder, op: KvOp, event: &Event<'_>) -> Text {
    match op {
        KvOp::Get { key } => builder.read(key, event.value.as_ref().map_or("", |value| &value.text)),
        KvOp::Put { .. } | KvOp::Append { .. } => Text::EMPTY,
    }
}

/// The keywords that mean something.
const FIELDS: &[&str] = &[":process", ":type", ":f", ":key", ":value"];

fn parse(line: &str) -> Result<Event<'_>, Problem> {
    let inside = line.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let mut rest = inside.ok_or_else(|| broken("not a map in one line"))?;
    let mut process = None;
    let mut once = Once::new(FIELDS);
    let mut event = Event { process: 0, kind: "", function: "", key: None, value: None };
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let name = word(&mut rest);
        once.see(name)?;
        rest = rest.trim_start_matches([' ', '\t', ',']);
        match name {
            ":process" => process = word(&mut rest).parse().ok(),
            ":type" => event.kind = word(&mut rest),
            ":f" => event.function = word(&mut rest),
            ":key" => event.key = value(&mut rest)?,
            ":value" => event.value = value(&mut rest)?,
            _ if name.starts_with(':') => {
                value(&mut rest)?;
            }
            _ => return Err(broken(format!("{} where a keyword should be", crate::words::quoted(name)))),
        }
    }
    event.process = process.ok_or_else(|| broken("no :process, or not a number"))?;
    Ok(event)
}

/// Everything up to the next blank or comma.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let (word, after) = rest.split_at(rest.find([' ', '\t', ',']).unwrap_or(rest.len()));
    *rest = after;
    word
}

/// A string; or a word, of which `nil` is nothing.
fn value(rest: &mut &str) -> Result<Option<Value>, Problem> {
    if let Some(inside) = rest.strip_prefix('"') {
        *rest = inside;
        return Ok(Some(Value { text: string(rest)?, keyword: false }));
    }
    let word = word(rest);
    let value = Value { text: word.to_owned(), keyword: word.starts_with(':') };
    Ok((word != "nil" && !word.is_empty()).then_some(value))
}

/// The rest of a string whose first quote was read.
fn string(rest: &mut &str) -> Result<String, Problem> {
    let mut inside = *rest;
    let mut out = String::new();
    loop {
        let end = inside.find(['"', '\\']).ok_or_else(|| broken("a string without end"))?;
        out.push_str(&inside[..end]);
        if out.len() > LONGEST_VALUE {
            return Err(Problem::LongValue);
        }
        let quote = inside.as_bytes()[end] == b'"';
        inside = &inside[end + 1..];
        if quote {
            *rest = inside;
            return Ok(out);
        }
        let mut characters = inside.chars();
        out.push(match characters.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some(other @ ('"' | '\\')) => other,
            _ => return Err(broken("an unknown escape in a string")),
        });
        inside = characters.as_str();
    }
}
