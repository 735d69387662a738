/* kernels/cpu/cpu_ops.h: the kernels of each instruction set, and who may run them.
 *
 * One file per instruction set and family: avx512_matmul.c is compiled with -mavx512*, and
 * nothing in it is callable from elsewhere but what is listed here. Those files include no header
 * that defines a non-static function: the linker keeps one copy of such a function for everyone,
 * and it could be the one that needs AVX-512. */
#pragma once
#include "kernels/ops.h"

/* Private memory of each thread of a CPU device (device->scratch), aligned to 64 bytes.
 * Each kernel that uses it checks its own need against this at compile time. */
enum { CPU_SCRATCH_BYTES = 2 << 20 };

void scalar_matmul(struct device *, const struct matmul_args *);
void avx2_matmul(struct device *, const struct matmul_args *);
void avx512_matmul(struct device *, const struct matmul_args *);
void amx_matmul(struct device *, const struct matmul_args *);
void scalar_rope_angles(struct device *, const struct rope_angles_args *);
void scalar_copy_blocks(struct device *, const struct copy_blocks_args *);
void scalar_attention_work(struct device *, const struct attention_work_args *);

void scalar_embed(struct device *, const struct embed_args *);
void scalar_rms_norm(struct device *, const struct rms_norm_args *);
void scalar_head_norm(struct device *, const struct head_norm_args *);
void scalar_rope_store(struct device *, const struct rope_store_args *);
void scalar_attention(struct device *, const struct attention_args *);
void scalar_gated(struct device *, const struct gated_args *);
void scalar_softcap(struct device *, const struct softcap_args *);
void scalar_log_sum_exp(struct device *, const struct log_sum_exp_args *);

void avx2_embed(struct device *, const struct embed_args *);
void avx2_rms_norm(struct device *, const struct rms_norm_args *);
void avx2_head_norm(struct device *, const struct head_norm_args *);
void avx2_rope_store(struct device *, const struct rope_store_args *);
void avx2_attention(struct device *, const struct attention_args *);
void avx2_gated(struct device *, const struct gated_args *);
void avx2_softcap(struct device *, const struct softcap_args *);
void avx2_log_sum_exp(struct device *, const struct log_sum_exp_args *);

void avx512_embed(struct device *, const struct embed_args *);
void avx512_rms_norm(struct device *, const struct rms_norm_args *);
void avx512_head_norm(struct device *, const struct head_norm_args *);
void avx512_rope_store(struct device *, const struct rope_store_args *);
void avx512_attention(struct device *, const struct attention_args *);
void avx512_gated(struct device *, const struct gated_args *);
void avx512_softcap(struct device *, const struct softcap_args *);
void avx512_log_sum_exp(struct device *, const struct log_sum_exp_args *);

/* All the CPU tables of this build, slowest first; each one is complete.
 * Tests run every entry that cpu_features() allows. */
struct cpu_level {
    unsigned needs; /* enum cpu_feature bits */
    struct ops ops;
};
extern const struct cpu_level cpu_levels[];
extern const int n_cpu_levels;
