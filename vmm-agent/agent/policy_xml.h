/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies as operators write them, and as libvirt hands them over.
 *
 *	<policy xmlns="urn:vmtier:policy:1">
 *	  <mode>tier</mode>
 *	  <dram><max unit="GiB">16</max></dram>
 *	  <target nodes="0,2-3"/>
 *	</policy>
 *
 * Every element may be left out, none may come twice, and anything that
 * nothing obeys is an error with its line: an operator who writes it would
 * rely on it.  The text is not trusted: no DTD, no entity, no network, a cap
 * on size and depth.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "plan/policy.h"

#define POLICY_XML_NAMESPACE "urn:vmtier:policy:1"
#define POLICY_XML_MAX	     (64U << 10) /* a policy of all elements is under 1 KiB */
#define DOMAIN_XML_MAX	     (4U << 20)	 /* some hundred KiB in practice */

/** enum policy_xml_outcome - POLICY_XML_NONE: the domain carries no policy of ours */
enum policy_xml_outcome { POLICY_XML_NONE = 1 };

/**
 * policy_xml_parse() - the text of one policy file
 * @ret_policy: untouched on failure; origin is left to the caller
 * Return: 0 or -EINVAL with line and element in @err, -E2BIG, -ENOMEM.
 */
int policy_xml_parse(const char *text, size_t len, struct policy *ret_policy, struct error *err);

/**
 * policy_xml_from_domain() - the policy in <metadata> of a domain's XML
 *
 * Found by namespace and local name, whatever prefix libvirt gave it.
 * Return: 0, POLICY_XML_NONE, or as policy_xml_parse().
 */
int policy_xml_from_domain(const char *text, size_t len, struct policy *ret_policy,
			   struct error *err);

/**
 * policy_file_read() - DIR/NAME.xml of a guest
 * @dir: the policy directory; @name: the guest's name, not trusted: one with '/' or a leading
 *	'.' has no file
 * Return: 0, POLICY_XML_NONE if there is no file, or a negative errno with a sentence.
 */
int policy_file_read(const char *dir, const char *name, struct policy *ret_policy,
		     struct error *err);
