#include "tests/unit/cuda_emulator/death.h"

#include "tests/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

void abort_saying(const char *text)
{
    fprintf(stderr, "%s\n", text);
    abort();
}

static void die_or_return(int said, void (*act)(void *), void *context)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    dup2(said, STDERR_FILENO);
    act(context);
    _exit(0);
}

void check_dies(const char *file, int line, void (*act)(void *), void *context, const char *text)
{
#if defined(__SANITIZE_THREAD__)
    SKIP("ThreadSanitizer cannot follow fibers behind a fork");
#endif
    int ends[2];
    if (pipe(ends) != 0)
        test_fail(file, line, "no pipe");
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        die_or_return(ends[1], act, context);
    close(ends[1]);
    char said[4096];
    size_t n = 0;
    ssize_t got;
    while (n < sizeof said - 1 && (got = read(ends[0], said + n, sizeof said - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    const bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    if (!aborted && !(SANITIZED && status != 0)) /* sanitizers end a process in their own way */
        test_fail(file, line, "did not abort (status 0x%x), said: %s", (unsigned)status, said);
    if (strstr(said, text) == NULL)
        test_fail(file, line, "did not say \"%s\", but: %s", text, said);
}
