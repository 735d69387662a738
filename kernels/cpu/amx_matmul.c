/* BF16 goes through the tiles; float32, which they do not have, through the vectors. */
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/vec_avx512.inc.h"

#include "kernels/cpu/tile.h"
#include "kernels/cpu/tile_matmul.inc.h"

void amx_matmul(struct device *device, const struct matmul_args *args)
{
    if (args->x.dtype == DTYPE_BF16)
        tile_matmul(device, args);
    else
        avx512_matmul(device, args);
}
