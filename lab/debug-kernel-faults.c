// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel module that does one forbidden thing, as the parameter @what names it, when
 * it is loaded: lab/debug-kernel-selftest proves with it that the debug kernel sees
 * such things and that lab/run fails then.
 */
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/slab.h>

static char *what = "nothing";
module_param(what, charp, 0);
MODULE_PARM_DESC(what, "nothing, lock, rcu, sleep, use, leak, list or page");

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static LIST_HEAD(list);

struct item {
	struct list_head link;
	char rest[200];
};

static struct item *new_item(void)
{
	struct item *item = kzalloc(sizeof(*item), GFP_KERNEL);

	if (item)
		INIT_LIST_HEAD(&item->link);
	return item;
}

/* Two mutexes in one order, and then in the other. */
static void fault_lock(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

/* An RCU list is read without a lock. */
static void fault_rcu(void)
{
	struct item *item = new_item();
	struct item *i;

	if (!item)
		return;
	list_add_rcu(&item->link, &list);
	list_for_each_entry_rcu(i, &list, link) pr_info("faults: an item\n");
	list_del_rcu(&item->link);
	kfree_rcu_mightsleep(item);
}

/* A mutex, which may have to be waited for, is taken in an RCU section. */
static void fault_sleep(void)
{
	rcu_read_lock();
	mutex_lock(&first);
	mutex_unlock(&first);
	rcu_read_unlock();
}

/* Memory is read after it was freed. */
static void fault_use(void)
{
	struct item *item = new_item();

	kfree(item);
	if (item)
		pr_info("faults: %d\n", READ_ONCE(item->rest[7]));
}

static void fault_leak(void)
{
	for (int i = 0; i < 10; i++)
		pr_info("faults: %s\n", new_item() ? "an item" : "none");
}

/* An item is taken off its list twice. */
static void fault_list(void)
{
	struct item *item = new_item();

	if (!item)
		return;
	list_add(&item->link, &list);
	list_del(&item->link);
	list_del(&item->link);
	kfree(item);
}

/*
 * A page is written to after it was freed, behind KASAN's back, as a guest does by an
 * entry that has outlived its page.
 */
static void fault_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	char *at = page ? page_address(page) : NULL;

	if (!page)
		return;
	__free_page(page);
	asm volatile("movl $0x12345678, (%0)" : : "r"(at + 64) : "memory");
	page = alloc_page(GFP_KERNEL); /* most probably the same one */
	if (page)
		__free_page(page);
}

static int __init faults_init(void)
{
	static const struct {
		const char *name;
		void (*make)(void);
	} faults[] = {
		{"lock", fault_lock}, {"rcu", fault_rcu},   {"sleep", fault_sleep},
		{"use", fault_use},   {"leak", fault_leak}, {"list", fault_list},
		{"page", fault_page},
	};

	if (!strcmp(what, "nothing"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (strcmp(what, faults[i].name))
			continue;
		faults[i].make();
		return 0;
	}
	return -EINVAL;
}

static void __exit faults_exit(void)
{
}

module_init(faults_init);
module_exit(faults_exit);
MODULE_DESCRIPTION("Forbidden things, for the self-test of the lab's debug kernel");
MODULE_LICENSE("GPL");
