//! Porcupine's test format: one event a line, as a map in Clojure's notation, in the order of real time.
//!
//! `{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}`; the type is `:invoke`, `:ok`, or, as in Jepsen, `:fail`
//! (it did not happen) and `:info` (nobody knows). An event's time is the number of its line.

use std::io::BufRead;

use super::{LONGEST_VALUE, Lines, Located, Problem, broken, locate};
use crate::history::{Operation, Unit};
use crate::models::key_value::{KvBuilder, KvHistory, KvOp};
use crate::texts::Text;
use rustc_hash::FxHashMap;

pub(super) fn read(mut lines: Lines<impl BufRead>) -> Located<KvHistory> {
    let mut builder = KvBuilder::new();
    builder.set_unit(Unit::Events);
    let mut calls: Vec<(Operation<KvOp, Text>, u64, bool)> = Vec::new();
    let mut running: FxHashMap<u32, usize> = FxHashMap::default();
    while let Some((number, line)) = lines.next()? {
        if line.trim().is_empty() {
            continue;
        }
        let at = |problem| (Some(number), problem);
        let event = parse(line).map_err(at)?;
        if event.kind == ":invoke" {
            let op = call(&mut builder, &event).map_err(at)?;
            // A second call of a busy client is found, with its line, when the history is built.
            running.insert(event.process, calls.len());
            calls.push((Operation::open(event.process, op, number), number, true));
            continue;
        }
        let Some(place) = running.remove(&event.process) else {
            return Err(at(Problem::ReturnWithoutCall(event.process)));
        };
        let (operation, _, happened) = &mut calls[place];
        match event.kind {
            ":ok" => {
                operation.result = Some(result(&mut builder, operation.op, &event).map_err(at)?);
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
    key: Option<String>,
    value: Option<String>,
}

fn call(builder: &mut KvBuilder, event: &Event<'_>) -> Result<KvOp, Problem> {
    let key = event.key.as_deref().ok_or_else(|| broken("no :key"))?;
    let key = builder.key(key);
    let value = event.value.as_deref().ok_or_else(|| broken("no :value"));
    match event.function {
        ":get" => Ok(KvOp::Get { key }),
        ":put" => Ok(KvOp::Put { key, value: builder.written(value?) }),
        ":append" => Ok(KvOp::Append { key, value: builder.written(value?) }),
        other => Err(Problem::UnknownOperation(other.to_owned())),
    }
}

fn result(builder: &mut KvBuilder, op: KvOp, event: &Event<'_>) -> Result<Text, Problem> {
    let function = match op {
        KvOp::Get { .. } => ":get",
        KvOp::Put { .. } => ":put",
        KvOp::Append { .. } => ":append",
    };
    if event.function != function {
        return Err(broken(format!(
            "the answer to {function} is one to {}",
            crate::words::quoted(event.function)
        )));
    }
    match op {
        KvOp::Get { key } => Ok(builder.read(key, event.value.as_deref().unwrap_or(""))),
        KvOp::Put { .. } | KvOp::Append { .. } => Ok(Text::EMPTY),
    }
}

fn parse(line: &str) -> Result<Event<'_>, Problem> {
    let inside = line.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let mut rest = inside.ok_or_else(|| broken("not a map in one line"))?;
    let mut process = None;
    let mut event = Event { process: 0, kind: "", function: "", key: None, value: None };
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let name = word(&mut rest);
        rest = rest.trim_start_matches([' ', '\t', ',']);
        match name {
            ":process" => process = word(&mut rest).parse().ok(),
            ":type" => event.kind = word(&mut rest),
            ":f" => event.function = word(&mut rest),
            ":key" => event.key = text(&mut rest)?,
            ":value" => event.value = text(&mut rest)?,
            _ if name.starts_with(':') => {
                text(&mut rest)?;
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
fn text(rest: &mut &str) -> Result<Option<String>, Problem> {
    let Some(mut inside) = rest.strip_prefix('"') else {
        let word = word(rest);
        return Ok((word != "nil" && !word.is_empty()).then(|| word.to_owned()));
    };
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
            return Ok(Some(out));
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
