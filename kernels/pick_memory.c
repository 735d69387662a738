#include "kernels/pick_memory.h"

struct cut {
    uintptr_t at;
};

static void *take(struct cut *cut, size_t n, size_t bytes)
{
    enum { ALIGNMENT = 64 };
    void *p = (void *)cut->at;
    cut->at += (n * bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return p;
}

size_t pick_memory_make(struct pick_memory *out, void *base, int n_rows, int vocab)
{
    const size_t rows = (size_t)n_rows, chunks = rows * PICK_CHUNKS, bins = rows * PICK_BINS;
    const size_t blocks = ((size_t)vocab + LOGITS_BLOCK - 1) / LOGITS_BLOCK;
    struct cut cut = {(uintptr_t)base};
    out->state = take(&cut, rows, sizeof *out->state);
    out->mass = take(&cut, bins, sizeof *out->mass);
    out->count = take(&cut, bins, sizeof *out->count);
    out->raw = take(&cut, chunks, sizeof *out->raw);
    out->top = take(&cut, chunks, sizeof *out->top);
    out->noisy = take(&cut, chunks, sizeof *out->noisy);
    out->best = take(&cut, chunks * PICK_MAX_BEST, sizeof *out->best);
    out->listed = take(&cut, rows * PICK_LISTED, sizeof *out->listed);
    out->block_sum = take(&cut, rows * blocks, sizeof *out->block_sum);
    return cut.at - (uintptr_t)base;
}

size_t pick_workspace_bytes(const struct step_needs *needs)
{
    struct pick_memory memory;
    const int n_rows = needs->n_logits < PICK_ROWS ? needs->n_logits : PICK_ROWS;
    return pick_memory_make(&memory, NULL, n_rows, needs->vocab);
}
