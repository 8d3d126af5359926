// handout: file guided
//! The coordinator's rules of part B: outputs that are lost with their machines.

use mapreduce::events::{Event, Loss};
use mapreduce::rpc::{GetTaskReply, ProgressReply, SourceUpdateReply, TaskDoneReply};
use mapreduce::state::Phase;

use crate::game::{Game, SECOND, map, reduce};

/// Two maps, done on machines a and b, and this many reduces, which no worker has begun.
fn shuffle(reduces: usize) -> Game {
    let mut game = Game::on_local_disks(2, reduces);
    assert_eq!(game.ask_from(1, "a"), Some(map(0, 0)));
    assert_eq!(game.ask_from(2, "b"), Some(map(1, 0)));
    game.finish_on(1, "a", map(0, 0));
    game.finish_on(2, "b", map(1, 0));
    game
}

#[test]
fn a_reduce_is_told_where_its_sources_are() {
    let mut game = shuffle(1);
    let GetTaskReply::Reduce(reduce) = game.ask_raw(3, None) else { panic!("no reduce was handed out") };
    let sources = reduce.sources;
    let hosts: Vec<_> = sources.rows.iter().map(|row| (row.map, row.attempt, sources.host(row))).collect();
    assert_eq!(hosts, [(0, 0, "a"), (1, 0, "b")]);
}

#[test]
fn maps_of_a_dead_machine_run_again() {
    let mut game = shuffle(1);
    game.pass(9 * SECOND);
    assert_eq!(game.ask_from(2, "b"), Some(reduce(0, 0)), "b is heard of");
    game.pass(SECOND);
    game.expire();
    assert_eq!(*game.state.phase(), Phase::Map, "a is dead, and the reduce needs its output");
    assert!(game.events().contains(&Event::Lost { id: map(0, 0), loss: Loss::MachineDied, again: true }));
    assert_eq!(game.ask_from(3, "c"), Some(map(0, 1)));
    assert_eq!(game.ask_from(4, "d"), None, "that of b is there");
}

#[test]
fn a_machine_lives_as_long_as_its_worker_reports() {
    let mut game = shuffle(1);
    assert_eq!(game.ask_from(1, "a"), Some(reduce(0, 0)));
    for _ in 0..4 {
        game.pass(8 * SECOND);
        let _ = game.ask_from(2, "b");
        assert_eq!(
            game.progress(1, reduce(0, game.attempts(reduce(0, 0)) - 1), 0.1),
            ProgressReply::Continue
        );
        game.expire();
        let _ = game.ask_from(1, "a");
    }
    assert!(!game.events().iter().any(|event| matches!(event, Event::MachineDied { .. })));
}

#[test]
fn outputs_that_all_reduces_have_fetched_are_not_made_again() {
    let mut game = shuffle(2);
    assert_eq!(game.ask_from(3, "c"), Some(reduce(0, 0)));
    assert_eq!(game.ask_from(4, "d"), Some(reduce(1, 0)));
    game.finish_on(3, "c", reduce(0, 0));
    game.fetched(4, reduce(1, 0));
    game.pass(9 * SECOND);
    assert_eq!(game.progress(4, reduce(1, 0), 0.5), ProgressReply::Continue);
    game.pass(SECOND);
    game.expire();
    assert_eq!(*game.state.phase(), Phase::Reduce);
    assert!(game.events().contains(&Event::Lost { id: map(0, 0), loss: Loss::MachineDied, again: false }));
    assert_eq!(game.ask_from(3, "c"), None);
}

#[test]
fn outputs_are_made_again_when_the_reducer_that_had_fetched_them_dies() {
    let mut game = shuffle(1);
    assert_eq!(game.ask_from(3, "c"), Some(reduce(0, 0)));
    game.pass(5 * SECOND);
    game.fetched(3, reduce(0, 0));
    game.pass(5 * SECOND);
    game.expire();
    assert_eq!(*game.state.phase(), Phase::Reduce, "a and b are dead, and c has all it needs");
    game.pass(5 * SECOND);
    game.expire();
    assert_eq!(*game.state.phase(), Phase::Map, "c is dead, too");
    assert_eq!(game.ask_from(4, "d"), Some(map(1, 1)));
    assert_eq!(game.ask_from(5, "e"), Some(map(0, 1)));
}

#[test]
fn a_finished_reduce_is_never_run_again() {
    let mut game = shuffle(2);
    assert_eq!(game.ask_from(1, "a"), Some(reduce(0, 0)));
    game.finish_on(1, "a", reduce(0, 0));
    game.pass(20 * SECOND);
    assert_eq!(game.ask_from(3, "c"), Some(map(1, 1)));
    assert_eq!(game.ask_from(4, "d"), Some(map(0, 1)));
    game.finish_on(3, "c", map(1, 1));
    game.finish_on(4, "d", map(0, 1));
    assert_eq!(game.ask_from(3, "c"), Some(reduce(1, 0)));
    game.finish_on(3, "c", reduce(1, 0));
    assert_eq!(*game.state.phase(), Phase::Finished);
    assert_eq!(game.attempts(reduce(0, 0)), 1);
}

#[test]
fn an_output_is_lost_after_the_second_failed_fetch() {
    let mut game = shuffle(1);
    assert_eq!(game.ask_from(3, "c"), Some(reduce(0, 0)));
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 1);
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 1);
    assert_eq!(*game.state.phase(), Phase::Reduce, "the same failure was reported twice");
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 2);
    assert_eq!(*game.state.phase(), Phase::Map);
    assert_eq!(game.ask_from(4, "d"), Some(map(0, 1)));
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 3);
    game.finish_on(4, "d", map(0, 1));
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 4);
    assert_eq!(
        *game.state.phase(),
        Phase::Reduce,
        "what is said of the old output does not concern the new one"
    );
    let SourceUpdateReply::Sources(sources) = game.source_update(3, reduce(0, 0), &[0]) else {
        panic!("cancelled")
    };
    assert_eq!((sources.rows[0].attempt, sources.host(&sources.rows[0])), (1, "d"));
}

#[test]
fn an_attempt_whose_output_was_lost_is_not_accepted_again() {
    let mut game = shuffle(1);
    assert_eq!(game.ask_from(3, "c"), Some(reduce(0, 0)));
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 1);
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 2);
    assert_eq!(
        game.report_on(1, "a", map(0, 0)),
        TaskDoneReply::Late,
        "a message of long ago comes once more"
    );
    assert_eq!(game.state.counters().0.records, 1, "and the lost output does not count");
}

#[test]
fn a_reducer_that_waits_keeps_its_time_and_gets_a_map_to_run() {
    let mut game = shuffle(1);
    assert_eq!(game.ask_from(2, "b"), Some(reduce(0, 0)));
    game.fetch_failed(2, reduce(0, 0), map(0, 0), 1);
    game.fetch_failed(2, reduce(0, 0), map(0, 0), 2);
    for _ in 0..5 {
        game.pass(8 * SECOND);
        let SourceUpdateReply::Sources(sources) = game.source_update(2, reduce(0, 0), &[0]) else {
            panic!("cancelled")
        };
        assert!(sources.rows.is_empty());
        game.expire();
    }
    assert_eq!(game.help(2, "b", reduce(0, 0)), Some(map(0, 1)), "no other worker would run it");
    game.pass(8 * SECOND);
    assert_eq!(game.progress(2, map(0, 1), 0.5), ProgressReply::Continue);
    game.pass(8 * SECOND);
    assert_eq!(game.report_on(2, "b", map(0, 1)), TaskDoneReply::Accepted);
    assert_eq!(game.help(2, "b", reduce(0, 0)), None, "it has a reduce, and gets no second one");
    assert_eq!(game.progress(2, reduce(0, 0), 0.9), ProgressReply::Continue);
}

#[test]
fn a_reduce_that_no_worker_has_begun_is_taken_back_when_its_input_is_lost() {
    let mut game = shuffle(2);
    assert_eq!(game.ask_from(3, "c"), Some(reduce(0, 0)));
    assert_eq!(game.ask_from(4, "d"), Some(reduce(1, 0)));
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 1);
    game.fetch_failed(3, reduce(0, 0), map(0, 0), 2);
    assert_eq!(game.ask_from(4, "d"), Some(map(0, 1)), "its assignment was lost, and is out of date");
    assert_eq!(game.progress(4, reduce(1, 0), 0.1), ProgressReply::Cancel);
}
