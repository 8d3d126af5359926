//! Directed tests: situations that chance rarely brings about.

use std::time::Duration;

use labrpc::TapAction;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::thread;
use tester::{Test, run};
use vmft::rpc::Heartbeat;
use vmft::transfer::compare;
use vmft::{HostSources, Machine, Role, Settings, guests};

use crate::cluster::{Cluster, Setup, counter, play};
use crate::watch::Seen;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A guest writes blocks and reads them back while its host crashes: operations whose completion was not in
/// the log are started again, and the disk ends as if nothing had happened.
#[test]
fn disk_through_a_crash() {
    run("disk_through_a_crash", |t: &Test| {
        for crash_after in [0, 1, 2, 3].map(|quarter| 20 + 60 * quarter + random_range(0..60)) {
            const BLOCKS: u32 = 12;
            let cluster = Cluster::new(t, Setup::new(guests::file_writer(BLOCKS)));
            t.scene(format!("The primary crashes after {crash_after} ms."));
            thread::sleep(ms(crash_after));
            cluster.hosts.crash(0);
            cluster.wait(20_000, "the guest has written its blocks", || cluster.role(1) == Some(Role::Off));
            thread::sleep(ms(300));
            assert_eq!(String::from_utf8_lossy(&cluster.wire.console()), ".".repeat(BLOCKS as usize));
            cluster.finish();
        }
    });
}

/// The machine is switched off while its last output has not left, and then its host crashes. The backup must
/// not be off by then: it goes live and sends that output (R4, R12).
#[test]
fn last_output_through_a_crash() {
    play("last_output_through_a_crash", counter, |t, cluster| {
        let client = cluster.count_to(3);
        t.scene("No output of the primary leaves. A client asks, and the machine is switched off.");
        cluster.watch.filter(|message| match message {
            Seen::Outputs(0) => TapAction::Drop,
            _ => TapAction::Deliver,
        });
        let asking = thread::spawn(move || {
            let mut client = client;
            client.increment()
        });
        thread::sleep(ms(200));
        cluster.tell(0, |host| host.power_off());
        thread::sleep(ms(200));
        t.exercised(
            cluster.role(0) == Some(Role::Primary),
            "the primary is off although an output has not left",
        );
        t.scene("The primary crashes.");
        cluster.hosts.crash(0);
        cluster.wait(20_000, "the client is answered", || asking.is_finished());
        assert_eq!(asking.join().expect("it does not panic"), 4, "the answer of the backup");
    });
}

/// Writes of the first primary come late, when the guest has written their blocks again, on its new host.
#[test]
fn late_disk_write() {
    const BLOCKS: u32 = 40;
    let setup = || Setup::new(guests::file_writer(BLOCKS));
    play("late_disk_write", setup, |t, cluster| {
        t.scene("Many outputs arrive late, behind their repetitions. The primary crashes.");
        cluster.watch.filter(|message| match message {
            Seen::Outputs(0) if random_range(0..3) == 0 => TapAction::Delay(ms(random_range(300..4000))),
            _ => TapAction::Deliver,
        });
        thread::sleep(ms(2500));
        cluster.hosts.crash(0);
        cluster.wait(30_000, "the guest has written its blocks", || cluster.role(1) == Some(Role::Off));
        thread::sleep(ms(4000));
        assert_eq!(String::from_utf8_lossy(&cluster.wire.console()), ".".repeat(BLOCKS as usize));
    });
}

/// A log message comes late, when the backup has won the flag. It must not be acknowledged: the winner will
/// not replay it, and the primary would release its output.
#[test]
fn log_after_the_decision() {
    play("log_after_the_decision", counter, |t, cluster| {
        drop(cluster.count_to(5));
        t.scene("The primary's messages are held back until the backup is live.");
        cluster.net.network().enable(cluster.hosts.link(1, 0), false);
        cluster.set_disk(0, false);
        cluster.hosts.hold_link(0, 1);
        let client = cluster.counting_at(0);
        let work = thread::spawn(move || {
            let mut client = client;
            client.increment_for(ms(4000))
        });
        cluster.wait_for(1, Role::Live, cluster.failover_ms());
        cluster.hosts.release_link(0, 1);
        thread::sleep(ms(500));
        cluster.set_disk(0, true);
        cluster.wait_for(0, Role::Lost, cluster.failover_ms());
        assert_eq!(work.join().ok().flatten(), None, "a primary without a backup has answered");
        assert_eq!(cluster.counting_at(1).increment(), 6);
    });
}

/// The arbiter's answers are lost for a while. A host that asks again must be told that it has won, not that
/// the flag is set.
#[test]
fn lost_answer_of_the_flag() {
    play("lost_answer_of_the_flag", counter, |t, cluster| {
        let mut client = cluster.count_to(2);
        t.scene("The primary crashes, and the answers to the backup's question are lost.");
        cluster.cut_disk_replies(1, true);
        cluster.hosts.crash(0);
        cluster.wait(cluster.failover_ms(), "the flag is set", || !cluster.flag_is_free());
        thread::sleep(ms(500));
        assert_eq!(cluster.role(1), Some(Role::Backup), "a host without an answer");
        cluster.cut_disk_replies(1, false);
        cluster.wait_for(1, Role::Live, cluster.failover_ms());
        assert_eq!(client.increment(), 3);
    });
}

/// The first free host is dead, so the repair takes another one. The second repair attempt is a new epoch.
#[test]
fn repair_takes_another_host() {
    play(
        "repair_takes_another_host",
        || Setup { spares: 2, ..counter() },
        |t, cluster| {
            let mut client = cluster.count_to(2);
            t.scene("Host 2 is dead, and so is the primary.");
            cluster.hosts.crash(2);
            cluster.hosts.crash(0);
            cluster.wait_for(3, Role::Backup, 5000);
            assert_eq!(client.increment(), 3);
            cluster.hosts.crash(1);
            cluster.wait_for(3, Role::Live, cluster.failover_ms());
            assert_eq!(client.increment(), 4);
            let epochs: Vec<u64> = cluster.watch.winners().into_keys().collect();
            assert_eq!((epochs.len(), epochs[0]), (2, 1), "epochs with a winner: {epochs:?}");
        },
    );
}

/// The answers to a clone are lost, so the survivor tries again with an other host. The first host holds an
/// old state, of an epoch that never began, and must never go live.
#[test]
fn forgotten_clone() {
    play(
        "forgotten_clone",
        || Setup { spares: 2, ..counter() },
        |t, cluster| {
            let mut client = cluster.count_to(2);
            t.scene("Host 2 takes a clone, and its answer is lost.");
            cluster.net.network().cut_replies(cluster.hosts.link(1, 2), true);
            cluster.hosts.crash(0);
            cluster.wait(10_000, "host 3 is the backup", || {
                cluster.role(1) == Some(Role::Primary) && cluster.role(3) == Some(Role::Backup)
            });
            let sum = (0..5).map(|_| client.increment()).last().unwrap_or_default();
            thread::sleep(ms(1500));
            t.expect(cluster.role(2) != Some(Role::Live), || {
                "the host with the old state is live".to_owned()
            });
            cluster.hosts.crash(1);
            // Host 2 is free, so host 3 may have made it its backup before anybody looks.
            cluster.wait(cluster.failover_ms(), "host 3 is live", || {
                matches!(cluster.role(3), Some(Role::Live | Role::Primary))
            });
            assert_eq!(client.increment(), sum + 1);
            t.expect(cluster.role(2) != Some(Role::Live), || {
                "the host with the old state is live".to_owned()
            });
        },
    );
}

/// The world outside cannot be reached for a while: outputs wait, and none is missing.
#[test]
fn outputs_wait() {
    play(
        "outputs_wait",
        || Setup::new(guests::sorter(10_000)),
        |t, cluster| {
            thread::sleep(ms(500));
            t.scene("The primary is cut off from the world outside, and then crashes.");
            cluster.set_wire(0, false);
            thread::sleep(ms(700));
            cluster.hosts.crash(0);
            cluster.wait_for(1, Role::Live, cluster.failover_ms());
            thread::sleep(ms(500));
            let left = cluster.watch.last_output();
            t.expect(left > 10, || format!("only {left} bytes have left"));
            cluster.wait(2000, "all bytes are printed", || cluster.wire.console().len() as u64 >= left);
        },
    );
}

/// Full log: a backup that acknowledges nothing stops the guest, and the guest goes on when it does.
#[test]
fn full_log_stops_the_guest() {
    let setup = || {
        let settings = Settings { max_log: 50, timeout: ms(20_000), ..Settings::default() };
        Setup { settings, ..Setup::new(guests::sorter(10_000)) }
    };
    play("full_log_stops_the_guest", setup, |t, cluster| {
        t.scene("All acknowledgements are lost.");
        cluster.watch.filter(|message| match message {
            Seen::Ack(_) => TapAction::Drop,
            _ => TapAction::Deliver,
        });
        thread::sleep(ms(2000));
        let icount = |host| cluster.status(host).map_or(0, |status| status.icount);
        let stopped_at = icount(0);
        thread::sleep(ms(1000));
        assert_eq!(icount(0), stopped_at, "the guest runs on with a full log");
        t.scene("They arrive again.");
        cluster.watch.unfilter();
        thread::sleep(ms(1000));
        assert!(icount(0) > stopped_at + 100_000, "the guest stands still");
    });
}

/// Messages of another epoch, or to a host that does not have the role, are refused and change nothing.
#[test]
fn messages_of_other_epochs() {
    play(
        "messages_of_other_epochs",
        || Setup { spares: 1, ..counter() },
        |t, cluster| {
            let mut client = cluster.count_to(2);
            let heartbeat = |epoch| Heartbeat { epoch, is_primary: true, icount: 0 };
            let ask = |host, epoch| {
                cluster
                    .hosts
                    .visit(host, move |server| vmft::rpc::HostRpc::heartbeat(&**server, heartbeat(epoch)))
            };
            assert_eq!(ask(1, 0), Some(Err(vmft::rpc::HostError::WrongEpoch(1))));
            assert_eq!(ask(1, 2), Some(Err(vmft::rpc::HostError::WrongEpoch(1))));
            assert_eq!(
                ask(0, 1),
                Some(Err(vmft::rpc::HostError::WrongRole)),
                "a primary takes another one's sign"
            );
            t.scene("A damaged clone is refused.");
            let clone =
                vmft::rpc::Clone { epoch: 7, primary: 0, machine: vec![1, 2, 3], next_seq: 1, released: 0 };
            let adopt = |host, clone| {
                cluster.hosts.visit(host, move |server| vmft::rpc::HostRpc::adopt(&**server, clone))
            };
            assert_eq!(adopt(2, clone.clone()), Some(Err(vmft::rpc::HostError::Damaged)));
            let machine = labgob::encode(&Machine::new(guests::counter(10_000)));
            let whole = vmft::rpc::Clone { machine, ..clone };
            let refused = adopt(1, whole.clone());
            assert_eq!(refused, Some(Err(vmft::rpc::HostError::WrongRole)), "a backup takes a clone");
            assert_eq!(client.increment(), 3);
            t.scene("A clone of an earlier epoch comes when the host has one of a later epoch.");
            assert_eq!(adopt(2, whole.clone()), Some(Ok(())));
            let late = adopt(2, vmft::rpc::Clone { epoch: 6, ..whole });
            assert_eq!(
                late,
                Some(Err(vmft::rpc::HostError::WrongEpoch(7))),
                "an older clone replaces a newer one"
            );
        },
    );
}

/// State transfer against the log: bytes for each request.
#[test]
fn log_needs_fewer_bytes() {
    run("log_needs_fewer_bytes", |t: &Test| {
        const REQUESTS: u64 = 100;
        let packets = |requests: u64| -> Vec<Vec<u8>> {
            let words = |number: u64| [1, number, 1, number % 200, number];
            (1..=requests)
                .map(|number| words(number).iter().flat_map(|word| word.to_le_bytes()).collect())
                .collect()
        };
        let servers = [
            ("counter", guests::counter(0)),
            ("key/value", guests::key_value(0)),
            ("sort", guests::sort_server(0)),
        ];
        for (name, program) in servers {
            let traffic = compare(Machine::new(program), &packets(REQUESTS), Arc::new(HostSources));
            let (log, pages) = (traffic.log / REQUESTS, traffic.pages / REQUESTS);
            t.note(format!("{name}: {log} bytes of log, {pages} of pages for a request"));
            t.expect(log < pages || traffic.shipped <= REQUESTS, || {
                format!("{name}: the log needs {log} bytes for a request, the pages {pages}")
            });
            t.expect(traffic.shipped > REQUESTS, || format!("{name} touches one page for a request"));
        }
    });
}
