#include "tests/unit/parallel_nccl/in_child.h"

#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct end run_in_child(struct gpu_group *group, const char *fault)
{
    struct end end = {0};
    int ends[2];
    CHECK(pipe(ends) == 0);
    const int64_t begin = clock_now_ns();
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct error err[MAX_TEST_RANKS];
        dup2(ends[1], STDERR_FILENO);
        log_set(LOG_ERROR, 0);
        setenv("NCCL_EMULATOR", fault, 1);
        run_ranks(group->size, gpu_group_rank, group, err);
        for (int r = 0; r < group->size; r++)
            dprintf(ends[1], "%d: %s\n", r, err[r].kind == ERROR_NONE ? "good" : err[r].text);
        _exit(0);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t n;
    while ((n = read(ends[0], end.text + used, TEXT_BYTES - 1 - used)) > 0)
        used += (size_t)n;
    close(ends[0]);
    CHECK_EQ(waitpid(child, &end.status, 0), child);
    end.ns = clock_now_ns() - begin;
    return end;
}

void expect(const struct end *end, const char *text)
{
    if (strstr(end->text, text) == NULL)
        test_fail(__FILE__, __LINE__, "no '%s' in:\n%s", text, end->text);
}
