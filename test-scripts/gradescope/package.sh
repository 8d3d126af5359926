#!/usr/bin/env bash
# Makes the package for Gradescope: setup.sh, run_autograder, this workspace without its history, and the secret of the seeds.
#   test-scripts/gradescope/package.sh LAB RUNS autograder.zip
# Upload it as the assignment's autograder. With 0.5 processors and 768 MB, as Gradescope gives unless told otherwise, 10 minutes are enough for
# the runs that it says at its end.
set -euo pipefail
if [ $# -ne 3 ]; then
    sed -n '2,5s/^# \?//p' "$0"
    exit 2
fi
lab=$1 runs=$2 package=$(realpath -m "$3")
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/labs"
git -C "$here/../.." archive HEAD | tar -x -C "$folder/labs"
cp "$here/setup.sh" "$here/run_autograder" "$here/sandbox.sh" "$folder"
chmod +x "$folder/setup.sh" "$folder/run_autograder"
head -c 24 /dev/urandom | base64 >"$folder/seeds.txt"
cat >"$folder/settings.sh" <<EOF
LAB=$lab
RUNS=$runs
# The first results are of so many runs.
FEW=2
# Gradescope's own limit is 10 minutes, and one that is reached gives 0.
SECONDS_ALLOWED=560
EOF
rm -f "$package"
(cd "$folder" && python3 -m zipfile -c "$package" ./*)
echo "$package: $(du -h "$package" | cut -f1)"
