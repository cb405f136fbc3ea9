#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `meson install` puts everything where packages and manuals say. Prints TAP.
# Usage: install.sh BUILD_DIRECTORY

set -uo pipefail
build=$1
dest=$(mktemp -d)
trap 'rm -rf -- "$dest"' EXIT
number=0 failed=0

check() { # TITLE COMMAND...
	local title=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $title"
	else
		echo "not ok $number - $title"
		failed=1
	fi
}

if ! DESTDIR=$dest meson install -C "$build" --no-rebuild > "$dest/log" 2>&1; then
	cat "$dest/log"
	echo "1..1"
	echo "not ok 1 - meson install works"
	exit 1
fi
find_one() {
	[ -n "$(find "$dest" -path "*$1" -print -quit)" ]
}
for path in sbin/vmtierd bin/vmtierctl /etc/vmtier/vmtierd.conf /etc/vmtier/policy.d \
	/etc/vmtier/vmtierd.conf.d include/vmtier/control.h qemu.d/50-vmtier \
	sysusers.d/vmtier.conf; do
	check "installs $path" find_one "$path"
done
check "the hook is executable" test -x "$(find "$dest" -name 50-vmtier)"
check "the installed daemon takes the installed configuration" \
	"$(find "$dest" -name vmtierd -type f -perm -u+x)" --check-config \
	--config "$dest/etc/vmtier/vmtierd.conf"
echo "1..$number"
exit "$failed"
