/* tests/unit/runtime_forward/golden.h: the prompts of a golden file and what the reference says. */
#pragma once
#include "runtime/model/safetensors.h"

#include <stdint.h>

enum { GOLDEN_MAX_IDS = 512, GOLDEN_MAX_GREEDY = 64 };

struct golden {
    char folder[512];
    struct safetensors file;
};

struct golden_prompt {
    int n_ids, n_greedy, n_rows, vocab;
    int32_t ids[GOLDEN_MAX_IDS + GOLDEN_MAX_GREEDY]; /* with room for what follows */
    int32_t greedy[GOLDEN_MAX_GREEDY];
    float *logits; /* [n_rows, vocab]: of the last n_rows positions; memory_free() */
};

/* SOURCE_DIR/tests/golden/NAME; what is missing fails the test. */
struct golden golden_open(const char *name);
void golden_close(struct golden *golden);
/* False: there is no prompt of this number. */
bool golden_prompt_read(struct golden_prompt *out, const struct golden *golden, int number);
