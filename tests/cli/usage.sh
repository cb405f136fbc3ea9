#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Bad arguments: exit code 2, one sentence, and nobody is asked anything.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
tap_start "$1"

usage() {
	local sentence=$1

	shift
	run "$@"
	ok "$sentence: exit code 2" exits 2
	ok "$sentence: nothing on standard output" silent
	ok "$sentence: a hint at the help" says "Try 'vmtierctl --help'."
}

usage "no verb"
usage "an unknown verb" frobnicate
usage "an empty verb" ""
usage "an unknown option" --frobnicate
usage "an unknown option after the verb" status --frobnicate
usage "--socket without a path" status --socket
usage "show without a guest" show
usage "show with two guests" show a b
usage "status with a guest" status db1
usage "list with a guest" list db1
usage "doctor with an argument" doctor now
usage "metrics with an argument" metrics file
usage "pause without a guest" pause
usage "pause with two guests" pause a b
usage "pause with a guest and --all" pause db1 --all
usage "resume without a guest" resume
usage "status with --all" status --all
usage "status with --output" status --output "$dir/f"
usage "notify with three arguments" notify db1 started begin
usage "notify with five arguments" notify db1 started begin - -
usage "--json=yes" --json=yes status
usage "a verb with control characters" $'\e[2Jstatus'
ok "control characters do not reach the terminal" plain

run --socket "$(printf '%0200d' 0)" status
ok "a path too long for a socket: exit code 2" exits 2
ok "a path too long for a socket: one sentence" one_sentence

run --help
ok "--help: exit code 0" exits 0
ok "--help: fits 80 columns" fits
for verb in status list show pause resume doctor metrics notify; do
	ok "--help knows $verb" prints "  $verb"
done
run --version
ok "--version: exit code 0" exits 0
ok "--version says which" prints "vmtierctl "

for verb in status list "show db1" "pause db1" "resume --all" metrics; do
	# shellcheck disable=SC2086
	run $verb
	ok "$verb without vmtierd: exit code 3" exits 3
	ok "$verb without vmtierd: one sentence" one_sentence
	ok "$verb without vmtierd: a next step" says "vmtierctl doctor"
done

: >"$sock"
run status
ok "a file in place of the socket: exit code 3" exits 3
tap_end
