#include "base/memory.h"
#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

#include <string.h>

TEST(an_answer_is_told_token_by_token_and_then_its_end)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt = text_of("Once upon a time");
    const struct generate_request request = ask_for(&prompt, 1);
    const struct generate_call *call = ask(&server, &request, &heard);
    CHECK_EQ(server.n_held, 1);
    CHECK_EQ(server.held[0].max_tokens, 16);
    CHECK_EQ(server.held[0].n_prompt, (int)generate_prompt_ids(call, 0)->n);
    size_t n_bytes;
    CHECK_STR(generate_prompt_text(call, 0, &n_bytes), "Once upon a time");
    CHECK_EQ(n_bytes, 16);
    const int n_prompt = server.held[0].n_prompt;
    server_token(&server, 0, 300, FINISH_NONE);
    CHECK_EQ(heard.n_progress, 1);
    server_token(&server, 0, 301, FINISH_NONE);
    server_token(&server, 0, 302, FINISH_LENGTH);
    CHECK_EQ(heard.n_progress, 3);
    CHECK_EQ(heard.n_done, 1);
    CHECK_EQ(heard.n_failed, 0);
    CHECK_EQ(heard.usage.prompt_tokens, n_prompt);
    CHECK_EQ(heard.usage.completion_tokens, 3);
    CHECK(strlen(heard.text) > 0);
    server_close(&server);
}

TEST(the_end_comes_after_the_last_choice_of_the_last_prompt)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
    struct generate_request request = ask_for(prompt, 2);
    request.sampling.n = 2;
    request.source.tenant = 7;
    request.sampling.priority = 3;
    const struct generate_call *call = ask(&server, &request, &heard);
    CHECK_EQ(server.n_held, 4);
    CHECK_EQ(server.admission.n_in_flight, 4);
    CHECK_EQ(generate_prompts(call), 2);
    CHECK_EQ(generate_choices(call), 2);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(server.held[i].choice, i % 2);
        CHECK_EQ(server.held[i].tenant, 7);
        CHECK_EQ(server.held[i].priority, 3);
    }
    for (int i = 3; i >= 0; i--) {
        CHECK_EQ(heard.n_done, 0);
        server_token(&server, i, 300, FINISH_STOP);
    }
    CHECK_EQ(heard.n_done, 1);
    CHECK_EQ(heard.usage.completion_tokens, 4);
    server_close(&server);
}

/* Seeds of two requests, of which the second says -1. */
static void two_seeds(uint64_t seed[2], uint64_t from)
{
    struct server server;
    struct heard heard[2];
    server_open(&server);
    server.api.seeds = (struct api_seeds){.are_given = true, .from = from};
    const struct api_prompt prompt = text_of("Once upon a time");
    struct generate_request request = ask_for(&prompt, 1);
    for (int i = 0; i < 2; i++) {
        request.sampling.seed = i == 0 ? SAMPLING_UNSAID : -1;
        ask(&server, &request, &heard[i]);
        seed[i] = server.held[0].seed;
        server_token(&server, 0, 300, FINISH_STOP);
    }
    server_close(&server);
}

TEST(with_a_seed_of_the_server_the_same_requests_have_the_same_seeds_in_each_run)
{
    uint64_t first[2], again[2], other[2];
    two_seeds(first, 3);
    two_seeds(again, 3);
    two_seeds(other, 4);
    CHECK(first[0] != first[1] && first[0] != other[0] && first[1] != other[1]);
    CHECK(first[0] == again[0] && first[1] == again[1]);
    CHECK(first[0] < (uint64_t)1 << 53);
}

TEST(a_request_that_is_refused_takes_no_seed_of_the_server)
{
    uint64_t first[2];
    struct server server;
    struct heard heard;
    two_seeds(first, 3);
    server_open(&server);
    server.api.seeds = (struct api_seeds){.are_given = true, .from = 3};
    const struct api_prompt prompt = text_of("Once upon a time");
    struct generate_request request = ask_for(&prompt, 1);
    request.model = "another";
    check_refused(&server, &request, ERROR_INPUT, "model_not_found", "model", "another");
    request.model = NULL;
    ask(&server, &request, &heard);
    CHECK_EQ(server.held[0].seed, first[0]);
    server_token(&server, 0, 300, FINISH_STOP);
    server_close(&server);
}

TEST(a_seed_of_a_batch_counts_also_where_its_line_says_minus_one)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt = text_of("Once upon a time");
    struct generate_request request = ask_for(&prompt, 1);
    request.source.seed = 77;
    request.sampling.seed = -1;
    ask(&server, &request, &heard);
    CHECK_EQ(server.held[0].seed, 77);
    server_token(&server, 0, 300, FINISH_STOP);
    server_close(&server);
}

TEST(equal_prompts_have_seeds_of_their_own_unless_the_user_said_one)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt[] = {text_of("One"), text_of("One")};
    struct generate_request request = ask_for(prompt, 2);
    request.sampling.n = 2;
    generate_cancel(ask(&server, &request, &heard));
    for (int i = 1; i < 4; i++)
        CHECK_EQ(server.held[i].seed, server.held[0].seed + (uint64_t)i);
    server_hear(&server);
    request.sampling.seed = 5;
    generate_cancel(ask(&server, &request, &heard));
    for (int i = 0; i < 4; i++)
        CHECK_EQ(server.held[i].seed, 5 + (uint64_t)(i % 2));
    server_hear(&server);
    server_close(&server);
}

TEST(a_choice_that_fails_ends_the_whole_call_with_its_error)
{
    struct server server;
    struct heard heard;
    struct error why = {0};
    server_open(&server);
    const struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
    struct generate_request request = ask_for(prompt, 2);
    request.sampling.n = 2;
    ask(&server, &request, &heard);
    error_set(&why, ERROR_SYSTEM, "no finite number");
    error_code(&why, "non_finite_logits");
    server_token(&server, 2, 300, FINISH_NONE);
    server_fail(&server, 1, &why);
    CHECK_EQ(heard.n_failed, 1);
    CHECK_EQ(heard.n_done, 0);
    CHECK_EQ(heard.why.kind, ERROR_SYSTEM);
    CHECK_STR(heard.why.text, "no finite number");
    CHECK_STR(heard.why.code, "non_finite_logits");
    server_hear(&server);
    CHECK_EQ(server.n_held, 0); /* the others are cancelled */
    server_close(&server);
}

TEST(a_deadline_that_was_asked_for_is_an_error_of_the_whole_call)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt = text_of("Once upon a time");
    struct generate_request request = ask_for(&prompt, 1);
    request.sampling.deadline_ms = 1500;
    ask(&server, &request, &heard);
    server_token(&server, 0, 300, FINISH_NONE);
    server_end(&server, 0, FINISH_ABORT);
    CHECK_EQ(heard.n_failed, 1);
    CHECK_STR(heard.why.code, "deadline_exceeded");
    CHECK_STR(heard.why.param, "deadline_ms");
    CHECK(strstr(heard.why.text, "1500 ms") != NULL);
    server_close(&server);
}

TEST(a_listener_that_has_enough_ends_its_choice_and_the_call_is_done)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt = text_of("Once upon a time");
    const struct generate_request request = ask_for(&prompt, 1);
    ask(&server, &request, &heard);
    heard.wants_more = false;
    server_token(&server, 0, 300, FINISH_NONE);
    CHECK_EQ(heard.n_done, 1);
    server_hear(&server);
    CHECK_EQ(server.n_held, 0);
    server_close(&server);
}

TEST(a_call_can_be_cancelled_in_every_state)
{
    const struct api_prompt prompt[] = {text_of("One"), text_of("Two")};
    struct error why = {0};
    error_set(&why, ERROR_SYSTEM, "broken");
    for (int state = 0; state < 5; state++) {
        struct server server;
        struct heard heard;
        struct error err = {0};
        const struct generate_listener listener = listener_of(&heard);
        bool all_sent;
        server_open(&server);
        const struct generate_request request = ask_for(prompt, 2);
        struct generate_call *call = api_generate(&server.api, &request, &listener, &err);
        if (state > 0) /* the engine has it */
            server_hear(&server);
        if (state > 1) /* an answer has begun */
            server_token(&server, 0, 300, FINISH_NONE);
        if (state > 2) /* one has ended */
            server_token(&server, 0, 300, FINISH_STOP);
        if (state > 3) { /* the other one has failed, and its user was not told */
            const struct link_event event = {
                .kind = LINK_FAILED, .failed_id = server.held[0].id, .failure = why};
            CHECK(link_send_event(server.engine, &event, &err));
            CHECK(link_flush(server.engine, &all_sent, &err));
            CHECK(dispatch_take(server.api.dispatch, 0, 0, &err));
        }
        generate_cancel(call);
        CHECK_EQ(server.admission.n_in_flight, 0);
        server_settle(&server);
        CHECK_EQ(heard.n_done + heard.n_failed, 0);
        server_close(&server);
    }
}

TEST(the_end_of_a_call_may_ask_the_next_question_and_cancel_another)
{
    struct server server;
    struct heard first, second;
    server_open(&server);
    const struct api_prompt prompt = text_of("Once upon a time");
    const struct generate_request request = ask_for(&prompt, 1);
    ask(&server, &request, &first);
    struct generate_call *other = ask(&server, &request, &second);
    server_token(&server, 0, 300, FINISH_STOP);
    CHECK_EQ(first.n_done, 1);
    generate_cancel(other);
    server_hear(&server);
    CHECK_EQ(server.n_held, 0);
    server_close(&server);
}

TEST(a_chat_becomes_a_prompt_by_its_template_and_answers_as_long_as_fits)
{
    struct server server;
    struct heard heard;
    server_open(&server);
    json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", "Hello");
    struct generate_request request = ask_for(NULL, 0);
    request.messages = messages;
    request.add_generation_prompt = true;
    request.default_max_tokens = INT32_MAX;
    struct generate_call *call = ask(&server, &request, &heard);
    size_t n_bytes;
    CHECK(generate_prompt_text(call, 0, &n_bytes) == NULL);
    CHECK(server.held[0].n_prompt > 3);
    CHECK_EQ(server.held[0].max_tokens, CONTEXT - server.held[0].n_prompt);
    generate_cancel(call);
    server_hear(&server);
    json_decref(messages);
    server_close(&server);
}

TEST(prompts_of_ids_go_as_they_are_and_can_be_cut)
{
    struct server server;
    struct heard heard;
    static int64_t id[CONTEXT * 2];
    for (int i = 0; i < CONTEXT * 2; i++)
        id[i] = 100 + i;
    server_open(&server);
    const struct api_prompt prompt = {.id = id, .n_ids = CONTEXT * 2};
    struct generate_request request = ask_for(&prompt, 1);
    request.truncate_prompt_tokens = 10;
    generate_cancel(ask(&server, &request, &heard));
    CHECK_EQ(server.held[0].n_prompt, 10);
    CHECK_EQ(server.held[0].last, 100 + CONTEXT * 2 - 1);
    server_hear(&server);
    request.truncate_prompt_tokens = -1; /* what fits beside the 16 tokens of answer */
    generate_cancel(ask(&server, &request, &heard));
    CHECK_EQ(server.held[0].n_prompt, CONTEXT - 16);
    server_hear(&server);
    server_close(&server);
}
