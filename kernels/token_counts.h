/* Every number of tokens that prompts lead to, 5 to 64, for the cases of the decoder's attentions: the kernels' shared
 * memory goes by it. */
#ifndef SAMC_KERNELS_TOKEN_COUNTS_H
#define SAMC_KERNELS_TOKEN_COUNTS_H

#define TEN_TOKEN_COUNTS(OF, t)                                                                                        \
    OF(t), OF(t + 1), OF(t + 2), OF(t + 3), OF(t + 4), OF(t + 5), OF(t + 6), OF(t + 7), OF(t + 8), OF(t + 9)
#define EVERY_TOKEN_COUNT(OF)                                                                                          \
    TEN_TOKEN_COUNTS(OF, 5), TEN_TOKEN_COUNTS(OF, 15), TEN_TOKEN_COUNTS(OF, 25), TEN_TOKEN_COUNTS(OF, 35),             \
        TEN_TOKEN_COUNTS(OF, 45), TEN_TOKEN_COUNTS(OF, 55)

#endif
