//! A web site for crawlers, which watches them. A page that is fetched twice, one that nothing links to, or a
//! fetch after the crawl has returned fails the run at that moment.

use std::collections::{BTreeMap, BTreeSet};

use labrt::quiet::Mutex;
use labrt::rand::random_range;
use labrt::runtime;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use warmup::crawler::{CrawlReport, FetchError, Fetcher, Url};

/// A crawler of the lab.
pub(crate) type Crawler = fn(&str, &Arc<dyn Fetcher>) -> CrawlReport;

/// All crawlers of the lab.
pub(crate) const CRAWLERS: [(&str, Crawler); 3] = [
    ("serial", warmup::crawler::serial),
    ("mutex", warmup::crawler::mutex),
    ("channel", warmup::crawler::channel),
];

/// The crawlers that fetch several pages at the same time.
pub(crate) const CONCURRENT: [(&str, Crawler); 2] = [CRAWLERS[1], CRAWLERS[2]];

/// The page that crawls begin with.
pub(crate) const ROOT: &str = "root";

/// Pages, and how long each takes.
#[derive(Clone, Default)]
pub(crate) struct Site {
    pages: BTreeMap<Url, Page>,
    latency: Duration,
}

#[derive(Clone, Default)]
struct Page {
    links: Vec<Url>,
    error: Option<FetchError>,
    /// If it is not the site's.
    latency: Option<Duration>,
}

/// A crawl of a site that has ended.
pub(crate) struct Crawled {
    pub(crate) report: CrawlReport,
    pub(crate) took: Duration,
    /// When each fetch ended, since the crawl began.
    pub(crate) ended: BTreeMap<Url, Duration>,
    /// The most fetches at the same time.
    pub(crate) most_at_once: usize,
}

impl Site {
    /// An empty site whose pages take this long.
    pub(crate) fn new(latency: Duration) -> Site {
        Site { pages: BTreeMap::new(), latency }
    }

    /// With one more page.
    pub(crate) fn page<L: Into<Url>>(
        mut self,
        url: impl Into<Url>,
        links: impl IntoIterator<Item = L>,
    ) -> Site {
        let links = links.into_iter().map(Into::into).collect();
        self.pages.insert(url.into(), Page { links, ..Page::default() });
        self
    }

    /// With a page that cannot be fetched.
    pub(crate) fn broken(mut self, url: impl Into<Url>) -> Site {
        self.pages.insert(url.into(), Page { error: Some(FetchError::NoAnswer), ..Page::default() });
        self
    }

    /// With another latency for a page that is there.
    pub(crate) fn slow(mut self, url: &str, latency: Duration) -> Site {
        let page = self.pages.get_mut(url).expect("the test has added the page");
        page.latency = Some(latency);
        self
    }

    /// So many pages: a random tree, so that all are reachable, and `more` random links on each page.
    pub(crate) fn random(latency: Duration, pages: usize, more: usize) -> Site {
        let name = |page: usize| if page == 0 { ROOT.to_owned() } else { format!("page-{page}") };
        let mut links: Vec<Vec<Url>> = vec![Vec::new(); pages];
        for page in 1..pages {
            links[random_range(0..page)].push(name(page));
        }
        for of_page in &mut links {
            of_page.extend((0..more).map(|_| name(random_range(0..pages))));
        }
        let pages = links.into_iter().enumerate();
        pages.fold(Site::new(latency), |site, (page, links)| site.page(name(page), links))
    }

    /// The pages that the root leads to, with their level: the root has level 1. A page that is linked to and
    /// not there is one, too.
    pub(crate) fn levels(&self) -> BTreeMap<Url, u32> {
        let mut levels = BTreeMap::from([(ROOT.to_owned(), 1)]);
        let mut last = vec![ROOT.to_owned()];
        for level in 2.. {
            let links = last.iter().filter_map(|url| self.pages.get(url)).flat_map(|page| &page.links);
            let new: BTreeSet<Url> = links.filter(|link| !levels.contains_key(*link)).cloned().collect();
            if new.is_empty() {
                break;
            }
            last = new.iter().cloned().collect();
            levels.extend(new.into_iter().map(|url| (url, level)));
        }
        levels
    }

    /// Number of levels.
    pub(crate) fn depth(&self) -> u32 {
        self.levels().into_values().max().unwrap_or(0)
    }

    /// Lets a crawler loose and checks that it fetches each reachable page once, that it reports what it has
    /// fetched, and that it returns when, and only when, no fetch is under way.
    ///
    /// # Panics
    /// If it does not.
    pub(crate) fn crawl(
        &self,
        name: &str,
        crawler: impl Fn(&str, &Arc<dyn Fetcher>) -> CrawlReport,
    ) -> Crawled {
        let levels = self.levels();
        let seen = Seen { reachable: levels.keys().cloned().collect(), ..Seen::default() };
        let watched = Arc::new(Watched { site: self.clone(), began: Instant::now(), seen: Mutex::new(seen) });
        let fetcher: Arc<dyn Fetcher> = watched.clone();
        let report = crawler(ROOT, &fetcher);
        let took = watched.began.elapsed();
        let seen = {
            let mut seen = watched.seen.lock();
            seen.is_over = true;
            seen.clone()
        };
        assert_eq!(seen.under_way, 0, "{name} returned before its last fetch ended (A2)");
        let missed: Vec<&Url> = seen.reachable.difference(&seen.begun).collect();
        assert!(missed.is_empty(), "{name} returned and never fetched {missed:?} (A1)");
        self.check(name, &report, &seen);
        Crawled { report, took, ended: seen.ended, most_at_once: seen.most_at_once }
    }

    /// The report names each page once, and each error.
    fn check(&self, name: &str, report: &CrawlReport, seen: &Seen) {
        let mut reported: Vec<&str> = report.fetched.iter().map(String::as_str).collect();
        reported.extend(report.errors.iter().map(|(url, _)| url.as_str()));
        reported.sort_unstable();
        let fetched: Vec<&str> = seen.begun.iter().map(String::as_str).collect();
        assert_eq!(reported, fetched, "the report of {name} does not name each page that it fetched once");
        for (url, error) in &report.errors {
            assert_eq!(self.find(url).err(), Some(*error), "the error that {name} reports for {url}");
        }
        let failing = seen.begun.iter().filter(|url| self.find(url).is_err()).count();
        assert_eq!(report.errors.len(), failing, "number of errors that {name} reports");
    }

    fn find(&self, url: &str) -> Result<Vec<Url>, FetchError> {
        let page = self.pages.get(url).ok_or(FetchError::NotFound)?;
        page.error.map_or_else(|| Ok(page.links.clone()), Err)
    }
}

/// The site during one crawl.
struct Watched {
    site: Site,
    began: Instant,
    seen: Mutex<Seen>,
}

#[derive(Clone, Default)]
struct Seen {
    reachable: BTreeSet<Url>,
    begun: BTreeSet<Url>,
    ended: BTreeMap<Url, Duration>,
    under_way: usize,
    most_at_once: usize,
    is_over: bool,
}

impl Fetcher for Watched {
    fn fetch(&self, url: &str) -> Result<Vec<Url>, FetchError> {
        {
            let mut seen = self.seen.lock();
            assert!(!seen.is_over, "{url} is fetched after the crawl has returned (A2)");
            assert!(seen.reachable.contains(url), "{url} is fetched, and no page links to it (A1)");
            assert!(seen.begun.insert(url.to_owned()), "{url} is fetched twice (A1)");
            seen.under_way += 1;
            seen.most_at_once = seen.most_at_once.max(seen.under_way);
        }
        runtime::note(url.len() as u64);
        let latency = self.site.pages.get(url).and_then(|page| page.latency);
        thread::sleep(latency.unwrap_or(self.site.latency));
        let mut seen = self.seen.lock();
        seen.under_way -= 1;
        seen.ended.insert(url.to_owned(), self.began.elapsed());
        drop(seen);
        self.site.find(url)
    }
}
