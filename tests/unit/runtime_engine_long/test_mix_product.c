/* The whole product of the scheduler's freedoms: chunks x caches x neighbours x drafts x choices x
 * ranks, with one answer to each of the requests of mix.h. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/mix.h"

#include <stdio.h>

static const int chunks[] = {1, 7, 64, 1024}, at_once[] = {1, 8, 32}, choices[] = {1, MIX_CHOICES};
static const enum mix_cache caches[] = {MIX_COLD, MIX_WARM, MIX_TINY};
static const enum drafter drafters[] = {DRAFTER_NONE, DRAFTER_NGRAM, DRAFTER_MODEL};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static void add(struct mix_costs *total, const struct mix_costs *costs)
{
    total->counts.n_preemptions += costs->counts.n_preemptions;
    total->cached_tokens += costs->cached_tokens;
    total->n_drafted += costs->n_drafted;
    total->n_accepted += costs->n_accepted;
}

/* All layouts of a number of ranks; how many. Threads and plans in flight take turns. */
static int run_ranks_of(int tp_size, bool kv_int8, struct answer *want, struct mix_costs *total)
{
    const int n = COUNT(chunks) * COUNT(at_once) * COUNT(choices) * COUNT(caches) * COUNT(drafters);
    for (int i = 0; i < n; i++) {
        int rest = i;
        struct mix_layout layout = {.tp_size = tp_size, .kv_int8 = kv_int8};
        layout.chunk = chunks[rest % COUNT(chunks)], rest /= COUNT(chunks);
        layout.concurrency = at_once[rest % COUNT(at_once)], rest /= COUNT(at_once);
        layout.n = choices[rest % COUNT(choices)], rest /= COUNT(choices);
        layout.cache = caches[rest % COUNT(caches)], rest /= COUNT(caches);
        layout.drafter = drafters[rest];
        layout.n_threads = 1 + i % 2;
        layout.n_flights = 1 + i % 3;
        const struct mix_costs costs = mix_run(&layout, want, false);
        add(total, &costs);
    }
    return n;
}

static void run_product(bool kv_int8)
{
    static struct answer want[MIX_REQUESTS];
    struct mix_layout plain = mix_plain();
    struct mix_costs total = {0};
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    plain.kv_int8 = kv_int8;
    mix_run(&plain, want, true);
    mix_check_answers(want);
    for (int tp_size = 1; tp_size <= 3; tp_size++) {
        const int n = run_ranks_of(tp_size, kv_int8, want, &total);
        printf("  tp %d: %d layouts, %016llx\n", tp_size, n, mix_hash(want));
        fflush(stdout);
    }
    printf("  %llu preemptions, %d cached tokens, %d of %d guesses right\n",
           (unsigned long long)total.counts.n_preemptions, total.cached_tokens, total.n_accepted,
           total.n_drafted);
    CHECK(total.counts.n_preemptions > 0 && total.cached_tokens > 0);
    CHECK(total.n_accepted > 0 && total.n_accepted < total.n_drafted);
}

TEST(one_answer_over_chunks_caches_neighbours_drafts_choices_and_ranks) { run_product(false); }

TEST(and_one_with_a_cache_in_int8) { run_product(true); }
