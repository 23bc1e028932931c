# The pinned Rust. Where the same release is installed under another name, that one is linked.
pinned=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
command -v rustup >/dev/null || die "install rustup with Rust $pinned first"
if ! rustup toolchain list | grep -q "^$pinned"; then
  for candidate in $(rustup toolchain list | awk '{print $1}'); do
    if rustup run "$candidate" rustc --version | grep -q "^rustc $pinned "; then
      say "linking Rust $pinned to the installed toolchain $candidate"
      rustup toolchain link "$pinned" "$(rustup run "$candidate" rustc --print sysroot)"
      break
    fi
  done
fi
if ! rustup toolchain list | grep -q "^$pinned"; then
  say "installing Rust $pinned"
  rustup toolchain install "$pinned" --profile minimal --component clippy --component rustfmt
fi
