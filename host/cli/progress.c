/* Progress on the standard error. */
#include "host/cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

samc__progress samc__progress_begin(bool quiet, int64_t total, int64_t before) {
    double now = seconds_now();
    return (samc__progress){.quiet = quiet,
                            .terminal = isatty(STDERR_FILENO),
                            .total = total,
                            .before = before,
                            .begun = now,
                            .unit = "images",
                            .printed = now};
}

/* "1 h 2 min", "3 min 4 s", "5 s" */
static void print_time(double seconds, char *text, size_t room) {
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600) snprintf(text, room, "%lld h %lld min", (long long)(s / 3600), (long long)(s / 60 % 60));
    else if (s >= 60) snprintf(text, room, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
    else snprintf(text, room, "%lld s", (long long)s);
}

static void print(const samc__progress *p, samc__progress_count c, bool last) {
    double elapsed = seconds_now() - p->begun, rate = elapsed > 0.0 ? (double)(c.images - p->before) / elapsed : 0.0;
    char left[64] = "unknown", taken[64], total[32] = "";
    if (rate > 0.0) print_time((double)(p->total - c.images) / rate, left, sizeof left);
    print_time(elapsed, taken, sizeof taken);
    if (p->total >= 0) snprintf(total, sizeof total, "/%lld", (long long)p->total);
    else last = true; /* nobody knows what is left */
    fprintf(stderr, "%lld%s %s, %.2f %s/s, %.1f masks/s, %s%s, %lld failed", (long long)c.images, total, p->unit, rate,
            p->unit, elapsed > 0.0 ? (double)c.masks / elapsed : 0.0, last ? taken : left, last ? "" : " left",
            (long long)c.failures);
}

void samc__progress_clear(samc__progress *p) {
    if (p->shown) fputs("\r\033[K", stderr);
    p->shown = false;
}

void samc__progress_tick(samc__progress *p, samc__progress_count count) {
    double now = seconds_now();
    if (p->quiet || now - p->printed < (p->terminal ? 0.2 : 10.0)) return;
    p->printed = now;
    samc__progress_clear(p);
    print(p, count, false);
    if (!p->terminal) fputc('\n', stderr);
    p->shown = p->terminal;
}

void samc__progress_end(samc__progress *p, samc__progress_count count) {
    samc__progress_clear(p);
    if (p->quiet) return;
    print(p, count, true);
    fputc('\n', stderr);
}

void samc__progress_stages(const samc_archive *archive, double wall) {
    samc_archive_stage stage = SAMC_INIT(samc_archive_stage);
    fprintf(stderr, "%-8s %8s %9s %6s  %s\n", "stage", "threads", "seconds", "busy",
            "images waiting for it (mean, room)");
    for (int i = 0; samc_archive_get_stage(archive, i, &stage, NULL) == SAMC_OK; i++)
        if (stage.room > 0)
            fprintf(stderr, "%-8s %8d %9.2f %5.1f%%  %.1f of %d\n", stage.name, stage.threads, stage.seconds,
                    100.0 * stage.seconds / (wall * stage.threads), stage.waiting, stage.room);
        else
            fprintf(stderr, "%s%s %.2f%s", strcmp(stage.name, "encode") == 0 ? "compute: " : "", stage.name,
                    stage.seconds, strcmp(stage.name, "post") == 0 ? " s\n" : ", ");
}
