// handout: file guided
//! A shard's life in a group: a test for each sentence of the essay, without threads, network or time.

use kvraft::Operation;
use rsm::{Request, StateMachine};
use shardctrler::{Config, GroupId, NO_GROUP, SHARDS};
use shardkv::{Command, Content, Group, Handover, KvError, PullError, Reply, Stage, TenureView, Transfer};

/// Key "0" belongs to this shard.
const SHARD: usize = 8;
const ME: GroupId = 1;
const OTHER: GroupId = 2;
const THIRD: GroupId = 3;

/// A configuration in which one group owns all shards.
pub(crate) fn all_on(number: u64, group: GroupId) -> Config {
    let servers = |group: GroupId| (group, vec![format!("server of {group}")]);
    Config { number, shards: [group; SHARDS], groups: [ME, OTHER, THIRD].map(servers).into() }
}

/// A group that has adopted configurations in which each of these groups in turn owns all shards.
fn group(owners: &[GroupId]) -> Group {
    let mut group = Group::new(ME);
    owners.iter().for_each(|&owner| adopt(&mut group, owner));
    group
}

fn adopt(group: &mut Group, owner: GroupId) {
    group.apply(Command::Adopt(all_on(group.config() + 1, owner)));
}

fn handover(config: u64) -> Handover {
    Handover { shard: SHARD, config }
}

fn request(sequence: u64, command: Operation) -> Command {
    Command::Operate(Request { client: 7, sequence, command })
}

fn append(group: &mut Group, sequence: u64, value: &str) -> Result<String, KvError> {
    operate(group, sequence, Operation::Append { key: "0".into(), value: value.into() })
}

fn get(group: &mut Group) -> Result<String, KvError> {
    operate(group, 1000, Operation::Get { key: "0".into() })
}

fn operate(group: &mut Group, sequence: u64, operation: Operation) -> Result<String, KvError> {
    match group.apply(request(sequence, operation)) {
        Reply::Operation(result) => result,
        Reply::Done => panic!("an operation has a result"),
    }
}

/// The stages of the group's tenures of [`SHARD`], in order of time.
fn stages(group: &Group) -> Vec<Stage> {
    group.tenures().filter(|tenure| tenure.shard == SHARD).map(|tenure| tenure.stage).collect()
}

/// The shard's content at another group, which applied client 7's first operation: an append of "x"
/// to key "0".
fn content() -> Content {
    let mut other = group(&[ME]);
    append(&mut other, 1, "x").unwrap();
    adopt(&mut other, OTHER);
    other.hand_over(handover(2)).unwrap()
}

#[test]
fn a_shard_without_former_owner_is_empty_and_served() {
    let mut group = group(&[ME]);
    assert_eq!(stages(&group), [Stage::Serving]);
    assert_eq!(get(&mut group), Ok(String::new()));
    assert!(group.transfers().is_empty());
}

#[test]
fn operations_on_other_groups_shards_are_refused() {
    assert_eq!(get(&mut group(&[])), Err(KvError::WrongGroup));
    assert_eq!(get(&mut group(&[OTHER])), Err(KvError::WrongGroup));
    assert_eq!(get(&mut group(&[ME, OTHER])), Err(KvError::WrongGroup));
}

#[test]
fn a_shard_with_a_former_owner_is_pulled_and_refused_until_it_arrives() {
    let mut group = group(&[OTHER, ME]);
    assert_eq!(stages(&group), [Stage::Pulling]);
    assert_eq!(get(&mut group), Err(KvError::Moving));
    assert_eq!(group.transfer(handover(2)), Some(Transfer::Pull(vec!["server of 2".into()])));
    group.apply(Command::Install(handover(2), content()));
    assert_eq!(stages(&group), [Stage::Serving]);
    assert_eq!(get(&mut group), Ok("x".into()));
}

#[test]
fn a_shard_is_served_while_others_are_on_their_way() {
    let mut group = group(&[OTHER, ME]);
    group.apply(Command::Install(handover(2), content()));
    assert_eq!(get(&mut group), Ok("x".into()));
    let missing = group.tenures().filter(|tenure| tenure.stage == Stage::Pulling).count();
    assert_eq!(missing, SHARDS - 1);
}

#[test]
fn sessions_move_with_the_shard() {
    let mut group = group(&[OTHER, ME]);
    group.apply(Command::Install(handover(2), content()));
    assert_eq!(append(&mut group, 1, "x"), Ok(String::new()), "the group answers a repetition");
    assert_eq!(get(&mut group), Ok("x".into()), "but does not apply it again");
}

#[test]
fn configurations_are_adopted_one_by_one() {
    let mut group = group(&[ME]);
    for number in [0, 1, 3, u64::MAX] {
        group.apply(Command::Adopt(all_on(number, OTHER)));
        assert_eq!((group.config(), stages(&group)), (1, vec![Stage::Serving]));
    }
}

#[test]
fn a_shard_given_away_waits_unchanged_for_its_next_owner() {
    let mut group = group(&[ME]);
    append(&mut group, 1, "x").unwrap();
    assert_eq!(group.hand_over(handover(2)), Err(PullError::NotYet));
    adopt(&mut group, OTHER);
    assert_eq!(stages(&group), [Stage::Waiting]);
    assert_eq!(append(&mut group, 2, "y"), Err(KvError::WrongGroup));
    assert_eq!(group.hand_over(handover(2)), Ok(content()));
    assert_eq!(group.hand_over(handover(2)), Ok(content()), "each pull gets the same content");
    group.apply(Command::Discard(handover(2)));
    assert_eq!(stages(&group), []);
    assert_eq!(group.hand_over(handover(2)), Err(PullError::Gone));
}

#[test]
fn a_shard_given_away_before_it_arrives_passes_through() {
    let mut group = group(&[OTHER, ME, THIRD]);
    assert_eq!(stages(&group), [Stage::Passing]);
    assert_eq!(get(&mut group), Err(KvError::WrongGroup));
    assert_eq!(group.hand_over(handover(3)), Err(PullError::NotYet));
    assert_eq!(group.transfer(handover(2)), Some(Transfer::Pull(vec!["server of 2".into()])));
    group.apply(Command::Install(handover(2), content()));
    assert_eq!(stages(&group), [Stage::Waiting]);
    assert_eq!(group.hand_over(handover(3)), Ok(content()));
}

#[test]
fn a_shard_that_returns_begins_another_tenure() {
    let mut group = group(&[ME, OTHER, ME]);
    assert_eq!(stages(&group), [Stage::Waiting, Stage::Pulling]);
    append(&mut group, 1, "y").unwrap_err();
    group.apply(Command::Install(handover(3), content()));
    assert_eq!(stages(&group), [Stage::Waiting, Stage::Serving]);
    assert_eq!(get(&mut group), Ok("x".into()));
    group.apply(Command::Discard(handover(2)));
    assert_eq!(stages(&group), [Stage::Serving], "a discard deletes the old copy and keeps the new one");
}

#[test]
fn a_late_copy_changes_nothing() {
    let mut group = group(&[OTHER, ME]);
    group.apply(Command::Install(handover(2), content()));
    append(&mut group, 2, "y").unwrap();
    group.apply(Command::Install(handover(2), content()));
    assert_eq!(get(&mut group), Ok("xy".into()));
    adopt(&mut group, OTHER);
    group.apply(Command::Install(handover(2), content()));
    group.apply(Command::Discard(handover(3)));
    group.apply(Command::Install(handover(2), content()));
    assert_eq!(stages(&group), []);
}

#[test]
fn garbage_is_noted_until_it_is_deleted() {
    let mut group = group(&[OTHER, ME]);
    assert_eq!(group.garbage().count(), 0, "before the content arrives, the other copy is not garbage");
    group.apply(Command::Install(handover(2), content()));
    assert_eq!(group.garbage().collect::<Vec<_>>(), [handover(2)]);
    assert_eq!(group.transfer(handover(2)), Some(Transfer::Discard(vec!["server of 2".into()])));
    group.apply(Command::Forget(handover(2)));
    assert_eq!((group.garbage().count(), group.transfer(handover(2))), (0, None));
}

#[test]
fn only_waiting_content_is_deleted() {
    for owners in [&[ME][..], &[OTHER, ME], &[OTHER, ME, THIRD], &[OTHER]] {
        let mut group = group(owners);
        let before: Vec<TenureView> = group.tenures().collect();
        for config in 0..5 {
            group.apply(Command::Discard(handover(config)));
            group.apply(Command::Discard(Handover { shard: usize::MAX, config }));
        }
        assert_eq!(group.tenures().collect::<Vec<_>>(), before, "owners {owners:?}");
    }
}

#[test]
fn a_shard_assigned_to_no_group_stays_with_its_last_owner() {
    let mut keeper = group(&[ME, NO_GROUP]);
    append(&mut keeper, 1, "x").unwrap();
    assert_eq!(stages(&keeper), [Stage::Serving]);
    adopt(&mut keeper, OTHER);
    assert_eq!(stages(&keeper), [Stage::Waiting]);
    // The next owner knows which group to ask.
    let next = group(&[OTHER, NO_GROUP, ME]);
    assert_eq!(next.transfer(handover(3)), Some(Transfer::Pull(vec!["server of 2".into()])));
}

#[test]
fn a_snapshot_holds_the_whole_state() {
    for owners in [&[][..], &[ME], &[OTHER, ME], &[OTHER, ME, THIRD], &[ME, OTHER, ME]] {
        let mut original = group(owners);
        if owners.len() == 3 {
            let since = if owners[0] == ME { 3 } else { 2 };
            original.apply(Command::Install(handover(since), content()));
        }
        drop(append(&mut original, 9, "z"));
        let mut restored = Group::new(ME);
        restored.restore(&original.snapshot()).unwrap();
        assert_eq!(restored.snapshot(), original.snapshot());
        assert_eq!(restored.tenures().collect::<Vec<_>>(), original.tenures().collect::<Vec<_>>());
        assert_eq!(restored.transfers(), original.transfers());
        assert_eq!(get(&mut restored), get(&mut original));
        assert!(restored.restore(&original.snapshot()[1..]).is_err());
        assert_eq!(restored.snapshot(), original.snapshot(), "a damaged snapshot changed the state");
    }
}
