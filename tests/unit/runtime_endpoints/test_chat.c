#include "tests/test.h"
#include "tests/unit/runtime_endpoints/fake_api.h"

#include <string.h>

#define OBJECT(name)                                                   \
    "{\"id\":\"chatcmpl-test\",\"object\":\"" name "\",\"created\":0," \
    "\"model\":\"tiny\",\"choices\":["
#define CHUNK "data: " OBJECT("chat.completion.chunk")

static const char path[] = "/v1/chat/completions";
static const char hello[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}";

/* A body of hello with more members. */
static void ask(struct fake *fake, const char *more)
{
    char body[2048];
    snprintf(body, sizeof body, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]%s%s}",
             *more != '\0' ? "," : "", more);
    fake_call(fake, "POST", path, body);
}

TEST(a_chat_is_the_object_that_clients_know)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, hello);
    CHECK_STR(fake->asked_json.data, "[{\"role\":\"user\",\"content\":\"hi\"}]\n");
    CHECK_EQ(fake->asked.default_max_tokens, INT32_MAX);
    CHECK(fake->asked.add_generation_prompt);
    CHECK(!fake->asked.add_special_tokens);
    CHECK_STR(fake->asked.source.request_id, "chatcmpl-test");
    fake_say(fake, 0, 0, "Hello\n");
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    check_body(
        fake, 200,
        OBJECT("chat.completion") "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                                  "\"Hello\\n\","
                                  "\"refusal\":null,\"annotations\":null,\"audio\":null,\"function_"
                                  "call\":null,"
                                  "\"reasoning\":null},\"logprobs\":null,"
                                  "\"finish_reason\":\"stop\","
                                  "\"stop_reason\":null,\"token_ids\":null}],\"service_tier\":null,"
                                  "\"system_fingerprint\":null,\"usage\":{\"prompt_tokens\":4,"
                                  "\"total_tokens\":6,"
                                  "\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_"
                                  "tokens\":1}},"
                                  "\"prompt_logprobs\":null,\"prompt_token_ids\":null,\"prompt_"
                                  "text\":null,\"kv_"
                                  "transfer_params\":null}");
    fake_close(fake);
}

TEST(the_first_chunk_of_a_choice_has_the_role_and_the_last_one_why_it_ended)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true,\"n\":2");
    fake_say(fake, 0, 1, " a");
    fake_say(fake, 0, 0, " b");
    fake_end(fake, 0, 1, FINISH_STOP);
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    check_stream(fake, CHUNK "{\"index\":1,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                             "\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
                             "{\"index\":1,\"delta\":{\"content\":\" a\"},"
                             "\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
                             "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                             "\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
                             "{\"index\":0,\"delta\":{\"content\":\" b\"},"
                             "\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
                             "{\"index\":1,\"delta\":{\"content\":\"\"},\"logprobs\":null,"
                             "\"finish_reason\":\"stop\",\"stop_reason\":null}]}\n\n" CHUNK
                             "{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,"
                             "\"finish_reason\":\"length\",\"stop_reason\":null}]}\n\n"
                             "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(the_end_of_a_choice_that_nobody_told_is_sent_before_done)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true");
    fake_done(fake);
    check_stream(fake, CHUNK "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                             "\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
                             "{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,"
                             "\"finish_reason\":\"abort\",\"stop_reason\":null}]}\n\n"
                             "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(a_stop_text_is_the_stop_reason_and_is_never_sent)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true,\"stop\":\" b c\"");
    fake_say(fake, 0, 0, " a b");
    CHECK(strstr(fake->heard.body.data, " b") == NULL);
    fake_say(fake, 0, 0, " c");
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data, "\"finish_reason\":\"stop\",\"stop_reason\":\" b c\"}") !=
          NULL);
    CHECK(strstr(fake->heard.body.data, "\"content\":\" a\"") != NULL);
    CHECK(strstr(fake->heard.body.data, "\"content\":\" b") == NULL);
    fake_close(fake);
}

TEST(log_probabilities_of_a_chat_have_the_chosen_token_first)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true,\"logprobs\":true,\"top_logprobs\":1");
    CHECK_EQ(fake->asked.sampling.logprobs, 1);
    fake_say_likely(fake, 0, 0, " a", -1.5f);
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    check_stream(fake,
                 CHUNK "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                       "\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
                       "{\"index\":0,\"delta\":{\"content\":\" a\"},\"logprobs\":{\"content\":["
                       "{\"token\":\" a\",\"logprob\":-1.5,\"bytes\":[32,97],\"top_logprobs\":["
                       "{\"token\":\" a\",\"logprob\":-1.5,\"bytes\":[32,97]}]}]},"
                       "\"finish_reason\":null}]}\n\n" CHUNK
                       "{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,"
                       "\"finish_reason\":\"length\",\"stop_reason\":null}]}\n\n"
                       "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(usage_comes_with_each_chunk_and_at_the_end_where_it_is_asked_for)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true,\"stream_options\":{\"include_usage\":true,"
              "\"continuous_usage_stats\":true}");
    fake_say(fake, 0, 0, " a b");
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data,
                 "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                 "\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4,"
                 "\"completion_tokens\":0}}\n\n") != NULL);
    CHECK(strstr(fake->heard.body.data,
                 "\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":4,\"total_tokens\":6,"
                 "\"completion_tokens\":2}}\n\n") != NULL);
    CHECK(strstr(fake->heard.body.data,
                 "\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"total_tokens\":6,"
                 "\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\n"
                 "data: [DONE]\n\n") != NULL);
    fake_close(fake);
}

TEST(usage_comes_with_no_chunk_where_none_is_asked_for_at_the_end)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true,\"stream_options\":{\"continuous_usage_stats\":true}");
    fake_say(fake, 0, 0, " a");
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data, "usage") == NULL);
    fake_close(fake);
}

TEST(the_prompt_of_a_streamed_chat_stands_beside_its_first_choice)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true,\"return_token_ids\":true,\"return_prompt_text\":true");
    fake_say(fake, 0, 0, " a");
    fake_done(fake);
    check_stream(fake,
                 CHUNK "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                       "\"logprobs\":null,\"finish_reason\":null}],\"prompt_token_ids\":"
                       "[0,264,300,83],\"prompt_text\":\"<|begin_of_text|>hello\"}\n\n" CHUNK
                       "{\"index\":0,\"delta\":{\"content\":\" a\"},\"logprobs\":null,"
                       "\"finish_reason\":null,\"token_ids\":[262]}]}\n\n" CHUNK
                       "{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,"
                       "\"finish_reason\":\"abort\",\"stop_reason\":null,\"token_ids\":[]}]}\n\n"
                       "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(a_streamed_echo_of_a_chat_is_a_chunk_behind_its_role)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"messages\":[{\"role\":\"assistant\",\"content\":\"I am\"}],\"echo\":true,"
              "\"stream\":true,\"add_generation_prompt\":false,\"continue_final_message\":true}");
    fake_done(fake);
    check_stream(fake, CHUNK "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                             "\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
                             "{\"index\":0,\"delta\":{\"content\":\"I am\"},\"logprobs\":null,"
                             "\"finish_reason\":null}]}\n\n" CHUNK
                             "{\"index\":0,\"delta\":{\"content\":\"\"},\"logprobs\":null,"
                             "\"finish_reason\":\"abort\",\"stop_reason\":null}]}\n\n"
                             "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(an_effort_says_whether_to_think_unless_the_request_does)
{
    static const char *const asked[][2] = {
        {"\"reasoning_effort\":\"none\"",
         "{\"reasoning_effort\":\"none\",\"enable_thinking\":false}\n"},
        {"\"reasoning_effort\":\"high\",\"chat_template_kwargs\":{\"enable_thinking\":false}",
         "{\"enable_thinking\":false,\"reasoning_effort\":\"high\"}\n"},
    };
    struct fake *fake = fake_open();
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        ask(fake, asked[i][0]);
        CHECK(strstr(fake->asked_json.data, asked[i][1]) != NULL);
        fake_done(fake);
        fake_forget(fake);
    }
    fake_close(fake);
}

TEST(an_id_of_the_body_is_that_of_the_answer_where_none_came_with_the_call)
{
    struct fake *fake = fake_open();
    ask(fake, "\"request_id\":\"123e4567-e89b-12d3-a456-426614174000\"");
    CHECK_STR(fake->asked.source.request_id, "chatcmpl-test");
    fake_done(fake);
    fake_forget(fake);
    fake->is_id_made_up = true;
    ask(fake, "\"request_id\":\"123e4567-e89b-12d3-a456-426614174000\"");
    CHECK_STR(fake->asked.source.request_id, "chatcmpl-123e4567-e89b-12d3-a456-426614174000");
    fake_done(fake);
    fake_close(fake);
}

TEST(what_is_said_of_a_chat_reaches_the_template)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":"
              "\"I am\"}]}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
              "\"tool_choice\":\"none\",\"documents\":[{\"text\":\"d\"}],"
              "\"chat_template_kwargs\":{\"a\":1},\"reasoning_effort\":\"low\",\"echo\":true,"
              "\"add_generation_prompt\":false,\"continue_final_message\":true}");
    CHECK_STR(fake->asked_json.data,
              "[{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"I am\"}]}]\n"
              "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]\n[{\"text\":\"d\"}]\n"
              "{\"a\":1,\"reasoning_effort\":\"low\",\"enable_thinking\":true}\n");
    CHECK_STR(fake->asked.tool_choice_none, "none");
    CHECK(!fake->asked.add_generation_prompt);
    CHECK(fake->asked.continue_final_message);
    fake_say(fake, 0, 0, " here");
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data, "\"content\":\"I am here\"") != NULL);
    fake_close(fake);
}

TEST(what_is_refused_before_it_begins_is_a_plain_error)
{
    struct fake *fake = fake_open();
    error_set(&fake->refusal, ERROR_LIMIT, "come back later");
    error_code(&fake->refusal, "queue_full");
    ask(fake, "\"stream\":true");
    check_body(fake, 429,
               "{\"error\":{\"message\":\"come back later\",\"type\":"
               "\"RateLimitError\",\"param\":null,\"code\":\"queue_full\"}}");
    CHECK_EQ(fake->heard.retry_after_s, 7);
    fake_forget(fake);
    fake->refusal = (struct error){0};
    ask(fake, "\"stream\":true");
    fake_fail(fake, ERROR_PEER, "engine_crash", "it broke");
    check_body(fake, 500,
               "{\"error\":{\"message\":\"it broke\",\"type\":"
               "\"InternalServerError\",\"param\":null,\"code\":\"engine_crash\"}}");
    CHECK_EQ(fake->heard.retry_after_s, 0);
    fake_close(fake);
}

TEST(what_fails_after_it_began_is_an_event_and_done)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true");
    fake_say(fake, 0, 0, " a");
    bytes_clear(&fake->heard.body);
    fake_fail(fake, ERROR_PEER, "engine_crash", "it broke");
    check_stream(fake, "data: {\"error\":{\"message\":\"it broke\",\"type\":"
                       "\"InternalServerError\",\"param\":null,\"code\":\"engine_crash\"}}\n\n"
                       "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(who_does_not_read_is_told_no_more_and_ends)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true,\"n\":2");
    fake->heard.deaf_after = 1;
    fake_say(fake, 0, 0, " a");
    fake_say(fake, 0, 1, " b");
    CHECK_EQ(fake->heard.n_events, 1);
    fake_done(fake);
    CHECK_EQ(fake->heard.n_events, 1);
    CHECK_EQ(fake->heard.n_ended, 1);
    fake_close(fake);
}

TEST(a_user_that_is_gone_cancels)
{
    struct fake *fake = fake_open();
    ask(fake, "\"stream\":true");
    fake_say(fake, 0, 0, " a");
    endpoints_cancel(fake->call);
    CHECK_EQ(fake->n_cancelled, 1);
    CHECK_EQ(fake->heard.n_ended, 0);
    fake_close(fake);
}

TEST(a_body_that_is_no_request_is_refused_with_its_field)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"messages\":\"hi\"}");
    check_body(fake, 400,
               "{\"error\":{\"message\":\"messages: a text where a list should be\",\"type\":"
               "\"BadRequestError\",\"param\":\"messages\",\"code\":400}}");
    fake_close(fake);
}

TEST(logprobs_of_a_whole_chat_and_its_prompt_are_given_back)
{
    struct fake *fake = fake_open();
    ask(fake, "\"logprobs\":true,\"prompt_logprobs\":0,\"return_token_ids\":true");
    fake_prompt_logprobs(fake, 0);
    fake_say_likely(fake, 0, 0, " a", -1.5f);
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data,
                 "\"logprobs\":{\"content\":[{\"token\":\" a\",\"logprob\":-1.5,\"bytes\":[32,97],"
                 "\"top_logprobs\":[]}]},\"finish_reason\":\"stop\",\"stop_reason\":null,"
                 "\"token_ids\":[262]}]") != NULL);
    CHECK(strstr(fake->heard.body.data, "\"prompt_logprobs\":[null,{\"") != NULL);
    CHECK(strstr(fake->heard.body.data, "\"prompt_token_ids\":[0,") != NULL);
    fake_close(fake);
}
