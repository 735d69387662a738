#include "tests/library/demo.h"

#include "tests/test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct phalanx_error err;

static struct phalanx_model *open_with(const char *const *options, int n)
{
    struct phalanx_model *model = phalanx_open(DEMO, options, n, &err);
    if (model == NULL)
        test_fail(__FILE__, __LINE__, "the demo does not open: %s", err.text);
    return model;
}

struct phalanx_model *open_demo(void) { return open_with(NULL, 0); }

struct phalanx_model *open_slow_demo(void)
{
    static const char *const options[] = {"--max-restarts=0", "--threads=1", "--kernels=scalar"};
    return open_with(options, (int)(sizeof options / sizeof *options));
}

void expect_text(struct phalanx_model *model, const char *want)
{
    struct phalanx_request *r = phalanx_generate(model, PROMPT, GREEDY, &err);
    CHECK(r != NULL);
    CHECK_STR(phalanx_text(r, 0, NULL), want);
    phalanx_release(r);
}

bool see(void *context, struct phalanx_request *request, int choice, const char *text,
         size_t n_bytes)
{
    struct seen *seen = context;
    CHECK_EQ(choice, 0);
    CHECK_EQ((long long)strlen(text), (long long)n_bytes);
    CHECK(seen->n + n_bytes < sizeof seen->text);
    memcpy(seen->text + seen->n, text, n_bytes + 1);
    seen->n += n_bytes;
    phalanx_cancel(seen->cancel);
    phalanx_release(seen->release);
    seen->cancel = seen->release = NULL;
    if (seen->then != NULL && !seen->then(request))
        return false;
    return ++seen->n_calls != seen->most_calls;
}

static int children(pid_t out[64])
{
    char path[64];
    int n = 0, pid;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    while (file != NULL && n < 64 && fscanf(file, "%d", &pid) == 1)
        out[n++] = pid;
    if (file != NULL)
        fclose(file);
    return n;
}

void kill_ranks(void)
{
    pid_t pid[64];
    const int n = children(pid);
    if (n == 0)
        SKIP("this system does not list children");
    for (int i = 0; i < n; i++)
        kill(pid[i], SIGKILL);
}

int close_and_see(struct phalanx_model *model)
{
    const struct timespec at_once = {0};
    siginfo_t end;
    sigset_t child, before;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    CHECK_EQ(sigprocmask(SIG_BLOCK, &child, &before), 0);
    while (sigtimedwait(&child, &end, &at_once) > 0)
        continue; /* of others, before */
    phalanx_close(model);
    const bool was_told = sigtimedwait(&child, &end, &at_once) == SIGCHLD;
    CHECK_EQ(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    CHECK(was_told);
    return end.si_code == CLD_EXITED ? end.si_status : -end.si_status;
}
