/* What needs no engine: routes, models, health, tokens, sleep, the page. */
#include "base/bytes.h"
#include "runtime/text/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/runtime_endpoints/fake_api.h"

#include <string.h>

TEST(a_path_is_found_exactly)
{
    CHECK(endpoints_find("/v1/models") != NULL);
    CHECK(endpoints_find("/v1/models/") == NULL);
    CHECK(endpoints_find("/V1/models") == NULL);
    CHECK(endpoints_find("") == NULL);
    CHECK(endpoints_find("/v1/modelsx") == NULL);
    CHECK(endpoints_find("/v1/completions/x") == NULL);
    CHECK_STR(endpoints_find("/v1/completions")->methods, "POST");
    CHECK_STR(endpoints_find("/health")->methods, "GET, HEAD");
}

TEST(what_stands_for_a_name_may_have_slashes)
{
    static const char *const paths[] = {"/v1/models/a", "/v1/models//a/b", "/v1/models/a/",
                                        "/v1/models/{model}"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        CHECK_STR(endpoints_find(paths[i])->path, "/v1/models/{model}");
}

TEST(only_health_and_the_page_are_open)
{
    static const char *const open[] = {"/health", "/health/live", "/health/ready", "/ping",
                                       "/",       "/favicon.ico"};
    static const char *const keyed[] = {"/v1/models", "/v1/models/x", "/v1/chat/completions",
                                        "/metrics",   "/version",     "/tokenize",
                                        "/sleep"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++)
        CHECK_EQ(endpoints_find(open[i])->access, ROUTE_OPEN);
    for (size_t i = 0; i < sizeof keyed / sizeof *keyed; i++)
        CHECK_EQ(endpoints_find(keyed[i])->access, ROUTE_WITH_KEY);
}

TEST(only_health_and_metrics_are_asked_by_machines_all_the_time)
{
    static const char *const probes[] = {"/health", "/health/live", "/health/ready", "/ping",
                                         "/metrics"};
    static const char *const others[] = {"/", "/v1/models", "/v1/completions", "/is_sleeping"};
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
        CHECK(endpoints_is_probe(endpoints_find(probes[i])));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK(!endpoints_is_probe(endpoints_find(others[i])));
}

TEST(why_a_request_is_refused_is_noted_in_its_record)
{
    static const struct {
        const char *path, *body, *word;
    } cases[] = {
        {"/v1/completions", "{", "JSON"},
        {"/v1/chat/completions", "{\"messages\": 7}", "messages"},
        {"/v1/embeddings", "{\"input\": true}", "input"},
        {"/tokenize", "[]", "object"},
        {"/generate", "{\"n\": \"x\"}", ""},
    };
    struct fake *fake = fake_open();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake->record = (struct request_record){.n_choices = 0};
        fake_call(fake, "POST", cases[i].path, cases[i].body);
        CHECK_EQ(fake->heard.status, 400);
        CHECK_EQ(fake->record.failure.kind, ERROR_INPUT);
        if (strstr(fake->record.failure.text, cases[i].word) == NULL)
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].path, fake->record.failure.text);
        fake_forget(fake);
    }
    fake_close(fake);
}

TEST(every_name_of_the_model_is_listed)
{
    struct fake *fake = fake_open();
    fake_call(fake, "GET", "/v1/models", "");
    check_body(fake, 200,
               "{\"object\":\"list\",\"data\":[{\"id\":\"tiny\",\"object\":\"model\",\"created\":0,"
               "\"owned_by\":\"phalanx\",\"root\":\"/m/tiny\",\"parent\":null,"
               "\"max_model_len\":512,\"permission\":[]},{\"id\":\"other-name\",\"object\":"
               "\"model\",\"created\":0,\"owned_by\":\"phalanx\",\"root\":\"/m/tiny\",\"parent\":"
               "null,\"max_model_len\":512,\"permission\":[]}]}");
    fake_close(fake);
}

TEST(a_model_is_told_by_each_of_its_names_and_by_no_other)
{
    struct fake *fake = fake_open();
    fake_call(fake, "GET", "/v1/models/other-name", "");
    check_body(fake, 200,
               "{\"id\":\"other-name\",\"object\":\"model\",\"created\":0,\"owned_by\":"
               "\"phalanx\",\"root\":\"/m/tiny\",\"parent\":null,\"max_model_len\":512,"
               "\"permission\":[]}");
    fake_forget(fake);
    fake_call(fake, "GET", "/v1/models/some/name", "");
    check_body(fake, 404,
               "{\"error\":{\"message\":\"The model `some/name` does not exist.\",\"type\":"
               "\"NotFoundError\",\"param\":\"model\",\"code\":\"model_not_found\"}}");
    fake_close(fake);
}

TEST(the_version_says_how_the_model_is_laid_out)
{
    struct fake *fake = fake_open();
    fake_call(fake, "GET", "/version", "");
    CHECK_EQ(fake->heard.status, 200);
    CHECK(strstr(fake->heard.body.data, "\"about\":\"tp 2\",\"tp\":2,\"pp\":1,\"dp\":1}") != NULL);
    fake_close(fake);
}

static void check_answer(struct fake *fake, const char *method, const char *path, int status)
{
    fake_call(fake, method, path, "");
    CHECK_EQ(fake->heard.status, status);
    fake_forget(fake);
}

static void check_status(struct fake *fake, const char *path, int status)
{
    check_answer(fake, "GET", path, status);
}

TEST(health_is_what_ranks_and_gateway_say)
{
    struct fake *fake = fake_open();
    check_status(fake, "/health", 200);
    check_status(fake, "/ping", 200);
    fake->not_ready = true;
    check_status(fake, "/health", 503);
    check_status(fake, "/health/ready", 503);
    check_status(fake, "/health/live", 200);
    fake->not_alive = true;
    check_status(fake, "/health/live", 503);
    fake_close(fake);
}

TEST(metrics_are_text)
{
    struct fake *fake = fake_open();
    fake_call(fake, "GET", "/metrics", "");
    check_body(fake, 200, "a_metric 1\n");
    CHECK_STR(fake->heard.type, "text/plain; version=0.0.4; charset=utf-8");
    fake_close(fake);
}

TEST(a_text_has_tokens_and_back)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/tokenize",
              "{\"model\": \"tiny\", \"prompt\": \"a b\", \"return_token_strs\": true}");
    check_body(fake, 200,
               "{\"count\":3,\"max_model_len\":512,\"tokens\":[0,69,290],"
               "\"token_strs\":[\"<|begin_of_text|>\",\"a\",\"\xc4\xa0"
               "b\"]}");
    fake_forget(fake);
    fake_call(fake, "POST", "/tokenize",
              "{\"prompt\": \"<|im_start|>\","
              "\"add_special_tokens\": false}");
    CHECK(strstr(fake->heard.body.data, "[2]") == NULL); /* a text is never a special token */
    CHECK(strstr(fake->heard.body.data, "\"token_strs\":null}") != NULL);
    fake_forget(fake);
    fake_call(fake, "POST", "/detokenize", "{\"tokens\": [69, 290]}");
    check_body(fake, 200, "{\"prompt\":\"a b\"}");
    fake_close(fake);
}

TEST(messages_have_tokens_too)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/tokenize",
              "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}");
    CHECK_EQ(fake->heard.status, 200);
    CHECK(strstr(fake->heard.body.data, "{\"count\":3,") != NULL);
    fake_forget(fake);
    fake_call(fake, "POST", "/tokenize",
              "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], "
              "\"add_special_tokens\": true}");
    CHECK(strstr(fake->heard.body.data, "{\"count\":4,") != NULL);
    fake_close(fake);
}

TEST(messages_that_leave_no_room_for_an_answer_are_counted_all_the_same)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/tokenize",
              "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], "
              "\"chat_template_kwargs\": {\"more\": 50000}}");
    CHECK_EQ(fake->heard.status, 200);
    CHECK(strstr(fake->heard.body.data, "\"max_model_len\":512,") != NULL);
    fake_close(fake);
}

TEST(messages_of_more_than_a_megabyte_are_not_read_while_others_wait)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/tokenize",
              "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], "
              "\"chat_template_kwargs\": {\"more\": 120000}}");
    CHECK_EQ(fake->heard.status, 413);
    CHECK(strstr(fake->heard.body.data, "\"param\":\"messages\"") != NULL);
    fake_close(fake);
}

TEST(ids_that_make_a_text_of_many_megabytes_are_refused)
{
    static const char word[] = "<|begin_of_text|>";
    struct fake *fake = fake_open();
    struct bytes body = {0};
    const int32_t id = tokenizer_find(fake->api.intake->tokenizer, word, sizeof word - 1);
    CHECK(id >= 0);
    bytes_printf(&body, "{\"tokens\": [%d", id);
    for (int i = 0; i < (5 << 20) / (int)sizeof word; i++)
        bytes_printf(&body, ",%d", id);
    bytes_add_text(&body, "]}");
    fake_call(fake, "POST", "/detokenize", body.data);
    CHECK_EQ(fake->heard.status, 400);
    CHECK(strstr(fake->heard.body.data, "longer than 4 MB") != NULL);
    bytes_release(&body);
    fake_close(fake);
}

TEST(what_has_no_tokens_is_refused_with_its_field)
{
    static const char *const wrong[][3] = {
        {"/tokenize", "{}", "prompt"},
        {"/tokenize", "{\"prompt\": [1]}", "prompt"},
        {"/tokenize", "{\"prompt\": \"a\", \"add_special_tokens\": 1}", "add_special_tokens"},
        {"/tokenize", "{\"messages\": []}", "messages"},
        {"/detokenize", "{}", "tokens"},
        {"/detokenize", "{\"tokens\": \"a\"}", "tokens"},
        {"/detokenize", "{\"tokens\": [2048]}", "tokens"},
        {"/detokenize", "{\"tokens\": [-1]}", "tokens"},
    };
    struct fake *fake = fake_open();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char param[64];
        fake_call(fake, "POST", wrong[i][0], wrong[i][1]);
        CHECK_EQ(fake->heard.status, 400);
        snprintf(param, sizeof param, "\"param\":\"%s\"", wrong[i][2]);
        CHECK(strstr(fake->heard.body.data, param) != NULL);
        fake_forget(fake);
    }
    fake_call(fake, "POST", "/tokenize", "{\"prompt\": \"a\", \"model\": \"x\"}");
    CHECK_EQ(fake->heard.status, 404);
    fake_close(fake);
}

TEST(sleep_and_waking_are_answered_when_they_are_so)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/sleep?level=2", "");
    CHECK_EQ(fake->slept_level, 2);
    CHECK_EQ(fake->heard.n_whole, 0);
    fake_slept(fake, NULL);
    check_body(fake, 200, "");
    fake_forget(fake);
    fake_call(fake, "GET", "/is_sleeping", "");
    check_body(fake, 200, "{\"is_sleeping\":true}");
    fake_forget(fake);
    fake_call(fake, "POST", "/wake_up?tags=weights", "");
    CHECK_EQ(fake->slept_level, 0);
    fake_slept(fake, NULL);
    check_body(fake, 200, "");
    fake_forget(fake);
    fake_call(fake, "GET", "/is_sleeping", "");
    check_body(fake, 200, "{\"is_sleeping\":false}");
    fake_close(fake);
}

TEST(a_sleep_is_of_level_1_unless_it_says_so_and_of_no_other_than_2)
{
    static const char *const bad[] = {"/sleep?level=", "/sleep?level=0", "/sleep?level=3",
                                      "/sleep?mode=abort&level=12"};
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/sleep", "");
    CHECK_EQ(fake->slept_level, 1);
    fake_slept(fake, NULL);
    fake_forget(fake);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_answer(fake, "POST", bad[i], 400);
    fake_close(fake);
}

TEST(a_sleep_that_comes_to_nothing_says_why)
{
    struct error why = {0};
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/sleep", "");
    error_set(&why, ERROR_LIMIT, "meanwhile somebody asked the model to wake up");
    error_code(&why, "superseded");
    fake_slept(fake, &why);
    CHECK_EQ(fake->heard.status, 409);
    fake_close(fake);
}

TEST(who_does_not_wait_for_a_sleep_is_forgotten)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/sleep", "");
    endpoints_cancel(fake->call);
    CHECK_EQ(fake->n_cancelled, 1);
    CHECK_EQ(fake->heard.n_whole, 0);
    fake_close(fake);
}

TEST(a_server_that_is_not_ready_says_why)
{
    struct fake *fake = fake_open();
    fake->not_ready = true;
    fake->admission.state = ADMISSION_SLEEPING;
    fake_call(fake, "GET", "/health/ready", "");
    check_body(fake, 503, "{\"status\":\"sleeping\"}");
    fake_forget(fake);
    fake->admission.state = ADMISSION_DRAINING;
    fake_call(fake, "GET", "/health", "");
    check_body(fake, 503, "{\"status\":\"draining\"}");
    fake_close(fake);
}

TEST(the_page_is_whole)
{
    struct fake *fake = fake_open();
    fake_call(fake, "GET", "/", "");
    CHECK_EQ(fake->heard.status, 200);
    CHECK(strncmp(fake->heard.body.data, "<!doctype html>", 15) == 0 ||
          strncmp(fake->heard.body.data, "<!DOCTYPE html>", 15) == 0);
    CHECK(strstr(fake->heard.body.data, "</html>") != NULL);
    CHECK_EQ(strlen(fake->heard.body.data), fake->heard.body.len);
    fake_close(fake);
}
