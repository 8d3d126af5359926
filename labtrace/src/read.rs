//! Reading a trace, whatever may have happened to the file.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::GzDecoder;

use crate::{Event, Header, MAGIC, Trace, VERSION, Value, json};

/// No text of a trace is longer.
const LONGEST: u64 = 1 << 20;

/// A file that unpacks to more than this is none of ours.
const LARGEST: u64 = 4 << 30;

/// Why nothing can be read of a file. Its `Display` is a sentence for the user.
#[derive(Debug)]
pub enum Unreadable {
    /// The system does not let it be read.
    File(io::Error),
    /// It was written by another version.
    Version(String),
    /// It is no trace.
    Foreign,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::File(error) => write!(f, "it cannot be read: {error}"),
            Unreadable::Version(version) => write!(
                f,
                "it is a trace of version {version}, and this program reads version {VERSION}: make it again with cargo lab trace"
            ),
            Unreadable::Foreign => {
                f.write_str("it is no trace: it begins neither with `labtrace` nor with a line of JSON")
            }
        }
    }
}

impl std::error::Error for Unreadable {}

/// Reads a file; see [`read`].
///
/// # Errors
/// If nothing of it can be read.
pub fn read_file(path: &Path) -> Result<Trace, Unreadable> {
    read(BufReader::new(std::fs::File::open(path).map_err(Unreadable::File)?))
}

/// Reads a trace: the compact format, or JSON Lines. Of a file that was cut off or damaged, what stands
/// before that place is read, and [`Trace::damage`] says how it ends.
///
/// # Errors
/// If it was written by another version, or is no trace.
pub fn read(mut input: impl BufRead) -> Result<Trace, Unreadable> {
    let begin = input.fill_buf().map_err(Unreadable::File)?;
    if begin.first() == Some(&b'{') {
        return json::read_lines(input);
    }
    let magic = line(&mut input)?;
    let Some(version) = magic.strip_prefix(MAGIC) else { return Err(Unreadable::Foreign) };
    if version.trim() != VERSION.to_string() {
        return Err(Unreadable::Version(crate::clean(version.trim(), 20)));
    }
    let mut trace = Trace::default();
    match serde_json::from_str::<Header>(&line(&mut input)?) {
        Ok(header) => trace.header = header,
        Err(_) => {
            trace.damage = Some("the trace ends, or is damaged, in its header".to_owned());
            return Ok(trace);
        }
    }
    let unpacked = GzDecoder::new(input).take(LARGEST);
    let mut reader =
        Reader { input: BufReader::with_capacity(1 << 16, unpacked), names: Vec::new(), last: 0 };
    loop {
        match reader.event() {
            Ok(Some(event)) => trace.events.push(event),
            Ok(None) => break,
            Err(flaw) => {
                trace.damage = Some(flaw.sentence(trace.events.len()));
                break;
            }
        }
    }
    Ok(trace)
}

/// A line of at most some kilobytes, without its end.
fn line(input: &mut impl BufRead) -> Result<String, Unreadable> {
    let mut line = Vec::new();
    input.by_ref().take(1 << 14).read_until(b'\n', &mut line).map_err(Unreadable::File)?;
    Ok(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned())
}

/// What is wrong with a file.
enum Flaw {
    Truncated,
    Damaged(&'static str),
}

impl Flaw {
    fn sentence(&self, events: usize) -> String {
        match self {
            Flaw::Truncated => {
                format!("the trace was cut off: it ends in the middle, behind {events} events")
            }
            Flaw::Damaged(what) => format!("the trace is damaged behind {events} events: {what}"),
        }
    }
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Flaw {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Flaw::Truncated,
            _ => Flaw::Damaged("its compressed data make no sense"),
        }
    }
}

struct Reader<R: Read> {
    input: BufReader<R>,
    names: Vec<Arc<str>>,
    last: u64,
}

impl<R: Read> Reader<R> {
    /// The next event; None at the end.
    fn event(&mut self) -> Result<Option<Event>, Flaw> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let step = self.number()?;
        let step = (step >> 1).cast_signed() ^ -((step & 1).cast_signed());
        self.last = self.last.wrapping_add_signed(step);
        let (node, task, thread) = (self.name()?, self.name()?, self.number()?);
        let (kind, target) = (self.name()?, self.name()?);
        let count = self.number()?;
        if count > 64 {
            return Err(Flaw::Damaged("an event has more fields than any has"));
        }
        let mut fields = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let name = self.name()?;
            let value = match self.byte()? {
                0 => Value::Number(self.number()?),
                1 => Value::Text(self.text()?),
                _ => return Err(Flaw::Damaged("a field is neither number nor text")),
            };
            fields.push((name, value));
        }
        let text = self.text()?;
        Ok(Some(Event { t: self.last, node, task, thread, kind, target, fields, text }))
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        let mut byte = [0];
        self.input.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self) -> Result<u64, Flaw> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Flaw::Damaged("a number has no end"))
    }

    fn text(&mut self) -> Result<String, Flaw> {
        let length = self.number()?;
        if length > LONGEST {
            return Err(Flaw::Damaged("a text is longer than any is"));
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn name(&mut self) -> Result<Arc<str>, Flaw> {
        let number = self.number()?;
        if number == 0 {
            let name: Arc<str> = self.text()?.into();
            self.names.push(Arc::clone(&name));
            return Ok(name);
        }
        let name = usize::try_from(number - 1).ok().and_then(|place| self.names.get(place));
        name.cloned().ok_or(Flaw::Damaged("an event has a name that was not introduced"))
    }
}
