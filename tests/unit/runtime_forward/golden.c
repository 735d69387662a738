#include "tests/unit/runtime_forward/golden.h"

#include "base/error.h"
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

/* Rows of float32 of the file; NULL where it has none. */
static const float *find_rows(const struct golden *golden, int number, const char *what,
                              int *n_rows, int *width)
{
    const struct tensor *tensor = find(golden, number, what);
    if (tensor == NULL)
        return NULL;
    CHECK((uintptr_t)tensor->data % sizeof(float) == 0);
    *n_rows = tensor->n_dims == 2 ? (int)tensor->shape[0] : 1;
    *width = (int)tensor->shape[tensor->n_dims - 1];
    return (const float *)(const void *)tensor->data;
}

bool golden_prompt_read(struct golden_prompt *out, const struct golden *golden, int number)
{
    const struct tensor *ids = find(golden, number, "ids");
    const struct tensor *greedy = find(golden, number, "greedy");
    int one_row;
    if (ids == NULL)
        return false;
    *out = (struct golden_prompt){.n_ids = (int)ids->shape[0],
                                  .n_greedy = greedy ? (int)greedy->shape[0] : 0};
    CHECK(out->n_ids <= GOLDEN_MAX_IDS && out->n_greedy <= GOLDEN_MAX_GREEDY);
    memcpy(out->ids, ids->data, ids->n_bytes);
    if (greedy != NULL)
        memcpy(out->greedy, greedy->data, greedy->n_bytes);
    out->logits = find_rows(golden, number, "logits", &out->n_rows, &out->vocab);
    out->hidden = find_rows(golden, number, "hidden", &out->n_hidden, &out->hidden_size);
    out->scores = find_rows(golden, number, "scores", &one_row, &out->n_scores);
    return true;
}
