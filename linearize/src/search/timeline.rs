//! Operations in time: their returns, and at each what is under way.

/// The returns of a partition, each with what is under way at it. Items are numbered by rising call.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// The items that return, in the order of their returns.
    pub(crate) returns: Vec<u32>,
    /// For each return, where its part of `under_way` begins; one more at the end.
    starts: Vec<u32>,
    under_way: Vec<u32>,
    /// How many slots there are.
    pub(crate) slots: usize,
}

impl Timeline {
    /// `span` tells the call and the return of an item, and `count` how many there are. `enter` is told of each that is called before
    /// everything has returned: its slot, and at which return it is under way first. A slot is the item's bit while it is under way;
    /// slots of items that have returned are used again. `open` items are those that never return, and are listed only if wanted.
    ///
    /// Calls come before returns of the same moment, because intervals are closed.
    pub(crate) fn new(
        count: usize,
        span: impl Fn(usize) -> (u64, u64),
        open: bool,
        mut enter: impl FnMut(usize, u32, u32),
    ) -> Self {
        let mut timeline = Timeline { starts: vec![0], ..Timeline::default() };
        timeline.returns = (0..count as u32).filter(|&item| span(item as usize).1 != u64::MAX).collect();
        timeline.returns.sort_by_key(|&item| span(item as usize).1);
        let mut slots = vec![0; count];
        let mut free: Vec<u32> = Vec::new();
        let mut current: Vec<u32> = Vec::new();
        let mut called = 0;
        for (event, &returning) in timeline.returns.iter().enumerate() {
            let now = span(returning as usize).1;
            while called < count && span(called).0 <= now {
                let end = span(called).1;
                // What never returns keeps its slot for ever, so it gets one that was nobody else's.
                let again = if end == u64::MAX { None } else { free.pop() };
                slots[called] = again.unwrap_or(timeline.slots as u32);
                timeline.slots += usize::from(again.is_none());
                enter(called, slots[called], event as u32);
                if open || end != u64::MAX {
                    let place = current.partition_point(|&other| span(other as usize).1 <= end);
                    current.insert(place, called as u32);
                }
                called += 1;
            }
            timeline.under_way.extend_from_slice(&current);
            timeline.starts.push(timeline.under_way.len() as u32);
            current.retain(|&item| item != returning);
            free.push(slots[returning as usize]);
        }
        timeline
    }

    /// The items under way at return number `event`, first those that return first.
    pub(crate) fn under_way(&self, event: usize) -> &[u32] {
        &self.under_way[self.starts[event] as usize..self.starts[event + 1] as usize]
    }
}
