//! One thread.

use std::collections::{HashSet, VecDeque};

use labrt::sync::Arc;

use super::{CrawlReport, Fetcher};

// handout: body 0A
/// Crawls everything that `root` leads to, one page after the other.
///
/// The course's version calls itself for each link. A chain of ten thousand pages would need ten thousand
/// frames of stack, so the pages that are still to be fetched stand in a queue.
pub fn serial(root: &str, fetcher: &Arc<dyn Fetcher>) -> CrawlReport {
    let mut report = CrawlReport::default();
    let mut visited = HashSet::from([root.to_owned()]);
    let mut waiting = VecDeque::from([root.to_owned()]);
    while let Some(url) = waiting.pop_front() {
        let result = fetcher.fetch(&url);
        let links = report.add(url, result);
        waiting.extend(links.into_iter().filter(|link| visited.insert(link.clone())));
    }
    report
}
