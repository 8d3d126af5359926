#!/usr/bin/env bash
# Writes docs/src/screens.md: what a terminal of 80 columns and 24 rows shows of the verbs that are used most. Needs tmux, and takes
# some minutes, most of them for builds.
#
#   test-scripts/screens.sh             the whole page
#   test-scripts/screens.sh --print     to standard output
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
page=$root/docs/src/screens.md
case "${1:-}" in
-h | --help)
    sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
--print) page=/dev/stdout ;;
'') ;;
*)
    echo "screens.sh: no option ${1}; --help tells what there is" >&2
    exit 2
    ;;
esac
command -v tmux >/dev/null || {
    echo "screens.sh: there is no tmux; on Debian, apt-get install tmux" >&2
    exit 2
}

work=$(mktemp -d)
terminal=(tmux -L "screens-$$" -f /dev/null)
cleanup() {
    "${terminal[@]}" kill-server 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# The copy with a fault in it must have a target folder of its own: cargo takes two workspaces with the same packages for one.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target} LC_ALL=C.UTF-8
faulty=$CARGO_TARGET_DIR/screens
unset LAB_SEED LAB_SEEDS LAB_RUNTIME COLUMNS LINES
"${terminal[@]}" start-server \; set -g status off \; set -g default-terminal xterm \; \
    new-session -d -x 80 -y 24 -s s "env PS1='\$ ' bash --norc --noprofile"

keys() { "${terminal[@]}" send-keys -t s "$@"; }
shown() { "${terminal[@]}" capture-pane -p -t s; }

# Waits for the prompt below the command's output, at most 30 minutes.
wait_for_prompt() {
    for _ in $(seq 9000); do
        if [ "$(shown | sed '/^$/d' | tail -n 1)" = '$' ]; then return; fi
        sleep 0.2
    done
    echo "screens.sh: a command does not end" >&2
    exit 1
}

# What is on the screen, without empty rows at its end and without the names of this machine's folders.
block() {
    printf '```text\n'
    shown | sed -e "s|$work/|~/|g; s|$faulty|~/labs/target|g; s|$CARGO_TARGET_DIR|~/labs/target|g; s|$root|~/labs|g" -e 's/[[:space:]]*$//' |
        sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
    printf '```\n'
}

target_of() { if [ "$1" = "$root" ]; then echo "$CARGO_TARGET_DIR"; else echo "$faulty"; fi; }

# Types a command on an empty screen.
type_in() {
    keys "cd '$1' && export CARGO_TARGET_DIR='$(target_of "$1")' && clear" Enter
    wait_for_prompt
    keys "$2" Enter
    sleep 1
}

# The screen when a command has ended.
ended() {
    type_in "$1" "$2"
    wait_for_prompt
    block
}

# What is built beforehand is not part of a screen.
quietly() { (cd "$1" && CARGO_TARGET_DIR=$(target_of "$1") cargo lab "${@:2}" >/dev/null 2>&1) || true; }

# A workspace whose Raft does not persist its vote.
fault() {
    mkdir "$work/labs"
    git -C "$root" archive HEAD | tar -x -C "$work/labs"
    (cd "$work/labs" && patch -s -p1 <bugs/raft/R33-vote-not-persisted.patch)
}

make_page() {
    cat <<'TEXT'
# On the screen

What a terminal of 80 columns and 24 rows shows. `test-scripts/screens.sh` makes this page; times are those of the machine that it ran on.

## `cargo lab`

Without a verb: how far each part is, and what comes next. (The last rows.)

TEXT
    quietly "$root" test raft
    ended "$root" 'cargo lab'
    cat <<'TEXT'

## Test

Each test has a line, as in the course. Where more tests run than the screen has rows, the tests of a part that pass share one; `--each`
keeps them apart.

TEXT
    ended "$root" 'cargo lab test 2A'
    echo
    ended "$root" 'cargo lab test raft'
    cat <<'TEXT'

## A failure

A Raft that does not persist its vote. The rows from below: the score, the end of the report to read first (the rule, the moment, the
servers), the command that shows that run again, and what else failed, by what the failures have in common.

TEXT
    fault
    quietly "$work/labs" test raft
    ended "$work/labs" 'cargo lab test raft --seed 7'
    cat <<'TEXT'

The replay has the whole story, with a column for each server, and ends with the rule that broke.

TEXT
    ended "$work/labs" 'cargo lab replay crash_after_vote_2c --seed 7'
    cat <<'TEXT'

## Stress

A bar for the whole, and one for each test, as many as there are rows. A bar is red from the first failure on.

TEXT
    type_in "$work/labs" "cargo lab stress 2C -n 3000 --first-seed 1 -j 2"
    sleep 8
    block
    keys C-c
    wait_for_prompt
    cat <<'TEXT'

### Ctrl-C

The table so far; the same command goes on later.

TEXT
    type_in "$root" 'cargo lab stress 2A -n 100000 --first-seed 1'
    sleep 8
    keys C-c
    sleep 1
    wait_for_prompt
    block
    rm -rf "$root"/lab-runs/2A-*
    cat <<'TEXT'

When all has run:

TEXT
    ended "$root" 'cargo lab stress 2A -n 50 --first-seed 1'
    cat <<'TEXT'

## Zoo

Which test catches a wrong solution, with which seed, by which rule, and how often.

TEXT
    ended "$root" 'cargo lab zoo raft --bug R33'
    cat <<'TEXT'

## What cannot be done

A sentence, and 2 as exit status.

TEXT
    type_in "$root" 'cargo -q lab test figre_8_2c; cargo -q lab bench nosuch; cargo -q lab replay figure_8 --seed 7; cargo -q lab stress 2A -n 3 --first-seed 18446744073709551614'
    sleep 2
    wait_for_prompt
    block
}

make_page >"$work/page.md"
cat "$work/page.md" >"$page"
