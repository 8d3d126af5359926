// handout: file guided
//! Properties of rebalancing and of the state machine under random sequences of commands.

use proptest::prelude::*;
use rsm::StateMachine;
use shardctrler::{Command, Config, Controller, GroupId, NO_GROUP, Reply, SHARDS, rebalance};

use crate::fewest_moves::fewest_moves;

/// Random commands. There are few groups, so many of the commands are valid.
fn command() -> impl Strategy<Value = Command> {
    let group = 1..12u64;
    let servers = proptest::collection::vec("[a-z]{1,3}", 0..3);
    prop_oneof![
        3 => proptest::collection::btree_map(group.clone(), servers, 0..4)
            .prop_map(|groups| Command::Join { groups }),
        2 => proptest::collection::vec(group.clone(), 0..4).prop_map(|groups| Command::Leave { groups }),
        2 => (0..SHARDS + 1, group).prop_map(|(shard, group)| Command::Move { shard, group }),
        1 => any::<i64>().prop_map(|number| Command::Query { number }),
    ]
}

/// The least number of moves, found by trying every distribution.
fn fewest_by_trying(shards: &[GroupId; 5], groups: &[GroupId]) -> usize {
    let all = groups.len().pow(5);
    let distribution = |number: usize| {
        let mut rest = number;
        shards.map(|_| {
            let group = groups[rest % groups.len()];
            rest /= groups.len();
            group
        })
    };
    let moved = |to: &[GroupId; 5]| shards.iter().zip(to).filter(|(from, to)| from != to).count();
    (0..all)
        .map(distribution)
        .filter(|to| is_even(to, groups))
        .map(|to| moved(&to))
        .min()
        .expect("one is even")
}

fn is_even(shards: &[GroupId], groups: &[GroupId]) -> bool {
    let count = |group: &GroupId| shards.iter().filter(|&owner| owner == group).count();
    let counts: Vec<usize> = groups.iter().map(count).collect();
    let spread = counts.iter().max().zip(counts.iter().min()).map_or(0, |(most, fewest)| most - fewest);
    counts.iter().sum::<usize>() == shards.len() && spread <= 1
}

proptest! {
    /// A join or leave gives even shares and moves exactly as many shards as the lower bound,
    /// whatever earlier commands left. A move changes one shard. A refusal changes nothing.
    #[test]
    fn every_change_is_even_and_minimal(commands in proptest::collection::vec(command(), 1..60)) {
        let mut controller = Controller::default();
        let mut twin = Controller::default();
        for command in commands {
            let before: Config = controller.newest().clone();
            let reply = controller.apply(command.clone());
            prop_assert_eq!(&reply, &twin.apply(command.clone()));
            let after = controller.newest();
            match (command, &reply) {
                (Command::Join { .. } | Command::Leave { .. }, Reply::Made(number)) => {
                    prop_assert_eq!(*number, before.number + 1);
                    let moved = before.shards.iter().zip(&after.shards).filter(|(a, b)| a != b).count();
                    prop_assert_eq!(moved, fewest_moves(&before, after));
                    let present: Vec<GroupId> = after.groups.keys().copied().collect();
                    prop_assert!(present.is_empty() || is_even(&after.shards, &present), "{:?}", after);
                    prop_assert!(!present.is_empty() || after.shards == [NO_GROUP; SHARDS]);
                }
                (Command::Move { shard, group }, Reply::Made(_)) => {
                    let mut expected = before.shards;
                    expected[shard] = group;
                    prop_assert_eq!(after.shards, expected);
                    prop_assert_eq!(&after.groups, &before.groups);
                }
                (Command::Query { number }, Reply::Config(config)) => {
                    prop_assert!(*config == before || config.number as i64 == number);
                }
                (_, Reply::Refused(_)) => prop_assert_eq!(&before, after),
                (command, reply) => prop_assert!(false, "{:?} is no answer to {:?}", reply, command),
            }
        }
        // A replica restored from a snapshot equals the original.
        let mut restored = Controller::default();
        prop_assert!(restored.restore(&controller.snapshot()).is_ok());
        prop_assert_eq!(restored, controller);
    }

    /// No even distribution moves fewer shards, as an exhaustive search shows.
    #[test]
    fn no_even_distribution_moves_fewer(
        shards in proptest::array::uniform5(0..6u64),
        groups in proptest::collection::btree_set(1..7u64, 1..6),
    ) {
        let groups: Vec<GroupId> = groups.into_iter().collect();
        let after = rebalance(&shards, &groups, NO_GROUP);
        prop_assert!(is_even(&after, &groups));
        let moved = shards.iter().zip(&after).filter(|(from, to)| from != to).count();
        prop_assert_eq!(moved, fewest_by_trying(&shards, &groups));
    }
}

/// More groups than shards: some groups own none, and no group owns two.
#[test]
fn more_groups_than_shards() {
    let groups: Vec<GroupId> = (1..=15).collect();
    let after = rebalance(&[3; SHARDS], &groups, NO_GROUP);
    assert!(is_even(&after, &groups));
    assert_eq!(after.iter().filter(|&&owner| owner == 3).count(), 1);
}
