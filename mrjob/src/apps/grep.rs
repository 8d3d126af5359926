//! Distributed grep (paper, §2.3): the lines that match a pattern.
//!
//! Map does all the work; reduce copies. MapReduce adds that many machines read at once, and that the output
//! is sorted.
//!
//! Most lines of a text do not match, and starting a search for each line costs more than the search itself.
//! So map searches a block of many lines for the next match, and then finds the borders of its line.

use mapreduce::app::{Application, Records, Values};
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;

use crate::catalogue::AppError;

/// The lines that match, each as often as it occurs, in the order of their bytes within a partition. Bytes
/// that are not UTF-8 can match, but the output has U+FFFD in their place.
pub struct Grep {
    /// Matches within one line.
    line: Regex,
    /// Matches in a block of lines. `None` if a match in a block need not be a match within its line.
    block: Option<Regex>,
}

impl Grep {
    /// Searches for a regular expression, in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// If it is not a regular expression.
    pub fn new(pattern: &str) -> Result<Grep, AppError> {
        let wrong = |error: &dyn std::fmt::Display| AppError::Parameters(format!("grep: {error}"));
        let line = Regex::new(pattern).map_err(|error| wrong(&error))?;
        let block = if can_search_blocks(pattern) {
            Some(RegexBuilder::new(pattern).multi_line(true).build().map_err(|error| wrong(&error))?)
        } else {
            None
        };
        Ok(Grep { line, block })
    }

    /// Calls `visit` with each line that matches.
    fn search(&self, block: &[u8], visit: &mut dyn FnMut(&[u8])) {
        let Some(pattern) = &self.block else { return self.search_lines(block, visit) };
        let mut at = 0;
        // Bytes that were searched twice: parts of matches beyond the lines in which they began.
        let mut repeated = 0;
        while at < block.len() {
            let Some(found) = pattern.find_at(block, at) else { return };
            let start = memchr::memrchr(b'\n', &block[at..found.start()]).map_or(at, |end| at + end + 1);
            if start == block.len() {
                // An empty match after the end of the last line, where there is no line.
                return;
            }
            let end = memchr::memchr(b'\n', &block[start..]).map_or(block.len(), |end| start + end);
            // A match that ends beyond its line may mean that the line itself has no match.
            if found.end() <= end || self.line.is_match(&block[start..end]) {
                visit(&block[start..end]);
            }
            at = end + 1;
            repeated += found.end().saturating_sub(at);
            if repeated > block.len() {
                // Patterns such as `[^x]+` match across many lines; a search in each line is faster for them.
                return self.search_lines(&block[at.min(block.len())..], visit);
            }
        }
    }

    fn search_lines(&self, lines: &[u8], visit: &mut dyn FnMut(&[u8])) {
        let lines = lines.split_inclusive(|&byte| byte == b'\n').map(without_end);
        lines.filter(|line| self.line.is_match(line)).for_each(visit);
    }
}

/// Whether a block of lines can be searched instead of each line. Borders of words, and `^` and `$` as
/// borders of lines, mean the same in a block. Borders of the whole text (`\A`, `\z`) do not.
fn can_search_blocks(pattern: &str) -> bool {
    let parsed = ParserBuilder::new().multi_line(true).utf8(false).build().parse(pattern);
    let per_line = [Look::Start, Look::End, Look::StartCRLF, Look::EndCRLF];
    parsed.is_ok_and(|parsed| !per_line.iter().any(|&look| parsed.properties().look_set().contains(look)))
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

impl Application for Grep {
    fn name(&self) -> &str {
        "grep"
    }

    fn map(&self, _file: &str, block: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        self.search(block, &mut |line| emit(&String::from_utf8_lossy(line), ""));
    }

    fn reduce(&self, _line: &str, values: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        super::copy(values, emit);
    }

    fn records(&self) -> Records {
        Records::Blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "one two\n\nTwo three\n two\nthree\n\n\n x\u{e9}y one\r\nlast one";

    fn lines_of(grep: &Grep, text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        grep.search(text, &mut |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        lines
    }

    /// A search in the block gives the lines that a search in each line gives.
    #[test]
    fn a_search_in_a_block_agrees_with_a_search_in_each_line() {
        let patterns = [
            "two",
            "^two",
            "two$",
            "^$",
            "^",
            "$",
            "",
            "one|three",
            r"\bone\b",
            r"\s",
            r"[^a]",
            r"two\s+three",
            r"(?s).+",
            ".",
            r"\Aone",
            r"one\z",
            r"\B",
            "(?-m)^two",
            "(?-m:one$)",
            "(?i)TWO",
            r"\n",
            "(?R)one$",
            r"e\n",
            r"x.y",
            r"\w+\s\w+",
            "(?m)^ ",
            r"[\s\S]{12}",
            "[^x]+",
            r"(?s)o.*",
        ];
        for pattern in patterns {
            let grep = Grep::new(pattern).unwrap();
            let line = Regex::new(pattern).unwrap();
            for text in [TEXT, "", "\n", "one", "one\n", "\n\none\n\n"] {
                let expected: Vec<&str> = text
                    .split_inclusive('\n')
                    .map(|line| line.strip_suffix('\n').unwrap_or(line))
                    .filter(|text| line.is_match(text.as_bytes()))
                    .collect();
                assert_eq!(lines_of(&grep, text.as_bytes()), expected, "`{pattern}` in {text:?}");
            }
        }
        assert!(Grep::new("^two$").unwrap().block.is_some());
        assert!(Grep::new(r"\Atwo").unwrap().block.is_none());
        assert!(Grep::new("(").is_err());
    }
}
