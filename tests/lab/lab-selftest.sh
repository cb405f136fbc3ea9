#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Does the lab keep its promises? Boots it ten times, two at a time, prints TAP.
# Usage: lab-selftest.sh [stock|patched]   (default: stock)
# shellcheck disable=SC2317 # functions are called through ok

set -u
cd "$(dirname -- "${BASH_SOURCE[0]}")/../.." || exit 1
kind=${1:-stock}
failed=0 count=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/tmp"
export TMPDIR=$work/tmp # the lab's own files: what is left there is a fault

ok() { # SENTENCE COMMAND...
	local sentence=$1
	shift
	count=$((count + 1))
	if "$@" > "$work/why" 2>&1; then
		echo "ok $count - $sentence"
	else
		echo "not ok $count - $sentence"
		sed 's/^/# /' "$work/why"
		failed=1
	fi
}

# lab NAME OPTIONS...: $work/NAME.{out,err,status}
lab() {
	local name=$1
	shift
	lab/run --quiet --kernel "$kind" "$@" > "$work/$name.out" 2> "$work/$name.err"
	echo $? > "$work/$name.status"
}

status_is() { # NAME STATUS
	[ "$(< "$work/$1.status")" = "$2" ] && return
	echo "exit status $(< "$work/$1.status"), expected $2; stderr:"
	cat "$work/$1.err"
	return 1
}

same() { # EXPECTED FOUND
	[ "$1" = "$2" ] && return
	printf 'expected: %s\nfound: %s\n' "$1" "$2"
	return 1
}

says() { # FILE PATTERN
	grep -qE -- "$2" "$1" && return
	echo "no '$2' in:"
	cat "$1"
	return 1
}

fact() { # NAME KEY VALUE: a KEY=VALUE line of lab-facts.sh
	same "$3" "$(sed -n "s/^$2=//p" "$work/$1.out")"
}

slower() { # NAME NODE THAN: the tier of NODE is below (a greater number)
	local tier than
	tier=$(sed -n "s/^tier$2=//p" "$work/$1.out")
	than=$(sed -n "s/^tier$3=//p" "$work/$1.out")
	[ -n "$tier" ] && [ -n "$than" ] && [ "$tier" -gt "$than" ] && return
	echo "node $2 is in tier '$tier', node $3 in tier '$than'"
	return 1
}

nothing_runs() {
	! pgrep -f "$TMPDIR/vmtier-lab"
}

nothing_left() {
	same "" "$(pgrep -af "$TMPDIR/vmtier-lab"; ls -A "$TMPDIR")"
}

# until_true SECONDS COMMAND...
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}

echo "# KVM: $kind"

# --- the boots that should go well
args=("two words" '"quoted"' "it's" "\$(false) * \\" $'line\nbreak\n' "" $'\xff\t\x01' -x --)
printf '%s\0' "${args[@]}" > "$work/args"

lab plain --tcg single --out "$work/plain-out" -- bash tests/lab/lab-facts.sh &
# shellcheck disable=SC2016 # expands in the lab
lab bytes --tcg single --out "$work/bytes-out" -- bash -c 'printf "%s\0" "$@" > "$LAB_OUT/args"
	echo to stderr >&2; echo to stdout; seq 300000; sleep 1000 & exit 7' bash "${args[@]}"
wait
lab one --topology 1+0 --tcg single -- bash tests/lab/lab-facts.sh &
# shellcheck disable=SC2016 # expands in the lab
lab two --topology 2+2 --mem-dram 768 --mem-cxl 512 -- \
	bash -c 'bash tests/lab/lab-facts.sh; kill -TERM $$'
wait

ok "exit status 0 is passed on" status_is plain 0
ok "nothing on stderr that the command did not say" same "" "$(< "$work/plain.err")"
ok "1+1: node 0 has the CPUs" fact plain cpus0 0-1
ok "1+1: node 1 has none" fact plain cpus1 ""
ok "1+1: node 1 is the slower tier" slower plain 1 0
ok "/dev/kvm is there" fact plain kvm yes
ok "nested paging is on" fact plain npt Y
ok "NUMA balancing is off" fact plain balancing 0
ok "the current directory is kept" fact plain here "$(pwd -P)"
ok "the build tree is at the same path" fact plain program "$(pwd -P)/tests/lab/lab-facts.sh"
ok "the build tree can be written to" fact plain writable yes
ok "but not through to the build machine" test ! -e written-in-the-lab
ok "all file systems are mounted" fact plain lacking ""
ok "--out keeps the console log" test -s "$work/plain-out/console.log"

ok "exit status 7 is passed on, a process left behind does not matter" status_is bytes 7
ok "arguments arrive byte for byte, results come back" cmp "$work/args" "$work/bytes-out/args"
ok "stdout arrives whole and alone" cmp "$work/bytes.out" <(echo to stdout; seq 300000)
ok "stderr arrives alone" same "to stderr" "$(< "$work/bytes.err")"

ok "1+0: works" status_is one 0
ok "1+0: one node, one tier" same "tier0=4" "$(grep '^tier' "$work/one.out")"

ok "2+2: the end by a signal is passed on" status_is two 143
ok "2+2: node 0 has a CPU" fact two cpus0 0
ok "2+2: node 1 has a CPU" fact two cpus1 1
ok "2+2: nodes 2 and 3 have none" test -z "$(grep -E '^cpus[23]=.' "$work/two.out")"
ok "2+2: node 2 is slower than node 1" slower two 2 1
ok "2+2: node 3 is slower than node 0" slower two 3 0
ok "2+2: node 2 is near node 0" fact two distance0 "10 21 14 24"
ok "2+2: node 3 is near node 1" fact two distance1 "21 10 24 14"

# --- failures
lab hang --timeout 25 -- sleep 1000 &
hang=$!
lab warn --timeout 100 -- sh -c 'echo "------ WARNING: made up by the self-test" > /dev/kmsg'
ok "a warning of the kernel is a failure" status_is warn 125
ok "and is quoted" says "$work/warn.err" 'the kernel of the lab complained.*made up'
lab panic -- sh -c 'echo c > /proc/sysrq-trigger'
wait "$hang"
ok "a command that hangs is ended" status_is hang 125
ok "and the message says so" says "$work/hang.err" 'did not (end|come up) within 25 s.*whole console: '
ok "a panic is a failure" status_is panic 125
ok "and is quoted" says "$work/panic.err" 'the kernel of the lab complained.*sysrq'
lab bad --topology 3:1 -- true
ok "a wrong option is a failure with a sentence" says "$work/bad.err" 'no such topology .3:1.: give'
lab bad --tcg both -- true
ok "so is another way to emulate" says "$work/bad.err" "tcg takes multi or single, not 'both'"
lab bad --qemu-arg -no-such-option -- true
ok "a QEMU that does not start is one too" says "$work/bad.err" 'QEMU did not start: .*no-such-option'
echo "no module" > "$work/bad.ko"
lab bad --module "$work/bad.ko" -- true
ok "so is a module that does not load" says "$work/bad.err" 'cannot load bad.ko: '

lab trips --append 'rdinit=/none loglevel=6 x="Oops: int3"' -- true
ok "a boot that the emulator broke is tried again" says "$work/trips.err" 'boot 3 of 3'
ok "three times at most" same 2 "$(grep -c 'boot . of 3' "$work/trips.err")"
ok "and then it is a failure" status_is trips 125

# --- killed
lab/run --quiet --kernel "$kind" -- sh -c 'echo up; sleep 1000' > "$work/killed.out" 2> "$work/killed.err" &
victim=$!
ok "output arrives while the command runs" until_true 60 grep -q up "$work/killed.out"
kill -TERM "$victim"
wait "$victim"
ok "SIGTERM ends it with 143" same 143 $?
ok "nothing is left running, no file is left" nothing_left
lab/run --quiet --kernel "$kind" -- sleep 1000 > /dev/null 2>&1 &
victim=$!
until_true 20 pgrep -f "qemu.*$TMPDIR/vmtier-lab"
kill -KILL "$victim"
{ wait "$victim"; } 2> /dev/null
ok "even SIGKILL leaves nothing running" until_true 5 nothing_runs
lab after -- true
ok "and the next run removes its files" nothing_left

echo "1..$count"
exit $failed
