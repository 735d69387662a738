#include "tests/kernels/written_order.h"

#include "kernels/dtype.h"
#include "kernels/math.h"

#include <math.h>

float written_dot(const float *a, const float *b, size_t b_step, int n)
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

void written_attention(float *out, const float *q, const float *keys, const float *values,
                       int head_dim, int first, int n, float scale, bool bf16_cache)
{
    float all_max = -INFINITY, all_sum = 0;
    for (int i = 0; i < head_dim; i++)
        out[i] = 0;
    for (int chunk = first / 256 * 256; chunk < n; chunk += 256) {
        const int begin = first > chunk ? first - chunk : 0;
        const int end = n - chunk < 256 ? n - chunk : 256;
        float score[256], p[256] = {0}, v[256] = {0}, lane[16] = {0}, max = -INFINITY;
        for (int i = begin; i < end; i++) {
            score[i] =
                written_dot(q, keys + (size_t)(chunk + i) * (size_t)head_dim, 1, head_dim) * scale;
            max = score[i] > max ? score[i] : max;
        }
        for (int i = begin; i < end; i++) {
            p[i] = math_exp(score[i] - max);
            lane[i % 16] = lane[i % 16] + p[i];
            p[i] = bf16_cache ? bf16_to_f32(bf16_from_f32(p[i])) : p[i];
        }
        const float sum = halved(lane);
        const float new_max = max > all_max ? max : all_max;
        const float keep = math_exp(all_max - new_max), take = math_exp(max - new_max);
        const float kept_sum = all_sum * keep, taken_sum = sum * take;
        all_sum = kept_sum + taken_sum;
        all_max = new_max;
        for (int d = 0; d < head_dim; d++) {
            for (int i = begin; i < end; i++)
                v[i] = values[(size_t)(chunk + i) * (size_t)head_dim + (size_t)d];
            const float add = written_dot(p, v, 1, 256) + 0.0f;
            const float kept = out[d] * keep, taken = add * take;
            out[d] = kept + taken;
        }
    }
    for (int d = 0; d < head_dim; d++)
        out[d] = out[d] * (1.0f / all_sum);
}
