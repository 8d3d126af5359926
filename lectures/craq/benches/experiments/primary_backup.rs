//! What chain replication is compared with: a primary that carries out everything, and two backups.

use craq::rpc::ObjectId;
use labrpc::{DelayModel, Name, Server};
use labrt::node::Node as Computer;
use labrt::sync::Arc;
use labrt::thread;
use labrt::time::Duration;
use tester::{Net, trial};

use crate::{CLIENTS, FIRST, MESSAGE, OTHER, QUERY, Station, is_update, measured, ms};

labrpc::service! {
    /// A server of primary/backup replication.
    service ServerRpc, client ServerPeer {
        /// Carries out an update, at the primary: then the backups do.
        fn update(object: ObjectId) -> ();
        /// Answers a query, at the primary.
        fn query(object: ObjectId) -> ();
        /// Carries out an update, at a backup.
        fn repeat(object: ObjectId) -> ();
    }
}

struct Replica {
    processor: Station,
    backups: Vec<ServerPeer>,
}

impl ServerRpc for Replica {
    fn update(&self, object: ObjectId) {
        self.processor.work(FIRST);
        let calls = self.backups.iter().cloned().map(|backup| {
            thread::spawn_named("backup", move || backup.repeat(&object).expect("nothing is lost"))
        });
        let calls: Vec<_> = calls.collect();
        calls.into_iter().for_each(|call| call.join().expect("a backup answers"));
    }

    fn query(&self, _object: ObjectId) {
        self.processor.work(QUERY);
    }

    fn repeat(&self, _object: ObjectId) {
        self.processor.work(OTHER);
    }
}

/// Operations a second with this share of updates.
pub(crate) fn rate(seed: u64, percent: u64) -> f64 {
    trial(seed, move || {
        let net = Net::new();
        net.network().set_delay(DelayModel::fixed(MESSAGE));
        let long = Duration::from_secs(60);
        let peer = |server: &str| {
            let (number, end) = net.make_end(&Name::from(server));
            net.network().enable(number, true);
            ServerPeer::new(end).timeout(long)
        };
        for (name, backups) in [
            ("primary", vec![peer("backup-1"), peer("backup-2")]),
            ("backup-1", vec![]),
            ("backup-2", vec![]),
        ] {
            let replica = Arc::new(Replica { processor: Station::default(), backups });
            net.network().add_server(name, Server::new(&Computer::new(name)).with(replica.into_service()));
        }
        let clients = (0..CLIENTS).map(|_| (peer("primary"), labrt::rand::random_range(0..100)));
        crate::rate(clients.collect(), ms(2000), measured(percent), move |(primary, phase), turn| {
            let is_update = is_update(percent, *phase, turn);
            let answer = if is_update { primary.update(&turn) } else { primary.query(&turn) };
            answer.expect("nothing is lost");
        })
    })
}
