#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# metrics --output: the file is whole at any moment, and nothing is left over.
# shellcheck source=tests/cli/tap.sh
. "$(dirname "$0")/tap.sh"
tap_start "$1"

mkdir "$dir/metrics"
file=$dir/metrics/vmtier.prom
alone() { [ "$(ls -A "$dir/metrics")" = vmtier.prom ]; }
empty() { [ -z "$(ls -A "$dir/metrics")" ]; }
holds() { [ "$(cat "$file")" = "$1" ]; }

daemon serve 1
umask 077
run metrics --output "$file"
ok "the file is written" exits 0
ok "nothing is printed" silent
ok "it has the metrics" grep -q '^x_total 1$' "$file"
ok "others may read it" [ "$(stat -c %a "$file")" = 644 ]
ok "it is alone in its directory" alone
inode=$(stat -c %i "$file")
run metrics --output "$file"
ok "it is replaced, not written over" [ "$(stat -c %i "$file")" != "$inode" ]
(cd "$dir/metrics" && "$vmtierctl" --socket "$sock" metrics --output vmtier.prom)
rc=$?
ok "a name without a directory will do" exits 0

echo old >"$file"
daemon say '{"error": "failed", "message": "no"}'
run metrics --output "$file"
ok "vmtierd fails: exit code 1" exits 1
ok "vmtierd fails: the old file stays" holds old
ok "vmtierd fails: nothing else is there" alone
daemon_stop
rm -f "$sock"
run metrics --output "$file"
ok "no vmtierd: exit code 3" exits 3
ok "no vmtierd: the old file stays" holds old

daemon serve 1
rm "$file"
run metrics --output "$dir/nowhere/vmtier.prom"
ok "no such directory: exit code 1" exits 1
ok "no such directory: one sentence" one_sentence
run metrics --output ""
ok "an empty name: exit code 1" exits 1
run metrics --output "$dir/metrics"
ok "a directory: exit code 1" exits 1
ok "a directory: nothing is left in it" empty
ln -s "$dir/elsewhere" "$file"
run metrics --output "$file"
ok "a link: exit code 1" exits 1
ok "a link is left alone" [ -L "$file" ]
rm "$file"
mkfifo "$file"
run metrics --output "$file"
ok "a pipe: exit code 1" exits 1
ok "a pipe is left alone" [ -p "$file" ]
rm "$file"
run metrics --output /dev/null
ok "/dev/null: exit code 1" exits 1
ok "/dev/null is still a device" [ -c /dev/null ]

# A limit of 0 on the size of files makes writing fail after the file was made.
(trap '' XFSZ; ulimit -f 0; exec "$vmtierctl" --socket "$sock" metrics --output "$file") \
	2>/dev/null
rc=$?
ok "a write that fails: exit code 1" exits 1
ok "a write that fails: nothing is left" empty
tap_end
