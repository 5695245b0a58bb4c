#!/bin/sh
# Installs what the tests need beside Go, git and make, where it is missing: a C
# compiler for the race detector, and the tools that build a network with a firewall,
# watch system calls and make small file systems. Does nothing where everything is there, asks nothing, and
# says in words what it cannot do. FTP servers and clients are not installed but
# unpacked: see peers.sh.
set -eu

# A command, and the Debian package that brings it.
needs="gcc:gcc
ip:iproute2
nft:nftables
strace:strace
flock:util-linux
losetup:mount
mkfs.ext4:e2fsprogs
getent:libc-bin
useradd:passwd
/usr/bin/python3:python3"

PATH=$PATH:/usr/sbin:/sbin
packages=
missing=
for need in $needs; do
	command -v "${need%%:*}" >/dev/null 2>&1 && continue
	missing="$missing ${need%%:*}"
	packages="$packages ${need##*:}"
done
# gcc without the C library's headers compiles nothing.
if [ -d /etc/dpkg ] && [ ! -e /usr/include/stdlib.h ]; then
	missing="$missing stdlib.h"
	packages="$packages libc6-dev"
fi
[ -n "$packages" ] || exit 0

command -v apt-get >/dev/null 2>&1 || {
	echo "needs.sh: missing here:$missing. Tests that need one are skipped; -race needs gcc." >&2
	exit 0
}
sudo=
if [ "$(id -u)" != 0 ]; then
	sudo="sudo -n"
	$sudo true 2>/dev/null || {
		echo "needs.sh: missing here:$missing. Install$packages, or run make as root." >&2
		exit 1
	}
fi

echo "needs.sh: installing$packages" >&2
install() {
	# shellcheck disable=SC2086 # lists of words
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $packages </dev/null >&2
}
install 2>/dev/null || { # no package lists yet, or too old ones
	$sudo apt-get -qq update >&2
	install
}
