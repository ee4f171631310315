"""What the files of a release are called, and where they will be: from the version and the address in Cargo.toml."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The systems of a release, each with its targets and the format of their archives.
TARGETS = {
    "linux": {
        "x86_64-unknown-linux-musl": ".tar.gz",
        "aarch64-unknown-linux-musl": ".tar.gz",
        "x86_64-unknown-linux-gnu": ".tar.gz",
        "aarch64-unknown-linux-gnu": ".tar.gz",
    },
    "macos": {"x86_64-apple-darwin": ".tar.gz", "aarch64-apple-darwin": ".tar.gz"},
    "windows": {"x86_64-pc-windows-msvc": ".zip"},
}
# The names of architectures in packages, by the target that a package is made from.
DEB = {"x86_64-unknown-linux-gnu": "amd64", "aarch64-unknown-linux-gnu": "arm64"}
RPM = {"x86_64-unknown-linux-gnu": "x86_64", "aarch64-unknown-linux-gnu": "aarch64"}

faults = []


def fault(text):
    faults.append(text)


def toml(path):
    return tomllib.loads((ROOT / path).read_text())


def package():
    """`[workspace.package]`, where the version and the repository are typed."""
    return toml("Cargo.toml")["workspace"]["package"]


def version():
    return package()["version"]


def repository():
    return package()["repository"]


def owner_and_name():
    return "/".join(repository().split("/")[-2:])


def expected(systems):
    """The files of a release for these systems: name, kind, target."""
    number = version()
    for system in systems:
        for target, suffix in TARGETS[system].items():
            yield f"hwm-{number}-{target}{suffix}", "archive", target
            yield f"hwm-{number}-{target}.cdx.json", "sbom", target
            if target in DEB:
                yield f"hwm_{number}-1_{DEB[target]}.deb", "deb", target
            if target in RPM:
                yield f"hwm-{number}-1.{RPM[target]}.rpm", "rpm", target
    if "linux" in systems:
        for crate in ("highwater", "hwm"):
            yield f"{crate}-{number}.crate", "crate", None


def address(name):
    return f"{repository()}/releases/download/v{version()}/{name}"


def end():
    """Ends the program: with 1 and all faults, if there are some."""
    for text in faults:
        print(f"{Path(sys.argv[0]).name}: {text}", file=sys.stderr)
    sys.exit(1 if faults else 0)
