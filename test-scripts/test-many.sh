#!/bin/sh
# Runs tests many times, for those who know go-test-many.sh: the same arguments, the same count. `cargo lab stress` does the work.
set -eu

usage() {
    cat <<'USAGE'
usage: test-many.sh [RUNS=100] [PARALLELISM=#cpus] [PATTERN='']

Builds once, then runs every test that PATTERN names RUNS times, PARALLELISM processes at once, each run with another seed.
PATTERN is the name of a lab (raft), of a part (2A) or of a test (backup_2b, TestBackup2B), or a piece of tests' names
(figure_8); several are separated by blanks, commas or bars ('2B|2C'). Without it: in the folder of a lab that lab's tests, elsewhere all.
A run counts as ok if all its tests pass. The desktop is told of the first failure, if there is notify-send.

Ctrl-C stops it; the same command goes on where it was stopped. The stories of failures are kept, in a folder below
lab-runs that is named at the end; if all runs pass, nothing is left behind.

Exit status: 0 all passed, 1 a run failed, 2 it could not run.
USAGE
}

case "${1:-}" in
-h | --help)
    usage
    exit 0
    ;;
esac
if [ $# -gt 3 ]; then
    usage >&2
    exit 2
fi

runs=${1:-100}
parallelism=${2:-}
pattern=${3:-}
# In raft/, as go-test-many.sh is used, raft is meant.
here=$(basename "$PWD")
if [ -z "$pattern" ] && [ -f Cargo.toml ] && cargo lab list "$here" >/dev/null 2>&1; then
    pattern=$here
fi

# Not quoted on purpose: several patterns are several words.
# shellcheck disable=SC2086
exec cargo lab stress --rounds --notify --runs "$runs" ${parallelism:+--jobs "$parallelism"} -- $pattern
