#!/bin/bash
# Confirms on a real Mac what could only be compiled elsewhere: the figures of hwm beside Apple's own. Ten minutes, most of them
# building. Changes nothing outside target/ and a temporary folder. Ends with a table; anything but OK is worth an issue.
set -u
cd "$(dirname "$0")/../.." || exit
[ "$(uname)" = Darwin ] || { echo "this is for macOS" >&2; exit 2; }
python3 -c 'import json' || { echo "python3 is missing, which comes with Xcode's command line tools: xcode-select --install" >&2; exit 2; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
table=$work/table

# note NAME COMMAND...: whether the command succeeds.
note() {
    local name=$1
    shift
    if "$@" >"$work/out" 2>&1; then echo "OK    $name" >>"$table"; else
        echo "WRONG $name" >>"$table"
        sed "s/^/    $name: /" "$work/out" | tail -20
    fi
}

# near NAME MEASURED EXPECTED PERCENT: both are numbers, and near each other.
near() {
    if awk -v a="$2" -v b="$3" -v p="$4" 'BEGIN {
        if (a !~ /^[0-9]+[.]?[0-9]*$/ || b !~ /^[0-9]+[.]?[0-9]*$/) exit 1
        a += 0; b += 0; d = a > b ? a - b : b - a; exit !(b > 0 && d <= b * p / 100)
    }'; then
        echo "OK    $1: $2, Apple says $3" >>"$table"
    else
        echo "WRONG $1: $2, Apple says $3" >>"$table"
    fi
}

# value FILE PATH: a value of a JSON file; null where it says that it is unknown, "missing" where there is none.
value() {
    python3 - "$1" "$2" 2>/dev/null <<'END' || echo missing
import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    value = value[int(key) if isinstance(value, list) else key]
print("null" if value is None else value)
END
}

# times VALUE FACTOR: a number times another, in digits; what is no number stays what it is.
times() { awk -v v="$1" -v f="$2" 'BEGIN { if (v ~ /^[0-9]+[.]?[0-9]*(e-?[0-9]+)?$/) printf "%.3f\n", v * f; else print v }'; }

sw_vers && uname -m && id -un
cargo build --release -p hwm -p workload || exit
hwm=target/release/hwm workload=target/release/workload

note "contract: which figure exists here" cargo test -q -p highwater --all-features --test contract
note "unit tests of the library" cargo test -q -p highwater --all-features --lib
note "hwm --version" $hwm --version
note "hwm doctor" $hwm doctor
$hwm doctor
# Without privilege other users' processes are refused, and a virtual machine may have no GPU. All else must work.
for mechanism in footprint "lifetime maximum" "resident size" "task info" "parent numbers" kqueue "exit status" remains "graphics ledger"; do
    note "doctor: $mechanism" sh -c "$hwm doctor | grep -q '^yes  $mechanism '"
done
if [ "$(id -u)" -eq 0 ]; then note "doctor, as root: processes of others" sh -c "$hwm doctor | grep -q '^yes  processes of others '"; fi

# One process of 200 MiB: the kernel's own mark, beside what time -l prints of the same program.
$hwm run --json="$work/hold.json" -- $workload hold 200 1000
measured=$(value "$work/hold.json" max_total_rss_kib)
/usr/bin/time -l $workload hold 200 1000 2>"$work/time"
theirs=$(awk '/peak memory footprint/ { print int($1 / 1024) }' "$work/time")
near "peak footprint of 200 MiB, KiB" "$measured" "${theirs:-0}" 3
note "it is called phys_footprint" test "$(value "$work/hold.json" primary_metric)" = phys_footprint
note "and never RSS" sh -c "! $hwm run -- $workload hold 20 200 2>&1 | grep -qw RSS"

# A living process, beside Apple's footprint(1) and ps(1).
$workload hold 150 20000 &
holder=$!
sleep 2
$hwm ps --all --json >"$work/ps.json" 2>/dev/null
measured=$(tr ',{' '\n\n' <"$work/ps.json" | awk -F: -v pid=$holder '/"pid"/ { here = $2 + 0 == pid } here && /"rss_bytes"|"memory_bytes"/ { print $2 + 0; exit }')
theirs=$(footprint $holder 2>/dev/null | awk '/phys_footprint:/ { print ($2 + 0) * ($3 == "GB" ? 1073741824 : $3 == "MB" ? 1048576 : 1024); exit }')
near "footprint of a living process, bytes" "${measured:-0}" "${theirs:-0}" 5
kill $holder

# CPU time, page faults and bytes of storage, beside what time -l prints of the same program. A child computes for half
# a second and writes 30 MiB, then its parent does.
$hwm run --with-cpu --with-io --json="$work/burn.json" -- $workload burn 500 "$work/data" 30
/usr/bin/time -l $workload burn 500 "$work/data" 30 2>"$work/time"
theirs=$(awk '/ user/ { for (i = 2; i <= NF; i++) if ($i == "user") print $(i - 1) * 1000 }' "$work/time")
near "user time of both, ms" "$(times "$(value "$work/burn.json" usage.cpu.user_seconds)" 1000)" "${theirs:-0}" 15
near "twice the user time of the parent alone, ms" "$(times "$(value "$work/burn.json" processes.0.usage.cpu.user_seconds)" 2000)" "${theirs:-0}" 20
note "the parent's row is exact" test "$(value "$work/burn.json" processes.0.usage.cpu.certainty)" = exact
theirs=$(awk '/page reclaims/ { print $1 }' "$work/time")
near "page faults without I/O" "$(value "$work/burn.json" usage.faults.minor)" "${theirs:-0}" 10
note "bytes through calls are unknown" test "$(value "$work/burn.json" usage.io.read_bytes)" = null
echo "      of 60 MiB written to files counted to storage: $(value "$work/burn.json" usage.io.storage_written_bytes) bytes" >>"$table"
note "a PSS limit is refused at the start" sh -c "$hwm run --max-total-pss 1G -- true; test \$? -eq 125"

# Attaching: an earlier peak stands apart, the end is known, and what cannot be attached to is refused.
$workload hold 150 6000 7 &
holder=$!
sleep 2
$hwm attach --json="$work/attach.json" $holder
note "attach ends with 0" test $? -eq 0
wait $holder
near "attached: footprint, KiB" "$(value "$work/attach.json" max_total_rss_kib)" $((150 * 1024)) 5
near "attached: its mark before, bytes" "$(value "$work/attach.json" capture.attached.marks_bytes)" $((150 << 20)) 5
note "attached: how it ended" test "$(value "$work/attach.json" exit.code)" = 7
near "attached: for how long it had run, s" "$(times "$(value "$work/attach.json" capture.attached.ran_for_seconds)" 1)" 2.75 45
note "kernel_task is refused" sh -c "! $hwm attach 0"
if [ "$(id -u)" -ne 0 ]; then note "pid 1 is refused, with the remedy" sh -c "$hwm attach 1 2>&1 | grep -q sudo"; fi

# Three generations at once; a child that outlives its parent; short processes; exit codes; a killed tree.
$hwm run --json="$work/generations.json" -- $workload generations
near "three generations at once, KiB" "$(value "$work/generations.json" max_total_rss_kib)" $((220 * 1024)) 8
$hwm run --wait --json="$work/orphan.json" -- $workload orphan 50 1500
note "an exit code is passed through" test $? -eq 3
note "launchd's child stays in the job" test "$(value "$work/orphan.json" capture.processes_seen)" -ge 2
$hwm run --json="$work/storm.json" -- $workload storm 300 5 4 10
echo "      of 300 short processes and their parent seen: $(value "$work/storm.json" capture.processes_seen)" >>"$table"
$hwm run --max-total-rss 100M -- $workload hold 300 5000
note "a limit ends the job with 10" test $? -eq 10
$hwm run -- $workload endless 20 &
job=$!
sleep 1
kill -TERM $job
wait $job
note "TERM is passed on: 143" test $? -eq 143
note "no process is left" sh -c "! pgrep -f '$workload endless'"

# Devices and who holds what on them, beside I/O Kit's own.
$hwm --json >"$work/devices.json" && $hwm
ioreg -r -d 1 -w 0 -c IOAccelerator | grep -o '"In use system memory"=[0-9]*' | head -1
$hwm ps
note "GPU processes" $hwm ps --json

printf '\n'
sort -r "$table"
if [ "$(id -u)" -ne 0 ]; then echo "Now once more with sudo: other users' processes must then be readable (hwm ps --all, hwm doctor)."; fi
! grep -q '^WRONG' "$table"
