# Forge, Anvil and Cast, the Solidity compiler and OpenZeppelin's contracts, by the lock file of contracts/solidity;
# then our contracts, compiled, which the dev chain deploys on Anvil.
solidity_root="$SIDEREAL_CACHE/solidity"
solidity_lists=(contracts/solidity/package.json contracts/solidity/package-lock.json)
solidity_sum=$(cat "${solidity_lists[@]}" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$solidity_root/.packages" 2>/dev/null)" != "$solidity_sum" ]; then
  say "installing Foundry and the Solidity compiler into $solidity_root"
  mkdir -p "$solidity_root"
  cp "${solidity_lists[@]}" "$solidity_root/"
  npm --prefix "$solidity_root" ci --no-audit --no-fund --loglevel=error
  # The tools themselves, not the packages of Node.js scripts that start them as a child: a service that stops its
  # Anvil would leave that child behind. Where npm's lock has none for a machine, those of the PATH do.
  foundry_version=$(sed -n 's/.*"@foundry-rs\/forge-linux-amd64": "\(.*\)".*/\1/p' contracts/solidity/package.json)
  for tool in anvil cast forge; do
    if binary=$(compgen -G "$solidity_root/node_modules/@foundry-rs/$tool-*/bin/$tool"); then
      ln -sf "$binary" "$SIDEREAL_CACHE/bin/$tool"
    elif ! "$tool" --version 2>/dev/null | grep -qF "$foundry_version"; then
      die "install Foundry $foundry_version: npm has no $tool for this kind of machine"
    fi
  done
  printf '%s\n' "$solidity_sum" >"$solidity_root/.packages"
fi

# Forge looks for packages below its own root, and the compiler's wrapper beside itself.
ln -sfn "$solidity_root/node_modules" contracts/solidity/node_modules

# With the contracts, the verifier's double that the settler's tests deploy.
solidity_double=contracts/solidity/test/support/EchoVerifier.sol
solidity_inputs=$(find contracts/solidity/src contracts/solidity/foundry.toml contracts/solidity/solc "$solidity_double" -type f \
  | LC_ALL=C sort | xargs sha256sum | cat - "$solidity_root/.packages" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$FOUNDRY_OUT/.inputs" 2>/dev/null)" != "$solidity_inputs" ]; then
  say "compiling the contracts of contracts/solidity"
  (cd contracts/solidity && forge build --quiet src "$PWD/${solidity_double#contracts/solidity/}")
  printf '%s\n' "$solidity_inputs" >"$FOUNDRY_OUT/.inputs"
fi
