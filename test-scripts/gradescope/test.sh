#!/usr/bin/env bash
# Tries the package for Gradescope in a folder tree like the one that it meets there: /autograder with source, submission and results.
#   test-scripts/gradescope/test.sh [FOLDER]
# Grades the reference, a solution that is not begun, one that is hostile, nothing at all, and the reference with too little time. Says how long
# each took and how much memory; more than 768 MB or 10 minutes is a failure. Variables: LAB, RUNS.
set -euo pipefail
cd "$(dirname "$0")"
base=${1:-$(mktemp -d)}
mkdir -p "$base"
base=$(cd "$base" && pwd)
lab=${LAB:-raft} runs=${RUNS:-4}
export AUTOGRADER=$base/autograder SKIP_INSTALL=1
# A container has no variables of a user's.
unset LAB RUNS CARGO_TARGET_DIR || true

./package.sh "$lab" "$runs" "$base/autograder.zip"
mkdir -p "$AUTOGRADER"/{source,submission,results}
(cd "$AUTOGRADER/source" && python3 -m zipfile -e "$base/autograder.zip" .)
# As Gradescope does with these two; zip archives made by Python have no permissions.
chmod +x "$AUTOGRADER"/source/{setup.sh,run_autograder}
cp "$AUTOGRADER/source/run_autograder" "$AUTOGRADER/run_autograder"
# For tries on a machine that has built it before.
[ -z "${SEED_TARGET:-}" ] || cp -a "$SEED_TARGET" "$AUTOGRADER/source/labs/target"
echo "== setup.sh"
SECONDS=0
"$AUTOGRADER/source/setup.sh"
echo "setup.sh took $SECONDS s"

# Runs the autograder, and says how long that took and the most memory that its processes held together.
autograder() {
    rm -f "$AUTOGRADER"/results/*
    python3 - "$AUTOGRADER/run_autograder" <<'EOF'
import os, subprocess, sys, time
begun, most = time.time(), 0
process = subprocess.Popen([sys.argv[1]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
def resident(number):
    try:
        pages = int(open(f"/proc/{number}/statm").read().split()[1])
        children = open(f"/proc/{number}/task/{number}/children").read().split()
    except OSError:
        return 0
    return pages * 4096 + sum(map(resident, children))
while process.poll() is None:
    most = max(most, resident(process.pid))
    time.sleep(0.02)
took, megabytes = time.time() - begun, most / 1e6
print(f"{took:.0f} s, {megabytes:.0f} MB")
sys.exit(process.returncode or (1 if took > 600 or megabytes > 768 else 0))
EOF
}

# What the result says, as Gradescope reads it.
result() {
    python3 - "$AUTOGRADER/results/results.json" <<'EOF'
import json, sys
result = json.load(open(sys.argv[1]))
tests = result.get("tests", [])
assert isinstance(result["score"], (int, float)) and isinstance(result["output"], str)
for test in tests:
    assert 0 <= test["score"] <= test["max_score"] and test["status"] in ("passed", "failed") and test["name"], test
most = sum(test["max_score"] for test in tests)
points = "all" if tests and result["score"] == most else "no" if result["score"] == 0 else "some"
print(f"{points} points: {result['output'][:100]!r}")
EOF
}

expect() {
    local words
    words=$(result)
    echo "$words"
    case $words in $1) ;; *) echo "expected $1" >&2; exit 1 ;; esac
}

labs=$AUTOGRADER/source/labs
echo "== the reference"
cp -r "$labs/$lab" "$AUTOGRADER/submission/$lab"
autograder
expect "all points: 'correct*"

echo "== the reference, and no time for more than the first results"
sed -i 's/^SECONDS_ALLOWED=.*/SECONDS_ALLOWED=0/' "$AUTOGRADER/source/settings.sh"
autograder
expect "no points: 'The grader did not come to an end*"
first=${FIRST_SECONDS:-120}
sed -i "s/^SECONDS_ALLOWED=.*/SECONDS_ALLOWED=$first/; s/^RUNS=.*/RUNS=4000/" "$AUTOGRADER/source/settings.sh"
autograder
expect "all points: 'correct*"
sed -i "s/^SECONDS_ALLOWED=.*/SECONDS_ALLOWED=560/; s/^RUNS=.*/RUNS=$runs/" "$AUTOGRADER/source/settings.sh"

echo "== a solution that ends the process"
sed -i 's/let inspector = Inspector::new(&mut state);/&\nstd::process::exit(0);/' "$AUTOGRADER/submission/$lab/src/server.rs"
autograder
expect "no points: *process*"

echo "== nothing"
rm -rf "$AUTOGRADER/submission"/*
autograder
expect "no points: *empty*"
echo "the package works in $AUTOGRADER"
