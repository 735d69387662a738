#include "runtime/api/request_log.h"

#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

#include <stdio.h>
#include <string.h>

static char logged[1 << 16];

static void answer_one(void *context)
{
    struct server *server = context;
    struct heard heard;
    const struct api_prompt prompt = text_of("Once");
    struct generate_request request = ask_for(&prompt, 1);
    snprintf(request.source.request_id, sizeof request.source.request_id, "cmpl-\n7");
    ask(server, &request, &heard);
    server_begins(server, 0);
    server_token(server, 0, 300, FINISH_NONE);
    server_token(server, 0, 300, FINISH_LENGTH);
}

static void cancel_one(void *context)
{
    struct heard heard;
    const struct api_prompt prompt = text_of("Once");
    const struct generate_request request = ask_for(&prompt, 1);
    generate_cancel(ask(context, &request, &heard));
    server_hear(context);
}

static void refuse_one(void *context)
{
    struct server *server = context;
    struct heard heard;
    struct error err = {0};
    const struct generate_listener listener = listener_of(&heard);
    const struct api_prompt prompt = text_of("Once");
    struct generate_request request = ask_for(&prompt, 1);
    request.model = "x";
    CHECK(api_generate(&server->api, &request, &listener, &err) == NULL);
}

/* What was said, from the module on, and with times as "T". */
static const char *line_of(struct server *server, void (*run)(void *context))
{
    static char line[2048];
    server->api.logs_requests = true;
    capture_stderr(logged, sizeof logged, run, server);
    const char *from = strstr(logged, "request: ");
    CHECK(from != NULL);
    size_t n = 0;
    while (*from != '\0') {
        line[n++] = *from;
        if (strncmp(from, "_ms=", 4) == 0) {
            memcpy(line + n - 1, "_ms=T", 5);
            n += 4;
            from += 4 + strspn(from + 4, "0123456789.");
        } else {
            from++;
        }
    }
    line[n] = '\0';
    return line;
}

TEST(a_request_has_one_line_at_its_end)
{
    struct server server;
    server_open(&server);
    CHECK_STR(line_of(&server, answer_one),
              "request: ended id=cmpl-\\n7 route=/v1/completions peer=127.0.0.1:4711 model=demo "
              "status=200 prompt_tokens=2 cached_tokens=0 output_tokens=2 choices=1 finish=length "
              "queue_ms=T ttft_ms=T total_ms=T\n");
    CHECK_STR(line_of(&server, cancel_one),
              "request: cancelled id=cmpl-1 route=/v1/completions peer=127.0.0.1:4711 model=demo "
              "status=499 prompt_tokens=2 cached_tokens=0 output_tokens=0 choices=1 finish=\"\" "
              "total_ms=T\n");
    CHECK_STR(line_of(&server, refuse_one),
              "request: ended id=cmpl-1 route=/v1/completions peer=127.0.0.1:4711 model=demo "
              "status=404 prompt_tokens=0 cached_tokens=0 output_tokens=0 choices=0 finish=\"\" "
              "total_ms=T error=\"The model `x` does not exist.\"\n");
    server.api.logs_requests = false;
    capture_stderr(logged, sizeof logged, answer_one, &server);
    CHECK_STR(logged, "");
    server_close(&server);
}
