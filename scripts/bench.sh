#!/bin/sh
# Measures, with the flags given, as make bench does. Gets what it needs first. Needs
# root (or sudo without a password), for the other servers and for networks of its own.
set -eu
cd "$(dirname -- "$0")/.."

sh scripts/needs.sh
sh scripts/peers.sh

PATH=$PATH:/usr/sbin:/sbin
export PATH
if [ "$(id -u)" != 0 ]; then
	set -- -exec "sudo -n -E env PATH=$PATH HOME=/root GOCACHE=/root/.cache/go-build GOMODCACHE=$(go env GOMODCACHE)" "$@"
fi
exec go test -count=1 -timeout 45m -v ./internal/bench "$@"
