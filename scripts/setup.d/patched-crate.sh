# One S-two crate has a line that the pinned compiler does not know any more. The published crate is
# downloaded by cargo, copied to third-party/ and patched there; Cargo.toml points at the copy.
crate=stwo-cairo-common
crate_version=1.3.0
patch_file="patches/$crate-$crate_version.patch"
stamp="third-party/$crate/.patched"
patch_sum=$(sha256sum "$patch_file" | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null)" != "$patch_sum" ]; then
  say "patching $crate $crate_version (see $patch_file)"
  scratch=$(mktemp -d)
  mkdir -p "$scratch/src"
  : >"$scratch/src/lib.rs"
  printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n%s = "=%s"\n[workspace]\n' \
    "$crate" "$crate_version" >"$scratch/Cargo.toml"
  cp rust-toolchain.toml "$scratch/"
  source_dir=$(cd "$scratch" && cargo metadata --format-version 1 | python3 -c '
import json, os, sys
name, version = sys.argv[1:]
for package in json.load(sys.stdin)["packages"]:
    if (package["name"], package["version"]) == (name, version):
        print(os.path.dirname(package["manifest_path"]))
' "$crate" "$crate_version")
  [ -n "$source_dir" ] || die "cargo did not deliver $crate $crate_version"
  rm -rf "third-party/$crate"
  mkdir -p third-party
  cp -r "$source_dir" "third-party/$crate"
  chmod -R u+w "third-party/$crate"
  patch -s -d "third-party/$crate" -p1 <"$patch_file"
  # Equal times in every checkout let cargo see that a build of the same files is still good.
  find "third-party/$crate" -exec touch -h -d '2020-01-01T00:00:00Z' {} +
  printf '%s\n' "$patch_sum" >"$stamp"
  rm -rf "$scratch"
fi
