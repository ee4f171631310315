#!/bin/sh
# Measures a command three times, compares with a baseline of three runs, and keeps one if there is none. usage:
# check.sh DIR CMD [ARGS...]     DIR holds base-1.json to base-3.json
set -eu
dir=${1:?usage: check.sh DIR CMD [ARGS...]}
shift
mkdir -p "$dir"

# It stops at a run that fails: the command's own failure comes first.
hwm run -q --repeat 3 --json="$dir/new-{n}.json" -- "$@"

if ! [ -e "$dir/base-1.json" ]; then
    for run in 1 2 3; do cp "$dir/new-$run.json" "$dir/base-$run.json"; done
    echo "no baseline yet: these runs are it now"
    exit 0
fi

# 0: no regression; 1: a regression; 2: it could not be compared.
hwm compare "$dir/base-1.json" --base "$dir/base-2.json" --base "$dir/base-3.json" \
    "$dir/new-1.json" "$dir/new-2.json" "$dir/new-3.json" --max-increase 10% --floor 50M
