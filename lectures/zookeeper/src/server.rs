// handout: put classic
// //! A server: a replica, its clients, and the handlers of their messages.
// handout: end
// handout: drop classic
//! A server: a replica, its desk, and the threads between them.
//!
//! | thread | work |
//! |---|---|
//! | forwarder | has the clients' writes committed, all that wait at a time, one batch after the other |
//! | syncer | asks the leader how far a sync must wait |
//! | toucher | tells the leader which sessions were heard |
//! | judge | at the leader: ends sessions that were not heard |
// handout: end

// handout: drop classic
use std::collections::BTreeMap;

// handout: end
use labapi::Persister;
use labrpc::{ClientEnd, Service};
// handout: drop classic
use labrt::sync::{Arc, Condvar, Monitor, Mutex};
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::{CALL_TIMEOUT, ClientSession, LeaderCache, ReplicatedServer, Request, Rsm, WithSessions};

use crate::desk::{Desk, Signals};
use crate::judge::{JUDGE, Judge};
use crate::replica::{Probe, Replica, Shared};
use crate::rpc::{
    Action, Connect, Connected, Exchange, Exchanged, NotLeader, Refused, SessionId, Transaction, ZkPeer,
    ZkRpc, Zxid,
};
// handout: end
// handout: put classic
// use labrt::sync::Arc;
// use rsm::{ReplicatedServer, Request, Rsm};
//
// use crate::replica::{Probe, Replica};
// use crate::rpc::{
//     Connect, Connected, Exchange, Exchanged, NotLeader, Refused, SessionId, Transaction, ZkRpc, Zxid,
// };
// handout: end

// handout: drop classic
/// How often a server with clients tells the leader of them.
const TOUCH: Duration = Duration::from_millis(100);
/// The pause behind a question that no leader has answered, before it is asked again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long a client waits until its session is open. Enough for an election.
const OPEN: Duration = Duration::from_millis(1000);

// handout: end
/// A server of the service.
pub struct Server {
    // handout: put classic
    // rsm: Arc<Rsm<Replica>>,
    // // Your data here.
    // handout: end
    // handout: drop classic
    rsm: Arc<Rsm<WithSessions<Replica>>>,
    desk: Arc<Monitor<Desk>>,
    judge: Mutex<Judge>,
    peers: Vec<ZkPeer>,
    // handout: end
}

// handout: bodies ZA
impl Server {
    /// Starts server `me` and returns at once. `ends` reach all servers. `persister` holds what an earlier
    /// life wrote. A snapshot replaces the log once Raft's state takes `max_raft_state` bytes; None: never.
    /// The probe is shown each transaction that this replica applies.
    ///
    /// # Panics
    /// If the disk's content is damaged.
    pub fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Persister,
        max_raft_state: Option<usize>,
        probe: Option<Probe>,
    ) -> Arc<Server> {
        let desk = Arc::new(Monitor::new(Desk::default()));
        let machine = WithSessions::new(Replica::new(desk.clone(), probe));
        let peers = ends.iter().cloned().map(ZkPeer::new).collect();
        let rsm = Rsm::start(ends, me, persister, max_raft_state, machine);
        let server = Arc::new(Server { rsm, desk, judge: Mutex::default(), peers });
        server.spawn("forwarder", |server| server.run_forwarder());
        server.spawn("syncer", |server| server.run_syncer());
        server.spawn("toucher", |server| server.run_toucher());
        // handout: from ZC: the judge
        server.spawn("judge", |server| server.run_judge());
        // handout: end
        server
    }

    fn spawn(self: &Arc<Self>, name: &'static str, run: fn(&Server)) {
        let server = Arc::clone(self);
        thread::spawn_named(name, move || run(&server));
    }

    /// The state of this replica.
    pub fn zxid(&self) -> Zxid {
        self.inspect(|replica| replica.zxid)
    }

    fn inspect<T>(&self, look: impl FnOnce(&Shared) -> T) -> T {
        self.rsm.inspect(|machine| look(&machine.machine().shared))
    }

    fn leaders(&self) -> LeaderCache<ZkPeer> {
        LeaderCache::new(self.peers.iter().map(|peer| peer.timeout(CALL_TIMEOUT)).collect())
    }

    /// Waits until there is work at the desk.
    fn wait_for<T>(
        &self,
        look: impl Fn(&mut Desk) -> Vec<T>,
        signal: impl Fn(&Signals) -> &Condvar,
    ) -> Vec<T> {
        let mut desk = self.desk.lock();
        loop {
            let work = look(&mut desk);
            if !work.is_empty() {
                return work;
            }
            desk.wait(&signal);
        }
    }

    /// A batch goes out until a leader has had it committed. Later writes wait for it, so the writes of a
    /// session enter the log in order.
    fn run_forwarder(&self) {
        let (mut leaders, mut numbering) = (self.leaders(), ClientSession::open());
        loop {
            let batch = self.wait_for(Desk::take_outgoing, |signals| &signals.outgoing);
            let batch = numbering.request(batch);
            let remotely = |peer: &ZkPeer| peer.forward(&batch).ok()?.ok();
            while self.rsm.submit(&batch).is_err() && leaders.ask_each(remotely).is_none() {
                thread::sleep(AGAIN);
            }
        }
    }

    /// Rule 6. One question serves all syncs that came before it.
    fn run_syncer(&self) {
        let mut leaders = self.leaders();
        loop {
            let syncs = self.wait_for(|desk| desk.new_syncs(), |signals| &signals.syncs);
            let remotely = |peer: &ZkPeer| peer.sync_point(&()).ok()?.ok();
            match self.fresh_zxid().ok().or_else(|| leaders.ask_each(remotely)) {
                Some(zxid) => {
                    self.inspect(|replica| self.desk.lock().confirm_syncs(replica, &syncs, zxid));
                }
                None => thread::sleep(AGAIN),
            }
        }
    }

    /// The state of a leader that a majority still follows.
    fn fresh_zxid(&self) -> Result<Zxid, NotLeader> {
        self.rsm.inspect_fresh(|machine| machine.machine().shared.zxid).map_err(|_| NotLeader)
    }

    fn run_toucher(&self) {
        let mut leaders = self.leaders();
        loop {
            thread::sleep(TOUCH);
            let now = Instant::now();
            let heard = {
                let mut desk = self.desk.lock();
                desk.hang_up(now);
                if !desk.is_in_use() {
                    continue;
                }
                desk.take_heard()
            };
            let told = self.note(&heard).ok();
            let told = told.or_else(|| leaders.ask_each(|peer| peer.touch(&heard).ok()?.ok()));
            self.desk.lock().told(heard, told.map(|()| now));
        }
    }

    /// At the leader: some server heard these sessions.
    fn note(&self, sessions: &[SessionId]) -> Result<(), NotLeader> {
        if !ReplicatedServer::is_leader(self) {
            return Err(NotLeader);
        }
        // handout: from ZC: what the judge hears
        self.judge.lock().note(sessions, Instant::now());
        // handout: end
        // A leader that no majority follows judges nobody, and must not calm the clients.
        self.fresh_zxid().map(drop)
    }

    /// Rule 7. Only the transaction in the log ends a session; if this server no longer leads, it has no say.
    fn run_judge(&self) {
        let mut numbering = ClientSession::open();
        loop {
            thread::sleep(JUDGE);
            let (term, leads) = ReplicatedServer::raft_state(self);
            let open: BTreeMap<SessionId, u64> = self.inspect(|replica| {
                replica.sessions.iter().map(|(&session, open)| (session, open.timeout)).collect()
            });
            if !leads || open.is_empty() || self.fresh_zxid().is_err() {
                continue;
            }
            let silent = self.judge.lock().silent(term, &open, Instant::now());
            if silent.is_empty() {
                continue;
            }
            tracing::debug!(target: "judge", "not heard: {silent:x?}");
            let expire = |session| Transaction { session, xid: 0, answered: 0, action: Action::Expire };
            let batch = numbering.request(silent.into_iter().map(expire).collect());
            // If it fails, the next leader judges anew.
            let _ = self.rsm.submit(&batch);
        }
    }
}

// handout: put classic
// impl ReplicatedServer for Server {
//     type Machine = Replica;
//
//     fn replica(&self) -> &Rsm<Replica> {
//         &self.rsm
//     }
//
//     fn clerk_service(self: &Arc<Self>) -> Service {
//         self.clone().into_service()
//     }
// }
//
// handout: end
// handout: drop classic
impl ReplicatedServer for Server {
    type Machine = WithSessions<Replica>;

    // handout: body kept
    fn replica(&self) -> &Rsm<WithSessions<Replica>> {
        &self.rsm
    }

    // handout: body kept
    fn clerk_service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }
}

// handout: end
impl ZkRpc for Server {
    fn connect(&self, mut connect: Connect) -> Result<Connected, Refused> {
        if connect.session == 0 {
            connect.session = labrt::rand::random_range(1..=u64::MAX);
            connect.secret = labrt::rand::random();
            let opened = self.desk.lock().open(connect.session, connect.secret, connect.timeout);
            let opened = opened.wait_deadline(Instant::now() + OPEN);
            opened.ok().flatten().ok_or(Refused::Unavailable)?;
        }
        self.inspect(|replica| {
            self.desk.lock().establish(replica, &connect, Instant::now())?;
            Ok(Connected { session: connect.session, secret: connect.secret, zxid: replica.zxid })
        })
    }

    fn exchange(&self, exchange: Exchange) -> Result<Exchanged, Refused> {
        let (session, connection) = (exchange.session, exchange.connection);
        let waits = self.inspect(|replica| self.desk.lock().exchange(replica, exchange, Instant::now()))?;
        if let Some((news, patience)) = waits {
            // Whatever ended the wait, the queue is what counts.
            let _ = news.wait_deadline(Instant::now() + patience);
        }
        self.desk.lock().collect(session, connection, Instant::now())
    }

    fn forward(&self, batch: Request<Vec<Transaction>>) -> Result<(), NotLeader> {
        self.rsm.submit(&batch).map_err(|_| NotLeader)
    }

    fn sync_point(&self, (): ()) -> Result<Zxid, NotLeader> {
        self.fresh_zxid()
    }

    fn touch(&self, sessions: Vec<SessionId>) -> Result<(), NotLeader> {
        self.note(&sessions)
    }
}
