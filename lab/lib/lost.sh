# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Was a lab lost by nobody's fault? What the emulator, or a machine that vanishes, has
# spoilt proves nothing, neither good nor bad: see lab/README.md.

# lab_was_lost DIR: after `lab/run --out DIR` has ended with 125. Succeeds, and sets lost
# to the reason, if the first thing that the kernel complained of was a breakpoint, or if
# the machine went without a word. Nothing else is forgiven: no other complaint, even if a
# breakpoint came later, and no command that took too long.
lab_was_lost() {
	local failure
	lost=''
	[ -r "$1/lab-failed" ] || return
	failure=$(< "$1/lab-failed")
	case $failure in
	# QEMU before 8.1 does not lock a page of code while it translates it: what one CPU
	# patches meanwhile, as Linux does when KVM's first VM comes and its last one goes, can
	# leave a breakpoint that the other CPU runs into long after.
	"the kernel of the lab complained, 'Oops: int3:"*)
		lost="the emulator tripped over patched code (int3), not our doing"
		;;
	# As after a triple fault. Seldom, and nobody knows why.
	"the lab went away before the command ended "*)
		# shellcheck disable=SC2034 # for the caller
		lost="the lab was lost without a word of its kernel, cause unknown"
		;;
	esac
	[ -n "$lost" ]
}
