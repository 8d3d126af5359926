//! Situations that chance brings about too rarely.

use std::time::Duration;

use labrt::thread;
use rsm::ClientSession;

use crate::counter::{Command, Counters};

/// A server that follows the leadership may learn late that its Raft stands for election,
/// after it has won and taken its first submit. That news is no reason to give up the
/// submit.
#[test]
fn first_submit_rsm() {
    tester::run("first_submit_rsm", |test| {
        let counters = Counters::new(test, false, labapi::Options::default());
        counters.client(1).add(1);
        let mut session = ClientSession::with_client(2);
        for round in 1..=8 {
            test.scene("Two servers are busy while they elect a new leader.");
            let old = counters.leader();
            let busy: Vec<_> = (0..3).filter(|&server| server != old).collect();
            for &server in &busy {
                counters.group.visit(server, |replica| {
                    let rsm = replica.rsm.clone();
                    thread::spawn(move || rsm.inspect(|_| thread::sleep(Duration::from_secs(5))));
                });
            }
            counters.group.disconnect(old);
            let outcome = counters.stub(counters.leader()).submit(&session.request(Command::Add(1)));
            let expected = round + 1;
            test.expect(outcome == Ok(Ok(expected)), || {
                format!("the new leader's first submit ends with {outcome:?}")
            });
            counters.group.connect(old);
            counters.check(expected, &[0, 1, 2]);
        }
    });
}
