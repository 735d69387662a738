/* Which layers share a KV block, over the shapes that models have and over random ones. */
#include "base/memory.h"
#include "runtime/forward/kv_groups.h"
#include "tests/test.h"

#include <string.h>

static struct model_config *config_of(int n_layers)
{
    struct model_config *config = memory_alloc(1, sizeof *config);
    config->n_layers = n_layers;
    return config;
}

/* Every layer is in one group, alone in its place, and its group sees as far as it does. */
static void check_groups(const struct kv_groups *groups, const struct model_config *config)
{
    static unsigned char taken[KV_MAX_GROUPS][MODEL_MAX_LAYERS];
    memset(taken, 0, sizeof taken);
    CHECK(groups->n >= 1 && groups->n <= KV_MAX_GROUPS);
    for (int i = 0; i < config->n_layers; i++) {
        const int g = groups->of_layer[i], at = groups->at[i];
        CHECK(g < groups->n);
        CHECK(at >= 0 && at < groups->layers_per_block);
        CHECK(!taken[g][at]);
        taken[g][at] = 1;
        CHECK(groups->window[g] == 0 ||
              (config->window[i] != 0 && groups->window[g] >= config->window[i]));
    }
    for (int g = 0; g < groups->n; g++)
        CHECK(taken[g][0]); /* no group without a layer */
    for (int g = 1; g < groups->n; g++)
        CHECK(groups->window[0] == 0 ||
              (groups->window[g] != 0 && groups->window[g] <= groups->window[0]));
}

static struct kv_groups groups_of(int n_layers, int window, int period, int full)
{
    struct model_config *config = config_of(n_layers);
    for (int i = 0; i < n_layers; i++)
        config->window[i] = i % period == full ? 0 : window;
    struct kv_groups groups;
    kv_groups_make(&groups, config, false);
    check_groups(&groups, config);
    memory_free(config);
    return groups;
}

TEST(layers_that_see_equally_far_are_one_group)
{
    const struct kv_groups all = groups_of(32, 4096, 1, 0), windowed = groups_of(32, 4096, 1, 1);
    CHECK_EQ(all.n, 1);
    CHECK_EQ(all.window[0], 0);
    CHECK_EQ(all.layers_per_block, 32);
    CHECK_EQ(windowed.n, 1);
    CHECK_EQ(windowed.window[0], 4096);
}

TEST(gemma2_has_a_group_that_sees_all_and_one_with_a_window)
{
    const struct kv_groups groups = groups_of(26, 4096, 2, 1);
    CHECK_EQ(groups.n, 2);
    CHECK_EQ(groups.layers_per_block, 13);
    CHECK_EQ(groups.window[0], 0);
    CHECK_EQ(groups.window[1], 4096);
    CHECK_EQ(groups.of_layer[0], 1);
    CHECK_EQ(groups.of_layer[1], 0);
    CHECK_EQ(groups.at[25], 12);
}

TEST(gemma3_has_one_group_that_sees_all_and_several_with_a_window)
{
    const struct kv_groups small = groups_of(26, 512, 6, 5), large = groups_of(62, 1024, 6, 5);
    CHECK_EQ(small.layers_per_block, 4);
    CHECK_EQ(small.n, 7);
    CHECK_EQ(small.window[1], 512);
    CHECK_EQ(large.layers_per_block, 10);
    CHECK_EQ(large.n, 7);
}

TEST(one_layer_that_sees_all_among_many_leaves_few_places_unused)
{
    const struct kv_groups groups = groups_of(28, 4096, 28, 0);
    CHECK_EQ(groups.layers_per_block, 4);
    CHECK_EQ(groups.n, 8);
}

TEST(a_single_group_sees_as_far_as_the_furthest_layer)
{
    struct model_config *config = config_of(4);
    struct kv_groups groups;
    config->window[0] = config->window[2] = 16;
    config->window[1] = config->window[3] = 64;
    kv_groups_make(&groups, config, true);
    check_groups(&groups, config);
    CHECK_EQ(groups.n, 1);
    CHECK_EQ(groups.layers_per_block, 4);
    CHECK_EQ(groups.window[0], 64);
    config->window[3] = 0;
    kv_groups_make(&groups, config, true);
    CHECK_EQ(groups.window[0], 0);
    memory_free(config);
}

TEST(more_windows_than_groups_become_one_that_sees_all)
{
    struct model_config *config = config_of(KV_MAX_GROUPS + 1);
    struct kv_groups groups;
    for (int i = 0; i < config->n_layers; i++)
        config->window[i] = 16 * (i + 1);
    kv_groups_make(&groups, config, false);
    CHECK_EQ(groups.n, 1);
    CHECK_EQ(groups.window[0], 0);
    config->n_layers = KV_MAX_GROUPS;
    kv_groups_make(&groups, config, false);
    check_groups(&groups, config);
    CHECK_EQ(groups.n, KV_MAX_GROUPS);
    CHECK_EQ(groups.window[0], 16 * KV_MAX_GROUPS);
    memory_free(config);
}

TEST(any_layers_and_windows_make_groups)
{
    struct model_config *config = config_of(1);
    uint32_t random = 1;
    for (int round = 0; round < 2000; round++) {
        random = random * 1664525 + 1013904223;
        config->n_layers = 1 + (int)(random >> 8) % (round % 10 == 0 ? MODEL_MAX_LAYERS : 40);
        const int n_windows = 1 + (int)(random >> 28) % 10;
        for (int i = 0; i < config->n_layers; i++) {
            random = random * 1664525 + 1013904223;
            config->window[i] = (int)(random >> 16) % n_windows * 16;
        }
        struct kv_groups groups;
        kv_groups_make(&groups, config, round % 7 == 0);
        check_groups(&groups, config);
    }
    memory_free(config);
}

/* All ways to share up to 30 layers among three windows, in turns and one after the other. */
TEST(every_mix_of_three_windows_makes_groups)
{
    static const int window[] = {64, 0, 16};
    struct model_config *config = config_of(0);
    for (int a = 0; a <= 30; a++)
        for (int b = 0; a + b <= 30; b++)
            for (int c = a + b == 0; a + b + c <= 30; c++) {
                int left[] = {a, b, c};
                config->n_layers = a + b + c;
                for (int i = 0, w = 0; i < config->n_layers; i++) {
                    while (left[w] == 0)
                        w = (w + 1) % 3;
                    config->window[i] = window[w];
                    left[w]--;
                    w = c % 2 ? (w + 1) % 3 : w;
                }
                struct kv_groups groups;
                kv_groups_make(&groups, config, false);
                check_groups(&groups, config);
                const int n_furthest = b ? b : a ? a : c;
                int n_places = 0;
                for (int g = 0; g < groups.n; g++)
                    n_places += groups.window[g] == groups.window[0] ? groups.layers_per_block : 0;
                CHECK_EQ(groups.window[0], b ? 0 : a ? 64 : 16);
                CHECK(n_places >= n_furthest && n_places < n_furthest + groups.layers_per_block);
            }
    memory_free(config);
}

/* Gemma 2: every other layer has a window. Layers 7 to 11 are three of one kind and two of the
 * other. */
TEST(a_stage_numbers_its_layers_of_each_group_anew)
{
    struct kv_groups groups = groups_of(26, 4096, 2, 1);
    kv_groups_keep(&groups, 26, (struct span){7, 12});
    CHECK_EQ(groups.layers_per_block, 3);
    CHECK_EQ(groups.n, 2);
    static const int want[] = {0, 0, 1, 1, 2};
    for (int i = 0; i < 5; i++)
        CHECK_EQ(groups.at[7 + i], want[i]);
    CHECK_EQ(groups.at[6], -1);
    CHECK_EQ(groups.at[12], -1);
}

TEST(a_group_may_have_no_layer_in_a_stage)
{
    struct kv_groups groups = groups_of(26, 512, 6, 5); /* layers 5, 11, 17, 23 see all */
    kv_groups_keep(&groups, 26, (struct span){0, 1});
    CHECK_EQ(groups.layers_per_block, 1);
    CHECK_EQ(groups.n, 7);
    CHECK_EQ(groups.at[0], 0);
    CHECK_EQ(groups.at[5], -1);
}

TEST(one_stage_keeps_every_place)
{
    static const int windows[][4] = {{32, 4096, 1, 0}, {26, 4096, 2, 1}, {26, 512, 6, 5}};
    for (int w = 0; w < 3; w++) {
        const int *of = windows[w];
        const struct kv_groups before = groups_of(of[0], of[1], of[2], of[3]);
        struct kv_groups after = before;
        kv_groups_keep(&after, of[0], (struct span){0, of[0]});
        CHECK_EQ(after.layers_per_block, before.layers_per_block);
        CHECK(memcmp(after.at, before.at, (size_t)of[0] * sizeof *after.at) == 0);
    }
}
