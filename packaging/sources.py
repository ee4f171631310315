#!/usr/bin/env python3
"""The places of this checkout that name a version or an address, held to Cargo.toml.

Usage:
  sources.py check                 fails if one of them differs
  sources.py check-release         the same, and fails if a text says that there is no release yet
  sources.py set-repository URL    changes the address of the repository in all of them
  sources.py version|repository    prints what Cargo.toml says
  sources.py notes                 prints the section of this version in CHANGELOG.md
  sources.py debian-changelog      prints the changelog of the package for Debian, of the time SOURCE_DATE_EPOCH
"""

import os
import re
import sys
from email.utils import formatdate

from release import ROOT, end, fault, owner_and_name, repository, toml, version


# Shown by crates.io, which knows no other file of the repository.
README = ROOT / "README.md"
# Texts that name the version for `Cargo.toml` of other programs, without its patch level.
WITH_VERSION = [ROOT / "docs/from-hypomnesis.md", ROOT / "crates/highwater/src/compat.rs"]
# All texts that name the address of the repository.
WITH_ADDRESSES = [README, ROOT / "docs/install.md"]


def maintainer():
    """The address that GitHub gives the owner of the repository: packages must name one."""
    owner = repository().split("/")[-2]
    return f"The highwater developers <{owner}@users.noreply.github.com>"


def notes():
    """The section of this version in CHANGELOG.md, or nothing."""
    section = re.search(rf"^## \[{re.escape(version())}\] - .*?\n(.*?)(?=^## |\Z)", (ROOT / "CHANGELOG.md").read_text(), re.M | re.S)
    text = section[1].strip() if section else ""
    # A page of releases is not where the file is.
    return re.sub(r"\]\((?!https?:|#)", f"]({repository()}/blob/v{version()}/", text)


def debian_changelog():
    date = formatdate(int(os.environ["SOURCE_DATE_EPOCH"]))
    lines = [
        f"hwm ({version()}-1) unstable; urgency=medium",
        f"  * Release {version()}:\n    {repository()}/releases/tag/v{version()}",
        f" -- {maintainer()}  {date.replace('-0000', '+0000')}",
    ]
    return "\n\n".join(lines)


def check_links():
    """Each link of the README is an address, and all addresses of a repository are of this one.

    `.ci/prose` looks for the files that they lead to.
    """
    for link in sum(re.findall(r"\]\(([^)\s]+)\)|^\[[^]]+\]: (\S+)", README.read_text(), re.MULTILINE), ()):
        if link and not link.startswith(("https://", "#")):
            fault(f"README.md: {link} does not work on crates.io; begin it with {repository()}/blob/main/")
    for path in WITH_ADDRESSES:
        for name in re.findall(r"(?:https://(?:github|raw\.githubusercontent)\.com/|--repo )([\w.-]+/[\w.-]+)", path.read_text()):
            if name != owner_and_name():
                fault(f"{path.name}: leads to {name}, and the repository is {owner_and_name()}")


def check():
    number = version()
    workspace = toml("Cargo.toml")["workspace"]
    if (needed := workspace["dependencies"]["highwater"]["version"]) != number:
        fault(f"Cargo.toml: the version is {number}, and the dependency highwater is {needed}")
    members = {toml(f"{member}/Cargo.toml")["package"]["name"] for member in workspace["members"]}
    for lock in ("Cargo.lock", "fuzz/Cargo.lock"):
        for entry in toml(lock)["package"]:
            if entry["name"] in members and entry["version"] != number:
                fault(f"{lock}: {entry['name']} is {entry['version']}, not {number}; `cargo check` beside it mends it")
    for member in ("highwater", "hwm"):
        settings = toml(f"crates/{member}/Cargo.toml")["package"]
        for field in ("version", "repository"):
            if settings.get(field) != {"workspace": True}:
                fault(f"crates/{member}/Cargo.toml: {field} is not that of the workspace")
    deb = toml("crates/hwm/Cargo.toml")["package"]["metadata"]["deb"]
    if deb["maintainer"] != maintainer():
        fault(f"crates/hwm/Cargo.toml: the maintainer is not {maintainer()}")
    if not notes():
        fault(f"CHANGELOG.md: no section of {number}")
    for path in WITH_VERSION:
        for named in re.findall(r'package = "highwater", version = "([^"]*)"', path.read_text()):
            if named != number.rpartition(".")[0]:
                fault(f"{path.name}: names version {named}, and it is {number}")
    check_links()
    released = dict(re.findall(r"^(repository|version)=(.*)$", (ROOT / "action/release.txt").read_text(), re.MULTILINE))
    if any(released.values()) and released["repository"] != owner_and_name():
        fault(f"action/release.txt: names {released['repository']}, and the repository is {repository()}")


def check_release():
    """What must be true of the commit that a tag names, beside all else."""
    check()
    if not re.search(rf"^## \[{re.escape(version())}\] - \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE):
        fault(f"CHANGELOG.md: the section of {version()} has no date")
    for path in sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")):
        if re.search(r"[Nn]othing has been (published|released)|not published yet", path.read_text()):
            fault(f"{path.relative_to(ROOT)}: says that nothing has been released")


def set_repository(url):
    if not re.fullmatch(r"https://github\.com/[A-Za-z0-9-]+/[\w.-]+", url):
        sys.exit(f"{url} is not of the form https://github.com/OWNER/NAME")
    before, after = owner_and_name(), "/".join(url.split("/")[-2:])
    for path in [ROOT / "Cargo.toml", *WITH_ADDRESSES]:
        path.write_text(re.sub(rf"{re.escape(before)}(?![\w.-])", after, path.read_text()))
    path = ROOT / "crates/hwm/Cargo.toml"
    owner_before, owner = before.split("/")[0], after.split("/")[0]
    path.write_text(path.read_text().replace(f"<{owner_before}@users.", f"<{owner}@users."))
    check()


def main():
    # On Windows, a shell would take a carriage return for a part of the text.
    sys.stdout.reconfigure(newline="\n")
    match sys.argv[1:]:
        case ["check"]:
            check()
        case ["check-release"]:
            check_release()
        case ["set-repository", url]:
            set_repository(url)
        case ["version"]:
            print(version())
        case ["repository"]:
            print(repository())
        case ["notes"]:
            print(notes())
        case ["debian-changelog"]:
            print(debian_changelog())
        case _:
            sys.exit(__doc__)
    end()


main()
