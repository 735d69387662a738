#include "launcher/job/users_job.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/exit_code.h"
#include "launcher/job/job.h"
#include "launcher/job/rank_words.h"
#include "launcher/model_path.h"
#include "launcher/session.h"
#include "parallel/launch_place.h"
#include "parallel/ranks.h"
#include "runtime/options/options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int64_t MS = 1000 * 1000;
/* How long other ranks leave the word to rank 0: those with nothing of their own to tell, and those
 * that tell the same again unless the launcher has ended the job. */
static const struct timespec rank_0_speaks = {.tv_nsec = 400L * 1000 * 1000};
static const struct timespec job_may_end = {.tv_sec = 1, .tv_nsec = 500L * 1000 * 1000};
/* The gateway tells the end of the link, and ends: so long after the end of rank 0, or after a
 * launcher wants the job to end (Open MPI kills after a second). */
static const int64_t TELL_NS = 3000 * MS, HURRY_TELL_NS = 600 * MS;
/* Rank 0 ends after the gateway: it has been told to stop, or sees the end of the link. */
static const int64_t RANK_GRACE_NS = 3000 * MS, REFUSED_GRACE_NS = 200 * MS;
static const int64_t STOPPED_NS = 300 * MS; /* many ticks */
enum { TICK_MS = 50 };

bool users_job_is_here(void) { return launch_has_world(); }

/* False when the launcher ends the job meanwhile: Open MPI begins with SIGCONT. */
static bool wait_for_rank_0(const struct timespec *time)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCONT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    return sigtimedwait(&ends, NULL, time) < 0;
}

void users_job_leave_the_word_to_rank_0(int code)
{
    if (launch_rank() == 0)
        return;
    wait_for_rank_0(&rank_0_speaks);
    _exit(code);
}

/* ---- sizes ---- */

bool users_job_check_alone(const struct options *options, struct error *err)
{
    const int n = launch_size();
    return !users_job_is_here() || n <= 1 ||
           error_set(err, ERROR_INPUT,
                     "%s has no ranks, and %d processes were started: run one of them",
                     command_name(options->command), n);
}

static bool take_sizes(struct options *options, int world, struct error *err)
{
    int64_t *tp = &options->tensor_parallel_size;
    const int64_t pp = options->pipeline_parallel_size;
    if (options->data_parallel_size > 1)
        return error_set(err, ERROR_INPUT,
                         "-dp starts a job of its own for each replica: run phalanx without mpirun "
                         "or srun, or start one such job for each");
    if (options->hostfile != NULL)
        return error_set(err, ERROR_INPUT,
                         "--hostfile is for ranks that phalanx starts: here the launcher has "
                         "placed them");
    if (world == 0) /* a launcher that does not say it: MPI will */
        return true;
    if (!options_is_given(options, "--tensor-parallel-size")) {
        if (world % pp != 0)
            return error_set(err, ERROR_INPUT,
                             "%d ranks were started, which cannot be shared by the stages of -pp "
                             "%lld: start a multiple of it",
                             world, (long long)pp);
        *tp = world / pp;
    }
    if (*tp * pp == world)
        return true;
    return error_set(err, ERROR_INPUT,
                     "-tp %lld and -pp %lld want %lld ranks, and %d %s started: use mpirun -n "
                     "%lld, or leave out -tp",
                     (long long)*tp, (long long)pp, (long long)(*tp * pp), world,
                     world == 1 ? "was" : "were", (long long)(*tp * pp));
}

/* ---- the processes ---- */

/* Ranks print to standard error: standard output belongs to the answer. */
static void become_rank(char **word)
{
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execv(word[0], word);
    fprintf(stderr, "phalanx: cannot start %s: %s\n", word[0], strerror(errno));
    _exit(EXIT_BAD_INPUT);
}

/* Away from the signals that a launcher sends to the process group: of a lost rank the gateway
 * hears by the link, and it has an error to tell. Where the group has the terminal (srun --pty),
 * the gateway has it instead. */
static void become_gateway(pid_t parent)
{
    const bool has_terminal = tcgetpgrp(STDIN_FILENO) == getpgrp();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_RANK_LOST);
    setpgid(0, 0);
    if (has_terminal) {
        void (*const before)(int) = signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(STDIN_FILENO, getpgrp());
        signal(SIGTTOU, before);
    }
    launch_forget();
}

static bool has_ended(pid_t *pid, int *code)
{
    int status;
    if (*pid == 0)
        return true;
    if (waitpid(*pid, &status, WNOHANG) != *pid)
        return false;
    *pid = 0;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : JOB_SIGNALLED + WTERMSIG(status);
    return true;
}

/* Until one of `signals` comes or a moment has passed: a child that ends sends one too. SIGCONT to
 * a process that was not stopped is how Open MPI begins to end a job; SIGTERM comes a second later.
 */
static bool wants_end(const sigset_t *signals)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    const int64_t begin_ns = clock_now_ns();
    const int number = sigtimedwait(signals, NULL, &tick);
    const bool was_stopped = clock_now_ns() - begin_ns > STOPPED_NS;
    return number > 0 && number != SIGCHLD && !(number == SIGCONT && was_stopped);
}

/* Waits for both; the exit code of the gateway. */
static int stand_by(pid_t gateway, pid_t rank, const sigset_t *signals)
{
    int code = EXIT_INTERNAL, ignored;
    int64_t until_ns = INT64_MAX;
    while (!has_ended(&gateway, &code)) {
        const int64_t now_ns = clock_now_ns();
        if (has_ended(&rank, &ignored) && until_ns == INT64_MAX)
            until_ns = now_ns + TELL_NS;
        if (now_ns > until_ns)
            kill(gateway, SIGKILL);
        if (wants_end(signals)) {
            if (rank != 0)
                kill(rank, SIGTERM); /* which the gateway hears by the link */
            until_ns = now_ns + HURRY_TELL_NS;
        }
    }
    const int64_t grace_ns = code == EXIT_BAD_INPUT ? REFUSED_GRACE_NS : RANK_GRACE_NS;
    until_ns = clock_now_ns() + grace_ns;
    while (!has_ended(&rank, &ignored)) {
        if (wants_end(signals) || clock_now_ns() > until_ns)
            kill(rank, SIGKILL);
    }
    return code;
}

/* Returns in the gateway. */
static bool become_three(struct options *options, char **word, const int link[2], struct error *err)
{
    const pid_t parent = getpid();
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCONT);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &before);
    const pid_t gateway = fork();
    if (gateway == 0) {
        become_gateway(parent);
        sigprocmask(SIG_SETMASK, &before, NULL);
        close(link[1]);
        options->engine_fd = link[0];
        return true;
    }
    const pid_t rank = gateway > 0 ? fork() : -1;
    if (rank == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(EXIT_RANK_LOST); /* it died before the line above */
        become_rank(word);         /* link[0] closes with exec */
    }
    if (gateway < 0 || rank < 0) {
        error_errno(err, "cannot start rank 0");
        if (gateway > 0)
            kill(gateway, SIGKILL);
        return false;
    }
    close(link[0]);
    close(link[1]);
    _exit(stand_by(gateway, rank, &signals));
}

static bool become_rank_0(struct options *options, const char *folder, struct error *err)
{
    int link[2]; /* of the gateway, of the rank */
    char name[24], *word[RANK_WORDS_MAX];
    struct arena arena = {0};
    int n;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, link) != 0 || fcntl(link[0], F_SETFD, FD_CLOEXEC) != 0)
        return error_errno(err, "cannot make the link");
    snprintf(name, sizeof name, "fd:%d", link[1]);
    const bool good = rank_words(word, &n, options, folder, name, 0, &arena, err) &&
                      become_three(options, word, link, err);
    arena_release(&arena);
    return good;
}

static bool find_model(char folder[MODEL_PATH_BYTES], const struct options *options,
                       struct error *err)
{
    return (options->command == COMMAND_DEMO
                ? model_path_demo(folder, err)
                : model_path_find(folder, options->model, "config.json", err)) &&
           session_check(options, folder, err);
}

/* What the files of this host say is not what those of rank 0 say: told after it, unless the job
 * has ended by then. */
static void become_rank_or_end(const struct options *options)
{
    char folder[MODEL_PATH_BYTES], *word[RANK_WORDS_MAX], who[64], host[32] = "";
    struct arena arena = {0};
    struct error err = {0};
    int n;
    if (find_model(folder, options, &err) &&
        rank_words(word, &n, options, folder, NULL, 0, &arena, &err))
        become_rank(word);
    if (wait_for_rank_0(&job_may_end)) {
        gethostname(host, sizeof host - 1);
        snprintf(who, sizeof who, "phalanx: rank %d on %s", launch_rank(), host);
        log_tell(who, err.text);
    }
    _exit((int)exit_code_of(&err));
}

bool users_job_enter(struct options *options, struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    if (!take_sizes(options, launch_size(), err))
        return false;
    if (launch_rank() != 0)
        become_rank_or_end(options);
    return find_model(folder, options, err) && become_rank_0(options, folder, err);
}
