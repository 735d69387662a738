#include "kernels/cuda/cuda_ops.h"

const struct ops cuda_ops = {
    .name = "cuda",
    .embed = cuda_embed,
    .rms_norm = cuda_rms_norm,
    .head_norm = cuda_head_norm,
    .matmul = cuda_matmul,
    .rope_angles = cuda_rope_angles,
    .rope_store = cuda_rope_store,
    .attention_work = cuda_attention_work,
    .attention = cuda_attention,
    .gated = cuda_gated,
    .softcap = cuda_softcap,
    .copy_blocks = cuda_copy_blocks,
    .log_sum_exp = cuda_log_sum_exp,
    .pick = cuda_pick,
};
