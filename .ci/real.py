#!/usr/bin/env python3
"""Holds hwm's peak memory against the page tables of real programs: `real.py HWM WORK PROGRAM...`.

Each program of .ci/real.d runs under hwm, as root (hwm makes a group for the job) and as an ordinary user (it cannot).
At some moments the freezer stops the whole job. While it stands still, the physical pages that its processes map are
counted, each once (/proc/PID/pagemap), and held against hwm's timeline of the same moment. hwm runs on meanwhile.

Needs root and the freezer of cgroup v1: the members of its group are known without hwm.
"""

import array
import csv
import ctypes
import json
import mmap
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field

FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")
USER = int(os.environ["ORDINARY_USER"])
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
MOMENTS = 10
FEWEST_MOMENTS = 5
# Seconds that the job runs between two moments, and stands still in each at least.
BETWEEN = 2.0
STANDSTILL = 0.8
# Time that hwm has to see a plateau, and time that the timeline may take to show it.
PLATEAU = 0.5
PATIENCE = 10.0
DEADLINE = 400.0
TOLERANCES = {"root": 0.03, "user": 0.10}
GROUP_SLACK = MIB // 2 * os.cpu_count()
# Programs that are expected to be further off: the tolerance, and the reason.
WEAK = {
    ("cargo", "root"): (0.08, "members of one program, the compiler, map different files"),
    ("cargo", "user"): (0.25, "the same, and programs that start and end void passes over PSS"),
    ("postgres", "user"): (0.15, "between two passes it is not known which pages of shared memory processes touch"),
}
SOURCES = {"root": {"cgroup"}, "user": {"pss", "rss"}}

# Bits of an entry (Documentation/admin-guide/mm/pagemap.rst).
PRESENT, OF_FILE, FRAME = 1 << 63, 1 << 61, (1 << 55) - 1
SHARED_MEMORY = re.compile(r"/dev/shm/|/memfd:|/SYSV|/dev/zero")
MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ (\S+) (\d+) *(.*)")


def fail(text):
    sys.exit(f"*** FAILED: {text}")


@dataclass
class Witness:
    """What the processes of a job map, each page once, in bytes."""

    anon: int
    shmem: int
    file: int
    # The same if members that map a file map the same part of it: for each file, that of the member that maps most.
    file_by_largest: int
    # Shared memory that a process maps and none has in its page table: it was touched by one that has ended.
    shmem_unmapped: int
    # Resident pages by smaps, beyond those that were found in the page tables: the frames of devices and of zeroes.
    unseen: int
    processes: int

    def total(self, place):
        """Without a group nothing shows shared memory that no process has in its page table."""
        return self.anon + self.shmem + self.file + (self.shmem_unmapped if place == "root" else 0)

    def least(self, place):
        """The same with files as hwm defines its best estimate: it cannot tell pages of a file apart."""
        return self.total(place) - self.file + self.file_by_largest


@dataclass
class Moment:
    begin: float
    end: float
    witness: Witness
    group: str


@dataclass
class Run:
    program: str
    place: str
    wrong: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    peak: dict = None


class Freezer:
    """A group that all processes of a job belong to, beside the groups that hwm makes."""

    def __init__(self, name, owner):
        self.path = FREEZER / name
        self.path.mkdir()
        # The job's first process enters by itself.
        for entry in "cgroup.procs", "tasks":
            os.chown(self.path / entry, owner, owner)

    def pids(self):
        return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]

    def freeze(self):
        self._set("FROZEN")

    def thaw(self):
        self._set("THAWED")

    def _set(self, state):
        until = time.monotonic() + PATIENCE
        while (now := (self.path / "freezer.state").read_text().strip()) != state:
            if time.monotonic() > until:
                fail(f"the job is {now}, not {state}")
            (self.path / "freezer.state").write_text(state)
            time.sleep(0.002)

    def end(self):
        """Ends what the job has left, and removes the group."""
        self.thaw()
        until = time.monotonic() + PATIENCE
        while pids := self.pids():
            if time.monotonic() > until:
                fail(f"processes {pids} do not end")
            for pid in pids:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
        self.path.rmdir()


def mappings(pid):
    """Yields the resident mappings of a process: addresses, file, path and resident bytes."""
    mapping = None
    with open(f"/proc/{pid}/smaps", errors="replace") as smaps:
        for line in smaps:
            if found := MAPPING.match(line):
                start, end, device, inode, path = found.groups()
                mapping = int(start, 16), int(end, 16), (device, int(inode)), path
            elif line.startswith("Rss:") and (resident := int(line.split()[1]) * 1024):
                yield *mapping, resident


def count_pages(pids):
    anon, shmem, file, held, largest = set(), set(), set(), {}, {}
    unseen = 0
    for pid in pids:
        by_file = defaultdict(int)
        # A process that has ended and was not waited for maps nothing.
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
            for start, end, inode, path, resident in mappings(pid):
                is_shared_memory = SHARED_MEMORY.match(path)
                pagemap.seek(start // PAGE * 8)
                entries = array.array("Q", pagemap.read((end - start) // PAGE * 8))
                own = [entry & FRAME for entry in entries if entry & (PRESENT | OF_FILE) == PRESENT]
                of_file = [entry & FRAME for entry in entries if entry & (PRESENT | OF_FILE) == PRESENT | OF_FILE]
                anon.update(own)
                (shmem if is_shared_memory else file).update(of_file)
                if not is_shared_memory:
                    by_file[inode] += len(of_file) * PAGE
                unseen += resident - (len(own) + len(of_file)) * PAGE
                if is_shared_memory:
                    held[inode] = os.stat(f"/proc/{pid}/map_files/{start:x}-{end:x}").st_blocks * 512
        for inode, mapped in by_file.items():
            largest[inode] = max(mapped, largest.get(inode, 0))
    anon.discard(ZERO_FRAME)
    shmem_bytes = len(shmem) * PAGE
    return Witness(
        len(anon) * PAGE, shmem_bytes, len(file) * PAGE, sum(largest.values()),
        max(sum(held.values()) - shmem_bytes, 0), unseen, len(pids),
    )


def zero_frame():
    """The frame of the kernel's page of zeroes, which stands for pages that were read and never written."""
    with mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page[0]
        address = ctypes.addressof(view := ctypes.c_char.from_buffer(page))
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            pagemap.seek(address // PAGE * 8)
            (entry,) = array.array("Q", pagemap.read(8))
        del view
    return entry & FRAME


ZERO_FRAME = zero_frame()


def group_figures(pid):
    """What the kernel says of the job's group, to explain a difference."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(",") and path != "/":
            stat = pathlib.Path(f"/sys/fs/cgroup/memory{path}/memory.stat").read_text()
            figures = dict(line.split() for line in stat.splitlines())
            return " ".join(f"{key[6:]} {int(figures[key]) / MIB:.1f}" for key in ("total_rss", "total_shmem"))
    return ""


class Timeline:
    """hwm's timeline, which grows while the job runs."""

    def __init__(self, path):
        self.path = path

    def rows(self):
        """Times in seconds of the job, and memory in bytes."""
        if not self.path.exists():
            return []
        # The last line may be half a line.
        whole = self.path.read_text().rpartition("\n")[0].splitlines()
        rows = csv.DictReader(whole)
        return [(float(row["elapsed_seconds"]), int(row["memory_kib"]) * 1024) for row in rows if row["memory_kib"]]

    def between(self, begin, end):
        return [row for row in self.rows() if begin <= row[0] <= end]


def start_time(pid):
    """When a process started, by the clock that begins at boot."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(stat[19]) / os.sysconf("SC_CLK_TCK")


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def measure(hwm, work, program, place):
    run = Run(program, place)
    script = pathlib.Path(__file__).resolve().parent / "real.d" / program
    home = work / f"{program}-{place}"
    home.mkdir(mode=0o755)
    owner = 0 if place == "root" else USER
    # PostgreSQL never runs as root.
    os.chown(home, *([USER] * 2 if program == "postgres" else [owner] * 2))
    as_user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"] if place == "user" else []
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    subprocess.run([*as_user, script, "prepare", home], env=environment, check=True)
    freezer = Freezer(f"hwm-real-{os.getpid()}", owner)
    enter = f'echo $$ >"{freezer.path}/cgroup.procs" && exec "$@"'
    out = home if place == "user" else work
    record, timeline = out / "record.json", Timeline(out / "timeline.csv")
    for old in record, timeline.path:
        old.unlink(missing_ok=True)
    with open(work / f"{program}-{place}.log", "wb") as log:
        job = subprocess.Popen(
            [*as_user, hwm, "run", "-q", f"--json={record}", "--timeline", timeline.path, "--",
             "sh", "-c", enter, "sh", script, "run", home],
            env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        try:
            moments = list(stops(job, freezer, timeline))
            status = job.wait(timeout=DEADLINE)
        finally:
            freezer.end()
            job.kill()
            job.wait()
    if status != 0:
        print(pathlib.Path(log.name).read_text(errors="replace")[-3000:], file=sys.stderr)
        fail(f"{program} as {place} ended with {status}")
    run.peak = json.loads(record.read_text())["peak"]["memory"]
    judge(run, moments, timeline)
    shutil.rmtree(home)
    return run


def stops(job, freezer, timeline):
    """Stops the job at each moment, and yields what it held."""
    epoch, until = None, time.monotonic() + DEADLINE
    for _ in range(MOMENTS):
        resume = time.monotonic() + BETWEEN
        while time.monotonic() < resume or epoch is None:
            if epoch is None and (pids := freezer.pids()):
                epoch = start_time(pids[0])
            if job.poll() is not None:
                return
            if time.monotonic() > until:
                fail("the job does not end")
            time.sleep(0.02)
        freezer.freeze()
        begin = now() - epoch
        pids = freezer.pids()
        if not pids:
            freezer.thaw()
            return
        witness = count_pages(pids)
        group = group_figures(pids[0])
        time.sleep(max(0.0, STANDSTILL - (now() - epoch - begin)))
        # The last reading before the job runs on; it is written some time later.
        end, patience = now() - epoch, time.monotonic() + PATIENCE
        while not timeline.between(begin + PLATEAU, float("inf")) and time.monotonic() < patience:
            time.sleep(0.05)
            end = now() - epoch
        freezer.thaw()
        yield Moment(begin, end, witness, group)


def judge(run, moments, timeline):
    """Adds a row for each moment, and what is wrong."""
    tolerance, _ = WEAK.get((run.program, run.place), (TOLERANCES[run.place], ""))
    for number, moment in enumerate(moments, 1):
        least, true = moment.witness.least(run.place), moment.witness.total(run.place)
        slack = max(true * tolerance, GROUP_SLACK if run.place == "root" else 0)
        # Clocks differ by a tick, and the kernel takes a moment to stop and start all processes.
        readings = timeline.between(moment.begin + PLATEAU, moment.end - 0.03)
        if not readings:
            run.wrong.append(f"moment {number}: hwm did not read the job for {moment.end - moment.begin:.1f} s")
            continue
        reported = readings[-1][1]
        run.rows.append((number, moment, reported))
        if not least - slack <= reported <= true + slack:
            run.wrong.append(f"moment {number}: {reported / MIB:.1f} MiB reported of {true / MIB:.1f}")
    if len(moments) < FEWEST_MOMENTS:
        run.wrong.append(f"the job ended after {len(moments)} moments")
        return
    most = max(moment.witness.total(run.place) for moment in moments)
    if run.peak["upper_bytes"] < most * 0.99:
        run.wrong.append(f"upper end {run.peak['upper_bytes'] / MIB:.1f} MiB, below {most / MIB:.1f} of a moment")
    if run.peak["bytes"] < most * (1 - tolerance):
        run.wrong.append(f"peak {run.peak['bytes'] / MIB:.1f} MiB, below {most / MIB:.1f} of a moment")
    if run.peak["source"] not in SOURCES[run.place]:
        run.wrong.append(f"source {run.peak['source']}")


def error(true, reported):
    return (reported - true) / true


def show(run):
    print(f"\n== {run.program} as {run.place}: MiB")
    print("  moment processes     anon    shmem     file  witness      hwm   error")
    for number, moment, reported in run.rows:
        seen, true = moment.witness, moment.witness.total(run.place)
        print(
            f"  {number:6} {seen.processes:9} {seen.anon / MIB:8.1f} {seen.shmem / MIB:8.1f} {seen.file / MIB:8.1f}"
            f" {true / MIB:8.1f} {reported / MIB:8.1f} {error(true, reported):7.1%}"
            f"  at {moment.begin:.1f} s {moment.group}"
            + (f" by largest {seen.file_by_largest / MIB:.1f}" if seen.file - seen.file_by_largest > MIB else "")
            + (f" unmapped shmem {seen.shmem_unmapped / MIB:.1f}" if seen.shmem_unmapped > MIB else "")
            + (f" unseen {seen.unseen / MIB:.1f}" if abs(seen.unseen) > MIB else "")
        )
    peak = run.peak
    ends = " to ".join(f"{peak[end] / MIB:.1f}" for end in ("lower_bytes", "upper_bytes"))
    print(f"  peak {peak['bytes'] / MIB:.1f} ({ends}, {peak['source']})")
    if weak := WEAK.get((run.program, run.place)):
        print(f"  WEAK: up to {weak[0]:.0%} is expected: {weak[1]}")
    for wrong in run.wrong:
        print(f"  WRONG: {wrong}")
    sys.stdout.flush()


def table(runs):
    print("\n| program | place | processes | witness, least to most | hwm's peak | worst error of a moment |")
    print("|---|---|---|---|---|---|")
    for run in runs:
        trues = [(moment.witness.total(run.place), reported) for _, moment, reported in run.rows]
        totals = [true / MIB for true, _ in trues]
        processes = max((moment.witness.processes for _, moment, _ in run.rows), default=0)
        worst = max((error(true, reported) for true, reported in trues), key=abs, default=0)
        print(
            f"| {run.program} | {run.place} | {processes} | {min(totals, default=0):.0f} to {max(totals, default=0):.0f}"
            f" | {run.peak['bytes'] / MIB:.0f} | {worst:+.1%} |"
        )


def main():
    hwm, work, *programs = sys.argv[1:]
    if os.geteuid() != 0 or not (FREEZER / "cgroup.procs").exists():
        fail(f"needs root, and the freezer of cgroup v1 at {FREEZER}")
    runs = []
    for program in programs:
        for place in os.environ.get("PLACES", "root user").split():
            runs.append(measure(hwm, pathlib.Path(work), program, place))
            show(runs[-1])
    table(runs)
    wrong = [f"{run.program} as {run.place}" for run in runs if run.wrong]
    if wrong:
        fail(f"wrong: {', '.join(wrong)}")


main()
