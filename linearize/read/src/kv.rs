//! Keys with texts from events: porcupine's test format, and whatever else has `get`, `put` and `append`.

use linearize::models::scalar::Scalar;
use linearize::{Fault, Key, KvBuilder, KvHistory, KvOp, Text};

use super::calls::{Calls, Datum, Outcome};
use super::objects::{Keys, Plain, are_keyed, check_functions};
use super::{Located, ModelName, Options, Problem, broken};

/// The history of all keys of a file.
pub(super) fn build(calls: Calls, options: &Options) -> Located<(KvHistory, Vec<Fault>)> {
    if options.initial.is_some() {
        return Err((None, Problem::Initial));
    }
    check_functions(&calls, ModelName::KeyValue)?;
    let keyed = are_keyed(&calls, ModelName::KeyValue);
    let mut keys = Keys::default();
    let mut builder = KvBuilder::new();
    let (history, faults) = calls.history(|calls, call, made| {
        let plain = Plain::of(call, keyed)?;
        if plain.key.is_none() {
            return Err(broken("no :key"));
        }
        let key = keys.number(plain.key.as_deref()) as usize;
        // Keys of one name are one key, however it is written.
        let key = builder.key(&keys.names[key]);
        made.push(operation(&mut builder, key, calls.name(call), &plain)?);
        Ok(())
    })?;
    builder.set_unit(history.unit());
    builder.set_origin(history.origin());
    for operation in history.into_operations() {
        builder.push(operation);
    }
    let history = builder.finish();
    // They were a history before.
    history.map(|history| (history, faults)).map_err(|error| super::locate(&error, &[]))
}

fn operation(
    builder: &mut KvBuilder,
    key: Key,
    function: &str,
    plain: &Plain<'_>,
) -> Result<(KvOp, Option<Text>), Problem> {
    let done = plain.outcome == Outcome::Done;
    if function == "get" {
        let seen = if done { text(plain.answer)? } else { None };
        return Ok((KvOp::Get { key }, done.then(|| builder.read(key, seen.as_deref().unwrap_or("")))));
    }
    let value = text(plain.value)?.ok_or_else(|| broken("no :value"))?;
    let value = builder.written(&value);
    let op = if function == "put" { KvOp::Put { key, value } } else { KvOp::Append { key, value } };
    Ok((op, done.then_some(Text::EMPTY)))
}

/// The text that a value is; nothing if there is none, or it is nil.
fn text(value: Option<&Datum>) -> Result<Option<std::borrow::Cow<'_, str>>, Problem> {
    match value {
        None => Ok(None),
        Some(value) if value.is_nil() => Ok(None),
        Some(Datum::Scalar(Scalar::Text(text))) => Ok(Some(text.as_ref().into())),
        Some(Datum::Scalar(scalar)) => Ok(Some(scalar.name().into())),
        Some(_) => Err(broken("a value is a text here, not a collection")),
    }
}
