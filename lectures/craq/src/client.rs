//! Clients, and the network outside that carries the tail's answers to them.

use std::collections::BTreeMap;

use labrpc::Service;
use labrt::channel::{Receiver, Sender, unbounded};
use labrt::sync::{Arc, Mutex};
// handout: drop classic
use labrt::thread;
use labrt::time::{Duration, Instant};
use rsm::{ClientSession, LeaderCache};

use crate::rpc::{
    Config, Header, ManagerPeer, NodeId, NodePeer, ObjectId, Op, Outcome, Read, ReadMode, Refusal, ReplyRpc,
    Taken, Update, UpdateReply, Versioned,
};
use crate::state::{Mode, Settings};

/// The pause before a client asks again after a refusal.
const AGAIN: Duration = Duration::from_millis(20);

// handout: end
// handout: put classic
// use labrt::time::Duration;
//
// use crate::rpc::{
//     Config, ManagerPeer, NodeId, NodePeer, ObjectId, Op, Outcome, ReadMode, Refusal, ReplyRpc, UpdateReply,
//     Versioned,
// };
// use crate::state::Settings;
//
// handout: end
// Clients listen here in every solution.
// handout: bodies kept
/// The network outside: it carries the tail's answers to the clients.
#[derive(Default)]
pub struct Replies {
    ports: Mutex<BTreeMap<u64, Sender<UpdateReply>>>,
}

impl Replies {
    /// A network without clients.
    pub fn new() -> Arc<Replies> {
        Arc::default()
    }

    /// What it offers to nodes.
    pub fn service(self: &Arc<Self>) -> Service {
        self.clone().into_service()
    }

    fn open(&self, client: u64) -> Receiver<UpdateReply> {
        let (sender, replies) = unbounded();
        self.ports.lock().insert(client, sender);
        replies
    }
}

impl ReplyRpc for Replies {
    fn update_reply(&self, replies: Vec<UpdateReply>) {
        for reply in replies {
            let port = self.ports.lock().get(&reply.client).cloned();
            if let Some(port) = port {
                // A client that is gone needs no answer.
                let _ = port.send(reply);
            }
        }
    }
}

/// A client of one chain. It has one operation under way at a time.
pub struct Client {
    // handout: drop classic
    settings: Settings,
    nodes: Vec<NodePeer>,
    managers: LeaderCache<ManagerPeer>,
    session: ClientSession,
    replies: Receiver<UpdateReply>,
    /// The configuration, as the client knows it.
    config: Config,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: drop classic
/// What became of an attempt.
enum Attempt<T> {
    Done(T),
    /// The node refuses, and will refuse again.
    Refused(Refusal),
    /// Ask again, perhaps elsewhere.
    Again,
}

// handout: end
// handout: bodies CA
impl Client {
    /// A client with this number, which no other client may have. It reaches the nodes, by number, and the
    /// managers.
    ///
    /// # Panics
    /// Without managers.
    pub fn new(
        number: u64,
        nodes: Vec<NodePeer>,
        managers: Vec<ManagerPeer>,
        replies: &Replies,
        settings: Settings,
    ) -> Client {
        let managers = managers.into_iter().map(|manager| manager.timeout(settings.resend));
        Client {
            settings,
            nodes,
            managers: LeaderCache::new(managers.collect()),
            session: ClientSession::with_client(number),
            replies: replies.open(number),
            config: Config::default(),
        }
    }

    /// The configuration that the client goes by; epoch 0: it knows none.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Asks the managers for the configuration in force. Without an answer the old one stays.
    pub fn refresh(&mut self) {
        let chain = self.settings.chain;
        if let Some(config) = self.managers.ask_each(|manager| manager.config(&chain).ok()?.ok())
            && config.epoch > self.config.epoch
        {
            self.config = config;
        }
    }

    /// Updates an object, for as long as it takes.
    ///
    /// # Errors
    /// [`Refusal::Busy`], [`Refusal::BadVersion`], [`Refusal::NotANumber`]. The object is as it was.
    pub fn update(&mut self, object: ObjectId, op: Op) -> Result<Outcome, Refusal> {
        loop {
            if let Some(answer) = self.update_for(object, op.clone(), Duration::from_secs(3600)) {
                return answer;
            }
        }
    }

    /// As [`Client::update`], but gives up after `patience`. Whether the update was carried out is unknown
    /// then.
    pub fn update_for(
        &mut self,
        object: ObjectId,
        op: Op,
        patience: Duration,
    ) -> Option<Result<Outcome, Refusal>> {
        let mut update = Update { at: self.header(), object, request: self.session.request(op) };
        let deadline = Instant::now() + patience;
        self.attempt(deadline, |client| {
            update.at = client.header();
            client.try_update(&update, deadline)
        })
    }

    fn header(&self) -> Header {
        Header { chain: self.settings.chain, epoch: self.config.epoch }
    }

    /// Tries again, with what is known of the chain by then.
    fn attempt<T>(
        &mut self,
        deadline: Instant,
        mut attempt: impl FnMut(&mut Client) -> Attempt<T>,
    ) -> Option<Result<T, Refusal>> {
        if self.config.epoch == 0 {
            self.refresh();
        }
        while Instant::now() < deadline {
            match attempt(self) {
                Attempt::Done(done) => return Some(Ok(done)),
                Attempt::Refused(refusal) => return Some(Err(refusal)),
                Attempt::Again => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            thread::sleep(AGAIN.min(left));
            self.refresh();
        }
        None
    }

    /// Asks the head, then waits for the tail.
    ///
    /// The number of the request stays the same in all attempts, at whichever head, so the update is carried
    /// out once. A refusal that names the object's state is the answer; one that names the chain's is not.
    fn try_update(&mut self, update: &Update, deadline: Instant) -> Attempt<Outcome> {
        let Some(head) = self.config.head() else { return Attempt::Again };
        match self.nodes[head.node].timeout(self.settings.resend * 3).update(update) {
            Ok(Ok(Taken::Done(outcome))) => Attempt::Done(outcome),
            Ok(Ok(Taken::UnderWay)) => {
                let until = deadline.min(Instant::now() + self.settings.resend);
                self.answer(update.request.sequence, until).map_or(Attempt::Again, Attempt::Done)
            }
            Ok(Err(refusal @ (Refusal::Busy | Refusal::BadVersion(_) | Refusal::NotANumber))) => {
                Attempt::Refused(refusal)
            }
            Ok(Err(_)) => Attempt::Again,
            // The head may have taken it. The tail's answer may be there already.
            Err(_) => {
                self.answer(update.request.sequence, Instant::now()).map_or(Attempt::Again, Attempt::Done)
            }
        }
    }

    /// Waits for the tail's answer to an update; answers to earlier ones are dropped.
    fn answer(&self, sequence: u64, until: Instant) -> Option<Outcome> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let reply = self.replies.recv_timeout(left).ok()?;
            if reply.sequence == sequence {
                return Some(reply.outcome);
            }
        }
    }

    /// Reads an object, at the tail or, with CRAQ, at a node that is drawn at random.
    ///
    /// # Errors
    /// [`Refusal::TooOld`], of a bounded read.
    pub fn read(&mut self, object: ObjectId, mode: ReadMode) -> Result<Versioned, Refusal> {
        loop {
            if let Some(answer) = self.read_for(object, mode, None, Duration::from_secs(3600)) {
                return answer;
            }
        }
    }

    /// As [`Client::read`], at this node if one is given, and for so long at most.
    pub fn read_for(
        &mut self,
        object: ObjectId,
        mode: ReadMode,
        at: Option<NodeId>,
        patience: Duration,
    ) -> Option<Result<Versioned, Refusal>> {
        self.attempt(Instant::now() + patience, |client| {
            let Some(node) = at.or_else(|| client.reader()) else { return Attempt::Again };
            let read = Read { at: client.header(), object, mode };
            match client.nodes[node].timeout(client.settings.resend).read(&read) {
                Ok(Ok(versioned)) => Attempt::Done(versioned),
                Ok(Err(Refusal::TooOld)) => Attempt::Refused(Refusal::TooOld),
                _ => Attempt::Again,
            }
        })
    }

    /// The node to read at.
    /// Drawn anew for each attempt: a node that is dead or cut off costs one time-out, not all of them, and
    /// reads spread over the chain evenly.
    fn reader(&self) -> Option<NodeId> {
        let members = &self.config.members;
        match self.settings.mode {
            Mode::Plain => self.config.tail().map(|tail| tail.node),
            Mode::Craq if members.is_empty() => None,
            Mode::Craq => Some(members[labrt::rand::random_range(0..members.len())].node),
        }
    }
}
