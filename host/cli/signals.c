/* Signals that stop a long run. */
#include "host/cli/signals.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

void samc__cli_signals_open(samc__cli_signals *s) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&blocked, numbers[i]);
    }
    pthread_sigmask(SIG_BLOCK, &blocked, &s->before);
    signal(SIGCHLD, SIG_DFL); /* a parent that ignores it hands that on, and nobody knew how pipe:COMMAND ended */
    s->handle = signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool samc__cli_signals_read(samc__cli_signals *s) {
    struct signalfd_siginfo information;
    if (s->received || read(s->handle, &information, sizeof information) != sizeof information) return false;
    s->received = (int)information.ssi_signo;
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
    return true;
}

void samc__cli_signals_close(samc__cli_signals *s) {
    if (s->handle >= 0) close(s->handle);
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}
