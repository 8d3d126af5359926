#!/usr/bin/env bash
# Proves that MapReduce runs on several machines: workers in network namespaces that see none of the coordinator's files, one that is killed, one
# that is cut off, some with a wrong token; the launcher for ssh to two of these machines; the launcher for Slurm on two nodes, with a job that is
# killed and goes on. Every output must be that of `mrjob sequential`. Starts sshd, munged, slurmctld and slurmd, in a folder of its own.
#   test-scripts/mrjob-launchers-test.sh [FOLDER]
# Needs root, and Debian's package iproute2; openssh-server for ssh, slurm-wlm and munge for Slurm: what is not there is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts=$PWD/test-scripts
base=${1:-$(mktemp -d)}
mkdir -p "$base"
base=$(cd "$base" && pwd)
if [ -z "${MRJOB:-}" ]; then
    cargo build --quiet --package mrjob
    MRJOB=$PWD/target/debug/mrjob
fi
export MRJOB
unset MRJOB_TOKEN
# The names of the namespaces: two runs of this script do not meet.
net=mrjob-$$
head=10.77.0.1
one=10.77.0.2
two=10.77.0.3
port=7000
host=$(hostname)

# Ends only what was started here.
stop() {
    for pid in "$base"/run/*.pid; do
        [ ! -s "$pid" ] || kill "$(cat "$pid")" 2>/dev/null || true
    done
    for name in switch head one two; do
        ip netns pids "$net-$name" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns delete "$net-$name" 2>/dev/null || true
    done
}
trap stop EXIT
trap 'exit 130' INT TERM

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# The lines of a job's output, sorted: partitions differ from a sequential run's.
lines() {
    cat "$1"/mr-out-* | LC_ALL=C sort
}

same() {
    lines "$1" | cmp - "$base/expected" || fail "$1 has another output"
}

mkdir -p "$base"/{run,head,one,two}
# 6 MB of words, some frequent and some rare.
awk 'BEGIN { for (n = 0; n < 100000; n++) { for (w = 1; w <= 8; w++) { s = ""; k = int(n * w * 7919 % (w * 997)) + w;
    while (k > 0) { s = s sprintf("%c", 97 + k % 26); k = int(k / 26) } printf "word%s ", s } print "" } }' >"$base/head/text"
cd "$base/head"
"$MRJOB" sequential --app wc --out "$base/sequential" text
lines "$base/sequential" >"$base/expected"
job=(--app wc --split 1 --reduces 7 --local-disks --timeout 2000)

echo "== machines: three network namespaces at one switch"
ip netns add "$net-switch"
ip -n "$net-switch" link add bridge type bridge
ip -n "$net-switch" link set bridge up
for name in head one two; do
    ip netns add "$net-$name"
    ip -n "$net-$name" link add wire type veth peer name "$name" netns "$net-switch"
    ip -n "$net-switch" link set "$name" master bridge up
    ip -n "$net-$name" address add "${!name}/24" dev wire
    ip -n "$net-$name" link set wire up
    ip -n "$net-$name" link set lo up
done

# A coordinator on the first machine; `$coordinator` is its process.
coordinate() {
    rm -rf out
    ip netns exec "$net-head" "$MRJOB" coordinator --listen "tcp:$head:$port" --token-file token --out out "$@" text >said 2>complaints &
    coordinator=$!
    for _ in $(seq 100); do
        ! grep -q '^listening at ' said || return 0
        sleep 0.1
    done
    fail "the coordinator does not listen: $(cat complaints)"
}

# A worker on another machine, which does not see the first one's files; `$worker` is its process.
work() {
    local machine=$1
    shift
    ip netns exec "$net-$machine" unshare --mount sh -c '
        cp "$1/head/token" "$1/$2/token"
        mount -t tmpfs none "$1/head"
        cd "$1/$2" && shift 2 && TMPDIR=$PWD exec "$@"' sh "$base" "$machine" \
        "$MRJOB" worker --connect "tcp:$head:$port" --no-shared-disk --token-file token "$@" 2>"$base/$machine/complaints" &
    worker=$!
}

# Waits until this machine has intermediate files.
await_output() {
    for _ in $(seq 600); do
        ! ls "$base/$1"/mrjob-w-*/mr-[0-9]* >/dev/null 2>&1 || return 0
        sleep 0.05
    done
    fail "no map has ended on $1"
}

echo "== workers on two machines that share no disk"
coordinate "${job[@]}"
work one
first=$worker
work two
wait "$coordinator" || fail "$(cat complaints)"
wait "$first" && wait "$worker" || fail "a worker has not ended well"
same out
[ -z "$(ls -d "$base"/{one,two}/mrjob-* out/.mr-* 2>/dev/null)" ] || fail "files are left"

echo "== a worker is killed with its disk"
coordinate "${job[@]}"
work one
victim=$worker
await_output one
kill -9 "$victim"
disown "$victim"
rm -rf "$base"/one/mrjob-w-*
work two
wait "$coordinator" || fail "$(cat complaints)"
wait "$worker" || fail "the other worker has not ended well"
same out

echo "== a machine is cut off"
coordinate "${job[@]}"
work one
victim=$worker
await_output one
ip -n "$net-switch" link set one down
work two
wait "$coordinator" || fail "$(cat complaints)"
wait "$worker" || fail "the other worker has not ended well"
same out
# It finds out that its coordinator is gone, and ends by itself.
status=0
wait "$victim" || status=$?
[ "$status" = 1 ] || fail "the machine that was cut off ended with $status"
ip -n "$net-switch" link set one up

echo "== a wrong token"
coordinate "${job[@]}"
for token in "" 0123456789abcdef0123456789abcdef; do
    status=0
    said=$(cd "$base/one" && MRJOB_TOKEN=$token ip netns exec "$net-one" "$MRJOB" worker --connect "tcp:$head:$port" --no-shared-disk 2>&1) || status=$?
    [ "$status" = 1 ] && [[ $said == *token* ]] || fail "with the token '$token': $status, $said"
done
kill -0 "$coordinator" || fail "the coordinator has ended"
work two
wait "$coordinator" || fail "$(cat complaints)"
wait "$worker" || fail "the worker with the token has not ended well"
same out

echo "== ssh to two machines"
if [ -x /usr/sbin/sshd ]; then
    mkdir -p /run/sshd "$base/ssh"
    for key in host user; do
        [ -e "$base/ssh/$key" ] || ssh-keygen -q -t ed25519 -N "" -f "$base/ssh/$key"
    done
    for name in one two; do
        ip netns exec "$net-$name" /usr/sbin/sshd -f /dev/null -h "$base/ssh/host" -o "ListenAddress=${!name}:22" \
            -o PidFile="$base/run/sshd-$name.pid" -o AuthorizedKeysFile="$base/ssh/user.pub" -o StrictModes=no -o PasswordAuthentication=no
    done
    export SSH="ssh -o BatchMode=yes -i $base/ssh/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    for shared in 0 1; do
        rm -rf out
        MRJOB_SHARED=$shared MRJOB_WORKERS=2 MRJOB_ADDRESS=$head:0 ip netns exec "$net-head" \
            "$scripts/mrjob-ssh.sh" "$one $two" "${job[@]}" --out out text
        same out
    done
    # A machine that cannot be reached is no reason to wait: the others do the work.
    rm -rf out
    MRJOB_ADDRESS=$head:0 ip netns exec "$net-head" "$scripts/mrjob-ssh.sh" "10.77.0.9 $two" "${job[@]}" --out out text
    same out
else
    echo "skipped: apt-get install openssh-server"
fi

echo "== Slurm on two nodes"
if command -v slurmctld >/dev/null && command -v munged >/dev/null; then
    slurm=$base/slurm
    mkdir -p "$slurm"/{log,state,spool-n1,spool-n2}
    mkdir -m 700 -p "$base/munge"
    (umask 077; head -c 1024 /dev/urandom >"$base/munge/munge.key")
    munged --key-file="$base/munge/munge.key" --socket="$base/run/munge.socket" --pid-file="$base/run/munged.pid" \
        --log-file="$base/munge/munged.log" --seed-file="$base/munge/munged.seed" --force
    export SLURM_CONF=$slurm/slurm.conf
    cat >"$SLURM_CONF" <<CONF
ClusterName=mrjob
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$base/run/munge.socket
SlurmctldPort=26917
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool-%n
SlurmctldPidFile=$base/run/slurmctld.pid
SlurmdPidFile=$base/run/slurmd-%n.pid
SlurmctldLogFile=$slurm/log/slurmctld.log
SlurmdLogFile=$slurm/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
KillWait=5
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=26921 CPUs=2 RealMemory=1000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=26922 CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=jobs Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF" -N n1
    slurmd -f "$SLURM_CONF" -N n2
    for _ in $(seq 60); do
        [ "$(sinfo --noheader --format=%T%D 2>/dev/null)" != idle2 ] || break
        sleep 1
    done
    sinfo
    inputs=(text)
    submit() {
        sbatch --parsable --nodes=2 --ntasks=2 --ntasks-per-node=1 --output="$slurm/log/job.txt" "$scripts/mrjob-slurm.sh" "${job[@]}" --out out "$@" "${inputs[@]}"
    }
    finished() {
        while [ -n "$(squeue --noheader)" ]; do sleep 0.5; done
        scontrol show job "$1" | grep -q 'JobState=COMPLETED ' || fail "$(scontrol show job "$1"; cat "$slurm/log/job.txt")"
        same out
    }
    for shared in 1 0; do
        rm -rf out
        finished "$(MRJOB_SHARED=$shared submit)"
    done
    echo "== a Slurm job that is killed goes on"
    rm -rf out
    # Ten times the text, so that the job is not over before the signal arrives.
    inputs=(text text text text text text text text text text)
    "$MRJOB" sequential --app wc --out "$base/sequential" "${inputs[@]}"
    lines "$base/sequential" >"$base/expected"
    submit >/dev/null
    # The nodes may still be busy with the end of the job before.
    for _ in $(seq 2400); do
        [ ! -s "$(echo out/.mr-job-*/log)" ] || break
        sleep 0.05
    done
    [ -s "$(echo out/.mr-job-*/log)" ] || fail "the job has not begun"
    # Slurm would send SIGTERM first, at which the coordinator clears up. Its lock says which process it is.
    kill -9 "$(cat out/.mr-job-*/lock)"
    while [ -n "$(squeue --noheader)" ]; do sleep 0.5; done
    ls -d out/.mr-job-* >/dev/null || fail "the job was over before it was killed"
    finished "$(submit --resume)"
    [ -z "$(ls -d out/.mr-* 2>/dev/null)" ] || fail "files are left"
else
    echo "skipped: apt-get install slurm-wlm munge"
fi

echo "every output is that of a sequential run"
