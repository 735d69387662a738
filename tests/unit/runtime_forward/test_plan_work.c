/* What a plan may ask for beside logits: copies of blocks, hidden states, and blocks of windows
 * that are gone. */
#include "base/error.h"
#include "base/memory.h"
#include "kernels/dtype.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/runtime_forward/layout.h"

#include <stdio.h>
#include <string.h>

enum { N_IDS = 70, BLOCK = 16, N_BLOCKS = (N_IDS + BLOCK - 1) / BLOCK };

/* One group, two groups, four groups. */
static const char *const models[] = {"llama-16", "qwen2-window", "gemma3-pattern"};
enum { N_MODELS = sizeof models / sizeof *models };

static struct setup setup_of(const char *name)
{
    static char folder[512];
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", SOURCE_DIR, name);
    return (struct setup){.folder = folder,
                          .dtype = "bfloat16",
                          .tp_size = 1,
                          .n_threads = 2,
                          .kv_dtype = DTYPE_BF16,
                          .block_tokens = BLOCK};
}

static void open_runner(struct runner *runner, const struct setup *setup, int n_sequences)
{
    struct error err = {0};
    if (!runner_open(runner, setup, NULL, 0, N_IDS, n_sequences, N_IDS, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    memset(runner->forward->kv.memory, 0xff, runner->forward->kv.n_bytes); /* NaN */
}

static struct step_result step(struct runner *runner, const struct feed *feed)
{
    struct step_result result;
    struct error err = {0};
    if (!runner_step(runner, feed, 1, &result, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return result;
}

static void make_ids(int32_t *ids, int vocab)
{
    for (int i = 0; i < N_IDS; i++)
        ids[i] = (i * 37 + 11) % vocab;
}

static uint64_t hash_row(const struct step_result *result)
{
    return hash_bytes(result->logits, (size_t)result->vocab * sizeof *result->logits);
}

/* A sequence goes on over copies of the blocks of another one, in the middle of a block. */
static void check_copies(const char *name, int kv_dtype)
{
    struct setup setup = setup_of(name);
    setup.kv_dtype = kv_dtype;
    struct runner runner;
    open_runner(&runner, &setup, 2);
    int32_t ids[N_IDS];
    make_ids(ids, runner.limits.vocab);
    const int n_prompt = 50;
    step(&runner, &(struct feed){.ids = ids, .n_new = n_prompt, .n_logits = 1});
    for (int g = 0; g < runner.limits.n_kv_groups; g++)
        for (int b = 0; b * BLOCK < n_prompt; b++) {
            int32_t *const pair = runner.copy[runner.n_copies++];
            CHECK(runner.n_copies <= MAX_COPIES);
            pair[0] = runner_block(&runner, g, 0, b);
            pair[1] = runner_block(&runner, g, 1, b);
        }
    struct feed copy = {
        .sequence = 1, .ids = ids, .n_computed = n_prompt, .n_new = 20, .n_logits = 1};
    const struct step_result copied = step(&runner, &copy);
    const uint64_t of_copy = hash_row(&copied);
    copy.sequence = 0;
    const struct step_result original = step(&runner, &copy);
    CHECK(original.logits[0] - original.logits[0] == 0);
    CHECK(hash_row(&original) == of_copy);
    runner_close(&runner);
}

TEST(a_sequence_goes_on_over_copied_blocks)
{
    for (int i = 0; i < N_MODELS; i++) {
        check_copies(models[i], DTYPE_BF16);
        check_copies(models[i], DTYPE_F32);
        check_copies(models[i], DTYPE_I8);
    }
}

/* The hash of all hidden states, and of the logits if they are asked for too. */
static uint64_t hash_hidden(const struct setup *setup, const int32_t *ids, int chunk, float *hidden,
                            size_t hidden_bytes, float *logits)
{
    const struct sequence sequence = {
        .ids = ids, .n_ids = N_IDS, .chunk = chunk, .hidden = hidden, .logits = logits};
    struct model_config config;
    struct error err = {0};
    CHECK(model_config_read(&config, setup->folder, &err));
    memset(hidden, 0xff, hidden_bytes);
    run_layout(setup, &sequence, 1, config.vocab);
    return hash_bytes(hidden, hidden_bytes);
}

TEST(hidden_states_are_the_same_bits_over_ranks_threads_and_chunks)
{
    for (int i = 0; i < N_MODELS; i++) {
        struct setup setup = setup_of(models[i]);
        struct model_config config;
        struct error err = {0};
        CHECK(model_config_read(&config, setup.folder, &err));
        int32_t ids[N_IDS];
        make_ids(ids, config.vocab);
        const size_t n_bytes = (size_t)N_IDS * (size_t)config.hidden * sizeof(float);
        const size_t logits_bytes = (size_t)N_IDS * (size_t)config.vocab * sizeof(float);
        float *hidden = memory_alloc(n_bytes, 1), *logits = memory_alloc(logits_bytes, 1);
        const uint64_t want = hash_hidden(&setup, ids, N_IDS, hidden, n_bytes, NULL);
        for (size_t f = 0; f < n_bytes / sizeof *hidden; f++)
            CHECK(hidden[f] - hidden[f] == 0);
        for (setup.tp_size = 1; setup.tp_size <= 3; setup.tp_size++)
            for (int chunk = 1; chunk <= N_IDS; chunk = chunk * 8 + 1) {
                setup.n_threads = 1 + chunk % 2;
                CHECK(hash_hidden(&setup, ids, chunk, hidden, n_bytes, NULL) == want);
                CHECK(hash_hidden(&setup, ids, chunk, hidden, n_bytes, logits) == want);
            }
        memory_free(hidden);
        memory_free(logits);
    }
}

/* Only the last rows of a step, beside logits of the same rows. */
TEST(hidden_states_of_some_rows_have_the_bits_that_they_have_among_all)
{
    struct setup setup = setup_of("llama-16");
    struct runner runner;
    open_runner(&runner, &setup, 2);
    int32_t ids[N_IDS];
    make_ids(ids, runner.limits.vocab);
    struct feed feed = {.ids = ids, .n_new = N_IDS, .n_hidden = N_IDS};
    struct step_result all = step(&runner, &feed);
    CHECK_EQ(all.n_hidden, N_IDS);
    CHECK_EQ(all.n_logits, 0);
    const size_t width = (size_t)all.hidden_size;
    float *want = memory_alloc(width, sizeof *want);
    memcpy(want, all.hidden + (N_IDS - 1) * width, width * sizeof *want);
    feed = (struct feed){.sequence = 1, .ids = ids, .n_new = N_IDS, .n_hidden = 3, .n_logits = 5};
    struct step_result some = step(&runner, &feed);
    CHECK_EQ(some.n_hidden, 3);
    CHECK_EQ(some.n_logits, 5);
    CHECK(memcmp(some.hidden + 2 * width, want, width * sizeof *want) == 0);
    memory_free(want);
    runner_close(&runner);
}

/* The sequence of the runner says 0 for blocks that no row of the step sees, and here even what is
 * in the blocks of before is lost. */
static void check_forgotten(const char *name)
{
    struct setup setup = setup_of(name);
    struct runner kept, forgetful;
    open_runner(&kept, &setup, 1);
    open_runner(&forgetful, &setup, 1);
    int32_t ids[N_IDS];
    int n_forgotten = 0;
    make_ids(ids, kept.limits.vocab);
    for (int done = 0; done < N_IDS; done += 7) {
        const struct feed feed = {.ids = ids, .n_computed = done, .n_new = 7, .n_logits = 7};
        for (int g = 0; g < kept.limits.n_kv_groups; g++) {
            const int window = kept.limits.kv_window[g];
            for (int b = 0; window > 0 && (b + 1) * BLOCK <= done - window + 1; b++) {
                int32_t *const pair = forgetful.copy[forgetful.n_copies++];
                pair[0] = 0; /* all NaN */
                pair[1] = runner_block(&forgetful, g, 0, b);
                n_forgotten++;
            }
        }
        const struct step_result want = step(&kept, &feed), got = step(&forgetful, &feed);
        CHECK(got.logits[0] - got.logits[0] == 0);
        CHECK(memcmp(got.logits, want.logits, (size_t)(7 * want.vocab) * sizeof *want.logits) == 0);
    }
    CHECK(n_forgotten > 0);
    runner_close(&kept);
    runner_close(&forgetful);
}

TEST(blocks_that_a_window_has_left_behind_have_no_influence)
{
    check_forgotten("mistral-window");
    check_forgotten("qwen2-window");
    check_forgotten("gemma3-pattern");
}

/* As a draft model: all layers in one group, whatever they see. */
TEST(one_group_for_all_layers_gives_the_same_bits)
{
    for (int i = 0; i < N_MODELS; i++) {
        struct setup setup = setup_of(models[i]);
        struct runner several;
        open_runner(&several, &setup, 1);
        setup.single_group = true;
        struct runner one;
        open_runner(&one, &setup, 1);
        CHECK_EQ(one.limits.n_kv_groups, 1);
        int32_t ids[N_IDS];
        make_ids(ids, one.limits.vocab);
        for (int done = 0; done < N_IDS; done += 10) {
            const struct feed feed = {.ids = ids, .n_computed = done, .n_new = 10, .n_logits = 1};
            const struct step_result a = step(&several, &feed), b = step(&one, &feed);
            CHECK(hash_row(&a) == hash_row(&b));
        }
        runner_close(&several);
        runner_close(&one);
    }
}
