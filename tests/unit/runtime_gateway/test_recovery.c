#include "tests/test.h"
#include "tests/unit/runtime_gateway/fake_engines.h"

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
    const struct error why = {.kind = ERROR_PEER, .text = "the ranks are gone"};
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
