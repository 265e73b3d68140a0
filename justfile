# Commands for everyday work; `just` lists them. What must pass before a change goes in is `.ci/run`.

set positional-arguments

# list the recipes
default:
    @just --list --unsorted

# run the demo: a simulated instrument and a client
demo:
    cargo run

# check the format, the lints and the names
check:
    .ci/run format clippy 'names of tests, subjects of commits'

# run all tests, or those of one crate: just test -p flamingo-bridge
test *arguments='--workspace':
    cargo test "$@"

# build the documentation of the public API
doc:
    .ci/run docs

# measure the core: flash, RAM, stack, instructions
footprint:
    .ci/run 'core: footprint' 'core: stack' 'core: instructions on the M4'

# run the benchmarks, or these: just bench round_trip; --write also writes docs/benchmarks.md
bench *arguments:
    scripts/benchmarks "$@"

# attack a bridge in every way, or in these: just attack flood-60 mute
attack *arguments:
    cargo run --release -p flamingo-bridge --example attack -- "$@"

# fuzz one target; new inputs go to target/fuzz, apart from the committed ones
fuzz target seconds='60':
    mkdir -p target/fuzz/{{ target }}
    cd fuzz && cargo +nightly fuzz run --sanitizer none {{ target }} ../target/fuzz/{{ target }} corpus/{{ target }} \
        -- -max_total_time={{ seconds }} -max_len=400

# show which branches of the core no test runs
coverage *arguments:
    scripts/coverage "$@"

# change the rules of the core at random: the tests must notice
mutants *arguments:
    cargo mutants "$@"

# check licences, banned crates and sources
deny:
    cargo deny --locked check --hide-inclusion-graph licenses bans sources

# pack every published crate and build each package
package:
    cargo publish --dry-run --workspace --locked

# compare the public API with the last release
semver baseline='v0.1.0':
    cargo semver-checks --workspace --exclude flamingo-race --baseline-rev {{ baseline }}

# run everything that must pass before a change goes in
ci *steps:
    .ci/run "$@"
