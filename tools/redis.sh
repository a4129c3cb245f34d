#!/usr/bin/env bash
# Install redis-server with Debian's package manager, as root or where sudo asks nothing. It never fails: the tests
# that need Redis say that they were not run.
set -uo pipefail

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
# RUNLEVEL keeps Debian from starting a server on the usual port.
apt=("${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive timeout 180 apt-get -qq -o DPkg::Lock::Timeout=60)
install=("${apt[@]}" install -y --no-install-recommends redis-server)

if ! command -v apt-get >/dev/null; then
    why="there is no apt-get here: install redis-server yourself"
elif ! "${as_root[@]}" true 2>/dev/null; then
    why="that needs root: run it as root, or install redis-server yourself"
else
    printf '\033[1m▸ %s\033[0m\n' "Redis, from the system's packages"
    log=$("${install[@]}" 2>&1) || log=$("${apt[@]}" update 2>&1 && "${install[@]}" 2>&1) && exit 0
    why=$(tail -n 1 <<<"$log")
fi
echo "Redis was not installed: $why"
