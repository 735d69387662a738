/* libphalanx is a guest in the program: threads, signals, processes stay the program's. */
#include "tests/files.h"
#include "tests/library/demo.h"
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void *answer_in_thread(void *context)
{
    struct phalanx_error why;
    struct phalanx_model *model = phalanx_open(DEMO, NULL, 0, &why);
    struct phalanx_request *r =
        model != NULL ? phalanx_generate(model, PROMPT, GREEDY, &why) : NULL;
    if (r != NULL)
        snprintf(context, 256, "%s", phalanx_text(r, 0, NULL));
    phalanx_close(model);
    return NULL;
}

TEST(two_threads_have_a_model_each)
{
    char text[2][256] = {"", ""};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&thread[i], NULL, answer_in_thread, text[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    CHECK(text[0][0] != '\0');
    CHECK_STR(text[0], text[1]);
}

TEST(signals_stay_as_the_program_has_them)
{
    static const int numbers[] = {SIGPIPE, SIGINT, SIGTERM, SIGCHLD, SIGHUP, SIGABRT};
    struct phalanx_model *model = open_demo();
    expect_text(model, phalanx_text(phalanx_generate(model, PROMPT, GREEDY, &err), 0, NULL));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction now;
        CHECK_EQ(sigaction(numbers[i], NULL, &now), 0);
        CHECK(now.sa_handler == SIG_DFL);
    }
    phalanx_close(model);
}

TEST(lost_ranks_are_an_error_and_no_signal)
{
    struct phalanx_model *model = open_slow_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, ENDLESS, NULL, NULL, &err);
    kill_ranks();
    CHECK(!phalanx_run(model, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    CHECK(phalanx_is_done(r) && !phalanx_wait(r, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    CHECK(phalanx_generate(model, PROMPT, GREEDY, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    phalanx_close(model);
}

static bool ask_in_vain(void *model, struct phalanx_request *request, int choice, const char *text,
                        size_t n_bytes)
{
    const char *finish = phalanx_finish_reason(request, choice);
    (void)text, (void)n_bytes;
    if (finish != NULL) {
        CHECK_STR(finish, "error");
        CHECK(phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err) == NULL);
        CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    }
    return true;
}

TEST(a_loss_for_good_stays_one)
{
    struct phalanx_model *model = open_slow_demo();
    struct phalanx_request *before = phalanx_generate(model, PROMPT, GREEDY, &err);
    struct phalanx_request *r = phalanx_ask(model, PROMPT, ENDLESS, ask_in_vain, model, &err);
    kill_ranks();
    CHECK(!phalanx_wait(r, &err));
    struct pollfd file = {.fd = phalanx_fd(model), .events = POLLIN};
    CHECK_EQ(poll(&file, 1, 500), 0); /* longer than from a look at the ranks to the next */
    phalanx_interrupt(model);
    CHECK_EQ(poll(&file, 1, 0), 0);
    err = (struct phalanx_error){0};
    CHECK(!phalanx_run(model, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    err = (struct phalanx_error){0};
    CHECK(!phalanx_step(model, 0, &err));
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    CHECK(phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &err) == NULL);
    CHECK_EQ(err.kind, PHALANX_ERROR_PEER);
    CHECK(phalanx_wait(before, &err)); /* what was answered is */
    phalanx_free(phalanx_tokenize(model, PROMPT, 0, NULL, &err));
    phalanx_close(model);
}

TEST(ranks_that_are_started_again_go_on_with_the_answer)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
    kill_ranks();
    CHECK(phalanx_run(model, &err) && phalanx_wait(r, &err));
    struct phalanx_request *again = phalanx_generate(model, PROMPT, LONG, &err);
    CHECK(again != NULL);
    CHECK_STR(phalanx_text(r, 0, NULL), phalanx_text(again, 0, NULL));
    phalanx_close(model);
}

TEST(a_program_that_ignores_its_children_can_close)
{
    signal(SIGCHLD, SIG_IGN);
    struct phalanx_model *model = open_demo();
    phalanx_close(model);
    signal(SIGCHLD, SIG_DFL);
}

static void reap_all(int number)
{
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

TEST(a_program_that_reaps_all_children_is_served)
{
    signal(SIGCHLD, reap_all);
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
    kill_ranks();
    CHECK(phalanx_wait(r, &err));
    phalanx_close(model);
    signal(SIGCHLD, SIG_DFL);
}

static pid_t program;
static int handled; /* an eventfd: what a child writes is seen here */

static void note_in_a_child(int number)
{
    (void)number;
    if (getpid() != program)
        eventfd_write(handled, 1);
}

static void get_a_signal(void)
{
    if (getpid() != program && program != 0)
        raise(SIGURG); /* which nobody minds who has no handler */
}

TEST(a_handler_of_the_program_runs_in_no_child)
{
    eventfd_t n;
    program = getpid();
    handled = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    signal(SIGURG, note_in_a_child);
    CHECK_EQ(pthread_atfork(NULL, NULL, get_a_signal), 0);
    struct phalanx_model *model = open_demo();
    program = 0;
    signal(SIGURG, SIG_DFL);
    CHECK(eventfd_read(handled, &n) != 0);
    close(handled);
    phalanx_close(model);
}

TEST(ranks_of_a_program_that_blocks_signals_end_by_themselves)
{
    sigset_t all, before;
    sigfillset(&all);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &all, &before), 0);
    struct phalanx_model *model = open_demo();
    const int end = close_and_see(model);
    CHECK_EQ(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    CHECK_EQ(end, 0);
}

enum { MOST_FILES = 1024 };

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(files_are_closed_by_exec)
{
    bool had[MOST_FILES];
    int n_new = 0;
    for (int fd = 0; fd < MOST_FILES; fd++)
        had[fd] = is_open(fd);
    struct phalanx_model *model = open_demo();
    for (int fd = 0; fd < MOST_FILES; fd++) {
        if (had[fd] || !is_open(fd))
            continue;
        n_new++;
        if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0)
            test_fail(__FILE__, __LINE__, "file %d stays open in other programs", fd);
    }
    CHECK(n_new > 0);
    phalanx_close(model);
    for (int fd = 0; fd < MOST_FILES; fd++)
        CHECK_EQ(is_open(fd), had[fd]);
}

static void open_without_a_file(void *fd)
{
    close(*(const int *)fd);
    const bool refused = phalanx_open(DEMO, NULL, 0, &err) == NULL;
    _exit(refused && err.kind == PHALANX_ERROR_SYSTEM && strstr(err.text, "/dev/null") ? 0 : 1);
}

TEST(a_program_without_standard_files_is_told_so)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        CHECK_EQ(outcome_of(open_without_a_file, &fd), 0);
}

/* From here on the system does not tell when a process ends. */
static bool lose_pidfd(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

enum { NO_FILTER = 77 };

static void ask_without_pidfd(void *context)
{
    (void)context;
    if (!lose_pidfd())
        _exit(NO_FILTER);
    struct phalanx_model *model = phalanx_open(DEMO, NULL, 0, &err);
    struct phalanx_request *r = phalanx_generate(model, PROMPT, GREEDY, &err);
    _exit(r != NULL && close_and_see(model) == 0 ? 0 : 1);
}

TEST(a_sandbox_without_pidfd_is_fine)
{
    const int outcome = outcome_of(ask_without_pidfd, NULL);
    if (outcome == NO_FILTER)
        SKIP("no filter of system calls here");
    CHECK_EQ(outcome, 0);
}

/* What a child of fork() tries. Its exit status: 0 when all is refused. */
static int misuse(struct phalanx_model *model, struct phalanx_request *done,
                  struct phalanx_request *going_on)
{
    struct phalanx_error why;
    const bool looked = *phalanx_text(done, 0, NULL) != '\0';
    const bool refused = phalanx_ask(model, PROMPT, GREEDY, NULL, NULL, &why) == NULL &&
                         why.kind == PHALANX_ERROR_INPUT && !phalanx_run(model, &why) &&
                         !phalanx_step(model, 0, &why) && !phalanx_wait(going_on, &why) &&
                         phalanx_tokenize(model, PROMPT, 0, NULL, &why) == NULL;
    phalanx_interrupt(model);
    phalanx_cancel(going_on);
    phalanx_release(done);
    phalanx_close(model);
    return looked && refused ? 0 : 1;
}

TEST(a_child_of_fork_can_look_and_do_no_harm)
{
    int status;
    struct phalanx_model *model = open_demo();
    struct phalanx_request *done = phalanx_generate(model, PROMPT, GREEDY, &err);
    struct phalanx_request *r = phalanx_ask(model, PROMPT, LONG, NULL, NULL, &err);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(misuse(model, done, r));
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    CHECK(phalanx_wait(r, &err));
    CHECK_STR(phalanx_finish_reason(r, 0), "length");
    expect_text(model, phalanx_text(done, 0, NULL));
    phalanx_close(model);
}

TEST(a_child_of_fork_does_not_keep_the_model_open)
{
    int pipes[2];
    struct phalanx_model *model = open_demo();
    CHECK_EQ(pipe(pipes), 0);
    const pid_t pid = fork();
    if (pid == 0) { /* until the other end is closed */
        char byte;
        close(pipes[1]);
        _exit(read(pipes[0], &byte, 1) == 0 ? 0 : 1);
    }
    const int end = close_and_see(model);
    close(pipes[0]);
    close(pipes[1]);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    CHECK_EQ(end, 0); /* by itself, and not by a signal when the time was over */
}

TEST(ranks_that_were_lost_before_a_model_is_asked_again_are_there_again)
{
    struct phalanx_model *model = open_demo();
    struct phalanx_request *r = phalanx_generate(model, PROMPT, GREEDY, &err);
    kill_ranks();
    expect_text(model, phalanx_text(r, 0, NULL));
    phalanx_close(model);
}

/* Kills the ranks when some of the answer is there, once. */
static bool lose_ranks(struct phalanx_request *request)
{
    size_t n;
    phalanx_tokens(request, 0, &n);
    if (n == 5)
        kill_ranks();
    return true;
}

static void expect_the_same(const struct phalanx_request *a, const struct phalanx_request *b)
{
    size_t n, n_same;
    const struct phalanx_logprob *row, *same;
    CHECK_STR(phalanx_text(a, 0, NULL), phalanx_text(b, 0, NULL));
    for (size_t i = 0; (row = phalanx_logprobs(a, 0, i, &n)) != NULL; i++) {
        same = phalanx_logprobs(b, 0, i, &n_same);
        CHECK_EQ((long long)n, (long long)n_same);
        for (size_t k = 0; k < n; k++)
            CHECK(row[k].token == same[k].token && row[k].rank == same[k].rank &&
                  memcmp(&row[k].logprob, &same[k].logprob, sizeof(float)) == 0);
    }
    for (size_t i = 1; (row = phalanx_prompt_logprobs(a, i, &n)) != NULL; i++) {
        same = phalanx_prompt_logprobs(b, i, &n_same);
        CHECK(row[0].token == same[0].token && n == n_same);
    }
    CHECK(phalanx_cumulative_logprob(a, 0) - phalanx_cumulative_logprob(b, 0) == 0);
}

TEST(a_rank_that_is_lost_in_the_middle_changes_nothing)
{
    static const char parameters[] =
        "{\"seed\": 9, \"max_tokens\": 40, \"ignore_eos\": true, \"logprobs\": 2, "
        "\"prompt_logprobs\": 1}";
    struct phalanx_model *model = open_demo();
    struct seen seen = {.then = lose_ranks};
    struct phalanx_request *undisturbed = phalanx_generate(model, PROMPT, parameters, &err);
    struct phalanx_request *r = phalanx_ask(model, PROMPT, parameters, see, &seen, &err);
    CHECK(undisturbed != NULL && phalanx_wait(r, &err));
    expect_the_same(undisturbed, r);
    CHECK_STR(seen.text, phalanx_text(undisturbed, 0, NULL));
    CHECK_EQ(phalanx_usage(r, PHALANX_COMPLETION_TOKENS), 40);
    phalanx_close(model);
}

static int64_t resident_kb(void)
{
    long long kb = 0;
    char line[128];
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %lld", &kb) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return kb;
}

TEST(requests_leave_no_memory_behind)
{
    struct phalanx_model *model = open_demo();
    int64_t before = 0;
    for (int i = 0; i < 400; i++) {
        if (i == 200)
            before = resident_kb();
        struct phalanx_request *r = phalanx_ask(
            model, PROMPT, "{\"max_tokens\": 2, \"logprobs\": 5, \"n\": 4, \"echo\": true}", NULL,
            NULL, &err);
        CHECK(i % 4 == 0 || phalanx_wait(r, &err));
        phalanx_release(r);
        size_t n;
        phalanx_free(phalanx_tokenize(model, PROMPT, 0, &n, &err));
    }
    const int64_t grown_kb = resident_kb() - before;
    phalanx_close(model);
    if (SANITIZED)
        SKIP("the sanitizer keeps what was freed, and looks for leaks itself");
    CHECK(grown_kb < 200);
}
