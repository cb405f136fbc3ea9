// SPDX-License-Identifier: GPL-2.0-or-later
/* What the real host reads of nodes, in made-up and captured trees of /proc. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#include "host/host.h"

#define NODE_DIR "/sys/devices/system/node"

/** struct tree - a directory that stands for /, and a host that looks at it */
struct tree {
	char root[64];
	struct host *host;
};

static int tree_new(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	char path[128];

	strcpy(tree->root, "/tmp/vmtier-test-XXXXXX");
	if (!mkdtemp(tree->root))
		return -1;
	snprintf(path, sizeof(path), "%s/proc", tree->root);
	mkdir(path, 0755);
	*state = tree;
	return host_linux_new(tree->root, &tree->host);
}

static int tree_free(void **state)
{
	struct tree *tree = *state;
	char command[128];
	int r;

	snprintf(command, sizeof(command), "rm -rf -- '%s'", tree->root);
	r = system(command);
	tree->host->ops->free(tree->host);
	free(tree);
	return r;
}

static void put(const struct tree *tree, const char *file, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", tree->root, file);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_buddyinfo(const struct tree *tree, const char *text)
{
	put(tree, "/proc/buddyinfo", text);
}

static void expect_blocks(const struct tree *tree, int node, uint64_t blocks)
{
	uint64_t found = UINT64_MAX;

	assert_int_equal(tree->host->ops->free_blocks(tree->host, node, &found), 0);
	assert_int_equal(found, blocks);
}

static void expect_unknown(const struct tree *tree, int node)
{
	uint64_t found = 4711;

	assert_int_equal(tree->host->ops->free_blocks(tree->host, node, &found), -ENOENT);
	assert_int_equal(found, 4711);
}

/* Captured on Linux 6.12 in the lab; columns are orders 0 to 10. */
static const char captured[] =
	"Node 0, zone      DMA      0      0      0      0      0      0      0      1      0"
	"      1      3 \n"
	"Node 0, zone    DMA32      2      3      2      2      0      1      2      2      1"
	"      1    351 \n"
	"Node 1, zone    DMA32      2      1      0      1      0      1      1      2      1"
	"      1    109 \n"
	"Node 1, zone   Normal      1      4      4      2      5      4      0      0      2"
	"      2    244 \n";

static void blocks_of_2_mib_and_more_are_counted_by_node(void **state)
{
	put_buddyinfo(*state, captured);
	expect_blocks(*state, 1, 2 + 2 * 244);
	expect_unknown(*state, 2);
}

static void what_is_held_back_for_devices_is_not_for_guests(void **state)
{
	put_buddyinfo(*state, captured);
	expect_blocks(*state, 0, 1 + 2 * 351);
}

static void movable_memory_counts(void **state)
{
	put_buddyinfo(*state, "Node 3, zone   Normal 0 0 0 0 0 0 0 0 0 5 0\n"
			      "Node 3, zone  Movable 9 9 9 9 9 9 9 9 9 1 7\n");
	expect_blocks(*state, 3, 5 + 1 + 14);
}

static void small_pieces_make_no_block(void **state)
{
	put_buddyinfo(*state, "Node 0, zone Normal 99999 99999 9 9 9 9 9 9 99999 0 0\n");
	expect_blocks(*state, 0, 0);
}

static void larger_orders_than_todays_count(void **state)
{
	put_buddyinfo(*state, "Node 0, zone Normal 0 0 0 0 0 0 0 0 0 1 1 1 1\n");
	expect_blocks(*state, 0, 15);
}

static void lines_that_make_no_sense_count_as_nothing(void **state)
{
	static const char *const bad[] = {
		"Node 0, zone Normal",
		"Node 0, zone Normal 0 0 0 0 0 0 0 0 0",
		"Node 0, zone Normal 0 0 0 0 0 0 0 0 0 -1",
		"Node 0, zone Normal 0 0 0 0 0 0 0 0 0 x 7",
		"Node 0, zone Normal 0 0 0 0 0 0 0 0 0 7 99999999999999999999999",
		"Node 0, zone Normal 0 0 0 0 0 0 0 0 0 4294967297 0",
		"Node 0, zone Normal 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_buddyinfo(*state, bad[i]);
		expect_blocks(*state, 0, 0);
	}
}

static void without_the_file_or_the_node_nobody_knows(void **state)
{
	expect_unknown(*state, 0);
	put_buddyinfo(*state, "");
	expect_unknown(*state, 0);
	put_buddyinfo(*state, "Node 1, zone Normal 0 0 0 0 0 0 0 0 0 7 7\nnonsense\n");
	expect_unknown(*state, 0);
}

static void make_directories(const struct tree *tree, const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "mkdir -p -- '%s%s'", tree->root, path);
	assert_int_equal(system(command), 0);
}

static void expect_no_nodes(const struct tree *tree, int code, const char *text)
{
	struct host_node nodes[HOST_MAX_NODES];
	struct error err = {0};
	size_t n = 0, left_out = 0;

	assert_int_equal(tree->host->ops->nodes(tree->host, nodes, &n, &left_out, &err), code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, text))
		fail_msg("'%s' is not in '%s'", text, err.text);
	if (code != -ENOENT)
		assert_null(strstr(err.text, "built without"));
}

static void a_kernel_without_node_lists_was_built_without_numa(void **state)
{
	expect_no_nodes(*state, -ENOENT, "built without NUMA");
}

static void lists_that_cannot_be_read_are_named_with_the_cause(void **state)
{
	const struct tree *tree = *state;
	char path[128];

	make_directories(tree, NODE_DIR "/online"); /* a directory cannot be read: -EISDIR */
	expect_no_nodes(tree, -EISDIR, NODE_DIR "/online: Is a directory");
	snprintf(path, sizeof(path), "%s" NODE_DIR "/online", tree->root);
	assert_int_equal(rmdir(path), 0);
	put(tree, NODE_DIR "/online", "0\n");
	make_directories(tree, NODE_DIR "/has_memory");
	expect_no_nodes(tree, -EISDIR, NODE_DIR "/has_memory: Is a directory");
}

/* Of Linux 6.12, shortened; words with a colon are of the CPUs' own lists. */
static const char zoneinfo[] = "Node 0, zone      DMA\n"
			       "  pages free     3840\n"
			       "        boost    0\n"
			       "        min      9\n"
			       "        low      12\n"
			       "        high     15\n"
			       "  pagesets\n"
			       "    cpu: 0\n"
			       "              count:    4000\n"
			       "              high:     5000\n"
			       "Node 0, zone    DMA32\n"
			       "        high     1000\n"
			       "Node 2, zone   Normal\n"
			       "        high     70000\n"
			       "        high     nonsense\n";

static void the_kernels_watermarks_are_summed_up_by_node(void **state)
{
	const struct tree *tree = *state;
	struct host_node nodes[HOST_MAX_NODES];
	struct error err = {0};
	size_t n = 0, left_out = 0;

	make_directories(tree, NODE_DIR "/node0");
	make_directories(tree, NODE_DIR "/node2");
	put(tree, NODE_DIR "/online", "0,2\n");
	put(tree, NODE_DIR "/has_memory", "0,2\n");
	put(tree, NODE_DIR "/node0/meminfo", "Node 0 MemTotal: 1000 kB\nNode 0 MemFree: 10 kB\n");
	put(tree, NODE_DIR "/node2/meminfo", "Node 2 MemTotal: 1000 kB\nNode 2 MemFree: 10 kB\n");
	put(tree, "/proc/zoneinfo", zoneinfo);
	assert_int_equal(tree->host->ops->nodes(tree->host, nodes, &n, &left_out, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(nodes[0].watermark_bytes, 1015 * 4096);
	assert_int_equal(nodes[1].watermark_bytes, 70000ULL * 4096);
}

#define test(f) cmocka_unit_test_setup_teardown(f, tree_new, tree_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(blocks_of_2_mib_and_more_are_counted_by_node),
		test(what_is_held_back_for_devices_is_not_for_guests),
		test(movable_memory_counts),
		test(small_pieces_make_no_block),
		test(larger_orders_than_todays_count),
		test(lines_that_make_no_sense_count_as_nothing),
		test(without_the_file_or_the_node_nobody_knows),
		test(a_kernel_without_node_lists_was_built_without_numa),
		test(lists_that_cannot_be_read_are_named_with_the_cause),
		test(the_kernels_watermarks_are_summed_up_by_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
