#include "launcher/rank/signals.h"

#include "launcher/exit_code.h"
#include "launcher/rank/models.h"
#include "runtime/model/model.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const struct rank_models *mapped; /* for the handler only */

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        /* nobody is left to tell */
    }
}

/* A weight file that shrinks under its mapping, or a disk that fails. Calls only what a handler
 * may. */
static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)context;
    const char *path = NULL;
    for (int i = 0; mapped != NULL && path == NULL && i < PLAN_MODELS; i++)
        if (mapped->model[i] != NULL)
            path = model_file_at(mapped->model[i], info->si_addr);
    if (path == NULL) {
        signal(number, SIG_DFL); /* not ours: the same access ends the process */
        return;
    }
    say("phalanx-rank: ");
    say(path);
    say(": the file became shorter or unreadable while it was in use; start again with a whole "
        "one\n");
    _exit(EXIT_IO);
}

void rank_signals_set(void)
{
    struct sigaction bus = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &bus, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* of the terminal: the gateway decides */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void rank_signals_watch(const struct rank_models *models) { mapped = models; }
