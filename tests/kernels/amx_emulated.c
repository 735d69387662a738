#include "tests/kernels/amx_emulated.h"

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vec_scalar.inc.h"
#include "tests/kernels/tile_emulator.h"

#include "kernels/cpu/tile_matmul.inc.h"

static void amx_emulated_matmul(struct device *device, const struct matmul_args *args)
{
    if (args->x.dtype == DTYPE_BF16)
        tile_matmul(device, args);
    else
        scalar_matmul(device, args);
}

const struct ops amx_emulated_ops = {
    .name = "amx-emulated",
    .embed = scalar_embed,
    .rms_norm = scalar_rms_norm,
    .head_norm = scalar_head_norm,
    .matmul = amx_emulated_matmul,
    .rope_angles = scalar_rope_angles,
    .rope_store = scalar_rope_store,
    .attention_work = scalar_attention_work,
    .attention = scalar_attention,
    .gated = scalar_gated,
    .softcap = scalar_softcap,
    .copy_blocks = scalar_copy_blocks,
    .log_sum_exp = scalar_log_sum_exp,
};
