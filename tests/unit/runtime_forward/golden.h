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
    int n_ids, n_greedy, n_rows, vocab;              /* n_rows 0: the model does not generate */
    int n_hidden, hidden_size, n_scores;             /* 0: there are none */
    int32_t ids[GOLDEN_MAX_IDS + GOLDEN_MAX_GREEDY]; /* with room for what follows */
    int32_t greedy[GOLDEN_MAX_GREEDY];
    const float *logits; /* [n_rows, vocab]: of the last n_rows positions */
    const float *hidden; /* [n_hidden, hidden_size]: likewise */
    const float *scores; /* [n_scores]: of the last position */
};

/* SOURCE_DIR/tests/golden/NAME; what is missing fails the test. */
struct golden golden_open(const char *name);
void golden_close(struct golden *golden);
/* False: there is no prompt of this number. Points into the file. */
bool golden_prompt_read(struct golden_prompt *out, const struct golden *golden, int number);
