/* The CPU tables. A level names a kernel from a lower level where it has none of its own, in the
 * open, so that one look shows what is still to be written. */
#include "kernels/cpu/cpu_ops.h"

#include "kernels/cpu/features.h"

const struct cpu_level cpu_levels[] = {
    {.needs = 0,
     .ops = {.name = "scalar",
             .embed = scalar_embed,
             .rms_norm = scalar_rms_norm,
             .matmul = scalar_matmul,
             .rope_angles = scalar_rope_angles,
             .rope_store = scalar_rope_store,
             .attention = scalar_attention,
             .gated = scalar_gated,
             .log_sum_exp = scalar_log_sum_exp}},
    {.needs = CPU_AVX2,
     .ops = {.name = "avx2",
             .embed = avx2_embed,
             .rms_norm = avx2_rms_norm,
             .matmul = avx2_matmul,
             .rope_angles = scalar_rope_angles,
             .rope_store = avx2_rope_store,
             .attention = avx2_attention,
             .gated = avx2_gated,
             .log_sum_exp = avx2_log_sum_exp}},
    {.needs = CPU_AVX512,
     .ops = {.name = "avx512",
             .embed = avx512_embed,
             .rms_norm = avx512_rms_norm,
             .matmul = avx512_matmul,
             .rope_angles = scalar_rope_angles,
             .rope_store = avx512_rope_store,
             .attention = avx512_attention,
             .gated = avx512_gated,
             .log_sum_exp = avx512_log_sum_exp}},
    {.needs = CPU_AVX512 | CPU_AMX,
     .ops = {.name = "amx",
             .embed = avx512_embed,
             .rms_norm = avx512_rms_norm,
             .matmul = amx_matmul,
             .rope_angles = scalar_rope_angles,
             .rope_store = avx512_rope_store,
             .attention = avx512_attention,
             .gated = avx512_gated,
             .log_sum_exp = avx512_log_sum_exp}},
};
const int n_cpu_levels = sizeof cpu_levels / sizeof *cpu_levels;
