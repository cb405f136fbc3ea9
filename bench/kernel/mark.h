/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Markers: instructions without effect that the plugin (count.c) recognises by
 * their bytes.  Without the plugin they cost one no-op each.
 *
 *	0f 1f 84 00 ID 6d 76 74		nopl 0x74766dID(%rax,%rax,1)
 *
 * No compiler pads code with a displacement like that.
 */
#pragma once

#define MARK_BYTES 8

/**
 * enum mark_id - what a marker says
 * @MARK_BEGIN: count from the next instruction on
 * @MARK_END: the instruction before was the last one; an interval is done
 */
enum mark_id {
	MARK_BEGIN = 1,
	MARK_END = 2,
};

/* For use within other assembler code; @id is a number in quotes. */
#define MARK_ASM(id) ".byte 0x0f, 0x1f, 0x84, 0x00, " id ", 0x6d, 0x76, 0x74\n"

/* The compiler moves no memory access over it. */
#define MARK(id) __asm__ volatile(MARK_ASM("%c0") : : "i"(id) : "memory")
