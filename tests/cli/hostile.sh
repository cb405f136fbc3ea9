#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Whatever listens on the socket: an exit code, one sentence, and an end.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
tap_start "$1"

# The time limit of the program is 5 s.
hostile() {
	local sentence=$1 code=$2

	run status
	ok "$sentence: exit code $code" exits "$code"
	ok "$sentence: one sentence" one_sentence
	ok "$sentence: an end within 6 s" within 6000
}

daemon hang
hostile "a daemon that takes the request and hangs" 3
daemon deaf
hostile "a daemon that does not accept" 3
daemon trickle
hostile "a daemon that sends a byte now and then" 3
daemon bye
hostile "a daemon that hangs up" 3
daemon cut
hostile "a daemon that hangs up in the middle" 1
daemon flood
hostile "an answer without end" 1
daemon say 'hello'
hostile "an answer that is not JSON" 1
daemon say '[]'
hostile "an answer that is no object" 1
daemon say '{}'
hostile "an answer without parameters" 1
daemon say '{"parameters": 7}'
hostile "parameters that are no object" 1
daemon say '{"parameters": {}, "parameters": {}}'
hostile "a member twice" 1
daemon say "$(printf '[%.0s' $(seq 5000))"
hostile "an answer that is nested deeply" 1
daemon say $'{"error": "failed", "message": "\\u001b[2J"}'
hostile "an error with control characters" 1
ok "control characters of an error are not sent to the terminal" plain
daemon say '{"error": "never-heard-of"}'
hostile "an error that is not known" 1
daemon say '{"error": 7, "message": []}'
hostile "an error that is no text" 1

odd='{"parameters": {"version": 7, "nodes": {"a": 1}, "problems": "x", "uptime_ns": -1,
"guests": [null, 7, "x", {}, {"name": 7, "directions": [], "node_pages": [], "pid": -5,
"target_node": "x"}, {"name": "", "directions": {"promote": {"failed_pages": {"busy": "x",
"pinned": 9223372036854775807, "a\u001b": 1}, "queued_pages": 9223372036854775807}}}]}}'
daemon say "${odd//$'\n'/}"
run status
ok "members of the wrong type do no harm to status" exits 0
ok "members of the wrong type show no control characters" plain
run list
ok "members of the wrong type do no harm to list" exits 0
run show x
ok "a guest that is missing in the answer does no harm to show" exits 0
run metrics
ok "metrics that are missing: exit code 1" exits 1
tap_end
