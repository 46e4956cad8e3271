/* A layer between samc and the file system, loaded with LD_PRELOAD: records every change below one folder, and makes
 * chosen ones fail. tests/archive_test.py replays the record as a disk that lost its power, keeping only what was
 * synced.
 *
 *   SAMC_FAULT_ROOT=DIR    only names below it count (an absolute path)
 *   SAMC_FAULT_LOG=FILE    one line an operation: its name, inode or "-", then paths and data in hexadecimal
 *   SAMC_FAULT_AT=N        operation N (from 0) fails with SAMC_FAULT_ERRNO, or, where that is 0, kills the process
 *   SAMC_FAULT_ERRNO=E
 *   SAMC_FAULT_ALWAYS=1    every operation from N on fails: a disk that is full or read-only stays so
 *   SAMC_FAULT_FOLD=1      a name that is looked for is also found in other letters, as where the file system folds
 * case SAMC_FAULT_REFUSED=T   the file system takes no name below it with T in it (EILSEQ) SAMC_FAULT_OLD=1 renaming
 * knows no RENAME_NOREPLACE, as on NFS */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/input_faults.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* operations happen in the order of the record */
static char root[4096];
static size_t root_length;
static const char *refused_text;
static int record = -1, fault_errno;
static long fault_at = -1, operations;
static int fault_always, folds, old;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("SAMC_FAULT_ROOT"), *file = getenv("SAMC_FAULT_LOG");
    if (text != NULL) snprintf(root, sizeof root, "%s", text);
    root_length = strlen(root);
    refused_text = getenv("SAMC_FAULT_REFUSED");
    if ((text = getenv("SAMC_FAULT_AT")) != NULL) fault_at = atol(text);
    if ((text = getenv("SAMC_FAULT_ERRNO")) != NULL) fault_errno = atoi(text);
    fault_always = getenv("SAMC_FAULT_ALWAYS") != NULL;
    folds = getenv("SAMC_FAULT_FOLD") != NULL;
    old = getenv("SAMC_FAULT_OLD") != NULL;
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    if (file != NULL) record = real(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    return root_length > 0 && strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == '\0');
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

/* The whole path of a name in an open folder, or NULL where it is not below the root. */
static const char *at(int folder, const char *name, char *path, size_t room) {
    if (*name == '/' || folder == AT_FDCWD) return below(name) ? name : NULL;
    if (of(folder, path, room) == NULL) return NULL;
    if (strcmp(name, ".") != 0) strncat(strncat(path, "/", room - strlen(path) - 1), name, room - strlen(path) - 1);
    return path;
}

enum { ROOM = 8192 };

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

/* An open that may make or change a file is an operation. `whole` is its path below the root. */
static int open_file(int folder, const char *name, const char *whole, int flags, mode_t mode) {
    pthread_mutex_lock(&lock);
    struct stat information;
    int existed = fstatat(folder, name, &information, AT_SYMLINK_NOFOLLOW) == 0,
        handle = strikes() ? -1 : REAL(openat)(folder, name, flags, mode);
    if (handle >= 0) put(existed ? "open" : "create", inode_of(handle), whole, strlen(whole), NULL, 0);
    pthread_mutex_unlock(&lock);
    return handle;
}

static int changes(int flags) { return (flags & (O_CREAT | O_WRONLY | O_RDWR)) != 0 && !(flags & O_PATH); }

/* The name in the folder that differs from this one in nothing but case. */
static int open_folded(int folder, const char *name, int flags) {
    int again = REAL(openat)(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), handle = -1;
    DIR *list = again >= 0 ? fdopendir(again) : NULL;
    for (const struct dirent *entry; handle < 0 && list != NULL && (entry = readdir(list)) != NULL;)
        if (strcasecmp(entry->d_name, name) == 0) handle = REAL(openat)(folder, entry->d_name, flags);
    if (list != NULL) closedir(list);
    if (handle < 0) errno = ENOENT;
    return handle;
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return below(path) && changes(flags) ? open_file(AT_FDCWD, path, path, flags, mode) : REAL(open)(path, flags, mode);
}

int openat(int folder, const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    char path[ROOM];
    const char *whole = at(folder, name, path, sizeof path);
    if (whole != NULL && changes(flags)) return open_file(folder, name, whole, flags, mode);
    int handle = REAL(openat)(folder, name, flags, mode);
    return handle < 0 && errno == ENOENT && folds && whole != NULL ? open_folded(folder, name, flags) : handle;
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

/* A file that is synced by who cannot have written it was written by a library, which nobody here saw: it is there with
 * all its bytes from now on. */
static void put_library_file(int handle, const char *path) {
    struct stat information;
    if (fstat(handle, &information) != 0 || !S_ISREG(information.st_mode) ||
        (fcntl(handle, F_GETFL) & O_ACCMODE) != O_RDONLY)
        return;
    char *bytes = malloc((size_t)information.st_size + 1);
    const off_t at = 0;
    put("create", information.st_ino, path, strlen(path), NULL, 0);
    if (bytes == NULL || pread(handle, bytes, (size_t)information.st_size, 0) != information.st_size) abort();
    put("write", information.st_ino, &at, sizeof at, bytes, (size_t)information.st_size);
    free(bytes);
}

int fsync(int handle) {
    char path[4096];
    pthread_mutex_lock(&lock);
    int code =
        strikes() ? -1 : 0; /* the replay decides what is on the disk; waiting for the real one would only take time */
    if (code == 0 && of(handle, path, sizeof path) != NULL) put_library_file(handle, path);
    if (code == 0 && of(handle, path, sizeof path) != NULL) put("sync", inode_of(handle), path, strlen(path), NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

int fdatasync(int handle) { return fsync(handle); }

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

static int refused(const char *name) { return refused_text != NULL && strstr(name, refused_text) != NULL; }

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    char a[ROOM], b[ROOM];
    const char *source = at(from_folder, from, a, sizeof a), *target = at(to_folder, to, b, sizeof b);
    if (target == NULL) return REAL(renameat2)(from_folder, from, to_folder, to, flags);
    if (refused(to)) return errno = EILSEQ, -1;
    if (old && flags != 0) return errno = EINVAL, -1;
    pthread_mutex_lock(&lock);
    int code = strikes()
                   ? -1
                   : moved(source ? source : from, target, REAL(renameat2)(from_folder, from, to_folder, to, flags));
    pthread_mutex_unlock(&lock);
    return code;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    char a[ROOM], b[ROOM];
    const char *source = at(from_folder, from, a, sizeof a), *target = at(to_folder, to, b, sizeof b);
    if (target == NULL) return REAL(linkat)(from_folder, from, to_folder, to, flags);
    pthread_mutex_lock(&lock);
    int code = strikes() ? -1 : REAL(linkat)(from_folder, from, to_folder, to, flags);
    if (code == 0) put("link", 0, source ? source : from, strlen(source ? source : from), target, strlen(target));
    pthread_mutex_unlock(&lock);
    return code;
}

int mkdirat(int folder, const char *name, mode_t mode) {
    char path[ROOM];
    struct stat information;
    const char *whole = at(folder, name, path, sizeof path);
    if (whole == NULL) return REAL(mkdirat)(folder, name, mode);
    if (refused(name)) return errno = EILSEQ, -1;
    pthread_mutex_lock(&lock);
    int code = fstatat(folder, name, &information, AT_SYMLINK_NOFOLLOW) == 0 ? (errno = EEXIST, -1)
               : strikes()                                                   ? -1
                                                                             : REAL(mkdirat)(folder, name, mode);
    if (code == 0) put("mkdir", 0, whole, strlen(whole), NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* Removing may fail without harm, so it is not struck; what it does is recorded. */
int unlinkat(int folder, const char *name, int flags) {
    char path[ROOM];
    pthread_mutex_lock(&lock);
    const char *whole = at(folder, name, path, sizeof path);
    int code = REAL(unlinkat)(folder, name, flags);
    if (code == 0 && whole != NULL) put("unlink", 0, whole, strlen(whole), NULL, 0);
    pthread_mutex_unlock(&lock);
    return code;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
