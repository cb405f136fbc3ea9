#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# doctor on the machine that builds, whatever it is: it ends, and it is clear.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
tap_start "$1"

python_says() { python3 -c "import json,sys; d=json.load(open('$dir/out')); sys.exit(not ($1))"; }

run doctor
ok "without vmtierd: exit code 0 or 1" [ "$rc" -le 1 ]
ok "fits 80 columns" fits
ok "says that vmtierd does not run" prints "vmtierd does not run"
ok "ends within 10 s" within 10000
human=$rc
run --json doctor
ok "--json: the same exit code" exits "$human"
ok "--json: counts what it lists" python_says \
	"d['failed'] == sum(f['verdict'] == 'fail' for f in d['findings'])"
ok "--json: exit code 1 means that something failed" python_says "(d['failed'] > 0) == ($rc == 1)"
ok "--json: every trouble has a sentence" python_says \
	"all(f['text'].endswith(('.', ')')) for f in d['findings'])"

daemon serve 2
run --json doctor
ok "with vmtierd: it is found" python_says \
	"any(f['topic'] == 'vmtierd' and f['verdict'] == 'ok' for f in d['findings'])"
ok "with vmtierd: its problems are told" python_says \
	"any('numad' in f['text'] and f['topic'] == 'vmtierd says' for f in d['findings'])"
daemon hang
run --json doctor
ok "a vmtierd that hangs is a failure" python_says \
	"any(f['topic'] == 'vmtierd' and f['verdict'] == 'fail' for f in d['findings'])"
ok "a vmtierd that hangs does not hang the doctor" within 15000
tap_end
