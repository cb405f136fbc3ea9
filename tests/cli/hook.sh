#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# libvirt's hook: exit code 0, silence and an end, whatever happens.
# Usage: hook.sh VMTIERCTL HOOK
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
tap_start "$1"
hook=${2:-$here/../../libvirt-hooks/qemu.d/50-vmtier}

# vmtierctl has 300 ms and is killed after 500; the rest is a busy machine's.
limit=2000
mkdir "$dir/bin"
xml="<domain><name>db1</name></domain>"

# A vmtierctl that does what $1 says; the real one finds the sockets of this test.
vmtierctl_does() {
	printf '#!/bin/sh\n%s\n' "$1" >"$dir/bin/vmtierctl"
	chmod 755 "$dir/bin/vmtierctl"
}

# The hook as libvirt calls it: a few variables, pipes, and it waits for their ends.
call() {
	local before after

	before=$(date +%s%N)
	env -i LC_ALL=C PATH="$dir/bin:/usr/bin:/bin" HOME=/ timeout -k 1 20 "$hook" "$@" \
		>"$dir/out" 2> >(cat >"$dir/err")
	rc=$?
	after=$(date +%s%N)
	ms=$(((after - before) / 1000000))
	out=$(cat "$dir/out") err=$(cat "$dir/err")
}
quiet() { [ ! -s "$dir/out" ] && [ ! -s "$dir/err" ]; }

# On a busy machine vmtierctl's 300 ms may be over before the event has arrived: once more then.
# arrives TEXT ARG...: the hook, until a request has TEXT
arrives() {
	local text=$1

	shift
	for _ in 1 2 3 4 5; do
		call "$@" <<<"$xml"
		grep -qF -- "$text" "$dir/requests" && return
	done
}

holds() {
	ok "$1: exit code 0" exits 0
	ok "$1: nothing is printed" quiet
	ok "$1: an end in time" within $limit
}

vmtierctl_does "exec '$vmtierctl' --hook-socket '$sock' \"\$@\""
daemon log "$dir/requests"
arrives '"operation":"started"' db1 started begin -
holds "an event"
ok "an event arrives" grep -q '"operation":"started"' "$dir/requests"
ok "with its XML" grep -q '<name>db1</name>' "$dir/requests"
arrives '"domain":"--help"' --help stopped end -
holds "a guest called --help"
ok "a guest called --help arrives" grep -q '"domain":"--help"' "$dir/requests"
# shellcheck disable=SC2016
arrives '"domain":"a b;$(touch x)`*"' 'a b;$(touch x)`*' started begin -
holds "a guest named by a shell"
# shellcheck disable=SC2016
ok "a name is not looked into" grep -qF '"domain":"a b;$(touch x)`*"' "$dir/requests"
call </dev/null
holds "no arguments at all"
call db1 migrate begin - <<<"$xml"
holds "migration, where output would be a new XML"
call db1 reconnect begin - <&-
holds "a closed standard input"

mkfifo "$dir/pipe"
sleep 60 >"$dir/pipe" &
sleeper=$!
call db1 started begin - <"$dir/pipe"
kill "$sleeper"
holds "XML that never ends"

daemon hang
call db1 started begin - <<<"$xml"
holds "a daemon that hangs"
daemon deaf
call db1 started begin - <<<"$xml"
holds "a daemon that does not accept"
daemon_stop
rm -f "$sock"
call db1 started begin - <<<"$xml"
holds "no daemon"

vmtierctl_does 'sleep 60'
call db1 started begin - <<<"$xml"
holds "a vmtierctl that hangs"
vmtierctl_does 'trap "" TERM INT; while :; do :; done'
call db1 started begin - <<<"$xml"
holds "a vmtierctl that does not let itself be ended"
vmtierctl_does 'echo "<domain/>"; echo trouble >&2; exit 1'
call db1 started begin - <<<"$xml"
holds "a vmtierctl that prints and fails"
vmtierctl_does 'kill -SEGV $$'
call db1 started begin - <<<"$xml"
holds "a vmtierctl that crashes"
rm "$dir/bin/vmtierctl"
call db1 started begin - <<<"$xml"
holds "no vmtierctl"

ok "the hook has fewer than 40 lines" [ "$(wc -l <"$hook")" -lt 40 ]
# shellcheck disable=SC2016
ok "the hook never calls libvirt" sh -c '! grep -v "^#" "$1" | grep -q virsh' sh "$hook"
tap_end
