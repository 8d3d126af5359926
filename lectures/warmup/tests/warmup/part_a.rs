//! Part 0A: the crawlers.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use labrt::channel::Sender;
use labrt::sync::Arc;
use labrt::time::Duration;
use tester::{Test, run};
use warmup::crawler::{FetchError, Fetcher, Found, Url, channel_with_limit, worker};

use crate::schedules::{in_all_seeds, simulate, unless_unwritten};
use crate::site::{CONCURRENT, CRAWLERS, ROOT, Site};

const LATENCY: Duration = Duration::from_millis(10);

/// Fails the test unless a crawl took this long. Only an ordinary run shows it exactly: elsewhere computing
/// takes time, too.
fn expect_time(t: &Test, name: &str, took: Duration, expected: Duration) {
    let is_right = if t.is_ordinary() { took == expected } else { took >= expected };
    t.expect(is_right, || format!("expected {name} to take {expected:?}, but it took {took:?} (A3)"));
}

/// Five pages that link in circles, and a link to a page that is not there.
#[test]
fn crawler_small_example() {
    run("crawler_small_example", |t: &Test| {
        let site = Site::new(LATENCY)
            .page(ROOT, ["packages", "commands"])
            .page("packages", [ROOT, "commands", "fmt", "os"])
            .page("fmt", [ROOT, "packages"])
            .page("os", [ROOT, "packages"]);
        let mut first: Option<BTreeSet<String>> = None;
        for (name, crawler) in CRAWLERS {
            t.scene(format!("{name} crawls four pages and a link to a page that is not there."));
            let report = site.crawl(name, crawler).report;
            let errors = vec![("commands".to_owned(), FetchError::NotFound)];
            t.expect(report.errors == errors, || {
                format!("expected the errors {errors:?} of {name}, but they are {:?}", report.errors)
            });
            let visited: BTreeSet<String> = report.visited().into_iter().map(str::to_owned).collect();
            let expected = first.get_or_insert_with(|| visited.clone());
            t.expect(*expected == visited, || format!("serial visited {expected:?}, and {name} {visited:?}"));
        }
    });
}

/// A page that links to itself a hundred times.
#[test]
fn crawler_self_loop() {
    run("crawler_self_loop", |t: &Test| {
        let site = Site::new(LATENCY).page(ROOT, vec![ROOT; 100]);
        for (name, crawler) in CRAWLERS {
            t.scene(format!("{name} crawls a page that links to itself a hundred times."));
            expect_time(t, name, site.crawl(name, crawler).took, LATENCY);
        }
    });
}

/// Two hundred pages link to the same two hundred pages. A crawler that marks a page in another step than it
/// tests it fetches some of them more than once.
#[test]
fn crawler_diamond_once() {
    run("crawler_diamond_once", |t: &Test| {
        const WIDTH: usize = 200;
        let names = |kind: &str| (0..WIDTH).map(|page| format!("{kind}-{page}")).collect::<Vec<_>>();
        let (parents, children) = (names("parent"), names("child"));
        let site = Site::new(LATENCY).page(ROOT, parents.clone());
        let site = parents.into_iter().fold(site, |site, parent| site.page(parent, children.clone()));
        let site = children.into_iter().fold(site, |site, child| site.page(child, [ROOT]));
        for (name, crawler) in CRAWLERS {
            t.scene(format!("{name}: {WIDTH} parents find the same {WIDTH} children at the same time."));
            let fetched = site.crawl(name, crawler).report.fetched.len();
            t.expect(fetched == 2 * WIDTH + 1, || {
                format!("expected {} fetches, but {name} made {fetched}", 2 * WIDTH + 1)
            });
        }
    });
}

/// A chain of ten thousand pages: a crawler that calls itself for each page needs as many frames of stack.
#[test]
fn crawler_deep_chain() {
    run("crawler_deep_chain", |t: &Test| {
        const PAGES: usize = 10_000;
        let latency = Duration::from_micros(100);
        let name = |page: usize| if page == 0 { ROOT.to_owned() } else { format!("page-{page}") };
        let site = (0..PAGES).fold(Site::new(latency), |site, page| {
            let next = (page + 1 < PAGES).then(|| name(page + 1));
            site.page(name(page), next)
        });
        for (name, crawler) in CRAWLERS {
            t.scene(format!("{name} crawls a chain of {PAGES} pages."));
            expect_time(t, name, site.crawl(name, crawler).took, latency * PAGES as u32);
        }
    });
}

/// A page with a thousand links: fetched one after the other, or all at once.
#[test]
fn crawler_wide_fanout() {
    run("crawler_wide_fanout", |t: &Test| {
        const LINKS: u32 = 1_000;
        let links: Vec<Url> = (0..LINKS).map(|page| format!("page-{page}")).collect();
        let none: [Url; 0] = [];
        let site = links.iter().fold(Site::new(LATENCY), |site, link| site.page(link.clone(), none.clone()));
        let site = site.page(ROOT, links);
        for (name, crawler) in CRAWLERS {
            t.scene(format!("{name} crawls a page with {LINKS} links."));
            let levels = if name == "serial" { LINKS + 1 } else { 2 };
            expect_time(t, name, site.crawl(name, crawler).took, LATENCY * levels);
        }
    });
}

/// Half of the pages fail. A failure counts as a visit: the page is not tried again.
#[test]
fn crawler_error_not_retried() {
    run("crawler_error_not_retried", |t: &Test| {
        const PAGES: usize = 40;
        let links: Vec<Url> = (0..PAGES).map(|page| format!("page-{page}")).collect();
        let mut site = Site::new(LATENCY).page(ROOT, links.clone());
        for (number, link) in links.iter().enumerate() {
            site = if number % 2 == 0 {
                site.broken(link.clone())
            } else {
                site.page(link.clone(), links.clone())
            };
        }
        for (name, crawler) in CRAWLERS {
            t.scene(format!("{name} crawls {PAGES} pages, half of which fail; the others link to all."));
            let errors = site.crawl(name, crawler).report.errors.len();
            t.expect(errors == PAGES / 2, || {
                format!("expected {} errors, but {name} reports {errors}", PAGES / 2)
            });
        }
    });
}

/// One page takes a hundred times as long as the others, which do not wait for it.
#[test]
fn crawler_slow_page() {
    run("crawler_slow_page", |t: &Test| {
        let slow = LATENCY * 100;
        let site = Site::new(LATENCY)
            .page(ROOT, ["slow", "a"])
            .page("slow", ["behind"])
            .page("a", ["b"])
            .page("b", ["c"])
            .page("c", [ROOT])
            .page("behind", [ROOT])
            .slow("slow", slow);
        for (name, crawler) in CONCURRENT {
            t.scene(format!("{name} crawls a site with one slow page."));
            let crawled = site.crawl(name, crawler);
            for (url, level) in [("a", 2), ("b", 3), ("c", 4)] {
                expect_time(t, &format!("{url}, crawled by {name},"), crawled.ended[url], LATENCY * level);
                t.expect(crawled.ended[url] < slow, || format!("{name} let {url} wait for the slow page"));
            }
            expect_time(t, name, crawled.took, LATENCY + slow + LATENCY);
        }
    });
}

/// Dense random sites under 500 schedules in which threads lose their turns at every other point.
#[test]
fn crawler_race_hammer() {
    run("crawler_race_hammer", |t: &Test| {
        const SCHEDULES: u64 = 500;
        t.scene(format!("Dense sites are crawled under {SCHEDULES} schedules."));
        in_all_seeds(t, SCHEDULES, || {
            let site = Site::random(Duration::from_millis(1), 12, 6);
            for (name, crawler) in CONCURRENT {
                site.crawl(name, crawler);
            }
        });
    });
}

/// A worker returns its links after all others have returned none. The queue was empty long before.
#[test]
fn crawler_channel_no_early_exit() {
    run("crawler_channel_no_early_exit", |t: &Test| {
        let none: [Url; 0] = [];
        let site = Site::new(LATENCY)
            .page(ROOT, ["early-1", "early-2", "late"])
            .page("early-1", none.clone())
            .broken("early-2")
            .page("late", ["later"])
            .page("later", ["last"])
            .page("last", none)
            .slow("late", LATENCY * 20);
        for (name, crawler) in CRAWLERS {
            t.scene(format!("{name}: two pages lead nowhere; a third one takes longer and has a link."));
            let fetched = site.crawl(name, crawler).report.fetched;
            t.expect(fetched.iter().any(|url| url == "last"), || {
                format!("{name} did not follow the links that came late: {fetched:?}")
            });
        }
        // A4, by its type: a worker gets a page, the fetcher and the sender, and cannot see the visited set.
        let _: fn(Url, Arc<dyn Fetcher>, Sender<Found>) = worker;
    });
}

/// No thread holds a lock while it waits for a page.
#[test]
fn crawler_lock_not_held_in_fetch() {
    run("crawler_lock_not_held_in_fetch", |t: &Test| {
        for (name, crawler) in CONCURRENT {
            t.scene(format!("{name} crawls, and each fetch looks whether its thread holds a lock."));
            let seed = labrt::rand::random();
            let outcome = simulate(labrt::Config::simulated(seed), move || {
                let site = Site::random(LATENCY, 60, 4);
                (site.crawl(name, crawler).most_at_once, site.depth() as usize)
            });
            // The runtime knows the locks of the thread that blocks, whatever they protect.
            if let Some(warning) = outcome.warnings.first() {
                t.fail(format!("{name} holds a lock during a fetch: {warning}"));
            }
            match outcome.result {
                Ok((most_at_once, depth)) => {
                    // On some level there are several pages: 60 pages are more than levels.
                    t.expect(depth == 60 || most_at_once > 1, || {
                        format!("{name} fetches one page at a time")
                    });
                }
                Err(failure) => t.fail(unless_unwritten(failure)),
            }
        }
    });
}

/// A crawl with a limit: twelve pages behind the root, and three fetches at the same time.
#[test]
fn crawler_with_limit() {
    run("crawler_with_limit", |t: &Test| {
        const LIMIT: NonZeroUsize = NonZeroUsize::new(3).expect("it is not 0");
        let pages = || (0..12).map(|page| format!("page-{page}"));
        let site = pages().fold(Site::new(LATENCY).page(ROOT, pages()), |site, page| site.page(page, [ROOT]));
        t.scene("channel crawls thirteen pages with a limit of three fetches.");
        let crawled = site.crawl("channel", |root, fetcher| channel_with_limit(root, fetcher, LIMIT));
        let most = crawled.most_at_once;
        t.expect(most <= LIMIT.get(), || format!("{most} fetches at the same time, with a limit of {LIMIT}"));
        // The root, and then three pages at a time.
        expect_time(t, "channel with a limit", crawled.took, LATENCY * 5);
    });
}
