# What the tests run beside Sidereal: NATS (PostgreSQL is a Debian package), the clients of the two languages, and
# the tools of the checks.

nats_version=v2.12.4
if [ ! -x "$SIDEREAL_CACHE/bin/nats-server" ] && ! command -v nats-server >/dev/null; then
  say "building nats-server $nats_version"
  # A Go that is too old for this release cannot fetch a newer one everywhere: Debian's server will do.
  GOBIN="$SIDEREAL_CACHE/bin" GOFLAGS=-mod=mod go install "github.com/nats-io/nats-server/v2@$nats_version" || {
    say "Go could not build it; installing Debian's nats-server"
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nats-server
  }
fi

# Node.js and starknet.js, by the lock file of integration-tests/js.
node_root="$SIDEREAL_CACHE/node"
node_sum=$(cat integration-tests/js/package.json integration-tests/js/package-lock.json | sha256sum | cut -d' ' -f1)
if [ "$(cat "$node_root/.inputs" 2>/dev/null)" != "$node_sum" ]; then
  say "installing Node.js and starknet.js into $node_root"
  mkdir -p "$node_root"
  cp integration-tests/js/package.json integration-tests/js/package-lock.json "$node_root/"
  npm --prefix "$node_root" ci --no-audit --no-fund --loglevel=error
  printf '%s\n' "$node_sum" >"$node_root/.inputs"
fi

# Node.js looks for packages in the folders above a script only, so the drivers' folder gets a link.
ln -sfn "$node_root/node_modules" integration-tests/js/node_modules

# starknet.py.
python_root="$SIDEREAL_CACHE/venv-tests"
python_sum=$(sha256sum integration-tests/py/requirements.txt | cut -d' ' -f1)
if [ "$(cat "$python_root/.inputs" 2>/dev/null)" != "$python_sum" ]; then
  say "installing starknet.py into $python_root"
  rm -rf "$python_root"
  python3 -m venv "$python_root"
  "$python_root/bin/pip" install -q --disable-pip-version-check -r integration-tests/py/requirements.txt
  printf '%s\n' "$python_sum" >"$python_root/.inputs"
fi

# The runner of the recipes in the justfile.
if ! command -v just >/dev/null; then
  say "installing just"
  [ -x "$SIDEREAL_CACHE/tools/bin/pip" ] || python3 -m venv "$SIDEREAL_CACHE/tools"
  "$SIDEREAL_CACHE/tools/bin/pip" install -q --disable-pip-version-check rust-just==1.59.0
  ln -sf "$SIDEREAL_CACHE/tools/bin/just" "$SIDEREAL_CACHE/bin/just"
fi

# Licences, duplicates and sources of the dependencies. Built here, because it comes as a crate only.
if ! command -v cargo-deny >/dev/null; then
  say "building cargo-deny (some minutes)"
  CARGO_TARGET_DIR="$SIDEREAL_CACHE/cargo-deny" nice -n 10 \
    cargo install -q --locked --root "$SIDEREAL_CACHE" cargo-deny@0.20.2
  rm -rf "$SIDEREAL_CACHE/cargo-deny"
fi
