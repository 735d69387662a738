#include "proto/openai_request.h"

#include "base/bytes.h"
#include "base/error.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

/* "Not said" of every field; the gateway has the same. */
static struct sampling_fields nothing(void)
{
    return (struct sampling_fields){
        .temperature = NAN,
        .top_p = NAN,
        .min_p = NAN,
        .repetition_penalty = NAN,
        .frequency_penalty = NAN,
        .presence_penalty = NAN,
        .length_penalty = NAN,
        .top_k = SAMPLING_UNSAID,
        .n = SAMPLING_UNSAID,
        .seed = SAMPLING_UNSAID,
        .max_tokens = SAMPLING_UNSAID,
        .min_tokens = SAMPLING_UNSAID,
        .logprobs = SAMPLING_UNSAID,
        .prompt_logprobs = SAMPLING_UNSAID,
        .beam_width = SAMPLING_UNSAID,
        .priority = SAMPLING_UNSAID,
        .deadline_ms = SAMPLING_UNSAID,
        .ignore_eos = -1,
        .include_stop_str_in_output = -1,
        .skip_special_tokens = -1,
        .penalize_prompt = -1,
    };
}

/* JSON is written with ' for ", so that it reads well in C. */
static void quote(struct bytes *out, const char *text)
{
    bytes_clear(out);
    bytes_add_text(out, text);
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '\'')
            out->data[i] = '"';
}

static bool read_body(struct openai_request *out, bool is_chat, const char *members,
                      struct error *err)
{
    const struct sampling_fields unsaid = nothing();
    struct bytes body = {0}, text = {0};
    bytes_printf(&body, "{%s%s%s}",
                 is_chat ? "'messages':[{'role':'user','content':'hi'}]" : "'prompt':'hi'",
                 *members != '\0' ? "," : "", members);
    quote(&text, body.data);
    const bool good = is_chat ? openai_chat_read(out, text.data, text.len, &unsaid, err)
                              : openai_completion_read(out, text.data, text.len, &unsaid, err);
    bytes_release(&body);
    bytes_release(&text);
    return good;
}

static struct openai_request reads(bool is_chat, const char *members)
{
    struct openai_request request;
    struct error err = {0};
    const bool good = read_body(&request, is_chat, members, &err);
    CHECK_STR(err.text, "");
    CHECK(good);
    return request;
}

/* Refused, for this parameter, and the text has this in it. */
static void refuses(bool is_chat, const char *members, const char *param, const char *words)
{
    struct openai_request request;
    struct error err = {0};
    if (read_body(&request, is_chat, members, &err))
        test_fail(__FILE__, __LINE__, "taken: %s", members);
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.param, param);
    if (strstr(err.text, words) == NULL)
        test_fail(__FILE__, __LINE__, "no %s in: %s", words, err.text);
    openai_request_release(&request);
}

TEST(what_is_not_said_stays_unsaid)
{
    for (int is_chat = 0; is_chat <= 1; is_chat++) {
        struct openai_request r = reads(is_chat, "'temperature':null,'stop':null,'n':null,"
                                                 "'stream_options':null,'logprobs':null,"
                                                 "'response_format':null,'audio':null");
        CHECK(isnan(r.sampling.temperature));
        CHECK_EQ(r.sampling.n, SAMPLING_UNSAID);
        CHECK_EQ(r.sampling.logprobs, SAMPLING_UNSAID);
        CHECK_EQ(r.sampling.max_tokens, SAMPLING_UNSAID);
        CHECK_EQ(r.sampling.ignore_eos, -1);
        CHECK_EQ(r.truncate_prompt_tokens, SAMPLING_UNSAID);
        CHECK(r.sampling.stop == NULL);
        CHECK(!r.form.stream);
        CHECK(r.model == NULL);
        CHECK_EQ(r.add_special_tokens, !is_chat);
        openai_request_release(&r);
    }
}

TEST(every_field_of_sampling_is_read)
{
    struct openai_request r = reads(
        false, "'temperature':0.5,'top_p':0.9,'min_p':0.1,'repetition_penalty':1.1,"
               "'frequency_penalty':-1,'presence_penalty':2,'length_penalty':0.7,'top_k':40,'n':3,"
               "'seed':-7,'max_tokens':12,'min_tokens':2,'prompt_logprobs':1,'priority':-3,"
               "'deadline_ms':900,'ignore_eos':true,'include_stop_str_in_output':true,"
               "'skip_special_tokens':false,'stop':['a','b'],'stop_token_ids':[1,2.0],"
               "'allowed_token_ids':[7],'bad_words':['no'],'logit_bias':{'5':-100,'6':0.5},"
               "'cache_salt':'me','model':'m','truncate_prompt_tokens':-1,"
               "'add_special_tokens':false,'return_token_ids':true,"
               "'return_tokens_as_token_ids':true,'unheard_of':{'a':[1]}");
    const struct sampling_fields *s = &r.sampling;
    CHECK(s->temperature == 0.5 && s->top_p == 0.9 && s->min_p == 0.1);
    CHECK(s->repetition_penalty == 1.1 && s->frequency_penalty == -1);
    CHECK(s->presence_penalty == 2 && s->length_penalty == 0.7);
    CHECK_EQ(s->top_k, 40);
    CHECK_EQ(s->n, 3);
    CHECK_EQ(s->seed, -7);
    CHECK_EQ(s->max_tokens, 12);
    CHECK_EQ(s->min_tokens, 2);
    CHECK_EQ(s->prompt_logprobs, 1);
    CHECK_EQ(s->priority, -3);
    CHECK_EQ(s->deadline_ms, 900);
    CHECK_EQ(s->ignore_eos, 1);
    CHECK_EQ(s->include_stop_str_in_output, 1);
    CHECK_EQ(s->skip_special_tokens, 0);
    CHECK_EQ(s->n_stop, 2);
    CHECK_STR(s->stop[1], "b");
    CHECK_EQ(s->n_stop_token_ids, 2);
    CHECK_EQ(s->stop_token_ids[1], 2);
    CHECK_EQ(s->allowed_token_ids[0], 7);
    CHECK_STR(s->bad_words[0], "no");
    CHECK_EQ(s->n_logit_bias, 2);
    CHECK_EQ(s->logit_bias[1].token, 6);
    CHECK(s->logit_bias[1].bias == 0.5);
    CHECK_STR(s->cache_salt, "me");
    CHECK_STR(r.model, "m");
    CHECK_EQ(r.truncate_prompt_tokens, -1);
    CHECK(!r.add_special_tokens && r.form.return_token_ids && r.form.tokens_as_ids);
    openai_request_release(&r);
}

TEST(the_newer_name_of_max_tokens_wins)
{
    struct openai_request r = reads(true, "'max_completion_tokens':5,'max_tokens':9");
    CHECK_EQ(r.sampling.max_tokens, 5);
    openai_request_release(&r);
}

TEST(log_probabilities_mean_something_else_in_each_endpoint)
{
    struct openai_request r = reads(true, "'logprobs':true");
    CHECK(r.form.has_logprobs);
    CHECK_EQ(r.sampling.logprobs, 0);
    openai_request_release(&r);
    r = reads(true, "'logprobs':true,'top_logprobs':3");
    CHECK_EQ(r.form.n_top, 3);
    CHECK_EQ(r.sampling.logprobs, 3);
    openai_request_release(&r);
    r = reads(false, "'logprobs':2,'echo':true");
    CHECK_EQ(r.sampling.logprobs, 2);
    CHECK_EQ(r.sampling.prompt_logprobs, 2);
    openai_request_release(&r);
}

TEST(an_echo_alone_computes_one_token_and_hides_it)
{
    struct openai_request r = reads(false, "'echo':true,'max_tokens':0");
    CHECK(r.form.only_echo);
    CHECK_EQ(r.sampling.max_tokens, 1);
    openai_request_release(&r);
    r = reads(false, "'max_tokens':0"); /* the validator says what is wrong with it */
    CHECK(!r.form.only_echo);
    CHECK_EQ(r.sampling.max_tokens, 0);
    openai_request_release(&r);
}

TEST(beams_are_as_many_as_answers_and_count_the_prompt)
{
    struct openai_request r = reads(false, "'use_beam_search':true,'n':4");
    CHECK_EQ(r.sampling.beam_width, 4);
    CHECK_EQ(r.sampling.n, 4);
    CHECK_EQ(r.sampling.penalize_prompt, 1);
    openai_request_release(&r);
    r = reads(false, "'use_beam_search':true,'n':4,'length_penalty_scope':'generated'");
    CHECK_EQ(r.sampling.penalize_prompt, 0);
    openai_request_release(&r);
    r = reads(false, "'use_beam_search':true");
    CHECK_EQ(r.sampling.beam_width, SAMPLING_UNSAID);
    CHECK(r.sampling.temperature == 0);
    openai_request_release(&r);
}

static void check_prompts(const char *body, size_t n_prompts, size_t n_ids)
{
    const struct sampling_fields unsaid = nothing();
    struct openai_request r;
    struct error err = {0};
    struct bytes text = {0};
    quote(&text, body);
    const bool good = openai_completion_read(&r, text.data, text.len, &unsaid, &err);
    if (n_prompts == 0) {
        CHECK(!good);
        CHECK_STR(err.param, "prompt");
    } else {
        CHECK_STR(err.text, "");
        CHECK_EQ(r.prompts.n, n_prompts);
        CHECK_EQ(r.prompts.prompt[n_prompts - 1].n_ids, n_ids);
        CHECK_EQ(r.prompts.prompt[0].text == NULL, n_ids > 0);
    }
    openai_request_release(&r);
    bytes_release(&text);
}

TEST(a_prompt_is_a_text_or_ids_or_a_list_of_them)
{
    check_prompts("{'prompt':'a'}", 1, 0);
    check_prompts("{'prompt':['a','b']}", 2, 0);
    check_prompts("{'prompt':[1,2,3]}", 1, 3);
    check_prompts("{'prompt':[[1],[2,3]]}", 2, 2);
}

TEST(a_prompt_that_is_empty_or_mixed_is_refused)
{
    static const char *const bodies[] = {
        "{}",
        "{'prompt':null}",
        "{'prompt':''}",
        "{'prompt':[]}",
        "{'prompt':[[]]}",
        "{'prompt':['']}",
        "{'prompt':['a',1]}",
        "{'prompt':['a',null]}",
        "{'prompt':[1,'a']}",
        "{'prompt':[1.5]}",
        "{'prompt':[[1],'a']}",
        "{'prompt':[[1,[2]]]}",
        "{'prompt':[null]}",
        "{'prompt':[{}]}",
        "{'prompt':7}",
        "{'prompt':true}",
        "{'prompt':{'a':1}}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        check_prompts(bodies[i], 0, 0);
}

TEST(a_field_of_a_wrong_type_is_named)
{
    static const char *const wrong[][2] = {
        {"temperature", "'0.5'"},
        {"top_p", "[]"},
        {"min_p", "true"},
        {"repetition_penalty", "{}"},
        {"frequency_penalty", "'a'"},
        {"presence_penalty", "[1]"},
        {"length_penalty", "false"},
        {"top_k", "1.5"},
        {"n", "'5'"},
        {"seed", "1e300"},
        {"max_tokens", "'16'"},
        {"max_completion_tokens", "2.5"},
        {"min_tokens", "[]"},
        {"prompt_logprobs", "true"},
        {"prompt_logprobs", "-1"},
        {"priority", "'high'"},
        {"deadline_ms", "{}"},
        {"ignore_eos", "1"},
        {"ignore_eos", "'true'"},
        {"include_stop_str_in_output", "0"},
        {"skip_special_tokens", "[]"},
        {"stop", "5"},
        {"stop", "['a',5]"},
        {"stop", "{}"},
        {"stop_token_ids", "5"},
        {"stop_token_ids", "['5']"},
        {"allowed_token_ids", "'a'"},
        {"bad_words", "[null]"},
        {"logit_bias", "[]"},
        {"logit_bias", "{'a':1}"},
        {"logit_bias", "{'5':'1'}"},
        {"logit_bias", "{'99999999999999999999':1}"},
        {"logit_bias", "{'':1}"},
        {"logit_bias", "{' 5':1}"},
        {"logit_bias", "{'+5':1}"},
        {"cache_salt", "''"},
        {"cache_salt", "5"},
        {"use_beam_search", "'yes'"},
        {"length_penalty_scope", "'all'"},
        {"model", "5"},
        {"stream", "'true'"},
        {"stream_options", "[]"},
        {"truncate_prompt_tokens", "0"},
        {"truncate_prompt_tokens", "'5'"},
        {"echo", "1"},
        {"return_token_ids", "'a'"},
        {"add_special_tokens", "5"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (int is_chat = 0; is_chat <= 1; is_chat++) {
            struct bytes members = {0};
            bytes_printf(&members, "'%s':%s", wrong[i][0], wrong[i][1]);
            refuses(is_chat, members.data, wrong[i][0], "");
            bytes_release(&members);
        }
}

TEST(the_texts_of_errors_are_those_that_clients_compare)
{
    refuses(false, "'stream_options':{'include_usage':true}", "stream_options",
            "Stream options can only be defined when `stream=True`.");
    refuses(true, "'top_logprobs':2", "top_logprobs",
            "when using `top_logprobs`, `logprobs` must be set to true.");
    refuses(true, "'logprobs':true,'top_logprobs':-2", "top_logprobs",
            "`top_logprobs` must be a positive value");
    refuses(true, "'logprobs':true,'top_logprobs':21", "top_logprobs", "at most 20");
    refuses(false, "'logprobs':-1", "logprobs", "`logprobs` must be a positive value.");
    refuses(true, "'stream':true,'prompt_logprobs':1", "prompt_logprobs",
            "`prompt_logprobs` are not available when `stream=True`.");
    refuses(true, "'tools':[]", "tools", "`tools` must not be an empty array.");
    refuses(true, "'tool_choice':'auto'", "tool_choice",
            "When using `tool_choice`, `tools` must be set.");
    refuses(true,
            "'tools':[{'function':{'name':'f'}}],"
            "'tool_choice':{'type':'function','function':{'name':'g'}}",
            "tool_choice", "does not match any of the specified `tools`");
    refuses(true, "'continue_final_message':true", "continue_final_message",
            "Cannot set both `continue_final_message` and `add_generation_prompt` to True.");
    refuses(true, "'messages_':1,'logprobs':1", "logprobs", "true or false");
}

TEST(what_is_not_there_is_refused_and_not_forgotten)
{
    static const char *const fields[] = {
        "structured_outputs", "guided_json", "guided_regex", "guided_choice",     "guided_grammar",
        "prompt_embeds",      "audio",       "functions",    "logits_processors", "chat_template",
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        for (int is_chat = 0; is_chat <= 1; is_chat++) {
            struct bytes members = {0};
            bytes_printf(&members, "'%s':{'a':1}", fields[i]);
            refuses(is_chat, members.data, fields[i], "is not supported");
            bytes_release(&members);
        }
    refuses(true, "'response_format':{'type':'json_object'}", "response_format", "text");
    refuses(false, "'suffix':'end'", "suffix", "not supported");
    refuses(false, "'best_of':3", "best_of", "use n");
    refuses(true, "'tools':[{'function':{'name':'f'}}],'tool_choice':'required'", "tool_choice",
            "not supported");
    struct openai_request r = reads(true, "'response_format':{'type':'text'},'suffix':'',"
                                          "'best_of':1,'user':'u','parallel_tool_calls':true");
    openai_request_release(&r);
}

TEST(tools_that_may_not_be_called_are_hidden)
{
    struct openai_request r =
        reads(true, "'tools':[{'function':{'name':'f'}}],'tool_choice':'none'");
    CHECK(r.hide_tools);
    openai_request_release(&r);
    r = reads(true, "'tools':[{'function':{'name':'f'}}],'tool_choice':'auto'");
    CHECK(!r.hide_tools && r.tools != NULL);
    openai_request_release(&r);
}

/* A hostile body: refused, and soon. */
static void check_hostile(struct bytes *body, const char *words, const char *param)
{
    const struct sampling_fields unsaid = nothing();
    struct openai_request r;
    struct error err = {0};
    const int64_t begin = test_cpu_ns();
    CHECK(!openai_chat_read(&r, body->data, body->len, &unsaid, &err));
    const int64_t ms = (test_cpu_ns() - begin) / 1000000;
    openai_request_release(&r);
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.param, param);
    if (strstr(err.text, words) == NULL)
        test_fail(__FILE__, __LINE__, "no %s in: %s", words, err.text);
    CHECK(SANITIZED || ms <= 250); /* 50 ms where a core is free */
    bytes_release(body);
}

TEST(hostile_bodies_are_refused_before_they_cost_anything)
{
    struct bytes body = {0};
    for (int i = 0; i < 100000; i++)
        bytes_add_char(&body, '[');
    check_hostile(&body, "64", "");
    bytes_add_text(&body, "{\"a\":[0");
    for (int i = 0; i < BODY_MAX_VALUES; i++)
        bytes_add_text(&body, ",0");
    bytes_add_text(&body, "]}");
    check_hostile(&body, "1048576", "a");
    bytes_add_text(&body, "{\"a\":1,\"a\":2}");
    check_hostile(&body, "a", "");
    bytes_add_text(&body, "{\"a\":\"\\ud800\"}");
    check_hostile(&body, "line 1", "a");
    bytes_add_text(&body, "{\"a\":\"\\u0000\"}");
    check_hostile(&body, "line 1", "a");
    bytes_add_text(&body, "{\"a\":\"\xff\"}");
    check_hostile(&body, "line 1", "a");
    bytes_add_text(&body, "[]");
    check_hostile(&body, "no JSON object", "");
    bytes_add_text(&body, "{\"temperature\": 1e400}");
    check_hostile(&body, "1e400", "temperature");
    bytes_add_text(&body, "{\"seed\": 9223372036854775808}");
    check_hostile(&body, "9223372036854775808", "seed");
    bytes_add_text(&body, "{\"temperature\": NaN}");
    check_hostile(&body, "'N'", "temperature");
    bytes_add_text(&body, "");
    check_hostile(&body, "empty", "");
}

TEST(what_stands_for_not_said_is_no_value_of_a_client)
{
    struct openai_request r = reads(false, "'n':-9223372036854775808");
    CHECK(r.sampling.n != SAMPLING_UNSAID && r.sampling.n < 0);
    openai_request_release(&r);
}

TEST(a_chat_needs_messages)
{
    const struct sampling_fields unsaid = nothing();
    static const char *const bodies[] = {"{}", "{\"messages\":[]}", "{\"messages\":null}",
                                         "{\"messages\":\"hi\"}", "{\"messages\":{}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct openai_request r;
        struct error err = {0};
        CHECK(!openai_chat_read(&r, bodies[i], strlen(bodies[i]), &unsaid, &err));
        CHECK_STR(err.param, "messages");
        openai_request_release(&r);
    }
}

TEST(more_prompts_than_one_request_can_have_are_refused)
{
    const struct sampling_fields unsaid = nothing();
    struct openai_request r;
    struct error err = {0};
    struct bytes body = {0};
    bytes_add_text(&body, "{\"prompt\":[\"a\"");
    for (int i = 0; i < JSON_MAX_PROMPTS; i++)
        bytes_add_text(&body, ",\"a\"");
    bytes_add_text(&body, "]}");
    CHECK(!openai_completion_read(&r, body.data, body.len, &unsaid, &err));
    CHECK_STR(err.text, "prompt: 2049 of them, the most in one request is 2048");
    CHECK_STR(err.param, "prompt");
    openai_request_release(&r);
    bytes_release(&body);
}
