/* tests/unit/runtime_api/server.h: the api of the model that ships, with an engine that the test
 * plays: it sees what was asked, and says what the test wants it to.
 */
#pragma once
#include "runtime/api/admission.h"
#include "runtime/api/api.h"
#include "runtime/api/generate.h"
#include "runtime/api/metrics.h"
#include "runtime/gateway/dispatch.h"

enum { MAX_HELD = 64, CONTEXT = 256 };

struct held { /* a sequence at the engine */
    uint64_t id;
    int n_prompt, choice, max_tokens, priority;
    int32_t first, last; /* of the prompt */
    uint64_t tenant, seed;
    enum pooling pooling;
};

struct server {
    struct api api;
    struct admission admission;
    struct api_metrics metrics;
    struct intake intake;
    struct chat_template *template;
    struct chat_prompt chat;
    struct link *gateway, *engine;
    struct held held[MAX_HELD]; /* in the order in which they came */
    int n_held;
};

void server_open(struct server *server);
/* Nothing may be left in flight. */
void server_close(struct server *server);

/* The engine reads what was sent: held[] is what it has then. */
void server_hear(struct server *server);
/* It says something of held[i], and the gateway hears it: after the end it is held no more. */
void server_begins(struct server *server, int i); /* it runs */
void server_token(struct server *server, int i, int32_t token, enum finish_reason finish);
void server_end(struct server *server, int i, enum finish_reason finish); /* without a token */
void server_fail(struct server *server, int i, const struct error *why);
void server_pooled(struct server *server, int i, const float *value, int n_values);
void server_event(struct server *server, const struct link_event *event);
/* The gateway hears what is there, and ends are told. */
void server_settle(struct server *server);

/* The request of a prompt that says nothing else. */
struct generate_request ask_for(const struct api_prompt *prompt, size_t n_prompts);
struct api_prompt text_of(const char *text);

/* A listener that remembers. */
struct heard {
    int n_progress, n_done, n_failed;
    bool wants_more;
    struct error why;
    struct api_usage usage;
    char text[4096]; /* of the first choice */
};
struct generate_listener listener_of(struct heard *heard);
struct generate_call *ask(struct server *server, const struct generate_request *request,
                          struct heard *heard);
/* It is refused: with this kind, code and param ("": none), and a message that has `word`. */
void check_refused(struct server *server, const struct generate_request *request,
                   enum error_kind kind, const char *code, const char *param, const char *word);
