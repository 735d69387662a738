#include "kernels/cuda_bytes.h"

#include "kernels/cuda/matmul.h"
#include "kernels/device.h"
#include "kernels/pick_memory.h"

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* kernels/cuda/attention_work.cuh, which is CUDA, has the same numbers and compares them. */
enum { WORK_HEAD = 4, WORK_BLOCKS = 512 * 17, CHUNK = 256, MAX_FEW_ROWS = 64 };

size_t attention_work_bytes(const struct step_needs *needs)
{
    return (WORK_HEAD + WORK_BLOCKS + 2 * ((size_t)needs->n_sequences + 1)) * sizeof(int32_t);
}

size_t attention_workspace_bytes(const struct step_needs *needs)
{
    const size_t n_chunks = ((size_t)needs->max_positions + CHUNK - 1) / CHUNK;
    const size_t n_rows = (size_t)needs->n_sequences * (size_t)needs->n_kv_heads * MAX_FEW_ROWS;
    const size_t row_bytes = (2 + (size_t)needs->head_dim) * sizeof(float);
    const size_t limit = ATTENTION_WORKSPACE_LIMIT;
    return n_rows * n_chunks < limit / row_bytes ? n_rows * n_chunks * row_bytes : limit;
}

size_t cuda_workspace_bytes(const struct step_needs *needs)
{
    return larger(larger(matmul_workspace_bytes(needs), pick_workspace_bytes(needs)),
                  attention_workspace_bytes(needs));
}
