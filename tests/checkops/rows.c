/* The cases of every operator (kernels/<operator>/cases.c), and what all runners do with one. */
#include "tests/checkops/checkops.h"

const row *const all_rows[OPS] = {
#define SAMC_OP(name, ...) &name##_cases,
#include "kernels/list.h"
#undef SAMC_OP
};

void build_case(const row *r, const test_case *t, uint64_t seed, pattern p, guard_place place, check *c) {
    *c = (check){.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .pattern = p, .place = place};
    for (int i = 0; i < MAX_PARAMS; i++) c->random = (c->random ^ (uint64_t)t->p[i]) * UINT64_C(0xbf58476d1ce4e5b9) + 7;
    for (int i = 0; i < 8; i++) random_bits(c);
    r->build(c, t->p);
    keep_initial(c);
}

double flops_of(const row *r, const check *c) {
#define SAMC_OP(op, ...)                                                                                               \
    if (r == &op##_cases) return samc__##op##_flops(ARGS(c, op));
#include "kernels/list.h"
#undef SAMC_OP
    return 0;
}

samc_status call_op(const row *r, const samc__exec *exec, const check *c) {
#define SAMC_OP(op, ...)                                                                                               \
    if (r == &op##_cases) return samc__##op(exec, ARGS(c, op));
#include "kernels/list.h"
#undef SAMC_OP
    return SAMC_INTERNAL;
}
