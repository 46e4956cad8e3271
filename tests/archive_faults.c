/* A layer between samc and the file system, loaded with LD_PRELOAD: records every change below one folder, and makes chosen ones fail.
 * tests/archive_test.py replays the record as a disk that lost its power, keeping only what was synced.
 *
 *   SAMC_FAULT_ROOT=DIR    only names below it count (an absolute path)
 *   SAMC_FAULT_LOG=FILE    one line an operation: its name, inode or "-", then paths and data in hexadecimal
 *   SAMC_FAULT_AT=N        operation N (from 0) fails with SAMC_FAULT_ERRNO, or, where that is 0, kills the process
 *   SAMC_FAULT_ERRNO=E
 *   SAMC_FAULT_ALWAYS=1    every operation from N on fails: a disk that is full or read-only stays so */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* operations happen in the order of the record */
static char root[4096];
static size_t root_length;
static int record = -1, fault_errno;
static long fault_at = -1, operations;
static int fault_always;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("SAMC_FAULT_ROOT"), *file = getenv("SAMC_FAULT_LOG");
    if (text != NULL) snprintf(root, sizeof root, "%s", text);
    root_length = strlen(root);
    if ((text = getenv("SAMC_FAULT_AT")) != NULL) fault_at = atol(text);
    if ((text = getenv("SAMC_FAULT_ERRNO")) != NULL) fault_errno = atoi(text);
    fault_always = getenv("SAMC_FAULT_ALWAYS") != NULL;
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    if (file != NULL) record = real(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    return root_length > 0 && strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == '\0');
}

/* The path of a descriptor below the root, or NULL. */
static const char *of(int handle, char *path, size_t room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, room - 1);
    if (length < 0) return NULL;
    path[length] = '\0';
    return below(path) ? path : NULL;
}

/* Counts an operation. Returns 1 where it is to fail, with errno set. The lock is held. */
static int strikes(void) {
    long number = operations++;
    if (fault_at < 0 || (fault_always ? number < fault_at : number != fault_at)) return 0;
    if (fault_errno == 0) raise(SIGKILL);
    errno = fault_errno;
    return 1;
}

static void put(const char *operation, ino_t inode, const void *a, size_t a_size, const void *b, size_t b_size) {
    if (record < 0) return;
    char *line = malloc(64 + 2 * (a_size + b_size));
    int n = sprintf(line, "%s %llu ", operation, (unsigned long long)inode);
    for (size_t i = 0; i < a_size; i++) n += sprintf(line + n, "%02x", ((const unsigned char *)a)[i]);
    line[n++] = ' ';
    for (size_t i = 0; i < b_size; i++) n += sprintf(line + n, "%02x", ((const unsigned char *)b)[i]);
    line[n++] = '\n';
    if (REAL(write)(record, line, (size_t)n) != n) abort();
    free(line);
}

static ino_t inode_of(int handle) {
    struct stat information;
    return fstat(handle, &information) == 0 ? information.st_ino : 0;
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (!below(path) || !(flags & O_CREAT)) return REAL(open)(path, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = access(path, F_OK) == 0, handle = strikes() ? -1 : REAL(open)(path, flags, mode);
    if (handle >= 0) put(existed ? "open" : "create", inode_of(handle), path, strlen(path), NULL, 0);
    pthread_mutex_unlock(&lock);
    return handle;
}

ssize_t write(int handle, const void *bytes, size_t size) {
    char path[4096];
    if (of(handle, path, sizeof path) == NULL) return REAL(write)(handle, bytes, size);
    pthread_mutex_lock(&lock);
    off_t at = lseek(handle, 0, SEEK_CUR);
    ssize_t written = strikes() ? -1 : REAL(write)(handle, bytes, size);
    if (written > 0) put("write", inode_of(handle), &at, sizeof at, bytes, (size_t)written);
    pthread_mutex_unlock(&lock);
    return written;
}

int ftruncate(int handle, off_t length) {
    pthread_mutex_lock(&lock);
    int code = strikes() ? -1 : REAL(ftruncate)(handle, length);
    if (code == 0) put("truncate", inode_of(handle), &length, sizeof length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

int fsync(int handle) {
    char path[4096];
    pthread_mutex_lock(&lock);
    int code = strikes() ? -1 : 0; /* the replay decides what is on the disk; waiting for the real one would only take time */
    if (code == 0 && of(handle, path, sizeof path) != NULL) put("sync", inode_of(handle), path, strlen(path), NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

int syncfs(int handle) {
    pthread_mutex_lock(&lock);
    int code = strikes() ? -1 : 0;
    if (code == 0) put("syncfs", inode_of(handle), NULL, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

static int moved(const char *from, const char *to, int code) {
    if (code == 0) put("rename", 0, from, strlen(from), to, strlen(to));
    return code;
}

int rename(const char *from, const char *to) {
    if (!below(to)) return REAL(rename)(from, to);
    pthread_mutex_lock(&lock);
    int code = strikes() ? -1 : moved(from, to, REAL(rename)(from, to));
    pthread_mutex_unlock(&lock);
    return code;
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    if (!below(to)) return REAL(renameat2)(from_folder, from, to_folder, to, flags);
    pthread_mutex_lock(&lock);
    int code = strikes() ? -1 : moved(from, to, REAL(renameat2)(from_folder, from, to_folder, to, flags));
    pthread_mutex_unlock(&lock);
    return code;
}

int mkdir(const char *path, mode_t mode) {
    if (!below(path)) return REAL(mkdir)(path, mode);
    pthread_mutex_lock(&lock);
    int code = access(path, F_OK) == 0 ? (errno = EEXIST, -1) : strikes() ? -1 : REAL(mkdir)(path, mode);
    if (code == 0) put("mkdir", 0, path, strlen(path), NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

static int removed(const char *path, int code) {
    if (code == 0) put("unlink", 0, path, strlen(path), NULL, 0);
    return code;
}

int unlink(const char *path) {
    if (!below(path)) return REAL(unlink)(path);
    pthread_mutex_lock(&lock);
    int code = removed(path, REAL(unlink)(path));
    pthread_mutex_unlock(&lock);
    return code;
}

int unlinkat(int folder, const char *name, int flags) {
    char path[8192];
    pthread_mutex_lock(&lock);
    int inside = of(folder, path, sizeof path / 2) != NULL, code = REAL(unlinkat)(folder, name, flags);
    if (inside) {
        strcat(strcat(path, "/"), name);
        removed(path, code);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

int rmdir(const char *path) {
    if (!below(path)) return REAL(rmdir)(path);
    pthread_mutex_lock(&lock);
    int code = removed(path, REAL(rmdir)(path));
    pthread_mutex_unlock(&lock);
    return code;
}
