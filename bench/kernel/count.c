// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A TCG plugin that counts the instructions which the emulated machine executes
 * between two markers (mark.h), whoever executes them: user space, the kernel, an
 * interrupt that happens to come.  Argument: out=FILE.
 *
 * DOC: what is counted
 * Each instruction adds one to a counter right before it is executed.  The
 * addition is part of the translated code, per instruction and not per block, so
 * a block that is left in its middle is counted up to there.  The markers are
 * not counted.
 *
 * QEMU executes each turn of a REP string instruction as an instruction of its
 * own.  A real CPU counts it as one, so the turns behind the first one are counted
 * separately, to be taken off.  (A turn is one that comes right behind the same
 * instruction: of two in a loop without anything in between it would be wrong.)  An
 * instruction that faults is counted again when it is started again.
 *
 * Each interval becomes one line of FILE: its number from 0 on, instructions as
 * QEMU executes them, turns of REP behind the first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mark.h"
#include "qemu-plugin.h"

int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static FILE *out;
static uint64_t instructions;
static uint64_t turns;
static uint64_t instructions_then;
static uint64_t turns_then;
static uint64_t intervals;

/* The REP string instruction that was started last, and where the counter stood then. */
static const void *rep_last;
static uint64_t rep_at;

static void at_begin(unsigned int vcpu, void *data)
{
	(void)vcpu;
	(void)data;
	instructions_then = instructions;
	turns_then = turns;
}

static void at_end(unsigned int vcpu, void *data)
{
	(void)vcpu;
	(void)data;
	fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", intervals++,
		instructions - instructions_then, turns - turns_then);
	fflush(out);
}

/* @data: the address of the instruction */
static void at_rep(unsigned int vcpu, void *data)
{
	(void)vcpu;
	turns += data == rep_last && instructions == rep_at + 1;
	rep_last = data;
	rep_at = instructions;
}

/* Return: the marker's id, or 0. */
static int marker(const uint8_t *code, size_t size)
{
	static const uint8_t head[] = {0x0f, 0x1f, 0x84, 0x00}, tail[] = {0x6d, 0x76, 0x74};

	if (size != MARK_BYTES || memcmp(code, head, sizeof(head)) ||
	    memcmp(code + 5, tail, sizeof(tail)))
		return 0;
	return code[4];
}

/* MOVS, CMPS, STOS, LODS, SCAS, INS and OUTS under a REP prefix. */
static bool is_rep_string(const uint8_t *code, size_t size)
{
	static const uint8_t prefixes[] = {0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26,
					   0x64, 0x65, 0xf0, 0xf2, 0xf3};
	bool rep = false;
	size_t i = 0;

	for (; i < size && memchr(prefixes, code[i], sizeof(prefixes)); i++)
		rep |= code[i] == 0xf2 || code[i] == 0xf3;
	if (i < size && (code[i] & 0xf0) == 0x40)
		i++;
	if (!rep || i >= size)
		return false;
	return (code[i] >= 0xa4 && code[i] <= 0xa7) || (code[i] >= 0xaa && code[i] <= 0xaf) ||
	       (code[i] >= 0x6c && code[i] <= 0x6f);
}

static void translate(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		const uint8_t *code = qemu_plugin_insn_data(insn);
		size_t size = qemu_plugin_insn_size(insn);

		switch (marker(code, size)) {
		case MARK_BEGIN:
			qemu_plugin_register_vcpu_insn_exec_cb(insn, at_begin,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
			continue;
		case MARK_END:
			qemu_plugin_register_vcpu_insn_exec_cb(insn, at_end, QEMU_PLUGIN_CB_NO_REGS,
							       NULL);
			continue;
		}
		qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64,
							   &instructions, 1);
		if (is_rep_string(code, size))
			qemu_plugin_register_vcpu_insn_exec_cb(
				insn, at_rep, QEMU_PLUGIN_CB_NO_REGS,
				(void *)(uintptr_t)qemu_plugin_insn_vaddr(insn));
	}
}

int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (strncmp(argv[i], "out=", 4)) {
			fprintf(stderr,
				"count: unknown argument '%s', nothing is counted: "
				"give out=FILE\n",
				argv[i]);
			return -1;
		}
		out = fopen(argv[i] + 4, "we");
	}
	if (!out) {
		fprintf(stderr, "count: no file to write to, nothing is counted: give out=FILE\n");
		return -1;
	}
	/* The addition is not atomic. */
	if (info->system.smp_vcpus != 1) {
		fprintf(stderr, "count: %d CPUs would count at once and lose some: use one\n",
			info->system.smp_vcpus);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	return 0;
}
