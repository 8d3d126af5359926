#!/bin/sh
# Runs one seed of one test in a debugger. The run is the one that `cargo lab replay` shows: the seed decides everything.
set -eu

usage() {
    cat <<'USAGE'
usage: debug.sh PACKAGE TEST SEED [OPTIONS OF gdb...]

Builds PACKAGE's tests without optimisation (profile `debugging`), and starts gdb (or what DEBUGGER names: rust-gdb, rust-lldb)
on the test with that seed. All servers run on one OS thread, so that `next` and `step` stay in the server's code until it blocks.
Examples:
    debug.sh raft figure_8_2c 7
    debug.sh raft figure_8_2c 7 -ex 'break election.rs:50' -ex run
    DEBUGGER=rust-lldb debug.sh raft figure_8_2c 7

Virtual time stands still while the debugger does. Exit status: the debugger's, or 2 if the tests do not build.
USAGE
}

case "${1:-}" in
-h | --help)
    usage
    exit 0
    ;;
esac
if [ $# -lt 3 ]; then
    usage >&2
    exit 2
fi
package=$1 test=$2 seed=$3
shift 3

# Cargo prints `Executable tests/raft/main.rs (target/…/raft-0123)`.
binary=$(cargo test --profile debugging --package "$package" --test "$package" --no-run 2>&1 | tee -a /dev/stderr |
    sed -n 's/^ *Executable .*(\(.*\))$/\1/p') || exit 2
[ -x "$binary" ] || exit 2
path=$("$binary" --list --format terse | sed -n "s/^\(.*::$test\): test\$/\1/p")
if [ -z "$path" ]; then
    echo "error: $package has no test $test" >&2
    exit 2
fi

# Nobody ends a run because its user thinks.
export LAB_SEED="$seed" LAB_REAL_LIMIT_S=1000000 LAB_STUCK_LIMIT_S=1000000
debugger=${DEBUGGER:-gdb}
case "$debugger" in
*lldb*) exec "$debugger" "$@" -- "$binary" --exact "$path" --nocapture --test-threads 1 ;;
*) exec "$debugger" "$@" --args "$binary" --exact "$path" --nocapture --test-threads 1 ;;
esac
