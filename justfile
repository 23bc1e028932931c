# Recipes for developers. `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

_default:
    @just --list

# Install what is missing: toolchain, libraries, StarknetOS, contracts; with the servers and clients of the tests.
setup:
    scripts/setup --tests

# Build everything that runs.
build:
    source scripts/env.sh && cargo build -p sidereal

# A chain in one process, with accounts, endpoints, and a line per block and per proof.
dev *arguments:
    source scripts/env.sh && cargo run -q -p sidereal -- dev {{arguments}}

# Send load to a running chain.
load *arguments:
    source scripts/env.sh && cargo run -q -p sidereal -- load {{arguments}}

# Walk from a transaction to the proof of its block; with `--l1` on to the contract that settled it.
verify transaction *arguments:
    source scripts/env.sh && cargo run -q -p sidereal -- verify {{transaction}} {{arguments}}

# Everything that the tests are: formatting, lints, licences, unit and integration tests, one real proof.
test:
    scripts/test

# And what takes longer: a transfer settled on L1 with a real aggregated proof, proofs of full blocks, more cases of every
# property.
test-full:
    scripts/test --full

# The tests of one crate.
test-crate crate *arguments:
    source scripts/env.sh && cargo test -p {{crate}} {{arguments}}

# Real clients against the real stack.
test-integration *arguments:
    source scripts/env.sh && cargo build -p sidereal && cargo test -p sidereal-integration-tests {{arguments}}

# The contracts' tests.
test-contracts *arguments:
    source scripts/env.sh && cd contracts/solidity && forge test {{arguments}}

# Formatting and lints.
lint:
    source scripts/env.sh && cargo fmt --all --check
    source scripts/env.sh && forge fmt --root contracts/solidity --check
    source scripts/env.sh && cargo clippy --workspace --all-targets -- -D warnings

# Licences, sources and duplicates of the dependencies.
deny:
    source scripts/env.sh && cargo deny check bans licenses sources

# Transfers a second end to end, over raw blockifier on the same transactions and over starknet-devnet.
bench-execution *arguments:
    scripts/setup --bench
    source scripts/env.sh && cargo build -p sidereal --bin sidereal --example bench_execution
    source scripts/env.sh && "$CARGO_TARGET_DIR/debug/examples/bench_execution" \
        --sidereal "$CARGO_TARGET_DIR/debug/sidereal" \
        --devnet "$SIDEREAL_CACHE/devnet/bin/starknet-devnet" {{arguments}}

# Proofs of blocks of so many transfers over a bare proof of the same trace; then two workers over one.
bench-proving *transfers:
    source scripts/env.sh && cargo run -q -p sidereal-block-prover --example bench_proving -- {{transfers}}
    source scripts/env.sh && cargo build -p sidereal --bin sidereal --example bench_workers
    source scripts/env.sh && "$CARGO_TARGET_DIR/debug/examples/bench_workers" \
        --sidereal "$CARGO_TARGET_DIR/debug/sidereal"

# Gas of settling on Ethereum, phase by phase, for updates of 1, 8 and 64 blocks.
bench-l1:
    source scripts/env.sh && cd contracts/solidity && forge build --quiet test/support/MeteredVerifier.sol test/support/MeteredUpdate.sol
    source scripts/env.sh && cargo run -q -p sidereal-l1-settler --example bench_l1

# Every step of an aggregation, then whole trees over 2, 4 and 8 blocks by one and two workers: two hours on two processors.
bench-aggregation *arguments: (bench-aggregation-steps arguments) bench-aggregation-trees

# The first half of bench-aggregation: `just bench-aggregation-steps 2 10`.
bench-aggregation-steps *arguments:
    source scripts/env.sh && cargo run -q -p sidereal-aggregation --example bench_aggregation -- {{arguments}}

# The second half: `just bench-aggregation-trees --blocks 2,4 --workers 1`.
bench-aggregation-trees *arguments='--blocks 2,4,8':
    source scripts/env.sh && cargo build -p sidereal --bin sidereal --example bench_workers
    source scripts/env.sh && "$CARGO_TARGET_DIR/debug/examples/bench_workers" \
        --sidereal "$CARGO_TARGET_DIR/debug/sidereal" --aggregate {{arguments}}
