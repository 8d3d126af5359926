//! Threads around one lock: a thread for each page, and a set of visited pages that all of them share.

use std::collections::HashSet;

use labrt::sync::{Arc, Mutex, WaitGroup};
use labrt::thread;

use super::{CrawlReport, FetchError, Fetcher, Url};

// handout: drop classic
/// What the threads of a crawl share.
struct Crawl {
    fetcher: Arc<dyn Fetcher>,
    visited: Mutex<Visited>,
}

#[derive(Default)]
struct Visited {
    /// Every page that some thread has won the right to fetch.
    urls: HashSet<Url>,
    report: CrawlReport,
}

// handout: end
// handout: body 0A
/// Crawls everything that `root` leads to. All pages that are known and not yet fetched are fetched at the
/// same time.
pub fn mutex(root: &str, fetcher: &Arc<dyn Fetcher>) -> CrawlReport {
    let visited = Visited { urls: HashSet::from([root.to_owned()]), ..Visited::default() };
    let crawl = Arc::new(Crawl { fetcher: Arc::clone(fetcher), visited: Mutex::new(visited) });
    let tasks = WaitGroup::new();
    start(&crawl, root.to_owned(), tasks.clone());
    tasks.wait();
    std::mem::take(&mut crawl.visited.lock().report)
}

// handout: body 0A
/// Starts the thread of one page. It holds its `task` until it has started the threads of the page's links,
/// so the number of tasks is 0 only when no page is left.
fn start(crawl: &Arc<Crawl>, url: Url, task: WaitGroup) {
    let crawl = Arc::clone(crawl);
    thread::spawn_named("page", move || {
        // Without the lock: the other threads go on while this one waits for the network.
        let result = crawl.fetcher.fetch(&url);
        for link in crawl.claim_links(url, result) {
            start(&crawl, link, task.clone());
        }
        drop(task);
    });
}

impl Crawl {
    // handout: body 0A
    /// Notes the result of a fetch and returns those of its links that the caller must fetch.
    ///
    /// Test and mark are one step under the lock. If a thread tested under the lock, gave it up and marked
    /// later, two threads could both find the page unmarked, and both would fetch it.
    fn claim_links(&self, url: Url, result: Result<Vec<Url>, FetchError>) -> Vec<Url> {
        let visited = &mut *self.visited.lock();
        let links = visited.report.add(url, result);
        links.into_iter().filter(|link| visited.urls.insert(link.clone())).collect()
    }
}
