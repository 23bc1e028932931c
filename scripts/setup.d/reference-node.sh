# The node that `just bench-execution` compares with. It comes as a crate only.

devnet_version=0.10.1
if [ ! -x "$SIDEREAL_CACHE/devnet/bin/starknet-devnet" ]; then
  say "building starknet-devnet $devnet_version (half an hour on two cores)"
  CARGO_TARGET_DIR="$SIDEREAL_CACHE/devnet/target" \
    cargo install -q --locked --root "$SIDEREAL_CACHE/devnet" "starknet-devnet@$devnet_version"
  rm -rf "$SIDEREAL_CACHE/devnet/target"
fi
