// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Code of which the number of instructions is known, to prove the counter.
 */
#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "measure.h"

/*
 * The markers stand in the same assembler code, so that the compiler puts nothing
 * in between.
 */
#define BETWEEN_MARKS(code) MARK_ASM("1") code MARK_ASM("2")

/* One instruction, and two per turn. */
static void loop(struct meter *m, uint32_t turns)
{
	m->start_ns = clock_ns(CLOCK_MONOTONIC);
	__asm__ volatile(BETWEEN_MARKS("movl %0, %%ecx\n"
				       "1: decl %%ecx\n"
				       "jnz 1b\n")
			 :
			 : "r"(turns)
			 : "ecx", "cc");
	meter_ended(m);
}

/* One instruction, whose turns are not counted. */
static void store_string(struct meter *m, uint8_t *p, uint64_t bytes)
{
	m->start_ns = clock_ns(CLOCK_MONOTONIC);
	__asm__ volatile(BETWEEN_MARKS("rep stosb\n") : "+D"(p), "+c"(bytes) : "a"(0) : "memory");
	meter_ended(m);
}

int measure_calibration(struct measure *m)
{
	static const uint32_t turns[] = {1000, 10000, 100000, 1000000};
	static uint8_t buffer[1000];
	char name[40];

	for (unsigned int i = 0; i < 3 * m->reps; i++) {
		meter_begin(&m->meter);
		meter_end(&m->meter);
		meter_write(
			&m->meter,
			&(struct reading) {.series = "known", .variant = "nothing", .state = ""});
		for (size_t n = 0; n < ARRAY_SIZE(turns); n++) {
			loop(&m->meter, turns[n]);
			snprintf(name, sizeof(name), "loop of %u", turns[n]);
			meter_write(&m->meter,
				    &(struct reading) {.series = "known",
						       .variant = name,
						       .state = "",
						       .expected = 1 + 2 * (uint64_t)turns[n]});
		}
		store_string(&m->meter, buffer, sizeof(buffer));
		meter_write(&m->meter, &(struct reading) {.series = "known",
							  .variant = "rep stosb of 1000",
							  .state = "",
							  .expected = 1});
		meter_begin(&m->meter);
		syscall(SYS_getppid);
		meter_end(&m->meter);
		meter_write(&m->meter, &(struct reading) {.series = "known",
							  .variant = "a system call",
							  .state = ""});
	}
	return 0;
}
