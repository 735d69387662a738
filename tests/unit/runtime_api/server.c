#include "tests/unit/runtime_api/server.h"

#include "runtime/text/chat_template.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char *const names[] = {"demo", "other name"};

void server_open(struct server *server)
{
    struct error err = {0};
    int fd[2];
    *server = (struct server){.admission.max_in_flight = MAX_HELD};
    CHECK(intake_open(&server->intake, SOURCE_DIR "/demo/model", &err));
    CHECK(chat_template_open(&server->template, SOURCE_DIR "/demo/model", NULL, &err));
    server->chat = (struct chat_prompt){.template = server->template, .format = CONTENT_AS_TEXT};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    server->gateway = link_create(fd[0]);
    server->engine = link_create(fd[1]);
    server->api = (struct api){
        .model = {.name = names,
                  .n_names = 2,
                  .vocab = 2048,
                  .max_model_len = CONTEXT,
                  .kv_tokens = 4 * CONTEXT,
                  .dp = 1},
        .dispatch = dispatch_create(1),
        .intake = &server->intake,
        .chat = &server->chat,
        .admission = &server->admission,
        .metrics = &server->metrics,
    };
    api_metrics_init(&server->metrics, CONTEXT);
    CHECK(sampling_model_init(&server->api.sampling, &server->intake, 2048, NULL, &err));
    dispatch_attach(server->api.dispatch, 0, server->gateway);
}

void server_close(struct server *server)
{
    CHECK_EQ(dispatch_in_flight(server->api.dispatch), 0);
    CHECK_EQ(server->admission.n_in_flight, 0);
    CHECK(server->api.ended.first == NULL && server->api.ended.last == NULL);
    CHECK(server->api.reading.first == NULL && server->api.reading.last == NULL);
    dispatch_destroy(server->api.dispatch);
    link_destroy(server->gateway);
    link_destroy(server->engine);
    chat_template_close(server->template);
    intake_close(&server->intake);
}

/* ---- the engine ---- */

static void let_go(struct server *server, int i)
{
    server->n_held--;
    memmove(&server->held[i], &server->held[i + 1],
            (size_t)(server->n_held - i) * sizeof *server->held);
}

static void hold(struct server *server, const struct link_submit *s)
{
    CHECK(server->n_held < MAX_HELD);
    server->held[server->n_held++] = (struct held){.id = s->id,
                                                   .n_prompt = s->n_prompt,
                                                   .choice = s->choice,
                                                   .max_tokens = s->params.max_tokens,
                                                   .priority = s->priority,
                                                   .first = s->prompt[0],
                                                   .last = s->prompt[s->n_prompt - 1],
                                                   .tenant = s->tenant,
                                                   .seed = s->params.seed,
                                                   .pooling = s->params.pooling};
}

static void take_all(struct server *server)
{
    struct error err = {0};
    do
        CHECK(dispatch_take(server->api.dispatch, 0, 0, &err));
    while (dispatch_has_more(server->api.dispatch, 0));
}

void server_hear(struct server *server)
{
    struct error err = {0};
    struct link_command command;
    bool got = true;
    take_all(server);
    while (got) {
        CHECK(link_receive_command(server->engine, &command, &got, &err));
        if (got && command.kind == LINK_SUBMIT)
            hold(server, &command.submit);
        for (int i = 0; got && command.kind == LINK_CANCEL && i < server->n_held; i++)
            if (server->held[i].id == command.cancel_id)
                let_go(server, i);
    }
}

void server_settle(struct server *server)
{
    take_all(server);
    api_settle(&server->api);
}

void server_event(struct server *server, const struct link_event *event)
{
    struct error err = {0};
    bool all_sent;
    CHECK(link_send_event(server->engine, event, &err));
    CHECK(link_flush(server->engine, &all_sent, &err) && all_sent);
    server_settle(server);
}

void server_begins(struct server *server, int i)
{
    const struct link_event event = {
        .kind = LINK_BEGUN, .begun_id = &server->held[i].id, .n_begun = 1};
    server_event(server, &event);
}

void server_token(struct server *server, int i, int32_t token, enum finish_reason finish)
{
    const struct link_token word = {
        .id = server->held[i].id, .token = token, .finish = finish, .stop_token = -1};
    const struct link_event event = {.kind = LINK_TOKENS, .token = &word, .n_tokens = 1};
    if (finish != FINISH_NONE)
        let_go(server, i);
    server_event(server, &event);
}

void server_end(struct server *server, int i, enum finish_reason finish)
{
    server_token(server, i, -1, finish);
}

void server_fail(struct server *server, int i, const struct error *why)
{
    const struct link_event event = {
        .kind = LINK_FAILED, .failed_id = server->held[i].id, .failure = *why};
    let_go(server, i);
    server_event(server, &event);
}

void server_pooled(struct server *server, int i, const float *value, int n_values)
{
    const struct link_event event = {
        .kind = LINK_POOLED,
        .pooled = {.id = server->held[i].id, .value = value, .n_values = n_values}};
    let_go(server, i);
    server_event(server, &event);
}

/* ---- the user ---- */

struct api_prompt text_of(const char *text)
{
    return (struct api_prompt){.text = text, .n_bytes = strlen(text)};
}

struct generate_request ask_for(const struct api_prompt *prompt, size_t n_prompts)
{
    return (struct generate_request){
        .source = {.request_id = "cmpl-1", .peer = "127.0.0.1:4711", .route = "/v1/completions"},
        .sampling = sampling_nothing_said(),
        .prompt = prompt,
        .n_prompts = n_prompts,
        .add_special_tokens = true,
        .truncate_prompt_tokens = SAMPLING_UNSAID,
        .default_max_tokens = 16};
}

static bool hear_progress(void *context, struct generate_call *call, int prompt, int choice)
{
    struct heard *heard = context;
    CHECK(prompt < generate_prompts(call) && choice < generate_choices(call));
    heard->n_progress++;
    return heard->wants_more;
}

static void hear_done(void *context, struct generate_call *call)
{
    struct heard *heard = context;
    const struct output *output = generate_output(call, 0, 0);
    heard->n_done++;
    heard->usage = generate_usage(call);
    snprintf(heard->text, sizeof heard->text, "%.*s", (int)output->text.len,
             output->text.len > 0 ? output->text.data : "");
}

static void hear_failure(void *context, struct generate_call *call, const struct error *why)
{
    struct heard *heard = context;
    heard->n_failed++;
    heard->usage = generate_usage(call);
    heard->why = *why;
}

struct generate_listener listener_of(struct heard *heard)
{
    *heard = (struct heard){.wants_more = true};
    return (struct generate_listener){
        .progress = hear_progress, .done = hear_done, .failed = hear_failure, .context = heard};
}

struct generate_call *ask(struct server *server, const struct generate_request *request,
                          struct heard *heard)
{
    struct error err = {0};
    const struct generate_listener listener = listener_of(heard);
    struct generate_call *call = api_generate(&server->api, request, &listener, &err);
    if (call == NULL)
        test_fail(__FILE__, __LINE__, "refused: %s", err.text);
    server_hear(server);
    return call;
}

void check_refused(struct server *server, const struct generate_request *request,
                   enum error_kind kind, const char *code, const char *param, const char *word)
{
    struct error err = {0};
    struct heard heard;
    const struct generate_listener listener = listener_of(&heard);
    CHECK(api_generate(&server->api, request, &listener, &err) == NULL);
    CHECK_EQ(err.kind, kind);
    CHECK_STR(err.code, code);
    CHECK_STR(err.param, param);
    if (strstr(err.text, word) == NULL)
        test_fail(__FILE__, __LINE__, "'%s' does not have '%s'", err.text, word);
    CHECK_EQ(dispatch_in_flight(server->api.dispatch), 0);
    CHECK_EQ(heard.n_done + heard.n_failed, 0);
}
