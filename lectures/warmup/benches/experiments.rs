//! Experiments E02 to E04: RPC semantics under loss, the speed-up of concurrent crawlers, and the cost of
//! waiting. `cargo lab bench lectures`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::process::ExitCode;

use labapi::Persister;
use labrpc::{Network, Server};
use labrt::node::Node;
use labrt::quiet;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Duration;
use site::{CRAWLERS, ROOT, Site};
use tester::{Experiment, play, trial};
use warmup::crawler::channel_with_limit;
use warmup::rpc::{Dispatcher, Guarantee, Handler, Mode, Rpc, Stub};
use warmup::threads::{Election, Verdict};
use weather::Weather;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/warmup/site.rs"]
mod site;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/warmup/weather.rs"]
mod weather;

fn main() -> ExitCode {
    play(&[rpc_semantics, crawler_speed_up, waiting_methods])
}

/// Trials of each row, each with a seed of its own.
const SEEDS: u64 = 5;

/// The mean of one figure over all seeds.
fn mean(trial_of: impl Fn(u64) -> f64) -> f64 {
    (1..=SEEDS).map(trial_of).sum::<f64>() / SEEDS as f64
}

/// E02.
const CLIENTS: u64 = 100;
const CALLS: u64 = 200;

/// What 20,000 calls have cost.
#[derive(Clone, Copy, Default)]
struct Cost {
    answered: u64,
    executions: u64,
    sends: u64,
    /// Answered calls that ran once.
    answered_once: u64,
}

/// Counts the executions of each call. Calls carry their numbers.
#[derive(Default)]
struct Count {
    executions: quiet::Mutex<Vec<u64>>,
}

impl Handler for Count {
    fn handle(&self, _method: &str, args: &[u8]) -> Vec<u8> {
        let call = labgob::decode::<u64>(args).expect("calls carry their numbers") as usize;
        let mut executions = self.executions.lock();
        if executions.len() <= call {
            executions.resize(call + 1, 0);
        }
        executions[call] += 1;
        args.to_vec()
    }
}

fn calls_under_loss(seed: u64, weather: Weather, guarantee: Guarantee, mode: Mode) -> Cost {
    trial(seed, move || {
        let network = Network::new();
        let count = Arc::new(Count::default());
        let dispatcher = Dispatcher::start(guarantee, 1, count.clone(), Persister::new());
        network.add_server(0, Server::new(&Node::new("server")).with(dispatcher.into_service()));
        let stub = |client: u64| {
            let link = format!("client-{client}");
            let end = network.make_end(link.as_str());
            network.connect(link.as_str(), 0);
            network.enable(link.as_str(), true);
            Stub::new(end, client, mode, 1)
        };
        let stubs: Vec<Stub> = (0..CLIENTS).map(stub).collect();
        // In good weather the clients learn the server's incarnation.
        for (client, stub) in stubs.iter().enumerate() {
            let first = CLIENTS * CALLS + client as u64;
            stub.call("count", labgob::encode(&first)).expect("nothing is lost yet");
        }
        let before = network.total_count();
        weather.over(&network);
        let clients = stubs.into_iter().enumerate().map(|(client, stub)| {
            thread::spawn(move || {
                let calls = (0..CALLS).map(|call| client as u64 * CALLS + call);
                calls.filter(|call| stub.call("count", labgob::encode(call)).is_ok()).collect::<Vec<_>>()
            })
        });
        let clients: Vec<_> = clients.collect();
        let answered: Vec<u64> =
            clients.into_iter().flat_map(|client| client.join().expect("no client crashes")).collect();
        let executions = count.executions.lock();
        let of_call = |call: u64| executions.get(call as usize).copied().unwrap_or(0);
        Cost {
            answered: answered.len() as u64,
            executions: (0..CLIENTS * CALLS).map(of_call).sum(),
            sends: network.total_count() - before,
            answered_once: answered.iter().filter(|&&call| of_call(call) == 1).count() as u64,
        }
    })
}

/// Shares and costs of 20,000 calls, for three pairs of losses.
fn rpc_semantics() -> Experiment {
    let columns = ["mode", "q", "r", "figure", "formula", "expected", "ours"];
    let mut table = Experiment::new("E02", "RPC semantics under loss, 20,000 calls, 5 seeds", &columns);
    let attempts = NonZeroU32::new(3).expect("it is not 0");
    let all = (CLIENTS * CALLS) as f64;
    for (q, r) in [(0.1, 0.1), (0.3, 0.1), (0.1, 0.3)] {
        let weather = Weather { request_loss: q, reply_loss: r, ..Weather::default() };
        let cost = |guarantee, mode| move |seed| calls_under_loss(seed, weather, guarantee, mode);
        let best_effort = cost(Guarantee::Nothing, Mode::BestEffort);
        let at_least_once = cost(Guarantee::Nothing, Mode::AtLeastOnce);
        let at_most_once = cost(Guarantee::AtMostOnce, Mode::AtMostOnce { attempts });
        let answered = (1.0 - q) * (1.0 - r);
        let mut row = |mode: &str, figure: &str, formula: &str, expected: f64, ours: f64| {
            let cells = [mode, &q.to_string(), &r.to_string(), figure, formula].map(str::to_owned);
            let [mode_cell, q, r, figure_cell, formula] = cells;
            let numbers = [format!("{expected:.4}"), format!("{ours:.4}")];
            let what = format!("{mode}, q = {q}, r = {r}, {figure}");
            let [expected_cell, ours_cell] = numbers;
            table.row([mode_cell, q, r, figure_cell, formula, expected_cell, ours_cell]);
            table.within(&what, ours, expected, 0.02);
        };
        let share = mean(|seed| best_effort(seed).answered as f64 / all);
        row("best effort", "answered", "(1-q)(1-r)", answered, share);
        let executions = mean(|seed| at_least_once(seed).executions as f64 / all);
        row("at least once", "executions a call", "1/(1-r)", 1.0 / (1.0 - r), executions);
        let sends = mean(|seed| at_least_once(seed).sends as f64 / all);
        row("at least once", "sends a call", "1/((1-q)(1-r))", 1.0 / answered, sends);
        let once = |cost: Cost| cost.answered_once as f64 / cost.answered as f64;
        let once = mean(|seed| once(at_most_once(seed)));
        row("at most once", "answered calls that ran once", "1", 1.0, once);
        table.accept(once == 1.0, format!("at most once, q = {q}, r = {r}: no answered call ran twice"));
    }
    table
}

/// Ten-millisecond pages: a random site, and a complete tree with a limit of fetches at the same time.
fn crawler_speed_up() -> Experiment {
    const PAGE: Duration = Duration::from_millis(10);
    let columns = ["site", "crawler", "limit", "expected s", "ours s"];
    let mut table = Experiment::new("E03", "crawler speed-up, 10 ms a page, 5 seeds", &columns);
    for (name, crawler) in CRAWLERS {
        let of_seed = |seed| {
            trial(seed, move || {
                let site = Site::random(PAGE, 1_000, 2);
                let levels = if name == "serial" { 1_000 } else { site.depth() };
                (f64::from(levels) * PAGE.as_secs_f64(), site.crawl(name, crawler).took.as_secs_f64())
            })
        };
        let expected = mean(|seed| of_seed(seed).0);
        let ours = mean(|seed| of_seed(seed).1);
        let cells = ["random, 1,000 pages", name, "none"].map(str::to_owned);
        let [site, crawler, limit] = cells;
        table.row([site, crawler, limit, format!("{expected:.3}"), format!("{ours:.3}")]);
        let formula = if name == "serial" { "pages × 10 ms" } else { "levels × 10 ms" };
        table.within(&format!("random site, {name}, {formula}"), ours, expected, 0.05);
    }
    for limit in [1, 5, 10, 50, 100, 2_000] {
        const PAGES: u32 = 1_111;
        const LEVELS: u32 = 4;
        let limit_of_crawl = NonZeroUsize::new(limit).expect("the limits are not 0");
        let took = trial(1, move || {
            let crawler = |root: &str, fetcher: &_| channel_with_limit(root, fetcher, limit_of_crawl);
            let crawled = tree(PAGE).crawl("channel", crawler);
            assert!(crawled.most_at_once <= limit, "{} fetches at once", crawled.most_at_once);
            crawled.took
        });
        let fetches = f64::from(LEVELS).max(f64::from(PAGES) / limit as f64);
        let (expected, ours) = (fetches * PAGE.as_secs_f64(), took.as_secs_f64());
        let cells = ["10-ary tree, 1,111 pages", "channel", &limit.to_string()].map(str::to_owned);
        let [site, crawler, limit] = cells;
        let holds = (ours - expected).abs() <= 2.0 * PAGE.as_secs_f64();
        table.accept(
            holds,
            format!("tree, limit {limit}: {ours:.3} s, within two fetches of {expected:.3} s"),
        );
        table.row([site, crawler, limit, format!("{expected:.3}"), format!("{ours:.3}")]);
    }
    table
}

/// The complete tree with four levels in which each page has ten links.
fn tree(latency: Duration) -> Site {
    let name = |path: &str, child: u32| format!("{path}-{child}");
    let (mut site, mut level) = (Site::new(latency), vec![ROOT.to_owned()]);
    for depth in 1..=4 {
        let links = |page: &str| (0..if depth < 4 { 10 } else { 0 }).map(|child| name(page, child)).collect();
        let with_links: Vec<(String, Vec<String>)> =
            level.into_iter().map(|page| (page.clone(), links(&page))).collect();
        level = with_links.iter().flat_map(|(_, links)| links.clone()).collect();
        site = with_links.into_iter().fold(site, |site, (page, links)| site.page(page, links));
    }
    site
}

/// Ten voters answer within a second; the waiting thread needs all of them.
fn waiting_methods() -> Experiment {
    let polling = |election: &Election| election.wait_polling(Duration::from_millis(50));
    let ways: [(&str, fn(&Election) -> Verdict); 3] = [
        ("condition variable", Election::wait),
        ("polling every 50 ms", polling),
        ("spinning", Election::wait_spinning),
    ];
    let columns = ["waiting by", "criterion", "wake-ups a second", "wake-ups"];
    let mut table = Experiment::new("E04", "waiting for ten votes, 5 seeds", &columns);
    let mut measured = Vec::new();
    for (name, wait) in ways {
        let of_seed = |seed| trial(seed, move || wait_for_votes(wait));
        measured.push((name, mean(|seed| of_seed(seed).0), mean(|seed| of_seed(seed).0 / of_seed(seed).1)));
    }
    let criteria = ["at most 11", "about 20 a second", "at least 100 times the first"];
    for ((name, wake_ups, rate), criterion) in measured.iter().zip(criteria) {
        let cells =
            [(*name).to_owned(), criterion.to_owned(), format!("{rate:.1}"), format!("{wake_ups:.1}")];
        table.row(cells);
    }
    let [(_, waited, _), (_, _, polled), (_, spun, _)] = measured[..] else { unreachable!("three ways") };
    table.accept(waited <= 11.0, format!("condition variable: {waited:.1} wake-ups, at most 11"));
    table.within("polling: wake-ups a second", polled, 20.0, 0.1);
    table.accept(spun >= 100.0 * waited, format!("spinning: {spun:.0} wake-ups, at least 100 × {waited:.1}"));
    table
}

/// The wake-ups of one vote, and how many seconds it took.
fn wait_for_votes(wait: fn(&Election) -> Verdict) -> (f64, f64) {
    const VOTERS: usize = 10;
    let election = Arc::new(Election::new(VOTERS, VOTERS));
    let began = labrt::time::Instant::now();
    for _ in 0..VOTERS {
        let (election, after) = (Arc::clone(&election), Duration::from_micros(random_range(0..1_000_000)));
        thread::spawn(move || {
            thread::sleep(after);
            election.vote(true);
        });
    }
    let verdict = wait(&election);
    (verdict.wake_ups as f64, began.elapsed().as_secs_f64())
}
