#include "tests/test.h"
#include "tests/unit/runtime_endpoints/fake_api.h"

#include <string.h>

#define HEAD                                                                                 \
    "{\"id\":\"cmpl-test\",\"object\":\"text_completion\",\"created\":0,\"model\":\"tiny\"," \
    "\"choices\":["
#define CHUNK "data: " HEAD

static const char path[] = "/v1/completions";

TEST(a_completion_is_the_object_that_clients_know)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"model\": \"tiny\", \"prompt\": \"Once upon\"}");
    CHECK_STR(fake->asked_text.data, "Once upon|");
    CHECK_STR(fake->asked_model, "tiny");
    CHECK_EQ(fake->asked.default_max_tokens, 16);
    CHECK(fake->asked.add_special_tokens);
    fake_say(fake, 0, 0, " a time");
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    check_body(fake, 200,
               HEAD "{\"index\":0,\"text\":\" a time\",\"logprobs\":null,\"finish_reason\":"
                    "\"length\",\"stop_reason\":null,\"token_ids\":null,\"prompt_logprobs\":null,"
                    "\"prompt_token_ids\":null}],\"service_tier\":null,"
                    "\"system_fingerprint\":null,\"usage\":{\"prompt_tokens\":3,"
                    "\"total_tokens\":5,\"completion_tokens\":2,\"prompt_tokens_details\":"
                    "{\"cached_tokens\":1}},\"kv_transfer_params\":null}");
    CHECK_STR(fake->heard.type, "application/json");
    fake_close(fake);
}

TEST(a_streamed_completion_is_a_chunk_a_token)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": [1, 2], \"stream\": true, \"stream_options\": "
              "{\"include_usage\": true}}");
    CHECK_EQ(fake->heard.n_begun, 0);
    fake_say(fake, 0, 0, " a time");
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    check_stream(fake, CHUNK
                 "{\"index\":0,\"text\":\" "
                 "a\",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null}]}\n\n" CHUNK
                 "{\"index\":0,\"text\":\" "
                 "time\",\"logprobs\":null,\"finish_reason\":null,\"stop_reason\":null}]}\n\n" CHUNK
                 "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\","
                 "\"stop_reason\":null}]}\n\n" CHUNK
                 "],\"usage\":{\"prompt_tokens\":2,\"total_tokens\":4,\"completion_tokens\":2,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\ndata: [DONE]\n\n");
    CHECK_STR(fake->heard.type, "text/event-stream; charset=utf-8");
    fake_close(fake);
}

TEST(choices_of_several_prompts_are_one_list)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"prompt\": [\"a\", \"b\"], \"n\": 2}");
    CHECK_STR(fake->asked_text.data, "a|b|");
    static const char *const texts[] = {" zero", " one", " two", " three"};
    for (int i = 0; i < 4; i++) {
        fake_say(fake, i / 2, i % 2, texts[i]);
        fake_end(fake, i / 2, i % 2, FINISH_STOP);
    }
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data, "{\"index\":0,\"text\":\" zero\"") != NULL);
    CHECK(strstr(fake->heard.body.data, ",{\"index\":1,\"text\":\" one\"") != NULL);
    CHECK(strstr(fake->heard.body.data, ",{\"index\":2,\"text\":\" two\"") != NULL);
    CHECK(strstr(fake->heard.body.data, ",{\"index\":3,\"text\":\" three\"") != NULL);
    fake_close(fake);
}

TEST(an_echo_has_the_prompt_with_its_log_probabilities_in_front)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": \"a b\", \"echo\": true, \"logprobs\": 1,"
              " \"add_special_tokens\": false}");
    CHECK_EQ(fake->asked.sampling.prompt_logprobs, 1);
    fake_prompt_logprobs(fake, 0);
    fake_say_likely(fake, 0, 0, " c", -1.5f);
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    check_body(fake, 200,
               HEAD "{\"index\":0,\"text\":\"a b c\",\"logprobs\":{\"text_offset\":[0,1,3],"
                    "\"token_logprobs\":[null,-1,-1.5],\"tokens\":[\"a\",\" b\",\" c\"],"
                    "\"top_logprobs\":[null,{\" b\":-1},{\" c\":-1.5,\"x\":-0.5}]},"
                    "\"finish_reason\":\"length\",\"stop_reason\":null,\"token_ids\":null,"
                    "\"prompt_logprobs\":[null,{\"290\":{\"logprob\":-1,\"rank\":1,"
                    "\"decoded_token\":\" b\"}}],\"prompt_token_ids\":null}],"
                    "\"service_tier\":null,\"system_fingerprint\":null,\"usage\":"
                    "{\"prompt_tokens\":2,\"total_tokens\":3,\"completion_tokens\":1,"
                    "\"prompt_tokens_details\":{\"cached_tokens\":1}},"
                    "\"kv_transfer_params\":null}");
    fake_close(fake);
}

TEST(an_echo_alone_has_no_answer)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"prompt\": [69, 290], \"echo\": true, \"max_tokens\": 0}");
    CHECK_EQ(fake->asked.sampling.max_tokens, 1);
    fake_say(fake, 0, 0, " c");
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data, " c\"") == NULL);
    CHECK(strstr(fake->heard.body.data, " b\",\"logprobs\":null,\"finish_reason\":\"length\"") !=
          NULL); /* ids are echoed as their text */
    CHECK(strstr(fake->heard.body.data, "\"completion_tokens\":0") != NULL);
    fake_close(fake);
}

TEST(a_streamed_echo_waits_for_the_log_probabilities_of_its_prompt)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": \"a b\", \"echo\": true, \"logprobs\": 0, \"stream\": true,"
              " \"add_special_tokens\": false, \"n\": 2}");
    fake_say_likely(fake, 0, 1, " d", -2); /* the second choice is first */
    CHECK_EQ(fake->heard.n_events, 0);
    fake_prompt_logprobs(fake, 0);
    CHECK_EQ(fake->heard.n_events, 0);
    fake_say_likely(fake, 0, 1, " e", -3);
    fake_end(fake, 0, 1, FINISH_LENGTH);
    fake_done(fake);
    check_stream(fake, CHUNK
                 "{\"index\":1,\"text\":\"a b d e\",\"logprobs\":{\"text_offset\":[0,1,3,5],"
                 "\"token_logprobs\":[null,-1,-2,-3],\"tokens\":[\"a\",\" b\",\" d\",\" e\"],"
                 "\"top_logprobs\":[null,{\" b\":-1},{\" d\":-2},{\" e\":-3}]},"
                 "\"finish_reason\":null,\"stop_reason\":null}]}\n\n" CHUNK
                 "{\"index\":1,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\","
                 "\"stop_reason\":null}]}\n\n" CHUNK
                 "{\"index\":0,\"text\":\"a b\",\"logprobs\":{\"text_offset\":[0,1],"
                 "\"token_logprobs\":[null,-1],\"tokens\":[\"a\",\" b\"],\"top_logprobs\":[null,"
                 "{\" b\":-1}]},\"finish_reason\":\"abort\",\"stop_reason\":null}]}\n\n"
                 "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(a_streamed_echo_that_ends_before_its_prompt_is_computed_still_says_why)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": \"a b\", \"echo\": true, \"logprobs\": 0, \"stream\": true,"
              " \"add_special_tokens\": false}");
    fake_done(fake);
    check_stream(fake,
                 CHUNK "{\"index\":0,\"text\":\"a b\",\"logprobs\":{\"text_offset\":[0],"
                       "\"token_logprobs\":[null],\"tokens\":[\"a\"],\"top_logprobs\":[null]},"
                       "\"finish_reason\":\"abort\",\"stop_reason\":null}]}\n\n"
                       "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(offsets_of_a_stream_go_on_as_those_of_a_whole_answer)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": \"a\", \"stream\": true, \"logprobs\": 0, \"echo\": true}");
    fake_prompt_logprobs(fake, 0);
    fake_say_likely(fake, 0, 0, "\xc3\xa9", -1);
    CHECK(strstr(fake->heard.body.data, "\"text_offset\":[0,17,18]") != NULL);
    bytes_clear(&fake->heard.body);
    fake_say_likely(fake, 0, 0, " a", -1);
    CHECK(strstr(fake->heard.body.data, "\"text_offset\":[19]") != NULL);
    fake_done(fake);
    fake_close(fake);
}

TEST(a_character_of_several_tokens_is_the_text_of_the_last_one)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"prompt\": \"a\", \"logprobs\": 0}");
    fake_say_likely(fake, 0, 0, "\xf0\x9f\x98\x80", -1); /* a token a byte */
    fake_say_likely(fake, 0, 0, " a", -1);
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data,
                 "\"text_offset\":[0,0,0,0,1],\"token_logprobs\":[-1,-1,-1,-1,-1],\"tokens\":"
                 "[\"\",\"\",\"\",\"\xf0\x9f\x98\x80\",\" a\"]") != NULL);
    fake_close(fake);
}

TEST(a_prompt_that_begins_with_such_a_character_echoes_it_too)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": \"\xf0\x9f\x98\x80 a\", \"logprobs\": 0, \"echo\": true,"
              " \"add_special_tokens\": false}");
    fake_prompt_logprobs(fake, 0);
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data,
                 "\"tokens\":[\"\",\"\",\"\",\"\xf0\x9f\x98\x80\",\" a\"]") != NULL);
    fake_close(fake);
}

TEST(token_ids_are_given_back_where_they_are_asked_for)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": [5, 6], \"return_token_ids\": true, \"stream\": true,"
              " \"return_tokens_as_token_ids\": true, \"logprobs\": 0}");
    fake_say_likely(fake, 0, 0, " a", -1);
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    check_stream(fake,
                 CHUNK "{\"index\":0,\"text\":\" a\",\"logprobs\":{\"text_offset\":[0],"
                       "\"token_logprobs\":[-1],\"tokens\":[\"token_id:262\"],\"top_logprobs\":"
                       "[{\"token_id:262\":-1}]},\"finish_reason\":null,\"stop_reason\":null,"
                       "\"prompt_token_ids\":[5,6],\"token_ids\":[262]}]}\n\n" CHUNK
                       "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\","
                       "\"stop_reason\":null,\"token_ids\":[]}]}\n\n"
                       "data: [DONE]\n\n");
    fake_close(fake);
}

TEST(an_unknown_model_is_not_found)
{
    struct fake *fake = fake_open();
    error_set(&fake->refusal, ERROR_INPUT, "The model `x` does not exist.");
    error_param(&fake->refusal, "model");
    error_code(&fake->refusal, "model_not_found");
    fake_call(fake, "POST", path, "{\"prompt\": \"a\", \"model\": \"x\"}");
    CHECK_STR(fake->asked_model, "x");
    check_body(fake, 404,
               "{\"error\":{\"message\":\"The model `x` does not exist.\",\"type\":"
               "\"NotFoundError\",\"param\":\"model\",\"code\":\"model_not_found\"}}");
    fake_close(fake);
}
