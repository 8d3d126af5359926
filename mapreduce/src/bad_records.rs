// handout: file guided
//! Failures that come again, above all records on which the user's map fails (paper, §4.6).
//!
//! A bug in map, or in a library that it calls, may panic on one record in a billion. After two failures on
//! the same record the coordinator tells the next attempt to skip it, counts it, and the job goes on.
//!
//! For example, map 3 panics on the record at byte 700. The first report may be chance (a machine with bad
//! memory), so the second attempt gets no list. It fails there, too; the third gets `skip: [700]` and
//! succeeds.

use crate::events::Event;
use crate::rpc::TaskId;
use crate::split::RecordPlace;
use crate::state::{Phase, State};
use crate::tasks::TaskError;

/// Failures on one record after which it is skipped (paper: "more than one failure on a particular record").
const FAILURES_ON_RECORD: u32 = 2;

/// The failures of a task.
#[derive(Clone, Debug, Default)]
pub struct Trouble {
    /// Failures in a row that did not lead to a record being skipped.
    pub failures: u32,
    /// Bad records, with the number of failures on each.
    pub bad_records: Vec<(RecordPlace, u32)>,
    /// Records to skip.
    pub skip: Vec<RecordPlace>,
}

// handout: bodies 1A
impl State {
    /// Remembers a bad record. True if the next attempts will skip it.
    pub(crate) fn skip_record(&mut self, id: TaskId, error: &TaskError) -> bool {
        let (TaskId::Map(map), TaskError::BadRecord { place, file, reason }) = (id, error) else {
            return false;
        };
        let Some(task) = self.maps.get_mut(map).filter(|_| self.rules.skip_bad_records) else { return false };
        // A record is known by where it begins: the same file gives the same places each time.
        let trouble = task.trouble.get_or_insert_default();
        let position = trouble.bad_records.iter().position(|(bad, _)| bad == place).unwrap_or_else(|| {
            trouble.bad_records.push((*place, 0));
            trouble.bad_records.len() - 1
        });
        trouble.bad_records[position].1 += 1;
        if trouble.bad_records[position].1 < FAILURES_ON_RECORD {
            return false;
        }
        trouble.skip.push(*place);
        // The cause of these failures is gone.
        trouble.failures = 0;
        let (file, offset, reason) = (file.clone(), place.offset, reason.clone());
        self.tell(Event::Skipped { map, file, offset, reason });
        true
    }

    /// The records that the next attempt of this map skips.
    pub(crate) fn records_to_skip(&self, map: usize) -> Vec<RecordPlace> {
        let trouble = self.maps.get(map).and_then(|task| task.trouble.as_ref());
        trouble.map_or_else(Vec::new, |trouble| trouble.skip.clone())
    }

    /// Counts a failure that only another try can mend. Some pass, such as a disk that was full for a moment;
    /// one that comes four times in a row is the input's or the program's.
    pub(crate) fn count_failure(&mut self, id: TaskId, error: &TaskError) {
        let limit = self.rules.max_failures;
        let (tasks, number) = self.tasks_mut(id);
        let Some(task) = tasks.get_mut(number) else { return };
        let trouble = task.trouble.get_or_insert_default();
        trouble.failures += 1;
        let failures = trouble.failures;
        if matches!(error, TaskError::InputChanged { .. }) {
            // Other maps have read the file as it was. No other try can make that one input again.
            self.fail(format!("{id} has failed: {error}"));
        } else if failures >= limit {
            self.fail(format!("{id} has failed {limit} times; the last error: {error}"));
        }
    }

    /// The job has failed, for this reason.
    fn fail(&mut self, reason: String) {
        self.phase = Phase::Failed(reason);
        self.tell(Event::Entered(self.phase.clone()));
    }
}
