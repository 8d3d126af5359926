//! JSON Lines: one operation a line.
//!
//! `{"client":6,"op":"append","key":"k0","value":"6.0;","output":"","call":44029,"return":552535}`, in any
//! order of fields; `op` is `get`, `put` or `append`; times are nanoseconds, and may be negative;
//! `"return":null` for an operation that never returned. Unknown fields are skipped, known ones may stand
//! there once. Parsed by hand: what a file mostly consists of, texts read, is not copied before it is
//! interned.

use std::borrow::Cow;
use std::io::Read;

use linearize::{KvBuilder, KvHistory, KvOp, OPEN, Operation, Text};

use super::input::Input;
use super::{LONGEST_VALUE, Located, Once, Problem, broken, locate};

pub(super) fn read(mut input: Input<impl Read>) -> Located<KvHistory> {
    let mut builder = KvBuilder::new();
    let mut numbers = Vec::new();
    let mut range = Range { from: 0, to: 0 };
    while let Some((number, line)) = input.line()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let at = |problem| (Some(number), problem);
        let line = parse(line).map_err(at)?;
        range.add(&line).map_err(at)?;
        let operation = intern(&mut builder, &line).map_err(at)?;
        builder.push(operation);
        numbers.push(number);
    }
    if numbers.is_empty() {
        return Err((None, Problem::Empty));
    }
    if range.from < 0 {
        builder.begin_at(range.from);
    }
    builder.finish().map_err(|error| locate(&error, &numbers))
}

/// The times of a file, of which the first may be negative.
struct Range {
    from: i64,
    to: i128,
}

impl Range {
    fn add(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        let times = [line.call, line.end.flatten()];
        for time in times.into_iter().flatten() {
            self.to = self.to.max(time);
            // Only those below 0 matter, and those are of 64 bits.
            self.from = self.from.min(i64::try_from(time).unwrap_or(0));
        }
        // The largest number means "never".
        if self.to - i128::from(self.from) >= i128::from(OPEN) {
            return Err(broken("times that are further apart than 64 bits can tell"));
        }
        Ok(())
    }
}

/// A line, as it stands there.
#[derive(Debug, Default)]
struct Line<'a> {
    client: Option<u32>,
    op: Cow<'a, str>,
    key: Field<'a>,
    value: Field<'a>,
    output: Field<'a>,
    call: Option<i128>,
    /// Twice optional: absent, or `null`.
    end: Option<Option<i128>>,
}

/// A text that may be missing.
#[derive(Debug, Default)]
enum Field<'a> {
    #[default]
    Absent,
    Null,
    Text(Cow<'a, str>),
}

impl Field<'_> {
    /// The text, where there must be one.
    fn text(&self, name: &str) -> Result<&str, Problem> {
        match self {
            Field::Absent => Err(missing(name)),
            Field::Null => Err(broken(format!("field \"{name}\" is null; it must be a string here"))),
            Field::Text(text) => Ok(text),
        }
    }
}

fn missing(name: &str) -> Problem {
    broken(format!("no field \"{name}\""))
}

fn intern(builder: &mut KvBuilder, line: &Line<'_>) -> Result<Operation<KvOp, Text>, Problem> {
    let client = line.client.ok_or_else(|| missing("client"))?;
    let call = line.call.ok_or_else(|| missing("call"))?;
    let end = line.end.ok_or_else(|| missing("return"))?;
    let key = builder.key(line.key.text("key")?);
    let value = line.value.text("value");
    let op = match &*line.op {
        "get" => KvOp::Get { key },
        "put" => KvOp::Put { key, value: builder.written(value?) },
        "append" => KvOp::Append { key, value: builder.written(value?) },
        "" => return Err(missing("op")),
        other => return Err(Problem::UnknownOperation(other.to_owned())),
    };
    let result = match (end, op) {
        (None, _) => None,
        (Some(_), KvOp::Get { .. }) => Some(builder.read(key, line.output.text("output")?)),
        (Some(_), KvOp::Put { .. } | KvOp::Append { .. }) => Some(Text::EMPTY),
    };
    // What is negative is as far from the end of the numbers as from 0, until all are moved.
    let end = end.map_or(OPEN, |end| end as u64);
    Ok(Operation { client, op, result, call: call as u64, end })
}

fn parse(line: &str) -> Result<Line<'_>, Problem> {
    match usual(line) {
        Some(parsed) => Ok(parsed),
        None => parse_any(line),
    }
}

/// A line with the usual fields in the usual order, and nothing that needs a closer look: twice as fast as
/// [`parse_any`].
fn usual(line: &str) -> Option<Line<'_>> {
    let mut rest = Rest(line.strip_prefix("{\"client\":")?);
    let client = u32::try_from(rest.number(",\"op\":\"")?).ok()?;
    let op = Cow::Borrowed(rest.string(",\"key\":\"")?);
    let key = Field::Text(Cow::Borrowed(rest.string(",\"value\":\"")?));
    let value = Field::Text(Cow::Borrowed(rest.string(",\"output\":\"")?));
    let output = Field::Text(Cow::Borrowed(rest.string(",\"call\":")?));
    let call = Some(i128::from(rest.number(",\"return\":")?));
    let end = if rest.0 == "null}" { None } else { Some(i128::from(rest.number("}")?)) };
    (end.is_none() || rest.0.is_empty()).then_some(Line {
        client: Some(client),
        op,
        key,
        value,
        output,
        call,
        end: Some(end),
    })
}

/// What is left of a usual line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// A number of at most 18 digits, so that it fits 64 bits, and then `next`.
    fn number(&mut self, next: &str) -> Option<u64> {
        let bytes = self.0.as_bytes();
        let (mut number, mut at) = (0, 0);
        while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            number = number * 10 + u64::from(digit);
            at += 1;
            if at > 18 {
                return None;
            }
        }
        self.0 = self.0[at..].strip_prefix(next).filter(|_| at > 0)?;
        Some(number)
    }

    /// A string without escapes, up to its end, and then `next`.
    fn string(&mut self, next: &str) -> Option<&'a str> {
        let end = memchr::memchr2(b'"', b'\\', self.0.as_bytes())?;
        let (string, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix('"')?.strip_prefix(next)?;
        (string.len() <= LONGEST_VALUE).then_some(string)
    }
}

/// The fields that mean something.
const FIELDS: &[&str] = &["client", "op", "key", "value", "output", "call", "return"];

fn parse_any(line: &str) -> Result<Line<'_>, Problem> {
    let mut scanner = Scanner { text: line, at: 0 };
    let mut out = Line::default();
    let mut once = Once::new(FIELDS);
    scanner.expect(b'{')?;
    loop {
        let name = scanner.string()?;
        once.see(&name)?;
        scanner.expect(b':')?;
        scanner.field(&name, &mut out)?;
        match scanner.byte()? {
            b',' => {}
            b'}' => break,
            _ => return Err(scanner.unexpected("\",\" or \"}\"")),
        }
    }
    scanner.blanks();
    if scanner.at < line.len() { Err(scanner.unexpected("the end of the line")) } else { Ok(out) }
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn blanks(&mut self) {
        while matches!(self.bytes().get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is no blank.
    fn byte(&mut self) -> Result<u8, Problem> {
        self.blanks();
        let byte = *self.bytes().get(self.at).ok_or_else(|| broken("the line ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Problem> {
        if self.byte()? == wanted {
            return Ok(());
        }
        Err(self.unexpected(&format!("{:?}", char::from(wanted))))
    }

    fn unexpected(&self, wanted: &str) -> Problem {
        broken(format!("{wanted} expected at column {}", self.at))
    }

    fn null(&mut self) -> bool {
        self.blanks();
        let found = self.bytes()[self.at..].starts_with(b"null");
        if found {
            self.at += 4;
        }
        found
    }

    /// The value of the field `name`, put where it belongs.
    fn field(&mut self, name: &str, out: &mut Line<'a>) -> Result<(), Problem> {
        match name {
            "client" => out.client = Some(self.number()?),
            "op" => out.op = self.string()?,
            "key" => out.key = self.text_or_null()?,
            "value" => out.value = self.text_or_null()?,
            "output" => out.output = self.text_or_null()?,
            "call" => out.call = Some(self.time()?),
            "return" => out.end = Some(if self.null() { None } else { Some(self.time()?) }),
            _ => self.skip()?,
        }
        Ok(())
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, Problem> {
        self.blanks();
        let rest = &self.text[self.at..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        // JSON writes the same number in many ways; one with a point or an exponent is not cut off at that.
        let whole = !rest[digits..].starts_with(['.', 'e', 'E']);
        match rest[..digits].parse() {
            Ok(number) if whole => {
                self.at += digits;
                Ok(number)
            }
            _ => {
                self.at += 1;
                Err(self.unexpected("a whole number (digits only; not too large)"))
            }
        }
    }

    /// A number of nanoseconds, perhaps negative; the largest one means "never" in memory and so cannot be
    /// one.
    fn time(&mut self) -> Result<i128, Problem> {
        self.blanks();
        let negative = self.bytes().get(self.at) == Some(&b'-');
        if negative {
            self.at += 1;
            if !self.bytes().get(self.at).is_some_and(u8::is_ascii_digit) {
                return Err(self.unexpected("a digit"));
            }
        }
        match self.number::<u64>()? {
            OPEN => Err(self.unexpected("a smaller time")),
            time if negative && time > 1 << 63 => Err(self.unexpected("a later time")),
            time if negative => Ok(-i128::from(time)),
            time => Ok(i128::from(time)),
        }
    }

    fn text_or_null(&mut self) -> Result<Field<'a>, Problem> {
        if self.null() { Ok(Field::Null) } else { self.string().map(Field::Text) }
    }

    /// A string; borrowed if it has no escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, Problem> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = &self.bytes()[start..];
        let end = find_quote(rest).ok_or_else(|| broken("a string without end"))?;
        if end > LONGEST_VALUE {
            return Err(Problem::LongValue);
        }
        if memchr::memchr(b'\\', &rest[..end]).is_none() {
            self.at = start + end + 1;
            return Ok(Cow::Borrowed(&self.text[start..start + end]));
        }
        self.escaped().map(Cow::Owned)
    }

    /// The rest of a string that has escapes.
    fn escaped(&mut self) -> Result<String, Problem> {
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(['"', '\\']).ok_or_else(|| broken("a string without end"))?;
            out.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Ok(out);
            }
            if out.len() > LONGEST_VALUE {
                return Err(Problem::LongValue);
            }
            out.push(self.escape()?);
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, Problem> {
        let byte = *self.bytes().get(self.at).ok_or_else(|| broken("a string without end"))?;
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.unexpected("an escape")),
        })
    }

    /// Four hexadecimal digits, or two times four for a character beyond the first 65,536.
    fn unicode(&mut self) -> Result<char, Problem> {
        let first = self.hexadecimal()?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        let paired = first < 0xdc00 && self.bytes()[self.at..].starts_with(b"\\u");
        if paired {
            self.at += 2;
            let second = self.hexadecimal()?;
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
            let character = low.and_then(|low| char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low));
            return character.ok_or_else(|| self.unexpected("the second half of a character"));
        }
        Err(self.unexpected("a whole character"))
    }

    fn hexadecimal(&mut self) -> Result<u32, Problem> {
        let digits =
            self.bytes().get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else { return Err(self.unexpected("four hexadecimal digits")) };
        self.at += 4;
        Ok(digits.iter().fold(0, |number, &digit| number * 16 + char::from(digit).to_digit(16).unwrap_or(0)))
    }

    /// Skips a value of any kind, however deep.
    fn skip(&mut self) -> Result<(), Problem> {
        let mut depth = 0usize;
        loop {
            self.blanks();
            match self.bytes().get(self.at) {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => self.at += 1,
                Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.') => {
                    while self
                        .bytes()
                        .get(self.at)
                        .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(byte))
                    {
                        self.at += 1;
                    }
                }
                _ => return Err(self.unexpected("a value")),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

/// Where the first quote stands that no backslash precedes.
fn find_quote(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let quote = from + memchr::memchr(b'"', &bytes[from..])?;
        let backslashes = bytes[..quote].iter().rev().take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 0 {
            return Some(quote);
        }
        from = quote + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let line = r#"{"value":"a\"b\\\u00e9\ud83d\ude00\n","extra":{"x":[1,{"y":"}"}]},"op":"put"}"#;
        let parsed = parse(line).unwrap();
        assert_eq!(parsed.value.text("value"), Ok("a\"b\\é😀\n"));
        assert_eq!(parsed.op, "put");
    }

    #[test]
    fn usual_lines_say_the_same_either_way() {
        let lines = [
            r#"{"client":6,"op":"append","key":"k0","value":"é;","output":"","call":44029,"return":552535}"#,
            r#"{"client":0,"op":"get","key":"","value":"","output":"x y","call":0,"return":null}"#,
        ];
        for line in lines {
            let (fast, slow) = (usual(line).unwrap(), parse_any(line).unwrap());
            assert_eq!(format!("{fast:?}"), format!("{slow:?}"));
        }
        let line = lines[0];
        let unusual = [
            line.replace("44029", "1844674407370955161"),
            line.replace(":6", ":"),
            line.replace(":6", ":4294967296"),
            line.replace("é", "\\u00e9"),
            line.replace("}", "} "),
            line.replace(",\"op\"", ", \"op\""),
        ];
        for line in unusual {
            assert!(usual(&line).is_none(), "{line}");
        }
    }

    #[test]
    fn half_characters_are_refused() {
        for text in
            [r#"{"value":"\ud83d"}"#, r#"{"value":"\ud83dx"}"#, r#"{"value":"\ude00"}"#, r#"{"value":"\u12"#]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
