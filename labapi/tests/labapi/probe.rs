//! The probe tells an observer just what has changed.

use std::sync::{Arc, Mutex};

use labapi::{Observer, Probe, Role, Shown, View, digest};

/// What an observer was shown: the first changed index, and terms and digests from there on.
type Seen = Arc<Mutex<Vec<(u64, Vec<(u64, u64)>)>>>;

struct Recorder(Seen);

impl Observer for Recorder {
    fn observe(&mut self, view: &View<'_>) {
        let from = view.changed_from.max(view.last_included_index + 1);
        let entries = (from..=view.last_index).map(|index| (view.entry)(index).expect("an entry of the log"));
        self.0.lock().unwrap().push((view.changed_from, entries.collect()));
    }
}

/// A log with a snapshot before it, and the probe that shows it.
struct Server {
    probe: Probe,
    base: u64,
    log: Vec<(u64, Vec<u8>)>,
    commit_index: u64,
    seen: Seen,
}

impl Server {
    fn new() -> Server {
        let (mut probe, seen) = (Probe::default(), Seen::default());
        probe.attach(Box::new(Recorder(Arc::clone(&seen))));
        Server { probe, base: 0, log: Vec::new(), commit_index: 0, seen }
    }

    fn push(&mut self, term: u64, command: &str) {
        self.log.push((term, command.into()));
    }

    /// Shows the state, and returns what the observer saw of it.
    fn show(&mut self) -> Option<(u64, Vec<(u64, u64)>)> {
        let (base, log) = (self.base, &self.log);
        let shown = Shown {
            term: 1,
            role: Role::Follower,
            commit_index: self.commit_index,
            last_included_index: base,
        };
        self.probe.show(shown, base + log.len() as u64, |index| {
            let (term, command) = &log[(index - base - 1) as usize];
            (*term, command)
        });
        self.seen.lock().unwrap().pop()
    }
}

fn entry(term: u64, command: &str) -> (u64, u64) {
    (term, digest(command.as_bytes()))
}

#[test]
fn additions_and_replacements_are_told_from_the_first_that_changed() {
    let mut server = Server::new();
    server.push(1, "a");
    server.push(1, "b");
    assert_eq!(server.show(), Some((1, vec![entry(1, "a"), entry(1, "b")])));
    assert_eq!(server.show(), None, "nothing has changed");
    server.commit_index = 1;
    assert_eq!(server.show(), Some((u64::MAX, vec![])), "the log has not changed");
    server.push(1, "c");
    assert_eq!(server.show(), Some((3, vec![entry(1, "c")])));
    server.log.truncate(1);
    server.push(2, "x");
    server.push(2, "y");
    assert_eq!(server.show(), Some((2, vec![entry(2, "x"), entry(2, "y")])));
    server.log.truncate(1);
    assert_eq!(server.show(), Some((2, vec![])));
}

#[test]
fn a_snapshot_changes_no_entry() {
    let mut server = Server::new();
    (0..5).for_each(|number| server.push(1, &number.to_string()));
    server.show();
    server.base = 3;
    server.log.drain(..3);
    assert_eq!(server.show(), Some((u64::MAX, vec![])));
    // A leader's snapshot replaces a whole log.
    server.base = 20;
    server.log.clear();
    assert_eq!(server.show(), Some((u64::MAX, vec![])));
    server.push(2, "z");
    assert_eq!(server.show(), Some((21, vec![entry(2, "z")])));
}

/// As whoever counts only the entries that the log still has would show it.
#[test]
#[should_panic(
    expected = "ends at index 2, before the snapshot's last index 3: all indices count from the log's first"
)]
fn a_log_that_ends_before_its_snapshot_is_told_as_that() {
    let (mut probe, seen) = (Probe::default(), Seen::default());
    probe.attach(Box::new(Recorder(seen)));
    let shown = Shown { term: 1, role: Role::Follower, commit_index: 3, last_included_index: 3 };
    probe.show(shown, 2, |_| (1, [7]));
}

#[test]
fn an_entry_that_changes_in_the_middle_is_found_after_some_calls() {
    let mut server = Server::new();
    (0..40).for_each(|number| server.push(1, &number.to_string()));
    server.show();
    server.log[17].1 = b"other".to_vec();
    let found = (0..20).find_map(|_| server.show());
    assert_eq!(found.map(|(from, _)| from), Some(18));
}

/// The cost of a call is the entries that it looks at: those at the end, and a few older ones, however long
/// the log is.
#[test]
fn a_long_log_costs_no_more_than_a_short_one() {
    let looked_at = |length: u64| {
        let (mut probe, seen) = (Probe::default(), Seen::default());
        probe.attach(Box::new(Recorder(seen)));
        let count = std::cell::Cell::new(0);
        let mut show = |last: u64, commit_index: u64| {
            let shown = Shown { term: 1, role: Role::Leader, commit_index, last_included_index: 0 };
            count.set(0);
            probe.show(shown, last, |index| {
                count.set(count.get() + 1);
                (1, index.to_le_bytes())
            });
            count.get()
        };
        let first = show(length, 0);
        assert_eq!(first, length, "at first everything is new");
        [show(length + 1, 0), show(length + 1, 1), show(length, 1)]
    };
    assert_eq!(looked_at(100_000), looked_at(100));
    assert!(looked_at(100_000).iter().all(|&count| count <= 7), "{:?}", looked_at(100_000));
}
