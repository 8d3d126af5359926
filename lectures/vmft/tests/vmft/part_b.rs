//! Part B: two hosts, and what can happen to them.

use std::time::Duration;

use labrpc::{DelayModel, TapAction};
use labrt::rand::{random_bool, random_range};
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use labrt::thread::{self, JoinHandle};
use labrt::time::Instant;
use tester::{Allowance, Test, run, run_within};
use vmft::{EntryKind, Interrupt, Role, Settings, guests};

use crate::cluster::{Cluster, Counting, Setup, counter, play};
use crate::watch::Seen;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A flag that a filter sets and a test waits for.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Lets a client increment in a thread of its own.
fn increment(mut client: Counting) -> JoinHandle<(Counting, u64)> {
    thread::spawn(move || {
        let sum = client.increment();
        (client, sum)
    })
}

/// A panic of the thread fails the run by itself.
fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a panic of the thread fails the run")
}

#[test]
fn ft_lockstep_idle_and_busy() {
    run("ft_lockstep_idle_and_busy", |t: &Test| {
        let busy = Setup::new(guests::sorter(10_000));
        for (scene, setup) in [("The guest is idle.", counter()), ("The guest is busy.", busy)] {
            t.scene(scene);
            let cluster = Cluster::new(t, setup);
            for _ in 0..100 {
                thread::sleep(ms(100));
                let lag = cluster.status(0).map_or(Duration::ZERO, |status| status.lag);
                t.expect(lag < ms(100) || !t.is_ordinary(), || format!("the backup is {lag:?} behind"));
            }
            t.expect(cluster.watch.outputs_of(1) == 0, || "the backup has sent something".to_owned());
            let compared = cluster.watch.compared();
            t.expect(compared.is_none_or(|compared| compared >= 950), || {
                format!("only {compared:?} events were compared, of 1000 ticks")
            });
            t.expect(cluster.watch.winners().is_empty(), || "a host has asked for the flag".to_owned());
            cluster.finish();
        }
    });
}

/// Scenario 1: the increment's entries have reached the backup, and the primary dies before it replies.
#[test]
fn ft_failover_after_ack() {
    play("ft_failover_after_ack", counter, |t, cluster| {
        let client = cluster.count_to(10);
        t.scene("The acknowledgement of an increment is lost, and the primary dies.");
        let (reached, acknowledged) = (Flag::default(), AtomicU64::new(u64::MAX));
        let seen = reached.clone();
        cluster.watch.filter(move |message| match message {
            Seen::Log(batch) => {
                let output =
                    batch.entries.iter().find(|entry| matches!(entry.kind, EntryKind::Output { .. }));
                output.inspect(|entry| acknowledged.store(entry.seq, Ordering::SeqCst));
                TapAction::Deliver
            }
            Seen::Ack(ack) if ack.received_seq >= acknowledged.load(Ordering::SeqCst) => {
                seen.set();
                TapAction::Drop
            }
            _ => TapAction::Deliver,
        });
        let before = cluster.watch.outputs_of(0);
        let work = increment(client);
        cluster.wait(2000, "the entries reach the backup", || reached.is_set());
        cluster.hosts.crash(0);
        let crashed = Instant::now();
        cluster.watch.unfilter();
        t.expect(cluster.watch.outputs_of(0) == before, || "the primary has replied".to_owned());
        t.scene("The backup goes live. The client gets 11, and then 12.");
        cluster.wait_for(1, Role::Live, cluster.failover_ms());
        expect_quick(t, cluster, crashed);
        let (mut client, sum) = joined(work);
        assert_eq!((sum, client.increment()), (11, 12));
    });
}

/// Invariant 7: T, the lag, and a round trip to the disk. Messages take at most 10 ms.
fn expect_quick(t: &Test, cluster: &Cluster, crashed: Instant) {
    let first = cluster.watch.first_output_after(crashed);
    let took = first.unwrap_or_else(Instant::now).saturating_duration_since(crashed);
    let bound = Settings::default().timeout + ms(100) + ms(20);
    t.expect(took <= bound || !t.is_ordinary(), || format!("service resumed after {took:?}, not {bound:?}"));
}

/// Loses the log from the next request on. The flag is set when the guest has tried to reply.
fn lose_log_of_request(cluster: &Cluster) -> Flag {
    // Until the backup has heard of everything before.
    thread::sleep(ms(500));
    let (tried, flag) = (Flag::default(), Flag::default());
    let seen = tried.clone();
    cluster.watch.filter(move |message| {
        let Seen::Log(batch) = message else { return TapAction::Deliver };
        let is = |kind: fn(&EntryKind) -> bool| batch.entries.iter().any(|entry| kind(&entry.kind));
        if is(|kind| matches!(kind, EntryKind::Interrupt(Interrupt::Packet(_)))) {
            flag.set();
        }
        if flag.is_set() && is(|kind| matches!(kind, EntryKind::Output { .. })) {
            seen.set();
        }
        if flag.is_set() { TapAction::Drop } else { TapAction::Deliver }
    });
    tried
}

/// Scenario 2: the log of the increment is lost, and the primary dies right after the guest tries to reply.
#[test]
fn ft_output_rule() {
    play("ft_output_rule", counter, |t, cluster| {
        let client = cluster.count_to(10);
        t.scene("The log of an increment is lost, and the primary dies.");
        let before = cluster.watch.outputs_of(0);
        let tried = lose_log_of_request(cluster);
        let work = increment(client);
        cluster.wait(2000, "the guest tries to reply", || tried.is_set());
        thread::sleep(ms(20));
        t.expect(cluster.watch.outputs_of(0) == before, || "the primary has replied".to_owned());
        cluster.hosts.crash(0);
        cluster.watch.unfilter();
        t.scene("The backup goes live, and has not heard of the increment. The client asks again.");
        let (mut client, sum) = joined(work);
        assert_eq!((sum, client.increment()), (11, 12));
        t.expect(cluster.watch.outputs_of(0) == before, || "the dead primary has replied".to_owned());
    });
}

/// The same without the output rule: two increments are answered 11.
#[test]
fn ft_output_rule_off_fails() {
    let setup = || {
        let settings = Settings { output_rule: false, ..Settings::default() };
        Setup { settings, is_strict: false, ..counter() }
    };
    play("ft_output_rule_off_fails", setup, |t, cluster| {
        let client = cluster.count_to(10);
        t.scene("The log of an increment is lost. The primary replies all the same, and dies.");
        let tried = lose_log_of_request(cluster);
        let (_, first) = joined(increment(client));
        cluster.wait(2000, "the guest tries to reply", || tried.is_set());
        cluster.hosts.crash(0);
        cluster.watch.unfilter();
        let second = cluster.counting().increment();
        t.expect((first, second) == (11, 11), || {
            format!("two increments were answered {first} and {second}")
        });
        t.expect(cluster.history_complaint().is_some(), || "the checker has seen nothing".to_owned());
    });
}

#[test]
fn ft_duplicate_output() {
    play("ft_duplicate_output", counter, |t, cluster| {
        let mut client = cluster.count_to(10);
        for round in 0..3 {
            t.scene("The primary dies just after a reply has left.");
            let left = Flag::default();
            let seen = left.clone();
            cluster.watch.filter(move |message| {
                if matches!(message, Seen::Outputs(0)) {
                    seen.set();
                }
                TapAction::Deliver
            });
            let work = increment(client);
            if round == 0 {
                cluster.wait(2000, "a reply leaves", || left.is_set());
                cluster.hosts.crash(0);
            }
            let (next, sum) = joined(work);
            assert_eq!(sum, 11 + round, "a reply is accepted once");
            client = next;
        }
        cluster.wait_for(1, Role::Live, cluster.failover_ms());
        t.exercised(cluster.watch.repeated() > 0, "no output left twice");
    });
}

/// The primary is killed at each of 500 points of a run of 25 increments.
#[test]
fn ft_crash_everywhere() {
    let allowance = Allowance { virtual_time: Duration::from_secs(900), ..Allowance::default() };
    run_within("ft_crash_everywhere", allowance, |t: &Test| {
        const POINTS: u32 = 500;
        const STEP: Duration = Duration::from_micros(300);
        const INCREMENTS: u64 = 25;
        let mut unfinished = 0;
        for point in 0..POINTS {
            let settings = Settings { timeout: ms(100), ..Settings::default() };
            let cluster = Cluster::new(t, Setup { settings, is_drawn: false, ..counter() });
            cluster.net.network().set_delay(DelayModel::fixed(ms(1)));
            let mut client = cluster.counting();
            let done = Flag::default();
            let finished = done.clone();
            let work = thread::spawn(move || {
                let sums: Vec<u64> = (0..INCREMENTS).map(|_| client.increment()).collect();
                finished.set();
                sums
            });
            thread::sleep(STEP * point);
            unfinished += u32::from(!done.is_set());
            cluster.hosts.crash(0);
            let sums = joined(work);
            t.expect(sums == (1..=INCREMENTS).collect::<Vec<_>>(), || {
                format!("point {point}: sums {sums:?}")
            });
            cluster.finish();
        }
        t.exercised(unfinished > POINTS / 2, "most crashes came after the run's end");
    });
}

#[test]
fn ft_backup_crash() {
    play("ft_backup_crash", counter, |t, cluster| {
        let client = cluster.count_to(5);
        t.scene("The backup dies, and a reply of the primary is held back.");
        cluster.hosts.crash(1);
        let before = cluster.watch.outputs_of(0);
        let work = increment(client);
        thread::sleep(ms(200));
        t.expect(cluster.watch.outputs_of(0) == before, || {
            "a reply left without an acknowledgement".to_owned()
        });
        t.scene("The primary wins the flag, and goes on alone.");
        cluster.wait_for(0, Role::Live, cluster.failover_ms());
        let (mut client, sum) = joined(work);
        assert_eq!((sum, client.increment()), (6, 7));
    });
}

/// Only the logging channel is cut, and both hosts reach the disk.
#[test]
fn ft_partition_tas() {
    play("ft_partition_tas", counter, |t, cluster| {
        let client = cluster.count_to(5);
        t.scene("The logging channel is cut. Exactly one host goes on, and the other halts.");
        cluster.set_channel(false);
        let work = increment(client);
        let live = cluster.expect_one_live();
        let (mut client, sum) = joined(work);
        assert_eq!((sum, client.increment()), (6, 7));
        t.scene("The channel is mended. The one that has halted stays so.");
        let before = cluster.watch.outputs_of(1 - live);
        cluster.set_channel(true);
        thread::sleep(ms(1000));
        assert_eq!(client.increment(), 8);
        assert_eq!([cluster.role(live), cluster.role(1 - live)], [Some(Role::Live), Some(Role::Lost)]);
        t.expect(cluster.watch.outputs_of(1 - live) == before, || "a host that has lost sends".to_owned());
    });
}

/// The logging channel is cut, and the disk from both hosts.
#[test]
fn ft_partition_no_disk() {
    play("ft_partition_no_disk", counter, |t, cluster| {
        let client = cluster.count_to(5);
        t.scene("Channel and disk are cut off. Nobody goes on, and nothing leaves.");
        (0..2).for_each(|host| cluster.set_disk(host, false));
        cluster.set_channel(false);
        // What was acknowledged may still leave.
        thread::sleep(ms(300));
        let outputs = cluster.watch.last_output();
        let work = increment(client);
        thread::sleep(ms(3000));
        assert_eq!([cluster.role(0), cluster.role(1)], [Some(Role::Primary), Some(Role::Backup)]);
        assert_eq!(cluster.watch.last_output(), outputs, "an output left while nobody could decide");
        t.scene("The disk is there again. One host goes on.");
        (0..2).for_each(|host| cluster.set_disk(host, true));
        cluster.expect_one_live();
        let (mut client, sum) = joined(work);
        assert_eq!((sum, client.increment()), (6, 7));
    });
}

/// The primary is frozen before it can ask for the flag, and thaws when the backup is live.
#[test]
fn ft_slow_loser() {
    play("ft_slow_loser", counter, |t, cluster| {
        let mut client = cluster.count_to(5);
        t.scene("The channel is cut, and the primary freezes before it asks for the flag.");
        cluster.set_channel(false);
        thread::sleep(Settings::default().timeout / 2);
        let Some(primary) = cluster.hosts.node(0) else { t.fail("the primary has crashed") };
        primary.pause();
        cluster.wait_for(1, Role::Live, cluster.failover_ms());
        assert_eq!(client.increment(), 6);
        t.scene("It thaws, and halts without an output.");
        let before = cluster.watch.outputs_of(0);
        primary.resume();
        cluster.wait_for(0, Role::Lost, cluster.failover_ms());
        assert_eq!(client.increment(), 7);
        t.expect(cluster.watch.outputs_of(0) == before, || "a host that has thawed sends".to_owned());
    });
}

/// After a failover the guest is cloned to a third host, and survives the loss of the second.
#[test]
fn ft_repair() {
    play(
        "ft_repair",
        || Setup { spares: 1, ..counter() },
        |t, cluster| {
            let mut client = cluster.count_to(5);
            t.scene("The primary crashes. The backup goes live, and clones the guest to host 2.");
            cluster.hosts.crash(0);
            let mut longest = Duration::ZERO;
            let mut sum = client.increment();
            assert_eq!(sum, 6);
            let deadline = Instant::now() + ms(5000);
            while cluster.role(2) != Some(Role::Backup) || cluster.role(1) != Some(Role::Primary) {
                t.expect(Instant::now() < deadline, || "no new backup after five seconds".to_owned());
                let start = Instant::now();
                sum += 1;
                assert_eq!(client.increment(), sum);
                longest = longest.max(start.elapsed());
            }
            let bound = ms(1000);
            t.expect(longest < bound || !t.is_ordinary(), || {
                format!("a request took {longest:?} during the repair")
            });
            for _ in 0..10 {
                sum += 1;
                assert_eq!(client.increment(), sum);
            }
            t.scene("The survivor crashes, too. Host 2 goes live, and no update is lost.");
            cluster.hosts.crash(1);
            cluster.wait_for(2, Role::Live, cluster.failover_ms());
            assert_eq!([client.increment(), client.get()], [sum + 1, sum + 1]);
        },
    );
}

/// The backup runs at half speed for a while.
#[test]
fn ft_lag_control() {
    play(
        "ft_lag_control",
        || Setup::new(guests::sorter(10_000)),
        |t, cluster| {
            let look = |lowest: &mut f64| {
                thread::sleep(ms(100));
                let Some(status) = cluster.status(0) else { t.fail("the primary has crashed") };
                t.expect(status.lag < ms(2000), || format!("the backup is {:?} behind", status.lag));
                *lowest = lowest.min(status.share);
                status.share
            };
            t.scene("The backup runs at half speed.");
            cluster.tell(1, |host| host.set_speed(500_000));
            let mut lowest = 1.0;
            for _ in 0..80 {
                look(&mut lowest);
            }
            t.expect(lowest < 0.75, || format!("the primary's share never fell below {lowest}"));
            t.scene("The backup is as fast as before.");
            cluster.tell(1, |host| host.set_speed(1_000_000));
            let share = (0..60).map(|_| look(&mut lowest)).last().unwrap_or(0.0);
            // Where messages are slow, the backup is always behind by what is on the way.
            let expected = if t.is_ordinary() { 0.8 } else { lowest };
            t.expect(share > expected, || format!("after six seconds the primary's share is {share}"));
        },
    );
}

/// A fifth of all messages of the channel are lost, and some come so late that their repetitions overtake
/// them.
#[test]
fn ft_log_channel_lossy() {
    let setup = || {
        let settings = Settings { timeout: ms(5000), ..Settings::default() };
        Setup { settings, is_drawn: false, ..counter() }
    };
    play("ft_log_channel_lossy", setup, |t, cluster| {
        t.scene("The channel loses and delays messages.");
        let (newest, overtaken) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let late = Arc::clone(&overtaken);
        cluster.watch.filter(move |message| {
            match message {
                Seen::Log(batch) => {
                    let [first, last] = [batch.entries.first(), batch.entries.last()]
                        .map(|entry| entry.map_or(u64::MAX, |entry| entry.seq));
                    let is_repeated = newest.fetch_max(last, Ordering::SeqCst) >= first;
                    late.fetch_add(u64::from(is_repeated), Ordering::SeqCst);
                }
                Seen::Ack(_) => {}
                _ => return TapAction::Deliver,
            }
            match random_range(0..10) {
                0 | 1 => TapAction::Drop,
                2 => TapAction::Delay(ms(random_range(1..400))),
                3 if random_bool(0.5) => TapAction::Duplicate,
                _ => TapAction::Deliver,
            }
        });
        let mut client = cluster.count_to(30);
        thread::sleep(ms(1000));
        assert_eq!(client.increment(), 31);
        t.exercised(overtaken.load(Ordering::SeqCst) > 0, "no entry was sent twice");
        t.expect(cluster.watch.compared().is_none_or(|compared| compared > 60), || {
            "the backup has replayed too little".to_owned()
        });
        assert_eq!([cluster.role(0), cluster.role(1)], [Some(Role::Primary), Some(Role::Backup)]);
    });
}

#[test]
fn ft_power_off() {
    play("ft_power_off", counter, |t, cluster| {
        drop(cluster.count_to(3));
        t.scene("The machine is switched off on the primary.");
        cluster.tell(0, |host| host.power_off());
        (0..2).for_each(|host| cluster.wait_for(host, Role::Off, 1000));
        thread::sleep(ms(2000));
        assert_eq!([cluster.role(0), cluster.role(1)], [Some(Role::Off), Some(Role::Off)]);
        t.expect(cluster.watch.winners().is_empty(), || "a host has taken the flag".to_owned());
        let hashes: Vec<_> =
            (0..2).map(|host| cluster.status(host).map(|status| status.state_hash)).collect();
        assert_eq!(hashes[0], hashes[1], "the two guests ended in different states");
    });
}
