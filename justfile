# Short names for the commands of CONTRIBUTING.md. CI calls .ci/run and needs no just.

# List the recipes
default:
    @just --list

# Run all tests, or those of a package, a program and a filter: just test -p hwm --test limits
test *ARGS="--workspace":
    cargo test --all-features {{ ARGS }}

# Run one row of the truth table, five times: just truth three_generations
truth ROW:
    cargo test -p hwm --test truth {{ ROW }}

# Check the format and the lints
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Check the Markdown files: line lengths, words, links
prose:
    .ci/prose

# Build the documentation of the library as docs.rs does
doc:
    RUSTC_BOOTSTRAP=1 RUSTDOCFLAGS="--cfg docsrs -D warnings" cargo doc -p highwater --all-features --no-deps --target-dir target/docsrs

# Run everything that must hold before a change lands
ci:
    .ci/run

# Feed any bytes to a parser for a minute: just fuzz kernel_text
[working-directory('fuzz')]
fuzz TARGET SECONDS="60":
    mkdir -p corpus/{{ TARGET }}
    cargo run --release --bin {{ TARGET }} -- -max_total_time={{ SECONDS }} corpus/{{ TARGET }}

# Measure what measuring costs: just bench --help
bench *ARGS:
    cargo build --release -p hwm -p workload
    cargo run --release -p bench -- {{ ARGS }}

# Build and test the page of hwm view
[working-directory('viewer')]
page:
    npm ci --ignore-scripts --no-audit --no-fund
    npm run check
    npm run build

# Build all Linux files of a release twice, compare, check and install them: Debian 12, as root
release-dry-run *DIRECTORY="target/release-files":
    packaging/dry-run {{ DIRECTORY }}
    packaging/check-install {{ DIRECTORY }}
