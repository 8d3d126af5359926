//! Who shall serve what: the one decision that the controller takes.

use crate::rpc::GroupId;

/// Distributes shards over `groups`: no group gets two shards more than another, and no
/// distribution of which that is true moves fewer shards away from where `shards` says
/// they are. Shards on a group that is not in `groups` must move; without any group, all go
/// to `nobody`.
///
/// The result depends on nothing but the arguments. `groups` must be in ascending order and
/// without repetitions: every server has to come to the same result, and one that went
/// through the keys of a hash map would not.
///
/// # Why no distribution moves fewer
///
/// With n shards and k groups each group gets q = ⌊n/k⌋ shards, or one more; the latter
/// befalls n mod k groups. A group that has c shards and shall have t can keep min(c, t) of
/// them, and all others move. To let a group have one more keeps one shard more if c > q,
/// and none otherwise. So as many as possible of those with c > q should be among the n mod
/// k; giving these places to the groups in descending order of c achieves it.
pub fn rebalance<const SHARDS: usize>(
    shards: &[GroupId; SHARDS],
    groups: &[GroupId],
    nobody: GroupId,
) -> [GroupId; SHARDS] {
    if groups.is_empty() {
        return [nobody; SHARDS];
    }
    let has = |group: GroupId| shards.iter().filter(|&&owner| owner == group).count();
    let mut by_load: Vec<GroupId> = groups.to_vec();
    // Stable: among equals the smallest number comes first, on every server.
    by_load.sort_by_key(|&group| std::cmp::Reverse(has(group)));
    // How many shards each group may still keep or take.
    let (share, extra) = (SHARDS / groups.len(), SHARDS % groups.len());
    let mut room: Vec<(GroupId, usize)> =
        by_load.iter().enumerate().map(|(rank, &group)| (group, share + usize::from(rank < extra))).collect();

    let mut take = |wanted: &dyn Fn(GroupId) -> bool| {
        let place = room.iter_mut().find(|(group, left)| *left > 0 && wanted(*group))?;
        place.1 -= 1;
        Some(place.0)
    };
    // First everybody keeps what fits; only then is it known where there is room left.
    let kept = shards.map(|owner| take(&|group| group == owner));
    kept.map(|owner| {
        // All shares together are SHARDS, so there is a place for each shard.
        owner.or_else(|| take(&|_| true)).unwrap_or(nobody)
    })
}
