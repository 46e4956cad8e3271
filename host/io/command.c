/* Commands as inputs. */
#include "host/io/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/status.h"

extern char **environ;
enum { TICK = 100 /* milliseconds */ };

samc_status samc__command_open(const char *text, const char *name, samc__command *command, samc_error *error) {
    char shell[] = "sh", flag[] = "-c";
    char *const arguments[] = {shell, flag, (char *)text, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, usual;
    int ends[2], code = 0;
    *command = (samc__command){.handle = -1};
    if (pipe2(ends, O_CLOEXEC) != 0) return samc__fail(error, SAMC_IO, "%s: cannot be run: %s", name, strerror(errno));
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    code = posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    if (code == 0) code = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none); /* samc blocks those that stop it */
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (code == 0) code = posix_spawn(&command->process, "/bin/sh", &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (code == 0) {
        command->handle = ends[0];
        return SAMC_OK;
    }
    close(ends[0]);
    command->process = 0;
    return samc__fail(error, SAMC_IO, "%s: cannot be run: %s", name, strerror(code));
}

/* What a failed pipe leaves unread is read, so that the command ends as it wants to and not by SIGPIPE. */
static bool drain(int handle, const atomic_bool *stopping) {
    char ignored[1 << 14];
    struct pollfd file = {.fd = handle, .events = POLLIN};
    while (!atomic_load(stopping)) {
        if (poll(&file, 1, TICK) == 0) continue;
        ssize_t got = read(handle, ignored, sizeof ignored);
        if (got == 0 || (got < 0 && errno != EINTR)) return true;
    }
    return false;
}

samc_status samc__command_finish(samc__command *command, const char *name, const atomic_bool *stopping,
                                 samc_error *error) {
    int how = 0;
    if (!drain(command->handle, stopping)) {
        samc__command_abandon(command);
        return samc__fail(error, SAMC_STOPPED, "%s: killed, because the run stops", name);
    }
    for (pid_t ended = 0; ended == 0;) { /* it may go on after the end of its output */
        ended = waitpid(command->process, &how, WNOHANG);
        if (ended < 0 && errno != EINTR) {
            samc__fail(error, SAMC_IO, "%s: nobody knows how the command ended: %s (is SIGCHLD ignored?)", name,
                       strerror(errno));
            close(command->handle);
            *command = (samc__command){.handle = -1};
            return SAMC_IO;
        }
        if (ended > 0) break;
        ended = 0;
        if (atomic_load(stopping)) {
            samc__command_abandon(command);
            return samc__fail(error, SAMC_STOPPED, "%s: killed, because the run stops", name);
        }
        usleep(TICK * 100);
    }
    close(command->handle);
    *command = (samc__command){.handle = -1};
    if (WIFSIGNALED(how))
        return samc__fail(error, SAMC_IO, "%s: the command was killed by signal %d", name, WTERMSIG(how));
    return WEXITSTATUS(how) == 0
               ? SAMC_OK
               : samc__fail(error, SAMC_IO, "%s: the command failed with exit code %d", name, WEXITSTATUS(how));
}

void samc__command_abandon(samc__command *command) {
    if (command->process <= 0) return;
    kill(-command->process, SIGKILL);
    while (waitpid(command->process, NULL, 0) < 0 && errno == EINTR) {}
    close(command->handle);
    *command = (samc__command){.handle = -1};
}
