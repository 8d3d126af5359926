#!/usr/bin/env bash
# Carries out a batch of `cargo lab grade plan` as a Slurm job array, and merges it in a job behind it.
#   test-scripts/grade-slurm.sh OUT [OPTIONS OF SBATCH...]
# The nodes have this workspace and OUT in the same folders, and the same compiler. Give each shard 10 s of work or more:
# an array task costs about a second. Submitted again, it carries out only what is missing.
set -euo pipefail
if [ $# -lt 1 ] || [ "$1" = --help ]; then
    sed -n '2,5s/^# \?//p' "$0"
    exit 2
fi
out=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
grade=${GRADE:-$PWD/target/debug/lab-grade}
[ -x "$grade" ] || cargo lab grade --help >/dev/null
last=$(($(wc -l <"$out/shards.jsonl") - 1))
mkdir -p "$out/log"
array=$(sbatch --parsable --array="0-$last" --cpus-per-task=1 --job-name=grade --output="$out/log/%a.txt" "$@" \
    --wrap "exec '$grade' run-shard \$SLURM_ARRAY_TASK_ID --jobs 1 --out '$out'")
merge=$(sbatch --parsable --dependency="afterany:$array" --job-name=grade-merge --output="$out/log/merge.txt" "$@" \
    --wrap "exec '$grade' merge --out '$out'")
echo "array $array, merge $merge; the result will be in $out/log/merge.txt"
