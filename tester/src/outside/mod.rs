//! What is checked of servers from outside, in every test of every solution: it needs no observer.
//!
//! | watched | how | rules |
//! |---|---|---|
//! | `get_state` | asked soon after each write to the disk (10 ms; 100 ms while writes change neither term nor role), then in growing intervals of up to 500 ms; at the start of each life and before a crash | terms only grow; one leader in a term |
//! | requests and replies | read by the solution's [`WireFormat`] on their way into and out of its handlers | one vote in a term; no vote for a log that lacks what the voter acknowledged; one entry for each index and term; what a leader calls committed was acknowledged to it, up to an entry of its own term, or could be called so before; what was acknowledged is not refused after a crash, nor again and again |
//! | the disk | writes are counted, on a disk that loses what is not synced those that are | a promise that is new (a vote, entries, a snapshot) follows a write |
//! | ends and disk of a crashed server | each call and each write | nobody uses them |
//!
//! What arrives on the apply channel is checked beside this, by the cluster's appliers. The rules are in
//! [`facts`], and each is weak enough that no correct solution breaks it, however it is built: each rests on
//! what Figure 2 promises to other servers, and on nothing else. A solution that shows its state to an
//! observer is checked by the stronger rules of `invariants` as well.

mod acknowledged;
mod facts;
mod news;
mod promises;
mod reading;
mod reigns;

use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use facts::{Disk, Facts};
use labapi::{Persister, Reply, Request, WireFormat};
use labrpc::{Answer, Service};
use labrt::quiet::Mutex;
pub(crate) use news::{Look, News};
use promises::Promise;
use reading::Came;

use crate::failure::Broken;
use crate::group::{AroundCrash, Boot};
use crate::stall::Progress;
use crate::test::Test;

/// The checkers of one cluster that stand outside of its servers.
pub struct Outside {
    test: Test,
    servers: usize,
    format: Option<&'static dyn WireFormat>,
    facts: Mutex<Facts>,
    /// What is known of the group's progress, from its first server on.
    progress: OnceLock<Progress>,
}

/// One life of a server, as it is seen from outside.
#[derive(Clone)]
pub struct Life {
    outside: Arc<Outside>,
    server: usize,
    incarnation: u64,
    persister: Persister,
    crash: Arc<AroundCrash>,
    /// What the last look saw.
    last: Arc<Mutex<(u64, bool)>>,
}

impl Outside {
    /// Checkers of so many servers whose messages `format` reads, if it is given.
    pub fn new(test: &Test, servers: usize, format: Option<&'static dyn WireFormat>) -> Arc<Outside> {
        if format.is_none() {
            test.unwatched(
                "votes, entries and acknowledgements on the wire: the messages cannot be read (`wire`)",
            );
        }
        let format = format.filter(|format| !format.is_given());
        let facts = Mutex::new(Facts::new(servers));
        let outside =
            Arc::new(Outside { test: test.clone(), servers, format, facts, progress: OnceLock::new() });
        if outside.format.is_some() {
            let after_run = Arc::clone(&outside);
            test.afterwards(move |_| {
                after_run.tell_gaps();
                None
            });
        }
        outside
    }

    /// Tells what of the messages could not be read, and should have been.
    fn tell_gaps(&self) {
        // A run that is stuck may be stuck in a rule.
        let Some(facts) = self.facts.try_lock() else { return };
        let (has_applied, has_installed) =
            self.progress.get().map_or((false, false), Progress::services_have_got);
        let came = Came { has_leader: facts.has_leader(), has_applied, has_installed };
        facts.reading.gaps(came).iter().for_each(|gap| self.test.unwatched(gap));
    }

    /// A server is being started: to be called before anything of it runs.
    pub fn begin(self: &Arc<Self>, boot: &Boot) -> Life {
        boot.disk.read_by(self.format);
        if self.format.is_some() {
            boot.crash.progress.has_wire();
        }
        self.progress.get_or_init(|| boot.crash.progress.clone());
        let life = Life {
            outside: Arc::clone(self),
            server: boot.me,
            incarnation: boot.incarnation,
            persister: boot.disk.clone(),
            crash: Arc::clone(&boot.crash),
            last: Arc::default(),
        };
        let writes = life.persister.durable_writes();
        life.judge(|facts| facts.starts(life.server, life.incarnation, writes));
        self.facts.lock().may_call_itself(&boot.crash.calls_itself);
        life
    }
}

impl Life {
    /// Asks for term and leadership from now on, whenever something has happened and before the crash, in
    /// threads on the server's node.
    pub fn poll(&self, state: impl Fn() -> (u64, bool) + Send + Sync + 'static) {
        self.poll_now_and_then(move || Some(state()));
    }

    /// As [`Life::poll`], of a server that may not know at the moment: None.
    pub fn poll_now_and_then(&self, state: impl Fn() -> Option<(u64, bool)> + Send + Sync + 'static) {
        if self.outside.test.choices().is_blind() {
            return;
        }
        let life = self.clone();
        let look: Arc<Look> = Arc::new(move || life.look(&state));
        self.crash.news.begin(Arc::downgrade(&look));
        *self.crash.look.lock() = Some(look);
    }

    /// Whether the term or the role is new.
    fn look(&self, state: impl FnOnce() -> Option<(u64, bool)>) -> bool {
        let lowest = self.outside.facts.lock().lowest_term(self.server);
        self.crash.progress.asks(self.server);
        let Some(state) = state() else {
            self.crash.progress.tells_nothing(self.server);
            return false;
        };
        self.crash.progress.answers(self.server, state);
        let is_new = mem::replace(&mut *self.last.lock(), state) != state;
        if is_new {
            let (term, role) = (state.0, if state.1 { "leader" } else { "not the leader" });
            labrt::trace::emit_fields("state", "get_state", || {
                (
                    vec![("term", term.into()), ("role", role.to_owned().into())],
                    format!("{role} in term {term}"),
                )
            });
        }
        self.judge(|facts| facts.state(self.server, self.incarnation, lowest, state));
        is_new
    }

    /// The service with checkers around its handlers.
    pub fn around(&self, service: Service) -> Service {
        let life = self.clone();
        service.around(move |method, args, handle| {
            let answer = life.check(method, args, handle);
            life.crash.news.compare();
            answer
        })
    }

    /// Handles a request, and checks request and reply if they can be read.
    fn check(&self, method: &str, args: &[u8], handle: &dyn Fn() -> Option<Answer>) -> Option<Answer> {
        let Some(format) = self.outside.format else { return handle() };
        let Some(request) = format.request(method, args) else { return self.handle_unread(method, handle) };
        if let Err(broken) = reading::check(method, &request, self.outside.servers) {
            self.outside.test.break_off(broken);
        }
        self.crash.progress.arrives(&request);
        let mut arrival = None;
        self.judge(|facts| {
            facts.reading.reads(method, &request);
            arrival = Some(facts.request(self.server, self.persister.durable_writes(), &request)?);
            Ok(())
        });
        let answer = handle();
        let reply = match &answer {
            Some(Ok(reply)) => format.reply(method, &request, reply),
            _ => None,
        };
        self.crash.progress.handles(self.server, &request, reply);
        if let (Some(reply), Some(arrival)) = (reply, arrival) {
            self.judge(|facts| {
                compare(&request, reply, facts.known_end(self.server));
                facts.reading.reads_reply(&request, reply);
                let judged = facts.reply(self.server, arrival, self.disk(reply), &request, reply);
                facts.take_hollow().into_iter().for_each(mark);
                judged
            });
        }
        answer
    }

    /// Handles a request that cannot be read. If it brought a leader's snapshot, the disk tells so.
    fn handle_unread(&self, method: &str, handle: &dyn Fn() -> Option<Answer>) -> Option<Answer> {
        let may_bring_snapshot = {
            let reading = &mut self.outside.facts.lock().reading;
            reading.cannot_read(method);
            reading.is_between_servers(method)
        };
        let before = self.persister.snapshot_size();
        let answer = handle();
        if may_bring_snapshot && self.persister.snapshot_size() != before {
            self.outside.facts.lock().takes_unread_snapshot(self.server);
        }
        answer
    }

    /// All services of a server with checkers around their handlers.
    pub fn around_all(&self, services: Vec<Service>) -> Vec<Service> {
        services.into_iter().map(|service| self.around(service)).collect()
    }

    /// What must be known of the disk to judge this reply.
    fn disk(&self, reply: Reply) -> Disk {
        let has_snapshot = reply == Reply::Refused && self.persister.snapshot_size() > 0;
        let at = Duration::from_nanos(labrt::runtime::now().as_nanos());
        Disk { writes: self.persister.durable_writes(), has_snapshot, at }
    }

    fn judge(&self, rule: impl FnOnce(&mut Facts) -> Result<(), Broken>) {
        let judged = {
            let facts = &mut *self.outside.facts.lock();
            // The disk that the next life gets may not hold what this one does now.
            if self.crash.has_begun.load(Ordering::SeqCst) { Ok(()) } else { rule(facts) }
        };
        if let Err(broken) = judged {
            self.outside.test.break_off(broken);
        }
    }
}

/// Tells in a traced run what a vote is about, beside what is known of the voter's own log.
fn compare(request: &Request, reply: Reply, known_end: Option<(u64, u64)>) {
    let Request::Vote { term, candidate, last_index, last_term } = *request else { return };
    let what = match reply {
        Reply::Granted => "granted",
        Reply::Refused => "refused",
        Reply::Other => return,
    };
    labrt::trace::emit("vote", what, || {
        let own = known_end.map_or_else(String::new, |(index, term)| {
            format!("; the voter has acknowledged entries up to index {index} (term {term})")
        });
        format!(
            "{what} to server {candidate} in term {term}, whose log ends at index {last_index} (term {last_term}){own}"
        )
    });
}

/// Marks in a traced run where a reply promises what is not on the disk: before a restart no rule is broken
/// by that, and after it the loss shows late.
fn mark(promise: Promise) {
    labrt::trace::emit("promise", "hollow", || {
        format!("NOT ON THE DISK: it {promise}, and has written nothing since it was asked")
    });
}
