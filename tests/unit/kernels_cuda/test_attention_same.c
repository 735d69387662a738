/* What must not show in any bit of attention on a GPU: blocks, chunks of the prompt, the batch, how
 * the work is cut, the order of threads, rows of nobody, and positions that a row does not see. */
#include "tests/test.h"
#include "tests/unit/kernels_cuda/both.h"
#include "tests/unit/kernels_cuda/gpu_attention.h"

#include <math.h>

static const struct gpu_attention plain;

/* What the cache may hold, and heads of one slice and of two. */
struct kind {
    enum dtype dtype;
    int head_dim, window;
};
static const struct kind kinds[] = {{DTYPE_BF16, 32, 0}, {DTYPE_BF16, 20, 70}, {DTYPE_BF16, 256, 0},
                                    {DTYPE_I8, 64, 0},   {DTYPE_I8, 32, 70},   {DTYPE_F32, 20, 0}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static void on_every_kind(void (*check_kind)(const struct kind *))
{
    for (int i = SANITIZED; i < N_KINDS;
         i += 1 + SANITIZED) /* they take minutes: one of a format */
        check_kind(&kinds[i]);
}

/* Four rows for every token: 17 tokens are many, 16 are few. */
static struct attention_shape shape_of(const struct kind *kind)
{
    return (struct attention_shape){.dtype = kind->dtype,
                                    .out_dtype = DTYPE_F32,
                                    .n_heads = 4,
                                    .n_kv_heads = 1,
                                    .head_dim = kind->head_dim,
                                    .block_tokens = 16,
                                    .n_sequences = 1,
                                    .sequence = {3},
                                    .window = kind->window};
}

/* Tokens [first, first + n) of the prompt. */
static struct attention_case *part_of_prompt(const struct kind *kind, int first, int n)
{
    struct attention_shape shape = shape_of(kind);
    shape.n_computed[0] = first;
    shape.n_new[0] = n;
    return gpu_attention_of(&shape, &plain);
}

static void other_chunks(const struct kind *kind)
{
    static const int chunks[] = {1, 7, 16, 17, 100};
    enum { PROMPT = 300 };
    struct attention_case *whole = part_of_prompt(kind, 0, PROMPT);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        for (int done = 0; done < PROMPT; done += chunks[i]) {
            if (chunks[i] < 17 && done / chunks[i] % (SANITIZED ? 39 : 13) != 0)
                continue; /* a sample: each is a case of its own */
            const int n = done + chunks[i] < PROMPT ? chunks[i] : PROMPT - done;
            struct attention_case *c = part_of_prompt(kind, done, n);
            for (int r = 0; r < n; r++)
                case_check_same_row("a chunk of the prompt", whole, done + r, c, r);
            case_free(c);
        }
    case_free(whole);
}

TEST(attention_is_the_same_for_any_chunks_of_a_prompt) { on_every_kind(other_chunks); }

static struct attention_shape batch_of(const struct kind *kind)
{
    struct attention_shape shape = shape_of(kind);
    static const int computed[] = {40, 120, 0, 511, 256}, new[] = {1, 30, 18, 2, 1};
    shape.n_sequences = 5;
    for (int s = 0; s < 5; s++) {
        shape.sequence[s] = s;
        shape.n_computed[s] = computed[s];
        shape.n_new[s] = new[s];
    }
    return shape;
}

static void alone(const struct kind *kind)
{
    const struct attention_shape batch = batch_of(kind);
    struct attention_case *together = gpu_attention_of(&batch, &plain);
    for (int s = 0; s < batch.n_sequences; s++) {
        struct attention_shape shape = batch;
        shape.n_sequences = 1;
        shape.sequence[0] = batch.sequence[s];
        shape.n_computed[0] = batch.n_computed[s];
        shape.n_new[0] = batch.n_new[s];
        struct attention_case *c = gpu_attention_of(&shape, &plain);
        for (int r = 0; r < c->n_rows; r++)
            case_check_same_row("alone", together, together->first_row[s] + r, c, r);
        case_free(c);
    }
    case_free(together);
}

TEST(attention_is_the_same_alone_and_in_a_batch) { on_every_kind(alone); }

/* Where all of a step is called few, a sequence may have more rows than few are else: of 18 tokens
 * alone they are many. */
static void drafted(const struct kind *kind)
{
    struct attention_shape shape = shape_of(kind);
    struct attention_case *alone = part_of_prompt(kind, 500, 18);
    shape.n_sequences = 6;
    for (int s = 0; s < 6; s++) {
        shape.sequence[s] = s;
        shape.n_computed[s] = s == 3 ? 500 : 300 * s;
        shape.n_new[s] = s == 3 ? 18 : 1;
    }
    struct attention_case *c = gpu_attention_of(&shape, &plain);
    for (int r = 0; r < 18; r++)
        case_check_same_row("among few", alone, r, c, 3 + r);
    case_free(c);
    case_free(alone);
}

TEST(attention_is_the_same_of_many_rows_where_all_are_called_few) { on_every_kind(drafted); }

/* The batch in another way, against the batch. */
static void check_otherwise(const struct kind *kind, const char *what, int block_tokens,
                            const struct gpu_attention *how)
{
    struct attention_shape shape = batch_of(kind);
    struct attention_case *want = gpu_attention_of(&shape, &plain);
    shape.block_tokens = block_tokens;
    shape.block_step = (unsigned)block_tokens + 3;
    struct attention_case *c = gpu_attention_of(&shape, how);
    case_check_same_rows(what, want, c);
    case_free(c);
    case_free(want);
}

static void other_blocks(const struct kind *kind)
{
    for (int tokens = 16; tokens <= 256; tokens *= 4)
        check_otherwise(kind, "other blocks", tokens, &plain);
}

TEST(attention_is_the_same_wherever_the_blocks_are) { on_every_kind(other_blocks); }

static void other_cuts(const struct kind *kind)
{
    check_otherwise(kind, "no partial results", 16, &(struct gpu_attention){.no_workspace = true});
}

TEST(attention_is_the_same_however_the_work_is_cut) { on_every_kind(other_cuts); }

static void padded(const struct kind *kind)
{
    check_otherwise(kind, "rows of nobody", 16,
                    &(struct gpu_attention){.more_rows = 5, .more_sequences = 3});
}

TEST(attention_does_not_mind_rows_and_sequences_of_nobody) { on_every_kind(padded); }

static void other_orders(const struct kind *kind)
{
    for (uint32_t seed = 2; seed < 2 + SEEDS; seed++)
        check_otherwise(kind, "another order of threads", 16,
                        &(struct gpu_attention){.seed = seed});
}

TEST(attention_is_the_same_for_any_order_of_threads) { on_every_kind(other_orders); }

/* ---- positions that overflowed ---- */

enum { SPOILED = 100, SPOILED_PROMPT = 200 };

static void spoil_key(struct attention_case *c)
{
    if (c->shape.dtype == DTYPE_I8)
        case_set_scales(c, 0, SPOILED, 0, NAN, 1);
    else
        case_set_key(c, 0, SPOILED, 0, 3, NAN);
}

static void spoil_value(struct attention_case *c)
{
    if (c->shape.dtype == DTYPE_I8)
        case_set_scales(c, 0, SPOILED, 0, 0.01f, NAN);
    else
        case_set_value(c, 0, SPOILED, 0, 5, INFINITY);
}

/* Rows [first, first + n) beside a position that is not finite: those that do not see it must not
 * notice, although they are worked on together with rows that do. */
static void check_spoiled(const struct kind *kind, int first, int n,
                          void (*spoil)(struct attention_case *))
{
    struct attention_case *want = part_of_prompt(kind, first, n);
    struct attention_case *c = case_make(&want->shape);
    if (first + n > SPOILED)
        spoil(c);
    gpu_attention_run(c, &plain);
    for (int r = 0; r < n; r++) {
        const int p = first + r;
        if (p < SPOILED || (kind->window > 0 && p >= SPOILED + kind->window))
            case_check_same_row("beside a NaN", want, r, c, r);
        else
            for (int h = 0; h < c->shape.n_heads; h++)
                CHECK(!(fabsf(case_out(c, r, h, 5)) < INFINITY));
    }
    case_free(c);
    case_free(want);
}

static void beside(const struct kind *kind)
{
    check_spoiled(kind, 0, SPOILED_PROMPT, spoil_key);
    check_spoiled(kind, 0, SPOILED_PROMPT, spoil_value);
    for (int first = SPOILED - 3; first < SPOILED_PROMPT; first += 37) {
        check_spoiled(kind, first, 4, spoil_key);
        check_spoiled(kind, first, 4, spoil_value);
    }
}

TEST(attention_of_rows_that_do_not_see_it_is_not_spoiled_by_what_is_not_finite)
{
    on_every_kind(beside);
}

/* ---- windows ---- */

TEST(attention_does_not_look_at_blocks_out_of_sight)
{
    static const int windows[] = {1, 17, 64, 255, 257, 300};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        struct attention_shape shape = batch_of(&(struct kind){DTYPE_BF16, 32, windows[i]});
        struct attention_case *want = gpu_attention_of(&shape, &plain), *c = case_make(&shape);
        case_forget_unseen(c);
        gpu_attention_run(c, &plain);
        case_check_same_rows("with block 0 out of sight", want, c);
        case_free(c);
        case_free(want);
    }
}
