/* Plans that run ahead of their tokens: chunks x caches x neighbours x choices x ranks, with one
 * answer to each of the requests of mix.h. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/mix.h"

#include <stdio.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

TEST(plans_that_run_ahead_have_one_answer_over_chunks_caches_neighbours_choices_and_ranks)
{
    static const int chunks[] = {1, 7, 64, 1024}, at_once[] = {1, 8, 32};
    static const int choices[] = {1, MIX_CHOICES}, ranks[] = {1, 2, 3};
    static const enum mix_cache caches[] = {MIX_NO_CACHE, MIX_COLD, MIX_WARM, MIX_TINY};
    static struct answer want[MIX_REQUESTS];
    const struct mix_layout plain = mix_plain();
    const int n = COUNT(chunks) * COUNT(at_once) * COUNT(choices) * COUNT(caches) * COUNT(ranks);
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    mix_run(&plain, want, true);
    mix_check_answers(want);
    uint64_t n_preemptions = 0;
    for (int i = 0; i < n; i++) {
        int rest = i;
        struct mix_layout layout = {.n_flights = MIX_AHEAD, .n_threads = 1 + i % 2};
        layout.chunk = chunks[rest % COUNT(chunks)], rest /= COUNT(chunks);
        layout.concurrency = at_once[rest % COUNT(at_once)], rest /= COUNT(at_once);
        layout.n = choices[rest % COUNT(choices)], rest /= COUNT(choices);
        layout.cache = caches[rest % COUNT(caches)], rest /= COUNT(caches);
        layout.tp_size = ranks[rest];
        n_preemptions += mix_run(&layout, want, false).counts.n_preemptions;
    }
    printf("  %d layouts, %016llx\n", n, mix_hash(want));
    CHECK(n_preemptions > 0);
}
