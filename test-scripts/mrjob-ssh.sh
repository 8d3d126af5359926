#!/bin/sh
# Runs a MapReduce job on several machines: the coordinator here, workers by ssh.
set -eu

usage() {
    cat <<'USAGE'
usage: mrjob-ssh.sh "HOST..." [OPTIONS OF mrjob coordinator] FILES...

Starts the coordinator of a job on this machine, and on each HOST as many workers as MRJOB_WORKERS says; name a host twice
for twice as many. Waits for the job, and leaves its output in this directory or where --out says.

Example:
  mrjob-ssh.sh "node1 node2 node3" --app wc --local-disks --report job.html books/*.txt

The machines need no shared disk: workers read the input and write the output through the coordinator. Each must have the
program mrjob, and reach this machine and each other by TCP.

  MRJOB          the program here and on the other machines   [mrjob]
  MRJOB_ADDRESS  where the others find this machine           [its name, and any free port]: HOST:PORT
  MRJOB_WORKERS  workers on each HOST                         [1]
  MRJOB_SHARED   1: all machines see this directory under the same name, so that workers read and write files themselves
  SSH            how to reach a HOST                          [ssh -o BatchMode=yes]

Exit status: that of the coordinator, or 2 if it could not run.
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

hosts=$1
shift
program=${MRJOB:-mrjob}
address=${MRJOB_ADDRESS:-$(hostname):0}
out=.
previous=
for argument; do
    case "$argument" in
    --out=*) out=${argument#--out=} ;;
    esac
    [ "$previous" = --out ] && out=$argument
    previous=$argument
done

folder=$(mktemp -d)
coordinator=
workers=
cleanup() {
    [ -z "$coordinator" ] || kill "$coordinator" 2>/dev/null || true
    # Workers that came too late for the job still look for its coordinator, and end by themselves.
    # shellcheck disable=SC2086
    [ -z "$workers" ] || kill $workers 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

"$program" coordinator --listen "tcp:$address" --token-file "$folder/token" "$@" >"$folder/said" &
coordinator=$!
while ! grep -q '^listening at ' "$folder/said"; do
    if ! kill -0 "$coordinator" 2>/dev/null; then
        wait "$coordinator" || exit $?
        exit 2
    fi
    sleep 0.1
done
# The port that the coordinator has got, under the name by which the others know this machine.
port=$(sed -n 's/^listening at .*:\([0-9]*\)$/\1/p' "$folder/said")
options="--connect tcp:${address%:*}:$port --no-shared-disk"
if [ "${MRJOB_SHARED:-}" = 1 ]; then
    mkdir -p "$out"
    here=$(cd "$out" && pwd)
    options="--connect tcp:${address%:*}:$port --out '$here'"
fi

for host in $hosts; do
    worker=0
    while [ "$worker" -lt "${MRJOB_WORKERS:-1}" ]; do
        # The token goes by standard input, since everybody on that machine can read a command line.
        # shellcheck disable=SC2086
        ${SSH:-ssh -o BatchMode=yes} "$host" \
            "cd '$(pwd)' 2>/dev/null; read -r MRJOB_TOKEN; export MRJOB_TOKEN; exec $program worker $options" \
            <"$folder/token" >&2 &
        workers="$workers $!"
        worker=$((worker + 1))
    done
done

status=0
wait "$coordinator" || status=$?
coordinator=
sed '/^listening at /d' "$folder/said"
exit "$status"
