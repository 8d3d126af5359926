#!/bin/sh
# Looks for data races, as `go test -race` does: the tests on real threads, under ThreadSanitizer, again and again.
set -eu

usage() {
    cat <<'USAGE'
usage: race.sh [NAME...] [-- OPTIONS OF cargo lab stress]

Runs the tests that the NAMEs stand for (labs, parts, tests; all of them without a name) ten times each. Every data race
is a failed run with the report of ThreadSanitizer as its story. Needs a nightly toolchain, and says so if there is none.
Example: race.sh 2A 2B -- --runs 3 --jobs 1

Exit status: 0 no race, 1 a race or another failure, 2 it could not run.
USAGE
}

names=
while [ $# -gt 0 ]; do
    case "$1" in
    -h | --help)
        usage
        exit 0
        ;;
    --)
        shift
        break
        ;;
    *) names="$names $1" ;;
    esac
    shift
done
case " $* " in
*" --runs"* | *" -n"*) ;;
*) set -- --runs 10 "$@" ;;
esac

# Not quoted on purpose: several names are several words.
# shellcheck disable=SC2086
exec cargo lab stress --race "$@" -- $names
