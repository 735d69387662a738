/* Tokens that stand in a plan as references to rows of the plan before. */
#include "base/error.h"
#include "runtime/step_plan.h"
#include "tests/test.h"

#include <string.h>

enum { N_ROWS = 3 };

/* Three sequences that decode, a row of logits each. */
static const struct plan_limits limits = {.max_tokens = N_ROWS,
                                          .max_sequences = N_ROWS,
                                          .max_logits = N_ROWS,
                                          .block_tokens = 4,
                                          .n_kv_blocks = N_ROWS,
                                          .n_kv_groups = 1,
                                          .max_model_len = 16,
                                          .vocab = 100};

static _Alignas(8) char memory[2048];
static struct step_plan *const plan = (struct step_plan *)memory;

static int32_t *add(enum plan_tag tag, const int32_t *values, size_t n)
{
    return memcpy(plan_add(plan, tag, n * sizeof *values), values, n * sizeof *values);
}

static void make_plan(const int32_t *token)
{
    static const int32_t ends[] = {0, 1, 2, 3}, computed[] = {2, 2, 2}, number[] = {0, 1, 2};
    CHECK(plan_max_bytes(&limits) <= sizeof memory);
    plan_begin(plan, 2);
    add(PLAN_TOKEN, token, N_ROWS);
    add(PLAN_FIRST_ROW, ends, N_ROWS + 1);
    add(PLAN_N_COMPUTED, computed, N_ROWS);
    add(PLAN_FIRST_BLOCK, ends, N_ROWS + 1);
    add(PLAN_BLOCK, number, N_ROWS);
    add(PLAN_LOGITS_ROW, number, N_ROWS);
    plan->n_tokens = plan->n_sequences = plan->n_blocks = plan->n_logits = N_ROWS;
}

static void add_picks(const enum plan_pick_kind *kind)
{
    struct plan_pick *pick = plan_add(plan, PLAN_PICK, N_ROWS * sizeof *pick);
    for (int i = 0; i < N_ROWS; i++)
        pick[i] = (struct plan_pick){.kind = (int32_t)kind[i], .n_best = 2, .top_p = 1};
}

static bool is_good(int n_carried, struct step_view *view)
{
    struct error err = {0};
    const bool good = plan_check(plan, plan->n_bytes, &limits, n_carried, view, &err);
    CHECK(good || (err.kind == ERROR_PEER && strstr(err.text, "a token") != NULL));
    return good;
}

TEST(a_token_may_be_a_row_that_the_plan_before_has)
{
    static const int32_t tokens[] = {-2, 99, -1};
    struct step_view view;
    make_plan(tokens);
    CHECK(is_good(2, &view) && is_good(3, &view));
    CHECK(!is_good(1, &view) && !is_good(0, &view));
}

TEST(plans_of_the_draft_model_refer_to_nothing)
{
    static const int32_t tokens[] = {-1, 98, 97};
    struct step_view view;
    make_plan(tokens);
    CHECK(is_good(3, &view));
    plan->model = PLAN_DRAFT;
    CHECK(!is_good(3, &view));
}

TEST(rows_up_to_the_last_one_that_is_sampled_by_the_plan_can_be_referred_to)
{
    static const int32_t tokens[] = {1, 2, 3};
    static const enum plan_pick_kind kinds[][N_ROWS] = {{PICK_SAMPLE, PICK_ROW, PICK_SAMPLE},
                                                        {PICK_PROMPT, PICK_SAMPLE, PICK_ROW},
                                                        {PICK_ROW, PICK_BEAM, PICK_PROMPT}};
    static const int want[] = {3, 2, 0};
    struct step_view view;
    make_plan(tokens);
    CHECK(is_good(0, &view));
    CHECK_EQ(plan_n_carried(plan, &view), 0); /* rows are wanted whole, all of them */
    for (int i = 0; i < 3; i++) {
        make_plan(tokens);
        add_picks(kinds[i]);
        CHECK(is_good(0, &view));
        CHECK_EQ(plan_n_carried(plan, &view), want[i]);
    }
}

TEST(references_become_what_the_rows_gave)
{
    static const int32_t tokens[] = {-3, 5, -2}, carried[] = {11, -1, 13};
    struct step_view view;
    make_plan(tokens);
    CHECK(is_good(3, &view) && plan_has_references(plan, &view));
    plan_resolve(plan, &view, carried);
    CHECK_EQ(view.token[0], 13);
    CHECK_EQ(view.token[1], 5);
    CHECK_EQ(view.token[2], 0); /* none was given: any id will do */
    CHECK(is_good(0, &view) && !plan_has_references(plan, &view));
}
