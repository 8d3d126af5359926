#!/usr/bin/env bash
# Carries out a batch of `cargo lab grade plan` with GNU parallel, on this machine or over ssh, and merges it.
#   test-scripts/grade-parallel.sh OUT [HOST...]
# Hosts have this workspace and OUT in the same folders (a shared file system), and the same compiler. A host may be
# written as parallel's --sshlogin has it: 4/user@host for four shards at once. Run again, it goes on with what failed.
set -euo pipefail
if [ $# -lt 1 ] || [ "$1" = --help ]; then
    sed -n '2,5s/^# \?//p' "$0"
    exit 2
fi
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
grade=${GRADE:-target/debug/lab-grade}
[ -x "$grade" ] || cargo lab grade --help >/dev/null
shards=$(wc -l <"$out/shards.jsonl")
# A shard uses one processor, so that parallel alone decides how many are at work.
where=(--jobs "${JOBS:-$(nproc)}")
if [ $# -gt 0 ]; then
    hosts=$(IFS=,; echo "$*")
    # A login without a terminal may not find the compiler.
    where=(--sshlogin "$hosts" --workdir "$PWD" --env PATH)
fi
seq 0 $((shards - 1)) |
    parallel "${where[@]}" --joblog "$out/parallel.log" --resume-failed "$grade" run-shard {} --jobs 1 --out "$out" ||
    echo "some shards failed; the merge names them" >&2
exec "$grade" merge --out "$out"
