# Ten minutes on a real Windows: does it hold there what was only seen under Wine? From the root of the repository:
#   powershell -ExecutionPolicy Bypass -File examples\confirm\windows.ps1
# Needs Rust. Changes nothing but the folder target. Ends with a table; open an issue with all of it, good or bad.
$ErrorActionPreference = 'Stop'
$results = @()
function Check($what, $passed, $detail) {
    $script:results += [pscustomobject]@{ What = $what; Passed = $(if ($null -eq $passed) { 'look' } elseif ($passed) { 'yes' } else { 'NO' }); Detail = "$detail" }
}
function Job([string[]] $options, [string[]] $command) {
    $file = Join-Path $env:TEMP "hwm-confirm-$PID.json"
    & $hwm run --quiet "--json=$file" @options -- @command | Out-Null
    $script:code = $LASTEXITCODE
    Get-Content $file -Raw | ConvertFrom-Json
}

[Environment]::OSVersion.VersionString
cargo build --release -p hwm -p workload
if ($LASTEXITCODE) { throw 'it does not build' }
cargo test --release -p hwm --test windows
Check 'tests for Windows' ($LASTEXITCODE -eq 0) 'cargo test -p hwm --test windows'
$hwm = Resolve-Path target\release\hwm.exe
$workload = "$(Resolve-Path target\release\workload.exe)"

# A process's marks are kept after its end: Wine keeps none.
$record = Job @() @($workload, 'hold', '200', '1000')
$peak = $record.processes[0].peak
Check 'mark after the end' ($peak.rss.source -eq 'after_end' -and $peak.rss.certainty -eq 'exact') "$($peak.rss.source), $($peak.rss.certainty)"
$base = (Job @() @($workload, 'hold', '0', '400')).processes[0].peak
$off = ($peak.rss.bytes - $base.rss.bytes) / 200MB - 1
Check '200 MiB within 3 %' ([Math]::Abs($off) -lt 0.03) ('{0:P2} off' -f $off)
Check 'commit of a process' ($peak.commit.certainty -eq 'exact' -and [Math]::Abs(($peak.commit.bytes - $base.commit.bytes) / 200MB - 1) -lt 0.03) "$($peak.commit.bytes) bytes"

# The Job Object's own peak: 0 under Wine.
$commit = $record.peak.commit
Check 'peak commit of the job' ($commit.bytes -ge 200MB) "$($commit.bytes) bytes, $($commit.certainty)"
$all = Job @() @('cmd', '/c', $workload, 'generations')
Check 'peak commit of three generations' ($all.peak.commit.bytes -ge 220MB) "$($all.peak.commit.bytes) bytes"
$storm = Job @() @($workload, 'storm', '300', '5', '4', '10')
Check '301 of 301 processes' ($storm.capture.processes_seen -eq 301 -and $storm.capture.processes_seen_is -eq 'exact') "$($storm.capture.processes_seen), $($storm.capture.processes_seen_is)"
$unread = @($storm.processes | Where-Object { $_.peak.rss.certainty -ne 'exact' }).Count
Check 'each with an exact mark' ($unread -eq 0) "$unread without"

# The kernel refuses more than the limit: not enforced under Wine.
$limited = Job @('--max-cgroup=150M') @($workload, 'hold', '300', '2000')
Check 'limit on commit' ($code -eq 10) "exit code $code"

# While it lives, beside Windows' own figures.
$child = Start-Process $workload -ArgumentList 'hold', '200', '20000' -PassThru -WindowStyle Hidden
Start-Sleep 2
$child.Refresh()
$row = (& $hwm ps --all --json | ConvertFrom-Json).processes | Where-Object pid -EQ $child.Id
Check 'working set as Get-Process has it' ([Math]::Abs($row.rss_bytes / $child.WorkingSet64 - 1) -lt 0.02) "$($row.rss_bytes) and $($child.WorkingSet64)"
$child.Kill()

# Each mechanism by itself: what Wine lacks a real Windows has. The console and graphics depend on where this runs.
$examined = & $hwm doctor --json | ConvertFrom-Json
$code = $LASTEXITCODE
$rows = @($examined | ForEach-Object { $_ }).Count
$optional = 'console', 'processes of others', 'dxgi', 'gpu counters', 'nvml', 'gpu devices', 'gpu processes'
$lacking = @($examined | Where-Object { $_.state -eq 'missing' -and $_.mechanism -notin $optional })
Check 'doctor: all mechanisms' ($code -eq 0 -and $rows -ge 20 -and $lacking.Count -eq 0) ("$rows rows, exit code $code; " + ($lacking | ForEach-Object { "$($_.mechanism): $($_.why)" }) -join '; ')

# What was used beside memory: Wine keeps no account of it.
$written = Join-Path $env:TEMP "hwm-confirm-$PID.out"
$record = Job @('--with-cpu', '--with-io') @($workload, 'burn', '500', $written, '30')
Remove-Item $written
$cpu = $record.usage.cpu
Check 'a second of CPU time, in two processes' ([Math]::Abs($cpu.user_seconds + $cpu.system_seconds - 1) -lt 0.3) "$($cpu.user_seconds) + $($cpu.system_seconds), $($cpu.source), $($cpu.certainty)"
$sum = ($record.processes.usage.cpu | ForEach-Object { $_.user_seconds + $_.system_seconds } | Measure-Object -Sum).Sum
Check 'the processes add up to the Job Object' ([Math]::Abs($sum - $cpu.user_seconds - $cpu.system_seconds) -lt 0.02) "$sum"
Check '60 MiB written' ([Math]::Abs($record.usage.io.written_bytes / 60MB - 1) -lt 0.02) "$($record.usage.io.written_bytes), read $($record.usage.io.read_bytes)"
Check 'page faults, the kinds not distinguished' ($record.usage.faults.total -gt 0 -and $null -eq $record.usage.faults.major) "$($record.usage.faults.total)"

# Attaching: what was before is distinguished, and the end is known. A console of its own brings a process a child, conhost.exe.
function Workloads($record) { $record.processes | Where-Object { "$($_.exe)" -like '*\workload.exe' } }
$child = Start-Process $workload -ArgumentList 'shrink', '200', '50' -PassThru -WindowStyle Hidden
Start-Sleep 2
$file = Join-Path $env:TEMP "hwm-confirm-$PID.json"
$attach = Start-Process $hwm -ArgumentList 'attach', $child.Id, '--quiet', "--json=$file" -PassThru -NoNewWindow
Start-Sleep 3
$child.Kill()
$attach.WaitForExit()
$record = Get-Content $file -Raw | ConvertFrom-Json
$process = @(Workloads $record)[0]
Check 'attach: the mark from before' ($process.mark_before_bytes -ge 200MB -and $process.peak.rss.bytes -lt 150MB) "$($process.mark_before_bytes), then $($process.peak.rss.bytes)"
Check 'attach: how it ended' ($null -ne $record.exit.code) "exit code $($record.exit.code)"
$child = Start-Process $workload -ArgumentList 'tree', '20' -PassThru -WindowStyle Hidden
Start-Sleep 2
& $hwm attach $child.Id --quiet "--json=$file" --max-total-rss=40M --on-limit=kill
$code = $LASTEXITCODE
$found = @(Workloads (Get-Content $file -Raw | ConvertFrom-Json)).Count
Check 'attach: five are found, and ended' ($code -eq 10 -and $found -eq 5) "$found found, exit code $code"

# Graphics.
$devices = (& $hwm --json | ConvertFrom-Json).devices
Check 'adapters' ($null) (($devices | ForEach-Object { "$($_.name) [$($_.id)] $($_.total_bytes) $($_.pool) $($_.source)" }) -join '; ')
Check 'addresses by D3DKMT (no luid-...)' (-not ($devices.id -match '^luid-')) ($devices.id -join ', ')
try {
    $counted = (Get-Counter '\GPU Process Memory(*)\Dedicated Usage').CounterSamples |
        Where-Object CookedValue -GT 0 | ForEach-Object { if ($_.InstanceName -match '^pid_(\d+)_') { [int]$Matches[1] } } | Sort-Object -Unique
    $listed = (& $hwm ps --json | ConvertFrom-Json).processes | Where-Object vram_bytes -GT 0 | ForEach-Object pid | Sort-Object -Unique
    $missing = @($counted | Where-Object { $_ -notin $listed })
    Check 'processes as Get-Counter has them' ($missing.Count -le 1) "$($counted.Count) counted, missing here: $missing"
} catch { Check 'processes as Get-Counter has them' ($null) "no such counters: $_" }

$results | Format-Table -AutoSize -Wrap
@'
By hand, in a console window:
  target\release\hwm run -- cmd /c "pause"     Ctrl-C once: cmd ends once, hwm still prints its report
  the same, Ctrl-Break                         the same
  target\release\hwm attach PID of a program in another console    Ctrl-C once: the report comes, and the program goes on
  target\release\hwm run -- cmd /c "start /b ping -t localhost & exit 0"    hwm names ping as still running, and ping goes on
  close the window while a job runs with --json=r.json    r.json is there
'@
if ($results | Where-Object Passed -EQ 'NO') { exit 1 }
