#include "tests/unit/runtime_forward/golden.h"

#include "base/error.h"
#include "base/memory.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

struct golden golden_open(const char *name)
{
    struct golden golden;
    struct error err = {0};
    char path[600];
    snprintf(golden.folder, sizeof golden.folder, "%s/tests/golden/%s", SOURCE_DIR, name);
    snprintf(path, sizeof path, "%s/golden.safetensors", golden.folder);
    if (!safetensors_open(&golden.file, path, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return golden;
}

void golden_close(struct golden *golden) { safetensors_close(&golden->file); }

static const struct tensor *find(const struct golden *golden, int number, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "prompt_%d.%s", number, what);
    return safetensors_find(&golden->file, name);
}

bool golden_prompt_read(struct golden_prompt *out, const struct golden *golden, int number)
{
    const struct tensor *ids = find(golden, number, "ids");
    const struct tensor *logits = find(golden, number, "logits");
    const struct tensor *greedy = find(golden, number, "greedy");
    if (ids == NULL)
        return false;
    CHECK(logits != NULL && greedy != NULL);
    *out = (struct golden_prompt){.n_ids = (int)ids->shape[0],
                                  .n_greedy = (int)greedy->shape[0],
                                  .n_rows = (int)logits->shape[0],
                                  .vocab = (int)logits->shape[1]};
    CHECK(out->n_ids <= GOLDEN_MAX_IDS && out->n_greedy <= GOLDEN_MAX_GREEDY);
    memcpy(out->ids, ids->data, ids->n_bytes);
    memcpy(out->greedy, greedy->data, greedy->n_bytes);
    out->logits = memory_alloc(logits->n_bytes, 1);
    memcpy(out->logits, logits->data, logits->n_bytes);
    return true;
}
