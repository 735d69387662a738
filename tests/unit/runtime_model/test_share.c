/* The shares of all ranks, for shapes of real models and odd ones. */
#include "runtime/model/share.h"

#include "base/error.h"
#include "kernels/ops.h"
#include "runtime/model/config.h"
#include "tests/test.h"

#include <string.h>

static const struct model_config shapes[] = {
    /* layers, heads, KV heads, head_dim, ffn, vocab */
    {.n_layers = 1, .n_heads = 32, .n_kv_heads = 8, .head_dim = 64, .ffn = 8192, .vocab = 128256},
    {.n_layers = 1, .n_heads = 14, .n_kv_heads = 2, .head_dim = 64, .ffn = 4864, .vocab = 151936},
    {.n_layers = 1, .n_heads = 28, .n_kv_heads = 4, .head_dim = 128, .ffn = 18944, .vocab = 152064},
    {.n_layers = 1, .n_heads = 4, .n_kv_heads = 4, .head_dim = 24, .ffn = 80, .vocab = 160},
    {.n_layers = 1, .n_heads = 64, .n_kv_heads = 1, .head_dim = 16, .ffn = 100, .vocab = 257},
    {.n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = 8, .ffn = 7, .vocab = 1},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static void check_leaves(const struct leaves *leaves, int columns)
{
    int parts = 0, last = 0;
    for (int i = 0; i < leaves->n_leaves; i++) {
        CHECK(leaves->leaf[i].k_end > last);
        last = leaves->leaf[i].k_end;
        parts += 1 - leaves->leaf[i].n_merges;
    }
    CHECK_EQ(last, columns);
    CHECK_EQ(parts, leaves->n_parts);
}

static void check_rank(const struct model_config *config, const struct model_share *share)
{
    const int group = config->n_heads / config->n_kv_heads;
    CHECK(span_length(share->heads) > 0 && span_length(share->ffn) > 0);
    check_leaves(&share->attention_leaves, span_length(share->heads) * config->head_dim);
    check_leaves(&share->mlp_leaves, span_length(share->ffn));
    for (int i = 0; i < span_length(share->heads); i++) {
        const int kv_head = share->kv_heads.lo + share->kv_of_head[i];
        CHECK_EQ(kv_head, (share->heads.lo + i) / group);
        CHECK(kv_head < share->kv_heads.hi);
    }
    CHECK_EQ(share->kv_of_head[0], 0);
    CHECK_EQ(share->kv_heads.hi, (share->heads.hi - 1) / group + 1);
    CHECK(share->vocab.lo == config->vocab || share->vocab.lo % LOGITS_BLOCK == 0);
}

TEST(the_shares_of_all_ranks_cover_the_model_once)
{
    for (int s = 0; s < N_SHAPES; s++) {
        const struct model_config *config = &shapes[s];
        for (int tp_size = 1; tp_size <= model_max_tp(config); tp_size++) {
            int heads = 0, ffn = 0, vocab = 0;
            for (int rank = 0; rank < tp_size; rank++) {
                struct model_share share;
                model_share_init(
                    &share, config,
                    &(struct model_place){.tp_rank = rank, .tp_size = tp_size, .pp_stages = 1});
                CHECK_EQ(share.heads.lo, heads);
                CHECK_EQ(share.ffn.lo, ffn);
                CHECK_EQ(share.vocab.lo, vocab);
                check_rank(config, &share);
                heads = share.heads.hi;
                ffn = share.ffn.hi;
                vocab = share.vocab.hi;
                model_share_release(&share);
            }
            CHECK_EQ(heads, config->n_heads);
            CHECK_EQ(ffn, config->ffn);
            CHECK_EQ(vocab, config->vocab);
        }
    }
}

TEST(leaves_follow_the_config_alone)
{
    struct model_share one, half;
    model_share_init(&one, &shapes[1],
                     &(struct model_place){.tp_rank = 0, .tp_size = 1, .pp_stages = 1});
    CHECK_EQ(one.head_leaves, 14);
    CHECK_EQ(one.ffn_leaves, 16); /* 152 units of 32: eight leaves of 10, eight of 9 */
    CHECK_EQ(one.mlp_leaves.leaf[0].k_end, 320);
    CHECK_EQ(one.mlp_leaves.leaf[15].k_end, 4864);
    model_share_init(&half, &shapes[1],
                     &(struct model_place){.tp_rank = 1, .tp_size = 2, .pp_stages = 1});
    CHECK_EQ(half.head_leaves, 14);
    CHECK_EQ(half.attention_leaves.n_leaves, 7);
    CHECK_EQ(half.attention_leaves.n_parts, 1);
    CHECK_EQ(half.ffn.lo, 2560);
    model_share_release(&one);
    model_share_release(&half);
}

TEST(a_small_ffn_has_a_leaf_for_each_unit_of_32)
{
    struct model_share share;
    model_share_init(&share, &shapes[3],
                     &(struct model_place){.tp_rank = 0, .tp_size = 1, .pp_stages = 1});
    CHECK_EQ(share.ffn_leaves, 3);
    CHECK_EQ(share.mlp_leaves.leaf[0].k_end, 32);
    CHECK_EQ(share.mlp_leaves.leaf[2].k_end, 80);
    model_share_release(&share);
}

TEST(more_ranks_than_kv_heads_store_the_same_head)
{
    for (int rank = 0; rank < 8; rank++) { /* 14 heads over 2: rank 3 has heads of one, 4 of two */
        struct model_share share;
        model_share_init(&share, &shapes[1],
                         &(struct model_place){.tp_rank = rank, .tp_size = 8, .pp_stages = 1});
        CHECK_EQ(share.kv_heads.lo, share.heads.lo / 7);
        CHECK(span_length(share.kv_heads) <= 2);
        model_share_release(&share);
    }
}

TEST(ranks_beyond_the_blocks_of_the_vocabulary_have_none)
{
    CHECK_EQ(span_length(model_vocab_span(&shapes[3], 0, 3)), 160);
    CHECK_EQ(span_length(model_vocab_span(&shapes[3], 2, 3)), 0);
    CHECK_EQ(span_length(model_vocab_span(&shapes[4], 1, 3)), 1);
}

TEST(a_size_that_cannot_share_the_model_is_refused_with_the_nearest)
{
    static const int sizes[] = {15, 16, 1000, 0, -1};
    for (int i = 0; i < 5; i++) {
        struct error err = {0};
        CHECK(!model_tp_check(&shapes[1], sizes[i], &err));
        CHECK_EQ(err.kind, ERROR_INPUT);
        CHECK(strstr(err.text, sizes[i] > 0 ? "nearest size is 14" : "nearest size is 1"));
        CHECK(strstr(err.text, "1 to 14 ranks"));
    }
    struct error err = {0};
    for (int tp_size = 1; tp_size <= 14; tp_size++)
        CHECK(model_tp_check(&shapes[1], tp_size, &err));
}

/* ---- stages ---- */

/* Every layer of a Llama 3.2 1B has 60.8 million weights, its head 262.7 million: 4.3 layers. */
static struct model_config llama_1b(void)
{
    struct model_config config = shapes[0];
    config.n_layers = 16;
    config.hidden = 2048;
    config.generates = true;
    return config;
}

static void check_cut(const struct model_config *config, int pp_stages, const int *want)
{
    int layer = 0;
    for (int s = 0; s < pp_stages; s++) {
        const struct span layers = model_stage_layers(config, s, pp_stages);
        CHECK_EQ(layers.lo, layer);
        if (want != NULL)
            CHECK_EQ(span_length(layers), want[s]);
        CHECK(layers.hi > layers.lo);
        layer = layers.hi;
    }
    CHECK_EQ(layer, config->n_layers);
}

TEST(the_stages_cover_the_layers_once_with_one_at_least)
{
    static const int layers[] = {1, 2, 3, 16, 61, 1024};
    struct model_config config = llama_1b();
    for (int i = 0; i < 6; i++)
        for (int head = 0; head < 2; head++) {
            config.n_layers = layers[i];
            config.generates = head;
            for (int pp = 1; pp <= layers[i]; pp += 1 + pp / 7)
                check_cut(&config, pp, NULL);
            check_cut(&config, layers[i], NULL);
        }
}

TEST(the_last_stage_has_fewer_layers_because_of_the_head)
{
    const struct model_config config = llama_1b();
    check_cut(&config, 2, (const int[]){10, 6});
    check_cut(&config, 3, (const int[]){7, 7, 2});
    check_cut(&config, 4, (const int[]){5, 5, 5, 1});
}

TEST(without_a_head_the_stages_have_equally_many_layers)
{
    struct model_config config = llama_1b();
    config.generates = false;
    check_cut(&config, 2, (const int[]){8, 8});
    check_cut(&config, 3, (const int[]){6, 5, 5});
    check_cut(&config, 5, (const int[]){4, 3, 3, 3, 3});
    check_cut(&config, 16, NULL);
}

/* The head alone takes as long as a dozen layers. */
TEST(with_a_big_vocabulary_the_last_stage_has_one_layer)
{
    struct model_config config = llama_1b();
    config.vocab *= 3;
    check_cut(&config, 2, (const int[]){14, 2});
    check_cut(&config, 3, (const int[]){8, 7, 1});
}

static int64_t slowest(const struct model_config *config, const int *n_layers, int pp_stages)
{
    const int64_t q = (int64_t)config->n_heads * config->head_dim;
    const int64_t kv = (int64_t)config->n_kv_heads * config->head_dim;
    const int64_t layer = (2 * q + 2 * kv + 3 * (int64_t)config->ffn) * config->hidden;
    int64_t most = 0;
    for (int s = 0; s < pp_stages; s++) {
        const int64_t head = s == pp_stages - 1 ? (int64_t)config->vocab * config->hidden : 0;
        const int64_t cost = n_layers[s] * layer + head;
        most = cost > most ? cost : most;
    }
    return most;
}

/* Every way to cut up to 12 layers into three stages. */
TEST(no_other_cut_has_a_faster_slowest_stage)
{
    struct model_config config = llama_1b();
    for (config.n_layers = 3; config.n_layers <= 12; config.n_layers++)
        for (config.vocab = 1000; config.vocab < 1000000; config.vocab *= 3) {
            int got[3];
            for (int s = 0; s < 3; s++)
                got[s] = span_length(model_stage_layers(&config, s, 3));
            for (int a = 1; a < config.n_layers; a++)
                for (int b = 1; a + b < config.n_layers; b++) {
                    const int other[] = {a, b, config.n_layers - a - b};
                    CHECK(slowest(&config, got, 3) <= slowest(&config, other, 3));
                }
        }
}

TEST(a_number_of_stages_without_layers_for_all_is_refused_with_the_nearest)
{
    static const int sizes[] = {17, 1000, 0, -1};
    const struct model_config config = llama_1b();
    for (int i = 0; i < 4; i++) {
        struct error err = {0};
        CHECK(!model_pp_check(&config, sizes[i], &err));
        CHECK_EQ(err.kind, ERROR_INPUT);
        CHECK(strstr(err.text, sizes[i] > 0 ? "nearest size is 16" : "nearest size is 1"));
        CHECK(strstr(err.text, "16 layers"));
    }
    struct error err = {0};
    for (int pp = 1; pp <= 16; pp++)
        CHECK(model_pp_check(&config, pp, &err));
}
