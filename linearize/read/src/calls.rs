//! Calls and their answers, collected before it is known what they are asked of.

use std::borrow::Cow;
use std::io::Read;

use linearize::models::scalar::Scalar;
use linearize::words::{quoted, unquoted};
use linearize::{Fault, History, HistoryError, HistoryErrorKind, OPEN, Operation, Unit};
use rustc_hash::FxHashMap;

use super::edn::Form;
use super::events::{Event, Events, Kind, Process};
use super::nemesis::{Nemeses, written};
use super::{FailedCas, Located, Problem, broken, locate};

/// A value, kept beyond its line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Datum {
    Scalar(Scalar),
    /// A vector or a list.
    Row(Vec<Datum>),
    Set(Vec<Datum>),
    /// As [`Datum::written`] has it.
    Map(String),
}

impl Datum {
    pub(super) fn of(form: &Form<'_>) -> Datum {
        match form {
            Form::Nil => Datum::Scalar(Scalar::nil()),
            Form::Number(number) => Datum::Scalar(Scalar::Number(*number)),
            Form::Text(text) => Datum::Scalar(Scalar::Text((&**text).into())),
            Form::Keyword(name) => Datum::Scalar(Scalar::Word(format!(":{name}").into())),
            Form::Word(word) => Datum::Scalar(Scalar::Word((&**word).into())),
            Form::Row(forms) => Datum::Row(forms.iter().map(Datum::of).collect()),
            Form::Set(forms) => Datum::Set(forms.iter().map(Datum::of).collect()),
            Form::Map(pairs) => {
                let pair = |(key, value): &(Form<'_>, Form<'_>)| {
                    format!("{} {}", Datum::of(key).written(), Datum::of(value).written())
                };
                Datum::Map(format!("{{{}}}", sorted(pairs.iter().map(pair).collect()).join(", ")))
            }
        }
    }

    /// As EDN writes it: equal ones alike, whatever the order of a set or a map, and others differently.
    fn written(&self) -> String {
        let all = |all: &[Datum]| -> Vec<String> { all.iter().map(Datum::written).collect() };
        match self {
            Datum::Scalar(Scalar::Number(number)) => number.to_string(),
            Datum::Scalar(Scalar::Text(text)) => format!("{text:?}"),
            Datum::Scalar(Scalar::Word(word)) => word.to_string(),
            Datum::Row(row) => format!("[{}]", all(row).join(" ")),
            Datum::Set(set) => format!("#{{{}}}", sorted(all(set)).join(" ")),
            Datum::Map(map) => map.clone(),
        }
    }

    /// The value that it is, where one is wanted: a collection as a whole is one, too.
    pub(super) fn value(&self) -> Cow<'_, Scalar> {
        match self {
            Datum::Scalar(scalar) => Cow::Borrowed(scalar),
            collection => Cow::Owned(Scalar::Word(collection.written().into())),
        }
    }

    /// The elements of a collection that is no map.
    pub(super) fn elements(&self) -> Option<&[Datum]> {
        if let Datum::Row(all) | Datum::Set(all) = self { Some(all) } else { None }
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(self, Datum::Scalar(Scalar::Word(word)) if &**word == "nil")
    }

    /// The two parts of a vector of two.
    pub(super) fn pair(&self) -> Option<(&Datum, &Datum)> {
        match self {
            Datum::Row(both) if both.len() == 2 => Some((&both[0], &both[1])),
            _ => None,
        }
    }

    pub(super) fn scalar(&self) -> Option<&Scalar> {
        if let Datum::Scalar(scalar) = self { Some(scalar) } else { None }
    }

    pub(super) fn number(&self) -> Option<i64> {
        if let Datum::Scalar(Scalar::Number(number)) = self { Some(*number) } else { None }
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}

/// How a call was answered, if it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// A compare-and-set that found another value.
    OtherValue,
    /// It certainly did not happen.
    DidNotHappen,
    /// Perhaps it happened, or will.
    Open,
}

/// A call, and its answer.
#[derive(Debug)]
pub(super) struct Call {
    client: Client,
    pub(super) line: u64,
    pub(super) function: Function,
    pub(super) key: Option<Scalar>,
    pub(super) value: Option<Datum>,
    pub(super) outcome: Outcome,
    /// What the answer says.
    pub(super) answer: Option<Datum>,
    /// The line of the answer, or of the call if there is none.
    pub(super) answer_line: u64,
    called: u64,
    returned: u64,
}

/// Who calls: a process with a number, or one with a name, which gets a number when all others are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    Numbered(u32),
    Named(u32),
    /// One that went on after an answer that left open what happened: the call that it left is another's.
    Gone,
}

/// The process of this name is no client, whatever it reports.
const NEMESIS: &str = "nemesis";

/// The name of a function, by its place in [`Calls::functions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function(pub(super) u16);

/// All calls of a file.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) all: Vec<Call>,
    pub(super) functions: Vec<String>,
    times: Times,
    nemeses: Nemeses,
    running: FxHashMap<Client, usize>,
    /// The last call of those that were answered by `:info`.
    left: FxHashMap<Client, usize>,
    /// The clients that have names, numbered in the order in which they come.
    named: FxHashMap<String, u32>,
}

impl Calls {
    pub(super) fn read(events: Events<impl Read>, failed_cas: Option<FailedCas>) -> Located<Calls> {
        let mut calls = Calls::default();
        events.each(|event, line, old_log| {
            let usual = if old_log { FailedCas::SawAnother } else { FailedCas::DidNotHappen };
            calls.take(event, line, failed_cas.unwrap_or(usual))
        })?;
        Ok(calls)
    }

    fn take(&mut self, event: &Event<'_>, line: u64, failed_cas: FailedCas) -> Result<(), Problem> {
        let now = self.times.next(event.time);
        let client = match event.process {
            Process::Client(client) => Some(Client::Numbered(client)),
            Process::Other(name) => self.named(name, event.kind)?,
        };
        let Some(client) = client else {
            self.nemeses.report(event.process.name(), event.function, event.value.as_ref(), now);
            return Ok(());
        };
        if event.kind == Kind::Invoke {
            return self.call(client, event, line, now);
        }
        let place = self.running.remove(&client).ok_or_else(|| answers_nothing(event.process))?;
        let call = &mut self.all[place];
        let function = &self.functions[usize::from(call.function.0)];
        if event.function != function && (event.kind == Kind::Ok || !event.function.is_empty()) {
            let other = unquoted(event.function);
            return Err(broken(format!("the answer to \":{function}\" is one to \":{other}\"")));
        }
        call.answer = event.value.as_ref().map(Datum::of);
        call.answer_line = line;
        if event.kind == Kind::Ok && repeats(function) && call.is_told_later() {
            call.value = call.answer.clone();
        }
        let fits = call.answer_fits(event.kind, function);
        if !fits && let Some(value) = &event.value {
            let value = written(value);
            return Err(broken(format!("the answer is one to :{function} {value}, which was not the call")));
        }
        if let (Some(key), Some(called)) = (&event.key, &call.key)
            && ![called, &Scalar::nil()].contains(&Datum::of(key).value().as_ref())
        {
            let called = called.name();
            return Err(broken(format!("the answer has :key {}, and the call {called}", written(key))));
        }
        call.outcome = match event.kind {
            Kind::Invoke => return Ok(()),
            Kind::Info => {
                self.left.insert(client, place);
                return Ok(());
            }
            Kind::Ok => Outcome::Done,
            Kind::Fail => {
                let reason = event.error || matches!(event.value, Some(Form::Keyword(_) | Form::Text(_)));
                let compared = function == "cas" && failed_cas == FailedCas::SawAnother && !reason;
                if compared { Outcome::OtherValue } else { Outcome::DidNotHappen }
            }
        };
        call.returned = now;
        Ok(())
    }

    /// The client of this name: what calls is one. What only reports is a nemesis.
    fn named(&mut self, name: &str, kind: Kind) -> Result<Option<Client>, Problem> {
        let next = u32::try_from(self.named.len()).map_err(|_| broken("too many clients"))?;
        match (self.named.get(name), kind) {
            (Some(&number), _) => Ok(Some(Client::Named(number))),
            _ if name == NEMESIS => Ok(None),
            (None, Kind::Invoke) => {
                self.named.insert(name.to_owned(), next);
                Ok(Some(Client::Named(next)))
            }
            (None, Kind::Info) => Ok(None),
            (None, Kind::Ok | Kind::Fail) => Err(answers_nothing(Process::Other(name))),
        }
    }

    fn call(&mut self, client: Client, event: &Event<'_>, line: u64, now: u64) -> Result<(), Problem> {
        let function = self.function(event.function)?;
        if self.running.insert(client, self.all.len()).is_some() {
            return Err(calls_twice(event.process));
        }
        if let Some(place) = self.left.remove(&client) {
            self.all[place].client = Client::Gone;
        }
        let key = event.key.as_ref().map(|key| Datum::of(key).value().into_owned());
        self.all.push(Call {
            client,
            line,
            function,
            key,
            value: event.value.as_ref().map(Datum::of),
            outcome: Outcome::Open,
            answer: None,
            answer_line: line,
            called: now,
            returned: OPEN,
        });
        Ok(())
    }

    fn function(&mut self, name: &str) -> Result<Function, Problem> {
        if name.is_empty() {
            return Err(broken("no :f, or no keyword behind it"));
        }
        let known = self.functions.iter().position(|other| other == name);
        let place = known.unwrap_or_else(|| {
            self.functions.push(name.to_owned());
            self.functions.len() - 1
        });
        // There are few, and whatever is not one of a model is refused.
        u16::try_from(place).map(Function).map_err(|_| broken("too many functions"))
    }

    pub(super) fn name(&self, call: &Call) -> &str {
        &self.functions[usize::from(call.function.0)]
    }

    /// The history of the operations that `operation` makes of the calls that may have happened, and what a
    /// nemesis did.
    pub(super) fn history<O, R>(
        self,
        mut operation: impl FnMut(&Calls, &Call, &mut Vec<(O, Option<R>)>) -> Result<(), Problem>,
    ) -> Located<(History<O, R>, Vec<Fault>)> {
        let clock = self.times.clone().clock();
        let mut operations = Vec::with_capacity(self.all.len());
        let mut lines = Vec::with_capacity(self.all.len());
        let mut made = Vec::new();
        let numbered = self.all.iter().filter_map(|call| match call.client {
            Client::Numbered(client) => Some(u64::from(client)),
            Client::Named(_) | Client::Gone => None,
        });
        let first_named = numbered.max().map_or(0, |last| last + 1);
        let mut fresh = first_named + self.named.len() as u64;
        let narrow =
            |client: u64, line| u32::try_from(client).map_err(|_| (Some(line), broken("too many clients")));
        for call in self.all.iter().filter(|call| call.outcome != Outcome::DidNotHappen) {
            operation(&self, call, &mut made).map_err(|problem| (Some(call.answer_line), problem))?;
            for (number, (op, result)) in made.drain(..).enumerate() {
                let client = match call.client {
                    Client::Numbered(client) if number == 0 => client,
                    Client::Named(place) if number == 0 => narrow(first_named + u64::from(place), call.line)?,
                    _ => {
                        fresh += 1;
                        narrow(fresh - 1, call.line)?
                    }
                };
                let (called, returned) = (clock.time(call.called), clock.time(call.returned));
                let end = if result.is_some() { returned } else { OPEN };
                operations.push(Operation { client, op, result, call: called, end });
                lines.push(call.line);
            }
        }
        let history = History::new(operations).map_err(|error: HistoryError| locate(&error, &lines))?;
        let history = history.with_unit(clock.unit()).with_origin(clock.origin);
        Ok((history, self.nemeses.finish(|event| clock.time(event))))
    }
}

fn answers_nothing(process: Process<'_>) -> Problem {
    match process {
        Process::Client(client) => Problem::ReturnWithoutCall(client),
        Process::Other(name) => broken(format!("process {} gets an answer and has not called", quoted(name))),
    }
}

fn calls_twice(process: Process<'_>) -> Problem {
    match process {
        Process::Client(client) => Problem::History(HistoryErrorKind::TwoOpenOperations, client),
        Process::Other(name) => {
            broken(format!("process {} calls while its last operation has not returned", quoted(name)))
        }
    }
}

impl Call {
    /// Whether only the answer says what was called for, perhaps behind the same key. So knossos completes a
    /// call, too.
    fn is_told_later(&self) -> bool {
        let Some(answer) = &self.answer else { return false };
        match &self.value {
            None => true,
            Some(value) if value.is_nil() => true,
            Some(value) => match (value.pair(), answer.pair()) {
                (Some((key, nothing)), Some((same, told))) => {
                    nothing.is_nil() && key == same && !told.is_nil()
                }
                _ => false,
            },
        }
    }

    /// Whether the answer can be one to this call: what it repeats must be what was called. What it says in
    /// place of that, a reason or what was read, is of another shape.
    fn answer_fits(&self, kind: Kind, function: &str) -> bool {
        let (Some(value), Some(answer)) = (&self.value, &self.answer) else { return true };
        if answer.is_nil() || value.is_nil() || value == answer || !repeats(function) {
            return true;
        }
        match (value, answer) {
            // A key, and behind it what was called.
            (Datum::Row(_), Datum::Row(_)) => value.value() == answer.value(),
            (Datum::Scalar(_), Datum::Scalar(answer)) => {
                kind != Kind::Ok && matches!(answer, Scalar::Word(_) | Scalar::Text(_))
            }
            // The elements of a set may stand in another order.
            _ if kind == Kind::Ok => value.value() == answer.value(),
            _ => true,
        }
    }
}

/// Functions whose answers repeat their arguments and say nothing else.
fn repeats(function: &str) -> bool {
    matches!(function, "write" | "cas" | "enqueue" | "push" | "put" | "add")
}

/// The times of events: those of the file if each has one and they never go back, or else their numbers,
/// counted from 1.
#[derive(Clone, Debug, Default)]
struct Times {
    count: u64,
    /// Those of the file, as long as they can be used.
    recorded: Option<Vec<i64>>,
}

impl Times {
    /// The number of the next event.
    fn next(&mut self, time: Option<i64>) -> u64 {
        if self.count == 0 {
            self.recorded = Some(Vec::new());
        }
        self.count += 1;
        match (time, &mut self.recorded) {
            (Some(time), Some(recorded)) if recorded.last().is_none_or(|last| *last <= time) => {
                recorded.push(time);
            }
            _ => self.recorded = None,
        }
        self.count
    }

    /// Turns the numbers of events into times.
    fn clock(self) -> Clock {
        let Some(recorded) = self.recorded.filter(|recorded| !recorded.is_empty()) else {
            return Clock { times: None, origin: 0 };
        };
        let origin = recorded[0];
        let mut times: Vec<u64> = Vec::with_capacity(recorded.len());
        for time in recorded {
            // Lines are in the order of real time, which tells more than equal times.
            let next = times.last().map_or(0, |last| last + 1);
            times.push((i128::from(time) - i128::from(origin)).clamp(0, i128::from(OPEN / 2)) as u64);
            if let Some(newest) = times.last_mut() {
                *newest = (*newest).max(next);
            }
        }
        Clock { times: Some(times), origin }
    }
}

/// What events happened when.
struct Clock {
    /// By number, less one; their numbers if there are none.
    times: Option<Vec<u64>>,
    origin: i64,
}

impl Clock {
    fn time(&self, event: u64) -> u64 {
        match &self.times {
            Some(times) if event != OPEN => times[event as usize - 1],
            _ => event,
        }
    }

    fn unit(&self) -> Unit {
        if self.times.is_some() { Unit::Nanoseconds } else { Unit::Events }
    }
}
