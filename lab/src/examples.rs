//! Examples that stand below the help of each verb.

pub(crate) const LIST: &str = "\
Examples:
  cargo lab list                  labs, parts, tests, points
  cargo lab list 2C figure_8      those of a part, and those with this piece in their names
  cargo lab list --json | jq .    a line for each test, for programs";

pub(crate) const TEST: &str = "\
Examples:
  cargo lab test                  everything, once
  cargo lab test 2A,2B            two parts
  cargo lab test TestBackup2B     one test, by the course's name or by ours
  cargo lab test 2C --seed 7      with this seed
  cargo lab test raft --threads   on real threads and the wall clock
  cargo lab test raft --fail-fast stops at the first failure
  cargo lab test raft --each      a line for each test, also where the screen has fewer rows

Whole reports of failures are kept in lab-runs/last-test.";

pub(crate) const STRESS: &str = "\
Examples:
  cargo lab stress 2C -n 1000     a thousand seeds of each test; ctrl-C, and the same command goes on
  cargo lab stress 2C --swarm     the seed also draws delays, duplicates, scheduler, clocks, pauses, …
  cargo lab stress 2B --fail-fast until something fails
  cargo lab stress 2 --loop       10 times as many runs in each round, until something fails
  cargo lab stress 2B --race      data races, under ThreadSanitizer
  cargo lab stress 2B --rounds    counts as go-test-many.sh does";

pub(crate) const REPLAY: &str = "\
Examples:
  cargo lab replay figure_8_2c --seed 7
  cargo lab replay backup_2b --seed 7 --topics        which topics there are
  cargo lab replay backup_2b --seed 7 -j vote,fault   these only
  cargo lab replay --shrunk figure_8_2c-7.shrunk      what cargo lab shrink has left of a run";

pub(crate) const LOGS: &str = "\
Examples:
  cargo lab logs figure_8_2c --seed 7 --from 1.2 --to 1.4
  cargo lab logs figure_8_2c --seed 7 --server 2 --term 3
  cargo lab logs figure_8_2c --seed 7 --index 7       who had what at index 7, and who was told
  cargo lab logs figure_8_2c --seed 7 --rpc 117       one call, from its arguments to its end";

pub(crate) const TRACE: &str = "\
Examples:
  cargo lab trace figure_8_2c --seed 7 --output run.labtrace     compact; cargo lab logs --file reads it
  cargo lab trace figure_8_2c --seed 7 --json | jq .kind
  cargo lab trace figure_8_2c --seed 7 --shiviz --output run.log
  cargo lab trace figure_8_2c --seed 7 --perfetto --output run.json";

pub(crate) const ZOO: &str = "\
Examples:
  cargo lab zoo raft              is each wrong solution of bugs/raft caught, and how often?
  cargo lab zoo raft --matrix     which test kills which, and how often
  cargo lab zoo raft --bug R33    this one only
  cargo lab zoo raft --parts      no test needs a later part
  cargo lab zoo --correct         tests pass solutions that are unusual, and right";

pub(crate) const MUTANTS: &str = "\
Examples:
  cargo lab mutants raft                            all mutants of Raft's rules: which does no test notice?
  cargo lab mutants raft --sample 40                forty of them
  cargo lab mutants raft --at raft/src/log.rs:57    those of one line";

pub(crate) const BENCH: &str = "\
Examples:
  cargo lab bench                 everything that labs.toml names
  cargo lab bench figure_8        only rows with this in their names
  cargo lab bench lectures        the experiments of the lectures' papers, in virtual time
  cargo lab bench --seconds 1     shorter";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  cargo lab completions bash > ~/.local/share/bash-completion/completions/lab
  cargo lab completions zsh > ~/.zfunc/_lab
  cargo lab completions fish > ~/.config/fish/completions/lab.fish
They complete the word `lab`. In a shell's own file this makes it `cargo lab`, in whatever workspace you are:
  lab() { cargo lab \"$@\"; }                   bash, zsh
  function lab; cargo lab $argv; end            fish";

pub(crate) const VIEW: &str = "\
Examples:
  cargo lab view figure_8_2c --seed 7                 writes figure_8_2c-7.html
  cargo lab view --shrunk figure_8_2c-7.shrunk        the small run
  cargo lab view figure_8_2c --seed 7 --alone         without the run that passes";

pub(crate) const SHRINK: &str = "\
Examples:
  cargo lab shrink figure_8_2c --seed 7               writes figure_8_2c-7.shrunk
  cargo lab shrink figure_8_2c --seed 7 --budget 300  tries for five minutes
  cargo lab replay --shrunk figure_8_2c-7.shrunk      runs what is left";

pub(crate) const WHEN: &str = "\
Examples:
  cargo lab when figure_8_2c --seed 7
  cargo lab when figure_8_2c --seed 7 --moments 40 --futures 200 --svg when.svg";
