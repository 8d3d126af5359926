#!/usr/bin/env bash
# Tries the action for GitHub as far as it can be tried without GitHub: the step of action.yml in a repository of a student's, which holds the
# reference, and then one that is not begun.
#   test-scripts/classroom/test.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
base=${1:-$(mktemp -d)}
mkdir -p "$base"
base=$(cd "$base" && pwd)
# The commands behind the last `run: |`, without their indentation.
sed -n '/^ *run: |$/,$p' test-scripts/classroom/action.yml | sed '1d; s/^        //' >"$base/step.sh"
grep -q 'cargo lab grade' "$base/step.sh"

# Grades the repository as the action does, and says points, status and number of tests.
action() {
    local output=$base/output
    : >"$output"
    (
        export GITHUB_WORKSPACE=$base/repository GITHUB_OUTPUT=$output LAB=raft LABS=.labs RUNS=2
        cd "$GITHUB_WORKSPACE"
        bash --noprofile --norc -eo pipefail "$base/step.sh" >"$base/log" 2>&1 || { cat "$base/log" >&2; exit 1; }
    )
    python3 - "$output" "$base/repository/result.json" <<'EOF'
import base64, json, sys
line, = open(sys.argv[1]).read().splitlines()
text = base64.b64decode(line.removeprefix("result="), validate=True)
result = json.loads(text)
assert json.load(open(sys.argv[2])) == result
assert result["version"] == 1 and result["status"] in ("pass", "fail", "error")
for test in result["tests"]:
    assert test["status"] in ("pass", "fail") and 0 <= test["score"] <= test["max_score"]
points = "all" if result["score"] == result["max_score"] > 0 else "no" if result["score"] == 0 else "some"
print(f"{result['status']}, {points} points, {len(result['tests'])} tests: {result['message'][:80]!r}")
EOF
}

expect() {
    local words
    words=$(action)
    echo "$words"
    case $words in $1) ;; *) echo "expected $1" >&2; exit 1 ;; esac
}

mkdir -p "$base/repository/target"
ln -sfn "$PWD" "$base/repository/.labs"
cp -r raft "$base/repository/raft"
echo junk >"$base/repository/target/junk.rs"
expect "pass, all points, *"
rm "$base/repository/raft/src/lib.rs"
expect "fail, no points, *missing*"
echo "the step works"
