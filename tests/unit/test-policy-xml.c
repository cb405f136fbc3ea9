// SPDX-License-Identifier: GPL-2.0-or-later
/* Policies from XML: what is taken, and that everything else is refused with its line. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/policy_xml.h"
#include "base/cleanup.h"

#define NS " xmlns='urn:vmtier:policy:1'"

static int parse(const char *text, struct policy *policy, struct error *err)
{
	err->code = 0;
	return policy_xml_parse(text, strlen(text), policy, err);
}

static struct policy accepted(const char *text)
{
	struct policy policy;
	struct error err;

	if (parse(text, &policy, &err) != 0)
		fail_msg("refused: %s\n%s", err.text, text);
	return policy;
}

/* Refused with -EINVAL, with @part in the sentence, and without a trace in the result. */
static void refused(const char *text, const char *part)
{
	struct policy policy, before;
	struct error err;
	int r;

	memset(&policy, 0x5a, sizeof(policy));
	before = policy;
	r = parse(text, &policy, &err);
	if (r != -EINVAL)
		fail_msg("%d instead of -EINVAL for: %s", r, text);
	if (!strstr(err.text, part) || !strstr(err.text, "line "))
		fail_msg("'%s' says nothing of '%s'", err.text, part);
	assert_memory_equal(&policy, &before, sizeof(policy));
}

static void a_whole_policy_is_taken(void **state)
{
	struct policy p = accepted("<?xml version='1.0' encoding='UTF-8'?>\n"
				   "<!-- of the operator -->\n"
				   "<policy" NS ">\n"
				   "  <mode>\n    promote </mode>\n"
				   "  <dram><max unit='GiB'> 16 </max></dram>\n"
				   "  <target nodes='0,2-3'/>\n"
				   "</policy>\n");

	(void)state;
	assert_int_equal(p.mode, MODE_PROMOTE);
	assert_true(p.dram_limited);
	assert_true(p.dram_max_bytes == 16ULL << 30);
	assert_true(p.target_nodes == 0xd);
}

static void every_element_may_be_left_out(void **state)
{
	struct policy p = accepted("<policy" NS "/>");

	(void)state;
	assert_int_equal(p.mode, MODE_TIER);
	assert_false(p.dram_limited);
	assert_true(p.target_nodes == 0);
	assert_false(accepted("<policy" NS "><dram/></policy>").dram_limited);
}

static void any_prefix_will_do(void **state)
{
	(void)state;
	assert_int_equal(accepted("<v:policy xmlns:v='urn:vmtier:policy:1'>"
				  "<v:mode>off</v:mode></v:policy>")
				 .mode,
			 MODE_OFF);
}

static void sizes_have_units_as_in_libvirt(void **state)
{
	static const struct {
		const char *max;
		uint64_t bytes;
	} cases[] = {
		{"<max>4</max>", 4096},
		{"<max unit='KiB'>4</max>", 4096},
		{"<max unit='bytes'>4096</max>", 4096},
		{"<max unit='kb'>4</max>", 4000},
		{"<max unit='M'>1</max>", 1 << 20},
		{"<max unit='TiB'>1</max>", 1ULL << 40},
		{"<max>0</max>", 0},
		{"<max unit='bytes'>18446744073709551615</max>", UINT64_MAX},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "<policy" NS "><dram>%s</dram></policy>",
			 cases[i].max);
		assert_true(accepted(text).dram_max_bytes == cases[i].bytes);
	}
}

static void node_lists_are_taken_strictly(void **state)
{
	static const struct {
		const char *list;
		uint64_t nodes;
	} good[] = {
		{"0", 1}, {"63", 1ULL << 63}, {"0-63", ~0ULL}, {"1,1,1-1", 2}, {"3-5,0", 0x39},
	};
	static const char *const bad[] = {"",
					  " ",
					  "64",
					  "0-64",
					  "3-2",
					  "1-",
					  "-1",
					  ",",
					  "0,",
					  ",0",
					  "0,,1",
					  "^1",
					  "0x1",
					  "a",
					  "0-1-2",
					  "0 ,1",
					  "+1",
					  "1;2",
					  "999999999999999999999"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(text, sizeof(text), "<policy" NS "><target nodes='%s'/></policy>",
			 good[i].list);
		assert_true(accepted(text).target_nodes == good[i].nodes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "<policy" NS "><target nodes='%s'/></policy>", bad[i]);
		refused(text, "<target>");
	}
}

static void sizes_that_are_no_sizes_are_refused(void **state)
{
	static const struct {
		const char *max, *part;
	} cases[] = {
		{"<max>-1</max>", "'-1' is not a whole number"},
		{"<max>1.5</max>", "'1.5' is not a whole number"},
		{"<max>1e9</max>", "not a whole number"},
		{"<max>0x10</max>", "not a whole number"},
		{"<max>16 GiB</max>", "not a whole number"},
		{"<max>1 2</max>", "not a whole number"},
		{"<max>18446744073709551616</max>", "too large"},
		{"<max unit='EiB'>16</max>", "too large"},
		{"<max unit='bytes'>99999999999999999999</max>", "too large"},
		{"<max>99999999999999999999999999999999999999</max>", "too long"},
		{"<max></max>", "is empty"},
		{"<max/>", "is empty"},
		{"<max unit='GiB'>  </max>", "is empty"},
		{"<max unit='GB/s'>1</max>", "unknown unit 'GB/s'"},
		{"<max unit=''>1</max>", "unknown unit"},
		{"<max units='GiB'>1</max>", "unknown attribute 'units'"},
		{"<max><b>1</b></max>", "not text"},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "<policy" NS "><dram>%s</dram></policy>",
			 cases[i].max);
		refused(text, cases[i].part);
	}
}

static void anything_that_nothing_obeys_is_refused(void **state)
{
	(void)state;
	refused("<policy" NS "><weight>3</weight></policy>", "<weight> is unknown in <policy>");
	refused("<policy" NS "><dram><min>3</min></dram></policy>", "<min> is unknown in <dram>");
	refused("<policy" NS "><mode>fast</mode></policy>", "'fast' is none of");
	refused("<policy" NS "><mode>TIER</mode></policy>", "'TIER' is none of");
	refused("<policy" NS "><mode/></policy>", "<mode> is empty");
	refused("<policy" NS "><mode x='1'>tier</mode></policy>", "unknown attribute 'x'");
	refused("<policy" NS " version='1'/>", "unknown attribute 'version'");
	refused("<policy" NS " xml:lang='en'/>", "unknown attribute 'lang'");
	refused("<policy" NS ">tier</policy>", "text where elements belong");
	refused("<policy" NS "><![CDATA[tier]]></policy>", "text where elements belong");
	refused("<policy" NS "><dram>16</dram></policy>", "text where elements belong");
	refused("<policy" NS "><target/></policy>", "lacks the attribute 'nodes'");
	refused("<policy" NS "><target nodes='0'>1</target></policy>", "text");
	refused("<policy" NS "><target nodes='0'><x/></target></policy>", "<x> is unknown");
	refused("<policy" NS "><?php x?></policy>", "not an element");
}

static void an_element_may_not_come_twice(void **state)
{
	(void)state;
	refused("<policy" NS ">\n<mode>tier</mode>\n<mode>off</mode></policy>",
		"line 3: <mode> is there twice");
	refused("<policy" NS "><dram/><dram/></policy>", "<dram> is there twice");
	refused("<policy" NS "><dram><max>1</max><max>1</max></dram></policy>", "<max>");
	refused("<policy" NS "><target nodes='0'/><target nodes='1'/></policy>", "<target>");
}

static void another_namespace_is_not_ours(void **state)
{
	(void)state;
	refused("<policy/>", "urn:vmtier:policy:1");
	refused("<policy xmlns='urn:vmtier:policy:2'/>", "urn:vmtier:policy:1");
	refused("<policy xmlns='urn:vmtier:policy:1 '/>", "urn:vmtier:policy:1");
	refused("<rules" NS "/>", "<rules> is not <policy>");
	refused("<policy" NS "><mode xmlns=''>tier</mode></policy>", "<mode> is not in");
	refused("<policy" NS "><x:mode xmlns:x='urn:x'>tier</x:mode></policy>", "<mode> is not in");
}

static void text_that_is_no_xml_is_refused(void **state)
{
	static const char *const garbage[] = {
		"",
		" ",
		"tier",
		"<policy",
		"<policy" NS ">",
		"<policy" NS "></polic>",
		"<policy" NS "/><policy" NS "/>",
		"<policy" NS ">\xff\xfe</policy>",
		"<policy" NS ">&tier;</policy>",
		"<policy" NS "><mode>tier</mode>&#0;</policy>",
		"\x7f"
		"ELF\x02\x01",
		"{\"mode\": \"tier\"}",
		"<?xml version='1.0' encoding='no-such'?><policy" NS "/>",
		"<x:policy/>",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
		refused(garbage[i], "");
}

static void embedded_nul_bytes_are_refused(void **state)
{
	static const char text[] = "<policy" NS "><mode>off\0</mode></policy>";
	struct policy policy;
	struct error err;

	(void)state;
	assert_int_equal(policy_xml_parse(text, sizeof(text) - 1, &policy, &err), -EINVAL);
}

static void a_document_type_is_refused_before_it_is_read(void **state)
{
	char bomb[4096] = "<!DOCTYPE policy [<!ENTITY a0 'tier'>";
	struct timespec before, after;

	(void)state;
	for (int i = 1; i < 40; i++)
		snprintf(bomb + strlen(bomb), sizeof(bomb) - strlen(bomb),
			 "<!ENTITY a%d '&a%d;&a%d;'>", i, i - 1, i - 1);
	strcat(bomb, "]><policy" NS "><mode>&a39;</mode></policy>");
	clock_gettime(CLOCK_MONOTONIC, &before);
	refused(bomb, "document type");
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 2);
	refused("<!DOCTYPE policy SYSTEM 'file:///etc/passwd'><policy" NS "/>", "document type");
	refused("<!DOCTYPE p [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><policy" NS
		"><mode>&x;</mode></policy>",
		"document type");
}

static void deep_nesting_is_refused(void **state)
{
	enum { DEEP = 4000 };
	_cleanup_(freep) char *text = calloc(1, 8 * DEEP);

	(void)state;
	strcpy(text, "<policy" NS ">");
	for (int i = 0; i < DEEP; i++)
		strcat(text, "<a>");
	refused(text, "nested too deeply");
}

static void a_text_that_is_too_long_is_refused(void **state)
{
	_cleanup_(freep) char *text = malloc(DOMAIN_XML_MAX + 2);
	struct policy policy;
	struct error err = {.code = 0};

	(void)state;
	memset(text, ' ', DOMAIN_XML_MAX + 2);
	assert_int_equal(policy_xml_parse(text, POLICY_XML_MAX + 1, &policy, &err), -E2BIG);
	assert_non_null(strstr(err.text, "65536"));
	assert_int_equal(policy_xml_from_domain(text, DOMAIN_XML_MAX + 1, &policy, &err), -E2BIG);
	assert_int_equal(policy_xml_parse(text, SIZE_MAX, &policy, &err), -E2BIG);
}

static void hostile_names_do_not_make_sentences_endless(void **state)
{
	_cleanup_(freep) char *text = calloc(1, POLICY_XML_MAX);

	(void)state;
	strcpy(text, "<policy" NS "><");
	memset(text + strlen(text), 'a', 30000);
	strcat(text, "/></policy>");
	refused(text, "is unknown in <policy>");
}

static int from_domain(const char *text, struct policy *policy, struct error *err)
{
	err->code = 0;
	return policy_xml_from_domain(text, strlen(text), policy, err);
}

static void the_policy_of_a_domain_is_found_by_its_namespace(void **state)
{
	static const char domain[] =
		"<domain type='kvm' id='7'>\n"
		"  <name>db1</name>\n"
		"  <metadata>\n"
		"    <libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/1.0'>\n"
		"      <libosinfo:os id='x'/>\n"
		"    </libosinfo:libosinfo>\n"
		"    <vmtier:policy xmlns:vmtier='urn:vmtier:policy:1'>\n"
		"      <vmtier:mode>observe</vmtier:mode>\n"
		"      <vmtier:dram><vmtier:max unit='MiB'>512</vmtier:max></vmtier:dram>\n"
		"    </vmtier:policy>\n"
		"  </metadata>\n"
		"  <memory unit='KiB'>4194304</memory>\n"
		"</domain>\n";
	struct policy policy;
	struct error err;

	(void)state;
	assert_int_equal(from_domain(domain, &policy, &err), 0);
	assert_int_equal(policy.mode, MODE_OBSERVE);
	assert_true(policy.dram_max_bytes == 512ULL << 20);
}

static void a_domain_without_a_policy_says_so(void **state)
{
	static const char *const domains[] = {
		"<domain/>",
		"<domain><metadata/></domain>",
		"<domain><metadata><x:policy xmlns:x='urn:x'/></metadata></domain>",
		/* Not in metadata: not ours to find. */
		"<domain><policy" NS "/><devices><policy" NS "/></devices></domain>",
		"<domain><metadata><x xmlns='urn:x'><policy" NS "/></x></metadata></domain>",
	};
	struct policy policy;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(domains); i++)
		assert_int_equal(from_domain(domains[i], &policy, &err), POLICY_XML_NONE);
}

static void a_bad_policy_in_a_domain_is_refused_with_its_line(void **state)
{
	struct policy policy;
	struct error err;

	(void)state;
	assert_int_equal(from_domain("<domain>\n<metadata>\n<policy" NS
				     ">\n<mode>x</mode></policy></metadata></domain>",
				     &policy, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "line 4: <mode>"));
	assert_int_equal(from_domain("<domain><metadata><policy" NS "/><policy" NS
				     "/></metadata></domain>",
				     &policy, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "twice"));
	assert_int_equal(
		from_domain("<domain><metadata><mode" NS "/></metadata></domain>", &policy, &err),
		-EINVAL);
	assert_int_equal(from_domain("<network/>", &policy, &err), -EINVAL);
	assert_int_equal(from_domain("", &policy, &err), -EINVAL);
	assert_int_equal(from_domain("<!DOCTYPE domain []><domain/>", &policy, &err), -EINVAL);
}

/** struct directory - a fresh one with one file in it */
struct directory {
	char path[64];
	char file[128];
};

static void directory_make(struct directory *dir, const char *name, const char *text, size_t len)
{
	int fd;

	strcpy(dir->path, "/tmp/vmtier-test-XXXXXX");
	assert_non_null(mkdtemp(dir->path));
	snprintf(dir->file, sizeof(dir->file), "%s/%s", dir->path, name);
	fd = open(dir->file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void directory_remove(struct directory *dir)
{
	unlink(dir->file);
	rmdir(dir->path);
}

static void the_file_of_a_guest_is_found_by_its_name(void **state)
{
	static const char text[] = "<policy" NS "><mode>off</mode></policy>";
	_cleanup_(directory_remove) struct directory dir;
	struct policy policy;
	struct error err;

	(void)state;
	directory_make(&dir, "db 1.xml", text, strlen(text));
	assert_int_equal(policy_file_read(dir.path, "db 1", &policy, &err), 0);
	assert_int_equal(policy.mode, MODE_OFF);
	assert_int_equal(policy_file_read(dir.path, "db", &policy, &err), POLICY_XML_NONE);
	assert_int_equal(policy_file_read("/no/such/dir", "db", &policy, &err), POLICY_XML_NONE);
}

static void names_that_leave_the_directory_have_no_file(void **state)
{
	static const char text[] = "<policy" NS "/>";
	_cleanup_(directory_remove) struct directory dir;
	struct policy policy;
	char name[600];

	(void)state;
	directory_make(&dir, ".hidden.xml", text, strlen(text));
	assert_int_equal(policy_file_read(dir.path, ".hidden", &policy, NULL), POLICY_XML_NONE);
	assert_int_equal(policy_file_read(dir.path, "", &policy, NULL), POLICY_XML_NONE);
	assert_int_equal(policy_file_read(dir.path, "./.hidden", &policy, NULL), POLICY_XML_NONE);
	snprintf(name, sizeof(name), "..%s/.hidden", dir.path);
	assert_int_equal(policy_file_read("/tmp", name, &policy, NULL), POLICY_XML_NONE);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(policy_file_read(dir.path, name, &policy, NULL), POLICY_XML_NONE);
}

static void a_bad_file_is_named_with_its_line(void **state)
{
	static const char text[] = "<policy" NS ">\n<x/></policy>";
	_cleanup_(directory_remove) struct directory dir;
	struct policy policy;
	struct error err = {.code = 0};

	(void)state;
	directory_make(&dir, "db1.xml", text, strlen(text));
	assert_int_equal(policy_file_read(dir.path, "db1", &policy, &err), -EINVAL);
	assert_non_null(strstr(err.text, dir.file));
	assert_non_null(strstr(err.text, "line 2: <x>"));
}

static void a_file_that_is_too_long_is_refused(void **state)
{
	_cleanup_(freep) char *text = malloc(POLICY_XML_MAX + 1);
	_cleanup_(directory_remove) struct directory dir;
	struct policy policy;
	struct error err = {.code = 0};

	(void)state;
	memset(text, ' ', POLICY_XML_MAX + 1);
	directory_make(&dir, "db1.xml", text, POLICY_XML_MAX + 1);
	assert_int_equal(policy_file_read(dir.path, "db1", &policy, &err), -E2BIG);
}

static void a_pipe_in_place_of_a_file_does_not_stop_the_reader(void **state)
{
	_cleanup_(directory_remove) struct directory dir;
	struct policy policy;
	struct error err = {.code = 0};

	(void)state;
	directory_make(&dir, "db1.xml", "", 0);
	unlink(dir.file);
	assert_int_equal(mkfifo(dir.file, 0600), 0);
	assert_int_equal(policy_file_read(dir.path, "db1", &policy, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a regular file"));
}

/* Everything that a seed makes of a good policy ends in an answer; ASan watches. */
static void mutations_of_a_good_policy_end_in_an_answer(void **state)
{
	static const char good[] = "<policy" NS "><mode>tier</mode><dram><max unit='GiB'>16</max>"
				   "</dram><target nodes='0,2-3'/></policy>";
	static const char alphabet[] = "<>/&;'\"=!?-[]abc0129 \n\xff";
	unsigned int seed = 20250301;
	char text[sizeof(good)];
	struct policy policy;
	struct error err;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		int changes = 1 + rand_r(&seed) % 4;

		memcpy(text, good, sizeof(good));
		for (int i = 0; i < changes; i++)
			text[(size_t)rand_r(&seed) % (sizeof(good) - 1)] =
				alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		err.code = 0;
		if (policy_xml_parse(text, sizeof(good) - 1, &policy, &err) == 0)
			assert_true(policy.mode < MODE_COUNT);
		else
			assert_int_equal(err.code, -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_policy_is_taken),
		cmocka_unit_test(every_element_may_be_left_out),
		cmocka_unit_test(any_prefix_will_do),
		cmocka_unit_test(sizes_have_units_as_in_libvirt),
		cmocka_unit_test(node_lists_are_taken_strictly),
		cmocka_unit_test(sizes_that_are_no_sizes_are_refused),
		cmocka_unit_test(anything_that_nothing_obeys_is_refused),
		cmocka_unit_test(an_element_may_not_come_twice),
		cmocka_unit_test(another_namespace_is_not_ours),
		cmocka_unit_test(text_that_is_no_xml_is_refused),
		cmocka_unit_test(embedded_nul_bytes_are_refused),
		cmocka_unit_test(a_document_type_is_refused_before_it_is_read),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(a_text_that_is_too_long_is_refused),
		cmocka_unit_test(hostile_names_do_not_make_sentences_endless),
		cmocka_unit_test(the_policy_of_a_domain_is_found_by_its_namespace),
		cmocka_unit_test(a_domain_without_a_policy_says_so),
		cmocka_unit_test(a_bad_policy_in_a_domain_is_refused_with_its_line),
		cmocka_unit_test(the_file_of_a_guest_is_found_by_its_name),
		cmocka_unit_test(names_that_leave_the_directory_have_no_file),
		cmocka_unit_test(a_bad_file_is_named_with_its_line),
		cmocka_unit_test(a_file_that_is_too_long_is_refused),
		cmocka_unit_test(a_pipe_in_place_of_a_file_does_not_stop_the_reader),
		cmocka_unit_test(mutations_of_a_good_policy_end_in_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
