//! Clerks whose operations are written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labapi::KvClerk;
use labrt::quiet::Mutex;
use labrt::runtime;
use linearize::{KvRecorder, Ticket};
use tester::{Choices, Test};

use crate::history;

/// All operations of a test's clerks.
#[derive(Default)]
pub struct Records {
    recorder: KvRecorder,
    /// Which client numbers are in use.
    taken: Mutex<Vec<bool>>,
    /// The moment that was noted last, in nanoseconds.
    last: AtomicU64,
    choices: Choices,
}

impl Records {
    /// Records for this test, which will be checked after it.
    pub fn new(test: &Test) -> Arc<Records> {
        let records = Arc::new(Records { choices: test.choices().clone(), ..Records::default() });
        let of_check = Arc::clone(&records);
        test.afterwards(move |test| history::look_into(&of_check.recorder, test));
        records
    }

    /// A clerk that writes down what it does. Its number is the lowest that no other clerk has now: one that
    /// was dropped, with no operation under way, leaves its number to the next, so that few numbers tell the
    /// clients of a long test.
    pub fn clerk<C: KvClerk>(self: &Arc<Self>, clerk: C) -> Recorded<C> {
        Recorded { clerk, records: Arc::clone(self), number: self.number(), busy: false }
    }

    /// Number of operations that were called.
    pub fn operations(&self) -> usize {
        self.recorder.len()
    }

    /// A moment that is later than all that were noted before it, if only by a nanosecond: the run's own
    /// clock, whatever the clock of a node shows. Virtual time stands still while a client goes from one
    /// operation to the next. With equal times the two would count as concurrent, and a read that misses its
    /// own client's last write as right. What was noted first happened first, in both worlds, so the
    /// nanosecond adds no order that there was not.
    fn moment(&self) -> u64 {
        let now = runtime::now().as_nanos();
        let later = |last: u64| now.max(last + 1);
        let last = self.last.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(later(last)));
        last.map_or(now, later)
    }

    fn number(&self) -> u32 {
        let mut taken = self.taken.lock();
        let number = taken.iter().position(|taken| !taken).unwrap_or(taken.len());
        match taken.get_mut(number) {
            Some(free) => *free = true,
            None => taken.push(true),
        }
        number as u32
    }
}

/// A clerk whose operations are written down.
pub struct Recorded<C> {
    clerk: C,
    records: Arc<Records>,
    number: u32,
    /// Whether an operation is under way.
    busy: bool,
}

impl<C: KvClerk> Recorded<C> {
    /// The client's number, as in the history of the test.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// As [`KvClerk::get`].
    pub fn get(&mut self, key: &str) -> String {
        if !self.records.choices.allows("get") {
            return String::new();
        }
        let ticket = self.records.recorder.call_get(self.number, key, self.records.moment());
        self.busy = true;
        self.tell("get", "call", || format!("get({key:?})"));
        let value = self.clerk.get(key);
        self.done(ticket, &value);
        self.tell("get", "return", || format!("get({key:?}) -> {value:?}"));
        value
    }

    /// As [`KvClerk::put`].
    pub fn put(&mut self, key: &str, value: &str) {
        if !self.records.choices.allows("put") {
            return;
        }
        let ticket = self.records.recorder.call_put(self.number, key, value, self.records.moment());
        self.busy = true;
        self.tell("put", "call", || format!("put({key:?}, {value:?})"));
        self.clerk.put(key, value);
        self.done(ticket, "");
        self.tell("put", "return", || format!("put({key:?}, {value:?})"));
    }

    /// As [`KvClerk::append`].
    pub fn append(&mut self, key: &str, value: &str) {
        if !self.records.choices.allows("append") {
            return;
        }
        let ticket = self.records.recorder.call_append(self.number, key, value, self.records.moment());
        self.busy = true;
        self.tell("append", "call", || format!("append({key:?}, {value:?})"));
        self.clerk.append(key, value);
        self.done(ticket, "");
        self.tell("append", "return", || format!("append({key:?}, {value:?})"));
    }

    fn tell(&self, operation: &'static str, leg: &'static str, words: impl FnOnce() -> String) {
        labrt::trace::emit_fields("client", operation, || {
            let fields = vec![("client", u64::from(self.number).into()), ("leg", leg.to_owned().into())];
            (fields, words())
        });
    }

    fn done(&mut self, ticket: Ticket, output: &str) {
        self.records.recorder.returned(ticket, output, self.records.moment());
        self.busy = false;
    }
}

impl<C> Drop for Recorded<C> {
    fn drop(&mut self) {
        // An operation that never returned may take effect at any time, so no other clerk may get its
        // client's number.
        if !self.busy {
            self.records.taken.lock()[self.number as usize] = false;
        }
    }
}
