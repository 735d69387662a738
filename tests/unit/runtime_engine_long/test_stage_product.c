/* Ranks x stages, none left out that a model can take: the demo model with the requests of mix.h,
 * and every golden model that makes tokens. What drafts and choices add takes turns. */
#include "base/error.h"
#include "base/system.h"
#include "runtime/model/config.h"
#include "runtime/model/share.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/dozen.h"
#include "tests/unit/runtime_engine/mix.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { MOST_TP = 8, MOST_PP = 3, MOST_DRAFT_TP = 4 /* heads of the draft model */ };

TEST(the_demo_model_has_one_answer_on_every_number_of_ranks_and_stages)
{
    static const int chunks[] = {7, 64, 1024}, at_once[] = {32, 8, 1};
    static struct answer want[MIX_REQUESTS];
    struct mix_layout plain = mix_plain();
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    mix_run(&plain, want, true);
    mix_check_answers(want);
    for (int i = 0; i < 2 * MOST_TP * MOST_PP; i++) {
        struct mix_layout layout = {.tp_size = 1 + i % MOST_TP, .n_threads = 1 + i / 24 % 2};
        layout.pp_stages = 1 + i / MOST_TP % MOST_PP;
        layout.chunk = chunks[i % 3];
        layout.concurrency = at_once[(i / 2 + i / 24) % 3];
        layout.cache = (enum mix_cache)((i + i / 8) % 4);
        layout.drafter = (enum drafter)((i / 3 + i / 8) % 3);
        if (layout.drafter == DRAFTER_MODEL && layout.tp_size > MOST_DRAFT_TP)
            layout.drafter = DRAFTER_NGRAM;
        layout.n = i % 5 < 2 ? MIX_CHOICES : 1;
        mix_run(&layout, want, false);
    }
    printf("  %d layouts, %016llx\n", 2 * MOST_TP * MOST_PP, mix_hash(want));
}

TEST(no_layout_of_ranks_and_stages_shows_with_any_chunk_cache_or_number_of_neighbours)
{
    static const int chunks[] = {7, 64, 1024}, at_once[] = {1, 8, 32};
    static const enum mix_cache caches[] = {MIX_COLD, MIX_WARM, MIX_TINY};
    static struct answer want[MIX_REQUESTS];
    struct mix_layout plain = mix_plain();
    uint64_t n_preemptions = 0;
    int n = 0;
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    mix_run(&plain, want, true);
    mix_check_answers(want);
    for (int ranks = 0; ranks < MOST_TP * MOST_PP; ranks++) {
        struct mix_layout layout = {
            .tp_size = 1 + ranks % MOST_TP, .pp_stages = 1 + ranks / MOST_TP, .n = 1};
        for (int i = 0; i < 27; i++, n++) {
            layout.n_threads = 1 + n % 2;
            layout.chunk = chunks[i % 3];
            layout.concurrency = at_once[i / 3 % 3];
            layout.cache = caches[i / 9];
            n_preemptions += mix_run(&layout, want, false).counts.n_preemptions;
        }
        printf("  tp %d, pp %d: %d layouts, %016llx\n", layout.tp_size, layout.pp_stages, n,
               mix_hash(want));
        fflush(stdout);
    }
    CHECK(n_preemptions > 0);
}

enum { CHUNKS = 3, CACHES = 3, NEIGHBOURS = 3, MOST_LAYOUTS = 27 * MOST_TP * MOST_PP };

/* Chunks x caches x neighbours on these ranks; threads and n-grams take turns. */
static int add_layouts(struct dozen_layout *layouts, int tp, int pp)
{
    static const int chunks[CHUNKS] = {1024, 7, 64}, at_once[NEIGHBOURS] = {12, 4, 1};
    static const struct {
        int n_kv_blocks;
        bool prefix_caching;
    } caches[CACHES] = {{400, false}, {96, true}, {48, true}};
    int n = 0;
    for (int i = 0; i < CHUNKS * CACHES * NEIGHBOURS; i++, n++)
        layouts[n] = (struct dozen_layout){.tp_size = tp,
                                           .pp_stages = pp,
                                           .n_threads = 1 + n % 2,
                                           .max_tokens = chunks[i % CHUNKS],
                                           .max_sequences = at_once[i / CHUNKS % NEIGHBOURS],
                                           .n_kv_blocks = caches[i / 9].n_kv_blocks,
                                           .prefix_caching = caches[i / 9].prefix_caching,
                                           .ngram_max = n % 4 == 3 ? 3 : 0};
    return n;
}

/* All layouts that the model can take; the first one is one rank. */
static int make_layouts(const struct model_config *config, struct dozen_layout *layouts)
{
    int n = 0;
    for (int i = 0; i < MOST_TP * MOST_PP; i++) {
        struct error ignored = {0};
        const int tp = 1 + i % MOST_TP, pp = 1 + i / MOST_TP;
        if (model_tp_check(config, tp, &ignored) && model_pp_check(config, pp, &ignored))
            n += add_layouts(layouts + n, tp, pp);
    }
    return n;
}

TEST(every_golden_model_has_one_answer_on_every_number_of_ranks_and_stages)
{
    static const char goldens[] = SOURCE_DIR "/tests/golden";
    static struct dozen_layout layouts[MOST_LAYOUTS];
    int n_models = 0, n_layouts = 0;
    DIR *folder = opendir(goldens);
    CHECK(folder != NULL);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[sizeof goldens + sizeof entry->d_name];
        struct model_config config;
        struct error ignored = {0};
        snprintf(path, sizeof path, "%s/%s", goldens, entry->d_name);
        if (entry->d_name[0] == '.' || !model_config_read(&config, path, &ignored) ||
            !config.generates || config.max_positions < DOZEN_MODEL_LEN)
            continue;
        const int n = make_layouts(&config, layouts);
        dozen_compare(path, layouts, n);
        printf("  %s: %d layouts\n", entry->d_name, n);
        fflush(stdout);
        n_layouts += n;
        n_models++;
    }
    closedir(folder);
    CHECK(n_models >= 20 && n_layouts > 5 * n_models);
}
