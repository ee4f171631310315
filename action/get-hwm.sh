#!/usr/bin/env bash
# Gets hwm for action.yml, and writes `hwm=PATH` into GITHUB_OUTPUT. It is the hwm that HWM names, otherwise the release
# that action/release.txt names. While that names none, it is built from SOURCE, the action's own files. A download
# without the committed checksum is never unpacked or run. Runs on bash 3.2, which macOS has.
set -euo pipefail

fail() {
    echo "::error title=hwm::$*"
    exit 1
}

found() {
    "$1" --version
    echo "hwm=$1" >>"$GITHUB_OUTPUT"
    exit 0
}

# Succeeds if the file has this SHA-256.
has_sha256() {
    if command -v sha256sum >/dev/null; then
        echo "$1  $2" | sha256sum -c - >/dev/null 2>&1
    elif command -v shasum >/dev/null; then
        echo "$1  $2" | shasum -a 256 -c - >/dev/null 2>&1
    else
        fail "The download cannot be verified: there is neither sha256sum nor shasum. Install one, or give an hwm as input \`hwm\`."
    fi
}

if [ -n "${HWM-}" ]; then
    case $HWM in *$'\n'*) fail "The input \`hwm\` must be one path." ;; esac
    found "$HWM"
fi

manifest=$SOURCE/action/release.txt
repository=$(sed -n 's/^repository=//p' "$manifest")
version=$(sed -n 's/^version=//p' "$manifest")
sums=$(grep -Ev '^(#|repository=|version=|$)' "$manifest" || true)
place=$(mktemp -d "$RUNNER_TEMP/hwm.XXXXXX")

if [ -z "$repository$version$sums" ]; then
    command -v cargo >/dev/null ||
        fail "There is no release of hwm yet, and no cargo to build it. Install Rust 1.88 or newer before this step, or give an hwm as input \`hwm\`."
    echo "::notice title=hwm::There is no release of hwm yet: it is built from the action's own source, which takes some minutes."
    # There, so that no configuration of the repository under test takes part.
    (cd "$SOURCE" && cargo install --quiet --locked --path "$SOURCE/crates/hwm" --root "$place")
    found "$place/bin/hwm"
fi

[[ $repository =~ ^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_][A-Za-z0-9._-]*$ && $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[A-Za-z0-9.]+)?$ ]] ||
    fail "action/release.txt does not name one release: repository=$repository, version=$version."

architecture=$(uname -m)
case $architecture in arm64) architecture=aarch64 ;; esac
system=$(uname -s)
case $system in Linux) system=unknown-linux-musl ;; Darwin) system=apple-darwin ;; esac
name=hwm-$version-$architecture-$system
file=$name.tar.gz
sum=$(awk -v file="$file" '$2 == file { print $1 }' <<<"$sums")
[[ $sum =~ ^[0-9a-f]{64}$ ]] ||
    fail "Release $version has no hwm for $architecture-$system. Build it there (cargo install --locked --path crates/hwm) and give it as input \`hwm\`."

url=https://github.com/$repository/releases/download/v$version/$file
curl --proto '=https' --proto-redir '=https' --tlsv1.2 --fail --silent --show-error --location \
    --retry 3 --max-time 300 --max-filesize 104857600 --output "$place/$file" "$url" ||
    fail "Cannot download $url. Run the job again, or give an hwm as input \`hwm\`."
if ! has_sha256 "$sum" "$place/$file"; then
    rm -f "$place/$file"
    fail "$url does not have the SHA-256 that action/release.txt states. It was not used. Please report it (see SECURITY.md)."
fi
tar -xzf "$place/$file" -C "$place" "$name/hwm"
echo "hwm $version from $url, SHA-256 $sum"
found "$place/$name/hwm"
