/* Decoding in processes without rights. Bytes from outside meet libjpeg, giflib, zlib and our own readers; what a fault
 * in these could reach is a process that holds the file, has no network, no files, a second of time for each megapixel
 * and a bounded memory, and may only read, write and compute (seccomp).
 *
 * A nursery is forked before the server has threads; for each image it forks a child, which takes the file from one
 * shared memory (memfd) and writes pixels into another. */
#include "host/serve/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS = 60 };

/* A sanitizer's runtime maps terabytes and reads files of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

struct samc__decoders {
    pid_t nursery;
    int control; /* datagrams to it */
    pthread_mutex_t lock;
    atomic_bool gone;
};

bool samc__decoders_gone(samc__decoders *d) { return atomic_load(&d->gone); }
pid_t samc__decoders_process(const samc__decoders *d) { return d->nursery; }

/* What goes to the nursery, with two descriptors: the file, and where the answer goes. */
typedef struct order {
    size_t size;
    int64_t most_pixels;
    char scale[SAMC__SCALE];
    int page;
} order;

/* At the head of the answer's memory; pixels follow, a page on. */
typedef struct answer {
    int status, width, height;
    int whole; /* written last */
    char message[1024];
    char scale[16]; /* samc_scale's name, "" of 8 bits; JSON, which asks for randomness, is made of it at home */
    double low, high;
    int sample;
} answer;
enum { HEAD = 4096 };

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef SANITIZED
#elif defined(ARCH)
#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define FAIL(name, number)                                                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (number))
static bool give_up_rights(void) {
    static struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(brk),
        ALLOW(mmap),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(exit_group),
        ALLOW(exit),
        ALLOW(futex),
        ALLOW(ftruncate),
        ALLOW(rt_sigprocmask),
        ALLOW(rt_sigreturn),
        ALLOW(clock_gettime),
        ALLOW(getrandom),
        ALLOW(lseek),
        ALLOW(read),
        FAIL(write, EBADF),    /* Debian's libjxl tells standard error what is damaged, and copes with nobody there */
        FAIL(sysinfo, ENOSYS), /* qsort() asks how much memory there is, and copes with no answer */
#ifdef SAMC_WITH_HEIF /* libde265 waits for ever for a thread that it cannot have: threads, no processes */
        FAIL(clone3, ENOSYS),  /* whose flags a filter cannot read; clone() is tried next */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])), /* its lower half: little endian */
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        ALLOW(mprotect),
        ALLOW(rt_sigaction),
        ALLOW(set_robust_list),
        ALLOW(rseq),
#endif
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    const struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
#else
static bool give_up_rights(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0; }
#endif

static void limit(int what, rlim_t most) { setrlimit(what, &(struct rlimit){most, most}); }

/* Leaves word that the system gave no process or no memory, which is no fault of the file. */
static void say_short(int out) {
    const answer short_of = {
        .status = SAMC_OUT_OF_MEMORY, .whole = 1, .message = "no process to decode the image in; try again"};
    if (pwrite(out, &short_of, sizeof short_of, 0) < 0) close(out); /* then it counts as stopped */
}

/* In the child: never returns. */
static void decode_one(const order *o, int file, int out) {
    samc_error error = {0};
    samc_image image = SAMC_INIT(samc_image);
    samc_scale applied = SAMC_INIT(samc_scale);
    const samc_image_options how = {
        .size = sizeof how, .most_pixels = o->most_pixels, .scale = o->scale, .page = o->page};
    const void *bytes = mmap(NULL, o->size, PROT_READ, MAP_SHARED, file, 0);
    answer *head = mmap(NULL, HEAD, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
    if (bytes == MAP_FAILED || head == MAP_FAILED) {
        say_short(out);
        _exit(1);
    }
    alarm(2 * SECONDS);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, SECONDS);
#ifndef SANITIZED
    limit(RLIMIT_AS, ((rlim_t)1 << 30) + 16 * (rlim_t)o->most_pixels);
    if (!give_up_rights()) _exit(1);
#endif
    head->status = samc_image_decode_with(bytes, o->size, "the image", &how, &image, &applied, &error);
    if (head->status == SAMC_OK && applied.name != NULL) {
        snprintf(head->scale, sizeof head->scale, "%s", applied.name);
        head->low = applied.low, head->high = applied.high, head->sample = applied.sample;
    }
    snprintf(head->message, sizeof head->message, "%s", error.message);
    if (head->status == SAMC_OK) {
        const size_t pixels = 3 * (size_t)image.width * (size_t)image.height;
        head->width = image.width, head->height = image.height;
        if (ftruncate(out, (off_t)(HEAD + pixels)) != 0) _exit(1);
        uint8_t *to = mmap(NULL, HEAD + pixels, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
        if (to == MAP_FAILED) _exit(1);
        memcpy(to + HEAD, image.pixels, pixels);
    }
    head->whole = 1;
    _exit(0);
}

/* Receives an order and its descriptors (file, answer, and a pipe whose end tells that the child is gone). */
static bool receive(int control, order *o, int descriptors[3]) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } room;
    struct iovec piece = {o, sizeof *o};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    ssize_t got;
    do got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (got != sizeof *o || header == NULL || header->cmsg_len != CMSG_LEN(3 * sizeof(int))) return false;
    memcpy(descriptors, CMSG_DATA(header), 3 * sizeof(int));
    return true;
}

/* What the server was started with, a terminal or a log, is none of the decoders' business: they may read and cut what
 * they hold. A sanitizer keeps its place to complain at. */
static void hold_nothing(void) {
    const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
#ifdef SANITIZED
    const int kept = STDERR_FILENO;
#else
    const int kept = -1;
#endif
    for (int i = 0; i <= STDERR_FILENO; i++)
        if (i != kept && (nothing < 0 || dup2(nothing, i) < 0)) close(i);
    if (nothing > STDERR_FILENO) close(nothing);
}

/* The nursery: until the server hangs up. */
static void nursery(int control) {
    order o;
    int descriptors[3];
    const int given = control;
    control = fcntl(given, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); /* out of the way of what is opened anew */
    close(given);
    tzset(); /* which reads a file, once, and gmtime() wants it done: profiles of colours have a date */
    samc_image_prepare();
    hold_nothing();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN); /* children leave nothing behind */
    signal(SIGINT, SIG_IGN);  /* the terminal's is the server's matter, which then hangs up */
    signal(SIGTERM, SIG_IGN);
    while (receive(control, &o, descriptors)) {
        const pid_t child = fork();
        if (child == 0) {
            close(control);
            signal(SIGTERM, SIG_DFL);
            decode_one(&o, descriptors[0], descriptors[1]);
        }
        if (child < 0) say_short(descriptors[1]);
        for (int i = 0; i < 3; i++) close(descriptors[i]);
    }
    _exit(0);
}

static samc_status fail(samc_error *error, samc_status status, const char *what) {
    error->status = status;
    snprintf(error->message, sizeof error->message, "%s", what);
    return status;
}

samc_status samc__decoders_start(samc__decoders **out, samc_error *error) {
    int pair[2];
    samc__decoders *d = calloc(1, sizeof *d);
    *out = NULL;
    if (d == NULL) return fail(error, SAMC_OUT_OF_MEMORY, "no memory for a server");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        free(d);
        return fail(error, SAMC_IO, "no process to decode images in can be started");
    }
    d->nursery = fork();
    if (d->nursery == 0) {
        close(pair[0]);
        nursery(pair[1]);
    }
    close(pair[1]);
    if (d->nursery < 0) {
        close(pair[0]);
        free(d);
        return fail(error, SAMC_IO, "no process to decode images in can be started");
    }
    d->control = pair[0];
    pthread_mutex_init(&d->lock, NULL);
    *out = d;
    return SAMC_OK;
}

void samc__decoders_stop(samc__decoders *d) {
    if (d == NULL) return;
    close(d->control);
    while (waitpid(d->nursery, NULL, 0) < 0 && errno == EINTR) {}
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static bool send_order(samc__decoders *d, const order *o, const int descriptors[3]) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } room = {0};
    struct iovec piece = {(void *)(uintptr_t)o, sizeof *o};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, 3 * sizeof(int));
    pthread_mutex_lock(&d->lock);
    const ssize_t sent = sendmsg(d->control, &message, MSG_NOSIGNAL);
    pthread_mutex_unlock(&d->lock);
    return sent == sizeof *o;
}

static bool write_all(int file, const char *bytes, size_t size) {
    while (size > 0) {
        const ssize_t written = write(file, bytes, size);
        if (written < 0 && errno != EINTR) return false;
        if (written > 0) bytes += written, size -= (size_t)written;
    }
    return true;
}

/* What a child left behind. */
static samc_status take_answer(int out, int64_t most_pixels, samc_image *image, char scaled[SAMC__SCALED],
                               samc_error *error) {
    struct stat about;
    answer head;
    if (pread(out, &head, sizeof head, 0) != sizeof head || head.whole != 1 || fstat(out, &about) != 0)
        return fail(error, SAMC_FORMAT, "the image could not be decoded: its decoder was stopped");
    head.message[sizeof head.message - 1] = '\0';
    if (head.status != SAMC_OK)
        return fail(error, head.status > 0 && head.status <= SAMC_DIVERGED ? (samc_status)head.status : SAMC_FORMAT,
                    head.message);
    const int64_t count = (int64_t)head.width * head.height;
    if (head.width < 1 || head.height < 1 || count > most_pixels || about.st_size != (off_t)(HEAD + 3 * count))
        return fail(error, SAMC_FORMAT, "the image could not be decoded: its decoder gave nonsense");
    uint8_t *pixels = malloc((size_t)(3 * count));
    if (pixels == NULL) return fail(error, SAMC_OUT_OF_MEMORY, "no memory for the image");
    for (int64_t at = 0; at < 3 * count;) {
        const ssize_t got = pread(out, pixels + at, (size_t)(3 * count - at), HEAD + at);
        if (got <= 0) {
            free(pixels);
            return fail(error, SAMC_IO, "the image could not be read back from its decoder");
        }
        at += got;
    }
    head.scale[sizeof head.scale - 1] = '\0';
    const samc_scale scale = {sizeof scale, head.scale, head.low, head.high, head.sample};
    if (scaled != NULL && (head.scale[0] == '\0' || samc_scale_json(&scale, scaled, NULL) != SAMC_OK)) scaled[0] = '\0';
    *image = (samc_image){.size = sizeof *image,
                          .pixels = pixels,
                          .width = head.width,
                          .height = head.height,
                          .row_bytes = 3 * head.width};
    return SAMC_OK;
}

samc_status samc__decoders_decode(samc__decoders *d, const void *bytes, size_t size, const samc_image_options *how,
                                  samc_image *image, char scaled[SAMC__SCALED], samc_error *error) {
    int descriptors[3] = {memfd_create("file", MFD_CLOEXEC), memfd_create("pixels", MFD_CLOEXEC), -1};
    int ends[2] = {-1, -1};
    order o = {.size = size, .most_pixels = how->most_pixels, .page = how->page};
    if (how->scale != NULL) snprintf(o.scale, sizeof o.scale, "%s", how->scale);
    samc_status status = SAMC_OK;
    if (size == 0) status = fail(error, SAMC_FORMAT, "the image is empty");
    else if (descriptors[0] < 0 || descriptors[1] < 0 || pipe2(ends, O_CLOEXEC) != 0 ||
             !write_all(descriptors[0], bytes, size) || ftruncate(descriptors[1], HEAD) != 0)
        status = fail(error, SAMC_OUT_OF_MEMORY, "no memory to decode an image");
    descriptors[2] = ends[1];
    if (status == SAMC_OK && !send_order(d, &o, descriptors)) {
        atomic_store(&d->gone, errno == EPIPE || errno == ECONNRESET);
        status = fail(error, SAMC_OUT_OF_MEMORY, "no image can be decoded: the process for it is gone");
    }
    if (ends[1] >= 0) close(ends[1]);
    if (status == SAMC_OK) { /* the child's end closes with it */
        struct pollfd end = {.fd = ends[0], .events = POLLIN};
        while (poll(&end, 1, -1) < 0 && errno == EINTR) {}
        status = take_answer(descriptors[1], how->most_pixels, image, scaled, error);
    }
    if (ends[0] >= 0) close(ends[0]);
    for (int i = 0; i < 2; i++)
        if (descriptors[i] >= 0) close(descriptors[i]);
    return status;
}
