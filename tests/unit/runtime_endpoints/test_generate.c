#include "tests/test.h"
#include "tests/unit/runtime_endpoints/fake_api.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char path[] = "/generate";

TEST(a_prompt_is_answered_as_vllm_does)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": \"a\", \"n\": 2, \"temperature\": 0.5, \"max_tokens\": 3}");
    CHECK(fake->asked.sampling.temperature == 0.5);
    CHECK_EQ(fake->asked.sampling.max_tokens, 3);
    fake_say(fake, 0, 0, " b");
    fake_say(fake, 0, 1, " c");
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_end(fake, 0, 1, FINISH_LENGTH);
    fake_done(fake);
    check_body(fake, 200,
               "{\"text\":[\"a b\",\"a c\"],\"results\":[{\"request_id\": \"gen-test\", "
               "\"prompt\": \"a\", \"prompt_token_ids\": [0, 69], \"prompt_logprobs\": null, "
               "\"outputs\": [{\"index\": 0, \"text\": \" b\", \"token_ids\": [290], "
               "\"cumulative_logprob\": null, \"logprobs\": null, \"finish_reason\": \"stop\", "
               "\"stop_reason\": null}, {\"index\": 1, \"text\": \" c\", \"token_ids\": [291], "
               "\"cumulative_logprob\": null, \"logprobs\": null, \"finish_reason\": \"length\", "
               "\"stop_reason\": null}], \"finished\": true, \"num_cached_tokens\": 1, "
               "\"num_drafted_tokens\": 0, \"num_accepted_tokens\": 0, \"seed\": 42, "
               "\"usage\": {\"prompt_tokens\": 2, \"completion_tokens\": 2, "
               "\"total_tokens\": 4}}]}");
    fake_close(fake);
}

TEST(a_stream_of_vllm_is_a_line_with_all_of_the_text_each_time)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"prompt\": \"a\", \"stream\": true}");
    fake_say(fake, 0, 0, " b c");
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    check_stream(fake, "{\"text\":[\"a b\"]}\n{\"text\":[\"a b c\"]}\n{\"text\":[\"a b c\"]}\n");
    CHECK_STR(fake->heard.type, "application/x-ndjson");
    fake_close(fake);
}

TEST(a_text_with_sampling_params_is_answered_as_sglang_does)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"text\": \"a\", \"sampling_params\": {\"temperature\": 0, \"max_new_tokens\": 4,"
              " \"no_stop_trim\": true, \"top_k\": 1073741824}, \"return_logprob\": true,"
              " \"top_logprobs_num\": 1}");
    CHECK_EQ(fake->asked.sampling.max_tokens, 4);
    CHECK_EQ(fake->asked.sampling.top_k, 0);
    CHECK_EQ(fake->asked.sampling.include_stop_str_in_output, 1);
    fake_say_likely(fake, 0, 0, " b", -1);
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    check_body(fake, 200,
               "{\"text\":\" b\",\"output_ids\":[290],\"meta_info\":{\"id\":\"gen-test\","
               "\"finish_reason\":{\"type\":\"length\",\"length\":1},\"prompt_tokens\":2,"
               "\"completion_tokens\":1,\"cached_tokens\":1,\"output_token_logprobs\":"
               "[[-1,290,null]],\"output_top_logprobs\":[[[-0.5,92,null]]]}}");
    fake_close(fake);
}

TEST(a_list_of_texts_is_a_list_of_answers)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"text\": [\"a\", \"b\"]}");
    CHECK_EQ(fake->asked.sampling.max_tokens, 128);
    fake_say(fake, 0, 0, " b");
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    check_body(fake, 200,
               "[{\"text\":\" b\",\"output_ids\":[290],\"meta_info\":{\"id\":\"gen-test\","
               "\"finish_reason\":{\"type\":\"stop\",\"matched\":290},\"prompt_tokens\":2,"
               "\"completion_tokens\":1,\"cached_tokens\":1}},"
               "{\"text\":\"\",\"output_ids\":[],\"meta_info\":{\"id\":\"gen-test\","
               "\"finish_reason\":{\"type\":\"abort\"},\"prompt_tokens\":2,"
               "\"completion_tokens\":0,\"cached_tokens\":0}}]");
    fake_close(fake);
}

TEST(a_stream_of_sglang_ends_with_done)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"input_ids\": [5], \"stream\": true}");
    fake_say(fake, 0, 0, " b");
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    CHECK(strstr(fake->heard.body.data, "data: {\"text\":\" b\",\"output_ids\":[290],") != NULL);
    CHECK(strstr(fake->heard.body.data, "}}\n\ndata: [DONE]\n\n") != NULL);
    fake_close(fake);
}

TEST(inputs_with_parameters_are_answered_as_tgi_does)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"inputs\": \"a\", \"parameters\": {\"details\": true, \"return_full_text\": "
              "true, \"max_new_tokens\": 2}}");
    CHECK(fake->asked.sampling.temperature == 0); /* do_sample is off there */
    CHECK_EQ(fake->asked.sampling.max_tokens, 2);
    fake_say_likely(fake, 0, 0, " b", -1);
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    check_body(fake, 200,
               "{\"generated_text\":\"a b\",\"details\":{\"finish_reason\":\"length\","
               "\"generated_tokens\":1,\"seed\":42,\"prefill\":[],\"tokens\":[{\"id\":290,"
               "\"text\":\" b\",\"logprob\":-1,\"special\":false}]}}");
    fake_close(fake);
}

TEST(what_only_matters_to_who_samples_makes_tgi_sample)
{
    static const struct {
        const char *parameters;
        double temperature; /* NAN: that of the server */
    } cases[] = {
        {"{\"temperature\": 0.7}", 0.7}, {"{\"top_k\": 5}", NAN},
        {"{\"top_p\": 0.9}", NAN},       {"{\"temperature\": 1, \"top_k\": 0, \"top_p\": 1}", 0},
        {"{\"do_sample\": true}", NAN},  {"{\"seed\": 3, \"repetition_penalty\": 1.1}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake *fake = fake_open();
        char body[128];
        snprintf(body, sizeof body, "{\"inputs\": \"a\", \"parameters\": %s}", cases[i].parameters);
        fake_call(fake, "POST", path, body);
        const double got = fake->asked.sampling.temperature;
        CHECK(got == cases[i].temperature || (isnan(got) && isnan(cases[i].temperature)));
        fake_done(fake);
        fake_close(fake);
    }
}

TEST(what_tgi_has_and_is_not_here_is_refused_only_where_it_is_asked_for)
{
    static const struct {
        const char *parameters, *param; /* NULL: it is answered */
    } cases[] = {
        {"{\"typical_p\": 0.9}", "typical_p"},
        {"{\"watermark\": true}", "watermark"},
        {"{\"decoder_input_details\": true}", "decoder_input_details"},
        {"{\"top_n_tokens\": 2}", "top_n_tokens"},
        {"{\"typical_p\": 1, \"watermark\": false, \"decoder_input_details\": false, "
         "\"top_n_tokens\": 0}",
         NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake *fake = fake_open();
        char body[192], param[64];
        snprintf(body, sizeof body, "{\"inputs\": \"a\", \"parameters\": %s}", cases[i].parameters);
        fake_call(fake, "POST", path, body);
        if (cases[i].param == NULL)
            fake_done(fake);
        CHECK_EQ(fake->heard.status, cases[i].param == NULL ? 200 : 400);
        snprintf(param, sizeof param, "\"param\":\"%s\"", cases[i].param ? cases[i].param : "");
        CHECK((strstr(fake->heard.body.data, param) != NULL) == (cases[i].param != NULL));
        fake_close(fake);
    }
}

TEST(a_stream_of_tgi_is_a_token_an_event)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"inputs\": \"a\", \"stream\": true, \"parameters\": {\"stop\": [\" d\"], "
              "\"details\": true}}");
    fake_say_likely(fake, 0, 0, " b c d", -1);
    fake_done(fake);
    check_stream(fake,
                 "data:{\"index\":1,\"token\":{\"id\":290,\"text\":\" b\",\"logprob\":-1,"
                 "\"special\":false},\"generated_text\":null,\"details\":null}\n\n"
                 "data:{\"index\":2,\"token\":{\"id\":291,\"text\":\" c\",\"logprob\":-1,"
                 "\"special\":false},\"generated_text\":null,\"details\":null}\n\n"
                 "data:{\"index\":3,\"token\":{\"id\":299,\"text\":\" d\",\"logprob\":-1,"
                 "\"special\":false},\"generated_text\":\" b c\",\"details\":{\"finish_reason\":"
                 "\"stop_sequence\",\"generated_tokens\":3,\"seed\":42,\"input_length\":2}}\n\n");
    fake_close(fake);
}

TEST(generate_stream_is_tgis_and_streams_whatever_the_body_says)
{
    static const char *const bodies[] = {
        "{\"inputs\": \"a\", \"parameters\": {\"stop\": [\" c\"]}}",
        "{\"inputs\": \"a\", \"parameters\": {\"stop\": [\" c\"]}, \"stream\": false}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct fake *fake = fake_open();
        fake_call(fake, "POST", "/generate_stream", bodies[i]);
        fake_say_likely(fake, 0, 0, " b c", -1);
        fake_done(fake);
        check_stream(fake, "data:{\"index\":1,\"token\":{\"id\":290,\"text\":\" b\",\"logprob\":-1,"
                           "\"special\":false},\"generated_text\":null,\"details\":null}\n\n"
                           "data:{\"index\":2,\"token\":{\"id\":291,\"text\":\" c\",\"logprob\":-1,"
                           "\"special\":false},\"generated_text\":\" b\",\"details\":null}\n\n");
        fake_close(fake);
    }
}

TEST(generate_stream_wants_its_inputs)
{
    static const char *const bodies[] = {"{\"prompt\": \"a\"}", "{\"text\": \"a\"}", "{}"};
    struct fake *fake = fake_open();
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        fake_call(fake, "POST", "/generate_stream", bodies[i]);
        CHECK_EQ(fake->heard.status, 400);
        CHECK(strstr(fake->heard.body.data, "\"param\":\"inputs\"") != NULL);
        fake_forget(fake);
    }
    fake_close(fake);
}

TEST(what_no_system_knows_is_refused)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"words\": \"a\"}");
    CHECK_EQ(fake->heard.status, 400);
    CHECK(strstr(fake->heard.body.data, "\"param\":\"prompt\"") != NULL);
    fake_forget(fake);
    fake_call(fake, "POST", path, "{\"inputs\": \"a\", \"parameters\": {\"grammar\": {}}}");
    CHECK_EQ(fake->heard.status, 400);
    CHECK(strstr(fake->heard.body.data, "\"param\":\"grammar\"") != NULL);
    fake_close(fake);
}
