// handout: file never
//! Jobs of the MapReduce lab on this store: input, intermediate files and output are in chunks.

use std::collections::BTreeMap;

use gfs_client::GfsStore;
use labrpc::Server;
use labrt::node::Node;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::{Duration, Instant};
use mapreduce::app::Application;
use mapreduce::apps::indexer::Indexer;
use mapreduce::apps::wc::WordCount;
use mapreduce::rpc::{CoordinatorClient, CoordinatorRpc, Job, WorkerClient};
use mapreduce::split::{Input, split_inputs};
use mapreduce::state::Rules;
use mapreduce::store::{Store, StoreErrorKind};
use mapreduce::task::PlainTasks;
use mapreduce::worker::{Network, Setup as WorkerSetup};
use mapreduce::{Coordinator, Worker, names, sequential};
use tester::Test;

use crate::cluster::{Cluster, Setup, ms, play};

const REDUCES: usize = 3;

/// How a worker reaches the coordinator.
struct ToCoordinator(CoordinatorClient);

impl Network for ToCoordinator {
    fn coordinator(&self) -> CoordinatorClient {
        self.0.timeout(Duration::from_secs(1))
    }

    fn worker(&self, _: &str) -> Option<WorkerClient> {
        None
    }
}

/// Words of many lines, some of which cross the borders of chunks.
fn prose(seed: usize, length: usize) -> Vec<u8> {
    let words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "again"];
    let line = |number: usize| {
        let word = |at: usize| words[(seed + number * 7 + at * at * 3) % words.len()];
        (0..8).map(|at| format!("{} ", word(at))).collect::<String>() + "\n"
    };
    (0..).flat_map(|number| line(number).into_bytes()).take(length).collect()
}

fn store(cluster: &Cluster) -> GfsStore {
    GfsStore::new(cluster.client().into_client(), "/job/")
}

/// A worker on a machine of its own.
fn start_worker(cluster: &Cluster, number: u64, application: &Arc<dyn Application>) -> Node {
    let node = Node::new(format!("worker-{number}"));
    let (end, caller) = cluster.net.make_end(&"coordinator".into());
    cluster.net.network().enable(end, true);
    let (shared, application) = (Arc::new(store(cluster)), application.clone());
    node.enter(|| {
        let worker = Worker::new(WorkerSetup {
            worker: number,
            host: format!("worker-{number}"),
            network: Box::new(ToCoordinator(CoordinatorClient::new(caller))),
            shared: shared.clone(),
            local: shared,
            applications: Box::new(move |_| Ok(application.clone())),
            tasks: Arc::new(PlainTasks),
            memory: 1 << 20,
            patience: Duration::from_secs(60),
            retry: ms(100),
        });
        thread::spawn_named("work_loop", move || worker.run());
    });
    node
}

/// The output of a job, sorted, as the sequential run has it.
fn output(store: &GfsStore) -> String {
    let mut lines = BTreeMap::new();
    for partition in 0..REDUCES {
        let mut file = store.open(&names::output(partition)).expect("the output is there");
        let mut bytes = vec![0; file.length() as usize];
        assert_eq!(file.read_at(0, &mut bytes), Ok(bytes.len()));
        let text = String::from_utf8(bytes).expect("lines of text");
        lines.extend(text.lines().map(|line| {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            (key.to_owned(), value.to_owned())
        }));
    }
    lines.iter().map(|(key, value)| format!("{key} {value}\n")).collect()
}

/// Runs a job, while `trouble` goes on.
fn run(t: &Test, cluster: &Cluster, application: impl Application, trouble: impl Fn(&[Node])) {
    let application: Arc<dyn Application> = Arc::new(application);
    let (store, chunk) = (store(cluster), cluster.setup.settings.chunk);
    let files: Vec<String> = (0..3).map(|file| format!("input-{file}")).collect();
    for (seed, name) in files.iter().enumerate() {
        let mut file = store.create(name).expect("a new file");
        file.write(&prose(seed, chunk / 2 * (seed + 1))).expect("a write");
        file.finish().expect("it is there");
    }
    let splits =
        split_inputs(&store, &files, application.records(), (chunk / 3) as u64).expect("the input is there");
    let inputs: Vec<Input> = splits.into_iter().map(|split| Input { split, hosts: Vec::new() }).collect();
    t.note(format!("a job of {} maps and {REDUCES} reduces", inputs.len()));
    let job = Job {
        id: 1,
        application: application.name().to_owned(),
        parameters: Vec::new(),
        reduces: REDUCES,
        local_disks: false,
        report_every_ms: 500,
    };
    let rules = Rules { timeout: Duration::from_secs(10), ..Rules::default() };
    let node = Node::new("coordinator");
    let coordinator = node.enter(|| Coordinator::new(job, inputs, rules));
    let service = coordinator.clone().into_service();
    cluster.net.network().add_server("coordinator", Server::new(&node).with(service));
    let mut workers: Vec<Node> = (1..=3).map(|number| start_worker(cluster, number, &application)).collect();
    trouble(&workers);
    workers.push(start_worker(cluster, 4, &application));
    let started = Instant::now();
    let waiting = coordinator.clone();
    let summary = node.spawn("waits", move || waiting.wait()).join().expect("it does not panic");
    assert_eq!(summary.failure, None);
    t.note(format!("the job is finished after {:?}", started.elapsed()));
    let expected = sequential::run(&*application, &store, &files).expect("the input is still there");
    t.expect(output(&store) == expected, || "the job's output is not that of the sequential run".to_owned());
    let left = store.list(names::TEMPORARY_PREFIX).expect("a list");
    t.note(format!("{} temporary files of dead attempts are left", left.len()));
    workers.iter().for_each(Node::kill);
    node.kill();
}

/// Word count; meanwhile a worker, two chunkservers and the master die.
#[test]
fn gfs_mapreduce_word_count() {
    play("gfs_mapreduce_word_count", Setup::servers(5), |t, cluster| {
        run(t, cluster, WordCount, |workers| {
            thread::sleep(ms(400));
            t.scene("A worker and a chunkserver die.");
            workers[0].kill();
            cluster.crash_server(1);
            thread::sleep(ms(1500));
            t.scene("The master restarts. Another chunkserver dies, the first one is back.");
            cluster.restart_master();
            cluster.restart_server(1);
            cluster.crash_server(3);
        });
    });
}

/// An inverted index, without trouble.
#[test]
fn gfs_mapreduce_indexer() {
    play("gfs_mapreduce_indexer", Setup::servers(5), |t, cluster| run(t, cluster, Indexer, |_| {}));
}

/// What MapReduce expects of a store.
#[test]
fn gfs_mapreduce_store() {
    play("gfs_mapreduce_store", Setup::servers(3), |_, cluster| {
        let store = store(cluster);
        let missing = store.open("x").err().map(|error| error.kind);
        assert_eq!(missing, Some(StoreErrorKind::NotFound));
        assert_eq!(store.rename("x", "y").map_err(|error| error.kind), Err(StoreErrorKind::NotFound));
        assert_eq!(store.delete("x"), Ok(()), "no error");
        assert_eq!(store.open("a//b").err().map(|error| error.kind), Some(StoreErrorKind::NotAFile));
        let write = |name: &str, bytes: &[u8]| {
            let mut file = store.create(name).expect("a new file");
            bytes.chunks(7).for_each(|piece| file.write(piece).expect("a write"));
            file.finish().expect("it is there");
        };
        write("a", b"the first contents");
        write("a", b"others");
        write("b", b"");
        store.rename("a", "b").expect("in place of the other one");
        assert_eq!(store.list(""), Ok(vec!["b".to_owned()]));
        let mut file = store.open("b").expect("it is there");
        let mut bytes = [0; 20];
        assert_eq!((file.length(), file.read_at(2, &mut bytes)), (6, Ok(4)));
        assert_eq!(&bytes[..4], b"hers");
        assert_eq!(file.version().map(|version| version.length), Ok(6));
    });
}
