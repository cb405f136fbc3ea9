// SPDX-License-Identifier: GPL-2.0-or-later
/* Which node is chosen, and why none is. */
#include "test.h"

#include "base/units.h"
#include "plan/place.h"

#define DRAM HOST_TIER_DRAM
#define CXL  HOST_TIER_CXL

/* Two sockets with a CXL node each: ids 0 and 1 are DRAM, 2 and 3 are CXL. */
struct host_setup {
	struct host_node nodes[4];
	uint64_t accessed[4];
	uint32_t vcpu_nodes[4];
	struct place_input in;
};

static void setup(struct host_setup *h)
{
	static const struct host_node nodes[4] = {
		{.id = 0, .tier = DRAM, .free_bytes = MIB(1000), .distance = {10, 21, 14, 24}},
		{.id = 1, .tier = DRAM, .free_bytes = MIB(1000), .distance = {21, 10, 24, 14}},
		{.id = 2, .tier = CXL, .free_bytes = MIB(1000), .distance = {14, 24, 10, 28}},
		{.id = 3, .tier = CXL, .free_bytes = MIB(1000), .distance = {24, 14, 28, 10}},
	};

	*h = (struct host_setup) {.accessed = {0}};
	for (size_t n = 0; n < 4; n++)
		h->nodes[n] = nodes[n];
	h->in = (struct place_input) {
		.nodes = h->nodes,
		.nnodes = 4,
		.accessed = h->accessed,
		.vcpu_nodes = h->vcpu_nodes,
		.allowed = 0xf,
		.headroom_bytes = MIB(64),
	};
}

static void the_dram_node_with_most_accesses_wins(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.accessed[0] = 100;
	h.accessed[1] = 101;
	h.accessed[2] = 5000;
	h.vcpu_nodes[0] = 8;
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 1);
}

static void without_accesses_the_node_of_most_vcpus_wins(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.accessed[2] = 5000;
	h.vcpu_nodes[0] = 3;
	h.vcpu_nodes[1] = 5;
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 1);
}

static void without_vcpus_the_node_nearest_to_the_pages_in_use_wins(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.accessed[3] = 5000;
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 1);
	h.accessed[2] = 5001;
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 0);
}

static void all_else_equal_the_emptiest_node_wins(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.nodes[0].distance[0] = h.nodes[1].distance[0] = 10;
	h.nodes[1].free_bytes = MIB(1001);
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 1);
}

static void a_node_without_headroom_is_full(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.accessed[1] = 1000;
	h.nodes[1].free_bytes = MIB(64);
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 0);
	h.nodes[0].free_bytes = MIB(63);
	node = 9;
	assert_int_equal(place_dram(&h.in, &node), PLACE_FULL);
	assert_int_equal(node, 1); /* the best of the full ones, which may make room */
}

static void a_node_at_the_kernels_watermark_is_full(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.accessed[1] = 1000;
	h.nodes[1].free_bytes = h.nodes[1].watermark_bytes = MIB(900);
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 0);
	assert_int_equal(place_spare_bytes(&h.nodes[1], MIB(64)), 0);
	h.nodes[1].free_bytes += MIB(1);
	assert_int_equal(place_spare_bytes(&h.nodes[1], MIB(64)), MIB(1));
	assert_int_equal(place_spare_bytes(&h.nodes[1], MIB(901)), 0);
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 1);
}

static void a_forbidden_node_is_passed_over(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.accessed[1] = 1000;
	h.in.allowed = 1 << 0 | 1 << 2;
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 0);
	h.in.allowed = 1 << 2 | 1 << 3;
	assert_int_equal(place_dram(&h.in, &node), PLACE_FORBIDDEN);
	h.in.allowed = 1 << 0;
	assert_int_equal(place_cxl(&h.in, 0, &node), PLACE_FORBIDDEN);
}

static void full_is_said_before_forbidden_because_it_may_pass(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.in.allowed = 1 << 1 | 1 << 2 | 1 << 3;
	h.nodes[1].free_bytes = 0;
	assert_int_equal(place_dram(&h.in, &node), PLACE_FULL);
}

static void allowed_nodes_are_named_by_id_and_not_by_index(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.nodes[0].id = 8;
	h.nodes[1].id = 40;
	h.in.allowed = 1ULL << 40;
	assert_int_equal(place_dram(&h.in, &node), PLACE_OK);
	assert_int_equal(node, 1);
}

static void cold_pages_go_to_the_nearest_cxl_node(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	assert_int_equal(place_cxl(&h.in, 0, &node), PLACE_OK);
	assert_int_equal(node, 2);
	assert_int_equal(place_cxl(&h.in, 1, &node), PLACE_OK);
	assert_int_equal(node, 3);
	h.nodes[3].free_bytes = 0;
	assert_int_equal(place_cxl(&h.in, 1, &node), PLACE_OK);
	assert_int_equal(node, 2);
}

static void a_host_of_one_tier_has_no_place_in_the_other(void **state)
{
	struct host_setup h;
	unsigned int node = 9;

	(void)state;
	setup(&h);
	h.in.nnodes = 2;
	assert_int_equal(place_cxl(&h.in, 0, &node), PLACE_NO_TIER);
	h.in.nodes = h.nodes + 2;
	assert_int_equal(place_dram(&h.in, &node), PLACE_NO_TIER);
	h.in.nnodes = 0;
	assert_int_equal(place_dram(&h.in, &node), PLACE_NO_TIER);
	assert_int_equal(node, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_dram_node_with_most_accesses_wins),
		cmocka_unit_test(without_accesses_the_node_of_most_vcpus_wins),
		cmocka_unit_test(without_vcpus_the_node_nearest_to_the_pages_in_use_wins),
		cmocka_unit_test(all_else_equal_the_emptiest_node_wins),
		cmocka_unit_test(a_node_without_headroom_is_full),
		cmocka_unit_test(a_node_at_the_kernels_watermark_is_full),
		cmocka_unit_test(a_forbidden_node_is_passed_over),
		cmocka_unit_test(full_is_said_before_forbidden_because_it_may_pass),
		cmocka_unit_test(allowed_nodes_are_named_by_id_and_not_by_index),
		cmocka_unit_test(cold_pages_go_to_the_nearest_cxl_node),
		cmocka_unit_test(a_host_of_one_tier_has_no_place_in_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
