//! JSON Lines: one operation a line.
//!
//! `{"client":6,"op":"append","key":"k0","value":"6.0;","output":"","call":44029,"return":552535}`, in any
//! order of fields; `op` is `get`, `put` or `append`; times are nanoseconds, and may be negative;
//! `"return":null` for an operation that never returned. Unknown fields are skipped, known ones may stand
//! there once. `serde_json` reads any line; most have the same fields in the same order, and are read in
//! half the time without it.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use linearize::{KvBuilder, KvHistory, KvOp, OPEN, Operation, Text};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::input::Input;
use super::{LONGEST_VALUE, Located, Problem, broken, locate};

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
        for Whole(time) in times.into_iter().flatten() {
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
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line<'a> {
    client: Option<Whole>,
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow)]
    key: Field<'a>,
    #[serde(borrow)]
    value: Field<'a>,
    #[serde(borrow)]
    output: Field<'a>,
    call: Option<Whole>,
    /// Twice optional: absent, or `null`.
    #[serde(rename = "return", deserialize_with = "present")]
    end: Option<Option<Whole>>,
}

/// A text that may be missing.
#[derive(Debug, Default)]
enum Field<'a> {
    #[default]
    Absent,
    Null,
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Borrowed where it has no escapes.
        #[derive(Deserialize)]
        struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
        let text = Option::<Text<'a>>::deserialize(deserializer)?;
        Ok(text.map_or(Field::Null, |text| Field::Text(text.0)))
    }
}

/// What is there, be it `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A whole number of 64 bits, perhaps negative. The largest one means "never" in memory and so cannot be one.
#[derive(Clone, Copy, Debug)]
struct Whole(i128);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl Visitor<'_> for Numbers {
            type Value = Whole;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number (digits only; not too large)")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole, E> {
                if number == OPEN {
                    Err(E::custom("a smaller number expected"))
                } else {
                    Ok(Whole(number.into()))
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number.into()))
            }
        }
        deserializer.deserialize_i64(Numbers)
    }
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
    let Whole(client) = line.client.ok_or_else(|| missing("client"))?;
    let client =
        u32::try_from(client).map_err(|_| broken("the numbers of clients go from 0 to 4294967295"))?;
    let Whole(call) = line.call.ok_or_else(|| missing("call"))?;
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
    let end = end.map_or(OPEN, |Whole(end)| end as u64);
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
    let client = Some(rest.number(",\"op\":\"")?);
    let op = Cow::Borrowed(rest.string(",\"key\":\"")?);
    let key = Field::Text(Cow::Borrowed(rest.string(",\"value\":\"")?));
    let value = Field::Text(Cow::Borrowed(rest.string(",\"output\":\"")?));
    let output = Field::Text(Cow::Borrowed(rest.string(",\"call\":")?));
    let call = Some(rest.number(",\"return\":")?);
    let open = rest.0 == "null}";
    let end = Some(if open { None } else { Some(rest.number("}")?) });
    (open || rest.0.is_empty()).then_some(Line { client, op, key, value, output, call, end })
}

/// What is left of a usual line.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// A number of at most 18 digits, so that it fits 64 bits, and then `next`.
    fn number(&mut self, next: &str) -> Option<Whole> {
        let bytes = self.0.as_bytes();
        let (mut number, mut at) = (0u64, 0);
        while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
        {
            number = number * 10 + u64::from(digit);
            at += 1;
            if at > 18 {
                return None;
            }
        }
        self.0 = self.0[at..].strip_prefix(next).filter(|_| at > 0)?;
        Some(Whole(number.into()))
    }

    /// A string without escapes, up to its end, and then `next`.
    fn string(&mut self, next: &str) -> Option<&'a str> {
        let end = memchr::memchr2(b'"', b'\\', self.0.as_bytes())?;
        let (string, rest) = self.0.split_at(end);
        self.0 = rest.strip_prefix('"')?.strip_prefix(next)?;
        (string.len() <= LONGEST_VALUE).then_some(string)
    }
}

fn parse_any(line: &str) -> Result<Line<'_>, Problem> {
    let parsed: Line<'_> = serde_json::from_str(line).map_err(|error| {
        let said = error.to_string();
        let what = said.split(" at line ").next().unwrap_or_default();
        broken(if error.is_eof() {
            "the line ends too early; a whole operation in each line is wanted".to_owned()
        } else {
            format!("{what} at column {}", error.column())
        })
    })?;
    let long = |field: &Field<'_>| matches!(field, Field::Text(text) if text.len() > LONGEST_VALUE);
    let is_long = [&parsed.key, &parsed.value, &parsed.output].into_iter().any(long);
    if is_long { Err(Problem::LongValue) } else { Ok(parsed) }
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
