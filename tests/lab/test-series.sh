#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In the lab: see series. Prints TAP.

set -u
total=0
failed=0
# Of a harvester beside dirty_log_test, a quarter of what there are at least.
harvests_min=1000
logged_min=15000
said=$(mktemp) || exit 1
trap 'rm -f -- "$said"' EXIT
sleep infinity 2> /dev/null |
	"$VMTIER_BUILD/tests/lab/vmm" -name anchor -pages 512 > /dev/null 2>&1 & # see tests/lab/each

verdict() { # STATUS NAME
	total=$((total + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $total - $2"
	else
		sed 's/^/# /' "$said"
		echo "not ok $total - $2"
		failed=$((failed + 1))
	fi
}

# Debian's kernel has no idle page tracking, so that one would be skipped; instead
# of it there is "notes" below. The debug kernel has (lab/stress).
"$SELFTESTS/access_fd_test" -T harvests_and_the_hosts_ageing_do_not_blind_each_other \
	> "$said" 2>&1
status=$?
while read -r line; do
	case $line in
	"ok "*) verdict 0 "${line#ok * global.}" ;;
	"not ok "*) verdict 1 "${line#not ok * global.}" ;;
	esac
done < <(grep -E '^(not )?ok ' "$said")
[ "$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' "$said")" = "$total" ]
verdict $? "all of access_fd_test ran"
verdict "$status" "access_fd_test has status 0"

for mode in dirty-log clear-log dirty-ring; do
	"$VMTIER_BUILD/tests/lab/harvest-beside" "$SELFTESTS/dirty_log_test" -M "$mode" -i 3 \
		> "$said" 2>&1
	verdict $? "beside a harvester dirty_log_test finds nothing wrong: $mode"
	counts=$(grep '^harvest-beside: ' "$said" | tail -n 1)
	[[ $counts =~ ([0-9]+)\ harvests,\ .*\(([0-9]+)\ where ]] &&
		[ "${BASH_REMATCH[1]}" -ge "$harvests_min" ] && [ "${BASH_REMATCH[2]}" -ge "$logged_min" ]
	verdict $? "it was harvested all the time: $mode"
	echo "# $counts"
done

# Each side finds what the other one has cleared, all of it, once.
"$VMTIER_BUILD/bench/bench-ageing" notes --pages 4096 > "$said" 2>&1
status=$?
[ "$status" -eq 0 ] && grep -q '"first": "ageing".* "young": 4096, "accessed": 4096, "accessed_again": 0}' "$said"
verdict $? "a harvest finds what the host's ageing has cleared"
[ "$status" -eq 0 ] && grep -q '"first": "harvest".* "accessed": 4096, "young": 4096, "young_again": 0}' "$said"
verdict $? "the host's ageing finds what a harvest has cleared"

# The trace event tells what a harvest did.
trace=/sys/kernel/tracing
echo 1 > $trace/events/kvm/kvm_access_harvest/enable
"$VMTIER_BUILD/bench/bench-ageing" notes --pages 4096 > /dev/null 2>&1
echo 0 > $trace/events/kvm/kvm_access_harvest/enable
grep kvm_access_harvest $trace/trace > "$said"
grep -q 'kvm_access_harvest: vm [0-9]* as_id 0 flags 0x0 gfn 0x[0-9a-f]* pages 4096 present 4096 accessed 4096 ret 0' "$said"
verdict $? "harvests can be traced"

echo "1..$total"
[ "$failed" -eq 0 ]
