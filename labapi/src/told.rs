//! What a traced run is told of the disk: how much is written, which bytes of it are new, and, where the
//! solution reads its own bytes ([`WireFormat::disk`]), what they say.

use std::panic::Location;

use labrt::runtime::catch_panic;
use labrt::trace::emit_fields;

use crate::persister::Write;
use crate::wire::WireFormat;

/// How many bytes of a change are shown one by one.
const SHOWN: usize = 8;

/// How many letters of the solution's own words are shown.
const LONGEST: usize = 400;

/// How a new content differs from the old one: how many bytes are new or gone, and in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    bytes: usize,
    words: String,
}

impl Difference {
    /// What is between the longest beginning and the longest end that both have.
    pub(crate) fn between(old: &[u8], new: &[u8]) -> Difference {
        let shorter = old.len().min(new.len());
        let begin = old.iter().zip(new).take_while(|(old, new)| old == new).count();
        let same = |(old, new): &(&u8, &u8)| old == new;
        let end = old.iter().rev().zip(new.iter().rev()).take(shorter - begin).take_while(same).count();
        let (gone, come) = (&old[begin..old.len() - end], &new[begin..new.len() - end]);
        let bytes = gone.len().max(come.len());
        let words = match (gone, come) {
            ([], []) => "as before".to_owned(),
            (_, _) if old.is_empty() => "the first".to_owned(),
            (gone, []) => format!("{} gone from byte {begin} on", gone.len()),
            ([], come) => format!("{} more from byte {begin} on{}", come.len(), shown(": ", come)),
            _ if bytes <= SHOWN => format!("byte {begin} on: {} → {}", hex(gone), hex(come)),
            (_, come) => format!("bytes {begin}–{} changed", begin + come.len() - 1),
        };
        Difference { bytes, words }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(before: &str, bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN { format!("{before}{}", hex(bytes)) } else { String::new() }
}

/// The state that a save replaced, and the snapshot if there was a new one.
pub(crate) struct Replaced {
    pub(crate) state: Difference,
    pub(crate) snapshot: Option<Difference>,
}

/// Tells of a save.
pub(crate) fn tell_save(
    write: &Write,
    (state, snapshot): (&[u8], Option<usize>),
    replaced: Option<&Replaced>,
    reader: Option<&dyn WireFormat>,
) {
    emit_fields("disk", "save", || {
        let mut fields = vec![("number", write.number.into()), ("bytes", (state.len() as u64).into())];
        let mut words = format!("writes {} bytes of state", state.len());
        if let Some(replaced) = replaced {
            fields.push(("changed", (replaced.state.bytes as u64).into()));
            words += &format!(" ({})", replaced.state.words);
        }
        if let Some(size) = snapshot {
            fields.push(("snapshot", (size as u64).into()));
            words += &format!(" and a snapshot of {size}");
            let difference = replaced.and_then(|replaced| replaced.snapshot.as_ref());
            words += &difference.map_or_else(String::new, |difference| format!(" ({})", difference.words));
        }
        (fields, format!("{words}{} at {}", read(reader, state), write.place))
    });
}

/// Tells of a record at the end of the state.
pub(crate) fn tell_append(write: &Write, record: &[u8], reader: Option<&dyn WireFormat>) {
    emit_fields("disk", "append", || {
        let bytes = record.len();
        let fields = vec![("number", write.number.into()), ("bytes", (bytes as u64).into())];
        (fields, format!("appends {bytes} bytes{} at {}", read(reader, record), write.place))
    });
}

/// Tells of a read: what a server that starts finds on its disk decides what it does.
pub(crate) fn tell_read(what: &str, bytes: &[u8], reader: Option<&dyn WireFormat>, place: &Location<'_>) {
    emit_fields("disk", "read", || {
        let length = bytes.len();
        let words = format!("reads {length} bytes {what}{} at {place}", read(reader, bytes));
        (vec![("bytes", (length as u64).into())], words)
    });
}

/// What the bytes say, in the solution's words. A run that is watched goes as it went unwatched, so that a
/// reader that panics fails nothing.
fn read(reader: Option<&dyn WireFormat>, bytes: &[u8]) -> String {
    let Some(reader) = reader else { return String::new() };
    match catch_panic(|| reader.disk(bytes)) {
        Ok(None) => String::new(),
        Ok(Some(words)) => match words.char_indices().nth(LONGEST) {
            Some((end, _)) => format!(": {}…", &words[..end]),
            None => format!(": {words}"),
        },
        Err(_) => ": (its `WireFormat::disk` panics)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(old: &[u8], new: &[u8]) -> (usize, String) {
        let Difference { bytes, words } = Difference::between(old, new);
        (bytes, words)
    }

    #[test]
    fn a_change_is_named_by_its_bytes() {
        assert_eq!(words(b"abc", b"abc"), (0, "as before".to_owned()));
        assert_eq!(words(b"", b"abc"), (3, "the first".to_owned()));
        assert_eq!(words(&[1, 2, 3], &[1, 9, 3]), (1, "byte 1 on: 02 → 09".to_owned()));
        assert_eq!(words(&[1, 2, 3], &[1, 7, 8, 3]), (2, "byte 1 on: 02 → 0708".to_owned()));
        assert_eq!(words(&[1, 2, 3], &[1, 3]), (1, "1 gone from byte 1 on".to_owned()));
        assert_eq!(words(&[1, 2], &[1, 2, 3]), (1, "1 more from byte 2 on: 03".to_owned()));
        assert_eq!(words(&[0; 20], &[1; 20]), (20, "bytes 0–19 changed".to_owned()));
        // The beginning and the end that both have must not overlap.
        assert_eq!(words(&[1, 1], &[1, 1, 1]), (1, "1 more from byte 2 on: 01".to_owned()));
        assert_eq!(words(&[1, 1, 1], &[1, 1]), (1, "1 gone from byte 2 on".to_owned()));
    }
}
