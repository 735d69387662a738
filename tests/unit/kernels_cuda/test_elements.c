/* Operations on rows that treat each element by itself give the bits of the CPU. */
#include "tests/kernels/levels.h"
#include "tests/kernels/row_case.h"
#include "tests/test.h"
#include "tests/unit/kernels_cuda/both.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int widths[] = {1, 7, 32, 100, 1024, 1028};
enum { N_WIDTHS = sizeof widths / sizeof *widths };

static void must_equal(const char *what, const float *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!same_number(got[i], want[i]))
            test_fail(__FILE__, __LINE__, "%s: number %zu is %a, want %a", what, i, (double)got[i],
                      (double)want[i]);
}

static float *numbers(uint64_t seed, size_t n, float scale)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = number_at(seed, i, 1) * scale;
    return x;
}

static void check_embed(enum dtype dtype, int hidden)
{
    enum { TOKENS = 7, ROWS = 5, FIRST = 3 };
    static const int32_t token[TOKENS] = {3, 7, 2, 8, 5, -2, -1}, carried[] = {4, 6};
    struct both both;
    both_open(&both);
    struct weight table = weight_make(dtype, ROWS, hidden, 1);
    float *want = numbers(2, (size_t)TOKENS * (size_t)hidden, 1), *got = numbers(3, 1, 1);
    const size_t bytes = (size_t)TOKENS * (size_t)hidden * sizeof *want;
    got = realloc(got, bytes);
    struct embed_args args = {.out = want,
                              .token = token,
                              .carried = carried,
                              .table = table,
                              .first = FIRST,
                              .count = ROWS,
                              .n_tokens = TOKENS,
                              .hidden = hidden,
                              .scale = 0x1.9p+4f};
    op_embed(both.cpu, &args);
    args.out = gpu_array(&both, NULL, bytes);
    args.token = gpu_array(&both, token, sizeof token);
    args.carried = gpu_array(&both, carried, sizeof carried);
    args.table = gpu_weight(&both, &table, ROWS, hidden);
    op_embed(both.device, &args);
    gpu_read(&both, got, args.out, bytes);
    must_equal("embed", got, want, (size_t)TOKENS * (size_t)hidden);
    free((void *)table.data);
    free(want);
    free(got);
    both_close(&both);
}

TEST(embeddings_are_those_of_the_cpu)
{
    for (int d = 0; d < N_WEIGHT_DTYPES; d++)
        for (int w = 0; w < N_WIDTHS; w++)
            check_embed(weight_dtypes[d], widths[w]);
}

/* Element k of token t of an operand in rows. */
static float element(const void *data, const struct operand *x, int t, int k)
{
    return widened(data, x->dtype, (size_t)t * (size_t)x->k_padded + (size_t)k);
}

static void check_gated(enum dtype dtype, const struct leaves *leaves, int gap,
                        enum activation activation)
{
    enum { TOKENS = 3 };
    const int ffn = leaves_k(leaves), stride = 2 * ffn + gap;
    struct both both;
    both_open(&both);
    const size_t n = TOKENS * (size_t)stride;
    float *x = numbers(11, n, 20);
    x[0] = NAN;
    x[ffn] = INFINITY;
    struct output want = output_make(DTYPE_F32, TOKENS, leaves);
    struct gated_args args = {.out = want.operand,
                              .leaves = leaves,
                              .gate = x,
                              .up = x + ffn,
                              .row_stride = stride,
                              .activation = activation,
                              .n_tokens = TOKENS,
                              .ffn = ffn};
    op_gated(both.cpu, &args);
    const float *gate = gpu_array(&both, x, n * sizeof *x);
    args.gate = gate;
    args.up = gate + ffn;
    args.out = gpu_operand(&both, dtype, TOKENS, leaves);
    op_gated(both.device, &args);
    const size_t bytes = operand_bytes(dtype, TOKENS, leaves);
    void *got = malloc(bytes);
    gpu_read(&both, got, args.out.data, bytes);
    for (int t = 0; t < TOKENS; t++) {
        int at = 0, k = 0;
        for (int l = 0; l < leaves->n_leaves; l++) {
            for (; k < leaves->leaf[l].k_end; k++, at++)
                if (!same_number(element(got, &args.out, t, at),
                                 rounded(operand_at(&want.operand, t, k), dtype)))
                    test_fail(__FILE__, __LINE__, "token %d element %d is %a", t, k,
                              (double)element(got, &args.out, t, at));
            for (; dtype != DTYPE_F32 && at % K_BLOCK != 0; at++)
                CHECK(element(got, &args.out, t, at) == 0);
        }
    }
    free(got);
    free(x);
    output_free(&want);
    both_close(&both);
}

TEST(gates_are_those_of_the_cpu_and_padding_is_zero)
{
    static const enum dtype dtypes[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    struct leaves even = leaves_one(1056), uneven = {.n_leaves = 3, .n_parts = 1};
    uneven.leaf[0] = (struct leaf){.k_end = 33};
    uneven.leaf[1] = (struct leaf){.k_end = 65, .n_merges = 1};
    uneven.leaf[2] = (struct leaf){.k_end = 70, .n_merges = 1};
    for (int d = 0; d < 3; d++)
        for (int gap = 0; gap < 3; gap += 2) {
            check_gated(dtypes[d], &even, gap, ACTIVATION_SILU);
            check_gated(dtypes[d], &uneven, gap, ACTIVATION_GELU_TANH);
        }
}

TEST(caps_are_those_of_the_cpu)
{
    enum { N = 3000 };
    struct both both;
    both_open(&both);
    float *x = numbers(21, N, 200), got[N];
    x[1] = -0.0f;
    x[2] = 0x1p-20f;
    x[3] = NAN;
    float *on_gpu = gpu_array(&both, x, N * sizeof *x);
    op_softcap(both.cpu, &(struct softcap_args){.x = x, .n = N, .cap = 30});
    op_softcap(both.device, &(struct softcap_args){.x = on_gpu, .n = N, .cap = 30});
    gpu_read(&both, got, on_gpu, sizeof got);
    must_equal("softcap", got, x, N);
    free(x);
    both_close(&both);
}
