#include "kernels/cuda_bytes.h"

#include "kernels/device.h"

size_t attention_work_bytes(const struct step_needs *needs) { return 64 * (size_t)needs->n_tokens; }
size_t cuda_workspace_bytes(const struct step_needs *needs) { return 64 * (size_t)needs->n_tokens; }
