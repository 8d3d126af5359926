#!/usr/bin/env bash
# Proves the launchers: a batch that Slurm carries out, with a shard that fails and one that is killed, and a batch that GNU parallel carries
# out, also over ssh, come to the same bytes as one on this machine alone. Starts munged, slurmctld, slurmd and sshd on loopback, in a folder of its own.
#   test-scripts/grade-launchers-test.sh [FOLDER]
# Needs root, and Debian's packages slurm-wlm, munge, parallel, bubblewrap; openssh-server for ssh.
set -euo pipefail
cd "$(dirname "$0")/.."
base=${1:-$(mktemp -d)}
mkdir -p "$base"
base=$(cd "$base" && pwd)
real=$PWD/target/debug/lab-grade
cargo lab grade --help >/dev/null
host=$(hostname)

stop() {
    for daemon in sshd slurmd slurmctld munged; do
        [ ! -s "$base/run/$daemon.pid" ] || kill "$(cat "$base/run/$daemon.pid")" 2>/dev/null || true
    done
}
trap stop EXIT

mkdir -p "$base"/{run,log,state,spool}
mkdir -m 700 -p "$base/munge"
(umask 077; head -c 1024 /dev/urandom >"$base/munge/munge.key")
munged --key-file="$base/munge/munge.key" --socket="$base/run/munge.socket" --pid-file="$base/run/munged.pid" \
    --log-file="$base/munge/munged.log" --seed-file="$base/munge/munged.seed" --force
export SLURM_CONF=$base/slurm.conf
cat >"$SLURM_CONF" <<EOF
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$base/run/munge.socket
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation=$base/state
SlurmdSpoolDir=$base/spool
SlurmctldPidFile=$base/run/slurmctld.pid
SlurmdPidFile=$base/run/slurmd.pid
SlurmctldLogFile=$base/log/slurmctld.log
SlurmdLogFile=$base/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=1000 State=UNKNOWN
PartitionName=grade Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF" -N "$host"
for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%T 2>/dev/null)" != idle ] || break
    sleep 1
done
sinfo

# One student who hands in a link, and one an empty archive: what counts here is who carries out the shards.
mkdir -p "$base/in/alice/raft/src"
ln -sf /etc/passwd "$base/in/alice/raft/src/lib.rs"
: >"$base/in/bob.zip"
echo "a secret of this test" >"$base/seeds.txt"
plan() {
    "$real" plan --lab raft --in "$base/in" --runs "${RUNS:-4}" --seeds-per-shard "${RUNS:-4}" --secret "$base/seeds.txt" --out "$1"
}

echo "== here alone"
plan "$base/local"
"$real" run-shard $(seq 0 $(($(wc -l <"$base/local/shards.jsonl") - 1))) --out "$base/local"
"$real" merge --out "$base/local"

echo "== Slurm; shard 1 fails and shard 2 is killed, the first time"
plan "$base/slurm"
cat >"$base/grade" <<EOF
#!/bin/sh
if [ "\$1" = run-shard ] && [ ! -e "$base/tried-\$2" ]; then
    : >"$base/tried-\$2"
    case \$2 in
        1) exit 3 ;;
        2) kill -9 \$\$ ;;
    esac
fi
exec "$real" "\$@"
EOF
chmod +x "$base/grade"
submit() {
    GRADE=$base/grade test-scripts/grade-slurm.sh "$base/slurm"
    while [ -n "$(squeue --noheader)" ]; do sleep 1; done
    cat "$base/slurm/log/merge.txt"
}
submit
grep -q "missing: 2 shards (1 2)" "$base/slurm/log/merge.txt"
submit
cmp "$base/local/results.json" "$base/slurm/results.json"

echo "== GNU parallel"
plan "$base/parallel"
rm -f "$base"/tried-*
GRADE=$base/grade test-scripts/grade-parallel.sh "$base/parallel" || true
GRADE=$base/grade test-scripts/grade-parallel.sh "$base/parallel"
cmp "$base/local/results.json" "$base/parallel/results.json"

echo "== GNU parallel over ssh"
if [ -x /usr/sbin/sshd ]; then
    mkdir -p /run/sshd "$base/ssh"
    for key in host user; do
        [ -e "$base/ssh/$key" ] || ssh-keygen -q -t ed25519 -N "" -f "$base/ssh/$key"
    done
    /usr/sbin/sshd -f /dev/null -h "$base/ssh/host" -o ListenAddress=127.0.0.1:26822 -o PidFile="$base/run/sshd.pid" \
        -o AuthorizedKeysFile="$base/ssh/user.pub" -o StrictModes=no -o PasswordAuthentication=no
    plan "$base/over-ssh"
    export PARALLEL_SSH="ssh -p 26822 -i $base/ssh/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    # The folder is named from elsewhere, and the login has an environment of its own.
    (cd "$base" && GRADE=$real "$OLDPWD/test-scripts/grade-parallel.sh" over-ssh 2/127.0.0.1)
    cmp "$base/local/results.json" "$base/over-ssh/results.json"
else
    echo "skipped: apt-get install openssh-server"
fi

echo "== the Kubernetes manifest"
if command -v kubernetes-validate >/dev/null; then
    kubernetes-validate --strict test-scripts/grade-kubernetes.yaml
else
    echo "skipped: pip install kubernetes-validate"
fi

echo "all of them come to the same bytes"
