/* A record gives back the plans that went in, and a file with one wrong byte is refused. */
#include "runtime/plan_record.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "tests/files.h"
#include "tests/test.h"

#include <stdint.h>
#include <string.h>

enum { N_PLANS = 3, MAX_BYTES = 1 << 16 };

static const struct plan_record_setup setup = {.limits = {{.max_tokens = 8,
                                                           .max_sequences = 2,
                                                           .max_logits = 2,
                                                           .block_tokens = 16,
                                                           .n_kv_blocks = 4,
                                                           .n_kv_groups = 1,
                                                           .max_model_len = 32,
                                                           .vocab = 10}}};

static void add_numbers(struct step_plan *plan, enum plan_tag tag, const int32_t *number, size_t n)
{
    memcpy(plan_add(plan, tag, n * sizeof *number), number, n * sizeof *number);
}

/* One token of one sequence, at position step - 1. */
static void make_plan(struct step_plan *plan, int32_t step, int model)
{
    const int32_t token = step + 3, ends[] = {0, 1}, n_computed = step - 1, block = 2, row = 0;
    plan_begin(plan, (uint64_t)step);
    plan->model = model;
    plan->n_tokens = plan->n_sequences = plan->n_blocks = plan->n_logits = 1;
    add_numbers(plan, PLAN_TOKEN, &token, 1);
    add_numbers(plan, PLAN_FIRST_ROW, ends, 2);
    add_numbers(plan, PLAN_N_COMPUTED, &n_computed, 1);
    add_numbers(plan, PLAN_FIRST_BLOCK, ends, 2);
    add_numbers(plan, PLAN_BLOCK, &block, 1);
    add_numbers(plan, PLAN_LOGITS_ROW, &row, 1);
}

/* N_PLANS plans and a stop, as a file; its bytes. */
static size_t record(const struct file_path *path, char *bytes)
{
    struct plan_recorder *recorder;
    struct error err = {0};
    uint64_t memory[256];
    struct step_plan *plan = (struct step_plan *)memory;
    if (!plan_recorder_open(&recorder, path->text, &setup, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    for (int i = 1; i <= N_PLANS; i++) {
        make_plan(plan, i, PLAN_TARGET);
        CHECK(plan_recorder_add(recorder, plan, &err));
    }
    plan_begin(plan, N_PLANS + 1);
    plan_add(plan, PLAN_STOP, 0);
    CHECK(plan_recorder_add(recorder, plan, &err) && plan_recorder_close(recorder, &err));
    char *data;
    size_t n_bytes;
    CHECK(file_read(&data, &n_bytes, path->text, MAX_BYTES, &err));
    memcpy(bytes, data, n_bytes);
    memory_free(data);
    return n_bytes;
}

static bool opens(const struct file_path *path, struct error *err)
{
    struct plan_record opened;
    *err = (struct error){0};
    if (!plan_record_open(&opened, path->text, err))
        return false;
    plan_record_close(&opened);
    return true;
}

TEST(a_record_gives_back_its_setup_and_plans)
{
    struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "plans");
    char bytes[MAX_BYTES];
    uint64_t memory[256];
    struct step_plan *want = (struct step_plan *)memory;
    struct plan_record got;
    struct error err = {0};
    record(&path, bytes);
    CHECK(plan_record_open(&got, path.text, &err));
    CHECK(memcmp(&got.setup, &setup, sizeof setup) == 0);
    CHECK_EQ(got.n_plans, N_PLANS + 1);
    for (int i = 1; i <= N_PLANS; i++) {
        const struct step_plan *plan = plan_record_next(&got);
        make_plan(want, i, PLAN_TARGET);
        CHECK_EQ(plan->n_bytes, want->n_bytes);
        CHECK(memcmp(plan, want, want->n_bytes) == 0);
        CHECK(plan->n_bytes <= got.max_bytes);
    }
    CHECK_EQ(plan_record_next(&got)->section[0].tag, PLAN_STOP);
    CHECK(plan_record_next(&got) == NULL);
    plan_record_close(&got);
    folder_remove(&folder);
}

TEST(any_wrong_byte_of_a_record_is_noticed)
{
    struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "plans");
    static char bytes[MAX_BYTES];
    struct error err;
    const size_t n = record(&path, bytes);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(bytes[i] ^ (1 << i % 8));
        folder_write(&folder, "plans", bytes, n);
        if (opens(&path, &err))
            test_fail(__FILE__, __LINE__, "byte %zu of %zu", i, n);
        CHECK_EQ(err.kind, ERROR_INPUT);
        CHECK(strstr(err.text, path.text) != NULL);
        bytes[i] = (char)(bytes[i] ^ (1 << i % 8));
    }
    folder_remove(&folder);
}

TEST(a_record_may_end_after_any_plan_and_nowhere_else)
{
    struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "plans");
    static char bytes[MAX_BYTES];
    struct error err;
    const size_t n = record(&path, bytes);
    int n_good = 0;
    for (size_t i = 0; i <= n; i++) {
        folder_write(&folder, "plans", bytes, i);
        n_good += opens(&path, &err);
    }
    CHECK_EQ(n_good, N_PLANS + 1);
    folder_remove(&folder);
}

static void check_second_plan_refused(const struct step_plan *second, const char *part)
{
    struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "plans");
    struct plan_recorder *recorder;
    struct error err = {0};
    uint64_t memory[256];
    struct step_plan *first = (struct step_plan *)memory;
    make_plan(first, 1, PLAN_TARGET);
    CHECK(plan_recorder_open(&recorder, path.text, &setup, &err));
    CHECK(plan_recorder_add(recorder, first, &err) && plan_recorder_add(recorder, second, &err));
    CHECK(plan_recorder_close(recorder, &err));
    CHECK(!opens(&path, &err));
    if (strstr(err.text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not say %s", err.text, part);
    folder_remove(&folder);
}

TEST(plans_that_a_job_would_not_send_are_refused_with_their_place)
{
    uint64_t memory[256];
    struct step_plan *plan = (struct step_plan *)memory;
    make_plan(plan, 3, PLAN_TARGET);
    check_second_plan_refused(plan, "plan 2, at byte ");
    check_second_plan_refused(plan, "step 3 comes after step 1");
    make_plan(plan, 2, PLAN_DRAFT);
    check_second_plan_refused(plan, "a plan for a draft model");
    make_plan(plan, 2, PLAN_TARGET);
    ((int32_t *)((char *)plan + plan->section[0].offset))[0] = 10;
    check_second_plan_refused(plan, "a token is 10");
    ((int32_t *)((char *)plan + plan->section[0].offset))[0] = -1;
    check_second_plan_refused(plan, "a token is -1"); /* the first one picks nothing */
}

TEST(a_record_fits_only_the_models_that_it_is_of)
{
    struct folder folder = folder_make();
    const struct file_path path = folder_path(&folder, "plans");
    char bytes[MAX_BYTES];
    struct plan_record got;
    struct error err = {0};
    record(&path, bytes);
    CHECK(plan_record_open(&got, path.text, &err));
    struct plan_limits model = setup.limits[PLAN_TARGET];
    model.max_tokens = model.n_kv_blocks = 1; /* of the options, which do not count */
    CHECK(plan_record_fits(&got, PLAN_TARGET, &model, &err));
    CHECK(plan_record_fits(&got, PLAN_DRAFT, NULL, &err));
    CHECK(!plan_record_fits(&got, PLAN_DRAFT, &model, &err));
    err = (struct error){0};
    model.vocab++;
    CHECK(!plan_record_fits(&got, PLAN_TARGET, &model, &err));
    CHECK(strstr(err.text, "vocabulary: the record has 10, the model 11") != NULL);
    plan_record_close(&got);
    folder_remove(&folder);
}
