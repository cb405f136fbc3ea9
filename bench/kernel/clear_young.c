// SPDX-License-Identifier: GPL-2.0-only
/*
 * A test module for measurements: calls the MMU notifier's clear_young for a range
 * of a process's addresses, page by page or in larger steps, in one loop in the
 * kernel.  That is the way in which the kernel's own users (DAMON, MGLRU,
 * reclaim) get at the accessed bits of KVM's page tables.  Here nothing but the
 * notifier is called: no rmap or page table walk, no mmap_lock, no page lock.
 *
 * Not for any other use.
 *
 * __mmu_notifier_clear_young() is not exported to modules.  Its address is asked
 * for by a kprobe that is registered disabled and removed at once: nothing is
 * patched.  A CPU that enforces IBT would refuse the call, as the kernel takes the
 * landing pad off functions that it never calls by pointer.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "clear_young.h"

/* Calls after which others may run, and a signal is seen. */
#define BATCH 512

static int (*notifier_clear_young)(struct mm_struct *mm, unsigned long start, unsigned long end);

static int clear_young_find(void)
{
	struct kprobe probe = {
		.symbol_name = "__mmu_notifier_clear_young",
		.flags = KPROBE_FLAG_DISABLED,
	};
	int r = register_kprobe(&probe);

	if (r)
		return r;
	notifier_clear_young = (void *)probe.addr;
	unregister_kprobe(&probe);
	return 0;
}

static struct mm_struct *clear_young_mm(u32 nr)
{
	struct task_struct *task;
	struct mm_struct *mm;
	struct pid *pid;

	if (!nr) {
		mmget(current->mm);
		return current->mm;
	}
	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return NULL;
	mm = get_task_mm(task);
	put_task_struct(task);
	return mm;
}

static int clear_young_run(struct mm_struct *mm, struct clear_young_run *run)
{
	unsigned long at = run->start;
	unsigned int batch = 0;

	if (!mm_has_notifiers(mm))
		return -ENODEV;

	for (; at < run->end; at += run->step) {
		run->nr_young += !!notifier_clear_young(mm, at, min(at + run->step, run->end));
		run->nr_calls++;
		if (++batch < BATCH)
			continue;
		batch = 0;
		cond_resched();
		if (signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static long clear_young_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct clear_young_run __user *user = (void __user *)arg;
	struct clear_young_run run;
	struct mm_struct *mm;
	int r;

	if (cmd != CLEAR_YOUNG_RUN)
		return -ENOTTY;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&run, user, sizeof(run)))
		return -EFAULT;
	if (run.reserved || run.start >= run.end || run.end > TASK_SIZE_MAX || !run.step ||
	    run.step > run.end - run.start || (run.start | run.end | run.step) & ~PAGE_MASK)
		return -EINVAL;

	mm = clear_young_mm(run.pid);
	if (!mm)
		return -ESRCH;
	run.nr_calls = 0;
	run.nr_young = 0;
	r = clear_young_run(mm, &run);
	mmput(mm);
	if (r)
		return r;
	return copy_to_user(user, &run, sizeof(run)) ? -EFAULT : 0;
}

static const struct file_operations clear_young_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = clear_young_ioctl,
};

static struct miscdevice clear_young_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "clear_young",
	.fops = &clear_young_fops,
	.mode = 0600,
};

static int __init clear_young_init(void)
{
	int r = clear_young_find();

	if (r) {
		pr_err("__mmu_notifier_clear_young is not to be found (%d): not loaded\n", r);
		return r;
	}
	return misc_register(&clear_young_device);
}

static void __exit clear_young_exit(void)
{
	misc_deregister(&clear_young_device);
}

module_init(clear_young_init);
module_exit(clear_young_exit);
MODULE_DESCRIPTION("Measurements: the MMU notifier's clear_young in a loop");
MODULE_LICENSE("GPL");
