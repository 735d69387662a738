/* Engines that die under a dispatch. A fake one gives request p the tokens p * 1000, p * 1000 + 1 …
 * and ends when it comes to a request that it dies of. */
#include "base/memory.h"
#include "runtime/gateway/dispatch.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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

static void hear_commands(struct engine *engine)
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

static void die(struct world *world, int number)
{
    struct engine *engine = &world->engine[number];
    CHECK(world->n_deaths < MAX_DEATHS);
    world->held_at_death[world->n_deaths++] = engine->n_held;
    link_destroy(engine->rank);
    engine->rank = NULL;
}

/* One step of an engine, and what the gateway makes of it. */
static void step(struct world *world, int number)
{
    struct engine *engine = &world->engine[number];
    struct error err = {0};
    bool all_sent;
    if (engine->rank != NULL)
        hear_commands(engine);
    if (engine->rank != NULL && dies(world, engine))
        die(world, number);
    if (engine->rank != NULL)
        give_tokens(engine);
    if (dispatch_take(world->dispatch, number, 0, &all_sent, &err))
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

static struct request *submit(struct world *world, int dies_at)
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

static struct world *make_world(int n_engines)
{
    struct world *world = memory_alloc(1, sizeof *world);
    world->n_engines = n_engines;
    world->dispatch = dispatch_create(n_engines);
    for (int i = 0; i < n_engines; i++)
        connect_engine(world, i);
    return world;
}

static void run(struct world *world)
{
    int round = 0;
    for (; dispatch_in_flight(world->dispatch) > 0 && round < MAX_ROUNDS; round++)
        for (int i = 0; i < world->n_engines; i++)
            step(world, i);
    CHECK(round < MAX_ROUNDS);
}

/* All but poison have every token once. */
static void check_answers(const struct world *world)
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

static void close_world(struct world *world)
{
    dispatch_destroy(world->dispatch);
    for (int i = 0; i < world->n_engines; i++) {
        link_destroy(world->engine[i].gateway);
        link_destroy(world->engine[i].rank);
    }
    memory_free(world);
}

/* ---- losses that nobody is to blame for ---- */

TEST(answers_go_on_where_they_were_at_the_next_engine)
{
    struct world *world = make_world(1);
    for (int i = 0; i < AT_ONCE; i++)
        submit(world, NEVER);
    for (int i = 0; i < 10 && dispatch_in_flight(world->dispatch) > 0; i++) {
        step(world, 0);
        if (i % 2 == 1)
            die(world, 0);
    }
    run(world);
    CHECK(world->n_deaths >= 2);
    check_answers(world);
    close_world(world);
}

TEST(requests_wait_while_there_is_no_engine)
{
    struct world *world = make_world(1);
    dispatch_detach(world->dispatch, 0);
    submit(world, NEVER);
    submit(world, NEVER);
    CHECK_EQ(dispatch_in_flight(world->dispatch), 2);
    dispatch_attach(world->dispatch, 0, world->engine[0].gateway);
    run(world);
    check_answers(world);
    close_world(world);
}

TEST(an_engine_that_died_unnoticed_counts_against_nobody)
{
    struct world *world = make_world(1);
    die(world, 0);
    submit(world, NEVER); /* it never gets there */
    step(world, 0);
    die(world, 0); /* and here it does */
    step(world, 0);
    submit(world, NEVER);
    hear_commands(&world->engine[0]);
    CHECK_EQ(world->engine[0].n_held, 2); /* a suspect would be alone */
    run(world);
    check_answers(world);
    close_world(world);
}

TEST(a_loss_says_how_many_go_on_and_whether_anything_came)
{
    struct world *world = make_world(1);
    submit(world, NEVER);
    submit(world, NEVER);
    struct dispatch_loss loss = dispatch_detach(world->dispatch, 0);
    CHECK_EQ(loss.n_going_on, 2);
    CHECK(!loss.was_heard);
    dispatch_attach(world->dispatch, 0, world->engine[0].gateway);
    hear_commands(&world->engine[0]);
    world->engine[0].n_held = 0; /* of the first sending */
    submit(world, NEVER);
    step(world, 0);
    loss = dispatch_detach(world->dispatch, 0);
    CHECK_EQ(loss.n_going_on, 3);
    CHECK(loss.was_heard);
    close_world(world);
}

TEST(all_fail_when_nothing_is_left_to_try)
{
    struct world *world = make_world(1);
    const struct error why = {ERROR_PEER, "the ranks are gone"};
    struct request *one = submit(world, NEVER);
    step(world, 0);
    dispatch_detach(world->dispatch, 0);
    struct request *two = submit(world, NEVER);
    dispatch_fail_all(world->dispatch, &why);
    CHECK_EQ(one->n_failures, 1);
    CHECK_EQ(two->n_failures, 1);
    CHECK_STR(two->why, "the ranks are gone");
    CHECK_EQ(dispatch_in_flight(world->dispatch), 0);
    close_world(world);
}

/* ---- requests that kill engines ---- */

static void poison_is_found(int n, int first_poison, int second_poison, int dies_at,
                            int most_deaths)
{
    struct world *world = make_world(1);
    for (int i = 0; i < n; i++)
        submit(world, i == first_poison || i == second_poison ? dies_at : NEVER);
    run(world);
    check_answers(world);
    CHECK(world->n_deaths <= most_deaths);
    CHECK_EQ(world->held_at_death[world->n_deaths - 1], 1); /* found alone */
    close_world(world);
}

TEST(one_that_kills_engines_is_found_among_32) { poison_is_found(32, 13, -1, 0, 4); }
TEST(it_is_found_as_the_first_and_as_the_last)
{
    poison_is_found(32, 0, -1, 0, 4);
    poison_is_found(32, 31, -1, 0, 4);
}
TEST(it_is_found_when_it_has_nobody_beside_it) { poison_is_found(1, 0, -1, 0, 3); }
TEST(two_of_them_are_found)
{
    poison_is_found(32, 3, 4, 0, 6);
    poison_is_found(32, 3, 30, 0, 6);
    poison_is_found(2, 0, 1, 0, 4);
}
TEST(one_that_kills_engines_late_keeps_the_tokens_before) { poison_is_found(32, 13, -1, 4, 5); }

/* Runs until the suspects are tried alone. */
static void run_until_alone(struct world *world)
{
    for (int i = 0; i < MAX_ROUNDS && world->n_deaths < 2; i++)
        step(world, 0);
    CHECK_EQ(world->n_deaths, 2);
    hear_commands(&world->engine[0]);
    CHECK_EQ(world->engine[0].n_held, 1);
}

TEST(a_request_that_comes_while_suspects_run_alone_waits_and_is_answered)
{
    struct world *world = make_world(1);
    for (int i = 0; i < 4; i++)
        submit(world, i == 2 ? 0 : NEVER);
    run_until_alone(world);
    struct request *late = submit(world, NEVER);
    hear_commands(&world->engine[0]);
    CHECK_EQ(world->engine[0].n_held, 1);
    run(world);
    CHECK_EQ(late->n_tokens, N_TOKENS);
    CHECK_EQ(world->n_deaths, 3);
    CHECK_EQ(world->held_at_death[2], 1);
    check_answers(world);
    close_world(world);
}

TEST(a_suspect_that_ends_with_its_first_token_makes_room_for_the_next)
{
    struct world *world = make_world(1);
    for (int i = 0; i < 4; i++)
        submit(world, i == 3 ? 0 : NEVER)->stops_at = i < 3 ? 1 : NEVER;
    run(world);
    CHECK_EQ(world->n_deaths, 3);
    check_answers(world);
    close_world(world);
}

TEST(suspects_can_be_cancelled_and_the_next_request_is_none)
{
    struct world *world = make_world(1);
    for (int i = 0; i < 4; i++)
        submit(world, i == 2 ? 0 : NEVER);
    run_until_alone(world);
    dispatch_cancel_all(world->dispatch);
    CHECK_EQ(dispatch_in_flight(world->dispatch), 0);
    struct request *one = submit(world, NEVER), *two = submit(world, NEVER);
    hear_commands(&world->engine[0]);
    CHECK_EQ(world->engine[0].n_held, 2);
    run(world);
    CHECK(one->n_tokens == N_TOKENS && two->n_tokens == N_TOKENS);
    close_world(world);
}

TEST(an_engine_that_dies_of_everything_fails_all_in_the_end)
{
    struct world *world = make_world(1);
    for (int i = 0; i < 3; i++)
        submit(world, 0);
    run(world);
    CHECK_EQ(world->n_deaths, 5); /* twice together, then each alone */
    check_answers(world);
    close_world(world);
}

/* ---- several engines ---- */

TEST(requests_are_spread_and_those_of_a_lost_engine_go_to_the_other_at_once)
{
    struct world *world = make_world(2);
    for (int i = 0; i < 8; i++)
        submit(world, NEVER);
    step(world, 0);
    step(world, 1);
    CHECK_EQ(world->engine[0].n_held, 4);
    CHECK_EQ(world->engine[1].n_held, 4);
    dispatch_detach(world->dispatch, 0);
    hear_commands(&world->engine[1]);
    CHECK_EQ(world->engine[1].n_held, 8);
    while (dispatch_in_flight(world->dispatch) > 0)
        step(world, 1);
    check_answers(world);
    close_world(world);
}

TEST(suspects_are_tried_at_one_engine_while_the_other_serves)
{
    struct world *world = make_world(2);
    for (int i = 0; i < 16; i++)
        submit(world, i == 5 ? 0 : NEVER);
    run(world);
    check_answers(world);
    CHECK(world->n_deaths <= 4);
    CHECK_EQ(world->held_at_death[world->n_deaths - 1], 1);
    close_world(world);
}

TEST(suspects_move_to_another_engine_when_theirs_does_not_come_back)
{
    struct world *world = make_world(2);
    submit(world, 0);
    for (int i = 0; i < 2; i++) { /* both engines lose it once */
        hear_commands(&world->engine[i]);
        CHECK_EQ(world->engine[i].n_held, 1);
        dispatch_detach(world->dispatch, i);
        dispatch_attach(world->dispatch, i, world->engine[i].gateway);
    }
    hear_commands(&world->engine[0]);
    CHECK_EQ(world->engine[0].n_held, 2); /* sent again: it is tried at the first */
    dispatch_detach(world->dispatch, 0);
    CHECK_EQ(world->request[0].n_failures, 1);
    submit(world, NEVER);
    while (dispatch_in_flight(world->dispatch) > 0)
        step(world, 1);
    CHECK_EQ(world->request[1].n_tokens, N_TOKENS);
    close_world(world);
}
