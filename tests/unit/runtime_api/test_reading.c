/* Many prompts are read in slices: here each slice is one prompt. */
#include "runtime/api/pool.h"
#include "runtime/api/sleep.h"

#include "base/error.h"
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

#include <stdio.h>
#include <string.h>

enum { N = 5 };
static const char *const texts[N] = {"the cat", "the dog", "once upon a time", "a", "the end"};

static void open_sliced(struct server *server, struct api_prompt prompt[N])
{
    server_open(server);
    server->api.reading_slice_ns = 1;
    for (int i = 0; i < N; i++)
        prompt[i] = text_of(texts[i]);
}

/* Turns of the loop until there is nothing to read. */
static int read_on(struct server *server)
{
    int n = 0;
    while (server->api.reading.first != NULL) {
        CHECK(api_settle(&server->api));
        n++;
    }
    server_hear(server);
    return n;
}

TEST(prompts_are_read_one_slice_a_turn_and_sent_when_all_are)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard;
    open_sliced(&server, prompt);
    const struct generate_request request = ask_for(prompt, N);
    ask(&server, &request, &heard);
    for (int i = 1; i < N - 1; i++) {
        CHECK(api_settle(&server.api));
        server_hear(&server);
        CHECK_EQ(server.n_held, 0);
    }
    CHECK_EQ(server.admission.n_in_flight, N);
    CHECK_EQ(read_on(&server), 1);
    CHECK_EQ(server.n_held, N);
    CHECK(!api_settle(&server.api));
    while (server.n_held > 0)
        server_end(&server, 0, FINISH_STOP);
    CHECK_EQ(heard.n_done, 1);
    server_close(&server);
}

static void check_same_in_slices(const struct held *held)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard;
    open_sliced(&server, prompt);
    const struct generate_request request = ask_for(prompt, N);
    struct generate_call *call = ask(&server, &request, &heard);
    read_on(&server);
    for (int i = 0; i < N; i++) {
        size_t n_bytes;
        CHECK_EQ(server.held[i].n_prompt, held[i].n_prompt);
        CHECK_EQ(server.held[i].first, held[i].first);
        CHECK_EQ(server.held[i].last, held[i].last);
        CHECK_STR(generate_prompt_text(call, i, &n_bytes), texts[i]);
        CHECK_EQ(n_bytes, strlen(texts[i]));
    }
    generate_cancel(call);
    server_close(&server);
}

TEST(order_ids_and_texts_are_those_of_prompts_that_are_read_at_once)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard;
    open_sliced(&server, prompt);
    server.api.reading_slice_ns = 0;
    const struct generate_request request = ask_for(prompt, N);
    struct generate_call *call = ask(&server, &request, &heard);
    CHECK_EQ(server.n_held, N);
    check_same_in_slices(server.held);
    generate_cancel(call);
    server_close(&server);
}

TEST(what_the_caller_gave_is_not_looked_at_after_it_returned)
{
    struct server server;
    struct heard heard;
    char text[N][24];
    int64_t id[N] = {5, 6, 7, 8, 9};
    struct api_prompt prompt[N];
    open_sliced(&server, prompt);
    for (int i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i], "word %d", i);
        prompt[i] = i % 2 == 0 ? text_of(text[i]) : (struct api_prompt){.id = &id[i], .n_ids = 1};
    }
    const struct generate_request request = ask_for(prompt, N);
    struct generate_call *call = ask(&server, &request, &heard);
    memset(text, 'x', sizeof text);
    memset(id, -1, sizeof id);
    memset(prompt, -1, sizeof prompt);
    read_on(&server);
    size_t n_bytes;
    CHECK_STR(generate_prompt_text(call, 4, &n_bytes), "word 4");
    CHECK_EQ(server.held[3].first, 8);
    generate_cancel(call);
    server_close(&server);
}

TEST(a_short_request_is_answered_while_a_long_one_is_read)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard, other;
    open_sliced(&server, prompt);
    const struct generate_request request = ask_for(prompt, N), one = ask_for(prompt, 1);
    struct generate_call *call = ask(&server, &request, &heard);
    ask(&server, &one, &other);
    CHECK_EQ(server.n_held, 1);
    server_end(&server, 0, FINISH_STOP);
    CHECK_EQ(other.n_done, 1);
    CHECK(server.api.reading.first != NULL);
    generate_cancel(call);
    server_close(&server);
}

TEST(two_long_requests_are_read_by_turns)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard first, second;
    open_sliced(&server, prompt);
    const struct generate_request request = ask_for(prompt, N), shorter = ask_for(prompt, 3);
    struct generate_call *call = ask(&server, &request, &first);
    struct generate_call *other = ask(&server, &shorter, &second);
    for (int i = 0; i < 4; i++)
        api_settle(&server.api);
    server_hear(&server);
    CHECK_EQ(server.n_held, 3); /* the shorter one, though it came later */
    CHECK_EQ(read_on(&server), 2);
    CHECK_EQ(server.n_held, N + 3);
    generate_cancel(call);
    generate_cancel(other);
    server_close(&server);
}

TEST(a_prompt_that_is_refused_late_fails_the_call_and_nothing_of_it_is_sent)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard;
    const int64_t no_token = 2048;
    open_sliced(&server, prompt);
    prompt[N - 1] = (struct api_prompt){.id = &no_token, .n_ids = 1};
    const struct generate_request request = ask_for(prompt, N);
    ask(&server, &request, &heard);
    read_on(&server);
    CHECK_EQ(server.n_held, 0);
    CHECK_EQ(heard.n_failed, 1);
    CHECK_EQ(heard.why.kind, ERROR_INPUT);
    CHECK_STR(heard.why.param, "prompt");
    server_close(&server);
}

TEST(one_that_is_cancelled_is_read_no_further)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard;
    open_sliced(&server, prompt);
    const struct generate_request request = ask_for(prompt, N);
    struct generate_call *call = ask(&server, &request, &heard);
    CHECK(api_settle(&server.api));
    generate_cancel(call);
    CHECK(!api_settle(&server.api));
    server_hear(&server);
    CHECK_EQ(server.n_held + heard.n_done + heard.n_failed, 0);
    server_close(&server);
}

TEST(its_deadline_ends_it_while_it_is_read)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard;
    open_sliced(&server, prompt);
    struct generate_request request = ask_for(prompt, N);
    request.sampling.deadline_ms = 1;
    ask(&server, &request, &heard);
    system_sleep_ns(2000000);
    CHECK(api_settle(&server.api));
    CHECK_EQ(heard.n_failed, 1);
    CHECK_STR(heard.why.code, "deadline_exceeded");
    server_hear(&server);
    CHECK_EQ(server.n_held, 0);
    server_close(&server);
}

TEST(a_server_that_gives_up_fails_what_is_not_read)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard;
    struct error why = {0};
    open_sliced(&server, prompt);
    const struct generate_request request = ask_for(prompt, N);
    ask(&server, &request, &heard);
    error_set(&why, ERROR_LIMIT, "the server is ended");
    api_give_up(&server.api, &why);
    api_settle(&server.api);
    CHECK_EQ(heard.n_failed, 1);
    CHECK_STR(heard.why.text, "the server is ended");
    server_close(&server);
}

static void ignore_sleep(void *context, const struct error *why) { (void)context, (void)why; }

TEST(a_model_that_goes_to_sleep_is_not_waited_for_by_what_is_not_read)
{
    struct server server;
    struct api_prompt prompt[N];
    struct heard heard;
    struct error err = {0};
    open_sliced(&server, prompt);
    const struct generate_request request = ask_for(prompt, N);
    ask(&server, &request, &heard);
    struct sleep_waiter *sleep = api_sleep(&server.api, LINK_NO_CACHE, ignore_sleep, NULL, &err);
    CHECK(sleep != NULL);
    sleep_cancel(sleep);
    api_settle(&server.api);
    CHECK_EQ(heard.n_failed, 1);
    CHECK_STR(heard.why.code, "sleeping");
    server_close(&server);
}

static void count_pool(void *context, struct pool_call *call)
{
    *(int *)context += pool_results(call);
}

static void count_failed_pool(void *context, struct pool_call *call, const struct error *why)
{
    (void)call, (void)why;
    *(int *)context = -1;
}

TEST(pairs_are_read_in_slices_too_and_their_query_once)
{
    static const float value[] = {1, 0};
    struct server server;
    struct api_prompt prompt[N], query[N];
    struct error err = {0};
    int n_results = 0;
    open_sliced(&server, prompt);
    server.api.model.head.pooling = POOLING_LAST;
    for (int i = 0; i < N; i++)
        query[i] = text_of("who?");
    const struct pool_request request = {.source = {.request_id = "score-1", .route = "/v1/score"},
                                         .task = POOL_SCORE,
                                         .prompt = query,
                                         .pair = prompt,
                                         .n_prompts = N,
                                         .add_special_tokens = true,
                                         .truncate_prompt_tokens = SAMPLING_UNSAID,
                                         .priority = SAMPLING_UNSAID,
                                         .deadline_ms = SAMPLING_UNSAID};
    const struct pool_listener listener = {
        .done = count_pool, .failed = count_failed_pool, .context = &n_results};
    CHECK(api_pool(&server.api, &request, &listener, &err) != NULL);
    CHECK_EQ(read_on(&server), N);
    CHECK_EQ(server.n_held, N + 1);
    while (server.n_held > 0)
        server_pooled(&server, 0, value, 2);
    CHECK_EQ(n_results, N);
    server_close(&server);
}
