#!/usr/bin/env python3
"""Measures a command and holds its peak against a limit: check.py 512 make test (MiB).

Shows how a script reads the record: what is not known is None, and never 0.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def measure(command: list[str]) -> tuple[int, dict | None]:
    """The command's exit code, and the record of it if it was started."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "record.json"
        code = subprocess.run(["hwm", "run", "-q", f"--json={file}", "--", *command]).returncode
        return code, json.loads(file.read_text()) if file.exists() else None


def main() -> int:
    if len(sys.argv) < 3:
        print("usage: check.py MIB CMD [ARGS...]", file=sys.stderr)
        return 2
    limit = int(sys.argv[1]) * 1024 * 1024
    code, record = measure(sys.argv[2:])
    if code != 0 or record is None:
        return code or 2
    peak = record["peak"]["rss"]
    if peak is None:
        print("the peak is not known:", record["capture"]["downgrades"], file=sys.stderr)
        return 2
    mib = {key: peak[f"{key}bytes"] / 1024 / 1024 for key in ("", "lower_", "upper_")}
    print(f"peak {mib['']:.0f} MiB, between {mib['lower_']:.0f} and {mib['upper_']:.0f}")
    # The lower end: only what surely happened counts.
    return 1 if peak["lower_bytes"] > limit else 0


if __name__ == "__main__":
    sys.exit(main())
