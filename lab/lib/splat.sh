# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# splat: what a line of the kernel's log looks like that is a complaint, as an extended
# regular expression in which grep, regcomp(3) and Python agree.
# shellcheck disable=SC2034 # used by those who read this file

splat='\bBUG[: ]|\bOops[: ]|Kernel panic|WARNING: |general protection fault|KASAN:|UBSAN:'
splat+='|INFO: (task .* blocked for more than|rcu.* stall)|rcu: INFO: .*stall'
# The debug kernel's: what lockdep, page poisoning and kmemleak say in words of their own,
# and that one of them has given up, after which its silence means nothing.
splat+='|INFO: (lockdep is turned off|trying to register non-static key)'
splat+='|pagealloc: (memory corruption|single bit error)|kmemleak: [0-9]+ new suspected memory leaks'
splat+='|kmemleak: (Kernel memory leak detector disabled|Cannot allocate a kmemleak_object)'
splat+='|ODEBUG: Out of memory'
