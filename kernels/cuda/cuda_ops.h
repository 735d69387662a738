/* kernels/cuda/cuda_ops.h: the operations of a GPU, by name. Contracts: kernels/ops.h.
 *
 * Each queues kernels on the stream of its device and returns; what fails is kept in the device.
 * For cuda_ops.c, which makes the table of them, and for the files that have them.
 */
#pragma once
#include "kernels/ops.h"

void cuda_embed(struct device *, const struct embed_args *);
void cuda_rms_norm(struct device *, const struct rms_norm_args *);
void cuda_head_norm(struct device *, const struct head_norm_args *);
void cuda_matmul(struct device *, const struct matmul_args *);
void cuda_rope_angles(struct device *, const struct rope_angles_args *);
void cuda_rope_store(struct device *, const struct rope_store_args *);
void cuda_attention_work(struct device *, const struct attention_work_args *);
void cuda_attention(struct device *, const struct attention_args *);
void cuda_gated(struct device *, const struct gated_args *);
void cuda_softcap(struct device *, const struct softcap_args *);
void cuda_copy_blocks(struct device *, const struct copy_blocks_args *);
void cuda_log_sum_exp(struct device *, const struct log_sum_exp_args *);
void cuda_pick(struct device *, const struct pick_args *);

extern const struct ops cuda_ops; /* complete */
