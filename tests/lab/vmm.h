/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small VMM, see vmm.c: its state, and commands as rows of tables.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-memory.h"
#include "vmm-work.h"

/** struct vmm - the process' one guest; @scribbler writes into a ring while @scribble is set */
struct vmm {
	struct tiny *t;
	struct vmm_memory memory;
	struct vmm_work work;
	pthread_t scribbler;
	size_t scribbled_vcpu;
	atomic_bool scribble;
};

/**
 * struct vmm_command - one command
 * @nargs: words that follow it
 * @run: prints the answer.  Return: 0, or a negative errno and nothing is printed.
 */
struct vmm_command {
	const char *name;
	int nargs;
	int (*run)(struct vmm *v, char **arg);
};

/** vmm_hostile_commands - what an honest VMM never does; ends with an empty row */
extern const struct vmm_command vmm_hostile_commands[];

/** vmm_ok(), vmm_ok_number() - print an answer.  Return: 0, or @n if that is negative. */
int vmm_ok(void);
int vmm_ok_number(int64_t n);

/** vmm_number() - a number in any base that C knows */
uint64_t vmm_number(const char *text);

/** vmm_has_vcpu() - whether @text is the number of a vCPU */
bool vmm_has_vcpu(const struct vmm *v, const char *text);
