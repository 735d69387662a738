/* Block tables by themselves; most of them is seen through the scheduler. */
#include "runtime/schedule/sequence_blocks.h"

#include "base/error.h"
#include "tests/test.h"

#include <string.h>

static const uint8_t secret[32] = {1, 2, 3};
static const struct plan_limits limits = {.block_tokens = 4, .n_kv_blocks = 16, .n_kv_groups = 1};
static const struct request_bounds bounds = {
    .max_model_len = 64, .block_tokens = 4, .n_kv_groups = 1, .vocab = 50};

static struct request *make_request(const int32_t *prompt, int n_prompt)
{
    struct sampling_params params = params_default();
    struct request *request = NULL;
    struct error err = {0};
    const struct request_source source = {
        .id = 1, .prompt = prompt, .n_prompt = n_prompt, .params = &params};
    CHECK(request_create(&request, &source, &bounds, &err));
    return request;
}

/* All of its tokens are computed. */
static void compute(struct sequence_blocks *blocks, struct request *sequence, int n_tokens)
{
    blocks_extend(blocks, sequence, n_tokens);
    blocks_list(blocks, sequence, n_tokens);
    sequence->n_computed = n_tokens;
}

TEST(a_beam_that_follows_another_one_is_known_by_its_new_tokens)
{
    static const int32_t text[16] = {1, 2, 3, 4, 5, 6, 7, 8, 21, 22, 23, 24, 25, 26, 27, 28};
    struct sequence_blocks blocks;
    struct request *leader = make_request(text, 8), *same = make_request(text, 16), *beam;
    sequence_blocks_init(&blocks, &limits, secret);
    request_create_beam(&beam, leader, &bounds);
    compute(&blocks, leader, 8);
    compute(&blocks, beam, 16); /* with other tokens at the end */
    blocks_give(&blocks, beam);

    blocks_share(&blocks, beam, leader);
    memcpy(beam->token + 8, text + 8, 8 * sizeof *text);
    compute(&blocks, beam, 16);
    blocks_take_cached(&blocks, same, 16);
    CHECK_EQ(same->n_computed, 16);

    request_destroy(beam);
    request_destroy(leader);
    request_destroy(same);
    sequence_blocks_release(&blocks);
}
