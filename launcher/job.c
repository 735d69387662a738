/* What mpirun must do differently from its defaults is said in its environment (OMPI_MCA_*), so
 * that the command line is the common one, `mpirun -n N program`, and other launchers take it. */
#include "launcher/job.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/exit_code.h"
#include "launcher/model_path.h"
#include "runtime/link/engine_link.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_WORDS = 96, INTERRUPT_POLL_MS = 200, SIGNALLED = 128 };
static const int64_t LOST_GRACE_NS = 3000000000; /* from the end of the link to that of the job */
static const int64_t TERM_GRACE_NS = 2000000000; /* between SIGTERM and SIGKILL */

static bool find_program(const char *name)
{
    const char *path = getenv("PATH");
    char file[MODEL_PATH_BYTES];
    for (const char *at = path ? path : ""; *at != '\0'; at += strcspn(at, ":"), at += *at == ':') {
        snprintf(file, sizeof file, "%.*s/%s", (int)strcspn(at, ":"), at, name);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

static bool make_folder(struct job *job, struct error *err)
{
    const char *const places[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp"};
    const char *base = NULL;
    for (size_t i = 0; base == NULL && i < sizeof places / sizeof *places; i++)
        if (places[i] != NULL && strlen(places[i]) <= sizeof job->folder - 20 &&
            access(places[i], W_OK) == 0)
            base = places[i];
    if (base == NULL)
        return error_set(err, ERROR_SYSTEM,
                         "no folder for the link: /tmp is not writable; set TMPDIR to one that is");
    snprintf(job->folder, sizeof job->folder, "%s/phalanx-XXXXXX", base);
    if (mkdtemp(job->folder) == NULL)
        return error_errno(err, "cannot make a folder for the link in %s", base);
    snprintf(job->socket, sizeof job->socket, "%s/engine", job->folder);
    return link_listen(&job->listener, job->socket, err);
}

static void remove_folder(struct job *job)
{
    if (job->folder[0] == '\0')
        return;
    close(job->listener);
    unlink(job->socket);
    rmdir(job->folder);
    job->folder[0] = '\0';
}

/* In the child, before exec: the ranks print to standard error only (standard output belongs to
 * the answer), take no signals of the terminal, and end when this process does. */
static void become_job(char **word, pid_t parent, const sigset_t *signals, bool by_mpirun)
{
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, signals, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0); /* it died before the line above */
    if (by_mpirun) {
        static char *const settings[][2] = {
            {"OMPI_ALLOW_RUN_AS_ROOT", "1"}, /* containers run as root */
            {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
            {"OMPI_MCA_rmaps_base_oversubscribe",
             "1"}, /* more ranks than cores are slow, not wrong */
            {"OMPI_MCA_hwloc_base_binding_policy",
             "none"},                             /* a rank's threads need several cores */
            {"OMPI_MCA_orte_execute_quiet", "1"}, /* the rank itself says what went wrong */
        };
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
            setenv(settings[i][0], settings[i][1], 0);
    }
    execvp(word[0], word);
    fprintf(stderr, "phalanx: cannot start %s: %s\n", word[0], strerror(errno));
    _exit(127);
}

static bool launch(struct job *job, char **word, bool by_mpirun, struct error *err)
{
    const pid_t parent = getpid();
    sigset_t ends, before; /* wait while the child still has our handlers */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, &before);
    const pid_t pid = fork();
    if (pid == 0)
        become_job(word, parent, &before, by_mpirun);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return error_errno(err, "cannot start %s", word[0]);
    job->pid = pid;
    job->watch = (int)syscall(SYS_pidfd_open, pid, 0);
    return job->watch >= 0 || error_errno(err, "cannot watch the ranks");
}

bool job_start(struct job *job, const struct options *options, const char *model_folder,
               struct error *err)
{
    *job = (struct job){.watch = -1, .listener = -1};
    const int n_ranks = (int)(options->tensor_parallel_size * options->pipeline_parallel_size);
    if (n_ranks > 1 && !find_program("mpirun"))
        return error_set(err, ERROR_INPUT,
                         "%d ranks need mpirun, which is not installed: install Open MPI "
                         "(openmpi-bin), or use -tp 1 -pp 1",
                         n_ranks);
    char program[MODEL_PATH_BYTES];
    if (!program_folder(program, err) || !make_folder(job, err))
        return false;
    const size_t used = strlen(program);
    snprintf(program + used, sizeof program - used, "/phalanx-rank");
    if (access(program, X_OK) != 0)
        return error_set(err, ERROR_INPUT, "%s is missing: it belongs beside this program",
                         program);

    char count[16];
    char *word[MAX_WORDS];
    int n = 0;
    struct arena arena = {0};
    if (n_ranks > 1) {
        snprintf(count, sizeof count, "%d", n_ranks);
        word[n++] = "mpirun";
        word[n++] = "-n";
        word[n++] = count;
    }
    word[n++] = program;
    word[n++] = (char *)model_folder;
    word[n++] = "--link";
    word[n++] = job->socket;
    n += options_for_rank(options, &arena, word + n, MAX_WORDS - 1 - n);
    word[n] = NULL;
    const bool started = launch(job, word, n_ranks > 1, err);
    arena_release(&arena);
    return started;
}

/* Whether the job has ended by itself, and how. */
static bool has_ended(struct job *job, int *exit_status)
{
    int status;
    if (job->pid == 0 || waitpid(job->pid, &status, WNOHANG) != job->pid)
        return false;
    *exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status);
    job->pid = 0;
    close(job->watch);
    job->watch = -1;
    return true;
}

/* The exit status of the ranks as an error; they have printed the reason. Always false. */
static bool failure_of(int exit_status, struct error *err)
{
    if (exit_status == EXIT_BAD_INPUT)
        return error_set(err, ERROR_INPUT, "the ranks did not start");
    if (exit_status == EXIT_IO)
        return error_set(err, ERROR_SYSTEM, "the ranks ended: input or output failed");
    if (exit_status > SIGNALLED)
        return error_set(err, ERROR_PEER, "a rank was killed by signal %d (%s)",
                         exit_status - SIGNALLED, strsignal(exit_status - SIGNALLED));
    return error_set(err, ERROR_PEER, "the ranks ended with status %d", exit_status);
}

/* *accepted: rank 0 has connected. Waits for it at most so long. */
static bool accept_rank(struct job *job, int wait_ms, bool *accepted, int *fd, struct error *err)
{
    struct pollfd wait[] = {{.fd = job->listener, .events = POLLIN},
                            {.fd = job->watch, .events = POLLIN}};
    if (poll(wait, 2, wait_ms) < 0 && errno != EINTR)
        return error_errno(err, "waiting for the ranks");
    *accepted = wait[0].revents != 0;
    if (!*accepted)
        return true;
    const bool linked = link_accept(job->listener, fd, err);
    remove_folder(job);
    return linked;
}

bool job_link(struct job *job, int *fd, const volatile sig_atomic_t *interrupt, struct error *err)
{
    for (;;) {
        bool accepted;
        int status;
        if (!accept_rank(job, INTERRUPT_POLL_MS, &accepted, fd, err))
            return false;
        if (accepted)
            return true;
        if (*interrupt)
            return error_set(err, ERROR_LIMIT, "interrupted");
        if (!has_ended(job, &status))
            continue;
        /* A rank that connected since, and ended, has left the reason in the link. */
        if (!accept_rank(job, 0, &accepted, fd, err))
            return false;
        return accepted || failure_of(status, err);
    }
}

static bool ends_within(struct job *job, int64_t limit_ns, int *exit_status)
{
    const int64_t deadline = clock_now_ns() + limit_ns;
    while (!has_ended(job, exit_status)) {
        const int64_t left = deadline - clock_now_ns();
        struct pollfd wait = {.fd = job->watch, .events = POLLIN};
        if (left <= 0)
            return false;
        poll(&wait, 1, (int)(left / 1000000) + 1);
    }
    return true;
}

bool job_explain(struct job *job, struct error *err)
{
    int status;
    if (err->kind != ERROR_PEER || job->pid == 0 || !ends_within(job, LOST_GRACE_NS, &status) ||
        status == EXIT_RANK_LOST) /* rank 0 has said it better */
        return false;
    *err = (struct error){0};
    return failure_of(status, err);
}

void job_end(struct job *job, int64_t grace_ns)
{
    int status;
    if (job->pid != 0 && !ends_within(job, grace_ns, &status)) {
        kill(job->pid, SIGTERM);
        if (!ends_within(job, TERM_GRACE_NS, &status)) {
            kill(-job->pid, SIGKILL); /* its process group: mpirun and what it started here */
            ends_within(job, TERM_GRACE_NS, &status);
        }
    }
    remove_folder(job); /* last: ranks that still start complain where they cannot connect */
}
