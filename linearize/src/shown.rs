//! What a model tells the picture.

use std::borrow::Cow;

/// An operation in parts: for example `Append`, `x 3 y` and no result.
///
/// Nothing is cut or escaped. The code that shows it must do both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What was called. There should be few different names.
    pub name: Cow<'a, str>,
    /// With which arguments, if it takes any.
    pub argument: Option<Cow<'a, str>>,
    /// What it returned, if it returned and that says something.
    pub result: Option<Cow<'a, str>>,
    /// Whether the last two are texts, which are shown in quotes. Numbers and the like are not.
    pub texts: bool,
}

/// What an operation does to the text of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Nothing.
    Keep,
    /// [`Parts::argument`] takes its place.
    Replace,
    /// [`Parts::argument`] is added to its end.
    Append,
    /// Something that depends on the state.
    Other,
}

impl Parts<'_> {
    /// Takes the first word of a description for the name.
    pub(crate) fn of_description(description: &str, result: Option<String>) -> Parts<'static> {
        let word = |character: char| character.is_alphanumeric() || character == '_';
        let end = description.find(|character| !word(character)).unwrap_or(description.len());
        // A description that begins with something else has no first word.
        let end = if end == 0 { description.len() } else { end };
        let argument = description[end..].trim();
        Parts {
            name: Cow::Owned(description[..end].to_owned()),
            argument: (!argument.is_empty()).then(|| Cow::Owned(argument.to_owned())),
            result: result.filter(|result| !result.is_empty()).map(Cow::Owned),
            texts: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_name() {
        let parts = |text: &str| {
            let parts = Parts::of_description(text, None);
            (parts.name.into_owned(), parts.argument.map(Cow::into_owned))
        };
        assert_eq!(parts("Enqueue 3"), ("Enqueue".to_owned(), Some("3".to_owned())));
        assert_eq!(parts("Dequeue"), ("Dequeue".to_owned(), None));
        assert_eq!(parts("Add(5)"), ("Add".to_owned(), Some("(5)".to_owned())));
        assert_eq!(parts("<b>"), ("<b>".to_owned(), None));
    }
}
