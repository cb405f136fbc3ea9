/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes as people and libvirt write them, and back.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT_4K 12
#define PAGE_BYTES    (1ULL << PAGE_SHIFT_4K)
#define LARGE_PAGES   512 /* 4 KiB pages in a 2 MiB entry */
#define NSEC_PER_SEC  1000000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define MIB(n)	      ((uint64_t)(n) << 20)

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/**
 * units_scale() - how many bytes a libvirt unit stands for
 * @unit: "b", "bytes", "KB", "k", "KiB", "MB", "M", "MiB", ... up to "EiB", letter
 *	case ignored as libvirt does; NULL means KiB
 * Source: libvirt docs/formatdomain.rst, memory unit.
 * Return: 0 if the unit is unknown.
 */
uint64_t units_scale(const char *unit);

/**
 * units_parse_u64() - a decimal number and nothing else around it
 * Return: 0, -EINVAL, or -ERANGE.
 */
int units_parse_u64(const char *text, uint64_t *ret_value);

/**
 * units_parse_bytes() - a number times a unit, without overflow
 * Return: 0, -EINVAL for a bad number or unit, -ERANGE.
 */
int units_parse_bytes(const char *text, const char *unit, uint64_t *ret_bytes);

/** units_format_bytes() - "1.5 GiB" into @buf, which is returned */
char *units_format_bytes(uint64_t bytes, char *buf, size_t size);
