//! Situations that chance brings about too rarely.

use std::any::TypeId;
use std::time::Duration;

use labrt::{runtime, thread};
use rsm::ClientSession;
use tester::{ELECTION, Test};

use crate::counter::{Command, Counters, PATIENCE, Refusal};

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
                    thread::spawn(move || rsm.inspect(|_| runtime::compute(Duration::from_secs(5))));
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

/// Requests arrive again: at once, when their clients have gone on, and after a restart. Each command is
/// carried out once. A repetition of the last one gets the reply of that time. For an earlier one's nobody
/// waits any more.
#[test]
fn late_copies_rsm() {
    tester::run("late_copies_rsm", |test| {
        let counters = Counters::new(test, false, labapi::Options::default());
        let (mut client, mut other) = (counters.client(1), counters.client(2));
        let requests: Vec<_> = (0..5).map(|_| client.request(1)).collect();
        test.scene("Each request comes twice in a row, and again when another client was there.");
        for (before, request) in (0..).zip(&requests) {
            let mut replies = [client.send(request), client.send(request), 0];
            other.add(1);
            replies[2] = client.send(request);
            let expected = [2 * before + 1; 3];
            test.expect(replies == expected, || format!("the replies are {replies:?} and not {expected:?}"));
        }
        let come_late =
            || requests.iter().for_each(|request| _ = counters.stub(counters.leader()).submit(request));
        test.scene("Copies come when their client has all its answers.");
        come_late();
        let counter = client.add(1);
        test.expect(counter == 11, || format!("eleven requests, some of which came again, make {counter}"));
        test.scene("The same after a restart of all servers.");
        counters.crash_all();
        counters.restart_all();
        come_late();
        let counter = client.add(1);
        test.expect(counter == 12, || format!("twelve requests, some of which came again, make {counter}"));
        counters.check(12, &[0, 1, 2]);
    });
}

/// Other commands get the places of those that a deposed leader took. Its replica is busy when the news come,
/// and so hears of the new term and of these commands at once: whichever it looks at first, no submit may get
/// the reply to another command.
#[test]
fn places_taken_rsm() {
    const SUBMITS: u64 = 5;
    tester::run("places_taken_rsm", |test| {
        let counters = Counters::new(test, false, labapi::Options::default());
        counters.client(1).add(1);
        for round in 1..=8 {
            test.scene("The leader is cut off, and takes commands. Others get their places.");
            let old = counters.leader();
            counters.group.disconnect(old);
            let (ended, outcomes) = labrt::channel::unbounded();
            for client in 0..SUBMITS {
                let stub = counters.stub(old);
                let (request, ended) = (counters.client(1000 * round + client).request(1000), ended.clone());
                drop(thread::spawn(move || ended.send(stub.submit(&request))));
            }
            let mut other = counters.client(1 + round);
            (0..SUBMITS).for_each(|_| _ = other.add(1));
            test.scene("It is back. Its replica is busy for half a second.");
            counters.group.visit(old, |replica| {
                let rsm = replica.rsm.clone();
                thread::spawn(move || rsm.inspect(|_| runtime::compute(Duration::from_millis(500))));
            });
            counters.group.connect(old);
            for _ in 0..SUBMITS {
                let outcome = outcomes.recv_timeout(PATIENCE);
                test.expect(outcome == Ok(Ok(Err(Refusal::Overtaken))), || {
                    format!("a submit whose place another command has got ended with {outcome:?}")
                });
            }
            counters.check(1 + SUBMITS * round, &[0, 1, 2]);
        }
    });
}

/// A replica that knows earlier commands of a client gets the leader's snapshot, which covers later ones.
/// When the last of these comes again, the replica does not carry it out either.
#[test]
fn copies_behind_a_snapshot_rsm() {
    tester::run("copies_behind_a_snapshot_rsm", |test| {
        let counters = Counters::new(test, true, labapi::Options::default());
        let (mut client, mut other) = (counters.client(1), counters.client(2));
        for _ in 0..4 {
            let mut expected = client.add(1);
            counters.check(expected, &[0, 1, 2]);
            test.scene("A replica is cut off, and the client goes on. Others do for longer.");
            let away = (counters.leader() + 1) % 3;
            counters.group.disconnect(away);
            let last = client.request(1);
            client.send(&last);
            (0..40).for_each(|_| expected = other.add(1));
            test.scene("The replica is back, and gets a snapshot. The client's last request comes again.");
            counters.group.connect(away);
            counters.check(expected, &[0, 1, 2]);
            client.send(&last);
            expected = client.add(1);
            counters.check(expected, &[0, 1, 2]);
        }
        test.exercised(counters.group.snapshot_size() > 0, "there never was a snapshot");
    });
}

/// Whether the replicas stand on the oracle: a handout may have nothing else, and a run may ask for it.
fn is_over_oracle() -> bool {
    let only = TypeId::of::<rsm::Below>() == TypeId::of::<oracle::Oracle>();
    only || std::env::var_os("LAB_OVER").is_some_and(|over| over == "oracle")
}

/// A leader hears nothing but a candidate of a later term, and nobody gets anything committed. Its submits
/// end all the same: it leads no more, and cannot know what will become of them.
#[test]
fn deposed_by_a_candidate_rsm() {
    tester::run("deposed_by_a_candidate_rsm", |test| {
        let counters = Counters::new(test, false, labapi::Options::default());
        counters.client(1).add(1);
        let mut deposed = 0;
        for round in 1..=4 {
            test.scene("All servers are alone. The leader takes a command, and the others stand in vain.");
            let leader = counters.leader();
            (0..3).for_each(|server| counters.group.disconnect(server));
            let (ended, outcome) = labrt::channel::bounded(1);
            let (stub, request) = (counters.stub(leader), counters.client(100 + round).request(0));
            drop(thread::spawn(move || ended.send(stub.submit(&request))));
            thread::sleep(2 * ELECTION);
            // A message of a candidate may have been on its way when the leader was cut off: then it was
            // deposed before the command came, and has taken nothing that could be overtaken.
            if let Ok(early) = outcome.try_recv() {
                test.expect(!matches!(early, Ok(Ok(_))), || {
                    format!("the submit of a leader that reaches nobody ended with {early:?}")
                });
                (0..3).for_each(|server| counters.group.connect(server));
                continue;
            }
            test.scene("The leader hears one of the candidates.");
            counters.group.open_link((leader + 1) % 3, leader);
            thread::sleep(ELECTION);
            let leads = counters.group.visit(leader, |replica| replica.rsm.is_leader());
            if leads == Some(false) {
                deposed += 1;
                let outcome = outcome.recv_timeout(PATIENCE);
                test.expect(outcome == Ok(Ok(Err(Refusal::Overtaken))), || {
                    format!("the submit of a leader that has heard of a later term ended with {outcome:?}")
                });
            }
            (0..3).for_each(|server| counters.group.connect(server));
            counters.client(1000 + round).add(0);
        }
        // The oracle's leaders seldom hear candidates: a solution over it cannot do anything about that.
        if deposed > 0 || !is_over_oracle() {
            test.met("a leader that hears a candidate of a later term alone", deposed);
        }
        counters.check(1, &[0, 1, 2]);
    });
}

/// A read sees every command that was carried out before it. A leader that is cut off, and does not know of
/// its successor, has no answer.
#[test]
fn reads_at_two_leaders_rsm() {
    tester::run("reads_at_two_leaders_rsm", |test| {
        let counters = Counters::new(test, false, labapi::Options::default());
        let mut client = counters.client(1);
        for _ in 0..4 {
            let before = client.add(1);
            expect_read(test, client.read(), before);
            let old = counters.leader();
            test.scene("The leader is cut off, and another one carries out a command.");
            counters.group.disconnect(old);
            let after = client.add(1);
            let stub = counters.stub(old);
            let (ended, outcome) = labrt::channel::bounded(1);
            drop(thread::spawn(move || ended.send(stub.read(&()))));
            expect_read(test, client.read(), after);
            thread::sleep(Duration::from_millis(200));
            test.scene("It is back.");
            counters.group.connect(old);
            match outcome.recv_timeout(PATIENCE) {
                Ok(Ok(Ok(seen))) => expect_read(test, seen, after),
                Ok(_) => {}
                Err(_) => test.fail("a read at a deposed leader still waits although it is connected again"),
            }
        }
    });
}

fn expect_read(test: &Test, seen: u64, least: u64) {
    test.expect(seen >= least, || format!("a read saw {seen} after the counter was {least}"));
}
