/* The angles of rotary position embedding: a few numbers per token, so one kernel for all levels.
 * The product is rounded to float32 before sin and cos, as in the reference implementation. */
#include "base/team.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/device.h"
#include "kernels/math.h"

static void rope_angles_item(void *context, int t, int thread)
{
    (void)thread;
    const struct rope_angles_args *a = context;
    float *cos = a->cos_sin + (size_t)t * 2 * (size_t)a->half, *sin = cos + a->half;
    const float position = (float)a->position[t];
    for (int i = 0; i < a->half; i++) {
        float s, c;
        math_sincos(a->inv_freq[i] * position, &s, &c);
        cos[i] = c * a->scale;
        sin[i] = s * a->scale;
    }
}

void scalar_rope_angles(struct device *device, const struct rope_angles_args *args)
{
    struct rope_angles_args context = *args;
    team_run(device->team, rope_angles_item, &context, args->n_tokens);
}
