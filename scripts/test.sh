#!/bin/sh
# Runs the tests with the race detector: all of them, or those of the packages and
# with the flags given. Gets what they need first. Tests that need root run as root
# where this is root or sudo asks for no password; elsewhere they are skipped and say
# so. CI=true makes every skipped need a failure.
set -eu
cd "$(dirname -- "$0")/.."

sh scripts/needs.sh
[ "$(uname -s)" != Linux ] || sh scripts/peers.sh || [ "${CI:-}" != true ]

PATH=$PATH:/usr/sbin:/sbin
export PATH CGO_ENABLED=1

[ $# -gt 0 ] || set -- ./...
if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then
	# Built as this user, run as root, with a build cache of root's own.
	set -- -exec "sudo -n -E env PATH=$PATH HOME=/root GOCACHE=/root/.cache/go-build GOMODCACHE=$(go env GOMODCACHE)" "$@"
fi

# Two packages at a time: tests of whole programs want a core each, and some are
# about time. GOTESTFLAGS adds flags, such as -count=1.
# shellcheck disable=SC2086 # a list of words
exec go test -race -p 2 -timeout 15m ${GOTESTFLAGS:-} "$@"
