//! Operations in time: their returns, and at each what is under way.

/// The returns of a partition, each with what is under way at it. Items are numbered by rising call.
///
/// As long as that is short, there is a list for each return. An operation that never returns is under way at
/// every later return, though, and many of those would take the square of the history; then several returns
/// share a list, of all that is under way at any of them. As many share one as there are items in it, so all
/// lists together are at most three times as long as the history.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    /// The items that return, in the order of their returns.
    pub(crate) returns: Vec<u32>,
    /// For each list, where it begins; one more at the end.
    starts: Vec<u32>,
    under_way: Vec<u32>,
    /// If lists are shared: the first return of each.
    shared: Vec<u32>,
    /// If lists are shared: at which return each item is under way first, and at which last.
    spans: Vec<(u32, u32)>,
    /// How many slots there are.
    pub(crate) slots: usize,
}

/// Lists of this many items for each item of the history are short.
const SHORT: usize = 16;

/// As are lists of this many items together.
const FEW: usize = 1 << 16;

/// For so many items of lists there is room from the beginning.
const ROOM: usize = 1 << 10;

/// No return.
const NEVER: u32 = u32::MAX;

impl Timeline {
    /// `span` tells the call and the return of an item, and `count` how many there are. `enter` is told of
    /// each that is called before everything has returned: its slot, and at which return it is under way
    /// first. A slot is the item's bit while it is under way; slots of items that have returned are used
    /// again. `open` items are those that never return, and are listed only if wanted.
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
        let most = SHORT * count + FEW;
        timeline.starts.reserve(timeline.returns.len());
        timeline.under_way.reserve((4 * count).min(ROOM));
        let mut slots = vec![0; count];
        let mut spans = vec![(NEVER, NEVER); count];
        let mut free: Vec<u32> = Vec::new();
        let mut current: Vec<u32> = Vec::new();
        let mut called = 0;
        for (event, &returning) in timeline.returns.iter().enumerate() {
            let now = span(returning as usize).1;
            while called < count && span(called).0 <= now {
                let end = span(called).1;
                // What never returns keeps its slot for ever, so it gets one that was no other's.
                let again = if end == u64::MAX { None } else { free.pop() };
                slots[called] = again.unwrap_or(timeline.slots as u32);
                timeline.slots += usize::from(again.is_none());
                enter(called, slots[called], event as u32);
                if open || end != u64::MAX {
                    spans[called].0 = event as u32;
                    let place = current.partition_point(|&other| span(other as usize).1 <= end);
                    current.insert(place, called as u32);
                }
                called += 1;
            }
            if timeline.under_way.len() <= most {
                timeline.under_way.extend_from_slice(&current);
                timeline.starts.push(timeline.under_way.len() as u32);
            }
            spans[returning as usize].1 = event as u32;
            // What returns is the first of the list, or one that returns at the same moment.
            if let Some(place) = current.iter().position(|&item| item == returning) {
                current.remove(place);
            }
            free.push(slots[returning as usize]);
        }
        if timeline.under_way.len() > most {
            timeline.spans = spans;
            timeline.share();
        }
        timeline
    }

    /// Makes lists that several returns share.
    fn share(&mut self) {
        self.under_way = Vec::new();
        self.starts = vec![0];
        // By rising first return; those that never come are last.
        let mut coming: Vec<u32> = (0..self.spans.len() as u32).collect();
        coming.sort_by_key(|&item| self.spans[item as usize].0);
        let mut coming = coming.into_iter().peekable();
        let mut current: Vec<u32> = Vec::new();
        let mut event = 0;
        while event < self.returns.len() {
            let end = (event + current.len().max(64)).min(self.returns.len());
            while let Some(item) = coming.next_if(|&item| self.spans[item as usize].0 < end as u32) {
                current.push(item);
            }
            current.sort_by_key(|&item| self.spans[item as usize].1);
            self.shared.push(event as u32);
            self.under_way.extend_from_slice(&current);
            self.starts.push(self.under_way.len() as u32);
            current.retain(|&item| self.spans[item as usize].1 >= end as u32);
            event = end;
        }
    }

    /// A list of the items under way at return number `event`, first those that return first, and perhaps of
    /// others:
    /// [`Timeline::is_under_way`] tells.
    #[inline]
    pub(crate) fn list(&self, event: usize) -> &[u32] {
        let list = match self.shared.is_empty() {
            true => event,
            false => self.shared.partition_point(|&first| first as usize <= event) - 1,
        };
        &self.under_way[self.starts[list] as usize..self.starts[list + 1] as usize]
    }

    /// Whether an item of the list at return number `event` is under way there.
    #[inline]
    pub(crate) fn is_under_way(&self, item: u32, event: usize) -> bool {
        let inside = |&(first, last): &(u32, u32)| first as usize <= event && event <= last as usize;
        self.spans.get(item as usize).is_none_or(inside)
    }

    /// The items under way at return number `event`, first those that return first.
    pub(crate) fn under_way(&self, event: usize) -> impl Iterator<Item = u32> + Clone {
        self.list(event).iter().copied().filter(move |&item| self.is_under_way(item, event))
    }

    /// How many bytes it occupies.
    pub(crate) fn bytes(&self) -> usize {
        let numbers = self.returns.len() + self.starts.len() + self.under_way.capacity() + self.shared.len();
        4 * numbers + 8 * self.spans.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Random;

    /// What is under way at each return, by definition.
    fn expected(spans: &[(u64, u64)], timeline: &Timeline, event: usize) -> Vec<u32> {
        let now = spans[timeline.returns[event] as usize].1;
        let place =
            |item: u32| timeline.returns.iter().position(|&other| other == item).unwrap_or(usize::MAX);
        let inside = |&item: &u32| spans[item as usize].0 <= now && place(item) >= event;
        let mut all: Vec<u32> = (0..spans.len() as u32).filter(inside).collect();
        all.sort_by_key(|&item| place(item));
        all
    }

    #[test]
    fn shared_lists_say_the_same() {
        let mut random = Random::new(1);
        for _ in 0..200 {
            let mut spans: Vec<(u64, u64)> = (0..random.below(150))
                .map(|_| {
                    let call = random.below(100);
                    let end = call + random.below(40);
                    (call, if random.below(4) == 0 { u64::MAX } else { end })
                })
                .collect();
            spans.sort_unstable();
            let mut firsts = vec![NEVER; spans.len()];
            let mut timeline =
                Timeline::new(spans.len(), |item| spans[item], true, |item, _, first| firsts[item] = first);
            let all: Vec<Vec<u32>> =
                (0..timeline.returns.len()).map(|event| timeline.under_way(event).collect()).collect();
            let place = |item: u32| timeline.returns.iter().position(|&other| other == item);
            let shared = firsts
                .iter()
                .zip(0..)
                .map(|(&first, item)| (first, place(item).map_or(NEVER, |at| at as u32)));
            timeline.spans = shared.collect();
            timeline.share();
            for (event, listed) in all.iter().enumerate() {
                assert_eq!(*listed, expected(&spans, &timeline, event));
                assert_eq!(*listed, timeline.under_way(event).collect::<Vec<u32>>());
            }
        }
    }

    #[test]
    fn many_that_never_return_take_little() {
        let span = |item: usize| {
            let call = item as u64;
            (call, if item.is_multiple_of(5) { u64::MAX } else { call + 3 })
        };
        let timeline = Timeline::new(100_000, span, true, |_, _, _| {});
        assert!(timeline.bytes() < 4_000_000, "{} bytes", timeline.bytes());
    }
}
