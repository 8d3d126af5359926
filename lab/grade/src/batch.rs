//! A batch on this machine: plan, shards, results.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab_terminal::{Failure, Outcome, Signals, count, duration, table};
use serde_json::json;

use crate::cli::{Arguments, Step, WishOptions, WorkOptions};
use crate::kills::Trial;
use crate::merge::{Graded, merge};
use crate::parallel::in_parallel;
use crate::plan::{Plan, Wish};
use crate::report::{Reports, points};
use crate::sandbox::Sandbox;
use crate::shard::{Carried, Worker};
use crate::take::is_foreign;
use crate::watchfolder::{LOOK, Sight, is_same, look};
use crate::workshop::Workshop;
use crate::{secret, settings, verdict};

/// How long this program may take to notice a signal.
const MOMENT: Duration = Duration::from_millis(100);

/// Does what the command line asks for.
pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let root = root()?;
    match &arguments.step {
        None if arguments.wish.tests => kill(root, &arguments.wish, &arguments.work),
        None => match &arguments.wish.watch {
            None => grade(root, &arguments.wish, &arguments.work, &*stop_on_signal()?),
            Some(folder) => watch(root, folder, &arguments.wish, &arguments.work),
        },
        Some(Step::Plan { wish, .. }) if wish.tests => {
            Err(Failure::new("--tests has no plan: it runs on one machine, without this word"))
        }
        Some(Step::Plan { wish, work }) => {
            let (plan, ..) = plan(root, wish, work)?;
            match work.json {
                true => println!("{}", json!({"shards": plan.shards().len()})),
                false => println!("{}", count(plan.shards().len(), "shard")),
            }
            Ok(Outcome::Passed)
        }
        Some(Step::RunShard { shards, work }) => {
            let sandbox = sandbox(work)?;
            let plan = Plan::read(&work.out)?;
            let workshop = workshop(root, &plan.lab, &plan.with, work)?;
            check_same(&plan, &workshop)?;
            carry_out(&plan, &workshop, sandbox, work, Some(shards), &*stop_on_signal()?)
        }
        Some(Step::Merge { work }) => results(&Plan::read(&work.out)?, work),
    }
}

/// Grades students' tests.
fn kill(root: &Path, wish: &WishOptions, work: &WorkOptions) -> Result<Outcome, Failure> {
    let lab = known_lab(wish)?;
    let submissions = submissions(wish, &work.out)?;
    let first_seed = secret::first_seed(wish.secret.as_deref(), lab)?;
    let sandbox = sandbox(work)?;
    let workshop = workshop(root, lab, &wish.with, work)?;
    fs::create_dir_all(&work.out)
        .map_err(|error| Failure::new(format!("{}: {error}", work.out.display())))?;
    let trial = Trial {
        root,
        lab,
        workshop: &workshop,
        sandbox,
        out: &work.out,
        jobs: work.jobs(),
        runs: wish.runs,
        first_seed,
        only: &wish.bug,
        json: work.json,
    };
    trial.grade(&submissions)
}

fn known_lab(wish: &WishOptions) -> Result<&str, Failure> {
    if wish.lab.is_empty() {
        return Err(Failure::new(
            "which lab? --lab warmup, mapreduce, raft, kvraft, shardctrler, shardkv, vmft, zookeeper, gfs or craq",
        ));
    }
    Ok(&wish.lab)
}

/// All submissions, from the plan to the reports.
fn grade(
    root: &Path,
    wish: &WishOptions,
    work: &WorkOptions,
    stopped: &AtomicBool,
) -> Result<Outcome, Failure> {
    let planned = plan(root, wish, work);
    if planned.is_err() {
        // Ctrl-C has perhaps ended the build, a moment before this program notices it.
        thread::sleep(MOMENT);
    }
    if stopped.load(Ordering::Relaxed) {
        return Ok(Outcome::Interrupted);
    }
    let (plan, workshop, sandbox) = planned?;
    let outcome = carry_out(&plan, &workshop, sandbox, work, None, stopped)?;
    if outcome == Outcome::Interrupted {
        return Ok(outcome);
    }
    let merged = results(&plan, work)?;
    Ok(if outcome == Outcome::Passed { merged } else { outcome })
}

/// Grades what is in a folder whenever that has changed and then stayed as it is for one look.
fn watch(root: &Path, folder: &Path, wish: &WishOptions, work: &WorkOptions) -> Result<Outcome, Failure> {
    known_lab(wish)?;
    let stopped = stop_on_signal()?;
    let (mut graded, mut before) = (Sight::new(), Sight::new());
    let mut complaint = String::new();
    eprintln!("{}: is watched; ctrl-C ends this", folder.display());
    while !stopped.load(Ordering::Relaxed) {
        let now = look(folder, &work.out)?;
        if now != graded && now == before && !now.is_empty() {
            let submissions = now.keys().cloned().collect();
            // What is graded here is not to be forgotten at the next look.
            let fresh = wish.fresh && graded.is_empty();
            let wish = WishOptions { submissions, fresh, ..wish.clone() };
            match grade(root, &wish, work, &stopped) {
                Ok(_) => graded.clone_from(&now),
                // Nothing has been graded so far: whoever has started this is still there, and reads it.
                Err(failure) if graded.is_empty() => return Err(failure),
                // A full disk may have room again at the next look. It is said once.
                Err(failure) if failure.to_string() != complaint => {
                    complaint = failure.to_string();
                    eprintln!("error: {complaint}; it is tried again");
                }
                Err(_) => {}
            }
        }
        before = now;
        thread::sleep(LOOK);
    }
    Ok(Outcome::Interrupted)
}

/// The workspace of the reference: this crate's folder is two levels below it.
fn root() -> Result<&'static Path, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent);
    root.filter(|root| root.join("labs.toml").is_file())
        .ok_or_else(|| Failure::new("the workspace that this program was built in is gone"))
}

fn sandbox(work: &WorkOptions) -> Result<Sandbox, Failure> {
    let sandbox = match work {
        WorkOptions { unsafe_no_sandbox: true, .. } => Sandbox::Nothing,
        WorkOptions { no_namespaces: true, .. } => Sandbox::Calls.probe()?,
        _ => Sandbox::Full.probe()?,
    };
    eprintln!("sandbox: {}", sandbox.describe());
    Ok(sandbox)
}

fn workshop(root: &Path, lab: &str, with: &[String], work: &WorkOptions) -> Result<Workshop, Failure> {
    let name = std::iter::once(lab).chain(with.iter().map(String::as_str)).collect::<Vec<_>>().join("+");
    let cache = work.cache.clone().unwrap_or_else(|| root.join("target/grade").join(name));
    Workshop::prepare(lab, with, &cache)
}

fn check_same(plan: &Plan, workshop: &Workshop) -> Result<(), Failure> {
    if plan.workshop == workshop.fingerprint {
        return Ok(());
    }
    Err(Failure::new(
        "this machine would build something else than the plan's: another version of this workspace, another \
         compiler, or other CARGO_PROFILE_ or RUSTFLAGS variables",
    ))
}

/// The plan that is there, if it is the one that is asked for; otherwise a new one.
fn plan(root: &Path, wish: &WishOptions, work: &WorkOptions) -> Result<(Plan, Workshop, Sandbox), Failure> {
    known_lab(wish)?;
    let submissions = submissions(wish, &work.out)?;
    let given = wish.secret.as_deref().map(|file| secret::first_seed(Some(file), &wish.lab)).transpose()?;
    let advice = "give another folder, or --fresh to forget it";
    let old = if wish.fresh { Ok(None) } else { Plan::read_if_there(&work.out) };
    let old = old.map_err(|failure| Failure::new(format!("{failure}; {advice}")))?;
    let sandbox = sandbox(work)?;
    let begun = Instant::now();
    let workshop = workshop(root, &wish.lab, &wish.with, work)?;
    eprintln!("the pristine workspace is ready after {}", duration(begun.elapsed()));
    let out = &work.out;
    let cannot = |error| Failure::new(format!("{}: {error}", out.display()));
    fs::create_dir_all(out).map_err(cannot)?;
    let first_seed = match (given, &old) {
        (Some(given), _) => given,
        // An interrupted batch goes on with the seeds that it drew.
        (None, Some(old)) => old.first_seed,
        (None, None) => secret::first_seed(None, &wish.lab)?,
    };
    let fresh = wish.fresh;
    let wish = Wish {
        lab: wish.lab.clone(),
        with: wish.with.clone(),
        submissions,
        runs: wish.runs,
        first_seed,
        seeds_per_shard: wish.seeds_per_shard,
        skip_inspection: wish.no_source_check,
    };
    let grading = settings::grading(root)?;
    let tests = settings::tests(&workshop.recipe.workspace, &grading)?;
    let plan = Plan::make(root, &workshop, grading, tests, &wish, out)?;
    if let Some(why) = old.as_ref().and_then(|old| old.is_of_another_batch(&plan)) {
        return Err(Failure::new(format!("{} holds another batch: {why}; {advice}", out.display())));
    }
    if fresh {
        let _ = fs::remove_dir_all(out.join("shards"));
    }
    plan.write(out)?;
    Ok((plan, workshop, sandbox))
}

/// All submissions that are asked for, in order.
fn submissions(wish: &WishOptions, out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut submissions = wish.submissions.clone();
    // Before a workspace is built for them, which takes minutes.
    if let Some(missing) = submissions.iter().find(|path| path.symlink_metadata().is_err()) {
        return Err(Failure::new(format!("there is no submission {}", missing.display())));
    }
    if let Some(folder) = wish.folder.as_ref().or(wish.watch.as_ref()).filter(|folder| is_same(folder, out)) {
        let folder = folder.display();
        return Err(Failure::new(format!("{folder} holds the submissions; --out needs a folder of its own")));
    }
    if let Some(folder) = &wish.folder {
        let cannot = |error| Failure::new(format!("{}: {error}", folder.display()));
        for entry in fs::read_dir(folder).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            let path = entry.path();
            if !is_foreign(&entry.file_name()) && !is_same(&path, out) {
                submissions.push(path);
            }
        }
    }
    submissions.sort();
    submissions.dedup();
    if submissions.is_empty() {
        return Err(Failure::new("there is nothing to grade: name submissions, or their folder with --in"));
    }
    Ok(submissions)
}

/// Carries out all shards, or those that are named.
fn carry_out(
    plan: &Plan,
    workshop: &Workshop,
    sandbox: Sandbox,
    work: &WorkOptions,
    named: Option<&[usize]>,
    stopped: &AtomicBool,
) -> Result<Outcome, Failure> {
    let mut shards = plan.shards();
    if let Some(named) = named {
        if let Some(number) = named.iter().find(|number| **number >= shards.len()) {
            return Err(Failure::new(format!(
                "there is no shard {number}; the last one is {}",
                shards.len().saturating_sub(1)
            )));
        }
        shards.retain(|shard| named.contains(&shard.shard));
    }
    let jobs = work.jobs();
    let side_by_side = jobs.min(shards.len()).max(1);
    let worker = Worker { plan, workshop, out: &work.out, sandbox, jobs: jobs.div_ceil(side_by_side) };
    let (done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    in_parallel(&shards, side_by_side, |shard| {
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        let begun = Instant::now();
        let result = worker.carry_out(shard);
        failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
        let number = done.fetch_add(1, Ordering::Relaxed) + 1;
        let (words, took) = (words(plan, &result), duration(begun.elapsed()));
        eprintln!("{number}/{} {}: {words} ({took})", shards.len(), shard.submission);
    });
    if stopped.load(Ordering::Relaxed) {
        return Ok(Outcome::Interrupted);
    }
    Ok(if failed.into_inner() == 0 { Outcome::Passed } else { Outcome::CouldNotRun })
}

/// A flag that ctrl-C and SIGTERM set. A second one ends this program at once.
fn stop_on_signal() -> Result<Arc<AtomicBool>, Failure> {
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    let mut signals = Signals::default();
    ctrlc::set_handler(move || {
        if signals.is_second() {
            std::process::exit(i32::from(lab_terminal::INTERRUPTED));
        }
        if flag.swap(true, Ordering::Relaxed) {
            return;
        }
        eprintln!("stops behind the submissions that are being graded; once more to stop at once");
    })
    .map_err(|error| Failure::new(format!("ctrl-C cannot be handled: {error}")))?;
    Ok(stopped)
}

/// What a shard came to, for whoever watches.
fn words(plan: &Plan, result: &Result<Carried, Failure>) -> String {
    match result {
        Err(failure) => format!("could not be graded: {failure}"),
        Ok(Carried { refusal: Some(_), .. }) => "does not build".to_owned(),
        Ok(carried) => verdict::overall(&plan.tests, &carried.sums).words().to_owned(),
    }
}

/// Merges what there is, writes all reports, and says what it came to.
fn results(plan: &Plan, work: &WorkOptions) -> Result<Outcome, Failure> {
    let out = &work.out;
    let mut rows = vec![["submission", "points", "verdict"].map(str::to_owned).to_vec()];
    let mut reports = Reports::new(plan, out);
    let summary = merge(plan, out, &mut |graded: &Graded| {
        rows.push(vec![graded.name.clone(), points(graded.hundredths), graded.verdict()]);
        reports.add(graded)
    })?;
    reports.finish(&summary)?;
    let good = summary.faults.is_empty() && summary.missing.is_empty();
    let outcome = if good { Outcome::Passed } else { Outcome::CouldNotRun };
    if work.json {
        for row in &rows[1..] {
            println!("{}", json!({"submission": row[0], "points": row[1], "verdict": row[2]}));
        }
        let (faults, missing, page) = (&summary.faults, &summary.missing, out.join("index.html"));
        println!("{}", json!({"summary": {"faults": faults, "missing_shards": missing, "page": page}}));
        return Ok(outcome);
    }
    print!("{}", table(&rows));
    for fault in &summary.faults {
        println!("NOT TO BE TRUSTED: {fault}");
    }
    if !summary.missing.is_empty() {
        let missing: Vec<String> = summary.missing.iter().map(usize::to_string).collect();
        println!("missing: {} ({})", count(missing.len(), "shard"), missing.join(" "));
    }
    println!("{}", out.join("index.html").display());
    Ok(outcome)
}
