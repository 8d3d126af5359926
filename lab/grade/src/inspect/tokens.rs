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
}

impl Token<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }

    pub(super) fn is_name(&self) -> bool {
        self.kind == Kind::Name
    }
}

/// The tokens of a source. `::` is two of them.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut rest = &source[strip_shebang(source).unwrap_or(0)..];
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
        tokens.extend(kind.map(|(kind, text)| Token { kind, text, line }));
        line += text.matches('\n').count();
        rest = behind;
    }
    tokens
}

fn is_text(kind: LiteralKind) -> bool {
    use LiteralKind::{ByteStr, CStr, RawByteStr, RawCStr, RawStr, Str};
    matches!(
        kind,
        Str { .. } | ByteStr { .. } | CStr { .. } | RawStr { .. } | RawByteStr { .. } | RawCStr { .. }
    )
}

/// The index behind the group that opens at `open`, a bracket of any kind.
pub(super) fn behind_group(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind != Kind::Other {
            continue;
        }
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}
