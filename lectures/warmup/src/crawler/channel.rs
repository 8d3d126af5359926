//! Threads that only pass messages: a coordinator owns the set of visited pages, and no one else sees it.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;

use labrt::channel::{Sender, unbounded};
use labrt::sync::Arc;
use labrt::thread;

use super::{CrawlReport, FetchError, Fetcher, Url};

/// What a worker sends: the page that it was started for, and the result of the fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The page.
    pub url: Url,
    /// Its links.
    pub result: Result<Vec<Url>, FetchError>,
}

// handout: body 0A
/// Crawls everything that `root` leads to. All pages that are known and not yet fetched are fetched at the
/// same time.
pub fn channel(root: &str, fetcher: &Arc<dyn Fetcher>) -> CrawlReport {
    channel_with_limit(root, fetcher, NonZeroUsize::MAX)
}

// handout: body 0A
/// As [`channel`], with at most `limit` fetches at the same time.
///
/// `outstanding` counts the workers whose results have not come. A page whose links are not known yet has
/// either a worker or a place in `waiting`. So the crawl is complete when both are empty, and not before:
/// an empty queue alone says nothing while a slow worker may still send links.
pub fn channel_with_limit(root: &str, fetcher: &Arc<dyn Fetcher>, limit: NonZeroUsize) -> CrawlReport {
    let (sender, results) = unbounded();
    let mut report = CrawlReport::default();
    let mut visited = HashSet::from([root.to_owned()]);
    let mut waiting = VecDeque::from([root.to_owned()]);
    let mut outstanding = 0;
    loop {
        while outstanding < limit.get()
            && let Some(url) = waiting.pop_front()
        {
            let (fetcher, sender) = (Arc::clone(fetcher), sender.clone());
            thread::spawn_named("worker", move || worker(url, fetcher, sender));
            outstanding += 1;
        }
        if outstanding == 0 {
            return report;
        }
        let Found { url, result } = results.recv().expect("the coordinator holds a sender itself");
        outstanding -= 1;
        let links = report.add(url, result);
        waiting.extend(links.into_iter().filter(|link| visited.insert(link.clone())));
    }
}

// handout: body 0A
/// Fetches one page and sends what it found. Its arguments are all that it knows: it cannot reach the
/// visited set.
pub fn worker(url: Url, fetcher: Arc<dyn Fetcher>, results: Sender<Found>) {
    let result = fetcher.fetch(&url);
    // The coordinator waits for every result; it is gone only if the whole run is.
    let _ = results.send(Found { url, result });
}
