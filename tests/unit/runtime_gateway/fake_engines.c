#include "tests/unit/runtime_gateway/fake_engines.h"

#include "base/memory.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the fake engine ---- */

static void connect_engine(struct world *world, int number)
{
    struct engine *engine = &world->engine[number];
    int fd[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    *engine = (struct engine){.gateway = link_create(fd[0]), .rank = link_create(fd[1])};
    dispatch_attach(world->dispatch, number, engine->gateway);
}

static void hold(struct engine *engine, const struct link_submit *submit)
{
    struct held *held = &engine->held[engine->n_held++];
    CHECK(engine->n_held <= MAX_REQUESTS);
    *held = (struct held){submit->id, submit->prompt[0], submit->n_output};
    for (int i = 0; i < submit->n_output; i++) /* what it has is what it was given */
        CHECK_EQ(submit->output[i], submit->prompt[0] * 1000 + i);
    CHECK(submit->n_output < N_TOKENS);
}

static void let_go(struct engine *engine, int i)
{
    engine->n_held--;
    memmove(&engine->held[i], &engine->held[i + 1],
            (size_t)(engine->n_held - i) * sizeof *engine->held);
}

void hear_commands(struct engine *engine)
{
    struct error err = {0};
    struct link_command command;
    bool got = true;
    while (got) {
        CHECK(link_receive_command(engine->rank, &command, &got, &err));
        if (got && command.kind == LINK_SUBMIT)
            hold(engine, &command.submit);
        for (int i = 0; got && command.kind == LINK_CANCEL && i < engine->n_held; i++)
            if (engine->held[i].id == command.cancel_id)
                let_go(engine, i);
    }
}

static bool dies(const struct world *world, const struct engine *engine)
{
    bool bad = false;
    for (int i = 0; i < engine->n_held && i < AT_ONCE; i++)
        bad |= world->request[engine->held[i].number].dies_at == engine->held[i].n_output;
    return bad;
}

static void give_tokens(struct engine *engine)
{
    struct link_token token[AT_ONCE];
    struct error err = {0};
    bool all_sent;
    int n = 0;
    for (; n < engine->n_held && n < AT_ONCE; n++) {
        struct held *held = &engine->held[n];
        token[n] = (struct link_token){
            .id = held->id, .token = held->number * 1000 + held->n_output, .stop_token = -1};
        token[n].finish = ++held->n_output == N_TOKENS ? FINISH_LENGTH : FINISH_NONE;
    }
    const struct link_event event = {.kind = LINK_TOKENS, .token = token, .n_tokens = n};
    CHECK(n == 0 || link_send_event(engine->rank, &event, &err));
    CHECK(link_flush(engine->rank, &all_sent, &err) && all_sent);
    for (int i = n - 1; i >= 0; i--)
        if (token[i].finish != FINISH_NONE)
            let_go(engine, i);
}

void die(struct world *world, int number)
{
    struct engine *engine = &world->engine[number];
    CHECK(world->n_deaths < MAX_DEATHS);
    world->held_at_death[world->n_deaths++] = engine->n_held;
    link_destroy(engine->rank);
    engine->rank = NULL;
}

void step(struct world *world, int number)
{
    struct engine *engine = &world->engine[number];
    struct error err = {0};
    if (engine->rank != NULL)
        hear_commands(engine);
    if (engine->rank != NULL && dies(world, engine))
        die(world, number);
    if (engine->rank != NULL)
        give_tokens(engine);
    bool good;
    do
        good = dispatch_take(world->dispatch, number, 0, &err);
    while (good && dispatch_has_more(world->dispatch, number));
    if (good)
        return;
    CHECK_EQ(err.kind, ERROR_PEER);
    dispatch_detach(world->dispatch, number);
    link_destroy(engine->gateway);
    link_destroy(engine->rank);
    connect_engine(world, number);
}

/* ---- requests ---- */

static bool hear_token(void *context, const struct link_token *token)
{
    struct request *request = context;
    CHECK(!request->ended && request->n_tokens < N_TOKENS);
    request->token[request->n_tokens++] = token->token;
    request->ended = token->finish != FINISH_NONE || request->n_tokens == request->stops_at;
    return !request->ended;
}

static void hear_failure(void *context, const struct error *why)
{
    struct request *request = context;
    CHECK(!request->ended);
    request->ended = true;
    request->n_failures++;
    snprintf(request->why, sizeof request->why, "%s", why->text);
}

struct request *submit(struct world *world, int dies_at)
{
    const int number = world->n_requests++;
    struct request *request = &world->request[number];
    *request = (struct request){.dies_at = dies_at, .stops_at = NEVER, .world = world};
    int32_t *prompt = memory_alloc(1, sizeof *prompt); /* not there any more when it is replayed */
    *prompt = number;
    struct link_submit words = {.prompt = prompt, .n_prompt = 1, .params = params_default()};
    const struct dispatch_listener listener = {
        .token = hear_token, .failed = hear_failure, .context = request};
    dispatch_submit(world->dispatch, &words, &listener);
    memory_free(prompt);
    return request;
}

struct world *make_world(int n_engines)
{
    struct world *world = memory_alloc(1, sizeof *world);
    world->n_engines = n_engines;
    world->dispatch = dispatch_create(n_engines);
    for (int i = 0; i < n_engines; i++)
        connect_engine(world, i);
    return world;
}

void run(struct world *world)
{
    int round = 0;
    for (; dispatch_in_flight(world->dispatch) > 0 && round < MAX_ROUNDS; round++)
        for (int i = 0; i < world->n_engines; i++)
            step(world, i);
    CHECK(round < MAX_ROUNDS);
}

void check_answers(const struct world *world)
{
    for (int p = 0; p < world->n_requests; p++) {
        const struct request *request = &world->request[p];
        const bool poison = request->dies_at != NEVER;
        CHECK(request->ended);
        CHECK_EQ(request->n_failures, poison);
        CHECK_EQ(request->n_tokens, poison ? request->dies_at : request->stops_at);
        for (int i = 0; i < request->n_tokens; i++)
            CHECK_EQ(request->token[i], p * 1000 + i);
        if (poison)
            CHECK(strncmp(request->why, "engine_crash: ", 14) == 0);
    }
}

void close_world(struct world *world)
{
    dispatch_destroy(world->dispatch);
    for (int i = 0; i < world->n_engines; i++) {
        link_destroy(world->engine[i].gateway);
        link_destroy(world->engine[i].rank);
    }
    memory_free(world);
}
