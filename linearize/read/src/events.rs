//! Events, from wherever they are written: maps of EDN, `history.txt`, `jepsen.log`.

use std::io::Read;

use linearize::words::quoted;

use super::edn::{Form, Reader};
use super::input::Input;
use super::nemesis::written;
use super::{Located, Problem, broken, log};

/// What an event says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invoke,
    Ok,
    /// It did not happen.
    Fail,
    /// It may have happened.
    Info,
}

/// Whose event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process<'a> {
    Client(u32),
    /// `nemesis`, or a client that has a name.
    Other(&'a str),
}

impl<'a> Process<'a> {
    /// Its name, if it has one.
    pub(super) fn name(self) -> &'a str {
        if let Process::Other(name) = self { name } else { "" }
    }
}

/// One event, as it is written.
#[derive(Clone, Debug)]
pub(super) struct Event<'a> {
    pub(super) process: Process<'a>,
    pub(super) kind: Kind,
    /// Without its colon.
    pub(super) function: &'a str,
    pub(super) key: Option<Form<'a>>,
    pub(super) value: Option<Form<'a>>,
    /// Whether it says why it failed.
    pub(super) error: bool,
    pub(super) time: Option<i64>,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notation {
    /// Maps, one after the other or in a vector or list.
    Maps,
    /// `history.txt`: process, type, function, value, error, with tabs between.
    Columns,
    Log,
}

/// The events of an input.
pub(super) struct Events<R> {
    input: Input<R>,
    notation: Notation,
    /// What ends the vector or list that the maps are in.
    closing: Option<u8>,
    begun: bool,
}

impl<R: Read> Events<R> {
    pub(super) fn new(input: Input<R>, notation: Notation) -> Self {
        Events { input, notation, closing: None, begun: false }
    }

    /// Gives each event and its line to `take`, and whether the line is of a log of 2014.
    pub(super) fn each(
        mut self,
        mut take: impl FnMut(&Event<'_>, u64, bool) -> Result<(), Problem>,
    ) -> Located<()> {
        loop {
            let at = |number: u64| move |problem| (Some(number), problem);
            match self.notation {
                Notation::Maps => {
                    if !self.map_follows()? {
                        return Ok(());
                    }
                    let number = self.input.line_number();
                    // Most maps are a short line: then their ends need not be found before they are read.
                    let line = self.input.short_line().unwrap_or_default();
                    if let Ok((event, rest)) = of_map(line) {
                        take(&event, number, false).map_err(at(number))?;
                        let read = line.len() - rest.len();
                        self.input.skip_in_line(read);
                    } else {
                        let (event, _) = of_map(self.input.form()?).map_err(at(number))?;
                        take(&event, number, false).map_err(at(number))?;
                    }
                }
                Notation::Columns => {
                    let Some((number, line)) = self.input.line()? else { return Ok(()) };
                    if !line.trim().is_empty() {
                        take(&of_columns(line).map_err(at(number))?, number, false).map_err(at(number))?;
                    }
                }
                Notation::Log => {
                    let Some((number, line)) = self.input.line()? else { return Ok(()) };
                    if let Some((event, old)) = log::event(line).map_err(at(number))? {
                        take(&event, number, old).map_err(at(number))?;
                    }
                }
            }
        }
    }

    /// Goes to the next map.
    fn map_follows(&mut self) -> Located<bool> {
        let mut next = self.input.next_byte()?;
        if !std::mem::replace(&mut self.begun, true) {
            self.closing = match next {
                Some(b'[') => Some(b']'),
                Some(b'(') => Some(b')'),
                _ => None,
            };
            if self.closing.is_some() {
                self.input.skip(1);
                next = self.input.next_byte()?;
            }
        }
        let number = self.input.line_number();
        match (next, self.closing) {
            (None, None) => Ok(false),
            (None, Some(closing)) => {
                Err((Some(number), broken(format!("{:?} is missing at the end", char::from(closing)))))
            }
            (Some(byte), Some(closing)) if byte == closing => {
                self.input.skip(1);
                match self.input.next_byte()? {
                    None => Ok(false),
                    Some(_) => Err((
                        Some(self.input.line_number()),
                        broken("something stands behind the end of the history"),
                    )),
                }
            }
            (Some(_), _) => Ok(true),
        }
    }
}

/// The event in the map that `text` begins with, and what follows it.
fn of_map(text: &str) -> Result<(Event<'_>, &str), Problem> {
    let mut reader = Reader::new(text);
    reader.begin_map()?;
    let (mut process, mut kind, mut function) = (None, None, None);
    let (mut key, mut value, mut error, mut time) = (None, None, None, None);
    while let Some(name) = reader.key()? {
        match name {
            "process" => once(&mut process, name, process_of(&reader.form()?)?)?,
            "type" => once(&mut kind, name, kind_of(&reader.form()?)?)?,
            "f" => once(&mut function, name, function_of(&reader.form()?))?,
            "key" => once(&mut key, name, reader.form()?)?,
            "value" => once(&mut value, name, reader.form()?)?,
            // Whatever was thrown: what it says is for people.
            "error" => once(&mut error, name, reader.written()? != "nil")?,
            "time" => once(&mut time, name, time_of(&reader.form()?))?,
            _ => reader.skip()?,
        }
    }
    let process = process.ok_or_else(|| broken("no :process, or not a number"))?;
    let kind = kind.ok_or_else(|| broken("no :type"))?;
    let (function, error, time) = (function.unwrap_or(""), error == Some(true), time.flatten());
    Ok((Event { process, kind, function, key, value, error, time }, reader.rest()))
}

/// Keeps what a field says. If it came twice, no choice between the two would be right.
fn once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), Problem> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(broken(format!("field {} occurs twice", quoted(name)))),
    }
}

fn process_of<'a>(form: &Form<'a>) -> Result<Process<'a>, Problem> {
    match form {
        Form::Number(number) => client(*number),
        Form::Keyword(name) => Ok(Process::Other(name)),
        Form::Text(text) if let Ok(number) = text.parse() => client(number),
        Form::Word(std::borrow::Cow::Borrowed(name)) | Form::Text(std::borrow::Cow::Borrowed(name)) => {
            Ok(Process::Other(name))
        }
        _ => Err(broken("no :process, or not a number")),
    }
}

fn client<'a>(number: i64) -> Result<Process<'a>, Problem> {
    let client = u32::try_from(number).map(Process::Client);
    client.map_err(|_| broken(format!("process {number}: numbers of processes go from 0 to {}", u32::MAX)))
}

fn kind_of(form: &Form<'_>) -> Result<Kind, Problem> {
    match form {
        Form::Keyword(name) => kind_named(name),
        Form::Text(name) | Form::Word(name) => kind_named(name),
        other => Err(broken(format!("{} where a type should be", written(other)))),
    }
}

pub(super) fn kind_named(name: &str) -> Result<Kind, Problem> {
    match name {
        "invoke" => Ok(Kind::Invoke),
        "ok" => Ok(Kind::Ok),
        "fail" => Ok(Kind::Fail),
        "info" => Ok(Kind::Info),
        other => Err(broken(format!("unknown type {}", quoted(&format!(":{other}"))))),
    }
}

fn function_of<'a>(form: &Form<'a>) -> &'a str {
    match form {
        Form::Keyword(name)
        | Form::Word(std::borrow::Cow::Borrowed(name))
        | Form::Text(std::borrow::Cow::Borrowed(name)) => name,
        // What a nemesis does may have no name, or be anything.
        _ => "",
    }
}

/// Some write -1 for an operation without a time, some nothing, some what is no number of nanoseconds; in any
/// case the order of the lines tells.
fn time_of(form: &Form<'_>) -> Option<i64> {
    if let Form::Number(time) = form { Some(*time) } else { None }
}

/// Whether a file that begins with this line is a `history.txt`.
pub(super) fn is_columns(line: &str) -> bool {
    let (process, rest) = word(line);
    process_named(process).is_ok() && word(rest).0.starts_with(':')
}

/// The event of a line that begins with process, type and function.
pub(super) fn of_columns(line: &str) -> Result<Event<'_>, Problem> {
    let (process, rest) = word(line);
    let (kind, rest) = word(rest);
    if kind.is_empty() {
        return Err(broken("not process, type, function and value, with tabs between"));
    }
    let (function, rest) = word(rest);
    of_words(process_named(process)?, kind, function, rest)
}

/// The first word of a text, and what follows it.
pub(super) fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// A number, or a word with a colon.
pub(super) fn process_named(text: &str) -> Result<Process<'_>, Problem> {
    let wrong = || broken(format!("{} where a process should be", quoted(text)));
    match text.strip_prefix(':') {
        Some(name) if !name.is_empty() => Ok(Process::Other(name)),
        _ => client(text.parse().map_err(|_| wrong())?),
    }
}

/// An event whose parts stand side by side. Behind the value may be why it failed; or in place of it.
pub(super) fn of_words<'a>(
    process: Process<'a>,
    kind: &'a str,
    function: &'a str,
    rest: &'a str,
) -> Result<Event<'a>, Problem> {
    let kind = kind.strip_prefix(':').ok_or_else(|| broken(format!("unknown type {}", quoted(kind))))?;
    let kind = kind_named(kind)?;
    let mut event = Event {
        process,
        kind,
        function: strip_colon(function),
        key: None,
        value: None,
        error: false,
        time: None,
    };
    // Whatever a nemesis says is for people.
    if let Process::Other(_) = process {
        event.value = Some(Form::Word(std::borrow::Cow::Borrowed(rest.trim())));
        return Ok(event);
    }
    match value_of_words(&mut event, rest) {
        // Why it failed or may have failed is for people, and need not be EDN: `Read timed out [`.
        Err(_) if matches!(kind, Kind::Fail | Kind::Info) => event.error = true,
        read => read?,
    }
    Ok(event)
}

/// The value of an event, and whether something stands behind it.
fn value_of_words<'a>(event: &mut Event<'a>, text: &'a str) -> Result<(), Problem> {
    let mut reader = Reader::new(text);
    if reader.peek()?.is_some() {
        event.value = Some(reader.form()?);
        let own_column = reader.rest().trim_start_matches(' ').starts_with('\t');
        event.error = !matches!(reader.peek(), Ok(None));
        if event.kind == Kind::Ok && event.error && !own_column {
            return Err(broken(format!("{} behind the value", quoted(reader.rest().trim()))));
        }
    }
    Ok(())
}

fn strip_colon(text: &str) -> &str {
    text.strip_prefix(':').unwrap_or(text)
}
