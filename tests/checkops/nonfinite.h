/* The operator checks' way to the CUDA kernels. */
#ifndef SAMC_TESTS_CHECKOPS_NONFINITE_H
#define SAMC_TESTS_CHECKOPS_NONFINITE_H

#include "tests/checkops/checkops.h"

/* Runs the operator on the CUDA kernels (tests/emu/emu_nonfinite.cc), tensors in the given type. SAMC_UNSUPPORTED where
 * no kernel does that. */
samc_status run_cuda(const row *r, check *c, samc__dtype type, samc_error *error);

#endif
