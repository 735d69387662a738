/* tests/unit/runtime_forward/layout.h: a whole layout, ranks as threads of the test. */
#pragma once
#include "tests/unit/runtime_forward/runner.h"

#include <stddef.h>
#include <stdint.h>

/* One sequence of a layout: fed `chunk` ids at a step, from step `first_step` on. */
struct sequence {
    const int32_t *ids;
    int n_ids, chunk, first_step;
    int last_rows; /* 0: of all rows; else of the last ones of every step */
    float *logits; /* [n_ids, vocab]: filled in by the rank that has them; NULL: not asked for */
    float *hidden; /* [n_ids, hidden]: likewise */
};
/* All ranks of the setup as threads; a failure fails the test. The KV cache is full of NaN at the
 * begin, so what is read without having been written shows. */
void run_layout(const struct setup *setup, const struct sequence *sequences, int n_sequences,
                int vocab);

uint64_t hash_bytes(const void *data, size_t n_bytes); /* FNV-1a, over 8 bytes at a time */
