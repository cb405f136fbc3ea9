// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From XML to struct policy, by libxml2.
 *
 * DOC: The text is read in two steps.  The parser itself refuses what no
 * policy needs and attacks do: a document type (and with it every entity), the
 * network, deep nesting.  Then the small tree is walked against one table per
 * element; whatever the tables do not name is an error.  A domain's XML goes
 * through the same parser, but only what is ours in its metadata is walked.
 */
#include "agent/policy_xml.h"

#include <errno.h>
#include <fcntl.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/tree.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/units.h"

/*
 * A policy nests 3 deep, a domain of libvirt 9.0 about 12, other people's
 * metadata little more.  Far below libxml2's own 256, after which it recurses.
 */
#define DEPTH_MAX 64

/* Nodes are bits of a uint64_t all over vmtier. */
#define NODE_ID_MAX 63

static void xml_ctxt_freep(xmlParserCtxtPtr *ctxt)
{
	if (*ctxt)
		xmlFreeParserCtxt(*ctxt);
}

static void xml_doc_freep(xmlDocPtr *doc)
{
	if (*doc)
		xmlFreeDoc(*doc);
}

static void xml_string_freep(xmlChar **text)
{
	if (*text)
		xmlFree(*text);
}

/**
 * struct reader - what the handlers below refuse, kept as the parser's _private
 * @refused: a sentence fragment, NULL while all is well; @line: where
 */
struct reader {
	const char *refused;
	int line;
	startElementNsSAX2Func start_element;
};

static void refuse(xmlParserCtxtPtr ctxt, const char *what)
{
	struct reader *reader = ctxt->_private;

	if (!reader->refused) {
		reader->refused = what;
		reader->line = xmlSAX2GetLineNumber(ctxt);
	}
	xmlStopParser(ctxt);
}

/* Called for <!DOCTYPE before any entity could be declared. */
static void on_doctype(void *arg, const xmlChar *name, const xmlChar *external,
		       const xmlChar *system)
{
	(void)name, (void)external, (void)system;
	refuse(arg, "a document type (<!DOCTYPE>) is not accepted");
}

static void on_element(void *arg, const xmlChar *local, const xmlChar *prefix, const xmlChar *uri,
		       int nns, const xmlChar **ns, int nattr, int ndefaulted, const xmlChar **attr)
{
	xmlParserCtxtPtr ctxt = arg;
	struct reader *reader = ctxt->_private;

	if (ctxt->nodeNr >= DEPTH_MAX) {
		refuse(ctxt, "elements are nested too deeply");
		return;
	}
	reader->start_element(ctxt, local, prefix, uri, nns, ns, nattr, ndefaulted, attr);
}

/* The parser's own sentence, without the end of line that it comes with. */
static int parser_error(xmlParserCtxtPtr ctxt, const struct reader *reader, struct error *err)
{
	const xmlError *e = xmlCtxtGetLastError(ctxt);
	int len;

	if (reader->refused)
		return error_set(err, -EINVAL, "line %d: %s", reader->line, reader->refused);
	if (!e || !e->message)
		return error_set(err, -EINVAL, "line 1: not an XML document");
	if (e->code == XML_ERR_NO_MEMORY)
		return error_set(err, -ENOMEM, "out of memory");
	len = (int)strcspn(e->message, "\r\n");
	return error_set(err, -EINVAL, "line %d: not well-formed: %.*s", e->line, len, e->message);
}

/* @max: most bytes accepted.  The caller frees @ret_doc. */
static int document_parse(const char *text, size_t len, size_t max, xmlDocPtr *ret_doc,
			  struct error *err)
{
	_cleanup_(xml_ctxt_freep) xmlParserCtxtPtr ctxt = NULL;
	struct reader reader = {.refused = NULL};
	xmlDocPtr doc;

	if (len > max)
		return error_set(err, -E2BIG, "longer than %zu bytes", max);
	ctxt = xmlNewParserCtxt();
	if (!ctxt)
		return error_set(err, -ENOMEM, "out of memory");
	ctxt->_private = &reader;
	reader.start_element = ctxt->sax->startElementNs;
	ctxt->sax->startElementNs = on_element;
	ctxt->sax->internalSubset = on_doctype;
	doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL,
				XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
					XML_PARSE_NOCDATA);
	if (!doc || !ctxt->wellFormed || reader.refused) {
		xmlFreeDoc(doc);
		return parser_error(ctxt, &reader, err);
	}
	*ret_doc = doc;
	return 0;
}

__attribute__((format(printf, 3, 4))) static int complain(struct error *err, const xmlNode *node,
							  const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return error_set(err, -EINVAL, "line %ld: <%.64s> %s", xmlGetLineNo((xmlNodePtr)node),
			 (const char *)node->name, what);
}

static bool node_is_ours(const xmlNode *node)
{
	return node->ns && !strcmp((const char *)node->ns->href, POLICY_XML_NAMESPACE);
}

static bool node_is_called(const xmlNode *node, const char *name)
{
	return !strcmp((const char *)node->name, name);
}

static bool text_is_blank(const xmlChar *text)
{
	return !text || !text[strspn((const char *)text, " \t\r\n")];
}

/* No attribute but @allowed, which may be NULL. */
static int attributes_check(const xmlNode *node, const char *allowed, struct error *err)
{
	for (const xmlAttr *a = node->properties; a; a = a->next)
		if (a->ns || !allowed || strcmp((const char *)a->name, allowed))
			return complain(err, node, "has an unknown attribute '%.64s'",
					(const char *)a->name);
	return 0;
}

/**
 * struct element - what may stand inside of an element
 * @read: called with the node; the policy is the one being built
 */
struct element {
	const char *name;
	int (*read)(const xmlNode *node, struct policy *policy, struct error *err);
};

static int child_read(const xmlNode *child, const struct element *elements, size_t n,
		      uint32_t *seen, struct policy *policy, struct error *err)
{
	if (!node_is_ours(child))
		return complain(err, child, "is not in the namespace " POLICY_XML_NAMESPACE);
	for (size_t i = 0; i < n; i++) {
		if (!node_is_called(child, elements[i].name))
			continue;
		if (*seen & 1U << i)
			return complain(err, child, "is there twice");
		*seen |= 1U << i;
		return elements[i].read(child, policy, err);
	}
	return complain(err, child, "is unknown in <%.64s>", (const char *)child->parent->name);
}

/* Walk the children of @node by a table; each may come once, in any order. */
static int children_read(const xmlNode *node, const struct element *elements, size_t n,
			 struct policy *policy, struct error *err)
{
	uint32_t seen = 0;
	int r;

	for (const xmlNode *child = node->children; child; child = child->next) {
		switch (child->type) {
		case XML_ELEMENT_NODE:
			r = child_read(child, elements, n, &seen, policy, err);
			if (r < 0)
				return r;
			break;
		case XML_TEXT_NODE:
			if (!text_is_blank(child->content))
				return complain(err, node, "holds text where elements belong");
			break;
		case XML_COMMENT_NODE:
			break;
		default:
			return complain(err, node, "holds something that is not an element");
		}
	}
	return 0;
}

/* The text of an element that holds nothing else, without the blanks around it. */
static int text_read(const xmlNode *node, char *buf, size_t size, struct error *err)
{
	_cleanup_(xml_string_freep) xmlChar *content = NULL;
	const char *start, *end;

	for (const xmlNode *child = node->children; child; child = child->next)
		if (child->type != XML_TEXT_NODE && child->type != XML_COMMENT_NODE)
			return complain(err, node, "holds something that is not text");
	content = xmlNodeGetContent(node);
	if (!content)
		return error_set(err, -ENOMEM, "out of memory");
	if (text_is_blank(content))
		return complain(err, node, "is empty");
	start = (const char *)content + strspn((const char *)content, " \t\r\n");
	end = start + strlen(start);
	while (end > start && strchr(" \t\r\n", end[-1]))
		end--;
	if ((size_t)(end - start) >= size)
		return complain(err, node, "holds too long a text");
	memcpy(buf, start, (size_t)(end - start));
	buf[end - start] = '\0';
	return 0;
}

static int mode_read(const xmlNode *node, struct policy *policy, struct error *err)
{
	char text[32];
	enum mode mode;
	int r;

	r = attributes_check(node, NULL, err);
	if (r < 0)
		return r;
	r = text_read(node, text, sizeof(text), err);
	if (r < 0)
		return r;
	mode = mode_parse(text);
	if (mode == MODE_COUNT)
		return complain(err, node, "'%s' is none of off, observe, promote, tier", text);
	policy->mode = mode;
	return 0;
}

static int max_read(const xmlNode *node, struct policy *policy, struct error *err)
{
	_cleanup_(xml_string_freep) xmlChar *unit = NULL;
	uint64_t bytes;
	char text[32];
	int r;

	r = attributes_check(node, "unit", err);
	if (r < 0)
		return r;
	r = text_read(node, text, sizeof(text), err);
	if (r < 0)
		return r;
	unit = xmlGetNoNsProp((xmlNodePtr)node, BAD_CAST "unit");
	if (unit && !units_scale((const char *)unit))
		return complain(err, node, "has an unknown unit '%.32s'", (const char *)unit);
	r = units_parse_bytes(text, (const char *)unit, &bytes);
	if (r == -ERANGE)
		return complain(err, node, "'%s' is too large", text);
	if (r < 0)
		return complain(err, node, "'%s' is not a whole number", text);
	policy->dram_limited = true;
	policy->dram_max_bytes = bytes;
	return 0;
}

static int dram_read(const xmlNode *node, struct policy *policy, struct error *err)
{
	static const struct element elements[] = {{"max", max_read}};
	int r;

	r = attributes_check(node, NULL, err);
	if (r < 0)
		return r;
	return children_read(node, elements, ARRAY_SIZE(elements), policy, err);
}

/* One or two digits at *@text, which is moved behind them; -1 if there are none or too many. */
static int node_id_parse(const char **text)
{
	int id = -1;

	for (; **text >= '0' && **text <= '9'; (*text)++) {
		id = (id < 0 ? 0 : id) * 10 + (**text - '0');
		if (id > NODE_ID_MAX)
			return -1;
	}
	return id;
}

/* "0,2-3": ids and ranges of ids, upwards, with commas and no blanks. */
static int node_list_parse(const char *text, uint64_t *ret_nodes)
{
	uint64_t nodes = 0;

	for (;;) {
		int first = node_id_parse(&text), last = first;

		if (first >= 0 && *text == '-') {
			text++;
			last = node_id_parse(&text);
		}
		if (first < 0 || last < first)
			return -EINVAL;
		nodes |= (~0ULL >> (NODE_ID_MAX - (last - first))) << first;
		if (!*text)
			break;
		if (*text++ != ',')
			return -EINVAL;
	}
	*ret_nodes = nodes;
	return 0;
}

static int target_read(const xmlNode *node, struct policy *policy, struct error *err)
{
	_cleanup_(xml_string_freep) xmlChar *list = NULL;
	int r;

	r = attributes_check(node, "nodes", err);
	if (r < 0)
		return r;
	r = children_read(node, NULL, 0, policy, err);
	if (r < 0)
		return r;
	list = xmlGetNoNsProp((xmlNodePtr)node, BAD_CAST "nodes");
	if (!list)
		return complain(err, node, "lacks the attribute 'nodes'");
	if (node_list_parse((const char *)list, &policy->target_nodes) < 0)
		return complain(err, node,
				"nodes='%.64s' is not a list of nodes 0 to 63 like '0,2-3'",
				(const char *)list);
	return 0;
}

static int policy_read(const xmlNode *root, struct policy *ret_policy, struct error *err)
{
	static const struct element elements[] = {
		{"mode", mode_read},
		{"dram", dram_read},
		{"target", target_read},
	};
	struct policy policy;
	int r;

	if (!node_is_ours(root) || !node_is_called(root, "policy"))
		return complain(err, root,
				"is not <policy> of the namespace " POLICY_XML_NAMESPACE);
	policy_default(&policy);
	r = attributes_check(root, NULL, err);
	if (r < 0)
		return r;
	r = children_read(root, elements, ARRAY_SIZE(elements), &policy, err);
	if (r < 0)
		return r;
	*ret_policy = policy;
	return 0;
}

int policy_xml_parse(const char *text, size_t len, struct policy *ret_policy, struct error *err)
{
	_cleanup_(xml_doc_freep) xmlDocPtr doc = NULL;
	int r;

	r = document_parse(text, len, POLICY_XML_MAX, &doc, err);
	if (r < 0)
		return r;
	return policy_read(xmlDocGetRootElement(doc), ret_policy, err);
}

/* The next element below @parent that is ours, after @node or from the start. */
static const xmlNode *metadata_next(const xmlNode *parent, const xmlNode *node)
{
	for (node = node ? node->next : parent->children; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE && node_is_ours(node))
			return node;
	return NULL;
}

int policy_xml_from_domain(const char *text, size_t len, struct policy *ret_policy,
			   struct error *err)
{
	_cleanup_(xml_doc_freep) xmlDocPtr doc = NULL;
	const xmlNode *root, *found = NULL;
	int r;

	r = document_parse(text, len, DOMAIN_XML_MAX, &doc, err);
	if (r < 0)
		return r;
	root = xmlDocGetRootElement(doc);
	if (root->ns || !node_is_called(root, "domain"))
		return complain(err, root, "is not libvirt's <domain>");
	for (const xmlNode *child = root->children; child; child = child->next) {
		if (child->type != XML_ELEMENT_NODE || child->ns ||
		    !node_is_called(child, "metadata"))
			continue;
		for (const xmlNode *ours = NULL; (ours = metadata_next(child, ours));) {
			if (found)
				return complain(err, ours, "is there twice in <metadata>");
			found = ours;
		}
	}
	return found ? policy_read(found, ret_policy, err) : POLICY_XML_NONE;
}

/* All of a regular file of at most @size - 1 bytes. */
static int file_read(int fd, char *buf, size_t size, size_t *ret_len, struct error *err)
{
	struct stat st;
	size_t len = 0;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "not a regular file");
	do {
		n = read(fd, buf + len, size - len);
		if (n < 0 && errno != EINTR)
			return error_set(err, -errno, "%s", strerror(errno));
		len += n > 0 ? (size_t)n : 0;
	} while (n && len < size);
	*ret_len = len;
	return 0;
}

int policy_file_read(const char *dir, const char *name, struct policy *ret_policy,
		     struct error *err)
{
	_cleanup_(freep) char *text = NULL;
	_cleanup_(closep) int fd = -1;
	char path[PATH_MAX];
	size_t len = 0;
	int r;

	if (!name[0] || name[0] == '.' || strchr(name, '/'))
		return POLICY_XML_NONE;
	if (snprintf(path, sizeof(path), "%s/%s.xml", dir, name) >= (int)sizeof(path))
		return POLICY_XML_NONE;
	/* O_NONBLOCK: a FIFO of that name may not stop the loop. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENAMETOOLONG))
		return POLICY_XML_NONE;
	if (fd < 0)
		return error_set(err, -errno, "policy '%s': %s", path, strerror(errno));
	/* One byte more than is accepted tells a file that is too long from one that is not. */
	text = malloc(POLICY_XML_MAX + 1);
	if (!text)
		return error_set(err, -ENOMEM, "out of memory");
	r = file_read(fd, text, POLICY_XML_MAX + 1, &len, err);
	if (r == 0)
		r = policy_xml_parse(text, len, ret_policy, err);
	if (r < 0)
		error_wrap(err, "policy '%s'", path);
	return r;
}
