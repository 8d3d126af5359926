//! The registry of a chain's manager on the coordination service `zookeeper`, behind the trait that the
//! Raft-based one implements.
//!
//! The plan is the data of a node, whose version is the plan's revision. The manager that holds an ephemeral
//! node leads.
//!
//! ```text
//! chain      the plan, encoded        version 7 = revision 7: `set_data` with version 7 makes revision 8
//! manager    ephemeral, no data       its owner's session is the manager that leads
//! ```
//!
//! The two nodes do different work. The ephemeral one keeps managers from getting into each other's way, and
//! may be wrong for a while: a manager that is cut off believes that it leads until it hears that its session
//! has ended. The version is what makes that harmless. Of two managers that publish behind revision 7 the
//! service lets one succeed (Hunt et al., *ZooKeeper*, USENIX ATC 2010, §2.4: configuration management).

use craq::{Plan, Registry, Unavailable};
use labrpc::ClientEnd;
use labrt::sync::{Arc, Mutex};
use labrt::thread;
use labrt::time::Duration;
use zookeeper::{Client, Error, Flags, Operation, Outcome, Settings};

/// The node whose data are the plan.
const PLAN: &str = "chain";
/// The node that the manager that leads has made.
const LEADER: &str = "manager";
/// After so long a silence the service takes a manager for dead, and the next one can take its place. Chains
/// serve their clients meanwhile; only a failure of a node has to wait.
const SESSION: Duration = Duration::from_millis(2000);
/// How long a call waits for its answer. A manager that cannot reach the service has to say so to the nodes
/// that ask it: they turn to another one.
const PATIENCE: Duration = Duration::from_millis(800);
/// How often a manager looks whether it leads.
const LOOK: Duration = Duration::from_millis(100);

/// One manager's session with the coordination service.
pub struct ZkRegistry {
    ends: Vec<ClientEnd>,
    /// The session, and whether its manager leads.
    session: Mutex<(Arc<Client>, bool)>,
}

impl ZkRegistry {
    /// Opens a session with the servers that `ends` reach, and stands for leader from now on.
    ///
    /// # Panics
    /// If `ends` is empty.
    pub fn start(ends: Vec<ClientEnd>) -> Arc<ZkRegistry> {
        let session = Mutex::new((Arc::new(open(&ends)), false));
        let registry = Arc::new(ZkRegistry { ends, session });
        let candidate = Arc::clone(&registry);
        thread::spawn_named("candidate", move || candidate.stand());
        registry
    }

    /// The session of the moment. A call that is under way keeps its own when a new one is opened.
    fn client(&self) -> Arc<Client> {
        self.session.lock().0.clone()
    }

    /// Takes the leader's node whenever it is free. The node goes with its session, so a manager whose
    /// session has ended no longer leads, and opens another one.
    fn stand(&self) {
        loop {
            let client = self.client();
            let stat = client.exists(LEADER);
            let leads = match &stat {
                Ok(Some(stat)) => stat.ephemeral_owner == Some(client.session()),
                Ok(None) => client.create(LEADER, b"", Flags::EPHEMERAL).is_ok(),
                Err(_) => false,
            };
            // Looked up without the lock, so that nobody waits for the service because of this thread.
            let mut session = self.session.lock();
            session.1 = leads;
            if stat == Err(Error::SessionExpired) {
                session.0 = Arc::new(open(&self.ends));
            }
            drop(session);
            thread::sleep(LOOK);
        }
    }
}

fn open(ends: &[ClientEnd]) -> Client {
    Client::open(ends.to_vec(), Settings { timeout: SESSION, patience: Some(PATIENCE) })
}

impl Registry for ZkRegistry {
    fn leads(&self) -> bool {
        self.session.lock().1
    }

    /// Servers answer reads from their own state, which may be old. The sync brings the server up to date; a
    /// session's operations are carried out in order, so the read need not wait for its answer.
    fn newest(&self) -> Result<Plan, Unavailable> {
        let (client, path) = (self.client(), PLAN.to_owned());
        let sync = client.start(Operation::Sync { path: path.clone() });
        let read = client.start(Operation::GetData { path, watch: false });
        sync.wait().map_err(|_| Unavailable)?;
        match read.wait() {
            Ok(Outcome::Data(data, stat)) if stat.version > 0 => {
                labgob::decode(&data).map_err(|_| Unavailable)
            }
            Ok(Outcome::Data(..)) | Err(Error::NoNode) => Ok(Plan::default()),
            _ => Err(Unavailable),
        }
    }

    /// The node's version counts its changes, as the plan's revision does. The service compares them.
    ///
    /// A repetition of a change that was made finds another version, and so does one of two managers. Either
    /// way the answer is "done": which plan is in force, the next look tells.
    fn publish(&self, plan: &Plan) -> Result<(), Unavailable> {
        let client = self.client();
        if plan.revision == 1 {
            match client.create(PLAN, b"", Flags::REGULAR) {
                Ok(_) | Err(Error::NodeExists) => {}
                Err(_) => return Err(Unavailable),
            }
        }
        let before = i64::try_from(plan.revision - 1).map_err(|_| Unavailable)?;
        match client.set_data(PLAN, &labgob::encode(plan), before) {
            Ok(_) | Err(Error::BadVersion) => Ok(()),
            Err(_) => Err(Unavailable),
        }
    }
}
