//! Part 0A: a web crawler, three times: without threads, with threads around one lock, and with threads that
//! only pass messages.

mod channel;
mod mutex;
mod serial;

pub use channel::{Found, channel, channel_with_limit, worker};
pub use mutex::mutex;
pub use serial::serial;

use std::collections::BTreeSet;
use std::fmt;

/// The address of a page.
pub type Url = String;

// ANCHOR: fetcher
/// The web, as a crawler sees it. Several threads may fetch at the same time.
pub trait Fetcher: Send + Sync + 'static {
    /// Fetches a page and returns the addresses that it links to, in the page's order. Blocks for as long as
    /// the network takes.
    ///
    /// # Errors
    /// If there is no such page, or its server does not answer. Another attempt would fail as well.
    fn fetch(&self, url: &str) -> Result<Vec<Url>, FetchError>;
}
// ANCHOR_END: fetcher

/// Why a page cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FetchError {
    /// There is no page with this address.
    NotFound,
    /// The page's server does not answer.
    NoAnswer,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FetchError::NotFound => "there is no such page",
            FetchError::NoAnswer => "the server does not answer",
        })
    }
}

impl std::error::Error for FetchError {}

/// What a crawl has found, each page once, in the order in which the results came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrawlReport {
    /// The pages that were fetched.
    pub fetched: Vec<Url>,
    /// The pages that could not be had, and why.
    pub errors: Vec<(Url, FetchError)>,
}

impl CrawlReport {
    /// All pages that the crawl tried to fetch.
    pub fn visited(&self) -> BTreeSet<&str> {
        let failed = self.errors.iter().map(|(url, _)| url);
        self.fetched.iter().chain(failed).map(String::as_str).collect()
    }

    // handout: body 0A
    /// Adds the result of one fetch. Returns the links to follow: none if the fetch failed.
    pub(crate) fn add(&mut self, url: Url, result: Result<Vec<Url>, FetchError>) -> Vec<Url> {
        match result {
            Ok(links) => {
                self.fetched.push(url);
                links
            }
            Err(error) => {
                tracing::debug!(target: "crawl", "{url}: {error}");
                self.errors.push((url, error));
                Vec::new()
            }
        }
    }
}
