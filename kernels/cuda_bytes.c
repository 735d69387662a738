#include "kernels/cuda_bytes.h"

#include "kernels/cuda/matmul.h"
#include "kernels/device.h"
#include "kernels/pick_memory.h"

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

size_t attention_work_bytes(const struct step_needs *needs) { return 64 * (size_t)needs->n_tokens; }

size_t cuda_workspace_bytes(const struct step_needs *needs)
{
    return larger(matmul_workspace_bytes(needs), pick_workspace_bytes(needs));
}
