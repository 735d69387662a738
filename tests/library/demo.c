#include "tests/library/demo.h"

#include "tests/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct phalanx_error err;

struct phalanx_model *open_demo(void)
{
    struct phalanx_model *model = phalanx_open(DEMO, NULL, 0, &err);
    if (model == NULL)
        test_fail(__FILE__, __LINE__, "the demo does not open: %s", err.text);
    return model;
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

int children(pid_t out[64])
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
