//! Who may have written what.

use super::NO_VALUE;

/// For each value, by rising call: the operations that may have written it. All are in one list, since short
/// histories are decided in the time that lists of their own would take.
pub(super) struct Sources {
    /// Where the writers of each value begin; one more at the end.
    starts: Vec<u32>,
    writers: Vec<u32>,
}

impl Sources {
    /// `written` has for each operation the number of the value that it may have written, which is less than
    /// `values`, or [`NO_VALUE`].
    pub(super) fn new(written: &[u32], values: usize) -> Self {
        let mut starts = vec![0; values + 1];
        for &value in written.iter().filter(|&&value| value != NO_VALUE) {
            starts[value as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        // Now each is where the writers end, and moves to the beginning.
        let mut writers = vec![0; sum as usize];
        for (index, &value) in written.iter().enumerate().rev().filter(|&(_, &value)| value != NO_VALUE) {
            let start = &mut starts[value as usize];
            *start -= 1;
            writers[*start as usize] = index as u32;
        }
        Sources { starts, writers }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The possible writers of a value.
    pub(super) fn of(&self, value: u32) -> &[u32] {
        let value = value as usize;
        &self.writers[self.starts[value] as usize..self.starts[value + 1] as usize]
    }
}
