# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A topology in words ("2+2") as QEMU arguments: nodes, distances, and the
# HMAT from which the kernel learns that the CXL nodes are the slower tier.

# Distances as firmware of two-socket servers with CXL gives them.
declare -A distance=([other_dram]=21 [own_cxl]=14 [other_cxl]=24)

# Nanoseconds and bytes per second; only the ratios matter to the kernel, which
# forms the tiers from them. The emulated memory itself is equally fast.
declare -A latency=([own_dram]=100 [other_dram]=180 [own_cxl]=250 [other_cxl]=350)
declare -A bandwidth=([own_dram]=200G [other_dram]=80G [own_cxl]=40G [other_cxl]=20G)

# machine_check TOPOLOGY CPUS: a sentence and failure if it cannot be.
machine_check() {
	[[ $1 =~ ^[1-4]\+[0-4]$ ]] ||
		die "no such topology '$1': give DRAM nodes + CXL nodes, for example 1+1, 2+2 or 1+0"
	[[ $2 =~ ^[1-9][0-9]*$ ]] || die "--cpus takes a number, not '$2'"
	(($2 % ${1%+*} == 0)) ||
		die "$2 CPUs cannot be shared evenly by ${1%+*} DRAM nodes: give --cpus a multiple of ${1%+*}"
}

# machine_args TOPOLOGY CPUS MEM_DRAM MEM_CXL: appends to the array qemu_args.
# Nodes 0..D-1 are DRAM with CPUs, D..D+C-1 are CXL without; CXL node D+i hangs
# off DRAM node i (modulo D).
machine_args() {
	local dram=${1%+*} cxl=${1#*+} cpus=$2 mem_dram=$3 mem_cxl=$4
	local per=$((cpus / dram)) nodes=$((dram + cxl)) total=0 node from size what
	local -a home=()

	for ((node = 0; node < nodes; node++)); do
		home[node]=$(((node < dram ? node : node - dram) % dram))
		size=$((node < dram ? mem_dram : mem_cxl))
		total=$((total + size))
		qemu_args+=(-object "memory-backend-ram,id=mem$node,size=${size}M")
		if ((node < dram)); then
			what=cpus=$((node * per))-$((node * per + per - 1))
		else
			what=initiator=${home[node]}
		fi
		qemu_args+=(-numa "node,nodeid=$node,memdev=mem$node,$what")
	done
	for ((from = 0; from < nodes; from++)); do
		for ((node = 0; node < nodes; node++)); do
			what=$([ "${home[from]}" = "${home[node]}" ] && echo own || echo other)
			what+=_$( ((node < dram)) && echo dram || echo cxl)
			if ((from < node)); then
				((from < dram)) || what=other_cxl # CXL to CXL
				qemu_args+=(-numa "dist,src=$from,dst=$node,val=${distance[$what]}")
			fi
			((from < dram)) || continue
			qemu_args+=(
				-numa "hmat-lb,initiator=$from,target=$node,hierarchy=memory,data-type=access-latency,latency=${latency[$what]}"
				-numa "hmat-lb,initiator=$from,target=$node,hierarchy=memory,data-type=access-bandwidth,bandwidth=${bandwidth[$what]}"
			)
		done
	done
	qemu_args+=(-machine "q35,hmat=on" -m "${total}M"
		-smp "$cpus,sockets=$dram,cores=$per,threads=1")
}
