#!/usr/bin/env python3
"""Packs a directory into an archive that depends on nothing but its files: no owners, no times of this machine.

Usage: archive.py DIRECTORY ARCHIVE.tar.gz|ARCHIVE.zip

The archive holds the directory under its own name. All times are SOURCE_DATE_EPOCH.
"""

import gzip
import os
import sys
import tarfile
import time
import zipfile
from pathlib import Path

# Fixed, so that a newer Python does not choose another.
COMPRESSION_LEVEL = 9


def files(directory):
    """The files below the directory, each with its name in the archive, in the order of their names."""
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path, f"{directory.name}/{path.relative_to(directory).as_posix()}"


def mode(path):
    """Programs can be executed, everything else can be read."""
    return 0o755 if path.suffix in ("", ".exe") and os.access(path, os.X_OK) else 0o644


def write_tar(directory, archive, seconds):
    # gzip would note the name of the file and the time.
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=seconds) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path, name in files(directory):
                entry = tarfile.TarInfo(name)
                entry.size = path.stat().st_size
                entry.mode = mode(path)
                entry.mtime = seconds
                with path.open("rb") as content:
                    tar.addfile(entry, content)


def write_zip(directory, archive, seconds):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as packed:
        for path, name in files(directory):
            entry = zipfile.ZipInfo(name, time.gmtime(seconds)[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100000 | mode(path)) << 16
            packed.writestr(entry, path.read_bytes())


def main():
    directory, archive = map(Path, sys.argv[1:])
    seconds = int(os.environ["SOURCE_DATE_EPOCH"])
    write = write_zip if archive.suffix == ".zip" else write_tar
    write(directory, archive, seconds)


main()
