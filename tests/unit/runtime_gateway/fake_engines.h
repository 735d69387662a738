/* tests/unit/runtime_gateway/fake_engines.h: engines that die under a dispatch.
 *
 * A fake engine gives request p the tokens p * 1000, p * 1000 + 1 ..., a few requests at once, and
 * dies when it comes to a token that it is to die of. It checks that a request that is sent again
 * comes with the tokens that it had.
 */
#pragma once
#include "runtime/gateway/dispatch.h"

enum {
    MAX_REQUESTS = 64,
    AT_ONCE = 8,  /* requests that a fake engine runs together; the others wait in it */
    N_TOKENS = 6, /* of an answer */
    NEVER = N_TOKENS,
    MAX_ROUNDS = 500,
    MAX_DEATHS = 32,
};

struct request {  /* p = its number */
    int dies_at;  /* the engine dies when it would give this token of it */
    int stops_at; /* the listener wants no more after so many tokens */
    struct world *world;
    int32_t token[N_TOKENS];
    int n_tokens, n_failures;
    bool ended;
    char why[512];
};

struct held { /* by a fake engine */
    uint64_t id;
    int number, n_output;
};

struct engine {
    struct link *gateway, *rank;
    struct held held[MAX_REQUESTS];
    int n_held;
};

struct world {
    struct dispatch *dispatch;
    struct engine engine[2];
    int n_engines;
    struct request request[MAX_REQUESTS];
    int n_requests;
    int n_deaths, held_at_death[MAX_DEATHS];
};

/* A dispatch with so many engines, all there. */
struct world *make_world(int n_engines);
void close_world(struct world *world);
/* The next request; the engine dies when it would give token `dies_at` of it (NEVER). */
struct request *submit(struct world *world, int dies_at);
/* An engine reads its link. */
void hear_commands(struct engine *engine);
void die(struct world *world, int number);
/* One step of an engine, and what the gateway makes of it: one that is dead is replaced. */
void step(struct world *world, int number);
/* Until nothing is in flight. */
void run(struct world *world);
/* All but poison have every token once; poison has those before, and failed. */
void check_answers(const struct world *world);
