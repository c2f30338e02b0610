# What quickstart and test need before they can begin: sourced by both, from the repository's root. Each function does nothing when
# there is nothing to do. Downloads happen only here.

readonly NODE_MIN=20.19.0

die() {
  echo "error $*" >&2
  exit 1
}

need_node() {
  command -v node >/dev/null || die "Expected Node $NODE_MIN or later, found none. See https://nodejs.org/en/download"
  node -e 'const at = (v) => v.split(".").map(Number), [a, b] = at(process.argv[1]), [x, y] = at(process.versions.node); process.exit(x > a || (x === a && y >= b) ? 0 : 1)' "$NODE_MIN" ||
    die "Expected Node $NODE_MIN or later, found $(node --version). See https://nodejs.org/en/download"
}

# packages_for <command=package>…: those of the commands that are missing.
packages_for() {
  local pair
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || echo "${pair##*=}"
  done
}

# apt_install <package>…: in one line; fails where there is no root or no apt-get.
apt_install() {
  [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
  echo "Installing $*" >&2
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need_commands <command=package>…: installs the packages of the missing commands, or names the line that does.
need_commands() {
  local packages
  mapfile -t packages < <(packages_for "$@")
  [ ${#packages[@]} -eq 0 ] || apt_install "${packages[@]}" ||
    die "These are needed and missing: ${packages[*]}. On Debian or Ubuntu: sudo apt-get install -y ${packages[*]}"
}

# want_commands <command=package>…: the same, but goes on without them.
want_commands() {
  local packages
  mapfile -t packages < <(packages_for "$@")
  [ ${#packages[@]} -eq 0 ] || apt_install "${packages[@]}" || echo "Going on without ${packages[*]}: the tests that need it are skipped." >&2
}

# node_modules is stale when the lock file is newer than what npm noted of its last install.
need_modules() {
  [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund --loglevel=error
}

# Quiet unless it fails.
build() {
  mkdir -p build
  npm run --silent build >build/build.log 2>&1 || { cat build/build.log >&2; die "The build failed."; }
}
