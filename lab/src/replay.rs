//! `cargo lab replay`: one seed of one test again, with tracing on, told as a story and as columns.

use labreport::Verdict;

use crate::cli::Arguments;
use crate::style::{Story, print_result, print_unwatched};
use crate::unwritten::unwatched;
use crate::why::cli::ReplayOptions;
use crate::why::logs;
use crate::{Failure, Outcome};

/// Runs the seed, prints the log, then the result with its story.
pub(crate) fn run(arguments: &Arguments, options: &ReplayOptions) -> Result<Outcome, Failure> {
    let traced = options.source.open(arguments, &options.run, options.trace.as_deref())?;
    let Some(traced) = traced else { return Ok(Outcome::Interrupted) };
    let _ = logs::show(&traced.trace, &options.shown)?;
    let Some(mut ended) = traced.ended else { return Ok(Outcome::Passed) };
    if options.no_story {
        ended.report.report = None;
    }
    if options.shown.form.json {
        println!("{}", serde_json::json!({ "result": ended.report }));
    } else {
        let story = Story { told: usize::MAX, file: None, replay: &ended.replay };
        print_result(&ended.bench.test, &ended.report, &ended.bench.runner.world, &story);
        // The report of a failure has it already.
        if ended.report.ok {
            print_unwatched(&unwatched(&ended.report).iter().map(|what| (what.clone(), 1)).collect());
        }
    }
    Ok(match ended.report.verdict() {
        Verdict::Passed => Outcome::Passed,
        Verdict::Failed => Outcome::Failed,
        Verdict::Inconclusive => Outcome::Unknown,
    })
}
