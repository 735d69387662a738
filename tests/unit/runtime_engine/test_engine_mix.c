/* Tokens and the bits of all log-probabilities of many requests, whatever chunk, cache, neighbours,
 * drafts, choices and ranks: a part of the product that runtime_engine_long runs whole. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/mix.h"

static struct answer want[MIX_REQUESTS];

static void record_plain(bool kv_int8)
{
    struct mix_layout plain = mix_plain();
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    plain.kv_int8 = kv_int8;
    const struct mix_costs costs = mix_run(&plain, want, true);
    CHECK_EQ(costs.cached_tokens, 0);
    CHECK_EQ(costs.n_drafted, 0);
    CHECK_EQ(costs.counts.n_preemptions, 0);
    mix_check_answers(want);
}

TEST(chunks_and_neighbours_do_not_show)
{
    static const struct mix_layout layouts[] = {
        {7, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 1, 1, 1, false, 1},
        {1, MIX_NO_CACHE, 1, DRAFTER_NONE, 4, 1, 1, 1, false, 1},
        {64, MIX_NO_CACHE, 8, DRAFTER_NONE, 4, 2, 1, 2, false, 1},
        {64, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 3, 1, 3, false, 1},
    };
    record_plain(false);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        mix_run(&layouts[i], want, false);
}

TEST(cached_prefixes_do_not_show)
{
    static const struct mix_layout layouts[] = {
        {1024, MIX_COLD, 8, DRAFTER_NONE, 4, 1, 1, 1, false, 1},
        {64, MIX_WARM, 32, DRAFTER_NONE, 1, 1, 2, 1, false, 1},
        {7, MIX_WARM, 1, DRAFTER_NONE, 4, 2, 1, 1, false, 1},
        {64, MIX_WARM, 8, DRAFTER_NONE, 1, 1, 1, 2, false, 1},
    };
    record_plain(false);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        CHECK(mix_run(&layouts[i], want, false).cached_tokens > 0);
}

TEST(preemptions_do_not_show)
{
    static const struct mix_layout layouts[] = {
        {1024, MIX_TINY, 8, DRAFTER_NONE, 1, 1, 1, 1, false, 1},
        {64, MIX_TINY, 32, DRAFTER_NONE, 4, 2, 1, 2, false, 1},
        {7, MIX_TINY, 8, DRAFTER_NONE, 4, 1, 1, 1, false, 1},
    };
    record_plain(false);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        CHECK(mix_run(&layouts[i], want, false).counts.n_preemptions > 0);
}

TEST(stages_of_a_pipeline_do_not_show)
{
    static const struct mix_layout layouts[] = {
        {64, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 1, 1, 0, false, 2},
        {1024, MIX_WARM, 8, DRAFTER_NGRAM, 4, 2, 1, 0, false, 2},
        {64, MIX_COLD, 32, DRAFTER_MODEL, 1, 3, 1, 0, false, 2},
        {7, MIX_TINY, 8, DRAFTER_NONE, 1, 4, 1, 0, false, 2},
        {64, MIX_TINY, 8, DRAFTER_NGRAM, 1, 1, 1, 0, false, 3},
        {1024, MIX_WARM, 8, DRAFTER_MODEL, 4, 2, 1, 0, false, 3},
        {64, MIX_COLD, 1, DRAFTER_NONE, 4, 3, 1, 1, false, 3},
        {1024, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 4, 1, 4, false, 3},
    };
    record_plain(false);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        mix_run(&layouts[i], want, false);
}

static void check_drafts(enum drafter drafter)
{
    const struct mix_layout layouts[] = {
        {1024, MIX_NO_CACHE, 32, drafter, 1, 1, 1, 1, false, 1},
        {64, MIX_WARM, 8, drafter, 4, 2, 1, 1, false, 1},
        {64, MIX_TINY, 8, drafter, 1, 1, 2, 2, false, 1},
        {7, MIX_COLD, 1, drafter, 4, 3, 1, 1, false, 1},
    };
    record_plain(false);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const struct mix_costs costs = mix_run(&layouts[i], want, false);
        CHECK(costs.n_accepted > 0 && costs.n_accepted < costs.n_drafted);
    }
}

TEST(guesses_of_n_grams_do_not_show) { check_drafts(DRAFTER_NGRAM); }

TEST(guesses_of_a_draft_model_do_not_show) { check_drafts(DRAFTER_MODEL); }

TEST(a_cache_in_int8_has_answers_of_its_own_that_depend_on_nothing_else)
{
    static const struct mix_layout layouts[] = {
        {7, MIX_WARM, 8, DRAFTER_NONE, 4, 2, 1, 1, true, 1},
        {64, MIX_TINY, 8, DRAFTER_NGRAM, 1, 1, 2, 1, true, 1},
        {64, MIX_COLD, 32, DRAFTER_MODEL, 1, 3, 1, 1, true, 1},
        {64, MIX_COLD, 32, DRAFTER_NONE, 1, 1, 1, 4, true, 3},
    };
    record_plain(false);
    const unsigned long long exact = mix_hash(want);
    record_plain(true);
    CHECK(mix_hash(want) != exact);
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        mix_run(&layouts[i], want, false);
}
