#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `meson install` puts everything where packages and manuals say, and nothing
# else. Prints TAP.
# Usage: install.sh BUILD_DIRECTORY

set -uo pipefail
build=$1
dest=$(mktemp -d)
trap 'rm -rf -- "$dest"' EXIT
root=$dest/root
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

skip() { # TITLE REASON
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

# says_nothing COMMAND...: succeeds and is silent; what it says is shown.
says_nothing() {
	local said status
	said=$("$@" 2>&1)
	status=$?
	[ -z "$said" ] || sed 's/^/# /' <<< "$said"
	[ $status -eq 0 ] && [ -z "$said" ]
}

# Where the build was told to install to, e.g. `place sbindir`.
place() { # OPTION
	meson introspect --buildoptions "$build" |
		python3 -c 'import json, os, sys
options = {o["name"]: o["value"] for o in json.load(sys.stdin)}
print(os.path.join(options["prefix"], options[sys.argv[1]]))' "$1"
}

if ! DESTDIR=$root meson install -C "$build" --no-rebuild > "$dest/log" 2>&1; then
	cat "$dest/log"
	echo "1..1"
	echo "not ok 1 - meson install works"
	exit 1
fi
prefix=$(place prefix) sbin=$(place sbindir) bin=$(place bindir) man=$(place mandir)
share=$(place datadir) include=$(place includedir)
unit=$prefix/lib/systemd/system/vmtierd.service
hook=/etc/libvirt/hooks/qemu.d/50-vmtier
sysusers=$prefix/lib/sysusers.d/vmtier.conf
pages=("man1/vmtierctl.1" "man5/vmtierd.conf.5" "man5/vmtier-policy.5" "man8/vmtierd.8")

# Directories only where they are empty: the others come with their files.
expected=(
	"$sbin/vmtierd"
	"$bin/vmtierctl"
	"$include/vmtier/control.h"
	"$share/vmtier/vmtier-policy.rng"
	"$share/doc/vmtier/policy-example.xml"
	"$sysusers"
	"$hook"
	/etc/vmtier/vmtierd.conf
	/etc/vmtier/vmtierd.conf.d
	/etc/vmtier/policy.d
)

# What the build leaves out by itself, where it lacks something.
has_unit='' has_pages=''
if grep -qs '^#define HAVE_SYSTEMD 1' "$build/build_config.h"; then
	has_unit=yes
	expected+=("$unit")
else
	skip "installs $unit" "built without libsystemd"
fi
# What it leaves out unless it is asked for.
if [ -e "$build/packaging/dkms/dkms.conf" ]; then
	version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' "$build/packaging/dkms/dkms.conf")
	patches=$(dirname "$0")/../../kvm-patches
	while read -r file; do
		expected+=("/usr/src/vmtier-kvm-$version/$file")
	done < <(printf '%s\n' dkms.conf step README.md && cd -- "$patches" &&
		find apply build v* -type f -printf 'kvm-patches/%p\n')
	expected+=(/usr/share/dkms/modules_to_force_install/vmtier-kvm
		/etc/kernel/{postinst.d,header_postinst.d}/vmtier-kvm)
fi
if [ -e "$build/man/vmtierd.8" ]; then
	has_pages=yes
	expected+=("${pages[@]/#/$man/}")
else
	skip "installs the manuals" "built without scdoc"
fi

there() {
	[ -d "$1" ] || [ -s "$1" ]
}
for path in "${expected[@]}"; do
	check "installs $path" there "$root$path"
done
found() {
	(cd -- "$root" && find . \( ! -type d -o -empty \) -printf '/%P\n' | sort)
}
check "installs nothing else" \
	says_nothing comm -13 <(printf '%s\n' "${expected[@]}" | sort) <(found)
for path in "$sbin/vmtierd" "$bin/vmtierctl" "$hook"; do
	check "$path can be executed by all" test "$(stat -c %A "$root$path" | tr -d -c x)" = xxx
done
writable() {
	find "$root" ! -type l -perm /022
}
check "nothing of it is writable for others" says_nothing writable

check "the installed daemon takes the installed configuration" \
	"$root$sbin/vmtierd" --check-config --config "$root/etc/vmtier/vmtierd.conf"
if command -v xmllint > /dev/null; then
	check "the installed schema takes the installed example" xmllint --noout --quiet \
		--relaxng "$root$share/vmtier/vmtier-policy.rng" "$root$share/doc/vmtier/policy-example.xml"
else
	skip "the installed schema takes the installed example" "no xmllint here"
fi
if command -v systemd-sysusers > /dev/null; then
	makes_group() {
		local said
		said=$(LC_ALL=C systemd-sysusers --dry-run --root="$dest" "$root$sysusers" 2>&1)
		[[ $said == *"group 'vmtier'"* ]]
	}
	check "the installed sysusers file makes the group" makes_group
else
	skip "the installed sysusers file makes the group" "no systemd-sysusers here"
fi

if [ -n "$has_unit" ]; then
	check "the unit starts the installed daemon" grep -qx "ExecStart=$sbin/vmtierd" "$root$unit"
	# It looks for the daemon; manuals are not installed where it looks for them.
	verify_unit() {
		sed "s|^ExecStart=|&$root|" "$root$unit" > "$dest/vmtierd.service" &&
			systemd-analyze verify --man=no "$dest/vmtierd.service"
	}
	if command -v systemd-analyze > /dev/null; then
		check "systemd has nothing to say against the unit" says_nothing verify_unit
	else
		skip "systemd has nothing to say against the unit" "no systemd-analyze here"
	fi
fi
if [ -n "$has_unit" ] && [ -n "$has_pages" ]; then
	documented() {
		local words word
		words=$(sed -n 's/^Documentation=//p' "$root$unit")
		[ -n "$words" ] || return
		for word in $words; do
			[[ $word =~ ^man:(.*)\(([1-9])\)$ ]] || return
			[ -s "$root$man/man${BASH_REMATCH[2]}/${BASH_REMATCH[1]}.${BASH_REMATCH[2]}" ] || return
		done
	}
	check "the unit names manuals that are installed" documented
fi
echo "1..$number"
exit "$failed"
