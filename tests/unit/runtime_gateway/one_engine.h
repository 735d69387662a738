/* tests/unit/runtime_gateway/one_engine.h: a dispatch over one engine that says what a test wants.
 */
#pragma once
#include "runtime/gateway/dispatch.h"

struct ends { /* of one link: the dispatch is over the first */
    struct link *gateway, *engine;
    struct dispatch *dispatch;
};

struct ends connect_ends(void);
void close_ends(struct ends *ends);

void engine_sends(struct ends *ends, struct link_event event);
/* It runs. */
void engine_begins(struct ends *ends, uint64_t id);
/* One token, 5. */
void engine_says(struct ends *ends, uint64_t id, enum finish_reason finish);
/* The next command is this one. */
void engine_hears(struct ends *ends, enum link_command_kind kind, uint64_t id);
/* The next command is a request: its id. What *out points to lives until the next command. */
uint64_t engine_hears_request(struct ends *ends, struct link_submit *out);
void engine_hears_nothing(struct ends *ends);

/* Takes what the engine has sent. */
bool take(struct ends *ends, size_t at_most, enum error_kind want);
