//! `cargo lab handout`: makes workspaces for students from the marked reference.
//!
//! A handout is never committed. It is the framework as it is, and the labs' crates as their marks say
//! (`marks`, listed in CONTRIBUTING.md), so it cannot drift from the reference.
//!
//! # How to read
//!
//! * `labs`: which labs there are, and what they stand on.
//! * `scan` and `marks`: from a marked source to what students get of it.
//! * `plan`: all files of a handout. `manifest`, `catalogue` and `papers` make those that are no copies.
//! * `make`: writing them, all or none. `update`: the patch for a handout that was given out earlier.
//! * `book`: the labs' texts. `prove`: what must hold of every handout.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_types,
    reason = "this program never runs in a simulation: its threads, locks and clocks are the system's"
)]

mod book;
mod catalogue;
mod cli;
mod labs;
mod make;
mod manifest;
mod marks;
mod names;
mod papers;
mod plan;
mod prove;
mod scan;
mod unnamed;
mod update;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use lab_terminal::{Failure, Outcome, end_quietly_when_nobody_reads, exit_code};

use crate::cli::Arguments;
use crate::marks::Level;
use crate::plan::{Choice, plan, solved};

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    exit_code(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let root = root()?;
    if arguments.book {
        return book::run(root);
    }
    if arguments.prove {
        return prove::run(root, arguments);
    }
    let choice = Choice::new(&arguments.lab, &arguments.with, arguments.level.unwrap_or(Level::Classic))?;
    let plan = if arguments.solved { solved(root, &choice)? } else { plan(root, &choice)? };
    let Some(out) = &arguments.out else { unreachable!("clap asks for --out") };
    // Before anything is written: it may say that OLD is no handout.
    let update = arguments.diff.as_deref().map(|old| update::update(old, &plan)).transpose()?;
    make::write(&plan, &choice, out, arguments.git)?;
    let files = plan.files.len() + 1;
    if arguments.json {
        let [patch, touched] = [
            update.as_ref().map(|update| serde_json::json!(update.patch)),
            update.as_ref().map(|update| serde_json::json!(update.touched)),
        ];
        println!(
            "{}",
            serde_json::json!({"folder": out, "files": files, "patch": patch, "not_in_patch": touched})
        );
        return Ok(Outcome::Passed);
    }
    eprintln!("{}: {files} files", out.display());
    if choice.has_oracle() && arguments.with.iter().any(|lab| lab == "raft") {
        eprintln!("in place of Raft it has the oracle, which agrees under the same faults and is no Raft");
    }
    if let Some(update) = update {
        print!("{}", update.patch);
        for path in &update.touched {
            eprintln!("not in the patch, because the student has changed it: {}", path.display());
        }
    }
    Ok(Outcome::Passed)
}

/// The workspace of the reference: this crate's folder is two levels below it.
fn root() -> Result<&'static Path, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent);
    root.filter(|root| root.join("labs.toml").is_file())
        .ok_or_else(|| Failure::new("the workspace that this program was built in is gone"))
}
