/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What programs say to the test module clear_young.c.
 */
#ifndef VMTIER_BENCH_CLEAR_YOUNG_H
#define VMTIER_BENCH_CLEAR_YOUNG_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define CLEAR_YOUNG_DEVICE "/dev/clear_young"

/*
 * CLEAR_YOUNG_RUN - mmu_notifier_clear_young(mm, at, at + @step) for each @at from
 * @start on, in one loop, up to @end
 * @pid: whose memory, in the caller's pid namespace; 0: the caller's
 * @reserved: must be 0
 * @start: address, a multiple of 4096, as @end and @step
 * @nr_calls: out: how many calls of the notifier that were
 * @nr_young: out: how many of them said that something was young
 *
 * Needs CAP_SYS_ADMIN.  Errors: -EINVAL, -EFAULT, -EPERM, -ESRCH no such process or
 * no memory, -ENODEV nobody has registered a notifier, -EINTR after a signal.
 */
struct clear_young_run {
	__u32 pid;
	__u32 reserved;
	__u64 start;
	__u64 end;
	__u64 step;
	__u64 nr_calls;
	__u64 nr_young;
};

#define CLEAR_YOUNG_RUN _IOWR('y', 1, struct clear_young_run)

#endif
