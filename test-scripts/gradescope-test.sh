#!/usr/bin/env bash
# Plays Gradescope with the package that test-scripts/gradescope/package.sh makes: the same tree of folders, and where it can be had (root, cgroups of
# version 1) the same bounds of 768 MB and half a processor. Four submissions: a right one, one that does not build, one for which the time runs out
# after the first results, and one for which it runs out before them.
set -euo pipefail
cd "$(dirname "$0")/.."
lab=${LAB:-raft} runs=${RUNS:-5}
root=$(mktemp -d) memory=/sys/fs/cgroup/memory/gradescope-$$ processor=/sys/fs/cgroup/cpu/gradescope-$$
leave() {
    rmdir "$memory" "$processor" 2>/dev/null || true
    rm -rf "$root"
}
trap leave EXIT

test-scripts/gradescope/package.sh "$lab" "$runs" "$root/autograder.zip"
mkdir -p "$root/source" "$root/submission" "$root/results"
python3 -m zipfile -e "$root/autograder.zip" "$root/source"
export AUTOGRADER=$root
SECONDS=0
SKIP_INSTALL=1 bash "$root/source/setup.sh" >"$root/setup.log" 2>&1 || {
    tail -n 30 "$root/setup.log"
    exit 1
}
echo "the image: $SECONDS s, $(du -sh "$root/source" | cut -f1)"

bound=
if mkdir "$memory" 2>/dev/null && mkdir "$processor" 2>/dev/null; then
    echo $((768 << 20)) >"$memory/memory.limit_in_bytes"
    echo 100000 >"$processor/cpu.cfs_period_us"
    echo 50000 >"$processor/cpu.cfs_quota_us"
    bound=yes
else
    echo "without bounds of memory and processor: they need root and cgroups of version 1"
fi

# What Gradescope does for each submission: it runs `run_autograder` in its root, and reads the results.
submit() {
    local name=$1
    rm -rf "$root/results"
    mkdir "$root/results"
    printf '{"id": 1, "users": [{"email": "a@example.org", "id": 1, "name": "A"}], "previous_submissions": []}\n' >"$root/submission_metadata.json"
    SECONDS=0
    (
        if [ "$bound" ]; then
            for group in "$memory" "$processor"; do
                # The processes of a subshell, whose number `$$` is not.
                echo "$BASHPID" >"$group/cgroup.procs"
            done
        fi
        cd "$root"
        exec bash "$root/source/run_autograder" >"$root/results/stdout" 2>&1
    )
    local peak=
    if [ "$bound" ]; then
        peak=", $(($(cat "$memory/memory.max_usage_in_bytes") >> 20)) MB at most, the system's cache of files included"
        echo 0 >"$memory/memory.max_usage_in_bytes"
    fi
    echo "$name: $SECONDS s$peak"
    [ "$SECONDS" -le 600 ] || { echo "$name: Gradescope would have stopped it"; exit 1; }
}

# Checks what Gradescope reads, and prints `score of points, tests`.
results() {
    python3 - "$root/results/results.json" "$@" <<'EOF'
import json, sys
value = json.load(open(sys.argv[1]))
expected = sys.argv[2]
known = {"score", "execution_time", "output", "output_format", "test_output_format", "test_name_format",
         "visibility", "stdout_visibility", "extra_data", "tests", "leaderboard"}
known_of_test = {"score", "max_score", "status", "name", "name_format", "number", "output", "output_format",
                 "tags", "visibility", "extra_data"}
assert set(value) <= known, set(value) - known
tests = value.get("tests", [])
for test in tests:
    assert set(test) <= known_of_test, set(test) - known_of_test
    assert test["status"] in ("passed", "failed"), test
    assert 0 <= test["score"] <= test["max_score"], test
score = value["score"] if "score" in value else sum(test["score"] for test in tests)
most = sum(test["max_score"] for test in tests)
print(f"  {score:g} of {most:g} points, {len(tests)} tests: {value.get('output', '').splitlines()[:1]}")
if expected == "all":
    assert tests and abs(score - most) < 1e-6 and all(test["status"] == "passed" for test in tests)
elif expected == "nothing":
    assert score == 0 and not any(test["score"] for test in tests)
elif expected == "no result":
    assert not tests and score == 0 and "did not come to an end" in value["output"]
EOF
}

crate=$lab
[ -d "$crate" ] || crate=lectures/$lab
git archive HEAD "$crate/src" | tar -x -C "$root/submission"
file=$root/submission/$crate/src/lib.rs
# The grader knows the reference's own bytes: it would not build them again.
echo '// Another solution than the reference.' >>"$file"
submit "a right solution"
results all

echo 'fn broken() -> u8 { "no number" }' >>"$file"
submit "one that does not build"
results nothing
grep -q "does not build\|mismatched types" "$root/results/results.json"
sed -i '$d' "$file"

# So many runs that they cannot end: the results of the first few stand.
sed -i "s/^RUNS=.*/RUNS=100000/; s/^SECONDS_ALLOWED=.*/SECONDS_ALLOWED=${ALLOWED:-300}/" "$root/source/settings.sh"
submit "the time runs out after the first results"
results all

sed -i "s/^SECONDS_ALLOWED=.*/SECONDS_ALLOWED=11/" "$root/source/settings.sh"
submit "the time runs out before them"
results "no result"
echo "Gradescope's tree: all as it should be"
