//! A source as the compiler's lexer sees it, without comments and blanks.

use ra_ap_rustc_lexer::{LiteralKind, TokenKind, strip_shebang, tokenize};

/// What kind of word a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or keyword; a raw one stands without its `r#`.
    Name,
    /// Text in quotes, with them.
    Text,
    /// Anything else: one sign, a number, a lifetime.
    Other,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Counted from 1.
    pub(super) line: usize,
    /// Where it begins in the source, in bytes.
    pub(super) begin: usize,
    /// The index behind its group, if it opens one. It is noted once, because a submission may have as many
    /// groups in one another as it likes.
    behind: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }

    pub(super) fn is_name(&self) -> bool {
        self.kind == Kind::Name
    }
}

/// What some editors put before a text. The compiler takes it away before it looks for anything else: a line
/// `#!/*` behind it is none of the program, and begins no comment.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The tokens of a source. `::` is two of them.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let text = source.strip_prefix(BYTE_ORDER_MARK).unwrap_or(source);
    let mut rest = &text[strip_shebang(text).unwrap_or(0)..];
    let mut line = 1;
    let mut tokens = Vec::new();
    for token in tokenize(rest) {
        let (text, behind) = rest.split_at(token.len as usize);
        let kind = match token.kind {
            TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } | TokenKind::Whitespace => None,
            TokenKind::Ident | TokenKind::InvalidIdent => Some((Kind::Name, text)),
            TokenKind::RawIdent => Some((Kind::Name, text.strip_prefix("r#").unwrap_or(text))),
            TokenKind::Literal { kind, .. } if is_text(kind) => Some((Kind::Text, text)),
            _ => Some((Kind::Other, text)),
        };
        let begin = source.len() - rest.len();
        tokens.extend(kind.map(|(kind, text)| Token { kind, text, line, begin, behind: 0 }));
        line += text.matches('\n').count();
        rest = behind;
    }
    note_groups(&mut tokens);
    tokens
}

fn is_text(kind: LiteralKind) -> bool {
    use LiteralKind::{ByteStr, CStr, RawByteStr, RawCStr, RawStr, Str};
    matches!(
        kind,
        Str { .. } | ByteStr { .. } | CStr { .. } | RawStr { .. } | RawByteStr { .. } | RawCStr { .. }
    )
}

/// Notes where each group ends. One that is left open ends with the text.
fn note_groups(tokens: &mut [Token<'_>]) {
    let mut open = Vec::new();
    for at in 0..tokens.len() {
        tokens[at].behind = at + 1;
        if tokens[at].kind != Kind::Other {
            continue;
        }
        match tokens[at].text {
            "(" | "[" | "{" => open.push(at),
            ")" | "]" | "}" => {
                open.pop().into_iter().for_each(|begin: usize| tokens[begin].behind = at + 1);
            }
            _ => {}
        }
    }
    open.into_iter().for_each(|begin| tokens[begin].behind = tokens.len());
}

/// The index behind the group that opens at `open`, a bracket of any kind.
pub(super) fn behind_group(tokens: &[Token<'_>], open: usize) -> usize {
    tokens.get(open).map_or(tokens.len(), |token| token.behind)
}
