// SPDX-License-Identifier: GPL-2.0-or-later
/* NUMA nodes, their tiers, and which node a page frame belongs to, from sysfs. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "host/linux.h"

#define NODE_DIR "/sys/devices/system/node"
#define TIER_DIR "/sys/devices/virtual/memory_tiering"

/* Free memory is kept in blocks of 2^order pages; a 2 MiB page is one of these. */
#define LARGE_ORDER 9

/* Watermarks change when memory or a sysctl does. */
#define WATERMARKS_NS (30 * NSEC_PER_SEC)

/* More orders, or blocks of one order, than any machine has: then it is no count. */
#define ORDER_MAX  20
#define BLOCKS_MAX (1ULL << 32)

/* "0-3,8" into a mask; ids from 64 on are only counted, by who wants to know. */
static uint64_t parse_list(const char *text, size_t *ret_beyond)
{
	uint64_t mask = 0;

	if (ret_beyond)
		*ret_beyond = 0;
	while (isdigit((unsigned char)*text)) {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (unsigned long n = first; n <= last && n < 64; n++)
			mask |= 1ULL << n;
		if (last >= 64 && ret_beyond)
			*ret_beyond += last - (first < 64 ? 64 : first) + 1;
		text = *end == ',' ? end + 1 : end;
	}
	return mask;
}

static int read_list(struct linux_host *host, const char *path, uint64_t *ret_mask,
		     size_t *ret_beyond)
{
	_cleanup_(freep) char *text = NULL;
	int r = linux_read(host, path, &text, NULL);

	if (r < 0)
		return r;
	*ret_mask = parse_list(text, ret_beyond);
	return 0;
}

static uint64_t meminfo_bytes(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

static int read_node(struct linux_host *host, int id, struct host_node *node)
{
	_cleanup_(freep) char *text = NULL;
	char path[128];
	int r;

	snprintf(path, sizeof(path), NODE_DIR "/node%d/meminfo", id);
	r = linux_read(host, path, &text, NULL);
	if (r < 0)
		return r;
	node->id = id;
	node->total_bytes = meminfo_bytes(text, "MemTotal:");
	node->free_bytes = meminfo_bytes(text, "MemFree:");
	return 0;
}

/* Column k of a node's distance file belongs to the k-th online node. */
static void read_distances(struct linux_host *host, uint64_t online, struct host_node *nodes,
			   size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_(freep) char *text = NULL;
		char path[128], *at;

		for (size_t k = 0; k < n; k++)
			nodes[i].distance[k] = i == k ? 10 : 20;
		snprintf(path, sizeof(path), NODE_DIR "/node%d/distance", nodes[i].id);
		if (linux_read(host, path, &text, NULL) < 0)
			continue;
		at = text;
		for (int id = 0; id < 64; id++) {
			unsigned long distance;

			if (!(online >> id & 1))
				continue;
			distance = strtoul(at, &at, 10);
			for (size_t k = 0; k < n; k++)
				if (nodes[k].id == id && distance)
					nodes[i].distance[k] = (uint16_t)distance;
		}
	}
}

static void read_ranks(struct linux_host *host, struct host_node *nodes, size_t n)
{
	struct dirent *entry;
	DIR *dir;

	if (linux_opendir(host, TIER_DIR, &dir) < 0)
		return;
	while ((entry = readdir(dir))) {
		uint64_t mask = 0;
		char path[512];
		int rank;

		if (sscanf(entry->d_name, "memory_tier%d", &rank) != 1)
			continue;
		snprintf(path, sizeof(path), TIER_DIR "/%s/nodelist", entry->d_name);
		if (read_list(host, path, &mask, NULL) < 0)
			continue;
		for (size_t i = 0; i < n; i++)
			if (mask >> nodes[i].id & 1)
				nodes[i].rank = rank;
	}
	closedir(dir);
}

static void set_tiers(struct host_node *nodes, size_t n)
{
	int slowest_cpu = 0;

	for (size_t i = 0; i < n; i++)
		if (nodes[i].has_cpu && nodes[i].rank > slowest_cpu)
			slowest_cpu = nodes[i].rank;
	for (size_t i = 0; i < n; i++)
		nodes[i].tier = nodes[i].has_cpu || (nodes[i].rank && nodes[i].rank < slowest_cpu)
					? HOST_TIER_DRAM
					: HOST_TIER_CXL;
}

/*
 * "high" of each zone; a process of ours that allocates below it wakes kswapd.
 * Source: /proc/zoneinfo, zoneinfo_show_print(), mm/vmstat.c, Linux 6.12.
 */
static void read_watermarks(struct linux_host *host)
{
	_cleanup_(freep) char *text = NULL;
	char *save = NULL;
	int id = -1;

	memset(host->watermark_bytes, 0, sizeof(host->watermark_bytes));
	if (linux_read(host, "/proc/zoneinfo", &text, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long pages;
		char zone[16];

		if (sscanf(line, "Node %d, zone %15s", &id, zone) == 2)
			continue;
		/* Those of the CPUs' lists have a colon behind the word. */
		if (id >= 0 && id < 64 && sscanf(line, " high %llu", &pages) == 1)
			host->watermark_bytes[id] += pages * PAGE_BYTES;
	}
}

static void set_watermarks(struct linux_host *host, struct host_node *nodes, size_t n)
{
	uint64_t now_ns = host->base.ops->now_ns(&host->base);

	if (now_ns >= host->watermarks_due_ns) {
		read_watermarks(host);
		host->watermarks_due_ns = now_ns + WATERMARKS_NS;
	}
	for (size_t i = 0; i < n; i++)
		nodes[i].watermark_bytes = host->watermark_bytes[nodes[i].id];
}

static int read_blocks_of(struct linux_host *host, int id, int8_t index, struct block_table *table)
{
	char path[128];
	struct dirent *entry;
	DIR *dir;
	int r;

	snprintf(path, sizeof(path), NODE_DIR "/node%d", id);
	r = linux_opendir(host, path, &dir);
	if (r < 0)
		return r;
	while ((entry = readdir(dir))) {
		unsigned long block;

		if (sscanf(entry->d_name, "memory%lu", &block) != 1 || block > 1UL << 28)
			continue;
		if (block >= table->n) {
			size_t n = (block + 1024) / 1024 * 1024;
			int8_t *more = realloc(table->node, n);

			if (!more) {
				closedir(dir);
				return -ENOMEM;
			}
			memset(more + table->n, -1, n - table->n);
			table->node = more;
			table->n = n;
		}
		table->node[block] = index;
	}
	closedir(dir);
	return 0;
}

/* Memory comes and goes by whole blocks, which shows in the nodes' totals. */
static void refresh_blocks(struct linux_host *host, const struct host_node *nodes, size_t n)
{
	struct block_table table = {0};
	_cleanup_(freep) char *text = NULL;
	bool same = host->blocks.node && n == host->nnodes;

	for (size_t i = 0; same && i < n; i++)
		same = nodes[i].id == host->nodes[i].id &&
		       nodes[i].total_bytes == host->nodes[i].total_bytes;
	if (!same &&
	    linux_read(host, "/sys/devices/system/memory/block_size_bytes", &text, NULL) == 0)
		table.block_bytes = strtoull(text, NULL, 16);
	for (size_t i = 0; table.block_bytes && i < n; i++)
		if (read_blocks_of(host, nodes[i].id, (int8_t)i, &table) < 0)
			table.block_bytes = 0;
	if (!table.block_bytes) {
		free(table.node);
		table = (struct block_table) {0};
	}
	pthread_mutex_lock(&host->lock);
	memcpy(host->nodes, nodes, n * sizeof(*nodes));
	host->nnodes = n;
	if (!same) { /* none is better than that of other nodes, and the next call tries again */
		free(host->blocks.node);
		host->blocks = table;
	}
	pthread_mutex_unlock(&host->lock);
}

int linux_nodes(struct host *host, struct host_node nodes[HOST_MAX_NODES], size_t *ret_n,
		size_t *ret_left_out, struct error *err)
{
	struct linux_host *lh = to_linux(host);
	uint64_t online = 0, memory = 0, cpu = 0;
	size_t n = 0, left_out = 0;
	const char *path = NODE_DIR "/online";
	int r = read_list(lh, path, &online, NULL);

	if (r >= 0) {
		path = NODE_DIR "/has_memory";
		r = read_list(lh, path, &memory, &left_out);
	}
	if (r == -ENOENT)
		return error_set(err, r,
				 "this kernel shows no NUMA nodes in %s: it was built without NUMA",
				 NODE_DIR);
	if (r < 0)
		return error_set(err, r, "cannot read %s: %s", path, strerror(-r));
	(void)read_list(lh, NODE_DIR "/has_cpu", &cpu, NULL);
	memset(nodes, 0, HOST_MAX_NODES * sizeof(*nodes));
	for (int id = 0; id < 64; id++) {
		if (!(memory >> id & 1))
			continue;
		if (n == HOST_MAX_NODES) {
			left_out++;
			continue;
		}
		nodes[n].has_cpu = cpu >> id & 1;
		r = read_node(lh, id, &nodes[n]);
		if (r < 0 && r != -ENOENT)
			return error_set(err, r, "cannot read of node %d: %s", id, strerror(-r));
		if (r < 0)
			left_out++;
		else
			n++;
	}
	read_distances(lh, online, nodes, n);
	read_ranks(lh, nodes, n);
	set_tiers(nodes, n);
	set_watermarks(lh, nodes, n);
	refresh_blocks(lh, nodes, n);
	*ret_n = n;
	*ret_left_out = left_out;
	return 0;
}

/* Counts of free blocks by order, "%6lu " each; a line that holds anything else counts as none. */
static uint64_t count_blocks(const char *counts)
{
	uint64_t blocks = 0;

	for (int order = 0;; order++) {
		unsigned long long count;
		char *end;

		counts += strspn(counts, " ");
		if (!*counts)
			return blocks;
		if (!isdigit((unsigned char)*counts) || order > ORDER_MAX)
			return 0;
		count = strtoull(counts, &end, 10);
		if (count > BLOCKS_MAX)
			return 0;
		if (order >= LARGE_ORDER)
			blocks += count << (order - LARGE_ORDER);
		counts = end;
	}
}

int linux_free_blocks(struct host *host, int node, uint64_t *ret_blocks)
{
	_cleanup_(freep) char *text = NULL;
	uint64_t blocks = 0, low_blocks = 0;
	bool found = false, has_high = false;
	char *save = NULL;
	int r = linux_read(to_linux(host), "/proc/buddyinfo", &text, NULL);

	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char zone[16];
		int id, at = 0;

		if (sscanf(line, "Node %d, zone %15s%n", &id, zone, &at) != 2 || id != node)
			continue;
		found = true;
		if (!strcmp(zone, "DMA32")) {
			low_blocks = count_blocks(line + at);
		} else if (strcmp(zone, "DMA")) {
			blocks += count_blocks(line + at);
			has_high = true;
		}
	}
	if (!found)
		return -ENOENT;
	*ret_blocks = has_high ? blocks : low_blocks;
	return 0;
}

size_t linux_known_nodes(struct linux_host *host, struct host_node nodes[HOST_MAX_NODES])
{
	size_t n;

	pthread_mutex_lock(&host->lock);
	memcpy(nodes, host->nodes, sizeof(host->nodes));
	n = host->nnodes;
	pthread_mutex_unlock(&host->lock);
	return n;
}

/* For each CPU the index of its node, -1 where it has none among those with memory. */
int linux_cpu_nodes(struct linux_host *host, int8_t *node_of_cpu, size_t ncpus)
{
	struct host_node nodes[HOST_MAX_NODES];
	size_t nnodes = linux_known_nodes(host, nodes);

	memset(node_of_cpu, -1, ncpus);
	for (size_t i = 0; i < nnodes; i++) {
		_cleanup_(freep) char *text = NULL;
		char path[128], *at;

		snprintf(path, sizeof(path), NODE_DIR "/node%d/cpulist", nodes[i].id);
		if (linux_read(host, path, &text, NULL) < 0)
			continue;
		for (at = text; isdigit((unsigned char)*at);) {
			unsigned long first = strtoul(at, &at, 10), last = first;

			if (*at == '-')
				last = strtoul(at + 1, &at, 10);
			for (unsigned long c = first; c <= last && c < ncpus; c++)
				node_of_cpu[c] = (int8_t)i;
			if (*at == ',')
				at++;
		}
	}
	return 0;
}
