// handout: file guided
//! Rebalancing: the one decision that the controller takes.

use crate::rpc::GroupId;

// handout: bodies 4A
/// Distributes the shards over `groups`. `shards` says which group owns each shard now.
///
/// The result is *even*: the groups' numbers of shards differ by at most one. Among all even
/// distributions it moves the fewest shards. A shard on a group that is not in `groups` must
/// move. Without any group, all shards go to `nobody`.
///
/// The result depends on the arguments alone, so all servers compute the same one.
///
/// # Panics
/// If `groups` is not in ascending order, or names a group twice: an order that differs from
/// server to server, such as that of a hash map, would give different results.
///
/// # Why no even distribution moves fewer
///
/// With n shards and k groups each group gets q = ⌊n/k⌋ shards, and n mod k groups get the
/// extra one. A group that owns c shards and is to own t keeps min(c, t) of them, and the
/// rest move. The extra place keeps one more shard where it is if c > q, and none otherwise.
/// So the extra places should go to groups with c > q, as far as there are such groups. This
/// function gives them to the groups in descending order of c, which does that.
pub fn rebalance<const SHARDS: usize>(
    shards: &[GroupId; SHARDS],
    groups: &[GroupId],
    nobody: GroupId,
) -> [GroupId; SHARDS] {
    if groups.is_empty() {
        return [nobody; SHARDS];
    }
    assert!(groups.is_sorted_by(|a, b| a < b), "groups out of order, or one of them twice: {groups:?}");
    let has = |group: GroupId| shards.iter().filter(|&&owner| owner == group).count();
    let mut by_load: Vec<GroupId> = groups.to_vec();
    // The sort is stable: of groups with equal loads the smallest number comes first.
    by_load.sort_by_key(|&group| std::cmp::Reverse(has(group)));
    // The number of shards that each group may still keep or take.
    let (share, extra) = (SHARDS / groups.len(), SHARDS % groups.len());
    let mut room: Vec<(GroupId, usize)> =
        by_load.iter().enumerate().map(|(rank, &group)| (group, share + usize::from(rank < extra))).collect();

    let mut take = |wanted: &dyn Fn(GroupId) -> bool| {
        let place = room.iter_mut().find(|(group, left)| *left > 0 && wanted(*group))?;
        place.1 -= 1;
        Some(place.0)
    };
    // First every group keeps what fits its share. The shards left over fill the room left over.
    let kept = shards.map(|owner| take(&|group| group == owner));
    let dealt = kept
        .map(|owner| owner.or_else(|| take(&|_| true)).expect("the shares add up to the number of shards"));
    assert!(room.iter().all(|&(_, left)| left == 0), "shares {room:?} are left over");
    dealt
}
