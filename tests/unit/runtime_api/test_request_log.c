#include "runtime/api/request_log.h"

#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

#include <stdio.h>
#include <string.h>

/* ---- what the api notes ---- */

/* Asks with a record, for n answers of each prompt. */
static struct generate_call *ask_noted(struct server *server, const struct api_prompt *prompt,
                                       size_t n_prompts, int n, struct request_record *record,
                                       struct heard *heard)
{
    struct generate_request request = ask_for(prompt, n_prompts);
    *record = (struct request_record){.n_choices = 0};
    request.source.record = record;
    request.sampling.n = n;
    return ask(server, &request, heard);
}

TEST(a_record_has_what_became_of_a_request)
{
    struct server server;
    struct heard heard;
    struct request_record record;
    const struct api_prompt prompt = text_of("Once");
    server_open(&server);
    ask_noted(&server, &prompt, 1, 1, &record, &heard);
    CHECK_STR(record.id, "cmpl-1");
    const int n_prompt = server.held[0].n_prompt;
    server_begins(&server, 0);
    server_token(&server, 0, 300, FINISH_NONE);
    server_token(&server, 0, 300, FINISH_LENGTH);
    CHECK_EQ(heard.n_done, 1);
    CHECK(record.was_sent);
    CHECK_EQ(record.prompt_tokens, n_prompt);
    CHECK_EQ(record.output_tokens, 2);
    CHECK_EQ(record.n_choices, 1);
    CHECK_STR(record.finish, "length");
    CHECK(record.queue_ns >= 0 && record.first_token_ns >= record.queue_ns);
    CHECK_EQ(record.failure.kind, ERROR_NONE);
    server_close(&server);
}

TEST(a_record_counts_the_answers_of_all_prompts)
{
    struct server server;
    struct heard heard;
    struct request_record record;
    const struct api_prompt prompt[] = {text_of("Once"), text_of("Twice")};
    server_open(&server);
    ask_noted(&server, prompt, 2, 3, &record, &heard);
    for (int i = 0; i < 6; i++)
        server_token(&server, 0, 300, i == 4 ? FINISH_STOP : FINISH_LENGTH);
    CHECK_EQ(record.n_choices, 6);
    CHECK_STR(record.finish, "stop,length");
    server_close(&server);
}

TEST(a_record_of_a_request_that_never_ran_says_so)
{
    struct server server;
    struct heard heard;
    struct request_record record;
    const struct api_prompt prompt = text_of("Once");
    server_open(&server);
    generate_cancel(ask_noted(&server, &prompt, 1, 1, &record, &heard));
    server_hear(&server);
    CHECK(record.was_sent);
    CHECK_EQ(record.queue_ns, -1);
    CHECK_EQ(record.first_token_ns, -1);
    CHECK_STR(record.finish, "");
    server_close(&server);
}

TEST(a_record_says_why_a_request_was_refused_or_failed)
{
    struct server server;
    struct heard heard;
    struct request_record record = {.n_choices = 0};
    struct error err = {0};
    const struct error why = {.kind = ERROR_SYSTEM, .text = "it broke"};
    const struct generate_listener listener = listener_of(&heard);
    const struct api_prompt prompt = text_of("Once");
    struct generate_request request = ask_for(&prompt, 1);
    server_open(&server);
    request.model = "x";
    request.source.record = &record;
    CHECK(api_generate(&server.api, &request, &listener, &err) == NULL);
    CHECK_STR(record.failure.code, "model_not_found");
    CHECK(!record.was_sent);
    CHECK_EQ(record.n_choices, 0);
    ask_noted(&server, &prompt, 1, 1, &record, &heard);
    server_fail(&server, 0, &why);
    CHECK_STR(record.failure.text, "it broke");
    CHECK(record.was_sent);
    server_close(&server);
}

/* ---- the line ---- */

static char logged[1 << 16];

struct telling {
    struct api api;
    struct request_log_entry entry;
};

static void tell(void *context)
{
    const struct telling *telling = context;
    request_log_write(&telling->api, &telling->entry);
}

/* From the module on; "": nothing was said. */
static const char *line_of(struct telling *telling)
{
    static const char *const names[] = {"demo"};
    telling->api.model.name = names;
    telling->api.model.n_names = 1;
    capture_stderr(logged, sizeof logged, tell, telling);
    const char *from = strstr(logged, "request: ");
    return from != NULL ? from : logged;
}

TEST(a_request_has_one_line_at_its_end)
{
    const struct request_record record = {.id = "cmpl-\n7",
                                          .was_sent = true,
                                          .prompt_tokens = 8,
                                          .cached_tokens = 4,
                                          .output_tokens = 6,
                                          .n_choices = 2,
                                          .finish = "stop,length",
                                          .queue_ns = 1500000,
                                          .first_token_ns = 20000000};
    struct telling telling = {.api = {.logs_requests = true},
                              .entry = {.record = &record,
                                        .method = "POST",
                                        .route = "/v1/completions",
                                        .peer = "127.0.0.1:4711",
                                        .status = 200,
                                        .total_ns = 310700000}};
    CHECK_STR(line_of(&telling),
              "request: ended id=cmpl-\\n7 method=POST route=/v1/completions peer=127.0.0.1:4711 "
              "model=demo status=200 prompt_tokens=8 cached_tokens=4 output_tokens=6 choices=2 "
              "finish=stop,length queue_ms=1.5 ttft_ms=20.0 total_ms=310.7\n");
    telling.api.logs_requests = false;
    CHECK_STR(line_of(&telling), "");
}

TEST(a_request_that_came_to_no_model_has_a_short_line)
{
    const struct request_record record = {
        .failure = {.kind = ERROR_INPUT, .text = "There is nothing at this path"}};
    struct telling telling = {.api = {.logs_requests = true},
                              .entry = {.record = &record,
                                        .method = "GET",
                                        .route = "/a\nforged",
                                        .peer = "127.0.0.1:4711",
                                        .status = 404,
                                        .total_ns = 100000}};
    CHECK_STR(line_of(&telling), "request: ended method=GET route=/a\\nforged "
                                 "peer=127.0.0.1:4711 status=404 total_ms=0.1 "
                                 "error=\"There is nothing at this path\"\n");
}

TEST(who_goes_away_has_status_499)
{
    const struct request_record record = {
        .was_sent = true, .n_choices = 1, .queue_ns = -1, .first_token_ns = -1};
    struct telling telling = {
        .api = {.logs_requests = true},
        .entry = {
            .record = &record, .route = "/x", .peer = "p", .status = 200, .was_cancelled = true}};
    CHECK_STR(line_of(&telling),
              "request: cancelled route=/x peer=p model=demo status=499 prompt_tokens=0 "
              "cached_tokens=0 output_tokens=0 choices=1 finish=\"\" total_ms=0.0\n");
}

TEST(what_machines_ask_all_the_time_is_told_only_to_who_wants_to_know_more)
{
    const struct request_record record = {.n_choices = 0};
    struct telling telling = {.api = {.logs_requests = true},
                              .entry = {.record = &record, .peer = "p", .is_probe = true}};
    CHECK_STR(line_of(&telling), "");
}
