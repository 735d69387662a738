/* Engines that a dispatch puts to sleep, played by the test. */
#include "tests/test.h"
#include "tests/unit/runtime_gateway/fake_engines.h"

struct wish {
    int n_good, n_given_up;
};

static void told(void *context, bool good)
{
    struct wish *wish = context;
    wish->n_good += good;
    wish->n_given_up += !good;
}

/* The next command of an engine, which must be there; or -1. */
static int next_command(struct engine *engine, enum link_sleep *level)
{
    struct link_command command;
    struct error err = {0};
    bool got;
    CHECK(link_receive_command(engine->rank, &command, &got, &err));
    *level = got ? command.sleep : LINK_NOT_ASLEEP;
    return got ? (int)command.kind : -1;
}

static void check_sleep(struct engine *engine, enum link_sleep level)
{
    enum link_sleep got;
    CHECK_EQ(next_command(engine, &got), LINK_SLEEP);
    CHECK_EQ(got, level);
}

static void check_silence(struct engine *engine)
{
    enum link_sleep ignored;
    CHECK_EQ(next_command(engine, &ignored), -1);
}

static bool say(struct world *world, int number, enum link_sleep level)
{
    const struct link_event event = {.kind = LINK_ASLEEP, .sleep = level};
    struct error err = {0};
    CHECK(link_send_event(world->engine[number].rank, &event, &err));
    return dispatch_take(world->dispatch, number, 0, &err);
}

TEST(all_engines_sleep_and_wake_and_then_it_is_told)
{
    struct world *world = make_world(2);
    struct wish wish = {0};
    dispatch_sleep(world->dispatch, LINK_NO_CACHE, told, &wish);
    CHECK_EQ(dispatch_asleep(world->dispatch), LINK_NO_CACHE);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(wish.n_good, 0);
        check_sleep(&world->engine[i], LINK_NO_CACHE);
        CHECK(say(world, i, LINK_NO_CACHE));
    }
    CHECK_EQ(wish.n_good, 1);
    dispatch_sleep(world->dispatch, LINK_NOT_ASLEEP, told, &wish);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(wish.n_good, 1);
        check_sleep(&world->engine[i], LINK_NOT_ASLEEP);
        CHECK(say(world, i, LINK_NOT_ASLEEP));
    }
    CHECK_EQ(wish.n_good, 2);
    CHECK_EQ(wish.n_given_up, 0);
    close_world(world);
}

TEST(nobody_sleeps_before_the_last_request_has_ended)
{
    struct world *world = make_world(1);
    struct wish wish = {0};
    submit(world, NEVER);
    dispatch_sleep(world->dispatch, LINK_NO_WEIGHTS, told, &wish);
    hear_commands(&world->engine[0]); /* takes the request; a sleep would be lost in it */
    run(world);
    check_answers(world);
    CHECK_EQ(wish.n_good, 0);
    check_sleep(&world->engine[0], LINK_NO_WEIGHTS);
    CHECK(say(world, 0, LINK_NO_WEIGHTS));
    CHECK_EQ(wish.n_good, 1);
    close_world(world);
}

TEST(a_request_waits_until_its_engine_is_awake)
{
    struct world *world = make_world(1);
    dispatch_sleep(world->dispatch, LINK_NO_CACHE, NULL, NULL);
    check_sleep(&world->engine[0], LINK_NO_CACHE);
    CHECK(say(world, 0, LINK_NO_CACHE));
    submit(world, NEVER);
    check_silence(&world->engine[0]);
    dispatch_sleep(world->dispatch, LINK_NOT_ASLEEP, NULL, NULL);
    check_sleep(&world->engine[0], LINK_NOT_ASLEEP);
    check_silence(&world->engine[0]);
    CHECK(say(world, 0, LINK_NOT_ASLEEP));
    run(world);
    check_answers(world);
    close_world(world);
}

TEST(an_engine_that_is_started_again_is_put_to_sleep_again)
{
    struct world *world = make_world(1);
    dispatch_sleep(world->dispatch, LINK_NO_CACHE, NULL, NULL);
    check_sleep(&world->engine[0], LINK_NO_CACHE);
    CHECK(say(world, 0, LINK_NO_CACHE));
    dispatch_detach(world->dispatch, 0);
    dispatch_attach(world->dispatch, 0, world->engine[0].gateway);
    check_sleep(&world->engine[0], LINK_NO_CACHE);
    close_world(world);
}

TEST(who_waits_for_a_sleep_is_told_when_it_is_not_wanted_any_more)
{
    struct world *world = make_world(1);
    struct wish sleep = {0}, wake = {0};
    dispatch_sleep(world->dispatch, LINK_NO_CACHE, told, &sleep);
    dispatch_sleep(world->dispatch, LINK_NOT_ASLEEP, told, &wake);
    CHECK_EQ(sleep.n_given_up, 1);
    check_sleep(&world->engine[0], LINK_NO_CACHE);
    check_silence(&world->engine[0]); /* it is asked one thing at a time */
    CHECK(say(world, 0, LINK_NO_CACHE));
    CHECK_EQ(wake.n_good, 0);
    check_sleep(&world->engine[0], LINK_NOT_ASLEEP);
    CHECK(say(world, 0, LINK_NOT_ASLEEP));
    CHECK_EQ(wake.n_good, 1);
    CHECK_EQ(sleep.n_good, 0);
    close_world(world);
}

TEST(what_was_asked_for_and_taken_back_at_once_is_asked_for_once)
{
    struct world *world = make_world(1);
    struct wish wish = {0};
    dispatch_sleep(world->dispatch, LINK_NO_CACHE, NULL, NULL);
    dispatch_sleep(world->dispatch, LINK_NOT_ASLEEP, NULL, NULL);
    dispatch_sleep(world->dispatch, LINK_NO_CACHE, told, &wish);
    check_sleep(&world->engine[0], LINK_NO_CACHE);
    CHECK(say(world, 0, LINK_NO_CACHE));
    check_silence(&world->engine[0]);
    CHECK_EQ(wish.n_good, 1);
    close_world(world);
}

TEST(an_engine_that_is_lost_is_not_waited_for)
{
    struct world *world = make_world(2);
    struct wish wish = {0};
    dispatch_sleep(world->dispatch, LINK_NO_CACHE, told, &wish);
    CHECK(say(world, 1, LINK_NO_CACHE));
    CHECK_EQ(wish.n_good, 0);
    dispatch_detach(world->dispatch, 0);
    CHECK_EQ(wish.n_good, 1);
    close_world(world);
}

TEST(an_engine_that_sleeps_unasked_is_broken)
{
    struct world *world = make_world(1);
    CHECK(!say(world, 0, LINK_NO_CACHE));
    close_world(world);
}
