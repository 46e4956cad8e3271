// verbs.h - the verbs of samc-gpu, the program that tools/gpu_check.sh carries to a GPU (main.cc): each as a program's
// main would be.
#ifndef SAMC_TESTS_GPU_VERBS_H
#define SAMC_TESTS_GPU_VERBS_H

#ifdef __cplusplus
extern "C" {
#endif

int check_main(int argc, char **argv);     // gpu_test.cc
int device_main(int argc, char **argv);    // device_report.cu
int libraries_main(int argc, char **argv); // libraries_test.cc
int golden_main(int argc, char **argv);    // tests/parity/parity_test.c
int engine_main(int argc, char **argv);    // end_to_end.c: its verb is argv[1]

#ifdef __cplusplus
}
#endif

#endif
