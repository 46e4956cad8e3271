/* What archive_faults.c and input_faults.c share: calls that both have to look at. */
#ifndef SAMC_TESTS_INPUT_FAULTS_H
#define SAMC_TESTS_INPUT_FAULTS_H

/* Counts an operation on an input, where `path` is one. Returns 1 where it is to fail, with errno set. */
int input_strikes(const char *path);

#endif
