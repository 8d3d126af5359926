//! Maps whose keys share a namespace: Clojure prints `{:a/b 1, :a/c 2}` as `#:a{:b 1, :c 2}`, too.

use std::borrow::Cow;

use super::Form;

/// The pairs of a map in front of which stands `#:space`: its keywords and symbols are of that namespace,
/// unless they name their own; `_` stands for none.
pub(super) fn qualified<'a>(pairs: Vec<(Form<'a>, Form<'a>)>, space: &str) -> Vec<(Form<'a>, Form<'a>)> {
    let is_symbol = |word: &str| word.starts_with(char::is_alphabetic) && word != "true" && word != "false";
    let named = |colon: &str, name: &str| {
        Form::Word(Cow::Owned(match name.split_once('/') {
            Some(("_", name)) => format!("{colon}{name}"),
            Some(_) => format!("{colon}{name}"),
            None => format!("{colon}{space}/{name}"),
        }))
    };
    let key = |key: Form<'a>| match key {
        Form::Keyword(name) => named(":", name),
        Form::Word(word) if is_symbol(&word) => named("", &word),
        key => key,
    };
    pairs.into_iter().map(|(name, value)| (key(name), value)).collect()
}
