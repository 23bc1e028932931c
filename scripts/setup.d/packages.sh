# Debian packages: the linker's and Cairo Native's libraries, the protobuf compiler, and npm for what comes from there.
packages=(
  build-essential pkg-config cmake git curl ca-certificates python3 python3-venv python3-dev patch zstd
  nodejs npm
  protobuf-compiler libprotobuf-dev libgmp-dev
  llvm-19-dev libmlir-19-dev mlir-19-tools libpolly-19-dev clang-19 libclang-19-dev
  libzstd-dev libz3-dev libxml2-dev zlib1g-dev
)
if [ "$want_tests" = yes ]; then packages+=(postgresql golang-go); fi

# A tool that is there already, from wherever, is not installed a second time.
has_tool() {
  case "$1" in
    nodejs | npm) command -v "${1%js}" >/dev/null ;;
    golang-go) command -v go >/dev/null ;;
    python3 | cmake | git | curl | patch | zstd) command -v "$1" >/dev/null ;;
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ;;
    *) return 1 ;;
  esac
}

missing=()
for package in "${packages[@]}"; do
  has_tool "$package" && continue
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || die "install these packages (Debian's names) and run setup again: ${missing[*]}"
  as_root=""
  [ "$(id -u)" = 0 ] || as_root=sudo
  say "installing Debian packages: ${missing[*]}"
  $as_root apt-get update -q
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
fi
