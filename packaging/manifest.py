#!/usr/bin/env python3
"""The manifest of a release: names, sizes, checksums and addresses of its files. All else is generated from it.

Usage:
  manifest.py make DIRECTORY       writes manifest.json, SHA256SUMS and release.txt beside the files of a release
  manifest.py gather ARTIFACTS DIRECTORY
                                   copies what the builds of the workflow made: files-linux, and files-TARGET of others
  manifest.py check DIRECTORY [SYSTEM...]
                                   compares them with the files, and with what cargo binstall, the action and the packages
                                   ask for; SYSTEM is linux, macos or windows (all)
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

from release import ROOT, TARGETS, address, end, expected, fault, owner_and_name, repository, toml, version

# Files of a release that describe the others.
DESCRIPTIONS = ("manifest.json", "SHA256SUMS", "release.txt")
# What every archive has beside the program.
IN_EVERY_ARCHIVE = ("README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY-LICENSES.txt",
                    "man/man1/hwm.1", "man/man1/hwm-run.1", "completions/hwm.bash", "completions/_hwm", "completions/hwm.fish")


def sha256(path):
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def manifest_of(directory):
    found = {path.name for path in directory.iterdir()} - set(DESCRIPTIONS)
    known = {name: (kind, target) for name, kind, target in expected(TARGETS)}
    for name in sorted(found - set(known)):
        fault(f"{name}: no release has a file of this name")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True)
    return {
        "version": version(),
        "tag": f"v{version()}",
        "commit": commit.stdout.strip(),
        "repository": repository(),
        "files": [
            {
                "name": name,
                "kind": known[name][0],
                "target": known[name][1],
                "bytes": (directory / name).stat().st_size,
                "sha256": sha256(directory / name),
                "url": address(name),
            }
            for name in sorted(found & set(known))
        ],
    }


def checksums(files):
    return "".join(f"{file['sha256']}  {file['name']}\n" for file in files)


def for_the_action(manifest):
    """action/release.txt: what action.yml downloads."""
    archives = [
        file for file in manifest["files"]
        if file["kind"] == "archive" and re.search(r"-(linux-musl|apple-darwin)\.", file["name"])
    ]
    lines = (ROOT / "action/release.txt").read_text().splitlines()
    comment = "".join(line + "\n" for line in lines if line.startswith("#"))
    return f"{comment}repository={owner_and_name()}\nversion={manifest['version']}\n{checksums(archives)}"


def make(directory):
    manifest = manifest_of(directory)
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (directory / "SHA256SUMS").write_text(checksums(manifest["files"]))
    (directory / "release.txt").write_text(for_the_action(manifest))


def names_in(archive):
    if archive.suffix == ".zip":
        return zipfile.ZipFile(archive).namelist()
    return tarfile.open(archive).getnames()


def binstall(target):
    """The address and the path of the program that cargo binstall computes for a target."""
    settings = toml("crates/hwm/Cargo.toml")["package"]["metadata"]["binstall"]
    settings = settings | settings.get("overrides", {}).get(target, {})
    values = {
        "repo": repository(), "name": "hwm", "bin": "hwm", "version": version(), "target": target,
        "binary-ext": ".exe" if "windows" in target else "",
        "archive-suffix": {"tgz": ".tar.gz", "zip": ".zip"}[settings["pkg-fmt"]],
    }
    fill = lambda template: re.sub(r"\{ *([a-z-]+) *\}", lambda match: values[match[1]], template)
    return fill(settings["pkg-url"]), fill(settings["bin-dir"])


def check_archive(directory, file):
    target = file["target"]
    url, program = binstall(target)
    if url != file["url"]:
        fault(f"cargo binstall asks for {url}, and the release has {file['url']}")
    names = names_in(directory / file["name"])
    top = f"hwm-{version()}-{target}"
    for name in [program] + [f"{top}/{name}" for name in IN_EVERY_ARCHIVE]:
        if name not in names:
            fault(f"{file['name']}: without {name}")
    if stray := [name for name in names if not name.startswith(f"{top}/")]:
        fault(f"{file['name']}: {stray[0]} is outside {top}")


def check_sbom(directory, file):
    bom = json.loads((directory / file["name"]).read_text())
    component = bom["metadata"]["component"]
    if (bom["bomFormat"], component["name"], component["version"]) != ("CycloneDX", "hwm", version()):
        fault(f"{file['name']}: not of hwm {version()}")
    if "file:///" in json.dumps(bom):
        fault(f"{file['name']}: names the directory that it was made in")
    locked = {(entry["name"], entry["version"]) for entry in toml("Cargo.lock")["package"]}
    for entry in bom["components"]:
        if (entry["name"], entry["version"]) not in locked:
            fault(f"{file['name']}: {entry['name']} {entry['version']} is not in Cargo.lock")


def check_crate(directory, file):
    """What crates.io shows must not depend on where the crate lies."""
    with tarfile.open(directory / file["name"]) as tar:
        top = file["name"].removesuffix(".crate")
        text = lambda name: tar.extractfile(f"{top}/{name}").read()
        manifest = tomllib.load(io.BytesIO(text("Cargo.toml")))["package"]
        for field in ("description", "license", "repository", "documentation", "readme"):
            if not manifest.get(field):
                fault(f"{file['name']}: no {field}")
        for link in re.findall(r"\]\(([^)\s]+)\)", text("README.md").decode()):
            if not link.startswith(("https://", "#")):
                fault(f"{file['name']}: the README leads to {link}, which is no address")
        if file["name"].startswith("hwm-") and f"{top}/page/index.html" not in tar.getnames():
            fault(f"{file['name']}: without the page of hwm view")


def gather(artifacts, directory):
    """Copies what each build made, and nothing that another build is to make: one of them may have been taken over."""
    directory.mkdir()
    for system, targets in TARGETS.items():
        for place in [f"files-{system}"] if system == "linux" else [f"files-{target}" for target in targets]:
            wanted = [
                name for name, _, target in expected([system]) if system == "linux" or place == f"files-{target}"
            ]
            there = {path.name for path in (artifacts / place).iterdir()}
            for name in sorted(there - set(wanted)):
                fault(f"{place}: {name} is none of its files")
            for name in sorted(there & set(wanted)):
                shutil.copyfile(artifacts / place / name, directory / name)


def check(directory, systems):
    manifest = json.loads((directory / "manifest.json").read_text())
    if manifest != manifest_of(directory):
        fault("manifest.json is not that of these files and this checkout")
    for name, text in (("SHA256SUMS", checksums(manifest["files"])), ("release.txt", for_the_action(manifest))):
        if (directory / name).read_text() != text:
            fault(f"{name} is not that of manifest.json")
    there = {file["name"] for file in manifest["files"]}
    for name, _, _ in expected(systems):
        if name not in there:
            fault(f"{name} is missing")
    checks = {"archive": check_archive, "sbom": check_sbom, "crate": check_crate}
    for file in manifest["files"]:
        if file["kind"] in checks:
            checks[file["kind"]](directory, file)


def main():
    match sys.argv[1:]:
        case ["make", directory]:
            make(Path(directory))
        case ["gather", artifacts, directory]:
            gather(Path(artifacts), Path(directory))
        case ["check", directory, *systems]:
            check(Path(directory), systems or list(TARGETS))
        case _:
            sys.exit(__doc__)
    end()


main()
