/* Signals that stop a long run: read from a file where it is convenient; the second one kills the program as usual. */
#ifndef SAMC_HOST_CLI_SIGNALS_H
#define SAMC_HOST_CLI_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

typedef struct samc__cli_signals {
    int handle;      /* signalfd of SIGINT, SIGTERM and SIGHUP, unless the parent had them ignored (nohup) */
    sigset_t before; /* what was blocked when it was opened */
    int received;    /* the signal that stops the run, or 0 */
} samc__cli_signals;

/* Before any thread is started, also those of sessions: signals are blocked and read from a file. */
void samc__cli_signals_open(samc__cli_signals *signals);
/* Whether the first one has come just now: `received` says which. */
bool samc__cli_signals_read(samc__cli_signals *signals);
void samc__cli_signals_close(samc__cli_signals *signals);

#endif
