/* A command whose standard output is read: pipe:COMMAND. */
#ifndef SAMC_HOST_IO_COMMAND_H
#define SAMC_HOST_IO_COMMAND_H

#include <stdatomic.h>
#include <sys/types.h>

#include "runtime/samc.h"

typedef struct samc__command {
    pid_t process; /* 0: none */
    int handle;    /* its standard output, to be read */
} samc__command;

/* Runs `sh -c TEXT`, which messages call `name`, in a process group of its own, so that a Ctrl-C that stops samc does
 * not look like a failure of the command; its standard error is samc's. Its standard input is empty: samc's may be an
 * archive, or a terminal, reading from which would suspend such a group (ssh reads all there is). */
samc_status samc__command_open(const char *text, const char *name, samc__command *command, samc_error *error);
/* Reads what the command still says, and waits for it. Fails where it failed. When *stopping becomes true, it and all
 * that it started are killed, which is a failure too. */
samc_status samc__command_finish(samc__command *command, const char *name, const atomic_bool *stopping,
                                 samc_error *error);
/* Kills it where it still runs. */
void samc__command_abandon(samc__command *command);

#endif
