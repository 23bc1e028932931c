# Sourced by every script: where things are. Override SIDEREAL_CACHE to keep them elsewhere.
export SIDEREAL_CACHE="${SIDEREAL_CACHE:-$HOME/.cache/sidereal}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$SIDEREAL_CACHE/target}"
export PATH="$SIDEREAL_CACHE/bin:$SIDEREAL_CACHE/node/node_modules/.bin:$PATH"
export RUSTC_BOOTSTRAP=1
# What Forge writes: artifacts (out/<file>/<contract>.json) and its cache.
export FOUNDRY_OUT="$SIDEREAL_CACHE/solidity/out" FOUNDRY_CACHE_PATH="$SIDEREAL_CACHE/solidity/cache"
