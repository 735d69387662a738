#include "launcher/job/keeper.h"

#include "launcher/job/job.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_GRACE_MS = 2000 }; /* for mpirun, which the system has sent SIGTERM */
/* What the keeper is told: the process of the job, or this. */
enum { DISMISSED = 0 };

/* False: this program has ended. */
static bool hear(pid_t *word)
{
    ssize_t n;
    do
        n = read(STDIN_FILENO, word, sizeof *word);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *word;
}

/* In the keeper. The job is not its child, so it watches and does not reap. */
static void outlive(struct job *job, int end)
{
    pid_t word;
    dup2(end, STDIN_FILENO); /* other links must end with this program, and so must its output */
    syscall(SYS_close_range, STDOUT_FILENO, UINT_MAX, 0);
    while (hear(&word)) {
        if (word == DISMISSED)
            return;
        job->pid = word;
        job->watch = (int)syscall(SYS_pidfd_open, word, 0);
    }
    struct pollfd ended = {.fd = job->watch, .events = POLLIN};
    if (job->pid != 0 && poll(&ended, 1, END_GRACE_MS) == 0)
        job_signal(job, true);
    job_remove_files(job);
}

void keeper_start(struct job *job)
{
    int end[2]; /* no pipe: writing to one that nobody reads is a signal to the whole program */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end) != 0)
        return;
    sigset_t all, before; /* the keeper takes none, and runs no handler of this program */
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    const pid_t between = fork(); /* its child has no parent when it ends: nobody has to reap it */
    if (between == 0) {
        setsid();
        if (fork() == 0) {
            close(end[1]);
            outlive(job, end[0]);
        }
        _exit(0);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(end[0]);
    if (between < 0)
        close(end[1]);
    else
        job->keeper = end[1];
    while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR)
        ;
}

void keeper_tell(const struct job *job, pid_t pid)
{
    if (job->keeper != 0 && send(job->keeper, &pid, sizeof pid, MSG_NOSIGNAL) < 0) {
        /* it was killed: then it does nothing, too */
    }
}

void keeper_dismiss(struct job *job)
{
    if (job->keeper == 0)
        return;
    keeper_tell(job, DISMISSED);
    close(job->keeper);
    job->keeper = 0;
}
