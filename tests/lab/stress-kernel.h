/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel of the lab says about itself: which of its checks are really at
 * work, whether it has complained, what leaked, whether KVM can be unloaded.
 */
#pragma once

#include <regex.h>
#include <stdio.h>

#include "stress.h"

#define STRESS_KERNEL_COUNTS 4

/**
 * struct stress_kernel - facts
 * @kmsg_fd: /dev/kmsg, read from where it was opened on
 * @splat: what a line looks like that is a complaint
 * @before: what the kernel had counted, see stress_kernel_read_counts()
 * @splats: lines that look like a complaint
 * @first_splat: the first of them, or ""
 * @has_kmemleak: there is a kmemleak to be asked
 * @leaks_before: objects it suspected before anything was done; forgotten then
 * @leaks: objects it suspects at the end
 * @first_leak: the first of them, or ""
 * @is_unloaded: the modules of KVM could be unloaded
 */
struct stress_kernel {
	int kmsg_fd;
	regex_t splat;
	uint64_t before[STRESS_KERNEL_COUNTS];
	unsigned int splats;
	char first_splat[200];
	bool has_kmemleak;
	unsigned int leaks_before;
	unsigned int leaks;
	char first_leak[200];
	bool is_unloaded;
};

/**
 * stress_kernel_begin() - open the log, scan for leaks that are none of ours
 * @splat: extended regular expression, that of lab/run: borrowed
 */
int stress_kernel_begin(struct stress_kernel *k, const char *splat);

/** stress_kernel_end() - close the log */
void stress_kernel_end(struct stress_kernel *k);

/** stress_kernel_read_counts() - STRESS_SWAPPED_OUT and others that the kernel counts itself */
void stress_kernel_read_counts(const struct stress_kernel *k, struct stress *s);

/** stress_kernel_quieten() - stop those who collapse and merge pages on their own account */
void stress_kernel_quieten(void);

/** stress_kernel_listen() - read what the kernel has said since; a splat is noted as a failure */
void stress_kernel_listen(struct stress_kernel *k, struct stress *s);

/** stress_kernel_find_leaks() - scan twice; what is suspected is noted as a failure */
void stress_kernel_find_leaks(struct stress_kernel *k, struct stress *s);

/** stress_kernel_unload() - rmmod kvm_amd, or kvm_intel, and kvm; a failure is noted */
void stress_kernel_unload(struct stress_kernel *k, struct stress *s);

/**
 * stress_kernel_check() - are lockdep, KASAN and kmemleak at work?
 * @out: gets their names with true or false, and more facts, as members of a JSON object
 * Return: all three are.
 */
bool stress_kernel_check(const struct stress_kernel *k, FILE *out);
