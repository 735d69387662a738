#include "base/error.h"
#include "runtime/request/request.h"
#include "tests/test.h"

#include <string.h>

static const int32_t eos_ids[] = {2, 3};
static const struct request_bounds bounds = {.max_model_len = 20,
                                             .block_tokens = 4,
                                             .n_kv_groups = 2,
                                             .hidden_size = 3,
                                             .vocab = 50,
                                             .eos_id = eos_ids,
                                             .n_eos_ids = 2};
static const int32_t prompt[64] = {10, 11, 12, 13, 14};

static struct request *make(const struct sampling_params *params, int n_prompt, int n_output)
{
    struct request *request = NULL;
    struct error err = {0};
    const struct request_source source = {.id = 7,
                                          .prompt = prompt,
                                          .n_prompt = n_prompt,
                                          .output = prompt + 1,
                                          .n_output = n_output,
                                          .params = params};
    if (!request_create(&request, &source, &bounds, &err))
        test_fail(__FILE__, __LINE__, "refused: %s", err.text);
    return request;
}

static void check_refused(const struct request_source *source, const char *part)
{
    struct request *request;
    struct error err = {0};
    CHECK(!request_create(&request, source, &bounds, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not say %s", err.text, part);
}

TEST(a_request_knows_its_limit_and_its_blocks)
{
    struct sampling_params params = params_default();
    params.max_tokens = 4;
    struct request *request = make(&params, 5, 0);
    CHECK_EQ(request->limit, 9);
    CHECK_EQ(request->n_blocks_limit, 3);
    CHECK_EQ(request->n_tokens, 5);
    CHECK(memcmp(request->token, prompt, 5 * sizeof *prompt) == 0);
    request_destroy(request);

    params.max_tokens = 1000; /* the model's length ends it */
    request = make(&params, 5, 0);
    CHECK_EQ(request->limit, 20);
    CHECK_EQ(request->n_blocks_limit, 5);
    request_destroy(request);
}

TEST(tokens_it_had_before_count_as_output)
{
    struct sampling_params params = params_default();
    params.max_tokens = 4;
    struct request *request = make(&params, 5, 3);
    int32_t stop_token;
    CHECK_EQ(request_n_output(request), 3);
    CHECK_EQ(request->token[7], prompt[3]);
    CHECK_EQ(request_append(request, 30, &bounds, &stop_token), FINISH_LENGTH);
    request_destroy(request);
}

TEST(wrong_requests_are_refused)
{
    struct sampling_params params = params_default();
    const struct request_source good = {
        .id = 1, .prompt = prompt, .n_prompt = 5, .params = &params};
    struct request_source source = good;
    source.id = 0;
    check_refused(&source, "id above 0");
    source = good;
    source.n_prompt = 0;
    check_refused(&source, "prompt is empty");
    source.n_prompt = 20;
    check_refused(&source, "maximum context length is 20 tokens");
    const int32_t outside[] = {10, 50}, negative[] = {-1};
    source.n_prompt = 2;
    source.prompt = outside;
    check_refused(&source, "token 1 of the prompt is 50");
    source = good;
    source.output = negative;
    source.n_output = 1;
    check_refused(&source, "token 0 of the output is -1");
    source.output = prompt;
    source.n_output = 16;
    check_refused(&source, "16 tokens of output, of 15 at most");
    source = good;
    params.top_p = 2;
    check_refused(&source, "top_p");
}

TEST(an_eos_ends_it_without_a_stop_token)
{
    struct sampling_params params = params_default();
    struct request *request = make(&params, 5, 0);
    int32_t stop_token = 99;
    CHECK_EQ(request_append(request, 40, &bounds, &stop_token), FINISH_NONE);
    CHECK_EQ(request_append(request, 3, &bounds, &stop_token), FINISH_STOP);
    CHECK_EQ(stop_token, -1);
    request_destroy(request);
}

TEST(a_stop_id_ends_it_and_is_named)
{
    struct sampling_params params = params_default();
    params.ignore_eos = true;
    params.n_stop_ids = 2;
    params.stop_id[0] = 41;
    params.stop_id[1] = 42;
    struct request *request = make(&params, 5, 0);
    int32_t stop_token;
    CHECK_EQ(request_append(request, 2, &bounds, &stop_token), FINISH_NONE); /* ignored EOS */
    CHECK_EQ(request_append(request, 42, &bounds, &stop_token), FINISH_STOP);
    CHECK_EQ(stop_token, 42);
    request_destroy(request);
}

TEST(an_eos_among_the_stop_ids_is_an_eos)
{
    struct sampling_params params = params_default();
    params.n_stop_ids = 1;
    params.stop_id[0] = 2;
    struct request *request = make(&params, 5, 0);
    int32_t stop_token;
    CHECK_EQ(request_append(request, 2, &bounds, &stop_token), FINISH_STOP);
    CHECK_EQ(stop_token, -1);
    request_destroy(request);
}

TEST(nothing_stops_it_before_min_tokens_but_length)
{
    struct sampling_params params = params_default();
    params.max_tokens = 3;
    params.min_tokens = 3;
    params.n_stop_ids = 1;
    params.stop_id[0] = 41;
    struct request *request = make(&params, 5, 0);
    int32_t stop_token;
    CHECK_EQ(request_append(request, 2, &bounds, &stop_token), FINISH_NONE);
    CHECK_EQ(request_append(request, 41, &bounds, &stop_token), FINISH_NONE);
    CHECK_EQ(request_append(request, 10, &bounds, &stop_token), FINISH_LENGTH);
    request_destroy(request);
}

TEST(a_stop_wins_over_length_in_the_same_step)
{
    struct sampling_params params = params_default();
    params.max_tokens = 1;
    struct request *request = make(&params, 5, 0);
    int32_t stop_token;
    CHECK_EQ(request_append(request, 2, &bounds, &stop_token), FINISH_STOP);
    request_destroy(request);
}

TEST(a_request_has_copies_of_its_lists)
{
    int32_t allowed[] = {1, 2, 3}, bad_id[] = {4, 5, 6}, bad_end[] = {1, 3};
    struct token_bias bias[] = {{7, -1.5f}, {8, 2}};
    uint8_t key[] = {9, 8, 7};
    struct sampling_params params = params_default();
    params.allowed_id = allowed;
    params.n_allowed_ids = 3;
    params.bias = bias;
    params.n_biases = 2;
    params.bad_id = bad_id;
    params.bad_end = bad_end;
    params.n_bad_words = 2;
    struct request *request = NULL;
    struct error err = {0};
    const struct request_source source = {.id = 7,
                                          .prompt = prompt,
                                          .n_prompt = 5,
                                          .params = &params,
                                          .priority = -3,
                                          .tenant = 11,
                                          .deadline_ns = 13,
                                          .cache_key = key,
                                          .n_cache_key = 3};
    CHECK(request_create(&request, &source, &bounds, &err));
    memset(allowed, 0, sizeof allowed);
    memset(bias, 0, sizeof bias);
    memset(bad_id, 0, sizeof bad_id);
    memset(bad_end, 0, sizeof bad_end);
    memset(key, 0, sizeof key);
    const struct sampling_params *copy = &request->params;
    CHECK(copy->allowed_id[0] == 1 && copy->allowed_id[2] == 3);
    CHECK(copy->bias[0].token == 7 && copy->bias[0].bias == -1.5f && copy->bias[1].token == 8);
    CHECK(copy->bad_id[0] == 4 && copy->bad_id[2] == 6 && copy->bad_end[1] == 3);
    CHECK(request->cache_key[0] == 9 && request->cache_key[2] == 7);
    CHECK(request->priority == -3 && request->tenant == 11 && request->deadline_ns == 13);
    CHECK(request->pooled == NULL);
    request_destroy(request);
}

TEST(a_request_that_pools_has_a_vector_and_no_output)
{
    struct sampling_params params = params_default();
    params.pooling = POOLING_MEAN;
    params.max_tokens = 0;
    struct request *request = make(&params, 20, 0); /* all of the context */
    CHECK_EQ(request->limit, 20);
    for (int i = 0; i < 3; i++)
        CHECK(request->pooled[i] == 0);
    request_destroy(request);
    check_refused(&(struct request_source){.id = 1,
                                           .prompt = prompt,
                                           .n_prompt = 5,
                                           .output = prompt,
                                           .n_output = 1,
                                           .params = &params},
                  "1 tokens of output, of 0 at most");
    check_refused(
        &(struct request_source){.id = 1, .prompt = prompt, .n_prompt = 21, .params = &params},
        "shorten it by at least 1");
}

TEST(a_beam_has_the_prompt_of_its_leader_and_tokens_of_its_own)
{
    struct sampling_params params = params_default();
    params.beam_width = 2;
    params.max_tokens = 4;
    struct request *leader = make(&params, 5, 0), *beam = NULL;
    request_create_beam(&beam, leader, &bounds);
    CHECK(beam->leader == leader && leader->leader == leader);
    CHECK_EQ(beam->limit, 9);
    CHECK_EQ(beam->n_tokens, 5);
    CHECK(memcmp(beam->token, leader->token, 5 * sizeof *prompt) == 0);
    CHECK(beam->token != leader->token && beam->block != leader->block);
    request_destroy(beam);
    request_destroy(leader);
    check_refused(&(struct request_source){.id = 1,
                                           .prompt = prompt,
                                           .n_prompt = 5,
                                           .output = prompt,
                                           .n_output = 1,
                                           .params = &params},
                  "begins with no output");
}

TEST(a_cache_key_has_a_limit)
{
    static const uint8_t key[REQUEST_MAX_CACHE_KEY + 1];
    struct sampling_params params = params_default();
    check_refused(&(struct request_source){.id = 1,
                                           .prompt = prompt,
                                           .n_prompt = 5,
                                           .params = &params,
                                           .cache_key = key,
                                           .n_cache_key = sizeof key},
                  "at most 4096 bytes, got 4097");
}
