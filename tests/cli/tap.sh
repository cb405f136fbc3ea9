# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For tests of the command line: TAP lines, a directory that is removed at the
# end, and a daemon that answers as it is told.
#
#   tap_start VMTIERCTL     paths; every test calls this first
#   ok SENTENCE COMMAND...  one test: whether COMMAND succeeds
#   run ARG...              vmtierctl ARG..., into $out, $err, $rc and $ms
#   daemon BEHAVIOUR [ARG]  a fake daemon on $sock, in place of the one before
#   tap_end                 the plan

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tests=0
failed=0
daemon_pid=

tap_cleanup() {
	daemon_stop
	rm -rf -- "$dir"
}

tap_start() {
	[ -n "$1" ] || { echo "Bail out! usage: $0 VMTIERCTL"; exit 1; }
	vmtierctl=$(realpath "$1")
	dir=$(mktemp -d /tmp/vmtier-cli-XXXXXX)
	sock=$dir/sock
	trap tap_cleanup EXIT
	export LC_ALL=C NO_COLOR=1
}

daemon_stop() {
	[ -n "$daemon_pid" ] || return 0
	kill "$daemon_pid" 2>/dev/null
	wait "$daemon_pid" 2>/dev/null
	daemon_pid=
}

daemon() {
	daemon_stop
	rm -f "$sock" "$dir/ready"
	python3 "$here/fake_daemon.py" "$sock" "$@" >"$dir/ready" 2>"$dir/daemon.log" &
	daemon_pid=$!
	for _ in $(seq 100); do
		[ -s "$dir/ready" ] && return 0
		sleep 0.05
	done
	echo "Bail out! the fake daemon does not start: $(cat "$dir/daemon.log")"
	exit 1
}

run() {
	local before after

	before=$(date +%s%N)
	timeout -k 1 20 "$vmtierctl" --socket "$sock" --hook-socket "$sock" "$@" \
		>"$dir/out" 2>"$dir/err"
	rc=$?
	after=$(date +%s%N)
	ms=$(((after - before) / 1000000))
	out=$(tr -d '\0' <"$dir/out")
	err=$(tr -d '\0' <"$dir/err")
}

ok() {
	local sentence=$1

	shift
	tests=$((tests + 1))
	if "$@"; then
		echo "ok $tests - $sentence"
	else
		failed=$((failed + 1))
		echo "not ok $tests - $sentence"
		printf '# %s\n' "rc=$rc ms=$ms, failed: $*"
		printf '%s\n%s\n' "$out" "$err" | cut -c 1-200 | head -20 | sed 's/^/# /'
	fi
}

# What ok() is given: all hold on the last run.
exits() { [ "$rc" -eq "$1" ]; }
says() { case $err in *"$1"*) true ;; *) false ;; esac; }
prints() { case $out in *"$1"*) true ;; *) false ;; esac; }
silent() { [ ! -s "$dir/out" ]; }
one_sentence() { [ "$(printf '%s\n' "$err" | grep -c .)" -eq 1 ] && says vmtierctl:; }
fits() { ! grep -q '.\{81\}' "$dir/out"; }
plain() { ! LC_ALL=C grep -q '[^[:print:]]' "$dir/out" "$dir/err"; }
within() { [ "$ms" -le "$1" ]; }

tap_end() {
	echo "1..$tests"
	[ "$failed" -eq 0 ]
}
