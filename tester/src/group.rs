//! A group of servers: each on a node of its own, with a disk and links to the others, ready to be crashed,
//! restarted and cut off. It knows nothing of what the servers do; [`crate::Cluster`] adds what the Raft lab
//! needs.

mod disks;
mod hooks;
mod links;

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use labapi::Persister;
use labrpc::{ClientEnd, Name, Server, Service};
use labrt::node::{self, Node, NodeId};
use labrt::oneshot;
use labrt::quiet::Mutex;
use labrt::runtime::spawn_detached;
use labrt::time::Instant;

use crate::net::Net;
use crate::outside::{Look, News};
use crate::stall::Progress;
use crate::swarm;
use crate::test::Test;

/// What a server is started with.
pub struct Boot {
    /// Its number, from 0.
    pub me: usize,
    /// How often it was started, this time included.
    pub incarnation: u64,
    /// Its ends to all servers of the group, itself included.
    pub ends: Vec<ClientEnd>,
    /// Its disk, as the server has it.
    pub persister: Persister,
    /// The same disk, as the test has it ([`Persister::for_server`]).
    pub disk: Persister,
    /// The node that it runs on, on which the starting thread stands already.
    pub node: Node,
    /// What the tester does when this life ends.
    pub(crate) crash: Arc<AroundCrash>,
}

/// What the tester does around the crash of one life of a server.
pub(crate) struct AroundCrash {
    /// Set when the crash begins, before the disk is taken.
    pub(crate) has_begun: AtomicBool,
    /// Has the server looked at again and again.
    pub(crate) news: Arc<News>,
    /// A look at the server, until the server's [`Life`] has it.
    pub(crate) look: Mutex<Option<Arc<Look>>>,
    /// Called right before the server's threads stop. Simulated world only.
    pub(crate) at_kill: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// What is known of the group's progress.
    pub(crate) progress: Progress,
    /// Whether any server of the group has called itself: all run the same code.
    pub(crate) calls_itself: Arc<AtomicBool>,
}

impl AroundCrash {
    fn of<S>(disk: &Persister, node: &Node, group: &Shared<S>) -> Arc<AroundCrash> {
        Arc::new(AroundCrash {
            has_begun: AtomicBool::new(false),
            news: News::new(disk, node),
            look: Mutex::default(),
            at_kill: Mutex::default(),
            progress: group.progress.clone(),
            calls_itself: Arc::clone(&group.calls_itself),
        })
    }
}

/// A started server.
pub struct Booted<S> {
    /// The server's object, for the test to ask.
    pub server: Arc<S>,
    /// What it offers on the network.
    pub services: Vec<Service>,
}

/// A group of servers. Clones are the same group.
pub struct Group<S> {
    shared: Arc<Shared<S>>,
}

struct Shared<S> {
    test: Test,
    net: Net,
    names: Vec<Name>,
    titles: Vec<String>,
    /// Where the group's servers stand in the story: server 0 in this column.
    column: usize,
    boot: Box<dyn Fn(Boot) -> Booted<S> + Send + Sync>,
    /// Whether a swarm's seed may draw a slow link between two servers.
    slow_link: AtomicBool,
    progress: Progress,
    calls_itself: Arc<AtomicBool>,
    /// Held for a few instructions at a time, never while a server's code runs.
    slots: Mutex<Vec<Slot<S>>>,
}

struct Slot<S> {
    /// The living incarnation; None after a crash.
    life: Option<Life<S>>,
    /// Names of the ends that the latest incarnation calls on, by callee.
    ends: Vec<usize>,
    connected: bool,
    /// Only servers on the same side of a partition have links.
    side: usize,
    persister: Persister,
    incarnation: u64,
}

struct Life<S> {
    node: Node,
    server: Arc<S>,
    crash: Arc<AroundCrash>,
    /// Looks at the server, if it can be asked for its state. The look owns the server and its
    /// [`AroundCrash`], so an `AroundCrash` that owned the look would never be dropped.
    look: Option<Arc<Look>>,
}

impl<S> Clone for Group<S> {
    fn clone(&self) -> Self {
        Group { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Send + Sync + 'static> Group<S> {
    /// A group of `servers` servers named "`prefix`-0" and so on in `net`, none of them started yet. `boot`
    /// starts one.
    ///
    /// # Panics
    /// With more than 64 servers.
    pub fn new(
        test: &Test,
        net: &Net,
        prefix: &str,
        servers: usize,
        boot: impl Fn(Boot) -> Booted<S> + Send + Sync + 'static,
    ) -> Group<S> {
        Group::beside(test, net, prefix, servers, 0, boot)
    }

    /// As [`Group::new`], for a test with several groups: server 0 stands in column `column` of the test's
    /// story, and the others in those behind it.
    ///
    /// # Panics
    /// As [`Group::new`].
    pub fn beside(
        test: &Test,
        net: &Net,
        prefix: &str,
        servers: usize,
        column: usize,
        boot: impl Fn(Boot) -> Booted<S> + Send + Sync + 'static,
    ) -> Group<S> {
        assert!((1..=64).contains(&servers), "a group has 1 to 64 servers, not {servers}");
        let titles: Vec<String> = (0..servers).map(|server| format!("{prefix}-{server}")).collect();
        let slot = |_| Slot {
            life: None,
            ends: Vec::new(),
            connected: false,
            side: 0,
            persister: Persister::new(),
            incarnation: 0,
        };
        let progress = Progress::new(prefix, servers, net.clients());
        test.can_explain(progress.clone());
        Group {
            shared: Arc::new(Shared {
                test: test.clone(),
                net: net.clone(),
                names: titles.iter().map(|title| Name::from(title.as_str())).collect(),
                titles,
                column,
                boot: Box::new(boot),
                slow_link: AtomicBool::new(false),
                progress,
                calls_itself: Arc::default(),
                slots: Mutex::new((0..servers).map(slot).collect()),
            }),
        }
    }

    /// The test that the group belongs to.
    pub fn test(&self) -> &Test {
        &self.shared.test
    }

    /// The network that it stands in.
    pub fn net(&self) -> &Net {
        &self.shared.net
    }

    /// Number of servers.
    pub fn len(&self) -> usize {
        self.shared.names.len()
    }

    /// Never true; a group has servers.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// A server's name in the network.
    pub fn name(&self, server: usize) -> &Name {
        &self.shared.names[server]
    }

    /// Lets servers be paused now and then, as a garbage collector would, if the seed has drawn that
    /// (`LAB_SWARM`).
    pub fn pause_as_drawn(&self) {
        swarm::pauses(self);
    }

    /// Lets one link between two servers be slow, if the seed has drawn that (`LAB_SWARM`). Ends that are
    /// made from now on have it.
    pub(crate) fn slow_link_as_drawn(&self) {
        self.shared.slow_link.store(true, Ordering::Relaxed);
    }

    /// Tells the report that the servers may send snapshots in place of entries.
    pub fn makes_snapshots(&self) {
        self.progress().makes_snapshots();
    }

    /// What is known of the group's progress.
    pub(crate) fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    /// Notes in the story that something happened to a server.
    fn note_server(&self, server: usize, text: &'static str) {
        self.test().note_server(self.shared.column + server, text);
    }

    /// A server's name for people.
    fn title(&self, server: usize) -> &str {
        &self.shared.titles[server]
    }

    /// Calls `f` with the living incarnation of a server, in a thread on the server's node, and waits for the
    /// result. None if the server is crashed, or crashes meanwhile.
    pub fn visit<T: Send + 'static>(
        &self,
        server: usize,
        f: impl FnOnce(&Arc<S>) -> T + Send + 'static,
    ) -> Option<T> {
        let (node, object, crash) = {
            let slots = self.shared.slots.lock();
            let life = slots.get(server)?.life.as_ref()?;
            (life.node.clone(), Arc::clone(&life.server), Arc::clone(&life.crash))
        };
        // A thread of its own, and not a visit by the test's thread: whatever `f` spawns belongs to the
        // server, and a crash ends `f` like any other thread of the server.
        let (result, wait) = oneshot::channel();
        spawn_detached(&node, "a call of the test", move || result.put(f(&object)));
        let result = wait.wait();
        crash.news.compare();
        result
    }

    /// The node of the living incarnation.
    pub fn node(&self, server: usize) -> Option<Node> {
        self.shared.slots.lock().get(server)?.life.as_ref().map(|life| life.node.clone())
    }

    /// Whether the server has not crashed.
    pub fn is_alive(&self, server: usize) -> bool {
        self.shared.slots.lock().get(server).is_some_and(|slot| slot.life.is_some())
    }

    /// Whether the server has its links: it was connected and not disconnected or crashed since.
    pub fn is_connected(&self, server: usize) -> bool {
        self.shared.slots.lock().get(server).is_some_and(|slot| slot.connected)
    }

    /// The disk of a server, that of the latest incarnation.
    pub fn persister(&self, server: usize) -> Persister {
        self.shared.slots.lock()[server].persister.clone()
    }

    /// Calls that have reached the living incarnation of a server.
    pub fn rpc_count(&self, server: usize) -> u64 {
        self.net().network().count(self.name(server))
    }

    /// Length of the longest Raft state of any server, crashed ones included, in bytes.
    pub fn log_size(&self) -> usize {
        self.shared.slots.lock().iter().map(|slot| slot.persister.state_size()).max().unwrap_or(0)
    }

    /// Length of the longest snapshot of any server, in bytes.
    pub fn snapshot_size(&self) -> usize {
        self.shared.slots.lock().iter().map(|slot| slot.persister.snapshot_size()).max().unwrap_or(0)
    }

    /// Name of the end on which `from` calls `to`, for faults of single links.
    pub fn link(&self, from: usize, to: usize) -> usize {
        self.shared.slots.lock()[from].ends[to]
    }
}

/// The verbs. Each notes itself in the story.
impl<S: Send + Sync + 'static> Group<S> {
    /// Crashes the server: its links go, calls to it fail, its disk keeps what it holds at this moment, and
    /// all its threads stop where they stand. Nothing happens to a server that is crashed already.
    ///
    /// If the calling thread runs on the server's own node, this call does not return: the thread is unwound.
    pub fn crash(&self, server: usize) {
        if self.allows("crash") && self.has(server) {
            self.crash_now(server);
        }
    }

    /// Stops all servers, as a test does at its end. The test's figures do not count these among its crashes.
    pub fn end(&self) {
        self.shared.progress.ends();
        (0..self.len()).for_each(|server| self.crash(server));
    }

    fn crash_now(&self, server: usize) {
        if self.is_alive(server) {
            self.take_last_look(server);
            self.note_server(server, "CRASH");
            self.test().faults().end("links", self.title(server));
            self.test().faults().begin("crash", "down", self.title(server));
        }
        self.stop(server);
    }

    /// Lets the checkers look at a server that is about to crash. No time may pass for that: a server that is
    /// busy is not looked at. A crash from within a server, at a write say, comes at once.
    fn take_last_look(&self, server: usize) {
        if node::current().id() != NodeId(0) {
            return;
        }
        let life = {
            let slots = self.shared.slots.lock();
            slots[server].life.as_ref().and_then(|life| Some((life.node.clone(), life.look.clone()?)))
        };
        let Some((node, look)) = life else { return };
        let (done, wait) = oneshot::channel();
        spawn_detached(&node, "the tester's last look", move || {
            look();
            done.put(());
        });
        // Done or not, the server crashes now. The simulation's clock moves only when no thread is ready, so
        // the look gets its turn before this nanosecond is over, unless it must wait for a lock.
        let _ = wait.wait_deadline(Instant::now() + Duration::from_nanos(1));
    }

    /// The order is the course's: first the links, so that no reply speaks of what is written from now on;
    /// then the disk; then the threads.
    fn stop(&self, server: usize) {
        self.cut_off(server);
        self.net().network().delete_server(self.name(server));
        let (life, old) = {
            let slot = &mut self.shared.slots.lock()[server];
            if let Some(life) = &slot.life {
                life.crash.has_begun.store(true, Ordering::SeqCst);
            }
            let (after, loss) = slot.persister.after_crash(|below| labrt::rand::random_range(0..below));
            disks::note_loss(&self.shared.test, &self.shared.titles[server], loss);
            (slot.life.take(), std::mem::replace(&mut slot.persister, after))
        };
        self.shared.progress.crashes(server);
        let Some(Life { node, server: object, crash, look }) = life else { return };
        let test = self.test().clone();
        let report_writes = move || {
            old.on_write(move |write| {
                test.dead_server_changes(server, &format!("writes to its disk ({})", write.place));
            });
        };
        // In the simulation the kill below is the last moment of the server's threads. On real threads they
        // go on until they notice, which is no fault of theirs.
        if labrt::world() == labrt::World::Simulated {
            report_writes();
            let at_kill = crash.at_kill.lock().take();
            if let Some(at_kill) = at_kill {
                at_kill();
            }
            node.kill();
        } else {
            node.kill();
            report_writes();
        }
        drop((look, object));
    }

    /// Starts the server (after a crash, if it is alive) with what its disk holds. It has no links until
    /// [`Group::connect`].
    pub fn restart(&self, server: usize) {
        if !self.allows("restart") || self.is_without(server) {
            return;
        }
        self.crash_now(server);
        self.note_server(server, "start");
        self.boot(server);
    }

    fn boot(&self, server: usize) {
        let node = Node::new(self.shared.titles[server].as_str());
        self.test().faults().end("crash", self.title(server));
        let rate = self.test().knobs().clock_rate();
        if rate != 1.0 {
            node.set_clock_rate(rate);
            self.test().faults().begin("clock", format!("runs {rate:.3} times as fast"), self.title(server));
        }
        let (disk, incarnation) = {
            let slot = &mut self.shared.slots.lock()[server];
            slot.incarnation += 1;
            slot.persister = slot.persister.copy();
            (slot.persister.clone(), slot.incarnation)
        };
        let crash = AroundCrash::of(&disk, &node, &self.shared);
        let make_end = |other| self.make_end(server, &node, &crash, other);
        let (numbers, ends): (Vec<usize>, Vec<ClientEnd>) = (0..self.len()).map(make_end).unzip();
        let traffic = |&number: &usize| self.net().network().traffic(number);
        self.shared.progress.starts(server, numbers.iter().map(traffic).collect());
        if self.shared.slow_link.load(Ordering::Relaxed) {
            for (other, &number) in numbers.iter().enumerate() {
                let delay = self.test().knobs().slow_link(self.len(), server, other);
                self.net().network().set_end_delay(number, delay);
            }
        }
        self.shared.slots.lock()[server].ends = numbers;
        let boot = Boot {
            me: server,
            incarnation,
            ends,
            persister: disk.for_server(),
            disk,
            node: node.clone(),
            crash: Arc::clone(&crash),
        };
        let booted = node.enter(|| (self.shared.boot)(boot));
        let on_network = booted.services.into_iter().fold(Server::new(&node), Server::with);
        self.net().network().add_server(self.name(server), on_network);
        let look = crash.look.lock().take();
        self.shared.slots.lock()[server].life = Some(Life { node, server: booted.server, crash, look });
    }

    /// An end for a server that runs on `node`. Each call on it is noticed, and one after the server's crash
    /// is a failure, and not made. Destructors are no failure; see [`Test::dead_server_changes`].
    fn make_end(&self, server: usize, node: &Node, crash: &AroundCrash, callee: usize) -> (usize, ClientEnd) {
        let (number, end) = self.net().make_link(self.name(callee));
        let (test, node, news) = (self.test().clone(), node.clone(), Arc::clone(&crash.news));
        let calls_itself = (callee == server).then(|| Arc::clone(&crash.calls_itself));
        let guard = move |place: &'static Location<'static>| {
            news.compare();
            if let Some(calls_itself) = &calls_itself {
                calls_itself.store(true, Ordering::Relaxed);
            }
            let is_dead = node.is_killed();
            // On real threads the crash may be under way.
            if labrt::world() == labrt::World::Simulated && is_dead {
                test.dead_server_changes(server, &format!("calls another server ({place})"));
            }
            !is_dead
        };
        (number, end.guarded(guard))
    }

    /// Starts all servers and connects them.
    pub fn start_all(&self) {
        let starts: Vec<usize> = (0..self.len()).filter(|&server| !self.is_without(server)).collect();
        starts.iter().for_each(|&server| self.boot(server));
        starts.iter().for_each(|&server| self.shared.slots.lock()[server].connected = true);
        (0..self.len()).for_each(|server| self.set_links(server));
    }
}
