#include "runtime/api/pool.h"

#include "base/error.h"
#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

#include <math.h>
#include <string.h>

enum { MAX_RESULTS = 4, MAX_VALUES = 4 };

struct pooled {
    int n_done, n_failed, n_results;
    struct error why;
    struct api_usage usage;
    int n_values[MAX_RESULTS];
    double value[MAX_RESULTS][MAX_VALUES];
};

static void hear_done(void *context, struct pool_call *call)
{
    struct pooled *pooled = context;
    pooled->n_done++;
    pooled->usage = pool_usage(call);
    pooled->n_results = pool_results(call);
    for (int i = 0; i < pooled->n_results; i++) {
        const struct pool_result result = pool_result(call, i);
        pooled->n_values[i] = result.n_values;
        for (int k = 0; k < result.n_values; k++)
            pooled->value[i][k] = (double)result.value[k];
    }
}

static void hear_failure(void *context, struct pool_call *call, const struct error *why)
{
    struct pooled *pooled = context;
    CHECK_STR(pool_source(call)->route, "/v1/embeddings");
    pooled->n_failed++;
    pooled->why = *why;
}

static struct pool_listener listener_of_pool(struct pooled *pooled)
{
    *pooled = (struct pooled){0};
    return (struct pool_listener){.done = hear_done, .failed = hear_failure, .context = pooled};
}

static struct pool_request pool_for(enum pool_task task, const struct api_prompt *prompt, size_t n)
{
    return (struct pool_request){.source = {.request_id = "embd-1", .route = "/v1/embeddings"},
                                 .task = task,
                                 .prompt = prompt,
                                 .n_prompts = n,
                                 .add_special_tokens = true,
                                 .normalize = true,
                                 .truncate_prompt_tokens = SAMPLING_UNSAID,
                                 .priority = SAMPLING_UNSAID,
                                 .deadline_ms = SAMPLING_UNSAID};
}

static void pool_ask(struct server *server, const struct pool_request *request,
                     struct pooled *pooled)
{
    struct error err = {0};
    const struct pool_listener listener = listener_of_pool(pooled);
    if (api_pool(&server->api, request, &listener, &err) == NULL)
        test_fail(__FILE__, __LINE__, "refused: %s", err.text);
    server_hear(server);
}

static void check_pool_refused(struct server *server, const struct pool_request *request,
                               enum error_kind kind, const char *param, const char *word)
{
    struct pooled pooled;
    struct error err = {0};
    const struct pool_listener listener = listener_of_pool(&pooled);
    CHECK(api_pool(&server->api, request, &listener, &err) == NULL);
    CHECK_EQ(err.kind, kind);
    CHECK_STR(err.param, param);
    if (strstr(err.text, word) == NULL)
        test_fail(__FILE__, __LINE__, "'%s' does not have '%s'", err.text, word);
    CHECK_EQ(server->admission.n_in_flight, 0);
}

static void open_model(struct server *server, int n_labels)
{
    server_open(server);
    server->api.model.head.pooling = POOLING_LAST;
    server->api.model.head.n_labels = n_labels;
    server->api.model.hidden_size = 4;
}

static void check_near(double got, double want)
{
    if (!(fabs(got - want) < 1e-6))
        test_fail(__FILE__, __LINE__, "%.9g, want %.9g", got, want);
}

TEST(an_embedding_is_the_vector_of_a_text_normalised_and_cut)
{
    struct server server;
    struct pooled pooled;
    open_model(&server, 0);
    const struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
    struct pool_request request = pool_for(POOL_EMBED, prompt, 2);
    request.dimensions = 2;
    pool_ask(&server, &request, &pooled);
    CHECK_EQ(server.n_held, 2);
    CHECK_EQ(server.held[0].pooling, POOLING_LAST);
    const int n_tokens = server.held[0].n_prompt + server.held[1].n_prompt;
    server_pooled(&server, 1, (const float[]){0, 5, 1, 1}, 4); /* in any order */
    CHECK_EQ(pooled.n_done, 0);
    server_pooled(&server, 0, (const float[]){3, 4, 9, 9}, 4);
    CHECK_EQ(pooled.n_done, 1);
    CHECK_EQ(pooled.n_results, 2);
    CHECK_EQ(pooled.n_values[0], 2);
    check_near(pooled.value[0][0], 0.6);
    check_near(pooled.value[0][1], 0.8);
    check_near(pooled.value[1][1], 1);
    CHECK_EQ(pooled.usage.prompt_tokens, n_tokens);
    CHECK_EQ(pooled.usage.completion_tokens, 0);
    request.normalize = false;
    request.dimensions = 0;
    pool_ask(&server, &request, &pooled);
    server_pooled(&server, 0, (const float[]){3, 4, 9, 9}, 4);
    server_pooled(&server, 0, (const float[]){0, 5, 1, 1}, 4);
    CHECK_EQ(pooled.n_values[1], 4);
    check_near(pooled.value[0][3], 9);
    server_close(&server);
}

TEST(a_score_without_a_head_is_the_cosine_and_a_query_is_asked_once)
{
    struct server server;
    struct pooled pooled;
    open_model(&server, 0);
    const struct api_prompt query[] = {text_of("Who?"), text_of("Who?")};
    const struct api_prompt document[] = {text_of("One"), text_of("Two")};
    struct pool_request request = pool_for(POOL_SCORE, query, 2);
    request.pair = document;
    pool_ask(&server, &request, &pooled);
    CHECK_EQ(server.n_held, 3);
    server_pooled(&server, 0, (const float[]){1, 0}, 2);
    server_pooled(&server, 0, (const float[]){3, 4}, 2);
    server_pooled(&server, 0, (const float[]){-2, 0}, 2);
    CHECK_EQ(pooled.n_results, 2);
    CHECK_EQ(pooled.n_values[0], 1);
    check_near(pooled.value[0][0], 0.6);
    check_near(pooled.value[1][0], -1);
    server_close(&server);
}

TEST(a_head_of_one_output_reads_a_pair_as_one_text)
{
    struct server server;
    struct pooled pooled;
    open_model(&server, 1);
    const struct api_prompt query = text_of("Who?"), document = text_of("One of us");
    struct pool_request request = pool_for(POOL_SCORE, &query, 1);
    request.pair = &document;
    pool_ask(&server, &request, &pooled);
    CHECK_EQ(server.n_held, 1);
    server_pooled(&server, 0, (const float[]){0}, 1);
    check_near(pooled.value[0][0], 0.5);
    request.normalize = false; /* the number of the head as it is */
    pool_ask(&server, &request, &pooled);
    server_pooled(&server, 0, (const float[]){-3}, 1);
    check_near(pooled.value[0][0], -3);
    request.truncate_prompt_tokens = 3;
    pool_ask(&server, &request, &pooled);
    CHECK_EQ(server.held[0].n_prompt, 3);
    server_pooled(&server, 0, (const float[]){0}, 1);
    server_close(&server);
}

TEST(labels_have_probabilities)
{
    struct server server;
    struct pooled pooled;
    open_model(&server, 2);
    const struct api_prompt prompt = text_of("One");
    const struct pool_request request = pool_for(POOL_CLASSIFY, &prompt, 1);
    pool_ask(&server, &request, &pooled);
    server_pooled(&server, 0, (const float[]){0, logf(3)}, 2);
    check_near(pooled.value[0][0], 0.25);
    check_near(pooled.value[0][1], 0.75);
    server_close(&server);
}

TEST(what_a_model_has_no_head_for_is_not_supported)
{
    struct server server;
    const struct api_prompt prompt = text_of("One");
    struct pool_request request = pool_for(POOL_CLASSIFY, &prompt, 1);
    open_model(&server, 0);
    check_pool_refused(&server, &request, ERROR_UNSUPPORTED, "", "no head");
    server.api.model.head.n_labels = 3;
    request.task = POOL_EMBED;
    check_pool_refused(&server, &request, ERROR_UNSUPPORTED, "", "3 outputs");
    request.task = POOL_SCORE;
    check_pool_refused(&server, &request, ERROR_UNSUPPORTED, "", "3 outputs");
    server_close(&server);
}

TEST(inputs_to_pool_are_refused_by_name)
{
    struct server server;
    static struct api_prompt prompt[MAX_HELD + 1];
    open_model(&server, 0);
    for (int i = 0; i <= MAX_HELD; i++)
        prompt[i] = text_of("One");
    struct pool_request request = pool_for(POOL_EMBED, prompt, 0);
    check_pool_refused(&server, &request, ERROR_INPUT, "input", "1 to 2048");
    request.n_prompts = MAX_HELD + 1;
    check_pool_refused(&server, &request, ERROR_INPUT, "input", "64 sequences");
    request.n_prompts = 1;
    request.dimensions = 5;
    check_pool_refused(&server, &request, ERROR_INPUT, "dimensions", "[1, 4]");
    request.dimensions = 0;
    request.model = "x";
    check_pool_refused(&server, &request, ERROR_INPUT, "model", "does not exist");
    request.model = NULL;
    request.task = POOL_SCORE;
    check_pool_refused(&server, &request, ERROR_INPUT, "input", "two texts");
    static const int64_t many[CONTEXT + 1];
    const struct api_prompt ids = {.id = many, .n_ids = CONTEXT + 1};
    request = pool_for(POOL_EMBED, &ids, 1);
    check_pool_refused(&server, &request, ERROR_INPUT, "input", "maximum context length is 256");
    server_close(&server);
}

TEST(a_text_of_a_pair_is_refused_by_the_name_of_its_field)
{
    static const int64_t none[] = {1 << 30}, many[CONTEXT + 1];
    static const struct api_prompt wrong[] = {{.id = none, .n_ids = 1},
                                              {.id = many, .n_ids = CONTEXT + 1}};
    static const char *const words[] = {"is no token", "maximum context length"};
    static const char *const names[] = {"text_1", "text_2"};
    struct server server;
    open_model(&server, 0);
    for (int i = 0; i < 2; i++)
        for (int at = 0; at < 2; at++) {
            struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
            prompt[at] = wrong[i];
            prompt[0].param = names[0];
            prompt[1].param = names[1];
            struct pool_request request = pool_for(POOL_SCORE, &prompt[0], 1);
            request.pair = &prompt[1];
            check_pool_refused(&server, &request, ERROR_INPUT, names[at], words[i]);
        }
    server_close(&server);
}

TEST(a_model_that_reads_pairs_names_the_text_that_is_none)
{
    static const int64_t ids[] = {5};
    struct server server;
    open_model(&server, 1);
    for (int at = 0; at < 2; at++) {
        struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
        prompt[at] = (struct api_prompt){.id = ids, .n_ids = 1};
        prompt[0].param = "query";
        prompt[1].param = "documents";
        struct pool_request request = pool_for(POOL_SCORE, &prompt[0], 1);
        request.pair = &prompt[1];
        check_pool_refused(&server, &request, ERROR_INPUT, prompt[at].param, "wants texts");
    }
    server_close(&server);
}

TEST(a_text_may_fill_the_context_and_can_be_cut_to_it)
{
    struct server server;
    struct pooled pooled;
    static const int64_t many[CONTEXT + 1];
    open_model(&server, 0);
    struct api_prompt ids = {.id = many, .n_ids = CONTEXT};
    struct pool_request request = pool_for(POOL_EMBED, &ids, 1);
    pool_ask(&server, &request, &pooled);
    CHECK_EQ(server.held[0].n_prompt, CONTEXT);
    server_pooled(&server, 0, (const float[]){1}, 1);
    ids.n_ids = CONTEXT + 1;
    request.truncate_prompt_tokens = -1;
    pool_ask(&server, &request, &pooled);
    CHECK_EQ(server.held[0].n_prompt, CONTEXT);
    server_pooled(&server, 0, (const float[]){1}, 1);
    server_close(&server);
}

TEST(a_vector_that_comes_too_late_or_not_at_all_fails_the_call)
{
    struct server server;
    struct pooled pooled;
    struct error why = {0};
    open_model(&server, 0);
    const struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
    struct pool_request request = pool_for(POOL_EMBED, prompt, 2);
    request.deadline_ms = 10;
    pool_ask(&server, &request, &pooled);
    server_end(&server, 0, FINISH_ABORT);
    CHECK_EQ(pooled.n_failed, 1);
    CHECK_STR(pooled.why.code, "deadline_exceeded");
    server_hear(&server);
    CHECK_EQ(server.n_held, 0);
    pool_ask(&server, &request, &pooled);
    error_set(&why, ERROR_SYSTEM, "broken");
    server_fail(&server, 0, &why);
    CHECK_EQ(pooled.n_failed, 1);
    CHECK_STR(pooled.why.text, "broken");
    server_hear(&server);
    server_close(&server);
}

TEST(pooling_can_be_cancelled)
{
    struct server server;
    struct pooled pooled;
    struct error err = {0};
    open_model(&server, 0);
    const struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
    const struct pool_request request = pool_for(POOL_EMBED, prompt, 2);
    const struct pool_listener listener = listener_of_pool(&pooled);
    struct pool_call *call = api_pool(&server.api, &request, &listener, &err);
    server_hear(&server);
    server_pooled(&server, 0, (const float[]){1}, 1);
    pool_cancel(call);
    server_hear(&server);
    CHECK_EQ(server.n_held, 0);
    CHECK_EQ(pooled.n_done + pooled.n_failed, 0);
    server_close(&server);
}

static uint64_t count_of(const struct metrics_histogram *histogram)
{
    uint64_t n = 0;
    for (int i = 0; i <= histogram->n_bounds; i++)
        n += histogram->count[i];
    return n;
}

TEST(a_vector_is_the_end_of_its_prompt_in_the_metrics)
{
    struct server server;
    struct pooled pooled;
    open_model(&server, 0);
    const struct api_prompt prompt = text_of("one");
    const struct pool_request request = pool_for(POOL_EMBED, &prompt, 1);
    const float value[] = {3, 4};
    pool_ask(&server, &request, &pooled);
    const int n_prompt = server.held[0].n_prompt;
    server_begins(&server, 0);
    server_pooled(&server, 0, value, 2);
    CHECK_EQ(server.metrics.prompt_tokens, n_prompt);
    CHECK_EQ(server.metrics.generation_tokens, 0);
    CHECK_EQ(count_of(&server.metrics.first_token_s), 0);
    CHECK_EQ(count_of(&server.metrics.queue_s), 1);
    CHECK_EQ(count_of(&server.metrics.prefill_s), 1);
    CHECK_EQ(count_of(&server.metrics.inference_s), 1);
    server_close(&server);
}
