// handout: file never
//! Reads without the log: what a leader may answer, and when it must not.

use std::time::Duration;

use labapi::{Lease, Options};
use labrt::thread;
use tester::Test;

use crate::counter::{Counters, Refusal};

const LEASE: Options = Options {
    lease: Some(Lease { max_clock_drift: 0.1 }),
    check_quorum: true,
    pre_vote: false,
    messages_ahead: 0,
};

/// A read sees every command that was carried out before it, also one carried out by another
/// leader, and costs no entry.
fn fresh(test: &Test, options: Options) {
    let counters = Counters::new(test, false, options);
    let mut client = counters.client(1);
    for expected in 1..=20 {
        client.add(1);
        let seen = client.read();
        test.expect(seen == expected, || format!("read {seen} after {expected} additions"));
    }
    test.scene("The leader is cut off.");
    counters.group.disconnect(counters.leader());
    client.add(1);
    let seen = client.read();
    test.expect(seen == 21, || format!("read {seen} after 21 additions"));
    const READS: usize = 20;
    let before = counters.group.log_size();
    (0..READS).for_each(|_| _ = client.read());
    // The server that is cut off may have voted for itself meanwhile, which is a few bytes. An entry for each
    // read would be many.
    let added = counters.group.log_size().saturating_sub(before);
    test.expect(added < READS, || format!("{READS} reads have added {added} bytes to a log"));
}

/// A leader that is cut off does not answer; with a lease, not after the moment when it might be replaced.
/// When it learns of its successor, it refuses; with a lease before, since a leader that hears no majority
/// gives up.
fn cut_off(test: &Test, options: Options) {
    let counters = Counters::new(test, false, options);
    let mut client = counters.client(1);
    client.add(1);
    client.read();
    let leader = counters.leader();
    counters.group.disconnect(leader);
    client.add(1);
    test.scene("There is another leader. The old one is asked.");
    let stub = counters.stub(leader);
    let (ended, outcome) = labrt::channel::bounded(1);
    drop(thread::spawn(move || ended.send(stub.read(&()))));
    let refused = Ok(Ok(Err(Refusal::NotLeader)));
    let early = outcome.recv_timeout(Duration::from_secs(2));
    if options == LEASE {
        test.expect(early == refused, || format!("a leader that has given up said {early:?}"));
        return;
    }
    test.expect(early.is_err(), || format!("a leader in a minority has answered {early:?}"));
    counters.group.connect(leader);
    let late = outcome.recv_timeout(Duration::from_secs(2));
    test.expect(late == refused, || format!("the deposed leader said {late:?}"));
}

#[test]
fn read_index_rsm() {
    tester::run("read_index_rsm", |test| fresh(test, Options::default()));
}

#[test]
fn read_index_cut_off_rsm() {
    tester::run("read_index_cut_off_rsm", |test| cut_off(test, Options::default()));
}

#[test]
fn lease_rsm() {
    tester::run("lease_rsm", |test| fresh(test, LEASE));
}

#[test]
fn lease_cut_off_rsm() {
    tester::run("lease_cut_off_rsm", |test| cut_off(test, LEASE));
}

/// With a lease a read needs no other server: the leader sends only its heartbeats.
#[test]
fn lease_costs_nothing_rsm() {
    tester::run("lease_costs_nothing_rsm", |test| {
        let counters = Counters::new(test, false, LEASE);
        let mut client = counters.client(1);
        client.add(1);
        client.read();
        thread::sleep(Duration::from_secs(1));
        let network = counters.group.net().network();
        let stub = counters.stub(counters.leader());
        let before = network.total_count();
        for _ in 0..100 {
            let seen = stub.read(&());
            test.expect(seen == Ok(Ok(1)), || format!("read {seen:?}"));
        }
        // A hundred reads take about 11 ms each: a second, with two heartbeats each 100 ms.
        let calls = network.total_count() - before - 100;
        test.expect(!test.is_ordinary() || calls <= 40, || format!("{calls} calls besides the reads"));
    });
}
