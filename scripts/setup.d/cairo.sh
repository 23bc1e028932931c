# StarknetOS, our aggregator of its outputs, and our contracts. All come from the Cairo compilers in PyPI's source
# distribution of cairo-lang; 0.14.0.1 only adds the modules `builtin_selection` and `cairo_blake2s`, of which 0.13.5
# lacks the first and half of the second.
cairo_root="$SIDEREAL_CACHE/cairo-lang"
cairo_versions=(0.13.5 0.14.0.1)
mkdir -p "$cairo_root"

# A virtual environment that was built from the same list is good as it is.
cairo_requirements=scripts/setup.d/cairo-requirements.txt
cairo_python="$cairo_root/venv/bin/python"
requirements_sum=$(sha256sum "$cairo_requirements" | cut -d' ' -f1)
if [ "$(cat "$cairo_root/venv/.requirements" 2>/dev/null)" != "$requirements_sum" ]; then
  say "installing what the Cairo compiler needs into $cairo_root/venv"
  rm -rf "$cairo_root/venv"
  python3 -m venv "$cairo_root/venv"
  "$cairo_python" -m pip install -q --disable-pip-version-check setuptools wheel
  "$cairo_python" -m pip install -q --disable-pip-version-check -r "$cairo_requirements"
  printf '%s\n' "$requirements_sum" >"$cairo_root/venv/.requirements"
fi

for version in "${cairo_versions[@]}"; do
  [ -f "$cairo_root/$version/.unpacked" ] && continue
  say "downloading the source distribution of cairo-lang $version"
  rm -rf "$cairo_root/$version" "$cairo_root/download"
  mkdir -p "$cairo_root/$version" "$cairo_root/download"
  "$cairo_python" -m pip download -q --disable-pip-version-check --no-deps --no-build-isolation \
    --no-binary cairo-lang -d "$cairo_root/download" "cairo-lang==$version"
  "$cairo_python" - "$cairo_root/download" "$cairo_root/$version" <<'PYTHON'
import pathlib
import shutil
import sys

download, target = map(pathlib.Path, sys.argv[1:])
(archive,) = download.iterdir()
shutil.unpack_archive(archive, target)
(top,) = target.iterdir()
for entry in list(top.iterdir()):
    entry.rename(target / entry.name)
top.rmdir()
PYTHON
  rm -rf "$cairo_root/download"
  touch "$cairo_root/$version/.unpacked"
done

os_target="$SIDEREAL_CACHE/os/starknet_os_v0_13_5.json.zst"
os_inputs=$(sha256sum scripts/build-starknet-os | cut -d' ' -f1)
if [ ! -f "$os_target" ] || [ "$(cat "$SIDEREAL_CACHE/os/.inputs" 2>/dev/null)" != "$os_inputs" ]; then
  say "compiling StarknetOS 0.13.5 (about a minute)"
  scripts/build-starknet-os "$cairo_python" "$cairo_root/0.13.5" "$cairo_root/0.14.0.1"
  printf '%s\n' "$os_inputs" >"$SIDEREAL_CACHE/os/.inputs"
fi

aggregator_target="$SIDEREAL_CACHE/os/os_aggregator.json.zst"
aggregator_inputs=$(cat scripts/build-os-aggregator crates/os-aggregator/cairo/aggregator.cairo | sha256sum | cut -d' ' -f1)
if [ ! -f "$aggregator_target" ] || [ "$(cat "$SIDEREAL_CACHE/os/.aggregator-inputs" 2>/dev/null)" != "$aggregator_inputs" ]; then
  say "compiling the aggregator of StarknetOS' outputs"
  scripts/build-os-aggregator "$cairo_python" "$cairo_root/0.13.5" "$cairo_root/0.14.0.1"
  printf '%s\n' "$aggregator_inputs" >"$SIDEREAL_CACHE/os/.aggregator-inputs"
fi

# Says what it builds, and nothing when all of it is there.
scripts/build-contracts "$cairo_root/0.13.5/starkware/starknet/compiler/v1/sierra-compiler-major-1"
