//! The simulated disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labapi::{Loss, Persister, Reply, Request, WireFormat, Write};

#[test]
fn saves_replace_and_records_are_appended() {
    let disk = Persister::new();
    assert_eq!((disk.state(), disk.snapshot(), disk.state_size()), (vec![], vec![], 0));
    disk.save(b"state", Some(b"snap"));
    disk.append(b"+1");
    disk.append(b"+2");
    assert_eq!((disk.state(), disk.state_size()), (b"state+1+2".to_vec(), 9));
    disk.save(b"new", None);
    assert_eq!((disk.state(), disk.snapshot(), disk.snapshot_size()), (b"new".to_vec(), b"snap".to_vec(), 4));
    disk.save(b"newer", Some(b""));
    assert_eq!((disk.state(), disk.snapshot(), disk.writes()), (b"newer".to_vec(), vec![], 5));
}

#[test]
fn a_copy_is_another_disk_and_a_clone_the_same() {
    let disk = Persister::new();
    disk.append(b"a");
    let (copy, clone) = (disk.copy(), disk.clone());
    disk.append(b"b");
    copy.append(b"c");
    assert_eq!((clone.state(), copy.state()), (b"ab".to_vec(), b"ac".to_vec()));
}

/// A server that may put a hook in place of the test's own is a server that nobody watches.
#[test]
fn a_servers_handle_is_the_same_disk_and_does_nothing_that_is_for_tests() {
    let disk = Persister::new();
    let of_server = disk.for_server();
    of_server.append(b"a");
    assert_eq!((disk.state(), of_server.copy().state()), (b"a".to_vec(), b"a".to_vec()));
    type Call = fn(&Persister);
    let for_tests: [(&str, Call); 5] = [
        ("on_write", |disk| disk.on_write(|_| ())),
        ("lose_unsynced", Persister::lose_unsynced),
        ("after_crash", |disk| drop(disk.after_crash(|_| 0))),
        ("read_by", |disk| disk.read_by(None)),
        ("flip", |disk| assert!(!disk.flip("no file", 0, 1))),
    ];
    for (method, call) in for_tests {
        call(&disk);
        for servers in [of_server.clone(), of_server.copy()] {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&servers)));
            let message = *panic.expect_err(method).downcast::<String>().expect("a message");
            assert!(message.starts_with(&format!("Persister::{method} is for tests")), "{message}");
        }
    }
}

#[test]
fn a_hook_is_told_of_each_write_and_may_write_itself() {
    let disk = Persister::new();
    let seen = Arc::new(AtomicU64::new(0));
    let (of_hook, inner) = (Arc::clone(&seen), disk.clone());
    disk.on_write(move |write: &Write| {
        assert!(
            write.place.file().ends_with("persister.rs"),
            "the line that wrote, not one of the disk: {}",
            write.place
        );
        of_hook.fetch_add(write.number, Ordering::SeqCst);
        if write.snapshot {
            inner.append(b"!");
        }
    });
    disk.append(b"a");
    disk.save(b"b", Some(b"s"));
    disk.append(b"c");
    // The hook's own write, number 3, was not told to it.
    assert_eq!((seen.load(Ordering::SeqCst), disk.state()), (1 + 2 + 4, b"b!c".to_vec()));
}

#[test]
fn a_shared_snapshot_is_not_copied() {
    let disk = Persister::new();
    let snapshot = bytes::Bytes::from(b"snapshot".to_vec());
    disk.save_shared(b"state", Some(snapshot.clone()));
    assert_eq!(disk.snapshot_shared().as_ptr(), snapshot.as_ptr());
    assert_eq!((disk.snapshot(), disk.writes()), (b"snapshot".to_vec(), 1));
    disk.save_shared(b"newer", None);
    assert_eq!((disk.state(), disk.snapshot()), (b"newer".to_vec(), b"snapshot".to_vec()));
    assert_eq!(disk.copy().snapshot_shared(), snapshot);
}

/// Draws the given numbers, one after the other.
fn drawing<const N: usize>(numbers: [u64; N]) -> impl FnMut(u64) -> u64 {
    let mut numbers = numbers.into_iter();
    move |below| {
        let number = numbers.next().expect("another number than expected was drawn");
        assert!(number < below, "{number} was to be drawn from the {below} numbers below {below}");
        number
    }
}

#[test]
fn a_crash_loses_nothing_unless_a_test_says_so() {
    let disk = Persister::new();
    disk.save(b"state", Some(b"snap"));
    disk.append(b"+1");
    let (after, loss) = disk.after_crash(drawing([]));
    assert_eq!((after.state(), after.snapshot(), loss), (disk.state(), disk.snapshot(), Loss::default()));
    assert_eq!((disk.durable_writes(), after.durable_writes()), (2, 2));
}

/// A disk with two synced writes and three that are not.
fn unsynced() -> Persister {
    let disk = Persister::new();
    disk.append(b"old");
    disk.lose_unsynced();
    disk.save(b"state", Some(b"snap"));
    disk.sync();
    disk.append(b"+1");
    disk.save(b"newer", None);
    disk.append(b"+record");
    disk
}

#[test]
fn a_crash_loses_the_last_writes_that_are_not_synced() {
    let disk = unsynced();
    assert_eq!((disk.state(), disk.writes(), disk.durable_writes()), (b"newer+record".to_vec(), 5, 2));
    for (draws, state, lost) in [([0, 1], "state", 3), ([2, 1], "newer", 1)] {
        let (after, loss) = disk.after_crash(drawing(draws));
        assert_eq!((after.state(), after.snapshot()), (state.as_bytes().to_vec(), b"snap".to_vec()));
        assert_eq!(loss, Loss { writes: lost, torn_after: None });
        assert_eq!((after.writes(), after.durable_writes()), (5 - lost, 5 - lost));
    }
    let (after, loss) = disk.after_crash(drawing([1]));
    assert_eq!((after.state(), loss.writes), (b"state+1".to_vec(), 2), "a save is there or not");
    assert_eq!(disk.after_crash(drawing([3])).0.state(), b"newer+record", "luck");
    disk.sync();
    assert_eq!(disk.after_crash(drawing([])).0.state(), b"newer+record");
    assert_eq!(disk.durable_writes(), 5);
}

#[test]
fn a_crash_tears_an_append() {
    let disk = unsynced();
    let (after, loss) = disk.after_crash(drawing([2, 0, 3, 1]));
    assert_eq!((after.state(), loss), (b"newer+rec".to_vec(), Loss { writes: 1, torn_after: Some(4) }));
    let (after, _) = disk.after_crash(drawing([2, 0, 3, 0]));
    assert_eq!(after.state(), b"newer+rec\0\0\0");
    // What is on the disk after the crash stays there, and a new write can be lost again.
    after.append(b"next");
    assert_eq!(after.after_crash(drawing([0, 1])).0.state(), b"newer+rec\0\0\0");
}

#[test]
fn new_snapshots_are_lost_and_kept_with_their_states() {
    let disk = Persister::new();
    disk.lose_unsynced();
    disk.save(b"one", Some(b"first"));
    disk.sync();
    disk.save(b"two", Some(b"second"));
    for (kept, state, snapshot) in [(0, "one", "first"), (1, "two", "second")] {
        let (after, _) = disk.after_crash(drawing([kept]));
        assert_eq!(
            (after.state(), after.snapshot()),
            (state.as_bytes().to_vec(), snapshot.as_bytes().to_vec())
        );
    }
}

#[test]
fn files_hold_what_was_written_to_them() {
    let disk = Persister::new();
    assert_eq!((disk.read_file("a", 0, 10), disk.file_size("a")), (None, None));
    disk.write_file("a", 2, b"cd");
    assert_eq!(disk.read_file("a", 0, 10), Some(b"\0\0cd".to_vec()), "a gap is zeros");
    disk.write_file("a", 0, b"ab");
    disk.write_file("b", 0, b"");
    assert_eq!(disk.read_file("a", 1, 2), Some(b"bc".to_vec()));
    assert_eq!(disk.read_file("a", 9, 2), Some(Vec::new()), "beyond the end is nothing");
    assert_eq!((disk.file_names(), disk.file_size("b")), (vec!["a".to_owned(), "b".to_owned()], Some(0)));
    let other = disk.copy();
    disk.delete_file("a");
    assert_eq!((disk.file_size("a"), other.file_size("a"), disk.writes()), (None, Some(4), 4));
}

#[test]
fn a_byte_of_a_file_changes_behind_its_owners_back() {
    let disk = Persister::new();
    disk.lose_unsynced();
    disk.write_file("a", 0, b"abc");
    disk.sync();
    assert!(disk.flip("a", 1, 0x20));
    assert!(!disk.flip("a", 3, 1) && !disk.flip("b", 0, 1), "there is no such byte");
    assert_eq!(disk.read_file("a", 0, 3), Some(b"aBc".to_vec()));
    let (after, _) = disk.after_crash(drawing([]));
    assert_eq!((after.read_file("a", 0, 3), disk.writes()), (Some(b"aBc".to_vec()), 1));
}

#[test]
fn a_crash_loses_and_tears_writes_of_files() {
    let disk = Persister::new();
    disk.lose_unsynced();
    disk.write_file("a", 0, b"old");
    disk.sync();
    disk.write_file("a", 0, b"NEWER");
    disk.delete_file("a");
    let read = |disk: Persister| disk.read_file("a", 0, 9);
    assert_eq!(read(disk.after_crash(drawing([0, 1])).0), Some(b"old".to_vec()));
    let (torn, loss) = disk.after_crash(drawing([0, 0, 1]));
    assert_eq!((read(torn), loss), (Some(b"NEd".to_vec()), Loss { writes: 2, torn_after: Some(2) }));
    assert_eq!(read(disk.after_crash(drawing([1])).0), Some(b"NEWER".to_vec()));
    assert_eq!(read(disk.after_crash(drawing([2])).0), None);
}

/// A hook that waits, as one that crashes a server may, misses no write of another thread meanwhile.
#[test]
fn a_hook_is_called_for_each_of_two_writes_at_a_time() {
    for config in [labrt::Config::simulated(1), labrt::Config::threads(1)] {
        let outcome = labrt::run(config, || {
            let disk = Persister::new();
            let calls = labrt::sync::Arc::new(labrt::sync::Mutex::new(Vec::new()));
            let (of_hook, own) = (calls.clone(), disk.clone());
            disk.on_write(move |write| {
                labrt::thread::sleep(labrt::time::Duration::from_millis(1));
                of_hook.lock().push(write.number);
                own.write_file("by the hook", 0, b"x");
            });
            let write = |_| {
                let disk = disk.clone();
                labrt::thread::spawn(move || (0..5).for_each(|_| disk.save(b"x", None)))
            };
            let writers: Vec<_> = (0..4).map(write).collect();
            writers.into_iter().for_each(|writer| writer.join().expect("it only writes"));
            let called = calls.lock().len();
            (called, disk.writes())
        });
        assert_eq!(outcome.result, Ok((20, 40)));
    }
}

/// A crash ends whoever waits for the hook, and the hook with it.
#[test]
fn a_hook_that_crashes_its_server_leaves_nobody_waiting() {
    for config in [labrt::Config::simulated(1), labrt::Config::threads(1)] {
        let outcome = labrt::run(config, || {
            let (disk, node) = (Persister::new(), labrt::node::Node::new("server"));
            let victim = node.clone();
            disk.on_write(move |_| {
                labrt::thread::sleep(labrt::time::Duration::from_millis(20));
                victim.kill();
            });
            let write = |_| {
                let disk = disk.clone();
                node.spawn("writer", move || disk.save(b"x", None))
            };
            let writers: Vec<_> = (0..3).map(write).collect();
            // On real threads the two that wait may end before they notice that they are dead.
            let crashed = writers.into_iter().filter_map(|writer| writer.join().err()).count();
            let ended = crashed == 3 || crashed > 0 && labrt::world() == labrt::World::Threads;
            disk.save(b"y", None);
            (ended, disk.state())
        });
        assert_eq!(outcome.result, Ok((true, b"y".to_vec())));
    }
}

#[test]
#[should_panic(expected = "f would end behind 1073741824 bytes: 2 are written at 18446744073709551615")]
fn a_wrong_offset_is_told_at_once() {
    Persister::new().write_file("f", usize::MAX, b"xx");
}

/// Says what was written, or panics.
struct Reader;

impl WireFormat for Reader {
    fn request(&self, _: &str, _: &[u8]) -> Option<Request> {
        None
    }

    fn reply(&self, _: &str, _: &Request, _: &[u8]) -> Option<Reply> {
        None
    }

    fn disk(&self, bytes: &[u8]) -> Option<String> {
        (bytes.len() > 1).then(|| String::from_utf8(bytes.to_vec()).expect("panics on purpose"))
    }
}

#[test]
fn a_trace_says_what_is_written() {
    let outcome = labrt::run(labrt::Config::simulated(1).trace(true), || {
        let disk = Persister::new();
        disk.save(b"t1", None);
        disk.read_by(Some(&Reader));
        disk.save(b"t2", Some(b"snap"));
        disk.save(b"t2", Some(b"snap"));
        disk.append(b"+v");
        disk.append(b"\xff\xff");
        disk.append(b"x");
    });
    let said = outcome.events.iter().filter(|event| event.kind == "disk");
    let said: Vec<&str> = said.filter_map(|event| event.text.split(" at ").next()).collect();
    let expected = [
        "writes 2 bytes of state (the first)",
        "writes 2 bytes of state (byte 1 on: 31 → 32) and a snapshot of 4 (the first): t2",
        "writes 2 bytes of state (as before) and a snapshot of 4 (as before): t2",
        "appends 2 bytes: +v",
        "appends 2 bytes: (its `WireFormat::disk` panics)",
        "appends 1 bytes",
    ];
    assert_eq!(said, expected);
}
