/* kernels/cpu/few_matmul.inc.h: matmul of a few tokens, at the speed of memory.
 *
 * Every weight is read once and used once or a few times, so it goes from memory to FMA in
 * registers, and all that counts is how memory is walked. 16 rows are worked on together, all of K
 * and all its leaves in one go, with their sums in registers; while that happens, the next 16 rows
 * are fetched into L2, as many lines as are used, but in their own order, row after row. To fetch
 * in the order of use, across 16 rows and so 16 pages at a time, or leaf by leaf, cost a third of
 * the bandwidth.
 *
 * Included by matmul.inc.h. x BF16 and so the weights. */
#pragma once

enum { FEW_ROWS = LANES, FEW_LEAST_ITEM = 32, FEW_ITEMS = 32, LINE_BYTES = 64 };

struct few {
    const struct device *device;
    const struct matmul_args *args;
    int item_rows;
};

static inline const bf16 *few_row(const struct few *few, int row)
{
    return (const bf16 *)few->args->weight.data + row * few->args->weight.row_stride;
}

/* The lines of the next 16 rows. */
struct ahead {
    const char *row; /* the one that is fetched now */
    int64_t row_bytes;
    int line, row_lines, n_rows; /* n_rows: still to fetch, this one too */
};

static inline struct ahead ahead_of(const struct few *few, int row, int end)
{
    return (struct ahead){.row = (const char *)few_row(few, row),
                          .row_bytes = few->args->weight.row_stride * (int64_t)sizeof(bf16),
                          .row_lines = few->args->x.k * (int)sizeof(bf16) / LINE_BYTES,
                          .n_rows = row < end ? min_int(FEW_ROWS, end - row) : 0};
}

static inline void fetch_lines(struct ahead *ahead, int n_lines)
{
    for (; n_lines > 0 && ahead->n_rows > 0; n_lines--) {
        __builtin_prefetch(ahead->row + ahead->line * LINE_BYTES, 0, 2);
        if (++ahead->line < ahead->row_lines)
            continue;
        ahead->line = 0;
        ahead->row += ahead->row_bytes;
        ahead->n_rows--;
    }
}

/* sum[odd][t] = the chains of one block of K; x is [even, odd][16][n_tokens]. */
static inline __attribute__((always_inline)) void few_block(struct vec sum[2][FEW_TOKENS],
                                                            const struct lane_rows *rows, int k,
                                                            const float *x, const int n_tokens)
{
    struct vec m[LANES];
    vec_load_transposed(m, rows->row, (size_t)k * sizeof(bf16));
#pragma GCC unroll 4
    for (int t = 0; t < n_tokens; t++)
        sum[0][t] = sum[1][t] = vec_set(0);
#pragma GCC unroll 16
    for (int i = 0; i < PAIRS; i++) {
        const struct vec even = vec_even(m[i]), odd = vec_odd(m[i]);
#pragma GCC unroll 4
        for (int t = 0; t < n_tokens; t++) {
            sum[0][t] = vec_fma(vec_set(x[i * n_tokens + t]), even, sum[0][t]);
            sum[1][t] = vec_fma(vec_set(x[(PAIRS + i) * n_tokens + t]), odd, sum[1][t]);
        }
    }
}

/* part[p][t] = the parts of 16 outputs: the program of the leaves, on vectors. */
static inline __attribute__((always_inline)) void
few_rows(const struct few *few, const struct lane_rows *rows, struct ahead *ahead, const float *x,
         struct vec part[][FEW_TOKENS], const int n_tokens)
{
    const struct leaves *leaves = few->args->leaves;
    int k = 0, depth = 0;
    for (int i = 0; i < leaves->n_leaves; i++) {
        const struct leaf *leaf = &leaves->leaf[i];
        struct vec acc[FEW_TOKENS], sum[2][FEW_TOKENS];
#pragma GCC unroll 4
        for (int t = 0; t < n_tokens; t++)
            acc[t] = vec_set(0);
        for (; k < leaf->k_end; k += K_BLOCK, x += K_BLOCK * n_tokens) {
            fetch_lines(ahead, LANES);
            if (leaf->k_end - k >= K_BLOCK) {
                few_block(sum, rows, k, x, n_tokens);
            } else {
                struct tail tail;
                const struct lane_rows copied = copy_tail(&tail, rows, k, leaf->k_end - k);
                few_block(sum, &copied, 0, x, n_tokens);
            }
#pragma GCC unroll 4
            for (int t = 0; t < n_tokens; t++)
                acc[t] = vec_add(acc[t], vec_add(sum[0][t], sum[1][t]));
        }
        k = leaf->k_end;
        for (int t = 0; t < n_tokens; t++)
            part[depth][t] = acc[t];
        depth++;
        for (int merge = 0; merge < leaf->n_merges; merge++, depth--)
            for (int t = 0; t < n_tokens; t++)
                part[depth - 2][t] = vec_add(part[depth - 2][t], part[depth - 1][t]);
    }
}

static inline void few_rows_of(const struct few *few, const struct lane_rows *rows,
                               struct ahead *ahead, const float *x, struct vec part[][FEW_TOKENS])
{
    switch (few->args->n_tokens) {
    case 1:
        few_rows(few, rows, ahead, x, part, 1);
        break;
    case 2:
        few_rows(few, rows, ahead, x, part, 2);
        break;
    case 3:
        few_rows(few, rows, ahead, x, part, 3);
        break;
    default:
        few_rows(few, rows, ahead, x, part, FEW_TOKENS);
    }
}

static inline void few_store(const struct few *few, struct vec part[][FEW_TOKENS], int row,
                             int n_rows)
{
    const struct matmul_args *args = few->args;
    for (int p = 0; p < args->leaves->n_parts; p++)
        for (int t = 0; t < args->n_tokens; t++) {
            float value[LANES];
            vec_store(value, part[p][t]);
            for (int i = 0; args->bias.data != NULL && i < n_rows; i++)
                value[i] += widened(args->bias.data, args->bias.dtype, row + i);
            memcpy(args->out + ((int64_t)p * args->n_tokens + t) * args->out_stride + row, value,
                   (size_t)n_rows * sizeof *value);
        }
}

static void few_run_item(void *context, int item, int thread)
{
    const struct few *few = context;
    const struct matmul_args *args = few->args;
    const int first = item * few->item_rows;
    const int end = min_int(first + few->item_rows, args->n_out);
    float *x = few->device->scratch[thread];
    widen_group(x, args->x.data, args->n_tokens, args->x.k_padded);
    for (int row = first; row < end; row += FEW_ROWS) {
        const int n_rows = min_int(FEW_ROWS, end - row);
        const struct lane_rows rows =
            lane_rows(few_row(few, row), DTYPE_BF16, args->weight.row_stride, n_rows);
        /* The next item is as good a guess as any: some thread takes it. */
        struct ahead ahead = ahead_of(few, row + FEW_ROWS, args->n_out);
        struct vec part[MAX_LEAVES][FEW_TOKENS];
        few_rows_of(few, &rows, &ahead, x, part);
        few_store(few, part, row, n_rows);
    }
}

/* False: not for this kernel, and nothing was done. */
static bool few_matmul(struct device *device, const struct matmul_args *args)
{
    struct few few = {.device = device, .args = args};
    if (args->x.dtype != DTYPE_BF16 || args->n_tokens > FEW_TOKENS ||
        (size_t)args->x.k_padded * FEW_TOKENS * sizeof(float) > device->scratch_bytes)
        return false;
    const int fair = args->n_out / (FEW_ITEMS * team_size(device->team)) / FEW_ROWS * FEW_ROWS;
    few.item_rows = min_int(ITEM_ROWS, fair < FEW_LEAST_ITEM ? FEW_LEAST_ITEM : fair);
    team_run(device->team, few_run_item, &few, (args->n_out + few.item_rows - 1) / few.item_rows);
    return true;
}
