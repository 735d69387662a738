/* How a plan is laid out for a device that has memory of its own, and padded. */
#include "runtime/forward/step_rows.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/forward/buckets.h"
#include "tests/test.h"

#include <string.h>

static const struct plan_limits limits = {.max_tokens = 16,
                                          .max_sequences = 8,
                                          .max_logits = 8,
                                          .block_tokens = 4,
                                          .n_kv_blocks = 32,
                                          .max_model_len = 12,
                                          .vocab = 50,
                                          .n_kv_groups = 2,
                                          .max_copies = 4};

static _Alignas(8) char memory[4096];
static struct step_plan *const plan = (struct step_plan *)memory;
static struct step_view view;

static void add(enum plan_tag tag, const int32_t *numbers, int n)
{
    if (n > 0)
        memcpy(plan_add(plan, tag, (size_t)n * sizeof *numbers), numbers,
               (size_t)n * sizeof *numbers);
    else
        plan_add(plan, tag, 0);
}

/* Two sequences that decode one token each, at positions 5 and 2. */
static void make_plan(void)
{
    struct error err = {0};
    plan_begin(plan, 1);
    plan->n_tokens = plan->n_sequences = plan->n_logits = 2;
    plan->n_blocks = 3;
    plan->n_copies = 1;
    add(PLAN_TOKEN, (int32_t[]){7, 9}, 2);
    add(PLAN_FIRST_ROW, (int32_t[]){0, 1, 2}, 3);
    add(PLAN_N_COMPUTED, (int32_t[]){5, 2}, 2);
    add(PLAN_FIRST_BLOCK, (int32_t[]){0, 2, 3}, 3);
    add(PLAN_BLOCK, (int32_t[]){4, 5, 6, 14, 15, 16}, 6);
    add(PLAN_LOGITS_ROW, (int32_t[]){0, 1}, 2);
    add(PLAN_COPY, (int32_t[]){20, 21}, 2);
    struct plan_pick *pick = plan_add(plan, PLAN_PICK, 2 * sizeof *pick);
    pick[0] = (struct plan_pick){.kind = PICK_SAMPLE,
                                 .seed = 77,
                                 .position = 6,
                                 .n_best = 3,
                                 .top_k = 20,
                                 .temperature = 0.5f,
                                 .top_p = 0.9f,
                                 .min_p = 0.1f};
    pick[1] = (struct plan_pick){.kind = PICK_BEAM, .position = 3, .n_best = 4, .top_p = 1};
    if (!plan_check(plan, plan->n_bytes, &limits, 0, &view, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

/* Staged and "uploaded". */
static struct step_rows stage(const struct row_counts *counts, void *device)
{
    static const struct row_counts most = {16, 8, 8};
    struct step_rows rows;
    const size_t most_bytes = step_rows_gpu_bytes(&limits, &most);
    void *staged = memory_alloc(1, most_bytes);
    memset(staged, 0xee, most_bytes);
    const size_t n = step_rows_stage(&rows, plan, &view, &limits, counts, staged, device);
    CHECK(n <= most_bytes && n <= 8192);
    memcpy(device, staged, n);
    memory_free(staged);
    return rows;
}

static void check_numbers(const char *what, const int32_t *got, const int32_t *want, int n)
{
    for (int i = 0; i < n; i++)
        if (got[i] != want[i])
            test_fail(__FILE__, __LINE__, "%s %d is %d, want %d", what, i, got[i], want[i]);
}

static _Alignas(64) char device[8192];

TEST(padding_is_rows_that_store_nothing_behind_sequences_without_rows)
{
    make_plan();
    const struct step_rows rows = stage(&(struct row_counts){4, 4, 4}, device);
    CHECK_EQ(rows.n.n_tokens, 4);
    check_numbers("token", rows.token, (int32_t[]){7, 9, 0, 0}, 4);
    check_numbers("position", rows.position, (int32_t[]){5, 2, 0, 0}, 4);
    check_numbers("slot", rows.slot, (int32_t[]){5 * 4 + 1, 6 * 4 + 2, -1, -1}, 4);
    check_numbers("slot of group 1", rows.slot + 4, (int32_t[]){61, 66, -1, -1}, 4);
    check_numbers("first row", rows.first_row, (int32_t[]){0, 1, 2, 2, 2}, 5);
    check_numbers("computed", rows.n_computed, (int32_t[]){5, 2, 0, 0}, 4);
    check_numbers("row of logits", rows.logits_row, (int32_t[]){0, 1, 2, 3}, 4);
    CHECK_EQ(rows.pick[0].want, PICK_WANT_TOKEN);
    CHECK_EQ(rows.pick[1].want, PICK_WANT_BEST);
    CHECK_EQ(rows.pick[2].want, PICK_WANT_NOTHING);
    CHECK_EQ(rows.pick[3].want, PICK_WANT_NOTHING);
    CHECK_EQ(rows.pick[0].seed, 77);
    CHECK_EQ(rows.pick[0].n_best, 3);
    CHECK(rows.pick[0].temperature == 0.5f && rows.pick[0].min_p == 0.1f);
    check_numbers("copy", rows.copy, (int32_t[]){20, 21}, 2);
}

TEST(blocks_of_each_group_are_found_by_its_own_begins)
{
    make_plan();
    const struct step_rows rows = stage(&(struct row_counts){4, 4, 4}, device);
    for (int g = 0; g < 2; g++) {
        const int32_t *first = rows.first_block + (size_t)g * rows.first_block_stride;
        const int32_t *block = rows.block + (size_t)g * rows.block_stride;
        CHECK_EQ(first[1] - first[0], 2);
        CHECK_EQ(first[2] - first[1], 1);
        CHECK_EQ(first[4] - first[2], 0);
        check_numbers("block", block + first[0], (int32_t[]){4 + 10 * g, 5 + 10 * g, 6 + 10 * g},
                      3);
    }
}

/* What a record reads has its place by the counts alone. */
TEST(places_do_not_depend_on_what_the_plan_says)
{
    static _Alignas(64) char other_device[8192];
    make_plan();
    const struct step_rows small = stage(&(struct row_counts){4, 4, 4}, device);
    plan->n_tokens = plan->n_sequences = plan->n_logits = 1; /* of the same arrays */
    plan->n_blocks = 2;
    const struct step_rows same = stage(&(struct row_counts){4, 4, 4}, other_device);
#define PLACE(rows, base, array) ((const char *)(rows).array - (base))
    CHECK_EQ(PLACE(small, device, slot), PLACE(same, other_device, slot));
    CHECK_EQ(PLACE(small, device, n_computed), PLACE(same, other_device, n_computed));
    CHECK_EQ(PLACE(small, device, first_block), PLACE(same, other_device, first_block));
    CHECK_EQ(PLACE(small, device, pick), PLACE(same, other_device, pick));
    CHECK_EQ(PLACE(small, device, block), PLACE(same, other_device, block));
}

TEST(on_the_host_rows_are_those_of_the_plan)
{
    struct step_rows rows;
    make_plan();
    CHECK(step_rows_host_bytes(&limits) <= sizeof device);
    step_rows_in_place(&rows, plan, &view, &limits, device);
    CHECK(rows.token == view.token && rows.block == view.block && rows.pick == NULL);
    CHECK_EQ(rows.n.n_tokens, 2);
    CHECK_EQ(rows.block_stride, 3);
    CHECK_EQ(rows.first_block_stride, 0);
    check_numbers("slot", rows.slot, (int32_t[]){21, 26, 61, 66}, 4);
}

TEST(the_largest_bucket_is_no_larger_than_the_memory_of_a_step)
{
    struct plan_limits some = limits;
    CHECK_EQ(buckets_most(&some), 8);
    some.max_tokens = 2048;
    some.max_sequences = 100;
    some.max_logits = 500; /* drafts */
    CHECK_EQ(buckets_most(&some), 256);
    some.max_logits = 100;
    CHECK_EQ(buckets_most(&some), 100);
    some.max_sequences = some.max_logits = 1000;
    CHECK_EQ(buckets_most(&some), 1000);
}
