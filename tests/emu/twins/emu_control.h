/* emu_control.h - what a test sets on the emulated device, and asks it. Programs that do not take these from the
 * environment (cuda_twin.cc). */
#ifndef SAMC_TESTS_EMU_TWINS_EMU_CONTROL_H
#define SAMC_TESTS_EMU_TWINS_EMU_CONTROL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct samc_emu_settings {
    uint64_t seed;   /* which streams are late or prompt, and the order of threads: 0 all late, 1 all prompt */
    uint64_t memory; /* bytes of the device */
    uint64_t refuse; /* the number of the allocation that fails; 0: none */
    uint64_t lose;   /* the number of the piece of work at which the device fails; 0: none */
    uint64_t cudnn;  /* 0: it computes; 1: it does not start; 2: it refuses every convolution; 3: it is not installed */
    uint64_t prompt; /* not 0: bit n says that stream n is a prompt one, in the order of their making; bit 0 is the
                        default stream's */
    uint64_t devices;    /* 0: one */
    uint64_t cublaslt;   /* 0: it computes; 1: it does not start; 2: it refuses every product; 3: its first algorithm
                            does; 4: it is not installed */
    uint64_t driver;     /* its CUDA version, 13000 for 13.0, which 0 stands for */
    uint64_t capability; /* of the devices, 90 for 9.0; 0: 8.0 with odd seeds, 9.0 with even ones */
} samc_emu_settings;

/* A device as new. Ends the process when something of the one before was not given back. */
void samc_emu_begin(const samc_emu_settings *settings);

/* How tensor cores add from now on: nearest, sm80 or sm90 (tests/emu/tensor_core.h). Where SAMC_EMU_ACCUMULATE is set,
 * it stays as that says. */
void samc_emu_accumulate(const char *name);

/* Since then. */
uint64_t samc_emu_allocations(void);
uint64_t samc_emu_works(void);
uint64_t
samc_emu_ran(const char *what); /* times that a kernel, or a call by its name, ran; since the program's start */

/* Since the program's start: kernels and calls of NVIDIA's libraries put on a stream, copies put on one, and calls in
 * which the host had to wait for the device, which where every stream is late (seed 0) are all that could. */
typedef struct samc_emu_counts {
    uint64_t launches, copies, waits;
} samc_emu_counts;
samc_emu_counts samc_emu_counted(void);

#ifdef __cplusplus
}
#endif
#endif
