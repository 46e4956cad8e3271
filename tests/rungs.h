/* What SAMC_CPU_CAPS allows in turn, so that every rung of the cpu table is run on one machine; a rung that it lacks
 * falls back to the one below it. */
#ifndef SAMC_TESTS_RUNGS_H
#define SAMC_TESTS_RUNGS_H

#if defined(__x86_64__)
static const char *const rungs[] = {"none", "sse2", "avx2", "avx2,avx512"};
#else
static const char *const rungs[] = {"none", "neon"};
#endif
enum { RUNGS = sizeof rungs / sizeof *rungs };

#endif
