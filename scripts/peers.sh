#!/bin/sh
# Fetches the FTP servers and clients that the tests speak with, and unpacks them
# beside the checkout, in .peers/ (or the folder given as first argument).
#
# The servers' packages conflict with one another and start themselves when
# installed, so they are downloaded and unpacked, never installed. Libraries that
# this machine lacks are unpacked beside them; clients are fetched only
# where the machine has none. Needs Debian or a child of it; needs root (or sudo
# without a password) only where apt's package lists were never downloaded.
#
# Quick when everything is there already, and safe to run twice at once.
set -eu

servers="vsftpd proftpd-core proftpd-mod-crypto pure-ftpd pure-ftpd-common"
# pyftpdlib, and what it needs for TLS; the system's own python3 runs it.
servers="$servers python3-pyftpdlib python3-openssl python3-cryptography python3-cffi-backend"
tools="lftp curl rclone ncftp tnftp inetutils-ftp"

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
dir=${1:-$top/.peers}

want=$servers
for tool in $tools; do
	command -v "$tool" >/dev/null 2>&1 || want="$want $tool"
done
stamp=$dir/complete
if [ -r "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
	exit 0
fi

for tool in apt-get apt-cache dpkg dpkg-query flock; do
	command -v "$tool" >/dev/null 2>&1 || {
		echo "peers.sh: no $tool here: the test peers come as Debian packages" >&2
		exit 1
	}
done

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if [ -r "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
	exit 0 # another process fetched them while this one waited
fi

# update downloads apt's package lists.
update() {
	if [ "$(id -u)" = 0 ]; then
		apt-get -qq update
	else
		sudo -n apt-get -qq update
	fi >&2
}

# libraries prints the library packages, of any depth, that the packages given
# need and this machine lacks.
libraries() {
	todo=$*
	seen=" "
	while [ -n "$todo" ]; do
		# shellcheck disable=SC2086 # a list of words
		found=$(apt-cache depends --no-recommends --no-suggests --no-conflicts \
			--no-breaks --no-replaces --no-enhances $todo |
			sed -n 's/^ *|\{0,1\}\(Pre\)\{0,1\}Depends: \(lib[^ <>]*\)$/\2/p' | sort -u)
		todo=
		for p in $found; do
			case $p in lib*-modules | lib*-runtime | lib*-bin) continue ;; esac
			case $seen in *" $p "*) continue ;; esac
			seen="$seen$p "
			status=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
			[ "$status" = installed ] && continue
			echo "$p"
			todo="$todo $p"
		done
	done
}

[ -n "$(apt-cache search --names-only '^vsftpd$' 2>/dev/null)" ] || update
new=$dir/new.$$
trap 'rm -rf "$new"' EXIT
mkdir -p "$new/deb" "$new/root"
# shellcheck disable=SC2086 # lists of words
fetch() {
	all="$want $(libraries $want | tr '\n' ' ')"
	(cd "$new/deb" && apt-get -qq -o APT::Sandbox::User=root download $all) >&2
}
fetch || { # lists too old name files that are no longer there
	update
	fetch
}
for deb in "$new"/deb/*.deb; do
	dpkg -x "$deb" "$new/root"
done
rm -rf "$dir/root"
mv "$new/root" "$dir/root"
printf '%s' "$want" >"$stamp"
echo "peers.sh: unpacked $(ls "$new/deb" | wc -l) packages into $dir" >&2
