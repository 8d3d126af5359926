//! The numbers of EDN.

use std::borrow::Cow;

use super::Form;

/// An integer of any size, also a hexadecimal one, as addresses of objects are; a ratio, or a number with a
/// point or an exponent. Equal numbers of one kind are equal words.
#[inline]
pub(super) fn number(token: &str) -> Option<Form<'_>> {
    let whole = token.strip_suffix('N').unwrap_or(token);
    if let Ok(number) = whole.parse() {
        return Some(Form::Number(number));
    }
    if let Some(digits) = whole.strip_prefix("0x").or_else(|| whole.strip_prefix("0X")) {
        let word = Form::Word(Cow::Borrowed(whole));
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return is_number.then(|| i64::from_str_radix(digits, 16).map_or(word, Form::Number));
    }
    let is_whole = |text: &str| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if is_whole(whole) {
        return Some(Form::Word(Cow::Borrowed(whole.trim_start_matches('+'))));
    }
    if let Some((over, under)) = token.split_once('/') {
        let ratio = is_whole(over) && is_whole(under) && !under.starts_with(['+', '-']);
        return ratio.then_some(Form::Word(Cow::Borrowed(token)));
    }
    let decimal = token.strip_suffix('M');
    let text = decimal.unwrap_or(token);
    let known = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let value: f64 = text.parse().ok().filter(|_| known)?;
    Some(Form::Word(match decimal {
        // 1.50M and 1.5M are one number, as 1.50 and 1.5 are.
        Some(text) if text.contains('.') && !text.contains(['e', 'E']) => {
            Cow::Owned(format!("{}M", text.trim_end_matches('0').trim_end_matches('.')))
        }
        Some(_) => Cow::Borrowed(token),
        None => Cow::Owned(format!("{value:?}")),
    }))
}
