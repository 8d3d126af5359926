//! The words of the command line, and what `--help` says of them.

use std::path::PathBuf;

use clap::Parser;

use crate::marks::Level;

/// Makes a workspace for students from the marked reference: the framework, the lab without its solution, its
/// tests, and its text.
#[derive(Debug, Parser)]
#[command(
    name = "cargo lab handout",
    bin_name = "cargo lab handout",
    version,
    after_help = "Examples:
  cargo lab handout --lab raft --out ../raft-2026 --git
  cargo lab handout --lab kvraft --level guided --out ../kvraft     # consensus by the oracle
  cargo lab handout --lab raft,kvraft --out ../labs                 # kvraft over the student's own Raft
  cargo lab handout --lab shardkv --with kvraft,shardctrler --out ../shardkv
  cargo lab handout --lab raft --out ../raft-new --diff ../raft-2026 > update.patch
  cargo lab handout --prove                                         # every lab and level; what CI runs
  cargo lab handout --prove --no-build                              # the same without builds, in seconds

Exit status: 0 done, 1 a proof failed, 2 it could not be done; then nothing is left behind."
)]
pub(crate) struct Arguments {
    /// The labs to hand out: warmup, mapreduce, raft, kvraft, shardctrler, shardkv, vmft,
    /// zookeeper, gfs, craq.
    #[arg(long, value_name = "LAB", value_delimiter = ',')]
    pub(crate) lab: Vec<String>,

    /// The new folder. It may exist if it is empty.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["prove", "book"])]
    pub(crate) out: Option<PathBuf>,

    /// How much of the reference's structure to leave: its public interface, or also its files, types and
    /// signatures, and the tests of its rules [default: classic; with --prove both].
    #[arg(long, value_enum)]
    pub(crate) level: Option<Level>,

    /// Earlier labs to put in as they are in the reference, so that the later one can be done alone. In place
    /// of Raft the oracle is put in, also without this option.
    #[arg(long, value_name = "LAB", value_delimiter = ',')]
    pub(crate) with: Vec<String>,

    /// Put the reference's sources in; graders need it.
    #[arg(long, hide = true)]
    pub(crate) solved: bool,

    /// Make the folder a git repository with one commit.
    #[arg(long)]
    pub(crate) git: bool,

    /// Print the patch that brings this earlier handout up to date, as far as students have not touched the
    /// files, and name those that they have.
    #[arg(long, value_name = "OLD")]
    pub(crate) diff: Option<PathBuf>,

    /// Prove of the handouts of these labs (default: of all, at both levels) that they build without a
    /// warning, fail as not implemented, show nothing of the solution, come out equal twice, and pass once
    /// the reference's files are put back.
    #[arg(long, conflicts_with_all = ["git", "diff", "with"])]
    pub(crate) prove: bool,

    /// With --prove: leave out what has to be built for, which takes minutes for each lab.
    #[arg(long, requires = "prove")]
    pub(crate) no_build: bool,

    /// Print JSON instead of words: a line for the handout, with --prove one for each lab and level.
    #[arg(long)]
    pub(crate) json: bool,

    /// Check the labs' texts: anchors, links, and that every command in them works.
    #[arg(long, conflicts_with_all = ["git", "diff", "with", "lab", "level", "out", "prove", "no_build", "json"])]
    pub(crate) book: bool,
}
