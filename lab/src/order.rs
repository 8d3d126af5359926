//! In which order tests begin on real threads, where nearly all of a test is sleep: many run side by side,
//! and the last one ends the soonest if the long ones begin early.

/// The places of tests in the order in which they begin: by turns the longest that is left and the first that
/// is left. So no long test is the last to begin, and results, which are printed in the list's order, come
/// from the beginning on. `seconds` says how long each takes; those that are not known count as short.
pub(crate) fn on_threads(seconds: &[Option<f64>]) -> Vec<usize> {
    let length = |place: usize| seconds[place].unwrap_or_default();
    let mut longest: Vec<usize> = (0..seconds.len()).collect();
    longest.sort_by(|&one, &other| length(other).total_cmp(&length(one)));
    let mut is_taken = vec![false; seconds.len()];
    let mut order = Vec::with_capacity(seconds.len());
    for (first, place) in longest.into_iter().enumerate() {
        for place in [place, first] {
            if !std::mem::replace(&mut is_taken[place], true) {
                order.push(place);
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tests_and_first_ones_begin_by_turns() {
        let seconds = [Some(1.0), Some(2.0), None, Some(60.0), Some(30.0), None];
        assert_eq!(on_threads(&seconds), [3, 0, 4, 1, 2, 5]);
    }

    #[test]
    fn tests_of_which_nothing_is_known_begin_in_their_order() {
        assert_eq!(on_threads(&[None, None, None]), [0, 1, 2]);
        assert_eq!(on_threads(&[]), Vec::<usize>::new());
    }
}
