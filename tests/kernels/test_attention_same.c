/* What must not show in any bit of attention: blocks, chunks of the prompt, the batch, threads, and
 * positions that a row does not see, whatever they hold. For floats and whole numbers in the cache.
 */
#include "kernels/cpu/cpu_ops.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"

#include <math.h>

static const enum dtype dtypes[] = {DTYPE_BF16, DTYPE_I8};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

static struct attention_shape prompt_of(enum dtype dtype)
{
    return (struct attention_shape){.dtype = dtype,
                                    .out_dtype = DTYPE_BF16,
                                    .n_heads = 6,
                                    .n_kv_heads = 2,
                                    .head_dim = 32,
                                    .block_tokens = 16,
                                    .n_sequences = 1,
                                    .sequence = {3},
                                    .n_new = {300}};
}

static struct attention_case *run_shape(const struct attention_shape *shape, struct device *device)
{
    struct attention_case *c = case_make(shape);
    case_run(c, device);
    return c;
}

/* Runs check_dtype() for every format, on every level, with up to `max_threads`. */
static void on_every_level(void (*check_dtype)(struct device *, enum dtype), int max_threads)
{
    for (int level = 0; level < n_cpu_levels; level++)
        for (int n_threads = 1; n_threads <= max_threads; n_threads++) {
            struct device *device = level_open(level, n_threads);
            for (int i = 0; i < N_DTYPES && device != NULL; i++)
                check_dtype(device, dtypes[i]);
            device_close(device);
        }
}

static void other_blocks(struct device *device, enum dtype dtype)
{
    const struct attention_shape prompt = prompt_of(dtype);
    struct attention_case *want = run_shape(&prompt, device);
    for (int tokens = 16; tokens <= 256; tokens *= 2) {
        struct attention_shape shape = prompt;
        shape.block_tokens = tokens;
        shape.block_step = (unsigned)tokens + 3;
        struct attention_case *c = run_shape(&shape, device);
        case_check_same_rows("other blocks", want, c);
        case_free(c);
    }
    case_free(want);
}

TEST(blocks_of_the_cache_do_not_show) { on_every_level(other_blocks, 1); }

static void other_chunks(struct device *device, enum dtype dtype)
{
    static const int chunks[] = {1, 7, 64, 255};
    const struct attention_shape prompt = prompt_of(dtype);
    struct attention_case *want = run_shape(&prompt, device);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        for (int done = 0; done < 300; done += chunks[i]) {
            if (chunks[i] == 1 && done % 17 != 0)
                continue; /* a sample: each is a case of its own */
            struct attention_shape shape = prompt;
            shape.block_tokens = chunks[i] == 1 ? 32 : 16; /* large enough to be read in place */
            shape.n_computed[0] = done;
            shape.n_new[0] = done + chunks[i] < 300 ? chunks[i] : 300 - done;
            struct attention_case *c = run_shape(&shape, device);
            for (int r = 0; r < c->n_rows; r++)
                case_check_same_row("a chunk of the prompt", want, done + r, c, r);
            case_free(c);
        }
    case_free(want);
}

TEST(chunks_of_the_prompt_do_not_show) { on_every_level(other_chunks, 1); }

static void alone(struct device *device, enum dtype dtype)
{
    const struct attention_shape batch = {.dtype = dtype,
                                          .out_dtype = DTYPE_BF16,
                                          .n_heads = 6,
                                          .n_kv_heads = 2,
                                          .head_dim = 32,
                                          .block_tokens = 32,
                                          .n_sequences = 5,
                                          .sequence = {1, 3, 0, 2, 4},
                                          .n_computed = {40, 120, 0, 511, 256},
                                          .n_new = {1, 60, 65, 2, 1}};
    struct attention_case *together = run_shape(&batch, device);
    for (int s = 0; s < batch.n_sequences; s++)
        for (int t = 0; t < batch.n_new[s]; t += t < 2 ? 1 : 29) {
            struct attention_shape shape = batch;
            shape.n_sequences = 1;
            shape.sequence[0] = batch.sequence[s];
            shape.n_computed[0] = batch.n_computed[s] + t;
            shape.n_new[0] = 1;
            struct attention_case *c = run_shape(&shape, device);
            case_check_same_row("alone", together, together->first_row[s] + t, c, 0);
            case_free(c);
        }
    case_free(together);
}

TEST(other_sequences_of_the_batch_and_threads_do_not_show) { on_every_level(alone, 3); }

/* ---- positions that overflowed ---- */

enum { SPOILED = 100, WINDOW = 64 };

static void spoil_key(struct attention_case *c, int kv)
{
    if (c->shape.dtype == DTYPE_I8)
        case_set_scales(c, 0, SPOILED, kv, NAN, 1);
    else
        case_set_key(c, 0, SPOILED, kv, 3, NAN);
}

static void spoil_value(struct attention_case *c, int kv)
{
    if (c->shape.dtype == DTYPE_I8)
        case_set_scales(c, 0, SPOILED, kv, 0.01f, NAN);
    else
        case_set_value(c, 0, SPOILED, kv, 5, INFINITY);
}

/* Rows before the spoiled position, and those whose window has left it behind, must not notice,
 * although they are worked on together with rows that see it. */
static void beside(struct device *device, enum dtype dtype,
                   void (*spoil)(struct attention_case *, int kv))
{
    struct attention_shape shape = prompt_of(dtype);
    shape.window = WINDOW;
    struct attention_case *want = run_shape(&shape, device);
    struct attention_case *c = case_make(&shape);
    for (int kv = 0; kv < shape.n_kv_heads; kv++)
        spoil(c, kv);
    case_run(c, device);
    for (int r = 0; r < c->n_rows; r++)
        if (r < SPOILED || r >= SPOILED + WINDOW)
            case_check_same_row("beside a NaN", want, r, c, r);
        else
            for (int h = 0; h < shape.n_heads; h++)
                CHECK(!(fabsf(case_out(c, r, h, 5)) < INFINITY));
    case_free(c);
    case_free(want);
}

/* A token alone, where the cache may be read in place. */
static void beside_alone(struct device *device, enum dtype dtype,
                         void (*spoil)(struct attention_case *, int kv))
{
    for (int position = SPOILED - 1; position < SPOILED + WINDOW + 2; position += 13) {
        struct attention_shape shape = prompt_of(dtype);
        shape.window = WINDOW;
        shape.block_tokens = 32;
        shape.n_computed[0] = position;
        shape.n_new[0] = 1;
        struct attention_case *want = run_shape(&shape, device);
        struct attention_case *c = case_make(&shape);
        const bool holds = position >= SPOILED, sees = holds && position < SPOILED + WINDOW;
        for (int kv = 0; kv < shape.n_kv_heads && holds; kv++)
            spoil(c, kv);
        case_run(c, device);
        if (!sees)
            case_check_same_rows("behind a NaN", want, c);
        for (int h = 0; h < shape.n_heads && sees; h++)
            CHECK(!(fabsf(case_out(c, 0, h, 5)) < INFINITY));
        case_free(c);
        case_free(want);
    }
}

static void beside_both(struct device *device, enum dtype dtype)
{
    beside(device, dtype, spoil_key);
    beside(device, dtype, spoil_value);
    beside_alone(device, dtype, spoil_key);
    beside_alone(device, dtype, spoil_value);
}

TEST(what_is_not_finite_spoils_only_the_rows_that_see_it) { on_every_level(beside_both, 1); }

/* ---- windows ---- */

/* Edges of vectors, of blocks of the cache, of K_BLOCK and of chunks, met by rows on both sides of
 * them. */
static struct attention_shape windowed(enum dtype dtype, int block_tokens, int window)
{
    return (struct attention_shape){.dtype = dtype,
                                    .out_dtype = DTYPE_F32,
                                    .n_heads = 2,
                                    .n_kv_heads = 1,
                                    .head_dim = 32,
                                    .block_tokens = block_tokens,
                                    .block_step = 3,
                                    .n_sequences = 7,
                                    .sequence = {0, 1, 2, 3, 4, 5, 6},
                                    .n_computed = {0, 14, 250, 30, 255, 256, 530},
                                    .n_new = {1, 5, 12, 1, 1, 1, 4},
                                    .window = window};
}

#if SANITIZED /* every class of them */
static const int windows[] = {1, 17, 32, 255, 257};
#else
static const int windows[] = {1, 2, 15, 16, 17, 31, 32, 33, 64, 255, 256, 257, 300, 512};
#endif

static void each_window(void (*check_shape)(const struct attention_shape *shape))
{
    static const enum dtype all[] = {DTYPE_BF16, DTYPE_F32, DTYPE_I8};
    for (size_t d = 0; d < sizeof all / sizeof *all; d++)
        for (size_t w = 0; w < sizeof windows / sizeof *windows; w++)
            for (int tokens = 16; tokens <= 64; tokens *= 2) {
                const struct attention_shape shape = windowed(all[d], tokens, windows[w]);
                check_shape(&shape);
            }
}

static void near_and_equal(const struct attention_shape *shape)
{
    struct attention_case *first = NULL;
    for (int level = 0; level < n_cpu_levels; level++) {
        struct device *device = level_open(level, 1);
        if (device == NULL)
            continue;
        struct attention_case *c = run_shape(shape, device);
        device_close(device);
        if (first != NULL) {
            case_check_same_rows(cpu_levels[level].ops.name, first, c);
            case_free(c);
            continue;
        }
        first = c;
        for (int r = 0; r < c->n_rows; r += SANITIZED ? 5 : 1)
            for (int h = 0; h < shape->n_heads; h++)
                case_check_row(c, cpu_levels[level].ops.name, shape->window, r, h);
    }
    case_free(first);
}

TEST(windows_with_every_edge_are_the_written_order_on_all_levels) { each_window(near_and_equal); }

static void forget(const struct attention_shape *shape)
{
    for (int level = 0; level < n_cpu_levels; level++) {
        struct device *device = level_open(level, 1);
        if (device == NULL)
            continue;
        struct attention_case *want = run_shape(shape, device), *c = case_make(shape);
        case_forget_unseen(c);
        case_run(c, device);
        case_check_same_rows("with block 0 out of sight", want, c);
        case_free(c);
        case_free(want);
        device_close(device);
    }
}

TEST(blocks_out_of_sight_may_have_any_number) { each_window(forget); }
