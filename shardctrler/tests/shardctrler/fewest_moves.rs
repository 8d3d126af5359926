//! The lower bound of moves, against which the tests compare.

use shardctrler::{Config, NO_GROUP};

/// The least number of shards that must move to give `after`'s groups even shares.
pub(crate) fn fewest_moves(before: &Config, after: &Config) -> usize {
    let Some(share) = before.shards.len().checked_div(after.groups.len()) else {
        return before.shards.iter().filter(|&&owner| owner != NO_GROUP).count();
    };
    let mut extra = before.shards.len() % after.groups.len();
    let mut stay = 0;
    for group in after.groups.keys() {
        let has = before.shards.iter().filter(|&owner| owner == group).count();
        stay += has.min(share);
        if has > share && extra > 0 {
            stay += 1;
            extra -= 1;
        }
    }
    before.shards.len() - stay
}
