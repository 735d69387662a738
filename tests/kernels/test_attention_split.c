/* Few long sequences, whose chunks are shared among the threads: the bits of one thread, which are
 * those of the written order (test_attention.c). */
#include "kernels/cpu/cpu_ops.h"
#include "tests/kernels/attention_case.h"
#include "tests/kernels/levels.h"
#include "tests/test.h"

#include <math.h>

/* One sequence over several chunks, two that end in other places, windows that begin within a
 * chunk and before the first position, heads in groups and alone, odd sizes. */
static const struct attention_shape shapes[] = {
    {.n_heads = 8, .n_kv_heads = 2, .head_dim = 64, .block_tokens = 32, .n_computed = {1700}},
    {.n_heads = 3,
     .n_kv_heads = 3,
     .head_dim = 20,
     .block_tokens = 16,
     .block_step = 5,
     .n_sequences = 2,
     .sequence = {2, 1},
     .n_computed = {511, 1300}},
    {.n_heads = 4,
     .n_kv_heads = 1,
     .head_dim = 32,
     .block_tokens = 64,
     .n_sequences = 3,
     .sequence = {0, 1, 2},
     .n_computed = {0, 255, 1000},
     .window = 600},
    {.n_heads = 2, .n_kv_heads = 1, .head_dim = 32, .block_tokens = 256, .n_computed = {256}},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static struct attention_shape shape_of(const struct attention_shape *from, enum dtype dtype)
{
    struct attention_shape shape = *from;
    shape.dtype = dtype;
    shape.out_dtype = DTYPE_F32;
    shape.n_sequences = shape.n_sequences > 0 ? shape.n_sequences : 1;
    for (int s = 0; s < shape.n_sequences; s++)
        shape.n_new[s] = 1;
    return shape;
}

/* prepare() may change what was made. */
static void one_thread_and_more(const struct attention_shape *shape, int level,
                                void (*prepare)(struct attention_case *))
{
    static const int n_threads[] = {1, 2, 3, 8};
    struct attention_case *of[4] = {NULL};
    for (int i = 0; i < 4; i++) {
        struct device *device = level_open(level, n_threads[i]);
        if (device == NULL)
            return;
        of[i] = case_make(shape);
        if (prepare)
            prepare(of[i]);
        case_run(of[i], device);
        device_close(device);
    }
    for (int i = 1; i < 4; i++)
        case_check_same_rows("more threads", of[0], of[i]);
    for (int i = 0; i < 4; i++)
        case_free(of[i]);
}

TEST(chunks_shared_among_threads_give_the_bits_of_one_thread)
{
    static const enum dtype dtypes[] = {DTYPE_BF16, DTYPE_F32, DTYPE_I8};
    for (int level = 0; level < n_cpu_levels; level++)
        for (int s = 0; s < N_SHAPES; s++)
            for (int d = 0; d < 3; d++) {
                const struct attention_shape shape = shape_of(&shapes[s], dtypes[d]);
                one_thread_and_more(&shape, level, NULL);
            }
}

/* The memory for results has room for 3 chunks a thread. */
TEST(more_chunks_than_there_is_room_for_are_done_in_waves)
{
    const struct attention_shape wide = {.n_heads = 63,
                                         .n_kv_heads = 1,
                                         .head_dim = MAX_HEAD_DIM,
                                         .block_tokens = 64,
                                         .n_computed = {2100}};
    for (int level = 0; level < n_cpu_levels; level++) {
        const struct attention_shape shape = shape_of(&wide, DTYPE_BF16);
        one_thread_and_more(&shape, level, NULL);
    }
}

static void leave_a_kv_head_alone(struct attention_case *c)
{
    for (int h = 0; h < c->shape.n_heads; h++)
        c->kv_of_head[h] = h < 3 ? 0 : 2;
}

TEST(a_kv_head_without_query_heads_is_left_out)
{
    struct attention_shape shape = shape_of(&shapes[1], DTYPE_BF16);
    shape.n_heads = 6;
    for (int level = 0; level < n_cpu_levels; level++)
        one_thread_and_more(&shape, level, leave_a_kv_head_alone);
}

/* Of KV head 0 a key, of KV head 1 a value, in different chunks. */
static void spoil(struct attention_case *c)
{
    case_set_key(c, 0, 300, 0, 3, NAN);
    case_set_value(c, 0, 700, 1, 3, INFINITY);
}

TEST(what_is_not_finite_in_one_chunk_is_seen_in_the_result)
{
    for (int level = 0; level < n_cpu_levels; level++)
        for (int n_threads = 1; n_threads <= 8; n_threads *= 2) {
            struct device *device = level_open(level, n_threads);
            if (device == NULL)
                continue;
            const struct attention_shape shape = shape_of(&shapes[0], DTYPE_BF16);
            struct attention_case *c = case_make(&shape);
            spoil(c);
            case_run(c, device);
            CHECK(isnan(case_out(c, 0, 0, 5)) && !(fabsf(case_out(c, 0, 4, 3)) < INFINITY));
            CHECK(fabsf(case_out(c, 0, 4, 5)) < INFINITY);
            case_free(c);
            device_close(device);
        }
}
