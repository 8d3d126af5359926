//! What comes from files is not trusted; everything else is as in `lab`.

pub(crate) use lab_terminal::{count, error_word};

/// `text` with everything escaped that could steer a terminal: what comes from files, and their names, is not
/// trusted.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if linearize::words::steers(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}
