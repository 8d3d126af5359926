//! The simulated disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labapi::{Persister, Write};

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
