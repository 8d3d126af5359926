#!/bin/sh
#SBATCH --job-name=mrjob
#SBATCH --ntasks=8
#SBATCH --cpus-per-task=1
# Runs a MapReduce job in a Slurm allocation: the coordinator on its first node, a worker for each task.
set -eu

usage() {
    cat <<'USAGE'
usage: sbatch [OPTIONS OF sbatch] mrjob-slurm.sh [OPTIONS OF mrjob coordinator] FILES...

Example:
  sbatch --ntasks=16 --time=30 mrjob-slurm.sh --app wc --local-disks --out out --report job.html books/*.txt

The nodes share the directory of the job, as they mostly do in a cluster; with MRJOB_SHARED=0 workers read the input and write
the output through the coordinator. Intermediate files are on the nodes' own disks with --local-disks, below TMPDIR.
A job that ran out of time goes on with the same command and --resume.

  MRJOB         the program                                   [mrjob]
  MRJOB_PORT    where the coordinator listens on its node     [any free port]

Exit status: that of the coordinator, or 2 if it could not run.
USAGE
}

case "${1:-}" in
-h | --help)
    usage
    exit 0
    ;;
esac
if [ $# -lt 2 ] || [ -z "${SLURM_JOB_ID:-}" ]; then
    usage >&2
    exit 2
fi

program=${MRJOB:-mrjob}
out=.
previous=
for argument; do
    case "$argument" in
    --out=*) out=${argument#--out=} ;;
    esac
    [ "$previous" = --out ] && out=$argument
    previous=$argument
done
mkdir -p "$out"

folder=$(mktemp -d)
coordinator=
workers=
cleanup() {
    [ -z "$workers" ] || kill "$workers" 2>/dev/null || true
    [ -z "$coordinator" ] || kill "$coordinator" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

"$program" coordinator --listen "tcp:$(hostname):${MRJOB_PORT:-0}" --token-file "$folder/token" "$@" >"$folder/said" &
coordinator=$!
while ! grep -q '^listening at ' "$folder/said"; do
    if ! kill -0 "$coordinator" 2>/dev/null; then
        wait "$coordinator" || exit $?
        exit 2
    fi
    sleep 0.1
done
address=$(sed -n 's/^listening at //p' "$folder/said")
# Slurm passes the environment on to the tasks, and not by their command lines.
MRJOB_TOKEN=$(cat "$folder/token")
export MRJOB_TOKEN
if [ "${MRJOB_SHARED:-1}" = 0 ]; then
    srun --kill-on-bad-exit=0 "$program" worker --connect "$address" --no-shared-disk >&2 &
else
    srun --kill-on-bad-exit=0 "$program" worker --connect "$address" --out "$out" >&2 &
fi
workers=$!

status=0
wait "$coordinator" || status=$?
coordinator=
wait "$workers" || true
workers=
sed '/^listening at /d' "$folder/said"
exit "$status"
