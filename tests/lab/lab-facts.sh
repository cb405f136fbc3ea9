#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the lab: what this machine looks like, as KEY=VALUE lines.

tier_of() { # NODE
	local tier range
	for tier in /sys/devices/virtual/memory_tiering/memory_tier*; do
		for range in $(tr , ' ' < "$tier/nodelist"); do
			if [ "$1" -ge "${range%-*}" ] && [ "$1" -le "${range#*-}" ]; then
				echo "${tier##*memory_tier}"
			fi
		done
	done
}

for node in /sys/devices/system/node/node[0-9]*; do
	n=${node##*node}
	echo "cpus$n=$(< "$node/cpulist")"
	echo "tier$n=$(tier_of "$n")"
	echo "distance$n=$(< "$node/distance")"
done
echo "kvm=$(test -c /dev/kvm && echo yes)"
echo "npt=$(< /sys/module/kvm_amd/parameters/npt)"
echo "balancing=$(< /proc/sys/kernel/numa_balancing)"
echo "here=$PWD"
echo "program=$(realpath "$0")"
for fs in proc sysfs devtmpfs devpts debugfs tracefs securityfs cgroup2 hugetlbfs; do
	grep -q " $fs " /proc/mounts || echo "lacking=$fs"
done
for dir in /tmp /run /dev/shm; do
	[ "$(stat -f -c %T "$dir")" = tmpfs ] || echo "lacking=$dir"
done
touch written-in-the-lab && rm written-in-the-lab && echo "writable=yes"
