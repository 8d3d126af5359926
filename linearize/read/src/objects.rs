//! What the calls of a file are asked of, and what each of them is there.
//!
//! The names of functions tell the model; each model knows some.
//!
//! | model | functions | values |
//! |---|---|---|
//! | `register` | `read`, `write`, `cas` | any scalar; `[from to]` |
//! | `queue` | `enqueue`, `dequeue`, `drain` | any scalar, `nil` from an empty queue; a row of all that was taken |
//! | `stack` | `push`, `pop` | any scalar, `nil` from an empty stack |
//! | `set` | `add`, `read` | any scalar; a set or a row of all elements |
//! | `elements` | `insert`, `remove`, `contains` | a number from 0; the answer is a boolean, or `[element boolean]` |
//! | `counter` | `add`, `inc`, `dec`, `read` | numbers |
//! | `lock` | `acquire`, `release` (or `lock`, `unlock`) | none |
//! | `log` | `append`, `read`, `length` | any scalar, answered by an index; an index, answered by the entry |
//! | `versioned` | `get`, `put` | answered by `[value version]` or `nil`; `[value version]` |
//! | `kv` | `get`, `put`, `append` | texts |
//!
//! A value may stand behind a key, `[key value]`; then all do. But where reads name no key, pairs are values.
//! `read` is of a register, a set or a counter, as other functions and what it returned say; `get` and `put`
//! are of a versioned register if versions come with the values. Rows of operations,
//! `[[:r 4 nil] [:append 4 1]]`, are transactions, whatever their function is called.

use std::borrow::Cow;
use std::collections::BTreeSet;

use linearize::models::any::{self, Answer, Keyed, KeyedOp, Object};
use linearize::models::collections::{Queue, QueueOp, Set, SetOp, WholeSet, WholeSetOp};
use linearize::models::counter::{Counter, CounterOp};
use linearize::models::lock::{Lock, LockOp};
use linearize::models::log::{Log, LogOp, LogResult};
use linearize::models::register::{Register, RegisterOp, RegisterResult};
use linearize::models::scalar::Scalar;
use linearize::models::stack::{Stack, StackOp};
use linearize::models::versioned::{Versioned, VersionedOp, VersionedResult};
use linearize::{Fault, History};
use rustc_hash::FxHashMap;

use super::calls::{Call, Calls, Datum, Outcome};
use super::{Located, ModelName, Options, Problem, broken};

/// A history of objects, and what a nemesis did meanwhile.
pub(super) type Built = (Keyed, History<KeyedOp, Answer>, Vec<Fault>);

/// The functions that a model knows.
pub(super) fn functions(model: ModelName) -> &'static [&'static str] {
    match model {
        ModelName::KeyValue => &["get", "put", "append"],
        ModelName::Register => &["read", "write", "cas"],
        ModelName::Queue => &["enqueue", "dequeue", "drain"],
        ModelName::Stack => &["push", "pop"],
        ModelName::Set => &["add", "read"],
        ModelName::Elements => &["insert", "remove", "contains", "contains?"],
        ModelName::Counter => &["add", "inc", "increment", "dec", "decrement", "read"],
        ModelName::Lock => &["acquire", "release", "lock", "unlock"],
        ModelName::Log => &["append", "read", "length"],
        ModelName::Versioned => &["get", "put"],
    }
}

/// Refuses transactions.
pub(super) fn check_no_transactions(calls: &Calls) -> Located<()> {
    let named = calls.functions.iter().any(|name| name == "txn");
    if named || calls.all.iter().any(|call| call.value.as_ref().is_some_and(is_transaction)) {
        return Err((None, Problem::Transactions));
    }
    Ok(())
}

/// The model that these calls are asked of.
pub(super) fn model_of(calls: &Calls) -> Located<ModelName> {
    let has = |name: &str| calls.functions.iter().any(|other| other == name);
    let read = |wanted: fn(&Datum) -> bool| {
        calls.all.iter().any(|call| {
            let answer = call.answer.as_ref();
            let value =
                if keyed_read(call) { answer.and_then(Datum::pair).map(|both| both.1) } else { answer };
            calls.name(call) == "read" && call.outcome == Outcome::Done && value.is_some_and(wanted)
        })
    };
    Ok(if has("write") || has("cas") {
        ModelName::Register
    } else if has("enqueue") || has("dequeue") || has("drain") {
        ModelName::Queue
    } else if has("push") || has("pop") {
        ModelName::Stack
    } else if has("acquire") || has("release") || has("lock") || has("unlock") {
        ModelName::Lock
    } else if has("insert") || has("remove") || has("contains") || has("contains?") {
        ModelName::Elements
    } else if has("get") || has("put") {
        if calls.all.iter().any(|call| has_version(calls, call)) && !has("append") {
            ModelName::Versioned
        } else {
            ModelName::KeyValue
        }
    } else if has("inc") || has("increment") || has("dec") || has("decrement") {
        ModelName::Counter
    } else if has("append") || has("length") {
        // An entry of a log is told its index.
        let said = |answer: &Datum| answer.pair().map_or(answer, |(_, said)| said).number();
        let indexed = calls.all.iter().any(|call| call.answer.as_ref().is_some_and(|it| said(it).is_some()));
        if indexed || has("read") || has("length") { ModelName::Log } else { ModelName::KeyValue }
    } else if has("add") {
        let one = |value: &Datum| value.scalar().is_some() && !value.is_nil();
        if read(one) { ModelName::Counter } else { ModelName::Set }
    } else if read(|value| value.elements().is_some()) {
        ModelName::Set
    } else {
        ModelName::Register
    })
}

/// Whether a value is a row of operations as Elle has them, `[:r 4 nil]`, whatever the function is called.
fn is_transaction(value: &Datum) -> bool {
    let Datum::Row(all) = value else { return false };
    let is_step = |step: &Datum| match step {
        Datum::Row(parts) => {
            matches!(&parts[..], [Datum::Scalar(Scalar::Word(name)), _, _] if STEPS.contains(&&**name))
        }
        _ => false,
    };
    !all.is_empty() && all.iter().all(is_step)
}

/// What the steps of a transaction do.
const STEPS: [&str; 5] = [":r", ":w", ":append", ":read", ":write"];

/// Whether a call of `get` or `put` speaks of a version: `[value version]` is put behind a key, or got though
/// no key was named.
fn has_version(calls: &Calls, call: &Call) -> bool {
    let is_versioned = |datum: &Datum| datum.pair().is_some_and(|(_, version)| version.number().is_some());
    let inner = call.value.as_ref().and_then(Datum::pair).map(|both| both.1);
    match calls.name(call) {
        "put" => inner.is_some_and(is_versioned),
        "get" if inner.is_none() && call.key.is_none() => call.answer.as_ref().is_some_and(is_versioned),
        _ => false,
    }
}

/// Whether a read names its key.
fn keyed_read(call: &Call) -> bool {
    call.value.as_ref().and_then(Datum::pair).is_some_and(|(_, value)| value.is_nil())
}

/// Refuses functions that `model` does not know.
pub(super) fn check_functions(calls: &Calls, model: ModelName) -> Located<()> {
    let known = functions(model);
    let Some(place) = calls.functions.iter().position(|name| !known.contains(&&**name)) else {
        return Ok(());
    };
    let first = calls.all.iter().find(|call| usize::from(call.function.0) == place);
    Err((first.map(|call| call.line), Problem::UnknownOperation(format!(":{}", calls.functions[place]))))
}

/// Whether values stand behind keys: as soon as one does that could not be a value of `model` by itself,
/// unless pairs are values.
pub(super) fn are_keyed(calls: &Calls, model: ModelName) -> bool {
    let is_keyed = |call: &Call| {
        let Some((_, inner)) = call.value.as_ref().and_then(Datum::pair) else { return false };
        match (model, calls.name(call)) {
            (ModelName::Register, "cas") => inner.pair().is_some(),
            (ModelName::Versioned, "put") => inner.pair().is_some(),
            _ => true,
        }
    };
    calls.all.iter().any(is_keyed) && !pairs_are_values(calls)
}

/// Whether whatever sees values names no key, and saw collections or nothing.
fn pairs_are_values(calls: &Calls) -> bool {
    let sees = |call: &&Call| matches!(calls.name(call), "read" | "dequeue" | "pop" | "drain");
    let names_no_key = |call: &Call| {
        call.value.as_ref().is_none_or(Datum::is_nil)
            && call.answer.as_ref().is_none_or(|seen| seen.is_nil() || seen.scalar().is_none())
    };
    let mut seeing = calls.all.iter().filter(sees).peekable();
    seeing.peek().is_some() && seeing.all(names_no_key)
}

/// Numbers keys in the order in which they come.
#[derive(Default)]
pub(super) struct Keys {
    numbers: FxHashMap<Option<Scalar>, u32>,
    pub(super) names: Vec<String>,
}

impl Keys {
    pub(super) fn number(&mut self, key: Option<&Scalar>) -> u32 {
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(key.cloned()).or_insert(next);
        if number == next {
            self.names.push(key.map_or_else(String::new, Scalar::name));
        }
        number
    }
}

/// A call, with its key apart.
pub(super) struct Plain<'a> {
    pub(super) key: Option<Cow<'a, Scalar>>,
    pub(super) value: Option<&'a Datum>,
    pub(super) answer: Option<&'a Datum>,
    pub(super) outcome: Outcome,
}

impl<'a> Plain<'a> {
    pub(super) fn of(call: &'a Call, keyed: bool) -> Result<Plain<'a>, Problem> {
        let Call { key, value, answer, outcome, .. } = call;
        if !keyed {
            return Ok(Plain {
                key: key.as_ref().map(Cow::Borrowed),
                value: value.as_ref(),
                answer: answer.as_ref(),
                outcome: *outcome,
            });
        }
        let wrong = || broken("[key value] expected, as other values here are");
        let (key, inner) = value.as_ref().and_then(Datum::pair).ok_or_else(wrong)?;
        let key = key.value();
        let answer = match answer.as_ref().map(|answer| (answer, answer.pair())) {
            // Whatever it says, it is not what was found.
            _ if *outcome != Outcome::Done => None,
            Some((_, Some((other, answer)))) if other.value() == key => Some(answer),
            Some((answer, None)) if answer.is_nil() => None,
            None => None,
            Some(_) => {
                return Err(broken(format!("the answer has another key than {key:?}, which was called")));
            }
        };
        Ok(Plain { key: Some(key), value: Some(inner), answer, outcome: *outcome })
    }

    fn is_done(&self) -> bool {
        self.outcome == Outcome::Done
    }

    /// The argument, which must be a scalar.
    fn argument(&self, function: &str) -> Result<Scalar, Problem> {
        self.value.map(scalar).ok_or_else(|| broken(format!("no :value for :{function}")))
    }

    /// What a completed call returned: nothing is nil.
    fn returned(&self) -> Scalar {
        self.answer.map_or_else(Scalar::nil, scalar)
    }
}

fn scalar(datum: &Datum) -> Scalar {
    datum.value().into_owned()
}

fn number(datum: Option<&Datum>) -> Result<i64, Problem> {
    datum.and_then(Datum::number).ok_or_else(|| broken("a number should be here"))
}

/// The history of all objects of a file.
pub(super) fn build(calls: Calls, model: ModelName, options: &Options) -> Located<Built> {
    check_functions(&calls, model)?;
    let keyed = are_keyed(&calls, model);
    let mut keys = Keys::default();
    let (history, faults) = calls.history(|calls, call, made| {
        let plain = Plain::of(call, keyed)?;
        let key = keys.number(plain.key.as_deref());
        let mut add = |call, answer| made.push((KeyedOp { key, call }, answer));
        operation(model, calls.name(call), &plain, &mut add)
    })?;
    let object = object(model, options).map_err(|problem| (None, problem))?;
    Ok((Keyed::new(object, keys.names), history, faults))
}

/// An object of `model`, as it is at first.
fn object(model: ModelName, options: &Options) -> Result<Object, Problem> {
    let initial = options.initial.clone();
    Ok(match model {
        ModelName::Register => Object::Register(Register::holding(initial.unwrap_or_else(Scalar::nil))),
        _ if initial.is_some() => return Err(Problem::Initial),
        ModelName::Counter => Object::Counter(Counter),
        ModelName::Queue => Object::Queue(Queue::new()),
        ModelName::Stack => Object::Stack(Stack::new()),
        ModelName::Set => Object::Set(WholeSet::new()),
        ModelName::Elements => Object::Elements(Set),
        ModelName::Lock => Object::Lock(Lock),
        ModelName::Log => Object::Log(Log::new()),
        ModelName::Versioned => Object::Versioned(Versioned::new()),
        ModelName::KeyValue => return Err(broken("keys with texts are read in another way")),
    })
}

type Add<'a> = dyn FnMut(any::Call, Option<Answer>) + 'a;

/// Adds the operation that a call is, or several.
fn operation(model: ModelName, function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    match model {
        ModelName::Register => register(function, plain, add),
        ModelName::Queue => queue(function, plain, add),
        ModelName::Stack => stack(function, plain, add),
        ModelName::Set => set(function, plain, add),
        ModelName::Elements => elements(function, plain, add),
        ModelName::Counter => counter(function, plain, add),
        ModelName::Lock => {
            let op = match function {
                "acquire" | "lock" => LockOp::Acquire { owner: 0 },
                _ => LockOp::Release { owner: 0 },
            };
            add(any::Call::Lock(op), plain.is_done().then_some(Answer::Lock(true)));
            Ok(())
        }
        ModelName::Log => log(function, plain, add),
        ModelName::Versioned => versioned(function, plain, add),
        ModelName::KeyValue => Err(broken("keys with texts are read in another way")),
    }
}

fn register(function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    let (op, result) = match function {
        "read" => (RegisterOp::Read, plain.is_done().then(|| plain.returned())),
        "write" => (RegisterOp::Write(plain.argument(function)?), None),
        _ => {
            let both = plain.value.and_then(Datum::pair);
            let (from, to) = both.ok_or_else(|| broken("[from to] expected after :cas"))?;
            (RegisterOp::CompareAndSwap { from: scalar(from), to: scalar(to) }, None)
        }
    };
    let result = match (&op, plain.outcome) {
        (_, Outcome::Open | Outcome::DidNotHappen) => None,
        (RegisterOp::Read, _) => Some(RegisterResult::Value(result)),
        (RegisterOp::Write(_), _) => Some(RegisterResult::Written),
        (_, outcome) => Some(RegisterResult::Swapped(outcome == Outcome::Done)),
    };
    add(any::Call::Register(op), result.map(Answer::Register));
    Ok(())
}

fn queue(function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    let done = plain.is_done();
    let mut take = |value: Option<Scalar>| {
        add(any::Call::Queue(QueueOp::Dequeue), done.then_some(Answer::Queue(value)));
    };
    match function {
        "enqueue" => {
            let op = QueueOp::Enqueue(plain.argument(function)?);
            add(any::Call::Queue(op), done.then_some(Answer::Queue(None)));
        }
        "dequeue" => take(taken(plain)),
        // A drain takes values until none is left, at moments that are not recorded.
        _ if !done => return Err(broken("a :drain that did not return may have taken anything")),
        _ => match plain.answer.and_then(Datum::elements) {
            Some(all) => {
                for value in all {
                    take(Some(scalar(value)));
                }
            }
            None => return Err(broken("a row of all that was taken expected from :drain")),
        },
    }
    Ok(())
}

fn stack(function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    let (op, result) = match function {
        "push" => (StackOp::Push(plain.argument(function)?), None),
        _ => (StackOp::Pop, taken(plain)),
    };
    add(any::Call::Stack(op), plain.is_done().then_some(Answer::Stack(result)));
    Ok(())
}

/// What was taken, if anything was.
fn taken(plain: &Plain<'_>) -> Option<Scalar> {
    plain.is_done().then(|| plain.returned()).filter(|value| *value != Scalar::nil())
}

fn set(function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    let done = plain.is_done();
    if function == "add" {
        let op = WholeSetOp::Add(plain.argument(function)?);
        add(any::Call::Set(op), done.then_some(Answer::Set(None)));
        return Ok(());
    }
    let elements = match plain.answer.and_then(Datum::elements) {
        _ if !done => None,
        Some(all) => Some(all.iter().map(scalar).collect::<BTreeSet<Scalar>>()),
        None => return Err(broken("a set or a row of all elements expected from :read")),
    };
    add(any::Call::Set(WholeSetOp::Read), done.then_some(Answer::Set(elements)));
    Ok(())
}

fn elements(function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    let element = u64::try_from(number(plain.value)?).ok().filter(|element| *element < 1 << 40);
    let element = element.ok_or_else(|| broken("an element is a number from 0 to 2^40 - 1"))?;
    let op = match function {
        "insert" => SetOp::Insert(element),
        "remove" => SetOp::Remove(element),
        _ => SetOp::Contains(element),
    };
    let said = plain.answer.map(|answer| answer.pair().map_or(answer, |(_, said)| said));
    let said = match said.and_then(Datum::scalar) {
        _ if !plain.is_done() => None,
        Some(Scalar::Word(word)) if &**word == "true" => Some(true),
        Some(Scalar::Word(word)) if &**word == "false" => Some(false),
        _ => return Err(broken("true or false expected as an answer")),
    };
    add(any::Call::Elements(op), said.map(Answer::Elements));
    Ok(())
}

fn counter(function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    let by = || match plain.value {
        Some(value) if !value.is_nil() => number(Some(value)),
        _ if function == "add" => Err(broken("no :value for :add")),
        _ => Ok(1),
    };
    let op = match function {
        "read" => CounterOp::Read,
        "dec" | "decrement" => CounterOp::Add(by()?.wrapping_neg()),
        _ => CounterOp::Add(by()?),
    };
    let result = match op {
        _ if !plain.is_done() => None,
        CounterOp::Read => Some(number(plain.answer)?),
        _ => Some(0),
    };
    add(any::Call::Counter(op), result.map(Answer::Counter));
    Ok(())
}

fn log(function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    let said = plain.answer.map(|answer| answer.pair().map_or(answer, |(_, said)| said));
    let place = |datum| usize::try_from(number(datum)?).map_err(|_| broken("an index is a number from 0"));
    let done = plain.is_done();
    let (op, result) = match function {
        "append" => {
            let result = if done { Some(LogResult::Appended(place(said)?)) } else { None };
            (LogOp::Append(plain.argument(function)?), result)
        }
        "read" => {
            let entry = said.filter(|said| !said.is_nil()).map(scalar);
            (LogOp::Read(place(plain.value)?), done.then_some(LogResult::Entry(entry)))
        }
        _ => (LogOp::Length, if done { Some(LogResult::Length(place(said)?)) } else { None }),
    };
    add(any::Call::Log(op), result.map(Answer::Log));
    Ok(())
}

fn versioned(function: &str, plain: &Plain<'_>, add: &mut Add<'_>) -> Result<(), Problem> {
    let both = |datum: Option<&Datum>| -> Result<(Scalar, u64), Problem> {
        let wrong = || broken("[value version] expected");
        let (value, version) = datum.and_then(Datum::pair).ok_or_else(wrong)?;
        let version = version.number().and_then(|version| u64::try_from(version).ok());
        // One below the end, so that a version can always be raised.
        let version = version.filter(|version| *version < u64::MAX / 2).ok_or_else(wrong)?;
        Ok((scalar(value), version))
    };
    let done = plain.is_done();
    let (op, result) = if function == "get" {
        let found = match plain.answer {
            Some(answer) if done && !answer.is_nil() => Some(both(Some(answer))?),
            _ => None,
        };
        (VersionedOp::Get { key: 0 }, VersionedResult::Found(found))
    } else {
        let (value, version) = both(plain.value)?;
        (VersionedOp::Put { key: 0, value, version }, VersionedResult::Done)
    };
    add(any::Call::Versioned(op), done.then_some(Answer::Versioned(result)));
    Ok(())
}
