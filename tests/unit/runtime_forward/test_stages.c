/* The layers cut into stages, each with ranks of its own: the bits are those of one rank, whatever
 * a stage has of a model and of its KV groups. */
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "kernels/dtype.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"
#include "tests/unit/runtime_forward/layout.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { N_IDS = 70, BLOCK = 16, MAX_STAGES = 3 };

struct subject {
    char folder[512];
    struct model_config config;
    int n_ids; /* N_IDS, or all positions of the model */
    int32_t ids[N_IDS];
    size_t logits_bytes, hidden_bytes;
    float *logits; /* [n_ids, vocab]; NULL: the model has none */
    float *hidden; /* [n_ids, hidden] */
};

static struct subject subject_open(const char *name)
{
    struct subject subject = {0};
    struct error err = {0};
    snprintf(subject.folder, sizeof subject.folder, "%s/tests/golden/%s", SOURCE_DIR, name);
    if (!model_config_read(&subject.config, subject.folder, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    const struct model_config *config = &subject.config;
    subject.n_ids = config->max_positions < N_IDS ? config->max_positions : N_IDS;
    for (int i = 0; i < N_IDS; i++)
        subject.ids[i] = (i * 37 + 11) % config->vocab;
    subject.logits_bytes = (size_t)subject.n_ids * (size_t)config->vocab * sizeof(float);
    subject.hidden_bytes = (size_t)subject.n_ids * (size_t)config->hidden * sizeof(float);
    subject.logits = config->generates ? memory_alloc(subject.logits_bytes, 1) : NULL;
    subject.hidden = memory_alloc(subject.hidden_bytes, 1);
    return subject;
}

static void subject_close(struct subject *subject)
{
    memory_free(subject->logits);
    memory_free(subject->hidden);
}

static struct setup setup_of(const struct subject *subject, int tp_size, int pp_stages)
{
    return (struct setup){.folder = subject->folder,
                          .dtype = "bfloat16",
                          .tp_size = tp_size,
                          .pp_stages = pp_stages,
                          .n_threads = 1,
                          .kv_dtype = DTYPE_BF16,
                          .block_tokens = BLOCK};
}

/* The hash of all logits and hidden states in one layout. */
static uint64_t run(struct subject *subject, const struct setup *setup, int chunk)
{
    const struct sequence sequence = {.ids = subject->ids,
                                      .n_ids = subject->n_ids,
                                      .chunk = chunk,
                                      .logits = subject->logits,
                                      .hidden = subject->hidden};
    uint64_t hash = 0;
    memset(subject->hidden, 0xff, subject->hidden_bytes); /* NaN: nothing is left from before */
    if (subject->logits != NULL)
        memset(subject->logits, 0xff, subject->logits_bytes);
    run_layout(setup, &sequence, 1, subject->config.vocab);
    for (int i = 0; i < subject->n_ids * subject->config.hidden; i++)
        CHECK(subject->hidden[i] - subject->hidden[i] == 0);
    if (subject->logits != NULL)
        hash = hash_bytes(subject->logits, subject->logits_bytes);
    return hash ^ hash_bytes(subject->hidden, subject->hidden_bytes);
}

/* Chunks alternate. The number of layouts that were run. */
static int check_layouts(const char *name)
{
    static const int chunks[] = {33, 1, N_IDS};
    struct subject subject = subject_open(name);
    const struct setup alone = setup_of(&subject, 1, 1);
    const uint64_t want = run(&subject, &alone, N_IDS);
    int n_layouts = 0;
    for (int tp = 1; tp <= 2 && tp <= model_max_tp(&subject.config); tp++)
        for (int pp = 1; pp <= MAX_STAGES && pp <= subject.config.n_layers; pp++) {
            const struct setup setup = setup_of(&subject, tp, pp);
            const int chunk = chunks[n_layouts++ % 3];
            if (run(&subject, &setup, chunk) != want)
                test_fail(__FILE__, __LINE__,
                          "%s, tp %d, pp %d, chunks of %d: other bits than one rank", name, tp, pp,
                          chunk);
        }
    subject_close(&subject);
    return n_layouts;
}

TEST(every_model_has_one_hash_over_stages_and_ranks)
{
    DIR *folder = opendir(SOURCE_DIR "/tests/golden");
    CHECK(folder != NULL);
    int n_models = 0, n_layouts = 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char config[512];
        snprintf(config, sizeof config, "%s/tests/golden/%.200s/config.json", SOURCE_DIR,
                 entry->d_name);
        if (!file_exists(config))
            continue;
        n_models++;
        n_layouts += check_layouts(entry->d_name);
    }
    closedir(folder);
    CHECK(n_models >= 25);
    printf("  %d models, %d layouts\n", n_models, n_layouts);
}

TEST(a_layer_in_each_of_four_stages_has_the_bits_of_one_rank)
{
    struct subject subject = subject_open("gemma3-pattern");
    CHECK_EQ(subject.config.n_layers, 4);
    const struct setup alone = setup_of(&subject, 1, 1), cut = setup_of(&subject, 2, 4);
    const uint64_t want = run(&subject, &alone, N_IDS);
    CHECK(run(&subject, &cut, 9) == want);
    subject_close(&subject);
}

TEST(stages_over_an_int8_cache_have_the_bits_of_one_rank)
{
    struct subject subject = subject_open("qwen2-window");
    struct setup alone = setup_of(&subject, 1, 1), cut = setup_of(&subject, 2, 3);
    alone.kv_dtype = cut.kv_dtype = DTYPE_I8;
    const uint64_t want = run(&subject, &alone, N_IDS);
    CHECK(run(&subject, &cut, 7) == want);
    subject_close(&subject);
}

/* ---- plans that want little ---- */

struct branch {
    const struct setup *setup;
    void *memory;
    const int32_t *ids;
    uint64_t hash; /* of the row of the rank that has it */
};

/* Most of a prompt, of which nothing is wanted; then another sequence goes on over copies of its
 * blocks. */
static bool run_branch(void *context, int rank, struct error *err)
{
    enum { N_PROMPT = 50 };
    struct branch *branch = context;
    struct runner runner;
    struct step_result result;
    if (!runner_open(&runner, branch->setup, branch->memory, rank, N_IDS, 2, N_IDS, err))
        return false;
    const struct feed prompt = {.ids = branch->ids, .n_new = N_PROMPT};
    const struct feed rest = {.sequence = 1,
                              .ids = branch->ids,
                              .n_computed = N_PROMPT,
                              .n_new = N_IDS - N_PROMPT,
                              .n_logits = 1};
    bool good = runner_step(&runner, &prompt, 1, &result, err);
    for (int g = 0; g < runner.limits.n_kv_groups; g++)
        for (int b = 0; b * BLOCK < N_PROMPT; b++) {
            CHECK(runner.n_copies < MAX_COPIES);
            int32_t *const pair = runner.copy[runner.n_copies++];
            pair[0] = runner_block(&runner, g, 0, b);
            pair[1] = runner_block(&runner, g, 1, b);
        }
    CHECK_EQ(result.n_logits, 0);
    good = good && runner_step(&runner, &rest, 1, &result, err);
    const bool has_row = runner.model->share.is_last && runner.ranks.tp_rank == 0;
    CHECK_EQ(result.n_logits, good && has_row);
    if (good && has_row)
        branch->hash = hash_bytes(result.logits, (size_t)result.vocab * sizeof(float));
    runner_close(&runner);
    return good;
}

static uint64_t hash_branch(const struct subject *subject, int tp_size, int pp_stages)
{
    const struct setup setup = setup_of(subject, tp_size, pp_stages);
    const size_t n_bytes = ranks_threads_bytes(tp_size, pp_stages);
    struct branch branch = {
        .setup = &setup, .memory = shared_memory_map(n_bytes), .ids = subject->ids};
    check_ranks(tp_size * pp_stages, run_branch, &branch);
    munmap(branch.memory, n_bytes);
    return branch.hash;
}

TEST(steps_without_wanted_rows_and_copies_of_blocks_reach_every_stage)
{
    static const char *const names[] = {"llama-16", "qwen2-window", "gemma3-pattern"};
    for (int i = 0; i < 3; i++) {
        struct subject subject = subject_open(names[i]);
        const uint64_t want = hash_branch(&subject, 1, 1);
        CHECK(hash_branch(&subject, 1, 2) == want);
        CHECK(hash_branch(&subject, 2, subject.config.n_layers) == want);
        subject_close(&subject);
    }
}

/* ---- a stage that is alone ---- */

static bool run_second_stage_alone(void *context, int rank, struct error *err)
{
    struct branch *branch = context;
    struct runner runner;
    struct step_result result;
    if (!runner_open(&runner, branch->setup, branch->memory, rank, N_IDS, 1, N_IDS, err))
        return false;
    const struct feed feed = {.ids = branch->ids, .n_new = 5, .n_logits = 1};
    const bool good = rank == 0 || runner_step(&runner, &feed, 1, &result, err);
    runner_close(&runner);
    return good;
}

TEST(a_residual_that_does_not_come_is_an_error_that_names_the_rank)
{
    struct subject subject = subject_open("llama-16");
    struct setup setup = setup_of(&subject, 1, 2);
    setup.deadline_ns = 50 * 1000 * 1000;
    const size_t n_bytes = ranks_threads_bytes(1, 2);
    struct branch branch = {
        .setup = &setup, .memory = shared_memory_map(n_bytes), .ids = subject.ids};
    struct error err[MAX_TEST_RANKS];
    run_ranks(2, run_second_stage_alone, &branch, err);
    CHECK_EQ(err[0].kind, ERROR_NONE);
    CHECK_EQ(err[1].kind, ERROR_PEER);
    CHECK(strstr(err[1].text, "residual from rank 0"));
    munmap(branch.memory, n_bytes);
    subject_close(&subject);
}
