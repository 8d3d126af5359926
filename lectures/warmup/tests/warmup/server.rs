//! A server of the lab, watched: which call ran how often, what was replied to it, how much is cached. A
//! broken rule fails the run at that moment.

use std::collections::{BTreeMap, BTreeSet};

use labrpc::{Answer, Service};
use labrt::quiet::Mutex;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Duration;
use tester::{Boot, Booted, Group, Net, Test};
use warmup::rpc::{
    ClientId, Dispatcher, Guarantee, Handler, Mode, Outcome, Rejection, Reply, Request, Rpc, Stub,
};

/// The steps of a call at the server, after each of which it may crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The request has come.
    Receive,
    /// The handler has changed the state in memory.
    Effect,
    /// Something was written to the disk.
    Persist,
    /// The reply is ready and does not leave.
    Reply,
}

/// What happens at the server, over all of its lives.
pub(crate) struct Watch {
    test: Test,
    guarantee: Guarantee,
    window: u64,
    seen: Mutex<Seen>,
    group: Mutex<Option<Group<Dispatcher>>>,
}

#[derive(Default)]
struct Seen {
    /// By tag of the call.
    executions: BTreeMap<u64, u64>,
    /// Every request that came, in order.
    requests: Vec<Request>,
    clients: BTreeSet<ClientId>,
    /// The values that were replied to a call, and how often.
    values: BTreeMap<(ClientId, u64), (Vec<u8>, u32)>,
    rejections: Vec<(u64, Rejection)>,
    /// The step after which the server crashes, and how many times it is reached before that.
    crash: Option<(Step, u64)>,
    crashes: u64,
}

impl Watch {
    /// A watch over a server with this guarantee, for clients with this window.
    pub(crate) fn new(t: &Test, guarantee: Guarantee, window: u64) -> Arc<Watch> {
        let (test, seen, group) = (t.clone(), Mutex::default(), Mutex::default());
        Arc::new(Watch { test, guarantee, window, seen, group })
    }

    fn seen(&self) -> labrt::quiet::MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    /// A call is executed. At most once: the second time is a failure (C1).
    fn execute(&self, tag: u64) {
        let executions = {
            let mut seen = self.seen();
            let executions = seen.executions.entry(tag).or_default();
            *executions += 1;
            *executions
        };
        let is_twice = self.guarantee == Guarantee::AtMostOnce && executions > 1;
        self.test.expect(!is_twice, || format!("call {tag} ran twice at a server of at most once (C1)"));
    }

    /// Crashes the server if it is due. The thread that calls belongs to the server and stops here.
    fn at(&self, step: Step) {
        let is_due = {
            let mut seen = self.seen();
            match &mut seen.crash {
                Some((due, left)) if *due == step && *left == 0 => {
                    seen.crash = None;
                    seen.crashes += 1;
                    true
                }
                Some((due, left)) if *due == step => {
                    *left -= 1;
                    false
                }
                _ => false,
            }
        };
        let group = if is_due { self.group.lock().clone() } else { None };
        if let Some(group) = group {
            group.crash(0);
        }
    }

    /// Looks at a request and at the answer to it.
    fn around(
        &self,
        bytes: &[u8],
        dispatcher: &Dispatcher,
        run: &dyn Fn() -> Option<Answer>,
    ) -> Option<Answer> {
        let request: Option<Request> = labgob::decode(bytes).ok();
        {
            let mut seen = self.seen();
            // Already now: the server may crash with the result of this client in its cache.
            seen.clients.extend(request.as_ref().map(|request| request.client_id));
            seen.requests.extend(request.clone());
        }
        self.at(Step::Receive);
        let answer = run();
        let reply: Option<Reply> =
            answer.as_ref().and_then(|answer| labgob::decode(answer.as_ref().ok()?).ok());
        if let Some((request, reply)) = request.zip(reply) {
            self.check(&request, &reply, dispatcher);
        }
        self.at(Step::Reply);
        answer
    }

    fn check(&self, request: &Request, reply: &Reply, dispatcher: &Dispatcher) {
        let mut seen = self.seen();
        match &reply.outcome {
            Outcome::Rejected(rejection) => seen.rejections.push((request.seq, *rejection)),
            Outcome::Value(value) if self.guarantee != Guarantee::Nothing => {
                let key = (request.client_id, request.seq);
                let (first, times) = seen.values.entry(key).or_insert_with(|| (value.clone(), 0));
                *times += 1;
                self.test.expect(first == value, || {
                    format!("call {key:?} was answered with {first:?} and with {value:?} (C3)")
                });
            }
            Outcome::Value(_) => {}
        }
        drop(seen);
        if self.guarantee != Guarantee::Nothing {
            // In this order: a client is noted before its request can have a result.
            let cached = dispatcher.cached_results() as u64;
            let clients = self.seen().clients.len() as u64;
            expect_bounded(&self.test, cached, clients, self.window);
        }
    }
}

/// Fails unless the cache holds at most one result for each call that may be under way (C4).
pub(crate) fn expect_bounded(t: &Test, cached: u64, clients: u64, window: u64) {
    t.expect(cached <= clients * window, || {
        format!("the cache holds {cached} results for {clients} clients with a window of {window} (C4)")
    });
}

/// The service of the tests: it adds 1 for each call, and remembers which calls it has executed.
pub(crate) struct Adder {
    watch: Arc<Watch>,
    slowness: Duration,
    state: Mutex<AdderState>,
}

/// What the adder keeps on the disk.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct AdderState {
    sum: u64,
    /// How often each call was executed.
    executed: BTreeMap<u64, u64>,
}

/// The tag that a call carries: a number that no other call has.
fn tag_of(args: &[u8]) -> u64 {
    u64::from_le_bytes(args.try_into().expect("the tests' calls have eight bytes"))
}

impl Handler for Adder {
    fn handle(&self, method: &str, args: &[u8]) -> Vec<u8> {
        assert_eq!(method, "add", "the method of a call");
        let tag = tag_of(args);
        self.watch.execute(tag);
        let sum: u64 = {
            let mut state = self.state.lock();
            *state.executed.entry(tag).or_default() += 1;
            state.sum += 1;
            state.sum
        };
        if !self.slowness.is_zero() {
            thread::sleep(self.slowness);
        }
        self.watch.at(Step::Effect);
        // The tag tells the caller whether it got its own reply, and the sum tells repeated executions apart.
        labgob::encode(&(tag, sum))
    }

    fn save(&self) -> Vec<u8> {
        let state = self.state.lock();
        let twice = state.executed.iter().find(|(_, times)| **times > 1);
        self.watch.test.expect(twice.is_none(), || format!("a call has taken effect twice: {twice:?} (C2)"));
        labgob::encode(&*state)
    }

    fn load(&self, state: &[u8]) {
        if !state.is_empty() {
            *self.state.lock() = labgob::decode(state).expect("the state was saved by an earlier life");
        }
    }
}

/// A server, its network and its clients.
pub(crate) struct Served {
    pub(crate) group: Group<Dispatcher>,
    pub(crate) net: Net,
    watch: Arc<Watch>,
    adder: Arc<Mutex<Option<Arc<Adder>>>>,
    window: u64,
    clients: Mutex<u64>,
}

impl Served {
    /// Starts a server with these promises, for clients with this window, on this network. Each call takes
    /// this long.
    pub(crate) fn new(t: &Test, net: &Net, guarantee: Guarantee, window: u64, slowness: Duration) -> Served {
        let watch = Watch::new(t, guarantee, window);
        let adder = Arc::new(Mutex::new(None));
        let (of_boot, current) = (Arc::clone(&watch), Arc::clone(&adder));
        let boot = move |boot: Boot| {
            let watch = Arc::clone(&of_boot);
            let adder = Adder { watch: Arc::clone(&watch), slowness, state: Mutex::default() };
            let adder = Arc::new(adder);
            *current.lock() = Some(Arc::clone(&adder));
            let of_disk = Arc::clone(&watch);
            let dispatcher = Dispatcher::start(guarantee, window, adder, boot.persister);
            boot.disk.on_write(move |_| of_disk.at(Step::Persist));
            let services = vec![watched(&watch, &dispatcher)];
            Booted { server: dispatcher, services }
        };
        let group = Group::new(t, net, "server", 1, boot);
        group.start_all();
        group.pause_as_drawn();
        *watch.group.lock() = Some(group.clone());
        let (net, of_end, of_figures) = (net.clone(), Arc::clone(&watch), net.clone());
        t.at_end(move |_| {
            // The group holds the server, and the server's watch the group.
            *of_end.group.lock() = None;
            of_figures.figures(1, of_end.seen().values.len() as u64)
        });
        Served { group, net, watch, adder, window, clients: Mutex::default() }
    }

    /// A client, and the number of its link.
    pub(crate) fn client(&self, mode: Mode) -> (Stub, usize) {
        let address = {
            let mut clients = self.clients.lock();
            *clients += 1;
            *clients
        };
        self.client_at(address, mode)
    }

    /// A client at this address, which may have had one before.
    pub(crate) fn client_at(&self, address: u64, mode: Mode) -> (Stub, usize) {
        let (link, end) = self.net.make_end(self.group.name(0));
        self.net.network().enable(link, true);
        (Stub::new(end, address, mode, self.window), link)
    }

    /// Lets the server crash when this step is reached, after it was reached so many times.
    pub(crate) fn crash_after(&self, step: Step, times: u64) {
        self.watch.seen().crash = Some((step, times));
    }

    /// Waits until the server has crashed, and starts it again a little later.
    pub(crate) fn revive(&self) {
        while self.group.is_alive(0) {
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(50));
        self.group.restart(0);
    }

    /// How often calls were executed, the executions included that a crash has undone.
    pub(crate) fn executions(&self) -> BTreeMap<u64, u64> {
        self.watch.seen().executions.clone()
    }

    /// Number of executions.
    pub(crate) fn executed(&self) -> u64 {
        self.watch.seen().executions.values().sum()
    }

    /// What has taken effect, as the living server knows it.
    pub(crate) fn effects(&self) -> BTreeMap<u64, u64> {
        let adder = self.adder.lock().clone();
        adder.map(|adder| adder.state.lock().executed.clone()).unwrap_or_default()
    }

    /// Every request that came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.watch.seen().requests.clone()
    }

    /// Every refusal, with the number of the call.
    pub(crate) fn rejections(&self) -> Vec<(u64, Rejection)> {
        self.watch.seen().rejections.clone()
    }

    /// How often each call was answered with its value.
    pub(crate) fn answers(&self) -> Vec<u32> {
        self.watch.seen().values.values().map(|(_, times)| *times).collect()
    }

    /// How often the server has crashed by [`Served::crash_after`].
    pub(crate) fn crashes(&self) -> u64 {
        self.watch.seen().crashes
    }
}

/// The service of a dispatcher, watched over all of its lives.
pub(crate) fn watched(watch: &Arc<Watch>, dispatcher: &Arc<Dispatcher>) -> Service {
    let (watch, of_check) = (Arc::clone(watch), Arc::clone(dispatcher));
    Arc::clone(dispatcher).into_service().around(move |_, bytes, run| watch.around(bytes, &of_check, run))
}

/// Calls `add` and checks that the reply is the one to this call (C5). The tag must be new. The sum that the
/// server replied, or why there is none.
pub(crate) fn add(stub: &Stub, tag: u64) -> Result<u64, warmup::rpc::CallError> {
    let reply = stub.call("add", tag.to_le_bytes().to_vec())?;
    let (of_reply, sum): (u64, u64) = labgob::decode(&reply).expect("the adder replies with two numbers");
    assert_eq!(of_reply, tag, "call {tag} returned the reply to another call (C5)");
    Ok(sum)
}

/// Runs so many threads, each a client with its number, and gives what they return.
pub(crate) fn in_parallel<T: Send + 'static>(
    clients: u64,
    work: impl Fn(u64) -> T + Clone + Send + 'static,
) -> Vec<T> {
    let start = |client| {
        let work = work.clone();
        thread::spawn_named(format!("client-{client}"), move || work(client))
    };
    let threads: Vec<_> = (0..clients).map(start).collect();
    threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
}
