/* kernels/cuda_bytes.h: what the operations of a GPU need of its memory for themselves. Arithmetic
 * alone: `phalanx plan` asks where there is no GPU.
 */
#pragma once
#include <stddef.h>

struct step_needs;

/* The `work` of one op_attention_work(). */
size_t attention_work_bytes(const struct step_needs *needs);
/* What device_reserve() takes: the most that one operation needs between its kernels. */
size_t cuda_workspace_bytes(const struct step_needs *needs);

/* Of op_attention() alone: results of chunks that several blocks have of one sequence, at most
 * ATTENTION_WORKSPACE_LIMIT. With less, also with none, blocks share the work less evenly. */
enum { ATTENTION_WORKSPACE_LIMIT = 64 << 20 };
size_t attention_workspace_bytes(const struct step_needs *needs);
