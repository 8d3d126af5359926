//! The tests' cluster: a master, its shadows, chunkservers, clients, and everything watched.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use gfs::rpc::{ChunkPeer, FindChunk, Handle, Located, MasterError, MasterPeer, Purpose, ReadArgs, ServerId};
use gfs::{ChunkServer, Master, Settings};
use gfs_client::{Client, Error};
use labrpc::ClientEnd;
use labrt::thread;
use labrt::time::Duration;
use tester::{Allowance, Boot, Booted, Group, Net, Test, run_within};

use crate::watch::{Watch, Who};

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What a cluster is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) servers: usize,
    pub(crate) shadows: usize,
    pub(crate) settings: Settings,
    /// Whether crashes may lose what is not synced.
    pub(crate) loses_writes: bool,
}

impl Setup {
    pub(crate) fn servers(servers: usize) -> Setup {
        Setup { servers, shadows: 0, settings: Settings::default(), loses_writes: false }
    }
}

/// A test on a cluster: the body, and then the checks of the end.
pub(crate) fn play(name: &'static str, setup: Setup, body: fn(&Test, &Cluster)) {
    // A slow network lets many operations, one after the other, take long.
    let allowance = Allowance { virtual_time: Duration::from_secs(600), ..Allowance::default() };
    run_within(name, allowance, move |t| {
        let cluster = Cluster::new(t, setup.clone());
        body(t, &cluster);
        cluster.finish();
    });
}

/// What runs on a machine: the master on machine 0, then the chunkservers, then the shadows.
pub(crate) enum Process {
    Master(#[expect(dead_code, reason = "it lives as long as its process")] labrt::sync::Arc<Master>),
    Server(#[expect(dead_code, reason = "it lives as long as its process")] labrt::sync::Arc<ChunkServer>),
}

#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) test: Test,
    pub(crate) group: Group<Process>,
    pub(crate) watch: Watch,
    pub(crate) net: Net,
    pub(crate) setup: Setup,
}

/// A client.
pub(crate) struct User {
    client: Client,
}

impl Deref for User {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for User {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl User {
    /// The client alone, for a thread of its own.
    pub(crate) fn into_client(self) -> Client {
        self.client
    }
}

impl Cluster {
    pub(crate) fn new(test: &Test, setup: Setup) -> Cluster {
        let net = Net::as_drawn(test);
        let watch = Watch::new(test, &setup.settings);
        let machines = 1 + setup.servers + setup.shadows;
        let group = Group::new(test, &net, "gfs", machines, boot(&setup, &watch));
        if setup.loses_writes {
            group.lose_unsynced_writes();
        }
        group.start_all();
        group.pause_as_drawn();
        let cluster = Cluster { test: test.clone(), group, watch, net, setup };
        let slack = if test.is_ordinary() { 200 } else { 2000 };
        thread::sleep(cluster.setup.settings.heartbeat + ms(slack));
        cluster
    }

    /// A client that is nearest to this chunkserver, or equally far from all.
    pub(crate) fn client_at(&self, place: Option<ServerId>) -> User {
        self.client_with(place, self.setup.settings.clone())
    }

    pub(crate) fn client(&self) -> User {
        self.client_at(None)
    }

    /// A client with settings of its own.
    pub(crate) fn client_with(&self, place: Option<ServerId>, settings: Settings) -> User {
        let shadows = (0..self.setup.shadows).map(|shadow| 1 + self.setup.servers + shadow);
        let masters = std::iter::once(0).chain(shadows).map(|machine| self.open(machine)).collect();
        let servers = (1..=self.setup.servers).map(|machine| self.open(machine)).collect();
        User { client: Client::new(masters, servers, place, settings) }
    }

    fn open(&self, machine: usize) -> ClientEnd {
        let (number, end) = self.net.make_end(self.group.name(machine));
        self.net.network().enable(number, true);
        end
    }

    /// A chunkserver, for messages that a test makes itself.
    pub(crate) fn server(&self, server: ServerId) -> ChunkPeer {
        ChunkPeer::new(self.open(machine(server)))
    }

    /// The master, for messages that a test makes itself.
    pub(crate) fn master(&self) -> MasterPeer {
        MasterPeer::new(self.open(0))
    }

    pub(crate) fn shadow(&self) -> MasterPeer {
        MasterPeer::new(self.open(1 + self.setup.servers))
    }

    /// Asks the master where a chunk is, once it says so.
    #[track_caller]
    pub(crate) fn locate(&self, path: &str, index: u64, purpose: Purpose) -> Located {
        let (master, path) = (self.master(), path.to_owned());
        let what = format!("the master finds chunk {index} of {path}");
        self.wait_for(20_000, &what, || {
            let question = FindChunk { path: path.clone(), index: Some(index), purpose };
            master.find_chunk(&question).ok()?.ok()
        })
    }

    /// Where a chunk is, and then how its lease stands: by a question for writing.
    pub(crate) fn lease(&self, path: &str, index: u64) -> Located {
        self.locate(path, index, Purpose::Write)
    }

    /// The servers that do not hold this chunk.
    pub(crate) fn without(&self, located: &Located) -> Vec<ServerId> {
        (0..self.setup.servers).filter(|server| !located.replicas.contains(server)).collect()
    }

    pub(crate) fn crash_server(&self, server: ServerId) {
        self.watch.crashes(server);
        self.group.crash(machine(server));
    }

    pub(crate) fn restart_server(&self, server: ServerId) {
        self.watch.crashes(server);
        self.group.restart(machine(server));
        self.group.connect(machine(server));
    }

    pub(crate) fn restart_master(&self) {
        self.group.restart(0);
        self.group.connect(0);
    }

    /// Cuts or mends the link between the master and a chunkserver, both ways.
    pub(crate) fn set_link(&self, server: ServerId, is_open: bool) {
        let verb = if is_open { "mended" } else { "cut" };
        self.test.note(format!("the link between the master and server {server} is {verb}"));
        for (from, to) in [(0, machine(server)), (machine(server), 0)] {
            self.net.network().enable(self.group.link(from, to), is_open);
        }
    }

    /// Flips a bit in the middle of these bytes, wherever they stand on the disk of a server. There may be
    /// more than one such place: a solution may write to a journal first.
    #[track_caller]
    pub(crate) fn flip(&self, server: ServerId, bytes: &[u8]) {
        let disk = self.group.persister(machine(server));
        let mut found = Vec::new();
        for name in disk.file_names() {
            let file = disk.read_file(&name, 0, usize::MAX).unwrap_or_default();
            let places = file.windows(bytes.len()).enumerate().filter(|(_, window)| *window == bytes);
            found.extend(places.map(|(at, _)| (name.clone(), at + bytes.len() / 2)));
        }
        let shown = String::from_utf8_lossy(bytes);
        assert!(!found.is_empty(), "no file on the disk of server {server} holds the bytes {shown:?}");
        self.test.note(format!("a bit flips on the disk of server {server}"));
        for (name, at) in found {
            assert!(disk.flip(&name, at, 0x10), "there is such a byte");
        }
    }

    /// A machine that is down loses its disk, and gets a copy of another one's.
    pub(crate) fn replace_disk(&self, machine: usize, other: usize) {
        let (disk, copy) = (self.group.persister(machine), self.group.persister(other));
        disk.file_names().iter().for_each(|name| disk.delete_file(name));
        for name in copy.file_names() {
            disk.write_file(&name, 0, &copy.read_file(&name, 0, usize::MAX).unwrap_or_default());
        }
        disk.save(&copy.state(), Some(&copy.snapshot()));
    }

    /// Waits until something holds, for so many milliseconds.
    #[track_caller]
    pub(crate) fn wait(&self, ms: u64, what: &str, is_so: impl Fn() -> bool) {
        self.wait_for(ms, what, || is_so().then_some(()));
    }

    #[track_caller]
    pub(crate) fn wait_for<T>(&self, ms: u64, what: &str, find: impl Fn() -> Option<T>) -> T {
        self.test.wait_for(Duration::from_millis(ms), what, find)
    }

    /// All chunks of all files that are not deleted, by name and index.
    pub(crate) fn chunks(&self) -> BTreeMap<(String, u64), Located> {
        let master = self.master();
        let names = self.wait_for(20_000, "the master lists its files", || master.list(&"/".to_owned()).ok());
        let mut chunks = BTreeMap::new();
        for path in names {
            for index in 0.. {
                let question = FindChunk { path: path.clone(), index: Some(index), purpose: Purpose::Read };
                let find = || match master.find_chunk(&question).ok()? {
                    Ok(located) => Some(Some(located)),
                    Err(MasterError::NoChunk | MasterError::NoFile) => Some(None),
                    Err(_) => None,
                };
                let found = self.wait_for(30_000, &format!("chunk {index} of {path} is available"), find);
                let Some(located) = found else { break };
                chunks.insert((path.clone(), index), located);
            }
        }
        chunks
    }

    /// Waits until each chunk is on as many servers as it should be (invariant 8).
    #[track_caller]
    pub(crate) fn wait_for_replicas(&self, ms: u64) {
        let goal = self.setup.settings.replicas.min(self.alive());
        self.wait(ms, &format!("each chunk has {goal} replicas"), || {
            // The master may not have noticed a crash yet.
            let lives = |server: &&ServerId| self.group.is_alive(machine(**server));
            self.chunks().values().all(|located| located.replicas.iter().filter(lives).count() >= goal)
        });
    }

    fn alive(&self) -> usize {
        (1..=self.setup.servers).filter(|&machine| self.group.is_alive(machine)).count()
    }

    /// Every replica of every chunk is read, and the watch compares. Each mutation that succeeded must be on
    /// each replica (invariant 3).
    pub(crate) fn check_contents(&self) {
        let mut read = std::collections::BTreeSet::new();
        for ((path, index), _) in self.chunks() {
            let what = format!("all replicas of chunk {index} of {path} can be read");
            let located = self.wait_for(20_000, &what, || {
                let located = self.locate(&path, index, Purpose::Read);
                let is_whole = |server: &ServerId| self.read_replica(*server, &located).is_some();
                located.replicas.iter().all(is_whole).then_some(located)
            });
            for &server in located.replicas.iter().filter(|_| read.insert(located.handle)) {
                if let Some(complaint) = self.watch.lost_success(server, located.handle) {
                    self.test.fail(format!("invariant 3: {complaint}"));
                }
            }
        }
    }

    /// The bytes of a chunk on a server, if it has this version.
    pub(crate) fn read_replica(&self, server: ServerId, located: &Located) -> Option<Vec<u8>> {
        let (handle, version) = (located.handle, located.version);
        let args = ReadArgs { handle, version, offset: 0, length: self.setup.settings.chunk };
        self.server(server).read(&args).ok()?.ok().map(|reply| reply.bytes)
    }

    /// The servers whose disks hold these bytes.
    pub(crate) fn disks_with(&self, bytes: &[u8]) -> Vec<ServerId> {
        let holds = |server: &ServerId| {
            let disk = self.group.persister(machine(*server));
            disk.file_names().iter().any(|name| {
                let file = disk.read_file(name, 0, usize::MAX).unwrap_or_default();
                file.windows(bytes.len()).any(|window| window == bytes)
            })
        };
        (0..self.setup.servers).filter(holds).collect()
    }

    /// The end of each test: everything that is down comes back, and the invariants must hold then, too.
    fn finish(self) {
        self.watch.unhook();
        self.group.heal();
        for machine in 0..self.group.len() {
            if !self.group.is_alive(machine) {
                self.group.restart(machine);
            }
            self.group.connect(machine);
        }
        self.wait_for_replicas(30_000);
        self.check_contents();
        self.group.end();
        self.net.network().cleanup();
        let mutations = self.watch.with(|facts| facts.successes.len() as u64);
        let figures = self.net.figures(self.group.len(), mutations);
        self.test.at_end(move |_| figures);
    }
}

/// The machine of a chunkserver.
pub(crate) fn machine(server: ServerId) -> usize {
    1 + server
}

type Boots = dyn Fn(Boot) -> Booted<Process> + Send + Sync;

fn boot(setup: &Setup, watch: &Watch) -> Box<Boots> {
    let (setup, watch) = (setup.clone(), watch.clone());
    Box::new(move |boot: Boot| {
        let Boot { me, ends, persister, .. } = boot;
        let settings = setup.settings.clone();
        let shadows = ends[1 + setup.servers..].to_vec();
        let servers = ends[1..=setup.servers].to_vec();
        let (who, process, service) = if me == 0 {
            let master = Master::start(servers, shadows, persister, settings);
            (Who::Master, Process::Master(master.clone()), master.service())
        } else if me <= setup.servers {
            let masters = std::iter::once(ends[0].clone()).chain(shadows).collect();
            let server = ChunkServer::start(me - 1, masters, servers, persister, settings);
            (Who::Server(me - 1), Process::Server(server.clone()), server.service())
        } else {
            let shadow = Master::start_shadow(persister, settings);
            (Who::Shadow, Process::Master(shadow.clone()), shadow.service())
        };
        let around = watch.clone();
        let service = service.around(move |method, bytes, run| around.around(who, method, bytes, run));
        Booted { server: labrt::sync::Arc::new(process), services: vec![service] }
    })
}

/// Bytes that tell where they are: each line of 16 bytes has its number, and the name of the text.
pub(crate) fn text(name: &str, length: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|line: usize| format!("{name:>7.7}{line:08}\n").into_bytes());
    lines.take(length).collect()
}

/// Runs clients, each in a thread of its own, and waits for all of them.
pub(crate) fn all_at_once<T: Send + 'static>(
    clients: impl IntoIterator<Item = Client>,
    work: impl Fn(usize, Client) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let start = |(number, client): (usize, Client)| {
        let work = work.clone();
        thread::spawn_named("client", move || work(number, client))
    };
    let running: Vec<_> = clients.into_iter().enumerate().map(start).collect();
    running.into_iter().map(|client| client.join().expect("no client panics")).collect()
}

/// The handles of a file, in order.
pub(crate) fn handles(cluster: &Cluster, path: &str) -> Vec<Handle> {
    let chunks = cluster.chunks();
    chunks.iter().filter(|((name, _), _)| name == path).map(|(_, located)| located.handle).collect()
}

/// The error of the master.
pub(crate) fn refused(error: MasterError) -> Error {
    Error::Master(error)
}

/// What was read is this. Whole files are too long to be shown.
#[track_caller]
pub(crate) fn same(read: Result<Vec<u8>, Error>, expected: impl AsRef<[u8]>, what: &str) {
    let (read, expected) = (read.unwrap_or_else(|error| panic!("{what}: {error}")), expected.as_ref());
    let first = read.iter().zip(expected).position(|(read, expected)| read != expected);
    let line =
        |bytes: &[u8], at: usize| String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 16)]).into_owned();
    if let Some(at) = first {
        panic!("{what}: {:?} at byte {at}, not {:?}", line(&read, at), line(expected, at));
    }
    assert_eq!(read.len(), expected.len(), "{what}: the length");
}
