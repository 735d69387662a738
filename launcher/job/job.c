#include "launcher/job/job.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/exit_code.h"
#include "launcher/job/keeper.h"
#include "launcher/job/mpirun.h"
#include "launcher/job/rank_words.h"
#include "launcher/model_path.h"
#include "runtime/link/engine_link.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 10 };      /* at a job whose end nothing tells */
enum { LONGEST_BASE = 44 }; /* of the folder: the address of a socket is short */

/* The names of what make_files() makes. Nobody else has them: who removes them removes ours. */
static bool choose_names(struct job *job, bool here_by_mpirun, struct error *err)
{
    const char *const places[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    const char *base = NULL;
    uint64_t tag;
    for (size_t i = 0; base == NULL && i < sizeof places / sizeof *places; i++)
        if (places[i] != NULL && strlen(places[i]) <= LONGEST_BASE && access(places[i], W_OK) == 0)
            base = places[i];
    if (base == NULL)
        return error_set(err, ERROR_SYSTEM,
                         "no folder for the link: /tmp is not writable; set TMPDIR to one that is");
    if (!system_random(&tag, sizeof tag, err))
        return false;
    if (here_by_mpirun)
        mpirun_files_choose(&job->files, base, tag);
    snprintf(job->folder, sizeof job->folder, "%s/phalanx-%016" PRIx64, base, tag);
    snprintf(job->socket, sizeof job->socket, "%s/engine", job->folder);
    return true;
}

/* At no moment of it is there anything that nobody would remove. */
static bool make_files(struct job *job, struct error *err)
{
    keeper_start(job);
    mpirun_files_make(&job->files);
    if (mkdir(job->folder, S_IRWXU) != 0)
        return error_errno(err, "cannot make a folder for the link, %s", job->folder);
    return link_listen(&job->listener, job->socket, err);
}

static void remove_folder(struct job *job)
{
    if (job->folder[0] == '\0')
        return;
    close(job->listener);
    job->listener = -1;
    unlink(job->socket);
    rmdir(job->folder);
    job->folder[0] = '\0';
}

/* In the child, where all signals wait: exec() comes too late for those that are there now. What is
 * ignored stays so, as in every child, but for what a job is ended by. */
static void drop_handlers(void)
{
    struct sigaction now;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            signal(number, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

/* In the child, before exec: the ranks print to standard error only (standard output belongs to
 * the answer), take no signals of the terminal, and end when this process does. Other threads of
 * this program may have held locks, as that of setenv(): nothing here may want one. */
static void become_job(const struct job *job, char **word, char **environment, pid_t parent,
                       const sigset_t *signals)
{
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setpgid(0, 0);
    drop_handlers();
    sigprocmask(SIG_SETMASK, signals, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0); /* it died before the line above */
    keeper_tell(job, getpid());
    execvpe(word[0], word, environment);
    dprintf(STDERR_FILENO, "phalanx: cannot start %s: %s\n", word[0], strerror(errno));
    _exit(127);
}

static bool launch(struct job *job, char **word, char **environment, struct error *err)
{
    const pid_t parent = getpid();
    sigset_t all, before; /* wait while the child still has the handlers of this program */
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    const pid_t pid = fork();
    if (pid == 0)
        become_job(job, word, environment, parent, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return error_errno(err, "cannot start %s", word[0]);
    job->pid = pid;
    job->watch = (int)syscall(SYS_pidfd_open, pid, 0); /* not in every sandbox, nor in valgrind */
    return true;
}

bool job_start(struct job *job, const struct options *options, const char *model_folder,
               int replica, struct error *err)
{
    *job = (struct job){.watch = -1, .listener = -1, .is_over_hosts = options->hostfile != NULL};
    char *word[MPIRUN_WORDS_MAX + RANK_WORDS_MAX];
    struct arena arena = {0};
    int n, n_rank_words;
    const bool started =
        mpirun_words(word, &n, options, &arena, err) &&
        choose_names(job, n > 0 && options->hostfile == NULL, err) &&
        rank_words(word + n, &n_rank_words, options, model_folder, job->socket, replica, &arena,
                   err) &&
        make_files(job, err) &&
        launch(job, word, n > 0 ? mpirun_environment(&job->files, &arena) : environ, err);
    job->by_mpirun = n > 0;
    arena_release(&arena);
    return started;
}

bool job_has_ended(struct job *job, int *exit_status)
{
    int status = 0;
    const pid_t pid = job->pid == 0 ? 0 : waitpid(job->pid, &status, WNOHANG);
    const bool was_reaped = pid < 0 && errno == ECHILD; /* by the program that has the library */
    if (pid == 0 || (pid < 0 && !was_reaped))
        return false;
    *exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : JOB_SIGNALLED + WTERMSIG(status);
    mpirun_files_remove(&job->files, job->pid);
    job->pid = 0;
    if (job->watch >= 0)
        close(job->watch);
    job->watch = -1;
    return true;
}

bool job_is_stopped(struct job *job)
{
    siginfo_t info = {0};
    if (job->pid != 0 && !job->by_mpirun &&
        waitid(P_PID, (id_t)job->pid, &info, WSTOPPED | WCONTINUED | WNOHANG) == 0 &&
        info.si_pid != 0)
        job->is_stopped = info.si_code == CLD_STOPPED;
    return job->is_stopped;
}

bool job_failure(int exit_status, struct error *err)
{
    if (exit_status == EXIT_BAD_INPUT)
        return error_set(err, ERROR_INPUT, "the ranks did not start");
    if (exit_status == EXIT_IO)
        return error_set(err, ERROR_SYSTEM, "the ranks ended: input or output failed");
    if (exit_status > JOB_SIGNALLED && exit_status < JOB_SIGNALLED + NSIG)
        return error_set(err, ERROR_PEER, "a rank was killed by signal %d (%s)",
                         exit_status - JOB_SIGNALLED, strsignal(exit_status - JOB_SIGNALLED));
    return error_set(err, ERROR_PEER, "the ranks ended with status %d", exit_status);
}

bool job_accept(struct job *job, int *fd, struct error *err)
{
    struct pollfd look = {.fd = job->listener, .events = POLLIN};
    *fd = -1;
    if (job->listener < 0 || poll(&look, 1, 0) <= 0)
        return true;
    const bool linked = link_accept(job->listener, fd, err);
    remove_folder(job);
    return linked;
}

void job_settle(struct job *job)
{
    mpirun_files_settle(&job->files);
    keeper_dismiss(job);
}

bool job_ends_by(struct job *job, int64_t deadline_ns)
{
    int status;
    while (job->pid != 0 && !job_has_ended(job, &status)) {
        const int64_t left = deadline_ns - clock_now_ns();
        struct pollfd wait = {.fd = job->watch, .events = POLLIN};
        if (left <= 0)
            return false;
        poll(&wait, 1, job->watch >= 0 ? (int)(left / 1000000) + 1 : LOOK_MS);
    }
    return true;
}

void job_signal(struct job *job, bool force)
{
    if (job->pid == 0)
        return;
    /* its process group, when it has made it: mpirun and what it started here */
    if (!force || kill(-job->pid, SIGKILL) != 0)
        kill(job->pid, force ? SIGKILL : SIGTERM);
}

void job_release(struct job *job)
{
    if (job->pid != 0 && job->watch >= 0)
        close(job->watch);
    job->watch = -1;
    job->pid = 0;
    mpirun_files_settle(&job->files);
    remove_folder(job); /* not before: ranks that still start complain where they cannot connect */
    keeper_dismiss(job);
}

void job_end(struct job *job)
{
    job_signal(job, true);
    job_ends_by(job, clock_now_ns() + (int64_t)JOB_KILL_GRACE_MS * 1000000);
    job_release(job);
}

void job_remove_files(struct job *job)
{
    mpirun_files_remove(&job->files, job->pid);
    remove_folder(job);
}
