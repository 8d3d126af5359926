//! Directed tests: crashes and switches while something else is slow, lost or cut off.

use std::time::Duration;

use labrpc::TapAction;
use labrt::quiet::Mutex;
use labrt::rand::random_range;
use labrt::sync::Arc;
use labrt::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use labrt::thread;
use labrt::time::Instant;
use tester::{Test, run};
use vmft::rpc::{HostRpc, LogBatch};
use vmft::{EntryKind, Interrupt, Role, Settings, VM, guests};

use crate::cluster::{Cluster, Setup, counter, play};
use crate::watch::Seen;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A flag that a filter sets, and what sets it.
fn flag() -> (Arc<AtomicBool>, impl Fn() + Send + 'static) {
    let flag = Arc::new(AtomicBool::new(false));
    let setter = Arc::clone(&flag);
    (flag, move || setter.store(true, Ordering::SeqCst))
}

fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::SeqCst)
}

/// The counter, and one host that is free for a repair.
fn with_spare() -> Setup {
    Setup { spares: 1, ..counter() }
}

/// Waits until host 2 is the backup of host 1, crashes host 1, and waits until host 2 is live.
fn repair_and_crash(cluster: &Cluster) {
    cluster.wait(10_000, "host 1 has host 2 as its backup", || {
        [cluster.role(1), cluster.role(2)] == [Some(Role::Primary), Some(Role::Backup)]
    });
    // Until they have heard each other in the new epoch.
    thread::sleep(ms(300));
    cluster.hosts.crash(1);
    cluster.wait_for(2, Role::Live, cluster.failover_ms());
}

/// The backup has received increments and is too slow to have replayed them when the primary crashes. Clients
/// have the answers, so it must replay all of them before it goes live (R6, R8).
#[test]
fn slow_backup_takes_over() {
    play("slow_backup_takes_over", counter, |t, cluster| {
        let mut client = cluster.count_to(3);
        t.scene("The backup is very slow. A client goes on, and the primary crashes.");
        cluster.tell(1, |host| host.set_speed(100));
        let sum = (0..20).map(|_| client.increment()).last().unwrap_or_default();
        let [primary, backup] = [0, 1].map(|host| cluster.status(host).map_or(0, |status| status.icount));
        t.exercised(primary > backup + 50, "the backup was not behind");
        cluster.hosts.crash(0);
        cluster.tell(1, |host| host.set_speed(1_000_000));
        cluster.wait_for(1, Role::Live, 20_000);
        assert_eq!([client.get(), client.increment()], [sum, sum + 1]);
    });
}

/// A host asks for the flag and gets it, and the answer is lost. Then both hosts hear each other again. The
/// host must learn that it has the flag, since its partner cannot win it any more (R7).
#[test]
fn flag_asked_and_channel_mended() {
    play("flag_asked_and_channel_mended", counter, |t, cluster| {
        let mut client = cluster.count_to(4);
        t.scene("The channel is cut. Host 1 gets the flag without an answer; host 0 reaches no disk.");
        cluster.set_disk(0, false);
        cluster.cut_disk_replies(1, true);
        cluster.set_channel(false);
        cluster.wait(cluster.failover_ms(), "the flag is set", || !cluster.flag_is_free());
        t.scene("The channel is mended, and then the disk.");
        cluster.set_channel(true);
        thread::sleep(ms(600));
        cluster.cut_disk_replies(1, false);
        cluster.set_disk(0, true);
        let live = cluster.expect_one_live();
        assert_eq!((live, client.increment()), (1, 5));
    });
}

/// No reset of the flag arrives for a while after the clone; in the second scene the new backup hears nothing
/// meanwhile, either. The machine must be fault-tolerant again afterwards (R10).
#[test]
fn late_reset() {
    run("late_reset", |t: &Test| {
        for is_silent in [false, true] {
            let cluster = Cluster::new(t, with_spare());
            let mut client = cluster.count_to(2);
            let channel = if is_silent { ", nor does the new backup hear of its primary" } else { "" };
            t.scene(format!("The primary crashes. No reset of the flag arrives{channel}."));
            let (asked, ask) = flag();
            cluster.hosts.crash(0);
            cluster.watch.filter(move |message| match message {
                Seen::Reset => {
                    ask();
                    TapAction::Drop
                }
                Seen::Log(_) | Seen::Sign if is_silent => TapAction::Drop,
                _ => TapAction::Deliver,
            });
            cluster.wait(5000, "host 1 resets the flag", || is_set(&asked));
            thread::sleep(ms(1200));
            t.scene("Everything arrives again. Host 1 crashes, too, if it has a backup.");
            cluster.watch.unfilter();
            thread::sleep(ms(1500));
            // In the second scene each host may have had good reason to go on alone.
            let has_lost = is_silent && cluster.watch.has_lost(2) && cluster.role(1) == Some(Role::Live);
            if has_lost {
                assert_eq!(client.increment(), 3);
            } else if cluster.role(2) != Some(Role::Live) {
                assert_eq!(client.increment(), 3);
                repair_and_crash(&cluster);
            }
            let sum = client.get();
            assert_eq!(client.increment(), sum + 1);
            cluster.finish();
        }
    });
}

/// The survivor cannot reach the world outside while it looks for a new backup. Its outputs are in no log: it
/// must not clone the guest before they have left, or a crash would lose them (invariant 6).
#[test]
fn outputs_before_the_clone() {
    let setup = || Setup { spares: 1, ..Setup::new(guests::sorter(10_000)) };
    play("outputs_before_the_clone", setup, |t, cluster| {
        thread::sleep(ms(300));
        t.scene("The primary crashes, and host 1 cannot reach the world outside.");
        cluster.set_wire(1, false);
        cluster.hosts.crash(0);
        // If no output had to leave, it may have made host 2 its backup before anybody looks.
        cluster.wait(cluster.failover_ms(), "host 1 is live", || {
            matches!(cluster.role(1), Some(Role::Live | Role::Primary))
        });
        thread::sleep(ms(1500));
        if cluster.role(1) == Some(Role::Live) {
            t.scene("It can reach it again.");
            cluster.set_wire(1, true);
        }
        repair_and_crash(cluster);
        thread::sleep(ms(500));
        let left = cluster.watch.last_output();
        t.expect(left > 10, || format!("only {left} bytes have left"));
        cluster.wait(2000, "all bytes are printed", || cluster.wire.console().len() as u64 >= left);
    });
}

/// The machine is switched off. The first message that says so is lost, or the first answer to it: the
/// primary is not off before the backup knows, and nobody goes live (R12).
#[test]
fn end_of_the_log_lost() {
    run("end_of_the_log_lost", |t: &Test| {
        for is_answer in [false, true] {
            let settings = Settings { timeout: ms(3000), ..Settings::default() };
            let cluster = Cluster::new(t, Setup { settings, ..counter() });
            drop(cluster.count_to(2));
            t.scene(format!(
                "The last message's {} is lost.",
                if is_answer { "answer" } else { "first copy" }
            ));
            let (end, mut is_lost) = (AtomicU64::new(u64::MAX), false);
            cluster.watch.filter(move |message| {
                let is_due = match message {
                    Seen::Log(batch) => {
                        let last = batch.entries.iter().find(|entry| entry.kind == EntryKind::PowerOff);
                        last.inspect(|entry| end.store(entry.seq, Ordering::SeqCst));
                        last.is_some() && !is_answer
                    }
                    Seen::Ack(ack) => is_answer && ack.received_seq >= end.load(Ordering::SeqCst),
                    _ => false,
                };
                let loses = is_due && !is_lost;
                is_lost |= is_due;
                if loses { TapAction::Drop } else { TapAction::Deliver }
            });
            cluster.tell(0, |host| host.power_off());
            (0..2).for_each(|host| cluster.wait_for(host, Role::Off, 2800));
            thread::sleep(ms(1000));
            t.expect(cluster.watch.winners().is_empty(), || "a host has taken the flag".to_owned());
            cluster.finish();
        }
    });
}

/// The disk is cut off now and then while a guest writes and reads. A read without an answer is no failed
/// read: it is started again.
#[test]
fn disk_cut_off_for_a_while() {
    const BLOCKS: u32 = 120;
    let setup = || Setup::new(guests::file_writer(BLOCKS));
    play("disk_cut_off_for_a_while", setup, |t, cluster| {
        t.scene("The primary's disk is cut off twenty times.");
        for _ in 0..20 {
            thread::sleep(ms(random_range(5..60)));
            cluster.set_disk(0, false);
            thread::sleep(ms(200));
            cluster.set_disk(0, true);
        }
        (0..2).for_each(|host| cluster.wait_for(host, Role::Off, 60_000));
        assert_eq!(String::from_utf8_lossy(&cluster.wire.console()), ".".repeat(BLOCKS as usize));
    });
}

/// A client gives a request up, and the guest has carried it out. The answer comes while the client waits for
/// the next one, which has another number.
#[test]
fn request_given_up() {
    play("request_given_up", counter, |t, cluster| {
        drop(cluster.count_to(2));
        // Not in the history, where a client that has given up makes no more calls.
        let mut client = cluster.client();
        t.scene("No output leaves, and a client gives up.");
        let (carried_out, carry_out) = flag();
        let is_packet = |kind: &EntryKind| matches!(kind, EntryKind::Interrupt(Interrupt::Packet(_)));
        cluster.watch.filter(move |message| match message {
            Seen::Log(batch) if batch.entries.iter().any(|entry| is_packet(&entry.kind)) => {
                carry_out();
                TapAction::Deliver
            }
            Seen::Outputs(_) => TapAction::Drop,
            _ => TapAction::Deliver,
        });
        assert_eq!(client.call_for(&[1], ms(800)), None, "no answer has left");
        cluster.wait(2000, "the guest has the request", || is_set(&carried_out));
        thread::sleep(ms(300));
        t.scene("Outputs leave again, and the client makes other requests.");
        cluster.watch.unfilter();
        assert_eq!([client.call(&[1]), client.call(&[1])], [4, 5]);
    });
}

/// The machine is switched off while the guest is cloned. The switch is not forgotten: the machine ends on
/// both hosts, and nobody goes live (R12).
#[test]
fn power_off_while_cloned() {
    play("power_off_while_cloned", with_spare, |t, cluster| {
        drop(cluster.count_to(2));
        t.scene("The primary crashes. While the survivor clones the guest, the machine is switched off.");
        let (is_cloned, clone) = flag();
        cluster.watch.filter(move |message| match message {
            Seen::Adopt => {
                clone();
                TapAction::Delay(ms(50))
            }
            _ => TapAction::Deliver,
        });
        cluster.hosts.crash(0);
        cluster.wait(5000, "the guest is cloned", || is_set(&is_cloned));
        cluster.tell(1, |host| host.power_off());
        cluster.wait_for(1, Role::Off, 3000);
        thread::sleep(ms(1500));
        let [survivor, backup] = [cluster.role(1), cluster.role(2)];
        // Where messages are slow the clone may have failed, and host 2 waits for ever.
        let is_right = backup == Some(Role::Off) || (!t.is_ordinary() && backup != Some(Role::Live));
        t.expect(survivor == Some(Role::Off) && is_right, || {
            format!("the machine is switched off; host 1 is {survivor:?}, and host 2 is {backup:?}")
        });
        assert_eq!(cluster.watch.winners().len(), 1, "a host has taken the flag of a machine that ended");
    });
}

/// Entries come without the one before them. They are not acknowledged: the primary would forget the one that
/// is missing, and release outputs that the backup cannot make (R4, R6).
#[test]
fn gap_not_acknowledged() {
    play("gap_not_acknowledged", counter, |t, cluster| {
        drop(cluster.count_to(2));
        t.scene("Messages of the log are lost, and then entries come without the first lost one.");
        cluster.watch.filter(|message| match message {
            Seen::Log(_) => TapAction::Drop,
            _ => TapAction::Deliver,
        });
        // What has left before is on its way, or there, and may be sent again beside newer entries.
        let missing = cluster.watch.last_entry() + 1;
        let lost: Arc<Mutex<Option<LogBatch>>> = Arc::default();
        let keep = Arc::clone(&lost);
        cluster.watch.filter(move |message| match message {
            Seen::Log(batch) => {
                let mut later = batch.clone();
                later.entries.retain(|entry| entry.seq > missing);
                if !later.entries.is_empty() {
                    keep.lock().get_or_insert(later);
                }
                TapAction::Drop
            }
            _ => TapAction::Deliver,
        });
        cluster.wait(2000, "two entries are lost", || lost.lock().is_some());
        let Some(batch) = lost.lock().take() else { t.fail("they were there") };
        cluster.watch.handed(1, &batch);
        // A backup may also refuse what it cannot use yet.
        if let Some(Ok(ack)) = cluster.hosts.visit(1, move |server| HostRpc::log(&**server, batch)) {
            t.expect(ack.received_seq < missing, || {
                format!("entry {missing} is missing, and those up to {} are acknowledged", ack.received_seq)
            });
        }
        cluster.watch.unfilter();
        thread::sleep(ms(500));
        assert_eq!(cluster.counting().increment(), 3);
    });
}

/// The only free host takes a clone, its answer is lost, and then it hears nothing more. The epoch of its
/// clone has not begun, so it must not go on alone. It is still free: it takes a newer clone (R10).
#[test]
fn clone_without_an_answer() {
    play("clone_without_an_answer", with_spare, |t, cluster| {
        let mut client = cluster.count_to(2);
        t.scene("The primary crashes. Host 2 takes a clone, its answer is lost, and then it is cut off.");
        let network = cluster.net.network();
        let set_links = |is_open| {
            for (from, to) in [(1, 2), (2, 1)] {
                network.enable(cluster.hosts.link(from, to), is_open);
            }
        };
        network.cut_replies(cluster.hosts.link(1, 2), true);
        cluster.hosts.crash(0);
        cluster.wait(5000, "host 2 has a clone", || cluster.role(2) == Some(Role::Backup));
        set_links(false);
        thread::sleep(ms(2000));
        t.expect(cluster.role(2) != Some(Role::Live), || {
            "host 2 is live with the clone of an epoch that has not begun".to_owned()
        });
        assert_eq!(client.increment(), 3);
        t.scene("Host 1 reaches it again.");
        network.cut_replies(cluster.hosts.link(1, 2), false);
        set_links(true);
        repair_and_crash(cluster);
        assert_eq!(client.increment(), 4);
    });
}

/// A host has the clone of an attempt that failed, and another host became the backup. The first host is
/// still free: when it is needed, it takes a newer clone (R10).
#[test]
fn forgotten_clone_is_free() {
    let setup = || Setup { spares: 2, ..counter() };
    play("forgotten_clone_is_free", setup, |t, cluster| {
        let mut client = cluster.count_to(2);
        t.scene("The primary crashes. Host 2 takes a clone, and its answer is lost. Host 3 is the backup.");
        cluster.net.network().cut_replies(cluster.hosts.link(1, 2), true);
        cluster.hosts.crash(0);
        cluster.wait(10_000, "host 1 has host 3 as its backup", || {
            [cluster.role(1), cluster.role(3)] == [Some(Role::Primary), Some(Role::Backup)]
        });
        // Longer than T, so that host 2 has asked for the flag.
        thread::sleep(ms(1500));
        t.scene("Host 1 crashes. No other host than host 2 is free.");
        cluster.hosts.crash(1);
        cluster.wait(10_000, "host 3 has host 2 as its backup", || {
            [cluster.role(3), cluster.role(2)] == [Some(Role::Primary), Some(Role::Backup)]
        });
        assert_eq!(client.increment(), 3);
    });
}

/// A write has left before the guest is cloned, and the entry of its interrupt never arrives. A host that
/// goes live with the clone starts the write again, since its guest waits for it (R8).
#[test]
fn write_before_the_clone() {
    run("write_before_the_clone", |t: &Test| {
        const BLOCKS: u32 = 40;
        for _ in 0..4 {
            // Host 1 has the time to reset the flag before it suspects a backup that acknowledges nothing.
            let settings = Settings { timeout: ms(2000), ..Settings::default() };
            let cluster =
                Cluster::new(t, Setup { spares: 1, settings, ..Setup::new(guests::file_writer(BLOCKS)) });
            // A guest whose messages are fast has soon written nearly all.
            let moment = Instant::now() + ms(random_range(20..80));
            let nearly_all = u64::from(BLOCKS - 10);
            cluster.wait(2000, "the guest has written a few blocks", || {
                Instant::now() >= moment || cluster.wire.console().len() as u64 >= nearly_all
            });
            t.scene("The primary crashes. The survivor clones its guest, and no entry arrives after that.");
            let mut is_cloned = false;
            cluster.watch.filter(move |message| match message {
                Seen::Adopt => {
                    is_cloned = true;
                    TapAction::Deliver
                }
                Seen::Log(_) if is_cloned => TapAction::Drop,
                _ => TapAction::Deliver,
            });
            cluster.hosts.crash(0);
            let has_new_flag = || cluster.disk.with(VM, |volume| volume.flag().epoch() > 1);
            cluster.wait(10_000, "the flag is reset for a new backup", has_new_flag);
            t.scene("The survivor crashes, too.");
            cluster.hosts.crash(1);
            cluster.wait(20_000, "the guest has written its blocks", || cluster.role(2) == Some(Role::Off));
            thread::sleep(ms(300));
            assert_eq!(String::from_utf8_lossy(&cluster.wire.console()), ".".repeat(BLOCKS as usize));
            cluster.finish();
        }
    });
}
