#include "tests/kernels/written_order.h"

#include "kernels/dtype.h"
#include "kernels/fma.h"
#include "kernels/math.h"

#include <math.h>

WITH_FMA_IF_THERE float written_dot(const float *a, const float *b, size_t b_step, int n)
{
    float acc = 0;
    for (int block = 0; block < n; block += 32) {
        float even = 0, odd = 0;
        for (int k = block; k < block + 32; k += 2) {
            even = fmaf(k < n ? a[k] : 0, k < n ? b[(size_t)k * b_step] : 0, even);
            odd = fmaf(k + 1 < n ? a[k + 1] : 0, k + 1 < n ? b[(size_t)(k + 1) * b_step] : 0, odd);
        }
        const float sum = even + odd;
        acc = acc + sum;
    }
    return acc;
}

static float halved(float lane[16])
{
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            lane[j] = lane[j] + lane[j + half];
    return lane[0];
}

float written_rms_scale(const float *x, int hidden, float eps)
{
    float lane[16] = {0};
    for (int i = 0; i < hidden; i++)
        lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
    return 1.0f / sqrtf(halved(lane) / (float)hidden + eps);
}

static float tree_of_blocks(const float *x, int n_columns, float max, int lo, int hi)
{
    if (hi - lo > 1) {
        const int mid = lo + (hi - lo + 1) / 2;
        return tree_of_blocks(x, n_columns, max, lo, mid) +
               tree_of_blocks(x, n_columns, max, mid, hi);
    }
    float lane[16] = {0};
    for (int i = lo * 256; i < hi * 256 && i < n_columns; i++)
        lane[i % 16] = lane[i % 16] + math_exp(x[i] - max);
    return halved(lane);
}

void written_log_sum_exp(const float *x, int n_columns, float *max, float *lse)
{
    *max = x[0];
    for (int i = 1; i < n_columns; i++)
        *max = x[i] > *max ? x[i] : *max;
    *lse = *max + math_log(tree_of_blocks(x, n_columns, *max, 0, (n_columns + 255) / 256));
}

/* One chunk: weights of the values, and the sum of what they were before scale and rounding. */
struct written_chunk {
    float w[256], sum, max;
};

static struct written_chunk written_scores(const struct written_attention *a, int chunk, int begin,
                                           int end)
{
    struct written_chunk c = {.max = -INFINITY};
    float score[256], lane[16] = {0};
    for (int i = begin; i < end; i++) {
        const size_t p = (size_t)(chunk + i);
        score[i] = written_dot(a->q, a->keys + p * (size_t)a->head_dim, 1, a->head_dim);
        if (a->k_scale)
            score[i] = score[i] * a->k_scale[p];
        score[i] = score[i] * a->scale;
        if (a->softcap > 0)
            score[i] = a->softcap * math_tanh(score[i] / a->softcap);
        c.max = score[i] > c.max ? score[i] : c.max;
    }
    for (int i = begin; i < end; i++) {
        const float e = math_exp(score[i] - c.max);
        lane[i % 16] = lane[i % 16] + e;
        c.w[i] = a->v_scale ? e * a->v_scale[chunk + i] : e;
        if (a->bf16_weights)
            c.w[i] = bf16_to_f32(bf16_from_f32(c.w[i]));
    }
    c.sum = halved(lane);
    return c;
}

void written_attention(float *out, const struct written_attention *a)
{
    float all_max = -INFINITY, all_sum = 0;
    for (int d = 0; d < a->head_dim; d++)
        out[d] = 0;
    for (int chunk = a->first / 256 * 256; chunk < a->n; chunk += 256) {
        const int begin = a->first > chunk ? a->first - chunk : 0;
        const int end = a->n - chunk < 256 ? a->n - chunk : 256;
        const struct written_chunk c = written_scores(a, chunk, begin, end);
        const float new_max = c.max > all_max ? c.max : all_max;
        const float keep = math_exp(all_max - new_max), take = math_exp(c.max - new_max);
        const float kept_sum = all_sum * keep, taken_sum = c.sum * take;
        all_sum = kept_sum + taken_sum;
        all_max = new_max;
        float v[256] = {0};
        for (int d = 0; d < a->head_dim; d++) {
            for (int i = begin; i < end; i++)
                v[i] = a->values[(size_t)(chunk + i) * (size_t)a->head_dim + (size_t)d];
            const float add = written_dot(c.w, v, 1, 256) + 0.0f;
            const float kept = out[d] * keep, taken = add * take;
            out[d] = kept + taken;
        }
    }
    for (int d = 0; d < a->head_dim; d++)
        out[d] = out[d] * (1.0f / all_sum);
}
