//! Reverse web-link graph (paper, §2.3): which pages link to a page.
//!
//! This is not a parser of HTML: it also finds links in comments and scripts. In a job over a whole web that
//! makes little difference.

use mapreduce::app::{Application, Records, Values};
use mapreduce::apps::indexer::escape;

/// For each target of a link, the sorted pages that link to it, separated by commas. A page is an HTML file,
/// named by its file name. A link is an attribute `href` with a value in quotation marks.
pub struct ReverseLinks;

/// Calls `visit` with the value of each attribute `href`.
fn for_each_link(page: &str, mut visit: impl FnMut(&str)) {
    let mut rest = page;
    while let Some(at) = rest.as_bytes().windows(5).position(|word| word.eq_ignore_ascii_case(b"href=")) {
        rest = &rest[at + 5..];
        let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else { continue };
        let Some((target, after)) = rest[1..].split_once(quote) else { return };
        if !target.is_empty() {
            visit(target);
        }
        rest = after;
    }
}

impl Application for ReverseLinks {
    fn name(&self) -> &str {
        "reverse-links"
    }

    fn map(&self, page: &str, text: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        let page = escape(page);
        for_each_link(&String::from_utf8_lossy(text), |target| {
            emit(&escape(target).replace(' ', r"\x20"), &page);
        });
    }

    fn reduce(&self, _target: &str, pages: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        emit(&Vec::from_iter(mapreduce::apps::indexer::distinct(pages)).join(","));
    }

    fn has_combiner(&self) -> bool {
        true
    }

    fn combine(&self, _target: &str, pages: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        mapreduce::apps::indexer::distinct(pages).iter().for_each(|page| emit(page));
    }

    fn records(&self) -> Records {
        Records::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_page() {
        let mut links = Vec::new();
        let page =
            r#"<a href="x.html">x</a> <A HREF='y'> href=bare <a href=""> <link href="z" > <a href="open"#;
        for_each_link(page, |link| links.push(link.to_owned()));
        assert_eq!(links, ["x.html", "y", "z"]);
    }
}
