#include "base/error.h"
#include "base/memory.h"
#include "runtime/step_plan.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

/* Two sequences: 5 tokens computed and 3 new ones; a first chunk of 4. Blocks of 4 positions. */
static const struct plan_limits limits = {.max_tokens = 8,
                                          .max_sequences = 3,
                                          .max_logits = 3,
                                          .block_tokens = 4,
                                          .n_kv_blocks = 10,
                                          .n_kv_groups = 1,
                                          .max_copies = 2,
                                          .max_model_len = 16,
                                          .vocab = 100};

static const int32_t tokens[] = {7, 0, 99, 1, 2, 3, 4};
static const int32_t first_row[] = {0, 3, 7};
static const int32_t n_computed[] = {5, 0};
static const int32_t first_block[] = {0, 2, 3};
static const int32_t blocks[] = {9, 0, 4};
static const int32_t logits_row[] = {2};

static _Alignas(8) char memory[4096];
static struct step_plan *const plan = (struct step_plan *)memory;
static struct step_view view;

static int32_t *add(enum plan_tag tag, const int32_t *values, size_t n)
{
    return memcpy(plan_add(plan, tag, n * sizeof *values), values, n * sizeof *values);
}

static void make_plan(void)
{
    plan_begin(plan, 41);
    add(PLAN_TOKEN, tokens, 7);
    add(PLAN_FIRST_ROW, first_row, 3);
    add(PLAN_N_COMPUTED, n_computed, 2);
    add(PLAN_FIRST_BLOCK, first_block, 3);
    add(PLAN_BLOCK, blocks, 3);
    add(PLAN_LOGITS_ROW, logits_row, 1);
    plan->n_tokens = 7;
    plan->n_sequences = 2;
    plan->n_blocks = 3;
    plan->n_logits = 1;
}

static bool good(struct error *err)
{
    *err = (struct error){0};
    return plan_check(plan, plan->n_bytes, &limits, 0, &view, err);
}

static int32_t *values_of(enum plan_tag tag)
{
    for (uint32_t i = 0; i < plan->n_sections; i++)
        if (plan->section[i].tag == tag)
            return (int32_t *)(memory + plan->section[i].offset);
    return NULL;
}

static void check_refused(const char *part)
{
    struct error err;
    CHECK(!good(&err));
    CHECK_EQ(err.kind, ERROR_PEER);
    if (strstr(err.text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not name %s", err.text, part);
}

TEST(a_plan_is_read_as_it_was_written)
{
    struct error err;
    make_plan();
    CHECK(plan->n_bytes <= plan_max_bytes(&limits));
    CHECK(good(&err));
    CHECK_EQ(plan->step, 41);
    CHECK(!view.stop);
    CHECK(memcmp(view.token, tokens, sizeof tokens) == 0);
    CHECK(memcmp(view.first_row, first_row, sizeof first_row) == 0);
    CHECK(memcmp(view.n_computed, n_computed, sizeof n_computed) == 0);
    CHECK(memcmp(view.first_block, first_block, sizeof first_block) == 0);
    CHECK(memcmp(view.block, blocks, sizeof blocks) == 0);
    CHECK(memcmp(view.logits_row, logits_row, sizeof logits_row) == 0);
}

TEST(rows_know_their_position_and_slot)
{
    struct error err;
    int32_t position[7], slot[7];
    make_plan();
    CHECK(good(&err));
    step_view_rows(plan, &view, &limits, plan->n_tokens, position, slot);
    static const int32_t want_position[] = {5, 6, 7, 0, 1, 2, 3};
    static const int32_t want_slot[] = {1, 2, 3, 16, 17, 18, 19};
    for (int t = 0; t < 7; t++) {
        CHECK_EQ(position[t], want_position[t]);
        CHECK_EQ(slot[t], want_slot[t]);
    }
}

TEST(the_largest_plan_fits_its_bound_exactly)
{
    const struct plan_limits odd = {.max_tokens = 5,
                                    .max_sequences = 2,
                                    .max_logits = 1,
                                    .block_tokens = 16,
                                    .n_kv_blocks = 3,
                                    .n_kv_groups = 2,
                                    .max_copies = 3,
                                    .max_model_len = 33,
                                    .vocab = 10};
    plan_begin(plan, 1);
    plan_add(plan, PLAN_TOKEN, 5 * sizeof(int32_t));
    plan_add(plan, PLAN_FIRST_ROW, 3 * sizeof(int32_t));
    plan_add(plan, PLAN_N_COMPUTED, 2 * sizeof(int32_t));
    plan_add(plan, PLAN_FIRST_BLOCK, 3 * sizeof(int32_t));
    plan_add(plan, PLAN_BLOCK, 2 * 6 * sizeof(int32_t));
    plan_add(plan, PLAN_LOGITS_ROW, 1 * sizeof(int32_t));
    plan_add(plan, PLAN_HIDDEN_ROW, 5 * sizeof(int32_t));
    plan_add(plan, PLAN_COPY, 3 * 2 * sizeof(int32_t));
    plan_add(plan, PLAN_PICK, 1 * sizeof(struct plan_pick));
    CHECK_EQ(plan->n_bytes, plan_max_bytes(&odd));
}

TEST(a_plan_without_logits_needs_no_section_for_them)
{
    struct error err;
    make_plan();
    plan->n_sections--;
    plan->n_bytes = plan->section[5].offset;
    plan->n_logits = 0;
    CHECK(good(&err));
    CHECK(view.logits_row == NULL);
}

TEST(a_stop_comes_alone_and_empty)
{
    struct error err;
    plan_begin(plan, 2);
    plan_add(plan, PLAN_STOP, 0);
    CHECK(good(&err));
    CHECK(view.stop);
    plan_add(plan, PLAN_TOKEN, 4);
    check_refused("stop");
    plan_begin(plan, 2);
    plan_add(plan, PLAN_STOP, 8);
    check_refused("stop");
}

TEST(a_rest_comes_alone_and_is_one_of_the_three)
{
    struct error err;
    for (int32_t rest = -1; rest <= PLAN_RESTS; rest++) {
        plan_begin(plan, 2);
        *(int32_t *)plan_add(plan, PLAN_REST, 4) = rest;
        if (rest >= 0 && rest < PLAN_RESTS) {
            CHECK(good(&err));
            CHECK_EQ(*view.rest, rest);
            CHECK(!view_has_rows(&view));
        } else {
            check_refused("rest");
        }
    }
    plan_begin(plan, 2);
    plan_add(plan, PLAN_REST, 4);
    plan->n_tokens = 1;
    check_refused("rest");
    plan->n_tokens = 0;
    plan_add(plan, PLAN_TOKEN, 4);
    check_refused("rest");
    plan_begin(plan, 2);
    plan_add(plan, PLAN_REST, 8);
    check_refused("rest");
}

TEST(a_wrong_header_is_refused)
{
    struct error err = {0};
    make_plan();
    CHECK(!plan_check(plan, sizeof *plan - 1, &limits, 0, &view, &err));
    err = (struct error){0};
    CHECK(!plan_check(plan, plan->n_bytes - 8, &limits, 0, &view, &err));
    plan->magic++;
    check_refused("version");
    make_plan();
    plan->n_sections = PLAN_MAX_SECTIONS + 1;
    check_refused("sections");
}

TEST(an_unknown_or_second_section_is_refused)
{
    make_plan();
    plan->section[3].tag = PLAN_TAGS;
    check_refused("does not know");
    plan->section[3].tag = 0;
    check_refused("does not know");
    plan->section[3].tag = PLAN_TOKEN;
    check_refused("two sections token");
}

TEST(a_section_outside_the_plan_is_refused)
{
    make_plan();
    plan->section[2].offset += 8;
    check_refused("n_computed");
    make_plan();
    plan->section[5].n_bytes = UINT32_MAX - 3;
    check_refused("logits_row");
    make_plan();
    plan->section[0].n_bytes -= 8;
    check_refused("first_row");
    make_plan();
    plan->n_sections--;
    check_refused("after the last section");
}

TEST(a_missing_or_short_section_is_refused)
{
    make_plan();
    plan->n_sections--;
    plan->n_bytes = plan->section[5].offset;
    check_refused("no section logits_row");
    make_plan();
    plan->section[1].n_bytes += 4;
    check_refused("section first_row has 16 bytes");
}

TEST(hidden_rows_and_copies_are_read_and_checked)
{
    static const int32_t hidden[] = {0, 6}, pairs[] = {1, 2, 1, 3};
    struct error err;
    make_plan();
    int32_t *row = add(PLAN_HIDDEN_ROW, hidden, 2), *pair = add(PLAN_COPY, pairs, 4);
    plan->n_hidden = plan->n_copies = 2;
    CHECK(good(&err));
    CHECK(memcmp(view.hidden_row, hidden, sizeof hidden) == 0);
    CHECK(memcmp(view.copy, pairs, sizeof pairs) == 0);
    row[1] = 7;
    check_refused("row of hidden states");
    row[1] = 0;
    check_refused("hidden states do not ascend");
    row[1] = 6;
    pair[3] = 2; /* written twice */
    check_refused("block 2 is copied onto twice");
    pair[3] = 1; /* read and written */
    check_refused("block 1 is copied onto twice");
    pair[3] = 10;
    check_refused("a copied block");
    plan->n_copies = 3;
    check_refused("n_copies");
}

TEST(every_kv_group_has_its_own_blocks)
{
    struct plan_limits two = limits;
    struct error err = {0};
    two.n_kv_groups = 2;
    make_plan();
    CHECK(!plan_check(plan, plan->n_bytes, &two, 0, &view, &err)); /* blocks of one group only */
    plan->n_sections -= 2;
    plan->n_bytes = plan->section[4].offset;
    int32_t both[] = {9, 0, 4, 8, 1, 5}, position[7], slot[2 * 7];
    add(PLAN_BLOCK, both, 6);
    add(PLAN_LOGITS_ROW, logits_row, 1);
    err = (struct error){0};
    CHECK(plan_check(plan, plan->n_bytes, &two, 0, &view, &err));
    step_view_rows(plan, &view, &two, plan->n_tokens, position, slot);
    CHECK_EQ(slot[0], 0 * 4 + 1);
    CHECK_EQ(slot[7 + 0], 1 * 4 + 1);
    CHECK_EQ(slot[7 + 6], 5 * 4 + 3);
}

static const struct plan_pick sample = {.kind = PICK_SAMPLE,
                                        .position = 8,
                                        .n_best = 5,
                                        .top_k = 20,
                                        .seed = 12345678901234u,
                                        .temperature = 0.7f,
                                        .top_p = 0.9f,
                                        .min_p = 0.1f};

/* make_plan() with what is wanted of its row. */
static struct plan_pick *make_picking_plan(void)
{
    make_plan();
    struct plan_pick *pick = plan_add(plan, PLAN_PICK, sizeof sample);
    *pick = sample;
    return pick;
}

TEST(what_is_wanted_of_a_row_is_read_as_it_was_written)
{
    struct error err;
    make_picking_plan();
    CHECK(good(&err));
    CHECK(memcmp(view.pick, &sample, sizeof sample) == 0);
    make_plan();
    CHECK(good(&err));
    CHECK(view.pick == NULL);
}

TEST(a_pick_for_another_number_of_rows_is_refused)
{
    make_picking_plan();
    plan_add(plan, PLAN_TOKEN, 0);
    plan->n_sections--;
    plan->section[6].n_bytes += 40;
    plan->n_bytes += 40;
    check_refused("section pick has 80 bytes");
}

TEST(a_pick_outside_the_ranges_of_its_parameters_is_refused)
{
    static const struct {
        struct plan_pick pick;
        const char *named;
    } wrong[] = {
        {{.kind = -1}, "kind is -1"},
        {{.kind = PICK_KINDS}, "kind is 4"},
        {{.kind = PICK_ROW, .position = -1}, "position"},
        {{.kind = PICK_ROW, .position = 16}, "position"},
        {{.kind = PICK_PROMPT, .token = -1}, "token"},
        {{.kind = PICK_PROMPT, .token = 100}, "token"},
        {{.kind = PICK_PROMPT, .n_best = -1}, "n_best"},
        {{.kind = PICK_BEAM, .n_best = 0}, "n_best"},
        {{.kind = PICK_BEAM, .n_best = 1}, "n_best"},
        {{.kind = PICK_BEAM, .n_best = 7}, "n_best"},
        {{.kind = PICK_BEAM, .n_best = 33}, "n_best"},
        {{.kind = PICK_SAMPLE, .top_p = 1, .n_best = -2}, "n_best"},
        {{.kind = PICK_SAMPLE, .top_p = 1, .n_best = 33}, "n_best"},
        {{.kind = PICK_SAMPLE, .top_p = 1, .top_k = -2}, "top_k"},
        {{.kind = PICK_SAMPLE, .top_p = 0}, "top_p 0"},
        {{.kind = PICK_SAMPLE, .top_p = 1.5f}, "top_p 1.5"},
        {{.kind = PICK_SAMPLE, .top_p = 1, .min_p = 1.5f}, "min_p 1.5"},
        {{.kind = PICK_SAMPLE, .top_p = 1, .min_p = NAN}, "min_p"},
        {{.kind = PICK_SAMPLE, .top_p = 1, .temperature = -1}, "temperature -1"},
        {{.kind = PICK_SAMPLE, .top_p = 1, .temperature = INFINITY}, "temperature inf"},
        {{.kind = PICK_SAMPLE, .top_p = 1, .temperature = NAN}, "temperature"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        *make_picking_plan() = wrong[i].pick;
        check_refused(wrong[i].named);
        check_refused("pick 0");
    }
}

struct change {
    enum plan_tag tag;
    int at;
    int32_t value;
    const char *named;
};

TEST(a_value_outside_the_limits_is_refused)
{
    static const struct change changes[] = {
        {PLAN_TOKEN, 6, 100, "a token"},
        {PLAN_TOKEN, 0, -1, "a token"},
        {PLAN_FIRST_ROW, 0, 1, "first_row"},
        {PLAN_FIRST_ROW, 2, 6, "first_row"},
        {PLAN_FIRST_ROW, 1, 0, "new tokens"},
        {PLAN_FIRST_ROW, 1, 6, "blocks of a sequence"},
        {PLAN_FIRST_ROW, 1, 9, "new tokens"},
        {PLAN_FIRST_ROW, 1, INT32_MIN, "new tokens"},
        {PLAN_FIRST_ROW, 1, INT32_MAX, "new tokens"},
        {PLAN_N_COMPUTED, 0, -1, "n_computed"},
        {PLAN_N_COMPUTED, 1, 13, "n_computed"},
        {PLAN_N_COMPUTED, 1, INT32_MAX, "n_computed"},
        {PLAN_N_COMPUTED, 1, 1, "blocks of a sequence"},
        {PLAN_FIRST_BLOCK, 1, 1, "blocks of a sequence"},
        {PLAN_FIRST_BLOCK, 1, 3, "blocks of a sequence"},
        {PLAN_FIRST_BLOCK, 1, -9, "blocks of a sequence"},
        {PLAN_FIRST_BLOCK, 2, 4, "first_block"},
        {PLAN_BLOCK, 1, 10, "a block"},
        {PLAN_BLOCK, 2, -1, "a block"},
        {PLAN_LOGITS_ROW, 0, 7, "row of logits"},
        {PLAN_LOGITS_ROW, 0, -1, "row of logits"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        make_plan();
        values_of(changes[i].tag)[changes[i].at] = changes[i].value;
        check_refused(changes[i].named);
    }
}

TEST(a_count_outside_the_limits_is_refused)
{
    make_plan();
    plan->n_tokens = 9;
    check_refused("n_tokens");
    plan->n_tokens = 0;
    check_refused("n_tokens");
    make_plan();
    plan->n_sequences = 4;
    check_refused("n_sequences");
    plan->n_sequences = INT32_MIN;
    check_refused("n_sequences");
    make_plan();
    plan->n_blocks = 9;
    check_refused("n_blocks");
    make_plan();
    plan->n_logits = 4;
    check_refused("n_logits");
}

TEST(rows_of_logits_must_ascend)
{
    static const int32_t twice[] = {2, 2};
    make_plan();
    plan->n_sections--;
    plan->n_bytes = plan->section[5].offset;
    add(PLAN_LOGITS_ROW, twice, 2);
    plan->n_logits = 2;
    check_refused("ascend");
}

static void check_harmless(const struct plan_pick *pick)
{
    CHECK(pick->kind >= 0 && pick->kind < PICK_KINDS);
    CHECK(pick->token >= 0 && pick->token < limits.vocab);
    CHECK(pick->position >= 0 && pick->position < limits.max_model_len);
    CHECK(pick->kind == PICK_ROW || pick->n_best <= PLAN_MAX_BEST);
    CHECK(pick->kind != PICK_SAMPLE || isfinite(pick->temperature + pick->top_p + pick->min_p));
}

/* Every accepted plan is one that step_view_rows() can walk, and whose picks a sampler can do: run
 * under ASan. */
TEST(damaged_plans_are_refused_or_harmless)
{
    uint64_t state = 1;
    int n_accepted = 0;
    for (int round = 0; round < 200000; round++) {
        make_picking_plan();
        const size_t n_bytes = plan->n_bytes;
        char *copy = memory_alloc(1, n_bytes); /* exactly as long as received */
        memcpy(copy, memory, n_bytes);
        for (int k = 0; k <= round % 3; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            static const unsigned char extreme[] = {0, 1, 2, 3, 0x7f, 0x80, 0xff, 8};
            copy[(state >> 33) % n_bytes] = (char)extreme[(state >> 20) % sizeof extreme];
        }
        struct error err = {0};
        struct step_plan *damaged = (struct step_plan *)copy;
        if (plan_check(damaged, n_bytes, &limits, 2, &view, &err) && view_has_rows(&view)) {
            static const int32_t carried[] = {-1, 99};
            int32_t position[8], slot[8];
            plan_resolve(damaged, &view, carried);
            step_view_rows(damaged, &view, &limits, damaged->n_tokens, position, slot);
            for (int t = 0; t < damaged->n_tokens; t++) {
                CHECK(view.token[t] >= 0 && view.token[t] < limits.vocab);
                CHECK(position[t] >= 0 && position[t] < limits.max_model_len);
                CHECK(slot[t] >= 0 && slot[t] < limits.n_kv_blocks * limits.block_tokens);
            }
            for (int i = 0; view.pick != NULL && i < damaged->n_logits; i++)
                check_harmless(&view.pick[i]);
            n_accepted++;
        }
        memory_free(copy);
    }
    CHECK(n_accepted > 1000 && n_accepted < 190000);
}
