//! Count of URL access frequency (paper, §2.3).
//!
//! Word count for the logs of web servers. Some URLs are much more frequent than others, like words.

use mapreduce::app::{Application, Values};

/// The number of requests for each URL, from the logs of a web server in the Common Log
/// Format: `127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /index.html HTTP/1.0" 200
/// 2326`. Lines without a request are ignored.
pub struct UrlCount;

/// The URL of a line: the second word of the first text in quotation marks.
fn url(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, rest) = line.split_once('"')?;
    let (request, _) = rest.split_once('"')?;
    request.split_ascii_whitespace().nth(1)
}

impl Application for UrlCount {
    fn name(&self) -> &str {
        "url-count"
    }

    fn map(&self, _file: &str, line: &[u8], emit: &mut dyn FnMut(&str, &str)) {
        if let Some(url) = url(line) {
            emit(url, "1");
        }
    }

    fn reduce(&self, _url: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        emit(&mapreduce::apps::sum(counts).to_string());
    }

    fn has_combiner(&self) -> bool {
        true
    }

    fn combine(&self, url: &str, counts: &mut dyn Values, emit: &mut dyn FnMut(&str)) {
        self.reduce(url, counts, emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_line() {
        let line = b"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a?b=c HTTP/1.0\" 200 2326 \"-\" \"x\"";
        assert_eq!(url(line), Some("/a?b=c"));
        for other in [&b"no request"[..], b"\"", b"\"GET\"", b"\"GET /\xff HTTP/1.0\"", b""] {
            assert_eq!(url(other), None);
        }
    }
}
