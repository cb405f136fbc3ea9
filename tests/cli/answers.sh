#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a healthy vmtierd answers, and how it is shown.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
tap_start "$1"

valid_json() { python3 -m json.tool <"$dir/out" >/dev/null; }
lacks_unknown() { ! grep -q Unknown "$dir/out"; }
ascii() { ! LC_ALL=C grep -q '[^ -~]' "$dir/out"; }

daemon serve 5
run status
ok "status: exit code 0" exits 0
ok "status fits 80 columns, long names included" fits
ok "status shows no control characters of hostile names" plain
ok "status has the state with its reason" prints "blocked, the cpuset of the guest forbids"
ok "status has the age of the last pass" prints "last pass 1.2 s ago"
ok "status has the rate against the limit" prints "240 MiB/s of 256 MiB/s"
ok "status has the share of RAM by node" prints "node 0 36%, node 1 57%"
ok "status has the node that hot pages go to" prints "promote  node 0"
ok "status has the node that cold pages go to" prints "demote   node 1"
ok "status says if there is none" prints "promote  none"
ok "status has failures by cause" prints "promote failed: busy 2, pinned 14 pages"
ok "status has the source" prints "source kvm+ring"
ok "status has problems of the host" prints "Problem: numad runs"
run --json status
ok "status --json: exit code 0" exits 0
ok "status --json is JSON" valid_json
ok "status --json is ASCII" ascii
run status --json
ok "--json may follow the verb" valid_json

run list
ok "list: exit code 0" exits 0
ok "list fits 80 columns" fits
ok "list shows no control characters" plain
run --json list
ok "list --json is JSON" valid_json

run show db1
ok "show: exit code 0" exits 0
ok "show fits 80 columns" fits
ok "show has the target nodes" prints "to node 1: "
ok "show has what is left alone, and why" prints "slot 3 is a ROM"
ok "show has what is mapped without accessed bits" prints "4.0 MiB mapped without accessed bits"
run show guest3
ok "and nothing of it where there is none" lacks_unknown
run --json show db1
ok "show --json is JSON" valid_json
run show db9
ok "show of no guest: exit code 4" exits 4
ok "show of no guest: one sentence" one_sentence
run show -- --help
ok "a guest may be called --help" exits 4
run show $'no\e[2Jsuch'
ok "a name with control characters: exit code 4" exits 4
ok "a name with control characters is not sent to the terminal" plain
run show $'\xff\xfe'
ok "a name that is no text: exit code 4" exits 4

run pause db1
ok "pause: exit code 0" exits 0
run pause --all
ok "pause --all: exit code 0" exits 0
run resume db1
ok "resume: exit code 0" exits 0
run pause locked
ok "what is not permitted: exit code 5" exits 5
ok "what is not permitted: vmtierd's sentence" says "only root may do this"
run resume db9
ok "resume of no guest: exit code 4" exits 4

run metrics
ok "metrics: exit code 0" exits 0
ok "metrics are printed as they come" prints "x_total 1"

daemon serve 0
run status
ok "status without guests: exit code 0" exits 0
ok "status without guests says so" prints "0 guests"

daemon serve 50
run status
ok "status of 50 guests: exit code 0" exits 0
ok "status of 50 guests fits 80 columns" fits

"$vmtierctl" --socket "$sock" status >/dev/full 2>"$dir/err"
rc=$? err=$(cat "$dir/err")
ok "a full disk: exit code 1" exits 1
ok "a full disk: one sentence" one_sentence
tap_end
