// handout: file guided
//! The coordinator's rules by themselves: one test for each, without threads, network or clock.

use mapreduce::events::{Cause, Event};
use mapreduce::rpc::{
    GetTaskReply, NextStep, PROTOCOL_VERSION, ProgressReply, RegisterArgs, RegisterReply, TaskDoneReply,
};
use mapreduce::state::{Backup, Phase};
use mapreduce::tasks::TaskError;

use crate::game::{Game, SECOND, at, id_of, map, reduce, worker};

const TIMEOUT: u64 = 10;

#[test]
fn maps_come_first_and_reduces_when_all_maps_are_done() {
    let mut game = Game::new(2, 2);
    assert_eq!(game.ask(1), Some(map(0, 0)));
    assert_eq!(game.ask(2), Some(map(1, 0)));
    game.finish(1, map(0, 0));
    assert_eq!(game.ask(1), None, "a map is not done, so no reduce may begin");
    assert_eq!(*game.state.phase(), Phase::Map);
    game.finish(2, map(1, 0));
    assert_eq!(*game.state.phase(), Phase::Reduce);
    assert_eq!(game.ask(1), Some(reduce(0, 0)));
}

#[test]
fn no_worker_waits_while_a_task_is_idle() {
    let mut game = Game::new(3, 1);
    let handed_out: Vec<_> = (1..=3).map(|number| game.ask(number)).collect();
    assert_eq!(handed_out, [Some(map(0, 0)), Some(map(1, 0)), Some(map(2, 0))]);
    assert!(matches!(game.ask_raw(4, None), GetTaskReply::Wait { ms: 100 }));
}

#[test]
fn the_job_is_over_when_all_reduces_are_done_and_only_then_workers_may_go() {
    let mut game = Game::new(1, 2);
    game.run_maps();
    assert_eq!(game.ask(1), Some(reduce(0, 0)));
    assert_eq!(game.ask(2), Some(reduce(1, 0)));
    game.finish(1, reduce(0, 0));
    assert!(matches!(game.ask_raw(1, None), GetTaskReply::Wait { .. }));
    game.finish(2, reduce(1, 0));
    assert!(game.state.is_over());
    assert!(matches!(game.ask_raw(1, None), GetTaskReply::Exit));
}

#[test]
fn a_job_without_input_has_empty_output() {
    let mut game = Game::new(0, 1);
    assert_eq!(game.ask(1), Some(reduce(0, 0)));
    game.finish(1, reduce(0, 0));
    assert_eq!(*game.state.phase(), Phase::Finished);
}

#[test]
fn a_silent_worker_loses_its_task_after_the_time_out() {
    let mut game = Game::new(1, 1);
    assert_eq!(game.ask(1), Some(map(0, 0)));
    game.pass(TIMEOUT * SECOND - 1);
    assert_eq!(game.ask(2), None);
    game.pass(1);
    assert_eq!(game.ask(2), Some(map(0, 1)), "the task has another number for its second attempt");
    assert!(game.events().contains(&Event::GivenUp {
        id: map(0, 0),
        worker: worker(1),
        cause: Cause::TimedOut
    }));
}

#[test]
fn progress_keeps_an_attempt_alive_and_repeating_it_does_not() {
    let mut game = Game::new(1, 1);
    game.ask(1);
    game.pass(9 * SECOND);
    assert_eq!(game.progress(1, map(0, 0), 0.5), ProgressReply::Continue);
    game.pass(9 * SECOND);
    assert_eq!(game.progress(1, map(0, 0), 0.5), ProgressReply::Continue, "it is not yet given up");
    assert_eq!(game.ask(2), None);
    game.pass(SECOND);
    assert_eq!(game.ask(2), Some(map(0, 1)), "for ten seconds it got no further");
    assert_eq!(game.progress(1, map(0, 0), 0.6), ProgressReply::Cancel);
}

/// That a reduce has all its input is progress once, and not each time that its worker says so.
#[test]
fn a_reduce_that_has_its_input_and_gets_no_further_is_given_up() {
    let mut game = Game::new(1, 1);
    game.run_maps();
    game.ask(1);
    for _ in 0..3 {
        game.pass(4 * SECOND);
        game.fetched(1, reduce(0, 0));
    }
    assert_eq!(game.ask(2), None, "it has had its input for eight seconds");
    game.pass(2 * SECOND);
    assert_eq!(game.ask(2), Some(reduce(0, 1)));
}

#[test]
fn the_first_report_wins_and_the_second_is_late() {
    let mut game = Game::new(1, 1);
    game.ask(1);
    game.pass(TIMEOUT * SECOND);
    game.ask(2);
    assert_eq!(game.report(2, map(0, 1)), TaskDoneReply::Accepted);
    assert_eq!(game.report(1, map(0, 0)), TaskDoneReply::Late);
    assert_eq!(game.state.counters().0.records, 1, "it is counted once");
}

#[test]
fn a_repeated_report_is_accepted_again_and_counted_once() {
    let mut game = Game::new(1, 1);
    game.ask(1);
    assert_eq!(game.report(1, map(0, 0)), TaskDoneReply::Accepted);
    assert_eq!(
        game.report(1, map(0, 0)),
        TaskDoneReply::Accepted,
        "late would have the worker delete what counts"
    );
    assert_eq!(game.state.counters().0.records, 1);
}

#[test]
fn an_attempt_that_was_given_up_may_still_win() {
    let mut game = Game::new(1, 1);
    game.ask(1);
    game.pass(TIMEOUT * SECOND);
    assert_eq!(game.ask(2), Some(map(0, 1)));
    assert_eq!(game.report(1, map(0, 0)), TaskDoneReply::Accepted);
    assert_eq!(
        game.progress(2, map(0, 1), 0.5),
        ProgressReply::Cancel,
        "the other attempt is not needed any more"
    );
    assert_eq!(game.report(2, map(0, 1)), TaskDoneReply::Late);
}

#[test]
fn attempts_that_were_never_handed_out_are_refused() {
    let mut game = Game::new(1, 1);
    game.ask(1);
    assert_eq!(game.report(1, map(0, 1)), TaskDoneReply::Late);
    assert_eq!(game.report(1, map(7, 0)), TaskDoneReply::Late);
    assert_eq!(game.progress(1, reduce(9, 0), 0.1), ProgressReply::Cancel);
    assert_eq!(game.state.maps().done(), 0);
}

#[test]
fn a_lost_assignment_is_given_again_and_costs_no_execution() {
    let mut game = Game::new(2, 1);
    assert_eq!(game.ask(1), Some(map(0, 0)));
    game.pass(9 * SECOND);
    assert_eq!(game.ask(1), Some(map(0, 0)), "the worker has not heard of it");
    game.pass(9 * SECOND);
    assert_eq!(game.ask(2), Some(map(1, 0)), "it has begun only now, so it is not late yet");
}

#[test]
fn a_question_that_comes_twice_changes_nothing() {
    let mut game = Game::new(2, 1);
    assert_eq!(game.ask(1), Some(map(0, 0)));
    let number = game.asked;
    game.pass(9 * SECOND);
    let again = game.ask_numbered(1, "host-1", number, None);
    assert_eq!(id_of(&again), Some(map(0, 0)), "its reply may have been lost");
    game.pass(SECOND);
    assert_eq!(game.ask(2), Some(map(0, 1)), "but no deadline has moved");
    let late = game.ask_numbered(1, "host-1", number, None);
    assert!(matches!(late, GetTaskReply::Wait { .. }), "a question of long ago is given no new task");
    assert_eq!(game.state.maps().idle(), 1);
}

#[test]
fn a_worker_of_another_version_is_refused() {
    let mut game = Game::new(1, 1);
    let args = RegisterArgs { version: PROTOCOL_VERSION + 1, worker: worker(1), host: "a".to_owned() };
    let now = game.now;
    assert!(matches!(game.state.register(&args, now), RegisterReply::Refused(_)));
    let args = RegisterArgs { version: PROTOCOL_VERSION, ..args };
    assert_eq!(game.state.register(&args, now), RegisterReply::Welcome(game.state.job.clone()));
}

#[test]
fn a_task_goes_first_to_a_machine_that_has_its_input() {
    let mut game = Game::with_replicas(&[&["a"], &["b"], &["b"], &[]]);
    assert_eq!(game.ask_from(1, "b"), Some(map(1, 0)));
    assert_eq!(game.ask_from(2, "c"), Some(map(0, 0)), "a machine without input takes the first");
    assert_eq!(game.ask_from(3, "a"), Some(map(2, 0)), "and so does one whose input is taken");
    assert_eq!(game.ask_from(4, "b"), Some(map(3, 0)));
}

#[test]
fn stragglers_are_backed_up_near_the_end_of_the_phase_and_once() {
    let mut game = Game::new(20, 1);
    (1..=20).for_each(|number| assert_eq!(game.ask(number), Some(map(number as usize - 1, 0))));
    game.pass(SECOND);
    (1..=18).for_each(|number| game.finish(number, map(number as usize - 1, 0)));
    game.pass(2 * SECOND);
    assert_eq!(game.ask(1), None, "18 of 20 are less than 95 %");
    game.finish(19, map(18, 0));
    assert_eq!(
        game.ask(20),
        Some(map(19, 0)),
        "the worker that runs it gets it again, and not against itself"
    );
    assert_eq!(game.ask(1), None, "it has just begun");
    game.pass(2 * SECOND);
    assert_eq!(game.ask(1), Some(map(19, 1)));
    assert_eq!(game.ask(2), None, "there is one backup and no more");
    game.finish(1, map(19, 1));
    assert_eq!(game.report(20, map(19, 0)), TaskDoneReply::Late);
}

#[test]
fn the_backup_goes_to_the_oldest_or_to_the_one_with_the_most_to_do() {
    for (backup, expected) in [(Backup::LongestRunning, 38), (Backup::LongestRemaining, 39)] {
        let mut game = Game::new(40, 1);
        game.rules(|rules| rules.backup = backup);
        (1..=39).for_each(|number| assert!(game.ask(number).is_some()));
        game.pass(SECOND);
        assert!(game.ask(40).is_some());
        (1..=38).for_each(|number| game.finish(number, map(number as usize - 1, 0)));
        game.pass(3 * SECOND);
        game.progress(39, map(38, 0), 0.9);
        game.progress(40, map(39, 0), 0.1);
        assert_eq!(game.ask(1), Some(map(expected, 1)), "{backup:?}");
    }
    let mut game = Game::new(1, 1);
    game.rules(|rules| rules.backup = Backup::Off);
    game.run_maps();
    game.ask(1);
    game.pass(9 * SECOND);
    assert_eq!(game.ask(2), None);
}

#[test]
fn a_record_is_skipped_after_its_second_failure() {
    let mut game = Game::new(1, 1);
    let bad = |offset| TaskError::BadRecord {
        place: at(offset),
        file: "file".to_owned(),
        reason: "poison".to_owned(),
    };
    game.ask(1);
    assert_eq!(game.fail(1, map(0, 0), bad(7)), NextStep::Ask);
    assert_eq!(game.skips(1), [], "one failure may be chance");
    game.fail(1, map(0, 1), bad(9));
    assert_eq!(game.skips(1), [], "another record's failure is another matter");
    game.fail(1, map(0, 2), bad(7));
    assert_eq!(game.skips(1), [at(7)]);
    game.fail(1, map(0, 3), bad(9));
    assert_eq!(game.skips(1), [at(7), at(9)]);
}

#[test]
fn a_task_that_fails_again_and_again_fails_the_job() {
    let mut game = Game::new(2, 1);
    game.rules(|rules| rules.skip_bad_records = false);
    let bad = TaskError::BadRecord { place: at(7), file: "file".to_owned(), reason: "poison".to_owned() };
    for attempt in 0..3 {
        assert_eq!(game.ask(1), Some(map(0, attempt)));
        assert_eq!(game.fail(1, map(0, attempt), bad.clone()), NextStep::Ask);
        assert_eq!(game.fail(1, map(0, attempt), bad.clone()), NextStep::Ask, "the same report again");
    }
    game.ask(1);
    assert_eq!(game.fail(1, map(0, 3), bad), NextStep::Exit);
    assert!(matches!(game.state.phase(), Phase::Failed(reason) if reason.contains("poison")));
    assert!(matches!(game.ask_raw(2, None), GetTaskReply::Exit));
    assert_eq!(game.report(2, map(1, 0)), TaskDoneReply::Late);
}

#[test]
fn the_next_deadline_is_the_first_one_and_none_when_nothing_runs() {
    let mut game = Game::new(2, 1);
    assert_eq!(game.state.next_deadline(), None);
    game.ask(1);
    let first = game.now + std::time::Duration::from_secs(TIMEOUT);
    game.pass(SECOND);
    game.ask(2);
    assert_eq!(game.state.next_deadline(), Some(first));
    game.finish(1, map(0, 0));
    assert_eq!(game.state.next_deadline(), Some(first + std::time::Duration::from_secs(1)));
}
