/* The other half of archive_faults.c: operations on the inputs fail, and memory is short.
 *
 *   SAMC_FAULT_INPUT=DIR       opens, reads and listings below it count (an absolute path)
 *   SAMC_FAULT_INPUT_AT=N      number N of them (from 0) fails with SAMC_FAULT_INPUT_ERRNO
 *   SAMC_FAULT_INPUT_COUNT=F   a file that gets how many there were
 *   SAMC_FAULT_MEMORY=BYTES    blocks of 256 KiB and more may not hold more than that together */
#include "tests/input_faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char root[4096];
static const char *count_file;
static long strike_at = -1;
static int strike_errno;
static atomic_long operations, held, most = -1;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("SAMC_FAULT_INPUT");
    if (text != NULL) snprintf(root, sizeof root, "%s", text);
    if ((text = getenv("SAMC_FAULT_INPUT_AT")) != NULL) strike_at = atol(text);
    if ((text = getenv("SAMC_FAULT_INPUT_ERRNO")) != NULL) strike_errno = atoi(text);
    if ((text = getenv("SAMC_FAULT_MEMORY")) != NULL) atomic_store(&most, atol(text));
    count_file = getenv("SAMC_FAULT_INPUT_COUNT");
}

__attribute__((destructor)) static void end(void) {
    FILE *file = count_file ? fopen(count_file, "w") : NULL;
    if (file == NULL) return;
    fprintf(file, "%ld\n", atomic_load(&operations));
    fclose(file);
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

int input_strikes(const char *path) {
    size_t length = strlen(root);
    if (length == 0 || strncmp(path, root, length) != 0 || (path[length] != '/' && path[length] != '\0')) return 0;
    if (atomic_fetch_add(&operations, 1) != strike_at) return 0;
    errno = strike_errno;
    return 1;
}

static int handle_strikes(int handle) {
    char link[64], path[4096];
    if (root[0] == '\0') return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    return input_strikes(path);
}

ssize_t read(int handle, void *bytes, size_t size) {
    return handle_strikes(handle) ? -1 : REAL(read)(handle, bytes, size);
}
ssize_t pread(int handle, void *bytes, size_t size, off_t at) {
    return handle_strikes(handle) ? -1 : REAL(pread)(handle, bytes, size, at);
}
DIR *opendir(const char *path) { return input_strikes(path) ? NULL : REAL(opendir)(path); }
struct dirent *readdir(DIR *folder) {
    return handle_strikes(dirfd(folder)) ? NULL : REAL(readdir)(folder);
}
int stat(const char *restrict path, struct stat *restrict information) {
    return input_strikes(path) ? -1 : REAL(stat)(path, information);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

enum { LARGE = 256 << 10 };
extern void *__libc_malloc(size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

/* Counts a block; gives it back where that is too much. */
static void *counted(void *block) {
    long size = block ? (long)malloc_usable_size(block) : 0;
    if (size < LARGE) return block;
    if (atomic_fetch_add(&held, size) + size <= atomic_load(&most) || atomic_load(&most) < 0) return block;
    atomic_fetch_sub(&held, size);
    __libc_free(block);
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size) { return counted(__libc_malloc(size)); }
void *aligned_alloc(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }
void *memalign(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }

int posix_memalign(void **block, size_t alignment, size_t size) {
    *block = aligned_alloc(alignment, size);
    return *block ? 0 : ENOMEM;
}

void *calloc(size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    void *block = counted(__libc_malloc(
        count * size)); /* not malloc(): the compiler would make that, with memset(), this very function */
    return block ? memset(block, 0, count * size) : NULL;
}

void free(void *block) {
    long size = block ? (long)malloc_usable_size(block) : 0;
    if (size >= LARGE) atomic_fetch_sub(&held, size);
    __libc_free(block);
}

void *realloc(void *block, size_t size) {
    void *grown = malloc(size);
    size_t old = block ? malloc_usable_size(block) : 0;
    if (grown == NULL) return NULL;
    memcpy(grown, block, old < size ? old : size);
    free(block);
    return grown;
}
